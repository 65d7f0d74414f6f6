//! The operator's binary: arguments, logs, run.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use zitadel_secret_operator::cli::{Cli, Command};
use zitadel_secret_operator::process::{metrics, telemetry};
use zitadel_secret_operator::{api, operator};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run(arguments),
        Command::Check(arguments) => check(arguments),
        Command::Crd { output } => print_definitions(output.as_deref()).map(|()| ExitCode::SUCCESS),
        Command::Metrics => {
            print!("{}", metrics::reference());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: zitadel_secret_operator::cli::Run) -> anyhow::Result<ExitCode> {
    telemetry::init(arguments.log.as_deref(), arguments.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(operator::run(arguments))?;
    Ok(outcome.into())
}

fn check(arguments: zitadel_secret_operator::cli::Check) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(zitadel_secret_operator::check::run(arguments))
}

fn print_definitions(directory: Option<&std::path::Path>) -> anyhow::Result<()> {
    for (name, yaml) in api::documents()? {
        match directory {
            Some(directory) => {
                let path = directory.join(name);
                std::fs::write(&path, yaml)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
            None => print!("---\n{yaml}"),
        }
    }
    Ok(())
}
