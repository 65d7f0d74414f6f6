//! Who uses a credential, and who is behind.

use parking_lot::Mutex;

use super::*;
use crate::support::audit::{AuditLog, Request};
use crate::support::policy;

#[tokio::test]
async fn who_has_the_former_value_is_said_until_no_one_has() {
    let it = Consuming::new("who").await;
    let extra = json!({"rotation": {"trigger": "0"}, "consumers": {"deadline": "10m"}});
    it.tenant.issued("orders", extra).await;
    it.pod("env", environment(), json!({})).await;
    it.pod("files", directory(), json!({})).await;
    it.pod("file", sub_path(), json!({})).await;
    let unrelated = json!({"container": {"envFrom": [{"secretRef": {"name": "other"}}]}});
    it.pod("unrelated", unrelated, json!({})).await;
    it.tenant.trigger("orders", "1").await;
    let object = it.counted(3, 2).await;
    assert_eq!(
        behind(&object),
        [
            (Some("env"), "environment"),
            (Some("file"), "file mounted by subPath")
        ],
        "mounted files were refreshed after a prompt"
    );
    assert_eq!(
        reason(&object, ConditionType::ConsumersCurrent),
        "RollingOut"
    );
    let said = message(&object, ConditionType::ConsumersCurrent);
    assert_eq!(
        said,
        "2 of 3 Pods that use Secret orders may still have the former client secret: env (container app: environment), file (container app: \
         file mounted by subPath). Restart them, or set spec.consumers.restart: WhenStale"
    );
    let annotated = async |pod: &str| {
        let pod = it.pods().get(pod).await.unwrap();
        let annotations = pod.metadata.annotations.unwrap_or_default();
        annotations.get("zitadel-secrets.dev/refresh").cloned()
    };
    let attempt = consumers_of(&object).attempt.clone();
    assert_eq!(annotated("files").await, Some(attempt));
    for pod in ["env", "file", "unrelated"] {
        assert_eq!(annotated(pod).await, None, "{pod}");
    }
    // The container restarts in place; the Pod of the other is replaced.
    it.runs("env", Timestamp::now() + LONG_AGO).await;
    it.end("file").await;
    let object = it.until("AllCurrent").await;
    assert_eq!(
        message(&object, ConditionType::ConsumersCurrent),
        "All 2 Pods that use Secret orders have the new client secret"
    );
    assert_eq!(
        (consumers_of(&object).current, behind(&object)),
        (2, vec![])
    );
}

#[tokio::test]
async fn a_node_whose_clock_is_ahead_makes_no_container_look_younger_than_the_value() {
    let it = Consuming::new("ahead").await;
    let extra = json!({"rotation": {"trigger": "0"}});
    it.tenant.issued("orders", extra).await;
    it.pod("env", environment(), json!({})).await;
    let ahead = SignedDuration::from_mins(4);
    it.runs_by_clock("env", Timestamp::now(), ahead).await;
    // By the clock of its node the container starts minutes after the write.
    it.tenant.trigger("orders", "1").await;
    let object = it.counted(1, 1).await;
    assert_eq!(behind(&object), [(Some("env"), "environment")]);
    let later = Timestamp::now() + SignedDuration::from_mins(1);
    it.runs_by_clock("env", later, ahead).await;
    it.until("AllCurrent").await;
}

#[tokio::test]
async fn a_pod_whose_prompt_is_refused_keeps_no_other_waiting() {
    let it = Consuming::new("unprompted").await;
    let extra = json!({"rotation": {"trigger": "0"}});
    it.tenant.issued("orders", extra).await;
    for pod in ["a", "b"] {
        it.pod(pod, directory(), json!({})).await;
    }
    let (client, namespace) = (&it.tenant.client, &it.tenant.namespace);
    policy::forbid_pod(client, namespace, "a").await;
    eventually(PATIENCE, || async {
        let labelled = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let tried = it.pods().patch("a", &params, &labelled).await;
        tried.is_err().then_some(())
    })
    .await;
    it.tenant.trigger("orders", "1").await;
    eventually(PATIENCE, || async {
        let annotations = it.pods().get("b").await.unwrap().metadata.annotations;
        annotations?.get("zitadel-secrets.dev/refresh").cloned()
    })
    .await;
    it.until("AllCurrent").await;
    policy::allow_again(client, namespace).await;
}

#[tokio::test]
async fn a_consumer_that_is_late_is_a_warning_and_one_without_a_status_is_unknown() {
    let it = Consuming::new("late").await;
    let extra = json!({"rotation": {"trigger": "0"}, "consumers": {"deadline": "10s"}});
    it.tenant.issued("orders", extra).await;
    it.pod("env", environment(), json!({})).await;
    let none = json!({"status": {"containerStatuses": null}});
    let silent = it
        .pods()
        .patch_status("env", &PatchParams::default(), &Patch::Merge(none))
        .await;
    silent.unwrap();
    it.tenant.trigger("orders", "1").await;
    let object = it.until("DeadlineExceeded").await;
    assert_eq!(
        (consumers_of(&object).unknown, consumers_of(&object).stale),
        (1, 0)
    );
    let unknown = "its node has not reported the container yet";
    assert_eq!(behind(&object), [(Some("env"), unknown)]);
    let event = it.tenant.event("orders", "DeadlineExceeded").await;
    assert!(event.contains("env (container app: its node"), "{event}");
    it.end("env").await;
    it.until("AllCurrent").await;
    it.tenant.event("orders", "AllCurrent").await;
}

#[tokio::test]
async fn pods_are_listed_in_three_passes_in_the_first_minute_and_then_ever_less_often() {
    let it = Consuming::new("passes").await;
    let extra = json!({"rotation": {"trigger": "0"}});
    it.tenant.issued("orders", extra).await;
    it.until("AllCurrent").await;
    // Three pages of five. One is never restarted, so that it is behind for good.
    it.pod("env", environment(), json!({})).await;
    it.pod("files", directory(), json!({})).await;
    it.pod("more-files", directory(), json!({})).await;
    let unrelated = json!({"container": {"envFrom": [{"secretRef": {"name": "other"}}]}});
    for number in 0..8 {
        let name = format!("unrelated-{number}");
        it.pod(&name, unrelated.clone(), json!({})).await;
    }
    let log = AuditLog::from_now(World::shared().await.cluster.audit_log());
    it.tenant.trigger("orders", "1").await;
    let begins_pass = |request: &Request| {
        request.user().starts_with("system:serviceaccount:")
            && (request.verb.as_str(), request.resource()) == ("list", "pods")
            && request.namespace() == it.tenant.namespace
            && !request.uri.contains("continue=")
    };
    let seen = Mutex::new((log, Vec::new()));
    let passes = eventually(PATIENCE, || async {
        let (log, passes) = &mut *seen.lock();
        let begun = log.read().into_iter().filter(begins_pass);
        passes.extend(begun.map(|request| request.received));
        (passes.len() > 3).then(|| passes.clone())
    })
    .await;
    // As fast as the operator of these tests is.
    let minute = SignedDuration::from_mins(1) / 20;
    let within = passes
        .iter()
        .filter(|at| at.duration_since(passes[0]) <= minute);
    assert!(within.count() <= 3, "{passes:?}");
}

#[tokio::test]
async fn a_first_issue_and_an_object_at_rest_have_no_one_behind() {
    let it = Consuming::new("first").await;
    let extra = json!({"rotation": {"trigger": "0"}});
    it.tenant.issued("orders", extra).await;
    let object = it.until("AllCurrent").await;
    assert_eq!(
        message(&object, ConditionType::ConsumersCurrent),
        "No Pod uses Secret orders"
    );
    // A Pod that comes later changes nothing: it has the value from the start.
    it.pod("late", environment(), json!({})).await;
    let revision = it.tenant.objects().get("orders").await.unwrap();
    it.tenant.fence().await;
    let after = it.tenant.objects().get("orders").await.unwrap();
    assert_eq!(
        after.metadata.resource_version,
        revision.metadata.resource_version
    );
}

#[tokio::test]
async fn without_the_right_to_see_pods_it_is_said_so_and_the_rotation_goes_on() {
    let world = World::shared().await;
    // It is asked for, and not granted.
    let operator = world.own_operator(&ARGUMENTS).await;
    let tenant = operator.tenant_at("unseen", world, &world.zitadel).await;
    let it = Consuming { tenant };
    it.tenant
        .issued("orders", json!({"rotation": {"trigger": "0"}}))
        .await;
    it.pod("env", environment(), json!({})).await;
    it.tenant.trigger("orders", "1").await;
    it.tenant.handled("orders", "1").await;
    let object = it.until("ConsumersUnseen").await;
    assert_eq!(reason(&object, ConditionType::Ready), "UpToDate");
}
