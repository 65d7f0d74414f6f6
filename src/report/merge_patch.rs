//! The patch that writes a status. No I/O.

use serde::Serialize;
use serde_json::{Map, Value as Json};

/// The JSON merge patch that turns one status into another: only the fields that differ, at whatever depth, those that are gone as null.
/// Fields that this version does not know are in neither, and stay as they are.
pub fn merge_patch<T: Serialize>(before: &T, after: &T) -> Json {
    let object = |status: &T| match serde_json::to_value(status) {
        Ok(Json::Object(fields)) => fields,
        // NB: a status serialises as an object, always.
        _ => Map::new(),
    };
    Json::Object(difference(&object(before), object(after)))
}

fn difference(before: &Map<String, Json>, after: Map<String, Json>) -> Map<String, Json> {
    let gone: Vec<String> = before
        .keys()
        .filter(|field| !after.contains_key(*field))
        .cloned()
        .collect();
    let changed = after.into_iter().filter_map(|(field, value)| {
        let value = match (before.get(&field), value) {
            (Some(was), value) if *was == value => return None,
            (Some(Json::Object(was)), Json::Object(is)) => Json::Object(difference(was, is)),
            (_, value) => value,
        };
        Some((field, value))
    });
    let gone = gone.into_iter().map(|field| (field, Json::Null));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{AppSecretStatus, HistoryEntry, LastRotation, Outcome};

    fn status(text: Json) -> AppSecretStatus {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_patch_takes_away_what_is_gone_at_any_depth_and_touches_nothing_that_is_the_same() {
        let rotation = |more: Json| {
            let mut all = json!({"time": "2027-01-01T00:00:00Z", "reason": "Due", "attempt": "a"});
            all.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            all
        };
        let before = status(json!({
            "sequence": "7",
            "clientId": "c",
            "lastRotation": rotation(json!({"darkWindowMilliseconds": 12})),
        }));
        let after = status(json!({
            "sequence": "7",
            "lastRotation": rotation(json!({"reason": "Trigger"})),
        }));
        assert_eq!(
            merge_patch(&before, &after),
            json!({"clientId": null, "lastRotation": {"reason": "Trigger", "darkWindowMilliseconds": null}})
        );
        assert_eq!(merge_patch(&after, &after), json!({}));
    }

    #[test]
    fn a_patch_leaves_what_a_later_version_wrote_outside_of_lists_where_it_is() {
        let stored = include_str!("../../tests/fixtures/object-of-a-later-version.json");
        let stored: Json = serde_json::from_str(stored).unwrap();
        let mut merged = stored["status"].clone();
        let before = status(merged.clone());
        let mut after = before.clone();
        after.sequence = Some("9".to_owned());
        after.last_rotation = after.last_rotation.map(|last| LastRotation {
            reason: "Trigger".to_owned(),
            ..last
        });
        after.history.insert(
            0,
            HistoryEntry {
                outcome: Outcome::Published.as_str().to_owned(),
                ..after.history[0].clone()
            },
        );
        json_patch(&mut merged, &merge_patch(&before, &after));
        assert_eq!(merged["lastRotation"]["added"], 1);
        assert_eq!(merged["lastRotation"]["reason"], "Trigger");
        assert_eq!(merged["attempt"], stored["status"]["attempt"]);
        assert_eq!(merged["previous"], stored["status"]["previous"]);
        assert_eq!(merged["history"][1], stored["status"]["history"][0]);
        assert_eq!(merged["conditions"], stored["status"]["conditions"]);
    }

    /// RFC 7386, as the API server has it.
    fn json_patch(target: &mut Json, patch: &Json) {
        let Some(fields) = patch.as_object() else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        for (field, value) in fields {
            if value.is_null() {
                target.as_object_mut().unwrap().remove(field);
            } else {
                json_patch(&mut target[field], value);
            }
        }
    }
}
