//! Secrets and tokens appear nowhere but in the one Secret: everything that the operator says and writes is searched for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::controlplane::Options;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World};
use crate::support::{data, eventually};
use k8s_openapi::ByteString;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject};
use kube::discovery::{Discovery, verbs};
use serde_json::{Value, json};
use zitadel_simulator::{Action, AppHandle, Execution, Fault, Operation};

/// The forms in which a secret could be found again.
fn forms(secret: &str) -> BTreeSet<String> {
    let json = serde_json::to_string(secret).unwrap();
    let url = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut forms: BTreeSet<String> = [
        secret.to_owned(),
        url(secret),
        url(&url(secret)),
        json.trim_matches('"').to_owned(),
        secret.chars().rev().collect(),
        format!("{:?}", secret.as_bytes())
            .trim_matches(&['[', ']'][..])
            .to_owned(),
    ]
    .into();
    // Base64 at each of the three places at which it can begin within something longer, without the characters at the seams.
    for before in 0..3 {
        let padded = [vec![b'x'; before], secret.as_bytes().to_vec()].concat();
        let encoded = json!(ByteString(padded));
        let encoded = encoded.as_str().unwrap().trim_end_matches('=');
        let from = if before == 0 { 0 } else { before + 1 };
        let inner = encoded[from..encoded.len() - 2].to_owned();
        forms.insert(inner.replace('+', "-").replace('/', "_"));
        forms.insert(inner);
    }
    forms
}

fn assert_none(forms: &BTreeSet<String>, place: &str, text: &str) {
    for form in forms {
        assert!(form.len() >= 16, "short enough to occur by chance");
        if let Some(at) = text.find(form.as_str()) {
            let around = text.get(at.saturating_sub(300)..at).unwrap_or_default();
            panic!("{place} has a secret, after: {around}");
        }
    }
}

/// Everything in the cluster but the named Secrets, as JSON.
async fn everything(tenant: &Tenant, but: &BTreeSet<(String, String)>) -> BTreeMap<String, String> {
    let discovery = Discovery::new(tenant.client.clone()).run().await.unwrap();
    let mut all = BTreeMap::new();
    for (resource, capabilities) in discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources)
    {
        if !capabilities.supports_operation(verbs::LIST) {
            continue;
        }
        let api: Api<DynamicObject> = Api::all_with(tenant.client.clone(), &resource);
        let Ok(list) = api.list(&ListParams::default()).await else {
            continue;
        };
        for object in list.items {
            let namespace = object.metadata.namespace.clone().unwrap_or_default();
            let name = object.metadata.name.clone().unwrap_or_default();
            if is_secret(&resource) && but.contains(&(namespace.clone(), name.clone())) {
                // Of those, everything but the data.
                let rest = json!({"metadata": object.metadata, "type": object.data["type"]});
                all.insert(
                    format!("Secret {namespace}/{name} without its data"),
                    rest.to_string(),
                );
                continue;
            }
            all.insert(
                format!("{} {namespace}/{name}", resource.kind),
                serde_json::to_string(&object).unwrap(),
            );
        }
    }
    all
}

fn is_secret(resource: &ApiResource) -> bool {
    resource.kind == "Secret" && resource.group.is_empty()
}

type Apps<'a> = Vec<(&'a Tenant, &'static str, AppHandle)>;

/// Everything that can happen to a credential, at each tenant.
async fn lived(tenants: [&Tenant; 2]) -> Apps<'_> {
    let mut apps: Apps<'_> = Vec::new();
    for tenant in tenants {
        for name in [
            "plain", "rotated", "edited", "adopted", "lost", "echoed", "held",
        ] {
            apps.push((tenant, name, tenant.app(name)));
        }
    }
    for (tenant, name, app) in &apps {
        let generated = |action| {
            tenant
                .zitadel
                .inject(Fault::on(Operation::Generate, action).app(&app.id));
        };
        let mut extra = json!({});
        match *name {
            "adopted" => {
                tenant
                    .create_secret(name, json!({"CLIENT_SECRET": app.secret}))
                    .await;
                extra = json!({"secret": {"adoptionPolicy": "Required"}});
            }
            "lost" => generated(Action::Truncate(60)),
            "echoed" => generated(Action::ContentType("text/html".to_owned())),
            "held" => generated(Action::Oversize(1 << 18)),
            _ => {}
        }
        tenant.apply(name, &app.id, extra).await.unwrap();
    }
    for (tenant, name, _) in &apps {
        tenant.ready(name).await;
    }
    for tenant in tenants {
        tenant.trigger("rotated", "x").await;
        tenant
            .edit_secret(
                "edited",
                json!({"stringData": {"CLIENT_SECRET": "edited-by-hand-and-refused"}}),
            )
            .await;
        tenant
            .edit(
                "plain",
                json!({"spec": {"secret": {"data": data(&[("CLIENT_ID", "ClientId"), ("renamed", "ClientSecret")])}}}),
            )
            .await;
    }
    for (tenant, name, app) in &apps {
        let rotations = match *name {
            "adopted" => 0,
            "rotated" | "edited" | "lost" | "held" => 2,
            _ => 1,
        };
        tenant.until_generates(app, rotations).await;
        tenant.ready(name).await;
    }
    apps
}

/// All secrets, tokens and keys that there ever were.
fn canaries(
    executions: Vec<Execution>,
    apps: &Apps<'_>,
    file: &str,
    old: &str,
) -> BTreeSet<String> {
    let file: Value = serde_json::from_str(file).unwrap();
    let pem = file["key"].as_str().unwrap();
    let mut secrets: BTreeSet<String> = [
        old.to_owned(),
        "edited-by-hand-and-refused".to_owned(),
        "canary-token-with a blank in it".to_owned(),
    ]
    .into();
    secrets.extend(
        pem.lines()
            .filter(|line| !line.starts_with("-----") && line.len() > 40)
            .map(str::to_owned),
    );
    secrets.extend(apps.iter().filter_map(|(_, _, app)| app.secret.clone()));
    let mine: BTreeSet<&str> = apps.iter().map(|(_, _, app)| app.id.as_str()).collect();
    let made = executions
        .into_iter()
        .filter(|made| mine.contains(made.app.as_str()));
    secrets.extend(made.map(|made| made.secret.expose().to_owned()));
    assert!(
        secrets.len() > 30,
        "there is something to search for: {}",
        secrets.len()
    );
    secrets
}

#[tokio::test]
async fn secrets_tokens_and_keys_appear_nowhere_but_in_their_secrets() {
    let world = World::own(Options::default()).await;
    world
        .zitadel
        .configure(|settings| settings.secret_symbols = true);
    let arguments = [
        "--protocol-speed",
        "20",
        "--leader-elect",
        "true",
        "--log",
        "trace",
    ];
    let operator = Operator::start_with(&world.kubeconfig, &world.directory, &arguments);
    let (pat, key) = (world.tenant("pat").await, world.tenant("key").await);
    let file = world.zitadel.create_machine_key(&key.user).unwrap().json;
    key.set_credential(&file).await;
    key.apply_connection(json!({"auth": {"serviceAccountKey": {"secretKeyRef": {"name": key.namespace, "key": "token"}}}})).await;
    key.connected().await;

    let apps = lived([&pat, &key]).await;
    // A credential that is wrong, and one that was right once.
    let old = pat.pat.clone();
    pat.set_credential("canary-token-with a blank in it").await;
    eventually(PATIENCE, || async {
        (pat.connection_reason().await == "CredentialMalformed").then_some(())
    })
    .await;
    pat.set_credential(&pat.zitadel.create_pat(&pat.user).unwrap())
        .await;
    eventually(PATIENCE, || async {
        (pat.connection_reason().await == "Connected").then_some(())
    })
    .await;

    let secrets = canaries(world.zitadel.executions(), &apps, &file, &old);
    let forms: BTreeSet<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();

    let but = apps
        .iter()
        .map(|(tenant, name, _)| (tenant.namespace.clone(), (*name).to_owned()));
    let but: BTreeSet<_> = but
        .chain([&pat, &key].map(|tenant| (OPERATOR_NAMESPACE.to_owned(), tenant.namespace.clone())))
        .collect();
    let metrics = operator.get("/metrics").await.unwrap().1;
    assert!(metrics.contains("zitadel_secret_operator_generates_total"));
    assert_none(&forms, "/metrics", &metrics);
    assert_none(&forms, "/ready", &operator.get("/ready").await.unwrap().1);
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", operator.pid())).unwrap();
        assert!(!bytes.is_empty());
        assert_none(&forms, file, &String::from_utf8_lossy(&bytes));
    }
    let log = operator.printed();
    assert!(log.contains("\"level\":\"TRACE\"") && log.contains("\"target\":\"audit\""));
    assert_none(&forms, "the log", &log);
    let everything = everything(&pat, &but).await;
    let kinds: BTreeSet<&str> = everything
        .keys()
        .filter_map(|place| place.split(' ').next())
        .collect();
    for kind in [
        "ApiAppSecret",
        "ZitadelConnection",
        "Event",
        "Lease",
        "Secret",
    ] {
        assert!(kinds.contains(kind), "{kind} was searched: {kinds:?}");
    }
    for (place, text) in &everything {
        assert_none(&forms, place, text);
    }
    // The search itself finds what is there.
    let value = pat.value("plain", "renamed").await.unwrap();
    let found = pat.secret("plain").await;
    let stored = serde_json::to_string(&found).unwrap();
    assert!(finds(&value, &stored));
}

fn finds(secret: &str, text: &str) -> bool {
    forms(secret)
        .iter()
        .any(|form| text.contains(form.as_str()))
}
