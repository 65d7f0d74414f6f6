//! Servers without one of their APIs, and servers that announce its end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;

use client::{Answer, Client, start};
use serde_json::{Value, json};
use zitadel_simulator::{
    Api, AppHandle, Deprecation, Operation, Served, Settings, Simulator, StandardWorld,
};

const APPLICATIONS: &str = "zitadel.application.v2.ApplicationService";
const PROJECTS: &str = "zitadel.project.v2.ProjectService";

/// The gateway's answer on an unknown route, byte for byte but for white space.
fn is_unknown_route(answer: &Answer) -> bool {
    let shape = json!({"code": 5, "message": "Not Found"});
    (answer.status, &answer.json) == (404, &shape)
        && answer.headers["content-type"] == "application/json"
        && !answer.headers.contains_key("cache-control")
}

async fn get_project(client: &Client, world: &StandardWorld) -> Answer {
    let body = json!({"projectId": world.payments});
    client.v2(&format!("{PROJECTS}/GetProject"), body).await
}

async fn get_application(client: &Client, app: &AppHandle) -> Answer {
    let body = json!({"applicationId": app.id});
    let path = format!("{APPLICATIONS}/GetApplication");
    client.v2(&path, body).await
}

/// Every kind of call of management v1 about projects and applications.
async fn over_v1(client: &Client, world: &StandardWorld) -> Vec<Answer> {
    let project = format!("/management/v1/projects/{}", world.payments);
    vec![
        client.get_app(&world.orders).await,
        client.generate(&world.orders).await.unwrap(),
        client.journal(&world.orders, "").await,
        client.create_app(&world.payments, "new").await,
        client.rename(&world.orders, "renamed").await,
        client.get(&project).await,
        client.get(&format!("{project}/no/such/path")).await,
    ]
}

#[tokio::test]
async fn a_server_without_management_v1_goes_on_with_everything_else() {
    let (simulator, world, client) = start();
    let secret = world.orders.secret.as_deref().unwrap();
    simulator.configure(|settings| settings.management_v1 = Served::UnknownRoute);
    let answers = over_v1(&client, &world).await;
    assert!(answers.iter().all(is_unknown_route), "{answers:#?}");
    assert_eq!(simulator.generates(&world.orders.id), 0);

    assert_eq!(client.get("/auth/v1/users/me").await.status, 200);
    let discovery = "/.well-known/openid-configuration";
    assert_eq!(client.get(discovery).await.status, 200);
    assert!(client.introspects(&world.orders, secret).await);
    assert_eq!(get_application(&client, &world.orders).await.status, 200);
    assert_eq!(get_project(&client, &world).await.status, 200);

    simulator.configure(|settings| settings.management_v1 = Served::Yes);
    assert_eq!(client.get_app(&world.orders).await.status, 200);
}

#[tokio::test]
async fn management_v1_can_be_unimplemented_or_refused_by_a_proxy() {
    let (simulator, world, client) = start();
    simulator.configure(|settings| settings.management_v1 = Served::Unimplemented);
    for answer in over_v1(&client, &world).await {
        assert_eq!((answer.status, &answer.json["code"]), (501, &json!(12)));
        assert_eq!(answer.json.get("details"), None);
    }
    simulator.configure(|settings| settings.management_v1 = Served::ProxyRefusal);
    for answer in over_v1(&client, &world).await {
        assert_eq!((answer.status, answer.json), (501, Value::Null));
    }
}

#[tokio::test]
async fn a_server_without_a_service_of_v2_goes_on_with_the_other_and_v1() {
    type Switch = fn(&mut Settings, Served);
    let switches: [(Api, Switch); 2] = [
        (Api::ApplicationV2, |settings, served| {
            settings.application_v2 = served;
        }),
        (Api::ProjectV2, |settings, served| {
            settings.project_v2 = served;
        }),
    ];
    for (api, switch) in switches {
        let (simulator, world, client) = start();
        let both = async || {
            let application = get_application(&client, &world.orders).await;
            let project = get_project(&client, &world).await;
            let [without, with] = if api == Api::ApplicationV2 {
                [application, project]
            } else {
                [project, application]
            };
            assert_eq!(with.status, 200);
            assert_eq!(client.get_app(&world.orders).await.status, 200);
            without
        };
        simulator.configure(|settings| switch(settings, Served::UnknownRoute));
        assert!(is_unknown_route(&both().await), "{api:?}");

        simulator.configure(|settings| switch(settings, Served::Unimplemented));
        let answer = both().await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (501, &json!("unimplemented"))
        );
        let message = answer.json["message"].as_str().unwrap();
        assert!(message.starts_with("zitadel."), "{message}");
        assert!(message.ends_with(" is not implemented"), "{message}");

        simulator.configure(|settings| switch(settings, Served::ProxyRefusal));
        let answer = both().await;
        assert_eq!((answer.status, answer.json), (501, Value::Null));

        simulator.configure(|settings| switch(settings, Served::Yes));
        assert_eq!(both().await.status, 200);
    }
}

#[tokio::test]
async fn the_ledger_shows_what_was_asked_of_an_api_that_is_not_served() {
    let (simulator, world, client) = start();
    simulator.configure(|settings| settings.management_v1 = Served::UnknownRoute);
    client
        .generate_as(&world.orders, "attempt-1")
        .await
        .unwrap();
    let record = simulator.request_log().pop().unwrap();
    assert_eq!(
        (record.operation, record.api),
        (Operation::Generate, Api::ManagementV1)
    );
    assert_eq!(record.outcome, zitadel_simulator::Outcome::Answered(404));
    assert_eq!(record.attempt.as_deref(), Some("attempt-1"));
}

fn announcements(answer: &Answer) -> [Option<&str>; 2] {
    ["deprecation", "sunset"].map(|name| answer.headers.get(name).map(String::as_str))
}

#[tokio::test]
async fn answers_of_v1_say_since_when_it_is_deprecated() {
    let (simulator, world, client) = start();
    let announce = |deprecation| {
        simulator.configure(|settings: &mut Settings| settings.v1_deprecation = deprecation);
    };
    assert_eq!(
        announcements(&client.get_app(&world.orders).await),
        [None; 2]
    );
    let since = "2026-01-01T00:00:00Z".parse().unwrap();
    announce(Some(Deprecation {
        since,
        sunset: None,
    }));
    let since_alone = [Some("@1767225600"), None];
    assert_eq!(
        announcements(&client.get_app(&world.orders).await),
        since_alone
    );

    let sunset = Some("2027-06-30T23:59:59Z".parse().unwrap());
    announce(Some(Deprecation { since, sunset }));
    let both = [Some("@1767225600"), Some("Wed, 30 Jun 2027 23:59:59 GMT")];
    let refused = client.create_app(&world.payments, "Orders").await;
    assert_eq!((refused.status, announcements(&refused)), (409, both));
    assert_eq!(announcements(&client.get("/auth/v1/users/me").await), both);
    let other = [
        get_application(&client, &world.orders).await,
        get_project(&client, &world).await,
        client.introspect(&world.orders, "wrong").await,
        client.get("/debug/healthz").await,
    ];
    for answer in &other {
        assert_eq!(announcements(answer), [None; 2]);
    }

    simulator.configure(|settings| settings.management_v1 = Served::UnknownRoute);
    assert_eq!(
        announcements(&client.get_app(&world.orders).await),
        [None; 2]
    );
}

#[tokio::test]
async fn the_switches_are_settings_in_json() {
    let simulator = Simulator::start(zitadel_simulator::Config::default()).unwrap();
    let json = json!({
        "managementV1": "unknownRoute",
        "applicationV2": "unimplemented",
        "projectV2": "proxyRefusal",
        "v1Deprecation": {"since": "2026-01-01T00:00:00Z"},
    });
    let settings: Settings = serde_json::from_value(json).unwrap();
    simulator.configure(|present| *present = settings);
    let present = simulator.settings();
    assert_eq!(present.management_v1, Served::UnknownRoute);
    assert_eq!(present.application_v2, Served::Unimplemented);
    assert_eq!(present.project_v2, Served::ProxyRefusal);
    let since = present.v1_deprecation.unwrap().since;
    assert_eq!(since.as_second(), 1_767_225_600);
}
