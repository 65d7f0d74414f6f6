//! How verdicts, doubts and waits become what is said.

use super::*;
use crate::rotation::{DoubtKind, Verified, verified};

fn known(facts: &Facts) -> Verified {
    verified(facts, &facts.memory)
}

#[test]
fn what_is_said_of_a_secret_without_a_value_or_without_a_record() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    assert_eq!(known(&facts), Verified::Accepted);
    edit(&mut facts, |secret| secret.value = Value::Absent);
    assert_eq!(known(&facts), Verified::Gone);
    edit(&mut facts, |secret| {
        (secret.value, secret.commit) = (Value::Present, Ok(None));
    });
    assert_eq!(known(&facts), Verified::Nothing);
}

#[test]
fn beside_a_candidate_the_stored_value_works_unless_there_is_other_news() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.memory.candidate = true;
    facts.memory.doubts(DoubtKind::Sent, BOOT);
    assert_eq!(known(&facts), Verified::Accepted);
    facts.memory.doubts(DoubtKind::News, BOOT);
    assert_eq!(known(&facts), Verified::Doubted);
}

#[test]
fn an_open_attempt_that_was_seen_before_is_no_news() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.probe = Observed::Failed(Failure::new(Reason::ZitadelUnavailable, false));
    assert_eq!(rests(&facts), (Reason::OutcomeUnknown, "working"));
    // The value was accepted since.
    facts.memory.open = vec![(id(2), BOOT)];
    assert_eq!(rests(&facts), (Reason::OutcomeUnknown, "usable"));
}

#[test]
fn a_stall_beside_a_value_without_doubt_lasts_until_something_changes() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.probe = Observed::Unread;
    edit(&mut facts, |secret| {
        (secret.rendered, secret.refused) = (false, Some(Reason::SecretImmutable));
    });
    let Step::Rest(Report::Stalled { retry, .. }) = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    assert_eq!(retry, Retry::OnChange);
}

#[test]
fn an_inactive_application_says_nothing_of_its_secret() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.memory.streak = Some(Box::new(streak(3, facts.timing.dead)));
    let active = facts.primary.app.clone();
    facts.primary.app = Observed::Live(AppView {
        refused: Some(Reason::AppNotReady),
    });
    assert_eq!(rests(&facts), (Reason::AppNotReady, "stalled"));
    // Once it is active, the count begins.
    facts.memory = decide(&facts).memory;
    facts.primary.app = active;
    assert_eq!(rests(&facts), (Reason::Refused, "working"));
}

#[test]
fn rejections_in_quick_succession_count_once() {
    let after = |seconds| {
        let mut facts = rehearsed(stored(), Slot::Primary);
        facts.probe = Observed::Live(Verdict::Rejected);
        facts.memory.streak = Some(Box::new(RejectionStreak {
            secret: version("7"),
            count: 2,
            first: BOOT - facts.timing.dead,
            last: BOOT - Duration::from_secs(seconds),
        }));
        facts
    };
    assert_eq!(rests(&after(18)), (Reason::Refused, "working"));
    let dead = (Slot::Primary, Cause::SecretInvalid);
    assert_eq!(claims_for(&after(19)), dead);
    // It is the last one that counted from which the next is apart.
    let mut facts = after(19);
    facts.memory.streak.as_mut().unwrap().count = 1;
    facts.memory = decide(&facts).memory;
    facts.now.boot += Duration::from_secs(5);
    assert_eq!(decide(&facts).memory.streak.unwrap().count, 2);
}

#[test]
fn what_came_back_instead_of_an_answer_is_said_with_its_error_id() {
    let mut facts = stored();
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    let failure = Failure {
        error_id: Some("EXEC-1".into()),
        ..Failure::new(Reason::ZitadelUnavailable, false)
    };
    facts.memory.unanswered(id(2), BOOT, failure);
    let Step::Rest(Report::Usable { blocked, .. }) = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    assert_eq!(blocked.error_id.as_deref(), Some("EXEC-1"));
}

#[test]
fn a_label_that_the_api_server_stores_otherwise_is_left_for_an_hour() {
    let mut facts = stored();
    edit(&mut facts, |secret| secret.rendered = false);
    facts.memory.verified = Some("7".into());
    let failure = Failure::new(Reason::SecretMutated, false);
    let written = facts.clone();
    facts.memory.left_as_it_is(&written, &failure);
    let hour = facts.timing.retry_most;
    facts.now.boot += hour - Duration::from_secs(1);
    assert_eq!(rests(&facts), (Reason::SecretMutated, "usable"));
    facts.now.boot += Duration::from_secs(1);
    assert!(matches!(step(&facts), Step::Render { .. }));
}

#[test]
fn waits_differ_by_a_fifth_from_object_to_object_and_not_from_time_to_time() {
    let wait = |uid: u32| {
        let mut facts = stored();
        facts.object.owner.uid = uid.to_string();
        let failure = Failure::new(Reason::ZitadelUnavailable, false);
        Memory::default().back_off(&facts, &failure).as_millis()
    };
    let waits: Vec<_> = (0..200).map(wait).collect();
    let all_within = waits.iter().all(|wait| (24_000..=36_000).contains(wait));
    assert!(all_within, "{waits:?}");
    let (least, most) = (waits.iter().min(), waits.iter().max());
    assert!(least < Some(&25_000) && most > Some(&35_000), "{waits:?}");
    assert_eq!(waits, (0..200).map(wait).collect::<Vec<_>>());
}
