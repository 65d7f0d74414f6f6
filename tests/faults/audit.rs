//! The audit records of all replicas in this process, and how many lines they logged as errors.

use std::sync::{LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

static RECORDS: LazyLock<Mutex<Vec<Record>>> = LazyLock::new(Mutex::default);

/// One audit record.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub attempt: String,
    pub app: String,
    pub cause: String,
    pub result: String,
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "cause" => self.cause = value.to_owned(),
            "result" => self.result = value.to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "attempt" => self.attempt = format!("{value:?}"),
            "app" => self.app = format!("{value:?}"),
            _ => {}
        }
    }
}

struct Collect;

impl<S: Subscriber> Layer<S> for Collect {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "audit" {
            let mut record = Record::default();
            event.record(&mut record);
            RECORDS.lock().unwrap().push(record);
        }
    }
}

/// Collects audit records from now on; with `FAULTS_LOG` set (a filter) everything else is printed.
pub fn collect() {
    let filter = tracing_subscriber::EnvFilter::new(
        std::env::var("FAULTS_LOG").unwrap_or_else(|_| "off".to_owned()),
    );
    let audit = tracing_subscriber::filter::filter_fn(|metadata| metadata.target() == "audit");
    let print = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_thread_names(true)
        .with_filter(filter);
    let subscriber = tracing_subscriber::registry()
        .with(Collect.with_filter(audit))
        .with(print);
    // NB: several tests of one binary set it; the first one wins, and it is the same one.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// The records of an application.
pub fn records(app: &str) -> Vec<Record> {
    let all = RECORDS.lock().unwrap();
    all.iter()
        .filter(|record| record.app == app)
        .cloned()
        .collect()
}
