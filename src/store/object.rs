//! An object that keeps a client secret, as it is kept. No I/O.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DynamicResourceScope;
use kube::runtime::reflector::ObjectRef;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_value::{DeserializerError, Value};

use crate::api::{
    ApiAppSecretSpec, AppSecret, AppSecretStatus, Condition, ConditionType, Kind, Reason, Status,
};
use crate::ids::ProjectKey;
use crate::report::message::time::first_in;
use crate::store::packed::Packed;
use crate::store::prune;

/// An object of any kind in little room: what is asked of all objects at once stands open, the rest is packed.
#[derive(Debug, Clone)]
pub struct Object {
    /// Without the uid: the keys of a controller's queue are made of it.
    metadata: ObjectMeta,
    uid: Box<str>,
    content: Content,
}

/// What is packed of an object.
type Rest<S, T> = (S, Option<T>);

#[derive(Debug, Clone)]
enum Content {
    Readable {
        connection: Box<str>,
        summary: Summary,
        packed: Packed,
    },
    /// Its kind, and why it can't be read.
    Unreadable(Kind, Box<str>),
}

/// What the metrics of all objects together need of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Its kind.
    // NB: here it takes no room.
    pub kind: Kind,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is stalled.
    pub stalled: bool,
    /// The reason of its `Ready` condition, if that is one of this version's.
    pub reason: Option<Reason>,
    /// Whether an attempt is open.
    pub open_attempt: bool,
    /// Whether ZITADEL accepts the stored client secret. None if nothing is known of one.
    pub accepted: Option<bool>,
    next_rotation: Second,
    verified: Second,
    /// Its project.
    pub project: ProjectKey,
}

/// A time to the second, up to the year 2106, in a quarter of the room. 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Second(u32);

impl Second {
    fn of(time: Option<Timestamp>) -> Self {
        let seconds = time.map_or(0, Timestamp::as_second);
        Self(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    }

    fn time(self) -> Option<Timestamp> {
        let is_some = self.0 != 0;
        is_some.then(|| Timestamp::from_second(self.0.into()).ok())?
    }
}

impl Summary {
    fn new(object: &AppSecret) -> Self {
        let status = object.status.as_ref();
        let holds = |type_| status.is_some_and(|status| status.conditions.is_true(type_));
        let ready = status.and_then(|status| status.conditions.get(ConditionType::Ready));
        let next = status.and_then(|status| status.next_rotation_time.as_ref());
        let verified = status.and_then(|status| status.conditions.get(ConditionType::Verified));
        Self {
            kind: object.kind,
            ready: holds(ConditionType::Ready),
            stalled: holds(ConditionType::Stalled),
            reason: ready.and_then(|ready| Reason::parse(&ready.reason)),
            open_attempt: status.is_some_and(|status| status.attempt.is_some()),
            accepted: verified.map(|verified| verified.status == Status::True),
            next_rotation: Second::of(next.map(|next| next.0)),
            verified: Second::of(verified.map(verified_at)),
            project: ProjectKey::of(&object.spec.project_id),
        }
    }

    /// When the next rotation is due.
    pub fn next_rotation(&self) -> Option<Timestamp> {
        self.next_rotation.time()
    }

    /// When ZITADEL was last asked about the stored client secret and accepted it; of one that it does not accept, since when that is so.
    pub fn verified(&self) -> Option<Timestamp> {
        self.verified.time()
    }
}

/// The time of a verdict: that in its message, or when the condition began.
fn verified_at(condition: &Condition) -> Timestamp {
    let asked = first_in(&condition.message);
    let asked = asked.filter(|_| condition.status == Status::True);
    asked.unwrap_or(condition.last_transition_time.0)
}

impl Object {
    /// What is kept of an object, or of one that can't be read, for this reason.
    fn new(kind: Kind, mut metadata: ObjectMeta, object: Result<AppSecret, String>) -> Self {
        prune::metadata(&mut metadata);
        let uid = metadata.uid.take().unwrap_or_default();
        let packed = object.and_then(|object| {
            let rest: Rest<_, _> = (&object.spec, object.status.as_ref());
            let packed = Packed::new(&rest).map_err(|error| error.to_string())?;
            Ok((object, packed))
        });
        let content = match packed {
            Ok((object, packed)) => Content::Readable {
                connection: object.spec.connection_name().into(),
                summary: Summary::new(&object),
                packed,
            },
            Err(error) => Content::Unreadable(kind, error.into()),
        };
        Self {
            metadata,
            uid: uid.into(),
            content,
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match &self.content {
            Content::Readable { summary, .. } => summary.kind,
            Content::Unreadable(kind, _) => *kind,
        }
    }

    /// Which it is, for queues and look-ups.
    pub fn reference(&self) -> ObjectRef<Self> {
        ObjectRef::from_obj_with(self, self.kind())
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Its metadata, as far as it is kept.
    pub fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            uid: Some(self.uid.to_string()),
            ..self.metadata.clone()
        }
    }

    /// The connection that it names. None if it can't be read.
    pub fn connection(&self) -> Option<&str> {
        match &self.content {
            Content::Readable { connection, .. } => Some(connection),
            Content::Unreadable(..) => None,
        }
    }

    /// What the metrics of all objects need. None if it can't be read.
    pub const fn summary(&self) -> Option<Summary> {
        match &self.content {
            Content::Readable { summary, .. } => Some(*summary),
            Content::Unreadable(..) => None,
        }
    }

    /// Whether the other one has another spec, although it has the same generation: then one of them was shown by another schema.
    pub fn is_otherwise(&self, other: &Self) -> bool {
        let spec = |object: &Self| object.read().map(|object| object.spec);
        let same = self.uid == other.uid && self.metadata.generation == other.metadata.generation;
        same && spec(self) != spec(other)
    }

    /// The object.
    ///
    /// # Errors
    /// Why it can't be read: in kube's words, which name the field.
    pub fn read(&self) -> Result<AppSecret, String> {
        match &self.content {
            Content::Readable { packed, .. } => {
                let rest = packed.read::<Rest<ApiAppSecretSpec, AppSecretStatus>>();
                let (spec, status) = rest.map_err(|error| error.to_string())?;
                Ok(AppSecret {
                    kind: self.kind(),
                    metadata: self.metadata(),
                    spec,
                    status,
                })
            }
            Content::Unreadable(_, error) => Err(error.to_string()),
        }
    }
}

/// By the kind that it names. Of one that can't be read it is kept which it is, so that the watch goes on with the others.
impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Identity {
            kind: Kind,
            metadata: ObjectMeta,
        }
        let shown = Value::deserialize(deserializer)?;
        let identity = shown.clone().deserialize_into().map_err(D::Error::custom)?;
        let Identity { kind, metadata } = identity;
        let object = AppSecret::read(kind, shown);
        let object = object.map_err(|error: DeserializerError| error.to_string());
        Ok(Self::new(kind, metadata, object))
    }
}

/// It is an object of its kind to the API server.
impl Resource for Object {
    type DynamicType = Kind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        AppSecret::kind(kind)
    }

    fn group(kind: &Kind) -> Cow<'_, str> {
        AppSecret::group(kind)
    }

    fn version(kind: &Kind) -> Cow<'_, str> {
        AppSecret::version(kind)
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        AppSecret::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::ResourceExt as _;
    use serde_json::{Value, json};

    use super::*;

    fn kept(object: &Value) -> Object {
        serde_json::from_value(object.clone()).unwrap()
    }

    /// One that was rotated by its trigger, at rest.
    fn at_rest() -> Value {
        let time = "2026-03-04T05:06:07Z";
        let condition = |type_: &str, reason: &str, message: &str| json!({"type": type_, "status": "True", "reason": reason, "message": message, "observedGeneration": 2, "lastTransitionTime": time});
        json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {
                "name": "payments", "namespace": "shop", "uid": "8efbbaa9-8e4b-4c39-8ff2-f8d592ace5f8", "resourceVersion": "371",
                "generation": 2, "creationTimestamp": time, "labels": {"team": "payments"}, "annotations": {"a": "b"},
            },
            "spec": {"projectId": "471359388500789484", "appId": "471359388500920558", "rotation": {"trigger": "0"}},
            "status": {
                "observedGeneration": 2,
                "conditions": [
                    condition("Ready", "UpToDate", "Secret payments holds the newest client secret"),
                    condition("Verified", "Accepted", &format!("ZITADEL accepts the client secret in Secret payments; asked at {time}")),
                ],
                "activeAppId": "471359388500920558", "clientId": "471359388500855021", "sequence": "5",
                "changeDate": "2026-03-04T05:06:07.839245Z", "resourceOwner": "471359388500723947", "secretName": "payments",
                "secretResourceVersion": "370", "observedTrigger": "0",
                "lastRotation": {"time": time, "reason": "FirstIssue", "attempt": "01a22a90-793b-77a3-b1f1-2b2c6b9e732f", "darkWindowMilliseconds": 16},
                "history": [{"time": time, "reason": "FirstIssue", "sequence": "5", "changeDate": "2026-03-04T05:06:07.839245Z", "outcome": "Published", "darkWindowMilliseconds": 16}],
            },
        })
    }

    #[test]
    fn an_object_is_read_as_it_was_shown_but_for_what_is_pruned() {
        let later = include_str!("../../tests/fixtures/object-of-a-later-version.json");
        for shown in [at_rest(), serde_json::from_str(later).unwrap()] {
            let mut object: AppSecret = serde_json::from_value(shown.clone()).unwrap();
            let kept = kept(&shown);
            assert_eq!(kept.uid(), object.uid().unwrap());
            assert_eq!(kept.connection(), Some("default"));
            prune::metadata(&mut object.metadata);
            assert_eq!(kept.metadata(), object.metadata);
            assert_eq!(kept.read(), Ok(object));
        }
    }

    #[test]
    fn an_object_at_rest_takes_little_room() {
        let kept = kept(&at_rest());
        let Content::Readable { packed, .. } = &kept.content else {
            panic!("{kept:?}");
        };
        // As structs 2,500 bytes in forty allocations.
        assert!(packed.len() <= 300, "{} bytes", packed.len());
        assert!(size_of::<Object>() <= 432, "{}", size_of::<Object>());
        assert_eq!(kept.meta().uid, None, "a queue would keep it");
        assert_eq!(kept.labels().len() + kept.annotations().len(), 0);
    }

    #[test]
    fn what_is_asked_of_all_objects_needs_no_reading() {
        let mut shown = at_rest();
        let resting = kept(&shown).summary().unwrap();
        let expected = Summary {
            kind: Kind::ApiApp,
            ready: true,
            stalled: false,
            reason: Some(Reason::UpToDate),
            open_attempt: false,
            accepted: Some(true),
            next_rotation: Second(0),
            verified: Second(1_772_600_767),
            project: ProjectKey::of("471359388500789484"),
        };
        assert_eq!(resting, expected);
        let next = "2026-04-01T00:00:00Z";
        shown["status"]["nextRotationTime"] = json!(next);
        shown["status"]["attempt"] = json!({"id": "x", "phase": "Open", "reason": "Due"});
        shown["status"]["conditions"][0] = json!({"type": "Stalled", "status": "True", "reason": "R", "message": "", "lastTransitionTime": next});
        let summary = kept(&shown).summary().unwrap();
        let expected = Summary {
            kind: Kind::ApiApp,
            ready: false,
            stalled: true,
            reason: None,
            open_attempt: true,
            next_rotation: Second(1_775_001_600),
            ..resting
        };
        assert_eq!(summary, expected);
        assert_eq!(summary.next_rotation(), next.parse().ok());
        assert_eq!(resting.next_rotation(), None);
    }

    #[test]
    fn of_an_object_that_cannot_be_read_it_is_kept_which_it_is_and_why() {
        let mut shown = at_rest();
        shown["spec"]["projectId"] = json!(7);
        shown["metadata"]["deletionTimestamp"] = json!("2026-05-01T00:00:00Z");
        let kept = kept(&shown);
        let error = kept.read().unwrap_err();
        assert!(error.contains("Expected a string"), "{error}");
        assert_eq!((kept.connection(), kept.summary()), (None, None));
        let metadata = kept.metadata();
        assert_eq!(metadata.uid.as_deref(), Some(kept.uid()));
        assert_eq!(metadata.generation, Some(2));
        let deleted = "2026-05-01T00:00:00Z".parse().unwrap();
        assert_eq!(metadata.deletion_timestamp, Some(Time(deleted)));
    }
}
