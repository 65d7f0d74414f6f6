//! The standby application that the operator creates itself.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, AppSecretStatus, ConditionType};
use zitadel_secret_operator::target::apps::standby_name;
use zitadel_simulator::{Action, AppHandle, Config, Cut, Fault, Operation, Reply, Simulator};

use crate::support::world::{PATIENCE, Tenant, World};
use crate::support::{apply, eventually};

/// A tenant of a ZITADEL of its own, where only this test creates applications, with a grant for one application alone.
struct Provisioned {
    tenant: Tenant,
    app: AppHandle,
}

impl Provisioned {
    async fn new(prefix: &str) -> Self {
        let zitadel = Simulator::start(Config::default()).unwrap();
        let tenant = World::shared().await.tenant_at(prefix, &zitadel).await;
        Self::of(tenant).await
    }

    async fn of(tenant: Tenant) -> Self {
        let app = tenant.app("orders");
        let grant = json!({"name": "primary", "namespaces": [tenant.namespace], "projectIds": [tenant.project], "appIds": [app.id]});
        tenant.apply_connection(json!({"grants": [grant]})).await;
        Self { tenant, app }
    }

    /// The same with an object that has its first client secret, and no standby.
    async fn issued_alone(prefix: &str) -> Self {
        let it = Self::new(prefix).await;
        it.tenant
            .apply("orders", &it.app.id, json!({"rotation": {"trigger": "0"}}))
            .await
            .unwrap();
        it.tenant.ready("orders").await;
        it
    }

    /// The same with the standby.
    async fn issued(prefix: &str) -> Self {
        let it = Self::new(prefix).await;
        it.apply("0").await;
        it.tenant.ready("orders").await;
        it
    }

    async fn apply(&self, trigger: &str) {
        let extra = json!({"standby": {"type": "Provisioned"}, "rotation": {"trigger": trigger}});
        let applied = self.tenant.apply("orders", &self.app.id, extra).await;
        applied.unwrap();
    }

    async fn rotate(&self, trigger: &str) -> AppSecretStatus {
        self.apply(trigger).await;
        self.handled(trigger).await
    }

    async fn handled(&self, trigger: &str) -> AppSecretStatus {
        self.tenant.handled("orders", trigger).await;
        self.tenant.ready("orders").await.status.unwrap()
    }

    /// Waits until the standby is known, and returns its id.
    async fn standby(&self) -> String {
        let object = self.tenant.objects();
        eventually(PATIENCE, || async {
            object.get("orders").await.unwrap().status?.standby_app_id
        })
        .await
    }

    fn generates(&self, standby: &str) -> (u64, u64) {
        let zitadel = &self.tenant.zitadel;
        (zitadel.generates(&self.app.id), zitadel.generates(standby))
    }

    async fn secret(&self) -> String {
        self.tenant.client_secret("orders").await.unwrap()
    }

    fn creations(&self) -> u64 {
        self.tenant.zitadel.requests(Operation::CreateApiApp)
    }
}

#[tokio::test]
async fn the_operator_creates_the_standby_and_no_rotation_ends_a_pair_that_is_in_use() {
    let it = Provisioned::new("provisioned").await;
    let zitadel = &it.tenant.zitadel;
    let by_hand = it.app.secret.clone().unwrap();
    it.apply("0").await;
    let status = it.tenant.ready("orders").await.status.unwrap();
    let standby = it.standby().await;
    // The first pair is that of the application which no one has used.
    assert_eq!(it.generates(&standby), (0, 1));
    assert_eq!(status.active_app_id.as_ref(), Some(&standby));
    assert!(zitadel.accepts(&it.app.id, &by_hand));
    let note = it.tenant.event("orders", "StandbyProvisioned").await;
    assert_eq!(
        note,
        format!(
            "Created app {standby} (\"{} standby (zitadel-secret-operator)\") in project {}: the standby of app {}. It is kept when this object is deleted",
            it.app.id, it.tenant.project, it.app.id
        )
    );
    let note = it.tenant.event("orders", "Issued").await;
    let sequence = status.sequence.unwrap();
    assert_eq!(
        note,
        format!("Issued the first client secret, sequence {sequence}"),
        "it replaced none that anyone had"
    );
    let mut stored = it.secret().await;
    let mut active = standby.clone();
    for trigger in ["1", "2", "3"] {
        let status = it.rotate(trigger).await;
        assert!(zitadel.accepts(&active, &stored), "the former pair works");
        active = status.active_app_id.unwrap();
        stored = it.secret().await;
        assert!(zitadel.accepts(&active, &stored));
    }
    assert_eq!((it.generates(&standby), it.creations()), ((2, 2), 1));
    it.tenant.delete("orders").await;
    let note = it.tenant.event("orders", "StandbyKept").await;
    assert!(
        note.starts_with(&format!("App {standby}, which the operator created")),
        "{note}"
    );
    assert!(zitadel.accepts(&active, &stored), "it is still there");
}

#[tokio::test]
async fn setting_it_on_an_object_rotates_nothing_until_the_next_cause() {
    let it = Provisioned::issued_alone("provision-later").await;
    let stored = it.secret().await;
    it.apply("0").await;
    let standby = it.standby().await;
    it.tenant.ready("orders").await;
    assert_eq!(it.generates(&standby), (1, 0));
    assert_eq!(it.secret().await, stored);
    it.rotate("1").await;
    assert_eq!(it.generates(&standby), (1, 1));
    assert!(it.tenant.zitadel.accepts(&it.app.id, &stored));
}

#[tokio::test]
async fn where_the_answer_to_its_creation_is_lost_the_application_is_found_by_its_name() {
    for cut in [Cut::Reset, Cut::Close] {
        let it = Provisioned::new("provision-lost").await;
        let zitadel = &it.tenant.zitadel;
        let fault = Fault::on(Operation::CreateApiApp, Action::DropAfter(cut));
        let fault = zitadel.inject(fault);
        it.apply("0").await;
        let standby = it.standby().await;
        assert_eq!(zitadel.fired(fault), 1);
        let note = it.tenant.event("orders", "StandbyProvisioned").await;
        assert!(note.starts_with(&format!("Found app {standby} ")), "{note}");
        it.tenant.ready("orders").await;
        assert_eq!((it.generates(&standby), it.creations()), ((0, 1), 2));
    }
}

#[tokio::test]
async fn a_process_that_is_killed_between_the_creation_and_its_record_leaves_one_application() {
    let world = World::shared().await;
    let mut operator = world.own_operator(&["--protocol-speed", "10"]).await;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let tenant = operator
        .tenant_at("provision-killed", world, &zitadel)
        .await;
    let it = Provisioned::of(tenant).await;
    let gate = zitadel.hold_after(Operation::CreateApiApp);
    it.apply("0").await;
    gate.reached().await;
    operator.kill_and_start_again();
    gate.release();
    let standby = it.standby().await;
    it.tenant.ready("orders").await;
    assert_eq!((it.generates(&standby), it.creations()), ((0, 1), 2));
}

#[tokio::test]
async fn an_application_of_another_user_with_its_name_is_never_used() {
    let it = Provisioned::issued_alone("provision-taken").await;
    let (tenant, zitadel) = (&it.tenant, &it.tenant.zitadel);
    let stored = it.secret().await;
    let name = standby_name(&it.app.id.as_str().try_into().unwrap());
    // In whatever case: so are names unique.
    let theirs = tenant.app(&name.to_uppercase());
    it.apply("1").await;
    let object = tenant.reason("orders", "StandbyNameTaken").await;
    let status = object.status.unwrap();
    assert!(status.conditions.is_true(ConditionType::Ready));
    let message = &status.conditions.get(ConditionType::Ready).unwrap().message;
    assert!(message.contains(&format!("{name:?}")), "{message}");
    assert_eq!(it.generates(&theirs.id), (1, 0));
    assert_eq!((it.secret().await, status.standby_app_id), (stored, None));
    // As the message says: under another name it is in nobody's way.
    zitadel.rename_app(&theirs.id, "legacy").unwrap();
    let seen = json!({"spec": {"secret": {"labels": {"seen": "to"}}}});
    tenant.edit("orders", seen).await;
    it.handled("1").await;
    let standby = it.standby().await;
    assert_ne!(standby, theirs.id);
    assert_eq!(it.generates(&standby), (1, 1));
}

#[tokio::test]
async fn one_that_a_person_renames_stays_the_standby() {
    let it = Provisioned::issued("provision-renamed").await;
    let standby = it.standby().await;
    it.tenant.zitadel.rename_app(&standby, "mine now").unwrap();
    it.rotate("1").await;
    it.rotate("2").await;
    assert_eq!((it.generates(&standby), it.creations()), ((1, 2), 1));
}

#[tokio::test]
async fn one_that_a_person_deletes_is_created_anew_before_the_next_rotation() {
    let it = Provisioned::issued("provision-removed").await;
    let zitadel = &it.tenant.zitadel;
    let first = it.standby().await;
    it.rotate("1").await;
    let stored = it.secret().await;
    zitadel.remove_app(&first).unwrap();
    let status = it.rotate("2").await;
    let second = status.standby_app_id.unwrap();
    assert_ne!(first, second);
    assert_eq!(status.active_app_id, Some(second.clone()));
    assert_eq!((it.generates(&second), it.creations()), ((1, 1), 2));
    assert!(zitadel.accepts(&it.app.id, &stored));
    // And one whose pair is in the Secret: that is replaced first, from the other application.
    zitadel.remove_app(&second).unwrap();
    it.tenant.trigger("orders", "3").await;
    it.handled("3").await;
    assert_eq!(it.generates(&second), (2, 1));
    it.tenant.trigger("orders", "4").await;
    let third = it.handled("4").await.standby_app_id.unwrap();
    assert_eq!((it.generates(&third), it.creations()), ((2, 1), 3));
}

#[tokio::test]
async fn without_the_right_to_create_it_nothing_is_rotated_and_the_stored_pair_stays() {
    let it = Provisioned::issued_alone("provision-denied").await;
    let (tenant, zitadel) = (&it.tenant, &it.tenant.zitadel);
    let stored = it.secret().await;
    let body = r#"{"code":7,"message":"No matching permissions found","details":[{"@type":"type.googleapis.com/zitadel.v1.ErrorDetail","id":"AUTH-5mWD2","message":"No matching permissions found"}]}"#;
    let denied = Action::RespondBefore(Reply::new(403, "application/json", body));
    zitadel.inject(Fault::on(Operation::CreateApiApp, denied).times(3));
    it.apply("1").await;
    let object = tenant.reason("orders", "StandbyNotReady").await;
    let conditions = &object.status.as_ref().unwrap().conditions;
    assert!(conditions.is_true(ConditionType::Ready) && conditions.is_true(ConditionType::Stalled));
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    for part in ["cannot create the standby", "PROJECT_OWNER", "HTTP 403"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(
        (zitadel.generates(&it.app.id), it.secret().await),
        (1, stored)
    );
    // A repair does not wait for it: consumers have nothing to lose.
    tenant.delete_secret("orders").await;
    tenant.until_generates(&it.app, 2).await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn one_that_is_inactive_is_reported_as_the_operators() {
    let it = Provisioned::issued("provision-inactive").await;
    let standby = it.standby().await;
    it.rotate("1").await;
    it.tenant.zitadel.deactivate_app(&standby).unwrap();
    it.apply("2").await;
    let object = it.tenant.reason("orders", "StandbyNotReady").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    let wanted = format!("App {standby} (the standby that the operator created)");
    assert!(message.starts_with(&wanted), "{message}");
    assert_eq!((it.generates(&standby), it.creations()), ((1, 1), 1));
}

#[tokio::test]
async fn a_claim_that_is_lost_costs_neither_the_standby_nor_a_generate() {
    let it = Provisioned::issued("provision-claims").await;
    let (tenant, standby) = (&it.tenant, it.standby().await);
    let claims = tenant.claims("orders").await;
    let of = |lease: &Lease| {
        let text = lease
            .metadata
            .annotations
            .as_ref()?
            .get("zitadel-secrets.dev/claim")?;
        let claim: Value = serde_json::from_str(text).unwrap();
        claim["standby"].as_str().map(ToOwned::to_owned)
    };
    let ids: Vec<_> = claims.iter().filter_map(of).collect();
    assert_eq!(ids, std::slice::from_ref(&standby), "one claim names it");
    let leases: Api<Lease> = Api::namespaced(
        tenant.client.clone(),
        claims[0].metadata.namespace.as_deref().unwrap(),
    );
    for claim in &claims {
        let name = claim.metadata.name.as_deref().unwrap();
        leases.delete(name, &DeleteParams::default()).await.unwrap();
    }
    // It is found by its name, and taken because the operator's user created it.
    let seen = json!({"spec": {"secret": {"labels": {"seen": "to"}}}});
    tenant.edit("orders", seen).await;
    eventually(PATIENCE, || async {
        let claims = tenant.claims("orders").await;
        (claims.iter().find_map(of).as_ref() == Some(&standby)).then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert_eq!((it.generates(&standby), it.creations()), ((0, 1), 2));
    it.rotate("1").await;
    assert_eq!(it.generates(&standby), (1, 1));
}

#[tokio::test]
async fn what_a_tenant_writes_in_its_secret_names_no_application_of_anothers() {
    let it = Provisioned::issued_alone("provision-forged").await;
    let tenant = &it.tenant;
    let theirs = tenant.app("billing");
    let cluster = &World::shared().await.cluster;
    let elsewhere = cluster.fresh_namespace("provision-theirs").await;
    let grant = |namespace: &str, app: &AppHandle| json!({"name": app.id, "namespaces": [namespace], "projectIds": [tenant.project], "appIds": [app.id]});
    let grants = [
        grant(&tenant.namespace, &it.app),
        grant(&elsewhere, &theirs),
    ];
    tenant.apply_connection(json!({"grants": grants})).await;
    let mut object = tenant.manifest(
        "billing",
        &theirs.id,
        json!({"rotation": {"trigger": "their-word"}}),
    );
    object["metadata"]["namespace"] = json!(elsewhere);
    let objects: Api<AppSecret> =
        Api::namespaced_with(tenant.client.clone(), &elsewhere, &tenant.kind);
    apply(&objects, &object).await.unwrap();
    tenant.until_generates(&theirs, 1).await;
    let stored = tenant.secret("orders").await;
    let record = &stored.metadata.annotations.unwrap()["zitadel-secrets.dev/commit"];
    let forged = record.replace(&it.app.id, &theirs.id);
    assert_ne!(*record, forged);
    let forged = json!({"metadata": {"annotations": {"zitadel-secrets.dev/commit": forged}}});
    tenant.edit_secret("orders", forged).await;
    it.apply("1").await;
    let object = tenant.reason("orders", "NotGranted").await;
    assert_eq!(tenant.zitadel.generates(&theirs.id), 1);
    // Neither its owner nor anything that its claim says.
    let mut said = serde_json::to_string(&object).unwrap();
    for (_, _, note) in tenant.events("orders").await {
        said.push_str(&note);
    }
    for word in [&elsewhere, "their-word", "AppAlreadyClaimed"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
}
