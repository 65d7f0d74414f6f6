//! `plan`.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;
use zitadel_simulator::AppHandle;

use super::*;
use crate::fixtures::{abandon, tenant};
use crate::support::eventually;

/// A window that is closed until a 29 February.
fn closed() -> Value {
    json!([{"name": "w", "schedule": "0 3 29 2 *", "duration": "1m"}])
}

/// A file with these objects, as YAML documents.
async fn file(tenant: &Tenant, objects: &[Value]) -> PathBuf {
    let documents = objects
        .iter()
        .map(|object| serde_saphyr::to_string(object).unwrap());
    let text = documents.collect::<Vec<_>>().join("---\n");
    let scratch = World::shared().await.cluster.scratch();
    let path = scratch.join(format!(
        "{}-{}.yaml",
        tenant.namespace,
        uuid::Uuid::new_v4()
    ));
    std::fs::write(&path, text).unwrap();
    path
}

async fn plan(tenant: &Tenant, objects: &[Value]) -> Ran {
    let path = file(tenant, objects).await;
    let arguments = ["plan", "-o", "json", "-f", path.to_str().unwrap()];
    as_admin(tenant, &arguments).await
}

/// What changes, by the lines of a plan.
fn changes(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    let items = json["items"].as_array().unwrap().iter();
    let change = |item: &Value| item["change"].as_str().unwrap().to_owned();
    items.map(change).collect()
}

#[tokio::test]
async fn every_rotation_of_the_time_has_a_line_and_what_is_stopped_says_why() {
    let tenant = tenant("calendar").await;
    let daily = json!({"rotation": {"interval": "20h", "jitterPercent": 0}});
    tenant.issued("daily", daily).await;
    tenant.issued("stopped", json!({})).await;
    tenant
        .edit("stopped", json!({"spec": {"suspend": true}}))
        .await;
    tenant.reason("stopped", "Suspended").await;
    tenant.issued("triggered", json!({})).await;
    let ran = as_admin(&tenant, &["plan", "--days", "4"]).await;
    ran.ends(0, "0 of 3 rotate now, 2 are not rotated within 4 days");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("TIME "), "{ran:?}");
    assert_eq!(ran.stdout.matches(" daily ").count(), 4, "{ran:?}");
    assert!(lines[5].starts_with("never "), "{ran:?}");
    assert!(lines[5].contains(" Suspended "), "{ran:?}");
    let items = as_admin(&tenant, &["plan", "daily", "-o", "json"])
        .await
        .json();
    let next = tenant.status("daily").await.next_rotation_time.unwrap().0;
    assert_eq!(items["items"][0]["time"], next.to_string());
    assert_eq!(items["items"].as_array().unwrap().len(), 8);
    as_admin(&tenant, &["plan", "--days", "0"])
        .await
        .ends(2, "--days");
    as_admin(&tenant, &["plan", "--days", "367"])
        .await
        .ends(2, "--days");
    // One that no operator of this world rotates is due, and is said to rotate now.
    abandon(&tenant).await;
    tenant.trigger("triggered", "new").await;
    let ran = as_admin(&tenant, &["plan"]).await;
    ran.ends(1, "1 of 3 rotates now, 1 is not rotated within 7 days");
    assert!(
        ran.stdout.contains(" now     triggered   Trigger "),
        "{ran:?}"
    );
}

/// An edit of an object, and what is expected of it.
struct Edit {
    name: &'static str,
    before: Value,
    after: Value,
    changes: &'static [&'static str],
}

fn edit(name: &'static str, before: Value, after: Value, changes: &'static [&'static str]) -> Edit {
    Edit {
        name,
        before,
        after,
        changes,
    }
}

fn edits() -> Vec<Edit> {
    let rotation = |rotation: Value| json!({ "rotation": rotation });
    let secret = |secret: Value| json!({ "secret": secret });
    vec![
        edit("same", json!({}), json!({}), &[]),
        edit(
            "trigger",
            rotation(json!({"trigger": "a"})),
            rotation(json!({"trigger": "b"})),
            &["RotatesNow"],
        ),
        edit(
            "untriggered",
            rotation(json!({"trigger": "a"})),
            json!({}),
            &["Settles"],
        ),
        edit(
            "longer",
            rotation(json!({"interval": "10d"})),
            rotation(json!({"interval": "30d"})),
            &["Moves"],
        ),
        edit(
            "windowed",
            rotation(json!({"interval": "10d"})),
            rotation(json!({"interval": "1s", "windows": closed()})),
            &["Moves"],
        ),
        edit(
            "due",
            rotation(json!({"interval": "10d"})),
            rotation(json!({"interval": "1s", "jitterPercent": 0})),
            &["RotatesNow"],
        ),
        edit(
            "labels",
            json!({}),
            secret(json!({"labels": {"team": "a"}})),
            &["Renders"],
        ),
        edit(
            "keys",
            json!({}),
            secret(json!({"data": [{"key": "SECRET", "from": "ClientSecret"}]})),
            &["Renders"],
        ),
        edit(
            "retained",
            json!({}),
            secret(json!({"deletionPolicy": "Retain"})),
            &["Renders"],
        ),
        edit(
            "renamed",
            json!({}),
            secret(json!({"name": "renamed-to"})),
            &["Renames"],
        ),
        edit(
            "recovery",
            json!({}),
            json!({"recovery": {"missing": "Report"}}),
            &["Settles"],
        ),
        edit(
            "suspended",
            json!({}),
            json!({"suspend": true, "rotation": {"trigger": "b"}}),
            &["Suspends"],
        ),
    ]
}

/// Applies an object, and waits until the operator has done with it what it does.
async fn applied(tenant: &Tenant, name: &str, app: &AppHandle, spec: Value) {
    tenant.apply(name, &app.id, spec).await.unwrap();
    tenant
        .until(name, |object| {
            let status = object.status.as_ref()?;
            (status.observed_generation == object.metadata.generation).then_some(())
        })
        .await;
    tenant.fence().await;
}

#[tokio::test]
async fn the_operator_rotates_after_the_apply_what_the_plan_says_and_nothing_else() {
    let tenant = tenant("agrees").await;
    let edits = edits();
    let mut apps = Vec::new();
    for it in &edits {
        apps.push(tenant.issued(it.name, it.before.clone()).await);
    }
    // Each is older than the shortest interval of the edits by then.
    let youngest = tenant.status("suspended").await.change_date.unwrap().0;
    eventually(PATIENCE, || async {
        let age = jiff::Timestamp::now().duration_since(youngest);
        (age > jiff::SignedDuration::from_secs(2)).then_some(())
    })
    .await;
    let objects = edits.iter().zip(&apps);
    let objects = objects.map(|(it, app)| tenant.manifest(it.name, &app.id, it.after.clone()));
    let objects: Vec<Value> = objects.collect();
    let ran = plan(&tenant, &objects).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let json = ran.json();
    for (it, app) in edits.iter().zip(&apps) {
        let items = json["items"].as_array().unwrap().iter();
        let said = items.filter(|item| item["name"] == it.name);
        let said: Vec<_> = said.map(|item| item["change"].as_str().unwrap()).collect();
        assert_eq!(said, it.changes, "{}: {ran:?}", it.name);
        // Nothing was changed by the plan.
        assert_eq!(tenant.generates(app), 1, "{}", it.name);
    }
    for (it, app) in edits.iter().zip(&apps) {
        let one = plan(
            &tenant,
            &[tenant.manifest(it.name, &app.id, it.after.clone())],
        )
        .await;
        let rotates = it.changes == ["RotatesNow"];
        assert_eq!(one.code, Some(i32::from(rotates)), "{}: {one:?}", it.name);
        applied(&tenant, it.name, app, it.after.clone()).await;
        if rotates {
            tenant.until_generates(app, 2).await;
        } else {
            assert_eq!(tenant.generates(app), 1, "{}", it.name);
        }
    }
    let suspend = json!({"spec": {"suspend": true}});
    tenant.edit("due", suspend).await;
}

#[tokio::test]
async fn a_new_object_is_issued_taken_over_or_refused_as_the_plan_says() {
    let tenant = tenant("new").await;
    let adopts = json!({"secret": {"adoptionPolicy": "Required"}});
    let apps = ["first", "adopted", "foreign", "nothing"].map(|name| tenant.app(name));
    let [first, adopted, foreign, nothing] = &apps;
    let value = adopted.secret.clone().unwrap();
    tenant
        .create_secret("adopted", json!({"CLIENT_SECRET": value}))
        .await;
    tenant
        .create_secret("foreign", json!({"CLIENT_SECRET": "theirs"}))
        .await;
    for (name, app, spec, change, reason, code) in [
        (
            "first",
            first,
            json!({}),
            "RotatesNow",
            json!("FirstIssue"),
            1,
        ),
        (
            "adopted",
            adopted,
            adopts.clone(),
            "TakesOver",
            Value::Null,
            0,
        ),
        (
            "foreign",
            foreign,
            json!({}),
            "Stalls",
            json!("SecretNotOwned"),
            0,
        ),
        (
            "nothing",
            nothing,
            adopts,
            "Stalls",
            json!("NothingToAdopt"),
            0,
        ),
    ] {
        let before = tenant.generates(app);
        let ran = plan(&tenant, &[tenant.manifest(name, &app.id, spec.clone())]).await;
        assert_eq!(changes(&ran), [change], "{ran:?}");
        assert_eq!(ran.json()["items"][0]["reason"], reason, "{ran:?}");
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(tenant.objects().get_opt(name).await.unwrap().is_none());
        tenant.apply(name, &app.id, spec).await.unwrap();
        if change == "Stalls" {
            tenant.reason(name, reason.as_str().unwrap()).await;
        } else {
            tenant.ready(name).await;
        }
        tenant.fence().await;
        let expected = before + u64::from(code == 1);
        assert_eq!(tenant.generates(app), expected, "{name}");
    }
}

#[tokio::test]
async fn the_end_of_an_overlap_a_lost_grant_and_the_pods_of_a_former_secret_are_foreseen() {
    let tenant = tenant("foreseen").await;
    let other = tenant.app("other");
    let standby = json!({"type": "Existing", "appId": other.id});
    let spec = |rotation: Value| json!({"standby": standby, "rotation": rotation});
    let app = tenant.issued("pair", spec(json!({"trigger": "a"}))).await;
    applied(&tenant, "pair", &app, spec(json!({"trigger": "b"}))).await;
    tenant.handled("pair", "b").await;
    let both = || tenant.generates(&app) + tenant.generates(&other);
    let before = both();
    let ends = spec(json!({"trigger": "b", "overlap": {"minimum": "0s"}}));
    let object = tenant.manifest("pair", &app.id, ends.clone());
    // NB: the plugin knows the time to the second.
    let ran = eventually(PATIENCE, || async {
        let ran = plan(&tenant, std::slice::from_ref(&object)).await;
        (changes(&ran) == ["RotatesNow"]).then_some(ran)
    })
    .await;
    assert_eq!(ran.json()["items"][0]["reason"], "Retire");
    tenant.apply("pair", &app.id, ends).await.unwrap();
    eventually(PATIENCE, || async { (both() > before).then_some(()) }).await;
    // A Pod that names the Secret.
    let plain = tenant.issued("plain", json!({})).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": tenant.namespace},
        "spec": {"containers": [{"name": "app", "image": "app", "envFrom": [{"secretRef": {"name": "plain"}}]}]},
    });
    let pod = file(&tenant, &[pod]).await;
    let cluster = &World::shared().await.cluster;
    eventually(PATIENCE, || async {
        // The namespace's service account comes after the namespace.
        let made = cluster.kubectl(&["create", "-f", pod.to_str().unwrap()]);
        made.status.success().then_some(())
    })
    .await;
    let renamed = tenant.manifest("plain", &plain.id, json!({"secret": {"name": "elsewhere"}}));
    let ran = plan(&tenant, &[renamed]).await;
    assert_eq!(changes(&ran), ["Renames"], "{ran:?}");
    assert_eq!(ran.json()["items"][0]["pods"], json!(["web"]));
    // A standby that no grant covers.
    tenant.apply_connection(json!({"grants": [{
        "name": "some", "namespaces": [tenant.namespace], "projectIds": [tenant.project], "appIds": [plain.id],
    }]})).await;
    let more = json!({"standby": {"type": "Existing", "appId": "269012345678901234"}});
    let ran = plan(&tenant, &[tenant.manifest("plain", &plain.id, more)]).await;
    assert_eq!(changes(&ran), ["LosesGrant", "ChangesStandby"], "{ran:?}");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test]
async fn the_objects_of_a_connection_gain_and_lose_with_its_grants_what_the_plan_says() {
    let tenant = tenant("granting").await;
    let kept = tenant.issued("kept", json!({})).await;
    let lost = tenant.issued("lost", json!({})).await;
    let one = tenant.connection_manifest(json!({"grants": [{
        "name": "one", "namespaces": [tenant.namespace], "projectIds": [tenant.project], "appIds": [kept.id],
    }]}));
    let ran = plan(&tenant, std::slice::from_ref(&one)).await;
    assert_eq!(
        (changes(&ran), ran.code),
        (vec!["LosesGrant".to_owned()], Some(0)),
        "{ran:?}"
    );
    assert_eq!(ran.json()["items"][0]["name"], "lost", "{ran:?}");
    crate::support::apply(&tenant.connections(), &one)
        .await
        .unwrap();
    tenant.reason("lost", "NotGranted").await;
    tenant.ready("kept").await;
    let app = tenant.app("waiting");
    tenant.apply("waiting", &app.id, json!({})).await.unwrap();
    tenant.reason("waiting", "NotGranted").await;
    // Both at once: an object of the file, and those that are not in it.
    let new = tenant.app("new");
    let all = tenant.connection_manifest(json!({}));
    let file = [tenant.manifest("new", &new.id, json!({})), all.clone()];
    let ran = plan(&tenant, &file).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        changes(&ran),
        ["RotatesNow", "RotatesNow", "Resumes"],
        "{ran:?}"
    );
    let names = ["new", "waiting", "lost"].map(|name| json!(name));
    for (item, name) in ran.json()["items"].as_array().unwrap().iter().zip(names) {
        assert_eq!(item["name"], name, "{ran:?}");
    }
    for object in &file {
        let path = self::file(&tenant, std::slice::from_ref(object)).await;
        let apply = ["apply", "--server-side", "--force-conflicts", "-f"];
        let arguments = [&apply[..], &[path.to_str().unwrap()]].concat();
        let applied = World::shared().await.cluster.kubectl(&arguments);
        assert!(applied.status.success(), "{applied:?}");
    }
    for name in ["new", "waiting", "lost", "kept"] {
        tenant.ready(name).await;
    }
    let generates = [&new, &app, &lost, &kept].map(|app| tenant.generates(app));
    assert_eq!(generates, [1; 4]);
}

#[tokio::test]
async fn a_connection_and_its_objects_can_be_new_together() {
    let tenant = tenant("together").await;
    let name = format!("{}-new", tenant.namespace);
    let mut connection = tenant.connection_manifest(json!({}));
    connection["metadata"]["name"] = json!(name);
    let app = tenant.app("orders");
    let object = tenant.manifest("orders", &app.id, json!({"connectionRef": {"name": name}}));
    let ran = plan(&tenant, std::slice::from_ref(&object)).await;
    assert_eq!(
        ran.json()["items"][0]["reason"],
        "ConnectionNotFound",
        "{ran:?}"
    );
    let ran = plan(&tenant, &[connection.clone(), object.clone()]).await;
    assert_eq!(changes(&ran), ["RotatesNow"], "{ran:?}");
    // What is wrong with it is named as with an object, and no one is told that all is well.
    connection["spec"]["grants"][0]["projectIds"] = json!([]);
    let ran = plan(&tenant, &[connection.clone(), object]).await;
    ran.ends(2, &format!("document 1 (ZitadelConnection {name}): "));
    connection["spec"] = tenant.connection_manifest(json!({}))["spec"].take();
    let ran = plan(&tenant, &[connection.clone(), connection]).await;
    ran.ends(2, "it is in document 1 as well");
}

#[tokio::test]
async fn fields_that_are_taken_out_of_the_file_go_and_those_of_others_stay() {
    let tenant = tenant("merged").await;
    let cluster = &World::shared().await.cluster;
    let app = tenant.app("orders");
    let object =
        |rotation: Value| tenant.manifest("orders", &app.id, json!({"rotation": rotation}));
    // As kubectl applies it without --server-side.
    let path = file(
        &tenant,
        &[object(json!({"interval": "10d", "jitterPercent": 0}))],
    )
    .await;
    let applied = cluster.kubectl(&["apply", "-f", path.to_str().unwrap()]);
    assert!(applied.status.success(), "{applied:?}");
    tenant.ready("orders").await;
    // Someone else sets the trigger: the file does not take it away, and nothing is rotated for that.
    tenant.trigger("orders", "by hand").await;
    tenant.handled("orders", "by hand").await;
    let ran = plan(&tenant, &[object(json!({"jitterPercent": 0}))]).await;
    assert_eq!(changes(&ran), ["Moves"], "{ran:?}");
    let fields = json!(["spec.rotation.interval"]);
    assert_eq!(ran.json()["items"][0]["fields"], fields, "{ran:?}");
    let same = plan(
        &tenant,
        &[object(json!({"interval": "10d", "jitterPercent": 0}))],
    )
    .await;
    assert_eq!(
        (changes(&same), same.code),
        (Vec::new(), Some(0)),
        "{same:?}"
    );
    // What was read from the cluster can be given back.
    let printed = cluster.kubectl(&["get", "aas", "-n", &tenant.namespace, "-o", "yaml"]);
    let path = path.with_extension("read.yaml");
    std::fs::write(&path, printed.stdout).unwrap();
    let ran = as_admin(&tenant, &["plan", "-f", path.to_str().unwrap()]).await;
    ran.ends(0, "0 of 1 rotate now, 1 unchanged");
}

#[tokio::test]
async fn what_cannot_be_applied_is_named_with_its_document_and_nothing_is_hidden_by_it() {
    let tenant = tenant("badfile").await;
    let app = tenant.issued("orders", json!({})).await;
    let mut unknown = tenant.manifest("unknown", &app.id, json!({}));
    unknown["spec"]["rotatoin"] = json!({});
    let wrong = tenant.manifest("wrong", &app.id, json!({"rotation": {"interval": "soon"}}));
    let moved = tenant.manifest("orders", "269012345678901234", json!({}));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}});
    let mut elsewhere = tenant.manifest("elsewhere", &app.id, json!({}));
    elsewhere["metadata"]["namespace"] = json!("default");
    let good = tenant.manifest("good", &app.id, json!({}));
    let ran = plan(
        &tenant,
        &[
            unknown,
            wrong,
            moved,
            service,
            elsewhere,
            good.clone(),
            good,
        ],
    )
    .await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(changes(&ran), ["RotatesNow"], "{ran:?}");
    for part in [
        "document 1 (ApiAppSecret ",
        "unknown field \"spec.rotatoin\"",
        "document 2 (ApiAppSecret ",
        "spec.rotation.interval",
        "document 3 (ApiAppSecret ",
        "appId cannot be changed",
        "document 5 (ApiAppSecret elsewhere): it is for namespace default, and -n says ",
        "document 7 (ApiAppSecret ",
        "it is in document 6 as well",
        "1 of other kinds in ",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    let directory = std::env::temp_dir();
    let given = |path: &str| ["plan".to_owned(), "-f".to_owned(), path.to_owned()];
    for (path, says) in [
        (directory.to_str().unwrap(), "is a directory"),
        ("/nowhere/at.yaml", "cannot be read"),
    ] {
        let arguments = given(path);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        as_admin(&tenant, &arguments).await.ends(2, says);
    }
    for more in [&["-A"][..], &["-l", "a=b"], &["orders"]] {
        let arguments = [&["plan", "-f", "-"], more].concat();
        as_admin(&tenant, &arguments).await.ends(2, "cannot be");
    }
    as_admin(&tenant, &["plan", "-f", "-"])
        .await
        .ends(0, "no ApiAppSecret or OidcAppSecret in stdin");
}

#[tokio::test]
async fn stdin_is_read_and_a_document_without_namespace_is_of_the_callers() {
    let tenant = tenant("stdin").await;
    let app = tenant.app("orders");
    let mut object = tenant.manifest("orders", &app.id, json!({}));
    object["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("namespace");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [object]});
    let kubeconfig = World::shared().await.cluster.admin_kubeconfig();
    let arguments = ["-n", &tenant.namespace, "plan", "-f", "-"];
    let mut command = command(kubeconfig, &arguments);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(list.to_string().as_bytes()).unwrap();
    drop(stdin);
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.ends(1, "1 of 1 rotates now");
    assert!(
        ran.stdout.contains("orders   RotatesNow   FirstIssue "),
        "{ran:?}"
    );
}

#[tokio::test]
async fn whoever_may_only_look_is_told_what_was_not_checked() {
    let tenant = tenant("mayplan").await;
    let app = tenant.issued("orders", json!({})).await;
    let cluster = &World::shared().await.cluster;
    let kubeconfig = cluster.kubeconfig_for_user("mayplan", &[]).await;
    let kinds = "--resource=apiappsecrets.zitadel-secrets.dev";
    grant(&tenant, "mayplan", &["--verb=get", kinds]).await;
    let spec = json!({"rotation": {"trigger": "new"}, "secret": {"name": "other"}});
    let path = file(&tenant, &[tenant.manifest("orders", &app.id, spec)]).await;
    let arguments = [
        "-n",
        &tenant.namespace,
        "plan",
        "-f",
        path.to_str().unwrap(),
    ];
    let ran = eventually(PATIENCE, || async {
        let ran = run(&kubeconfig, &arguments);
        (ran.code == Some(1)).then_some(ran)
    })
    .await;
    for part in [
        "not checked by the API server: you may not patch apiappsecrets",
        "whether a grant covers it is not known: you may not get zitadelconnections",
        "whether a Secret of its name exists is not known: you may not get secrets",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    assert!(
        ran.stdout
            .contains("which Pods name orders is not known: you may not list pods"),
        "{ran:?}"
    );
    for (rotation, says) in [
        (
            json!({"interval": "1x"}),
            "spec.rotation.interval has something",
        ),
        (
            json!({"intervall": "1d"}),
            "spec.rotation.intervall is an unknown field",
        ),
    ] {
        let wrong = tenant.manifest("orders", &app.id, json!({ "rotation": rotation }));
        let path = file(&tenant, &[wrong]).await;
        let path = path.to_str().unwrap();
        let arguments = ["-n", &tenant.namespace, "plan", "-f", path];
        run(&kubeconfig, &arguments).ends(2, says);
    }
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
}
