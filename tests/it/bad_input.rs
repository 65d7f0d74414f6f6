//! Bad input of every kind: each has its own reason, costs no generate and leaves the Secret that is there as it is.

use crate::support::audit::{AuditLog, Request};
use crate::support::controlplane::{ControlPlane, Options};
use crate::support::eventually;
use crate::support::policy::{
    allow_lease, allow_secrets, deny_lease, deny_secrets, dry_run, leave_secrets, mutate_secrets,
};
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ResourceQuota, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{ApiAppSecret, ConditionType};
use zitadel_simulator::{
    Action, AppHandle, AuthMethod, Availability, Config, Fault, NewApp, Operation, Reply, Role,
    Scope, Simulator,
};

async fn tenant(prefix: &str) -> Tenant {
    World::shared().await.tenant(prefix).await
}

fn condition(object: &ApiAppSecret, type_: ConditionType) -> (bool, String, String) {
    let conditions = &object.status.as_ref().unwrap().conditions;
    let found = conditions.get(type_);
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    (
        conditions.is_true(type_),
        text(found.map(|found| &found.reason)),
        text(found.map(|found| &found.message)),
    )
}

/// An object that was issued before something went wrong.
struct Issued {
    app: AppHandle,
    before: Secret,
    generates: u64,
}

impl Issued {
    async fn new(tenant: &Tenant) -> Self {
        let app = tenant.app("issued");
        tenant.apply("issued", &app.id, json!({})).await.unwrap();
        tenant.ready("issued").await;
        Self::of(tenant, app).await
    }

    async fn of(tenant: &Tenant, app: AppHandle) -> Self {
        Self {
            before: tenant.secret("issued").await,
            generates: tenant.generates(&app),
            app,
        }
    }

    /// Asks for a rotation, waits for the reason, and looks whether anything was touched.
    async fn holds(&self, tenant: &Tenant, reason: &str) -> ApiAppSecret {
        let trigger = uuid::Uuid::new_v4().to_string();
        tenant
            .edit(
                "issued",
                json!({"spec": {"rotation": {"trigger": trigger}}}),
            )
            .await;
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

fn known(reason: &str) -> bool {
    zitadel_secret_operator::api::Reason::ALL
        .iter()
        .any(|known| known.as_str() == reason)
}

// ---- the object ----

/// Objects that cannot be read, and what is said of them.
fn unreadable() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "number",
            json!({"spec": {"projectId": 7, "appId": "2"}}),
            "spec.projectId: expected a string, found a number.",
        ),
        (
            "list",
            json!({"spec": {"projectId": "1", "appId": ["canary-in-a-list"]}}),
            "spec.appId: expected a string, found a list.",
        ),
        (
            "text",
            json!({"spec": "canary-in-a-text"}),
            "spec: expected struct ApiAppSecretSpec, found a string.",
        ),
        ("none", json!({}), "spec is missing."),
        (
            "enum",
            json!({"spec": {"projectId": "1", "appId": "2", "secret": {"deletionPolicy": "canary-policy"}}}),
            "spec.secret.deletionPolicy: expected `Delete` or `Retain`, found a string.",
        ),
        (
            "deep",
            json!({"spec": {"projectId": "1", "appId": "2", "rotation": {"windows": [{"name": "w", "schedule": {"a": 1}}]}}}),
            "spec.rotation.windows[0].schedule: expected a string, found a map.",
        ),
    ]
}

/// Specs that can be read and not used, and the field at fault.
fn unusable() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "slash",
            json!({"projectId": "1", "appId": "../x"}),
            "spec.appId \\\"../x\\\" has",
        ),
        (
            "long",
            json!({"projectId": "x".repeat(201), "appId": "2"}),
            "spec.projectId",
        ),
        (
            "zero",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "0s"}}),
            "spec.rotation.interval",
        ),
        (
            "ages",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "3650001d"}}),
            "spec.rotation.interval",
        ),
        (
            "keys",
            json!({"projectId": "1", "appId": "2", "secret": {"data": [{"key": "CLIENT_ID", "from": "ClientId"}]}}),
            "spec.secret.data",
        ),
        (
            "label",
            json!({"projectId": "1", "appId": "2", "secret": {"labels": {"zitadel-secrets.dev/managed": "x"}}}),
            "spec.secret.labels",
        ),
        (
            "token",
            json!({"projectId": "1", "appId": "2", "secret": {"type": "kubernetes.io/service-account-token", "annotations": {"kubernetes.io/service-account.name": "default"}}}),
            "spec.secret.type",
        ),
        (
            "dots",
            json!({"projectId": "1", "appId": "2", "secret": {"name": "a..b"}}),
            "spec.secret.name",
        ),
        (
            "order",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "1h1d"}}),
            "spec.rotation.interval",
        ),
        (
            "cron",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "1h", "windows": [{"name": "w", "schedule": "61 * * * *", "duration": "1h"}]}}),
            "spec.rotation.windows[name=w].schedule",
        ),
        (
            "zone",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "1h", "windows": [{"name": "w", "schedule": "0 3 * * *", "duration": "1h", "timeZone": "Mars/Olympus"}]}}),
            "spec.rotation.windows[name=w].timeZone \\\"Mars/Olympus\\\" is not",
        ),
    ]
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_stalled_and_the_others_go_on() {
    if !ControlPlane::can_start() {
        return;
    }
    let world = World::own(Options::default()).await;
    let tenant = world.tenant("unreadable").await;
    loosen(&tenant).await;
    let _operator = Operator::start(
        &world.kubeconfig,
        &world.directory,
        &["--protocol-speed", "20"],
    );
    let resource = ApiResource::erase::<ApiAppSecret>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &resource);
    let good = tenant.app("good");
    let bad = unreadable();
    for (name, content, _) in &bad {
        let mut object = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": name}});
        object
            .as_object_mut()
            .unwrap()
            .extend(content.as_object().unwrap().clone());
        api.create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
    }
    tenant.apply("good", &good.id, json!({})).await.unwrap();
    tenant.ready("good").await;
    let told = async |name: &str, reason: &str| {
        eventually(PATIENCE, || async {
            let object = api.get(name).await.unwrap();
            let conditions = object.data["status"]["conditions"].as_array()?.clone();
            let of = |type_: &str| {
                conditions
                    .iter()
                    .find(|condition| condition["type"] == type_)
                    .cloned()
            };
            let (ready, stalled) = (of("Ready")?, of("Stalled")?);
            (ready["reason"] == reason && ready["status"] == "False" && stalled["status"] == "True")
                .then(|| ready["message"].to_string())
        })
        .await
    };
    for (name, _, expected) in &bad {
        let message = told(name, "InvalidObject").await;
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!message.contains("canary"), "{message}");
    }
    // What the schema of this version would have refused is refused by the code as well.
    for (name, spec, field) in unusable() {
        let object = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": name}, "spec": spec});
        api.create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
        let message = told(name, "InvalidSpec").await;
        assert!(message.contains(field), "{name}: {message}");
    }
    // Corrected, it is taken up.
    let app = tenant.app("number");
    let spec = tenant.manifest("number", &app.id, json!({}))["spec"].clone();
    api.patch(
        "number",
        &PatchParams::default(),
        &Patch::Merge(json!({"spec": spec})),
    )
    .await
    .unwrap();
    tenant.ready("number").await;
    tenant.fence().await;
    assert_eq!((tenant.generates(&good), tenant.generates(&app)), (1, 1));
}

/// Takes the schema away, as an older or newer definition might lack a rule.
async fn loosen(tenant: &Tenant) {
    let api: Api<CustomResourceDefinition> = Api::all(tenant.client.clone());
    let name = "apiappsecrets.zitadel-secrets.dev";
    let mut definition = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
    let version = &mut definition["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    version.as_object_mut().unwrap().remove("selectableFields");
    api.replace(
        name,
        &PostParams::default(),
        &serde_json::from_value(definition).unwrap(),
    )
    .await
    .unwrap();
    let resource = ApiResource::erase::<ApiAppSecret>(&());
    let objects: Api<DynamicObject> =
        Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &resource);
    let probe = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": "probe"}, "spec": 1});
    let probe: DynamicObject = serde_json::from_value(probe).unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually(PATIENCE, || async {
        objects.create(&params, &probe).await.ok().map(drop)
    })
    .await;
}

// ---- the connection ----

#[tokio::test]
async fn without_a_connection_or_a_grant_nothing_happens() {
    let tenant = tenant("ungranted").await;
    let issued = Issued::new(&tenant).await;
    let other = tenant.app("other");
    let grant = |namespaces: Value, projects: Value, apps: Value| {
        let mut grant = json!({"name": "one", "projectIds": projects, "appIds": apps});
        let (field, value) = match namespaces {
            Value::Array(_) => ("namespaces", namespaces),
            selector => ("namespaceSelector", selector),
        };
        grant[field] = value;
        json!({"grants": [grant]})
    };
    let here = json!([tenant.namespace]);
    for grants in [
        json!({"grants": []}),
        grant(json!(["elsewhere"]), json!(["*"]), json!(["*"])),
        grant(here.clone(), json!(["1"]), json!(["*"])),
        grant(here.clone(), json!([tenant.project]), json!([other.id])),
        grant(
            json!({"matchLabels": {"no": "such"}}),
            json!(["*"]),
            json!(["*"]),
        ),
    ] {
        tenant.apply_connection(grants).await;
        tenant.connected().await;
        let object = issued.holds(&tenant, "NotGranted").await;
        assert!(condition(&object, ConditionType::Stalled).0);
    }
    tenant
        .edit(
            "issued",
            json!({"spec": {"connectionRef": {"name": "no-such"}}}),
        )
        .await;
    let object = issued.holds(&tenant, "ConnectionNotFound").await;
    assert!(
        condition(&object, ConditionType::Ready)
            .2
            .contains("no-such")
    );
    tenant.apply_connection(json!({})).await;
    tenant
        .edit(
            "issued",
            json!({"spec": {"connectionRef": {"name": tenant.namespace}}}),
        )
        .await;
    tenant.ready("issued").await;
    tenant.until_generates(&issued.app, 2).await;
}

/// The claims of a tenant's objects, with their revisions.
async fn claims_of(tenant: &Tenant) -> Vec<(String, Option<String>)> {
    let leases: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let all = leases.list(&ListParams::default()).await.unwrap();
    let ours = |lease: &Lease| {
        let annotations = lease.metadata.annotations.as_ref();
        annotations.is_some_and(|all| all.values().any(|it| it.contains(&tenant.namespace)))
    };
    let ours = all.items.into_iter().filter(ours);
    ours.map(|lease| {
        (
            lease.metadata.name.unwrap(),
            lease.metadata.resource_version,
        )
    })
    .collect()
}

#[tokio::test]
async fn a_deleted_connection_is_told_and_the_secret_stays() {
    let tenant = tenant("deleted").await;
    let issued = Issued::new(&tenant).await;
    let claims = claims_of(&tenant).await;
    assert_eq!(claims.len(), 1);
    tenant.zitadel.revoke_token(&tenant.pat);
    issued.holds(&tenant, "CredentialRejected").await;
    assert_eq!(claims_of(&tenant).await, claims, "over a broken connection");
    tenant
        .connections()
        .delete(&tenant.namespace, &DeleteParams::default())
        .await
        .unwrap();
    issued.holds(&tenant, "ConnectionNotFound").await;
    assert_eq!(
        claims_of(&tenant).await,
        claims,
        "under the same name, untouched"
    );
    tenant.apply_connection(json!({})).await;
    let new = tenant.zitadel.create_pat(&tenant.user).unwrap();
    tenant.set_credential(&new).await;
    tenant.ready("issued").await;
    tenant.until_generates(&issued.app, 2).await;
}

#[tokio::test]
async fn a_credential_that_is_missing_or_malformed_is_told_without_a_word_of_it() {
    let tenant = tenant("malformed").await;
    let issued = Issued::new(&tenant).await;
    let secrets: Api<Secret> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let key_file = tenant
        .zitadel
        .create_machine_key(&tenant.user)
        .unwrap()
        .json;
    let key_file: Value = serde_json::from_str(&key_file).unwrap();
    let with = |field: &str, value: Value| {
        let mut file = key_file.clone();
        file[field] = value;
        file.to_string()
    };
    let pat = "personalAccessToken";
    let key = "serviceAccountKey";
    let cases = [
        (pat, Some(String::new())),
        (pat, Some(" \n".to_owned())),
        (pat, Some("canary two".to_owned())),
        (pat, Some("canary\ntwo".to_owned())),
        (pat, Some("canäry".to_owned())),
        (pat, Some(key_file.to_string())),
        (pat, Some("x".repeat(65_537))),
        (key, Some("canary".to_owned())),
        (key, Some("{\"canary".to_owned())),
        (key, Some("[]".to_owned())),
        (key, Some(with("type", json!("application")))),
        (key, Some(with("keyId", Value::Null))),
        (key, Some(with("userId", json!("../canary")))),
        (key, Some(with("key", json!("canary")))),
        (key, Some(with("key", json!(7)))),
        (
            key,
            Some(with(
                "key",
                json!("-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----\n"),
            )),
        ),
        (key, Some(with("expirationDate", json!("canary")))),
        (pat, None),
    ];
    for (type_, text) in cases {
        let reference = |key: &str| {
            let reference = json!({"secretKeyRef": {"name": tenant.namespace, "key": key}});
            let mut auth = json!({});
            auth[type_] = reference;
            json!({ "auth": auth })
        };
        if let Some(text) = &text {
            tenant.set_credential(text).await;
        } else {
            secrets
                .delete(&tenant.namespace, &DeleteParams::default())
                .await
                .unwrap();
        }
        tenant.apply_connection(reference("token")).await;
        let reason = if text.is_some() {
            "CredentialMalformed"
        } else {
            "CredentialMissing"
        };
        let told = eventually(PATIENCE, || async {
            let status = tenant
                .connections()
                .get(&tenant.namespace)
                .await
                .unwrap()
                .status?;
            let ready = status.conditions.get(ConditionType::Ready)?;
            (ready.reason == reason).then(|| ready.message.clone())
        })
        .await;
        assert!(!told.contains("canary"), "{told}");
        let object = issued.holds(&tenant, reason).await;
        assert!(condition(&object, ConditionType::Stalled).0);
        // In between, so that the next case is told apart from this one.
        tenant.apply_connection(reference("none")).await;
        issued.holds(&tenant, "CredentialMissing").await;
    }
    tenant.set_credential(&tenant.pat).await;
    tenant.apply_connection(json!({})).await;
    tenant.ready("issued").await;
    tenant.until_generates(&issued.app, 2).await;
}

#[tokio::test]
async fn a_credential_that_zitadel_refuses_leaves_the_secret_usable() {
    let tenant = tenant("refused").await;
    let issued = Issued::new(&tenant).await;
    tenant.zitadel.revoke_token(&tenant.pat);
    let object = issued.holds(&tenant, "CredentialRejected").await;
    assert!(
        condition(&object, ConditionType::Ready).0,
        "what is stored works"
    );
    let new = tenant.zitadel.create_pat(&tenant.user).unwrap();
    tenant.set_credential(&new).await;
    tenant.until_generates(&issued.app, 2).await;
    tenant.ready("issued").await;
}

#[tokio::test]
async fn a_zitadel_that_is_down_in_any_way_is_told_and_waited_for() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let tenant = World::shared().await.tenant_at("down", &zitadel).await;
    let issued = Issued::new(&tenant).await;
    for (availability, reasons) in [
        (Availability::Refusing, vec!["ZitadelUnreachable"]),
        (Availability::Resetting, vec!["ZitadelUnreachable"]),
        (Availability::InternalError, vec!["ZitadelUnavailable"]),
        (Availability::Unavailable, vec!["ZitadelUnavailable"]),
        (Availability::DatabaseDown, vec!["ZitadelUnavailable"]),
        (Availability::Hanging, vec!["ZitadelTimeout"]),
    ] {
        let issued = Issued::of(&tenant, issued.app.clone()).await;
        zitadel.set_availability(availability);
        for reason in reasons {
            let object = issued.holds(&tenant, reason).await;
            let (ready, _, message) = condition(&object, ConditionType::Ready);
            assert!(ready, "{availability:?}");
            let stands = ". ZITADEL accepted the stored client secret at 20";
            assert!(message.contains(stands), "{message}");
            let (_, _, message) = condition(&object, ConditionType::Verified);
            assert!(message.contains("; asked at 20"), "{message}");
        }
        zitadel.set_availability(Availability::Up);
        tenant
            .until_generates(&issued.app, issued.generates + 1)
            .await;
        tenant.reason("issued", "UpToDate").await;
    }
    assert_eq!(tenant.generates(&issued.app), 7);
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_trusted_gets_nothing() {
    let zitadel = Simulator::start(Config {
        tls: true,
        ..Config::default()
    })
    .unwrap();
    let tenant = World::shared().await.tenant_at("tls", &zitadel).await;
    tenant.apply_connection(json!({})).await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.reason("orders", "TlsFailed").await;
    assert_eq!(tenant.connection_reason().await, "TlsFailed");
    for bundle in [
        json!({"configMapKeyRef": {"name": "none", "key": "ca.crt"}}),
        json!({"secretKeyRef": {"name": tenant.namespace, "key": "none"}}),
        json!({"secretKeyRef": {"name": tenant.namespace, "key": "token"}}),
    ] {
        tenant
            .apply_connection(json!({"tls": {"caBundle": bundle}}))
            .await;
        tenant.reason("orders", "CaBundleInvalid").await;
        tenant.apply_connection(json!({})).await;
        tenant.reason("orders", "TlsFailed").await;
    }
    assert!(zitadel.request_log().is_empty());
    assert!(tenant.secrets().get_opt("orders").await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_calls_itself_by_another_url_is_not_used() {
    let tenant = tenant("issuer").await;
    let port = World::shared().await.zitadel.address().port();
    let app = tenant.app("orders");
    tenant.apply_connection(json!({"url": "https://iam.example.com", "endpoint": format!("http://127.0.0.1:{port}")})).await;
    assert_ne!(tenant.connection_reason().await, "Connected");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.until("orders", |object| {
        let reason = &object
            .status
            .as_ref()?
            .conditions
            .get(ConditionType::Ready)?
            .reason;
        (!["ConnectionNotFound", "UpToDate"].contains(&reason.as_str())).then_some(())
    });
    let (ready, reason, _) = condition(&object.await, ConditionType::Ready);
    assert!(!ready && known(&reason), "{reason}");
    assert_eq!(tenant.generates(&app), 0);
}

// ---- the application ----

#[tokio::test]
async fn an_application_that_cannot_be_rotated_is_told_by_what_is_wrong_with_it() {
    let tenant = tenant("apps").await;
    let other = tenant.zitadel.create_org("other");
    let make = |new: NewApp| tenant.zitadel.create_app(&tenant.project, &new).unwrap();
    let good = tenant.app("good");
    let oidc = make(NewApp {
        name: "web".to_owned(),
        oidc_redirect_uri: Some("https://localhost/cb".to_owned()),
        ..NewApp::default()
    });
    let jwt = make(NewApp {
        name: "jwt".to_owned(),
        method: AuthMethod::PrivateKeyJwt,
        ..NewApp::default()
    });
    let (inactive, removed) = (tenant.app("inactive"), tenant.app("removed"));
    tenant.zitadel.deactivate_app(&inactive.id).unwrap();
    tenant.zitadel.remove_app(&removed.id).unwrap();
    let foreign = tenant.zitadel.create_project(&other, "foreign");
    tenant
        .apply_connection(
            json!({"grants": [{"name": "by-name", "namespaces": [tenant.namespace], "projectIds": ["*"]}]}),
        )
        .await;
    tenant.connected().await;
    let cases = [
        ("unknown-app", json!({"appId": "7"}), "AppNotFound"),
        ("removed", json!({"appId": removed.id}), "AppNotFound"),
        ("oidc", json!({"appId": oidc.id}), "AppNotApi"),
        ("jwt", json!({"appId": jwt.id}), "AppNotReady"),
        ("inactive", json!({"appId": inactive.id}), "AppNotReady"),
        (
            "unknown-org",
            json!({"organizationId": "7"}),
            "OrganizationNotFound",
        ),
        (
            "other-org",
            json!({"organizationId": other, "appId": "8"}),
            "NotAMember",
        ),
        (
            "other-project",
            json!({"projectId": foreign, "appId": "9"}),
            "PermissionDenied",
        ),
    ];
    for (index, (name, change, _)) in cases.iter().enumerate() {
        let app = if change.get("appId").is_some() {
            good.id.clone()
        } else {
            tenant.app(&format!("good-{index}")).id
        };
        tenant.apply(name, &app, change.clone()).await.unwrap();
    }
    let mut wrong = Vec::new();
    for (name, _, reason) in &cases {
        let object = tenant.until(name, |object| {
            let ready = object
                .status
                .as_ref()?
                .conditions
                .get(ConditionType::Ready)?;
            (ready.reason != "Rotating").then_some(())
        });
        let told = condition(&object.await, ConditionType::Ready);
        assert!(!told.0);
        if told.1 != *reason {
            wrong.push((name, reason, told));
        }
        assert!(
            tenant.secrets().get_opt(name).await.unwrap().is_none(),
            "{name}"
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tenant.apply("good", &good.id, json!({})).await.unwrap();
    tenant.ready("good").await;
    tenant.fence().await;
    let own = tenant
        .zitadel
        .executions()
        .into_iter()
        .filter(|made| made.project == tenant.project && made.request.is_some());
    assert_eq!(own.count(), 2, "the good one and the fence");
}

#[tokio::test]
async fn an_application_that_changes_after_its_issue_is_told_and_its_secret_stays() {
    let tenant = tenant("changed").await;
    let issued = Issued::new(&tenant).await;
    tenant.zitadel.deactivate_app(&issued.app.id).unwrap();
    issued.holds(&tenant, "AppNotReady").await;
    tenant.zitadel.reactivate_app(&issued.app.id).unwrap();
    tenant
        .edit(
            "issued",
            json!({"spec": {"rotation": {"trigger": "active"}}}),
        )
        .await;
    tenant.until_generates(&issued.app, 2).await;
    tenant.reason("issued", "UpToDate").await;
    let issued = Issued::of(&tenant, issued.app).await;
    tenant
        .zitadel
        .change_auth_method(&issued.app.id, AuthMethod::PrivateKeyJwt)
        .unwrap();
    issued.holds(&tenant, "AppNotReady").await;
    tenant.zitadel.remove_app(&issued.app.id).unwrap();
    issued.holds(&tenant, "AppNotFound").await;
}

#[tokio::test]
async fn a_service_user_that_may_only_read_rotates_nothing() {
    let tenant = tenant("viewer").await;
    let issued = Issued::new(&tenant).await;
    tenant.zitadel.revoke_memberships(&tenant.user);
    issued.holds(&tenant, "NotAMember").await;
    tenant.zitadel.grant(
        &tenant.user,
        Role::ProjectOwnerViewer,
        Scope::Project(tenant.project.clone()),
    );
    let object = issued.holds(&tenant, "PermissionDenied").await;
    assert!(condition(&object, ConditionType::Stalled).0);
    tenant.zitadel.grant(
        &tenant.user,
        Role::ProjectOwner,
        Scope::Project(tenant.project.clone()),
    );
    tenant
        .edit(
            "issued",
            json!({"spec": {"rotation": {"trigger": "owner"}}}),
        )
        .await;
    tenant.until_generates(&issued.app, 2).await;
    tenant.ready("issued").await;
}

// ---- the Secret ----

#[tokio::test]
async fn a_secret_that_is_immutable_or_of_another_type_is_told() {
    let tenant = tenant("immutable").await;
    let issued = Issued::new(&tenant).await;
    tenant
        .edit(
            "issued",
            json!({"spec": {"secret": {"type": "example.com/other"}}}),
        )
        .await;
    let object = issued.holds(&tenant, "SecretTypeMismatch").await;
    assert!(condition(&object, ConditionType::Stalled).0);
    tenant
        .edit("issued", json!({"spec": {"secret": null}}))
        .await;
    tenant.reason("issued", "UpToDate").await;
    tenant
        .edit_secret("issued", json!({"immutable": true}))
        .await;
    let issued = Issued::of(&tenant, issued.app).await;
    issued.holds(&tenant, "SecretImmutable").await;
    // As the message says: it is deleted by a person.
    tenant.delete_secret("issued").await;
    tenant.until_accepted(&issued.app, "issued").await;
    tenant.ready("issued").await;
}

/// A quota of that name that allows as many Secrets as there are. Waits for its effect.
async fn no_room(tenant: &Tenant, name: &str, secrets: u32) -> Api<ResourceQuota> {
    let quotas: Api<ResourceQuota> = Api::namespaced(tenant.client.clone(), &tenant.namespace);
    let hard = json!({"secrets": secrets.to_string()});
    let quota = json!({"metadata": {"name": name}, "spec": {"hard": hard}});
    quotas
        .create(
            &PostParams::default(),
            &serde_json::from_value(quota).unwrap(),
        )
        .await
        .unwrap();
    // The quota controller would do this.
    let status = json!({"status": {"hard": hard, "used": hard}});
    quotas
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        dry_run(&tenant.secrets()).await.err().map(drop)
    })
    .await;
    quotas
}

#[tokio::test]
async fn a_rename_that_a_quota_does_not_allow_leaves_the_former_secret_and_says_so() {
    let tenant = tenant("renamequota").await;
    let issued = Issued::new(&tenant).await;
    let quotas = no_room(&tenant, "full", 1).await;
    let renamed = json!({"spec": {"secret": {"name": "renamed"}}});
    tenant.edit("issued", renamed).await;
    let object = issued.holds(&tenant, "QuotaExceeded").await;
    let (stalled, _, message) = condition(&object, ConditionType::Stalled);
    let named = format!(
        "ResourceQuota full of namespace {} does not allow Secret renamed: raise it",
        tenant.namespace
    );
    assert!(stalled && message.starts_with(&named), "{message}");
    let stays = "Until then the client secret stays in Secret issued";
    assert!(message.ends_with(stays), "{message}");
    let (ready, _, _) = condition(&object, ConditionType::Ready);
    assert!(!ready, "there is no Secret of the name that is declared");
    let (accepted, _, _) = condition(&object, ConditionType::Verified);
    assert!(accepted, "{object:?}");
    let status = object.status.unwrap();
    assert_eq!(status.secret_name.as_deref(), Some("issued"));
    assert!(tenant.accepted(&issued.app, "issued").await);
    quotas
        .delete("full", &DeleteParams::default())
        .await
        .unwrap();
    let labels = json!({"spec": {"secret": {"labels": {"room": "made"}}}});
    tenant.edit("issued", labels).await;
    tenant.until_accepted(&issued.app, "renamed").await;
    tenant.secret_gone("issued").await;
}

#[tokio::test]
async fn a_quota_without_room_stops_the_issue_before_any_generate() {
    let tenant = tenant("quota").await;
    let quotas = no_room(&tenant, "none", 0).await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.reason("orders", "QuotaExceeded").await;
    let (_, _, message) = condition(&object, ConditionType::Stalled);
    let named = format!(
        "ResourceQuota none of namespace {} does not allow Secret orders",
        tenant.namespace
    );
    assert!(message.starts_with(&named), "{message}");
    assert_eq!(tenant.generates(&app), 0);
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    tenant
        .edit("orders", json!({"spec": {"rotation": {"trigger": "room"}}}))
        .await;
    tenant.until_accepted(&app, "orders").await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn an_admission_policy_that_denies_the_write_stops_the_rotation_before_any_generate() {
    let tenant = tenant("policy").await;
    let issued = Issued::new(&tenant).await;
    deny_secrets(&tenant.client, &tenant.namespace).await;
    let object = issued.holds(&tenant, "SecretWriteRefused").await;
    let (_, _, message) = condition(&object, ConditionType::Ready);
    let named = format!(
        "ValidatingAdmissionPolicy {} refuses Secret issued",
        tenant.namespace
    );
    assert!(message.starts_with(&named), "{message}");
    assert!(
        message.contains(". The operator tries again at 20"),
        "{message}"
    );
    let ready = condition(&object, ConditionType::Ready).0;
    let stalled = condition(&object, ConditionType::Stalled).0;
    assert!(
        ready && stalled,
        "what is stored works, and a person must act"
    );
    assert!(
        !message.contains("not today"),
        "no text of others is copied"
    );
    allow_secrets(&tenant.client, &tenant.namespace).await;
    tenant
        .edit(
            "issued",
            json!({"spec": {"rotation": {"trigger": "today"}}}),
        )
        .await;
    tenant.until_generates(&issued.app, 2).await;
    tenant.ready("issued").await;
}

#[tokio::test]
async fn an_admission_policy_that_denies_the_claim_is_named() {
    let tenant = tenant("claimpolicy").await;
    let issued = Issued::new(&tenant).await;
    let leases: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let all = leases.list(&ListParams::default()).await.unwrap();
    let ours = |lease: &Lease| {
        let annotations = lease.metadata.annotations.as_ref();
        annotations.is_some_and(|all| all.values().any(|it| it.contains(&tenant.namespace)))
    };
    let claim = all.items.into_iter().find(ours).unwrap();
    let claim = claim.metadata.name.unwrap();
    let (client, policy) = (&tenant.client, format!("{}.claims", tenant.namespace));
    deny_lease(client, &policy, OPERATOR_NAMESPACE, &claim).await;
    let touch = Patch::Merge(json!({"metadata": {"labels": {"touched": "1"}}}));
    eventually(PATIENCE, || async {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        leases
            .patch(&claim, &params, &touch)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    let object = issued.holds(&tenant, "ClaimWriteForbidden").await;
    let (_, _, message) = condition(&object, ConditionType::Ready);
    let named = format!("ValidatingAdmissionPolicy {policy} refuses the Lease with the claim");
    assert!(
        message.starts_with(&named) && !message.contains("not today"),
        "{message}"
    );
    allow_lease(client, &policy).await;
    let again = json!({"spec": {"rotation": {"trigger": "again"}}});
    tenant.edit("issued", again).await;
    tenant.until_generates(&issued.app, 2).await;
}

/// A policy that changes one thing that the operator writes: its guard, its patch, and what the object says of it.
const MUTATIONS: [(&str, &str, &str); 5] = [
    (
        "has(object.data) && 'CLIENT_SECRET' in object.data",
        "[JSONPatch{op: 'replace', path: '/data/CLIENT_SECRET', value: 'ZXZpbA=='}]",
        "key CLIENT_SECRET",
    ),
    (
        "has(object.data) && 'CLIENT_ID' in object.data",
        "[JSONPatch{op: 'remove', path: '/data/CLIENT_ID'}]",
        "key CLIENT_ID",
    ),
    (
        "has(object.metadata.labels) && 'zitadel-secrets.dev/managed' in object.metadata.labels",
        "[JSONPatch{op: 'remove', path: '/metadata/labels/' + jsonpatch.escapeKey('zitadel-secrets.dev/managed')}]",
        "label zitadel-secrets.dev/managed",
    ),
    (
        "has(object.metadata.annotations) && 'zitadel-secrets.dev/commit' in object.metadata.annotations",
        "[JSONPatch{op: 'remove', path: '/metadata/annotations'}]",
        "annotation zitadel-secrets.dev/commit",
    ),
    (
        "has(object.metadata.ownerReferences)",
        "[JSONPatch{op: 'remove', path: '/metadata/ownerReferences'}]",
        "the owner reference",
    ),
];

#[tokio::test]
async fn a_policy_that_changes_what_is_written_is_named_before_anything_is_generated() {
    let world = World::shared().await;
    futures::future::join_all(MUTATIONS.iter().enumerate().map(
        |(n, (guard, patch, what))| async move {
            let tenant = world.tenant(&format!("mutated{n}")).await;
            let issued = Issued::new(&tenant).await;
            mutate_secrets(&tenant.client, &tenant.namespace, guard, patch, false).await;
            let object = issued.holds(&tenant, "SecretMutated").await;
            let (ready, _, message) = condition(&object, ConditionType::Ready);
            assert!(message.contains(what), "{message}");
            assert!(ready, "what is stored works");
            assert!(condition(&object, ConditionType::Stalled).0);
            assert!(condition(&object, ConditionType::Verified).0, "{what}");
            let new = tenant.app("new");
            tenant.apply("new", &new.id, json!({})).await.unwrap();
            let object = tenant.reason("new", "SecretMutated").await;
            assert!(condition(&object, ConditionType::Ready).2.contains(what));
            assert_eq!(tenant.generates(&new), 0, "{what}");
            leave_secrets(&tenant.client, &tenant.namespace).await;
            let again = json!({"spec": {"rotation": {"trigger": "again"}}});
            tenant.edit("issued", again).await;
            tenant.until_generates(&issued.app, 2).await;
            tenant.ready("issued").await;
        },
    ))
    .await;
}

#[tokio::test]
async fn a_value_that_only_the_real_write_changes_is_held_and_never_called_good() {
    let world = World::shared().await;
    futures::future::join_all(MUTATIONS.iter().enumerate().map(
        |(n, (guard, patch, what))| async move {
            let tenant = world.tenant(&format!("realmut{n}")).await;
            let issued = Issued::new(&tenant).await;
            mutate_secrets(&tenant.client, &tenant.namespace, guard, patch, true).await;
            let trigger = json!({"spec": {"rotation": {"trigger": "x"}}});
            tenant.edit("issued", trigger).await;
            let object = tenant.reason("issued", "SecretMutated").await;
            let (ready, _, message) = condition(&object, ConditionType::Ready);
            assert!(!ready && message.contains(what), "{message}");
            assert_eq!(tenant.generates(&issued.app), 2, "{what}");
            if what.starts_with("key") {
                tenant
                    .until("issued", |object| {
                        (condition(object, ConditionType::Verified).1 == "Refused").then_some(())
                    })
                    .await;
            }
            leave_secrets(&tenant.client, &tenant.namespace).await;
            tenant.until_accepted(&issued.app, "issued").await;
            let object = tenant.ready("issued").await;
            assert!(condition(&object, ConditionType::Verified).0, "{what}");
            assert_eq!(tenant.generates(&issued.app), 2, "{what}: it was held");
            let client_id = tenant.value("issued", "CLIENT_ID").await;
            assert_eq!(client_id.as_deref(), Some(issued.app.client_id.as_str()));
        },
    ))
    .await;
}

#[tokio::test]
async fn a_template_label_that_a_policy_changes_is_written_once_and_left() {
    let tenant = tenant("cosmetic").await;
    let app = tenant.app("orders");
    mutate_secrets(
        &tenant.client,
        &tenant.namespace,
        "has(object.metadata.labels) && 'team' in object.metadata.labels",
        "[JSONPatch{op: 'replace', path: '/metadata/labels/team', value: 'policy'}]",
        false,
    )
    .await;
    let labels = json!({"secret": {"labels": {"team": "mine"}}});
    tenant.apply("orders", &app.id, labels).await.unwrap();
    let object = tenant.reason("orders", "SecretMutated").await;
    let (ready, _, message) = condition(&object, ConditionType::Ready);
    assert!(ready && message.contains("label team"), "{message}");
    assert!(tenant.accepted(&app, "orders").await);
    // It is left so, also when it is looked at again.
    let before = tenant.secret("orders").await.metadata.resource_version;
    let mut log = AuditLog::from_now(World::shared().await.cluster.audit_log());
    let touched = json!({"metadata": {"annotations": {"touched": "1"}}});
    tenant.edit("orders", touched).await;
    tenant.fence().await;
    let is_write = |request: &Request| {
        request.is_write()
            && request.resource() == "secrets"
            && (request.namespace(), request.name()) == (tenant.namespace.as_str(), "orders")
    };
    let writes: Vec<Request> = log.read().into_iter().filter(is_write).collect();
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!(
        tenant.secret("orders").await.metadata.resource_version,
        before
    );
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn a_lost_secret_whose_repair_is_refused_says_that_no_credential_works() {
    let tenant = tenant("lost").await;
    let issued = Issued::new(&tenant).await;
    deny_secrets(&tenant.client, &tenant.namespace).await;
    let never = tenant.app("never");
    tenant.apply("never", &never.id, json!({})).await.unwrap();
    tenant.delete_secret("issued").await;
    let object = tenant.reason("issued", "SecretWriteRefused").await;
    let verified = condition(&object, ConditionType::Verified);
    assert_eq!((verified.0, verified.1.as_str()), (false, "SecretMissing"));
    // Nobody relies yet on one that there never was.
    let object = tenant.reason("never", "SecretWriteRefused").await;
    assert_eq!(condition(&object, ConditionType::Verified).1, "");
    assert_eq!(tenant.generates(&issued.app), 1);

    allow_secrets(&tenant.client, &tenant.namespace).await;
    let again = json!({"spec": {"rotation": {"trigger": "again"}}});
    tenant.edit("issued", again).await;
    tenant.until_accepted(&issued.app, "issued").await;
    let object = tenant.ready("issued").await;
    assert!(condition(&object, ConditionType::Verified).0);
    assert_eq!(tenant.generates(&issued.app), 2);
}

#[tokio::test]
async fn without_rights_on_secrets_of_a_namespace_only_that_namespace_stands_still() {
    if !ControlPlane::can_start() {
        return;
    }
    let world = World::own(Options::default()).await;
    let (allowed, denied) = (world.tenant("allowed").await, world.tenant("denied").await);
    let client = world.cluster.client().await;
    let kubeconfig = world.cluster.kubeconfig_for_user("limited", &[]).await;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let everything = |resources: Value, groups: Value, verbs: Value| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    let base = json!({"metadata": {"name": "base"}, "rules": [
        everything(json!(["*"]), json!(["zitadel-secrets.dev", "coordination.k8s.io", "events.k8s.io"]), json!(["*"])),
        everything(json!(["namespaces", "configmaps", "secrets"]), json!([""]), json!(["get", "list", "watch"])),
    ]});
    let secrets = json!({"metadata": {"name": "secrets"}, "rules": [everything(json!(["secrets"]), json!([""]), json!(["*"]))]});
    for role in [base, secrets] {
        roles
            .create(
                &PostParams::default(),
                &serde_json::from_value(role).unwrap(),
            )
            .await
            .unwrap();
    }
    let subjects =
        json!([{"kind": "User", "name": "limited", "apiGroup": "rbac.authorization.k8s.io"}]);
    let bind = |role: &str| json!({"metadata": {"name": role}, "subjects": subjects, "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"}});
    let all: Api<ClusterRoleBinding> = Api::all(client.clone());
    all.create(
        &PostParams::default(),
        &serde_json::from_value(bind("base")).unwrap(),
    )
    .await
    .unwrap();
    let one: Api<RoleBinding> = Api::namespaced(client.clone(), &allowed.namespace);
    one.create(
        &PostParams::default(),
        &serde_json::from_value(bind("secrets")).unwrap(),
    )
    .await
    .unwrap();
    let operator = Operator::start(&kubeconfig, &world.directory, &["--protocol-speed", "20"]);
    let (good, bad) = (allowed.app("good"), denied.app("bad"));
    denied.apply("bad", &bad.id, json!({})).await.unwrap();
    allowed.apply("good", &good.id, json!({})).await.unwrap();
    allowed.ready("good").await;
    let object = denied.reason("bad", "SecretWriteForbidden").await;
    assert!(condition(&object, ConditionType::Stalled).0);
    assert_eq!((allowed.generates(&good), denied.generates(&bad)), (1, 0));
    operator.stop();
}

// ---- answers of generate ----

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
    let object = tenant.reason("orders", "Refused").await;
    assert!(!condition(&object, ConditionType::Ready).0);
    assert_eq!(condition(&object, ConditionType::Verified).1, "Refused");
    // Whoever wrote the value is reason enough. It is made again, and then nothing more can be said of it either.
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
    let object = tenant.ready("orders").await;
    assert!(condition(&object, ConditionType::Verified).0);
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
            let (stalled, _, message) = condition(object, ConditionType::Stalled);
            (stalled && message.contains("each client secret")).then_some(())
        })
        .await;
    let (ready, reason, message) = condition(&object, ConditionType::Ready);
    assert_eq!((ready, reason.as_str()), (false, "Refused"));
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

#[tokio::test]
async fn triggers_leave_the_breaker_closed_and_repairs_open_it() {
    let tenant = tenant("asked").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    for (trigger, made) in [("a", 2), ("b", 3), ("c", 4)] {
        tenant
            .edit(
                "orders",
                json!({"spec": {"rotation": {"trigger": trigger}}}),
            )
            .await;
        tenant.until_generates(&app, made).await;
        tenant.ready("orders").await;
    }
    for made in [5, 6, 7] {
        tenant.delete_secret("orders").await;
        tenant.until_generates(&app, made).await;
        tenant.ready("orders").await;
    }
    tenant.delete_secret("orders").await;
    tenant.reason("orders", "BreakerOpen").await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 7);
}

#[tokio::test]
async fn an_object_that_is_made_again_and_again_is_issued_each_time_and_never_stopped() {
    let tenant = tenant("again").await;
    let app = tenant.app("orders");
    for made in 1..=5 {
        tenant.apply("orders", &app.id, json!({})).await.unwrap();
        let status = tenant.ready("orders").await.status.unwrap();
        assert_eq!(status.last_rotation.unwrap().reason, "FirstIssue");
        let replaced = status.history[0].replaced.as_ref();
        let made_with_it = replaced.is_none_or(|replaced| replaced.with_app == Some(true));
        assert_eq!(made_with_it, made == 1, "{replaced:?}");
        assert_eq!(tenant.generates(&app), made);
        // Its Secret goes with it.
        tenant.delete("orders").await;
        tenant.secret_gone("orders").await;
    }
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let events = tenant.events("orders").await;
    let warned = |(type_, reason, note): &(String, String, String)| {
        type_ == "Warning" && reason == "Issued" && note.contains("It replaced one")
    };
    assert!(events.iter().any(warned), "{events:?}");
    assert!(events.iter().all(|(_, reason, _)| reason != "LostAttempt"));
    // What is repaired next is not held back either.
    tenant.delete_secret("orders").await;
    tenant.until_generates(&app, 7).await;
    let status = tenant.ready("orders").await.status.unwrap();
    assert_eq!(status.last_rotation.unwrap().reason, "SecretMissing");
}

#[tokio::test]
async fn answers_that_are_lost_every_time_open_the_breaker_until_a_new_trigger() {
    let tenant = tenant("breaker").await;
    let app = tenant.app("orders");
    let fault = tenant.zitadel.inject(
        Fault::on(Operation::Generate, Action::ReplaceBody("{}".to_owned()))
            .app(&app.id)
            .always(),
    );
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.reason("orders", "BreakerOpen").await;
    assert!(condition(&object, ConditionType::Stalled).0);
    assert_eq!(tenant.generates(&app), 4, "three of them are repairs");
    let ready = condition(&object, ConditionType::Ready).2;
    let lost =
        "carried out 4 rotations whose answers could not be used (malformed answer, HTTP 200)";
    assert!(ready.contains(lost), "{ready}");
    assert!(ready.starts_with("Consumers are down"), "{ready}");
    assert!(!ready.contains("find out"), "{ready}");
    let note = tenant.event("orders", "LostAttempt").await;
    assert!(note.contains("malformed answer, HTTP 200"), "{note}");
    let opened = tenant.event("orders", "BreakerOpen").await;
    assert!(opened.contains("Consumers are down"), "{opened}");
    tenant
        .edit("orders", json!({"spec": {"rotation": {"trigger": "once"}}}))
        .await;
    tenant.until_generates(&app, 5).await;
    tenant.reason("orders", "BreakerOpen").await;
    tenant.fence().await;
    assert_eq!(
        tenant.generates(&app),
        5,
        "a trigger gives one attempt past the breaker"
    );
    tenant.zitadel.remove_fault(fault);
    tenant
        .edit("orders", json!({"spec": {"rotation": {"trigger": "good"}}}))
        .await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 6);
}
