//! Quotes the value that a refused field has. No I/O.

use serde_json::Value;

/// More of a value is left out.
const LONGEST: usize = 60;

/// A value in quotes, cut where it is long; control characters are escaped.
pub fn value(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{:?}", start + "…")
}

/// A URL in quotes, unless it may have a password or a token in it.
pub fn url(text: &str) -> String {
    if text.contains(['@', '?', '#']) {
        "the URL".to_owned()
    } else {
        value(text)
    }
}

/// A refusal that begins with the path of a field, such as `spec.rotation.windows[0].timeZone is …`, with the field's value after it.
pub fn refusal(refusal: &str, object: &Value) -> String {
    let end = refusal.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '[' | ']')));
    let (path, rest) = refusal.split_at(end.unwrap_or(refusal.len()));
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    match object.pointer(&pointer) {
        Some(Value::String(text)) => format!("{path} {}{rest}", value(text)),
        Some(Value::Number(number)) => format!("{path} {number}{rest}"),
        _ => refusal.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_value_of_the_field_that_is_refused_is_quoted() {
        let window = json!({"schedule": "0 25 * * *", "timeZone": "CEST"});
        let rotation = json!({"interval": "30 days", "jitterPercent": 70, "windows": [window]});
        let object = json!({"spec": {"appId": "a\nb", "rotation": rotation}});
        for (given, told) in [
            (
                "spec.rotation.interval has x",
                "spec.rotation.interval \"30 days\" has x",
            ),
            (
                "spec.rotation.windows[0].timeZone is not known",
                "spec.rotation.windows[0].timeZone \"CEST\" is not known",
            ),
            (
                "spec.rotation.jitterPercent is not between",
                "spec.rotation.jitterPercent 70 is not between",
            ),
            ("spec.appId has", "spec.appId \"a\\nb\" has"),
            ("spec.rotation: no", "spec.rotation: no"),
            ("spec.secret.name must", "spec.secret.name must"),
            ("", ""),
        ] {
            assert_eq!(refusal(given, &object), told);
        }
        let long = value(&"ä".repeat(100_000));
        assert!(long.chars().count() < 70 && long.ends_with("…\""), "{long}");
        assert_eq!(url("https://me:pw@a"), "the URL");
        assert_eq!(url("https://a/b"), "\"https://a/b\"");
    }
}
