//! The programs that the demo runs. Each is ended by its own process id, at the latest when the demo ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A program that runs until it is stopped.
pub struct Program {
    name: &'static str,
    child: Child,
}

impl Program {
    /// Starts a program whose output goes to a file.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        command.stdout(output.try_clone()?).stderr(output);
        Self::spawn(name, command)
    }

    /// Starts a program that prints one line of JSON once it is ready. The line, too.
    pub fn announced(
        name: &'static str,
        command: &mut Command,
        log: &Path,
    ) -> anyhow::Result<(Self, Value)> {
        let errors = File::options().create(true).append(true).open(log)?;
        command.stdout(Stdio::piped()).stderr(errors);
        let mut program = Self::spawn(name, command)?;
        let output = program
            .child
            .stdout
            .take()
            .context("a program without output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let ready = serde_json::from_str(&line)
            .with_context(|| format!("{name} did not start; see {}", log.display()))?;
        Ok((program, ready))
    }

    fn spawn(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        // A group of its own: ^C on the terminal is for the demo, which then stops the programs in their order.
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name, child })
    }

    /// Whether it still runs.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(
            ended.is_none(),
            "{} has ended: {}",
            self.name,
            ended.unwrap_or_default()
        );
        Ok(())
    }

    /// Asks it to stop and waits for its exit code.
    pub fn stop(&mut self) -> anyhow::Result<Option<i32>> {
        if let Some(ended) = self.child.try_wait()? {
            return Ok(ended.code());
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let patience = Instant::now() + Duration::from_secs(15);
        while Instant::now() < patience {
            if let Some(ended) = self.child.try_wait()? {
                return Ok(ended.code());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{} could not be stopped: {error}", self.name);
        }
    }
}

/// The directory with the programs that cargo built: the one above the examples.
pub fn built() -> anyhow::Result<PathBuf> {
    let demo = std::env::current_exe()?;
    let directory = demo.parent().and_then(Path::parent).map(Path::to_owned);
    directory.context("the demo is in no directory")
}
