//! The picture of the README is what the demo prints: `make pictures` draws it anew.

#[path = "../../examples/pictures/picture.rs"]
mod picture;
#[path = "../../examples/pictures/record.rs"]
mod record;

use std::path::Path;
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("docs/pictures").join(name)).unwrap()
}

#[test]
fn the_picture_is_drawn_from_the_record() {
    let drawn = picture::svg(&read("demo.txt")).unwrap();
    assert!(drawn == read("demo.svg"), "draw it anew: make pictures");
}

#[test]
fn the_picture_is_small_ends_in_time_and_needs_nothing_from_elsewhere() {
    let picture = read("demo.svg");
    assert!(picture.len() < 200_000, "{}", picture.len());
    let (_, seconds) = picture.split_once("animation:").unwrap();
    let seconds: f64 = seconds.split('s').next().unwrap().parse().unwrap();
    assert!(seconds <= 30.0, "{seconds}");
    for needed in ["<title", "<desc", "prefers-reduced-motion"] {
        assert!(picture.contains(needed), "{needed}");
    }
    for refused in ["<script", "@import", "url(", "href"] {
        assert!(!picture.contains(refused), "{refused}");
    }
}

#[test]
fn a_step_that_the_demo_does_not_print_is_not_drawn() {
    let record = read("demo.txt").replace("ZITADEL's change log shows", "It seems");
    let error = picture::svg(&record).unwrap_err().to_string();
    assert!(error.contains("step 7"), "{error}");
}

#[test]
fn two_runs_have_the_same_record() {
    let run = |id: &str, port: &str, secret: &str, age: &str, second: &str| {
        let width = 16 - age.len();
        format!(
            "not yet\n== 1. Title\nid {id} http://127.0.0.1:{port}/x\n  S: {secret}************ (64 characters)\n\
             NAME   LAST ROTATION   AGE\na      {age}{:width$}{age}\n$ get\n5 2026-01-01T00:00:{second}.5Z Due {second}\n\
             due 2026-01-01T00:01:{second}Z\n{}...\n",
            "",
            &id[..12]
        )
    };
    let first = record::normalized(&run("412345678901234567", "40001", "abcd", "1s", "07"));
    let second = record::normalized(&run("512345678901234567", "50001", "Xy12", "17s", "11"));
    assert_eq!(first, second);
    assert!(
        first.starts_with("== 1. Title\nid 312345678901234567 "),
        "{first}"
    );
    assert!(first.contains("\na      0s              0s\n"), "{first}");
}

/// This is `make demo` of the README.
#[test]
fn make_demo_succeeds_and_prints_what_is_recorded() {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "demo"])
        .current_dir(root())
        .stdin(Stdio::null());
    // What cargo and make say to their own children.
    for (name, _) in std::env::vars() {
        let theirs = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "MAKE",
            "MFLAGS",
        ];
        if theirs.iter().any(|start| name.starts_with(start)) {
            make.env_remove(name);
        }
    }
    let output = make.env_remove("KUBECONFIG").env_remove("KEEP").output();
    let output = output.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    let (now, recorded) = (record::normalized(&printed), read("demo.txt"));
    for (now, recorded) in now.lines().zip(recorded.lines()) {
        assert_eq!(now, recorded, "record it anew: make pictures");
    }
    assert_eq!(now.lines().count(), recorded.lines().count());
}
