//! One application.

use super::*;

#[test]
fn a_first_issue_creates_the_shell_rehearses_claims_rechecks_and_sends() {
    let mut facts = nothing();
    assert_eq!(step(&facts), Step::CreateShell);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    let rehearse = Step::Rehearse {
        slot: Slot::Primary,
        over: version("7"),
    };
    assert_eq!(step(&facts), rehearse);
    facts = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::FirstIssue));
    facts.primary.claim = present(claim(99, Cause::FirstIssue, None, None));
    facts.memory.claimed(Slot::Primary, id(99), BOOT);
    let send = Step::Send {
        slot: Slot::Primary,
        attempt: id(99),
        cause: Cause::FirstIssue,
        secret: version("7"),
    };
    assert_eq!(step(&facts), send);
    // A claim that grew old, a Secret or a journal that moved: not sent, and given up.
    let mut old = facts.clone();
    old.now.boot += old.timing.recheck;
    let mut moved = facts.clone();
    edit(&mut moved, |secret| secret.version = version("8"));
    let mut rotated = facts.clone();
    rotated.primary.journal = journal(&[4]);
    let mut revoked = facts.clone();
    revoked.gates.granted = false;
    for facts in [&old, &moved, &rotated, &revoked] {
        assert_eq!(voids(facts), Slot::Primary);
    }
}

#[test]
fn without_the_gates_nothing_is_done() {
    let with = |change: fn(&mut Facts)| {
        let mut facts = nothing();
        change(&mut facts);
        rests(&facts)
    };
    let failure = |permanent| Failure::new(Reason::ConnectionNotFound, permanent);
    assert_eq!(
        with(|facts| facts.gates.granted = false),
        (Reason::NotGranted, "stalled")
    );
    assert_eq!(
        with(|facts| facts.object.suspended = true),
        (Reason::Suspended, "quiet")
    );
    let mut deleted = nothing();
    deleted.object.deleting = true;
    let step = decide(&deleted).step;
    assert!(
        matches!(step, Step::Rest(Report::Outdated { .. })),
        "nothing is reported of an object that is being deleted: {step:?}"
    );
    assert_eq!(
        with(|facts| facts.gates.rival = Some(owner())),
        (Reason::AppAlreadyClaimed, "stalled")
    );
    assert_eq!(
        with(|facts| {
            facts.primary.app = Observed::Live(AppView {
                refused: Some(Reason::AppNotApi),
            });
        }),
        (Reason::AppNotApi, "stalled")
    );
    let mut refused = nothing();
    refused.gates.connection = Err(failure(true));
    assert_eq!(rests(&refused), (Reason::ConnectionNotFound, "stalled"));
    refused.gates.connection = Err(failure(false));
    assert_eq!(rests(&refused), (Reason::ConnectionNotFound, "working"));
}

#[test]
fn a_stored_value_that_is_good_is_left_alone() {
    assert_eq!(rests(&stored()).1, "settled");
    let mut read = stored();
    read.primary.claim = Observed::Unread;
    let sources: &[Source] = &[Source::Secret, Source::Claim];
    assert!(matches!(step(&read), Step::Read { sources: asked, .. } if asked == sources));
}

#[test]
fn a_trigger_or_a_due_time_rotates_and_waits_for_nothing_but_its_window() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.trigger = Some("a".into());
    assert_eq!(rests(&facts).1, "settled", "it was handled");
    facts.object.trigger = Some("b".into());
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Trigger));
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.due = DueState::Due {
        since: at(10),
        overdue: false,
    };
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Due));
    facts.now.skewed = true;
    assert_eq!(rests(&facts), (Reason::ClockSkew, "usable"));
    facts.object.due = DueState::AwaitingWindow {
        since: at(10),
        opens: at(90),
        overdue: false,
    };
    assert_eq!(rests(&facts).1, "settled");
}

#[test]
fn an_open_attempt_is_judged_by_the_journal() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    // Nothing in the journal: the request may still be on its way.
    assert_eq!(rests(&facts), (Reason::OutcomeUnknown, "usable"));
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    assert_eq!(voids(&facts), Slot::Primary);
    // Carried out: the answer is lost.
    facts.primary.journal = journal(&[5, 6]);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
    // Another pod's attempt is watched first.
    let mut others = claim(2, Cause::Due, None, Some(5));
    others.attempt.as_mut().unwrap().holder.pod = "that".into();
    facts.primary.claim = present(others);
    assert_eq!(rests(&facts), (Reason::AttemptOpen, "usable"));
}

#[test]
fn an_open_attempt_whose_journal_was_cut_is_judged_by_the_value() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.verified = Some("7".into());
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    for events in [&[][..], &[8]] {
        // Sequences above the stored one are another actor's.
        let mut journal = journal(events);
        if let Observed::Live(journal) = &mut journal {
            journal.0.iter_mut().for_each(|event| event.own = false);
        }
        facts.primary.journal = journal;
        facts.probe = Observed::Live(Verdict::Rejected);
        assert_eq!(rests(&facts), (Reason::JournalUnavailable, "working"));
        let mut dead = facts.clone();
        dead.memory = decide(&facts).memory;
        dead.now.boot += dead.timing.dead;
        assert_eq!(rests(&dead), (Reason::JournalUnavailable, "working"));
        dead.memory = decide(&dead).memory;
        dead.now.boot += dead.timing.dead;
        assert_eq!(claims_for(&dead), (Slot::Primary, Cause::LostAttempt));
    }
    facts.primary.journal = journal(&[]);
    facts.probe = Observed::Live(Verdict::Accepted);
    // A rotation that takes effect late is waited for.
    assert_eq!(rests(&facts), (Reason::JournalUnavailable, "usable"));
    facts.now.boot += facts.timing.lag;
    assert_eq!(voids(&facts), Slot::Primary);
}

#[test]
fn a_value_whose_record_is_gone_is_not_replaced_while_it_is_unknown_whether_it_works() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    edit(&mut facts, |secret| secret.commit = Ok(None));
    facts.probe = Observed::Live(Verdict::Unknown);
    assert_eq!(rests(&facts).0, Reason::NoVerdict);
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
}

#[test]
fn a_rotation_that_the_secret_does_not_know_of_is_repaired_on_the_journal_s_word_at_last() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.hint = Some(Sequence(6));
    facts.primary.journal = journal(&[5, 6]);
    facts.memory.drift = Some((Sequence(6), BOOT - facts.timing.quiet));
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
    facts.probe = Observed::Live(Verdict::Unknown);
    assert_eq!(rests(&facts), (Reason::NoVerdict, "usable"));
    facts.memory.drift = Some((Sequence(6), BOOT - facts.timing.quiet * 2));
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
}

#[test]
fn news_of_a_rotation_stays_news_until_the_journal_or_a_probe_has_answered() {
    let failure = |permanent| Observed::Failed(Failure::new(Reason::ZitadelUnavailable, permanent));
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.object.verified = Some("7".into());
    facts.primary.hint = Some(Sequence(6));
    // It can't be read just now: asked again.
    facts.primary.journal = failure(false);
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "usable"));
    facts.memory.drift = Some((Sequence(6), BOOT));
    facts.primary.hint = None;
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "usable"));
    facts.memory.drift = None;
    facts.primary.hint = Some(Sequence(6));
    // It can't be read at all, or has forgotten even the stored value: the value is tried, whatever was known of it.
    for journal in [failure(true), journal(&[])] {
        let mut facts = facts.clone();
        facts.primary.journal = journal;
        facts.probe = Observed::Unread;
        assert!(matches!(
            step(&facts),
            Step::Read {
                sources: [Source::Probe],
                ..
            }
        ));
        facts.probe = Observed::Live(Verdict::Rejected);
        assert_eq!(rests(&facts), (Reason::Refused, "working"));
        facts.probe = Observed::Live(Verdict::Accepted);
        assert_eq!(rests(&facts).1, "settled");
        facts.memory = decide(&facts).memory;
        facts.probe = Observed::Unread;
        assert_eq!(rests(&facts).1, "settled", "and it stays answered");
    }
}

#[test]
fn a_value_that_was_accepted_and_that_nothing_has_changed_is_not_taken_for_dead() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.primary.journal = journal(&[4, 5]);
    facts.object.proven = Some(Sequence(5));
    facts.memory.streak = Some(Box::new(crate::rotation::RejectionStreak {
        secret: version("7"),
        count: 3,
        first: BOOT - facts.timing.dead,
        last: BOOT - facts.timing.probe,
    }));
    let with = |change: &dyn Fn(&mut Facts, &mut SecretView)| {
        let mut facts = facts.clone();
        let mut view = secret(Some(entry(1, 5, 5)));
        view.origin = Origin::Own;
        change(&mut facts, &mut view);
        facts.secret = Observed::Live(SecretState::Present(view));
        facts
    };
    let dead = (Slot::Primary, Cause::SecretInvalid);
    assert_eq!(rests(&with(&|_, _| {})), (Reason::Refused, "working"));
    // It is dead where one piece of the evidence is missing: another actor wrote it, or an older version did,
    for origin in [Origin::Foreign, Origin::Unknown] {
        let touched = with(&|_, view| view.origin = origin);
        assert_eq!(claims_for(&touched), dead, "{origin:?}");
    }
    // it was never accepted, or that was another one,
    assert_eq!(
        claims_for(&with(&|facts, _| facts.object.proven = None)),
        dead
    );
    let another = with(&|facts, _| facts.object.proven = Some(Sequence(4)));
    assert_eq!(claims_for(&another), dead);
    // ZITADEL has forgotten it,
    let forgotten = with(&|facts, _| facts.primary.journal = journal(&[4]));
    assert_eq!(claims_for(&forgotten), dead);
    // another actor made a newer one, or one that is only later.
    let event = |sequence, minutes| JournalEvent {
        sequence: Sequence(sequence),
        time: at(minutes),
        own: false,
    };
    for (sequence, minutes) in [(6, 6), (3, 6), (3, 5)] {
        let others = with(&|facts, _| {
            let events = [event(sequence, minutes), event(5, 5)];
            facts.primary.journal = Observed::Live(Journal(events.into()));
        });
        assert_eq!(claims_for(&others), dead, "{sequence} at {minutes}");
    }
    // What is due goes on.
    let due = with(&|facts, _| {
        facts.object.due = DueState::Due {
            since: at(10),
            overdue: false,
        };
    });
    assert_eq!(claims_for(&due), (Slot::Primary, Cause::Due));
}

#[test]
fn a_question_without_an_answer_is_asked_again() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.primary.hint = Some(Sequence(6));
    let events = [(6, 6), (5, 5)].map(|(sequence, minutes)| JournalEvent {
        sequence: Sequence(sequence),
        time: at(minutes),
        own: false,
    });
    facts.primary.journal = Observed::Live(Journal(events.into()));
    facts.probe = Observed::Live(Verdict::Unknown);
    assert_eq!(rests(&facts), (Reason::NoVerdict, "working"));
    // An answer with another replica's word, or with what was known before, misses a rotation by another actor.
    facts.object.verified = Some("7".into());
    facts.memory = decide(&facts).memory;
    assert_eq!(facts.memory.verified, None, "that was before");
    facts.probe = Observed::Unread;
    assert!(matches!(
        step(&facts),
        Step::Read {
            sources: [Source::Probe],
            ..
        }
    ));
    let mut refused = facts.clone();
    refused.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(rests(&refused), (Reason::Refused, "working"));
    facts.probe = Observed::Live(Verdict::Accepted);
    assert_eq!(rests(&facts).1, "settled");
    facts.memory = decide(&facts).memory;
    assert_eq!(rests(&facts).1, "settled", "and it stays answered");
    // One process's doubt about a new value is answered by itself alone.
    let mut other = stored();
    other.object.verified = Some("7".into());
    assert_eq!(rests(&other).1, "settled");
    other.memory.doubts(crate::rotation::DoubtKind::News, BOOT);
    other.probe = Observed::Unread;
    assert!(matches!(
        step(&other),
        Step::Read {
            sources: [Source::Probe],
            ..
        }
    ));
    other.probe = Observed::Live(Verdict::Accepted);
    assert_eq!(rests(&other).1, "settled");
}

#[test]
fn a_renamed_secret_moves_and_rotates_nothing() {
    let mut facts = stored();
    facts.former = Some(Former {
        name: "old".into(),
        version: version("2"),
        sequence: Sequence(5),
        carries: vec![id(1)],
    });
    assert!(matches!(step(&facts), Step::DropFormer(_)));
    let mut absent = facts.clone();
    absent.secret = Observed::Live(SecretState::Absent);
    assert!(matches!(step(&absent), Step::Move { over: None, .. }));
    // On the word of a watch that lags behind, nothing is moved or dropped.
    for mut facts in [absent, facts.clone()] {
        facts.current = Observed::Live(false);
        assert!(matches!(step(&facts), Step::Rest(Report::Outdated { .. })));
    }
    // What is there under the new name is of long ago.
    let former = facts.former.as_mut().unwrap();
    former.sequence = Sequence(6);
    let over = Some(version("7"));
    assert!(matches!(step(&facts), Step::Move { over: o, .. } if o == over));
}

#[test]
fn a_rename_waits_for_an_attempt_that_may_still_be_writing_the_secret() {
    let mut facts = stored();
    facts.secret = Observed::Live(SecretState::Absent);
    facts.former = Some(Former {
        name: "old".into(),
        version: version("2"),
        sequence: Sequence(5),
        carries: vec![id(1)],
    });
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    assert_eq!(rests(&facts).0, Reason::OutcomeUnknown);
    let mut written = facts.clone();
    let former = written.former.as_mut().unwrap();
    (former.sequence, former.carries) = (Sequence(6), vec![id(2)]);
    let mut over = facts.clone();
    over.memory.open = vec![(id(2), BOOT - over.timing.quiet)];
    facts.memory.not_executed = Some(id(2));
    for facts in [written, over, facts] {
        assert!(matches!(step(&facts), Step::Move { over: None, .. }));
    }
}

#[test]
fn after_a_change_of_the_object_the_wait_is_that_of_a_first_failure() {
    let mut facts = stored();
    let failure = Failure::new(Reason::SecretWriteRefused, true);
    let mut memory = Memory::default();
    let first = memory.back_off(&facts, &failure);
    for _ in 0..3 {
        assert!(memory.back_off(&facts, &failure) > first * 2);
    }
    facts.memory = memory.clone();
    facts.object.due = DueState::Due {
        since: at(0),
        overdue: false,
    };
    assert_eq!(rests(&facts), (Reason::SecretWriteRefused, "stalled"));
    facts.object.inputs = "changed".into();
    assert!(!matches!(step(&facts), Step::Rest(_)));
    assert_eq!(memory.back_off(&facts, &failure), first);
}

#[test]
fn a_key_that_another_tool_applies_is_reported_at_once_and_taken_over_by_a_new_trigger() {
    let mut facts = stored();
    edit(&mut facts, |secret| {
        secret.refused = Some(Reason::SecretContested);
        secret.co_written = true;
    });
    assert_eq!(rests(&facts), (Reason::SecretContested, "usable"));
    let mut due = rehearsed(facts.clone(), Slot::Primary);
    due.object.due = DueState::Due {
        since: at(0),
        overdue: false,
    };
    assert_eq!(rests(&due), (Reason::SecretContested, "stalled"));
    facts.object.trigger = Some("b".into());
    let asked = rehearsed(facts.clone(), Slot::Primary);
    assert_eq!(claims_for(&asked), (Slot::Primary, Cause::Trigger));
    // What the API server itself would refuse stays refused.
    let mut immutable = asked;
    edit(&mut immutable, |secret| {
        secret.refused = Some(Reason::SecretImmutable);
    });
    assert_eq!(rests(&immutable), (Reason::SecretImmutable, "stalled"));
}

#[test]
fn a_secret_to_adopt_that_another_tool_applies_is_left_until_a_new_trigger() {
    let mut facts = stored();
    facts.object.adoption_required = true;
    facts.object.trigger = Some("a".into());
    facts.primary.claim = present(Claim::settled(owner(), Some("a".into()), None));
    edit(&mut facts, |secret| {
        secret.commit = Ok(None);
        secret.refused = Some(Reason::SecretContested);
    });
    assert_eq!(rests(&facts), (Reason::SecretContested, "stalled"));
    facts.object.trigger = Some("b".into());
    let asked = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&asked), (Slot::Primary, Cause::Trigger));
}

#[test]
fn a_value_that_is_rejected_again_is_a_quarrel_only_where_another_field_manager_wrote_it() {
    let mut facts = stored();
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.memory.streak = Some(Box::new(crate::rotation::RejectionStreak {
        secret: version("7"),
        count: 3,
        first: BOOT - facts.timing.dead * 2,
        last: BOOT - facts.timing.dead,
    }));
    let mut claim = claim(1, Cause::SecretInvalid, Some("a"), None);
    claim.invalid_repair = Some(at(30));
    facts.primary.claim = present(claim);
    assert_eq!(rests(&facts), (Reason::Refused, "stalled"));
    edit(&mut facts, |secret| secret.co_written = true);
    assert_eq!(rests(&facts), (Reason::SecretContested, "stalled"));
    facts.object.trigger = Some("b".into());
    let asked = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&asked), (Slot::Primary, Cause::Trigger));
}
