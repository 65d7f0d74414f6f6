//! `status`: each credential in one line, the worst first; with `--watch` also each change.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use crate::api::{ConditionType, Kind, seconds};
use crate::plugin::cli::{self, Global, Reference};
use crate::plugin::cluster::{Cluster, Happened, Listed, Metadata, Scope};
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::fault::ClusterError;
use crate::plugin::line::{self, line};
use crate::plugin::output::{Cell, Column, Lines, Output, Tone, note, note_missing, span};
use crate::plugin::standing::{Level, Numbers, Shown, Standing};

/// Before a watch that failed is begun again, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// An object in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    kind: Kind,
    namespace: String,
    name: String,
    status: String,
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotation_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumers: Option<Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<String>,
    message: String,
}

/// Which object a line is about; lines are ordered by it.
type Key = (String, String, Kind);

impl Row {
    fn of(kind: Kind, object: Listed<Shown>, now: Timestamp) -> Self {
        match object {
            Listed::Read(object) => Self::read(kind, object, now),
            Listed::Unreadable(metadata) => Self::bare(kind, metadata, Standing::unreadable()),
        }
    }

    fn read(kind: Kind, object: Shown, now: Timestamp) -> Self {
        let standing = Standing::of_object(&object, now);
        let (status, spec) = (object.status, object.spec);
        let time = |time: Option<&Time>| time.map(|time| seconds(time.0));
        let last = status.last_rotation.as_ref();
        let connection = spec.connection_ref.map(|reference| reference.name);
        let verified = status.conditions.get(ConditionType::Verified);
        Self {
            last_rotation_time: time(last.map(|last| &last.time)),
            last_reason: last.map(|last| last.reason.clone()),
            next_rotation_time: time(status.next_rotation_time.as_ref()),
            connection: Some(connection.unwrap_or_else(|| "default".to_owned())),
            verified: verified.map(|verified| verified.reason.clone()),
            secret: status.secret_name,
            consumers: status.consumers,
            ..Self::bare(kind, object.metadata, standing)
        }
    }

    fn bare(kind: Kind, metadata: Metadata, standing: Standing) -> Self {
        let Standing {
            level,
            word,
            message,
        } = standing;
        Self {
            kind,
            namespace: metadata.namespace,
            name: metadata.name,
            status: word,
            level,
            last_rotation_time: None,
            last_reason: None,
            next_rotation_time: None,
            consumers: None,
            connection: None,
            secret: None,
            verified: None,
            message,
        }
    }

    fn deleted(self) -> Self {
        Self {
            status: "Deleted".to_owned(),
            level: Level::Fine,
            message: "it was deleted".to_owned(),
            ..self
        }
    }

    fn key(&self) -> Key {
        (self.namespace.clone(), self.name.clone(), self.kind)
    }
}

line!(Row);

fn columns(with_namespace: bool, with_kind: bool) -> Vec<Column<Row>> {
    let mut columns: Vec<Column<Row>> = line::columns(with_namespace, with_kind).collect();
    columns.extend([
        Column::new("STATUS", |row: &Row, _| {
            Cell::new(&row.status, row.level.tone())
        }),
        Column::new("AGE", |row: &Row, now| {
            let age = row
                .last_rotation_time
                .map(|last| span(now.duration_since(last)));
            Cell::maybe(age.as_deref())
        }),
        Column::new("NEXT", |row: &Row, now| next(row.next_rotation_time, now)),
        Column::new("LAST", |row: &Row, _| {
            Cell::maybe(row.last_reason.as_deref())
        }),
        Column::new("CONSUMERS", |row: &Row, _| {
            consumers(row.consumers.as_ref())
        }),
        Column::wide("ROTATED", |row: &Row, _| instant(row.last_rotation_time)),
        Column::wide("NEXT ROTATION", |row: &Row, _| {
            instant(row.next_rotation_time)
        }),
        Column::wide("VERIFIED", |row: &Row, _| {
            Cell::maybe(row.verified.as_deref())
        }),
        Column::wide("SECRET", |row: &Row, _| Cell::maybe(row.secret.as_deref())),
        Column::wide("CONNECTION", |row: &Row, _| {
            Cell::maybe(row.connection.as_deref())
        }),
        Column::new("MESSAGE", |row: &Row, _| Cell::plain(&row.message)),
    ]);
    columns
}

fn instant(time: Option<Timestamp>) -> Cell {
    Cell::maybe(time.map(|time| time.to_string()).as_deref())
}

/// When it rotates next: in how long, or since when it is due.
fn next(next: Option<Timestamp>, now: Timestamp) -> Cell {
    let Some(next) = next else {
        return Cell::maybe(None);
    };
    let left = next.duration_since(now);
    if left.is_positive() {
        Cell::plain(&span(left))
    } else {
        Cell::new(&format!("{} ago", span(-left)), Tone::Warning)
    }
}

/// How many of the Pods have the value.
fn consumers(numbers: Option<&Numbers>) -> Cell {
    let Some(Numbers { total, current, .. }) = numbers else {
        return Cell::maybe(None);
    };
    let tone = if current < total {
        Tone::Warning
    } else {
        Tone::Plain
    };
    Cell::new(&format!("{current}/{total}"), tone)
}

/// Shows each object. Exit code 1 if one needs attention.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    arguments: &cli::Status,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let names = arguments.names.as_slice();
    global.names_or_many(names)?;
    let scope = cluster.scope(global);
    if arguments.watch {
        return watch(cluster, &scope, names, output).await;
    }
    let (rows, missing) = rows(cluster, &scope, names).await?;
    output.records(&columns_of(&scope, &rows), &rows, cluster.now())?;
    if rows.is_empty() {
        let place = scope.in_words();
        note(&format!("no ApiAppSecret or OidcAppSecret {place}"));
    }
    let late = rows.iter().filter(|row| row.level.needs_attention());
    let late = late.count();
    if late > 0 && !output.is_for_program() {
        let need = if late == 1 { "needs" } else { "need" };
        note(&format!("{late} of {} {need} attention", rows.len()));
    }
    note_missing(&missing);
    Ok(Exit::of(late > 0, !missing.is_empty()))
}

fn columns_of(scope: &Scope, rows: &[Row]) -> Vec<Column<Row>> {
    columns(scope.namespace.is_none(), line::has_every_kind(rows))
}

/// The lines, the worst first, and what is not among them.
async fn rows(
    cluster: &Cluster,
    scope: &Scope,
    names: &[Reference],
) -> Result<(Vec<Row>, Vec<ClusterError>), Failure> {
    let mut rows = Vec::new();
    let keep = |kind, object| rows.push(Row::of(kind, object, cluster.now()));
    let missing = cluster.chosen(scope, names, keep).await?;
    rows.sort_by_cached_key(|row| (row.level, row.key()));
    rows.dedup_by_key(|row| row.key());
    Ok((rows, missing))
}

/// What is printed while objects are watched.
struct Watching<'a> {
    cluster: &'a Cluster,
    names: &'a [Reference],
    output: &'a mut Output,
    lines: Lines<Row>,
    rows: BTreeMap<Key, Row>,
    failure: Option<Failure>,
}

impl Watching<'_> {
    /// Takes note of an object, and prints it if it has changed. False if nothing can be printed any more.
    fn see(&mut self, kind: Kind, happened: Happened<Shown>) -> bool {
        let now = self.cluster.now();
        match happened {
            Happened::Is(object) => {
                let row = Row::of(kind, object, now);
                let is_meant = |name: &Reference| name.is(kind, &row.name);
                if self.names.is_empty() || self.names.iter().any(is_meant) {
                    self.is(row, now);
                }
            }
            Happened::Gone(metadata) => {
                self.gone(&(metadata.namespace, metadata.name, kind), now);
            }
        }
        self.failure.is_none()
    }

    fn is(&mut self, row: Row, now: Timestamp) {
        let key = row.key();
        if self.rows.get(&key) != Some(&row) {
            self.print(&row, now);
            self.rows.insert(key, row);
        }
    }

    fn gone(&mut self, key: &Key, now: Timestamp) {
        if let Some(row) = self.rows.remove(key) {
            self.print(&row.deleted(), now);
        }
    }

    fn print(&mut self, row: &Row, now: Timestamp) {
        if let Err(failure) = self.output.more(&mut self.lines, row, now) {
            self.failure = Some(failure);
        }
    }
}

/// Prints every object, and then what changes, until it is interrupted.
async fn watch(
    cluster: &Cluster,
    scope: &Scope,
    names: &[Reference],
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (first, missing) = rows(cluster, scope, names).await?;
    note_missing(&missing);
    let columns = columns(scope.namespace.is_none(), true);
    let lines = output.begin(&columns, &first, cluster.now())?;
    let mut watching = Watching {
        cluster,
        names,
        output,
        lines,
        rows: BTreeMap::new(),
        failure: None,
    };
    for row in first {
        watching.is(row, cluster.now());
    }
    if let Some(failure) = watching.failure {
        return Err(failure);
    }
    let watching = RefCell::new(watching);
    let kinds = Kind::ALL.map(|kind| follow(cluster, kind, scope, &watching));
    future::try_join_all(kinds).await?;
    Ok(Exit::Fine)
}

/// Follows the objects of a kind. Ends only if nothing can be printed any more, or if the cluster does not serve the kind.
async fn follow(
    cluster: &Cluster,
    kind: Kind,
    scope: &Scope,
    watching: &RefCell<Watching<'_>>,
) -> Result<(), Failure> {
    let [mut pause, longest] = PAUSES;
    let mut revision: Option<String> = None;
    loop {
        let outcome = match &revision {
            Some(from) => {
                let see = |happened| watching.borrow_mut().see(kind, happened);
                cluster.watch(kind, scope, from, see).await
            }
            None => list_again(cluster, kind, scope, watching).await.map(Some),
        };
        if let Some(failure) = watching.borrow_mut().failure.take() {
            return Err(failure);
        }
        match outcome {
            Ok(next) => {
                revision = next;
                [pause, _] = PAUSES;
            }
            Err(error) if error.is_not_served() => return Ok(()),
            Err(error @ (ClusterError::Denied(_) | ClusterError::Unauthorized(_))) => {
                note(&format!("error: {error}"));
                return Err(error.into());
            }
            Err(error) => {
                note(&format!("{error}; trying again in {} s", pause.as_secs()));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
                revision = None;
            }
        }
    }
}

/// Lists the objects of a kind again, and prints what changed since. The revision of the list.
async fn list_again(
    cluster: &Cluster,
    kind: Kind,
    scope: &Scope,
    watching: &RefCell<Watching<'_>>,
) -> Result<String, ClusterError> {
    let mut there = BTreeSet::new();
    let see = |object: Listed<Shown>| {
        let metadata = match &object {
            Listed::Read(object) => &object.metadata,
            Listed::Unreadable(metadata) => metadata,
        };
        there.insert((metadata.namespace.clone(), metadata.name.clone(), kind));
        watching.borrow_mut().see(kind, Happened::Is(object));
    };
    let revision = cluster.each(kind, scope, see).await?;
    let mut watching = watching.borrow_mut();
    let gone = watching.rows.keys();
    let gone = gone.filter(|key| key.2 == kind && !there.contains(*key));
    let gone: Vec<Key> = gone.cloned().collect();
    for key in gone {
        watching.gone(&key, cluster.now());
    }
    Ok(revision)
}
