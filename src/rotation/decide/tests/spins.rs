//! Nothing spins: what does not change by itself is asked ever more rarely.

use super::*;
use crate::rotation::out_of_steps;

/// The wait that a rest asks for, and why.
#[track_caller]
fn waits(facts: &Facts) -> (Duration, Reason) {
    match step(facts) {
        Step::Rest(
            Report::Usable { blocked, retry }
            | Report::Working { blocked, retry }
            | Report::Stalled { blocked, retry },
        ) => match retry {
            Retry::After(wait) => (wait, blocked.reason),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Whether that is about so many seconds: waits differ by a fifth from object to object.
#[track_caller]
fn about(wait: Duration, seconds: u64) {
    let wanted = Duration::from_secs(seconds);
    assert!(
        wait >= wanted * 4 / 5 && wait <= wanted * 6 / 5,
        "{wait:?}, not {seconds} s"
    );
}

/// Due, and everything was read.
fn due() -> Facts {
    let mut facts = stored();
    facts.object.due = DueState::Due {
        since: at(10),
        overdue: false,
    };
    facts
}

/// Rehearses and claims as attempt 99.
fn claimed(mut facts: Facts) -> Facts {
    facts = rehearsed(facts, Slot::Primary);
    facts.primary.claim = present(claim(1, Cause::FirstIssue, Some("a"), None));
    claims_for(&facts);
    facts.primary.claim = present(claim(99, Cause::Due, None, Some(5)));
    facts.memory.claimed(Slot::Primary, id(99), facts.now.boot);
    facts
}

#[test]
fn a_claim_that_is_given_up_because_something_moved_is_made_again_ever_later() {
    let mut facts = due();
    for seconds in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
        facts = claimed(facts);
        facts.primary.journal = journal(&[5, 9]);
        let decision = decide(&facts);
        assert!(
            matches!(&decision.step, Step::WriteClaim { claim, .. } if claim.live_attempt().is_none())
        );
        facts.memory = decision.memory;
        facts.primary.claim = voided(claim(99, Cause::Due, None, Some(5)));
        facts.primary.journal = journal(&[5]);
        let (wait, reason) = waits(&facts);
        assert_eq!(reason, Reason::ConcurrentChanges);
        about(wait, seconds);
        let mut changed = facts.clone();
        changed.object.inputs = "changed".into();
        assert!(
            matches!(step(&changed), Step::Rehearse { .. }),
            "asked anew"
        );
        facts.now.boot += wait;
    }
    // A rotation is carried out: the next one is the first again.
    facts.memory.flushed(None);
    assert_eq!(facts.memory.backoff, None);
}

#[test]
fn a_claim_that_another_actor_deletes_each_time_is_created_again_ever_later() {
    let mut facts = due();
    for seconds in [5, 10, 20] {
        facts = claimed(facts);
        facts.primary.claim = present(claim(1, Cause::FirstIssue, Some("a"), None));
        facts.memory = decide(&facts).memory;
        let (wait, reason) = waits(&facts);
        assert_eq!(reason, Reason::ConcurrentChanges);
        about(wait, seconds);
        facts.now.boot += wait;
    }
}

#[test]
fn after_too_many_steps_nothing_is_read_for_a_while_and_longer_each_time() {
    let mut facts = due();
    facts.secret = Observed::Unread;
    for seconds in [5, 20, 80, 320] {
        let decision = out_of_steps(&facts);
        assert!(matches!(
            decision.step,
            Step::Rest(Report::Working { .. } | Report::Usable { .. })
        ));
        facts.memory = decision.memory;
        let (wait, reason) = waits(&facts);
        assert_eq!(reason, Reason::ConcurrentChanges);
        about(wait, seconds);
        let mut changed = facts.clone();
        changed.object.inputs = "changed".into();
        assert!(matches!(step(&changed), Step::Read { .. }), "asked anew");
        facts.now.boot += wait;
        assert!(matches!(step(&facts), Step::Read { .. }));
    }
    // A claim that was not used is given up, whatever the wait.
    let facts = claimed(due());
    let mut facts = Facts {
        memory: out_of_steps(&facts).memory,
        ..facts
    };
    assert_eq!(voids(&facts), Slot::Primary);
    // All is well: nothing is waited for.
    facts = stored();
    facts.memory.verified = Some("7".into());
    facts.memory = out_of_steps(&facts).memory;
    let decision = decide(&facts);
    assert!(matches!(decision.step, Step::Rest(Report::Settled { .. })));
    assert_eq!(decision.memory.backoff, None);
}

#[test]
fn a_call_that_was_not_carried_out_as_it_turned_out_is_made_again_ever_later() {
    let mut facts = due();
    for (attempt, seconds) in [(11, 30), (12, 60), (13, 120), (14, 240)] {
        let answered = Failure {
            answer: Some("HTTP 429".into()),
            ..Failure::new(Reason::RateLimited, false)
        };
        facts.primary.claim = present(claim(attempt, Cause::Due, None, Some(5)));
        let now = facts.now.boot;
        facts.memory.unanswered(id(attempt), now, answered);
        facts.memory = decide(&facts).memory;
        let (wait, reason) = waits(&facts);
        assert_eq!((wait, reason), (facts.timing.probe, Reason::OutcomeUnknown));
        assert!(
            matches!(step(&facts), Step::Rest(Report::Usable { blocked, .. }) if blocked.answer.as_deref() == Some("HTTP 429")),
            "it is said what came back"
        );
        facts.now.boot += facts.timing.quiet;
        facts.memory = decide(&facts).memory;
        let (wait, reason) = waits(&facts);
        assert_eq!(reason, Reason::RateLimited);
        about(wait, seconds);
        facts.now.boot += wait;
        assert!(matches!(step(&facts), Step::Rehearse { .. }));
    }
    // Carried out after all: consumers are down, nothing is waited for.
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.primary.claim = present(claim(15, Cause::Due, None, Some(5)));
    let (now, failure) = (facts.now.boot, Failure::new(Reason::RateLimited, false));
    facts.memory.unanswered(id(15), now, failure);
    facts.memory.backoff = None;
    facts.primary.journal = journal(&[5, 6]);
    let repaired = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&repaired), (Slot::Primary, Cause::LostAttempt));
}

#[test]
fn on_the_standby_a_call_that_was_not_carried_out_waits_as_well() {
    let mut facts = pair();
    facts.object.trigger = Some("b".into());
    let standby = facts.standby.as_mut().unwrap();
    standby.claim = present_as("s", claim(21, Cause::Trigger, Some("b"), None));
    let now = facts.now.boot;
    facts
        .memory
        .unanswered(id(21), now, Failure::new(Reason::RateLimited, false));
    facts.now.boot += facts.timing.quiet;
    let decision = decide(&facts);
    assert!(
        matches!(&decision.step, Step::WriteClaim { slot: Slot::Standby, claim, .. } if claim.live_attempt().is_none())
    );
    facts.memory = decision.memory;
    let standby = facts.standby.as_mut().unwrap();
    let mut given_up = claim(21, Cause::Trigger, Some("b"), None);
    given_up.attempt.as_mut().unwrap().state = AttemptState::Void;
    standby.claim = present_as("s", given_up);
    let (wait, reason) = waits(&facts);
    assert_eq!(reason, Reason::RateLimited);
    about(wait, 30);
}

#[test]
fn a_label_that_another_actor_undoes_each_time_is_written_ever_more_rarely() {
    let mut facts = stored();
    edit(&mut facts, |secret| secret.rendered = false);
    let contested = Failure::new(Reason::SecretContested, false);
    for seconds in [5, 20, 80, 320] {
        assert!(matches!(step(&facts), Step::Render { .. }));
        let written = facts.clone();
        facts.memory.rewritten(&written, &contested);
        // It is as it should be for a moment. That is said the first time, and from then on only once it has held.
        edit(&mut facts, |secret| secret.rendered = true);
        let decision = decide(&facts);
        let settled = matches!(decision.step, Step::Rest(Report::Settled { .. }));
        assert_eq!(settled, seconds == 5, "{:?}", decision.step);
        if !settled {
            let (wait, reason) = waits(&facts);
            assert_eq!(reason, Reason::SecretContested);
            about(wait, seconds);
            let mut due = facts.clone();
            due.object.due = DueState::NotDue {
                next: due.now.time + Duration::from_secs(3),
            };
            assert_eq!(waits(&due).0, Duration::from_secs(3));
        }
        facts.memory = decision.memory;
        edit(&mut facts, |secret| secret.rendered = false);
        let (wait, reason) = waits(&facts);
        assert_eq!(reason, Reason::SecretContested);
        assert_eq!(rests(&facts).1, "usable");
        about(wait, seconds);
        // A wait need not read the object, a write must.
        facts.current = Observed::Unread;
        assert_eq!(waits(&facts).1, reason);
        facts.now.boot += wait;
        assert!(matches!(
            step(&facts),
            Step::Read {
                sources: [Source::Object],
                ..
            }
        ));
        facts.current = Observed::Live(true);
    }
    // It has held for long: the next change is a first one.
    edit(&mut facts, |secret| secret.rendered = true);
    assert_eq!(rests(&facts).1, "settled");
    edit(&mut facts, |secret| secret.rendered = false);
    facts.now.boot += Duration::from_secs(3600);
    let written = facts.clone();
    facts.memory.rewritten(&written, &contested);
    about(waits(&facts).0, 5);
    // A rotation does not wait for that.
    facts.object.due = due().object.due;
    assert!(matches!(step(&facts), Step::Rehearse { .. }));
}

#[test]
fn a_label_that_is_undone_again_is_no_reason_to_ask_about_bytes_that_are_the_same() {
    let mut facts = stored();
    facts.object.proven = Some(Sequence(5));
    facts.memory.verified = Some("7".into());
    edit(&mut facts, |secret| secret.rendered = false);
    let written = facts.clone();
    let contested = Failure::new(Reason::SecretContested, false);
    facts.memory.rewritten(&written, &contested);
    facts.probe = Observed::Unread;
    let asks = |facts: &Facts| {
        matches!(
            step(facts),
            Step::Read {
                sources: [Source::Probe],
                ..
            }
        )
    };
    let undone = |facts: &mut Facts| edit(facts, |secret| secret.version = version("8"));
    undone(&mut facts);
    assert_eq!(waits(&facts).1, Reason::SecretContested);
    assert_eq!(decide(&facts).memory.verified.as_deref(), Some("8"));
    for otherwise in [
        |facts: &mut Facts| edit(facts, |secret| secret.origin = Origin::Foreign),
        |facts: &mut Facts| edit(facts, |secret| secret.origin = Origin::Unknown),
        |facts: &mut Facts| facts.object.proven = Some(Sequence(4)),
        |facts: &mut Facts| facts.memory.verified = None,
        |facts: &mut Facts| facts.memory.rewrites = None,
        |facts: &mut Facts| facts.now.boot += Duration::from_secs(60),
    ] {
        let mut facts = facts.clone();
        otherwise(&mut facts);
        assert!(asks(&facts), "{:?}", step(&facts));
    }
}

#[test]
fn a_recheck_may_take_its_time_but_reads_the_claim_the_secret_and_the_journal_anew() {
    let mut facts = claimed(due());
    facts.now.boot += facts.timing.recheck / 2;
    assert!(matches!(step(&facts), Step::Send { .. }));
    for unread in [
        |facts: &mut Facts| facts.primary.claim = Observed::Unread,
        |facts: &mut Facts| facts.secret = Observed::Unread,
        |facts: &mut Facts| facts.primary.journal = Observed::Unread,
    ] {
        let mut facts = facts.clone();
        unread(&mut facts);
        let Step::Read { sources, .. } = step(&facts) else {
            panic!("{:?}", step(&facts));
        };
        assert!(!sources.is_empty());
    }
    let mut cached = facts.clone();
    cached.primary.claim = match cached.primary.claim {
        Observed::Live(claim) => Observed::Cached(claim),
        other => other,
    };
    assert!(
        matches!(step(&cached), Step::Read { sources, .. } if sources.contains(&Source::Claim))
    );
    facts.now.boot += facts.timing.recheck / 2;
    assert_eq!(voids(&facts), Slot::Primary);
    facts.memory = decide(&facts).memory;
    facts.primary.claim = voided(claim(99, Cause::Due, None, Some(5)));
    assert_eq!(waits(&facts).1, Reason::ZitadelTimeout);
}

#[test]
fn a_claim_that_is_damaged_each_time_is_replaced_ever_more_rarely() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.primary.claim = Observed::Live(ClaimView::Present {
        version: version("3"),
        record: Err(RecordError::Unreadable),
        held_elsewhere: false,
    });
    facts.memory = decide(&facts).memory;
    facts.now.boot += facts.timing.quiet;
    for seconds in [5, 10, 20, 40] {
        let decision = decide(&facts);
        assert!(matches!(decision.step, Step::WriteClaim { .. }));
        facts.memory = decision.memory;
        // ZITADEL may be asked about the stored value meanwhile.
        let written = facts.now.boot;
        while !matches!(step(&facts), Step::WriteClaim { .. }) {
            let (wait, reason) = waits(&facts);
            assert_eq!(reason, Reason::ClaimUnreadable);
            facts.now.boot += wait;
        }
        about(facts.now.boot - written, seconds);
    }
}

#[test]
fn an_accepted_value_behind_a_claim_that_stays_damaged_is_asked_about_ever_more_rarely() {
    let mut facts = stored();
    facts.probe = Observed::Live(Verdict::Accepted);
    facts.primary.claim = Observed::Live(ClaimView::Present {
        version: version("3"),
        record: Err(RecordError::Unreadable),
        held_elsewhere: false,
    });
    let failure = Failure::new(Reason::ClaimUnreadable, false);
    for _ in 0..12 {
        facts.memory.set_back(&facts.clone(), &failure);
    }
    for (gone, seconds) in [
        (0, 20),
        (20, 20),
        (40, 40),
        (80, 80),
        (300, 300),
        (3000, 300),
    ] {
        let since = BOOT - Duration::from_secs(gone);
        facts.memory.unreadable = Some((version("3"), since));
        if gone < facts.timing.quiet.as_secs() {
            // It is read again when the quiet period is over.
            let left = facts.timing.quiet.as_secs() - gone;
            assert_eq!(waits(&facts).0.as_secs(), left.min(seconds), "{gone}");
        } else {
            assert_eq!(waits(&facts).0.as_secs(), seconds, "{gone}");
        }
    }
}

#[test]
fn what_is_known_is_not_read_again() {
    let mut facts = stored();
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.primary.journal = journal(&[5, 6]);
    facts.primary.app = Observed::Unread;
    let reads = |facts: &Facts| match step(facts) {
        Step::Read { sources, .. } => sources,
        other => panic!("{other:?}"),
    };
    // NB: the application is asked for after the journal, so that the effect of its newest event can be seen.
    assert_eq!(reads(&facts), [Source::App, Source::Probe]);
    facts.primary.journal = Observed::Unread;
    assert_eq!(reads(&facts), [Source::Journal]);
}

#[test]
fn a_repair_that_only_waits_does_not_read_the_object() {
    let mut facts = stored();
    let mut lost = claim(2, Cause::LostAttempt, None, Some(5));
    lost.repairs
        .add(facts.now.time, Cause::LostAttempt.as_str(), None);
    facts.primary.claim = present(lost);
    facts.primary.journal = journal(&[5, 6]);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.memory.open = vec![(id(2), BOOT)];
    facts.current = Observed::Unread;
    assert_eq!(waits(&facts).1, Reason::LostAttempt);
    facts.memory.open = vec![(id(2), BOOT - facts.timing.lost)];
    assert!(matches!(
        step(&facts),
        Step::Read {
            sources: [Source::Object],
            ..
        }
    ));
}

#[test]
fn a_journal_that_is_closed_for_good_is_not_why_an_attempt_was_given_up() {
    let mut facts = due();
    facts.primary.journal = failing(true);
    facts = claimed(facts);
    facts.primary.claim = present(claim(99, Cause::Due, None, None));
    edit(&mut facts, |secret| secret.version = version("8"));
    facts.memory = decide(&facts).memory;
    facts.primary.claim = voided(claim(99, Cause::Due, None, None));
    assert_eq!(waits(&facts).1, Reason::ConcurrentChanges);
}
