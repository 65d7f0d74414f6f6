//! Checks whether an operator leads, by the Lease of the leader election.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

use crate::operator::LEADER_LEASE;
use crate::process::clock::ServerClock;

/// Waits until a replica leads, at most `timeout`. Prints which one, or why none does.
pub(super) async fn leader(
    client: &Client,
    namespace: &str,
    clock: &ServerClock,
    timeout: Duration,
) -> bool {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let mut line = format!("leader: no response from the API server within {timeout:?}");
    let leading = async {
        let mut before: Option<Lease> = None;
        loop {
            match leases.get_opt(LEADER_LEASE).await {
                Ok(lease) => {
                    let now = clock.now().unwrap_or_else(Timestamp::now);
                    let found = leads(lease.as_ref(), before.as_ref(), now);
                    let well = found.is_ok();
                    line = match found {
                        Ok(holder) => format!("leader: {holder}"),
                        Err(none) => format!("leader: none: {none}"),
                    };
                    if well {
                        return;
                    }
                    before = before.or(lease);
                }
                Err(kube::Error::Api(status)) => {
                    line = format!("leader: the API server responded with HTTP {}", status.code);
                }
                Err(_) => "leader: no response from the API server".clone_into(&mut line),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let leads = tokio::time::timeout(timeout, leading).await.is_ok();
    println!("{line}");
    leads
}

/// Why no replica leads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoLeader {
    /// There is no Lease.
    #[error("there is no Lease {LEADER_LEASE}: is the operator running?")]
    NoLease,
    /// It has no holder.
    #[error("the last one has ended, and no other replica has taken over")]
    Released,
    /// Its holder does not renew it.
    #[error("{holder} last renewed its Lease {age:#} ago: it has ended, or cannot reach the API server", age = SignedDuration::from_secs(.age.as_secs()))]
    Expired {
        /// Its Pod.
        holder: String,
        /// Since when.
        age: SignedDuration,
    },
}

/// The Pod of the leader, or why there is none. The Lease must have been renewed recently, or since it was last read: the holder's clock may be
/// wrong.
pub(crate) fn leads(
    lease: Option<&Lease>,
    before: Option<&Lease>,
    now: Timestamp,
) -> Result<String, NoLeader> {
    let spec = lease.and_then(|lease| lease.spec.as_ref());
    let Some(spec) = spec else {
        return Err(NoLeader::NoLease);
    };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let Some(renewed) = spec.renew_time.as_ref().filter(|_| !holder.is_empty()) else {
        return Err(NoLeader::Released);
    };
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or_default().into());
    let age = now.duration_since(renewed.0);
    let seen = before.and_then(|before| before.spec.as_ref());
    let moves = seen.is_some_and(|seen| seen.renew_time.as_ref() != Some(renewed));
    let holder = pod_of(holder).to_owned();
    if age.abs() <= lasts || moves {
        return Ok(holder);
    }
    Err(NoLeader::Expired { holder, age })
}

/// The name of the holder's Pod: after it comes the Pod's uid, and after that the process.
// NB: a name may have dots, an underscore neither it nor a uid.
fn pod_of(holder: &str) -> &str {
    let pod = holder.split('_').next().unwrap_or_default();
    pod.rsplit_once('.').map_or(pod, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(holder: &str, renewed: &str) -> Lease {
        let spec =
            json!({"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15});
        serde_json::from_value(json!({"metadata": {"name": LEADER_LEASE}, "spec": spec})).unwrap()
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn a_holder_leads_if_it_renewed_recently() {
        let held = lease("a.b-x2z.0a-1b_1", "2026-01-01T00:00:00Z");
        let led = leads(Some(&held), None, at("2026-01-01T00:00:14Z"));
        assert_eq!(led.as_deref(), Ok("a.b-x2z"));
        let over = leads(Some(&held), Some(&held), at("2026-01-01T00:01:10Z"));
        let over = over.unwrap_err().to_string();
        assert!(
            over.starts_with("a.b-x2z last renewed its Lease 1m 10s ago"),
            "{over}"
        );
    }

    #[test]
    fn a_holder_with_a_wrong_clock_still_leads() {
        let before = lease("pod_1", "2030-01-01T00:00:00Z");
        let now = at("2026-01-01T00:00:00Z");
        assert!(leads(Some(&before), None, now).is_err());
        let after = lease("pod_1", "2030-01-01T00:00:02Z");
        assert!(leads(Some(&after), Some(&before), now).is_ok());
    }

    #[test]
    fn an_absent_or_released_lease_has_no_holder() {
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(leads(None, None, now), Err(NoLeader::NoLease));
        let given_back = lease("", "2026-01-01T00:00:00Z");
        assert_eq!(leads(Some(&given_back), None, now), Err(NoLeader::Released));
    }
}
