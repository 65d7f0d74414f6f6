//! Connections over ZITADEL's API v2, which has no sequence and no journal, and the way from one API to the other.

use serde_json::json;
use zitadel_secret_operator::api::{ApiInUse, ConditionType};
use zitadel_simulator::{
    Action, Api as Over, AppHandle, Config, Cut, Deprecation, Fault, Operation, Reply, Served,
    Simulator,
};

use crate::fixtures::message;
use crate::support::eventually;
use crate::support::world::{PATIENCE, Tenant, World};

fn zitadel() -> Simulator {
    Simulator::start(Config::default()).unwrap()
}

/// A tenant of a ZITADEL of its own, over a connection with that `spec.api`.
async fn tenant(prefix: &str, zitadel: &Simulator, api: &str) -> Tenant {
    let tenant = World::shared().await.tenant_at(prefix, zitadel).await;
    tenant.apply_connection(json!({ "api": api })).await;
    tenant.connected().await;
    tenant
}

async fn in_use(tenant: &Tenant) -> Option<ApiInUse> {
    let connection = tenant.connections().get(&tenant.namespace).await.unwrap();
    connection.status?.api
}

async fn until_in_use(tenant: &Tenant, version: &str) {
    eventually(PATIENCE, || async {
        (in_use(tenant).await?.in_use == version).then_some(())
    })
    .await;
}

/// How many requests about an application went over an API.
fn requests(zitadel: &Simulator, over: Over) -> usize {
    let all = zitadel.request_log();
    all.iter().filter(|request| request.api == over).count()
}

/// Sets a trigger and waits until it is handled and the Secret has what ZITADEL accepts.
async fn rotate(tenant: &Tenant, app: &AppHandle, trigger: &str) {
    tenant.trigger("orders", trigger).await;
    tenant.handled("orders", trigger).await;
    tenant.until_accepted(app, "orders").await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn over_v2_a_rotation_is_one_generate_and_no_sequence_is_said() {
    let zitadel = zitadel();
    let tenant = tenant("v2", &zitadel, "V2").await;
    let v1 = requests(&zitadel, Over::ManagementV1);
    let app = tenant.issued("orders", json!({})).await;
    rotate(&tenant, &app, "again").await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(requests(&zitadel, Over::ManagementV1), v1);
    let made = zitadel.executions();
    let newest = made.iter().max_by_key(|made| made.change_date).unwrap();
    let status = tenant.status("orders").await;
    assert_eq!(status.sequence, None);
    assert_eq!(status.change_date.unwrap().0, newest.change_date);
    assert!(status.history.iter().all(|past| past.sequence.is_none()));
    assert_eq!(status.history.len(), 2);
    let rotated = tenant.event("orders", "Rotated").await;
    assert!(rotated.contains("changed at 20"), "{rotated}");
    let expected = ApiInUse {
        in_use: "V2".to_owned(),
        journal: "None".to_owned(),
    };
    assert_eq!(in_use(&tenant).await, Some(expected));
    tenant
        .connection_says("Connected", "it has no journal")
        .await;
    // At rest nothing is asked.
    tenant.fence().await;
    let before = tenant.requests_about(&app);
    tenant.fence().await;
    assert_eq!(tenant.requests_about(&app), before);
}

/// Rotates over v2 while that happens to the first generate call. Returns how many calls were carried out in all, and the cause of the
/// rotation that came of it.
async fn rotated_in_spite_of(prefix: &str, action: Action) -> (u64, String) {
    let zitadel = zitadel();
    let tenant = tenant(prefix, &zitadel, "V2").await;
    let app = tenant.issued("orders", json!({})).await;
    let fault = zitadel.inject(Fault::on(Operation::Generate, action).times(1));
    rotate(&tenant, &app, "lost").await;
    assert_eq!(zitadel.fired(fault), 1);
    let last = tenant.status("orders").await.last_rotation.unwrap();
    (tenant.generates(&app), last.reason)
}

#[tokio::test]
async fn a_lost_answer_is_found_by_asking_about_the_stored_value() {
    let came = rotated_in_spite_of("v2-lost", Action::DropAfter(Cut::Reset)).await;
    assert_eq!(came, (3, "LostAttempt".to_owned()));
}

#[tokio::test]
async fn a_lost_request_is_sent_again_once_it_is_known_that_it_did_nothing() {
    let came = rotated_in_spite_of("v2-request", Action::DropBefore(Cut::Reset)).await;
    assert_eq!(came, (2, "Trigger".to_owned()));
}

#[tokio::test]
async fn a_rotation_by_another_actor_is_found_by_its_date_and_repaired_and_a_rename_is_not() {
    let zitadel = zitadel();
    let tenant = tenant("v2-foreign", &zitadel, "V2").await;
    let app = tenant.issued("orders", json!({})).await;
    let before = tenant.client_secret("orders").await;
    let lists = zitadel.requests(Operation::SearchApps);
    zitadel.rename_app(&app.id, "renamed").unwrap();
    eventually(PATIENCE, || async {
        (zitadel.requests(Operation::SearchApps) >= lists + 2).then_some(())
    })
    .await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    assert_eq!(tenant.client_secret("orders").await, before);
    tenant.ready("orders").await;
    zitadel.rotate_elsewhere(&app.id, None).unwrap();
    tenant.rotated("orders", "SecretInvalid").await;
    tenant.until_accepted(&app, "orders").await;
}

#[tokio::test]
async fn a_server_that_is_upgraded_and_rolled_back_costs_no_generate() {
    let zitadel = zitadel();
    let tenant = tenant("upgraded", &zitadel, "Auto").await;
    let app = tenant.issued("orders", json!({})).await;
    assert_eq!(in_use(&tenant).await.unwrap().in_use, "V1");
    assert!(tenant.status("orders").await.sequence.is_some());
    zitadel.configure(|settings| settings.management_v1 = Served::UnknownRoute);
    // The scan of the projects notices it.
    until_in_use(&tenant, "V2").await;
    let (type_, note) = tenant.connection_event("ApiChanged").await;
    assert_eq!(type_, "Warning");
    assert!(
        note.starts_with("ZITADEL's API V2 is used instead of V1"),
        "{note}"
    );
    rotate(&tenant, &app, "over-v2").await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(tenant.status("orders").await.sequence, None);

    zitadel.configure(|settings| settings.management_v1 = Served::Yes);
    tenant
        .apply_connection(json!({"api": "Auto", "limits": {"concurrentGenerates": 2}}))
        .await;
    until_in_use(&tenant, "V1").await;
    // The record gets the number that v2 did not give.
    let latest = zitadel.latest(&app.id).unwrap();
    tenant
        .until("orders", |object| {
            let sequence = object.status.as_ref()?.sequence.as_ref()?;
            (*sequence == latest.to_string()).then_some(())
        })
        .await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 2);
    rotate(&tenant, &app, "over-v1").await;
    assert_eq!(tenant.generates(&app), 3);
}

#[tokio::test]
async fn an_attempt_over_one_api_is_finished_when_only_the_other_is_served() {
    for (prefix, served, over) in [
        ("v1-v2", Served::Yes, Over::ManagementV1),
        ("v2-v1", Served::Unimplemented, Over::ApplicationV2),
    ] {
        let zitadel = zitadel();
        zitadel.configure(|settings| settings.management_v1 = served);
        let tenant = tenant(prefix, &zitadel, "Auto").await;
        let app = tenant.issued("orders", json!({})).await;
        // What it is answered is lost, and then the API is.
        let gate = zitadel.gate(prefix);
        let hold = Action::HoldAfter {
            gate: gate.name().to_owned(),
        };
        for action in [hold, Action::DropAfter(Cut::Reset)] {
            let fault = Fault::on(Operation::Generate, action);
            zitadel.inject(fault.through(over).times(1));
        }
        tenant.trigger("orders", "lost").await;
        gate.reached().await;
        let other = if served == Served::Yes {
            Served::Unimplemented
        } else {
            Served::Yes
        };
        zitadel.configure(|settings| settings.management_v1 = other);
        tenant
            .apply_connection(json!({"api": "Auto", "limits": {"concurrentGenerates": 2}}))
            .await;
        let expected = if served == Served::Yes { "V2" } else { "V1" };
        until_in_use(&tenant, expected).await;
        gate.release();
        tenant.handled("orders", "lost").await;
        tenant.until_accepted(&app, "orders").await;
        tenant.ready("orders").await;
        assert_eq!(tenant.generates(&app), 3, "{prefix}");
    }
}

#[tokio::test]
async fn a_question_about_the_api_that_fails_leaves_v1_in_use() {
    let zitadel = zitadel();
    let fails = Action::RespondBefore(Reply::ingress_html(500));
    let fault = Fault::on(Operation::GetApp, fails).through(Over::ManagementV1);
    let fault = zitadel.inject(fault.times(1));
    let tenant = tenant("asked", &zitadel, "Auto").await;
    assert_eq!(zitadel.fired(fault), 1);
    assert_eq!(in_use(&tenant).await.unwrap().in_use, "V1");
    tenant.issued("orders", json!({})).await;
}

#[tokio::test]
async fn an_api_that_is_not_served_is_named_and_nothing_is_sent() {
    let zitadel = zitadel();
    let tenant = tenant("unserved", &zitadel, "Auto").await;
    let app = tenant.issued("orders", json!({})).await;
    zitadel.configure(|settings| {
        settings.management_v1 = Served::ProxyRefusal;
        settings.application_v2 = Served::UnknownRoute;
    });
    for (api, part) in [
        ("V2", "does not serve its application service v2"),
        ("Auto", "nor its application service v2"),
    ] {
        tenant.apply_connection(json!({ "api": api })).await;
        tenant.connection_says("ApiNotServed", part).await;
    }
    tenant.trigger("orders", "again").await;
    let object = tenant.reason("orders", "ApiNotServed").await;
    let text = message(&object, ConditionType::Ready);
    assert!(text.contains("spec.api"), "{text}");
    assert_eq!(tenant.generates(&app), 1);
    zitadel.configure(|settings| settings.application_v2 = Served::Yes);
    tenant.apply_connection(json!({"api": "V2"})).await;
    tenant.handled("orders", "again").await;
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test]
async fn over_v2_an_application_of_another_project_or_kind_is_refused_and_none_is_created() {
    let zitadel = zitadel();
    let tenant = tenant("v2-wrong", &zitadel, "V2").await;
    let app = tenant.app("orders");
    let other = zitadel.create_project(&tenant.organization, "other");
    zitadel.grant(
        &tenant.user,
        zitadel_simulator::Role::ProjectOwner,
        zitadel_simulator::Scope::Project(other.clone()),
    );
    let stranger = zitadel.create_api_app(&other, "stranger").unwrap();
    tenant
        .apply("stranger", &stranger.id, json!({}))
        .await
        .unwrap();
    tenant.reason("stranger", "AppNotFound").await;
    let standby = json!({"standby": {"type": "Provisioned"}});
    tenant.apply("orders", &app.id, standby).await.unwrap();
    let object = tenant.reason("orders", "StandbyNotReady").await;
    let text = message(&object, ConditionType::Ready);
    assert!(
        text.contains("uses ZITADEL's API V2") && text.contains("type: Existing"),
        "{text}"
    );
    assert_eq!(
        (tenant.generates(&app), tenant.generates(&stranger)),
        (0, 0)
    );
    let second = tenant.app("second");
    let standby = json!({"standby": {"type": "Existing", "appId": second.id}});
    tenant.apply("orders", &app.id, standby).await.unwrap();
    tenant.ready("orders").await;
}

#[tokio::test]
async fn an_api_that_is_announced_to_end_is_named_with_the_day() {
    let zitadel = zitadel();
    zitadel.configure(|settings| {
        settings.v1_deprecation = Some(Deprecation {
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            sunset: Some("2027-06-01T00:00:00Z".parse().unwrap()),
        });
    });
    let tenant = tenant("deprecated", &zitadel, "Auto").await;
    let said =
        "over API V1, which ZITADEL calls deprecated since 2026-01-01, and served until 2027-06-01";
    tenant.connection_says("Connected", said).await;
}
