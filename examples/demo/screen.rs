//! What a person sees: titles, the commands that are run, what they really print, and what was found to be so.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A terminal that shows commands and runs them.
pub struct Screen {
    step: usize,
    kubectl: PathBuf,
    directory: PathBuf,
}

impl Screen {
    /// Commands run in `directory`, with the kubeconfig in it.
    pub fn new(kubectl: PathBuf, directory: &Path) -> Self {
        Self {
            step: 0,
            kubectl,
            directory: directory.to_owned(),
        }
    }

    /// Begins a step.
    pub fn step(&mut self, title: &str) {
        self.step += 1;
        println!("\n== {}. {title}", self.step);
    }

    /// Shows a file.
    pub fn file(&self, name: &str, content: &str) -> anyhow::Result<()> {
        std::fs::write(self.directory.join(name), content)?;
        println!("$ cat {name}\n{}", content.trim_end());
        Ok(())
    }

    /// Shows a command of kubectl, runs it, and shows what it prints.
    pub fn kubectl(&self, arguments: &str) -> anyhow::Result<String> {
        println!("$ kubectl {arguments}");
        let output = self.quietly(arguments)?;
        println!("{}", output.trim_end());
        Ok(output)
    }

    /// Runs kubectl without showing it.
    pub fn quietly(&self, arguments: &str) -> anyhow::Result<String> {
        let words = words(arguments);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        kubectl(
            &self.kubectl,
            &self.directory,
            &self.directory.join("kubeconfig"),
            &words,
        )
    }
}

/// Says that something was checked and is so.
pub fn ok(text: &str) {
    println!("   ok: {text}");
}

/// A value of which only the beginning is shown.
pub fn masked(value: &str) -> String {
    let shown: String = value.chars().take(4).collect();
    format!(
        "{shown}{} ({} characters)",
        "*".repeat(12),
        value.chars().count()
    )
}

/// Runs kubectl. What it printed, or its error.
pub fn kubectl(
    program: &Path,
    directory: &Path,
    kubeconfig: &Path,
    arguments: &[&str],
) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("KUBECONFIG", kubeconfig)
        .env("KUBECACHEDIR", directory.join("kubectl-cache"))
        .env("KUBERC", "off")
        .stdin(Stdio::null())
        .output()
        .context("kubectl cannot be run")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "kubectl {}: {}",
            arguments.first().unwrap_or(&""),
            errors.trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The words of a command line, as a shell separates them. Single quotes only.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            other => word.push(other),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}
