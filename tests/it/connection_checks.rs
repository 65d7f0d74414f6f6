//! When a connection is checked again: after a changed address, a refused call and an outage.

use serde_json::json;
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{Action, Availability, Config, Fault, Operation, Reply, Simulator};

use crate::support::eventually;
use crate::support::world::{PATIENCE, World};

#[tokio::test]
async fn an_address_that_is_not_declared_any_more_gets_nothing() {
    let (zitadel, other) = (
        Simulator::start(Config::default()).unwrap(),
        Simulator::start(Config::default()).unwrap(),
    );
    other.set_availability(Availability::Refusing);
    let world = World::shared().await;
    let tenant = world.tenant_at("moved", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    let other = json!({"url": other.url()});
    tenant.apply_connection(other).await;
    tenant.until_connection("ZitadelUnreachable").await;
    let before = zitadel.request_log().len();
    tenant.trigger("orders", "leak").await;
    tenant.reason("orders", "ZitadelUnreachable").await;
    assert_eq!(zitadel.request_log().len(), before);
    tenant.apply_connection(json!({})).await;
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn where_it_is_not_said_who_the_operator_is_objects_go_on_over_the_connection_as_it_was() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("proxy", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    let denied = Reply::zitadel(403, 7, "AUTHZ-5mWD2", "No matching permissions");
    for (number, reply, reason) in [
        (1, Reply::ingress_html(403), "UnexpectedAnswer"),
        (2, Reply::ingress_html(404), "UnexpectedAnswer"),
        (3, denied, "PermissionDenied"),
    ] {
        let page = Action::RespondBefore(reply);
        let fault = Fault::on(Operation::Me, page).always();
        let fault = zitadel.inject(fault);
        tenant
            .apply_connection(json!({"limits": {"repairs": {"count": number}}}))
            .await;
        // Made anew, since the credential seems to be another one.
        tenant.set_credential(&format!("{}\n\n", tenant.pat)).await;
        tenant.until_connection(reason).await;
        tenant.trigger("orders", &number.to_string()).await;
        tenant.until_generates(&app, 1 + number).await;
        tenant.handled("orders", &number.to_string()).await;
        tenant.reason("orders", "UpToDate").await;
        zitadel.remove_fault(fault);
        tenant.set_credential(&tenant.pat).await;
        tenant.until_connection("Connected").await;
    }
    let connection = tenant.connections().get(&tenant.namespace).await.unwrap();
    let conditions = connection.status.unwrap().conditions;
    assert!(!conditions.is_true(ConditionType::Stalled));
}

#[tokio::test]
async fn a_token_that_is_refused_has_the_connection_checked_at_once() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("refused", &zitadel).await;
    tenant.issued("orders", json!({})).await;
    // The same answer to one call alone says nothing of the connection.
    let refusal = || Action::RespondBefore(Reply::token_invalid());
    let fault = zitadel.inject(Fault::on(Operation::Generate, refusal()).always());
    tenant.trigger("orders", "alone").await;
    let object = tenant.reason("orders", "CredentialRejected").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    assert!(
        message.contains("when the client secret of app") && message.contains("(AUTH-7fs1e)"),
        "{message}"
    );
    assert_eq!(tenant.connection_reason().await, "Connected");
    zitadel.remove_fault(fault);
    let operations = [
        Operation::Me,
        Operation::Generate,
        Operation::GetApp,
        Operation::GetProject,
    ];
    let faults = operations.map(|one| zitadel.inject(Fault::on(one, refusal()).always()));
    tenant.trigger("orders", "all").await;
    // NB: an hour would go by otherwise.
    tenant.until_connection("CredentialRejected").await;
    let rejected = tenant.connection_event("CredentialRejected").await.0;
    assert_eq!(rejected, "Warning");
    assert_eq!(tenant.connection_event("Connected").await.0, "Normal");
    for fault in faults {
        zitadel.remove_fault(fault);
    }
    // Checked at once, instead of in half a minute.
    tenant.set_credential(&format!("{}\n", tenant.pat)).await;
    tenant.until_connection("Connected").await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn while_zitadel_is_down_one_check_asks_for_all_and_all_go_on_when_it_is_back() {
    const OBJECTS: usize = 4;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("down", &zitadel).await;
    let names: Vec<String> = (0..OBJECTS).map(|n| format!("orders-{n}")).collect();
    let mut apps = Vec::new();
    for name in &names {
        let app = tenant.app(name);
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        tenant.ready(name).await;
        apps.push(app);
    }
    zitadel.set_availability(Availability::Unavailable);
    let change = |n: u32| json!({"spec": {"rotation": {"trigger": n.to_string()}}});
    tenant.edit(&names[0], change(1)).await;
    tenant.until_connection("ZitadelUnavailable").await;
    let asked = || {
        let asks = [Operation::GetApp, Operation::Journal, Operation::Generate];
        asks.map(|one| zitadel.requests(one)).iter().sum::<u64>()
    };
    let before = asked();
    for name in &names {
        tenant.edit(name, change(2)).await;
    }
    for name in &names {
        tenant
            .until(name, |object| {
                let conditions = &object.status.as_ref()?.conditions;
                let ready = conditions.get(ConditionType::Ready)?;
                let known = ready.observed_generation == object.metadata.generation;
                (known && ready.message.contains("cannot be used: ZITADEL: ")).then_some(())
            })
            .await;
    }
    assert_eq!(asked(), before, "only the check of the connection asks");
    zitadel.set_availability(Availability::Up);
    for (name, app) in names.iter().zip(&apps) {
        tenant.until_generates(app, 2).await;
        tenant.ready(name).await;
    }
}

#[tokio::test]
async fn a_401_to_any_call_has_the_connection_checked_and_only_a_refused_check_is_the_credential() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("unauthorized", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    let page = || Reply::new(401, "text/html", "<html>sign in</html>");
    let empty = || Reply::new(401, "text/plain", "");
    let mut made = 1;
    for (n, (operation, reply)) in [
        (Operation::GetApp, Reply::token_invalid()),
        (Operation::GetApp, page()),
        (Operation::Journal, Reply::token_invalid()),
        (Operation::Journal, empty()),
        (Operation::GetProject, Reply::token_invalid()),
        (Operation::Generate, page()),
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{operation:?} {n}");
        let checks = zitadel.requests(Operation::Me);
        let fault = Fault::on(operation, Action::RespondBefore(reply));
        let fault = zitadel.inject(fault.always());
        tenant.trigger("orders", &what).await;
        tenant
            .until("orders", |object| {
                let conditions = &object.status.as_ref()?.conditions;
                let ready = conditions.get(ConditionType::Ready)?;
                let current = ready.observed_generation == object.metadata.generation;
                (current && ready.reason == "CredentialRejected").then_some(())
            })
            .await;
        eventually(PATIENCE, || async {
            (zitadel.requests(Operation::Me) > checks).then_some(())
        })
        .await;
        assert_eq!(tenant.connection_reason().await, "Connected", "{what}");
        assert_eq!(tenant.generates(&app), made, "{what}");
        zitadel.remove_fault(fault);
        made += 1;
        tenant.until_generates(&app, made).await;
        tenant.ready("orders").await;
    }
}
