//! The documentation says what the program does: every reason, every field, and no flag that does not exist.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use serde_json::Value;
use zitadel_secret_operator::api::{self, Reason};
use zitadel_secret_operator::cli::Cli;
use zitadel_secret_operator::plugin;
use zitadel_secret_operator::process::metrics;

use crate::markdown::{pages, read, root};

#[test]
fn every_reason_has_a_paragraph_and_no_paragraph_is_without_a_reason() {
    let text = read("docs/troubleshooting.md");
    let mut found = BTreeSet::new();
    for part in text.split("\n### ").skip(1) {
        let (heading, paragraph) = part.split_once('\n').unwrap();
        let paragraph = paragraph.split("\n## ").next().unwrap_or_default();
        assert!(
            paragraph.trim().len() > 40,
            "{heading} says next to nothing"
        );
        assert!(found.insert(heading.trim()), "{heading} is there twice");
    }
    let reasons: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let missing: Vec<_> = reasons.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&reasons).collect();
    assert!(missing.is_empty(), "without a paragraph: {missing:?}");
    assert!(unknown.is_empty(), "no such reason: {unknown:?}");
}

/// The long flags of a program and of its commands.
fn flags_of(command: &clap::Command) -> BTreeSet<String> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let arguments = commands.flat_map(clap::Command::get_arguments);
    let flags = arguments.filter_map(|argument| argument.get_long().map(ToOwned::to_owned));
    flags.collect()
}

/// The long flags of the operator and of the plugin.
fn flags() -> BTreeSet<String> {
    let mut flags = flags_of(&Cli::command());
    flags.extend(flags_of(&plugin::cli::Cli::command()));
    flags.extend(["help".to_owned(), "version".to_owned()]);
    flags
}

/// The words in a line that begin with two dashes.
fn flags_in(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    words
        .filter_map(|word| word.strip_prefix("--"))
        .filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[test]
fn the_pages_name_only_flags_that_exist() {
    let known = flags();
    let mut named = BTreeSet::new();
    for (path, text) in pages() {
        for line in text.lines() {
            // Other programs have flags of their own.
            let other = [
                "kubectl",
                "helm ",
                "cargo ",
                "git ",
                "curl ",
                "imagebuilder ",
                "cosign ",
                "gh ",
                "zitadel-simulator --help",
            ];
            let ours = line.contains("zitadel-secret-operator run")
                || line.contains("zitadel-secret-operator crd")
                || line.contains("-- run");
            if !ours && other.iter().any(|program| line.contains(program)) {
                continue;
            }
            let line = line.split_once("-- run").map_or(line, |(_, rest)| rest);
            for flag in flags_in(line) {
                assert!(
                    known.contains(flag),
                    "{}: there is no --{flag}",
                    path.display()
                );
                named.insert(flag.to_owned());
            }
        }
    }
    assert!(
        named.contains("minimum-interval"),
        "no flag was found at all"
    );
}

#[test]
fn every_flag_is_in_the_reference_with_its_variable() {
    let text = read("docs/reference/flags.md");
    let command = Cli::command();
    for argument in command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
    {
        let Some(flag) = argument.get_long().filter(|flag| *flag != "help") else {
            continue;
        };
        let line = text
            .lines()
            .find(|line| {
                line.contains(&format!("`--{flag}`")) || line.contains(&format!("`--{flag} "))
            })
            .unwrap_or_else(|| panic!("--{flag} is not in docs/reference/flags.md"));
        if let Some(variable) = argument.get_env().filter(|_| !argument.is_hide_set()) {
            let variable = variable.to_string_lossy();
            assert!(line.contains(&*variable), "--{flag}: {variable}");
        }
    }
}

/// The long flags of a command that a page does not name.
fn unnamed(command: &clap::Command, page: &str) -> Vec<String> {
    let own = command.get_arguments();
    let flags = own.filter_map(|argument| argument.get_long().map(ToOwned::to_owned));
    let is_named = |flag: &String| {
        ["`", " "]
            .iter()
            .any(|end| page.contains(&format!("`--{flag}{end}")))
    };
    flags.filter(|flag| !is_named(flag)).collect()
}

#[test]
fn every_command_of_the_plugin_has_a_page_with_its_flags() {
    let overview = read("docs/reference/plugin.md");
    let plugin = plugin::cli::Cli::command();
    assert_eq!(unnamed(&plugin, &overview), [""; 0], "of every command");
    let mut names = BTreeSet::new();
    for command in plugin.get_subcommands() {
        let name = command.get_name();
        let page = read(&format!("docs/reference/plugin/{name}.md"));
        let heading = format!("# `kubectl zitadel-secret {name}`\n");
        assert!(page.starts_with(&heading), "{heading}");
        assert_eq!(unnamed(command, &page), [""; 0], "{name}");
        let link = format!("\n| [`{name}`](plugin/{name}.md) | ");
        assert!(overview.contains(&link), "{link}");
        names.insert(format!("{name}.md"));
    }
    let pages = std::fs::read_dir(root().join("docs/reference/plugin")).unwrap();
    let pages = pages.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(pages.collect::<BTreeSet<_>>(), names);
}

/// A type and its limits, in words.
fn in_words(schema: &Value) -> String {
    let number = |name: &str| schema[name].as_f64();
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        return format!("`{}`", words.join("` or `"));
    }
    let kind = match schema["type"].as_str().unwrap() {
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "object" if schema.get("additionalProperties").is_some() => "map of strings".to_owned(),
        "array" => format!("list of {}", in_words(&schema["items"])),
        other => other.to_owned(),
    };
    let length = match (number("minLength"), number("maxLength")) {
        (Some(least), Some(most)) => Some(format!(" of {least} to {most}")),
        (None, Some(most)) => Some(format!(" of at most {most}")),
        _ => None,
    };
    let range = number("minimum").zip(number("maximum"));
    let parts = [
        Some(kind),
        length,
        range.map(|(least, most)| format!(", {least} to {most}")),
        number("maxProperties").map(|most| format!(", at most {most}")),
        number("maxItems").map(|most| format!(", at most {most}")),
        number("minItems").map(|least| format!(", at least {least}")),
    ];
    parts.into_iter().flatten().collect()
}

/// What a rule says; values that an expression quotes are left out.
fn sentence(rule: &Value) -> String {
    if let Some(message) = rule["message"].as_str() {
        return message.to_owned();
    }
    let parts = rule["messageExpression"].as_str().unwrap().split("' + ");
    let parts: Vec<_> = parts
        .map(|part| part.split_once(" + '").map_or(part, |(_, text)| text))
        .collect();
    parts.join("…").trim_matches('\'').to_owned()
}

/// A row for each field below a schema, and a line for each rule. What conditions are made of is Kubernetes' own.
fn fields(schema: &Value, path: &str, rows: &mut Vec<String>, rules: &mut Vec<String>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        rules.push(format!("* `{path}`: {}", sentence(rule)));
    }
    if let Some(items) = schema.get("items") {
        if !path.ends_with("conditions") {
            fields(items, &format!("{path}[]"), rows, rules);
        }
        return;
    }
    let required = schema["required"].as_array();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let needed = required.is_some_and(|names| names.iter().any(|needed| needed == name));
        let needed = if needed { ", required" } else { "" };
        let description = field["description"].as_str().expect(&path);
        let (words, description) = (in_words(field), description.replace('\n', " "));
        rows.push(format!("| `{path}` | {words}{needed} | {description} |"));
        fields(field, &path, rows, rules);
    }
}

/// `make reference` writes the tables instead.
#[test]
fn the_reference_has_every_field_of_both_kinds_as_the_definitions_describe_it() {
    let path = root().join("docs/reference/api.md");
    let mut text = read("docs/reference/api.md");
    for (_, yaml) in api::documents().unwrap() {
        let definition: Value = serde_saphyr::from_str(&yaml).unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            let (mut rows, mut rules) = (Vec::new(), Vec::new());
            fields(&schema[part], part, &mut rows, &mut rules);
            assert!(rows.len() > 4, "{kind}: {part}");
            let mut blocks = vec![format!(
                "| field | value | |\n| --- | --- | --- |\n{}",
                rows.join("\n")
            )];
            if !rules.is_empty() {
                blocks.push("Rules that the API server checks:".to_owned());
                blocks.push(rules.join("\n"));
            }
            let wanted = blocks.join("\n\n");
            let heading = format!("\n### {kind}: {part}\n\n");
            let from = text.find(&heading).expect(&heading) + heading.len();
            let there = text[from..].split("\n\n");
            let there = there.take(blocks.len()).collect::<Vec<_>>().join("\n\n");
            let there = there.trim_end();
            if std::env::var_os("UPDATE_REFERENCE").is_some() {
                text.replace_range(from..from + there.len(), &wanted);
                continue;
            }
            assert!(
                there == wanted,
                "{heading}is not what the definition says (`make reference` writes it):\n{wanted}"
            );
        }
    }
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn the_reference_of_the_metrics_is_what_the_program_prints() {
    let page = read("docs/reference/metrics.md");
    assert!(
        page == metrics::reference(),
        "docs/reference/metrics.md is not what the program prints: make reference"
    );
}

/// The headings of a page, as links name them.
fn headings(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    let names = lines.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    names
        .map(|name| name.chars().filter(kept).collect::<String>())
        .map(|name| name.replace(' ', "-"))
        .collect()
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let docs = root().join("docs").canonicalize().unwrap();
    for (path, text) in pages() {
        let targets = text.split("](").skip(1);
        for target in targets.filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let link = format!("{}: {target}", path.display());
            let linked = linked.canonicalize().expect(&link);
            if !heading.is_empty() {
                let linked = std::fs::read_to_string(&linked).unwrap();
                assert!(headings(&linked).contains(heading), "{link}");
            }
            // The site has nothing else.
            if path.starts_with(root().join("docs")) {
                assert!(linked.starts_with(&docs), "{link}");
            }
        }
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read("docs/SUMMARY.md");
    let docs = root().join("docs");
    for (path, _) in pages() {
        let Ok(page) = path.strip_prefix(&docs) else {
            continue;
        };
        let page = page.to_string_lossy();
        assert!(
            page == "SUMMARY.md" || summary.contains(&format!("({page})")),
            "{page}"
        );
    }
}

/// The paths in a page that begin with a folder of the repository.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let folders = [
        "src/",
        "tests/",
        "simulator/",
        "examples/",
        "charts/",
        "deploy/",
        "gitops/",
        "docs/",
        "crds/",
        "fuzz/",
        "image/",
        ".github/",
    ];
    let code = text.split('`').skip(1).step_by(2);
    code.filter(move |code| folders.iter().any(|folder| code.starts_with(folder)))
        .filter(|code| !code.contains([' ', '*', '$', '<', '{']))
}

#[test]
fn every_file_that_a_page_names_exists() {
    let mut named = 0;
    for (path, text) in pages() {
        // What a change was about may be gone.
        if path.ends_with("CHANGELOG.md") {
            continue;
        }
        for name in paths(&text) {
            assert!(root().join(name).exists(), "{}: {name}", path.display());
            named += 1;
        }
    }
    assert!(named > 60, "{named}");
}

#[test]
fn the_issue_templates_ask_for_versions_and_warn_of_secrets() {
    let form = |name: &str| -> Value {
        let text = read(&format!(".github/ISSUE_TEMPLATE/{name}.yml"));
        assert!(text.contains("**Never paste a"), "{name}");
        serde_saphyr::from_str(&text).unwrap()
    };
    let required = |form: &Value| -> BTreeSet<String> {
        let fields = form["body"].as_array().unwrap().iter();
        let required = fields.filter(|field| field["validations"]["required"] == true);
        let id = |field: &Value| field["id"].as_str().unwrap().to_owned();
        required.map(id).collect()
    };
    let wanted = ["operator", "kubernetes", "zitadel", "what", "describe"];
    let wanted = wanted.map(ToOwned::to_owned);
    assert_eq!(required(&form("bug")), wanted.into());
    assert_eq!(required(&form("feature")), ["problem".to_owned()].into());
}
