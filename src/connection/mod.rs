//! The connections that reconciliations share: their clients, grants and limits.
//!
//! [`connect`] makes one of a `ZitadelConnection`: it reads its [`inputs`], checks it at ZITADEL and reports; [`unusable`] is why it cannot be
//! used.

pub(crate) mod connect;
pub(crate) mod inputs;
pub(crate) mod unusable;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::api::{
    Auth, Grant, NamespaceSelector, Proxy, Reason, RehearsalPolicy, Tls, ZitadelConnection,
    ZitadelConnectionSpec,
};
use crate::ids::{AppId, IdError, OrganizationId, ProjectId, Sequence, UserId};
use crate::rotation::Failure;
use crate::rotation::interval::{self, IntervalError};
use crate::store::secret::Endpoints;
use crate::target::{ObjectVersion, object_version};
use crate::zitadel::{AppRef, Client, ZitadelError};

/// A connection that can be used.
#[derive(Clone)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// The client.
    pub zitadel: Arc<Client>,
    /// Whose credential it is: own journal entries are this user's.
    pub user: UserId,
    /// Where consumers find things.
    pub endpoints: Endpoints,
    /// The organization of objects that name none.
    pub organization: Option<OrganizationId>,
    /// Whether a rotation needs the rehearsal of its write.
    pub rehearsal: RehearsalPolicy,
    /// Who may use it.
    pub(crate) grants: Vec<ParsedGrant>,
    /// What of it lives longer than this client.
    pub shared: Arc<Shared>,
    /// The limit of repairs.
    pub(crate) repair_limit: RepairLimit,
    /// Differs between two states of its spec, credential and certificate authorities.
    pub(crate) made_from: String,
    /// What its client was made from.
    pub(crate) reach: Reach,
    /// The edition of the object whose terms it has.
    pub(crate) terms: ObjectVersion,
}

/// What a client is made from. Everything else of a connection applies without one.
#[derive(Clone, PartialEq, Eq)]
pub struct Reach {
    /// By the spec.
    pub(crate) declared: Declared,
    /// Differs between two states of the stored credential.
    pub(crate) credential: String,
    /// The same for the certificate authorities.
    pub(crate) authorities: String,
    /// The same for what belongs to the proxy.
    pub(crate) proxy: String,
}

/// Where a credential goes, and which.
#[derive(Clone, PartialEq, Eq)]
pub struct Declared {
    url: String,
    endpoint: Option<String>,
    tls: Option<Tls>,
    proxy: Option<Proxy>,
    auth: Auth,
}

impl Declared {
    /// What a spec declares.
    pub fn by(spec: &ZitadelConnectionSpec) -> Self {
        Self {
            url: spec.url.clone(),
            endpoint: spec.endpoint.clone(),
            tls: spec.tls.clone(),
            proxy: spec.proxy.clone(),
            auth: spec.auth.clone(),
        }
    }
}

/// The organization of objects that name none.
pub fn organization(spec: &ZitadelConnectionSpec) -> Result<Option<OrganizationId>, IdError> {
    let id = spec.organization_id.as_deref();
    id.map(OrganizationId::try_from).transpose()
}

/// What a connection keeps when its credential or spec changes.
pub struct Shared {
    in_flight: Mutex<usize>,
    /// Claims that may be open at once: the one being sent and one that is ready.
    pub claim_slots: Arc<Semaphore>,
    /// Generate calls that may be under way at once.
    pub generate_slots: Arc<Semaphore>,
    repairs: Mutex<VecDeque<Duration>>,
    hints: Mutex<HashMap<(ProjectId, AppId), Sequence>>,
    journal: Mutex<Option<bool>>,
    /// Why ZITADEL cannot be reached at all, by the connection's own check, and since how many outages it is watched.
    outage: Mutex<(u64, Option<Failure>)>,
    /// For when the connection's check was last asked for, since boot; perhaps it is still to come.
    doubted: Mutex<Option<Duration>>,
}

/// So far apart the checks are that failed calls ask for.
const DOUBT_PERIOD: Duration = Duration::from_secs(10);

impl Shared {
    pub(crate) fn new(in_flight: usize) -> Arc<Self> {
        Arc::new(Self {
            in_flight: Mutex::new(in_flight),
            claim_slots: Arc::new(Semaphore::new(in_flight + 1)),
            generate_slots: Arc::new(Semaphore::new(in_flight)),
            repairs: Mutex::default(),
            hints: Mutex::default(),
            journal: Mutex::default(),
            outage: Mutex::default(),
            doubted: Mutex::default(),
        })
    }

    /// So many generate calls may be under way from now on. What is under way goes on, and counts.
    pub(crate) fn limit(&self, in_flight: usize) {
        let mut before = self.in_flight.lock();
        for permits in [&self.claim_slots, &self.generate_slots] {
            if let Some(more) = in_flight.checked_sub(*before) {
                permits.add_permits(more);
            } else if let Ok(less) = u32::try_from(*before - in_flight) {
                let permits = Arc::clone(permits);
                // NB: it waits in line until that many are given back.
                tokio::spawn(async move {
                    if let Ok(gone) = permits.acquire_many_owned(less).await {
                        gone.forget();
                    }
                });
            }
        }
        *before = in_flight;
    }

    /// ZITADEL was reached again, or not at all, by the connection's own check. True if that is news.
    pub(crate) fn saw_outage(&self, failure: Option<Failure>) -> bool {
        let mut outage = self.outage.lock();
        let ended = outage.1.is_some() && failure.is_none();
        outage.0 += u64::from(ended);
        let news = outage.1 != failure;
        outage.1 = failure;
        news
    }

    /// Why ZITADEL cannot be reached at all, if so. One check asks again, and everybody waits for it.
    pub fn outage(&self) -> Option<Failure> {
        self.outage.lock().1.clone()
    }

    /// How many outages are over: objects that waited one out need not wait any longer.
    pub fn outages(&self) -> u64 {
        self.outage.lock().0
    }

    /// Something makes it doubtful whether the connection works. After which wait its check is to be asked for, unless one is still to
    /// come anyway.
    pub(crate) fn doubts(&self, now: Duration) -> Option<Duration> {
        let mut doubted = self.doubted.lock();
        let next = doubted.map_or(now, |last| now.max(last.saturating_add(DOUBT_PERIOD)));
        if doubted.is_some_and(|last| last > now) {
            return None;
        }
        *doubted = Some(next);
        Some(next.saturating_sub(now))
    }

    /// Whether ZITADEL's change list could be read the last time.
    pub fn journal_readable(&self) -> Option<bool> {
        *self.journal.lock()
    }

    /// Takes note of whether the change list could be read. True if that is news.
    pub fn saw_journal(&self, readable: bool) -> bool {
        self.journal.lock().replace(readable) != Some(readable)
    }

    /// Counts a repair.
    pub fn repaired(&self, now: Duration) {
        self.repairs.lock().push_back(now);
    }
}

/// How many repairs may be made within which time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RepairLimit {
    count: usize,
    window: Duration,
}

impl Default for RepairLimit {
    fn default() -> Self {
        Self {
            count: 30,
            window: Duration::from_mins(10),
        }
    }
}

impl RepairLimit {
    /// The longest window.
    const LONGEST: Duration = Duration::from_hours(24);

    fn read(spec: &ZitadelConnectionSpec) -> Result<Self, TermsError> {
        let default = Self::default();
        let Some(given) = spec.repair_limit() else {
            return Ok(default);
        };
        let window = given.window.as_deref();
        let window = window.map_or(Ok(default.window), |text| {
            interval::parse(text).map_err(TermsError::RepairWindow)
        })?;
        if window.is_zero() || window > Self::LONGEST {
            return Err(TermsError::RepairWindowLength);
        }
        let count = given.count.and_then(|count| usize::try_from(count).ok());
        Ok(Self {
            count: count.map_or(default.count, |count| count.clamp(1, 10_000)),
            window,
        })
    }
}

/// Why the terms of a connection cannot be used: the field, and what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TermsError {
    /// The organization is no id.
    #[error("spec.organizationId {0}")]
    Organization(#[from] IdError),
    /// The window of the limit of repairs cannot be read.
    #[error("spec.limits.repairs.window {0}")]
    RepairWindow(IntervalError),
    /// The window of the limit of repairs is zero or too long.
    #[error("spec.limits.repairs.window must be longer than 0s and at most 1d, such as 10m")]
    RepairWindowLength,
}

impl Connection {
    /// The same client on the terms of a spec: who may use it, and how much.
    pub(crate) fn on_terms(self, object: &ZitadelConnection) -> Result<Self, TermsError> {
        let spec = &object.spec;
        let terms = object_version(&object.metadata);
        let organization = organization(spec)?;
        let repair_limit = RepairLimit::read(spec)?;
        self.shared.limit(spec.concurrent_generates());
        Ok(Self {
            organization,
            rehearsal: spec.rehearsal(),
            grants: spec.grants.iter().map(ParsedGrant::from).collect(),
            repair_limit,
            made_from: format!(
                "{terms:?}/{}/{}/{}",
                self.reach.credential, self.reach.authorities, self.reach.proxy
            ),
            terms,
            ..self
        })
    }

    /// Whether so many repairs were made that more must wait.
    pub fn repairs_exhausted(&self, now: Duration) -> bool {
        let mut repairs = self.shared.repairs.lock();
        while repairs
            .front()
            .is_some_and(|at| now.saturating_sub(*at) >= self.repair_limit.window)
        {
            repairs.pop_front();
        }
        repairs.len() >= self.repair_limit.count
    }

    /// The application's sequence by the last scan of its project.
    pub fn hint(&self, app: &AppRef) -> Option<Sequence> {
        self.shared
            .hints
            .lock()
            .get(&(app.project.clone(), app.app.clone()))
            .copied()
    }

    /// Takes note of a rotation that was just made here, so that it is no news at the next scan.
    pub fn rotated(&self, app: &AppRef, sequence: Sequence) {
        self.shared
            .hints
            .lock()
            .insert((app.project.clone(), app.app.clone()), sequence);
    }

    /// Lists all applications of a project in one request, and returns those whose sequence differs from the last scan. Nothing is
    /// known of any of them if it fails.
    pub async fn scan(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<HashSet<AppId>, ZitadelError> {
        let apps = self.zitadel.apps(organization, project).await?;
        let mut hints = self.shared.hints.lock();
        let news = apps.into_iter().filter_map(|app| {
            let before = hints.insert((project.clone(), app.id.clone()), app.sequence);
            (before != Some(app.sequence)).then_some(app.id)
        });
        Ok(news.collect())
    }

    /// The application with the organization that calls about it act in.
    pub fn app(&self, app: &AppRef) -> AppRef {
        AppRef {
            organization: app
                .organization
                .clone()
                .or_else(|| self.organization.clone()),
            ..app.clone()
        }
    }

    /// Whether a grant covers an application in a namespace. `labels` are the namespace's.
    pub fn grants(
        &self,
        namespace: &str,
        labels: impl Fn(&str) -> Option<String>,
        app: &AppRef,
    ) -> bool {
        self.grants
            .iter()
            .any(|grant| covers(grant, namespace, &labels, app))
    }
}

/// A grant, with its selector as Kubernetes reads it. An empty selector, or one that this version does not understand, is none.
#[derive(Debug, Clone)]
pub(crate) struct ParsedGrant {
    grant: Grant,
    selector: Option<Selector>,
}

impl From<&Grant> for ParsedGrant {
    fn from(grant: &Grant) -> Self {
        let selector = grant.namespace_selector.as_ref();
        let selector = selector.and_then(|selector| {
            // NB: both have the same fields.
            let selector = serde_json::to_value(selector).ok()?;
            let selector: LabelSelector = serde_json::from_value(selector).ok()?;
            Selector::try_from(selector).ok()
        });
        Self {
            grant: grant.clone(),
            selector: selector.filter(|selector| !selector.selects_all()),
        }
    }
}

fn covers(
    ParsedGrant { grant, selector }: &ParsedGrant,
    namespace: &str,
    labels: &impl Fn(&str) -> Option<String>,
    app: &AppRef,
) -> bool {
    let names = grant.namespaces.as_ref();
    let by_name = names.is_some_and(|names| names.iter().any(|name| name.0 == namespace));
    let label = |key: &str| Some((key.to_owned(), labels(key)?));
    let keys = grant.namespace_selector.iter();
    let keys = keys.flat_map(NamespaceSelector::keys);
    let by_label = selector
        .as_ref()
        .is_some_and(|selector| selector.matches(&keys.filter_map(label).collect()));
    let project = grant
        .project_ids
        .iter()
        .any(|id| id.0 == "*" || id.0 == app.project.as_str());
    let one = grant
        .app_ids
        .as_ref()
        .is_none_or(|ids| ids.iter().any(|id| id.0 == "*" || id.0 == app.app.as_str()));
    (by_name || by_label) && project && one
}

type ByName = HashMap<String, Result<Arc<Connection>, Failure>>;

/// The connections by name: usable, or why not.
#[derive(Default)]
pub struct Connections(watch::Sender<ByName>, Mutex<HashMap<String, Arc<Shared>>>);

impl Connections {
    /// The connection of that name.
    pub fn get(&self, name: &str) -> Result<Arc<Connection>, Failure> {
        let found = self.0.borrow().get(name).cloned();
        found.unwrap_or(Err(permanent(Reason::ConnectionNotFound)))
    }

    /// What a connection keeps whatever becomes of its client, also while it cannot be used.
    pub(crate) fn shared(&self, name: &str, in_flight: usize) -> Arc<Shared> {
        let mut all = self.1.lock();
        let shared = all
            .entry(name.to_owned())
            .or_insert_with(|| Shared::new(in_flight));
        Arc::clone(shared)
    }

    /// All that can be used.
    pub fn usable(&self) -> Vec<Arc<Connection>> {
        let all = self.0.borrow();
        all.values()
            .filter_map(|connection| connection.as_ref().ok().cloned())
            .collect()
    }

    /// How many there are, and which of them cannot be used, with the reason, by name.
    pub fn unusable(&self) -> (usize, Vec<(String, Reason)>) {
        let all = self.0.borrow();
        let failed = all.iter().filter_map(|(name, connection)| {
            Some((name.clone(), connection.as_ref().err()?.reason))
        });
        let mut failed: Vec<_> = failed.collect();
        failed.sort();
        (all.len(), failed)
    }

    /// Whether the connection of that name was reconciled, with any result.
    pub fn knows(&self, name: &str) -> bool {
        self.0.borrow().contains_key(name)
    }

    /// For those who wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<impl Sized> {
        self.0.subscribe()
    }

    /// Forgets connections that are gone, and names them.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) -> Vec<String> {
        let mut gone = Vec::new();
        self.0.send_if_modified(|all| {
            gone = all.keys().filter(|name| !exists(name)).cloned().collect();
            for name in &gone {
                all.remove(name);
            }
            !gone.is_empty()
        });
        self.1.lock().retain(|name, _| exists(name));
        gone
    }

    pub(crate) fn set(&self, name: &str, connection: Result<Arc<Connection>, Failure>) {
        self.0.send_modify(|all| {
            all.insert(name.to_owned(), connection);
        });
    }
}

/// What is declared now was not reached yet.
pub(crate) fn unreached() -> Failure {
    Failure::new(Reason::ZitadelUnreachable, false)
}

pub(crate) fn permanent(reason: Reason) -> Failure {
    Failure::new(reason, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grant(value: serde_json::Value) -> ParsedGrant {
        ParsedGrant::from(&serde_json::from_value::<Grant>(value).unwrap())
    }

    fn app(project: &str, app: &str) -> AppRef {
        AppRef {
            organization: None,
            project: ProjectId::try_from(project).unwrap(),
            app: AppId::try_from(app).unwrap(),
        }
    }

    #[test]
    fn a_connection_that_was_made_again_has_terms_of_its_own() {
        let made = |uid: &str, generation: i64| {
            let spec = json!({
                "url": "https://iam.example.com", "grants": [],
                "auth": {"personalAccessToken": {"secretKeyRef": {"name": "a", "key": "b"}}},
            });
            let mut made = ZitadelConnection::new("default", serde_json::from_value(spec).unwrap());
            made.metadata.uid = Some(uid.to_owned());
            made.metadata.generation = Some(generation);
            object_version(&made.metadata)
        };
        assert_eq!(made("u", 1), made("u", 1));
        assert_ne!(made("u", 1), made("u", 2));
        assert_ne!(made("u", 1), made("v", 1));
    }

    #[tokio::test]
    async fn limits_and_counts_survive_a_connection_that_cannot_be_used() {
        let connections = Connections::default();
        let shared = connections.shared("default", 1);
        shared.repaired(Duration::from_secs(1));
        connections.set("default", Err(unreached()));
        let again = connections.shared("default", 5);
        assert!(Arc::ptr_eq(&shared, &again));
        assert_eq!(again.repairs.lock().len(), 1);
        // One call is under way while the limit changes: it counts.
        let call = Arc::clone(&shared.generate_slots)
            .acquire_owned()
            .await
            .unwrap();
        shared.limit(3);
        assert_eq!(shared.generate_slots.available_permits(), 2);
        shared.limit(1);
        tokio::task::yield_now().await;
        assert_eq!(shared.generate_slots.available_permits(), 0);
        drop(call);
        assert_eq!(shared.generate_slots.available_permits(), 1);
        connections.retain(|_| false);
        assert!(!Arc::ptr_eq(&shared, &connections.shared("default", 1)));
    }

    #[test]
    fn an_outage_that_is_over_is_news_once() {
        let shared = Shared::new(1);
        assert!(!shared.saw_outage(None));
        assert!(shared.saw_outage(Some(unreached())));
        assert!(!shared.saw_outage(Some(unreached())));
        assert_eq!((shared.outage(), shared.outages()), (Some(unreached()), 0));
        assert!(shared.saw_outage(None));
        assert_eq!((shared.outage(), shared.outages()), (None, 1));
    }

    #[test]
    fn a_doubt_asks_for_one_check_and_not_for_sixteen() {
        let shared = Shared::new(1);
        let s = Duration::from_secs;
        let asked = [0, 4, 5, 9, 10, 11, 40].map(|at| shared.doubts(s(at)));
        let (now, later) = (Some(s(0)), Some(s(6)));
        assert_eq!(asked, [now, later, None, None, Some(s(10)), None, now]);
    }

    #[test]
    fn without_a_grant_that_covers_all_three_nothing_is_granted() {
        let labels = |name: &str| (name == "team").then(|| "orders".to_owned());
        let granted = |grant: &ParsedGrant, project: &str, id: &str| {
            let here = covers(grant, "a", &labels, &app(project, id));
            (here, covers(grant, "b", &labels, &app(project, id)))
        };
        let named = grant(json!({"name": "g", "namespaces": ["a"], "projectIds": ["1"]}));
        assert_eq!(granted(&named, "1", "7"), (true, false));
        assert_eq!(granted(&named, "2", "7"), (false, false));
        let narrowed =
            grant(json!({"name": "g", "namespaces": ["a"], "projectIds": ["*"], "appIds": ["7"]}));
        assert_eq!(granted(&narrowed, "2", "7"), (true, false));
        assert_eq!(granted(&narrowed, "2", "8"), (false, false));
        let is = |operator: &str, key: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, selected) in [
            (json!({"matchLabels": {"team": "orders"}}), true),
            (json!({"matchLabels": {"team": "x"}}), false),
            (
                json!({"matchLabels": {"team": "orders", "more": "x"}}),
                false,
            ),
            (is("In", "team", &["billing", "orders"]), true),
            (is("In", "team", &["billing"]), false),
            (is("NotIn", "team", &["billing"]), true),
            (is("NotIn", "team", &["orders"]), false),
            (is("Exists", "team", &[]), true),
            (is("Exists", "more", &[]), false),
            (is("DoesNotExist", "more", &[]), true),
            (is("DoesNotExist", "team", &[]), false),
            // What selects everything, or cannot be read, selects nothing.
            (json!({}), false),
            (json!({"matchLabels": {}, "matchExpressions": []}), false),
            (is("In", "team", &[]), false),
        ] {
            let grant =
                grant(json!({"name": "g", "namespaceSelector": selector, "projectIds": ["*"]}));
            let covered = covers(&grant, "any", &labels, &app("2", "8"));
            assert_eq!(covered, selected, "{grant:?}");
        }
    }

    #[test]
    fn the_limit_of_repairs_has_defaults_and_bounds() {
        let read = |limits: serde_json::Value| {
            let spec = json!({
                "url": "https://iam.example.com", "limits": limits,
                "auth": {"personalAccessToken": {"secretKeyRef": {"name": "a", "key": "b"}}},
            });
            let limit = RepairLimit::read(&serde_json::from_value(spec).unwrap())?;
            Ok::<_, TermsError>((limit.count, limit.window.as_secs()))
        };
        assert_eq!(read(json!({})), Ok((30, 600)));
        assert_eq!(read(json!({"repairs": {"count": 5}})), Ok((5, 600)));
        assert_eq!(read(json!({"repairs": {"window": "1d"}})), Ok((30, 86_400)));
        for window in ["0s", "1d1s"] {
            let refused = read(json!({"repairs": {"window": window}}));
            assert_eq!(refused, Err(TermsError::RepairWindowLength));
        }
        let refused = read(json!({"repairs": {"window": "soon"}})).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("spec.limits.repairs.window "),
            "{refused}"
        );
    }
}
