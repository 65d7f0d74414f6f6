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

/// Warnings about objects.
static WARNINGS: LazyLock<Mutex<Vec<Warning>>> = LazyLock::new(Mutex::default);

/// How many warnings with this text about objects of a namespace were logged so far.
pub fn warnings(text: &str, namespace: &str) -> usize {
    let all = WARNINGS.lock().unwrap();
    all.iter()
        .filter(|line| line.text.contains(text) && line.namespace.contains(namespace))
        .count()
}

#[derive(Default)]
struct Warning {
    text: String,
    namespace: String,
}

impl Visit for Warning {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.text = format!("{value:?}"),
            "namespace" => self.namespace = format!("{value:?}"),
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
        } else {
            let mut warning = Warning::default();
            event.record(&mut warning);
            WARNINGS.lock().unwrap().push(warning);
        }
    }
}

/// Collects audit records from now on; with `FAULTS_LOG` set (a filter) everything else is printed.
pub fn collect() {
    let filter = tracing_subscriber::EnvFilter::new(
        std::env::var("FAULTS_LOG").unwrap_or_else(|_| "off".to_owned()),
    );
    let audit = tracing_subscriber::filter::filter_fn(|metadata| {
        let ours = metadata.target().starts_with("zitadel_secret_operator");
        metadata.target() == "audit" || (ours && *metadata.level() <= tracing::Level::WARN)
    });
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
