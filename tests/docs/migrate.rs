//! The commands of the page about migrating lead to an adopted Secret, and generate nothing before a rotation is asked for.

use crate::examples::Team;
use crate::markdown::{blocks, read, root};

/// The commands under a heading of the page.
fn commands(page: &str, heading: &str) -> Vec<String> {
    let part = page.split("\n## ").find(|part| part.starts_with(heading));
    let all = blocks(part.unwrap());
    let console = all.iter().filter(|block| block.language == "console");
    console
        .flat_map(|block| block.text.lines())
        .map(|line| line.strip_prefix("$ ").unwrap().to_owned())
        .collect()
}

pub async fn as_the_page_says(team: &Team) {
    let tenant = &team.tenant;
    let page = read("docs/how-to/migrate.md");
    let app = tenant.app("migrated");
    let value = app.secret.clone().unwrap();
    let former = serde_json::json!({"client_id": app.client_id, "client_secret": value});
    tenant.create_secret("orders-oauth", former).await;

    let directory = team.world.directory.join("migrate");
    std::fs::create_dir(&directory).unwrap();
    let manifest = blocks(&page)
        .into_iter()
        .find(|block| block.language == "yaml")
        .unwrap();
    let manifest = manifest
        .text
        .replace("312345678901234568", &tenant.project)
        .replace("312345678901234569", &app.id)
        .replace(
            "namespace: orders\n",
            &format!("namespace: {}\n", tenant.namespace),
        );
    std::fs::write(directory.join("orders-api.yaml"), manifest).unwrap();
    let run = |commands: Vec<String>| {
        let script = commands.join("\n").replace(
            "--namespace orders ",
            &format!("--namespace {} ", tenant.namespace),
        );
        assert!(!script.is_empty());
        let path = format!(
            "{}:{}",
            root().join("target/controlplane").display(),
            std::env::var("PATH").unwrap()
        );
        let mut shell = std::process::Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &script]);
        shell.current_dir(&directory).env("PATH", path);
        shell.env("KUBECONFIG", team.world.cluster.admin_kubeconfig());
        shell.env("KUBECACHEDIR", directory.join("cache"));
        let output = shell.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && errors.is_empty(),
            "{script}\n{errors}"
        );
    };

    let by_hand = commands(&page, "By hand");
    run([by_hand, commands(&page, "Every migration")].concat());
    assert_eq!(tenant.generates(&app), 0, "the value is adopted");
    let adopted = tenant.data("orders-api-oauth").await;
    assert_eq!(adopted["CLIENT_ID"], app.client_id);
    assert_eq!(adopted["CLIENT_SECRET"], value);

    run(commands(&page, "From Terraform state"));
    tenant.until_generates(&app, 1).await;
    tenant.until_accepted(&app, "orders-api-oauth").await;
}
