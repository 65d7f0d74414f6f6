//! The README: short enough to be read, true about versions, and each of its commands is run by a test.

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The blocks of code: heading, language and lines.
fn blocks() -> Vec<(String, String, Vec<String>)> {
    let text = read("README.md");
    let (mut heading, mut open, mut blocks) = (String::new(), None, Vec::new());
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), Vec::new())),
            (Some(_), Some(_)) => {
                let (language, lines) = open.take().unwrap();
                blocks.push((heading.clone(), language, lines));
            }
            (Some((_, lines)), None) => lines.push(line.to_owned()),
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    title.clone_into(&mut heading);
                }
            }
        }
    }
    assert!(open.is_none(), "a block does not end");
    blocks
}

#[test]
fn it_has_at_most_120_lines() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 120, "{lines} lines");
}

#[test]
fn every_command_is_run_by_a_test_and_can_be_pasted_into_any_shell() {
    let mut commands = Vec::new();
    for (heading, language, lines) in blocks() {
        match language.as_str() {
            "mermaid" => {}
            "sh" => {
                for line in lines {
                    // NB: an interactive zsh has no comments.
                    assert!(!line.starts_with('$') && !line.contains('#'), "{line}");
                    commands.push((heading.clone(), line));
                }
            }
            other => panic!("a block of {other} in {heading}"),
        }
    }
    let of = |heading: &str| -> Vec<String> {
        let under = commands.iter().filter(|(under, _)| under == heading);
        under.map(|(_, command)| command.clone()).collect()
    };
    assert_eq!(of("Try it without a cluster"), ["make demo", "make test"]);
    assert!(read(".ci/run").ends_with("\nexec make test\n"));
    // The commands of these two are run as they are here.
    let runner = read("tests/chart/pages.rs");
    let mut run = 2;
    for heading in ["Install", "Day two"] {
        assert!(
            runner.contains(&format!("readme(\"{heading}\")")),
            "{heading}"
        );
        assert!(of(heading).len() > 2, "{heading}");
        run += of(heading).len();
    }
    assert_eq!(run, commands.len(), "run by no test: {commands:?}");
}

#[test]
fn the_warning_is_before_the_commands_that_it_is_about() {
    let text = read("README.md");
    let warning = text.find("**Warning: creating an ApiAppSecret").unwrap();
    assert!(warning < text.find("```sh").unwrap());
}

#[test]
fn its_versions_are_those_of_the_repository() {
    let line = read("README.md").lines().nth(2).unwrap().to_owned();
    let value = |file: &str, key: &str| {
        let text = read(file);
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.expect(key)
            .trim_matches([' ', '=', '"', 'v'])
            .to_owned()
    };
    for fact in [
        format!("License: {} ", value("Cargo.toml", "license = ")),
        format!("Rust {} ", value("Cargo.toml", "rust-version = ")),
        format!(
            "Kubernetes: tested on {} ",
            value("tests/controlplane/go.mod", "k8s.io/kubernetes ")
        ),
    ] {
        assert!(line.contains(&fact), "{fact}: {line}");
    }
}
