//! CEL rules of fields that people often get wrong: each refusal quotes the value and shows an example, instead of a pattern. No I/O.

use serde_json::{Value, json};

use super::kind::Kind;

/// Time zones without a slash in the IANA database. Abbreviations such as CEST are not among them, and mean several zones each.
const PLAIN_ZONES: &str = "CET|CST6CDT|Cuba|EET|EST|EST5EDT|Egypt|Eire|GB|GB-Eire|GMT|GMT[+]0|GMT-0|GMT0|Greenwich|HST|Hongkong|Iceland|Iran|Israel|Jamaica|Japan|Kwajalein|Libya|MET|MST|MST7MDT|NZ|NZ-CHAT|Navajo|PRC|PST8PDT|Poland|Portugal|ROC|ROK|Singapore|Turkey|UCT|UTC|Universal|W-SU|WET|Zulu";

/// A rule whose refusal begins with the value. `text` may not contain a quote.
///
/// NB: an API server takes `message` where the expression fails, as it does for a value with a line break.
fn rule(rule: &str, text: &str) -> Value {
    json!({"rule": rule, "messageExpression": format!("'\"' + self + '\" {text}'"), "message": text})
}

/// An id as ZITADEL gives it.
pub fn id() -> Value {
    json!([spelled_id()])
}

/// An id that stays as it is. `field` is its name.
pub fn immutable_id(field: &str) -> Value {
    let changed = format!(
        "'{field} cannot be changed from \"' + oldSelf + '\" to \"' + self + '\": delete the object and create another'"
    );
    let message = format!("{field} cannot be changed: delete the object and create another");
    json!([
        spelled_id(),
        {"rule": "self == oldSelf", "messageExpression": changed, "message": message},
    ])
}

fn spelled_id() -> Value {
    rule(
        "self.matches('^[A-Za-z0-9_.-]+$')",
        "is not an id: copy it from ZITADEL, such as 123456789012345678",
    )
}

/// An id, or `*` for all.
pub fn granted_id() -> Value {
    json!([rule(
        "self == '*' || self.matches('^[A-Za-z0-9_.-]+$')",
        "is neither an id, such as 123456789012345678, nor * for all",
    )])
}

/// A kind of objects that can be granted.
pub fn granted_kind() -> Value {
    let kinds = Kind::ALL.map(Kind::as_str);
    let listed = kinds.map(|kind| format!("'{kind}'")).join(", ");
    let text = format!(
        "is not a kind that can be granted: write {}",
        kinds.join(" or ")
    );
    json!([rule(&format!("self in [{listed}]"), &text)])
}

/// The name of a Kubernetes object.
pub fn object_name(example: &str) -> Value {
    let text = format!(
        "is not the name of a Kubernetes object: write lower case letters, digits and -, in parts that are separated by single dots, such as {example}"
    );
    json!([rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        &text,
    )])
}

/// A name as that of a namespace: a label of DNS.
pub fn label_name(example: &str) -> Value {
    let text = format!(
        "is not a name: write lower case letters, digits and -, beginning and ending with a letter or digit, such as {example}"
    );
    json!([rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        &text
    )])
}

/// A key of a Secret or ConfigMap.
pub fn data_key() -> Value {
    json!([rule(
        "self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",
        "is not a key of a Secret: write letters, digits, -, _ and . only, such as CLIENT_SECRET",
    )])
}

/// The type of a Secret.
pub fn secret_type() -> Value {
    json!([
        rule(
            "self.matches('^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$')",
            "is not a type of a Secret: write Opaque, kubernetes.io/basic-auth or a type of your own, such as example.com/oauth",
        ),
        rule(
            "self == 'kubernetes.io/basic-auth' || !self.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/')",
            "must be Opaque, kubernetes.io/basic-auth or a type of your own: to the others Kubernetes gives a meaning, such as the token of a service account",
        ),
    ])
}

/// A trigger: text of one line.
pub fn trigger() -> Value {
    json!([rule(
        r"self.matches('^[\\x20-\\x7e]+$')",
        "is not a trigger: write one line of printable ASCII characters, such as 2026-11-leak",
    )])
}

/// A length of time, as `rotation::schedule::interval` reads it.
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

/// How long the previous credential keeps working: at least one end, and a limit only where something else ends it.
pub fn overlap() -> Value {
    json!([
        {
            "rule": "has(self.minimum) || (has(self.until) && self.until == 'ConsumersCurrent')",
            "message": "overlap.minimum is missing: write how long the previous credential keeps working, such as 1h, or set until: ConsumersCurrent",
        },
        {
            "rule": "!has(self.maximum) || (has(self.until) && self.until == 'ConsumersCurrent')",
            "message": "overlap.maximum limits the wait for consumers: it needs until: ConsumersCurrent",
        },
    ])
}

/// The group and version of workloads that can be restarted.
pub fn workload_version() -> Value {
    json!([rule(
        "self == 'apps/v1'",
        "is not the apiVersion of a workload that the operator can restart: write apps/v1",
    )])
}

/// The kind of workloads that can be restarted.
pub fn workload_kind() -> Value {
    json!([rule(
        "self in ['Deployment', 'StatefulSet', 'DaemonSet']",
        "is not a kind that the operator can restart: write Deployment, StatefulSet or DaemonSet",
    )])
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

/// Text of which no part can be a password. A URL without a host, or with the @ as %40, can have one after a colon.
const WITHOUT_PASSWORD: &str =
    r"matches('^([A-Za-z0-9+.-]+://)?[^:@%]*(:[0-9]{0,5})?([/?#][^:@%]*)?$')";

/// A scheme and a host with an optional port. NB: anything but digits after the colon may be a password.
const ORIGIN: &str =
    "self.matches('^https?://([A-Za-z0-9._-]+|[[][0-9A-Fa-f:.]+[]])(:[0-9]{1,5})?/?$')";

/// Rules of a URL, which quote the value only where no part of it can be a password.
///
/// NB: an API server prints the value of a text field beside whatever a rule says, but for the reason `FieldValueForbidden`.
fn address(spelled: &str, text: &str, with_user: &str) -> Value {
    let is_safe = format!("self.{WITHOUT_PASSWORD}");
    let hidden = |rule: &str, message: &str| json!({"rule": rule, "message": message, "reason": "FieldValueForbidden"});
    json!([
        hidden("!self.contains('@')", with_user),
        rule(
            &format!("self.contains('@') || {spelled} || !{is_safe}"),
            text
        ),
        hidden(
            &format!("self.contains('@') || {spelled} || {is_safe}"),
            &format!("the value, which is not shown because it may contain a password, {text}"),
        ),
    ])
}

/// The URL of a server, without a path.
pub fn origin(example: &str) -> Value {
    address(
        ORIGIN,
        &format!(
            "is not a scheme and a host with an optional port: write only those, without a path, such as {example}"
        ),
        &format!(
            "must not contain a user name or a password: write only a scheme and a host with an optional port, such as {example}"
        ),
    )
}

/// The URL of a forward proxy.
pub fn proxy_url() -> Value {
    address(
        ORIGIN,
        "is not the address of an HTTP proxy, such as http://proxy.example.com:3128: http or https, without a path",
        "proxy.url must not contain a user or password: store them as user:password in a Secret and name it in proxy.auth.secretKeyRef, such as {name: zitadel-proxy, key: auth}",
    )
}

/// The authorities of a proxy, for one that is reached over TLS.
pub fn proxy_ca_bundle() -> Value {
    let text = "proxy.caBundle is for a proxy with an https:// URL";
    let next = "the authorities of ZITADEL, or of a proxy that intercepts TLS, belong in spec.tls.caBundle";
    json!([{
        "rule": "!has(self.caBundle) || self.url.startsWith('https://')",
        "messageExpression": format!("'{text}' + (self.url.{WITHOUT_PASSWORD} ? ', and proxy.url is \"' + self.url + '\"' : '') + '; {next}'"),
        "message": format!("{text}; {next}"),
    }])
}

/// Hosts that are dialed directly, without a proxy.
pub fn no_proxy() -> Value {
    let known = "(h.matches('^[.]?[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$') || h.matches('^[0-9.]+/[0-9]{1,2}$') || h.matches('^[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/[0-9]{1,3})?$'))";
    json!([first(
        "h",
        known,
        "'proxy.noProxy: ' + (h.contains('@') ? 'a value' : '\"' + h + '\"') + ' is not a host'",
        "proxy.noProxy takes host names, domains, IP addresses and CIDR ranges, such as zitadel.internal, .svc.cluster.local, 10.0.0.5 or 10.0.0.0/8; a port or * cannot be given, and a name covers all names below it",
    )])
}

/// A rule of each member of a list, or name of a map, whose refusal begins with what is wrong with the first one that is refused.
fn first(member: &str, holds: &str, wrong: &str, text: &str) -> Value {
    json!({
        "rule": format!("self.all({member}, {holds})"),
        "messageExpression": format!("self.filter({member}, !({holds})).map({member}, {wrong})[0] + ': {text}'"),
        "message": text,
    })
}

/// What Kubernetes accepts as the name of a label or an annotation.
const NAME: &str = "k.size() <= 317 && k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')";
const NAME_TEXT: &str = "must be up to 63 letters, digits, -, _ and ., with a letter or digit at both ends; a domain and a slash may stand before it, such as example.com/team";

/// Labels for the Secret.
pub fn labels() -> Value {
    json!([
        first(
            "k",
            "!k.startsWith('zitadel-secrets.dev/') && (k.startsWith('app.kubernetes.io/') ? !k.startsWith('app.kubernetes.io/managed-by') : !k.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/'))",
            "'the label \"' + k + '\" has a reserved name'",
            "zitadel-secrets.dev/, kubernetes.io/, k8s.io/ and app.kubernetes.io/managed-by are not for labels of templates",
        ),
        first(
            "k",
            NAME,
            "'the label \"' + k + '\"'",
            &format!("the name of a label {NAME_TEXT}"),
        ),
        first(
            "k",
            "self[k].matches('^(|[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$')",
            "'the label \"' + k + '\" has the value \"' + self[k] + '\"'",
            "the value of a label must be empty or up to 63 letters, digits, -, _ and ., with a letter or digit at both ends",
        ),
    ])
}

/// Annotations for the Secret.
pub fn annotations() -> Value {
    json!([
        first(
            "k",
            "!k.startsWith('zitadel-secrets.dev/') && (k.startsWith('app.kubernetes.io/') || !k.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/'))",
            "'the annotation \"' + k + '\" has a reserved name'",
            "zitadel-secrets.dev/, kubernetes.io/ and k8s.io/ are not for annotations of templates",
        ),
        first(
            "k",
            NAME,
            "'the annotation \"' + k + '\"'",
            &format!("the name of an annotation {NAME_TEXT}"),
        ),
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
            // NB: Factory is the zone of a machine on which none was set.
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
