//! One tenant of a world, and what tests do with its objects.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{
    AppSecret, AppSecretStatus, ConditionType, Kind, ZitadelConnection,
};
use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
use zitadel_simulator::{AppHandle, NewApp, Simulator};

use super::world::{OPERATOR_NAMESPACE, PATIENCE};
use super::{apply, apply_secret, eventually};

/// One tenant of a shared world.
#[derive(Clone)]
pub struct Tenant {
    /// The cluster, as its administrator.
    pub client: Client,
    /// ZITADEL.
    pub zitadel: Simulator,
    /// ZITADEL's URL.
    pub url: String,
    /// The namespace; the connection has the same name, and so has its credential Secret.
    pub namespace: String,
    /// The organization.
    pub organization: String,
    /// The project.
    pub project: String,
    /// The operator's service user.
    pub user: String,
    /// The service user's token.
    pub pat: String,
    /// The kind of the objects.
    pub kind: Kind,
    /// The controller class of an [`OwnOperator`], which is its namespace, too.
    pub(super) class: Option<String>,
}

impl Tenant {
    /// The same tenant with objects of a kind.
    pub fn of_kind(&self, kind: Kind) -> Self {
        Self {
            kind,
            ..self.clone()
        }
    }

    /// A new application of the project, for an object of the tenant's kind.
    pub fn app(&self, name: &str) -> AppHandle {
        app_of(self.kind, &self.zitadel, &self.project, name)
    }

    /// The namespace of the operator that serves this tenant.
    fn operator_namespace(&self) -> &str {
        self.class.as_deref().unwrap_or(OPERATOR_NAMESPACE)
    }

    /// Stores the operator's credential.
    pub async fn set_credential(&self, token: &str) {
        let values = json!({ "token": token });
        let namespace = self.operator_namespace();
        apply_secret(&self.client, namespace, &self.namespace, values).await;
    }

    /// Applies the connection; `extra` overrides fields of the spec.
    pub async fn apply_connection(&self, extra: Value) {
        let object = self.connection_manifest(extra);
        apply(&self.connections(), &object).await.unwrap();
    }

    /// The connection, with these fields of its spec besides.
    pub fn connection_manifest(&self, extra: Value) -> Value {
        let mut spec = json!({
            "url": self.url,
            "auth": {"personalAccessToken": {"secretKeyRef": {"name": self.namespace, "key": "token"}}},
            "organizationId": self.organization,
            "grants": [{"name": "by-name", "namespaces": [self.namespace], "projectIds": [self.project]}],
        });
        // NB: without kinds a grant is one for the first kind.
        if self.kind != Kind::ApiApp {
            spec["grants"][0]["kinds"] = json!([self.kind]);
        }
        if let Some(class) = &self.class {
            spec["controllerClass"] = json!(class);
        }
        spec.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": self.namespace}, "spec": spec})
    }

    /// The connections.
    pub fn connections(&self) -> Api<ZitadelConnection> {
        Api::all(self.client.clone())
    }

    /// Waits until the operator has something to say of the connection as it is now, and returns the reason.
    pub async fn connection_reason(&self) -> String {
        eventually(PATIENCE, || async {
            let connection = self.connections().get(&self.namespace).await.unwrap();
            let status = connection.status?;
            let ready = status.conditions.get(ConditionType::Ready)?;
            let current = ready.observed_generation == connection.metadata.generation;
            current.then(|| ready.reason.clone())
        })
        .await
    }

    /// Waits until the connection can be used as it is now.
    pub async fn connected(&self) {
        assert_eq!(self.connection_reason().await, "Connected");
    }

    /// Waits until the connection reports this reason.
    pub async fn until_connection(&self, reason: &str) {
        self.connection_says(reason, "").await;
    }

    /// Waits until the connection, as it is now, reports this reason with a message that contains `part`, and returns the message.
    #[track_caller]
    pub fn connection_says<'a>(
        &'a self,
        reason: &'a str,
        part: &'a str,
    ) -> impl Future<Output = String> + 'a {
        eventually(PATIENCE, move || async move {
            let connection = self.connections().get(&self.namespace).await.unwrap();
            let status = connection.status?;
            let ready = status.conditions.get(ConditionType::Ready)?;
            let current = ready.observed_generation == connection.metadata.generation;
            let says = ready.reason == reason && ready.message.contains(part);
            (current && says).then(|| ready.message.clone())
        })
    }

    /// Waits for an event about the connection with that reason, and returns its type and note.
    pub async fn connection_event(&self, reason: &str) -> (String, String) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        eventually(PATIENCE, || async {
            let all = events.list(&ListParams::default()).await.unwrap();
            let about = |event: &Event| {
                let name = event.regarding.as_ref().and_then(|it| it.name.as_deref());
                name == Some(&*self.namespace) && event.reason.as_deref() == Some(reason)
            };
            let found = all.items.into_iter().find(about)?;
            Some((found.type_?, found.note?))
        })
        .await
    }

    /// The objects of this namespace.
    pub fn objects(&self) -> Api<AppSecret> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &self.kind)
    }

    /// The status of an object that has one.
    pub async fn status(&self, name: &str) -> AppSecretStatus {
        self.objects().get(name).await.unwrap().status.unwrap()
    }

    /// The same as they are in JSON.
    pub fn untyped_objects(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<AppSecret>(&self.kind);
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// The Secrets of this namespace.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// An object for an application; `extra` overrides fields of the spec.
    pub fn manifest(&self, name: &str, app: &str, extra: Value) -> Value {
        let mut spec = json!({"connectionRef": {"name": self.namespace}, "projectId": self.project, "appId": app});
        spec.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": self.kind,
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        })
    }

    /// Applies an object for an application.
    pub async fn apply(
        &self,
        name: &str,
        app: &str,
        extra: Value,
    ) -> Result<AppSecret, kube::Error> {
        let object = self.manifest(name, app, extra);
        apply(&self.objects(), &object).await
    }

    /// A new application, and an object for it that is ready; `extra` overrides fields of the spec.
    pub async fn issued(&self, name: &str, extra: Value) -> AppHandle {
        let app = self.app(name);
        self.apply(name, &app.id, extra).await.unwrap();
        self.ready(name).await;
        app
    }

    /// Sets the trigger of an object and leaves the rest of its spec.
    pub async fn trigger(&self, name: &str, trigger: &str) {
        self.edit(name, json!({"spec": {"rotation": {"trigger": trigger}}}))
            .await;
    }

    /// The claims of an object of this tenant: of its application, and of its standby.
    pub async fn claims(&self, object: &str) -> Vec<Lease> {
        let all = self.leases().list(&ListParams::default()).await.unwrap();
        let owner = [Some(self.namespace.as_str()), Some(object)];
        let is_its = |lease: &Lease| {
            let claim = claim_text(lease).and_then(|text| serde_json::from_str::<Value>(text).ok());
            claim.is_some_and(|claim| {
                ["namespace", "name"].map(|field| claim["owner"][field].as_str()) == owner
            })
        };
        all.into_iter().filter(is_its).collect()
    }

    /// Writes something else in place of a claim.
    pub async fn write_claim(&self, lease: &Lease, text: &str) {
        let patch = json!({"metadata": {"annotations": {CLAIM_ANNOTATION: text}}});
        let patch = Patch::Merge(patch);
        let name = lease.metadata.name.as_ref().unwrap();
        self.leases()
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Edits the claims of an object as if its last rotation was long ago.
    pub async fn age_claims(&self, object: &str) {
        for lease in self.claims(object).await {
            let mut claim: Value = serde_json::from_str(claim_text(&lease).unwrap()).unwrap();
            claim["attempt"]["time"] = json!("2020-01-01T00:00:00Z");
            self.write_claim(&lease, &claim.to_string()).await;
        }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), self.operator_namespace())
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) {
        self.objects()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Waits until an object is Ready for its present generation.
    #[track_caller]
    pub fn ready<'a>(&'a self, name: &'a str) -> impl Future<Output = AppSecret> + 'a {
        self.until(name, |object| {
            let status = object.status.as_ref()?;
            let ready = status.conditions.get(ConditionType::Ready)?;
            let current = ready.observed_generation == object.metadata.generation;
            (current && status.conditions.is_true(ConditionType::Ready)).then_some(())
        })
    }

    /// Waits until an object has a Ready condition with this reason, for its present generation.
    #[track_caller]
    pub fn reason<'a>(
        &'a self,
        name: &'a str,
        reason: &'a str,
    ) -> impl Future<Output = AppSecret> + 'a {
        self.until(name, move |object| {
            let ready = object
                .status
                .as_ref()?
                .conditions
                .get(ConditionType::Ready)?;
            let current = ready.observed_generation == object.metadata.generation;
            (ready.reason == reason && current).then_some(())
        })
    }

    /// Waits until an object reports that a trigger is handled.
    #[track_caller]
    pub fn handled<'a>(
        &'a self,
        name: &'a str,
        trigger: &'a str,
    ) -> impl Future<Output = AppSecret> + 'a {
        self.until(name, move |object| {
            let status = object.status.as_ref()?;
            (status.observed_trigger.as_deref() == Some(trigger)).then_some(())
        })
    }

    /// Waits until an object reports that its last rotation has this cause.
    #[track_caller]
    pub fn rotated<'a>(
        &'a self,
        name: &'a str,
        cause: &'a str,
    ) -> impl Future<Output = AppSecret> + 'a {
        self.until(name, move |object| {
            let last = object.status.as_ref()?.last_rotation.as_ref()?;
            (last.reason == cause).then_some(())
        })
    }

    /// Waits until something holds of an object, and returns the object.
    ///
    /// # Panics
    /// When that takes too long; the message has the object's last status.
    #[track_caller]
    pub fn until<'a>(
        &'a self,
        name: &'a str,
        holds: impl Fn(&AppSecret) -> Option<()> + 'a,
    ) -> impl Future<Output = AppSecret> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let api = self.objects();
            let mut last = None;
            let asking = async {
                loop {
                    if let Ok(object) = api.get(name).await {
                        if holds(&object).is_some() {
                            return object;
                        }
                        last = Some(object);
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if let Ok(object) = tokio::time::timeout(PATIENCE, asking).await {
                return object;
            }
            let last = last.map(|object| json!({"spec": object.spec, "status": object.status}));
            panic!(
                "{caller}: not so within {PATIENCE:?}: {}/{name} is {last:#?}",
                self.namespace
            );
        }
    }

    /// A Secret of this namespace.
    pub async fn secret(&self, name: &str) -> Secret {
        self.secrets().get(name).await.unwrap()
    }

    /// The texts in a Secret by key.
    pub async fn data(&self, name: &str) -> BTreeMap<String, String> {
        let data = self.secret(name).await.data.unwrap_or_default();
        data.into_iter()
            .map(|(key, value)| (key, String::from_utf8(value.0).unwrap()))
            .collect()
    }

    /// Makes a Secret as a person would, with `kubectl create`.
    pub async fn create_secret(&self, name: &str, data: Value) {
        let object = json!({"metadata": {"name": name}, "stringData": data});
        let object = serde_json::from_value(object).unwrap();
        self.secrets()
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    /// Changes a Secret as a person would, with `kubectl edit`.
    pub async fn edit_secret(&self, name: &str, change: Value) {
        self.secrets()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    /// Deletes a Secret.
    pub async fn delete_secret(&self, name: &str) {
        self.secrets()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Waits until a Secret is gone.
    pub async fn secret_gone(&self, name: &str) {
        eventually(PATIENCE, || async {
            self.secrets()
                .get_opt(name)
                .await
                .unwrap()
                .is_none()
                .then_some(())
        })
        .await;
    }

    /// Waits until ZITADEL accepts what is stored, and returns it.
    pub async fn until_accepted(&self, app: &AppHandle, secret: &str) -> String {
        eventually(PATIENCE, || async {
            let value = self.client_secret(secret).await?;
            self.zitadel.accepts(&app.id, &value).then_some(value)
        })
        .await
    }

    /// Waits until so many client secrets were made for an application.
    pub async fn until_generates(&self, app: &AppHandle, count: u64) {
        eventually(PATIENCE, || async {
            (self.generates(app) >= count).then_some(())
        })
        .await;
    }

    /// Requests about an application, by whatever operation.
    pub fn requests_about(&self, app: &AppHandle) -> usize {
        let log = self.zitadel.request_log();
        log.iter()
            .filter(|request| request.app.as_deref() == Some(&app.id))
            .count()
    }

    /// Has the operator issue a credential of another application. What was shown before is reconciled by then: watches keep
    /// the order, and a reconciliation that rests takes far less than an issue.
    pub async fn fence(&self) {
        let name = format!("fence-{}", uuid::Uuid::new_v4().simple());
        let app = self.app(&name);
        self.apply(&name, &app.id, json!({})).await.unwrap();
        self.ready(&name).await;
    }

    /// The events about an object: type, reason and note.
    pub async fn events(&self, name: &str) -> Vec<(String, String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = api.list(&ListParams::default()).await.unwrap();
        let about = |event: &Event| {
            event
                .regarding
                .as_ref()
                .and_then(|regarding| regarding.name.as_deref())
                == Some(name)
        };
        let fields = |event: Event| {
            (
                event.type_.unwrap_or_default(),
                event.reason.unwrap_or_default(),
                event.note.unwrap_or_default(),
            )
        };
        events.items.into_iter().filter(about).map(fields).collect()
    }

    /// Waits for an event with this reason, and returns its note.
    pub async fn event(&self, name: &str, reason: &str) -> String {
        eventually(PATIENCE, || async {
            let events = self.events(name).await;
            let found = events.into_iter().find(|(_, found, _)| found == reason);
            found.map(|(_, _, note)| note)
        })
        .await
    }

    /// Changes an object's labels, annotations or spec as a person would.
    pub async fn edit(&self, name: &str, change: Value) -> AppSecret {
        self.objects()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap()
    }

    /// The value of a key of a Secret.
    pub async fn value(&self, secret: &str, key: &str) -> Option<String> {
        let secret = self.secrets().get_opt(secret).await.unwrap()?;
        let bytes = secret.data?.remove(key)?;
        Some(String::from_utf8(bytes.0).unwrap())
    }

    /// The client secret in a Secret with the default keys.
    pub async fn client_secret(&self, secret: &str) -> Option<String> {
        self.value(secret, "CLIENT_SECRET").await
    }

    /// Whether ZITADEL accepts what is stored.
    pub async fn accepted(&self, app: &AppHandle, secret: &str) -> bool {
        match self.client_secret(secret).await {
            Some(value) => self.zitadel.accepts(&app.id, &value),
            None => false,
        }
    }

    /// How many client secrets were made for an application.
    pub fn generates(&self, app: &AppHandle) -> u64 {
        self.zitadel.generates(&app.id)
    }
}

/// The kind of the objects in tests that are about each kind alike: an `ApiAppSecret`, or what `KIND` names.
pub fn kind_of_tests() -> Kind {
    let kind = std::env::var("KIND").ok();
    kind.map_or(Kind::ApiApp, |kind| {
        serde_json::from_value(json!(kind)).unwrap()
    })
}

/// A new application of a project, for objects of a kind.
pub fn app_of(kind: Kind, zitadel: &Simulator, project: &str, name: &str) -> AppHandle {
    let redirect = || "https://localhost/callback".to_owned();
    let new = NewApp {
        name: name.to_owned(),
        oidc_redirect_uri: (kind == Kind::OidcApp).then(redirect),
        ..NewApp::default()
    };
    zitadel.create_app(project, &new).unwrap()
}

fn claim_text(lease: &Lease) -> Option<&String> {
    lease.metadata.annotations.as_ref()?.get(CLAIM_ANNOTATION)
}
