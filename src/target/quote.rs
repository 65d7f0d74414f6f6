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

/// A URL in quotes, unless it may have a password or a token in it. Behind a colon there may be a port: `https://me:password` has one where
/// the host was forgotten.
pub fn url(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let port = host.split_once(':').map_or("", |(_, port)| port);
    let is_port = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_safe = is_port && !scheme.contains(':') && !path.contains(':');
    if is_safe && !text.contains(['@', '%', '?', '#']) {
        value(text)
    } else {
        "the URL".to_owned()
    }
}

/// A refusal that begins with the path of a field, such as `spec.rotation.windows[name=nightly].timeZone is …`, with the field's value
/// after it.
pub fn refusal(refusal: &str, object: &Value) -> String {
    let in_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '[' | ']' | '=' | '-');
    let end = refusal.find(|c: char| !in_path(c));
    let (path, rest) = refusal.split_at(end.unwrap_or(refusal.len()));
    match field(object, path) {
        Some(Value::String(text)) => format!("{path} {}{rest}", value(text)),
        Some(Value::Number(number)) => format!("{path} {number}{rest}"),
        _ => refusal.to_owned(),
    }
}

/// The value at a path. An item of a list is given by its index or its name.
fn field<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[']).try_fold(object, |value, segment| {
        let segment = segment.trim_end_matches(']');
        match segment.strip_prefix("name=") {
            Some(name) => value.as_array()?.iter().find(|item| item["name"] == name),
            None => value.pointer(&format!("/{segment}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_value_of_the_field_that_is_refused_is_quoted() {
        let window = |name: &str, zone: &str| json!({"name": name, "schedule": "0 25 * * *", "timeZone": zone});
        let windows = [window("daily", "UTC"), window("by-night", "CEST")];
        let rotation = json!({"interval": "30 days", "jitterPercent": 70, "windows": windows});
        let object = json!({"spec": {"appId": "a\nb", "rotation": rotation}});
        for (given, expected) in [
            (
                "spec.rotation.interval has x",
                "spec.rotation.interval \"30 days\" has x",
            ),
            (
                "spec.rotation.windows[1].timeZone is not known",
                "spec.rotation.windows[1].timeZone \"CEST\" is not known",
            ),
            (
                "spec.rotation.windows[name=by-night].timeZone is not known",
                "spec.rotation.windows[name=by-night].timeZone \"CEST\" is not known",
            ),
            (
                "spec.rotation.windows[name=gone].timeZone is not known",
                "spec.rotation.windows[name=gone].timeZone is not known",
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
            assert_eq!(refusal(given, &object), expected);
        }
        let long = value(&"ä".repeat(100_000));
        assert!(long.chars().count() < 70 && long.ends_with("…\""), "{long}");
    }

    #[test]
    fn a_url_is_quoted_where_no_part_of_it_can_be_a_password() {
        for shown in [
            "https://a/b",
            "https://a:8443",
            "http://a:80/b",
            "ftp://a",
            "https://",
            "a",
            "a:99999",
        ] {
            assert_eq!(url(shown), format!("{shown:?}"));
        }
        for hidden in [
            "https://me:pw@a",
            "https://me:pw",
            "https://me:pw/",
            "https://me:1pw",
            "me:pw",
            "me:pw://a",
            "https://me/b:pw",
            "https://me:80:pw",
            "https://me:123456",
            "https://me%3Apw%40a",
            "https://a?token",
            "https://a#token",
        ] {
            assert_eq!(url(hidden), "the URL", "{hidden}");
        }
    }
}
