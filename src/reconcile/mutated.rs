//! What came of a write: whether the API server stored what was sent. Admission may change or drop any part of it. No I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::api::Reason;
use crate::rotation::Failure;
use crate::store::secret::{COMMIT_ANNOTATION, MANAGED_LABEL};

/// What the API server stored otherwise than it was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mutations {
    /// What the credential or its bookkeeping depends on: keys, the type, the managed label, the commit record, the owner reference.
    pub essential: Vec<String>,
    /// Labels and annotations of the template.
    pub cosmetic: Vec<String>,
}

impl Mutations {
    /// Compares a Secret that was sent with the API server's answer.
    pub fn between(sent: &Json, stored: &Secret) -> Self {
        let text = |pointer: &str| sent.pointer(pointer).and_then(Json::as_str);
        let fields = |pointer: &str| {
            let object = sent.pointer(pointer).and_then(Json::as_object);
            object.into_iter().flatten()
        };
        let mut found = Self::default();
        for (key, wanted) in fields("/data") {
            let bytes = stored.data.as_ref().and_then(|data| data.get(key));
            let bytes = bytes.map(|bytes| Zeroizing::new(STANDARD.encode(&bytes.0)));
            if bytes.as_ref().map(|text| text.as_str()) != wanted.as_str() {
                found.essential.push(format!("key {key}"));
            }
        }
        if text("/type") != stored.type_.as_deref() {
            found.essential.push("the type".to_owned());
        }
        let kinds = [
            (
                "label",
                "/metadata/labels",
                &stored.metadata.labels,
                MANAGED_LABEL,
            ),
            (
                "annotation",
                "/metadata/annotations",
                &stored.metadata.annotations,
                COMMIT_ANNOTATION,
            ),
        ];
        for (kind, pointer, all, ours) in kinds {
            for (name, wanted) in fields(pointer) {
                let is = all.as_ref().and_then(|all| all.get(name));
                if is.map(String::as_str) == wanted.as_str() {
                    continue;
                }
                let list = if name == ours {
                    &mut found.essential
                } else {
                    &mut found.cosmetic
                };
                list.push(format!("{kind} {name}"));
            }
        }
        let references = sent.pointer("/metadata/ownerReferences");
        for reference in references.and_then(Json::as_array).into_iter().flatten() {
            let uid = reference.get("uid").and_then(Json::as_str);
            let mut stored = stored.metadata.owner_references.iter().flatten();
            if !stored.any(|stored| Some(stored.uid.as_str()) == uid) {
                found.essential.push("the owner reference".to_owned());
            }
        }
        found
    }

    /// Why the write did not do what it should, if so.
    pub fn failure(&self) -> Option<Failure> {
        (!self.essential.is_empty()).then(|| failure(&self.essential, true))
    }

    /// What of the template is not as declared, if that is all.
    pub fn left(&self) -> Option<Failure> {
        (self.essential.is_empty() && !self.cosmetic.is_empty())
            .then(|| failure(&self.cosmetic, false))
    }
}

fn failure(what: &[String], permanent: bool) -> Failure {
    Failure {
        answer: Some(format!("changed: {}", what.join(", "))),
        ..Failure::new(Reason::SecretMutated, permanent)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent() -> Json {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": "s", "namespace": "n",
                "labels": {MANAGED_LABEL: "true", "team": "orders"},
                "annotations": {COMMIT_ANNOTATION: "{}", "note": "x"},
                "ownerReferences": [{"apiVersion": "v", "kind": "k", "name": "o", "uid": "u"}],
            },
            "data": {"CLIENT_ID": "aWQ=", "CLIENT_SECRET": "c2VjcmV0"},
        })
    }

    fn stored(edit: impl FnOnce(&mut Json)) -> Mutations {
        let mut stored = sent();
        edit(&mut stored);
        Mutations::between(&sent(), &serde_json::from_value(stored).unwrap())
    }

    #[test]
    fn what_was_stored_as_it_was_sent_is_no_mutation_and_additions_are_none() {
        assert_eq!(stored(|_| {}), Mutations::default());
        let added = stored(|stored| {
            stored["metadata"]["labels"]["theirs"] = json!("x");
            stored["metadata"]["annotations"]["theirs"] = json!("x");
            stored["data"]["THEIRS"] = json!("eA==");
        });
        assert_eq!(added, Mutations::default());
    }

    #[test]
    fn every_part_that_matters_is_named_when_it_is_changed_or_dropped() {
        type Edit = fn(&mut Json);
        let cases: [(&str, Edit); 9] = [
            ("key CLIENT_SECRET", |s| {
                s["data"]["CLIENT_SECRET"] = json!("ZXZpbA==");
            }),
            ("key CLIENT_ID", |s| s["data"]["CLIENT_ID"] = json!("")),
            ("key CLIENT_ID", |s| {
                drop(s["data"].as_object_mut().unwrap().remove("CLIENT_ID"));
            }),
            ("the type", |s| s["type"] = json!("other")),
            ("the type", |s| {
                drop(s.as_object_mut().unwrap().remove("type"));
            }),
            ("label zitadel-secrets.dev/managed", |s| {
                s["metadata"]["labels"] = json!({"team": "orders"});
            }),
            ("annotation zitadel-secrets.dev/commit", |s| {
                s["metadata"]["annotations"] = json!({"note": "x"});
            }),
            ("annotation zitadel-secrets.dev/commit", |s| {
                s["metadata"]["annotations"][COMMIT_ANNOTATION] = json!("{ }");
            }),
            ("the owner reference", |s| {
                s["metadata"]["ownerReferences"] = json!([]);
            }),
        ];
        for (name, edit) in cases {
            let found = stored(edit);
            assert_eq!(found.essential, [name]);
            let failure = found.failure().unwrap();
            assert_eq!(failure.reason, Reason::SecretMutated);
            assert_eq!(failure.answer, Some(format!("changed: {name}")));
        }
    }

    #[test]
    fn labels_and_annotations_of_the_template_are_distinguished() {
        let found = stored(|stored| {
            stored["metadata"]["labels"]["team"] = json!("policy");
            stored["metadata"]["annotations"]
                .as_object_mut()
                .unwrap()
                .remove("note");
        });
        assert_eq!(found.cosmetic, ["label team", "annotation note"]);
        assert_eq!(found.failure(), None);
        assert!(!found.left().unwrap().permanent);
    }
}
