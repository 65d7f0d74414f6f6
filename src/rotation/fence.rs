//! May a value that was just received replace what the Secret holds? An older one never replaces a newer one. No I/O.

use crate::ids::{AttemptId, Sequence};
use crate::rotation::observed::Version;
use crate::rotation::record::RecordError;
use crate::rotation::secret::SecretState;
use crate::rotation::slot::Slot;

/// What to do with a received value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fence {
    /// Write it over this revision.
    Write(Version),
    /// It is there already, as it was sent.
    Written(Version),
    /// The Secret has a newer value by sequence: ask ZITADEL whether ours is still accepted.
    Prove(Version),
    /// The Secret is gone: make it again, if the object that wants it still exists.
    Create,
    /// Something else is there now, or a newer format: leave it, keep the value and say so.
    Refused,
}

/// Judges a received value of an application against the Secret as it is now. `outlived` is a revision whose value is known to be dead, because
/// the received one was accepted after that revision had been read. `adopt` allows a Secret that no one manages. `contains` says whether
/// the Secret was seen to contain all that was sent: admission may change or drop any of it, so the record alone proves nothing.
pub fn fence(
    stored: &SecretState,
    slot: Slot,
    attempt: AttemptId,
    sequence: Sequence,
    outlived: Option<&Version>,
    adopt: bool,
    contains: bool,
) -> Fence {
    let SecretState::Present(secret) = stored else {
        return Fence::Create;
    };
    let version = secret.version.clone();
    if secret.held_elsewhere.is_some() || (!secret.managed && !adopt) {
        return Fence::Refused;
    }
    if secret.commit == Err(RecordError::Newer) {
        return Fence::Refused;
    }
    match secret.entry(slot) {
        Some(entry) if entry.attempt == Some(attempt) && contains => Fence::Written(version),
        Some(entry) if entry.attempt == Some(attempt) => Fence::Write(version),
        Some(entry) if entry.sequence >= sequence && outlived != Some(&version) => {
            Fence::Prove(version)
        }
        _ => Fence::Write(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotation::{Entry, RecordError, SecretView, Value};

    fn id(n: u128) -> AttemptId {
        AttemptId(uuid::Uuid::from_u128(n))
    }

    fn stored(entry: Option<(u128, u64)>) -> SecretView {
        let entry = entry.map(|(attempt, sequence)| Entry {
            attempt: Some(id(attempt)),
            sequence: Sequence(sequence),
            change_date: jiff::Timestamp::UNIX_EPOCH,
        });
        SecretView {
            version: Version {
                uid: "u".into(),
                revision: "7".into(),
            },
            managed: true,
            active: Slot::Primary,
            commit: Ok(entry),
            idle: None,
            held_elsewhere: None,
            owned: true,
            value: Value::Present,
            origin: crate::rotation::Origin::Own,
            fingerprint: None,
            handled_trigger: crate::rotation::HandledTrigger::Unrecorded,
            rendered: true,
            refused: None,
            co_written: false,
        }
    }

    fn judge(view: SecretView) -> Fence {
        fence(
            &SecretState::Present(view),
            Slot::Primary,
            id(9),
            Sequence(10),
            None,
            false,
            true,
        )
    }

    #[test]
    fn a_newer_value_replaces_an_older_one_and_never_the_reverse() {
        let version = stored(None).version;
        assert_eq!(judge(stored(None)), Fence::Write(version.clone()));
        assert_eq!(judge(stored(Some((1, 9)))), Fence::Write(version.clone()));
        assert_eq!(judge(stored(Some((1, 11)))), Fence::Prove(version.clone()));
        assert_eq!(
            judge(stored(Some((9, 10)))),
            Fence::Written(version.clone())
        );
        let higher = SecretState::Present(stored(Some((1, 11))));
        assert_eq!(
            fence(
                &higher,
                Slot::Primary,
                id(9),
                Sequence(10),
                Some(&version),
                false,
                true
            ),
            Fence::Write(version.clone())
        );
        let other = Version {
            revision: "6".into(),
            ..version.clone()
        };
        assert_eq!(
            fence(
                &higher,
                Slot::Primary,
                id(9),
                Sequence(10),
                Some(&other),
                false,
                true
            ),
            Fence::Prove(version)
        );
    }

    #[test]
    fn what_was_stored_otherwise_than_it_was_sent_is_written_again() {
        let view = stored(Some((9, 10)));
        let version = view.version.clone();
        let judge = |contains| {
            let state = SecretState::Present(view.clone());
            let order = Sequence(10);
            fence(&state, Slot::Primary, id(9), order, None, false, contains)
        };
        assert_eq!(judge(true), Fence::Written(version.clone()));
        assert_eq!(judge(false), Fence::Write(version));
    }

    #[test]
    fn applications_have_their_own_order() {
        let entry = stored(Some((1, 11))).commit.unwrap();
        let view = SecretView {
            active: Slot::Standby,
            idle: stored(Some((2, 9))).commit.unwrap(),
            commit: Ok(entry),
            ..stored(None)
        };
        let version = view.version.clone();
        let judge = |slot, attempt, sequence| {
            fence(
                &SecretState::Present(view.clone()),
                slot,
                id(attempt),
                Sequence(sequence),
                None,
                false,
                true,
            )
        };
        assert_eq!(judge(Slot::Primary, 9, 10), Fence::Write(version.clone()));
        assert_eq!(judge(Slot::Primary, 9, 8), Fence::Prove(version.clone()));
        assert_eq!(judge(Slot::Standby, 9, 10), Fence::Prove(version.clone()));
        assert_eq!(judge(Slot::Primary, 2, 10), Fence::Written(version));
    }

    #[test]
    fn a_secret_of_another_actor_is_never_written() {
        assert_eq!(
            judge(SecretView {
                managed: false,
                ..stored(None)
            }),
            Fence::Refused
        );
        assert_eq!(
            judge(SecretView {
                commit: Err(RecordError::Newer),
                ..stored(None)
            }),
            Fence::Refused
        );
        assert_eq!(
            fence(
                &SecretState::Absent,
                Slot::Primary,
                id(9),
                Sequence(10),
                None,
                false,
                true
            ),
            Fence::Create
        );
    }

    #[test]
    fn a_secret_that_is_to_be_adopted_is_written_unless_another_object_keeps_it() {
        let foreign = SecretView {
            managed: false,
            commit: Ok(None),
            ..stored(None)
        };
        let judge = |view| {
            fence(
                &SecretState::Present(view),
                Slot::Primary,
                id(9),
                Sequence(10),
                None,
                true,
                true,
            )
        };
        assert_eq!(
            judge(foreign.clone()),
            Fence::Write(foreign.version.clone())
        );
        let owner = crate::rotation::Owner {
            kind: crate::api::Kind::ApiApp,
            namespace: "n".into(),
            name: "other".into(),
            uid: "o".into(),
        };
        assert_eq!(
            judge(SecretView {
                held_elsewhere: Some(owner),
                ..foreign
            }),
            Fence::Refused
        );
    }
}
