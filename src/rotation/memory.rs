//! What one process remembers of an application between reconciliations. Nothing here is needed for safety after a crash. No I/O.

use std::time::Duration;

use crate::ids::{AttemptId, Sequence};
use crate::rotation::commit::Entry;
use crate::rotation::observed::{Failure, Version};
use crate::rotation::slot::Slot;

/// A rotation that was rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prepared {
    /// The application.
    pub slot: Slot,
    /// The Secret's revision that the rehearsal was made against.
    pub secret: Version,
}

/// A claim that this process wrote and has not used yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// The application.
    pub slot: Slot,
    /// The attempt.
    pub attempt: AttemptId,
    /// When the API server's answer came, since boot.
    pub since: Duration,
    /// The Secret's revision when it was claimed.
    pub secret: Version,
    /// Whether it is to be given up: it could not be used in time.
    pub unusable: bool,
}

/// A claim that is being watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watched {
    /// The claim's revision.
    pub claim: Version,
    /// The Secret's revision.
    pub secret: Option<Version>,
    /// Since when neither changed, over uninterrupted reads.
    pub since: Duration,
}

/// The last verdict on the stored value, if ZITADEL rejected it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// The revision of the Secret that held it.
    pub secret: Version,
    /// How many reconciliations in a row asked.
    pub asked: u32,
}

/// Rejections in a row that nothing explains, on the way to the conclusion that the value is dead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RejectionStreak {
    /// The revision of the Secret that held it.
    pub secret: Version,
    /// How many probes in a row.
    pub count: u32,
    /// When the first was, since boot.
    pub first: Duration,
    /// When the last was, since boot.
    pub last: Duration,
}

/// A difference between scan and stored value that was investigated and is no news any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DriftSeen {
    /// The application's sequence by the scan of its project.
    pub hint: Sequence,
    /// The sequence of the stored value then. Beside another value the same hint is news.
    pub stored: Sequence,
}

/// What a doubt about the stored value comes from. A later one weighs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DoubtKind {
    /// ZITADEL was asked, and nothing could be concluded.
    Unproven,
    /// Generate is on its way: it replaces the value.
    Sent,
    /// News: an event that is not in the record, an outcome that is not known, or bytes that another hand wrote.
    News,
}

/// A doubt about the stored value that no verdict has answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Doubt {
    /// What it comes from.
    pub kind: DoubtKind,
    /// When it arose, since boot. Every verdict on the value is older.
    pub since: Duration,
    /// How often ZITADEL was asked in vain since then.
    pub asked: u32,
}

/// A rotation that was carried out and whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loss {
    /// By its event in the journal.
    Event(Sequence),
    /// By its attempt, where the journal can't be read.
    Attempt(AttemptId),
}

/// Something that did not change the world, and is waited out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Backoff {
    /// How many in a row.
    pub count: u32,
    /// Until when, since boot.
    pub until: Duration,
    /// The last one.
    pub failure: Failure,
    /// What was asked for then: a changed object or connection does not wait.
    pub inputs: String,
    /// Whether nothing at all is done meanwhile, reads included.
    pub everything: bool,
}

/// What one process remembers of an application. What is rarely there is boxed: there is one of these for every object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Memory {
    /// A rehearsed rotation.
    pub prepared: Option<Box<Prepared>>,
    /// A claim of this process, not used yet.
    pub claimed: Option<Box<Claimed>>,
    /// An attempt whose answer is being proven and written.
    pub holding: Option<AttemptId>,
    /// Whether that one waits to be accepted while the stored one works.
    pub candidate: bool,
    /// Why what is held can't be written, if so.
    pub write_blocked: Option<Box<Failure>>,
    /// What came in place of the answer that this process waited for last, in words of its own.
    pub answer: Option<(AttemptId, String)>,
    /// The lost answer that is to be repaired, or was last.
    pub lost: Option<Loss>,
    /// An attempt of this process that is known not to have been carried out.
    pub not_executed: Option<AttemptId>,
    /// An attempt of this process that had no effect at ZITADEL: its value was dropped, and it is repeated.
    pub without_effect: Option<AttemptId>,
    /// The attempts that are open, one for an application at most, and when each was first seen, since boot.
    pub open: Vec<(AttemptId, Duration)>,
    /// An unreadable claim, and when it was first seen, since boot.
    pub unreadable: Option<(Version, Duration)>,
    /// Open claims, one for an application at most.
    pub watched: Vec<Watched>,
    /// Whether the Secret was last seen to be of the object's predecessor, which was deleted: it may go with that one.
    pub inherited: bool,
    /// When the Secret, or its value, was first found to be gone, since boot.
    pub missing: Option<Duration>,
    /// Rejections that count.
    pub streak: Option<Box<RejectionStreak>>,
    /// An own rotation that the Secret does not know of, and when it was first seen, since boot.
    pub drift: Option<(Sequence, Duration)>,
    /// A failure that is waited out.
    pub backoff: Option<Box<Backoff>>,
    /// Writes of the Secret that changed nothing but what another actor may undo: labels, annotations, owner, record.
    pub rewrites: Option<Box<Backoff>>,
    /// The standby application that could not be created.
    pub provision: Option<Box<Backoff>>,
    /// An attempt of this process whose outcome is not known, and what came back.
    pub unanswered: Option<Box<(AttemptId, Failure)>>,
    /// The revision of the Secret whose value was accepted, if that is the newest that is known.
    pub verified: Option<String>,
    /// The rejection of the stored value, if that is the newest that is known.
    pub rejected: Option<Box<Rejection>>,
    /// The newest doubt about the stored value, if no verdict is younger.
    pub doubt: Option<Doubt>,
    /// The application's sequence when its journal was last read.
    pub drift_seen: Option<DriftSeen>,
}

impl Memory {
    /// A read failed: what was being watched is no longer known to be unchanged.
    pub fn read_failed(&mut self) {
        self.watched.clear();
        self.missing = None;
    }

    /// An open attempt was seen. When it was seen first, since boot.
    pub fn attempt_seen(&mut self, attempt: AttemptId, now: Duration) -> Duration {
        let known = self.open.iter().find(|(id, _)| *id == attempt);
        if let Some((_, since)) = known {
            return *since;
        }
        self.open.push((attempt, now));
        now
    }

    /// An open claim and the Secret were read. Since when neither changed, over uninterrupted reads. It may be called by a
    /// replica that does not lead: it is what this process saw, on its own clock.
    pub fn seen_unchanged(
        &mut self,
        claim: Version,
        secret: Option<Version>,
        now: Duration,
    ) -> Duration {
        let same = |watched: &&Watched| watched.claim == claim && watched.secret == secret;
        let since = self.watched.iter().find(same).map_or(now, |w| w.since);
        self.watched
            .retain(|watched| watched.claim.uid != claim.uid);
        self.watched.push(Watched {
            claim,
            secret,
            since,
        });
        since
    }

    /// Forgets what was seen of attempts and claims that are not open any more.
    pub fn keep_open(&mut self, attempts: &[AttemptId], claims: &[Version]) {
        self.open.retain(|(id, _)| attempts.contains(id));
        self.without_effect = self.without_effect.filter(|id| attempts.contains(id));
        self.watched
            .retain(|watched| claims.contains(&watched.claim));
    }

    /// Whether an application's sequence, by the scan of its project, is news beside the stored value's.
    pub fn is_news(&self, hint: Sequence, stored: &Entry) -> bool {
        // NB: over an API without sequences the hint is the time of the same event.
        let same = hint == stored.sequence || hint == Sequence::of_time(stored.change_date);
        let stored = stored.sequence;
        !same && self.drift_seen != Some(DriftSeen { hint, stored })
    }

    /// What that sequence says was investigated. One below the stored value's stays news: it comes from a scan that is older than the
    /// value, or from a ZITADEL that was restored from a backup, and only a later scan shows which.
    pub fn note_drift(&mut self, hint: Option<Sequence>, stored: Sequence) {
        if let Some(hint) = hint.filter(|hint| *hint > stored) {
            self.drift_seen = Some(DriftSeen { hint, stored });
        }
    }

    /// The rehearsal against this revision of the Secret succeeded.
    pub fn rehearsed(&mut self, slot: Slot, secret: Version) {
        self.prepared = Some(Box::new(Prepared { slot, secret }));
    }

    /// The claim was written, and the answer came.
    pub fn claimed(&mut self, slot: Slot, attempt: AttemptId, now: Duration) {
        self.claimed = self.prepared.take().map(|prepared| {
            Box::new(Claimed {
                slot,
                attempt,
                since: now,
                secret: prepared.secret,
                unusable: false,
            })
        });
        self.opened(attempt, now);
        self.watched.clear();
    }

    fn opened(&mut self, attempt: AttemptId, now: Duration) {
        self.open.retain(|(id, _)| *id != attempt);
        self.open.push((attempt, now));
    }

    /// The claim was not written, or it is not known whether it was: it is read again.
    pub fn claim_not_written(&mut self) {
        self.claimed = None;
        self.prepared = None;
    }

    /// The claim cannot be used in time, so it is given up.
    pub fn claim_unusable(&mut self) {
        if let Some(claimed) = &mut self.claimed {
            claimed.unusable = true;
        }
    }

    /// Generate is being sent; whatever is answered is proven and written before anything else is decided.
    pub fn sending(&mut self, attempt: AttemptId) {
        self.claimed = None;
        self.candidate = false;
        self.holding = Some(attempt);
    }

    /// Generate is known not to have been carried out.
    pub fn generate_not_executed(&mut self, attempt: AttemptId) {
        self.holding = None;
        self.not_executed = Some(attempt);
        // It was never in danger, so what was known of it holds.
        self.doubt = self
            .doubt
            .take()
            .filter(|doubt| doubt.kind != DoubtKind::Sent);
    }

    /// Nothing is held any more. `verified` is the Secret's revision if its value is proven.
    pub fn flushed(&mut self, verified: Option<String>) {
        self.holding = None;
        self.candidate = false;
        self.write_blocked = None;
        self.not_executed = None;
        self.without_effect = None;
        self.verified = verified;
        self.backoff = None;
        self.rewrites = None;
        self.unanswered = None;
        self.rejected = None;
        self.streak = None;
        self.missing = None;
        self.drift = None;
        self.doubt = None;
        // NB: the stored pair may be another application's from now on.
        self.drift_seen = None;
    }

    /// The value was dropped: ZITADEL goes on accepting the stored one.
    pub fn dropped(&mut self, attempt: AttemptId) {
        self.flushed(None);
        self.without_effect = Some(attempt);
    }

    /// It is not known whether generate was carried out; the quiet period runs from here.
    pub fn unknown(&mut self, attempt: AttemptId, now: Duration) {
        self.claimed = None;
        self.holding = None;
        self.opened(attempt, now);
        if let Some(doubt) = self
            .doubt
            .as_mut()
            .filter(|doubt| doubt.kind == DoubtKind::Sent)
        {
            doubt.kind = DoubtKind::News;
            self.verified = None;
            self.rejected = None;
        }
    }

    /// The same, with what came back. If it turns out that the call was not carried out, it counts as one that failed so.
    pub fn unanswered(&mut self, attempt: AttemptId, now: Duration, failure: Failure) {
        self.unknown(attempt, now);
        self.unanswered = Some(Box::new((attempt, failure)));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(sequence: u64) -> Entry {
        Entry {
            attempt: None,
            sequence: Sequence(sequence),
            change_date: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn over_an_api_without_sequences_the_time_of_the_stored_value_is_no_news() {
        let memory = Memory::default();
        let time: Timestamp = "2026-11-29T06:05:51.901573Z".parse().unwrap();
        let later = time + jiff::SignedDuration::from_micros(1);
        for sequence in [Sequence(5), Sequence::of_time(time)] {
            let stored = Entry {
                sequence,
                change_date: time,
                ..entry(0)
            };
            assert!(!memory.is_news(Sequence::of_time(time), &stored));
            assert!(memory.is_news(Sequence::of_time(later), &stored));
        }
    }

    #[test]
    fn what_was_examined_is_news_again_beside_another_value() {
        let mut memory = Memory::default();
        assert!(!memory.is_news(Sequence(5), &entry(5)));
        assert!(memory.is_news(Sequence(6), &entry(5)));
        memory.note_drift(Some(Sequence(6)), Sequence(5));
        assert!(!memory.is_news(Sequence(6), &entry(5)));
        memory.note_drift(None, Sequence(7));
        memory.note_drift(Some(Sequence(6)), Sequence(7));
        assert!(memory.is_news(Sequence(6), &entry(7)));
        assert!(memory.is_news(Sequence(5), &entry(6)));
    }

    #[test]
    fn a_call_whose_answer_is_lost_is_waited_for_from_then_on_beside_another_one() {
        let id = |n| AttemptId(uuid::Uuid::from_u128(n));
        let s = Duration::from_secs;
        let mut memory = Memory::default();
        memory.attempt_seen(id(1), s(1));
        memory.attempt_seen(id(2), s(2));
        memory.unknown(id(2), s(30));
        assert_eq!(memory.attempt_seen(id(1), s(40)), s(1));
        assert_eq!(memory.attempt_seen(id(2), s(40)), s(30));
    }

    #[test]
    fn a_call_whose_answer_is_lost_is_news_of_the_value_that_it_was_to_replace() {
        let id = AttemptId(uuid::Uuid::nil());
        for (before, after) in [
            (DoubtKind::Sent, DoubtKind::News),
            (DoubtKind::Unproven, DoubtKind::Unproven),
        ] {
            let mut memory = Memory::default();
            memory.doubts(before, Duration::ZERO);
            memory.unknown(id, Duration::ZERO);
            assert_eq!(memory.doubt.map(|doubt| doubt.kind), Some(after));
        }
    }

    #[test]
    fn a_claim_that_was_refused_is_rehearsed_anew() {
        let version = Version {
            uid: "u".into(),
            revision: "1".into(),
        };
        let mut memory = Memory::default();
        memory.rehearsed(Slot::Primary, version.clone());
        memory.claimed(Slot::Primary, AttemptId(uuid::Uuid::nil()), Duration::ZERO);
        memory.rehearsed(Slot::Primary, version);
        assert!(memory.claimed.is_some() && memory.prepared.is_some());
        memory.claim_not_written();
        assert_eq!((memory.claimed, memory.prepared), (None, None));
    }

    #[test]
    fn two_applications_are_watched_beside_each_other() {
        let claim = |uid: &str, revision: &str| Version {
            uid: uid.into(),
            revision: revision.into(),
        };
        let (first, second) = (claim("1", "7"), claim("2", "8"));
        let s = Duration::from_secs;
        let mut memory = Memory::default();
        assert_eq!(memory.seen_unchanged(first.clone(), None, s(1)), s(1));
        assert_eq!(memory.seen_unchanged(second.clone(), None, s(2)), s(2));
        assert_eq!(memory.seen_unchanged(first.clone(), None, s(3)), s(1));
        assert_eq!(memory.seen_unchanged(second, None, s(4)), s(2));
        assert_eq!(memory.seen_unchanged(claim("1", "9"), None, s(5)), s(5));
        let id = |n| AttemptId(uuid::Uuid::from_u128(n));
        memory.attempt_seen(id(1), s(1));
        memory.attempt_seen(id(2), s(2));
        assert_eq!(memory.attempt_seen(id(1), s(3)), s(1));
        memory.without_effect = Some(id(2));
        memory.keep_open(&[id(2)], &[]);
        assert_eq!(memory.open, [(id(2), s(2))]);
        assert_eq!(memory.without_effect, Some(id(2)));
        memory.keep_open(&[id(3)], &[]);
        assert_eq!(memory.without_effect, None);
        assert!(memory.watched.is_empty());
    }

    #[test]
    fn a_claim_is_unchanged_since_it_was_first_seen_so_and_an_answer_that_fails_begins_anew() {
        let version = |revision: &str| Version {
            uid: "u".into(),
            revision: revision.into(),
        };
        let s = Duration::from_secs;
        let mut memory = Memory::default();
        let (claim, secret) = (version("7"), Some(version("8")));
        assert_eq!(
            memory.seen_unchanged(claim.clone(), secret.clone(), s(10)),
            s(10)
        );
        assert_eq!(
            memory.seen_unchanged(claim.clone(), secret.clone(), s(20)),
            s(10)
        );
        assert_eq!(
            memory.seen_unchanged(claim.clone(), Some(version("9")), s(30)),
            s(30)
        );
        assert_eq!(
            memory.seen_unchanged(version("10"), Some(version("9")), s(40)),
            s(40)
        );
        assert_eq!(
            memory.seen_unchanged(version("10"), Some(version("9")), s(50)),
            s(40)
        );
        memory.read_failed();
        assert_eq!(
            memory.seen_unchanged(version("10"), Some(version("9")), s(60)),
            s(60)
        );
        let id = |n| AttemptId(uuid::Uuid::from_u128(n));
        assert_eq!(memory.attempt_seen(id(1), s(1)), s(1));
        assert_eq!(memory.attempt_seen(id(1), s(2)), s(1));
        assert_eq!(memory.attempt_seen(id(2), s(3)), s(3));
    }
}
