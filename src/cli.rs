//! The command line. Every flag can be given as an environment variable, too.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::api::DEFAULT_CLASS;
use crate::process::telemetry::LogFormat;
use crate::store::scope::{class_name, namespace_name};

/// Keeps the client secrets of ZITADEL API applications in Kubernetes Secrets.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Run),
    /// Say which rights in the cluster are missing, whether an operator leads and whether every connection is ready. Changes nothing.
    Check(Check),
    /// Print the custom resource definitions.
    Crd {
        /// Write one file each into this directory instead.
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Print the reference of the metrics, as Markdown.
    Metrics,
}

/// Where the operator works.
#[derive(Debug, clap::Args)]
pub struct ScopeArgs {
    /// The operator's own namespace: credentials, certificate authorities and claims are there.
    #[arg(long, env = "POD_NAMESPACE", default_value = "zitadel-secret-operator", value_parser = namespace_name)]
    pub namespace: String,

    /// The namespaces whose objects are reconciled, separated by commas. Without it, all namespaces.
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',', value_parser = namespace_name)]
    pub watch_namespaces: Vec<String>,

    /// The connections that are reconciled: those with this spec.controllerClass. Objects that name another one belong to another operator.
    #[arg(long, env = "CONTROLLER_CLASS", default_value = DEFAULT_CLASS, value_parser = class_name)]
    pub controller_class: String,
}

/// What the operator may do about the Pods that use a credential.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ConsumerArgs {
    /// Look at Pods after a rotation and prompt those that mount the Secret to refresh their files. Needs the right to list and patch Pods.
    #[arg(id = "consumers_refresh", long = "consumers-refresh", env = "CONSUMERS_REFRESH", default_value_t = false, action = clap::ArgAction::Set)]
    pub refresh: bool,

    /// Look at Pods after a rotation and restart their workloads where the object asks for it. Needs the right to list Pods, and to get and
    /// patch Deployments, StatefulSets and DaemonSets.
    #[arg(id = "consumers_restart", long = "consumers-restart", env = "CONSUMERS_RESTART", default_value_t = false, action = clap::ArgAction::Set)]
    pub restart: bool,
}

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Where.
    #[command(flatten)]
    pub scope: ScopeArgs,

    /// As the operator runs: whether it needs rights about consumers.
    #[command(flatten)]
    pub consumers: ConsumerArgs,

    /// How long to wait for an operator to lead, and for the connections to become ready.
    #[arg(long, env = "CHECK_TIMEOUT", default_value = "30s", value_parser = span)]
    pub timeout: std::time::Duration,

    /// As the operator runs. Without leader election there is no Lease that says whether one is at work.
    #[arg(long, env = "LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,
}

/// How to run the operator.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Where.
    #[command(flatten)]
    pub scope: ScopeArgs,

    /// What it may do about consumers.
    #[command(flatten)]
    pub consumers: ConsumerArgs,

    /// The name of this pod, for people who read claims and Leases.
    #[arg(long, env = "POD_NAME", default_value_t = host_name())]
    pub pod_name: String,

    /// The uid of this pod. With it, a container that restarts in the same pod need not wait for its predecessor.
    #[arg(long, env = "POD_UID")]
    pub pod_uid: Option<String>,

    /// Where /live, /ready and /metrics are served.
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "[::]:8080")]
    pub admin_address: SocketAddr,

    /// Export metrics of each object, of at most 10,000. Alerts about single objects and the dashboard need them.
    #[arg(long, env = "METRICS_PER_OBJECT", default_value_t = false, action = clap::ArgAction::Set)]
    pub metrics_per_object: bool,

    /// Only one replica works at a time. Safety does not depend on it.
    #[arg(long, env = "LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,

    /// The shortest spec.rotation.interval that is allowed, such as 1h.
    #[arg(long, env = "MINIMUM_INTERVAL", default_value = "1h", value_parser = span)]
    pub minimum_interval: std::time::Duration,

    /// How often each project is scanned for external rotations.
    #[arg(long, env = "DRIFT_INTERVAL", default_value = "10m", value_parser = span)]
    pub drift_interval: std::time::Duration,

    /// How long to wait at the end for credentials that are not written yet.
    #[arg(long, env = "GRACE", default_value = "110s", value_parser = span)]
    pub grace: std::time::Duration,

    /// Divides the waits of the protocol. For tests and demonstrations only: a request that is still on its way may then be
    /// taken for lost.
    #[arg(long, env = "PROTOCOL_SPEED", default_value_t = 1, hide = true)]
    pub protocol_speed: u32,

    /// What is logged, such as `info` or `zitadel_secret_operator=debug`.
    #[arg(long, env = "RUST_LOG")]
    pub log: Option<String>,

    /// How it is logged.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
}

fn span(text: &str) -> Result<std::time::Duration, String> {
    crate::rotation::parse_interval(text).map_err(|error| error.to_string())
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
