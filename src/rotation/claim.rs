//! The claim: lock and write-ahead log of one application's rotations, kept in a Lease. It never holds a secret. No I/O.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ApiVersion, AppId, AttemptId, Sequence};
use crate::rotation::cause::kind::{AttemptCause, Cause};
use crate::rotation::fingerprint::Fingerprint;
use crate::rotation::record::{Owner, RecordError, UnknownFields, check_version};
use crate::rotation::repairs::Repairs;

/// The process that made an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    /// The pod. A container that restarts in the same pod knows that its predecessor is dead.
    pub pod: String,
    /// Made anew by each process.
    pub process: String,
}

/// What became of an attempt, as far as the claim says.
///
/// NB: a state that this version does not know makes the claim unreadable, unlike a cause. The state says whether a call may be under
/// way: read as void, a second one would be sent beside it; read as open, an attempt that has ended would be judged once more, and its
/// trigger with it. An unreadable claim waits for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AttemptState {
    /// It may be under way; it is resolved once the Secret carries its id.
    Open,
    /// It was given up, or is known never to have been carried out.
    Void,
}

/// One attempt, written before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The newest `secret.changed` of the application before the call; none if there was none, or the journal can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_sequence: Option<Sequence>,
    /// The version of ZITADEL's API that it is made over: only v1 can say later what became of it.
    #[serde(default, skip_serializing_if = "is_v1")]
    pub api: ApiVersion,
    /// Why it is made.
    pub cause: AttemptCause,
    /// The trigger that is handled once this attempt is resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The client secret that was stored before the call; none if there was none, or an older version made the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Fingerprint>,
    /// Who makes it.
    pub holder: Holder,
    /// When, on ZITADEL's clock.
    pub time: Timestamp,
    /// What became of it.
    pub state: AttemptState,
    /// What another version wrote besides.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_v1(version: &ApiVersion) -> bool {
    *version == ApiVersion::V1
}

/// An attempt that another one replaced before its value was seen in the Secret. It may still arrive there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replaced {
    /// Its id.
    pub id: AttemptId,
    /// The trigger that it handled, if its value was written after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
}

/// The claim of one application.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The format, [`Claim::VERSION`].
    pub version: u32,
    /// Whose application it is.
    pub owner: Owner,
    /// The trigger that was handled before the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_trigger: Option<String>,
    /// Whether a value was written under this claim before its attempt.
    #[serde(default)]
    pub issued: bool,
    /// When an edited credential was last repaired, on ZITADEL's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_repair: Option<Timestamp>,
    /// The last repairs, which the breaker counts.
    #[serde(flatten)]
    pub repairs: Repairs,
    /// The last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// Earlier attempts whose value may still be written, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// The standby application that the operator created beside this one. Only in the claim of the application that `spec.appId` names.
    ///
    /// NB: nowhere else. What is in the object or its Secret is the tenant's, and could name an application that is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<AppId>,
    /// What another version wrote besides.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Claim {
    /// The format that this version writes.
    pub const VERSION: u32 = 1;
    /// How many replaced attempts are remembered.
    const REPLACED: usize = 4;

    /// Reads what [`Claim::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        check_version(text, Self::VERSION)?;
        serde_json::from_str(text).map_err(|_| RecordError::Unreadable)
    }

    /// The claim as one line of JSON.
    pub fn to_json(&self) -> String {
        // NB: serialising strings and numbers into a String has no way to fail; an empty claim reads as unreadable.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The attempt, if it was not given up.
    pub fn live_attempt(&self) -> Option<&Attempt> {
        self.attempt
            .as_ref()
            .filter(|attempt| attempt.state == AttemptState::Open)
    }

    /// When the last rotation that it knows of began, on ZITADEL's clock.
    pub fn last_rotation(&self) -> Option<Timestamp> {
        let attempt = self.attempt.as_ref().map(|attempt| attempt.time);
        attempt.max(self.repairs.times.last().copied())
    }

    /// The trigger that counts as handled, given whether the last attempt is resolved.
    pub fn trigger(&self, resolved: bool) -> Option<&str> {
        match &self.attempt {
            Some(attempt) if resolved => attempt.trigger.as_deref(),
            _ => self.handled_trigger.as_deref(),
        }
    }

    /// The trigger that counts as handled where the Secret carries that attempt: its own, also if it was given up too early.
    pub fn handled(&self, stored: Option<AttemptId>) -> Option<&str> {
        let of_attempt = self.attempt.iter().map(|a| (a.id, &a.trigger));
        let of_replaced = self.replaced.iter().map(|r| (r.id, &r.trigger));
        of_attempt
            .chain(of_replaced)
            .find(|(id, _)| Some(*id) == stored)
            .map_or(&self.handled_trigger, |(_, trigger)| trigger)
            .as_deref()
    }

    /// What a claim that replaces this one has to remember of it, where the Secret carries that attempt.
    pub fn replaced(&self, stored: Option<AttemptId>) -> Vec<Replaced> {
        let mut all = self.replaced.clone();
        all.extend(self.attempt.as_ref().map(|attempt| Replaced {
            id: attempt.id,
            trigger: attempt.trigger.clone(),
        }));
        // Older ones than the stored one never replace it.
        let from = all
            .iter()
            .rposition(|replaced| Some(replaced.id) == stored)
            .map_or(0, |at| at + 1);
        let from = from.max(all.len().saturating_sub(Self::REPLACED));
        all.split_off(from)
    }

    /// A claim without an attempt: whatever is stored was found to be good, and the trigger that is there counts as handled.
    pub fn settled(
        owner: Owner,
        trigger: Option<String>,
        invalid_repair: Option<Timestamp>,
    ) -> Self {
        Self {
            version: Self::VERSION,
            owner,
            handled_trigger: trigger,
            issued: true,
            invalid_repair,
            repairs: Repairs::default(),
            attempt: None,
            replaced: Vec::new(),
            standby: None,
            unknown: UnknownFields::default(),
        }
    }

    /// A claim under which no value was adopted or generated yet. The trigger that is there counts as handled.
    pub fn unissued(
        owner: Owner,
        trigger: Option<String>,
        invalid_repair: Option<Timestamp>,
    ) -> Self {
        Self {
            issued: false,
            ..Self::settled(owner, trigger, invalid_repair)
        }
    }

    /// The same claim, with the repairs that claims before it remembered: a claim that is taken over loses none.
    #[must_use]
    pub fn remembering(self, repairs: Repairs) -> Self {
        Self { repairs, ..self }
    }

    /// The repairs that count. An open attempt of a cause that this version does not know counts as one: nothing says that it was asked for.
    pub(super) fn counted(&self) -> Repairs {
        let mut repairs = self.repairs.clone();
        if let Some(attempt) = self.live_attempt()
            && attempt.cause.known().is_none()
            && !repairs.times.contains(&attempt.time)
        {
            repairs.add(attempt.time, attempt.cause.as_str(), None);
        }
        repairs
    }

    /// The same claim, whose attempt is known not to have been carried out but is followed by another one at once.
    #[must_use]
    pub(super) fn not_made(&self) -> Self {
        Self {
            repairs: self.voided().repairs,
            ..self.clone()
        }
    }

    /// The same claim with its attempt given up: a repair that was not made is none that the next one could contest.
    #[must_use]
    pub fn voided(&self) -> Self {
        let mut claim = self.clone();
        if let Some(attempt) = &mut claim.attempt {
            attempt.state = AttemptState::Void;
            claim.repairs.forget(attempt.time, &attempt.cause);
            if attempt.cause == Cause::SecretInvalid {
                // NB: an earlier repair was too long ago to count, or this one would not have begun.
                claim.invalid_repair = None;
            }
        }
        claim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            version: Claim::VERSION,
            owner: Owner {
                kind: crate::api::Kind::ApiApp,
                namespace: "orders".into(),
                name: "api".into(),
                uid: "u".into(),
            },
            handled_trigger: Some("a".into()),
            issued: true,
            invalid_repair: None,
            repairs: Repairs::default(),
            attempt: Some(Attempt {
                id: AttemptId(uuid::Uuid::nil()),
                pre_sequence: Some(Sequence(u64::MAX)),
                api: ApiVersion::V2,
                cause: Cause::Trigger.into(),
                trigger: Some("b".into()),
                stored: Some(Fingerprint::of(crate::rotation::Bytes32([1; 32]), b"x")),
                holder: Holder {
                    pod: "p".into(),
                    process: "n".into(),
                },
                time: Timestamp::UNIX_EPOCH,
                state: AttemptState::Open,
                unknown: UnknownFields::default(),
            }),
            replaced: Vec::new(),
            standby: None,
            unknown: UnknownFields::default(),
        }
    }

    #[test]
    fn the_api_is_recorded_where_it_is_not_the_first_one() {
        let api = |api| {
            let mut claim = claim();
            claim.attempt.as_mut().unwrap().api = api;
            let json: serde_json::Value = serde_json::from_str(&claim.to_json()).unwrap();
            assert_eq!(Claim::from_json(&claim.to_json()), Ok(claim));
            json["attempt"].get("api").cloned()
        };
        assert_eq!(api(ApiVersion::V1), None, "as versions before wrote it");
        assert!(api(ApiVersion::V2).is_some());
    }

    #[test]
    fn the_trigger_of_a_replaced_attempt_is_handled_once_its_value_is_stored() {
        let id = |n| AttemptId(uuid::Uuid::from_u128(n));
        let mut claims = vec![claim()];
        for n in 1..=6 {
            let last: &Claim = &claims[claims.len() - 1];
            let mut next = claim();
            next.replaced = last.replaced(None);
            let attempt = next.attempt.as_mut().unwrap();
            attempt.id = id(n);
            attempt.trigger = Some(n.to_string());
            claims.push(next);
        }
        let last = claims.pop().unwrap();
        assert_eq!(last.handled(Some(id(5))), Some("5"));
        assert_eq!(last.handled(Some(id(6))), Some("6"));
        assert_eq!(last.voided().handled(Some(id(6))), Some("6"));
        assert_eq!(last.handled(None), Some("a"));
        assert_eq!(last.replaced.len(), Claim::REPLACED);
        assert_eq!(last.replaced(Some(id(6))), []);
        assert_eq!(last.replaced(Some(id(5))).len(), 1);
        assert_eq!(Claim::from_json(&last.to_json()), Ok(last));
    }

    #[test]
    fn the_last_rotation_is_the_attempt_or_the_newest_repair_whichever_began_later() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (attempt, repairs, last) in [
            (None, &[][..], None),
            (Some(5), &[], Some(5)),
            (None, &[3, 4], Some(4)),
            (Some(5), &[3, 9], Some(9)),
            (Some(5), &[3], Some(5)),
        ] {
            let mut claim = claim();
            claim.repairs.times = repairs.iter().copied().map(at).collect();
            claim.attempt = claim.attempt.filter(|_| attempt.is_some());
            if let (Some(known), Some(second)) = (&mut claim.attempt, attempt) {
                known.time = at(second);
            }
            assert_eq!(
                claim.last_rotation(),
                last.map(at),
                "{attempt:?} {repairs:?}"
            );
        }
    }

    #[test]
    fn a_claim_is_read_back_as_it_was_written() {
        assert_eq!(Claim::from_json(&claim().to_json()), Ok(claim()));
    }

    #[test]
    fn what_a_later_version_wrote_besides_is_kept_where_its_claim_is_written_again() {
        let text = include_str!("../../tests/fixtures/claim-of-a-later-version.json");
        let stored: serde_json::Value = serde_json::from_str(text).unwrap();
        let read = Claim::from_json(text).unwrap();
        let cause = read.live_attempt().map(|it| it.cause.clone());
        assert_eq!(cause, Some(Cause::Trigger.into()));
        assert_eq!(read.repairs.causes[0].cause, "Foretold");
        let kept = |claim: &Claim| -> serde_json::Value {
            let written: serde_json::Value = serde_json::from_str(&claim.to_json()).unwrap();
            assert_eq!(written["attempt"]["priority"], "high");
            assert_eq!(Claim::from_json(&claim.to_json()).as_ref(), Ok(claim));
            written["consumers"].clone()
        };
        assert_eq!(kept(&read), stored["consumers"]);
        assert_eq!(kept(&read.voided()), stored["consumers"]);
    }

    #[test]
    fn a_cause_that_only_a_later_version_knows_is_kept_and_counts_as_a_repair() {
        let text = include_str!("../../tests/fixtures/claim-with-a-later-cause.json");
        let read = Claim::from_json(text).unwrap();
        let attempt = read.live_attempt().unwrap();
        assert_eq!(attempt.cause.as_str(), "Foretold");
        assert_eq!(attempt.cause.known(), None);
        let written: serde_json::Value = serde_json::from_str(&read.voided().to_json()).unwrap();
        assert_eq!(written["attempt"]["cause"], "Foretold");
        // It is not among the repairs that its version remembered, and counts all the same; once it is known not to have been made it does not.
        let earlier = read.repairs.times.clone();
        assert!(!earlier.contains(&attempt.time));
        let both: Vec<_> = earlier.iter().copied().chain([attempt.time]).collect();
        assert_eq!(read.counted().times, both);
        assert_eq!(read.voided().counted().times, earlier);
        let mut counted = read.clone();
        counted.repairs = read.counted();
        assert_eq!(counted.counted(), counted.repairs);
        assert_eq!(counted.voided().repairs.times, earlier);
    }

    #[test]
    fn a_cause_is_a_word_and_a_state_is_one_of_two() {
        let text = claim().to_json();
        for cause in ["", "two words", "x\\n", "ä", &"x".repeat(65)] {
            let text = text.replace(r#""cause":"Trigger""#, &format!(r#""cause":"{cause}""#));
            assert_eq!(
                Claim::from_json(&text),
                Err(RecordError::Unreadable),
                "{cause}"
            );
        }
        let text = text.replace(r#""state":"Open""#, r#""state":"Paused""#);
        assert_eq!(Claim::from_json(&text), Err(RecordError::Unreadable));
    }

    #[test]
    fn a_claim_does_not_grow_beyond_what_can_be_read_by_what_is_unknown() {
        let mut written: serde_json::Value = serde_json::from_str(&claim().to_json()).unwrap();
        written["added"] = "x".repeat(10_000).into();
        assert_eq!(Claim::from_json(&written.to_string()), Ok(claim()));
    }

    #[test]
    fn a_trigger_counts_as_handled_only_when_its_attempt_is_resolved() {
        assert_eq!(
            (claim().trigger(true), claim().trigger(false)),
            (Some("b"), Some("a"))
        );
        assert_eq!(claim().voided().trigger(false), Some("a"));
        assert!(claim().voided().live_attempt().is_none());
    }

    #[test]
    fn a_repair_of_an_edited_credential_that_was_not_made_is_none_that_the_next_one_could_contest()
    {
        for (cause, left) in [
            (Cause::SecretInvalid, None),
            (Cause::Trigger, Some(Timestamp::UNIX_EPOCH)),
        ] {
            let mut claim = claim();
            claim.invalid_repair = Some(Timestamp::UNIX_EPOCH);
            claim.attempt.as_mut().unwrap().cause = cause.into();
            assert_eq!(claim.voided().invalid_repair, left, "{cause:?}");
        }
    }

    #[test]
    fn a_claim_is_read_up_to_16_kib() {
        let text = claim().to_json();
        let of = |length: usize| format!("{}{text}", " ".repeat(length - text.len()));
        assert_eq!(Claim::from_json(&of(16 * 1024)), Ok(claim()));
        assert_eq!(
            Claim::from_json(&of(16 * 1024 + 1)),
            Err(RecordError::Unreadable)
        );
    }

    #[test]
    fn a_newer_or_damaged_claim_is_never_read_as_a_claim() {
        assert_eq!(
            Claim::from_json(r#"{"version":2,"owner":7}"#),
            Err(RecordError::Newer)
        );
        for bad in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"version":0}"#,
            r#"{"version":1}"#,
            r#"{"version":-1}"#,
            r#"{"version":1e99}"#,
        ] {
            assert_eq!(Claim::from_json(bad), Err(RecordError::Unreadable), "{bad}");
        }
        assert_eq!(
            Claim::from_json(&format!("{}{}", " ".repeat(20_000), claim().to_json())),
            Err(RecordError::Unreadable)
        );
    }
}
