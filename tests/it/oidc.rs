//! `OidcAppSecret`: the second kind, on the same core.

use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{ConditionType, Kind};
use zitadel_simulator::{Action, AppHandle, Config, Cut, Fault, Operation, Simulator};

use crate::fixtures::{holds, message, root, tenant};
use crate::support::helm::documents;
use crate::support::world::{PATIENCE, Tenant, World};
use crate::support::{apply, eventually};

/// A tenant of OIDC applications, whose connection is granted for both kinds.
async fn oidc(prefix: &str) -> Tenant {
    both(tenant(prefix).await).await
}

async fn both(tenant: Tenant) -> Tenant {
    let tenant = tenant.of_kind(Kind::OidcApp);
    grant(&tenant, json!(Kind::ALL)).await;
    tenant
}

/// Changes which kinds the connection is granted for; null leaves that out.
async fn grant(tenant: &Tenant, kinds: Value) {
    let mut grant = json!({"name": "by-name", "namespaces": [tenant.namespace], "projectIds": [tenant.project]});
    if !kinds.is_null() {
        grant["kinds"] = kinds;
    }
    let grants = json!({"grants": [grant]});
    tenant.apply_connection(grants).await;
    tenant.connected().await;
}

/// A new OIDC application of another authentication method.
async fn app_with(tenant: &Tenant, method: &str) -> String {
    let Tenant { url, project, .. } = tenant;
    let url = format!("{url}/management/v1/projects/{project}/apps/oidc");
    let body = json!({
        "name": method, "redirectUris": ["https://localhost/callback"], "responseTypes": ["OIDC_RESPONSE_TYPE_CODE"],
        "grantTypes": ["OIDC_GRANT_TYPE_AUTHORIZATION_CODE"], "appType": "OIDC_APP_TYPE_WEB",
        "authMethodType": format!("OIDC_AUTH_METHOD_TYPE_{method}"),
    });
    let request = reqwest::Client::new().post(url).json(&body);
    let request = request.bearer_auth(&tenant.pat);
    let request = request.header("x-zitadel-orgid", &tenant.organization);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["appId"].as_str().unwrap().to_owned()
}

/// The message of `Ready` beside a reason.
async fn says(tenant: &Tenant, name: &str, reason: &str) -> String {
    let object = tenant.reason(name, reason).await;
    message(&object, ConditionType::Ready).to_owned()
}

#[tokio::test]
async fn the_client_secret_of_an_oidc_application_is_issued_verified_and_rotated_on_a_trigger() {
    let it = oidc("oidc").await;
    let data = json!([
        {"key": "client_id", "from": "ClientId"},
        {"key": "CLIENT_SECRET", "from": "ClientSecret"},
        {"key": "issuer", "from": "Issuer"},
    ]);
    let extra = json!({"secret": {"data": data}});
    let app = it.issued("web", extra).await;
    let tenant = &it;
    assert!(tenant.accepted(&app, "web").await);
    assert_eq!(tenant.generates(&app), 1);
    let stored = tenant.data("web").await;
    assert_eq!(stored["client_id"], app.client_id);
    assert_eq!(stored["issuer"], tenant.url);
    let object = it.ready("web").await;
    assert!(holds(&object, ConditionType::Verified));
    let status = object.status.unwrap();
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
    let it = oidc("oidc-repair").await;
    let app = it.issued("web", json!({})).await;
    it.delete_secret("web").await;
    it.until_accepted(&app, "web").await;
    it.rotated("web", "SecretMissing").await;
    assert_eq!(it.generates(&app), 2);
    let edit = json!({"stringData": {"CLIENT_SECRET": "by-hand"}});
    it.edit_secret("web", edit).await;
    it.until_accepted(&app, "web").await;
    it.rotated("web", "SecretInvalid").await;
    assert_eq!(it.generates(&app), 3);
}

#[tokio::test]
async fn an_oidc_application_is_rotated_when_it_is_due() {
    let it = oidc("oidc-due").await;
    let every_second = json!({"rotation": {"interval": "1s", "jitterPercent": 0}});
    let app = it.issued("web", every_second).await;
    it.until_generates(&app, 3).await;
    let object = it.rotated("web", "Due").await;
    let status = object.status.unwrap();
    assert_eq!(status.schedule.as_deref(), Some("every 1s"));
    assert!(status.next_rotation_time.is_some());
    it.edit("web", json!({"spec": {"suspend": true}})).await;
    it.reason("web", "Suspended").await;
    it.until_accepted(&app, "web").await;
}

#[tokio::test]
async fn a_saml_application_is_refused_and_says_what_it_is() {
    let it = oidc("oidc-saml").await;
    let app = it.app("saml");
    let saml = json!({"app": {
        "id": app.id, "state": "APP_STATE_ACTIVE", "name": "saml", "samlConfig": {"metadataXml": ""},
        "details": {"sequence": "1", "changeDate": "2026-01-01T00:00:00Z", "resourceOwner": it.organization},
    }});
    let fault = Fault::on(Operation::GetApp, Action::ReplaceBody(saml.to_string()));
    it.zitadel.inject(fault.app(&app.id).times(u64::MAX));
    it.apply("saml", &app.id, json!({})).await.unwrap();
    let said = says(&it, "saml", "AppNotOidc").await;
    let expected = format!(
        "App {} is a SAML application, which has no client secret: delete this object and create one whose spec.appId names an OIDC application",
        app.id
    );
    assert_eq!(said, expected);
    it.fence().await;
    assert_eq!(it.generates(&app), 0);
}

#[tokio::test]
async fn a_lost_answer_of_an_oidc_application_is_found_in_its_change_list_and_replaced_once() {
    let it = oidc("oidc-lost").await;
    let app = it.issued("web", json!({})).await;
    let lost = Fault::on(Operation::Generate, Action::DropAfter(Cut::Reset));
    it.zitadel.inject(lost.app(&app.id));
    it.trigger("web", "now").await;
    it.rotated("web", "LostAttempt").await;
    assert_eq!(it.generates(&app), 3);
    assert!(it.accepted(&app, "web").await);
}

#[tokio::test]
async fn an_answer_that_a_killed_operator_never_took_is_replaced_once_by_the_next_one() {
    let world = World::shared().await;
    let mut operator = world.own_operator(&["--protocol-speed", "20"]).await;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let it = both(operator.tenant_at("oidc-kill", world, &zitadel).await).await;
    let app = it.issued("web", json!({})).await;
    let gate = zitadel.hold_after(Operation::Generate);
    it.trigger("web", "now").await;
    eventually(PATIENCE, || async { (gate.arrived() > 0).then_some(()) }).await;
    operator.kill_and_start_again();
    gate.release();
    it.rotated("web", "LostAttempt").await;
    assert_eq!(it.generates(&app), 3);
    assert!(it.accepted(&app, "web").await);
}

#[tokio::test]
async fn an_application_of_another_type_or_without_a_client_secret_is_refused_and_says_what_it_is()
{
    let it = oidc("oidc-types").await;
    let apis = it.of_kind(Kind::ApiApp);
    let (api, oidc) = (apis.app("api"), it.app("web"));
    let public = app_with(&it, "NONE").await;
    let by_key = app_with(&it, "PRIVATE_KEY_JWT").await;
    let post = app_with(&it, "POST").await;
    for (name, app) in [
        ("api", &api.id),
        ("public", &public),
        ("key", &by_key),
        ("post", &post),
    ] {
        it.apply(name, app, json!({})).await.unwrap();
    }
    apis.apply("oidc", &oidc.id, json!({})).await.unwrap();
    assert_eq!(
        says(&it, "api", "AppNotOidc").await,
        format!(
            "App {} is an API application: delete this object and create an ApiAppSecret for it",
            api.id
        )
    );
    let object = apis.reason("oidc", "AppNotApi").await;
    assert_eq!(
        message(&object, ConditionType::Ready),
        format!(
            "App {} is an OIDC application: delete this object and create an OidcAppSecret for it",
            oidc.id
        )
    );
    assert!(holds(&object, ConditionType::Stalled));
    let said = says(&it, "public", "AppNotReady").await;
    assert!(
        said.contains("is a public client, which has no client secret"),
        "{said}"
    );
    let said = says(&it, "key", "AppNotReady").await;
    assert!(
        said.contains("does not authenticate by client secret (BASIC or POST)"),
        "{said}"
    );
    it.ready("post").await;
    apis.fence().await;
    for app in [&api.id, &oidc.id, &public, &by_key] {
        assert_eq!(it.zitadel.generates(app), 0, "{app}");
    }
    assert_eq!(it.zitadel.generates(&post), 1);
}

#[tokio::test]
async fn a_grant_without_the_kind_covers_no_oidc_application() {
    let it = oidc("oidc-grant").await;
    let app = it.issued("web", json!({})).await;
    for kinds in [json!(null), json!(["ApiAppSecret"])] {
        grant(&it, kinds).await;
        it.trigger("web", "x").await;
        let said = says(&it, "web", "NotGranted").await;
        assert!(said.ends_with("with kinds: [OidcAppSecret]"), "{said}");
        assert_eq!(it.generates(&app), 1);
    }
    grant(&it, json!(["OidcAppSecret"])).await;
    it.until_generates(&app, 2).await;
    it.ready("web").await;
    // The other way round as well.
    let apis = it.of_kind(Kind::ApiApp);
    let api = apis.app("api");
    apis.apply("api", &api.id, json!({})).await.unwrap();
    apis.reason("api", "NotGranted").await;
    assert_eq!(it.generates(&api), 0);
}

#[tokio::test]
async fn objects_of_both_kinds_with_one_name_have_nothing_to_do_with_each_other() {
    let it = oidc("oidc-names").await;
    let tenant = it.of_kind(Kind::ApiApp);
    let (api, oidc) = (tenant.app("api"), it.app("web"));
    let named = |name: &str| json!({"secret": {"name": name}});
    tenant
        .apply("same", &api.id, named("of-api"))
        .await
        .unwrap();
    it.apply("same", &oidc.id, named("of-oidc")).await.unwrap();
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
    let it = oidc("oidc-rivals").await;
    let tenant = it.of_kind(Kind::ApiApp);
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
    it.apply("younger", &app.id, json!({})).await.unwrap();
    let said = says(&it, "younger", "AppAlreadyClaimed").await;
    assert!(said.contains(&first), "{said}");
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn over_zitadels_api_v2_an_oidc_application_is_issued_and_rotated_and_another_one_refused() {
    let it = oidc("oidc-v2").await;
    let grants = json!([{
        "name": "both", "namespaces": [it.namespace], "projectIds": [it.project],
        "kinds": ["ApiAppSecret", "OidcAppSecret"],
    }]);
    let v2 = json!({"api": "V2", "grants": grants});
    it.apply_connection(v2).await;
    it.connected().await;
    let app = it.issued("web", json!({})).await;
    it.trigger("web", "now").await;
    it.rotated("web", "Trigger").await;
    assert_eq!(it.generates(&app), 2);
    assert!(it.accepted(&app, "web").await);
    let apis = it.of_kind(Kind::ApiApp);
    let (api, public) = (apis.app("api"), app_with(&it, "NONE").await);
    it.apply("api", &api.id, json!({})).await.unwrap();
    it.apply("public", &public, json!({})).await.unwrap();
    it.reason("api", "AppNotOidc").await;
    it.reason("public", "AppNotReady").await;
    // NB: this API would generate for either.
    assert_eq!(it.generates(&api), 0);
    assert_eq!(it.zitadel.generates(&public), 0);
}

/// A recipe of `examples/oidc` with the ids of this tenant, applied; and the application.
async fn recipe(it: &Tenant, file: &str) -> (String, AppHandle) {
    let app = it.app(file);
    let path = root().join("examples/oidc").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let [mut object] = documents(&text).try_into().unwrap();
    object["metadata"]["namespace"] = json!(it.namespace);
    let spec = &mut object["spec"];
    spec["connectionRef"] = json!({"name": it.namespace});
    spec["projectId"] = json!(it.project);
    spec["appId"] = json!(app.id);
    apply(&it.objects(), &object).await.unwrap();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    it.ready(&name).await;
    (name, app)
}

#[tokio::test]
async fn each_recipe_writes_the_keys_and_labels_that_its_product_reads() {
    let it = oidc("oidc-recipes").await;
    let issuer = it.url.clone();
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
        let data = it.data(&name).await;
        let keys: Vec<_> = data.keys().map(String::as_str).collect();
        let mut wanted = vec![id, secret];
        wanted.extend(more.map(|(key, _)| key));
        wanted.sort_unstable();
        assert_eq!(keys, wanted, "{file}");
        assert_eq!(data[id], app.client_id, "{file}");
        assert!(it.zitadel.accepts(&app.id, &data[secret]), "{file}");
        if let Some((key, value)) = more {
            assert_eq!(data[key], *value, "{file}");
        }
        let labels = it.secret(&name).await.metadata.labels.unwrap();
        let part_of = labels.get("app.kubernetes.io/part-of");
        let argo = (file == "argo-cd.yaml").then_some("argocd");
        assert_eq!(part_of.map(String::as_str), argo, "{file}");
    }
}
