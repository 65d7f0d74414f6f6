//! What another version wrote into a claim is kept in the one that replaces it.

use super::*;

/// A claim with fields that this version does not know.
fn later(owner: Owner) -> Claim {
    let before = Claim {
        owner,
        ..claim(2, Cause::Due, None, Some(5))
    };
    let mut json: serde_json::Value = serde_json::from_str(&before.to_json()).unwrap();
    json["added"] = 1.into();
    json["attempt"]["added"] = 2.into();
    Claim::from_json(&json.to_string()).unwrap()
}

/// The fields of that name in the claim that is written, and in its attempt.
fn written(facts: &Facts) -> (serde_json::Value, serde_json::Value) {
    let claim = match step(facts) {
        Step::WriteClaim { claim, .. } => claim,
        other => panic!("{other:?}"),
    };
    let json: serde_json::Value = serde_json::from_str(&claim.to_json()).unwrap();
    (json["added"].clone(), json["attempt"]["added"].clone())
}

#[test]
fn a_new_attempt_keeps_what_is_unknown_of_the_claim_and_not_what_is_of_the_former_attempt() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.claim = present(later(owner()));
    facts.primary.journal = journal(&[5, 6]);
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(written(&facts), (1.into(), serde_json::Value::Null));
}

#[test]
fn a_claim_that_is_taken_over_keeps_what_is_unknown_of_it() {
    let mut facts = stored();
    let gone = Owner {
        uid: "gone".into(),
        ..owner()
    };
    let mut before = later(gone);
    before.attempt.as_mut().unwrap().state = AttemptState::Void;
    facts.primary.claim = present(before);
    facts.probe = Observed::Live(Verdict::Accepted);
    assert_eq!(written(&facts), (1.into(), serde_json::Value::Null));
}
