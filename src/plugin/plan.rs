//! `plan`: what rotates when; with a file, what changes if it is applied.
//!
//! * [`manifest`] is the objects of a file, [`changes`] compares them with the cluster: [`dry_run`], or [`validate`] without it, says what becomes of
//!   each, [`connections`] what becomes of others whose connection is in the file, [`grants`] whether it may, [`edit`] what that means, and
//!   [`remarks`] what is said besides

mod changes;
mod connections;
mod dry_run;
mod edit;
mod grants;
mod manifest;
mod object;
mod remarks;
mod validate;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::api::{Kind, Reason, seconds};
use crate::plugin::calendar::{Held, Rotations, Upcoming, rotations};
use crate::plugin::cli::{self, Global};
use crate::plugin::cluster::{Cluster, Listed};
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::line::{self, line};
use crate::plugin::output::{
    Cell, Column, Format, Output, Tone, note, note_missing, rotate_now, span,
};
use crate::plugin::plan::object::Object;
use crate::plugin::standing::Standing;
use crate::rotation::{Backlog, Cause, Timing, format_interval};

/// No length of time takes more room.
const WIDEST: SignedDuration = SignedDuration::from_hours(2 * 24 + 23);

/// A rotation that lies ahead, or an object that is not rotated, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// None: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    now: bool,
    kind: Kind,
    namespace: String,
    name: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    message: String,
}

line!(Row);

/// An object whose rotations are printed.
#[derive(Debug)]
struct Planned {
    kind: Kind,
    namespace: String,
    name: String,
    rotations: Rotations,
    next: Option<Upcoming>,
    schedule: Option<String>,
}

line!(Planned);

/// Every object of the plan. Of each there is its next rotation only.
#[derive(Debug, Default)]
struct Plan {
    planned: Vec<Planned>,
    never: Vec<Row>,
    /// How many have no rotation in the time.
    later: usize,
    /// Whether the lines have the schedule in words.
    with_schedule: bool,
}

impl Plan {
    fn see(&mut self, kind: Kind, object: Listed<Object>, now: Timestamp, until: Timestamp) {
        let object = match object {
            Listed::Read(object) => object.of_kind(kind),
            Listed::Unreadable(metadata) => {
                let Standing { word, message, .. } = Standing::unreadable();
                let held = Held {
                    reason: word,
                    message,
                };
                return self.never(kind, metadata.namespace, metadata.name, held);
            }
        };
        let rotations = rotations(&object, now, until);
        let namespace = object.metadata.namespace.unwrap_or_default();
        let name = object.metadata.name.unwrap_or_default();
        let mut rotations = match rotations {
            Ok(rotations) => rotations,
            Err(held) => return self.never(kind, namespace, name, held),
        };
        let next = rotations.next();
        if next.is_none() {
            self.later += 1;
            return;
        }
        self.planned.push(Planned {
            kind,
            namespace,
            name,
            schedule: self.with_schedule.then(|| rotations.schedule()),
            rotations,
            next,
        });
    }

    fn never(&mut self, kind: Kind, namespace: String, name: String, held: Held) {
        self.never.push(Row {
            time: None,
            now: false,
            kind,
            namespace,
            name,
            reason: held.reason,
            due: None,
            waits: None,
            schedule: None,
            message: held.message,
        });
    }

    /// Lines that are as wide as any: the first one of each object, and the same as if it was at a time that takes the most room.
    fn first(&self, now: Timestamp) -> Vec<Row> {
        let firsts = self.planned.iter();
        let firsts = firsts.filter_map(|it| Some(it.row(it.next.as_ref()?, now)));
        let firsts = firsts.flat_map(|row| {
            let time = now.checked_add(WIDEST).ok();
            let later = Row {
                time: time.map(seconds),
                now: false,
                ..row.clone()
            };
            [row, later]
        });
        firsts.chain(self.never.iter().cloned()).collect()
    }

    /// How many rotate now, and how many of them because they are due.
    fn rotating(&self, now: Timestamp) -> (usize, usize) {
        let first = self.planned.iter().filter_map(|it| it.next.as_ref());
        let first = first.filter(|next| next.is_now(now));
        let due = first.clone().filter(|it| it.cause == Cause::Due);
        (first.count(), due.count())
    }

    /// Every line, by time, and then the objects that are not rotated.
    fn rows(self, now: Timestamp) -> impl Iterator<Item = Row> {
        let Self {
            mut planned,
            mut never,
            ..
        } = self;
        planned.sort_by(line::order);
        never.sort_by(line::order);
        let heads = planned.iter().enumerate();
        let heads = heads.filter_map(|(index, it)| Some(Reverse((it.next.as_ref()?.time, index))));
        let mut heads: BinaryHeap<_> = heads.collect();
        let ahead = std::iter::from_fn(move || {
            let Reverse((_, index)) = heads.pop()?;
            let planned = planned.get_mut(index)?;
            let upcoming = planned.next.take()?;
            planned.next = planned.rotations.next();
            if let Some(next) = &planned.next {
                heads.push(Reverse((next.time, index)));
            }
            Some(planned.row(&upcoming, now))
        });
        ahead.chain(never)
    }
}

impl Planned {
    fn row(&self, upcoming: &Upcoming, now: Timestamp) -> Row {
        Row {
            time: Some(seconds(upcoming.time)),
            now: upcoming.is_now(now),
            kind: self.kind,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            reason: upcoming.cause.as_str().to_owned(),
            due: upcoming.due.map(seconds),
            waits: upcoming.waits.clone(),
            schedule: self.schedule.clone(),
            message: message(upcoming, now),
        }
    }
}

/// What a rotation waits for, or why it is made.
fn message(upcoming: &Upcoming, now: Timestamp) -> String {
    let due = upcoming.due.map(|due| {
        let word = if due > now { "due at" } else { "due since" };
        format!("{word} {}", seconds(due))
    });
    let waits = upcoming
        .waits
        .as_deref()
        .map(|waits| match Reason::parse(waits) {
            Some(Reason::AwaitingWindow) => "it waits for its window".to_owned(),
            Some(Reason::AwaitingConsumers) => {
                "it waits until every consumer has the last client secret".to_owned()
            }
            Some(Reason::CatchingUp) => "its turn after the operator was away".to_owned(),
            _ => format!("it waits: {waits}"),
        });
    let parts: Vec<String> = due.into_iter().chain(waits).collect();
    if !parts.is_empty() {
        return parts.join("; ");
    }
    let text = match upcoming.cause {
        Cause::FirstIssue => "the first client secret: the application's present one stops working",
        Cause::Due => "by its schedule",
        Cause::Trigger => "spec.rotation.trigger has a new text",
        Cause::Retire => "the client secret before the stored one stops working",
        Cause::SecretMissing | Cause::SecretInvalid | Cause::LostAttempt => "a repair is under way",
    };
    text.to_owned()
}

fn columns(with_namespace: bool, with_kind: bool) -> Vec<Column<Row>> {
    let mut columns = vec![
        Column::new("TIME", |row: &Row, _| match row.time {
            Some(time) => Cell::plain(&time.to_string()),
            None => Cell::new("never", Tone::Faint),
        }),
        Column::new("IN", |row: &Row, now| match row.time {
            Some(_) if row.now => Cell::new("now", Tone::Warning),
            Some(time) => Cell::plain(&span(time.duration_since(now))),
            None => Cell::maybe(None),
        }),
    ];
    columns.extend(line::columns(with_namespace, with_kind));
    columns.extend([
        Column::new("REASON", |row: &Row, _| Cell::plain(&row.reason)),
        Column::wide("SCHEDULE", |row: &Row, _| {
            Cell::maybe(row.schedule.as_deref())
        }),
        Column::new("MESSAGE", |row: &Row, _| Cell::plain(&row.message)),
    ]);
    columns
}

/// Shows what rotates when. Exit code 1 if something rotates now.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    arguments: &cli::Plan,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let days = i64::from(arguments.days);
    let ahead = SignedDuration::from_hours(24 * days);
    if let Some(file) = &arguments.filename {
        return changes::run(cluster, global, file, ahead, output).await;
    }
    let names = arguments.names.as_slice();
    global.names_or_many(names)?;
    let scope = cluster.scope(global);
    let mut plan = Plan {
        with_schedule: !matches!(output.format(), Format::Table | Format::Name),
        ..Plan::default()
    };
    let keep = |kind, object| {
        let now = cluster.now();
        plan.see(kind, object, now, until(now, ahead));
    };
    let missing = cluster.chosen(&scope, names, keep).await?;
    let now = cluster.now();
    let first = plan.first(now);
    let columns = columns(scope.namespace.is_none(), line::has_every_kind(&first));
    let (rotating, due) = plan.rotating(now);
    let objects = plan.planned.len() + plan.never.len() + plan.later;
    let still = objects - plan.planned.len();
    output.stream(&columns, &first, plan.rows(now), now)?;
    if objects == 0 {
        note(&format!(
            "no ApiAppSecret or OidcAppSecret {}",
            scope.in_words()
        ));
    } else if !output.is_for_program() {
        let time = match days {
            1 => "a day".to_owned(),
            days => format!("{days} days"),
        };
        note(&format!(
            "{}, {still} {} not rotated within {time}",
            rotate_now(rotating, objects),
            if still == 1 { "is" } else { "are" }
        ));
        pacing(due);
    }
    note_missing(&missing);
    Ok(Exit::of(rotating > 0, !missing.is_empty()))
}

fn until(now: Timestamp, ahead: SignedDuration) -> Timestamp {
    now.checked_add(ahead).unwrap_or(Timestamp::MAX)
}

/// Says that what many are due for does not happen at once.
fn pacing(due: usize) {
    if let Some(span) = Backlog::span(due, Timing::default().catch_up) {
        note(&format!(
            "{due} are due: an operator that was away spreads them over {} once it is back",
            format_interval(span)
        ));
    }
}
