//! One service user: its events, and what they sum up to. Does no I/O.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;

use crate::config::Lag;
use crate::random;
use crate::world::identities::Key;
use crate::world::model::State;
use crate::world::secret::SecretValue;

/// A service user.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) org: String,
    /// Also its client id.
    pub(crate) login_name: String,
    pub(crate) name: String,
    pub(crate) events: Vec<UserEvent>,
}

/// One event of a user's stream.
#[derive(Debug)]
pub(crate) struct UserEvent {
    /// Position in the user's stream, from 1.
    pub(crate) sequence: u64,
    pub(crate) kind: UserEventKind,
    pub(crate) editor: String,
    pub(crate) created_at: Timestamp,
    /// When it reaches the projections; nothing: only when forced.
    due: Option<Instant>,
}

/// What happened to a user.
#[derive(Debug)]
pub(crate) enum UserEventKind {
    Added,
    Deactivated,
    Reactivated,
    SecretSet { secret: SecretValue },
    SecretRemoved,
    KeyAdded { id: String, key: Key },
    KeyRemoved { id: String },
    PatAdded { id: String, expires_at: Timestamp },
    PatRemoved { id: String },
}

impl UserEventKind {
    /// The event's type (`internal/repository/user`).
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Added => "user.machine.added",
            Self::Deactivated => "user.deactivated",
            Self::Reactivated => "user.reactivated",
            Self::SecretSet { .. } => "user.machine.secret.set",
            Self::SecretRemoved => "user.machine.secret.removed",
            Self::KeyAdded { .. } => "user.machine.key.added",
            Self::KeyRemoved { .. } => "user.machine.key.removed",
            Self::PatAdded { .. } => "user.pat.added",
            Self::PatRemoved { .. } => "user.pat.removed",
        }
    }

    /// The event's English name in change lists (`internal/static/i18n/en.yaml`).
    pub(crate) const fn message(&self) -> &'static str {
        match self {
            Self::Added => "Technical user added",
            Self::Deactivated => "User deactivated",
            Self::Reactivated => "User reactivated",
            Self::SecretSet { .. } => "Secret set",
            Self::SecretRemoved => "Secret removed",
            Self::KeyAdded { .. } => "Key added",
            Self::KeyRemoved { .. } => "Key removed",
            Self::PatAdded { .. } => "Personal Access Token added",
            Self::PatRemoved { .. } => "Personal Access Token removed",
        }
    }
}

/// A key or a personal access token, without what makes it one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credential<'a> {
    pub(crate) id: &'a str,
    pub(crate) created_at: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) expires_at: Timestamp,
}

/// A user after a number of events.
#[derive(Debug, Default)]
pub(crate) struct UserModel<'a> {
    pub(crate) state: State,
    pub(crate) secret: Option<&'a SecretValue>,
    pub(crate) created_at: Timestamp,
    /// Date and sequence of the last event that is not about keys or tokens: those have projections of their own.
    pub(crate) changed_at: Timestamp,
    pub(crate) sequence: u64,
    /// By id, so oldest first.
    keys: BTreeMap<&'a str, (Credential<'a>, &'a Key)>,
    pats: BTreeMap<&'a str, Credential<'a>>,
}

impl<'a> UserModel<'a> {
    pub(crate) fn key(&self, id: &str) -> Option<(Credential<'a>, &'a Key)> {
        self.keys.get(id).copied()
    }

    pub(crate) fn pat(&self, id: &str) -> Option<Credential<'a>> {
        self.pats.get(id).copied()
    }

    /// Oldest first.
    pub(crate) fn keys(&self) -> Vec<Credential<'a>> {
        self.keys.values().map(|(key, _)| *key).collect()
    }

    /// Oldest first.
    pub(crate) fn pats(&self) -> Vec<Credential<'a>> {
        self.pats.values().copied().collect()
    }

    fn apply(&mut self, event: &'a UserEvent) {
        let credential = |id: &'a String, expires_at| Credential {
            id,
            created_at: event.created_at,
            sequence: event.sequence,
            expires_at,
        };
        match &event.kind {
            UserEventKind::KeyAdded { id, key } => {
                self.keys.insert(id, (credential(id, key.expires_at), key));
                return;
            }
            UserEventKind::KeyRemoved { id } => {
                self.keys.remove(id.as_str());
                return;
            }
            UserEventKind::PatAdded { id, expires_at } => {
                self.pats.insert(id, credential(id, *expires_at));
                return;
            }
            UserEventKind::PatRemoved { id } => {
                self.pats.remove(id.as_str());
                return;
            }
            UserEventKind::Added => self.created_at = event.created_at,
            UserEventKind::Deactivated => self.state = State::Inactive,
            UserEventKind::Reactivated => self.state = State::Active,
            UserEventKind::SecretSet { secret } => self.secret = Some(secret),
            UserEventKind::SecretRemoved => self.secret = None,
        }
        self.changed_at = event.created_at;
        self.sequence = event.sequence;
    }
}

impl User {
    /// Appends one event and returns its sequence.
    pub(crate) fn push(
        &mut self,
        kind: UserEventKind,
        editor: &str,
        created_at: Timestamp,
        lag: Lag,
    ) -> u64 {
        let sequence = self.events.last().map_or(0, |last| last.sequence) + 1;
        self.events.push(UserEvent {
            sequence,
            kind,
            editor: editor.to_owned(),
            created_at,
            due: random::lag(lag).map(|lag| Instant::now() + lag),
        });
        sequence
    }

    /// What commands see: strongly consistent.
    pub(crate) fn current(&self) -> UserModel<'_> {
        sum(self.events.iter())
    }

    /// What lists and authentication see. Events keep their order, so one waits for those before it.
    pub(crate) fn projected(&self) -> UserModel<'_> {
        let now = Instant::now();
        let arrived = |event: &&UserEvent| event.due.is_some_and(|due| due <= now);
        sum(self.events.iter().take_while(arrived))
    }

    /// Brings the projections up to date.
    pub(crate) fn force_projection(&mut self) {
        let now = Instant::now();
        for event in &mut self.events {
            event.due = Some(event.due.map_or(now, |due| due.min(now)));
        }
    }
}

fn sum<'a>(events: impl Iterator<Item = &'a UserEvent>) -> UserModel<'a> {
    let mut model = UserModel::default();
    events.for_each(|event| model.apply(event));
    model
}
