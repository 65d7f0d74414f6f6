//! Measures the operator's release build against a real API server and the simulator, and prints one line a figure:
//! `figure NAME VALUE UNIT`, with the target beside it where the project promises one.
//!
//! `cargo bench --bench operator -- burst dark` measures these groups only. Times mean something as ratios to what else was
//! measured in the same run; counts are exact. The program fails when a figure misses its target.
//! `ZSO_OPERATOR` names another binary to measure.
#![allow(
    clippy::pedantic,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod bare;
mod burst;
mod counts;
mod dark;
mod drain;
mod figures;
mod needless;
mod plugin;
mod recovery;
mod stage;
mod steady;
#[path = "../../tests/support/mod.rs"]
mod support;
mod ten_thousand;

use std::process::ExitCode;

use figures::Figures;

/// Measured unless others are named. The last one takes some minutes and gigabytes.
const GROUPS: [&str; 8] = [
    "counts",
    "burst",
    "dark",
    "drain",
    "recovery",
    "needless",
    "steady",
    "ten_thousand",
];

fn main() -> ExitCode {
    // Cargo itself says `--bench`.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    if let Some(unknown) = wanted.iter().find(|word| !GROUPS.contains(&word.as_str())) {
        eprintln!("{unknown} is not a group; there are {}", GROUPS.join(", "));
        return ExitCode::FAILURE;
    }
    if !support::controlplane::ControlPlane::can_start() {
        eprintln!("only a control plane of its own can be measured: unset TEST_KUBECONFIG");
        return ExitCode::FAILURE;
    }
    let mut figures = Figures::default();
    for group in GROUPS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == group) {
            continue;
        }
        // Each with a runtime of its own: nothing of a group goes on in the next.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            match group {
                "counts" => counts::run(&mut figures).await,
                "burst" => burst::run(&mut figures).await,
                "dark" => dark::run(&mut figures).await,
                "drain" => drain::run(&mut figures).await,
                "recovery" => recovery::run(&mut figures).await,
                "needless" => needless::run(&mut figures).await,
                "ten_thousand" => ten_thousand::run(&mut figures).await,
                _ => steady::run(&mut figures).await,
            }
        });
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    }
    if figures.all_on_target() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
