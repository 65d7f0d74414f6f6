//! CEL rules of fields that people often get wrong: each refusal quotes the value and shows an example, instead of a pattern. No I/O.

use serde_json::{Value, json};

/// Time zones without a slash in the IANA database. Abbreviations such as CEST are not among them, and mean several zones each.
const PLAIN_ZONES: &str = "CET|CST6CDT|Cuba|EET|EST|EST5EDT|Egypt|Eire|GB|GB-Eire|GMT|GMT[+]0|GMT-0|GMT0|Greenwich|HST|Hongkong|Iceland|Iran|Israel|Jamaica|Japan|Kwajalein|Libya|MET|MST|MST7MDT|NZ|NZ-CHAT|Navajo|PRC|PST8PDT|Poland|Portugal|ROC|ROK|Singapore|Turkey|UCT|UTC|Universal|W-SU|WET|Zulu";

/// A rule whose refusal begins with the value. `text` may not contain a quote.
///
/// NB: an API server takes `message` where the expression fails, as it does for a value with a line break.
fn rule(rule: &str, text: &str) -> Value {
    json!({"rule": rule, "messageExpression": format!("'\"' + self + '\" {text}'"), "message": text})
}

/// A length of time, as `rotation::interval` reads it.
pub fn duration() -> Value {
    json!([spelled()])
}

/// A length of time that is not zero, with an example of one.
pub fn duration_above_zero(example: &str) -> Value {
    let zero = format!("must be longer than 0s, such as {example}");
    json!([spelled(), rule("!self.matches('^(0+[wdhms])+$')", &zero)])
}

fn spelled() -> Value {
    rule(
        "self != '' && self.matches('^([0-9]{1,6}w)?([0-9]{1,6}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$')",
        "is not a duration: write whole numbers with the units w, d, h, m and s, each at most once and from large to small, such as 30d, 1d12h or 1h30m",
    )
}

/// When a window opens: five fields of cron. What stands in them is for the operator to judge.
pub fn schedule() -> Value {
    json!([rule(
        r"self.matches('^\\s*[^@\\s]+(\\s+[^@\\s]+){4}\\s*$')",
        "is not a schedule: write the five cron fields minute, hour, day of the month, month and weekday, such as 0 3 * * * for every day at 03:00",
    )])
}

/// The name of a time zone. Whether there is one of that name is for the operator to judge.
pub fn time_zone() -> Value {
    let known = format!(
        "self.matches('^[A-Za-z0-9_+/-]+$') && (self.contains('/') || self.matches('(?i)^({PLAIN_ZONES})$'))"
    );
    json!([rule(
        &known,
        "is not the name of a time zone: use an IANA name such as Europe/Zurich",
    )])
}

/// The URL of a server, without a path. One with a user name, which may have a password, is not quoted.
pub fn origin(example: &str) -> Value {
    let spelled = r"self.matches('^https?://[A-Za-z0-9.\\[\\]:_-]+/?$')";
    let text = format!(
        "is not a scheme and a host with an optional port: write only those, without a path, such as {example}"
    );
    let password = "must not contain a user name or a password";
    json!([
        rule(&format!("self.contains('@') || {spelled}"), &text),
        {"rule": "!self.contains('@')", "message": format!("{password}: write only a scheme and a host with an optional port, such as {example}")},
    ])
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::PLAIN_ZONES;

    #[test]
    fn every_time_zone_without_a_slash_that_the_operator_knows_is_let_through() {
        let known: Vec<String> = PLAIN_ZONES
            .split('|')
            .map(|name| name.replace("[+]", "+").to_ascii_lowercase())
            .collect();
        let plain = TimeZoneDatabase::bundled();
        let plain: Vec<String> = plain
            .available()
            .map(|name| name.to_string())
            // NB: Factory is what a machine has that was never told its zone.
            .filter(|name| !name.contains('/') && !name.eq_ignore_ascii_case("Factory"))
            .collect();
        assert!(plain.iter().any(|name| name == "UTC"), "{plain:?}");
        for name in plain {
            let zone = TimeZoneDatabase::bundled().get(&name);
            let usable = zone.is_ok_and(|zone| !zone.is_unknown());
            assert!(
                !usable || known.contains(&name.to_ascii_lowercase()),
                "{name}"
            );
        }
    }
}
