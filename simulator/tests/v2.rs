//! The application service v2: what is not recorded, and how tests script it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;

use client::{Answer, Client};
use serde_json::{Value, json};
use zitadel_simulator::{
    Action, Api, AuthMethod, Fault, Lag, Operation, Reply, Simulator, StandardWorld,
};

struct Setting {
    simulator: Simulator,
    world: StandardWorld,
    client: Client,
}

fn start() -> Setting {
    let (simulator, world, client) = client::start();
    Setting {
        simulator,
        world,
        client,
    }
}

impl Setting {
    async fn call(&self, method: &str, body: Value) -> Answer {
        self.call_as(&self.world.operator.pat, method, body).await
    }

    async fn call_as(&self, pat: &str, method: &str, body: Value) -> Answer {
        let url = format!(
            "{}/zitadel.application.v2.ApplicationService/{method}",
            self.client.url
        );
        let request = self.client.http.post(url).bearer_auth(pat).json(&body);
        client::read(request.send().await.unwrap()).await.unwrap()
    }

    fn of_orders(&self) -> Value {
        json!({"projectId": self.world.payments, "applicationId": self.world.orders.id})
    }

    async fn state(&self) -> Value {
        let body = json!({"applicationId": self.world.orders.id});
        self.call("GetApplication", body).await.json["application"]["state"].clone()
    }
}

fn refusal(answer: &Answer) -> (u16, &str, &str) {
    let id = answer.json["details"][0]["debug"]["id"].as_str();
    let code = answer.json["code"].as_str();
    (
        answer.status,
        code.unwrap_or_default(),
        id.unwrap_or_default(),
    )
}

#[tokio::test]
async fn an_app_is_switched_off_and_on_and_deleted() {
    let setting = start();
    let secret = setting.world.orders.secret.clone().unwrap();
    let accepted = || setting.simulator.accepts(&setting.world.orders.id, &secret);
    let call = async |method: &str| setting.call(method, setting.of_orders()).await;

    let answer = call("DeactivateApplication").await;
    assert!(answer.json["deactivationDate"].is_string());
    assert_eq!(setting.state().await, "APPLICATION_STATE_INACTIVE");
    assert!(!accepted());
    let again = call("DeactivateApplication").await;
    assert_eq!(
        refusal(&again),
        (400, "failed_precondition", "COMMAND-dsh35")
    );

    let answer = call("ReactivateApplication").await;
    assert!(answer.json["reactivationDate"].is_string());
    assert!(accepted());
    let again = call("ReactivateApplication").await;
    assert_eq!(
        refusal(&again),
        (400, "failed_precondition", "COMMAND-1n8cM")
    );

    assert!(call("DeleteApplication").await.json["deletionDate"].is_string());
    assert!(!accepted());
    for (method, id) in [
        ("DeleteApplication", "COMMAND-0po9s"),
        ("DeactivateApplication", "COMMAND-ov9d3"),
        ("GenerateClientSecret", "COMMAND-Kd92s"),
    ] {
        assert_eq!(refusal(&call(method).await), (404, "not_found", id));
    }
}

#[tokio::test]
async fn an_update_changes_name_and_auth_method_at_once() {
    let setting = start();
    let before = setting
        .simulator
        .project_sequence(&setting.world.payments)
        .unwrap();
    let mut wish = setting.of_orders();
    wish["name"] = json!(" bills ");
    wish["apiConfiguration"] = json!({"authMethodType": "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"});
    let answer = setting.call("UpdateApplication", wish).await;
    assert!(answer.json["changeDate"].is_string(), "{:?}", answer.json);
    let after = setting
        .simulator
        .project_sequence(&setting.world.payments)
        .unwrap();
    assert_eq!(after, before + 2);
    let shown = setting
        .call("GetApplication", setting.of_orders())
        .await
        .json;
    assert_eq!(shown["application"]["name"], "bills");
    assert_eq!(
        shown["application"]["apiConfiguration"]["authMethodType"],
        "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"
    );

    let mut same = setting.of_orders();
    same["name"] = json!("bills");
    let answer = setting.call("UpdateApplication", same).await;
    assert_eq!(
        refusal(&answer),
        (400, "failed_precondition", "COMMAND-2m8vx")
    );
    let log = setting.simulator.requests(Operation::RenameApp);
    assert_eq!(log, 2);
}

#[tokio::test]
async fn a_name_in_use_is_refused_over_v2_as_over_v1() {
    let setting = start();
    let create = async |name: &str| {
        let body = json!({
            "projectId": setting.world.payments, "name": name,
            "apiConfiguration": {"authMethodType": "API_AUTH_METHOD_TYPE_BASIC"},
        });
        setting.call("CreateApplication", body).await
    };
    let in_use = (409, "already_exists", "V3-DKcYh");
    assert_eq!(refusal(&create("Orders").await), in_use);
    let mut renamed = setting.of_orders();
    renamed["name"] = json!("ORDERS-standby");
    assert_eq!(
        refusal(&setting.call("UpdateApplication", renamed).await),
        in_use
    );
    for name in ["", &"x".repeat(201)] {
        assert_eq!(create(name).await.status, 400);
    }
    assert_eq!(create("new").await.status, 200);
}

#[tokio::test]
async fn an_app_is_made_with_the_credentials_of_its_kind() {
    let setting = start();
    let create = async |name: &str, kind: &str, method: &str| {
        let body = json!({
            "projectId": setting.world.payments, "name": name,
            (kind): {"authMethodType": method, "redirectUris": ["https://localhost/cb"]},
        });
        let made = setting.call("CreateApplication", body).await.json;
        made[kind]["clientSecret"].is_string()
    };
    assert!(create("a", "oidcConfiguration", "OIDC_AUTH_METHOD_TYPE_BASIC").await);
    assert!(create("b", "oidcConfiguration", "OIDC_AUTH_METHOD_TYPE_POST").await);
    assert!(!create("c", "oidcConfiguration", "OIDC_AUTH_METHOD_TYPE_NONE").await);
    assert!(
        !create(
            "d",
            "apiConfiguration",
            "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"
        )
        .await
    );
    assert_eq!(setting.simulator.requests(Operation::CreateOidcApp), 3);
    assert_eq!(setting.simulator.requests(Operation::CreateApiApp), 1);

    let unknown = json!({"projectId": "1", "name": "e", "apiConfiguration": {}});
    let answer = setting.call("CreateApplication", unknown).await;
    assert_eq!(refusal(&answer).1, "failed_precondition");
    let body = json!({"projectId": setting.world.payments, "name": "e", "apiConfiguration": {}});
    let answer = setting
        .call_as(&setting.world.viewer.pat, "CreateApplication", body)
        .await;
    assert_eq!(refusal(&answer), (403, "permission_denied", "AUTH-AWfge"));
}

#[tokio::test]
async fn a_fault_on_generate_hits_both_apis_unless_it_names_one() {
    let setting = start();
    let orders = &setting.world.orders;
    let fault = |reply| Fault::on(Operation::Generate, Action::RespondBefore(reply));
    let teapot = Reply::connect(418, "unavailable", "TEST-1", "test");
    setting
        .simulator
        .inject(fault(teapot.clone()).through(Api::ApplicationV2));
    let over_v2 = async || {
        setting
            .call("GenerateClientSecret", setting.of_orders())
            .await
            .status
    };
    let over_v1 = async || setting.client.generate(orders).await.unwrap().status;
    assert_eq!((over_v1().await, over_v2().await), (200, 418));
    let fired = setting.simulator.faults()[0].fired;
    assert_eq!(fired, 1);
    setting.simulator.inject(fault(teapot).times(2));
    assert_eq!((over_v1().await, over_v2().await), (418, 418));
    assert_eq!((over_v1().await, over_v2().await), (200, 200));

    assert_eq!(setting.simulator.requests(Operation::Generate), 6);
    assert_eq!(setting.simulator.generates(&orders.id), 3);
    let log = setting.simulator.request_log();
    let through = |api| log.iter().filter(|request| request.api == api).count();
    assert_eq!(through(Api::ManagementV1), 3);
    assert_eq!(through(Api::ApplicationV2), 3);
}

#[tokio::test]
async fn a_rotation_over_v2_can_stay_without_effect() {
    let setting = start();
    let orders = &setting.world.orders;
    let fault = Fault::on(Operation::Generate, Action::WithoutEffect);
    setting.simulator.inject(fault);
    let made = setting
        .call("GenerateClientSecret", setting.of_orders())
        .await;
    let new = made.json["clientSecret"].as_str().unwrap();
    assert!(!setting.simulator.would_accept(&orders.id, new));
    let old = orders.secret.as_deref().unwrap();
    assert!(setting.simulator.accepts(&orders.id, old));
    assert_eq!(setting.simulator.generates(&orders.id), 1);
}

#[tokio::test]
async fn a_rotation_over_v2_is_that_of_v1_in_ledger_and_journal() {
    let setting = start();
    for app in [&setting.world.orders, &setting.world.web] {
        let body = json!({"projectId": app.project, "applicationId": app.id});
        let made = setting.call("GenerateClientSecret", body).await;
        let execution = setting.simulator.executions().pop().unwrap();
        let log = setting.simulator.request_log();
        let request = log.iter().find(|found| Some(found.id) == execution.request);
        let request = request.unwrap();
        assert_eq!(
            (request.operation, request.api),
            (Operation::Generate, Api::ApplicationV2)
        );
        assert_eq!(request.app.as_ref(), Some(&app.id));
        assert_eq!(request.project.as_ref(), Some(&app.project));
        assert_eq!(request.user.as_ref(), Some(&setting.world.operator.id));
        assert_eq!(
            (&execution.app, &execution.editor),
            (&app.id, &setting.world.operator.id)
        );

        let date = made.json["creationDate"].as_str().unwrap();
        assert_eq!(
            date.parse::<jiff::Timestamp>().unwrap(),
            execution.change_date
        );
        let newest = setting.client.journal(app, "?query.limit=1").await.json;
        let newest = &newest["result"][0];
        assert_eq!(newest["changeDate"], date);
        assert_eq!(newest["sequence"], execution.sequence.to_string());
        assert_eq!(newest["editorId"], setting.world.operator.id.as_str());
        let key = newest["eventType"]["key"].as_str().unwrap();
        let kind = if app.id == setting.world.web.id {
            "oidc"
        } else {
            "api"
        };
        assert!(key.ends_with(&format!(".{kind}.secret.changed")), "{key}");
        let shown = setting.client.get_app(app).await.json;
        assert_eq!(shown["app"]["details"]["changeDate"], date);
    }
}

#[tokio::test]
async fn no_v2_call_brings_the_projection_up_to_date() {
    let setting = start();
    setting
        .simulator
        .configure(|settings| settings.projection_lag = Lag::Never);
    let shown = async || {
        let answer = setting.call("GetApplication", setting.of_orders()).await;
        answer.json["application"]["changeDate"].clone()
    };
    let listed = async || {
        let name = json!({"nameFilter": {"name": "orders"}});
        let body =
            json!({"filters": [{"projectIdFilter": {"projectId": setting.world.payments}}, name]});
        let answer = setting.call("ListApplications", body).await;
        answer.json["applications"][0]["changeDate"].clone()
    };
    let before = shown().await;
    assert_eq!(listed().await, before);
    let made = setting
        .call("GenerateClientSecret", setting.of_orders())
        .await;
    assert_eq!((shown().await, listed().await), (before.clone(), before));
    setting.client.get_app(&setting.world.orders).await;
    let date = &made.json["creationDate"];
    assert_eq!((&shown().await, &listed().await), (date, date));
}

#[tokio::test]
async fn a_project_shows_whether_it_is_active() {
    let setting = start();
    let project = setting.world.payments.as_str();
    setting
        .simulator
        .configure(|settings| settings.projection_lag = Lag::Never);
    let get = async |pat: &str, org: &str, id: &str| {
        let url = format!(
            "{}/zitadel.project.v2.ProjectService/GetProject",
            setting.client.url
        );
        let request = setting.client.http.post(url).bearer_auth(pat);
        let request = request.header("x-zitadel-orgid", org);
        let request = request.json(&json!({"projectId": id}));
        client::read(request.send().await.unwrap()).await.unwrap()
    };
    let world = &setting.world;
    let mine = async || get(&world.operator.pat, "", project).await;
    let before = mine().await.json["project"].clone();
    assert_eq!(before["state"], "PROJECT_STATE_ACTIVE");
    assert_eq!(before["projectId"], project);
    assert_eq!(before["organizationId"], world.org.as_str());
    assert_eq!(before["name"], "payments");
    assert_eq!(before["changeDate"], before["creationDate"]);

    // Its applications do not change it.
    setting
        .call("GenerateClientSecret", setting.of_orders())
        .await;
    assert_eq!(mine().await.json["project"], before);
    // NB: the projection is brought up to date first.
    setting.simulator.deactivate_project(project).unwrap();
    let after = mine().await.json["project"].clone();
    assert_eq!(after["state"], "PROJECT_STATE_INACTIVE");
    assert_ne!(after["changeDate"], before["creationDate"]);
    assert_eq!(get(&world.viewer.pat, "", project).await.status, 200);

    let refusals = [
        (
            get(&world.operator.pat, "", "1").await,
            (404, "not_found", "QUERY-fk2fs"),
        ),
        (
            get(&world.operator.pat, "", "").await,
            (400, "invalid_argument", ""),
        ),
        (
            get("junk", "", project).await,
            (401, "unauthenticated", "AUTH-7fs1e"),
        ),
        (
            get(&world.nobody.pat, "", project).await,
            (404, "not_found", "AUTHZ-cdgFk"),
        ),
        (
            get(&world.ledger_owner.pat, "", project).await,
            (403, "permission_denied", "AUTH-Swrgg2"),
        ),
        // NB: unlike the application service, this one needs the right organization.
        (
            get(&world.operator.pat, &world.other_org, project).await,
            (404, "not_found", "AUTHZ-cdgFk"),
        ),
    ];
    for (answer, expected) in &refusals {
        assert_eq!(refusal(answer), *expected);
    }
    assert_eq!(get(&world.boss.pat, "", project).await.status, 200);
    let log = setting.simulator.request_log();
    let through = log.iter().filter(|request| request.api == Api::ProjectV2);
    assert!(
        through
            .clone()
            .all(|request| request.operation == Operation::GetProject)
    );
    assert_eq!(through.count(), 11);

    setting.simulator.remove_project(project).unwrap();
    assert_eq!(
        refusal(&get(&world.boss.pat, "", project).await).2,
        "QUERY-fk2fs"
    );
}

#[tokio::test]
async fn an_expired_key_and_the_key_of_a_removed_app_are_of_no_use() {
    let setting = start();
    let app = &setting.world.jwt;
    let add = async |expiry: &str| {
        let body = json!({
            "projectId": app.project, "applicationId": app.id, "expirationDate": expiry,
        });
        setting.call("CreateApplicationKey", body).await
    };
    let made = add("2099-01-01T00:00:00Z").await;
    let id = made.json["keyId"].as_str().unwrap();
    let found = async || {
        let answer = setting
            .call("GetApplicationKey", json!({"keyId": id}))
            .await;
        answer.status
    };
    assert_eq!(found().await, 200);
    assert_eq!(
        refusal(&add("2020-01-01T00:00:00Z").await),
        (400, "invalid_argument", "DOMAIN-dv3t5")
    );
    setting
        .simulator
        .change_auth_method(&app.id, AuthMethod::Basic)
        .unwrap();
    assert_eq!(
        refusal(&add("2099-01-01T00:00:00Z").await).2,
        "COMMAND-Dff54"
    );
    setting.simulator.remove_app(&app.id).unwrap();
    assert_eq!(found().await, 404);
}
