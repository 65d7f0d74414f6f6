//! What may be said of the stored client secret: the one notion that `Verified`, `Ready` and every wait follow from. No I/O.

use std::time::Duration;

use crate::rotation::facts::Facts;
use crate::rotation::fingerprint::Origin;
use crate::rotation::memory::{Doubt, DoubtKind, Memory, Rejection};
use crate::rotation::observed::Version;
use crate::rotation::secret::{SecretState, Value};
use crate::rotation::verdict::Verdict;

/// What is known of the stored client secret: the verdict of the last question about exactly these bytes, unless a doubt is younger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verified {
    /// ZITADEL accepts it.
    Accepted,
    /// ZITADEL rejects it.
    Rejected,
    /// There is no verdict, and no doubt either: the operator wrote it last, from an answer that it received.
    Unasked,
    /// There is a doubt that no verdict has answered yet.
    Doubted,
    /// The Secret cannot be seen: what was known before still holds.
    AsBefore,
    /// The Secret, or the client secret in it, is gone.
    Gone,
    /// The Secret holds nothing that is known to be the operator's.
    Nothing,
}

impl Verified {
    /// Whether it may be reported that the Secret holds a client secret that works.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Accepted | Self::Unasked)
    }

    /// Whether consumers may be down, so that ZITADEL is asked again.
    pub const fn is_red(self) -> bool {
        matches!(self, Self::Rejected | Self::Doubted)
    }
}

/// What may be said of the stored client secret.
pub fn verified(facts: &Facts, memory: &Memory) -> Verified {
    if facts.gates.connection.is_err() {
        return Verified::AsBefore;
    }
    let (version, untouched) = match (&facts.former, facts.secret.known()) {
        // Under its new name there is nothing yet; the value is where it was.
        (Some(former), _) => (&former.version, true),
        (None, None) => return Verified::AsBefore,
        (None, Some(SecretState::Absent)) => return Verified::Gone,
        (None, Some(SecretState::Present(view))) if view.value == Value::Absent => {
            return Verified::Gone;
        }
        (None, Some(SecretState::Present(view))) if !matches!(view.commit, Ok(Some(_))) => {
            return Verified::Nothing;
        }
        (None, Some(SecretState::Present(view))) => {
            let ours = view.origin == Origin::Own || view.value == Value::Unseen;
            (&view.version, ours)
        }
    };
    // NB: beside a value that is held and has no effect yet, the stored one is known to work.
    let held = |doubt: &&Doubt| memory.candidate && doubt.kind == DoubtKind::Sent;
    if let Some(doubt) = memory.doubt.as_ref().filter(|doubt| !held(doubt)) {
        return if doubt.kind == DoubtKind::Unproven && untouched {
            Verified::Unasked
        } else {
            Verified::Doubted
        };
    }
    if let Some(rejection) = &memory.rejected {
        return if rejection.secret == *version {
            Verified::Rejected
        } else {
            Verified::Doubted
        };
    }
    let accepted = [&memory.verified, &facts.object.verified];
    if accepted.contains(&&Some(version.revision.clone())) {
        Verified::Accepted
    } else if untouched {
        Verified::Unasked
    } else {
        Verified::Doubted
    }
}

impl Memory {
    /// ZITADEL was asked about the value in this revision of the Secret. A verdict answers every doubt; without one nothing that was
    /// known holds.
    pub fn judged(&mut self, secret: &Version, verdict: Verdict, now: Duration) {
        match verdict {
            Verdict::Accepted => {
                self.verified = Some(secret.revision.clone());
                self.rejected = None;
                self.streak = None;
                self.doubt = None;
            }
            Verdict::Rejected => {
                self.verified = None;
                let same = self.rejected.take().filter(|it| it.secret == *secret);
                self.rejected = same.or_else(|| {
                    Some(Box::new(Rejection {
                        secret: secret.clone(),
                        asked: 0,
                    }))
                });
                self.doubt = None;
            }
            Verdict::Unknown => self.doubts(DoubtKind::News, now),
        }
    }

    /// There is news about the stored value: no verdict of before holds, unless the news proves to be none.
    pub(super) fn doubts(&mut self, kind: DoubtKind, now: Duration) {
        let doubt = self.doubt.get_or_insert(Doubt {
            kind,
            since: now,
            asked: 0,
        });
        doubt.kind = doubt.kind.max(kind);
        if doubt.kind != DoubtKind::Sent {
            self.verified = None;
            self.rejected = None;
        }
    }
}
