//! The layout: imports point down only, so no file in `src` depends on one that depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module, by the names on the way to it: `src/store/mod.rs` is `store`.
type Module = Vec<String>;

#[test]
fn no_circle_of_files() {
    let sources = sources(Path::new("src"));
    let imports: BTreeMap<&Module, BTreeSet<Module>> = sources
        .iter()
        .map(|(module, text)| (module, imported(module, text, &sources)))
        .collect();
    let reaches = |from: &Module, to: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(&imports[module]);
            }
        }
        seen.contains(to)
    };
    let edges = imports
        .iter()
        .flat_map(|(module, all)| all.iter().map(move |to| (*module, to)));
    let circle: Vec<String> = edges
        .filter(|(module, to)| reaches(to, module))
        .map(|(module, to)| format!("{} imports {}", module.join("::"), to.join("::")))
        .collect();
    assert_eq!(circle, Vec::<String>::new(), "these files are in a circle");
}

/// What is proven of the protocol for one kind holds for each: decisions are made without it.
#[test]
fn the_core_has_the_kind_in_its_records_alone() {
    let record = ["rotation", "record"].map(str::to_owned).to_vec();
    let sources = sources(Path::new("src"));
    let core = sources.iter().filter(|(module, _)| module[0] == "rotation");
    let names_it = |text: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        words.any(|word| ["Kind", "ApiAppSecret", "OidcAppSecret"].contains(&word))
    };
    let found: Vec<&Module> = core
        .filter(|(_, text)| names_it(text))
        .map(|(module, _)| module)
        .collect();
    assert_eq!(found, [&record]);
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let sources = BTreeMap::from([
        (module("a"), String::new()),
        (module("b"), String::new()),
        (vec!["b".to_owned(), "c".to_owned()], String::new()),
    ]);
    let found = |text| imported(&module("a"), text, &sources);
    let all = BTreeSet::from([module("b"), vec!["b".to_owned(), "c".to_owned()]]);
    assert_eq!(found("use crate::b::{self, c::{D as X, E}, F};"), all);
    assert_eq!(found("use super::b::F;"), BTreeSet::from([module("b")]));
    assert_eq!(
        found("let x = crate::b::c::new();"),
        BTreeSet::from([all.last().unwrap().clone()])
    );
    assert_eq!(found("use kube::b::F;"), BTreeSet::new());
    let from_b = imported(&module("b"), "mod c;\npub use c::D;", &sources);
    assert_eq!(from_b, BTreeSet::from([all.last().unwrap().clone()]));
}

/// The text of each module that is shipped: without comments and tests.
fn sources(folder: &Path) -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut sources(&path));
            continue;
        }
        let module: Module = path
            .strip_prefix("src")
            .unwrap()
            .with_extension("")
            .iter()
            .map(|name| name.to_str().unwrap().to_owned())
            .filter(|name| name != "mod")
            .collect();
        let tests = ["tests", "properties", "lib", "main"];
        if module.iter().any(|name| tests.contains(&name.as_str())) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = shipped.lines().map(|line| line.split("//").next().unwrap());
        found.insert(module, lines.collect::<Vec<_>>().join("\n"));
    }
    found
}

/// The other modules that a module names, by `crate::`, `super::` or as its child.
fn imported(module: &Module, text: &str, all: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    let parent = module.split_last().map_or(&[][..], |(_, parent)| parent);
    let mut starts = vec![
        ("crate::".to_owned(), vec![]),
        ("super::".to_owned(), parent.to_vec()),
    ];
    for child in all
        .keys()
        .filter(|other| other.split_last().is_some_and(|(_, of)| of == module))
    {
        starts.push((format!("{}::", child.last().unwrap()), child.clone()));
    }
    let mut paths = Vec::new();
    for (start, base) in starts {
        for (at, _) in text.match_indices(&start) {
            let before = &text[..at];
            let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            // `pub(in crate::rotation)` is a visibility.
            if !before.ends_with(part) && !before.ends_with("(in ") {
                expand(&base, &text[at + start.len()..], &mut paths);
            }
        }
    }
    let known = |path: &Module| {
        (1..=path.len())
            .rev()
            .map(|n| path[..n].to_vec())
            .find(|path| all.contains_key(path))
    };
    paths
        .iter()
        .filter_map(known)
        .filter(|to| to != module)
        .collect()
}

/// Writes out the groups of a path: `a::{b, c::d}` is `a::b` and `a::c::d`. Returns what follows it.
fn expand<'a>(base: &[String], text: &'a str, paths: &mut Vec<Module>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(base, rest, paths);
            // Over `as name`.
            let next = rest.find([',', '}']).unwrap_or(rest.len());
            match rest[next..].strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.get(next + 1..).unwrap_or_default(),
            }
        }
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut path = base.to_vec();
    if !name.is_empty() && name != "self" {
        path.push(name.to_owned());
    }
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => expand(&path, rest, paths),
        _ => {
            paths.push(path);
            rest
        }
    }
}
