//! What a machine lacks is said before anything is built, in one sentence.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

/// Programs that say what those of a machine with everything say.
const PROGRAMS: [(&str, &str); 10] = [
    ("cargo", ""),
    ("rustc", "echo 'rustc 1.95.0 (59807616e 2026-04-14)'"),
    ("go", "echo go1.26.0"),
    ("make", ""),
    ("cc", ""),
    ("sha256sum", ""),
    ("bash", ""),
    ("git", ""),
    ("python3", ""),
    (
        "df",
        "echo 'Filesystem 1024-blocks Used Available Capacity Mounted'; echo '/dev/x 99 9 41943040 9% /'",
    ),
];

/// A checkout on a machine that has these programs and nothing else.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in [
            "tests/preflight.sh",
            "rust-toolchain.toml",
            "image/go.mod",
            "tests/controlplane/go.mod",
        ] {
            let copy = machine.0.path().join(file);
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(root.join(file), copy).unwrap();
        }
        std::fs::create_dir(machine.0.path().join("bin")).unwrap();
        for tool in ["dirname", "sed", "sort", "tail", "awk", "sh"] {
            machine.real(tool);
        }
        for (name, says) in PROGRAMS {
            machine.program(name, says);
        }
        machine
    }

    fn program(&self, name: &str, says: &str) {
        let path = self.0.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{says}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The real one, for the script itself.
    fn real(&self, tool: &str) {
        let found = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(tool));
        let found = found.iter().find(|path| path.exists()).expect(tool);
        symlink(found, self.0.path().join("bin").join(tool)).unwrap();
    }

    fn without(&self, name: &str) {
        std::fs::remove_file(self.0.path().join("bin").join(name)).unwrap();
    }

    /// The exit code and the lines of the preflight for a target of make.
    fn preflight(&self, target: &str) -> (Option<i32>, Vec<String>) {
        let output = Command::new("/bin/sh")
            .arg(self.0.path().join("tests/preflight.sh"))
            .arg(target)
            .env_clear()
            .env("PATH", self.0.path().join("bin"))
            .output()
            .unwrap();
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        (
            output.status.code(),
            said.lines().map(ToOwned::to_owned).collect(),
        )
    }
}

#[test]
fn a_machine_with_everything_passes() {
    for target in ["demo", "test"] {
        assert_eq!(Machine::new().preflight(target), (Some(0), Vec::new()));
    }
}

#[test]
fn what_is_missing_is_said_in_one_sentence_with_where_to_get_it() {
    for (name, said) in [
        (
            "cargo",
            "Rust is missing: install version 1.95.0 from https://rustup.rs",
        ),
        (
            "rustc",
            "Rust is missing: install version 1.95.0 from https://rustup.rs",
        ),
        (
            "go",
            "Go is missing: install version 1.26.0 or newer from https://go.dev/dl",
        ),
        ("make", "make is missing: install the package make"),
        (
            "cc",
            "a C compiler (cc) is missing: install the package gcc or clang",
        ),
        (
            "sha256sum",
            "sha256sum is missing: install the package coreutils",
        ),
    ] {
        let machine = Machine::new();
        machine.without(name);
        assert_eq!(
            machine.preflight("demo"),
            (Some(1), vec![format!("preflight: {said}")]),
            "{name}"
        );
    }
    // Only the tests need these.
    let machine = Machine::new();
    machine.without("git");
    machine.without("python3");
    assert_eq!(machine.preflight("demo").0, Some(0));
    let (code, said) = machine.preflight("test");
    assert_eq!((code, said.len()), (Some(1), 2), "{said:?}");
}

#[test]
fn versions_that_are_too_old_and_little_disk_are_named() {
    for (name, says, said) in [
        (
            "rustc",
            "echo 'rustc 1.94.1 (x)'",
            "Rust is 1.94.1, and 1.95.0 or newer is needed: run `rustup toolchain install 1.95.0`",
        ),
        (
            "rustc",
            "exit 1",
            "rustc does not start: run `rustup toolchain install 1.95.0`",
        ),
        (
            "go",
            "echo go1.9.7",
            "Go is 1.9.7, and 1.26.0 or newer is needed: install it from https://go.dev/dl",
        ),
        (
            "go",
            "exit 1",
            "Go is too old, and 1.26.0 or newer is needed: install it from https://go.dev/dl",
        ),
    ] {
        let machine = Machine::new();
        machine.program(name, says);
        assert_eq!(
            machine.preflight("demo"),
            (Some(1), vec![format!("preflight: {said}")]),
            "{says}"
        );
    }
    for newer in ["echo go1.27rc1", "echo go1.30.2", "echo go2.0"] {
        let machine = Machine::new();
        machine.program("go", newer);
        assert_eq!(machine.preflight("demo").0, Some(0), "{newer}");
    }
    let machine = Machine::new();
    machine.program("df", "echo head; echo '/dev/x 99 9 3145728 9% /'");
    let (code, said) = machine.preflight("demo");
    assert_eq!((code, said.len()), (Some(0), 1), "{said:?}");
    assert!(said[0].starts_with("preflight: 3 GiB of disk are free in "));
    assert!(said[0].ends_with("a first `make demo` needs about 6 GiB"));
}

/// Runs a build script's part that calls `go build`, with a `go` that compiles three packages of four and then ends in this way.
fn build_go(end: &str) -> (Option<i32>, String) {
    let machine = Machine::new();
    for tool in ["grep", "wc", "cat", "sleep"] {
        machine.real(tool);
    }
    let list = "if [ $1 = list ]; then printf 'a\nb\nc\nd\n'; exit; fi";
    let build = "printf 'go: downloading x\na\nb\nc\n' >&2";
    machine.program("go", &format!("{list}\n{build}\n{end}"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/build-go.sh");
    let output = Command::new("/bin/sh")
        .arg("-euc")
        .arg(format!(". '{}'; build_go it log . -v", script.display()))
        .current_dir(machine.0.path())
        .env_clear()
        .env("PATH", machine.0.path().join("bin"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn a_build_says_that_it_is_done_and_one_that_fails_says_why_and_fails() {
    let (code, said) = build_go("");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("it: built in "), "{said}");
    assert!(!said.contains("downloading x"), "{said}");
    let (code, said) = build_go("echo 'x.go:1: wrong' >&2; exit 3");
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("x.go:1: wrong"), "{said}");
    assert!(!said.contains("built in"), "{said}");
}
