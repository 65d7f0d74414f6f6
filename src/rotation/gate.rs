//! What must hold before anything is read, and before the Secret is touched. No I/O.

use crate::api::Reason;
use crate::rotation::facts::Facts;
use crate::rotation::record::RecordError;
use crate::rotation::secret::SecretView;
use crate::rotation::step::{Blocked, Report, Retry, stalled, waiting};

/// What must hold before anything is read.
pub(super) fn gate(facts: &Facts) -> Option<Report> {
    if facts.object.suspended {
        return Some(Report::Quiet(Reason::Suspended));
    }
    if let Some(rival) = &facts.gates.rival {
        let blocked = Blocked {
            by: Some(rival.clone()),
            ..Reason::AppAlreadyClaimed.into()
        };
        return Some(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        });
    }
    if let Err(failure) = &facts.gates.connection {
        let blocked = Blocked::from(failure);
        return Some(if failure.permanent {
            Report::Stalled {
                blocked,
                retry: Retry::OnChange,
            }
        } else {
            waiting(blocked, Retry::After(facts.timing.probe))
        });
    }
    (!facts.gates.granted).then(|| Report::Stalled {
        blocked: Reason::NotGranted.into(),
        retry: Retry::OnChange,
    })
}

/// Why the Secret is not the operator's to touch, if so.
pub(super) fn not_ours(facts: &Facts, secret: &SecretView) -> Option<Report> {
    if let Some(owner) = &secret.held_elsewhere {
        let blocked = Blocked {
            by: Some(owner.clone()),
            ..Reason::SecretKeyConflict.into()
        };
        return Some(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        });
    }
    if secret.commit == Err(RecordError::Newer) {
        let reason = Reason::CommitRecordFromNewerVersion;
        return Some(stalled(reason, Retry::OnChange));
    }
    let adoptable = secret.managed || facts.object.adoption_required;
    (!adoptable).then(|| {
        let retry = Retry::After(facts.timing.retry_most);
        stalled(Reason::SecretNotOwned, retry)
    })
}
