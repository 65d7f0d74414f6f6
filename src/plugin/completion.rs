//! Completion of a command line in a shell, with the names that are in the cluster.
//!
//! kubectl asks an executable named [`LINK`] in `PATH`, which is this binary under another name; a shell asks for
//! `kubectl-zitadel_secret` itself, as the script of `completion` tells it to.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Command, CommandFactory as _, FromArgMatches as _};
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Powershell, Zsh};
use clap_complete::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Resource as _;

use crate::api::{AppSecret, Kind, ZitadelConnection};
use crate::plugin::cli::{self, Cli, Global, Reference, Shell, parse_kind, short};
use crate::plugin::cluster::Cluster;
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::kubeconfig;
use crate::plugin::output::Output;
use crate::plugin::safe;

/// The name of the executable that kubectl asks (KEP-2379).
pub const LINK: &str = "kubectl_complete-zitadel_secret";
/// The plugin's own executable.
const BINARY: &str = "kubectl-zitadel_secret";
/// By what the scripts of shells tell that a completion is wanted.
const VARIABLE: &str = "KUBECTL_ZITADEL_SECRET_COMPLETE";
/// For so long a shell may hang.
const PATIENCE: Duration = Duration::from_secs(2);

/// What stands in the last line for kubectl: cobra's `ShellCompDirective`.
mod directive {
    /// No space after a candidate.
    pub const NO_SPACE: u8 = 2;
    /// No files besides the candidates.
    pub const NO_FILES: u8 = 4;
}

/// Completes the command line if that is what the process was started for.
///
/// # Errors
/// If the output cannot be written.
pub fn complete_if_asked() -> Result<bool, Failure> {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    if Path::new(&called).file_name() == Some(OsStr::new(LINK)) {
        for_kubectl(words.collect())?;
        return Ok(true);
    }
    let here = std::env::current_dir().ok();
    let words: Vec<OsString> = std::env::args_os().collect();
    // NB: the script of a shell gives the words after `--`, the first of which is the binary.
    let line = words.iter().skip_while(|word| *word != "--");
    let line: Vec<OsString> = line.skip(2).cloned().collect();
    let environment = CompleteEnv::with_factory(move || command(&line)).var(VARIABLE);
    environment
        .try_complete(words, here.as_deref())
        .map_err(|error| Failure::Usage(error.to_string()))
}

/// Prints the script by which a shell completes `kubectl-zitadel_secret`.
pub fn run(arguments: &cli::Completion, output: &mut Output) -> Result<Exit, Failure> {
    output.line(script(arguments.shell)?.trim_end())?;
    output.flush()?;
    Ok(Exit::Fine)
}

fn script(shell: Shell) -> io::Result<String> {
    let completer: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Zsh => &Zsh,
    };
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, BINARY, BINARY, BINARY, &mut script)?;
    String::from_utf8(script).map_err(io::Error::other)
}

/// Prints the candidates for the last word, each with its meaning, and a directive.
fn for_kubectl(words: Vec<OsString>) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    stdout.write_all(answer(words).as_bytes())?;
    Ok(stdout.flush()?)
}

fn answer(words: Vec<OsString>) -> String {
    let here = std::env::current_dir().ok();
    let last = words.last().cloned().unwrap_or_default();
    let last = last.to_string_lossy();
    let mut command = command(&words);
    let index = words.len().max(1);
    let mut line = vec![OsString::from(BINARY)];
    line.extend(words);
    if line.len() == 1 {
        line.push(OsString::new());
    }
    let candidates = clap_complete::engine::complete(&mut command, line, index, here.as_deref());
    let mut lines = String::new();
    let mut directive = directive::NO_FILES;
    for candidate in candidates.unwrap_or_default() {
        let value = candidate.get_value().to_string_lossy();
        // As kubectl does: flags are offered once a word begins like one.
        if value.starts_with('-') && !last.starts_with('-') {
            continue;
        }
        // What stands before the value is kept by the shell's script.
        let value = match last.split_once('=') {
            Some((flag, _)) if last.starts_with("--") => {
                value.strip_prefix(&format!("{flag}=")).unwrap_or(&value)
            }
            _ => &value,
        };
        if value.ends_with('/') {
            directive |= directive::NO_SPACE;
        }
        lines.push_str(&safe::text(value));
        if let Some(help) = candidate.get_help().map(ToString::to_string) {
            let first = help.lines().next().unwrap_or_default();
            lines.push('\t');
            lines.push_str(&safe::text(first));
        }
        lines.push('\n');
    }
    format!("{lines}:{directive}\n")
}

/// The command line, whose values are completed with what is in the cluster that the words name.
fn command(words: &[OsString]) -> Command {
    let asked = Arc::new(Words::read(words));
    let complete_with = |values: fn(&Words, &str) -> Vec<Candidate>| {
        let asked = Arc::clone(&asked);
        ArgValueCompleter::new(move |current: &OsStr| {
            let current = current.to_string_lossy();
            let mut values = values(&asked, &current);
            values.retain(|(value, _)| value.starts_with(&*current));
            let candidates = values.into_iter();
            candidates
                .map(|(value, help)| CompletionCandidate::new(value).help(help.map(Into::into)))
                .collect::<Vec<_>>()
        })
    };
    let with_values = |command: Command| {
        command.mut_args(|arg| {
            let values: fn(&Words, &str) -> Vec<Candidate> = match arg.get_id().as_str() {
                "name" | "names" if arg.is_positional() => objects,
                "secret" if arg.is_positional() => secrets,
                "namespace" | "operator_namespace" => namespaces,
                "context" => contexts,
                "connection" => connections,
                "kind" => {
                    return arg.add(ArgValueCandidates::new(kinds));
                }
                _ => return arg,
            };
            arg.add(complete_with(values))
        })
    };
    with_values(Cli::command()).mut_subcommands(with_values)
}

fn kinds() -> Vec<CompletionCandidate> {
    let kinds = Kind::ALL.into_iter();
    let kinds =
        kinds.map(|kind| CompletionCandidate::new(short(kind)).help(Some(kind.as_str().into())));
    kinds.collect()
}

/// A value, and what it means.
type Candidate = (String, Option<String>);

/// The words of a command line that is not complete.
struct Words {
    global: Global,
    words: Vec<String>,
}

impl Words {
    fn read(words: &[OsString]) -> Self {
        let line = std::iter::once(OsString::from(BINARY)).chain(words.iter().cloned());
        let matches = Cli::command()
            .ignore_errors(true)
            .try_get_matches_from(line);
        let global = matches
            .ok()
            .and_then(|matches| Global::from_arg_matches(&matches).ok());
        let words = words.iter().map(|word| word.to_string_lossy().into_owned());
        Self {
            global: global.unwrap_or_default(),
            words: words.collect(),
        }
    }

    /// What the cluster has; nothing if it cannot be asked, or not in time.
    fn ask<T: Default>(&self, question: impl AsyncFnOnce(Cluster) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else {
            return T::default();
        };
        let answer = async {
            let cluster = Cluster::connect(&self.global).await.ok()?;
            Some(question(cluster).await)
        };
        let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
        answer.ok().flatten().unwrap_or_default()
    }

    /// The names of a resource.
    fn names(&self, resource: &str, path: impl FnOnce(&Cluster) -> String) -> Vec<Candidate> {
        let names = self.ask(async |cluster: Cluster| {
            cluster
                .names(&path(&cluster), resource)
                .await
                .unwrap_or_default()
        });
        names.into_iter().map(|name| (name, None)).collect()
    }
}

/// Objects of every kind, without those that are given already. With the kind where the word has it, or where two have one name.
fn objects(words: &Words, current: &str) -> Vec<Candidate> {
    let found = words.ask(async |cluster: Cluster| {
        let kinds = Kind::ALL.map(async |kind| {
            let path = AppSecret::url_path(&kind, Some(cluster.namespace()));
            let names = cluster.names(&path, kind.plural()).await;
            names
                .unwrap_or_default()
                .into_iter()
                .map(move |name| (kind, name))
        });
        let found = futures::future::join_all(kinds).await;
        found.into_iter().flatten().collect::<Vec<_>>()
    });
    let is_given = |kind, name: &str| {
        let given = words.words.iter().filter(|word| *word != current);
        given
            .filter_map(|word| word.parse::<Reference>().ok())
            .any(|given| given.is(kind, name))
    };
    let wanted = current.rsplit_once('/').map(|(kind, _)| kind);
    let candidates = found.iter().filter(|(kind, name)| !is_given(*kind, name));
    let candidates = candidates.filter_map(|(kind, name)| {
        let is_twice = found.iter().filter(|(_, other)| other == name).count() > 1;
        let value = match wanted {
            Some(wanted) if parse_kind(wanted) == Ok(*kind) => format!("{wanted}/{name}"),
            Some(_) => return None,
            None if is_twice => format!("{}/{name}", short(*kind)),
            None => name.clone(),
        };
        Some((value, Some(kind.to_string())))
    });
    candidates.collect()
}

fn secrets(words: &Words, _: &str) -> Vec<Candidate> {
    words.names("secrets", |cluster| {
        Secret::url_path(&(), Some(cluster.namespace()))
    })
}

fn namespaces(words: &Words, _: &str) -> Vec<Candidate> {
    words.names("namespaces", |_| Namespace::url_path(&(), None))
}

fn connections(words: &Words, _: &str) -> Vec<Candidate> {
    words.names("zitadelconnections", |_| {
        ZitadelConnection::url_path(&(), None)
    })
}

fn contexts(words: &Words, _: &str) -> Vec<Candidate> {
    let contexts = kubeconfig::contexts(&words.global);
    contexts.into_iter().map(|name| (name, None)).collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    /// What kubectl is told about words of which the last one is not complete, without a cluster.
    fn answered(words: &[&str]) -> Vec<String> {
        let nowhere = ["--kubeconfig", "/nonexistent"];
        let words = nowhere.iter().chain(words).map(OsString::from);
        let answer = answer(words.collect());
        answer.lines().map(ToOwned::to_owned).collect()
    }

    fn values(words: &[&str]) -> Vec<String> {
        let lines = answered(words)
            .into_iter()
            .filter(|line| !line.starts_with(':'));
        lines
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn commands_are_completed_with_their_meaning_and_flags_once_a_word_begins_like_one() {
        let lines = answered(&["sta"]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].starts_with("status\tShow each credential"),
            "{lines:?}"
        );
        assert_eq!(lines[1], ":4");
        assert!(values(&[""]).iter().all(|value| !value.starts_with('-')));
        assert_eq!(values(&["rotate", "--dr"]), ["--dry-run"]);
        assert!(values(&["rotate", "--na"]).contains(&"--namespace".to_owned()));
    }

    #[test]
    fn a_value_is_given_without_the_flag_before_it() {
        assert_eq!(values(&["status", "-o", "wi"]), ["wide"]);
        assert_eq!(values(&["status", "--output=wi"]), ["wide"]);
        assert_eq!(values(&["import", "--kind", ""]), ["aas", "oas"]);
        assert_eq!(values(&["completion", "z"]), ["zsh"]);
    }

    #[test]
    fn without_a_cluster_there_are_no_names_and_no_error() {
        for words in [
            &["status", "x"][..],
            &["-n", ""],
            &["import", ""],
            &["--context", ""],
            &["\u{1b}[2J"],
        ] {
            assert_eq!(answered(words), [":4"], "{words:?}");
        }
    }

    #[test]
    fn each_value_that_names_something_in_the_cluster_is_completed() {
        let mut without = Vec::new();
        let cli = command(&[]);
        for command in cli.get_subcommands() {
            for arg in command.get_arguments().filter(|arg| arg.is_positional()) {
                if arg.get::<ArgValueCompleter>().is_none() && arg.get_possible_values().is_empty()
                {
                    without.push(format!("{} {}", command.get_name(), arg.get_id()));
                }
            }
        }
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn a_shell_has_its_script() {
        for shell in Shell::value_variants() {
            assert!(script(*shell).unwrap().contains(VARIABLE), "{shell:?}");
        }
    }
}
