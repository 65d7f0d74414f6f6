//! Refusals that people read: they quote the value beside an example, and show no password.

use serde_json::json;

use crate::kinds::{Kind, standby};

#[tokio::test]
async fn what_people_often_get_wrong_is_quoted_beside_an_example_and_not_beside_a_pattern() {
    let kind = Kind::app_secrets("sentences").await;
    let window = |schedule: &str, zone: &str, duration: &str| {
        let window =
            json!([{"name": "w", "schedule": schedule, "timeZone": zone, "duration": duration}]);
        vec![("rotation.windows", window)]
    };
    let at_three = "0 3 * * *";
    let duration = "is not a duration: write whole numbers with the units w, d, h, m and s, each at most once and from large to small, such as 30d, 1d12h or 1h30m";
    let schedule = "is not a schedule: write the five cron fields minute, hour, day of the month, month and weekday, such as 0 3 * * * for every day at 03:00";
    let zone = "is not the name of a time zone: use an IANA name such as Europe/Zurich";
    let mut cases = Vec::new();
    for bad in [
        "30 days", "1.5h", "1h1d", "@daily", "30", "P30D", "1mo", "-1d", "30D", "",
    ] {
        let quoted = format!("\"{bad}\" {duration}");
        for field in ["rotation.interval", "rotation.overlap.minimum"] {
            let both = vec![(field, json!(bad)), ("standby", standby("3"))];
            cases.push((both, quoted.clone()));
        }
        cases.push((window(at_three, "UTC", bad), quoted));
    }
    for bad in ["@daily", "@every 1h", "0 3 * *", "0 0 3 * * *", "daily", ""] {
        let quoted = format!("\"{bad}\" {schedule}");
        cases.push((window(bad, "UTC", "1h"), quoted));
    }
    for bad in [
        "CEST",
        "cest",
        "PDT",
        "GMT+2",
        "UTC+1",
        "Zürich",
        "Europe Zurich",
        "",
    ] {
        let quoted = format!("\"{bad}\" {zone}");
        cases.push((window(at_three, bad, "1h"), quoted));
    }
    let zero = |text: &str| format!("\"0s\" must be longer than 0s, such as {text}");
    cases.push((vec![("rotation.interval", json!("0s"))], zero("30d")));
    cases.push((window(at_three, "UTC", "0s"), zero("2h")));
    let same = "standby.appId must be another application than appId: both are \"2\"".to_owned();
    cases.push((vec![("standby", standby("2"))], same));
    let id = "is not an id: copy it from ZITADEL, such as 123456789012345678";
    for field in ["organizationId", "projectId", "appId"] {
        for bad in ["", "my project", "a/b"] {
            cases.push((vec![(field, json!(bad))], format!("\"{bad}\" {id}")));
        }
    }
    for (field, bad, text) in [
        (
            "secret.name",
            "My_Secret",
            "is not the name of a Kubernetes object",
        ),
        (
            "connectionRef.name",
            "a/b",
            "is not the name of a Kubernetes object",
        ),
        ("secret.type", "a b", "is not a type of a Secret"),
        ("rotation.trigger", "é", "is not a trigger"),
    ] {
        cases.push((vec![(field, json!(bad))], format!("\"{bad}\" {text}")));
    }
    let entry = json!([{"key": "client secret", "from": "ClientSecret"}]);
    let text = "\"client secret\" is not a key of a Secret: write letters".to_owned();
    cases.push((vec![("secret.data", entry)], text));
    let reserved = "has a reserved name: zitadel-secrets.dev/, kubernetes.io/";
    for (field, what, name) in [
        ("secret.labels", "label", "app.kubernetes.io/managed-by"),
        ("secret.labels", "label", "zitadel-secrets.dev/managed"),
        ("secret.annotations", "annotation", "node.k8s.io/x"),
    ] {
        let object = json!({"aa": "x", name: "y", "zz": "x"});
        let text = format!("the {what} \"{name}\" {reserved}");
        cases.push((vec![(field, object)], text));
    }
    for (field, what) in [
        ("secret.labels", "a label"),
        ("secret.annotations", "an annotation"),
    ] {
        for bad in ["", "team name", "-a", "a/b/c", "Example.com/a"] {
            let (_, noun) = what.split_once(' ').unwrap();
            let text = format!("the {noun} \"{bad}\": the name of {what} must be up to 63 letters");
            cases.push((vec![(field, json!({"aa": "x", bad: "y"}))], text));
        }
    }
    for bad in ["b c", "-b", "a/b", "é"] {
        let text = format!(
            "the label \"team\" has the value \"{bad}\": the value of a label must be empty or up to 63 letters"
        );
        let object = json!({"aa": "x", "team": bad});
        cases.push((vec![("secret.labels", object)], text));
    }
    // A value with a line break cannot be quoted.
    cases.push((
        vec![("rotation.interval", json!("1d\n"))],
        duration.to_owned(),
    ));
    kind.sentences(cases).await;
    kind.accepts(vec![
        window("  0\t3 * * MON-FRI ", "utc", "90m"),
        window("*/5 1-3 15W JAN 5#2", "EST5EDT", "1h"),
        window(at_three, "America/Argentina/Buenos_Aires", "1h"),
        window(at_three, "Etc/GMT+1", "1h"),
    ])
    .await;

    let connections = Kind::connections().await;
    let mut cases = Vec::new();
    for (field, example) in [
        ("url", "https://iam.example.com"),
        ("endpoint", "https://zitadel.zitadel.svc:8443"),
    ] {
        for bad in [
            "https://iam.example.com/ui/console",
            "https://iam.example.com/.well-known/openid-configuration",
            "https://iam.example.com//",
            "https://iam.example.com?x",
            "iam.example.com",
            "https://",
        ] {
            let text = format!(
                "\"{bad}\" is not a scheme and a host with an optional port: write only those, without a path, such as {example}"
            );
            cases.push((vec![(field, json!(bad))], text));
        }
        let text = format!(
            "must not contain a user name or a password: write only a scheme and a host with an optional port, such as {example}"
        );
        cases.push((vec![(field, json!("https://me:pw@iam.example.com"))], text));
    }
    let url = |url: &str| vec![("proxy", json!({ "url": url }))];
    for bad in [
        "proxy.example.com:3128",
        "socks5://proxy:1080",
        "http://proxy:3128/path",
        "http://proxy example:3128",
    ] {
        let text = format!(
            "\"{bad}\" is not the address of an HTTP proxy, such as http://proxy.example.com:3128"
        );
        cases.push((url(bad), text));
    }
    let bundle = json!({"url": "http://proxy:3128", "caBundle": {"secretKeyRef": {"name": "a", "key": "b"}}});
    let text = "proxy.caBundle is for a proxy with an https:// URL, and proxy.url is \"http://proxy:3128\"; the authorities";
    cases.push((vec![("proxy", bundle)], text.to_owned()));
    for bad in ["*.example.com", "zitadel:8080", "https://zitadel", "a,b"] {
        let proxy = json!({"url": "http://proxy:3128", "noProxy": ["10.0.0.0/8", bad, "*"]});
        let text =
            format!("proxy.noProxy: \"{bad}\" is not a host: proxy.noProxy takes host names");
        cases.push((vec![("proxy", proxy)], text));
    }
    connections.sentences(cases).await;
}

#[tokio::test]
async fn an_address_that_may_have_a_password_in_it_is_refused_without_a_word_of_it() {
    let kind = Kind::connections().await;
    let bundle = json!({"secretKeyRef": {"name": "a", "key": "b"}});
    let mut cases = Vec::new();
    for password in [
        "http://me:hunter2@proxy:3128",
        "http://me:hunter2@",
        "me:hunter2@proxy",
        "http://me:hunter2",
        "https://me:hunter2",
        "https://me:hunter2/",
        "https://me:1hunter2",
        "https://me[:hunter2]",
        "http://me:hunter2%40proxy:3128",
        "http://me%3Ahunter2%40proxy:3128",
        "http://me:hunter2#proxy:3128",
        "http://me:hunter2 @proxy",
    ] {
        let both = json!({"url": password, "caBundle": bundle});
        let none = json!({"url": "http://proxy:3128", "noProxy": [password]});
        cases.push(vec![("proxy", json!({ "url": password }))]);
        cases.push(vec![("proxy", both)]);
        cases.push(vec![("url", json!(password))]);
        cases.push(vec![("endpoint", json!(password))]);
        if password.contains('@') {
            cases.push(vec![("proxy", none)]);
        }
    }
    for changes in cases {
        let refused = kind.judged(&changes).await.unwrap_err();
        assert!(refused.starts_with("422 "), "{changes:?}: {refused}");
        assert!(!refused.contains("hunter2"), "{changes:?}: {refused}");
        assert!(!refused.contains("failed rule"), "{changes:?}: {refused}");
    }
}
