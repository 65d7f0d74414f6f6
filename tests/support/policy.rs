//! Policies of the cluster that refuse or change what is written to Secrets of a namespace.

use std::fmt::Debug;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::eventually;
use super::world::PATIENCE;

trait Kind: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize {}

impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize> Kind for K {}

async fn create<K: Kind>(client: &Client, object: Value) {
    let object: K = serde_json::from_value(object).unwrap();
    let api = Api::<K>::all(client.clone());
    api.create(&PostParams::default(), &object).await.unwrap();
}

async fn delete<K: Kind>(client: &Client, name: &str) {
    let api = Api::<K>::all(client.clone());
    api.delete(name, &DeleteParams::default()).await.unwrap();
}

/// Refuses writes in a namespace by a policy of this name. The caller waits for its effect.
async fn deny(client: &Client, name: &str, namespace: &str, rule: Value, conditions: Value) {
    deny_because("Invalid", client, name, namespace, rule, conditions).await;
}

/// The same with another reason, and so with another status code.
async fn deny_because(
    reason: &str,
    client: &Client,
    name: &str,
    namespace: &str,
    rule: Value,
    conditions: Value,
) {
    let policy = json!({
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "matchConditions": conditions,
            "validations": [{"expression": "false", "message": "not today", "reason": reason}],
        },
    });
    let binding = json!({
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}},
    });
    create::<ValidatingAdmissionPolicy>(client, policy).await;
    create::<ValidatingAdmissionPolicyBinding>(client, binding).await;
}

/// Refuses them, and waits until it has an effect.
pub async fn deny_secrets(client: &Client, namespace: &str) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]});
    deny(client, namespace, namespace, rule, json!([])).await;
    until_allowed(client, namespace, false).await;
}

/// Refuses every write of one Lease in a namespace, with a policy of this name. The caller waits for its effect.
pub async fn deny_lease(client: &Client, name: &str, namespace: &str, lease: &str) {
    let rule = json!({"apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["leases"]});
    let claim = format!("request.name == '{lease}'");
    let conditions = json!([{"name": "claim", "expression": claim}]);
    deny(client, name, namespace, rule, conditions).await;
}

/// Refuses to everyone every change of the Deployment of this name in a namespace, but of its status. The caller waits for its effect.
pub async fn deny_deployment(client: &Client, namespace: &str, deployment: &str) {
    let rule = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]});
    let named = format!("request.name == '{deployment}'");
    let conditions = json!([{"name": "deployment", "expression": named}]);
    deny(client, namespace, namespace, rule, conditions).await;
}

/// Forbids to everyone every change of the Pod of this name in a namespace, but of its status. The caller waits for its effect.
pub async fn forbid_pod(client: &Client, namespace: &str, pod: &str) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]});
    let conditions = json!([{"name": "pod", "expression": format!("request.name == '{pod}'")}]);
    deny_because("Forbidden", client, namespace, namespace, rule, conditions).await;
}

/// Refuses every status of the objects in a namespace. The caller waits for its effect.
pub async fn deny_statuses(client: &Client, namespace: &str) {
    let rule = json!({"apiGroups": ["zitadel-secrets.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["apiappsecrets/status"]});
    deny(client, namespace, namespace, rule, json!([])).await;
}

/// Allows again what the policy of this name refuses.
pub async fn allow_again(client: &Client, name: &str) {
    delete::<ValidatingAdmissionPolicyBinding>(client, name).await;
    delete::<ValidatingAdmissionPolicy>(client, name).await;
}

/// Refuses them no more, and waits until that has an effect.
pub async fn allow_secrets(client: &Client, namespace: &str) {
    allow_again(client, namespace).await;
    until_allowed(client, namespace, true).await;
}

/// What the API server answers to a Secret that is not stored: it takes a moment until policies, webhooks and quotas have an effect.
pub async fn dry_run(secrets: &Api<Secret>) -> kube::Result<Secret> {
    let probe = serde_json::from_value(json!({"metadata": {"name": "probe"}})).unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    secrets.create(&params, &probe).await
}

async fn until_allowed(client: &Client, namespace: &str, wanted: bool) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    eventually(PATIENCE, || async {
        let allowed = dry_run(&secrets).await.is_ok();
        (allowed == wanted).then_some(())
    })
    .await;
}

/// A policy of the cluster that changes Secrets of a namespace. `guard` and `patch` are CEL; `real` leaves dry runs alone.
pub async fn mutate_secrets(
    client: &Client,
    namespace: &str,
    guard: &str,
    patch: &str,
    real: bool,
) {
    let mut conditions = vec![
        json!({"name": "guard", "expression": format!("object.metadata.name == 'probe' || ({guard})")}),
    ];
    if real {
        conditions.push(json!({"name": "real", "expression": "object.metadata.name == 'probe' || !has(request.dryRun) || !request.dryRun"}));
    }
    let mark = "[JSONPatch{op: 'add', path: '/metadata/generateName', value: 'marked-'}]";
    let policy = json!({
        "metadata": {"name": namespace},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}]},
            "matchConditions": conditions,
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": format!("object.metadata.name == 'probe' ? {mark} : {patch}")}}],
        },
    });
    let binding = json!({
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}},
    });
    create::<MutatingAdmissionPolicy>(client, policy).await;
    create::<MutatingAdmissionPolicyBinding>(client, binding).await;
    until_mutated(client, namespace, true).await;
}

/// Changes them no more, and waits until that has an effect.
pub async fn leave_secrets(client: &Client, namespace: &str) {
    delete::<MutatingAdmissionPolicyBinding>(client, namespace).await;
    delete::<MutatingAdmissionPolicy>(client, namespace).await;
    until_mutated(client, namespace, false).await;
}

async fn until_mutated(client: &Client, namespace: &str, wanted: bool) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    eventually(PATIENCE, || async {
        let answer = dry_run(&secrets).await.ok()?;
        (answer.metadata.generate_name.is_some() == wanted).then_some(())
    })
    .await;
}
