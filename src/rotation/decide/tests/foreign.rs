//! An attempt in the Secret that no claim of this operator knows.

use super::*;
use crate::rotation::foreign_attempt;

/// This operator's attempt 2 was made after sequence 5, and the Secret carries attempt 3, sequence 7.
fn written_by_another() -> Facts {
    let mut facts = stored();
    facts.primary.claim = present(claim(2, Cause::Trigger, Some("b"), Some(5)));
    edit(&mut facts, |secret| {
        secret.commit = Ok(Some(entry(3, 7, 7)));
    });
    facts
}

#[test]
fn an_attempt_that_came_later_and_that_no_claim_knows_is_another_operators() {
    assert_eq!(foreign_attempt(&written_by_another()), Some(id(3)));
    let mut standby = alternated();
    standby.standby.as_mut().unwrap().claim = present(claim(3, Cause::Trigger, Some("b"), Some(5)));
    assert_eq!(foreign_attempt(&standby), Some(id(2)));
}

#[test]
fn an_attempt_of_this_operators_own_or_one_that_came_before_is_not() {
    assert_eq!(foreign_attempt(&stored()), None);
    assert_eq!(foreign_attempt(&alternated()), None);
    let with = |change: fn(&mut Claim)| {
        let mut facts = written_by_another();
        let mut claim = claim(2, Cause::Trigger, Some("b"), Some(5));
        change(&mut claim);
        facts.primary.claim = present(claim);
        foreign_attempt(&facts)
    };
    assert_eq!(with(|_| {}), Some(id(3)));
    let replaced = with(|claim| {
        let (id, trigger) = (id(3), None);
        claim.replaced = vec![crate::rotation::Replaced { id, trigger }];
    });
    assert_eq!(replaced, None, "it was replaced, and arrived late");
    let restored = with(|claim| {
        claim.attempt.as_mut().unwrap().pre_sequence = Some(Sequence(7));
    });
    assert_eq!(restored, None, "the Secret comes from a backup");
    assert_eq!(with(|claim| claim.attempt = None), None);
    assert_eq!(with(|claim| claim.owner.uid = "gone".into()), None);
}

#[test]
fn without_a_journal_the_times_of_the_attempts_decide() {
    // As RFC 9562 has the time in a UUID of version 7.
    let made = |minute: u128| {
        let id = (minute * 60_000) << 80 | 7 << 76 | 2 << 62;
        AttemptId(uuid::Uuid::from_u128(id))
    };
    let foreign = |own: u128, stored: u128| {
        let mut facts = written_by_another();
        let mut claim = claim(2, Cause::Trigger, Some("b"), None);
        claim.attempt.as_mut().unwrap().id = made(own);
        facts.primary.claim = present(claim);
        edit(&mut facts, |secret| {
            let mut entry = entry(3, 7, 7);
            entry.attempt = Some(made(stored));
            secret.commit = Ok(Some(entry));
        });
        foreign_attempt(&facts).is_some()
    };
    assert!(foreign(10, 11) && foreign(10, 9));
    assert!(!foreign(10, 8));
}

#[test]
fn what_a_watch_shows_is_no_sign() {
    let mut facts = written_by_another();
    let Observed::Live(claim) = facts.primary.claim.clone() else {
        panic!("{:?}", facts.primary.claim)
    };
    facts.primary.claim = Observed::Cached(claim);
    assert_eq!(foreign_attempt(&facts), None);
}
