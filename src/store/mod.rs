//! What is known of the cluster: what the watches show, and what this process wrote that they do not show yet.
//!
//! * [`watch`] the watches, [`prune`] what of an object is kept, [`cache`] where it is kept, [`scope`] in which namespaces
//! * [`object`] an object as it is kept, [`packed`] in how little room
//! * [`owners`] which objects name an application, [`secrets`] what is kept of Secrets, and for which objects
//! * [`shown`] what a watch shows of claims or Secrets, [`overlay`] what this process wrote and a watch has not shown, [`own_writes`] which
//!   events show nothing else
//! * [`claim`] a claim, read and made; [`secret`] a Secret as it is made, [`reading`] as it is read. [`apply`] how both are written,
//!   [`wiped`] Secrets in memory

pub mod apply;
pub(crate) mod cache;
pub mod claim;
pub(crate) mod object;
pub(crate) mod overlay;
pub(crate) mod own_writes;
pub(crate) mod owners;
pub(crate) mod packed;
pub(crate) mod prune;
pub(crate) mod reading;
pub mod scope;
pub mod secret;
pub(crate) mod secrets;
pub(crate) mod shown;
pub(crate) mod watch;
pub(crate) mod wiped;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::runtime::reflector::{self, ObjectRef};
use parking_lot::Mutex;

use crate::api::{AppSecret, Kind};
use crate::ids::AppId;
use crate::rotation::Owner;
use crate::store::cache::{Cache, GuardedConnection, Objects, Synced};
use crate::store::claim::Claims;
use crate::store::object::Object;
use crate::store::own_writes::OwnWrites;
use crate::store::owners::Owners;
use crate::store::secrets::KeptSecret;
use crate::target::apps::{claim_name, named_apps};
use crate::target::error::TargetError;
use crate::target::{self, ObjectVersion, Target};
use crate::zitadel::{AppRef, Issuer};

/// What the watches show, and what this process wrote that they do not show yet.
pub struct Store {
    /// By namespace; `None` is the whole cluster, and the only one then.
    pub namespaces: BTreeMap<Option<String>, Cache>,
    /// All connections.
    pub connections: reflector::Store<GuardedConnection>,
    /// Whether all of them were shown.
    pub connections_synced: Synced,
    /// All claims.
    pub claims: Claims,
    /// Whether all of them were shown.
    pub claims_synced: Synced,
    /// Which objects name which application.
    pub owners: Mutex<Owners>,
    /// Which events of the claims only show what this process wrote.
    pub own_claims: OwnWrites,
    /// Objects that cannot be read and were reported so: uid and generation.
    pub unreadable: Mutex<HashSet<ObjectVersion>>,
    /// The issuer that each connection declared last, by its name.
    pub issuers: Mutex<HashMap<String, String>>,
    /// The class of this operator: connections of another class are another operator's.
    pub class: String,
    /// How many events the watches have shown.
    changes: AtomicU64,
}

impl Store {
    /// A store that knows nothing yet, of the operator of a class: one cache for each watched namespace, or one for `None`.
    pub fn new(
        class: String,
        namespaces: BTreeMap<Option<String>, Cache>,
        connections: reflector::Store<GuardedConnection>,
    ) -> Self {
        Self {
            namespaces,
            connections,
            connections_synced: Synced::default(),
            claims: Claims::default(),
            claims_synced: Synced::default(),
            owners: Mutex::default(),
            own_claims: OwnWrites::default(),
            unreadable: Mutex::default(),
            issuers: Mutex::default(),
            class,
            changes: AtomicU64::new(0),
        }
    }

    /// Takes note of something that a watch has shown of objects, Secrets or claims.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often that was: as long as it is the same, all that is known of them is.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The cache of a namespace, if it is watched.
    pub fn of(&self, namespace: &str) -> Option<&Cache> {
        self.namespaces
            .get(&None)
            .or_else(|| self.namespaces.get(&Some(namespace.to_owned())))
    }

    /// What is watched of a kind in a namespace, if that is watched.
    pub fn objects_of(&self, kind: Kind, namespace: &str) -> Option<&Objects> {
        Some(self.of(namespace)?.objects.of(kind))
    }

    /// Whether it is known which objects of a kind a namespace has. Where it is not, no one can say that an object is gone.
    pub fn knows(&self, kind: Kind, namespace: &str) -> bool {
        self.objects_of(kind, namespace)
            .is_some_and(|objects| objects.synced.is())
    }

    /// Waits until everything was shown that reconciling the objects of a kind in a namespace needs: those of another kind may be missing,
    /// and what depends on them is then taken to be in use.
    pub async fn synced(&self, kind: Kind, namespace: &str) {
        self.claims_synced.wait().await;
        self.connections_synced.wait().await;
        if let Some(cache) = self.of(namespace) {
            cache.synced_for(kind).await;
        }
    }

    /// Waits until the claims, the connections and one kind in one namespace at least were shown. Of one namespace or kind whose watch is
    /// refused the others must not have to suffer.
    pub async fn any_synced(&self) {
        self.claims_synced.wait().await;
        self.connections_synced.wait().await;
        let any = self.namespaces.values().flat_map(|cache| {
            let kinds = Kind::ALL.into_iter();
            kinds.map(|kind| Box::pin(cache.synced_for(kind)))
        });
        // NB: there is one part at least.
        let _ = futures::future::select_all(any).await;
    }

    /// Has an object reconciled again, if its namespace is watched.
    pub fn wake_object(&self, object: ObjectRef<Object>) {
        let objects = object
            .namespace
            .as_deref()
            .and_then(|namespace| self.objects_of(object.dyntype, namespace));
        if let Some(objects) = objects {
            // NB: the receiver lives as long as the controller; without one there is nothing left to wake.
            let _ = objects.wake.send(object);
        }
    }

    /// All watched objects, also those of another operator.
    pub fn all_objects(&self) -> impl Iterator<Item = Arc<Object>> {
        self.namespaces
            .values()
            .flat_map(|cache| cache.objects.iter())
            .flat_map(|objects| objects.all.state())
    }

    /// A Secret with our label, as it was written last: by this process, or by the watch.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<Arc<KeptSecret>> {
        self.of(namespace)?.secrets.get(namespace, name)
    }

    /// Takes note of a Secret that this process wrote. The revision that was written.
    pub fn wrote_secret(&self, written: &Secret) -> String {
        // NB: an object comes out of its namespace's cache, so there is one.
        if let Some(cache) = self.of(&written.namespace().unwrap_or_default()) {
            cache.secrets.wrote(written);
        }
        written.resource_version().unwrap_or_default()
    }

    /// The names of the Secrets that an object keeps, by their records.
    pub fn secrets_of(&self, owner: &Owner) -> Vec<String> {
        let cache = self.of(&owner.namespace);
        cache.map_or_else(Vec::new, |cache| cache.secrets.of_owner(owner))
    }

    /// Whether a namespace is being deleted.
    pub fn is_terminating(&self, namespace: &str) -> bool {
        let found = self
            .of(namespace)
            .and_then(|cache| cache.namespaces.get(&ObjectRef::new(namespace)));
        found.is_some_and(|found| found.metadata.deletion_timestamp.is_some())
    }

    /// A label of a namespace.
    pub fn namespace_label(&self, namespace: &str, name: &str) -> Option<String> {
        let found = self
            .of(namespace)?
            .namespaces
            .get(&ObjectRef::new(namespace))?;
        found.metadata.labels.as_ref()?.get(name).cloned()
    }

    /// The object of that identity, if it exists.
    pub fn object(&self, owner: &Owner) -> Option<Arc<Object>> {
        self.object_named_as(owner)
            .filter(|object| object.uid() == owner.uid)
    }

    /// The object of that kind and name, which may be another one by now.
    fn object_named_as(&self, owner: &Owner) -> Option<Arc<Object>> {
        let objects = self.objects_of(owner.kind, &owner.namespace)?;
        objects.all.get(&reference(owner))
    }

    /// Whether a connection of that name exists and is this operator's.
    pub fn keeps_connection(&self, name: &str) -> bool {
        self.class_of(name) == Some(true)
    }

    /// Remembers the issuer of a connection.
    pub fn remember_issuer(&self, connection: &str, issuer: &str) {
        let mut known = self.issuers.lock();
        if known.get(connection).is_none_or(|known| known != issuer) {
            known.insert(connection.to_owned(), issuer.to_owned());
        }
    }

    /// The issuer that a connection declares, whether it can be used or not, or declared last: what is held for its applications keeps its
    /// place. None if there never was such a connection that could be read.
    pub fn issuer(&self, connection: &str) -> Option<String> {
        let found = self.connections.get(&ObjectRef::new(connection));
        let declared = found.and_then(|found| {
            let spec = &found.0.as_ref().ok()?.spec;
            let issuer = Issuer::parse(&spec.url, true).ok()?;
            Some(issuer.as_str().to_owned())
        });
        declared.or_else(|| self.issuers.lock().get(connection).cloned())
    }

    /// Whether a connection of that name exists and is another operator's: it is left alone, and so are the objects that name it.
    pub fn is_foreign(&self, connection: &str) -> bool {
        self.class_of(connection) == Some(false)
    }

    fn class_of(&self, connection: &str) -> Option<bool> {
        let found = self.connections.get(&ObjectRef::new(connection))?;
        Some(self.is_own(&found))
    }

    /// Whether a connection is this operator's. Of one that cannot be read no one knows whose it is: every operator says that it cannot be
    /// used.
    pub fn is_own(&self, connection: &GuardedConnection) -> bool {
        let connection = connection.0.as_ref();
        connection.map_or(true, |found| found.spec.class() == self.class)
    }

    /// The connections that are this operator's.
    pub fn own_connections(&self) -> Vec<Arc<GuardedConnection>> {
        let mut all = self.connections.state();
        all.retain(|connection| self.is_own(connection));
        all
    }

    /// The watched objects, without those that name a connection of another operator.
    pub fn objects(&self) -> impl Iterator<Item = Arc<Object>> {
        let own = |object: &Arc<Object>| {
            let connection = object.connection();
            connection.is_none_or(|connection| !self.is_foreign(connection))
        };
        self.all_objects().filter(own)
    }

    /// Whether an object exists and still names the same Secret as `target`.
    pub fn keeps_secret(&self, owner: &Owner, target: &Target) -> bool {
        let object = self
            .object(owner)
            .filter(|_| owner.namespace == target.owner.namespace);
        match object.map(|object| object.read()) {
            Some(Ok(object)) => object.spec.secret_name(&owner.name) == target.secret.name,
            // An object that can't be read may well mean this Secret.
            Some(Err(_)) => true,
            // Of a kind that was not shown yet, no one can say that an object is gone.
            None => !self.knows(owner.kind, &owner.namespace),
        }
    }

    /// The target as it stands now. An object that was deleted and made again is the same to those who read its Secret, and what
    /// belongs to the one that is gone is collected. If the spec asks for another content or name of the Secret by now, that one
    /// is written.
    pub fn present(&self, target: &Arc<Target>) -> Arc<Target> {
        let owner = &target.owner;
        let found = self.object_named_as(owner);
        let Some(Ok(object)) = found.map(|found| found.read()) else {
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
        match self.target(&object) {
            Ok(present) if again && same(&present) && present.secret.name == target.secret.name => {
                Arc::new(Target {
                    owner: target::owner(&object),
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

    /// What an object asks for, whatever its interval, with the standby application that the operator created for it.
    fn target(&self, object: &AppSecret) -> Result<Target, TargetError> {
        let mut target = Target::read(object, Duration::ZERO)?;
        if target.provisioned {
            target.standby = self.provisioned(object);
        }
        Ok(target)
    }

    /// The applications of an object: those that it names, the one whose pair it keeps, and the one that the operator created for it.
    pub fn apps_of(&self, object: &AppSecret) -> HashSet<AppRef> {
        let mut apps: HashSet<_> = named_apps(object).collect();
        let standby = self.provisioned(object).zip(apps.iter().next().cloned());
        apps.extend(standby.map(|(app, named)| AppRef { app, ..named }));
        apps
    }

    /// The standby application that the operator created for an object, if it did.
    pub fn provisioned(&self, object: &AppSecret) -> Option<AppId> {
        let spec = &object.spec;
        if !spec.is_standby_provisioned() {
            return None;
        }
        let primary = named_apps(object).find(|app| app.app.as_str() == spec.app_id)?;
        let issuer = self.issuer(spec.connection_name())?;
        self.provisioned_by(&claim_name(&issuer, &primary))
    }

    /// The standby application that a claim records.
    pub fn provisioned_by(&self, claim: &str) -> Option<AppId> {
        let claim = self.claims.get(claim)?;
        claim.record.as_ref().ok()?.standby.clone()
    }

    /// Has every object of a connection reconciled again.
    pub fn wake_users(&self, connection: &str) {
        for object in self.all_objects() {
            if object.connection() == Some(connection) {
                self.wake_object(object.reference());
            }
        }
    }

    /// Has an object reconciled again, if its namespace is watched.
    pub fn wake(&self, owner: &Owner) {
        self.wake_object(reference(owner));
    }

    /// Whether an object exists and still names an application, or keeps its pair: a standby that is named no more is one for as long as
    /// its pair is stored.
    pub fn keeps_app(&self, app: &AppRef, owner: &Owner) -> bool {
        // Of a namespace that is not watched (any more), or was not shown yet, no one can say that an object is gone.
        if !self.knows(owner.kind, &owner.namespace) {
            return true;
        }
        match self.object(owner).map(|object| object.read()) {
            Some(Ok(object)) => {
                object.spec.project_id == app.project.as_str()
                    && (object.spec.names(&app.app)
                        || self.provisioned(&object).as_ref() == Some(&app.app)
                        || self.stores_pair(&object, &app.app, owner))
            }
            Some(Err(_)) => true,
            None => false,
        }
    }

    /// Whether the pair of an application is stored for an object, by the commit record or else by the status.
    fn stores_pair(&self, object: &AppSecret, app: &AppId, owner: &Owner) -> bool {
        let name = object.spec.secret_name(&owner.name);
        let secret = self.secret(&owner.namespace, name);
        let record = secret.and_then(|secret| secret.record());
        let recorded = record.is_some_and(|record| {
            record.owner == *owner && record.active == *app && record.stored().is_some()
        });
        let status = object.status.as_ref();
        recorded
            || status.is_some_and(|status| status.active_app_id.as_deref() == Some(app.as_str()))
    }
}

/// The object of an owner's kind and name.
fn reference(owner: &Owner) -> ObjectRef<Object> {
    ObjectRef::new_with(&owner.name, owner.kind).within(&owner.namespace)
}
