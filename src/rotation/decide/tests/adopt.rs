//! An existing value is to be adopted: whatever is missing, nothing is generated until that is asked for.

use super::*;

/// An object that adopts, before anything is known of it.
fn adopting() -> Facts {
    let mut facts = nothing();
    facts.object.adoption_required = true;
    facts.object.trigger = Some("a".into());
    facts
}

/// The same with the claim that its first reconciliation writes.
fn claimed() -> Facts {
    let mut facts = adopting();
    let Step::WriteClaim { claim, .. } = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    assert_eq!(
        (claim.live_attempt(), claim.issued, claim.trigger(false)),
        (None, false, Some("a"))
    );
    facts.primary.claim = present(*claim);
    facts
}

fn foreign(value: Value) -> Observed<SecretState> {
    Observed::Live(SecretState::Present(SecretView {
        managed: false,
        owned: false,
        value,
        ..secret(None)
    }))
}

/// Probes until the refusal is proven.
fn refused(facts: &mut Facts) {
    facts.probe = Observed::Live(Verdict::Rejected);
    for _ in 0..3 {
        facts.memory = decide(facts).memory;
        facts.now.boot += facts.timing.dead / 2;
    }
}

#[test]
fn without_a_secret_or_without_its_key_nothing_is_generated() {
    for secret in [Observed::Live(SecretState::Absent), foreign(Value::Absent)] {
        let mut facts = claimed();
        facts.secret = secret;
        assert_eq!(rests(&facts), (Reason::NothingToAdopt, "stalled"));
        facts.object.recovery.missing = false;
        assert_eq!(rests(&facts), (Reason::NothingToAdopt, "stalled"));
    }
}

#[test]
fn a_value_that_zitadel_rejects_is_not_replaced() {
    let mut facts = claimed();
    facts.secret = foreign(Value::Present);
    refused(&mut facts);
    assert_eq!(rests(&facts), (Reason::NothingToAdopt, "stalled"));
    facts.probe = Observed::Live(Verdict::Accepted);
    assert!(
        !matches!(step(&facts), Step::Rest(Report::Stalled { .. })),
        "once it is accepted, it is adopted"
    );
}

#[test]
fn without_a_claim_a_rejected_value_is_not_replaced_either() {
    let mut facts = adopting();
    facts.secret = foreign(Value::Present);
    refused(&mut facts);
    let Step::WriteClaim { claim, .. } = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    assert!(!claim.issued && claim.live_attempt().is_none());
}

#[test]
fn another_trigger_generates() {
    let mut facts = claimed();
    facts.object.trigger = Some("b".into());
    assert_eq!(step(&facts), Step::CreateShell);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    let facts = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Trigger));
}

#[test]
fn once_adopted_or_issued_the_policies_decide() {
    let mut facts = claimed();
    let mut settled = Claim::settled(owner(), Some("a".into()), None);
    facts.primary.claim = present(settled.clone());
    facts.memory.missing = Some(Duration::ZERO);
    assert_eq!(step(&facts), Step::CreateShell);
    // A claim of an object that is gone says nothing of this one.
    settled.owner.uid = "former".into();
    facts.primary.claim = present(settled);
    let Step::WriteClaim { claim, .. } = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    assert!(!claim.issued);
}

#[test]
fn a_claim_that_cannot_be_read_is_no_adoption() {
    let mut facts = adopting();
    facts.primary.claim = Observed::Live(ClaimView::Present {
        version: version("3"),
        record: Err(RecordError::Unreadable),
        held_elsewhere: false,
    });
    facts.memory.unreadable = Some((version("3"), Duration::ZERO));
    let Step::WriteClaim { claim, .. } = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    assert!(!claim.issued && claim.live_attempt().is_none());
}
