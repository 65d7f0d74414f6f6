//! A page with commands: what it says that they print, compared with what they print, and written.

use std::path::PathBuf;

use jiff::Timestamp;
use uuid::Uuid;

use crate::fixtures::root;

/// What begins a block of commands and their output, and what ends it.
const BLOCK: [&str; 2] = ["```console\n", "```"];
/// What begins a line with a command.
const PROMPT: &str = "$ ";

/// A command of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub command: String,
    /// The lines that it prints.
    pub prints: Vec<String>,
}

/// A page in pieces: its text, and after each piece of it but the last a block.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub name: String,
    texts: Vec<String>,
    pub blocks: Vec<Vec<Step>>,
}

fn directory() -> PathBuf {
    root().join("docs/reference/plugin")
}

/// The pages of all commands, in the order of their names.
pub fn pages() -> Vec<Page> {
    let entries = std::fs::read_dir(directory()).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let page = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        Page::parse(name, &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(page).collect()
}

impl Page {
    /// # Panics
    /// If something of it cannot be run, and is no block of `sh`, which is not run.
    fn parse(name: &str, text: &str) -> Self {
        let [begin, end] = BLOCK;
        let mut parts = text.split(begin);
        let mut texts = vec![parts.next().unwrap().to_owned()];
        let mut blocks = Vec::new();
        for part in parts {
            let (block, text) = part.split_once(end).unwrap();
            blocks.push(steps(block).unwrap_or_else(|line| panic!("{name}: {line}")));
            texts.push(text.to_owned());
        }
        for text in &texts {
            let mut fences = text.lines().filter_map(|line| line.split_once(end));
            let is_known = fences.all(|(_, language)| ["", "sh"].contains(&language));
            assert!(is_known, "{name}: a block is neither console nor sh");
        }
        Self {
            name: name.to_owned(),
            texts,
            blocks,
        }
    }

    fn text(&self) -> String {
        let [begin, end] = BLOCK;
        let mut all = String::new();
        let mut blocks = self.blocks.iter();
        for text in &self.texts {
            all.push_str(text);
            let Some(block) = blocks.next() else { break };
            all.push_str(begin);
            for Step { command, prints } in block {
                let lines = prints.iter().map(|line| format!("{line}\n"));
                all.extend([PROMPT, command, "\n"]);
                all.extend(lines);
            }
            all.push_str(end);
        }
        all
    }

    pub fn write(&self) {
        let path = directory().join(format!("{}.md", self.name));
        std::fs::write(path, self.text()).unwrap();
    }
}

/// The commands of a block, or the first line that is none, and no output of one.
fn steps(block: &str) -> Result<Vec<Step>, &str> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix(PROMPT) {
            Some(command) if command.starts_with("kubectl zitadel-secret ") => steps.push(Step {
                command: command.to_owned(),
                prints: Vec::new(),
            }),
            Some(_) => return Err(line),
            None => steps.last_mut().ok_or(line)?.prints.push(line.to_owned()),
        }
    }
    Ok(steps)
}

/// Whether both are the same but for what differs from run to run.
pub fn is_same(one: &[String], other: &[String]) -> bool {
    let masked = |lines: &[String]| lines.iter().map(|line| masked(line)).collect::<Vec<_>>();
    masked(one) == masked(other)
}

/// A line without what differs from run to run: times, the days above a timeline, what is left until a time (`in 6h22m`), attempts, and what a
/// controller adds to the name of a Pod. Columns are as wide as what is in them, so one space stands for several.
fn masked(line: &str) -> String {
    let picture = line.find('│').zip(line.find("│now"));
    let line = match picture {
        Some((first, now)) => format!("{}DAYS {}", &line[..first], &line[now..]),
        // In a line of the picture each space is a part of it.
        None if line.contains('│') => return line.to_owned(),
        None => line.to_owned(),
    };
    let mut masked: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_left = masked.last().is_some_and(|before| before == "in") && is_span(core);
        let sample = if is_left {
            Some("SPAN".to_owned())
        } else {
            sample(core)
        };
        masked.push(sample.map_or_else(|| word.to_owned(), |sample| word.replace(core, &sample)));
    }
    masked.join(" ")
}

/// What stands for a word that differs from run to run.
fn sample(word: &str) -> Option<String> {
    if word.parse::<Timestamp>().is_ok() {
        return Some("TIME".to_owned());
    }
    if word.len() == 36 && Uuid::try_parse(word).is_ok() {
        return Some("ATTEMPT".to_owned());
    }
    let clock = word.split_once(':').map(|(hour, minute)| [hour, minute]);
    let is_two = |digits: &&str| digits.len() == 2 && digits.parse::<u8>().is_ok();
    if clock.is_some_and(|parts| parts.iter().all(is_two)) {
        return Some("CLOCK".to_owned());
    }
    let mut parts = word.rsplitn(3, '-');
    let (pod, set) = (parts.next()?, parts.next()?);
    let is_made = |part: &str| part.chars().all(|c| GENERATED.contains(c));
    let is_pod = pod.len() == 5 && (8..=10).contains(&set.len()) && is_made(pod) && is_made(set);
    let owner = parts.next().filter(|_| is_pod)?;
    Some(format!("{owner}-POD"))
}

/// What Kubernetes makes the ends of names of.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Such as `6h22m`.
fn is_span(word: &str) -> bool {
    let units = ['s', 'm', 'h', 'd', 'y'];
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with(units)
        && word
            .chars()
            .all(|c| c.is_ascii_digit() || units.contains(&c))
}

const PAGE: &str = "# Name\n\n```console\n$ kubectl zitadel-secret status\nNAME\na\n$ kubectl zitadel-secret plan\n```\n\nText.\n";

#[test]
fn a_page_is_put_together_again_as_it_was() {
    let page = Page::parse("p", PAGE);
    let commands: Vec<_> = page.blocks[0].iter().map(|it| &*it.command).collect();
    assert_eq!(
        commands,
        [
            "kubectl zitadel-secret status",
            "kubectl zitadel-secret plan"
        ]
    );
    assert_eq!(page.blocks[0][0].prints, ["NAME", "a"]);
    assert_eq!(page.text(), PAGE);
}

#[test]
fn what_cannot_be_run_is_no_part_of_a_page() {
    for (was, is) in [
        ("$ kubectl zitadel-secret plan", "$ kubectl get pods"),
        (
            "$ kubectl zitadel-secret status",
            "kubectl zitadel-secret status",
        ),
        ("```console", "```text"),
    ] {
        let page = PAGE.replace(was, is);
        let parsed = std::panic::catch_unwind(|| Page::parse("p", &page));
        assert!(parsed.is_err(), "{is}");
    }
}

#[test]
fn runs_are_the_same_if_only_times_ends_of_names_and_widths_differ() {
    let same = |one: &str, other: &str| is_same(&[one.to_owned()], &[other.to_owned()]);
    for (one, other) in [
        (
            "at 2026-12-01T02:00:00Z, in 6h22m (at 03:00, for 2h)",
            "at 2026-12-05T09:00:00Z, in 5h1m (at 10:00, for 2h)",
        ),
        (
            "POD                      STATE\norders-7d8bbb7d46-6dwjd  Former",
            "POD                     STATE\norders-7d8bbb7d4-zzxcv  Former",
        ),
        (
            "(attempt 01a22e03-1ea4-725b-b4b3-6b3d1fc1a98e)",
            "(attempt 01a22e03-1ea4-725b-b4b3-000000000000)",
        ),
        (
            "NAME │Nov 25  │Nov 27 │now  STATUS",
            "NAME │Dec 1 │Dec 3   │now  STATUS",
        ),
    ] {
        assert!(same(one, other), "{one}");
    }
    for (one, other) in [
        ("a   3d2h   Due", "a   3d3h   Due"),
        ("a ─●─│  ○", "a ─●─│ ○ "),
        ("orders-api", "orders-web"),
        ("for 2h", "for 3h"),
        ("NAME │Nov 25 │now  STATUS", "NAME │Nov 25 │now  DARK"),
    ] {
        assert!(!same(one, other), "{one}");
    }
}
