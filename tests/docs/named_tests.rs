//! The tests that a page names exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::markdown::{read, root};

/// The functions in a file, of Rust or of Go, and the tests that a macro makes of a list of names.
fn functions(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        if let Some((name, _)) = line.split_once(": ").filter(|_| line.ends_with(';')) {
            return Some(name.to_owned());
        }
        let at = ["fn ", "func "].iter().find_map(|word| {
            let (before, after) = line.split_once(word)?;
            let known = ["", "pub ", "async ", "pub async ", "const "];
            known.contains(&before).then_some(after)
        })?;
        let end = at.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        Some(at[..end].to_owned())
    })
}

fn collect(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "go") {
            found.extend(functions(&std::fs::read_to_string(path).unwrap()));
        }
    }
}

/// The names in a text that look like tests.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter(|code| {
        let word = code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        word && (code.matches('_').count() >= 3 && !code.starts_with("zitadel_secret_operator")
            || code.starts_with("Test") && code.len() > 12)
    })
}

#[test]
fn every_test_that_a_page_names_exists_and_every_claim_of_the_threat_model_names_one() {
    let mut there = BTreeSet::new();
    for directory in ["src", "tests", "simulator", "image"] {
        collect(&root().join(directory), &mut there);
    }
    for page in ["docs/threat-model.md", "docs/reliability.md"] {
        let text = read(page);
        let missing: Vec<_> = named(&text).filter(|name| !there.contains(*name)).collect();
        assert!(missing.is_empty(), "{page}: there is no test {missing:?}");
    }
    let text = read("docs/threat-model.md");
    let (mut claims, mut within) = (0, false);
    for line in text.lines() {
        within = line.ends_with("| shown by |") || within && line.starts_with('|');
        if within && !line.ends_with("shown by |") && !line.starts_with("| ---") {
            let cell = line.trim_end_matches('|').rsplit('|').next().unwrap();
            assert!(
                named(cell).next().is_some() || cell.contains("`deny.toml`"),
                "no test shows it: {line}"
            );
            claims += 1;
        }
    }
    assert!(claims > 30, "{claims}");
}
