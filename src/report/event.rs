//! Publishes events about objects and connections: one for one attempt, or for one change of a reason. Best effort: an event neither
//! fails nor delays anything else.
//!
//! NB: not kube's recorder. That one makes a series of what has the same type, action, reason and object, so within six minutes the
//! first note hides the later ones; and it keeps its cache for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{Api, Resource};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::api::{AppSecret, Reason, ZitadelConnection};
use crate::process::clock::Clock;
use crate::process::kube_error;
use crate::rotation::Owner;
use crate::store::apply;
use crate::store::scope::Scope;

/// Whether an event is about an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// All is well, or about to be.
    Normal,
    /// It is an outage, or may become one.
    Warning,
}

impl Severity {
    /// The severity of a reason that an object or a connection is in.
    pub const fn of(reason: Reason) -> Self {
        match reason {
            Reason::UpToDate
            | Reason::AwaitingWindow
            | Reason::CatchingUp
            | Reason::Suspended
            | Reason::Connected
            | Reason::Accepted
            | Reason::Rotated
            | Reason::Retired
            | Reason::Issued
            | Reason::Adopted
            | Reason::StandbyProvisioned
            | Reason::StandbyKept
            | Reason::AttemptOpen
            | Reason::NoVerdict
            | Reason::NamespaceTerminating => Self::Normal,
            _ => Self::Warning,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an event is about.
pub struct Regarding(ObjectReference);

impl Regarding {
    /// An object of this kind with this metadata.
    pub fn new<K: Resource>(kind: &K::DynamicType, metadata: &ObjectMeta) -> Self {
        Self(ObjectReference {
            api_version: Some(K::api_version(kind).into_owned()),
            kind: Some(K::kind(kind).into_owned()),
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            ..ObjectReference::default()
        })
    }
}

impl From<&AppSecret> for Regarding {
    fn from(object: &AppSecret) -> Self {
        Self::new::<AppSecret>(&object.kind, &object.metadata)
    }
}

impl From<&ZitadelConnection> for Regarding {
    fn from(object: &ZitadelConnection) -> Self {
        Self::new::<ZitadelConnection>(&(), &object.metadata)
    }
}

impl From<&Owner> for Regarding {
    fn from(owner: &Owner) -> Self {
        let metadata = ObjectMeta {
            name: Some(owner.name.clone()),
            namespace: Some(owner.namespace.clone()),
            uid: Some(owner.uid.clone()),
            ..ObjectMeta::default()
        };
        Self::new::<AppSecret>(&owner.kind, &metadata)
    }
}

/// Events that wait to be published; more are dropped.
const QUEUE: usize = 512;
/// Requests under way at once.
const AT_ONCE: usize = 4;
/// From the moment an event is queued until it is given up.
const DEADLINE: Duration = Duration::from_secs(30);
/// Between the first two tries to publish an event; doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Bytes of a note, by the API server's validation.
const NOTE: usize = 1024;
/// Bytes of the reporting instance, by the API server's validation.
const INSTANCE: usize = 128;
/// Bytes of an object's name that its events' names begin with.
const NAME: usize = 200;

/// The publisher.
pub struct Events {
    client: kube::Client,
    instance: String,
    scope: Scope,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    queue: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    paces: Mutex<Paces>,
}

impl Events {
    /// A publisher for this process, `instance`, in the namespaces of `scope`: it has no rights in others. What is under way is in
    /// `tasks`.
    pub fn new(
        client: kube::Client,
        instance: &str,
        scope: Scope,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            client,
            instance: cut(instance, INSTANCE, ""),
            scope,
            clock,
            tasks,
            queue: Arc::new(Semaphore::new(QUEUE)),
            requests: Arc::new(Semaphore::new(AT_ONCE)),
            paces: Mutex::default(),
        }
    }

    /// Publishes how one attempt went. Never left out: what limits attempts limits these.
    pub fn attempt(
        &self,
        about: impl Into<Regarding>,
        severity: Severity,
        reason: Reason,
        note: &str,
    ) {
        self.send(about.into(), severity, reason, note);
    }

    /// Publishes that something is, or may become, an outage. The same about the same object again and again is left out more and more.
    pub fn warning(&self, about: impl Into<Regarding>, reason: Reason, note: &str) {
        self.paced(about.into(), Severity::Warning, reason, note);
    }

    /// Publishes that something is well, or nothing to worry about. The same about the same object again and again is left out more and
    /// more.
    pub fn normal(&self, about: impl Into<Regarding>, reason: Reason, note: &str) {
        self.paced(about.into(), Severity::Normal, reason, note);
    }

    /// [`Events::warning`] or [`Events::normal`].
    pub fn paced(
        &self,
        about: impl Into<Regarding>,
        severity: Severity,
        reason: Reason,
        note: &str,
    ) {
        let about = about.into();
        let key = (about.0.uid.clone().unwrap_or_default(), reason);
        let now = self.clock.boot();
        match self.paces.lock().allows(key, now) {
            Some(0) => self.send(about, severity, reason, note),
            Some(left_out) => {
                let more = format!(" ({left_out} more of these since the last event)");
                let note = format!("{}{more}", cut(note, NOTE - more.len(), "…"));
                self.send(about, severity, reason, &note);
            }
            None => {}
        }
    }

    fn send(&self, about: Regarding, severity: Severity, reason: Reason, note: &str) {
        let Ok(place) = Arc::clone(&self.queue).try_acquire_owned() else {
            tracing::debug!(
                reason = reason.as_str(),
                "an event is left out: too many wait"
            );
            return;
        };
        let event = self.event(about.0, severity, reason, note);
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        if !self.scope.covers(&namespace) {
            return;
        }
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let requests = Arc::clone(&self.requests);
        self.tasks.spawn(async move {
            let publish = create(&api, &event, &requests);
            match tokio::time::timeout(DEADLINE, publish).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, reason = reason.as_str(), "an event could not be published");
                }
                Err(_) => {
                    tracing::debug!(reason = reason.as_str(), "an event could not be published in time");
                }
            }
            drop(place);
        });
    }

    fn event(
        &self,
        about: ObjectReference,
        severity: Severity,
        reason: Reason,
        note: &str,
    ) -> Event {
        let name = about.name.as_deref().unwrap_or_default();
        // NB: a name may not have a part that ends with a dash or is empty.
        let name = cut(name, NAME, "");
        let name = name.trim_end_matches(['-', '.']);
        let id = uuid::Uuid::now_v7().simple();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{id}")),
                // NB: events about objects without a namespace are in this one, where kubectl looks for them.
                namespace: Some(
                    about
                        .namespace
                        .clone()
                        .unwrap_or_else(|| "default".to_owned()),
                ),
                ..ObjectMeta::default()
            },
            action: Some(action(reason).to_owned()),
            event_time: Some(MicroTime(self.clock.wall())),
            note: Some(cut(note, NOTE, "…")),
            reason: Some(reason.as_str().to_owned()),
            regarding: Some(about),
            reporting_controller: Some(apply::FIELD_MANAGER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(severity.as_str().to_owned()),
            ..Event::default()
        }
    }
}

/// Creates an event, and tries again until the API server answers that it is there, or never will be.
async fn create(api: &Api<Event>, event: &Event, requests: &Semaphore) -> Result<(), kube::Error> {
    let mut pause = FIRST_PAUSE;
    loop {
        // NB: never closed.
        let permit = requests.acquire().await;
        let created = api.create(&apply::put(), event).await;
        drop(permit);
        match created {
            Ok(_) => return Ok(()),
            // NB: its name is its own: it was created before, and the answer was lost.
            Err(error) if kube_error::is_taken(&error) => return Ok(()),
            Err(error) if kube_error::is_refusal(&error) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "an event could not be published; it is tried again");
            }
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// What the operator was about to do, as the API server wants it said.
const fn action(reason: Reason) -> &'static str {
    match reason {
        Reason::Adopted | Reason::NothingToAdopt => "Adopt",
        Reason::Connected => "Connect",
        Reason::Accepted | Reason::Refused | Reason::NoVerdict => "Verify",
        Reason::Issued
        | Reason::Rotated
        | Reason::Retired
        | Reason::WithoutEffect
        | Reason::LostAttempt
        | Reason::SecretMissing
        | Reason::SecretInvalid => "Rotate",
        _ => "Reconcile",
    }
}

/// At most `most` bytes of a text. What is cut off is replaced by `end`.
fn cut(text: &str, most: usize, end: &str) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut at = most.saturating_sub(end.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    format!("{}{end}", text.get(..at).unwrap_or_default())
}

/// How often the same was published about the same object lately.
#[derive(Debug, Default)]
struct Pace {
    published: u32,
    last: Duration,
    left_out: u32,
}

impl Pace {
    /// So many go out at once.
    const AT_ONCE: u32 = 3;
    const FIRST: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(3600);

    /// From the last one to the next one at least.
    fn wait(&self) -> Duration {
        match self.published.checked_sub(Self::AT_ONCE) {
            None => Duration::ZERO,
            Some(doubled) => (Self::FIRST * 2_u32.pow(doubled.min(6))).min(Self::LONGEST),
        }
    }

    /// Whether it has been quiet for so long that the next one is a first one.
    fn is_over(&self, now: Duration) -> bool {
        let quiet = (self.wait() * 2).max(Self::FIRST * 10);
        now.saturating_sub(self.last) >= quiet
    }
}

/// What was published lately, by uid and reason.
#[derive(Debug, Default)]
struct Paces(HashMap<(String, Reason), Pace>);

impl Paces {
    /// More are not kept: what does not fit is published.
    const MOST: usize = 8192;

    /// Whether it may be published now; if so, how many were left out since the last one.
    fn allows(&mut self, key: (String, Reason), now: Duration) -> Option<u32> {
        if self.0.len() >= Self::MOST {
            self.0.retain(|_, pace| !pace.is_over(now));
        }
        if self.0.len() >= Self::MOST && !self.0.contains_key(&key) {
            return Some(0);
        }
        let pace = self.0.entry(key).or_default();
        if pace.is_over(now) {
            let left_out = pace.left_out;
            *pace = Pace {
                published: 1,
                last: now,
                left_out: 0,
            };
            return Some(left_out);
        }
        if now.saturating_sub(pace.last) < pace.wait() {
            pace.left_out = pace.left_out.saturating_add(1);
            return None;
        }
        pace.published = pace.published.saturating_add(1);
        pace.last = now;
        Some(std::mem::take(&mut pace.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(uid: &str, reason: Reason) -> (String, Reason) {
        (uid.to_owned(), reason)
    }

    #[test]
    fn what_flaps_is_published_ever_more_rarely_and_says_how_often_it_was() {
        let mut paces = Paces::default();
        let mut published = Vec::new();
        // An hour, every ten seconds.
        for n in 0..360 {
            let now = SECOND * 10 * n;
            if let Some(left_out) = paces.allows(key("u", Reason::ZitadelTimeout), now) {
                published.push((now.as_secs(), left_out));
            }
        }
        let expected = [
            (0, 0),
            (10, 0),
            (20, 0),
            (80, 5),
            (200, 11),
            (440, 23),
            (920, 47),
            (1880, 95),
        ];
        assert_eq!(published, expected);
        let now = SECOND * 3600;
        assert_eq!(
            paces.allows(key("u", Reason::Refused), now),
            Some(0),
            "another reason is news"
        );
        assert_eq!(
            paces.allows(key("v", Reason::ZitadelTimeout), now),
            Some(0),
            "so is another object"
        );
        let quiet = now + SECOND * 7200;
        for at_once in 0..3 {
            let left_out = paces.allows(key("u", Reason::ZitadelTimeout), quiet);
            assert!(
                left_out.is_some(),
                "after a while it begins anew: {at_once}"
            );
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut paces = Paces::default();
        for n in 0..Paces::MOST + 10 {
            assert_eq!(
                paces.allows(key(&n.to_string(), Reason::Refused), SECOND),
                Some(0)
            );
        }
        assert_eq!(paces.0.len(), Paces::MOST);
        paces.allows(key("late", Reason::Refused), SECOND * 3600);
        assert_eq!(paces.0.len(), 1);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("abc", 3, "…"), "abc");
        assert_eq!(cut("abcdef", 5, "…"), "ab…");
        assert_eq!(cut("äöü", 5, "…"), "ä…");
    }

    #[tokio::test]
    async fn an_event_is_one_that_the_api_server_takes() {
        let client = kube::Client::new(
            tower::service_fn(|_: http::Request<kube::client::Body>| async {
                Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("none"))
            }),
            "default",
        );
        let clock: Arc<dyn Clock> = Arc::new(crate::process::clock::SystemClock);
        let events = Events::new(
            client,
            &"i".repeat(300),
            Scope::Cluster,
            clock,
            TaskTracker::new(),
        );
        let owner = Owner {
            kind: crate::api::Kind::ApiApp,
            namespace: "orders".into(),
            name: "abc.".repeat(55) + "x",
            uid: "u".into(),
        };
        let about = Regarding::from(&owner).0;
        let event = events.event(about, Severity::Warning, Reason::Refused, &"ü".repeat(2000));
        let name = event.metadata.name.unwrap();
        assert!(name.len() <= 253 && !name.contains(".."), "{name}");
        assert!(crate::target::names::is_subdomain(&name), "{name}");
        assert_eq!(event.metadata.namespace.as_deref(), Some("orders"));
        assert!(event.note.unwrap().len() <= 1024);
        assert_eq!(event.reporting_instance.unwrap().len(), 128);
        let regarding = event.regarding.unwrap();
        assert_eq!(regarding.kind.as_deref(), Some("ApiAppSecret"));
        assert_eq!(regarding.uid.as_deref(), Some("u"));
    }
}
