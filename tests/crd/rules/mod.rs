//! Every rule of all kinds has a manifest that is refused by that rule and by nothing else: without the rule it would be accepted.

mod app_secret;
mod connection;

use serde_json::{Value, json};
use zitadel_secret_operator::api;

use crate::kinds::Kind;

type Changes = Vec<(&'static str, Value)>;

/// A manifest that one rule alone refuses.
struct Refused {
    /// The field with the rule, as the schema has it: `spec.grants[].name`.
    field: String,
    /// A part of the rule's message that no other rule of the field has.
    words: &'static str,
    /// The object that is stored, for a rule about changes.
    stored: Option<Changes>,
    changes: Changes,
}

fn refused(field: &str, words: &'static str, changes: Changes) -> Refused {
    Refused {
        field: field.to_owned(),
        words,
        stored: None,
        changes,
    }
}

fn change(
    field: &str,
    words: &'static str,
    (path, from, to): (&'static str, &str, &str),
) -> Refused {
    Refused {
        stored: Some(vec![(path, json!(from))]),
        ..refused(field, words, vec![(path, json!(to))])
    }
}

const ID: &str = "is not an id";
const NAME: &str = "is not a name";
const OBJECT: &str = "is not the name of a Kubernetes object";
const KEY: &str = "is not a key of a Secret";
const DURATION: &str = "is not a duration";
const LONGER: &str = "must be longer than 0s";

/// The rules of a schema: the field of each, with its message and the expression of its message.
fn rules(schema: &Value, field: &str) -> Vec<(String, String)> {
    let own = schema["x-kubernetes-validations"].as_array();
    let own = own.into_iter().flatten().map(|rule| {
        let text = |key: &str| rule[key].as_str().unwrap_or_default();
        let messages = format!("{}\n{}", text("message"), text("messageExpression"));
        (field.to_owned(), messages)
    });
    let inner = |name: &str| format!("{field}{}{name}", if field.is_empty() { "" } else { "." });
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.map(|(name, schema)| (inner(name), schema));
    let items = schema
        .get("items")
        .map(|items| (format!("{field}[]"), items));
    let values = schema.get("additionalProperties");
    let values = values.map(|values| (format!("{field}{{}}"), values));
    let below = fields.chain(items).chain(values);
    own.chain(below.flat_map(|(field, schema)| rules(schema, &field)))
        .collect()
}

/// The field of an answer as the schema has it: without the numbers of entries.
fn without_numbers(field: &str) -> String {
    let mut parts = field.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |field, part| {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        format!("{field}[{rest}")
    })
}

async fn prove(kind: &Kind, manifests: Vec<Refused>) {
    let definitions = api::definitions().unwrap();
    let definition = definitions
        .iter()
        .find(|definition| definition.spec.names.kind == kind.kind)
        .unwrap();
    let definition = serde_json::to_value(definition).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut unproven = rules(schema, "");
    for Refused {
        field,
        words,
        stored,
        changes,
    } in manifests
    {
        let is_own = |rule: &(String, String)| rule.0 == field && rule.1.contains(words);
        let own: Vec<_> = unproven.extract_if(.., |rule| is_own(rule)).collect();
        assert_eq!(own.len(), 1, "rules of {field} with {words:?}: {own:?}");
        let causes = kind.causes(stored.as_deref(), &changes).await;
        let [(at, message)] = causes.as_slice() else {
            panic!("{field}, {words:?}: not refused by one rule alone: {causes:?}")
        };
        assert!(
            without_numbers(at) == field && message.contains(words),
            "{field}, {words:?}: refused by another rule: {at}: {message}"
        );
    }
    assert!(
        unproven.is_empty(),
        "rules without a refused manifest: {unproven:#?}"
    );
}

#[tokio::test]
async fn each_rule_of_an_api_app_secret_alone_refuses_a_manifest() {
    prove(&Kind::app_secrets("rules").await, app_secret::manifests()).await;
}

#[tokio::test]
async fn each_rule_of_an_oidc_app_secret_alone_refuses_a_manifest() {
    let kind = Kind::oidc_app_secrets("oidc-rules").await;
    prove(&kind, app_secret::manifests_without_standby()).await;
}

#[tokio::test]
async fn each_rule_of_a_connection_alone_refuses_a_manifest() {
    prove(&Kind::connections().await, connection::manifests()).await;
}
