//! `history`: the rotations of the past, the newest first, by what the status of each object keeps.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{
    AppSecretStatus, ForeignSecret, HistoryEntry, Kind, LastRotation, Outcome, seconds,
};
use crate::plugin::cli::{self, Global};
use crate::plugin::cluster::{Cluster, Listed, Metadata};
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::line::{self, line};
use crate::plugin::output::{Cell, Column, Output, Tone, milliseconds, note, note_missing, span};

/// An object, as far as it matters here.
#[derive(Deserialize)]
struct Past {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: PastStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PastStatus {
    #[serde(default)]
    last_rotation: Option<LastRotation>,
    #[serde(default)]
    history: Vec<HistoryEntry>,
}

/// A rotation in one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    time: Timestamp,
    kind: Kind,
    namespace: String,
    name: String,
    reason: String,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dark_window_milliseconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<ForeignSecret>,
}

line!(Row);

impl Past {
    /// Its rotations since then.
    fn rows(self, kind: Kind, since: Timestamp) -> impl Iterator<Item = Row> {
        let (metadata, last) = (self.metadata, self.status.last_rotation);
        let history = self.status.history.into_iter();
        history
            .filter(move |past| past.time.0 >= since)
            .map(move |past| {
                // NB: the history has no attempts; that of the last rotation is known.
                let last = last
                    .as_ref()
                    .filter(|last| last.time == past.time && last.reason == past.reason);
                let attempt = last.map(|last| last.attempt.clone());
                let dark = past.dark_milliseconds();
                Row {
                    time: seconds(past.time.0),
                    kind,
                    namespace: metadata.namespace.clone(),
                    name: metadata.name.clone(),
                    reason: past.reason,
                    outcome: past.outcome,
                    dark_window_milliseconds: dark,
                    attempt: attempt.filter(|attempt| !attempt.is_empty()),
                    sequence: past.sequence,
                    app_id: past.app_id,
                    replaced: past.replaced,
                }
            })
    }

    /// Whether there may have been more rotations since then than the status keeps.
    fn may_have_more(&self, since: Timestamp) -> bool {
        let history = &self.status.history;
        let is_since = |past: &HistoryEntry| past.time.0 >= since;
        history.len() >= AppSecretStatus::HISTORY && history.iter().all(is_since)
    }
}

fn columns(with_namespace: bool, with_kind: bool) -> Vec<Column<Row>> {
    let mut columns = vec![Column::new("TIME", |row: &Row, _| {
        Cell::plain(&row.time.to_string())
    })];
    columns.push(Column::new("AGE", |row: &Row, now| {
        Cell::plain(&span(now.duration_since(row.time)))
    }));
    columns.extend(line::columns(with_namespace, with_kind));
    columns.extend([
        Column::new("REASON", |row: &Row, _| Cell::plain(&row.reason)),
        Column::wide("ATTEMPT", |row: &Row, _| {
            Cell::maybe(row.attempt.as_deref())
        }),
        Column::wide("SEQUENCE", |row: &Row, _| {
            Cell::maybe(row.sequence.as_deref())
        }),
        Column::wide("APP", |row: &Row, _| Cell::maybe(row.app_id.as_deref())),
        Column::wide("REPLACED", |row: &Row, _| {
            let user = row.replaced.as_ref().map(|replaced| {
                let user = replaced.user_id.as_deref().unwrap_or("someone");
                format!("of {user}, {:.0}", replaced.time.0)
            });
            Cell::maybe(user.as_deref())
        }),
        Column::new("DARK", |row: &Row, _| {
            let dark = row.dark_window_milliseconds.map(milliseconds);
            Cell::maybe(dark.as_deref())
        }),
        Column::new("OUTCOME", |row: &Row, _| outcome(&row.outcome)),
    ]);
    columns
}

fn outcome(word: &str) -> Cell {
    let tone = match Outcome::from_word(word) {
        Some(Outcome::Published | Outcome::Adopted | Outcome::Retired) => Tone::Good,
        Some(Outcome::Unproven | Outcome::WithoutEffect | Outcome::Superseded) => Tone::Warning,
        None => Tone::Plain,
    };
    Cell::new(word, tone)
}

/// Shows the rotations of the past.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    arguments: &cli::History,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let names = arguments.names.as_slice();
    global.names_or_many(names)?;
    let scope = cluster.scope(global);
    let mut objects: Vec<(Kind, Listed<Past>)> = Vec::new();
    let keep = |kind, object| objects.push((kind, object));
    let missing = cluster.chosen(&scope, names, keep).await?;
    let now = cluster.now();
    let since = arguments
        .since
        .and_then(|since| now.checked_sub(since).ok());
    let since = since.unwrap_or(Timestamp::MIN);
    let (mut rows, mut more, mut unreadable) = (Vec::new(), BTreeSet::new(), 0);
    for (kind, object) in objects {
        match object {
            Listed::Read(past) => {
                if past.may_have_more(since) {
                    let Metadata {
                        namespace, name, ..
                    } = &past.metadata;
                    more.insert(format!("{namespace}/{name}"));
                }
                rows.extend(past.rows(kind, since));
            }
            Listed::Unreadable(_) => unreadable += 1,
        }
    }
    rows.sort_by(|one, other| {
        let newest = other.time.cmp(&one.time);
        newest.then_with(|| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)))
    });
    let columns = columns(scope.namespace.is_none(), line::has_every_kind(&rows));
    output.records(&columns, &rows, now)?;
    if rows.is_empty() {
        note(&format!("no rotations {}", scope.in_words()));
    }
    if let Some(first) = more.first() {
        note(&format!(
            "there may be earlier ones: an object keeps its last {}, and {} of {first}{} are within that time. The operator's log has all of them",
            AppSecretStatus::HISTORY,
            if more.len() == 1 { "those" } else { "all" },
            match more.len() {
                1 => String::new(),
                count => format!(" and {} other objects", count - 1),
            }
        ));
    }
    if unreadable > 0 {
        note(&format!(
            "error: {unreadable} objects were written for another version of the API and are not shown"
        ));
    }
    note_missing(&missing);
    Ok(Exit::of(unreadable > 0, !missing.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn past(count: usize) -> Past {
        let entry = |number: usize| {
            json!({
                "time": format!("2026-11-{:02}T03:00:00Z", 30 - number), "reason": "Due", "outcome": "Published",
                "darkWindowMilliseconds": 350, "of": "a newer version",
            })
        };
        let object = json!({
            "metadata": {"namespace": "orders", "name": "api"},
            "status": {
                "lastRotation": {"time": "2026-11-30T03:00:00Z", "reason": "Due", "attempt": "a-1"},
                "history": (0..count).map(entry).collect::<Vec<_>>(),
            },
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn rotations_since_then_are_shown_and_the_last_one_with_its_attempt() {
        let since: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let rows: Vec<_> = past(5).rows(Kind::ApiApp, since).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].attempt.as_deref(), Some("a-1"));
        assert_eq!(rows[1].attempt, None);
    }

    #[test]
    fn with_a_standby_a_rotation_has_no_dark_window() {
        let mut past = past(2);
        past.status.history[0].app_id = Some("2".to_owned());
        let rows: Vec<_> = past.rows(Kind::ApiApp, Timestamp::MIN).collect();
        let dark = |row: &Row| row.dark_window_milliseconds;
        assert_eq!((dark(&rows[0]), dark(&rows[1])), (None, Some(350)));
    }

    #[test]
    fn it_is_said_where_the_status_may_have_lost_some() {
        let all = Timestamp::MIN;
        assert!(!past(9).may_have_more(all));
        assert!(past(10).may_have_more(all));
        assert!(!past(10).may_have_more("2026-11-25T00:00:00Z".parse().unwrap()));
    }
}
