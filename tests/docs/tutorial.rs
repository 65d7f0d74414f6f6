//! The tutorial's commands are run as they stand there, in one shell, and print what the page says they print.

#[path = "../../examples/demo/tutorial.rs"]
mod files;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::controlplane::{ControlPlane, Options};
use zitadel_simulator::{Config, Role, Scope, Simulator};

/// How long the whole page may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// The page with its commands, each with the lines that it prints.
fn steps() -> Vec<(String, Vec<String>)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tutorial.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push((command.to_owned(), Vec::new())),
                None => steps.last_mut().unwrap().1.push(line.to_owned()),
            }
        }
    }
    steps
}

/// Whether a text is what the page says, in which `…` stands for anything. More text at the end of a line needs one, too.
fn matches(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap()) else {
        return false;
    };
    let mut open = false;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        open = part.is_empty();
    }
    open || rest.is_empty()
}

#[test]
fn a_page_that_says_something_else_does_not_match() {
    assert!(matches("orders-api   True  UpToDate", "orders-api…True…"));
    assert!(matches("a\nb\nc", "a\n…\nc"));
    for other in ["orders-api", "orders-api True", "x…True…"] {
        assert!(!matches("orders-api   True  UpToDate", other), "{other}");
    }
}

/// For machines without curl: the three options that the page uses.
const CURL: &str = r#"#!/usr/bin/env python3
import base64, sys, urllib.error, urllib.request
_, s, u, user, d, data, url = sys.argv
assert (s, u, d) == ("-s", "-u", "-d")
request = urllib.request.Request(url, data.encode())
request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
try:
    print(urllib.request.urlopen(request).read().decode(), end="")
except urllib.error.HTTPError as error:
    print(error.read().decode(), end="")
"#;

/// A checkout with what `make tutorial` writes.
fn prepare(checkout: &Path, cluster: &ControlPlane, zitadel: &Simulator) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir(checkout.join("crds")).unwrap();
    for entry in std::fs::read_dir(root.join("crds")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, checkout.join("crds").join(path.file_name().unwrap())).unwrap();
    }
    let directory = checkout.join("target/tutorial");
    std::fs::create_dir_all(&directory).unwrap();
    let organization = zitadel.create_org("acme");
    let project = zitadel.create_project(&organization, "payments");
    let app = zitadel.create_api_app(&project, "orders").unwrap();
    let user = zitadel.create_user(&organization, "operator");
    zitadel.grant(&user, Role::ProjectOwner, Scope::Project(project.clone()));
    let key = zitadel.create_machine_key(&user).unwrap().json;
    std::fs::write(directory.join("key.json"), key).unwrap();
    let caller = zitadel.create_user(&organization, "caller");
    let kubectl = root.join("target/controlplane");
    let operator = Path::new(env!("CARGO_BIN_EXE_zitadel-secret-operator"));
    let inputs = files::Inputs {
        kubectl: kubectl.to_str().unwrap(),
        operator: operator.parent().unwrap().to_str().unwrap(),
        kubeconfig: cluster.admin_kubeconfig().to_str().unwrap(),
        issuer: &zitadel.url(),
        organization: &organization,
        project: &project,
        app: &app.id,
        token: &zitadel.create_pat(&caller).unwrap(),
    };
    for (name, text) in files::files(&inputs) {
        std::fs::write(directory.join(name), text).unwrap();
    }
    std::fs::create_dir(checkout.join("bin")).unwrap();
    let curl = checkout.join("bin/curl");
    std::fs::write(&curl, CURL).unwrap();
    std::fs::set_permissions(curl, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_commands_do_what_the_page_says() {
    let cluster = ControlPlane::start(Options::default()).await;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let checkout = tempfile::tempdir().unwrap();
    prepare(checkout.path(), &cluster, &zitadel);

    let steps = steps();
    assert!(steps.len() > 20, "{}", steps.len());
    // The first command that fails ends the shell, and with it the operator.
    let commands = steps
        .iter()
        .enumerate()
        .map(|(number, (command, _))| format!("echo '@@@ {number}'\n{command}\necho\n"));
    let script = "set -euo pipefail\nPATH=$PATH:$PWD/bin\nexport KUBECACHEDIR=$PWD/cache\n\
                  trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n"
        .to_owned()
        + &commands.collect::<String>();
    let mut shell = tokio::process::Command::new("bash");
    shell.arg("-c").arg(&script).current_dir(checkout.path());
    shell.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, shell.output())
        .await
        .expect("the page takes too long")
        .unwrap();

    let printed = String::from_utf8(output.stdout).unwrap();
    let log = std::fs::read_to_string(checkout.path().join("target/tutorial/operator.log"));
    assert!(
        output.status.success(),
        "{printed}\n{}\n{log:?}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut parts = printed.split("@@@ ").skip(1);
    for (number, (command, expected)) in steps.iter().enumerate() {
        let part = parts.next().unwrap();
        let text = part.strip_prefix(&format!("{number}\n")).unwrap();
        let text = text.trim_end();
        if expected.is_empty() {
            assert!(text.is_empty(), "$ {command}\n{text}");
            continue;
        }
        // A page may show the beginning of a longer list.
        let shown: Vec<_> = text.lines().collect();
        let whole = matches(text, &expected.join("\n"));
        let beginning = shown.len() > expected.len()
            && matches(&shown[..expected.len()].join("\n"), &expected.join("\n"));
        assert!(
            whole || beginning,
            "$ {command}\nprints\n{text}\nand the page says\n{}",
            expected.join("\n")
        );
    }
}
