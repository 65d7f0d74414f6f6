//! The properties on stable: the fuzzer's seeds, what it has found so far, and both spoilt at random.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::rotation::{Cause, Step};

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let files = std::fs::read_dir(&directory).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// A change to a seed.
#[derive(Debug, Clone)]
enum Spoil {
    Cut(prop::sample::Index),
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    /// What JSON and these formats are made of.
    Word(prop::sample::Index, &'static str),
}

impl Spoil {
    fn apply(self, bytes: &mut Vec<u8>) {
        let end = bytes.len() + 1;
        match self {
            Self::Cut(at) => bytes.truncate(at.index(end)),
            Self::Set(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Self::Set(..) => {}
            Self::Insert(at, new) => {
                let at = at.index(end);
                bytes.splice(at..at, new);
            }
            Self::Remove(at, count) => {
                let at = at.index(end);
                bytes.drain(at..(at + count).min(end - 1));
            }
            Self::Word(at, word) => {
                let at = at.index(end);
                bytes.splice(at..at, word.bytes());
            }
        }
    }
}

const WORDS: [&str; 22] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "0",
    "18446744073709551616",
    "1e999",
    "\u{feff}",
    "\n",
    "*/0",
    "99",
    "L",
    "#",
    "W",
];

fn spoil() -> impl Strategy<Value = Spoil> {
    use prop::sample::Index;
    prop_oneof![
        any::<Index>().prop_map(Spoil::Cut),
        any::<(Index, u8)>().prop_map(|(at, byte)| Spoil::Set(at, byte)),
        any::<(Index, [u8; 3])>().prop_map(|(at, new)| Spoil::Insert(at, new.to_vec())),
        (any::<Index>(), 1_usize..8).prop_map(|(at, count)| Spoil::Remove(at, count)),
        (any::<Index>(), prop::sample::select(&WORDS[..]))
            .prop_map(|(at, word)| Spoil::Word(at, word)),
    ]
}

#[test]
fn the_fuzzers_seeds_and_all_that_it_found_keep_every_property() {
    for (name, property) in ALL {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        for seed in &seeds {
            property(seed);
        }
    }
}

#[test]
fn the_fuzzer_has_a_target_and_seeds_for_each_property_and_no_others() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |directory: &str| {
        let files = std::fs::read_dir(home.join(directory)).unwrap();
        let name = |file: std::io::Result<std::fs::DirEntry>| {
            let path = file.unwrap().path();
            path.file_stem().unwrap().to_str().unwrap().to_owned()
        };
        files.map(name).collect::<std::collections::BTreeSet<_>>()
    };
    let wanted = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), wanted);
    assert_eq!(names("seeds"), wanted);
    let manifest = std::fs::read_to_string(home.join("Cargo.toml")).unwrap();
    for name in wanted {
        assert!(
            manifest.contains(&format!("fuzz_targets/{name}.rs")),
            "{name}"
        );
    }
}

/// 2,000 cases, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(2000),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_bytes_keep_every_property(data in any::<Vec<u8>>()) {
        for (_, property) in ALL {
            property(&data);
        }
    }

    #[test]
    fn spoilt_seeds_keep_every_property(seed in any::<prop::sample::Index>(), spoils in prop::collection::vec(spoil(), 1..4)) {
        for (name, property) in ALL {
            let seeds = seeds(name);
            let mut data = seeds[seed.index(seeds.len())].clone();
            for spoil in spoils.clone() {
                spoil.apply(&mut data);
            }
            property(&data);
        }
    }

    #[test]
    fn no_world_makes_a_decision_that_is_not_justified(data in prop::collection::vec(any::<u8>(), 150..250)) {
        rotation::properties::decision(&data);
    }
}

/// Without this the test above could be about worlds in which nothing is ever done.
#[test]
fn worlds_from_bytes_lead_to_every_step_and_every_cause() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..60_000 {
        let data: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(250).collect();
        for step in rotation::properties::steps(&data) {
            let name = match &step {
                Step::Send { cause, .. } => format!("Send {cause:?}"),
                step => {
                    let text = format!("{step:?}");
                    let end = text
                        .find(|c: char| !c.is_alphanumeric())
                        .unwrap_or(text.len());
                    text[..end].to_owned()
                }
            };
            *seen.entry(name).or_default() += 1;
        }
    }
    let steps = [
        "Read",
        "CreateShell",
        "Rehearse",
        "WriteClaim",
        "Render",
        "Move",
        "DropFormer",
        "Rest",
    ];
    for step in steps {
        assert!(seen.contains_key(step), "{step}: {seen:?}");
    }
    for cause in Cause::ALL {
        assert!(
            seen.contains_key(&format!("Send {cause:?}")),
            "{cause:?}: {seen:?}"
        );
    }
}
