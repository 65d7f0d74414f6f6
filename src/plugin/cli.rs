//! The command line of the plugin. No I/O.
// The comments are the help, which is printed as it is.
#![allow(clippy::doc_markdown)]

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::api::{GROUP, Kind};
use crate::ids::{AppId, OrganizationId, ProjectId};
use crate::plugin::exit::Failure;
use crate::plugin::output::Format;
use crate::plugin::trigger::reason;
use crate::target::names::is_subdomain;

/// What stands below the help of every command.
const EXIT_CODES: &str = "\
Exit codes: 0 fine, 1 something needs attention or was not done, 2 wrong usage, 3 no access to the cluster or a right is missing,
4 it took too long, 130 ^C.
The plugin uses the rights of your kubeconfig and never reads the value of a Secret.";

/// About completion.
const COMPLETION: &str = "\
Print the script by which a shell completes kubectl-zitadel_secret.

kubectl completes `kubectl zitadel-secret` by itself once it finds the plugin under a second name:

  ln -s \"$(command -v kubectl-zitadel_secret)\" /usr/local/bin/kubectl_complete-zitadel_secret";

/// Examples, and what stands below the help of every command.
fn with_examples(examples: &[&str]) -> String {
    let lines = examples
        .iter()
        .map(|line| format!("  kubectl zitadel-secret {line}\n"));
    format!("Examples:\n{}\n{EXIT_CODES}", lines.collect::<String>())
}

/// Answers what the person on call asks about client secrets that zitadel-secret-operator keeps.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl zitadel-secret",
    bin_name = "kubectl zitadel-secret",
    version,
    about = "Answers what the person on call asks about the client secrets that zitadel-secret-operator keeps",
    after_help = EXIT_CODES,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What all commands have.
    #[command(flatten)]
    pub global: Global,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What all commands have, named as kubectl names it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The namespace. Default: that of the context.
    #[arg(short, long, global = true, value_name = "NAMESPACE", value_parser = namespace)]
    pub namespace: Option<String>,

    /// All namespaces, whatever --namespace says.
    #[arg(short = 'A', long, global = true)]
    pub all_namespaces: bool,

    /// Only objects with these labels, such as team=orders,tier!=test.
    #[arg(short = 'l', long, global = true, value_name = "SELECTOR")]
    pub selector: Option<String>,

    /// The context of the kubeconfig. Default: its current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// The kubeconfig. Default: that of $KUBECONFIG, or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Act as this user, such as system:serviceaccount:orders:deployer.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,

    /// table, wide (more columns), json, yaml, or name (KIND/NAME, one a line, as kubectl takes them).
    #[arg(short, long, global = true, value_enum, hide_possible_values = true, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,

    /// No colors. They are used on a terminal only, and not where $NO_COLOR is set.
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl Global {
    /// Checks that either names are given or something that may mean many objects.
    pub fn names_or_many(&self, names: &[Reference]) -> Result<(), Failure> {
        if !names.is_empty() && (self.all_namespaces || self.selector.is_some()) {
            let text = "names cannot be given together with -A or -l";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(())
    }

    /// Checks that nothing is given that chooses among objects, because a file has them.
    pub fn of_file(&self) -> Result<(), Failure> {
        if self.all_namespaces || self.selector.is_some() {
            let text = "the file says which objects are meant: -A and -l cannot be given with -f";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(())
    }

    /// Checks that nothing is given that may mean many objects.
    pub fn one_object(&self) -> Result<(), Failure> {
        if self.all_namespaces || self.selector.is_some() {
            let text = "the command is about one object: -A and -l cannot be given";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(())
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show each credential, those that need attention first, and exit with 1 if one does.
    #[command(after_help = with_examples(&[
        "status -A",
        "status orders-api -n orders -o wide",
        "status -A --watch | grep -v UpToDate",
    ]))]
    Status(Status),

    /// Show the rotations of the past and why they were made, the newest first.
    #[command(after_help = with_examples(&[
        "history -A --since 7d",
        "history orders-api -n orders -o wide",
    ]))]
    History(History),

    /// Draw each credential over time: rotations and their causes, outages, dark windows, and the rotations ahead.
    #[command(after_help = with_examples(&[
        "timeline -A --since 7d",
        "timeline -A --since 30d --days 7 --html fleet.html",
    ]))]
    Timeline(Timeline),

    /// Show the Pods that use a credential, and which of them may still have a former value.
    #[command(after_help = with_examples(&[
        "consumers orders-api -n orders",
        "consumers orders-api -n orders --restart --dry-run",
    ]))]
    Consumers(Consumers),

    /// Rotate a credential now. Says first what that will do, and asks.
    #[command(after_help = with_examples(&[
        "rotate orders-api -n orders --reason 'leak, INC-1234' --dry-run",
        "rotate orders-api -n orders --reason 'leak, INC-1234' --wait",
    ]))]
    Rotate(Rotate),

    /// Show what rotates when. With a file: what changes if it is applied. Exits with 1 if something rotates now.
    #[command(after_help = with_examples(&[
        "plan -A --days 30",
        "plan -f orders-api.yaml",
        "kustomize build . | kubectl zitadel-secret plan -f -",
    ]))]
    Plan(Plan),

    /// Print the manifest of an object that takes over a Secret which exists. Its values are not read, and nothing is applied.
    #[command(after_help = with_examples(&[
        "import orders-oauth -n orders --project-id 312345678901234568 --app-id 312345678901234569 > orders-api.yaml",
        "import grafana-oidc -n grafana --kind oas --project-id 312345678901234568 --app-id 312345678901234570",
    ]))]
    Import(Import),

    /// Check the installation: definitions, operators, leaders, rights, clocks, connections, what is left behind. Says how to fix what is wrong.
    #[command(after_help = with_examples(&[
        "doctor -A",
        "doctor -n orders --operator-namespace zitadel-secret-operator",
        "doctor -A -o json --from-here",
    ]))]
    Doctor(Doctor),

    /// Print the script by which a shell completes kubectl-zitadel_secret; kubectl needs a link instead.
    #[command(after_help = with_examples(&[
        "completion bash > /etc/bash_completion.d/kubectl-zitadel_secret",
    ]), long_about = COMPLETION)]
    Completion(Completion),
}

/// For which shell.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// zsh
    Zsh,
}

/// What `status` is to show.
#[derive(Debug, Args)]
pub struct Status {
    /// Only these objects: NAME, or KIND/NAME where both kinds have one of that name. Kinds: aas (ApiAppSecret), oas (OidcAppSecret).
    #[arg(value_name = "NAME")]
    pub names: Vec<Reference>,

    /// Go on, and print what changes: a line for each object at first, then a line for each change.
    #[arg(short, long)]
    pub watch: bool,
}

/// What `history` is to show.
#[derive(Debug, Args)]
pub struct History {
    /// Only these objects: NAME, or KIND/NAME.
    #[arg(value_name = "NAME")]
    pub names: Vec<Reference>,

    /// Only rotations of the last hours or days, such as 7d. Default: all that the objects keep, ten each.
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub since: Option<Duration>,
}

/// What `timeline` is to show, and where.
#[derive(Debug, Args)]
pub struct Timeline {
    /// Only these objects: NAME, or KIND/NAME.
    #[arg(value_name = "NAME")]
    pub names: Vec<Reference>,

    /// Where the picture begins: so many hours or days ago, such as 30d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = past)]
    pub since: Duration,

    /// How many days ahead it shows. Default: a quarter of --since.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..=3650))]
    pub days: Option<u16>,

    /// Write a page with the picture to this file, or to stdout with -. It is one file, without scripts, and can be mailed and printed.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Whose consumers are meant, and what is done for them.
#[derive(Debug, Args)]
pub struct Consumers {
    /// The object: NAME, or KIND/NAME.
    #[arg(value_name = "NAME")]
    pub name: Reference,

    /// Restart the Deployments, StatefulSets and DaemonSets whose Pods keep a former value, as the operator does with restart: WhenStale.
    #[arg(long)]
    pub restart: bool,

    /// How many of them roll out at the same time.
    #[arg(long, requires = "restart", default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=50))]
    pub max_unavailable: u8,

    /// Only print what would be restarted. The API server checks whether it lets you.
    #[arg(long, requires = "restart")]
    pub dry_run: bool,

    /// How long to wait for the rollouts.
    #[arg(long, requires = "restart", default_value = "15m", value_name = "TIME", value_parser = span)]
    pub timeout: Duration,
}

/// What is rotated, and why.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The object: NAME, or KIND/NAME.
    #[arg(value_name = "NAME")]
    pub name: Reference,

    /// Why, in one line, such as 'leak of a laptop, INC-1234'. It becomes part of spec.rotation.trigger, which is in audit logs.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,

    /// Wait until the Secret has the new value and every Pod that uses it has read it.
    #[arg(long)]
    pub wait: bool,

    /// How long to wait.
    #[arg(long, requires = "wait", default_value = "15m", value_name = "TIME", value_parser = span)]
    pub timeout: Duration,

    /// Do not ask. Without a terminal this, or --dry-run, is needed.
    #[arg(short, long)]
    pub yes: bool,

    /// Only say what it would do.
    #[arg(long, conflicts_with_all = ["yes", "wait"])]
    pub dry_run: bool,
}

/// What is planned.
#[derive(Debug, Args)]
pub struct Plan {
    /// Only these objects: NAME, or KIND/NAME.
    #[arg(value_name = "NAME")]
    pub names: Vec<Reference>,

    /// What changes if this file is applied: YAML or JSON, with one object or many; - is stdin.
    #[arg(short, long, value_name = "FILE", conflicts_with = "names")]
    pub filename: Option<PathBuf>,

    /// How far ahead, in days.
    #[arg(long, default_value_t = 7, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=366))]
    pub days: u16,
}

/// Which Secret is taken over, and of which application its pair is.
#[derive(Debug, Args)]
pub struct Import {
    /// The Secret.
    #[arg(value_name = "SECRET", value_parser = object_name)]
    pub secret: String,

    /// The project of the application in ZITADEL.
    #[arg(long, value_name = "ID", value_parser = |text: &str| ProjectId::try_from(text))]
    pub project_id: ProjectId,

    /// The application.
    #[arg(long, value_name = "ID", value_parser = |text: &str| AppId::try_from(text))]
    pub app_id: AppId,

    /// The organization of the project. Default: that of the connection.
    #[arg(long, value_name = "ID", value_parser = |text: &str| OrganizationId::try_from(text))]
    pub organization_id: Option<OrganizationId>,

    /// The ZitadelConnection. Default: the one named default.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub connection: Option<String>,

    /// The kind of the application: aas (ApiAppSecret) or oas (OidcAppSecret).
    #[arg(long, value_name = "KIND", default_value = "aas", value_parser = parse_kind)]
    pub kind: Kind,

    /// The name of the object. Default: that of the Secret.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub name: Option<String>,

    /// The key of the client ID. Default: the one that is named like it.
    #[arg(long, value_name = "KEY")]
    pub client_id_key: Option<String>,

    /// The key of the client secret. Default: the one that is named like it.
    #[arg(long, value_name = "KEY")]
    pub client_secret_key: Option<String>,
}

/// What `doctor` is to check.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The namespace of the operator. Default: those of all operators, which needs rights on the whole cluster to find them.
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    pub operator_namespace: Option<String>,

    /// Also ask each ZITADEL for its OIDC configuration from this machine. Default: only what the operator says of it, whose network it is about.
    #[arg(long)]
    pub from_here: bool,
}

/// An object by its name, and by its kind where it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The kind; none: whichever has an object of that name.
    pub kind: Option<Kind>,
    /// The name.
    pub name: String,
}

impl Reference {
    /// The kinds that may have it.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let wanted = self.kind;
        let all = Kind::ALL.into_iter();
        all.filter(move |kind| wanted.is_none_or(|wanted| wanted == *kind))
    }

    /// Whether it names this object.
    pub fn is(&self, kind: Kind, name: &str) -> bool {
        self.name == name && self.kind.is_none_or(|wanted| wanted == kind)
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{kind}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (Some(parse_kind(kind)?), name),
            None => (None, text),
        };
        Ok(Self {
            kind,
            name: object_name(name)?,
        })
    }
}

/// A kind as kubectl takes it: kind, singular, plural or short name, in any case, with the group or without.
pub fn parse_kind(text: &str) -> Result<Kind, String> {
    let word = text.to_ascii_lowercase();
    let word = word.strip_suffix(GROUP).map_or(word.as_str(), |word| {
        word.strip_suffix('.').unwrap_or_default()
    });
    let mut all = Kind::ALL.into_iter();
    all.find(|kind| {
        let singular = kind.as_str().to_ascii_lowercase();
        word == singular || word == kind.plural() || word == short(*kind)
    })
    .ok_or_else(|| "the kind is neither aas (ApiAppSecret) nor oas (OidcAppSecret)".to_owned())
}

/// The short name of a kind.
pub const fn short(kind: Kind) -> &'static str {
    match kind {
        Kind::ApiApp => "aas",
        Kind::OidcApp => "oas",
    }
}

fn object_name(text: &str) -> Result<String, String> {
    if is_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err(
        "that is not the name of an object: lower case letters, digits, - and single dots, such as orders-api"
            .to_owned(),
    )
}

fn namespace(text: &str) -> Result<String, String> {
    if text.len() <= 63 && !text.contains('.') && is_subdomain(text) {
        Ok(text.to_owned())
    } else {
        Err("that is not the name of a namespace".to_owned())
    }
}

/// A length of time, such as 7d or 1h30m.
fn span(text: &str) -> Result<Duration, String> {
    crate::rotation::parse_interval(text).map_err(|error| format!("it {error}"))
}

/// The longest time that is drawn.
const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);

/// A length of time that something can be drawn of.
fn past(text: &str) -> Result<Duration, String> {
    let span = span(text)?;
    if (Duration::from_secs(60)..=TEN_YEARS).contains(&span) {
        Ok(span)
    } else {
        Err("it is not between a minute and ten years; write such as 7d".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_object_is_named_as_kubectl_names_it() {
        let read = |text: &str| text.parse::<Reference>();
        for (text, kind) in [
            ("orders-api.v2", None),
            ("aas/orders-api.v2", Some(Kind::ApiApp)),
            ("ApiAppSecret/orders-api.v2", Some(Kind::ApiApp)),
            (
                "oidcappsecrets.zitadel-secrets.dev/orders-api.v2",
                Some(Kind::OidcApp),
            ),
            ("oas/orders-api.v2", Some(Kind::OidcApp)),
        ] {
            let name = "orders-api.v2".to_owned();
            assert_eq!(read(text), Ok(Reference { kind, name }), "{text}");
        }
        let long = "a".repeat(254);
        for text in [
            "",
            "/",
            "aas/",
            "Orders",
            "a b",
            "a..b",
            "-a",
            "a-",
            "a\n",
            "secret/orders",
            "aas/b/c",
            &long,
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert_eq!(read("oas/x").unwrap().kinds().count(), 1);
        assert_eq!(read("x").unwrap().kinds().count(), Kind::ALL.len());
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        let read = |line: &str| Cli::try_parse_from(line.split(' '));
        for line in [
            "kubectl-zitadel_secret -n orders -o json status",
            "kubectl-zitadel_secret status -n orders -o json",
        ] {
            let cli = read(line).unwrap();
            assert_eq!(cli.global.namespace.as_deref(), Some("orders"));
            assert_eq!(cli.global.output, Format::Json);
        }
        for wrong in [
            "kubectl-zitadel_secret",
            "kubectl-zitadel_secret status -o csv",
            "kubectl-zitadel_secret status -n Orders",
            "kubectl-zitadel_secret rotat",
        ] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong}");
        }
    }
}
