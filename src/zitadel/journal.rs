//! The journal: ZITADEL's list of changes of an application, with time and editor. No I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::wire;
use crate::ids::{Sequence, UserId};

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A new secret was generated.
    SecretChanged,
    /// The stored hash was renewed after a successful check. The secret stays the same.
    SecretUpdated,
    /// The application was created, with a secret if it authenticates with one.
    Created,
    /// Anything else: renamed, deactivated, …
    Other,
}

impl ChangeKind {
    fn of(key: &str) -> Self {
        match key {
            "EventTypes.project.application.config.api.secret.changed"
            | "EventTypes.project.application.config.oidc.secret.changed" => Self::SecretChanged,
            "EventTypes.project.application.config.api.secret.updated"
            | "EventTypes.project.application.config.oidc.secret.updated" => Self::SecretUpdated,
            "EventTypes.project.application.config.api.added"
            | "EventTypes.project.application.config.oidc.added" => Self::Created,
            _ => Self::Other,
        }
    }
}

/// One journal entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The event's number in the project.
    pub sequence: Sequence,
    /// The time of the change, by ZITADEL's clock.
    pub change_date: Timestamp,
    /// The editor, if ZITADEL names one.
    pub editor: Option<UserId>,
    /// The kind of change.
    pub kind: ChangeKind,
}

/// One page of the journal.
#[derive(Debug)]
pub struct ChangePage {
    /// The number of items, readable or not.
    pub len: usize,
    /// The readable ones.
    pub changes: Vec<Change>,
}

/// Parses a page. `None` if it is not a journal, or if an entry about a secret is unreadable: omitting it would hide a rotation.
/// Other unreadable entries are omitted.
pub fn parse_page(body: &[u8]) -> Option<ChangePage> {
    let items = wire::result_items(body)?;
    let mut changes = Vec::with_capacity(items.len());
    for item in &items {
        let key = item
            .pointer("/eventType/key")
            .and_then(Value::as_str)
            .unwrap_or("");
        let kind = ChangeKind::of(key);
        match (change(item, kind), kind) {
            (Some(change), _) => changes.push(change),
            (None, ChangeKind::Created | ChangeKind::Other) => {}
            (None, ChangeKind::SecretChanged | ChangeKind::SecretUpdated) => return None,
        }
    }
    Some(ChangePage {
        len: items.len(),
        changes,
    })
}

fn change(item: &Value, kind: ChangeKind) -> Option<Change> {
    let editor = item.get("editorId").and_then(Value::as_str);
    Some(Change {
        sequence: wire::sequence(item.get("sequence")?)?,
        change_date: wire::timestamp(item.get("changeDate")?)?,
        editor: editor.and_then(|editor| UserId::try_from(editor).ok()),
        kind,
    })
}

/// Sorts entries, each sequence once; a new secret takes precedence over another entry with the same sequence.
pub fn in_order(changes: Vec<Change>) -> Vec<Change> {
    let mut ordered = BTreeMap::new();
    for change in changes {
        match ordered.get(&change.sequence) {
            Some(known) if !outranks(&change, known) => {}
            _ => drop(ordered.insert(change.sequence, change)),
        }
    }
    ordered.into_values().collect()
}

fn outranks(change: &Change, known: &Change) -> bool {
    change.kind == ChangeKind::SecretChanged && known.kind != ChangeKind::SecretChanged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn item(sequence: &Value, key: &str) -> Value {
        json!({"changeDate": "2026-11-23T13:08:27.315830Z", "sequence": sequence, "editorId": "5",
            "eventType": {"key": format!("EventTypes.project.application.{key}"), "localizedMessage": "x"}})
    }

    fn page(items: &[Value]) -> Option<ChangePage> {
        parse_page(json!({ "result": items }).to_string().as_bytes())
    }

    #[test]
    fn unordered_and_repeated_entries_come_out_ascending_and_once() {
        let items = vec![
            item(&json!("9"), "config.api.secret.changed"),
            item(&json!("3"), "config.api.added"),
            item(&json!("9"), "config.api.secret.changed"),
            item(&json!("5"), "changed"),
            item(&json!("5"), "config.api.secret.changed"),
            item(&json!("7"), "config.api.secret.updated"),
        ];
        let changes = in_order(page(&items).unwrap().changes);
        let read: Vec<_> = changes.iter().map(|c| (c.sequence.0, c.kind)).collect();
        assert_eq!(
            read,
            [
                (3, ChangeKind::Created),
                (5, ChangeKind::SecretChanged),
                (7, ChangeKind::SecretUpdated),
                (9, ChangeKind::SecretChanged)
            ]
        );
        assert_eq!(changes[1].editor.as_ref().unwrap().as_str(), "5");
    }

    #[test]
    fn an_empty_journal_is_one_without_result() {
        assert_eq!(page(&[]).unwrap().len, 0);
        assert_eq!(parse_page(b"{}").unwrap().len, 0);
    }

    #[test]
    fn garbage_is_omitted_unless_it_could_hide_a_rotation() {
        let garbage = vec![
            json!(null),
            json!(7),
            json!({}),
            json!({"eventType": null}),
            item(&json!("-1"), "changed"),
            item(&json!("4"), "config.api.secret.changed"),
        ];
        let page_read = page(&garbage).unwrap();
        assert_eq!((page_read.len, page_read.changes.len()), (6, 1));

        let mut undated = item(&json!("4"), "config.api.secret.changed");
        undated["changeDate"] = json!("soon");
        for hiding in [undated, item(&json!("x"), "config.api.secret.changed")] {
            assert!(page(&[hiding]).is_none());
        }
    }

    #[test]
    fn an_editor_that_is_not_an_id_is_unknown() {
        for bad in [json!("a/b"), json!(7), json!(null)] {
            let mut item = item(&json!("4"), "config.api.secret.changed");
            item["editorId"] = bad;
            assert_eq!(page(&[item]).unwrap().changes[0].editor, None);
        }
    }

    #[test]
    fn another_answer_is_no_journal() {
        for bad in [
            "",
            "null",
            "[]",
            r#"{"result":7}"#,
            r#"{"result":[}"#,
            "<html>",
        ] {
            assert!(parse_page(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_journal_or_not(body in any::<Vec<u8>>()) {
            parse_page(&body);
        }

        #[test]
        fn the_order_does_not_depend_on_the_order_of_arrival(mut sequences in prop::collection::vec(1u64..50, 0..30)) {
            let changes = |sequences: &[u64]| {
                let items = sequences.iter().map(|s| item(&json!(s), "config.api.secret.changed")).collect::<Vec<_>>();
                in_order(page(&items).unwrap().changes)
            };
            let once = changes(&sequences);
            prop_assert!(once.windows(2).all(|w| w[0].sequence < w[1].sequence));
            sequences.reverse();
            prop_assert_eq!(once, changes(&sequences));
        }
    }
}
