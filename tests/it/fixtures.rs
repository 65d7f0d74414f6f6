//! What the tests of this binary share: tenants of the shared world, and what the status of an object says.

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use serde_json::json;
use zitadel_secret_operator::api::{
    AppSecret, AppSecretStatus, Condition, ConditionType, ZitadelConnection,
};
use zitadel_simulator::{Action, AppHandle, Config, Fault, Operation, Reply, Simulator};

use crate::support::eventually;
pub use crate::support::helm::root;
use crate::support::world::{OwnOperator, PATIENCE, Tenant, World};

/// A tenant of the shared world.
pub async fn tenant(prefix: &str) -> Tenant {
    World::shared().await.tenant(prefix).await
}

/// An operator of its own, whose protocol is twenty times as fast, and a tenant of it at a ZITADEL of its own.
pub async fn alone(prefix: &str) -> (OwnOperator, Tenant) {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let own = world.own_operator(&["--protocol-speed", "20"]).await;
    let tenant = own.tenant_at(prefix, world, &zitadel).await;
    (own, tenant)
}

/// Has the response to the next call be lost that generates a client secret of an application.
pub fn lose_answer(tenant: &Tenant, app: &AppHandle) {
    let lost = Action::RespondAfter(Reply::ingress_html(502));
    let fault = Fault::on(Operation::Generate, lost).app(&app.id);
    tenant.zitadel.inject(fault);
}

/// Hands the connection of a tenant of the shared world to another operator, of which there is none: from now on nothing is done with its objects.
pub async fn abandon(tenant: &Tenant) {
    tenant.connected().await;
    let elsewhere = json!({"controllerClass": "elsewhere"});
    tenant.apply_connection(elsewhere).await;
    let connection = format!("connection=\"{}\"", tenant.namespace);
    let operator = World::shared().await.operator.clone().unwrap();
    eventually(PATIENCE, || async {
        let (_, metrics) = operator.get("/metrics").await?;
        (!metrics.contains(&connection)).then_some(())
    })
    .await;
}

/// The connections, also those that the operator cannot read.
pub fn dynamic_connections(tenant: &Tenant) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<ZitadelConnection>(&());
    Api::all_with(tenant.client.clone(), &resource)
}

/// Waits until the connection of a tenant is stalled with this reason, and returns the message.
pub async fn stalled_connection(tenant: &Tenant, reason: &str) -> String {
    let connections = dynamic_connections(tenant);
    eventually(PATIENCE, || async {
        let object = connections.get(&tenant.namespace).await.unwrap();
        let conditions = object.data["status"]["conditions"].as_array()?.clone();
        let of = |type_: &str| conditions.iter().find(|c| c["type"] == type_).cloned();
        let (ready, stalled) = (of("Ready")?, of("Stalled")?);
        let reported = ready["reason"] == reason && ready["status"] == "False";
        (reported && stalled["status"] == "True").then(|| ready["message"].to_string())
    })
    .await
}

fn found(object: &AppSecret, type_: ConditionType) -> Option<&Condition> {
    let status: &AppSecretStatus = object.status.as_ref()?;
    status.conditions.get(type_)
}

/// The reason of a condition; empty where there is no such condition.
pub fn reason(object: &AppSecret, type_: ConditionType) -> &str {
    found(object, type_).map_or("", |condition| &condition.reason)
}

/// The message of a condition; empty where there is no such condition.
pub fn message(object: &AppSecret, type_: ConditionType) -> &str {
    found(object, type_).map_or("", |condition| &condition.message)
}

/// Whether a condition is true.
pub fn holds(object: &AppSecret, type_: ConditionType) -> bool {
    let status = object.status.as_ref();
    status.is_some_and(|status| status.conditions.is_true(type_))
}

/// Waits until `Ready` of an object has a reason for the present generation, then asserts which conditions are true (`Stalled`) and which
/// are not (`!Ready`), and with which reason (`Verified "Accepted"`). Returns the object.
macro_rules! assert_status {
    ($tenant:expr, $object:expr, $reason:expr $(, $(!$not:ident)? $($is:ident)? $($because:literal)?)*) => {{
        let object = $tenant.reason($object, $reason).await;
        crate::fixtures::assert_conditions!(object $(, $(!$not)? $($is)? $($because)?)*);
        object
    }};
}

/// The same of an object that is here already.
macro_rules! assert_conditions {
    ($object:expr $(, $(!$not:ident)? $($is:ident)? $($because:literal)?)*) => {{
        let object = &$object;
        let status = &object.status;
        $(
            $(
                let condition = zitadel_secret_operator::api::ConditionType::$not;
                assert!(!crate::fixtures::holds(object, condition), "{condition:?} holds: {status:#?}");
            )?
            $(
                let condition = zitadel_secret_operator::api::ConditionType::$is;
                assert!(crate::fixtures::holds(object, condition), "{condition:?} does not hold: {status:#?}");
            )?
            $(
                assert_eq!(crate::fixtures::reason(object, condition), $because, "{condition:?}: {status:#?}");
            )?
        )*
    }};
}

pub(crate) use {assert_conditions, assert_status};

/// An object that was issued before something went wrong.
pub struct Issued {
    pub app: AppHandle,
    pub before: Secret,
    pub generates: u64,
}

impl Issued {
    pub async fn new(tenant: &Tenant) -> Self {
        let app = tenant.issued("issued", json!({})).await;
        Self::of(tenant, app).await
    }

    pub async fn of(tenant: &Tenant, app: AppHandle) -> Self {
        Self {
            before: tenant.secret("issued").await,
            generates: tenant.generates(&app),
            app,
        }
    }

    /// Asks for a rotation, waits for the reason, and checks that nothing was touched.
    pub async fn holds(&self, tenant: &Tenant, reason: &str) -> AppSecret {
        let trigger = uuid::Uuid::new_v4().to_string();
        tenant.trigger("issued", &trigger).await;
        let object = tenant.reason("issued", reason).await;
        assert_eq!(tenant.generates(&self.app), self.generates, "{reason}");
        let now = tenant.secret("issued").await;
        assert_eq!(
            (&now.data, &now.metadata.resource_version),
            (&self.before.data, &self.before.metadata.resource_version),
            "{reason}"
        );
        object
    }
}
