//! Admission policies and missing rights that stop a write.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;

use crate::fixtures::{Issued, assert_conditions, assert_status, holds, message, reason, tenant};
use crate::support::audit::{AuditLog, Request};
use crate::support::controlplane::Options;
use crate::support::eventually;
use crate::support::policy::{
    allow_again, allow_secrets, deny_lease, deny_secrets, leave_secrets, mutate_secrets,
};
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, World};

#[tokio::test]
async fn an_admission_policy_that_denies_the_write_stops_the_rotation_before_any_generate() {
    let tenant = tenant("policy").await;
    let issued = Issued::new(&tenant).await;
    deny_secrets(&tenant.client, &tenant.namespace).await;
    let object = issued.holds(&tenant, "SecretWriteRefused").await;
    let message = message(&object, ConditionType::Ready);
    let named = format!(
        "ValidatingAdmissionPolicy {} refuses Secret issued",
        tenant.namespace
    );
    assert!(message.starts_with(&named), "{message}");
    assert!(
        message.contains(". The operator tries again at 20"),
        "{message}"
    );
    let ready = holds(&object, ConditionType::Ready);
    let stalled = holds(&object, ConditionType::Stalled);
    assert!(
        ready && stalled,
        "what is stored works, and a person must act"
    );
    assert!(
        !message.contains("not today"),
        "no text of others is copied"
    );
    allow_secrets(&tenant.client, &tenant.namespace).await;
    tenant.trigger("issued", "today").await;
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
    let message = message(&object, ConditionType::Ready);
    let named = format!("ValidatingAdmissionPolicy {policy} refuses the Lease with the claim");
    assert!(
        message.starts_with(&named) && !message.contains("not today"),
        "{message}"
    );
    allow_again(client, &policy).await;
    tenant.trigger("issued", "again").await;
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
            // What is stored works.
            assert_conditions!(object, Ready, Stalled, Verified);
            let said = message(&object, ConditionType::Ready);
            assert!(said.contains(what), "{said}");
            let new = tenant.app("new");
            tenant.apply("new", &new.id, json!({})).await.unwrap();
            let object = tenant.reason("new", "SecretMutated").await;
            assert!(message(&object, ConditionType::Ready).contains(what));
            assert_eq!(tenant.generates(&new), 0, "{what}");
            leave_secrets(&tenant.client, &tenant.namespace).await;
            tenant.trigger("issued", "again").await;
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
            tenant.trigger("issued", "x").await;
            let object = tenant.reason("issued", "SecretMutated").await;
            let (ready, message) = (
                holds(&object, ConditionType::Ready),
                message(&object, ConditionType::Ready),
            );
            assert!(!ready && message.contains(what), "{message}");
            assert_eq!(tenant.generates(&issued.app), 2, "{what}");
            if what.starts_with("key") {
                tenant
                    .until("issued", |object| {
                        (reason(object, ConditionType::Verified) == "Refused").then_some(())
                    })
                    .await;
            }
            leave_secrets(&tenant.client, &tenant.namespace).await;
            tenant.until_accepted(&issued.app, "issued").await;
            let object = tenant.ready("issued").await;
            assert!(holds(&object, ConditionType::Verified), "{what}");
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
    let (ready, message) = (
        holds(&object, ConditionType::Ready),
        message(&object, ConditionType::Ready),
    );
    assert!(ready && message.contains("label team"), "{message}");
    assert!(tenant.accepted(&app, "orders").await);
    // It is left so, also when it is reconciled again.
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
async fn without_rights_on_secrets_of_a_namespace_only_that_namespace_stands_still() {
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
    assert_status!(denied, "bad", "SecretWriteForbidden", Stalled);
    assert_eq!((allowed.generates(&good), denied.generates(&bad)), (1, 0));
    operator.stop();
}
