//! Logs: JSON in a cluster, compact on a terminal, to standard output.
//!
//! Standard output is where a container's log is expected, and a running operator writes nothing else there. Standard error is
//! for errors before logging works (bad arguments) and for panics.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The default filter.
pub const DEFAULT_FILTER: &str = "info";

/// The audit records: one for each call that generates a client secret. They are its only permanent trace, so they are written
/// regardless of the filter.
const AUDIT: &str = "audit=info";

/// A target that logs whole response bodies at WARN when they do not parse, and those can be Secrets.
const LEAKY_TARGET: &str = "kube_client::client";

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Compact on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// One short line, colored on a terminal.
    Compact,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one of `tracing_subscriber::EnvFilter`.
    #[error("the log filter {filter:?} cannot be read")]
    Filter {
        /// The filter, including additions.
        filter: String,
        /// The parse error.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logging was set up before in this process.
    #[error("logging is already set up")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of this process. `filter` is what `--log` says; without it `RUST_LOG` counts, then [`DEFAULT_FILTER`].
pub fn init(filter: Option<&str>, format: LogFormat) -> Result<(), TelemetryError> {
    let from_environment = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let directives = directives(filter, from_environment.as_deref());
    let filter =
        EnvFilter::builder()
            .parse(&directives)
            .map_err(|source| TelemetryError::Filter {
                filter: directives,
                source,
            })?;
    let terminal = std::io::stdout().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A log that cannot be written must not become a panic on a closed standard error.
        .log_internal_errors(false);
    match format {
        LogFormat::Compact => log.compact().with_ansi(terminal).finish().try_init()?,
        LogFormat::Auto if terminal => log.compact().with_ansi(true).finish().try_init()?,
        LogFormat::Auto | LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .finish()
            .try_init()?,
    }
    Ok(())
}

/// The effective filter. The target that logs response bodies stays at ERROR unless it is named explicitly, and audit records are
/// always written.
fn directives(argument: Option<&str>, environment: Option<&str>) -> String {
    let given = [argument, environment]
        .into_iter()
        .flatten()
        .map(str::trim)
        .find(|text| !text.is_empty())
        .unwrap_or(DEFAULT_FILTER);
    let on_purpose = given.split(',').any(|directive| {
        directive
            .split(['=', '['])
            .next()
            .is_some_and(|target| target.trim() == LEAKY_TARGET)
    });
    if on_purpose {
        format!("{given},{AUDIT}")
    } else {
        format!("{given},{LEAKY_TARGET}=error,{AUDIT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_bodies_are_not_logged_unless_requested() {
        for (argument, environment, expected) in [
            (None, None, "info,kube_client::client=error,audit=info"),
            (
                Some(""),
                Some(" "),
                "info,kube_client::client=error,audit=info",
            ),
            (
                Some("debug"),
                Some("warn"),
                "debug,kube_client::client=error,audit=info",
            ),
            (
                None,
                Some("warn"),
                "warn,kube_client::client=error,audit=info",
            ),
            (
                Some("kube_client=trace"),
                None,
                "kube_client=trace,kube_client::client=error,audit=info",
            ),
            (
                Some("info,kube_client::client=warn"),
                None,
                "info,kube_client::client=warn,audit=info",
            ),
            (
                Some("kube_client::client[HTTP]=debug"),
                None,
                "kube_client::client[HTTP]=debug,audit=info",
            ),
        ] {
            assert_eq!(directives(argument, environment), expected);
        }
    }

    #[test]
    fn audit_records_are_written_whatever_the_filter_says() {
        use std::io::Write;
        use std::sync::Arc;

        use parking_lot::Mutex;

        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        for given in [
            "off",
            "error",
            "warn,audit=off",
            "audit=error",
            "kube_client::client=trace",
        ] {
            let lines = Lines::default();
            let writer = lines.clone();
            let log = tracing_subscriber::fmt()
                .with_env_filter(directives(Some(given), None))
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(log, || {
                tracing::info!(target: "audit", "generate");
                tracing::info!("chatter");
            });
            let written = String::from_utf8(lines.0.lock().clone()).unwrap();
            assert!(written.contains("generate"), "{given}: {written}");
            assert!(!written.contains("chatter"), "{given}: {written}");
        }
    }

    #[test]
    fn the_default_filter_is_valid() {
        assert!(EnvFilter::builder().parse(directives(None, None)).is_ok());
    }

    #[test]
    fn an_invalid_filter_is_an_error_that_shows_it() {
        let error = init(Some("info,a=b=c"), LogFormat::Json).unwrap_err();
        assert!(error.to_string().contains("a=b=c"), "{error}");
    }
}
