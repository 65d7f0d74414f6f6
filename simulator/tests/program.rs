//! The program: its first line, its admin side, and its end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

#[tokio::test]
async fn it_announces_itself_is_controlled_by_json_and_ends_with_its_parent() {
    let files = std::env::temp_dir().join(format!("zitadel-simulator-{}", std::process::id()));
    let mut program = Command::new(env!("CARGO_BIN_EXE_zitadel-simulator"))
        .args([
            "--exit-with-parent",
            "--projection-lag-ms",
            "60000",
            "--files",
        ])
        .arg(&files)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let (url, admin) = (
        ready["url"].as_str().unwrap(),
        ready["adminUrl"].as_str().unwrap(),
    );
    let (orders, operator) = (
        &ready["world"]["apps"]["orders"],
        &ready["world"]["users"]["operator"],
    );
    let app = orders["id"].as_str().unwrap();
    let key: Value =
        serde_json::from_slice(&std::fs::read(operator["keyFile"].as_str().unwrap()).unwrap())
            .unwrap();
    assert_eq!(key["userId"], operator["id"]);

    let http = reqwest::Client::new();
    let post = async |path: &str, body: Value| -> Value {
        http.post(format!("{admin}{path}"))
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let get = async |path: &str| -> Value {
        http.get(format!("{admin}{path}"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let fault = json!({"operation": "generate", "action": {"duplicate": "second"}});
    assert_eq!(post("/faults", fault).await["id"], 1);
    let project = orders["project"].as_str().unwrap();
    let path =
        format!("/management/v1/projects/{project}/apps/{app}/api_config/_generate_client_secret");
    let request = http
        .post(format!("{url}{path}"))
        .bearer_auth(operator["pat"].as_str().unwrap());
    let made: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(get(&format!("/apps/{app}")).await["generates"], 2);
    let question = json!({"app": app, "secret": made["clientSecret"]});
    assert_eq!(
        post("/accepts", question).await,
        json!({"accepts": false, "wouldAccept": true})
    );
    assert_eq!(get("/ledger/counters").await["requests"]["generate"], 1);
    assert!(
        !get("/ledger/executions")
            .await
            .to_string()
            .contains(made["clientSecret"].as_str().unwrap())
    );
    assert!(
        post("/commands", json!({"command": "deactivateApp", "app": app})).await["sequence"]
            .is_u64()
    );

    let change = http
        .patch(format!("{admin}/settings"))
        .json(&json!({"projectionLag": {"fixed": 5}}));
    assert_eq!(
        change.send().await.unwrap().json::<Value>().await.unwrap()["projectionLag"],
        json!({"fixed": 5})
    );
    let change = http
        .patch(format!("{admin}/settings"))
        .json(&json!({"managementV1": "unknownRoute"}));
    assert_eq!(change.send().await.unwrap().status(), 200);
    let gone = http.post(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(gone.status(), 404);
    let wrong = http
        .patch(format!("{admin}/settings"))
        .json(&json!({"noSuchSetting": 1}));
    assert_eq!(wrong.send().await.unwrap().status(), 400);

    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
    std::fs::remove_dir_all(files).unwrap();
}
