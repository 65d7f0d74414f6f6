//! Rights that are missing: the operator stays up, says what is missing, and goes on by itself when it is granted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};

use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;
use zitadel_secret_operator::rights::RIGHTS;
use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;

use super::rights::{apply, grants_of_both, kubeconfig, rules, stop, web, web_objects, world};
use crate::support::eventually;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, World};

/// The rules without some of them: `keep` is asked for each, with its role.
fn only(mut objects: Vec<Value>, keep: impl Fn(&Value, &Value) -> bool) -> Vec<Value> {
    for role in &mut objects {
        let whole = role.clone();
        if let Some(rules) = role.get_mut("rules").and_then(Value::as_array_mut) {
            rules.retain(|rule| keep(&whole, rule));
        }
    }
    objects
}

async fn start(world: &World, account: &str, arguments: &[&str]) -> Arc<Operator> {
    let arguments = [&["--protocol-speed", "20"], arguments].concat();
    let kubeconfig = kubeconfig(world, account).await;
    Arc::new(Operator::start(&kubeconfig, &world.directory, &arguments))
}

/// Waits until `/ready` has this status and this text.
async fn until_page_contains(operator: &Operator, status: u16, text: &str) -> String {
    let mut last = String::new();
    let asking = async {
        loop {
            if let Some((code, page)) = operator.get("/ready").await {
                if code == status && page.contains(text) {
                    return page;
                }
                last = format!("{code} {page}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if let Ok(page) = tokio::time::timeout(PATIENCE, asking).await {
        return page;
    }
    panic!("/ready is not {status} with {text:?} within {PATIENCE:?}: {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_rights_it_stays_up_says_so_and_begins_when_they_are_granted() {
    let (world, _turn) = world().await;
    let account = "powerless";
    apply(world, &only(rules(account, &[]), |_, _| false));
    let tenant = world.tenant("powerless").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();

    // With leader election no replica can lead.
    let mine = kubeconfig(world, account).await;
    let standby = Operator::start_with(&mine, &world.directory, &["--protocol-speed", "20"]);
    let standby = Arc::new(standby);
    let expected = format!(
        "[-] watches: RBAC does not let the operator get leases in namespace {OPERATOR_NAMESPACE}"
    );
    until_page_contains(&standby, 503, &expected).await;
    stop(&standby).await;

    // Without it nothing can be seen.
    let operator = start(world, account, &[]).await;
    let page = until_page_contains(
        &operator,
        503,
        "[-] watches: RBAC does not let the operator list",
    )
    .await;
    assert!(page.contains("[-] connections: "), "{page}");
    until_page_contains(&operator, 503, "list secrets").await;
    assert_eq!(
        operator.get("/live").await.unwrap().0,
        200,
        "a restart mends nothing"
    );
    assert_eq!(tenant.generates(&app), 0);

    apply(world, &rules(account, &[]));
    until_page_contains(&operator, 200, "[+] watches: ok").await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 1);
    stop(&operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_says_that_the_operator_cannot_see_its_secrets_and_keeps_what_was_known_of_it() {
    let (world, _turn) = world().await;
    let account = "blind";
    apply(world, &rules(account, &[]));
    let tenant = world.tenant("blind").await;
    let (known, new) = (tenant.app("known"), tenant.app("new"));
    let operator = start(world, account, &[]).await;
    tenant.apply("known", &known.id, json!({})).await.unwrap();
    tenant.ready("known").await;
    stop(&operator).await;

    let tenants_secrets = |role: &Value, rule: &Value| {
        role["kind"] == "ClusterRole" && rule["resources"][0] == "secrets"
    };
    apply(
        world,
        &only(rules(account, &[]), |role, rule| {
            !tenants_secrets(role, rule)
        }),
    );
    tenant.apply("new", &new.id, json!({})).await.unwrap();
    let operator = start(world, account, &[]).await;
    let expected = "RBAC does not let the operator list secrets";
    for (name, ready) in [("known", true), ("new", false)] {
        let object = tenant.reason(name, "Forbidden").await;
        let conditions = object.status.unwrap().conditions;
        assert_eq!(conditions.is_true(ConditionType::Ready), ready, "{name}");
        let stalled = conditions.get(ConditionType::Stalled).unwrap();
        assert!(stalled.message.starts_with(expected), "{}", stalled.message);
    }
    until_page_contains(&operator, 503, expected).await;
    assert_eq!((tenant.generates(&known), tenant.generates(&new)), (1, 0));

    apply(world, &rules(account, &[]));
    for name in ["known", "new"] {
        let object = tenant.reason(name, "UpToDate").await;
        assert!(
            object
                .status
                .unwrap()
                .conditions
                .get(ConditionType::Stalled)
                .is_none()
        );
    }
    assert_eq!((tenant.generates(&known), tenant.generates(&new)), (1, 1));
    until_page_contains(&operator, 200, "[+] watches: ok").await;
    stop(&operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_refused_is_reported_and_takes_nothing_from_the_others() {
    let (world, _turn) = world().await;
    let account = "partly";
    let (tenant, late) = (world.tenant("granted").await, world.tenant("late").await);
    let first = format!("watchNamespaces={{{}}}", tenant.namespace);
    apply(world, &rules(account, &["--set", &first]));
    let both = format!("{},{}", tenant.namespace, late.namespace);
    let (app, waiting) = (tenant.app("orders"), late.app("orders"));
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    late.apply("orders", &waiting.id, json!({})).await.unwrap();
    let operator = start(world, account, &["--watch-namespaces", &both]).await;
    tenant.ready("orders").await;
    let expected = format!(
        "RBAC does not let the operator list apiappsecrets in namespace {}",
        late.namespace
    );
    let page = until_page_contains(&operator, 200, &expected).await;
    assert!(page.contains("[i] watches: "), "{page}");

    let scope = format!("watchNamespaces={{{both}}}");
    apply(world, &rules(account, &["--set", &scope]));
    late.ready("orders").await;
    until_page_contains(&operator, 200, "[+] watches: ok").await;
    assert_eq!((tenant.generates(&app), late.generates(&waiting)), (1, 1));
    stop(&operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_is_not_taken_from_an_object_in_a_namespace_that_is_no_longer_watched() {
    let (world, _turn) = world().await;
    let (before, after) = (world.tenant("before").await, world.tenant("after").await);
    let kubeconfig = &world.kubeconfig;
    let run = |namespaces: &str| {
        let arguments = ["--protocol-speed", "20", "--watch-namespaces", namespaces];
        Arc::new(Operator::start(kubeconfig, &world.directory, &arguments))
    };
    let (app, other) = (before.app("orders"), before.app("other"));
    before.apply("orders", &app.id, json!({})).await.unwrap();
    before.apply("other", &other.id, json!({})).await.unwrap();
    let operator = run(&before.namespace);
    before.ready("orders").await;
    before.ready("other").await;
    stop(&operator).await;

    // The same application, granted to another namespace as well.
    let names = [&before.namespace, &after.namespace];
    let grants =
        json!({"grants": [{"name": "both", "namespaces": names, "projectIds": [before.project]}]});
    before.apply_connection(grants).await;
    let mut manifest = before.manifest("orders", &app.id, json!({}));
    manifest["metadata"]["namespace"] = json!(after.namespace);
    apply(world, &[manifest]);
    let operator = run(&after.namespace);
    let object = after.reason("orders", "AppAlreadyClaimed").await;
    let conditions = object.status.unwrap().conditions;
    let stalled = conditions.get(ConditionType::Stalled).unwrap();
    assert!(
        stalled
            .message
            .contains(&format!("{}/orders", before.namespace)),
        "{}",
        stalled.message
    );
    assert_eq!(before.generates(&app), 1);
    assert!(before.accepted(&app, "orders").await);
    // Claims of that namespace outlive a sweep, which deletes those whose object is known to be gone.
    after.fence().await;
    let own = after.app("own");
    after.apply("own", &own.id, json!({})).await.unwrap();
    after.ready("own").await;
    after.age_claims("own").await;
    after.delete("own").await;
    eventually(PATIENCE, || async {
        operator
            .printed()
            .contains("deleted the claim of an application")
            .then_some(())
    })
    .await;
    let leases: Api<Lease> = Api::namespaced(after.client.clone(), OPERATOR_NAMESPACE);
    let leases = leases.list(&ListParams::default()).await.unwrap();
    let claims = leases.iter().filter_map(|lease| {
        let annotation = lease.annotations().get(CLAIM_ANNOTATION)?;
        let claim: Value = serde_json::from_str(annotation).unwrap();
        let owner = &claim["owner"];
        (owner["namespace"] == before.namespace.as_str()).then(|| owner["name"].clone())
    });
    let kept: BTreeSet<_> = claims
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        kept,
        BTreeSet::from(["orders".to_owned(), "other".to_owned()])
    );
    after
        .edit("orders", json!({"spec": {"rotation": {"trigger": "mine"}}}))
        .await;
    after.reason("orders", "AppAlreadyClaimed").await;
    assert_eq!(before.generates(&app), 1);
    stop(&operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_rule_is_missing_ready_names_it() {
    let (world, _turn) = world().await;
    let tenant = world.tenant("each").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    web(&tenant).await;
    // In this scope no rule is contained in another one.
    let scope = format!("watchNamespaces={{{}}}", tenant.namespace);
    let scope = ["--set", scope.as_str()];
    let granted = rules("each", &scope);
    let mut missing = Vec::new();
    for role in granted.iter().filter(|role| !aggregated(role)) {
        for rule in role["rules"].as_array().into_iter().flatten() {
            missing.push((role["metadata"]["namespace"].clone(), rule.clone()));
        }
    }
    assert_eq!(missing.len(), RIGHTS.len());
    for (number, (namespace, absent)) in missing.iter().enumerate() {
        let account = format!("without-{number}");
        let rules = only(rules(&account, &scope), |role, rule| {
            role["metadata"]["namespace"] != *namespace || rule != absent
        });
        apply(world, &rules);
        let watch = ["--watch-namespaces", &tenant.namespace];
        let operator = start(world, &account, &watch).await;
        // Something to report.
        let trigger = json!({"spec": {"rotation": {"trigger": account}}});
        tenant.edit("orders", trigger.clone()).await;
        web_objects(&tenant)
            .patch("web", &PatchParams::default(), &Patch::Merge(trigger))
            .await
            .unwrap();
        let mut limit = json!({"limits": {"repairs": {"count": 100 + number}}});
        limit["grants"] = grants_of_both(&tenant);
        tenant.apply_connection(limit).await;
        let resource = absent["resources"][0].as_str().unwrap();
        let place = match namespace.as_str() {
            Some(namespace) => format!(" in namespace {namespace}"),
            None if resource == "namespaces" => format!(" in namespace {}", tenant.namespace),
            None => String::new(),
        };
        let verbs = absent["verbs"].as_array().unwrap().iter();
        let sentences: Vec<String> = verbs
            .map(|verb| format!("{} {resource}{place}", verb.as_str().unwrap()))
            .collect();
        let names_it = |page: &str| {
            let mut refused = page.split("RBAC does not let the operator ").skip(1);
            refused.any(|words| {
                let words = words.split([';', '\n']).next().unwrap_or_default();
                sentences.iter().any(|sentence| sentence == words)
            })
        };
        let mut last = String::new();
        let asking = async {
            while !names_it(&last) {
                last = operator.get("/ready").await.unwrap_or_default().1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let heard = tokio::time::timeout(PATIENCE, asking).await;
        assert!(heard.is_ok(), "{sentences:?}: {last}");
        stop(&operator).await;
    }
}

/// Whether a role is for people.
fn aggregated(role: &Value) -> bool {
    let labels = role["metadata"]["labels"].as_object();
    labels.is_some_and(|labels| labels.keys().any(|name| name.contains("aggregate")))
}
