//! Keys of the Secret that are templates.

use crate::fixtures::{holds, message, tenant};
use crate::support::eventually;
use crate::support::world::PATIENCE;
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;

#[tokio::test]
async fn a_template_is_rendered_from_the_value_that_is_held_and_a_wrong_one_generates_nothing() {
    let tenant = tenant("templates").await;
    let app = tenant.app("orders");
    let with = |template: &str| {
        let entries = json!([
            {"key": "CLIENT_SECRET", "from": "ClientSecret"},
            {"key": "oauth", "template": template},
        ]);
        json!({"secret": {"data": entries}})
    };
    let oauth = async || tenant.data("orders").await.get("oauth").cloned();
    // What is wrong is said before anything is generated.
    for (template, expected) in [
        (
            "id={{ clientId }}\nsecret={{ clientsecret }}",
            "template of key oauth: line 2: ",
        ),
        (
            "{% for x in range(1000000000) %}x{% endfor %}",
            "template of key oauth: line 1: ",
        ),
        ("{{ clientId", "template of key oauth: line 1: "),
        ("{# nothing #}", "template of key oauth: line 1: "),
    ] {
        tenant
            .apply("orders", &app.id, with(template))
            .await
            .unwrap();
        let object = tenant
            .until("orders", |object| {
                object
                    .status
                    .as_ref()?
                    .conditions
                    .get(ConditionType::Ready)?;
                message(object, ConditionType::Ready)
                    .contains(expected)
                    .then_some(())
            })
            .await;
        assert!(holds(&object, ConditionType::Stalled), "{object:?}");
    }
    assert_eq!(tenant.generates(&app), 0);
    let json = r#"{"id": {{ clientId | tojson }}, "secret": {{ clientSecret | tojson }}, "issuer": {{ issuer | tojson }}}"#;
    tenant.apply("orders", &app.id, with(json)).await.unwrap();
    tenant.ready("orders").await;
    let value = tenant.client_secret("orders").await.unwrap();
    let expected = json!({"id": app.client_id, "secret": value, "issuer": tenant.url});
    let rendered: Value = serde_json::from_str(&oauth().await.unwrap()).unwrap();
    assert_eq!(rendered, expected);
    // Edited, it is rendered again; changed by hand, it is put right; wrong, what was written stays.
    let pair = format!("{}:{value}", app.client_id);
    tenant
        .apply("orders", &app.id, with("{{ clientId }}:{{ clientSecret }}"))
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        (oauth().await? == pair).then_some(())
    })
    .await;
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"oauth": "changed by hand"}}),
        )
        .await;
    eventually(PATIENCE, || async {
        (oauth().await? == pair).then_some(())
    })
    .await;
    tenant.ready("orders").await;
    tenant
        .apply("orders", &app.id, with("{{ nonsense }}"))
        .await
        .unwrap();
    tenant.reason("orders", "InvalidSpec").await;
    assert_eq!(oauth().await, Some(pair));
    assert_eq!(tenant.generates(&app), 1);
    // A rotation renders it with the new value.
    let mut rotated = with("{{ clientSecret }}");
    rotated["rotation"] = json!({"trigger": "a"});
    tenant.apply("orders", &app.id, rotated).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    let value = tenant.client_secret("orders").await;
    assert_eq!(oauth().await, value);
    assert!(tenant.accepted(&app, "orders").await);
}
