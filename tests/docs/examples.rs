//! Every manifest in `examples/`, and those that the chart shows at Artifact Hub, are accepted by a real API server with the operator's
//! CRDs; and with ids that exist, the operator does for each of them what it says.

use std::path::{Path, PathBuf};

use crate::manifests::accepted;
use crate::support::controlplane::{ControlPlane, Options};
use crate::support::helm::documents;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, Tenant, World, install_definitions};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use zitadel_simulator::AppHandle;

fn manifests(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            manifests(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
}

/// The examples in the chart's annotation, as one file.
fn shown_at_artifact_hub(directory: &Path) -> PathBuf {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/zitadel-secret-operator");
    let chart = std::fs::read_to_string(chart.join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    let examples = chart["annotations"]["artifacthub.io/crdsExamples"].as_str();
    let examples: Value = serde_saphyr::from_str(examples.unwrap()).unwrap();
    let file = directory.join("artifact-hub.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": examples});
    std::fs::write(&file, list.to_string()).unwrap();
    file
}

#[tokio::test]
async fn every_example_is_accepted_by_the_api_server() {
    let cluster = ControlPlane::shared().await;
    install_definitions(&cluster.client().await).await;
    for name in ["orders", "zitadel-secret-operator"] {
        cluster.namespace(name).await;
    }
    let mut files = Vec::new();
    manifests(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"),
        &mut files,
    );
    assert!(files.len() >= 5, "{files:?}");
    files.push(shown_at_artifact_hub(cluster.scratch()));
    for file in files {
        accepted(cluster, &file, &file.display().to_string());
    }
}

/// A world with the connection of the examples, in which a team has the namespace of a tenant.
pub struct Team {
    pub world: World,
    pub tenant: Tenant,
}

/// What was applied for the team.
struct Applied {
    files: Vec<PathBuf>,
    objects: Vec<Value>,
    app: AppHandle,
}

impl Team {
    async fn new() -> Self {
        let world = World::own(Options::default()).await;
        let tenant = world.tenant("orders").await;
        let key = world.zitadel.create_machine_key(&tenant.user).unwrap().json;
        let file = world.directory.join("key.json");
        std::fs::write(&file, key).unwrap();
        let from = format!("--from-file={}", file.to_str().unwrap());
        let team = Self { world, tenant };
        team.kubectl(&[
            "create",
            "secret",
            "generic",
            "zitadel-key",
            "-n",
            OPERATOR_NAMESPACE,
            &from,
        ]);
        team
    }

    fn kubectl(&self, arguments: &[&str]) {
        let output = self.world.cluster.kubectl(arguments);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && printed.is_empty(),
            "{arguments:?}: {printed}"
        );
    }

    /// Applies copies of files with the ids of two unused applications, like a user who follows the README.
    fn apply(&self, files: &[&str]) -> Applied {
        let tenant = &self.tenant;
        // Names of applications are unique in a project.
        let of_files = files.join(" ");
        let standby = tenant.app(&format!("standby of {of_files}"));
        let app = tenant.app(&of_files);
        let id = |field: &str, id: &str| format!("{field}: \"{id}\"");
        let changes = [
            ("https://iam.example.com".to_owned(), tenant.url.clone()),
            ("312345678901234567".into(), tenant.organization.clone()),
            ("312345678901234568".into(), tenant.project.clone()),
            (id("appId", "312345678901234569"), id("appId", &app.id)),
            (
                format!("Existing\n    {}", id("appId", "312345678901234570")),
                format!("Existing\n    {}", id("appId", &standby.id)),
            ),
            (
                id("CLIENT_ID", "312345678901234570"),
                id("CLIENT_ID", &app.client_id),
            ),
            (
                "the-value-that-is-in-use-today".into(),
                app.secret.clone().unwrap(),
            ),
            (
                "namespace: orders\n".into(),
                format!("namespace: {}\n", tenant.namespace),
            ),
            (
                "namespaces: [orders]".into(),
                format!("namespaces: [{}]", tenant.namespace),
            ),
        ];
        let mut applied = Applied {
            files: Vec::new(),
            objects: Vec::new(),
            app,
        };
        for file in files {
            let source = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("examples")
                .join(file);
            let mut text = std::fs::read_to_string(source).unwrap();
            for (meant, real) in &changes {
                text = text.replace(meant, real);
            }
            assert!(
                !text.contains("3123456789"),
                "an id in {file} is not replaced: {text}"
            );
            let copy = self.world.directory.join(file.replace('/', "-"));
            std::fs::write(&copy, &text).unwrap();
            self.kubectl(&["apply", "--filename", copy.to_str().unwrap()]);
            applied.files.push(copy);
            applied.objects.extend(documents(&text));
        }
        applied
    }

    /// Deletes what was applied. The Secret goes with it unless it was there before.
    async fn delete(&self, applied: &Applied, secret: &str) {
        for file in &applied.files {
            self.kubectl(&["delete", "--filename", file.to_str().unwrap()]);
        }
        self.tenant.secret_gone(secret).await;
    }

    /// Everything that its Deployments take from Secrets is taken from this one.
    fn consumes(applied: &Applied, secret: &str) {
        let mut found = 0;
        for deployment in applied
            .objects
            .iter()
            .filter(|object| object["kind"] == "Deployment")
        {
            let pod = &deployment["spec"]["template"]["spec"];
            for name in [
                "/containers/0/envFrom/0/secretRef/name",
                "/volumes/0/secret/secretName",
            ] {
                if let Some(name) = pod.pointer(name) {
                    assert_eq!(name, secret);
                    found += 1;
                }
            }
        }
        assert!(found > 0, "no workload consumes {secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_does_for_every_example_what_the_example_says() {
    let team = Team::new().await;
    let _operator = Operator::start(
        &team.world.kubeconfig,
        &team.world.directory,
        &["--protocol-speed", "20"],
    );
    team.apply(&["minimal/connection.yaml"]);
    minimal(&team).await;
    scheduled(&team).await;
    standby(&team).await;
    consumer(&team).await;
    reloader(&team).await;
    adopt(&team).await;
    team.tenant.delete_secret("orders-api-oauth").await;
    crate::migrate::as_the_page_says(&team).await;
}

async fn minimal(team: &Team) {
    let tenant = &team.tenant;
    let minimal = team.apply(&["minimal/object.yaml"]);
    let status = tenant.ready("orders-api").await.status.unwrap();
    let stored = tenant.client_secret("orders-api").await.unwrap();
    let created = status.standby_app_id.unwrap();
    assert!(tenant.zitadel.accepts(&created, &stored));
    let by_hand = minimal.app.secret.as_ref().unwrap();
    assert!(tenant.zitadel.accepts(&minimal.app.id, by_hand));
    assert_eq!(tenant.generates(&minimal.app), 0);
    team.delete(&minimal, "orders-api").await;
}

async fn scheduled(team: &Team) {
    let tenant = &team.tenant;
    let scheduled = team.apply(&["scheduled/object.yaml"]);
    let object = tenant.ready("orders-api").await;
    let status = object.status.unwrap();
    let next: jiff::Timestamp = status.next_rotation_time.unwrap().0;
    let next = next.in_tz("Europe/Zurich").unwrap();
    assert!((3..5).contains(&next.hour()), "{next}");
    assert_eq!(
        tenant.generates(&scheduled.app),
        1,
        "the trigger that is there from the beginning causes nothing"
    );
    tenant
        .edit(
            "orders-api",
            json!({"spec": {"rotation": {"trigger": "2026-11-leak"}}}),
        )
        .await;
    tenant.until_generates(&scheduled.app, 2).await;
    tenant.ready("orders-api").await;
    // Report instead of generating.
    tenant.delete_secret("orders-api").await;
    tenant.reason("orders-api", "SecretMissing").await;
    assert_eq!(tenant.generates(&scheduled.app), 2);
    team.delete(&scheduled, "orders-api").await;
}

async fn standby(team: &Team) {
    let tenant = &team.tenant;
    let standby = team.apply(&["standby/object.yaml"]);
    let object = tenant.ready("orders-api").await;
    let first = tenant.data("orders-api").await;
    let status = object.status.unwrap();
    let (active, created) = (
        status.active_app_id.unwrap(),
        status.standby_app_id.unwrap(),
    );
    tenant
        .edit(
            "orders-api",
            json!({"spec": {"rotation": {"trigger": "now"}}}),
        )
        .await;
    tenant
        .until("orders-api", |object| {
            let moved = object.status.as_ref()?.active_app_id.as_ref()? != &active;
            moved.then_some(())
        })
        .await;
    assert!(
        tenant.zitadel.accepts(&active, &first["CLIENT_SECRET"]),
        "the former pair goes on working"
    );
    assert_eq!(
        (
            tenant.generates(&standby.app),
            tenant.zitadel.generates(&created)
        ),
        (1, 1)
    );
    team.delete(&standby, "orders-api").await;
}

async fn consumer(team: &Team) {
    let tenant = &team.tenant;
    let consumer = team.apply(&[
        "consumer/object.yaml",
        "consumer/environment.yaml",
        "consumer/mounted.yaml",
    ]);
    tenant.ready("orders-api").await;
    Team::consumes(&consumer, "orders-api-oauth");
    let data = tenant.data("orders-api-oauth").await;
    assert!(
        tenant
            .zitadel
            .accepts(&consumer.app.id, &data["OIDC_CLIENT_SECRET"])
    );
    assert_eq!(data["OIDC_ISSUER"], tenant.url);
    assert_eq!(data["OIDC_CLIENT_ID"], consumer.app.client_id);
    assert!(data["OIDC_INTROSPECTION_ENDPOINT"].starts_with(&tenant.url));
    assert_eq!(
        tenant.secret("orders-api-oauth").await.labels()["app.kubernetes.io/part-of"],
        "orders"
    );
    team.delete(&consumer, "orders-api-oauth").await;
}

async fn reloader(team: &Team) {
    let tenant = &team.tenant;
    let reloader = team.apply(&["reloader/object.yaml", "reloader/deployment.yaml"]);
    tenant.ready("orders-api").await;
    Team::consumes(&reloader, "orders-api-oauth");
    assert_eq!(
        tenant.secret("orders-api-oauth").await.annotations()["reloader.stakater.com/match"],
        "true"
    );
    team.delete(&reloader, "orders-api-oauth").await;
}

async fn adopt(team: &Team) {
    let tenant = &team.tenant;
    let mut adopt = team.apply(&["adopt/secret.yaml", "adopt/object.yaml"]);
    tenant.ready("orders-api").await;
    assert_eq!(tenant.generates(&adopt.app), 0, "its value is accepted");
    assert_eq!(
        tenant.client_secret("orders-api-oauth").await,
        adopt.app.secret
    );
    let object = adopt.files.pop().unwrap();
    team.kubectl(&["delete", "--filename", object.to_str().unwrap()]);
    tenant.fence().await;
    assert_eq!(
        tenant.client_secret("orders-api-oauth").await,
        adopt.app.secret,
        "it was there before"
    );
}
