//! The rules one by one.

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(holder: &str, version: u32) -> Record {
    Record {
        holder: holder.into(),
        lease: Some(s(15)),
        version: version.to_string(),
    }
}

/// Its name in the Lease is `me_2`: the second process of the pod `me`.
fn candidate() -> Election {
    let identity = Identity {
        pod: "me".into(),
        process: "2".into(),
    };
    Election::new(identity, LeaseTiming::default())
}

#[test]
fn a_candidate_reads_before_it_writes_and_creates_what_is_absent() {
    let mut election = candidate();
    assert_eq!(election.next(s(100)), Move::Read);
    election.read(None, s(100));
    assert_eq!(election.next(s(100)), Move::Write(Write::Create));
    election.written(record("me_2", 1), s(100));
    assert!(election.leads(s(109)));
    assert_eq!(election.next(s(102)), Move::Write(Write::Renew));
}

#[test]
fn a_record_is_taken_when_it_did_not_change_for_its_own_lease_duration() {
    let mut election = candidate();
    election.read(
        Some(Record {
            lease: Some(s(40)),
            ..record("other", 1)
        }),
        s(100),
    );
    for (now, expected) in [
        (100, Move::Wait),
        (139, Move::Wait),
        (140, Move::Write(Write::Take)),
    ] {
        election.doubt();
        assert_eq!(election.next(s(now)), Move::Read, "at {now}");
        election.read(
            Some(Record {
                lease: Some(s(40)),
                ..record("other", 1)
            }),
            s(now),
        );
        assert_eq!(election.next(s(now)), expected, "at {now}");
    }
    election.read(Some(record("other", 2)), s(141));
    assert_eq!(election.next(s(155)), Move::Wait);
    assert_eq!(election.next(s(156)), Move::Write(Write::Take));
}

#[test]
fn a_record_without_a_duration_counts_with_ours_and_a_released_one_is_free() {
    let mut election = candidate();
    election.read(
        Some(Record {
            lease: None,
            ..record("other", 1)
        }),
        s(100),
    );
    assert_eq!(election.next(s(114)), Move::Wait);
    assert_eq!(election.next(s(115)), Move::Write(Write::Take));
    election.read(Some(record("", 2)), s(101));
    assert_eq!(election.next(s(101)), Move::Write(Write::Take));
}

#[test]
fn a_record_of_an_earlier_process_of_the_same_pod_is_taken_at_once_and_no_other() {
    for (holder, free) in [
        ("me_1", true),
        ("me_", true),
        ("me", false),
        ("me_2x", true),
        ("other_1", false),
        ("me-too_1", false),
        ("also-me_1", false),
    ] {
        let mut election = candidate();
        election.read(Some(record(holder, 1)), s(100));
        let expected = if free {
            Move::Write(Write::Take)
        } else {
            Move::Wait
        };
        assert_eq!(election.next(s(100)), expected, "{holder}");
        assert!(!election.leads(s(100)), "{holder}");
    }
    let mut election = candidate();
    election.read(Some(record("me_1", 1)), s(100));
    election.read(None, s(101));
    assert_eq!(election.next(s(101)), Move::Write(Write::Create));
}

#[test]
fn a_leader_steps_down_when_it_could_not_renew_counted_from_sending() {
    let mut election = candidate();
    election.written(record("me_2", 1), s(100));
    election.doubt();
    assert_eq!(election.next(s(109)), Move::Read);
    assert!(election.leads(s(109)));
    assert!(!election.leads(s(110)));
    assert_eq!(election.next(s(110)), Move::StepDown);
    election.step_down();
    // Its own record is no reason to wait: no other replica leads by it.
    election.read(Some(record("me_2", 1)), s(111));
    assert!(!election.leads(s(111)));
    assert_eq!(election.next(s(111)), Move::Write(Write::Renew));
}

#[test]
fn an_answer_that_comes_after_the_deadline_makes_no_leader() {
    let mut election = candidate();
    election.written(record("me_2", 1), s(100));
    assert!(!election.leads(s(130)));
    assert_eq!(election.next(s(130)), Move::StepDown);
}

#[test]
fn a_leader_that_sees_another_holder_steps_down_at_once() {
    let mut election = candidate();
    election.written(record("me_2", 1), s(100));
    election.read(Some(record("other", 2)), s(101));
    assert_eq!(election.next(s(101)), Move::StepDown);
    election.step_down();
    election.read(Some(record("other", 2)), s(102));
    assert_eq!(election.next(s(102)), Move::Wait);
}

#[test]
fn a_deleted_lease_is_created_at_once_by_its_leader_and_by_others_after_its_time() {
    let mut leader = candidate();
    leader.written(record("me_2", 1), s(100));
    leader.read(None, s(102));
    assert_eq!(leader.next(s(102)), Move::Write(Write::Create));

    let mut standby = candidate();
    standby.read(Some(record("other", 1)), s(100));
    standby.read(None, s(112));
    standby.read(None, s(120));
    assert_eq!(standby.next(s(126)), Move::Wait);
    assert_eq!(standby.next(s(127)), Move::Write(Write::Create));
}

#[test]
fn times_that_allow_two_leaders_are_rejected() {
    let sound = LeaseTiming::default();
    assert_eq!(sound.checked(), Ok(sound));
    for unsound in [
        LeaseTiming {
            lease: s(10),
            ..sound
        },
        LeaseTiming {
            renew_deadline: s(2),
            ..sound
        },
        LeaseTiming {
            retry: s(0),
            ..sound
        },
        LeaseTiming {
            jitter: f64::NAN,
            ..sound
        },
        LeaseTiming {
            jitter: -0.1,
            ..sound
        },
        LeaseTiming {
            jitter: 4.0,
            ..sound
        },
        LeaseTiming {
            lease: Duration::from_millis(900),
            renew_deadline: Duration::from_millis(600),
            retry: Duration::from_millis(100),
            jitter: 1.0,
        },
    ] {
        assert_eq!(unsound.checked(), Err(TimingError), "{unsound:?}");
    }
}
