//! The chart's README, whose list of values is made from `values.yaml` and `values.schema.json`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::helm::{CHART, helm, root, succeeded};

/// Where the list begins.
const HEADING: &str = "\n## Values\n";

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(CHART).join(name)).unwrap()
}

/// A schema, with what it refers to.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str();
    reference.map_or(schema, |path| {
        root.pointer(path.strip_prefix('#').unwrap()).unwrap()
    })
}

/// The schema of a value by its path.
fn schema_of<'a>(root: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(root, |schema, key| {
        resolved(root, &schema["properties"][key])
    })
}

/// What a schema lets through, as far as a few words can say it.
fn accepted(schema: &Value) -> String {
    let code = |value: &Value| format!("`{value}`");
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    if schema["const"].is_boolean() {
        return code(&schema["const"]);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => {
            let kinds = kinds.iter().map(|kind| kind.as_str().unwrap());
            return kinds.collect::<Vec<_>>().join(" or ");
        }
        kind => kind.as_str().unwrap_or("object"),
    };
    match (kind, &schema["minimum"], &schema["maximum"]) {
        ("array", ..) => "list".to_owned(),
        ("object", ..) => "map".to_owned(),
        ("integer", Value::Number(least), Value::Number(most)) => format!("{least} to {most}"),
        (kind, ..) => kind.to_owned(),
    }
}

/// One line for each value, in the order of the file, with the comment before it.
fn table() -> String {
    let text = read("values.yaml");
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut table = "| value | accepted | default | |\n| --- | --- | --- | --- |\n".to_owned();
    let mut path: Vec<String> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    // What follows within a default that is shown as a whole.
    let mut within = usize::MAX;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        let entry = line.split_once(':').filter(|_| !line.starts_with('-'));
        let Some((key, _)) = entry else {
            comment.clear();
            continue;
        };
        if indent > within {
            continue;
        }
        within = usize::MAX;
        path.truncate(indent / 2);
        path.push(key.trim_matches('"').to_owned());
        let value = path.iter().fold(&values, |value, key| &value[key]);
        let known = schema_of(&schema, &path);
        let group = known["properties"].is_object() && value != &serde_json::json!({});
        if !group {
            within = indent;
        }
        let words = std::mem::take(&mut comment).join(" ");
        let shown = if group {
            (String::new(), String::new())
        } else {
            (accepted(known), format!("`{value}`"))
        };
        if !group || !words.is_empty() {
            let path = path.join(".");
            let (accepted, default) = shown;
            let row = [format!("`{path}`"), accepted, default, words];
            let row = row.map(|cell| cell.replace('|', "\\|"));
            writeln!(table, "| {} |", row.join(" | ")).unwrap();
        }
    }
    table
}

#[test]
fn the_readme_lists_every_value_with_its_default_and_what_it_is_for() {
    let page = read("README.md");
    let (before, there) = page.split_once(HEADING).unwrap();
    let wanted = format!("\n{}", table());
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        let path = root().join(CHART).join("README.md");
        std::fs::write(path, format!("{before}{HEADING}{wanted}")).unwrap();
        return;
    }
    assert!(
        there == wanted,
        "the chart's README is not what values.yaml says (`make reference` writes it)"
    );
    for (value, default) in [
        ("operator.logFormat", r#"`"json"`"#),
        ("replicas", "`1`"),
        ("metrics.podMonitor.metricRelabelings", "`[]`"),
    ] {
        let row = there
            .lines()
            .find(|line| line.starts_with(&format!("| `{value}` |")));
        assert!(row.is_some_and(|row| row.contains(default)), "{value}");
    }
}

#[test]
fn helm_shows_the_readme_and_the_icon_needs_no_server() {
    let shown = succeeded(&helm(None, &["show", "readme", CHART]));
    assert!(shown.contains(HEADING), "{shown}");
    let chart: Value = serde_saphyr::from_str(&read("Chart.yaml")).unwrap();
    let icon = chart["icon"].as_str().unwrap();
    assert!(icon.starts_with("data:image/svg+xml;base64,"));
}
