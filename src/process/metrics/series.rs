//! How series are written at a scrape. No I/O.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::catalogue::Description;

/// Writes a gauge, with the series that `values` writes.
pub(super) fn gauge(
    encoder: &mut DescriptorEncoder,
    metric: &Description,
    values: impl FnOnce(&mut MetricEncoder) -> fmt::Result,
) -> fmt::Result {
    let (name, seconds) = metric.name_and_unit();
    let unit = seconds.then_some(&Unit::Seconds);
    // NB: of metrics that are registered the library itself ends the help with a full stop.
    let help = format!("{}.", metric.help);
    let mut encoder = encoder.encode_descriptor(name, &help, unit, MetricType::Gauge)?;
    values(&mut encoder)
}

/// Writes one series of a gauge.
pub(super) fn one(
    encoder: &mut MetricEncoder,
    labels: &impl EncodeLabelSet,
    value: i64,
) -> fmt::Result {
    encoder.encode_family(labels)?.encode_gauge(&value)
}
