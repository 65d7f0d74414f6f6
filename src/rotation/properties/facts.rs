//! A world from bytes: small numbers of everything, so that things meet. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::Reason;
use crate::ids::{ApiVersion, AppId, AttemptId, Sequence};
use crate::rotation::{
    AppFacts, AppView, Attempt, AttemptCause, AttemptState, Backoff, Cause, Claim, ClaimView,
    Claimed, Doubt, DoubtKind, DriftSeen, DueState, Entry, Explained, Facts, Failure, Former,
    Gates, HandledTrigger, Holder, Journal, JournalEvent, Memory, Now, ObjectView, Observed,
    Origin, Owner, Prepared, RecordError, RecoveryView, Rejection, RejectionStreak, Repairs,
    Replaced, SecretState, SecretView, Slot, Source, Timing, UnknownFields, Uptake, Value, Verdict,
    Version, Watched,
};

/// Bytes that are read one after the other; when they are over, zeros.
struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    /// Half of the time.
    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// One time in sixteen: what stops everything else.
    fn rarely(&mut self) -> bool {
        self.below(16) == 15
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }

    fn seldom<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.rarely().then(|| value(self))
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let at = usize::from(self.byte()) % of.len();
        of.get(at).copied().unwrap()
    }

    fn version(&mut self) -> Version {
        Version {
            uid: "u".into(),
            revision: self.below(2).to_string(),
        }
    }

    fn app_id(&mut self) -> AppId {
        AppId::try_from(self.one(&["1", "2"])).unwrap()
    }

    fn attempt(&mut self) -> AttemptId {
        AttemptId(uuid::Uuid::from_u128(u128::from(self.below(3))))
    }

    fn sequence(&mut self) -> Sequence {
        Sequence(u64::from(self.below(4)))
    }

    fn api(&mut self) -> ApiVersion {
        self.one(&[
            ApiVersion::V1,
            ApiVersion::V1,
            ApiVersion::V1,
            ApiVersion::V2,
        ])
    }

    fn slot(&mut self) -> Slot {
        self.one(&[Slot::Primary, Slot::Primary, Slot::Standby])
    }

    /// Mostly within the spans of the protocol, before or after now.
    fn time(&mut self) -> Timestamp {
        let minutes = self.one(&[-100_000, -61, -10, -1, 0, 1, 1000]);
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    fn boot(&mut self) -> Duration {
        let ago = self.one(&[0, 1, 3, 20, 100, 5000]);
        Duration::from_secs(10_000 - ago)
    }

    fn trigger(&mut self) -> Option<String> {
        self.maybe(|b| b.one(&["a", "b"]).to_owned())
    }

    fn owner(&mut self) -> Owner {
        Owner {
            kind: crate::api::Kind::ApiApp,
            namespace: "orders".into(),
            name: "api".into(),
            uid: self.one(&["o", "o", "o", "p"]).into(),
        }
    }

    fn holder(&mut self) -> Holder {
        Holder {
            pod: self.one(&["this", "other"]).into(),
            process: self.one(&["now", "before"]).into(),
        }
    }

    fn failure(&mut self) -> Failure {
        let reason = self.one(&[Reason::JournalUnavailable, Reason::NotGranted]);
        Failure::new(reason, self.flag())
    }

    fn entry(&mut self) -> Entry {
        let (attempt, number) = (self.maybe(Self::attempt), self.sequence());
        let change_date = self.time();
        let sequence = match self.api() {
            ApiVersion::V1 => number,
            ApiVersion::V2 => Sequence::of_time(change_date),
        };
        Entry {
            attempt,
            sequence,
            change_date,
        }
    }

    fn record<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Result<T, RecordError> {
        match self.below(16) {
            14 => Err(RecordError::Newer),
            15 => Err(RecordError::Unreadable),
            _ => Ok(value(self)),
        }
    }

    fn claim(&mut self) -> Claim {
        Claim {
            version: Claim::VERSION,
            owner: self.owner(),
            handled_trigger: self.trigger(),
            issued: self.flag(),
            invalid_repair: self.maybe(Self::time),
            repairs: Repairs {
                times: (0..self.below(5)).map(|_| self.time()).collect(),
                causes: Vec::new(),
            },
            attempt: self.maybe(|b| Attempt {
                id: b.attempt(),
                pre_sequence: b.maybe(Self::sequence),
                api: b.api(),
                cause: match usize::from(b.below(29)) {
                    28 => AttemptCause::Other("Foretold".to_owned().try_into().expect("a word")),
                    number => Cause::ALL
                        .get(number % 7)
                        .copied()
                        .unwrap_or(Cause::Due)
                        .into(),
                },
                trigger: b.trigger(),
                stored: None,
                holder: b.holder(),
                time: b.time(),
                state: b.one(&[AttemptState::Open, AttemptState::Open, AttemptState::Void]),
                unknown: UnknownFields::default(),
            }),
            replaced: Vec::from_iter(self.seldom(|b| Replaced {
                id: b.attempt(),
                trigger: b.trigger(),
            })),
            standby: self.seldom(Self::app_id),
            unknown: UnknownFields::default(),
        }
    }

    fn claim_view(&mut self) -> ClaimView {
        if self.below(4) == 0 {
            return ClaimView::Absent;
        }
        ClaimView::Present {
            version: self.version(),
            record: self.record(Self::claim),
            held_elsewhere: self.rarely(),
        }
    }

    fn secret(&mut self) -> SecretState {
        if self.below(4) == 0 {
            return SecretState::Absent;
        }
        SecretState::Present(SecretView {
            version: self.version(),
            managed: !self.rarely(),
            active: self.slot(),
            commit: self.record(|b| b.maybe(Self::entry)),
            idle: self.maybe(Self::entry),
            held_elsewhere: self.seldom(Self::owner),
            owned: self.flag(),
            value: self.one(&[Value::Present, Value::Present, Value::Absent]),
            origin: self.one(&[Origin::Own, Origin::Foreign, Origin::Unknown]),
            fingerprint: None,
            handled_trigger: HandledTrigger::Unrecorded,
            rendered: self.flag(),
            refused: self.seldom(|b| b.one(&[Reason::SecretImmutable, Reason::SecretContested])),
            co_written: self.flag(),
        })
    }

    fn journal(&mut self) -> Journal {
        let event = |b: &mut Self| JournalEvent {
            sequence: b.sequence(),
            time: b.time(),
            own: !b.rarely(),
        };
        Journal((0..self.below(4)).map(|_| event(self)).collect())
    }

    fn due(&mut self) -> DueState {
        let (since, overdue) = (self.time(), self.flag());
        match self.below(5) {
            0 => DueState::OnTriggerOnly,
            1 => DueState::NotDue { next: since },
            2 => DueState::AwaitingWindow {
                since,
                opens: self.time(),
                overdue,
            },
            3 => DueState::CatchingUp {
                since,
                starts: self.time(),
                overdue,
            },
            _ => DueState::Due { since, overdue },
        }
    }

    fn object(&mut self) -> ObjectView {
        ObjectView {
            owner: Owner {
                kind: crate::api::Kind::ApiApp,
                namespace: "orders".into(),
                name: "api".into(),
                uid: "o".into(),
            },
            inputs: self.one(&["x", "y"]).into(),
            deleting: self.rarely(),
            suspended: self.rarely(),
            trigger: self.trigger(),
            observed_trigger: self.maybe(|b| b.one(&["", "a", "b"]).to_owned()),
            recovery: RecoveryView {
                missing: self.flag(),
                rejected: self.flag(),
            },
            adoption_required: self.flag(),
            verified: self.maybe(|b| b.version().revision),
            proven: self.maybe(Self::sequence),
            due: self.due(),
            overlap_ends: self.maybe(Self::time),
            overlap_latest: self.maybe(Self::time),
            consumers: self.one(&[
                Uptake::NotAwaited,
                Uptake::Unseen,
                Uptake::Behind,
                Uptake::Current,
            ]),
            last_active: self.maybe(Self::slot),
            standby_unseen: self.rarely(),
            provisioned: self.rarely(),
            explained: Explained {
                asked: Vec::from_iter(self.maybe(Self::sequence)),
                repairs: Vec::from_iter(self.maybe(Self::sequence)),
            },
        }
    }

    fn memory(&mut self) -> Memory {
        Memory {
            answer: None,
            lost: None,
            inherited: self.rarely(),
            prepared: self.maybe(|b| {
                Box::new(Prepared {
                    slot: b.slot(),
                    secret: b.version(),
                })
            }),
            claimed: self.maybe(|b| {
                Box::new(Claimed {
                    slot: b.slot(),
                    attempt: b.attempt(),
                    since: b.boot(),
                    secret: b.version(),
                    unusable: false,
                })
            }),
            holding: self.seldom(Self::attempt),
            candidate: false,
            write_blocked: self.seldom(|b| b.failure().into()),
            not_executed: self.maybe(Self::attempt),
            open: Vec::from_iter(self.maybe(|b| (b.attempt(), b.boot()))),
            unreadable: self.maybe(|b| (b.version(), b.boot())),
            watched: Vec::from_iter(self.maybe(|b| Watched {
                claim: b.version(),
                secret: b.maybe(Self::version),
                since: b.boot(),
            })),
            missing: self.maybe(Self::boot),
            rejected: self.maybe(|b| {
                Box::new(Rejection {
                    secret: b.version(),
                    asked: 1,
                })
            }),
            streak: self.maybe(|b| {
                Box::new(RejectionStreak {
                    secret: b.version(),
                    count: u32::from(b.below(4)),
                    first: b.boot(),
                    last: b.boot(),
                })
            }),
            drift: self.maybe(|b| (b.sequence(), b.boot())),
            backoff: self.seldom(Self::backoff),
            rewrites: None,
            provision: self.seldom(Self::backoff),
            unanswered: None,
            verified: self.maybe(|b| b.version().revision),
            doubt: self.maybe(|b| Doubt {
                kind: b.one(&[DoubtKind::Unproven, DoubtKind::Sent, DoubtKind::News]),
                since: b.boot(),
                asked: u32::from(b.below(4)),
            }),
            drift_seen: self.maybe(|b| DriftSeen {
                hint: b.sequence(),
                stored: b.sequence(),
            }),
            without_effect: self.seldom(Self::attempt),
        }
    }

    fn backoff(&mut self) -> Box<Backoff> {
        Box::new(Backoff {
            count: u32::from(self.byte()),
            until: self.boot(),
            failure: self.failure(),
            inputs: self.one(&["x", "y"]).into(),
            everything: false,
        })
    }

    /// What a read brings.
    fn read<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Observed<T> {
        if self.rarely() {
            Observed::Failed(self.failure())
        } else {
            Observed::Live(value(self))
        }
    }

    fn app(&mut self) -> AppFacts {
        AppFacts {
            claim: self.read(Self::claim_view),
            app: self.read(|b| AppView {
                refused: b.seldom(|_| Reason::AppNotReady),
            }),
            journal: self.read(Self::journal),
            as_before_call: None,
            hint: self.maybe(Self::sequence),
        }
    }

    fn facts(&mut self) -> Facts {
        Facts {
            timing: Timing::default(),
            now: Now {
                boot: Duration::from_secs(10_000),
                time: Timestamp::from_second(1_800_000_000).unwrap(),
                skewed: self.rarely(),
            },
            holder: Holder {
                pod: "this".into(),
                process: "now".into(),
            },
            object: self.object(),
            current: self.read(|b| !b.rarely()),
            api: self.api(),
            gates: Gates {
                connection: self.seldom(Self::failure).map_or(Ok(()), Err),
                granted: !self.rarely(),
                rival: self.seldom(Self::owner),
                repairs_exhausted: self.rarely(),
            },
            secret: self.read(Self::secret),
            primary: self.app(),
            standby: self.maybe(Self::app),
            probe: self.read(|b| b.one(&[Verdict::Accepted, Verdict::Rejected, Verdict::Unknown])),
            former: self.seldom(|b| Former {
                name: "before".into(),
                version: b.version(),
                sequence: b.sequence(),
                carries: Vec::from_iter(b.maybe(Self::attempt)),
            }),
            fresh_attempt: AttemptId(uuid::Uuid::from_u128(9)),
            memory: self.memory(),
        }
    }

    /// What stands there of it before it is read.
    fn before<T: Clone>(&mut self, live: &Observed<T>) -> Observed<T> {
        match (self.below(4), live) {
            (0, _) => Observed::Unread,
            (1, Observed::Live(value)) => Observed::Cached(value.clone()),
            _ => live.clone(),
        }
    }
}

/// What reads would bring.
pub(super) struct Unread(Facts);

impl Unread {
    /// Fills in what was asked for.
    pub(super) fn read(&mut self, facts: &mut Facts, sources: &[Source], slot: Slot) {
        let truth = &self.0;
        for source in sources {
            match source {
                Source::Object => facts.current.clone_from(&truth.current),
                Source::Claim => {
                    for slot in truth.slots() {
                        let claim = truth.of(*slot).claim.clone();
                        facts.of_mut(*slot).claim = claim;
                    }
                }
                Source::Secret => facts.secret.clone_from(&truth.secret),
                Source::App => facts.of_mut(slot).app.clone_from(&truth.of(slot).app),
                Source::Journal => {
                    facts
                        .of_mut(slot)
                        .journal
                        .clone_from(&truth.of(slot).journal);
                }
                Source::Probe => facts.probe.clone_from(&truth.probe),
            }
        }
    }
}

/// A world as it is seen before anything is read, and what reads would bring.
pub(super) fn from_bytes(data: &[u8]) -> (Facts, Unread) {
    let mut bytes = Bytes(data.iter());
    let truth = bytes.facts();
    let mut facts = truth.clone();
    facts.current = bytes.before(&truth.current);
    facts.secret = bytes.before(&truth.secret);
    facts.probe = bytes.before(&truth.probe);
    for slot in truth.slots() {
        let seen = truth.of(*slot);
        let before = AppFacts {
            claim: bytes.before(&seen.claim),
            app: bytes.before(&seen.app),
            journal: bytes.before(&seen.journal),
            as_before_call: None,
            hint: seen.hint,
        };
        *facts.of_mut(*slot) = before;
    }
    (facts, Unread(truth))
}
