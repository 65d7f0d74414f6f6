//! What `make mutants` builds the pure core with, in place of `src/api`, has the same fields and words.

use std::collections::BTreeMap;
use std::path::Path;

/// The fields and variants of each type in a file, by the name of the type.
fn types(file: &str) -> BTreeMap<String, Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut types = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let head = ["pub struct ", "pub enum "]
            .iter()
            .find_map(|head| line.strip_prefix(head));
        let Some(name) = head.and_then(|head| head.strip_suffix(" {")) else {
            continue;
        };
        let members = lines.by_ref().take_while(|line| *line != "}");
        // An attribute over several lines is no member.
        let is_member = |line: &&str| line.ends_with(',') && !line.contains('(');
        let members = members.map(str::trim).filter(is_member);
        let members = members.map(|line| line.trim_start_matches("pub ").to_owned());
        types.insert(name.to_owned(), members.collect());
    }
    types
}

#[test]
fn the_core_is_built_with_the_fields_of_the_api() {
    let api = types("src/api/rotation.rs");
    let stands_in = types("tests/mutants/src/api/mod.rs");
    assert!(stands_in.len() > 4, "{stands_in:?}");
    for (name, members) in stands_in {
        assert_eq!(Some(&members), api.get(&name), "{name}");
    }
}
