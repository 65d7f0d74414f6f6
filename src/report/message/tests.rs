use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::OpenAttempt;
use crate::report::failure::CLIENT_ID;
use crate::rotation::{Cause, OpenBreaker, RepairCause, Repairs, Standing, Timing};
use crate::target::Target;

fn target(more: &Value) -> Target {
    let mut spec = json!({"projectId": "1", "appId": "2"});
    let fields = spec.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let object = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
        "metadata": {"name": "api", "namespace": "orders", "uid": "u"}, "spec": spec,
    });
    let object = serde_json::from_value(object).unwrap();
    Target::read(&object, Duration::from_secs(3600)).unwrap()
}

/// What is said of an object with these fields besides its ids.
fn text(
    more: &Value,
    blocked: impl Into<Blocked>,
    set: impl for<'a> FnOnce(Scene<'a>) -> Scene<'a>,
) -> String {
    let (target, timing) = (target(more), Timing::default());
    message(&blocked.into(), &set(Scene::new(&target, &timing)))
}

fn plain(blocked: impl Into<Blocked>) -> String {
    text(&json!({}), blocked, |scene| scene)
}

#[test]
fn a_client_id_that_cannot_be_used_is_the_cause_and_not_the_state_of_the_app() {
    let blocked = Blocked {
        answer: Some(CLIENT_ID.to_owned()),
        ..Reason::UnexpectedAnswer.into()
    };
    let said = plain(blocked);
    let named = "App 2: its client id cannot be used. Check the app in ZITADEL.";
    assert!(said.starts_with(named), "{said}");
}

#[test]
fn what_is_missing_for_an_adoption_is_named() {
    let spec = json!({"secret": {"name": "oauth", "adoptionPolicy": "Required"}});
    let (target, timing) = (target(&spec), Timing::default());
    let text = |keys: Option<&[String]>| {
        let scene = Scene {
            keys,
            ..Scene::new(&target, &timing)
        };
        message(&Reason::NothingToAdopt.into(), &scene)
    };
    assert!(text(None).contains("Secret oauth does not exist. Nothing was generated"));
    let keys = ["client-id", "client-secret"].map(str::to_owned);
    assert!(text(Some(&keys)).contains(
        "Secret oauth has no client secret under the key CLIENT_SECRET; its keys are client-id, client-secret."
    ));
    assert!(text(Some(&[])).contains("it has no keys"));
    let many: Vec<String> = (0..12).map(|n| format!("k{n}")).collect();
    assert!(text(Some(&many)).contains("k9 and 2 more."));
    let rejected = text(Some(&["CLIENT_SECRET".to_owned()]));
    assert!(rejected.contains("ZITADEL rejects the value of key CLIENT_SECRET in Secret oauth"));
}

#[test]
fn the_application_that_is_not_ready_is_the_one_that_is_next() {
    let of = |id: &str| {
        let (target, timing) = (
            target(&json!({"standby": {"type": "Existing", "appId": "3"}})),
            Timing::default(),
        );
        let idle = AppId::try_from(id).unwrap();
        let scene = Scene {
            idle: Some(&idle),
            ..Scene::new(&target, &timing)
        };
        message(&Reason::StandbyNotReady.into(), &scene)
    };
    assert!(of("2").starts_with("App 2 (spec.appId)"), "{}", of("2"));
    assert!(
        of("3").starts_with("App 3 (spec.standby.appId)"),
        "{}",
        of("3")
    );
}

#[test]
fn what_is_wrong_is_quoted_and_each_field_that_may_be_wrong_is_named() {
    assert_eq!(
        plain(Reason::NotAMember),
        "The service user of ZitadelConnection default has no membership that covers project 1: add it as an administrator (PROJECT_OWNER) of the project, or correct spec.projectId or spec.organizationId"
    );
    let denied = plain(Reason::PermissionDenied);
    assert!(denied.contains("or correct spec.projectId"), "{denied}");
    assert!(
        denied.contains("the project may have been removed"),
        "{denied}"
    );
    let spec = json!({"organizationId": "77", "suspend": true, "rotation": {"trigger": "now"}});
    let organization = text(&spec, Reason::OrganizationNotFound, |scene| scene);
    assert!(
        organization.starts_with("Organization 77 (spec.organizationId) does not exist"),
        "{organization}"
    );
    let missing = text(&spec, Reason::AppNotFound, |scene| scene);
    assert_eq!(
        missing,
        "App 2 does not exist in project 1 of organization 77: check spec.appId (not the client ID), spec.projectId and spec.organizationId"
    );
    let suspended = |handled| {
        text(&spec, Reason::Suspended, |scene| Scene {
            handled: Some(handled),
            ..scene
        })
    };
    assert_eq!(
        suspended("before"),
        "Everything is stopped by spec.suspend: true. Remove it to continue; spec.rotation.trigger \"now\" is pending until then"
    );
    assert!(!suspended("now").contains("pending"));
    let type_ = text(&json!({}), Reason::SecretTypeMismatch, |scene| Scene {
        found_type: Some("kubernetes.io/basic-auth"),
        ..scene
    });
    assert!(
        type_.starts_with(
            "Secret api has type kubernetes.io/basic-auth, spec.secret.type is Opaque"
        ),
        "{type_}"
    );
}

#[test]
fn who_writes_the_secret_as_well_is_named_beside_the_way_out_of_it() {
    let text = |writer: Option<Writer>| {
        let (target, timing) = (target(&json!({})), Timing::default());
        let scene = Scene {
            writer: writer.as_ref(),
            ..Scene::new(&target, &timing)
        };
        message(&Reason::SecretContested.into(), &scene)
    };
    let writer = |applies| Writer {
        manager: "flux".to_owned(),
        key: "CLIENT_SECRET".to_owned(),
        applies,
    };
    assert_eq!(
        text(Some(writer(true))),
        "Field manager flux applies key CLIENT_SECRET of Secret api as well, so rotations wait: take the key out of what it applies, or set a new spec.rotation.trigger to take the key over"
    );
    assert_eq!(
        text(Some(writer(false))),
        "Field manager flux changed key CLIENT_SECRET of Secret api again after a repair within the last 1d, and ZITADEL rejects the value: keep it from writing the key, then set a new spec.rotation.trigger"
    );
}

#[test]
fn where_no_one_else_writes_the_secret_the_message_says_what_to_check_at_zitadel() {
    let stalled = text(&json!({}), Reason::Refused, |scene| Scene {
        stalled: true,
        ..scene
    });
    assert!(
        stalled.starts_with("ZITADEL rejects each client secret that it generates for app 2"),
        "{stalled}"
    );
    assert!(!plain(Reason::Refused).contains("each client secret"));
}

#[test]
fn a_quota_a_policy_and_a_webhook_are_named() {
    let refused = |reason: Reason, by: &str| {
        plain(Blocked {
            answer: Some(by.to_owned()),
            ..reason.into()
        })
    };
    assert_eq!(
        refused(Reason::QuotaExceeded, "ResourceQuota team"),
        "ResourceQuota team of namespace orders does not allow Secret api: raise it, or delete a Secret that is not needed"
    );
    assert_eq!(
        refused(
            Reason::SecretWriteRefused,
            "ValidatingAdmissionPolicy no-secrets"
        ),
        "ValidatingAdmissionPolicy no-secrets refuses Secret api: exempt the Secret or namespace orders from it, or change spec.secret to what it allows"
    );
    let failing = refused(
        Reason::SecretWriteRefused,
        "admission webhook a.example.com, which fails",
    );
    assert!(
        failing.starts_with("Admission webhook a.example.com fails and so refuses Secret api"),
        "{failing}"
    );
    let claim = refused(Reason::ClaimWriteForbidden, "ResourceQuota leases");
    assert!(
        claim.starts_with("ResourceQuota leases refuses the Lease with the claim of app 2"),
        "{claim}"
    );
}

#[test]
fn after_an_answer_that_proves_nothing_it_is_said_what_came_what_happens_next_and_when() {
    let begun: OpenAttempt = serde_json::from_value(json!({
        "id": "x", "phase": "Open", "reason": "Due", "startedAt": "2026-11-29T11:00:00Z",
    }))
    .unwrap();
    let (target, timing) = (target(&json!({})), Timing::default());
    let scene = Scene {
        attempt: Some(&begun),
        ..Scene::new(&target, &timing)
    };
    let blocked = Blocked {
        answer: Some("HTTP 503".to_owned()),
        ..Reason::OutcomeUnknown.into()
    };
    assert_eq!(
        message(&blocked, &scene),
        "ZITADEL's response to the generate call for app 2 does not say whether it was carried out. The operator decides by ZITADEL's change list, about 1m30s after 2026-11-29T11:00:00Z: a lost client secret is replaced, otherwise the call is made again after 30s, doubling up to 1h (HTTP 503)"
    );
    let unavailable = plain(Blocked {
        answer: Some("HTTP 503".to_owned()),
        call: Some("generate"),
        ..Reason::ZitadelUnavailable.into()
    });
    assert_eq!(
        unavailable,
        "ZITADEL reports that it cannot serve requests when the client secret of app 2 was requested (HTTP 503). ZitadelConnection default: check ZITADEL and what is between it and the operator. The operator tries again after 30s; waits double up to 1h"
    );
}

#[test]
fn whatever_waits_for_a_time_says_it_once() {
    let next: Timestamp = "2026-11-29T03:00:10Z".parse().unwrap();
    let text = |blocked: Blocked| {
        text(&json!({}), blocked, |scene| Scene {
            next: Some(next),
            ..scene
        })
    };
    let unavailable = text(Blocked {
        answer: Some("HTTP 503".to_owned()),
        call: Some("generate"),
        ..Reason::ZitadelUnavailable.into()
    });
    assert!(
        unavailable
            .ends_with("The operator tries again at 2026-11-29T03:00:10Z; waits double up to 1h"),
        "{unavailable}"
    );
    let unknown = text(Blocked {
        answer: Some("HTTP 503".to_owned()),
        ..Reason::OutcomeUnknown.into()
    });
    assert!(
        unknown.contains("decides by ZITADEL's change list, at 2026-11-29T03:00:10Z: a lost"),
        "{unknown}"
    );
    let quota = text(Blocked {
        answer: Some("ResourceQuota x; nothing was rotated".to_owned()),
        ..Reason::QuotaExceeded.into()
    });
    assert!(
        quota.ends_with("Nothing was rotated. The operator tries again at 2026-11-29T03:00:10Z"),
        "{quota}"
    );
    let missing = text(Reason::SecretMissing.into());
    assert!(
        missing.ends_with("unless it is back by 2026-11-29T03:00:10Z"),
        "{missing}"
    );
    for reason in Reason::ALL {
        let text = text((*reason).into());
        assert_eq!(text.matches("2026-11-29T03:00:10Z").count(), 1, "{text}");
        assert!(text.len() < 700, "{text}");
    }
}

#[test]
fn while_zitadel_is_away_a_verdict_that_stands_has_its_age() {
    let text = text(&json!({}), Reason::ZitadelUnreachable, |scene| Scene {
        accepted: "2026-11-29T02:00:00Z".parse().ok(),
        ..scene
    });
    assert!(
        text.ends_with(". ZITADEL accepted the stored client secret at 2026-11-29T02:00:00Z"),
        "{text}"
    );
}

#[test]
fn an_open_breaker_says_whether_consumers_are_down_what_was_lost_and_when_it_closes() {
    let time = |second: i64| jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
    let known = |second, cause: Cause, answer: Option<&str>| RepairCause {
        time: time(second),
        cause: cause.as_str().to_owned(),
        answer: answer.map(ToOwned::to_owned),
    };
    let mut breaker = OpenBreaker {
        closes: time(3600),
        repairs: Repairs {
            times: vec![time(0), time(1), time(2), time(3)],
            causes: vec![
                known(1, Cause::LostAttempt, None),
                known(2, Cause::LostAttempt, Some("malformed response, HTTP 200")),
                known(3, Cause::SecretMissing, None),
            ],
        },
        held: Cause::LostAttempt,
        answer: None,
        standing: Standing::Rejected,
    };
    assert_eq!(
        repairs_are_held(&breaker, "api"),
        "Consumers are down: ZITADEL rejects the client secret in Secret api. Repaired too often: ZITADEL carried out 3 rotations whose responses could not be used (malformed response, HTTP 200); the client secret was deleted once: find out who deletes it; rotations of which no record says why they were made: 1. The next repair is made at 2027-01-15T09:00:00Z; to rotate now, set a new spec.rotation.trigger"
    );
    breaker.repairs.causes[2].cause = RepairCause::WITHOUT_EFFECT.to_owned();
    breaker.repairs.causes[1].cause = "Foretold".to_owned();
    breaker.held = Cause::Due;
    let text = repairs_are_held(&breaker, "api");
    let why = "ZITADEL carried out a rotation whose response could not be used (malformed response, HTTP 200); ZITADEL returned a client secret that it never accepted 2 times; rotations of which no record says why they were made: 2";
    assert!(text.contains(why), "{text}");
    breaker.standing = Standing::Accepted;
    breaker.answer = Some("no response in time".to_owned());
    let text = repairs_are_held(&breaker, "api");
    assert!(text.starts_with("ZITADEL accepts"), "{text}");
    assert!(text.contains("(no response in time)"), "{text}");
}

#[test]
fn during_a_rename_the_message_says_where_the_value_is_and_does_not_suggest_adoption() {
    let renaming = |reason: Reason| {
        text(&json!({}), reason, |scene| Scene {
            former: Some("old"),
            ..scene
        })
    };
    assert_eq!(
        renaming(Reason::SecretNotOwned),
        "Secret api exists but is not managed by this operator: delete it, or choose another spec.secret.name. Until then the client secret stays in Secret old"
    );
    assert!(renaming(Reason::QuotaExceeded).ends_with("stays in Secret old"));
    assert!(!renaming(Reason::ZitadelTimeout).contains("Secret old"));
    assert!(plain(Reason::SecretNotOwned).contains("spec.secret.adoptionPolicy"));
}

#[test]
fn a_call_that_is_refused_alone_does_not_point_at_the_connection() {
    let blocked = Blocked {
        call: Some("generate"),
        error_id: Some("AUTH-7fs1e".to_owned()),
        answer: Some("HTTP 401".to_owned()),
        ..Reason::CredentialRejected.into()
    };
    assert_eq!(
        plain(blocked),
        "ZITADEL did not accept the operator's token when the client secret of app 2 was requested (AUTH-7fs1e); tried again"
    );
}

#[test]
fn an_object_over_a_broken_connection_carries_the_connections_own_sentence() {
    let blocked = Blocked {
        connection: Some("ZITADEL: discovery: iam.example.com:443 refuses connections".into()),
        ..Reason::ZitadelUnreachable.into()
    };
    assert_eq!(
        plain(blocked),
        "ZitadelConnection default cannot be used: ZITADEL: discovery: iam.example.com:443 refuses connections"
    );
}

#[test]
fn an_application_that_is_not_ready_says_which_of_its_two_causes() {
    let text = |why| {
        text(&json!({}), Reason::AppNotReady, |scene| Scene {
            not_ready: Some(why),
            ..scene
        })
    };
    let inactive = text(NotReady::Inactive);
    assert!(
        inactive.contains("is inactive") && !inactive.contains("BASIC"),
        "{inactive}"
    );
    let method = text(NotReady::Method);
    assert!(
        method.contains("BASIC") && !method.contains("inactive"),
        "{method}"
    );
}

#[test]
fn every_sentence_names_an_object_or_a_field_and_has_no_full_stop() {
    for reason in Reason::ALL {
        for stalled in [false, true] {
            let text = text(&json!({}), *reason, |scene| Scene { stalled, ..scene });
            assert!(!text.ends_with('.') && text.len() < 700, "{text}");
            let spoken = [
                "whoever",
                "somebody",
                "nobody",
                "looked at",
                "shall",
                "organisation",
                "  ",
                "()",
            ];
            assert!(!spoken.iter().any(|word| text.contains(word)), "{text}");
        }
    }
}

#[test]
fn a_value_that_waits_beside_one_that_works_is_said_to_be_in_memory_only() {
    let held = text(&json!({}), Reason::SecretHeld, |scene| Scene {
        candidate: true,
        ..scene
    });
    assert!(held.contains("keeps the one that works"), "{held}");
    let away = Blocked {
        connection: Some("127.0.0.1:8080 refuses connections".into()),
        ..Reason::ZitadelUnreachable.into()
    };
    let away = text(&json!({}), away, |scene| Scene {
        held: true,
        candidate: true,
        ..scene
    });
    assert!(away.contains("refuses connections"), "{away}");
    assert!(away.contains("do not restart the operator"), "{away}");
}

#[test]
fn a_held_value_whose_secret_cannot_be_written_is_said_to_be_in_memory_only() {
    for reason in [
        Reason::SecretWriteRefused,
        Reason::SecretWriteForbidden,
        Reason::QuotaExceeded,
        Reason::SecretMutated,
        Reason::KubernetesUnavailable,
    ] {
        for former in [None, Some("old")] {
            let said = text(&json!({}), reason, |scene| Scene {
                held: true,
                former,
                ..scene
            });
            let warned = ". A new client secret is in the operator's memory only until the Secret can be written: do not restart the operator until then";
            assert!(said.ends_with(warned), "{said}");
            let none = text(&json!({}), reason, |scene| Scene { former, ..scene });
            assert!(!none.contains("restart"), "{none}");
        }
    }
    let held = text(&json!({}), Reason::SecretHeld, |scene| Scene {
        held: true,
        ..scene
    });
    assert_eq!(held.matches("restart the operator").count(), 1, "{held}");
}
