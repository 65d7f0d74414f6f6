//! The pages about installing, upgrading and uninstalling: their commands are run as they stand there.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use zitadel_secret_operator::api::ApiAppSecret;
use zitadel_simulator::{AppHandle, Config, Operation, Role, Scope, Simulator};

use super::install::Kubelet;
use crate::support::controlplane::{ControlPlane, Options, client_from};
use crate::support::eventually;
use crate::support::helm::{helm, render, root, succeeded};
use crate::support::world::{Operator, PATIENCE};

const OPERATORS: &str = "zitadel-secret-operator";

/// The part of a page under a heading.
fn section(page: &str, heading: &str) -> String {
    let text = std::fs::read_to_string(root().join("docs/how-to").join(page)).unwrap();
    let mut parts = text.split("\n## ");
    let part = parts.find(|part| part.starts_with(heading));
    part.unwrap_or_else(|| panic!("{page}: {heading}"))
        .to_owned()
}

/// The blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// The commands under a heading.
pub fn commands(page: &str, heading: &str) -> Vec<String> {
    let text = match heading {
        // What stands before the first heading.
        "" => {
            let text = std::fs::read_to_string(root().join("docs/how-to").join(page)).unwrap();
            text.split("\n## ").next().unwrap().to_owned()
        }
        heading => section(page, heading),
    };
    let lines = blocks(&text, "console");
    let commands: Vec<String> = lines
        .iter()
        .flat_map(|block| block.lines())
        .map(|line| line.strip_prefix("$ ").unwrap().to_owned())
        .collect();
    assert!(!commands.is_empty(), "{page}: {heading}");
    commands
}

/// The commands of the README under a heading.
fn readme(heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut parts = text.split("\n## ");
    let part = parts.find(|part| part.starts_with(heading)).unwrap();
    let commands = blocks(part, "sh");
    let commands = commands.iter().flat_map(|block| block.lines());
    commands.map(ToOwned::to_owned).collect()
}

/// Runs a command of a page. Its files are in `directory`, where there are any of that name.
pub fn run(cluster: &ControlPlane, directory: &Path, command: &str) -> String {
    let there = |word: &str| {
        let (flag, file) = word.split_once('=').unwrap_or(("", word));
        let path = directory.join(file);
        let path = path.to_str().filter(|_| path.is_file());
        path.map_or_else(
            || word.to_owned(),
            |path| {
                if flag.is_empty() {
                    path.to_owned()
                } else {
                    format!("{flag}={path}")
                }
            },
        )
    };
    let unquoted = command.replace('\'', "");
    let words: Vec<String> = unquoted.split(' ').map(there).collect();
    // NB: without a kubelet a namespace takes its time.
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    if command.starts_with("kubectl delete namespace") {
        words.push("--wait=false");
    }
    let output = match words[0] {
        "helm" => helm(Some(cluster.admin_kubeconfig()), &words[1..]),
        "kubectl" => cluster.kubectl(&words[1..]),
        other => panic!("{other}"),
    };
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {printed}");
    succeeded(&output)
}

/// Runs a command that waits for what other tasks of this test do.
async fn run_beside(cluster: &'static ControlPlane, directory: &Path, command: &str) -> String {
    let (directory, command) = (directory.to_owned(), command.to_owned());
    let running = move || run(cluster, &directory, &command);
    tokio::task::spawn_blocking(running).await.unwrap()
}

/// What the page takes for granted: ZITADEL with an application, a service user with a key, and the files with the values of both.
struct Prepared {
    zitadel: Simulator,
    app: AppHandle,
    directory: tempfile::TempDir,
}

impl Prepared {
    fn new() -> Self {
        let zitadel = Simulator::start(Config::default()).unwrap();
        let organization = zitadel.create_org("example");
        let project = zitadel.create_project(&organization, "payments");
        let user = zitadel.create_user(&organization, "operator");
        zitadel.grant(&user, Role::ProjectOwner, Scope::Project(project.clone()));
        let app = zitadel.create_api_app(&project, "orders").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let key = zitadel.create_machine_key(&user).unwrap().json;
        std::fs::write(directory.path().join("key.json"), key).unwrap();
        let example = root().join("examples/minimal/connection.yaml");
        let example = std::fs::read_to_string(example).unwrap();
        let page = section("install.md", "Install and use it");
        let of_page = blocks(&page, "yaml").into_iter().map(|block| {
            let name = block.lines().next().unwrap().strip_prefix("# ").unwrap();
            (name.to_owned(), block)
        });
        for (name, block) in of_page.chain([("connection.yaml".to_owned(), example)]) {
            let mut text = block.clone();
            for (example, here) in [
                ("https://iam.example.com", zitadel.url().as_str()),
                ("312345678901234567", &organization),
                ("312345678901234568", &project),
                ("312345678901234569", &app.id),
            ] {
                text = text.replace(example, here);
            }
            assert!(text != block || name == "values.yaml", "{name}");
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Self {
            zitadel,
            app,
            directory,
        }
    }
}

/// The operator with the rights that were installed.
async fn in_place_of_the_pod(cluster: &ControlPlane, directory: &Path) -> Operator {
    let account = cluster.kubeconfig_for_service_account(OPERATORS, OPERATORS);
    let account = account.await;
    Operator::start_with(&account, directory, &["--protocol-speed", "20"])
}

#[test]
fn the_values_that_the_pages_show_are_values_of_the_chart() {
    let pages = std::fs::read_dir(root().join("docs/how-to")).unwrap();
    let mut tried = 0;
    for page in pages {
        let text = std::fs::read_to_string(page.unwrap().path()).unwrap();
        for block in blocks(&text, "yaml") {
            if !block.starts_with("# values") {
                continue;
            }
            let directory = tempfile::tempdir().unwrap();
            let values = directory.path().join("values.yaml");
            std::fs::write(&values, &block).unwrap();
            let arguments = ["--values", values.to_str().unwrap()];
            assert!(!render(&arguments).is_empty(), "{block}");
            tried += 1;
        }
    }
    assert!(tried >= 2, "{tried}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_pages_lead_from_nothing_to_a_secret_and_back() {
    let cluster = Box::leak(Box::new(ControlPlane::start(Options::default()).await));
    let cluster: &'static ControlPlane = cluster;
    let client = client_from(cluster.admin_kubeconfig()).await;
    let _kubelet = Kubelet::start(client.clone());
    assert!(
        cluster
            .kubectl(&["create", "namespace", "orders"])
            .status
            .success()
    );

    let prepared = Prepared::new();
    let (zitadel, app) = (&prepared.zitadel, &prepared.app);
    let directory = prepared.directory.path();

    let install = commands("install.md", "Install and use it");
    assert!(install.len() <= 4, "{install:?}");
    assert_eq!(readme("Install"), install);
    let mut operator = None;
    for command in &install {
        run_beside(cluster, directory, command).await;
        if command.starts_with("helm install") {
            operator = Some(Arc::new(in_place_of_the_pod(cluster, directory).await));
        }
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "orders");
    let data = secrets.get("orders-api").await.unwrap().data.unwrap();
    let value = String::from_utf8(data["CLIENT_SECRET"].0.clone()).unwrap();
    let objects: Api<ApiAppSecret> = Api::namespaced(client.clone(), "orders");
    let object = objects.get("orders-api").await.unwrap();
    let standby = object.status.unwrap().standby_app_id.unwrap();
    let generated = || (zitadel.generates(&standby), zitadel.generates(&app.id));
    assert!(zitadel.accepts(&standby, &value));
    assert!(zitadel.accepts(&app.id, app.secret.as_ref().unwrap()));
    assert_eq!(generated(), (1, 0));
    for command in readme("Day two") {
        run_beside(cluster, directory, &command).await;
    }
    assert_eq!(generated(), (1, 1));
    assert!(zitadel.accepts(&standby, &value), "the pair before");

    for command in commands("upgrade.md", "")
        .iter()
        .chain(&commands("upgrade.md", "Back to an older version"))
    {
        run_beside(cluster, directory, command).await;
    }
    let operator = operator.unwrap();
    let stopping = Arc::clone(&operator);
    let code = tokio::task::spawn_blocking(move || stopping.stop())
        .await
        .unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(generated(), (1, 1));

    // The operator is gone: nothing may wait for it.
    for command in commands("uninstall.md", "The operator alone") {
        run(cluster, directory, &command);
    }
    assert!(objects.get_opt("orders-api").await.unwrap().is_some());
    assert!(secrets.get_opt("orders-api").await.unwrap().is_some());
    run_beside(cluster, directory, &install[0]).await;
    for command in commands("uninstall.md", "Everything") {
        run(cluster, directory, &command);
    }
    eventually(PATIENCE, || async {
        secrets
            .get_opt("orders-api")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_for_those_without_helm_work_as_well() {
    let cluster = ControlPlane::start(Options::default()).await;
    let orders = cluster.kubectl(&["create", "namespace", "orders"]);
    assert!(orders.status.success());
    let prepared = Prepared::new();
    let directory = prepared.directory.path();
    let mut operator = None;
    for command in commands("install.md", "Without Helm") {
        run(&cluster, directory, &command);
        if command.contains("deploy/install.yaml") {
            operator = Some(in_place_of_the_pod(&cluster, directory).await);
        }
    }
    // On the application that the operator created.
    let generates = prepared.zitadel.requests(Operation::Generate);
    let on_theirs = prepared.zitadel.generates(&prepared.app.id);
    assert_eq!((generates, on_theirs), (1, 0));
    drop(operator);
    for command in commands("uninstall.md", "Without Helm") {
        run(&cluster, directory, &command);
    }
    let kinds = "clusterrole,clusterrolebinding,role,rolebinding,serviceaccount,service,deployment";
    let left = cluster.kubectl(&["get", kinds, "--output=name", "--namespace", OPERATORS]);
    let left = String::from_utf8(left.stdout).unwrap();
    assert!(!left.contains(OPERATORS), "{left}");
}
