//! What every part of the shell shares.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{
    ApiAppSecret, ApiAppSecretStatus, ConditionType, ForeignSecret, ZitadelConnection,
};
use crate::connection::Connections;
use crate::ids::AppId;
use crate::process::clock::{Clock, ServerClock};
use crate::process::denied_requests::DeniedRequests;
use crate::process::holding::Holding;
use crate::process::leader::LeadershipWatch;
use crate::process::log_limit::LogLimit;
use crate::process::metrics::Metrics;
use crate::process::restore::RestoreDetector;
use crate::reconcile::another_operator::Foreign;
use crate::reconcile::flush::Flushed;
use crate::reconcile::limits::Bulkheads;
use crate::reconcile::retries::Retries;
use crate::report;
use crate::report::event::Events;
use crate::rotation::{
    Backlog, ClaimView, CommitRecord, Holder, Memory, Owner, SecretState, Timing, Version,
};
use crate::store::cache::Caches;
use crate::store::own_writes::OwnWrites;
use crate::store::progress::Written;
use crate::store::scope::Scope;
use crate::target::{Edition, Target, edition};
use crate::zitadel::Issuer;

/// An `ApiAppSecret`, or why it can't be read.
pub type Guarded = DeserializeGuard<ApiAppSecret>;
/// A `ZitadelConnection`, or why it can't be read.
pub type GuardedConnection = DeserializeGuard<ZitadelConnection>;

/// What is set once, at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where claims, credentials and certificate authorities are.
    pub namespace: String,
    /// This process.
    pub holder: Holder,
    /// The spans of the protocol.
    pub timing: Timing,
    /// The shortest interval that is allowed.
    pub minimum_interval: Duration,
    /// How often a project's applications are looked at for rotations by others.
    pub drift_interval: Duration,
    /// Which namespaces are watched.
    pub scope: Scope,
    /// Whose connections are kept: those of another class are another operator's.
    pub class: String,
}

/// What is known of one application between rounds.
#[derive(Default)]
pub struct AppState {
    /// For decisions.
    pub memory: Memory,
    /// The claims as this process last wrote them, by name: the watches may lag behind.
    pub claims: HashMap<String, Written<ClaimView>>,
    /// The same for the Secret.
    pub secret: Option<Written<Stored>>,
    /// The Secret whose data was read and is not as declared. What the watch shows of it does not tell.
    pub drifted: Option<Version>,
    /// The rotation that this process finished last, until it is reported.
    pub flushed: Option<Flushed>,
    /// The secret of somebody else that a rotation replaced whose answer is lost, until that is told.
    pub untold: Option<ForeignSecret>,
    /// What this process last wrote into the object's status.
    pub told: Option<report::Told>,
    /// What another operator wrote.
    pub foreign: Foreign,
    /// The applications whose change list the operator's user might not read when that was tried last.
    pub denied: BTreeSet<AppId>,
}

/// A Secret that was written.
#[derive(Debug, Clone)]
pub struct Stored {
    /// For decisions.
    pub state: SecretState,
    /// Its commit record.
    pub commit: Option<CommitRecord>,
}

/// Which objects name which applications.
#[derive(Default)]
pub struct Index {
    by_object: HashMap<(String, String), (Vec<AppKey>, Aged, Told)>,
    by_app: HashMap<AppKey, BTreeSet<Aged>>,
}

/// When it was created, and which it is: older ones come first.
type Aged = (i64, Owner);

/// What may decide whether an object keeps others waiting: its edition, whether it is being deleted, and why it is ready or not.
type Told = (Edition, bool, Option<String>);

/// Connection, project and application.
type AppKey = (String, String, String);

impl Index {
    /// Takes note of an object. The others come back that name an application which it named before, if it names that no more, or if
    /// it may keep them waiting no more.
    pub fn insert(&mut self, object: &ApiAppSecret) -> Vec<Owner> {
        let owner = owner(object);
        let key = (owner.namespace.clone(), owner.name.clone());
        let conditions = object.status.as_ref().map(|status| &status.conditions);
        let ready = conditions.and_then(|conditions| conditions.get(ConditionType::Ready));
        let told: Told = (
            edition(&object.metadata),
            object.metadata.deletion_timestamp.is_some(),
            ready.map(|ready| ready.reason.clone()),
        );
        let same = self
            .by_object
            .get(&key)
            .is_some_and(|(_, _, before)| *before == told);
        let before = self.remove(&owner.namespace, &owner.name);
        let spec = &object.spec;
        // A standby that is named no more is the object's for as long as its pair is stored.
        let stored = object
            .status
            .as_ref()
            .and_then(|status| status.active_app_id.as_ref());
        let ids: BTreeSet<&str> = std::iter::once(spec.app_id.as_str())
            .chain(spec.standby_app_id())
            .chain(stored.map(String::as_str))
            .collect();
        let apps: Vec<AppKey> = ids
            .into_iter()
            .map(|app| {
                let connection = spec.connection_name().to_owned();
                (connection, spec.project_id.clone(), app.to_owned())
            })
            .collect();
        let created = object
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(0, |time| time.0.as_second());
        let place = (created, owner);
        for app in &apps {
            let places = self.by_app.entry(app.clone()).or_default();
            places.insert(place.clone());
        }
        let still = |other: &Owner| {
            let places = apps.iter().filter_map(|app| self.by_app.get(app));
            places.flatten().any(|(_, owner)| owner == other)
        };
        let freed = before.into_iter();
        let freed = freed.filter(|other| !same || !still(other)).collect();
        self.by_object.insert(key, (apps, place, told));
        freed
    }

    /// Forgets an object. The others that name an application of it come back.
    pub fn remove(&mut self, namespace: &str, name: &str) -> Vec<Owner> {
        let key = (namespace.to_owned(), name.to_owned());
        let Some((apps, place, _)) = self.by_object.remove(&key) else {
            return Vec::new();
        };
        let mut others = BTreeSet::new();
        for app in apps {
            let Some(places) = self.by_app.get_mut(&app) else {
                continue;
            };
            places.remove(&place);
            others.extend(places.iter().map(|(_, owner)| owner.clone()));
            if places.is_empty() {
                self.by_app.remove(&app);
            }
        }
        others.into_iter().collect()
    }

    /// Forgets objects that are gone from a namespace, or from all of them. The others that name the same applications come back.
    ///
    /// NB: what exists in another namespace is shown by another watch, whose list may be under way.
    pub fn retain(&mut self, within: Option<&str>, exists: impl Fn(&Owner) -> bool) -> Vec<Owner> {
        let gone: Vec<Owner> = self
            .by_object
            .values()
            .map(|(_, (_, owner), _)| owner)
            .filter(|owner| within.is_none_or(|within| within == owner.namespace))
            .filter(|owner| !exists(owner))
            .cloned()
            .collect();
        gone.iter()
            .flat_map(|owner| self.remove(&owner.namespace, &owner.name))
            .collect()
    }

    /// The older objects for applications of this one, and the application, the oldest first.
    pub fn older(&self, owner: &Owner) -> Vec<(String, Owner)> {
        let key = (owner.namespace.clone(), owner.name.clone());
        let Some((apps, place, _)) = self.by_object.get(&key) else {
            return Vec::new();
        };
        let places = apps
            .iter()
            .filter_map(|app| Some((app, self.by_app.get(app)?)));
        let mut older: Vec<_> = places
            .flat_map(|(app, places)| places.range(..place).map(move |aged| (aged, &app.2)))
            .collect();
        older.sort_unstable();
        let named = |((_, owner), app): (&Aged, &String)| (app.clone(), owner.clone());
        older.into_iter().map(named).collect()
    }
}

/// The identity of an object.
pub fn owner(object: &ApiAppSecret) -> Owner {
    Owner {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    }
}

/// Shared by all reconciles.
pub struct Context {
    /// For reads and ordinary writes.
    pub client: kube::Client,
    /// For the one write that must not wait behind others: its connections are its own.
    pub flush_client: kube::Client,
    /// What is set once.
    pub settings: Settings,
    /// The clocks of this host.
    pub clock: Arc<dyn Clock>,
    /// The API server's clock.
    pub api_clock: ServerClock,
    /// What is counted.
    pub metrics: Metrics,
    /// What the API server refuses.
    pub denied: DeniedRequests,
    /// What the process must not end with.
    pub holding: Holding,
    /// Whether this replica is to work; while it does not lead it only watches.
    pub lead: LeadershipWatch,
    /// No new claim after this.
    pub stop: CancellationToken,
    /// Told where the API server's data went back to an earlier state.
    pub restore: RestoreDetector,
    /// Tasks that outlive the reconcile that started them.
    pub tasks: TaskTracker,
    /// The connections.
    pub connections: Connections,
    /// Looks at objects that failed.
    pub retries: Retries<String>,
    /// Looks at connections that failed, by name.
    pub connection_retries: Retries<String>,
    /// Keeps those who hang apart from the others.
    pub bulkheads: Bulkheads<ObjectRef<Guarded>>,
    /// What was said in the log lately.
    pub log: LogLimit,
    /// The watched objects.
    pub caches: Caches,
    /// Which objects name which application.
    pub index: Mutex<Index>,
    /// Asks for a connection to be looked at again.
    pub wake_connections: mpsc::UnboundedSender<ObjectRef<GuardedConnection>>,
    /// Publishes events.
    pub events: Events,
    /// Where another operator of this class was noticed last.
    pub another_operator: watch::Sender<Option<String>>,
    /// By uid: the status that was written last, since the watch lags behind.
    pub statuses: Mutex<HashMap<String, Written<ApiAppSecretStatus>>>,
    /// Which events of the objects only show such a status.
    pub own_statuses: OwnWrites,
    /// Which events of the claims only show what this process wrote.
    pub own_claims: OwnWrites,
    /// Objects that can't be read and were told so: uid and generation.
    pub unreadable: Mutex<std::collections::HashSet<Edition>>,
    apps: Mutex<HashMap<String, Arc<Mutex<AppState>>>>,
    backlog: Mutex<Option<CatchUp>>,
}

/// The backlog of one term of leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CatchUp {
    term: u64,
    /// How many namespaces were listed when it was counted.
    listed: usize,
    since: Duration,
    span: Option<Duration>,
}

impl CatchUp {
    /// The backlog as it was counted, or anew in another term of leadership and where one more namespace was listed. It starts then: of
    /// what is only seen now the first turns would be over otherwise. `count` says how many credentials are due.
    fn counted(
        before: Option<Self>,
        (term, listed): (u64, usize),
        now: Duration,
        most: Duration,
        count: impl FnOnce() -> usize,
    ) -> Self {
        match before {
            Some(before) if (before.term, before.listed) == (term, listed) => before,
            _ => Self {
                term,
                listed,
                since: now,
                span: Backlog::span(count(), most),
            },
        }
    }
}

/// Everything that a context is made of.
pub struct Parts {
    /// See [`Context::client`].
    pub client: kube::Client,
    /// See [`Context::flush_client`].
    pub flush_client: kube::Client,
    /// See [`Context::settings`].
    pub settings: Settings,
    /// See [`Context::clock`].
    pub clock: Arc<dyn Clock>,
    /// See [`Context::api_clock`].
    pub api_clock: ServerClock,
    /// See [`Context::metrics`].
    pub metrics: Metrics,
    /// See [`Context::denied`].
    pub denied: DeniedRequests,
    /// See [`Context::holding`].
    pub holding: Holding,
    /// See [`Context::lead`].
    pub lead: LeadershipWatch,
    /// See [`Context::stop`].
    pub stop: CancellationToken,
    /// See [`Context::restore`].
    pub restore: RestoreDetector,
}

impl Context {
    /// A context with nothing known yet.
    pub fn new(
        parts: Parts,
        caches: Caches,
        wake_connections: mpsc::UnboundedSender<ObjectRef<GuardedConnection>>,
    ) -> Self {
        let Parts {
            client,
            flush_client,
            settings,
            clock,
            api_clock,
            metrics,
            denied,
            holding,
            lead,
            stop,
            restore,
        } = parts;
        let tasks = TaskTracker::new();
        let instance = &settings.holder.pod;
        let scope = settings.scope.clone();
        let events = Events::new(
            client.clone(),
            instance,
            scope,
            Arc::clone(&clock),
            tasks.clone(),
        );
        Self {
            events,
            client,
            flush_client,
            settings,
            clock,
            api_clock,
            metrics,
            denied,
            holding,
            lead,
            stop,
            restore,
            tasks,
            connections: Connections::default(),
            retries: Retries::default(),
            connection_retries: Retries::default(),
            bulkheads: Bulkheads::new({
                let caches = caches.clone();
                move |who| caches.wake(who)
            }),
            log: LogLimit::default(),
            caches,
            index: Mutex::default(),
            wake_connections,
            another_operator: watch::Sender::default(),
            statuses: Mutex::default(),
            own_statuses: OwnWrites::default(),
            own_claims: OwnWrites::default(),
            unreadable: Mutex::default(),
            apps: Mutex::default(),
            backlog: Mutex::default(),
        }
    }

    /// The backlog that this replica found when it began to lead: when that was, since boot, and the time over which it is spread. Of
    /// several namespaces it was when the last one was listed, since one whose watch is refused must not hold up the others.
    ///
    /// NB: counted by the status, which is a mirror that anybody may be wrong about. It only paces.
    pub fn backlog(&self) -> Option<(Duration, Duration)> {
        let term = self.lead.terms();
        let parts = self.caches.parts.values();
        let listed = parts.filter(|cache| cache.is_filled()).count();
        let now = self.clock.wall();
        let due = |object: &Arc<Guarded>| {
            let status = object.0.as_ref().ok()?.status.as_ref()?;
            Some(status.next_rotation_time.as_ref()?.0 < now)
        };
        let count = || {
            let objects = self.objects();
            let due = objects.filter_map(|object| due(&object));
            due.filter(|due| *due).count()
        };
        let mut found = lock(&self.backlog);
        let before = *found;
        let most = self.settings.timing.catch_up;
        let counted = CatchUp::counted(before, (term, listed), self.clock.boot(), most, count);
        if let Some(span) = counted.span
            && before != Some(counted)
        {
            tracing::info!(
                ?span,
                listed,
                "credentials became due while no operator worked; they are rotated one after another"
            );
        }
        *found = Some(counted);
        counted.span.map(|span| (counted.since, span))
    }

    /// What is known of an application.
    pub fn app(&self, claim: &str) -> Arc<Mutex<AppState>> {
        Arc::clone(lock(&self.apps).entry(claim.to_owned()).or_default())
    }

    /// Forgets applications that no object names, unless something is held for them.
    pub fn forget_apps(&self, keep: impl Fn(&str) -> bool) {
        lock(&self.apps).retain(|claim, state| keep(claim) || lock(state).memory.holding.is_some());
    }

    /// The object of that identity, if it exists.
    pub fn object(&self, owner: &Owner) -> Option<Arc<Guarded>> {
        self.caches
            .object(&owner.namespace, &owner.name, &owner.uid)
    }

    /// Whether a connection of that name exists that was not looked at yet: whoever needs it is woken when it was.
    pub fn awaits_connection(&self, name: &str) -> bool {
        !self.connections.knows(name) && self.keeps_connection(name)
    }

    /// Whether a connection of that name exists and is this operator's.
    pub fn keeps_connection(&self, name: &str) -> bool {
        self.class_of(name) == Some(true)
    }

    /// The issuer that a connection declares, whether it can be used or not. None if there is no such connection, or none that can be
    /// read.
    pub fn issuer(&self, connection: &str) -> Option<String> {
        let found = self.caches.connections.get(&ObjectRef::new(connection))?;
        let spec = &found.0.as_ref().ok()?.spec;
        let issuer = Issuer::parse(&spec.url, true).ok()?;
        Some(issuer.as_str().to_owned())
    }

    /// Whether a connection of that name exists and is another operator's: it is left alone, and so are the objects that name it.
    pub fn is_foreign(&self, connection: &str) -> bool {
        self.class_of(connection) == Some(false)
    }

    fn class_of(&self, connection: &str) -> Option<bool> {
        let found = self.caches.connections.get(&ObjectRef::new(connection))?;
        Some(self.is_own(&found))
    }

    /// Whether a connection is this operator's. Of one that cannot be read nobody knows whose it is: every operator says that it cannot be
    /// used.
    pub fn is_own(&self, connection: &GuardedConnection) -> bool {
        let connection = connection.0.as_ref();
        connection.map_or(true, |found| found.spec.class() == self.settings.class)
    }

    /// The connections that are this operator's.
    pub fn own_connections(&self) -> Vec<Arc<GuardedConnection>> {
        let mut all = self.caches.connections.state();
        all.retain(|connection| self.is_own(connection));
        all
    }

    /// The watched objects, without those that name a connection of another operator.
    pub fn objects(&self) -> impl Iterator<Item = Arc<Guarded>> {
        let own = |guarded: &Arc<Guarded>| match &guarded.0 {
            Ok(object) => !self.is_foreign(object.spec.connection_name()),
            Err(_) => true,
        };
        self.caches.objects().filter(own)
    }

    /// Whether an object exists and still names the same Secret as `target`.
    pub fn keeps_secret(&self, owner: &Owner, target: &Target) -> bool {
        let object = self
            .object(owner)
            .filter(|_| owner.namespace == target.owner.namespace);
        match object.as_deref().map(|object| &object.0) {
            Some(Ok(object)) => object.spec.secret_name(&owner.name) == target.secret.name,
            // An object that can't be read may well mean this Secret.
            Some(Err(_)) => true,
            None => false,
        }
    }

    /// The target as it stands now. An object that was deleted and made again is the same to those who read its Secret, and what
    /// belongs to the one that is gone is collected. One whose Secret is to look otherwise, or to have another name, by now: so it is
    /// written.
    pub fn present(&self, target: &Arc<Target>) -> Arc<Target> {
        let owner = &target.owner;
        let reference = ObjectRef::new(&owner.name).within(&owner.namespace);
        let cache = self.caches.of(&owner.namespace);
        let found = cache.and_then(|cache| cache.objects.get(&reference));
        let Some(Ok(object)) = found.as_deref().map(|guarded| &guarded.0) else {
            return Arc::clone(target);
        };
        let again = object.uid().as_ref() != Some(&owner.uid);
        let edited = object.metadata.generation > target.generation;
        if object.metadata.deletion_timestamp.is_some() || !(again || edited) {
            return Arc::clone(target);
        }
        let apps = |target: &Target| {
            std::iter::once(target.app.app.clone())
                .chain(target.standby.clone())
                .collect::<BTreeSet<_>>()
        };
        let same = |present: &Target| {
            present.connection == target.connection
                && present.app.project == target.app.project
                && apps(present) == apps(target)
        };
        match Target::read(object, Duration::ZERO) {
            Ok(present) if again && same(&present) && present.secret.name == target.secret.name => {
                Arc::new(Target {
                    owner: self::owner(object),
                    ..Target::clone(target)
                })
            }
            Ok(present) if !again && same(&present) => Arc::new(Target {
                secret: present.secret,
                ..Target::clone(target)
            }),
            _ => Arc::clone(target),
        }
    }

    /// Has every object of a connection looked at again.
    pub fn wake_users(&self, connection: &str) {
        for guarded in self.caches.objects() {
            if let Ok(object) = &guarded.0
                && object.spec.connection_name() == connection
            {
                self.wake(&owner(object));
            }
        }
    }

    /// Has a connection looked at again.
    pub fn wake_connection(&self, name: &str) {
        let _ = self.wake_connections.send(ObjectRef::new(name));
    }

    /// Has an object looked at again, if its namespace is watched.
    pub fn wake(&self, owner: &Owner) {
        self.caches
            .wake(ObjectRef::new(&owner.name).within(&owner.namespace));
    }
}

/// Locks, also after a panic elsewhere: what is guarded is replaced as a whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A resourceVersion as a number: they can be compared within a resource since Kubernetes 1.35.
pub fn revision(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_of_several_namespaces_starts_when_the_last_of_them_was_listed() {
        let (most, at) = (Duration::from_mins(10), Duration::from_secs);
        let counted =
            |before, listed, now, due| CatchUp::counted(before, (1, listed), at(now), most, || due);
        let first = counted(None, 1, 0, 3);
        assert_eq!(first.span, None, "so few are no backlog");
        let both = counted(Some(first), 2, 300, 1003);
        assert_eq!((both.since, both.span), (at(300), Some(most)));
        let later = counted(Some(both), 2, 900, 0);
        assert_eq!(later, both, "it is counted once");
        let next = CatchUp::counted(Some(both), (2, 2), at(1000), most, || 0);
        assert_eq!(next.span, None, "another term has a backlog of its own");
    }

    fn object(name: &str, created: i64) -> ApiAppSecret {
        let spec = serde_json::from_value(serde_json::json!({"projectId": "1", "appId": "2"}));
        let mut object = ApiAppSecret::new(name, spec.unwrap());
        object.metadata.namespace = Some("n".into());
        object.metadata.uid = Some(format!("uid-{name}"));
        let created = jiff::Timestamp::from_second(created).unwrap();
        object.metadata.creation_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created),
        );
        object
    }

    fn older(index: &Index, object: &ApiAppSecret) -> Vec<Owner> {
        let older = index.older(&owner(object));
        older.into_iter().map(|(_, owner)| owner).collect()
    }

    #[test]
    fn an_object_that_is_gone_is_nobodys_rival_also_where_its_deletion_was_never_shown() {
        let (old, young) = (object("old", 1), object("young", 2));
        let mut index = Index::default();
        index.insert(&old);
        index.insert(&young);
        assert_eq!(older(&index, &young), [owner(&old)]);
        assert_eq!(older(&index, &old), []);
        assert!(index.retain(Some("elsewhere"), |_| false).is_empty());
        assert_eq!(older(&index, &young), [owner(&old)]);
        let freed = index.retain(Some("n"), |exists| exists.name == "young");
        assert_eq!(freed, [owner(&young)]);
        assert_eq!(older(&index, &young), []);
        index.insert(&old);
        let freed = index.retain(None, |exists| exists.name == "young");
        assert_eq!(freed, [owner(&young)]);
    }

    #[test]
    fn an_application_whose_pair_is_stored_is_the_objects_until_another_pair_is() {
        let mut old = object("old", 1);
        old.spec.app_id = "3".to_owned();
        let young = object("young", 2);
        let mut index = Index::default();
        index.insert(&young);
        let storing = |active: &str| ApiAppSecretStatus {
            active_app_id: Some(active.to_owned()),
            ..ApiAppSecretStatus::default()
        };
        old.status = Some(storing("2"));
        index.insert(&old);
        assert_eq!(index.older(&owner(&young)), [("2".to_owned(), owner(&old))]);
        assert_eq!(index.insert(&old), []);
        old.metadata.generation = Some(2);
        assert_eq!(
            index.insert(&old),
            [owner(&young)],
            "it may be invalid by now"
        );
        old.status = Some(storing("3"));
        assert_eq!(index.insert(&old), [owner(&young)]);
        assert_eq!(index.older(&owner(&young)), []);
    }
}
