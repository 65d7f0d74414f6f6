//! The kubectl plugin over as many objects as there are: how long it takes, what it has in memory, and how soon it starts.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::figures::{Figures, quantile};

const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-zitadel_secret");

/// `status -A`, and a start that asks for nothing.
pub fn run(figures: &mut Figures, kubeconfig: &Path) {
    let (mut took, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (seconds, mebibytes) = status(kubeconfig);
        took.push(seconds);
        memory.push(mebibytes);
    }
    let took = quantile(&took, 0.5);
    figures.at_most("plugin_status_s_at_10000", took, 2.0, "s");
    let memory = memory.into_iter().fold(0.0, f64::max);
    figures.at_most("plugin_status_mib_at_10000", memory, 150.0, "MiB");
    let starts: Vec<f64> = (0..11).map(|_| start()).collect();
    figures.at_most("plugin_start_ms", quantile(&starts, 0.5), 50.0, "ms");
}

/// How long it takes, and the most that it had in memory.
fn status(kubeconfig: &Path) -> (f64, f64) {
    let begun = Instant::now();
    let mut child = Command::new(PLUGIN)
        .args(["status", "-A"])
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
    assert!(status.success(), "{status}");
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
