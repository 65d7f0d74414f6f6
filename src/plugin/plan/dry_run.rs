//! What becomes of an object if a document is applied: a dry run by the API server, with the caller's rights.
//!
//! It is made as the document was applied before: as its field manager if that is by server-side apply, or else as `kubectl apply` and Argo CD
//! merge what they applied last, what is in the cluster and what is in the file. So fields that others set stay, and those that are taken out
//! of the file go.

use kube::Resource as _;
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::Request;
use serde_json::{Map, Value, json};

use crate::api::AppSecret;
use crate::plugin::cluster::{Cluster, FIELD_MANAGER};
use crate::plugin::fault::{Asked, ClusterError};
use crate::plugin::plan::manifest::Document;
use crate::plugin::plan::validate;

/// What `kubectl apply` remembers.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What the API server fills in.
const SERVER_SIDE: [&str; 8] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// An object as it will be.
#[derive(Debug)]
pub struct Applied {
    /// The object.
    pub object: AppSecret,
    /// Why the API server has not checked it, if so.
    pub unchecked: Option<String>,
}

/// Why there is none.
#[derive(Debug)]
pub enum Refused {
    /// The document cannot be applied.
    Document(String),
    /// The cluster cannot be asked.
    Cluster(ClusterError),
}

/// What becomes of the object of a document, in the namespace of the cluster.
pub async fn applied(
    cluster: &Cluster,
    document: &Document,
    before: Option<&AppSecret>,
) -> Result<Applied, Refused> {
    let error = match ask(cluster, document, before).await {
        Ok(object) => {
            return Ok(Applied {
                object,
                unchecked: None,
            });
        }
        Err(error) => error,
    };
    let is_unasked = match &error {
        // NB: the namespace may be in the same file.
        ClusterError::Denied(_) | ClusterError::Absent(_) => true,
        ClusterError::Invalid { message, .. } | ClusterError::Refused { message, .. } => {
            message.contains("does not support dry run")
        }
        _ => false,
    };
    if is_unasked {
        let object = validate::applied(document, cluster.namespace(), before);
        return Ok(Applied {
            object: object.map_err(Refused::Document)?,
            unchecked: Some(error.to_string()),
        });
    }
    Err(match error {
        ClusterError::Invalid { message, .. } => Refused::Document(message),
        ClusterError::Refused { .. } => Refused::Document(error.to_string()),
        error => Refused::Cluster(error),
    })
}

async fn ask(
    cluster: &Cluster,
    document: &Document,
    before: Option<&AppSecret>,
) -> Result<AppSecret, ClusterError> {
    let path = AppSecret::url_path(&document.kind, Some(cluster.namespace()));
    let (request, name) = (Request::new(path), &document.name);
    let object = manifest(&document.object, cluster.namespace());
    let params = |manager: &str| PatchParams {
        dry_run: true,
        field_manager: Some(manager.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let (verb, request) = match before {
        None => ("create", create(&request, &object)),
        Some(before) => {
            let request = if let Some(manager) = applier(before) {
                let params = params(manager).force();
                request.patch(name, &params, &Patch::Apply(object))
            } else {
                let merged = three_way(&last_applied(before), object);
                request.patch(name, &params(FIELD_MANAGER), &Patch::Merge(merged))
            };
            ("patch", request)
        }
    };
    let asked = Asked::kind(verb, document.kind, Some(cluster.namespace())).named(name);
    let body = cluster.body(request, &asked).await?;
    serde_json::from_slice(&body).map_err(|_| cluster.unreadable())
}

fn create(
    request: &Request,
    object: &Value,
) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    let params = PostParams {
        dry_run: true,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    };
    let request = request.create(&params, object.to_string().into_bytes())?;
    let (mut parts, body) = request.into_parts();
    // NB: kube has no parameter for it.
    if let Ok(uri) = format!("{}&fieldValidation=Strict", parts.uri).parse() {
        parts.uri = uri;
    }
    Ok(http::Request::from_parts(parts, body))
}

/// The object as it is applied: without what the API server fills in, which is there in what was read from a cluster.
fn manifest(object: &Value, namespace: &str) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.retain(|name, _| !SERVER_SIDE.contains(&name.as_str()));
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    object
}

/// Who applies the object by server-side apply.
fn applier(object: &AppSecret) -> Option<&str> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let mut appliers = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().is_none_or(str::is_empty)
            && entry.manager.as_deref() != Some(FIELD_MANAGER)
            && fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:appId").is_some())
    });
    appliers.next()?.manager.as_deref()
}

fn last_applied(object: &AppSecret) -> Value {
    let annotations = object.metadata.annotations.as_ref();
    let text = annotations.and_then(|all| all.get(LAST_APPLIED));
    let last = text.and_then(|text| serde_json::from_str(text).ok());
    last.unwrap_or_else(|| json!({}))
}

/// The merge patch of a file: what was applied last and is in the file no more is taken away.
fn three_way(last: &Value, file: Value) -> Value {
    let (Some(last), Value::Object(file)) = (last.as_object(), file.clone()) else {
        return file;
    };
    let gone = last.keys().filter(|name| !file.contains_key(*name));
    let gone = gone.filter(|name| *name != "status");
    let mut merged: Map<String, Value> = gone.map(|name| (name.clone(), Value::Null)).collect();
    for (name, value) in file {
        let value = match last.get(&name) {
            Some(last) => three_way(last, value),
            None => value,
        };
        merged.insert(name, value);
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_of_the_file_goes_and_what_others_set_stays() {
        let last = json!({"spec": {"rotation": {"interval": "1d", "trigger": "a"}, "suspend": true, "appId": "2"}});
        let file = json!({"spec": {"rotation": {"interval": "2d"}, "appId": "2", "recovery": {"missing": "Report"}}});
        let expected = json!({"spec": {
            "rotation": {"interval": "2d", "trigger": null}, "suspend": null, "appId": "2", "recovery": {"missing": "Report"},
        }});
        assert_eq!(three_way(&last, file.clone()), expected);
        assert_eq!(three_way(&json!({}), file.clone()), file);
    }

    #[test]
    fn what_was_read_from_a_cluster_can_be_given() {
        let object = json!({
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "managedFields": [], "labels": {"a": "b"}},
            "spec": {}, "status": {},
        });
        let expected = json!({"metadata": {"name": "a", "namespace": "orders", "labels": {"a": "b"}}, "spec": {}});
        assert_eq!(manifest(&object, "orders"), expected);
    }

    #[test]
    fn it_is_applied_as_whoever_applied_it_before() {
        let entry = |manager: &str, operation: &str, subresource: &str| {
            json!({
                "manager": manager, "operation": operation, "subresource": subresource,
                "fieldsV1": {"f:spec": {"f:appId": {}}},
            })
        };
        let object = |entries: &[Value]| -> AppSecret {
            let object = json!({
                "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
                "metadata": {"name": "a", "managedFields": entries}, "spec": {"projectId": "1", "appId": "2"},
            });
            serde_json::from_value(object).unwrap()
        };
        let edited = entry("kubectl-edit", "Update", "");
        let operator = entry("zitadel-secret-operator", "Apply", "status");
        let flux = entry("kustomize-controller", "Apply", "");
        let all = object(&[edited.clone(), operator.clone(), flux]);
        assert_eq!(applier(&all), Some("kustomize-controller"));
        assert_eq!(applier(&object(&[edited, operator])), None);
    }
}
