//! The log of a running operator: the fields by which an incident is looked up.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fixtures::{alone, lose_answer, root};

/// What a line is about, and its fields.
fn shape(line: &str) -> BTreeSet<String> {
    let line: Value = serde_json::from_str(line).unwrap();
    let fields = line.as_object().unwrap();
    let about = ["target", "message", "result", "cause"];
    let about = about.iter().filter(|field| fields.contains_key(**field));
    let about = about.map(|field| format!("{field}={}", fields[*field]));
    about.chain(fields.keys().cloned()).collect()
}

/// `UPDATE_SAMPLES=1` writes the sample. The queries of `docs/how-to/on-call.md` run over it (`make logql`).
#[tokio::test]
async fn the_sample_of_a_log_has_the_fields_of_a_running_operator() {
    let (own, tenant) = alone("log").await;
    let app = tenant.issued("orders-api", json!({})).await;
    lose_answer(&tenant, &app);
    tenant.trigger("orders-api", "leak, INC-1234").await;
    tenant.rotated("orders-api", "LostAttempt").await;
    let names = [
        (tenant.namespace.as_str(), "orders"),
        (tenant.project.as_str(), "269012345678901000"),
        (app.id.as_str(), "269012345678901234"),
    ];
    let audit = own.operator.audit();
    let results: Vec<_> = audit.iter().map(|line| &line["result"]).collect();
    assert_eq!(results, ["Success", "Unknown", "Success"]);
    // What belongs to an attempt, and nothing of the machine.
    let printed = own.operator.printed();
    let lines = printed.lines().filter(|line| line.contains("\"attempt\""));
    let lines: Vec<_> = lines
        .map(|line| {
            let of_sample = |line: String, (name, sample)| line.replace(name, sample);
            names.into_iter().fold(line.to_owned(), of_sample)
        })
        .collect();
    let file = root().join("tests/logql/testdata/operator.log");
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    }
    let shapes: BTreeSet<_> = lines.iter().map(|line| shape(line)).collect();
    for line in std::fs::read_to_string(&file).unwrap().lines() {
        assert!(shapes.contains(&shape(line)), "no line like {line}");
    }
}
