//! `spec.rotation.trigger`: what is written there to rotate once more, and why. No I/O.

use std::time::Duration;

use jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use crate::api::{AppSecret, seconds};
use crate::rotation::schedule::interval::later;

/// The longest trigger: `maxLength` of its schema.
const LONGEST: usize = 128;
/// What stands before the reason in a trigger: a time and a space.
const TIME: usize = "2026-11-30T18:50:01Z ".len();

/// Reads a reason: what can stand in a trigger, and is short enough.
pub fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("write why, such as 'leak of a laptop, INC-1234'".to_owned());
    }
    let is_printable = |c: char| c == ' ' || c.is_ascii_graphic();
    if let Some(c) = text.chars().find(|c| !is_printable(*c)) {
        return Err(format!(
            "it becomes part of spec.rotation.trigger, which is one line of printable ASCII characters: leave out {:?}",
            c.to_string()
        ));
    }
    let most = LONGEST - TIME;
    if text.len() > most {
        return Err(format!(
            "it has {} characters, and {most} fit into spec.rotation.trigger",
            text.len()
        ));
    }
    Ok(text.to_owned())
}

/// A trigger that the object has not had.
pub fn trigger(reason: &str, object: &AppSecret, now: Timestamp) -> String {
    let status = object.status.as_ref();
    let had = [
        object.spec.trigger(),
        status.and_then(|status| status.observed_trigger.as_deref()),
    ];
    let mut time = seconds(now);
    loop {
        let trigger = format!("{time} {reason}");
        if !had.contains(&Some(trigger.as_str())) {
            return trigger;
        }
        time = later(time, Duration::from_secs(1));
    }
}

/// The change of the object that rotates it.
pub fn change(object: &AppSecret, trigger: &str) -> Value {
    json!({
        "apiVersion": AppSecret::api_version(&object.kind),
        "kind": object.kind,
        "metadata": {"name": object.name_any(), "namespace": object.namespace()},
        "spec": {"rotation": {"trigger": trigger}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(trigger: Option<&str>) -> AppSecret {
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "OidcAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"},
            "spec": {"projectId": "1", "appId": "2", "rotation": {"trigger": trigger}},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_reason_is_refused_before_the_api_server_would_refuse_the_trigger() {
        assert_eq!(reason("  leak, INC-1  "), Ok("leak, INC-1".to_owned()));
        let longest = "x".repeat(LONGEST - TIME);
        let now = "2026-11-30T18:50:01.5Z".parse().unwrap();
        assert_eq!(trigger(&longest, &object(None), now).len(), LONGEST);
        for wrong in [
            "",
            "  ",
            "a\nb",
            "Schlüssel",
            "\u{1b}[2J",
            &format!("{longest}x"),
        ] {
            assert!(reason(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_trigger_is_never_one_that_the_object_has() {
        let now = "2026-11-30T18:50:01.5Z".parse().unwrap();
        let first = trigger("leak", &object(None), now);
        assert_eq!(first, "2026-11-30T18:50:01Z leak");
        let second = trigger("leak", &object(Some(&first)), now);
        assert_eq!(second, "2026-11-30T18:50:02Z leak");
    }

    #[test]
    fn the_change_to_commit_names_the_object() {
        let change = change(&object(None), "t");
        assert_eq!(change["kind"], "OidcAppSecret");
        assert_eq!(change["apiVersion"], "zitadel-secrets.dev/v1alpha1");
        assert_eq!(
            change["metadata"],
            json!({"name": "api", "namespace": "orders"})
        );
    }
}
