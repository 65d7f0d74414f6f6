//! The simulator as a program, for the demo and the tutorial, with an admin side.

mod admin;
mod commands;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zitadel_simulator::{Config, Lag, Settings, Simulator, WorldFile};

/// A ZITADEL simulator for everything that concerns client secrets.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address of the ZITADEL side.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of the admin side.
    #[arg(long, default_value = "127.0.0.1:0")]
    admin_listen: SocketAddr,
    /// World to build (JSON); without it the standard one.
    #[arg(long)]
    world: Option<PathBuf>,
    /// Time until introspection knows a new secret.
    #[arg(long, default_value_t = 0)]
    projection_lag_ms: u64,
    /// Time that a generate takes.
    #[arg(long, default_value_t = 0)]
    generate_latency_ms: u64,
    /// Serve HTTPS with a certificate made at start; its CA is written to the directory for files.
    #[arg(long)]
    tls: bool,
    /// A host name of the instance besides localhost; may be repeated.
    #[arg(long)]
    external_host: Vec<String>,
    /// Directory for key files and the CA certificate.
    #[arg(long)]
    files: Option<PathBuf>,
    /// Keep counters only, no records: for long runs.
    #[arg(long)]
    no_records: bool,
    /// Stop when standard input ends, so when the parent does.
    #[arg(long)]
    exit_with_parent: bool,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let lag = match arguments.projection_lag_ms {
        0 => Lag::None,
        lag => Lag::Fixed(Duration::from_millis(lag)),
    };
    let simulator = Simulator::start(Config {
        listen: arguments.listen,
        tls: arguments.tls,
        external_hosts: arguments.external_host.clone(),
        settings: Settings {
            projection_lag: lag,
            generate_latency: Duration::from_millis(arguments.generate_latency_ms),
            ..Settings::default()
        },
        ..Config::default()
    })?;
    if arguments.no_records {
        simulator.stop_recording();
    }
    let admin = TcpListener::bind(arguments.admin_listen)?;
    admin.set_nonblocking(true)?;
    announce(&simulator, &arguments, admin.local_addr()?)?;
    let served = simulator.clone();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(async {
            let admin = tokio::net::TcpListener::from_std(admin)?;
            tokio::spawn(admin::serve(served, admin));
            end(arguments.exit_with_parent).await
        })?;
    simulator.shutdown();
    Ok(())
}

/// Builds the world, writes its files, and prints one line that says where everything is.
fn announce(
    simulator: &Simulator,
    arguments: &Arguments,
    admin: SocketAddr,
) -> Result<(), Failure> {
    let file = match &arguments.world {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None if arguments.files.is_some() => WorldFile::standard_with_keys(),
        None => WorldFile::standard(),
    };
    let mut world = serde_json::to_value(simulator.load_world(&file)?)?;
    let mut ca_file = None;
    if let Some(directory) = &arguments.files {
        std::fs::create_dir_all(directory)?;
        ca_file = simulator
            .ca_pem()
            .map(|pem| write(directory, "ca.pem", pem))
            .transpose()?;
        let users = world
            .get_mut("users")
            .and_then(|users| users.as_object_mut());
        for (name, user) in users.into_iter().flatten() {
            let key = user
                .get("key")
                .and_then(|key| key.as_str())
                .map(str::to_owned);
            if let (Some(key), Some(user)) = (key, user.as_object_mut()) {
                user.insert(
                    "keyFile".to_owned(),
                    json!(write(directory, &format!("{name}.json"), &key)?),
                );
                user.remove("key");
            }
        }
    }
    let ready = json!({
        "url": simulator.url(),
        "adminUrl": format!("http://{admin}"),
        "caFile": ca_file,
        "world": world,
    });
    println!("{ready}");
    Ok(std::io::stdout().flush()?)
}

fn write(directory: &Path, name: &str, content: &str) -> Result<PathBuf, std::io::Error> {
    let path = directory.join(name);
    std::fs::write(&path, content)?;
    Ok(path)
}

/// Returns on SIGTERM or SIGINT, or when standard input ends.
async fn end(with_parent: bool) -> Result<(), std::io::Error> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let (ended, parent) = tokio::sync::oneshot::channel::<()>();
    if with_parent {
        std::thread::spawn(move || {
            // An error is an end as well.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            drop(ended);
        });
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = parent => {}
        }
    } else {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    Ok(())
}
