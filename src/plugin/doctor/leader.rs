//! Who leads, and whether the clocks are right. No I/O.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;

use crate::check::leader::{NoLeader, leads};
use crate::operator::LEADER_LEASE;
use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::fault::ClusterError;
use crate::plugin::output::span;

/// A clock that differs by more than this is wrong. The date of an answer is up to a second old, and a Lease is renewed every two.
const SKEW: SignedDuration = SignedDuration::from_secs(10);
/// A Lease as it was read at first, and as it was read last.
pub type Read = Result<[Option<Lease>; 2], ClusterError>;

/// Judges the leader of a namespace by its Lease; `is_expected`: its operator elects one.
pub fn judge(namespace: &str, lease: &Read, is_expected: bool, now: Timestamp) -> Vec<Finding> {
    let object = format!("lease.coordination.k8s.io/{LEADER_LEASE}");
    let about = |finding: Finding| finding.about(namespace, object.as_str());
    let [first, last] = match lease {
        Ok(lease) => lease,
        Err(error) => return vec![about(Finding::unknown(Check::Leader, error))],
    };
    match leads(last.as_ref(), first.as_ref(), now) {
        Ok(pod) => {
            let finding = Finding::new(Check::Leader, Verdict::Ok, format!("{pod} leads"));
            let ahead = last.as_ref().and_then(|lease| ahead(lease, now));
            let clock = ahead.map(|ahead| clock(&format!("the operator ({pod})"), ahead));
            std::iter::once(finding).chain(clock).map(about).collect()
        }
        Err(none) if is_expected => {
            let message = format!("no replica leads: {none}");
            let finding = Finding::new(Check::Leader, Verdict::Problem, message);
            vec![about(finding.fix(format!(
                "kubectl logs --namespace {namespace} --selector app.kubernetes.io/component=operator"
            )))]
        }
        Err(NoLeader::NoLease) => Vec::new(),
        Err(_) => {
            let message = "no operator is there any more: the Lease of its leader is left behind";
            let finding = Finding::new(Check::Leader, Verdict::Warning, message);
            vec![about(finding.fix(format!(
                "kubectl delete lease {LEADER_LEASE} --namespace {namespace}"
            )))]
        }
    }
}

/// How far the holder's clock is ahead of the API server's.
fn ahead(lease: &Lease, now: Timestamp) -> Option<SignedDuration> {
    let renewed = lease.spec.as_ref()?.renew_time.as_ref()?;
    Some(renewed.0.duration_since(now))
}

/// Judges a clock by how far it is ahead of the API server's.
pub fn clock(whose: &str, ahead: SignedDuration) -> Finding {
    if ahead.abs() <= SKEW {
        let message = format!("the clock of {whose} is that of the API server");
        return Finding::new(Check::Clock, Verdict::Ok, message);
    }
    let side = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    let message = format!(
        "the clock of {whose} is {} {side} that of the API server; beyond five minutes scheduled rotations wait, and tokens are rejected",
        span(ahead.abs())
    );
    Finding::new(Check::Clock, Verdict::Warning, message).fix("timedatectl status")
}
