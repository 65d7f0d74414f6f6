//! At rest: what the watches show is enough, and one difference is enough to ask.

use super::*;
use crate::rotation::{Awaits, DoubtKind};

/// The same, by the watches alone: they show no client secret, and nothing was read from ZITADEL.
fn watched(mut facts: Facts) -> Facts {
    for slot in facts.slots() {
        let app = facts.of_mut(*slot);
        app.claim = Observed::Cached(app.claim.known().unwrap().clone());
        (app.app, app.journal) = (Observed::Unread, Observed::Unread);
    }
    edit(&mut facts, |secret| {
        secret.value = Value::Unseen;
        secret.origin = Origin::Unknown;
    });
    facts.secret = Observed::Cached(facts.secret.known().unwrap().clone());
    facts.current = Observed::Unread;
    facts.probe = Observed::Unread;
    facts.object.verified = Some("7".into());
    facts
}

fn view(facts: &mut Facts) -> &mut SecretView {
    match &mut facts.secret {
        Observed::Cached(SecretState::Present(secret)) => secret,
        other => panic!("{other:?}"),
    }
}

fn record(claim: &mut Observed<ClaimView>) -> &mut Result<Claim, RecordError> {
    match claim {
        Observed::Cached(ClaimView::Present { record, .. }) => record,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn asks(what: &str, facts: &Facts) {
    match step(facts) {
        Step::Read { sources, .. } if sources.contains(&Source::Secret) => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[track_caller]
fn is_at_rest(what: &str, facts: &Facts) {
    match step(facts) {
        Step::Rest(Report::Settled { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

type Change = (&'static str, fn(&mut Facts));

#[test]
fn where_the_watches_show_that_all_is_well_nothing_is_asked_and_one_difference_is_asked_about() {
    let good = watched(stored());
    is_at_rest("as it is", &good);
    let differences: [Change; 22] = [
        ("no Secret", |facts| {
            facts.secret = Observed::Cached(SecretState::Absent);
        }),
        ("no claim", |facts| {
            facts.primary.claim = Observed::Cached(ClaimView::Absent);
        }),
        ("the claim can't be read", |facts| {
            *record(&mut facts.primary.claim) = Err(RecordError::Unreadable);
        }),
        ("the claim is another object's", |facts| {
            if let Observed::Cached(ClaimView::Present { held_elsewhere, .. }) =
                &mut facts.primary.claim
            {
                *held_elsewhere = true;
            }
        }),
        ("the claim is of the object's predecessor", |facts| {
            facts.object.owner.uid = "again".into();
        }),
        ("an attempt is open", |facts| {
            *record(&mut facts.primary.claim) = Ok(claim(2, Cause::Due, None, Some(5)));
        }),
        ("no record", |facts| view(facts).commit = Ok(None)),
        ("another name", |facts| {
            facts.former = Some(Former {
                name: "old".into(),
                version: version("7"),
                sequence: Sequence(5),
                carries: vec![id(1)],
            });
        }),
        ("not managed", |facts| view(facts).managed = false),
        ("not the object's own", |facts| view(facts).owned = false),
        ("another object's", |facts| {
            view(facts).held_elsewhere = Some(owner());
        }),
        ("immutable", |facts| {
            view(facts).refused = Some(Reason::SecretImmutable);
        }),
        ("a label is missing", |facts| view(facts).rendered = false),
        ("no value", |facts| view(facts).value = Value::Absent),
        ("a new trigger", |facts| {
            facts.object.trigger = Some("b".into());
        }),
        ("an own rotation that is not in the record", |facts| {
            facts.memory.drift = Some((Sequence(6), BOOT));
        }),
        ("a doubt", |facts| {
            facts.memory.doubts(DoubtKind::News, BOOT);
        }),
        ("never verified", |facts| facts.object.verified = None),
        ("a rotation somewhere else", |facts| {
            facts.primary.hint = Some(Sequence(6));
        }),
        ("due", |facts| {
            facts.object.due = DueState::Due {
                since: at(10),
                overdue: false,
            };
        }),
        ("the overlap is over", |facts| {
            facts.object.overlap_ends = Some(at(60));
        }),
        ("a standby that was not checked yet", |facts| {
            facts.object.standby_unseen = true;
        }),
    ];
    for (what, change) in differences {
        let mut facts = good.clone();
        change(&mut facts);
        asks(what, &facts);
    }
    let harmless: [Change; 5] = [
        ("the trigger was handled", |facts| {
            facts.object.trigger = Some("a".into());
        }),
        ("the last rotation is the stored one", |facts| {
            facts.primary.hint = Some(Sequence(5));
        }),
        ("the overlap goes on", |facts| {
            facts.object.overlap_ends = Some(at(61));
        }),
        ("the attempt was given up", |facts| {
            let mut void = claim(2, Cause::Due, None, Some(5));
            void.attempt.as_mut().unwrap().state = AttemptState::Void;
            *record(&mut facts.primary.claim) = Ok(void);
        }),
        ("its window is not open", |facts| {
            facts.object.due = DueState::NotDue { next: at(90) };
        }),
    ];
    for (what, change) in harmless {
        let mut facts = good.clone();
        change(&mut facts);
        is_at_rest(what, &facts);
    }
}

#[test]
fn the_idle_application_of_a_pair_at_rest_is_quiet() {
    let never_used = watched(pair());
    is_at_rest("never used", &never_used);
    let used = watched(alternated());
    is_at_rest("used in turn", &used);
    let mut open = used.clone();
    *record(&mut open.primary.claim) = Ok(claim(3, Cause::Due, None, Some(5)));
    asks("an attempt is open", &open);
    let mut damaged = used.clone();
    *record(&mut damaged.primary.claim) = Err(RecordError::Unreadable);
    asks("its claim can't be read", &damaged);
    let mut unseen = used;
    unseen.primary.claim = Observed::Unread;
    asks("its claim was not seen", &unseen);
}

#[test]
fn a_report_says_what_a_due_rotation_waits_for_and_until_when() {
    let (since, later) = (at(10), at(90));
    let cases = [
        (DueState::OnTriggerOnly, (None, Awaits::Nothing, false)),
        (
            DueState::NotDue { next: later },
            (Some(later), Awaits::Nothing, false),
        ),
        (
            DueState::AwaitingWindow {
                since,
                opens: later,
                overdue: true,
            },
            (Some(later), Awaits::Window, true),
        ),
        (
            DueState::CatchingUp {
                since,
                starts: later,
                overdue: true,
            },
            (Some(later), Awaits::CatchUp, true),
        ),
    ];
    for (due, (next, awaits, overdue)) in cases {
        let mut facts = watched(stored());
        facts.object.due = due;
        let report = Report::Settled {
            next,
            awaits,
            overdue,
        };
        assert_eq!(step(&facts), rest(report));
    }
}
