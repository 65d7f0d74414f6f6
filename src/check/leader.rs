//! Whether an operator leads now, by the Lease of the leader election.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

use crate::operator::LEADER_LEASE;
use crate::process::clock::ServerClock;

/// Whether one leads within the time. Says which, or why none does.
pub(super) async fn leader(
    client: &Client,
    namespace: &str,
    clock: &ServerClock,
    timeout: Duration,
) -> bool {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let mut told = format!("leader: no answer from the API server within {timeout:?}");
    let looking = async {
        let mut before: Option<Lease> = None;
        loop {
            match leases.get_opt(LEADER_LEASE).await {
                Ok(lease) => {
                    let now = clock.now().unwrap_or_else(Timestamp::now);
                    let found = leads(lease.as_ref(), before.as_ref(), now);
                    let well = found.is_ok();
                    told = found.unwrap_or_else(|nobody| nobody);
                    if well {
                        return;
                    }
                    before = before.or(lease);
                }
                Err(kube::Error::Api(status)) => {
                    told = format!("leader: the API server answers {}", status.code);
                }
                Err(_) => "leader: no answer from the API server".clone_into(&mut told),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let leads = tokio::time::timeout(timeout, looking).await.is_ok();
    println!("{told}");
    leads
}

/// Who leads, or why nobody does. The Lease was renewed lately, or has been since it was seen before: whoever renews it may have a
/// clock that is wrong.
fn leads(lease: Option<&Lease>, before: Option<&Lease>, now: Timestamp) -> Result<String, String> {
    let spec = lease.and_then(|lease| lease.spec.as_ref());
    let Some(spec) = spec else {
        return Err(format!(
            "leader: nobody: there is no Lease {LEADER_LEASE}: does the operator run?"
        ));
    };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let Some(renewed) = spec.renew_time.as_ref().filter(|_| !holder.is_empty()) else {
        return Err(
            "leader: nobody: the last one has ended, and no other has taken over".to_owned(),
        );
    };
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or_default().into());
    let age = now.duration_since(renewed.0);
    let seen = before.and_then(|before| before.spec.as_ref());
    let moves = seen.is_some_and(|seen| seen.renew_time.as_ref() != Some(renewed));
    if age.abs() <= lasts || moves {
        return Ok(format!("leader: {holder}"));
    }
    Err(format!(
        "leader: nobody: {holder} renewed its Lease {age:#} ago for the last time: it has ended, or does not reach the API server",
        age = SignedDuration::from_secs(age.as_secs())
    ))
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
    fn who_renewed_lately_leads_and_who_did_not_has_ended() {
        let held = lease("pod_1", "2026-01-01T00:00:00Z");
        let led = leads(Some(&held), None, at("2026-01-01T00:00:14Z"));
        assert_eq!(led.as_deref(), Ok("leader: pod_1"));
        let over = leads(Some(&held), Some(&held), at("2026-01-01T00:01:10Z")).unwrap_err();
        assert!(
            over.contains("pod_1 renewed its Lease 1m 10s ago"),
            "{over}"
        );
    }

    #[test]
    fn a_clock_that_is_wrong_makes_nobody_dead() {
        let before = lease("pod_1", "2030-01-01T00:00:00Z");
        let now = at("2026-01-01T00:00:00Z");
        assert!(leads(Some(&before), None, now).is_err());
        let after = lease("pod_1", "2030-01-01T00:00:02Z");
        assert!(leads(Some(&after), Some(&before), now).is_ok());
    }

    #[test]
    fn a_lease_that_is_not_there_or_was_given_back_is_nobodys() {
        let now = at("2026-01-01T00:00:00Z");
        assert!(
            leads(None, None, now)
                .unwrap_err()
                .contains("does the operator run?")
        );
        let given_back = lease("", "2026-01-01T00:00:00Z");
        assert!(leads(Some(&given_back), None, now).is_err());
    }
}
