//! What is known of one credential over time: what was recorded, and nothing else. No I/O.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::{
    AppSecret, AppSecretStatus, Condition, ConditionType, HistoryEntry, Kind, Status, seconds,
};
use crate::plugin::calendar;
use crate::plugin::cluster::{Listed, Metadata};
use crate::plugin::line::line;
use crate::plugin::standing::{Level, Shown, ShownStatus, Standing};
use crate::plugin::timeline::axis::Axis;
use crate::plugin::timeline::event::{Event, Mark, Span, State};

/// So many rotations ahead are shown of a credential.
const AHEAD: usize = 60;

/// An object, as far as it matters here.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    shown: Shown,
    /// The last ten rotations; none where this version cannot read them.
    history: Option<Vec<HistoryEntry>>,
    /// The whole of it, where this version can read that.
    object: Option<Box<AppSecret>>,
}

impl<'de> Deserialize<'de> for Observed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = serde_json::Value::deserialize(from)?;
        let history = object.pointer("/status/history");
        let history = history.map_or_else(|| Ok(Vec::new()), Vec::deserialize);
        Ok(Self {
            shown: Shown::deserialize(&object).map_err(D::Error::custom)?,
            history: history.ok(),
            object: AppSecret::deserialize(&object).ok().map(Box::new),
        })
    }
}

/// One credential over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The kind of the object.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it stands now, in a word.
    pub status: String,
    /// How urgent that is.
    pub level: Level,
    /// The same in a sentence.
    pub message: String,
    /// What happened, and what is to happen, within the time of the picture; the earliest first.
    pub events: Vec<Mark>,
    /// What it was within that time, the least serious first.
    pub states: Vec<Span>,
    /// When the next rotation can start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_rotation_time: Option<Timestamp>,
}

line!(Row);

impl Row {
    /// What is known of an object within a time.
    pub fn of(kind: Kind, object: Listed<Observed>, axis: &Axis) -> Self {
        let (observed, standing) = match object {
            Listed::Read(it) => {
                let standing = Standing::of_object(&it.shown, axis.now);
                (it, standing)
            }
            Listed::Unreadable(metadata) => {
                let shown = Shown {
                    metadata,
                    ..Shown::default()
                };
                let observed = Observed {
                    shown,
                    ..Observed::default()
                };
                (observed, Standing::unreadable())
            }
        };
        let Observed {
            shown,
            history,
            object,
        } = observed;
        let Shown {
            metadata, status, ..
        } = shown;
        let next = status.next_rotation_time.as_ref();
        let mut row = Self {
            kind,
            status: standing.word,
            level: standing.level,
            message: standing.message,
            events: Vec::new(),
            states: Vec::new(),
            next_rotation_time: next.map(|next| seconds(next.0)),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone(),
        };
        let known = known_since(&metadata, history.as_deref(), axis.now);
        let past = history.into_iter().flatten().flat_map(Mark::past);
        row.events.extend(past);
        row.states = states(&metadata, &status, &row.events, known, axis);
        row.events
            .extend(object.iter().flat_map(|object| ahead(object, axis)));
        row.events.retain(|mark| axis.has(mark.time));
        row.events.sort_by_key(|mark| (mark.time, mark.event));
        row
    }

    /// How many events there are of a sort.
    pub fn count(&self, of: impl Fn(Event) -> bool) -> usize {
        self.events.iter().filter(|mark| of(mark.event)).count()
    }

    /// For how many milliseconds the rotations of the picture left it dark.
    pub fn dark(&self) -> i64 {
        let dark = self.events.iter();
        let dark = dark.filter_map(|mark| mark.dark_window_milliseconds);
        dark.fold(0, i64::saturating_add)
    }

    /// The worst first.
    pub fn rank(&self) -> impl Ord + use<> {
        let trouble = self.count(Event::is_after_trouble);
        let object = (self.namespace.clone(), self.name.clone(), self.kind);
        (self.level, Reverse(trouble), object)
    }
}

/// The rotations that are to come within the picture, so many at the most.
fn ahead(object: &AppSecret, axis: &Axis) -> impl Iterator<Item = Mark> {
    let now = axis.now;
    let rotations = calendar::rotations(object, now, axis.until).ok();
    let rotations = rotations.into_iter().flatten();
    let rotations = rotations.filter(move |it| it.time > now).take(AHEAD);
    rotations.map(|it| Mark {
        reason: Some(it.cause.as_str().to_owned()),
        ..Mark::new(it.time, Event::Next)
    })
}

/// Since when every rotation was recorded: since ever where the first of all is among those that are kept.
fn known_since(metadata: &Metadata, history: Option<&[HistoryEntry]>, now: Timestamp) -> Timestamp {
    let history = history.unwrap_or_default();
    let Some(oldest) = history.iter().min_by_key(|past| past.time.0) else {
        return now;
    };
    let is_first = matches!(Event::of(oldest), Event::FirstIssue | Event::Adopted);
    let created = metadata.creation_timestamp.as_ref();
    match created {
        Some(created) if is_first && history.len() < AppSecretStatus::HISTORY => {
            oldest.time.0.min(created.0)
        }
        _ => oldest.time.0,
    }
}

/// What it was, by what its status has recorded.
fn states(
    metadata: &Metadata,
    status: &ShownStatus,
    events: &[Mark],
    known: Timestamp,
    axis: &Axis,
) -> Vec<Span> {
    let now = axis.now;
    let created = metadata.creation_timestamp.as_ref();
    let created = created.map_or(axis.from, |created| created.0.min(known));
    let stated = stated(status, events);
    let since = stated.as_ref().map_or(now, |(since, ..)| *since);
    let is_outage = matches!(stated, Some((_, State::Outage, _)));
    // An outage was recorded whatever else was. That it works says nothing of the rotations that were not.
    let since = if is_outage { since } else { since.max(known) };
    let mut spans = Vec::new();
    let mut add = |from: Timestamp, until, state, reason: Option<&Condition>| {
        let (from, until) = (from.max(axis.from), now.min(until));
        if from < until {
            spans.push(Span {
                from: seconds(from),
                until: seconds(until),
                state,
                reason: reason.map(|condition| condition.reason.clone()),
            });
        }
    };
    add(created, known.min(since), State::Unknown, None);
    add(known, since, State::Unstated, None);
    if let Some((_, state, condition)) = stated {
        add(since, now, state, Some(condition));
    }
    let ready = status.conditions.get(ConditionType::Ready);
    if let Some(next) = &status.next_rotation_time {
        add(next.0, now, State::Late, ready);
    }
    let consumers = status.conditions.get(ConditionType::ConsumersCurrent);
    if let Some(behind) = consumers.filter(|it| it.status == Status::False) {
        let since = behind.last_transition_time.0;
        add(since, now, State::Stale, Some(behind));
    }
    spans.sort_by_key(|span| (span.state, span.from));
    spans
}

/// Whether it works, since when, and which condition says so; none where nothing does.
fn stated<'a>(
    status: &'a ShownStatus,
    events: &[Mark],
) -> Option<(Timestamp, State, &'a Condition)> {
    let both = [ConditionType::Ready, ConditionType::Verified];
    let both = both.map(|type_| status.conditions.get(type_));
    let failed = both.into_iter().flatten();
    let failed = failed.filter(|condition| condition.status == Status::False);
    if let Some(failed) = failed.min_by_key(|it| it.last_transition_time.0) {
        return Some((failed.last_transition_time.0, State::Outage, failed));
    }
    let [Some(ready), Some(verified)] = both else {
        return None;
    };
    if (ready.status, verified.status) != (Status::True, Status::True) {
        return None;
    }
    let since = ready.last_transition_time.0;
    let since = since.max(verified.last_transition_time.0);
    // NB: a repair may be over before any condition says that something was wrong.
    let mended = events.iter().filter(|mark| mark.event.is_after_trouble());
    let mended = mended.map(Mark::lit).max();
    Some((since.max(mended.unwrap_or(since)), State::Usable, verified))
}

#[cfg(test)]
pub mod tests;
