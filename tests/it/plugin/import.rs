//! `import`: the manifest of an object that takes over a Secret which exists.

use kube::api::PostParams;
use serde_json::json;
use zitadel_simulator::AppHandle;

use super::*;
use crate::fixtures::tenant;
use crate::support::helm::documents;

/// An application, and a Secret that someone made with its pair.
async fn secret(tenant: &Tenant, name: &str) -> (AppHandle, String) {
    let app = tenant.app(name);
    let made = tenant.zitadel.rotate_elsewhere(&app.id, None).unwrap();
    let value = made.secret.expose().to_owned();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"oidc.clientID": app.client_id, "oidc.clientSecret": value, "level": "info"},
    });
    let secret = serde_json::from_value(secret).unwrap();
    let params = PostParams {
        field_manager: Some("by-hand".to_owned()),
        ..PostParams::default()
    };
    tenant.secrets().create(&params, &secret).await.unwrap();
    (app, value)
}

#[tokio::test]
async fn the_manifest_takes_over_the_secret_and_nothing_is_generated() {
    let tenant = tenant("import").await;
    let (app, value) = secret(&tenant, "oauth").await;
    let (project, connection) = (&tenant.project, &tenant.namespace);
    let arguments = [
        "import",
        "oauth",
        "--project-id",
        project,
        "--app-id",
        &app.id,
        "--connection",
        connection,
        "--name",
        "orders",
    ];
    let ran = as_admin(&tenant, &arguments).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("field manager by-hand"), "{ran:?}");
    assert!(ran.stderr.contains("Left as they are: level"), "{ran:?}");
    let printed = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!printed.contains(&value), "a value was printed");
    let [object] = documents(&ran.stdout).try_into().unwrap();
    crate::support::apply(&tenant.objects(), &object)
        .await
        .unwrap();
    tenant.ready("orders").await;
    assert_eq!(
        tenant.value("oauth", "oidc.clientSecret").await,
        Some(value)
    );
    let generated = tenant.zitadel.request_log().into_iter().filter(|request| {
        request.operation == zitadel_simulator::Operation::Generate
            && request.app.as_deref() == Some(&app.id)
    });
    assert_eq!(generated.count(), 0);
    // What the operator keeps is not imported again.
    as_admin(&tenant, &arguments).await.ends(1, "is kept by");
}

#[tokio::test]
async fn what_cannot_be_imported_is_said_and_nothing_is_printed_on_stdout() {
    let tenant = tenant("noimport").await;
    let ids = ["--project-id", "1", "--app-id", "2"];
    let import = async |more: &[&str]| as_admin(&tenant, &[&["import"], more, &ids].concat()).await;
    import(&["gone"]).await.ends(1, "secrets/gone");
    import(&["Gone"]).await.ends(2, "not the name of an object");
    let certificate = json!({"tls.crt": "", "tls.key": ""});
    let certificate = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}, "type": "kubernetes.io/tls", "stringData": certificate,
    });
    crate::support::apply(&tenant.secrets(), &certificate)
        .await
        .unwrap();
    let ran = import(&["tls"]).await;
    ran.ends(1, "of type kubernetes.io/tls");
    assert_eq!(ran.stdout, "");
    let unclear = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "unclear"}, "stringData": {"id": "", "key": ""},
    });
    crate::support::apply(&tenant.secrets(), &unclear)
        .await
        .unwrap();
    import(&["unclear"]).await.ends(2, "Its keys: id, key");
    let cluster = &World::shared().await.cluster;
    let nobody = cluster.kubeconfig_for_user("nobody", &[]).await;
    let arguments = [&["-n", &tenant.namespace, "import", "tls"], &ids[..]].concat();
    run(&nobody, &arguments).ends(3, "you may not get secrets in namespace");
}
