//! Compares ZITADEL's journal with the operator's audit records and the answers that were lost. Does no I/O.

use serde_json::Value;

use super::client::Change;
use super::cutter::Lost;
use super::table::Row;

/// What is known of one application.
#[derive(Default)]
pub struct Evidence {
    /// New client secrets in its journal.
    pub changes: Vec<Change>,
    /// The operator's audit records about it.
    pub records: Vec<Record>,
    /// The answers about it that the operator never saw.
    pub lost: Vec<Lost>,
}

/// An audit record, as far as it counts here.
#[derive(Clone, Debug)]
pub struct Record {
    /// Such as `Success`.
    pub result: String,
    /// That of the answer. There is none over API v2.
    pub sequence: Option<u64>,
}

impl Record {
    /// The records of a log that are about an application.
    pub fn about(log: &[Value], app: &str) -> Vec<Self> {
        let mine = log.iter().filter(|record| record["app"] == app);
        let read = |record: &Value| Self {
            result: record["result"].as_str().unwrap_or_default().to_owned(),
            sequence: record["sequence"].as_u64(),
        };
        mine.map(read).collect()
    }

    fn succeeded(&self) -> bool {
        ["Success", "SuccessWithoutSequence"].contains(&self.result.as_str())
    }
}

/// What remains when everything that explains each other is taken away.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// New client secrets of the operator's user in the journal.
    pub own: usize,
    /// Those of other users.
    pub foreign: usize,
    /// Own ones with an audit record of their success.
    pub recorded: usize,
    /// Own ones whose answer was lost.
    pub lost: usize,
    /// Own ones that nothing explains.
    pub unexplained: usize,
    /// Audit records of a success that the journal does not have.
    pub without_change: usize,
    /// Lost answers of calls that the journal does not have.
    pub lost_without_change: usize,
    /// Audit records of an unknown outcome beyond the answers that were lost.
    pub unknown_without_loss: usize,
}

/// Compares what is known of one application.
pub fn compare(evidence: &Evidence, user: &str) -> Verdict {
    let (mut own, foreign): (Vec<&Change>, Vec<&Change>) = evidence
        .changes
        .iter()
        .partition(|change| change.editor == user);
    let mut verdict = Verdict {
        own: own.len(),
        foreign: foreign.len(),
        ..Verdict::default()
    };
    for lost in &evidence.lost {
        match own.iter().position(|change| change.date == lost.date) {
            Some(at) => {
                own.remove(at);
                verdict.lost += 1;
            }
            None => verdict.lost_without_change += 1,
        }
    }
    // NB: a record without a sequence explains any change that is left; those with one choose first.
    let mut successes: Vec<&Record> = evidence.records.iter().filter(|r| r.succeeded()).collect();
    successes.sort_by_key(|record| record.sequence.is_none());
    for record in successes {
        let fits = |change: &&Change| record.sequence.is_none_or(|known| known == change.sequence);
        match own.iter().position(fits) {
            Some(at) => {
                own.remove(at);
                verdict.recorded += 1;
            }
            None => verdict.without_change += 1,
        }
    }
    verdict.unexplained = own.len();
    let unknown = evidence.records.iter().filter(|r| r.result == "Unknown");
    verdict.unknown_without_loss = unknown.count().saturating_sub(evidence.lost.len());
    verdict
}

impl Verdict {
    /// Of all applications.
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, one| Self {
            own: sum.own + one.own,
            foreign: sum.foreign + one.foreign,
            recorded: sum.recorded + one.recorded,
            lost: sum.lost + one.lost,
            unexplained: sum.unexplained + one.unexplained,
            without_change: sum.without_change + one.without_change,
            lost_without_change: sum.lost_without_change + one.lost_without_change,
            unknown_without_loss: sum.unknown_without_loss + one.unknown_without_loss,
        })
    }

    /// Its part of the table, where `lost` answers were lost.
    pub fn rows(&self, lost: usize) -> Vec<Row> {
        vec![
            Row::new(
                "new secrets in the journal with an audit record",
                self.own,
                self.own.saturating_sub(lost),
                self.recorded,
            ),
            Row::new(
                "new secrets in the journal whose answer was lost",
                self.own,
                lost,
                self.lost,
            ),
            Row::new(
                "new secrets in the journal without either",
                self.own,
                0,
                self.unexplained,
            ),
            Row::new("new secrets of other users", self.foreign, 0, self.foreign),
            Row::new(
                "audit records of a success that the journal lacks",
                self.recorded + self.without_change,
                0,
                self.without_change,
            ),
            Row::new(
                "lost answers of calls that the journal lacks",
                lost,
                0,
                self.lost_without_change,
            ),
            Row::new(
                "audit records of an unknown outcome beyond lost answers",
                lost,
                0,
                self.unknown_without_loss,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn change(sequence: u64, editor: &str) -> Change {
        let date = Timestamp::from_second(i64::try_from(sequence).unwrap()).unwrap();
        let editor = editor.to_owned();
        Change {
            sequence,
            date,
            editor,
        }
    }

    fn record(result: &str, sequence: Option<u64>) -> Record {
        let result = result.to_owned();
        Record { result, sequence }
    }

    fn evidence() -> Evidence {
        let lost = change(2, "operator");
        Evidence {
            changes: vec![change(1, "operator"), lost.clone(), change(3, "operator")],
            records: vec![
                record("Success", Some(1)),
                record("Unknown", None),
                record("Success", Some(3)),
                record("NotExecuted", None),
            ],
            lost: vec![Lost {
                app: "7".to_owned(),
                date: lost.date,
            }],
        }
    }

    fn failed(evidence: &Evidence) -> Vec<&'static str> {
        let rows = compare(evidence, "operator").rows(evidence.lost.len());
        let failed = rows.into_iter().filter(|row| !row.holds());
        failed.map(|row| row.what).collect()
    }

    #[test]
    fn what_explains_each_other_leaves_nothing() {
        assert_eq!(failed(&evidence()), Vec::<&str>::new());
    }

    #[test]
    fn over_api_v2_records_without_a_sequence_count() {
        let mut evidence = evidence();
        for record in &mut evidence.records {
            record.sequence = None;
        }
        assert_eq!(failed(&evidence), Vec::<&str>::new());
        evidence.records.pop();
        evidence.records.pop();
        assert_eq!(compare(&evidence, "operator").unexplained, 1);
    }

    #[test]
    fn each_thing_that_is_missing_or_too_many_is_found() {
        let found = |spoil: fn(&mut Evidence)| {
            let mut evidence = evidence();
            spoil(&mut evidence);
            let failed = failed(&evidence);
            assert!(!failed.is_empty());
            failed.last().copied().unwrap()
        };
        let without_record = found(|evidence| drop(evidence.records.remove(0)));
        assert!(without_record.ends_with("without either"));
        let without_change = found(|evidence| drop(evidence.changes.remove(0)));
        assert!(without_change.ends_with("a success that the journal lacks"));
        let foreign = found(|evidence| evidence.changes.push(change(4, "another")));
        assert!(foreign.ends_with("of other users"));
        let not_executed = found(|evidence| drop(evidence.changes.remove(1)));
        assert!(not_executed.ends_with("of calls that the journal lacks"));
        let unknown = found(|evidence| evidence.records.push(record("Unknown", None)));
        assert!(unknown.ends_with("beyond lost answers"));
    }
}
