//! What other versions of the operator store is read, and stays as it is. `tests/fixtures/0.1.0` was written by commit 1da56b4, against a
//! ZITADEL simulator (see `make upgrade`); its specs, and the hashes over them, have the fields of today.

use std::time::Duration;

use serde_json::Value as Json;

use crate::api::{ApiAppSecret, AppSecret, Outcome, ZitadelConnection};
use crate::rotation::{Bytes32, Claim, CommitRecord, HandledTrigger};
use crate::store::secret::{Endpoints, SecretTarget};
use crate::target::Target;
use crate::target::apps::scope;

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

/// An object, the record of its Secret and one of its claims.
struct Stored {
    object: &'static str,
    record: &'static str,
    claim: &'static str,
}

macro_rules! stored {
    ($object:literal, $record:literal, $claim:literal) => {
        Stored {
            object: include_str!(concat!("../../tests/fixtures/0.1.0/", $object, ".json")),
            record: include_str!(concat!("../../tests/fixtures/0.1.0/", $record, ".json")),
            claim: include_str!(concat!("../../tests/fixtures/0.1.0/", $claim, ".json")),
        }
    };
}

const OPEN: Stored = stored!("open-object", "open-record", "open-claim");
const STORED: [Stored; 4] = [
    OPEN,
    stored!("settled-object", "settled-record", "settled-claim"),
    stored!("pair-object", "pair-record", "pair-claim"),
    stored!("pair-object", "pair-record", "pair-standby-claim"),
];
const CONNECTION: &str = include_str!("../../tests/fixtures/0.1.0/connection.json");

fn object(text: &str) -> AppSecret {
    serde_json::from_str(text).unwrap()
}

#[test]
fn nothing_of_what_the_first_version_stored_is_lost_when_it_is_written_again() {
    for stored in &STORED {
        let read: ApiAppSecret = serde_json::from_str(stored.object).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), json(stored.object));
        let claim = Claim::from_json(stored.claim).unwrap();
        assert_eq!(json(&claim.to_json()), json(stored.claim));
        let record = CommitRecord::from_json(stored.record).unwrap();
        assert_eq!(json(&record.to_json()), json(stored.record));
        assert_eq!(record.owner, claim.owner);
        assert!(record.stored().is_some());
        for past in read.status.unwrap().history {
            assert!(Outcome::from_word(&past.outcome).is_some());
        }
    }
    let connection: ZitadelConnection = serde_json::from_str(CONNECTION).unwrap();
    let mut stored = json(CONNECTION);
    // Now `status.api.journal`, which the next check of the connection writes.
    let status = stored["status"].as_object_mut().unwrap();
    status.remove("journalReadable").unwrap();
    assert_eq!(serde_json::to_value(connection).unwrap(), stored);
}

#[test]
fn an_attempt_of_the_first_version_that_is_open_is_known_as_such_and_the_origin_of_its_bytes_is_not()
 {
    let claim = Claim::from_json(OPEN.claim).unwrap();
    let record = CommitRecord::from_json(OPEN.record).unwrap();
    let open = claim.live_attempt().unwrap();
    assert_ne!(record.stored().unwrap().entry.attempt, Some(open.id));
    assert_eq!(
        open.pre_sequence,
        record.stored().map(|it| it.entry.sequence)
    );
    assert_eq!(record.handled_trigger(), HandledTrigger::Unrecorded);
    assert_eq!((record.fingerprint, &open.stored), (None, &None));
}

#[test]
fn a_stored_secret_is_not_written_again_because_a_hash_is_made_in_another_way() {
    for stored in &STORED {
        let record = CommitRecord::from_json(stored.record).unwrap();
        let target = Target::read(&object(stored.object), Duration::from_secs(3600)).unwrap();
        // Each ZITADEL of that run listened on one port.
        let connection: ZitadelConnection = serde_json::from_str(CONNECTION).unwrap();
        let issuer = connection.spec.url;
        let endpoints = Endpoints {
            introspection: format!("{issuer}/oauth/v2/introspect"),
            token: format!("{issuer}/oauth/v2/token"),
            issuer: issuer.clone(),
        };
        let place = SecretTarget {
            target: &target,
            scope: &scope(&issuer, &target.app),
            endpoints: &endpoints,
            salt: Bytes32([0; 32]),
        };
        assert_eq!(place.scope, record.scope, "{}", target.owner.name);
        assert_eq!(place.template_hash(), record.template);
    }
}

#[test]
fn objects_of_a_later_version_are_read_by_what_is_known_of_them() {
    let read = object(include_str!(
        "../../tests/fixtures/object-of-a-later-version.json"
    ));
    let target = Target::read(&read, Duration::from_secs(3600)).unwrap();
    assert_eq!(target.trigger.as_deref(), Some("b"));
    let status = read.status.unwrap();
    assert_eq!(status.attempt.unwrap().phase, "Levitating");
    assert_eq!(Outcome::from_word(&status.history[0].outcome), None);
    let connection = include_str!("../../tests/fixtures/connection-of-a-later-version.json");
    let connection: ZitadelConnection = serde_json::from_str(connection).unwrap();
    assert_eq!(connection.spec.grants.len(), 1);
}

#[test]
fn a_record_that_is_made_anew_for_the_same_value_keeps_what_is_unknown_and_one_for_a_new_value_does_not()
 {
    let record = include_str!("../../tests/fixtures/record-of-a-later-version.json");
    let record = CommitRecord::from_json(record).unwrap();
    let stored = object(include_str!(
        "../../tests/fixtures/object-of-a-later-version.json"
    ));
    let target = Target::read(&stored, Duration::from_secs(3600)).unwrap();
    let endpoints = Endpoints {
        issuer: String::new(),
        introspection: String::new(),
        token: String::new(),
    };
    let place = SecretTarget {
        target: &target,
        scope: "s",
        endpoints: &endpoints,
        salt: Bytes32([0; 32]),
    };
    let amended = place.amended(&record, None);
    assert_eq!(
        (&amended.unknown, &amended.apps),
        (&record.unknown, &record.apps)
    );
    let another = record.stored().unwrap().clone();
    let published = crate::store::secret::Published::default();
    let commit = place.commit(&target.app.app, another, Some(&record), published);
    assert_eq!(commit.unknown, crate::rotation::UnknownFields::default());
}
