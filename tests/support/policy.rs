//! Policies of the cluster that refuse or change what is written to Secrets of a namespace.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::eventually;
use super::world::PATIENCE;

/// Refuses them, and waits until it has an effect.
pub async fn deny_secrets(client: &Client, namespace: &str) {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let policy = json!({
        "metadata": {"name": namespace},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}]},
            "validations": [{"expression": "false", "message": "not today"}],
        },
    });
    let binding = json!({
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}},
    });
    let params = PostParams::default();
    let policy = serde_json::from_value(policy).unwrap();
    policies.create(&params, &policy).await.unwrap();
    let binding = serde_json::from_value(binding).unwrap();
    bindings.create(&params, &binding).await.unwrap();
    until_allowed(client, namespace, false).await;
}

/// Refuses them no more, and waits until that has an effect.
pub async fn allow_secrets(client: &Client, namespace: &str) {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let params = DeleteParams::default();
    bindings.delete(namespace, &params).await.unwrap();
    policies.delete(namespace, &params).await.unwrap();
    until_allowed(client, namespace, true).await;
}

async fn until_allowed(client: &Client, namespace: &str, wanted: bool) {
    let probe: Secret = serde_json::from_value(json!({"metadata": {"name": "probe"}})).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    eventually(PATIENCE, || async {
        let allowed = secrets.create(&dry_run, &probe).await.is_ok();
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
    let policies: Api<MutatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(client.clone());
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
    let params = PostParams::default();
    let policy = serde_json::from_value(policy).unwrap();
    policies.create(&params, &policy).await.unwrap();
    let binding = serde_json::from_value(binding).unwrap();
    bindings.create(&params, &binding).await.unwrap();
    until_mutated(client, namespace, true).await;
}

/// Changes them no more, and waits until that has an effect.
pub async fn leave_secrets(client: &Client, namespace: &str) {
    let policies: Api<MutatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(client.clone());
    let params = DeleteParams::default();
    bindings.delete(namespace, &params).await.unwrap();
    policies.delete(namespace, &params).await.unwrap();
    until_mutated(client, namespace, false).await;
}

async fn until_mutated(client: &Client, namespace: &str, wanted: bool) {
    let probe: Secret = serde_json::from_value(json!({"metadata": {"name": "probe"}})).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    eventually(PATIENCE, || async {
        let answer = secrets.create(&dry_run, &probe).await.ok()?;
        (answer.metadata.generate_name.is_some() == wanted).then_some(())
    })
    .await;
}
