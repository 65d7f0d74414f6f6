//! What can be drawn of a credential: events, and states that last. No I/O.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::api::{HistoryEntry, Outcome, seconds};
use crate::rotation::Cause;

/// What happened at an instant, or is to happen. The more serious, the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// A rotation that is to come.
    Next,
    /// The end of an overlap.
    Retire,
    /// The first one.
    FirstIssue,
    /// A Secret was taken over.
    Adopted,
    /// By the schedule.
    Due,
    /// On request.
    Trigger,
    /// For a cause that this version does not know.
    Other,
    /// A rotation whose value was not stored.
    Unstored,
    /// A client secret of another actor.
    Foreign,
    /// Because the value was gone, rejected or lost.
    Repair,
}

impl Event {
    /// All of them, as a legend lists them.
    pub const ALL: [Self; 10] = [
        Self::Due,
        Self::Trigger,
        Self::Repair,
        Self::FirstIssue,
        Self::Adopted,
        Self::Retire,
        Self::Other,
        Self::Unstored,
        Self::Foreign,
        Self::Next,
    ];

    /// That of a rotation.
    pub fn of(past: &HistoryEntry) -> Self {
        match Outcome::from_word(&past.outcome) {
            Some(Outcome::Adopted) => return Self::Adopted,
            Some(Outcome::WithoutEffect | Outcome::Superseded) => return Self::Unstored,
            Some(Outcome::Published | Outcome::Unproven | Outcome::Retired) | None => {}
        }
        let mut causes = Cause::ALL.into_iter();
        match causes.find(|cause| cause.as_str() == past.reason) {
            Some(Cause::FirstIssue) => Self::FirstIssue,
            Some(Cause::Due) => Self::Due,
            Some(Cause::Trigger) => Self::Trigger,
            Some(Cause::Retire) => Self::Retire,
            Some(Cause::SecretMissing | Cause::SecretInvalid | Cause::LostAttempt) => Self::Repair,
            None => Self::Other,
        }
    }

    /// Whether the operator rotated.
    pub const fn is_rotation(self) -> bool {
        !matches!(self, Self::Next | Self::Adopted | Self::Foreign)
    }

    /// Whether the credential may not have worked before it, although no condition says so any more.
    pub const fn is_after_trouble(self) -> bool {
        matches!(self, Self::Repair | Self::Foreign | Self::Unstored)
    }
}

/// What a credential was over a time. The more serious, the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Nothing was recorded.
    Unknown,
    /// Its rotations were recorded, and nothing else.
    Unstated,
    /// The Secret holds a credential that ZITADEL accepts.
    Usable,
    /// A rotation is due that was not made yet.
    Late,
    /// Pods may have a former value.
    Stale,
    /// The Secret holds no credential that can be used, or ZITADEL rejects it.
    Outage,
}

impl State {
    /// All of them, as a legend lists them.
    pub const ALL: [Self; 6] = [
        Self::Usable,
        Self::Outage,
        Self::Stale,
        Self::Late,
        Self::Unstated,
        Self::Unknown,
    ];
}

/// Something that happened at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: Event,
    /// The word of the status for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// How long neither the former nor the new value worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dark_window_milliseconds: Option<i64>,
    /// The user who made a client secret of another actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

impl Mark {
    /// An event of which nothing else is known.
    pub fn new(time: Timestamp, event: Event) -> Self {
        Self {
            time: seconds(time),
            event,
            reason: None,
            outcome: None,
            dark_window_milliseconds: None,
            user_id: None,
        }
    }

    /// A rotation of the past, and what it replaced.
    pub fn past(past: HistoryEntry) -> impl Iterator<Item = Self> {
        let (event, dark) = (Event::of(&past), past.dark_milliseconds());
        // NB: the one that an application is created with is no one's.
        let foreign = past.replaced.filter(|it| it.with_app != Some(true));
        let foreign = foreign.map(|foreign| Self {
            user_id: foreign.user_id,
            ..Self::new(foreign.time.0, Event::Foreign)
        });
        let rotation = Self {
            reason: Some(past.reason),
            outcome: Some(past.outcome),
            dark_window_milliseconds: dark.filter(|milliseconds| *milliseconds >= 0),
            ..Self::new(past.time.0, event)
        };
        std::iter::once(rotation).chain(foreign)
    }

    /// When its dark window was over.
    pub fn lit(&self) -> Timestamp {
        let dark = SignedDuration::from_millis(self.dark_window_milliseconds.unwrap_or(0));
        self.time.checked_add(dark).unwrap_or(Timestamp::MAX)
    }
}

/// What a credential was over a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What.
    pub state: State,
    /// The reason of the condition that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
