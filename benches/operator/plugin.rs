//! The kubectl plugin over as many objects as there are: how long it takes, what it has in memory, and how soon it starts.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::figures::{Figures, quantile};

const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-zitadel_secret");

/// `status -A`, what other commands take beside it, and a start that asks for nothing.
pub fn run(figures: &mut Figures, kubeconfig: &Path) {
    let (took, memory) = of_five(kubeconfig, &["status", "-A"]);
    figures.at_most("plugin_status_s_at_10000", took, 2.0, "s");
    figures.at_most("plugin_status_mib_at_10000", memory, 150.0, "MiB");
    for command in ["plan", "timeline", "history", "doctor"] {
        let (took, memory) = of_five(kubeconfig, &[command, "-A"]);
        figures.show(&format!("plugin_{command}_s_at_10000"), took, "s");
        figures.show(&format!("plugin_{command}_mib_at_10000"), memory, "MiB");
    }
    let starts: Vec<f64> = (0..11).map(|_| start()).collect();
    figures.at_most("plugin_start_ms", quantile(&starts, 0.5), 50.0, "ms");
}

/// The median of the seconds that a command takes, and the most that it had in memory.
fn of_five(kubeconfig: &Path, arguments: &[&str]) -> (f64, f64) {
    let runs: Vec<_> = (0..5).map(|_| once(kubeconfig, arguments)).collect();
    let took: Vec<f64> = runs.iter().map(|(seconds, _)| *seconds).collect();
    let memory = runs.iter().map(|(_, mebibytes)| *mebibytes);
    (quantile(&took, 0.5), memory.fold(0.0, f64::max))
}

/// How long a command takes, and the most that it had in memory.
fn once(kubeconfig: &Path, arguments: &[&str]) -> (f64, f64) {
    let begun = Instant::now();
    let mut child = Command::new(PLUGIN)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut most = 0.0_f64;
    let status = loop {
        most = most.max(peak(child.id()).unwrap_or(0.0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = begun.elapsed().as_secs_f64();
    // NB: 1 is a finding, such as that none of the chart's Deployments is there.
    assert!(
        matches!(status.code(), Some(0 | 1)),
        "{arguments:?}: {status}"
    );
    (took, most)
}

/// The most that a process has had in memory so far, in MiB; none where it has ended.
fn peak(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

fn start() -> f64 {
    let begun = Instant::now();
    let output = Command::new(PLUGIN).arg("--version").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    begun.elapsed().as_secs_f64() * 1000.0
}
