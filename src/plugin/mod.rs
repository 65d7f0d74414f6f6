//! `kubectl zitadel-secret`: what the person on call asks, with the caller's own kubeconfig and rights.
//!
//! Nothing here reads the value of a Secret. Data goes to stdout, everything else to stderr.
//!
//! * [`cli`] is the command line, [`exit`] how a command ends, [`output`] how data is printed, [`safe`] what makes text from the cluster
//!   harmless to a terminal
//! * [`cluster`] is the cluster: client ([`kubeconfig`]), paged lists, what a failed request means ([`fault`])
//! * [`standing`] is how urgent an object is, [`pods`] who uses a credential, [`decision`] what the operator does with an object now,
//!   [`calendar`] when it is rotated next and after that
//! * [`status`], [`history`], [`consumers`] with [`restart`], [`rotate`], [`plan`], [`import`], [`timeline`], [`doctor`]: a file for each command,
//!   and a folder for what it alone is made of
//! * [`line`](mod@line) is what lines about objects have in common
//! * [`gitops`] is who keeps an object, [`trigger`] what is written there to rotate it
//! * [`completion`] completes the command line in a shell

mod calendar;
pub mod cli;
mod cluster;
mod completion;
mod consumers;
mod decision;
mod doctor;
mod exit;
mod fault;
#[cfg(test)]
mod fixtures;
mod gitops;
mod history;
mod import;
mod kubeconfig;
mod line;
mod output;
mod plan;
mod pods;
mod restart;
mod rotate;
mod safe;
mod standing;
mod status;
mod timeline;
mod trigger;

use std::process::ExitCode;

use clap::Parser as _;

use crate::plugin::cli::{Cli, Command};
use crate::plugin::cluster::Cluster;
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::output::Output;

/// Runs the plugin with the arguments of the process.
pub fn main() -> ExitCode {
    match completion::complete_if_asked() {
        Ok(true) => return Exit::Fine.into(),
        Ok(false) => {}
        Err(failure) => return failed(&failure),
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // NB: the help goes to a pipe that may be closed; nothing can be said about that.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Fine.into()
            };
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(Failure::Output(error)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    if !failure.is_silent() {
        output::note(&format!("error: {failure}"));
    }
    failure.exit().into()
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let Cli { global, command } = cli;
    let mut output = Output::to_stdout(global.output, global.no_color);
    // NB: awaited by the commands that need it.
    let cluster = Cluster::connect(&global);
    match command {
        Command::Status(arguments) => {
            status::run(&cluster.await?, &global, &arguments, &mut output).await
        }
        Command::History(arguments) => {
            history::run(&cluster.await?, &global, &arguments, &mut output).await
        }
        Command::Timeline(arguments) => {
            timeline::run(&cluster.await?, &global, &arguments, &mut output).await
        }
        Command::Consumers(arguments) => {
            consumers::run(&cluster.await?, &global, &arguments, &mut output).await
        }
        Command::Plan(arguments) => {
            plan::run(&cluster.await?, &global, &arguments, &mut output).await
        }
        Command::Import(arguments) => {
            import::run(&cluster.await?, &global, &arguments, &mut output).await
        }
        Command::Doctor(arguments) => {
            doctor::run(&cluster.await?, &global, &arguments, &mut output).await
        }
        Command::Rotate(arguments) => {
            rotate::run(&cluster.await?, &global, &arguments, &mut output).await
        }
        Command::Completion(arguments) => completion::run(&arguments, &mut output),
    }
}
