//! `OidcAppSecret`: the second kind, on the same core.

use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecretStatus, ConditionType, OidcAppSecret};
use zitadel_simulator::{Action, AppHandle, Config, Cut, Fault, NewApp, Operation, Simulator};

use crate::fixtures::{holds, message, root, tenant};
use crate::support::helm::documents;
use crate::support::world::{PATIENCE, Tenant, World};
use crate::support::{apply, eventually};

/// A tenant whose connection is granted for both kinds.
struct Oidc {
    tenant: Tenant,
}

impl Oidc {
    async fn new(prefix: &str) -> Self {
        Self::of(tenant(prefix).await).await
    }

    async fn of(tenant: Tenant) -> Self {
        let it = Self { tenant };
        it.grant(json!(["ApiAppSecret", "OidcAppSecret"])).await;
        it
    }

    /// Changes which kinds the connection is granted for; null leaves that out.
    async fn grant(&self, kinds: Value) {
        let mut grant = json!({"name": "by-name", "namespaces": [self.tenant.namespace], "projectIds": [self.tenant.project]});
        if !kinds.is_null() {
            grant["kinds"] = kinds;
        }
        let grants = json!({"grants": [grant]});
        self.tenant.apply_connection(grants).await;
        self.tenant.connected().await;
    }

    /// A new OIDC application that authenticates by client secret.
    fn app(&self, name: &str) -> AppHandle {
        let new = NewApp {
            name: name.to_owned(),
            oidc_redirect_uri: Some("https://localhost/callback".to_owned()),
            ..NewApp::default()
        };
        let zitadel = &self.tenant.zitadel;
        zitadel.create_app(&self.tenant.project, &new).unwrap()
    }

    /// A new OIDC application of another authentication method.
    async fn app_with(&self, method: &str) -> String {
        let Tenant { url, project, .. } = &self.tenant;
        let url = format!("{url}/management/v1/projects/{project}/apps/oidc");
        let body = json!({
            "name": method, "redirectUris": ["https://localhost/callback"], "responseTypes": ["OIDC_RESPONSE_TYPE_CODE"],
            "grantTypes": ["OIDC_GRANT_TYPE_AUTHORIZATION_CODE"], "appType": "OIDC_APP_TYPE_WEB",
            "authMethodType": format!("OIDC_AUTH_METHOD_TYPE_{method}"),
        });
        let request = reqwest::Client::new().post(url).json(&body);
        let request = request.bearer_auth(&self.tenant.pat);
        let request = request.header("x-zitadel-orgid", &self.tenant.organization);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["appId"].as_str().unwrap().to_owned()
    }

    fn objects(&self) -> Api<OidcAppSecret> {
        Api::namespaced(self.tenant.client.clone(), &self.tenant.namespace)
    }

    async fn apply(&self, name: &str, app: &str, extra: Value) {
        let mut object = self.tenant.manifest(name, app, extra);
        object["kind"] = json!("OidcAppSecret");
        apply(&self.objects(), &object).await.unwrap();
    }

    async fn trigger(&self, name: &str, trigger: &str) {
        let change = Patch::Merge(json!({"spec": {"rotation": {"trigger": trigger}}}));
        let params = PatchParams::default();
        self.objects().patch(name, &params, &change).await.unwrap();
    }

    async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&AppSecretStatus) -> bool,
    ) -> AppSecretStatus {
        let api = self.objects();
        let mut last = None;
        let asking = async {
            loop {
                let object = api.get(name).await.unwrap();
                let generation = object.metadata.generation;
                if let Some(status) = object.status {
                    if status.observed_generation == generation && holds(&status) {
                        return status;
                    }
                    last = Some(status);
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, asking).await;
        found.unwrap_or_else(|_| panic!("{name} is not {what}, but {last:#?}"))
    }

    async fn ready(&self, name: &str) -> AppSecretStatus {
        let ready = |status: &AppSecretStatus| status.conditions.is_true(ConditionType::Ready);
        self.until(name, "ready", ready).await
    }

    async fn reason(&self, name: &str, reason: &str) -> String {
        let says = |status: &AppSecretStatus| {
            let ready = status.conditions.get(ConditionType::Ready);
            ready.is_some_and(|ready| ready.reason == reason)
        };
        let status = self.until(name, reason, says).await;
        let ready = status.conditions.get(ConditionType::Ready).unwrap();
        ready.message.clone()
    }

    async fn rotated(&self, name: &str, cause: &str) -> AppSecretStatus {
        let is_last = |status: &AppSecretStatus| {
            let last = status.last_rotation.as_ref();
            last.is_some_and(|last| last.reason == cause)
                && status.conditions.is_true(ConditionType::Ready)
        };
        self.until(name, cause, is_last).await
    }

    async fn issued(&self, name: &str, extra: Value) -> AppHandle {
        let app = self.app(name);
        self.apply(name, &app.id, extra).await;
        self.ready(name).await;
        app
    }
}

#[tokio::test]
async fn the_client_secret_of_an_oidc_application_is_issued_verified_and_rotated_on_a_trigger() {
    let it = Oidc::new("oidc").await;
    let data = json!([
        {"key": "client_id", "from": "ClientId"},
        {"key": "CLIENT_SECRET", "from": "ClientSecret"},
        {"key": "issuer", "from": "Issuer"},
    ]);
    let extra = json!({"secret": {"data": data}});
    let app = it.issued("web", extra).await;
    let tenant = &it.tenant;
    assert!(tenant.accepted(&app, "web").await);
    assert_eq!(tenant.generates(&app), 1);
    let stored = tenant.data("web").await;
    assert_eq!(stored["client_id"], app.client_id);
    assert_eq!(stored["issuer"], tenant.url);
    let status = it.ready("web").await;
    assert!(status.conditions.is_true(ConditionType::Verified));
    assert_eq!(status.active_app_id.as_deref(), Some(app.id.as_str()));
    // Whoever created the application got a first client secret.
    let first = status.history[0].replaced.as_ref().unwrap();
    assert_eq!(first.with_app, Some(true));
    it.trigger("web", "now").await;
    it.rotated("web", "Trigger").await;
    assert_eq!(tenant.generates(&app), 2);
    assert!(tenant.accepted(&app, "web").await);
    // What was stored and reported says of which kind the object is.
    let owner = tenant
        .secret("web")
        .await
        .metadata
        .owner_references
        .unwrap();
    assert_eq!(owner[0].kind, "OidcAppSecret");
    let record = tenant.secret("web").await.metadata.annotations.unwrap();
    let record = record.values().find(|text| text.contains("\"owner\""));
    let record: Value = serde_json::from_str(record.unwrap()).unwrap();
    assert_eq!(record["owner"]["kind"], "OidcAppSecret");
    assert_eq!(tenant.claims("web").await.len(), 1);
    tenant.event("web", "Rotated").await;
    let events: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(tenant.client.clone(), &tenant.namespace);
    for event in events.list(&ListParams::default()).await.unwrap() {
        let regarding = event.regarding.unwrap();
        assert_eq!(regarding.kind.as_deref(), Some("OidcAppSecret"));
    }
    // The Secret goes with its object.
    let params = DeleteParams::default();
    it.objects().delete("web", &params).await.unwrap();
    tenant.secret_gone("web").await;
}

#[tokio::test]
async fn a_secret_of_an_oidc_application_that_is_deleted_or_rotated_elsewhere_is_repaired() {
    let it = Oidc::new("oidc-repair").await;
    let app = it.issued("web", json!({})).await;
    it.tenant.delete_secret("web").await;
    it.tenant.until_accepted(&app, "web").await;
    it.rotated("web", "SecretMissing").await;
    assert_eq!(it.tenant.generates(&app), 2);
    let edit = json!({"stringData": {"CLIENT_SECRET": "by-hand"}});
    it.tenant.edit_secret("web", edit).await;
    it.tenant.until_accepted(&app, "web").await;
    it.rotated("web", "SecretInvalid").await;
    assert_eq!(it.tenant.generates(&app), 3);
}

#[tokio::test]
async fn an_oidc_application_is_rotated_by_schedule_and_its_next_rotation_is_shown() {
    let it = Oidc::new("oidc-due").await;
    let extra = json!({"rotation": {"interval": "1h"}});
    let app = it.issued("web", extra).await;
    let status = it.ready("web").await;
    assert!(status.next_rotation_time.is_some() && status.schedule.is_some());
    assert_eq!(it.tenant.generates(&app), 1);
}

#[tokio::test]
async fn a_lost_answer_of_an_oidc_application_is_found_in_its_change_list_and_replaced_once() {
    let it = Oidc::new("oidc-lost").await;
    let app = it.issued("web", json!({})).await;
    let lost = Fault::on(Operation::Generate, Action::DropAfter(Cut::Reset));
    it.tenant.zitadel.inject(lost.app(&app.id));
    it.trigger("web", "now").await;
    it.rotated("web", "LostAttempt").await;
    assert_eq!(it.tenant.generates(&app), 3);
    assert!(it.tenant.accepted(&app, "web").await);
}

#[tokio::test]
async fn an_answer_that_a_killed_operator_never_took_is_replaced_once_by_the_next_one() {
    let world = World::shared().await;
    let mut operator = world.own_operator(&["--protocol-speed", "20"]).await;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let it = Oidc::of(operator.tenant_at("oidc-kill", world, &zitadel).await).await;
    let app = it.issued("web", json!({})).await;
    let gate = zitadel.hold_after(Operation::Generate);
    it.trigger("web", "now").await;
    eventually(PATIENCE, || async { (gate.arrived() > 0).then_some(()) }).await;
    operator.kill_and_start_again();
    gate.release();
    it.rotated("web", "LostAttempt").await;
    assert_eq!(it.tenant.generates(&app), 3);
    assert!(it.tenant.accepted(&app, "web").await);
}

#[tokio::test]
async fn an_application_of_another_type_or_without_a_client_secret_is_refused_and_says_what_it_is()
{
    let it = Oidc::new("oidc-types").await;
    let (api, oidc) = (it.tenant.app("api"), it.app("web"));
    let public = it.app_with("NONE").await;
    let by_key = it.app_with("PRIVATE_KEY_JWT").await;
    let post = it.app_with("POST").await;
    for (name, app) in [
        ("api", &api.id),
        ("public", &public),
        ("key", &by_key),
        ("post", &post),
    ] {
        it.apply(name, app, json!({})).await;
    }
    it.tenant.apply("oidc", &oidc.id, json!({})).await.unwrap();
    assert_eq!(
        it.reason("api", "AppNotOidc").await,
        format!(
            "App {} is an API application: delete this object and create an ApiAppSecret for it",
            api.id
        )
    );
    let object = it.tenant.reason("oidc", "AppNotApi").await;
    assert_eq!(
        message(&object, ConditionType::Ready),
        format!(
            "App {} is an OIDC application: delete this object and create an OidcAppSecret for it",
            oidc.id
        )
    );
    assert!(holds(&object, ConditionType::Stalled));
    let said = it.reason("public", "AppNotReady").await;
    assert!(
        said.contains("is a public client, which has no client secret"),
        "{said}"
    );
    let said = it.reason("key", "AppNotReady").await;
    assert!(
        said.contains("does not authenticate by client secret (BASIC or POST)"),
        "{said}"
    );
    it.ready("post").await;
    it.tenant.fence().await;
    for app in [&api.id, &oidc.id, &public, &by_key] {
        assert_eq!(it.tenant.zitadel.generates(app), 0, "{app}");
    }
    assert_eq!(it.tenant.zitadel.generates(&post), 1);
}

#[tokio::test]
async fn a_grant_without_the_kind_covers_no_oidc_application() {
    let it = Oidc::new("oidc-grant").await;
    let app = it.issued("web", json!({})).await;
    for kinds in [json!(null), json!(["ApiAppSecret"])] {
        it.grant(kinds).await;
        it.trigger("web", "x").await;
        let said = it.reason("web", "NotGranted").await;
        assert!(said.ends_with("with kinds: [OidcAppSecret]"), "{said}");
        assert_eq!(it.tenant.generates(&app), 1);
    }
    it.grant(json!(["OidcAppSecret"])).await;
    it.tenant.until_generates(&app, 2).await;
    it.ready("web").await;
    // The other way round as well.
    let api = it.tenant.app("api");
    it.tenant.apply("api", &api.id, json!({})).await.unwrap();
    it.tenant.reason("api", "NotGranted").await;
    assert_eq!(it.tenant.generates(&api), 0);
}

#[tokio::test]
async fn objects_of_both_kinds_with_one_name_have_nothing_to_do_with_each_other() {
    let it = Oidc::new("oidc-names").await;
    let tenant = &it.tenant;
    let (api, oidc) = (tenant.app("api"), it.app("web"));
    let named = |name: &str| json!({"secret": {"name": name}});
    tenant
        .apply("same", &api.id, named("of-api"))
        .await
        .unwrap();
    it.apply("same", &oidc.id, named("of-oidc")).await;
    tenant.ready("same").await;
    it.ready("same").await;
    assert!(tenant.accepted(&api, "of-api").await && tenant.accepted(&oidc, "of-oidc").await);
    it.trigger("same", "x").await;
    it.rotated("same", "Trigger").await;
    tenant.fence().await;
    assert_eq!((tenant.generates(&api), tenant.generates(&oidc)), (1, 2));
    tenant.delete("same").await;
    tenant.secret_gone("of-api").await;
    it.trigger("same", "y").await;
    tenant.until_generates(&oidc, 3).await;
    it.ready("same").await;
    assert!(tenant.accepted(&oidc, "of-oidc").await);
}

#[tokio::test]
async fn rivals_of_another_kind_are_told_who_keeps_the_secret() {
    let it = Oidc::new("oidc-rivals").await;
    let tenant = &it.tenant;
    let shared = json!({"secret": {"name": "shared"}});
    let app = it.issued("first", shared.clone()).await;
    let api = tenant.app("api");
    tenant.apply("second", &api.id, shared).await.unwrap();
    let object = tenant.reason("second", "SecretKeyConflict").await;
    let said = message(&object, ConditionType::Ready);
    let first = format!("OidcAppSecret {}/first", tenant.namespace);
    assert!(said.contains(&first), "{said}");
    // The same name as the keeper's does not make it the keeper.
    let same = tenant.app("same");
    let named = json!({"secret": {"name": "shared"}});
    tenant.apply("first", &same.id, named).await.unwrap();
    tenant.reason("first", "SecretKeyConflict").await;
    tenant.fence().await;
    assert_eq!((tenant.generates(&api), tenant.generates(&same)), (0, 0));
    assert!(tenant.accepted(&app, "shared").await);
    // Two of this kind for one application are rivals as well.
    it.apply("younger", &app.id, json!({})).await;
    let said = it.reason("younger", "AppAlreadyClaimed").await;
    assert!(said.contains(&first), "{said}");
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn over_zitadels_api_v2_an_oidc_application_is_issued_and_rotated_and_another_one_refused() {
    let it = Oidc::new("oidc-v2").await;
    let grants = json!([{
        "name": "both", "namespaces": [it.tenant.namespace], "projectIds": [it.tenant.project],
        "kinds": ["ApiAppSecret", "OidcAppSecret"],
    }]);
    let v2 = json!({"api": "V2", "grants": grants});
    it.tenant.apply_connection(v2).await;
    it.tenant.connected().await;
    let app = it.issued("web", json!({})).await;
    it.trigger("web", "now").await;
    it.rotated("web", "Trigger").await;
    assert_eq!(it.tenant.generates(&app), 2);
    assert!(it.tenant.accepted(&app, "web").await);
    let (api, public) = (it.tenant.app("api"), it.app_with("NONE").await);
    it.apply("api", &api.id, json!({})).await;
    it.apply("public", &public, json!({})).await;
    it.reason("api", "AppNotOidc").await;
    it.reason("public", "AppNotReady").await;
    // NB: this API would generate for either.
    assert_eq!(it.tenant.generates(&api), 0);
    assert_eq!(it.tenant.zitadel.generates(&public), 0);
}

/// A recipe of `examples/oidc` with the ids of this tenant, applied; and the application.
async fn recipe(it: &Oidc, file: &str) -> (String, AppHandle) {
    let app = it.app(file);
    let path = root().join("examples/oidc").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let [mut object] = documents(&text).try_into().unwrap();
    object["metadata"]["namespace"] = json!(it.tenant.namespace);
    let spec = &mut object["spec"];
    spec["connectionRef"] = json!({"name": it.tenant.namespace});
    spec["projectId"] = json!(it.tenant.project);
    spec["appId"] = json!(app.id);
    apply(&it.objects(), &object).await.unwrap();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    it.ready(&name).await;
    (name, app)
}

#[tokio::test]
async fn each_recipe_writes_the_keys_and_labels_that_its_product_reads() {
    let it = Oidc::new("oidc-recipes").await;
    let issuer = it.tenant.url.clone();
    let token = format!("{issuer}/oauth/v2/token");
    for (file, id, secret, more) in [
        ("argo-cd.yaml", "clientID", "clientSecret", None),
        (
            "grafana.yaml",
            "GF_AUTH_GENERIC_OAUTH_CLIENT_ID",
            "GF_AUTH_GENERIC_OAUTH_CLIENT_SECRET",
            Some(("GF_AUTH_GENERIC_OAUTH_TOKEN_URL", &token)),
        ),
        (
            "oauth2-proxy.yaml",
            "client-id",
            "client-secret",
            Some(("oidc-issuer-url", &issuer)),
        ),
        ("gitea.yaml", "key", "secret", None),
    ] {
        let (name, app) = recipe(&it, file).await;
        let data = it.tenant.data(&name).await;
        let keys: Vec<_> = data.keys().map(String::as_str).collect();
        let mut wanted = vec![id, secret];
        wanted.extend(more.map(|(key, _)| key));
        wanted.sort_unstable();
        assert_eq!(keys, wanted, "{file}");
        assert_eq!(data[id], app.client_id, "{file}");
        assert!(it.tenant.zitadel.accepts(&app.id, &data[secret]), "{file}");
        if let Some((key, value)) = more {
            assert_eq!(data[key], *value, "{file}");
        }
        let labels = it.tenant.secret(&name).await.metadata.labels.unwrap();
        let part_of = labels.get("app.kubernetes.io/part-of");
        let argo = (file == "argo-cd.yaml").then_some("argocd");
        assert_eq!(part_of.map(String::as_str), argo, "{file}");
    }
}
