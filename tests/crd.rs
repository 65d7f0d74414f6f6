//! The custom resource definitions on a real API server: what they refuse, what they let through, how they print.
#![allow(
    clippy::struct_field_names,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Client, Resource as _};
use serde_json::{Value, json};
use support::controlplane::ControlPlane;
use support::world::PATIENCE;
use support::{data, eventually};
use tokio::sync::OnceCell;
use zitadel_secret_operator::api::{self, ApiAppSecret, ZitadelConnection};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")
}

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_zitadel-secret-operator"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_committed_definitions_are_what_the_program_prints_and_small() {
    let scratch = tempfile::tempdir().unwrap();
    printed(&["crd", "--output", scratch.path().to_str().unwrap()]);
    let names = |path: &Path| {
        let mut names: Vec<_> = path
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&directory()), names(scratch.path()));
    let mut all = String::new();
    for (name, _) in api::documents().unwrap() {
        let committed = std::fs::read_to_string(directory().join(&name)).unwrap();
        let made = std::fs::read_to_string(scratch.path().join(&name)).unwrap();
        assert!(
            committed == made,
            "crds/{name} is not what `zitadel-secret-operator crd` prints: run `cargo run -- crd --output crds`"
        );
        assert!(made.len() < 100_000, "{name} has {} bytes", made.len());
        all.push_str("---\n");
        all.push_str(&made);
    }
    assert!(
        printed(&["crd"]) == all,
        "with and without --output the same is printed"
    );
}

/// A cluster in which the committed files were installed as a person would.
async fn cluster() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = ControlPlane::shared().await;
    INSTALLED
        .get_or_init(|| async {
            let files = directory();
            let files = files.to_str().unwrap();
            let applied = cluster.kubectl(&["apply", "-f", files]);
            assert!(
                applied.status.success(),
                "{}",
                String::from_utf8_lossy(&applied.stderr)
            );
            let wait = [
                "wait",
                "--for=condition=Established",
                "--timeout=30s",
                "-f",
                files,
            ];
            let established = cluster.kubectl(&wait);
            assert!(
                established.status.success(),
                "{}",
                String::from_utf8_lossy(&established.stderr)
            );
        })
        .await;
    cluster
}

fn any_kind<K: kube::Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<K>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Sets the value at a path such as `secret.name`; null takes it away.
fn set(spec: &mut Value, path: &str, value: Value) {
    let mut place = spec;
    for part in path.split('.') {
        let object = match place {
            Value::Object(object) => object,
            other => {
                *other = json!({});
                other.as_object_mut().unwrap()
            }
        };
        place = object.entry(part).or_insert(Value::Null);
    }
    *place = value;
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(object) = value {
        object.retain(|_, inner| !inner.is_null());
        object.values_mut().for_each(without_nulls);
    }
}

struct Kind {
    api: Api<DynamicObject>,
    kind: &'static str,
    base: Value,
}

impl Kind {
    async fn app_secrets(prefix: &str) -> Self {
        let cluster = cluster().await;
        let namespace = cluster.fresh_namespace(prefix).await;
        let client = cluster.client().await;
        Self {
            api: any_kind::<ApiAppSecret>(&client, Some(&namespace)),
            kind: "ApiAppSecret",
            base: json!({"projectId": "1", "appId": "2"}),
        }
    }

    async fn connections() -> Self {
        let client = cluster().await.client().await;
        let base = json!({
            "url": "https://iam.example.com",
            "auth": {"serviceAccountKey": {"secretKeyRef": {"name": "key", "key": "key.json"}}},
        });
        Self {
            api: any_kind::<ZitadelConnection>(&client, None),
            kind: "ZitadelConnection",
            base,
        }
    }

    fn object(&self, name: &str, changes: &[(&str, Value)]) -> DynamicObject {
        let mut spec = self.base.clone();
        for (path, value) in changes {
            set(&mut spec, path, value.clone());
        }
        without_nulls(&mut spec);
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": self.kind, "metadata": {"name": name}, "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    /// The API server's answer to such an object, which is not stored. Unknown fields are an error.
    async fn judged(&self, changes: &[(&str, Value)]) -> Result<DynamicObject, String> {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match self
            .api
            .create(&params, &self.object("judged", changes))
            .await
        {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(format!("{} {}", status.code, status.message)),
            Err(error) => panic!("{error}"),
        }
    }

    async fn accepts(&self, cases: Vec<Vec<(&str, Value)>>) {
        for changes in cases {
            let judged = self.judged(&changes).await;
            assert!(judged.is_ok(), "{changes:?}: {judged:?}");
        }
    }

    /// Each is refused as invalid (422), with this text in the answer.
    async fn refuses(&self, cases: Vec<(Vec<(&str, Value)>, &str)>) {
        for (changes, text) in cases {
            match self.judged(&changes).await {
                Ok(_) => panic!("accepted: {changes:?}"),
                Err(message) => {
                    assert!(
                        message.starts_with("422 ") && message.contains(text),
                        "{changes:?}: {message}"
                    );
                }
            }
        }
    }
}

impl Kind {
    /// Each is refused as invalid (422) with this sentence, and with no pattern.
    async fn sentences(&self, cases: Vec<(Vec<(&str, Value)>, String)>) {
        for (changes, sentence) in cases {
            match self.judged(&changes).await {
                Ok(_) => panic!("accepted: {changes:?}"),
                Err(message) => {
                    let pattern = ["should match", "failed rule", "at least"];
                    assert!(
                        message.starts_with("422 ")
                            && message.contains(&sentence)
                            && !pattern.iter().any(|text| message.contains(text)),
                        "{changes:?}: {message}"
                    );
                }
            }
        }
    }
}

fn many(count: usize) -> Value {
    (0..count)
        .map(|index| (format!("label-{index}"), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn many_keys(count: usize) -> Value {
    let keys: Vec<String> = (1..count).map(|index| format!("key-{index}")).collect();
    let entries = keys.iter().map(|key| (key.as_str(), "Issuer"));
    let entries: Vec<_> = entries.chain([("secret", "ClientSecret")]).collect();
    data(&entries)
}

fn standby(app: &str) -> Value {
    json!({"type": "Existing", "appId": app})
}

fn windows(count: usize) -> Value {
    let window = |index| json!({"name": format!("w{index}"), "schedule": "0 3 * * MON-FRI", "duration": "2h"});
    (0..count).map(window).collect()
}

#[tokio::test]
async fn an_api_app_secret_with_every_field_is_accepted_and_unchanged() {
    let kind = Kind::app_secrets("accepted").await;
    kind.accepts(vec![
        vec![],
        vec![("projectId", json!("x".repeat(200))), ("appId", json!("A.b_c-9"))],
        vec![("secret.data", data(&[("a", "ClientId"), ("b", "ClientSecret"), ("CLIENT_ID", "Issuer"), ("CLIENT_SECRET", "AppId")]))],
        vec![("secret.data", data(&[("CLIENT_SECRET", "ClientId"), ("CLIENT_ID", "ClientSecret")]))],
        vec![("secret.data", data(&[("a", "ClientSecret"), ("b", "ClientSecret")]))],
        vec![("secret.data", many_keys(32))],
        vec![("secret.adoptionPolicy", json!("Never"))],
        vec![("secret.labels", many(32)), ("secret.annotations", many(32))],
        vec![("secret.labels", json!({"app": "", "example.com/team": "orders-1.x_y"}))],
        vec![("secret.annotations", json!({"a": "x".repeat(1024)}))],
        vec![("rotation.interval", json!("1w2d3h4m5s"))],
        vec![("rotation.windows", windows(16))],
        vec![("rotation.jitterPercent", json!(0))],
        vec![("rotation.jitterPercent", json!(50))],
        vec![("rotation.trigger", json!("~".repeat(128)))],
        vec![("standby", standby("3")), ("rotation.overlap.minimum", json!("0s"))],
        vec![("secret.name", json!("a.b-1.c"))],
        vec![("secret.type", json!("kubernetes.io/basic-auth"))],
        vec![("secret.type", json!("example.com/oauth"))],
        vec![("secret.labels", json!({"app.kubernetes.io/name": "orders", "argocd.argoproj.io/instance": "x"}))],
        vec![("secret.annotations", json!({"app.kubernetes.io/name": "orders", "meta.helm.sh/release-name": "x", "reloader.stakater.com/match": "true"}))],
    ])
    .await;
    let full = json!({
        "connectionRef": {"name": "default"}, "organizationId": "9", "projectId": "1", "appId": "2", "standby": {"type": "Existing", "appId": "3"},
        "secret": {
            "name": "orders", "type": "Opaque", "labels": {"a": "b"}, "annotations": {"c": "d"}, "adoptionPolicy": "Required", "deletionPolicy": "Retain",
            "data": data(&[("a", "ClientId"), ("b", "ClientSecret"), ("c", "Issuer"), ("d", "IntrospectionEndpoint"), ("e", "TokenEndpoint"), ("f", "ProjectId"), ("g", "AppId")]),
        },
        "rotation": {
            "interval": "30d", "jitterPercent": 10, "overlap": {"minimum": "24h"}, "trigger": "2026-11 leak",
            "windows": [{"name": "nightly", "schedule": "0 3 * * MON-FRI", "timeZone": "America/Argentina/Buenos_Aires", "duration": "2h"}],
        },
        "recovery": {"missing": "Report", "rejected": "Rotate"}, "suspend": true,
    });
    let params = PostParams::default();
    let mut object = kind.object("full", &[]);
    object.data["spec"] = full.clone();
    let stored = kind.api.create(&params, &object).await.unwrap();
    assert_eq!(
        stored.data["spec"], full,
        "nothing is defaulted, nothing is pruned"
    );
    let stored = kind
        .api
        .create(&params, &kind.object("least", &[]))
        .await
        .unwrap();
    assert_eq!(stored.data["spec"], kind.base, "nothing is defaulted");
}

#[tokio::test]
async fn an_api_app_secret_that_can_never_work_is_refused_with_the_field_named() {
    let kind = Kind::app_secrets("refused").await;
    let mut cases = Vec::new();
    for (field, path) in [
        ("organizationId", "spec.organizationId"),
        ("projectId", "spec.projectId"),
        ("appId", "spec.appId"),
        ("standby.appId", "spec.standby.appId"),
    ] {
        // A standby needs its type, which is not what is tried here.
        let existing = match field {
            "standby.appId" => ("standby.type", json!("Existing")),
            _ => ("suspend", json!(false)),
        };
        for bad in [
            "", "a/b", "../x", "a%2fb", "a\n", "\n", "a b", "ä", "a?b", "a\0",
        ] {
            cases.push((vec![existing.clone(), (field, json!(bad))], path));
        }
        cases.push((
            vec![existing.clone(), (field, json!("x".repeat(201)))],
            path,
        ));
        cases.push((vec![existing.clone(), (field, json!(7))], path));
    }
    for id in ["projectId", "appId"] {
        cases.push((vec![(id, Value::Null)], "Required value"));
    }
    let secret = "no entry has from: ClientSecret";
    let entries = |entry: Value| {
        vec![(
            "secret.data",
            json!([{"key": "s", "from": "ClientSecret"}, entry]),
        )]
    };
    cases.extend([
        (
            vec![("standby", standby("2"))],
            "standby.appId must be another application than appId",
        ),
        (
            vec![("standby", json!({"type": "Existing"}))],
            "spec.standby.appId",
        ),
        (
            vec![("standby", json!({"appId": "3"}))],
            "spec.standby.type",
        ),
        (
            vec![("standby", json!({"type": "Provisioned", "appId": "3"}))],
            "spec.standby.type",
        ),
        (
            vec![("rotation.overlap.minimum", json!("1h"))],
            "rotation.overlap needs standby",
        ),
        (vec![("secret.data", json!([]))], "spec.secret.data"),
        (vec![("secret.data", data(&[("a", "ClientId")]))], secret),
        (
            entries(json!({"key": "s", "from": "ClientId"})),
            "Duplicate value",
        ),
        (entries(json!({"from": "ClientId"})), "key"),
        (
            entries(json!({"key": "a", "from": "clientId"})),
            "spec.secret.data[1].from",
        ),
        (
            entries(json!({"key": "", "from": "Issuer"})),
            "spec.secret.data[1].key",
        ),
        (
            entries(json!({"key": "a/b", "from": "Issuer"})),
            "spec.secret.data[1].key",
        ),
        (
            entries(json!({"key": "a"})),
            "the entry of key \"a\" must have exactly one of from and template",
        ),
        (
            entries(json!({"key": "a", "from": "Issuer", "template": "x"})),
            "the entry of key \"a\" must have exactly one of from and template",
        ),
        (
            entries(json!({"key": "x".repeat(254), "from": "Issuer"})),
            "spec.secret.data[1].key",
        ),
        (
            vec![("secret.data", many_keys(33))],
            "spec.secret.data",
        ),
        (
            vec![("rotation.windows", json!([{"name": "Nightly", "schedule": "0 3 * * *", "duration": "1h"}]))],
            "spec.rotation.windows[0].name",
        ),
        (vec![("secret.name", json!("Orders"))], "spec.secret.name"),
        (vec![("secret.name", json!("../x"))], "spec.secret.name"),
        (
            vec![("secret.name", json!("x".repeat(254)))],
            "spec.secret.name",
        ),
        (vec![("secret.name", json!("a..b"))], "spec.secret.name"),
        (vec![("secret.name", json!("a.-b"))], "spec.secret.name"),
        (vec![("secret.type", json!("a b"))], "spec.secret.type"),
        (
            vec![(
                "secret.labels",
                json!({"zitadel-secrets.dev/managed": "no"}),
            )],
            "reserved name",
        ),
        (
            vec![(
                "secret.labels",
                json!({"app.kubernetes.io/managed-by": "me"}),
            )],
            "reserved name",
        ),
        (
            vec![("secret.labels", json!({"a": "b c"}))],
            "the label \"a\" has the value \"b c\": the value of a label must be",
        ),
        (
            vec![("secret.labels", json!({"a": "-b"}))],
            "the label \"a\" has the value \"-b\"",
        ),
        (
            vec![("secret.labels", json!({"a": "x".repeat(64)}))],
            "spec.secret.labels",
        ),
        (vec![("secret.labels", many(33))], "spec.secret.labels"),
        (
            vec![(
                "secret.annotations",
                json!({"zitadel-secrets.dev/commit": "{}"}),
            )],
            "the annotation \"zitadel-secrets.dev/commit\" has a reserved name",
        ),
        (
            vec![("secret.annotations", json!({"a": "x".repeat(1025)}))],
            "spec.secret.annotations",
        ),
        (
            vec![("secret.annotations", many(33))],
            "spec.secret.annotations",
        ),
        (
            vec![("secret.deletionPolicy", json!("Orphan"))],
            "spec.secret.deletionPolicy",
        ),
        (
            vec![("secret.adoptionPolicy", json!("Always"))],
            "spec.secret.adoptionPolicy",
        ),
        (
            vec![("recovery.missing", json!("Ignore"))],
            "spec.recovery.missing",
        ),
        (
            vec![("recovery.rejected", json!("rotate"))],
            "spec.recovery.rejected",
        ),
        (vec![("rotation.jitterPercent", json!(51))], "spec.rotation.jitterPercent"),
        (vec![("rotation.jitterPercent", json!(-1))], "spec.rotation.jitterPercent"),
        (
            vec![("rotation.trigger", json!(""))],
            "spec.rotation.trigger",
        ),
        (
            vec![("rotation.trigger", json!("a\nb"))],
            "spec.rotation.trigger",
        ),
        (
            vec![("rotation.trigger", json!("x".repeat(129)))],
            "spec.rotation.trigger",
        ),
        (
            vec![("rotation.windows", windows(17))],
            "spec.rotation.windows",
        ),
        (
            vec![(
                "rotation.windows",
                json!([{"name": "w", "schedule": "@daily", "duration": "1h"}]),
            )],
            "spec.rotation.windows[0].schedule",
        ),
        (
            vec![(
                "rotation.windows",
                json!([{"name": "w", "schedule": "x".repeat(129), "duration": "1h"}]),
            )],
            "spec.rotation.windows[0].schedule",
        ),
        (
            vec![("rotation.windows", json!([{"name": "w", "schedule": "0 3 * * *"}]))],
            "spec.rotation.windows[0].duration",
        ),
        (
            vec![(
                "rotation.windows",
                json!([{"name": "w", "schedule": "0 3 * * *", "duration": "1h", "timeZone": "Europe/Zürich"}]),
            )],
            "spec.rotation.windows[0].timeZone",
        ),
        (
            vec![("connectionRef", json!({}))],
            "spec.connectionRef.name",
        ),
        (
            vec![("connectionRef.name", json!("a/b"))],
            "spec.connectionRef.name",
        ),
        (vec![("suspend", json!("yes"))], "spec.suspend"),
        (
            vec![("rotation.windows", json!([{"schedule": "0 3 * * *", "duration": "1h"}]))],
            "name",
        ),
        (
            vec![("rotation.windows", json!([{"name": "a", "schedule": "0 3 * * *", "duration": "1h"}, {"name": "a", "schedule": "0 4 * * *", "duration": "1h"}]))],
            "Duplicate value",
        ),
    ]);
    for refused in [
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
        "kubernetes.io/tls",
        "kubernetes.io/dockerconfigjson",
        "x.k8s.io/y",
    ] {
        cases.push((vec![("secret.type", json!(refused))], "spec.secret.type"));
    }
    let account = "kubernetes.io/service-account.name";
    for (field, reserved) in [
        ("secret.annotations", account),
        ("secret.annotations", "x.k8s.io/y"),
        ("secret.labels", account),
        ("secret.labels", "node.kubernetes.io/y"),
    ] {
        cases.push((vec![(field, json!({reserved: "x"}))], "a reserved name"));
    }
    for field in ["secret.annotations", "secret.labels"] {
        for bad in ["", "a b", "-a", "a/b/c", "/a", "a..b/c"] {
            cases.push((vec![(field, json!({bad: "x"}))], "must be up to 63 letters"));
        }
    }
    for zero in ["0s", "00d0h"] {
        let windows = json!([{"name": "w", "schedule": "0 3 * * *", "duration": zero}]);
        cases.push((
            vec![("rotation.interval", json!(zero))],
            "spec.rotation.interval",
        ));
        cases.push((
            vec![("rotation.windows", windows)],
            "spec.rotation.windows[0].duration",
        ));
    }
    for field in ["rotation.interval", "rotation.overlap.minimum"] {
        for bad in [
            "1h1d",
            "1h1h",
            "",
            "30",
            "30 d",
            "-1d",
            "1y",
            "1.5d",
            "P30D",
            "1234567d",
            "1s1s1s1s1s1s",
            "1d\n",
        ] {
            cases.push((vec![(field, json!(bad))], "spec.rotation."));
        }
    }
    kind.refuses(cases).await;
}

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

#[tokio::test]
async fn project_application_and_organization_of_an_object_cannot_be_changed_and_the_rest_can() {
    let kind = Kind::app_secrets("immutable").await;
    kind.api
        .create(&PostParams::default(), &kind.object("orders", &[]))
        .await
        .unwrap();
    let patch = async |change: Value| {
        kind.api
            .patch(
                "orders",
                &PatchParams::default(),
                &Patch::Merge(json!({"spec": change})),
            )
            .await
    };
    for field in ["projectId", "appId"] {
        let refused = patch(json!({field: "7"})).await.unwrap_err();
        let before = &kind.base[field];
        let message =
            format!("{field} cannot be changed from {before} to \"7\": delete the object");
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 422 && status.message.contains(&message)),
            "{refused}"
        );
        let removed = patch(json!({field: null})).await.unwrap_err();
        assert!(
            matches!(&removed, kube::Error::Api(status) if status.code == 422),
            "{removed}"
        );
    }
    patch(json!({"organizationId": "9"})).await.unwrap();
    for change in [json!("10"), Value::Null] {
        let refused = patch(json!({"organizationId": change})).await.unwrap_err();
        let message = "organizationId cannot be changed from \"9\": delete the object";
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 422 && status.message.contains(message)),
            "{refused}"
        );
    }
    let rest = json!({"standby": standby("3"), "connectionRef": {"name": "other"}, "secret": {"name": "x"}, "rotation": {"interval": "1h"}});
    patch(rest).await.unwrap();
}

#[tokio::test]
async fn a_connection_with_every_field_is_accepted_and_unchanged() {
    let kind = Kind::connections().await;
    let grant = |field: &str, namespaces: Value| json!([{"name": "a", field: namespaces, "projectIds": ["*"]}]);
    let selector = |selector: Value| vec![("grants", grant("namespaceSelector", selector))];
    kind.accepts(vec![
        vec![],
        vec![("url", json!("https://iam.example.com:8443/"))],
        vec![("url", json!("http://localhost"))],
        vec![("url", json!("http://localhost:8080/"))],
        vec![("url", json!("http://127.0.0.1:8080"))],
        vec![("url", json!("http://[::1]:8080"))],
        vec![
            ("url", json!("http://zitadel.zitadel:8080")),
            ("tls.plaintext", json!("Allow")),
        ],
        vec![("endpoint", json!("http://127.0.0.1:9000"))],
        vec![
            ("endpoint", json!("http://zitadel:8080")),
            ("tls.plaintext", json!("Allow")),
        ],
        vec![(
            "tls.caBundle",
            json!({"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}),
        )],
        vec![(
            "tls.caBundle",
            json!({"secretKeyRef": {"name": "ca", "key": "ca.crt"}}),
        )],
        vec![("proxy", json!({"url": "http://proxy:3128"}))],
        vec![("proxy", json!({"url": "http://[fd00::1]:3128/", "noProxy": ["zitadel", ".svc.cluster.local", "10.0.0.5", "10.0.0.0/8", "::1", "fd00::/8", "a_b.example-1.com"]}))],
        vec![("proxy", json!({"url": "https://proxy.example.com", "caBundle": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}}))],
        vec![("grants", json!([]))],
        vec![("grants", grant("namespaces", json!(["orders"])))],
        selector(json!({"matchLabels": {"team": "orders"}})),
        selector(json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}, {"key": "x", "operator": "DoesNotExist"}]})),
        vec![("grants", json!([
            {"name": "a", "namespaces": ["a"], "projectIds": ["1"]},
            {"name": "b", "namespaces": ["a"], "projectIds": ["1"], "appIds": ["2", "3"]},
        ]))],
        vec![("limits", json!({"concurrentGenerates": 16, "repairs": {"count": 10_000, "window": "1d"}}))],
        vec![("limits", json!({"repairs": {"window": "5m"}}))],
        vec![("rehearsal", json!("Required"))],
        vec![("tls.plaintext", json!("Forbid"))],
    ])
    .await;
    let full = json!({
        "url": "https://iam.example.com", "endpoint": "https://zitadel.zitadel:8443", "rehearsal": "BestEffort",
        "tls": {"caBundle": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}, "plaintext": "Allow"},
        "proxy": {
            "url": "https://proxy.example.com:3128", "noProxy": ["10.0.0.0/8"],
            "auth": {"secretKeyRef": {"name": "proxy", "key": "auth"}},
            "caBundle": {"secretKeyRef": {"name": "proxy", "key": "ca.crt"}},
        },
        "auth": {"personalAccessToken": {"secretKeyRef": {"name": "key", "key": "key.json"}}},
        "organizationId": "9", "controllerClass": "team-a",
        "grants": [{"name": "orders", "namespaces": ["orders"], "projectIds": ["1"], "appIds": ["2"]}],
        "limits": {"concurrentGenerates": 1, "repairs": {"count": 30, "window": "10m"}},
    });
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut object = kind.object("full", &[]);
    object.data["spec"] = full.clone();
    assert_eq!(
        kind.api.create(&params, &object).await.unwrap().data["spec"],
        full
    );
}

#[tokio::test]
async fn a_connection_that_could_send_the_credential_astray_is_refused() {
    let kind = Kind::connections().await;
    let grant = |field: &str, namespaces: Value| {
        let grant = json!([{"name": "a", field: namespaces, "projectIds": ["*"]}]);
        vec![("grants", grant)]
    };
    let requirement = |requirement: Value| {
        grant(
            "namespaceSelector",
            json!({"matchExpressions": [requirement]}),
        )
    };
    let one_of = "grant \"a\" must have exactly one of namespaces and namespaceSelector";
    let key = json!({"secretKeyRef": {"name": "a", "key": "b"}});
    let granted = |more: Value| {
        let mut grant = json!({"name": "a", "namespaces": ["a"]});
        grant
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        vec![("grants", json!([grant]))]
    };
    let insecure =
        "must be https; plain http only for loopback addresses or with tls.plaintext: Allow";
    let mut cases = vec![
        (vec![("url", Value::Null)], "spec.url"),
        (vec![("auth", Value::Null)], "spec.auth"),
        (vec![("auth", json!({}))], "auth must have exactly one of"),
        (
            vec![("auth.personalAccessToken", key.clone())],
            "auth must have exactly one of",
        ),
        (
            vec![("auth", json!({"password": key}))],
            "auth must have exactly one of",
        ),
        (
            vec![("auth.serviceAccountKey.secretKeyRef.key", json!("a/b"))],
            "spec.auth.serviceAccountKey.secretKeyRef.key",
        ),
        (
            vec![("auth.serviceAccountKey.secretKeyRef.name", json!("../x"))],
            "spec.auth.serviceAccountKey.secretKeyRef.name",
        ),
        (
            vec![("organizationId", json!("a/b"))],
            "spec.organizationId",
        ),
        (
            vec![("controllerClass", json!("Team A"))],
            "spec.controllerClass",
        ),
        (vec![("controllerClass", json!(""))], "spec.controllerClass"),
        (
            vec![("tls.caBundle", json!({}))],
            "exactly one of configMapKeyRef and secretKeyRef",
        ),
        (
            vec![(
                "tls.caBundle",
                json!({"configMapKeyRef": {"name": "a", "key": "b"}, "secretKeyRef": {"name": "a", "key": "b"}}),
            )],
            "exactly one of configMapKeyRef and secretKeyRef",
        ),
        (
            vec![("tls.plaintext", json!("Maybe"))],
            "spec.tls.plaintext",
        ),
        (vec![("rehearsal", json!("Never"))], "spec.rehearsal"),
        (vec![("proxy", json!({}))], "spec.proxy.url"),
        (
            vec![("proxy", json!({"url": "http://a", "auth": {}}))],
            "spec.proxy.auth.secretKeyRef",
        ),
        (
            vec![("proxy", json!({"url": "https://a", "caBundle": {}}))],
            "exactly one of configMapKeyRef and secretKeyRef",
        ),
        (
            vec![(
                "proxy",
                json!({"url": "http://a", "caBundle": {"secretKeyRef": {"name": "a", "key": "b"}}}),
            )],
            "proxy.caBundle is for a proxy with an https:// URL",
        ),
        (grant("appIds", json!(["1"])), one_of),
        (
            granted(json!({"projectIds": ["1"], "namespaceSelector": {"matchLabels": {"a": "b"}}})),
            one_of,
        ),
        (grant("namespaces", json!([])), "namespaces"),
        (grant("namespaces", json!(["A"])), "\"A\" is not a name"),
        (grant("namespaces", json!(["x".repeat(64)])), "namespaces"),
        (grant("namespaces", json!(["a", "a"])), "Duplicate value"),
        (grant("namespaceSelector", json!({})), "must not be empty"),
        (
            grant("namespaceSelector", json!({"matchLabels": {}})),
            "must not be empty",
        ),
        (
            grant("namespaceSelector", json!({"matchExpressions": []})),
            "must not be empty",
        ),
        (
            requirement(json!({"key": "team", "operator": "In"})),
            "the requirement on label \"team\": In and NotIn need values",
        ),
        (
            requirement(json!({"key": "team", "operator": "Exists", "values": ["a"]})),
            "Exists and DoesNotExist have none",
        ),
        (
            requirement(json!({"key": "team", "operator": "in", "values": ["a"]})),
            "operator",
        ),
        (
            vec![(
                "grants",
                json!([{"namespaces": ["a"], "projectIds": ["1"]}]),
            )],
            "name",
        ),
        (
            vec![(
                "grants",
                json!([{"name": "a", "namespaces": ["a"], "projectIds": ["1"]}, {"name": "a", "namespaces": ["b"], "projectIds": ["1"]}]),
            )],
            "Duplicate value",
        ),
        (granted(json!({})), "projectIds"),
        (granted(json!({"projectIds": []})), "projectIds"),
        (
            granted(json!({"name": "Team A", "projectIds": ["1"]})),
            "spec.grants[0].name",
        ),
        (
            granted(json!({"projectIds": ["1"], "appIds": ["a/b"]})),
            "appIds",
        ),
        (granted(json!({"projectIds": ["**"]})), "projectIds"),
        (granted(json!({"projectIds": ["1*"]})), "projectIds"),
        (
            granted(json!({"projectIds": ["*"], "appIds": []})),
            "appIds",
        ),
        (
            granted(json!({"projectIds": ["*"], "namespaces": null})),
            "exactly one of namespaces and namespaceSelector",
        ),
        (
            vec![("limits.concurrentGenerates", json!(0))],
            "spec.limits.concurrentGenerates",
        ),
        (
            vec![("limits.concurrentGenerates", json!(17))],
            "spec.limits.concurrentGenerates",
        ),
        (
            vec![("limits.repairs.count", json!(0))],
            "spec.limits.repairs.count",
        ),
        (
            vec![("limits.repairs.window", json!("ten minutes"))],
            "\"ten minutes\" is not a duration",
        ),
        (
            vec![("limits.repairs.window", json!("0s"))],
            "must be longer than 0s, such as 10m",
        ),
    ];
    for bad in [
        "proxy:3128",
        "socks5://proxy:1080",
        "http://proxy:3128/path",
        "http://proxy:3128?a=b",
        "http://proxy example:3128",
    ] {
        let proxy = vec![("proxy", json!({ "url": bad }))];
        cases.push((
            proxy,
            "such as http://proxy.example.com:3128: http or https, without a path",
        ));
    }
    let reference = |kind: &str, field: &str, bad: &str| {
        let mut reference = json!({"name": "a", "key": "b"});
        reference[field] = json!(bad);
        json!({ kind: reference })
    };
    let references = [
        ("auth.serviceAccountKey", "secretKeyRef"),
        ("auth.personalAccessToken", "secretKeyRef"),
        ("proxy.auth", "secretKeyRef"),
        ("proxy.caBundle", "configMapKeyRef"),
        ("proxy.caBundle", "secretKeyRef"),
        ("tls.caBundle", "configMapKeyRef"),
        ("tls.caBundle", "secretKeyRef"),
    ];
    let at = references
        .map(|(path, kind)| ["name", "key"].map(|field| format!("spec.{path}.{kind}.{field}")));
    for ((path, kind), at) in references.into_iter().zip(&at) {
        for ((field, bad), at) in [("name", "../x"), ("key", "a/b")].into_iter().zip(at) {
            // One of the two, and a proxy needs its URL.
            let other = match path {
                "auth.personalAccessToken" => ("auth.serviceAccountKey", Value::Null),
                _ if path.starts_with("proxy") => ("proxy.url", json!("https://proxy:3128")),
                _ => ("rehearsal", Value::Null),
            };
            cases.push((vec![other, (path, reference(kind, field, bad))], at));
        }
    }
    let secret =
        "proxy.url must not contain a user or password: store them as user:password in a Secret";
    for bad in ["http://user@proxy:3128", "http://user:password@proxy:3128"] {
        cases.push((vec![("proxy", json!({ "url": bad }))], secret));
    }
    for bad in [
        "*",
        "*.example.com",
        "zitadel:8080",
        "10.0.0.5:8080",
        "https://zitadel",
        "a,b",
        "[::1]",
        "example.com.",
    ] {
        let proxy = json!({"url": "http://proxy:3128", "noProxy": [bad]});
        cases.push((
            vec![("proxy", proxy)],
            "such as zitadel.internal, .svc.cluster.local, 10.0.0.5 or 10.0.0.0/8",
        ));
    }
    for field in ["url", "endpoint"] {
        for bad in [
            "http://iam.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1:8080",
            "http://localhosts",
        ] {
            cases.push((vec![(field, json!(bad))], insecure));
        }
        for bad in [
            "ftp://iam.example.com",
            "https://",
            "https://iam.example.com/path",
            "https://iam.example.com?x",
            "https://iam.example.com#x",
            "iam.example.com",
            "https://a\n",
        ] {
            cases.push((vec![(field, json!(bad))], "Invalid value"));
        }
        cases.push((
            vec![(field, json!("https://user@iam.example.com"))],
            "must not contain a user name",
        ));
        cases.push((
            vec![(field, json!(format!("https://{}", "x".repeat(505))))],
            "Too long",
        ));
    }
    kind.refuses(cases).await;
}

#[tokio::test]
async fn objects_are_found_by_their_project_and_application() {
    let kind = Kind::app_secrets("selectable").await;
    for (name, project, app) in [("a", "1", "2"), ("b", "1", "3"), ("c", "4", "2")] {
        let object = kind.object(
            name,
            &[("projectId", json!(project)), ("appId", json!(app))],
        );
        kind.api
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }
    let found = async |selector: &str| {
        let found = kind
            .api
            .list(&ListParams::default().fields(selector))
            .await
            .unwrap();
        found
            .items
            .into_iter()
            .map(|object| object.metadata.name.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("spec.projectId=1").await, ["a", "b"]);
    assert_eq!(found("spec.appId=2").await, ["a", "c"]);
    assert_eq!(found("spec.projectId=1,spec.appId=2").await, ["a"]);
}

#[tokio::test]
async fn kubectl_knows_both_kinds_by_short_name_and_category_and_prints_what_matters() {
    let kind = Kind::app_secrets("columns").await;
    let cluster = cluster().await;
    kind.api
        .create(&PostParams::default(), &kind.object("orders", &[]))
        .await
        .unwrap();
    let namespace = kind.api.namespace().unwrap().to_owned();
    let connections = Kind::connections().await;
    connections
        .api
        .create(&PostParams::default(), &connections.object("columns", &[]))
        .await
        .unwrap();
    let now = "2026-01-01T00:00:00Z";
    let ready = json!({"type": "Ready", "status": "True", "reason": "UpToDate", "message": "the credential works", "lastTransitionTime": now});
    let status = json!({"status": {
        "conditions": [ready], "secretName": "orders-oauth", "sequence": "18446744073709551615", "nextRotationTime": "2999-01-01T00:00:00Z",
        "schedule": "every 30d", "lastRotation": {"time": now, "reason": "Due", "attempt": "x"},
    }});
    kind.api
        .patch_status("orders", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();

    let get = |arguments: &[&str]| {
        let output = cluster.kubectl(arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let words = |line: &str| {
        line.split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let table = |arguments: &[&str]| get(arguments).lines().map(words).collect::<Vec<_>>();
    // Discovery is cached by the API server for a moment.
    eventually(PATIENCE, || async {
        cluster
            .kubectl(&["get", "aas", "-A"])
            .status
            .success()
            .then_some(())
    })
    .await;
    let short = table(&["get", "aas", "-n", &namespace]);
    assert_eq!(
        short[0],
        [
            "NAME",
            "READY",
            "STATUS",
            "SECRET",
            "LAST ROTATION",
            "NEXT ROTATION",
            "AGE"
        ]
    );
    assert_eq!(
        short[1][..4],
        ["orders", "True", "UpToDate", "orders-oauth"]
    );
    assert_eq!(
        short[1][5], "2999-01-01T00:00:00Z",
        "kubectl would print a date in the future as <invalid>"
    );
    let wide = table(&["get", "aas", "-n", &namespace, "-o", "wide"]);
    assert_eq!(
        wide[0][7..],
        [
            "VERIFIED",
            "REASON",
            "CONNECTION",
            "APP",
            "SCHEDULE",
            "MESSAGE"
        ]
    );
    assert_eq!(wide[1][7..], ["2", "every 30d", "the credential works"]);
    let connection = table(&["get", "zc", "columns"]);
    assert_eq!(
        connection[0],
        ["NAME", "READY", "STATUS", "URL", "CREDENTIAL EXPIRY", "AGE"]
    );
    let category = get(&["get", "zitadel", "-n", &namespace, "-o", "name"]);
    let names: Vec<&str> = category.lines().collect();
    assert!(
        names.contains(&"apiappsecret.zitadel-secrets.dev/orders"),
        "{names:?}"
    );
    assert!(
        names.contains(&"zitadelconnection.zitadel-secrets.dev/columns"),
        "{names:?}"
    );
    assert_eq!(ApiAppSecret::plural(&()), "apiappsecrets");
    let explained = get(&["explain", "aas.spec.rotation.interval"]);
    assert!(explained.contains("30d"), "{explained}");
}

/// The nullable fields of a schema, by their paths.
fn nullable(schema: &Value, path: &str) -> Vec<String> {
    let own = (schema["nullable"] == json!(true)).then(|| path.to_owned());
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.map(|(name, field)| (format!("{path}.{name}"), field));
    let items = schema
        .get("items")
        .map(|items| (format!("{path}[]"), items));
    let inner = fields.chain(items);
    let inner = inner.flat_map(|(path, schema)| nullable(schema, &path));
    own.into_iter().chain(inner).collect()
}

#[tokio::test]
async fn an_optional_field_is_absent_and_never_null_unless_the_api_server_itself_makes_it_null() {
    for definition in api::definitions().unwrap() {
        let definition = serde_json::to_value(definition).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for path in nullable(schema, "") {
            let pointer = path.replace("[]", "/items").replace('.', "/properties/");
            let field = schema.pointer(&pointer).unwrap();
            assert!(path.starts_with(".spec."), "{path}");
            assert_eq!(field["type"], "object", "{path}");
        }
    }
    let kind = Kind::app_secrets("nulls").await;
    let mut object = kind.object("orders", &[]);
    // What `interval: {{ .Values.interval }}` gives where there is no value.
    object.data["spec"]["organizationId"] = Value::Null;
    object.data["spec"]["rotation"] = json!({"interval": null, "trigger": "one", "windows": null});
    let stored = kind
        .api
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let spec = &stored.data["spec"];
    assert_eq!(spec["rotation"], json!({"trigger": "one"}), "{spec}");
    assert!(spec.get("organizationId").is_none(), "{spec}");
    object.data["spec"]["projectId"] = Value::Null;
    let refused = kind.api.create(&PostParams::default(), &object).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("spec.projectId"), "{message}");
}

#[tokio::test]
async fn what_was_applied_by_the_server_can_be_emptied() {
    let kind = Kind::app_secrets("emptied").await;
    let params = PatchParams::apply("flux");
    let apply = async |changes: &[(&str, Value)]| {
        let mut object = kind.object("orders", changes);
        object.metadata.namespace = None;
        let patch = Patch::Apply(&object);
        kind.api.patch("orders", &params, &patch).await
    };
    let windows = json!([{"name": "nightly", "schedule": "0 3 * * *", "duration": "2h"}]);
    let full = [
        ("standby", standby("3")),
        ("secret.labels.team", json!("orders")),
        ("secret.annotations.team", json!("orders")),
        ("secret.data", many_keys(2)),
        ("rotation.interval", json!("30d")),
        ("rotation.windows", windows),
        ("rotation.overlap.minimum", json!("1h")),
        ("recovery.missing", json!("Report")),
    ];
    let emptied = [
        ("secret.labels", json!({})),
        ("secret.annotations", json!({})),
        ("secret.data", json!([])),
        ("secret", json!({})),
        ("rotation.windows", json!([])),
        ("rotation.overlap", json!({})),
        ("rotation", json!({})),
        ("recovery", json!({})),
    ];
    for (path, empty) in emptied {
        apply(&full).await.unwrap();
        let inside = format!("{path}.");
        let kept = full
            .iter()
            .filter(|(name, _)| !name.starts_with(&inside) && *name != path);
        let changes: Vec<_> = kept.cloned().chain([(path, empty)]).collect();
        let stored = apply(&changes).await;
        let stored = stored.unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_value::<ApiAppSecret>(serde_json::to_value(&stored).unwrap())
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

#[tokio::test]
async fn conditions_are_a_list_by_type_and_numbers_that_overflow_are_not_in_the_schema() {
    let kind = Kind::app_secrets("conditions").await;
    kind.api
        .create(&PostParams::default(), &kind.object("orders", &[]))
        .await
        .unwrap();
    let condition = |type_: &str, status: &str| json!({"type": type_, "status": status, "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let write = async |manager: &str, conditions: Vec<Value>| {
        let object = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": "orders"}, "status": {"conditions": conditions}});
        kind.api
            .patch_status(
                "orders",
                &PatchParams::apply(manager),
                &Patch::Apply(&object),
            )
            .await
    };
    write("one", vec![condition("Ready", "True")])
        .await
        .unwrap();
    let both = write("other", vec![condition("Verified", "True")])
        .await
        .unwrap();
    assert_eq!(
        both.data["status"]["conditions"].as_array().unwrap().len(),
        2,
        "entries of two writers are merged by type"
    );
    let double = write(
        "third",
        vec![condition("Stalled", "True"), condition("Stalled", "False")],
    )
    .await;
    assert!(double.is_err());
    for (_, yaml) in api::documents().unwrap() {
        assert!(!yaml.contains("uint64") && !yaml.contains("uint32"));
    }
}
