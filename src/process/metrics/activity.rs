//! What was seen of connections: calls, clocks, and when client secrets were last verified. No I/O.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::catalogue;
use super::series::{gauge, one};
use crate::api::Reason;
use crate::ids::ProjectKey;
use crate::store::object::Object;

/// What was seen of a connection since it exists.
#[derive(Debug)]
pub struct ConnectionActivity {
    /// Its name.
    pub name: String,
    /// The calls over it: operation, outcome and number.
    pub requests: Vec<(&'static str, &'static str, u64)>,
    /// ZITADEL's clock minus that of the process.
    pub clock_skew: Option<SignedDuration>,
    /// Since when its projects are scanned.
    pub since: Timestamp,
    /// When a project was last scanned, so that a rotation by another actor would have been noticed.
    pub scanned: HashMap<ProjectKey, Timestamp>,
}

impl ConnectionActivity {
    /// That of a connection over which nothing happened yet.
    pub fn of(name: &str, since: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            requests: Vec::new(),
            clock_skew: None,
            since,
            scanned: HashMap::new(),
        }
    }
}

/// A client secret is to be verified within this.
const VERIFIED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// When client secrets were last verified.
pub(super) struct Verifications<'a>(HashMap<&'a str, &'a ConnectionActivity>);

impl<'a> Verifications<'a> {
    pub(super) fn of(activity: &'a [ConnectionActivity]) -> Self {
        let all = activity.iter();
        Self(all.map(|it| (it.name.as_str(), it)).collect())
    }

    /// When the stored client secret was last verified: ZITADEL accepted it, or did not show a change of its application. None before the
    /// first verdict.
    ///
    /// NB: what was scanned is forgotten with the process, so the first scan is waited for from its start on.
    pub(super) fn time(&self, object: &Object) -> Option<Timestamp> {
        let summary = object.summary()?;
        let asked = summary.verified()?;
        let activity = object.connection().and_then(|name| self.0.get(name));
        let scanned = activity.filter(|_| summary.accepted == Some(true));
        let scanned = scanned.map(|it| *it.scanned.get(&summary.project).unwrap_or(&it.since));
        Some(scanned.map_or(asked, |scanned| scanned.max(asked)))
    }
}

/// The series of all verifications together.
pub(super) fn encode_verified(
    objects: &[Arc<Object>],
    activity: &[ConnectionActivity],
    now: Timestamp,
    encoder: &mut DescriptorEncoder,
) -> fmt::Result {
    let verified = Verifications::of(activity);
    let is_suspended = |object: &Object| {
        let reason = object.summary().and_then(|summary| summary.reason);
        reason == Some(Reason::Suspended)
    };
    let objects = objects.iter();
    let ages = objects
        .filter(|object| !is_suspended(object))
        .filter_map(|object| verified.time(object))
        .map(|time| now.duration_since(time).max(SignedDuration::ZERO));
    let (mut oldest, mut late) = (SignedDuration::ZERO, 0);
    for age in ages {
        oldest = oldest.max(age);
        late += i64::from(age > VERIFIED_WITHIN);
    }
    gauge(encoder, &catalogue::UNVERIFIED_OBJECTS, |values| {
        values.encode_gauge(&late)
    })?;
    gauge(encoder, &catalogue::VERIFIED_AGE, |values| {
        values.encode_gauge(&oldest.as_secs())
    })
}

/// The series of what was seen of connections, and of clocks.
pub(super) fn encode_activity(
    activity: &[ConnectionActivity],
    clock_skew: Option<SignedDuration>,
    encoder: &mut DescriptorEncoder,
) -> fmt::Result {
    gauge(encoder, &catalogue::CLOCK_SKEW, |values| {
        clock_skew.map_or(Ok(()), |skew| values.encode_gauge(&skew.as_secs()))
    })?;
    gauge(encoder, &catalogue::CONNECTION_CLOCK_SKEW, |values| {
        for it in activity {
            if let Some(skew) = it.clock_skew {
                one(values, &[("connection", &it.name)], skew.as_secs())?;
            }
        }
        Ok(())
    })?;
    let metric = &catalogue::ZITADEL_REQUESTS;
    let help = format!("{}.", metric.help);
    let mut values = encoder.encode_descriptor(metric.name, &help, None, MetricType::Counter)?;
    for it in activity {
        for (operation, outcome, count) in &it.requests {
            let labels = [
                ("connection", it.name.as_str()),
                ("operation", operation),
                ("outcome", outcome),
            ];
            let mut value = values.encode_family(&labels)?;
            value.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
    }
    Ok(())
}
