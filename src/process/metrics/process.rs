//! What the system says of this process, under the names that Prometheus' own client libraries use. Read from `/proc` at each scrape.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::catalogue::{self, Description};

/// The series of the process.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    started: Timestamp,
}

impl ProcessCollector {
    /// Of a process that starts now.
    pub(super) fn new() -> Self {
        Self {
            started: Timestamp::now(),
        }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let started = Some(self.started.as_second());
        gauge(encoder, &catalogue::PROCESS_START_TIME, started)?;
        let metric = &catalogue::PROCESS_CPU;
        let help = format!("{}.", metric.help);
        let counter = encoder.encode_descriptor(metric.name, &help, None, MetricType::Counter)?;
        counter_of(counter, cpu_seconds())?;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let resident = number_of(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024);
        gauge(encoder, &catalogue::PROCESS_RESIDENT_MEMORY, resident)?;
        let threads = number_of(&status, "Threads:");
        gauge(encoder, &catalogue::PROCESS_THREADS, threads)?;
        let open = std::fs::read_dir("/proc/self/fd").ok();
        // NB: one of them is that of the directory itself.
        let open = open.and_then(|entries| i64::try_from(entries.count().saturating_sub(1)).ok());
        gauge(encoder, &catalogue::PROCESS_OPEN_FDS, open)?;
        let most = number_of(&limits, "Max open files");
        gauge(encoder, &catalogue::PROCESS_MAX_FDS, most)
    }
}

/// User and system time of all threads.
fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::try_from(used)
        .unwrap_or_default()
        .as_secs_f64()
}

/// The first number of the line that begins so. None where the system has no such file or line, or no limit.
fn number_of(text: &str, begins: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(begins))?;
    line.split_whitespace().next()?.parse().ok()
}

fn gauge(encoder: &mut DescriptorEncoder, metric: &Description, value: Option<i64>) -> fmt::Result {
    let help = format!("{}.", metric.help);
    let mut values = encoder.encode_descriptor(metric.name, &help, None, MetricType::Gauge)?;
    value.map_or(Ok(()), |value| values.encode_gauge(&value))
}

fn counter_of(mut values: MetricEncoder, value: f64) -> fmt::Result {
    values.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_the_beginning_of_their_line() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 524288               files\nMax address space         unlimited            unlimited            bytes\n";
        assert_eq!(number_of(limits, "Max open files"), Some(1024));
        assert_eq!(number_of(limits, "Max address space"), None);
        assert_eq!(number_of("VmRSS:\t    9012 kB\n", "VmRSS:"), Some(9012));
        assert_eq!(number_of("", "VmRSS:"), None);
    }
}
