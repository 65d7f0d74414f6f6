//! Answers of ZITADEL that cannot be used.

use crate::fixtures::{assert_conditions, assert_status, holds, message, reason, tenant};
use crate::support::eventually;
use crate::support::world::PATIENCE;
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType, Status};
use zitadel_simulator::{Action, Fault, Operation, Reply};

#[tokio::test]
async fn an_answer_of_generate_without_a_usable_secret_costs_one_more_generate_and_no_more() {
    let tenant = tenant("answers").await;
    let body = |body: &str| Action::ReplaceBody(body.to_owned());
    let secret = |secret: Value| {
        Action::ReplaceBody(json!({"clientSecret": secret, "details": {"sequence": "1", "changeDate": "2026-01-01T00:00:00Z"}}).to_string())
    };
    let cases = [
        ("empty-object", body("{}")),
        ("empty-body", body("")),
        ("null", secret(Value::Null)),
        ("number", secret(json!(7))),
        ("list", secret(json!(["a"]))),
        ("empty-text", secret(json!(""))),
        ("control", secret(json!("canary\nsecret"))),
        ("nul", secret(json!("canary\0secret"))),
        ("large", secret(json!("x".repeat(65_536)))),
        ("trailing", body("{\"clientSecret\":\"canary\"} canary")),
        (
            "html",
            Action::RespondAfter(Reply::new(200, "text/html", "<html>canary</html>")),
        ),
        ("truncated", Action::Truncate(30)),
        ("garbage", Action::Garbage),
        ("gzip", Action::Gzip),
        (
            "redirect",
            Action::RespondAfter(Reply::redirect("http://127.0.0.1:1/canary")),
        ),
        ("endless", Action::Endless),
        ("oversize", Action::Oversize(1 << 20)),
        (
            "bad-gateway",
            Action::RespondAfter(Reply::ingress_html(502)),
        ),
        (
            "interrupted",
            Action::RespondAfter(Reply::action_interrupted()),
        ),
    ];
    let mut apps = Vec::new();
    for (name, action) in cases {
        let app = tenant.app(name);
        let fault = tenant
            .zitadel
            .inject(Fault::on(Operation::Generate, action).app(&app.id));
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        apps.push((name, app, fault));
    }
    for (name, app, fault) in &apps {
        let object = tenant.ready(name).await;
        assert_eq!(tenant.zitadel.fired(*fault), 1, "{name}");
        assert_eq!(tenant.generates(app), 2, "{name}");
        assert!(tenant.accepted(app, name).await, "{name}");
        let status = object.status.unwrap();
        assert_eq!(
            status.last_rotation.as_ref().unwrap().reason,
            "LostAttempt",
            "{name}"
        );
        assert!(!json!(status).to_string().contains("canary"), "{name}");
        for (_, _, note) in tenant.events(name).await {
            assert!(!note.contains("canary"), "{name}: {note}");
        }
    }
}

#[tokio::test]
async fn refusals_before_execution_cost_no_generate_and_are_tried_again() {
    let tenant = tenant("refusals").await;
    let cases = [
        ("quota", Reply::quota_exhausted(), Some("RateLimited")),
        ("token", Reply::token_invalid(), Some("CredentialRejected")),
        ("org", Reply::org_unknown(), Some("OrganizationNotFound")),
    ];
    for (name, reply, reason) in cases {
        let app = tenant.app(name);
        let fault = tenant.zitadel.inject(
            Fault::on(Operation::Generate, Action::RespondBefore(reply))
                .app(&app.id)
                .always(),
        );
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        if let Some(reason) = reason {
            tenant.reason(name, reason).await;
        }
        assert_eq!(tenant.generates(&app), 0, "{name}");
        tenant.zitadel.remove_fault(fault);
        tenant.ready(name).await;
        assert_eq!(tenant.generates(&app), 1, "{name}");
    }
}

#[tokio::test]
async fn a_judge_that_refuses_everybody_rotates_nothing() {
    let tenant = tenant("judge").await;
    let (app, edited) = (tenant.app("orders"), tenant.app("edited"));
    for (name, app) in [("orders", &app), ("edited", &edited)] {
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        tenant.ready(name).await;
    }
    let refused = r#"{"error":"invalid_client"}"#;
    let reply = Reply::new(400, "application/json", refused);
    let faults = [&app, &edited].map(|app| {
        let action = Action::RespondBefore(reply.clone());
        let fault = Fault::on(Operation::Introspect, action).app(&app.id);
        tenant.zitadel.inject(fault.always())
    });
    // A reason to ask the judge: the Secret has another revision, and one of them another value.
    let label = json!({"metadata": {"labels": {"touched": "yes"}}});
    tenant.edit_secret("orders", label).await;
    let value = json!({"stringData": {"CLIENT_SECRET": "by-hand"}});
    tenant.edit_secret("edited", value).await;
    let object = assert_status!(tenant, "orders", "Refused", !Ready);
    assert_eq!(reason(&object, ConditionType::Verified), "Refused");
    // A value of another writer is reason enough. It is replaced, and then nothing more can be said of it either.
    tenant.until_generates(&edited, 2).await;
    let probes = || tenant.zitadel.requests(Operation::Introspect);
    let before = probes();
    eventually(PATIENCE, || async {
        (probes() > before + 20).then_some(())
    })
    .await;
    assert_eq!(tenant.generates(&app), 1);
    for fault in faults {
        tenant.zitadel.remove_fault(fault);
    }
    // On a busy machine the first answer may come too late to count.
    let verified = |object: &AppSecret| {
        let verdict = object
            .status
            .as_ref()?
            .conditions
            .get(ConditionType::Verified)?;
        let ready = holds(object, ConditionType::Ready);
        assert!(!ready || verdict.status != Status::False, "{verdict:?}");
        let both = [ConditionType::Ready, ConditionType::Verified];
        both.iter().all(|it| holds(object, *it)).then_some(())
    };
    tenant.until("orders", verified).await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn where_zitadel_rejects_what_it_hands_out_no_other_tool_is_blamed() {
    let tenant = tenant("rejects").await;
    let app = tenant.app("orders");
    let reply = Reply::new(
        400,
        "application/json",
        r#"{"error":"unauthorized_client"}"#,
    );
    let fault = Fault::on(Operation::Introspect, Action::RespondBefore(reply)).app(&app.id);
    let fault = tenant.zitadel.inject(fault.always());
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant
        .until("orders", |object| {
            let message = message(object, ConditionType::Stalled);
            let stalled = holds(object, ConditionType::Stalled);
            (stalled && message.contains("each client secret")).then_some(())
        })
        .await;
    assert_conditions!(object, !Ready "Refused");
    let message = message(&object, ConditionType::Ready);
    let expected = format!(
        "ZITADEL rejects each client secret that it generates for app {}",
        app.id
    );
    assert!(message.starts_with(&expected), "{message}");
    let before = tenant.generates(&app);
    tenant.zitadel.remove_fault(fault);
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), before, "the value was good");
}
