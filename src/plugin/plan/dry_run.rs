//! What becomes of an object if a document is applied: a dry run by the API server, with the caller's rights.
//!
//! It is made as the document was applied before: as its field manager if that is by server-side apply, or else as `kubectl apply` and Argo CD
//! merge what they applied last, what is in the cluster and what is in the file. So fields that others set stay, and those that are taken out
//! of the file go.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::Request;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::api::{AppSecret, ZitadelConnection};
use crate::plugin::cluster::{Cluster, FIELD_MANAGER, Listed};
use crate::plugin::fault::{Asked, ClusterError};
use crate::plugin::plan::manifest::{ConnectionDocument, Document};
use crate::plugin::plan::validate;

/// What `kubectl apply` remembers.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// A field of an object and of a connection that only whoever applies all of it has in its file.
const OWN: [&str; 2] = ["/f:spec/f:appId", "/f:spec/f:url"];
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
pub struct Applied<T> {
    /// The object.
    pub object: T,
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

/// What is in the cluster at present: an `object` or a `connection`, if there is one.
pub fn before<T>(found: Result<Listed<T>, ClusterError>, what: &str) -> Result<Option<T>, Refused> {
    match found {
        Ok(Listed::Read(object)) => Ok(Some(object)),
        Ok(Listed::Unreadable(_)) => Err(Refused::Document(format!(
            "the {what} in the cluster was written for another version of the API: use the plugin of the operator's version"
        ))),
        Err(ClusterError::Absent(_)) => Ok(None),
        Err(error) => Err(Refused::Cluster(error)),
    }
}

/// What becomes of the object of a document, in the namespace of the cluster.
pub async fn applied(
    cluster: &Cluster,
    document: &Document,
    before: Option<&AppSecret>,
) -> Result<Applied<AppSecret>, Refused> {
    let namespace = cluster.namespace();
    let dry_run = DryRun {
        cluster,
        path: AppSecret::url_path(&document.kind, Some(namespace)),
        asked: Asked::kind("create", document.kind, Some(namespace)).named(&document.name),
        object: manifest(&document.object, Some(namespace)),
    };
    let asked = dry_run.ask(before.map(|before| &before.metadata)).await;
    unless_unasked(asked, || validate::applied(document, namespace, before))
}

/// What becomes of the connection of a document.
pub async fn connection(
    cluster: &Cluster,
    document: &ConnectionDocument,
    before: Option<&ZitadelConnection>,
) -> Result<Applied<ZitadelConnection>, Refused> {
    let dry_run = DryRun {
        cluster,
        path: ZitadelConnection::url_path(&(), None),
        asked: Asked::resource::<ZitadelConnection>("create", None).named(&document.name),
        object: manifest(&document.object, None),
    };
    let asked = dry_run.ask(before.map(|before| &before.metadata)).await;
    unless_unasked(asked, || validate::connection(document))
}

/// What the API server says; where it may not be asked, what is said without it.
fn unless_unasked<T>(
    asked: Result<T, ClusterError>,
    otherwise: impl FnOnce() -> Result<T, String>,
) -> Result<Applied<T>, Refused> {
    let error = match asked {
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
        return Ok(Applied {
            object: otherwise().map_err(Refused::Document)?,
            unchecked: Some(error.to_string()),
        });
    }
    Err(match error {
        ClusterError::Invalid { message, .. } => Refused::Document(message),
        ClusterError::Refused { .. } => Refused::Document(error.to_string()),
        error => Refused::Cluster(error),
    })
}

/// A document that the API server is asked about.
struct DryRun<'a> {
    cluster: &'a Cluster,
    path: String,
    asked: Asked,
    object: Value,
}

impl DryRun<'_> {
    /// Asks what becomes of an object that is there; of none, what is created.
    async fn ask<T: DeserializeOwned>(
        self,
        before: Option<&ObjectMeta>,
    ) -> Result<T, ClusterError> {
        let name = self.asked.name.as_deref().unwrap_or_default();
        let request = Request::new(self.path);
        let params = |manager: &str| PatchParams {
            dry_run: true,
            field_manager: Some(manager.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let (verb, request) = match before {
            None => ("create", create(&request, &self.object)),
            Some(before) => {
                let request = if let Some(manager) = applier(before) {
                    let params = params(manager).force();
                    request.patch(name, &params, &Patch::Apply(self.object))
                } else {
                    let merged = three_way(&last_applied(before), self.object);
                    request.patch(name, &params(FIELD_MANAGER), &Patch::Merge(merged))
                };
                ("patch", request)
            }
        };
        let asked = Asked { verb, ..self.asked };
        let body = self.cluster.body(request, &asked).await?;
        serde_json::from_slice(&body).map_err(|_| self.cluster.unreadable())
    }
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
fn manifest(object: &Value, namespace: Option<&str>) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.retain(|name, _| !SERVER_SIDE.contains(&name.as_str()));
        if let Some(namespace) = namespace {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
    }
    object
}

/// Who applies the object by server-side apply.
fn applier(metadata: &ObjectMeta) -> Option<&str> {
    let entries = metadata.managed_fields.iter().flatten();
    let mut appliers = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().is_none_or(str::is_empty)
            && entry.manager.as_deref() != Some(FIELD_MANAGER)
            && fields.is_some_and(|fields| OWN.iter().any(|own| fields.0.pointer(own).is_some()))
    });
    appliers.next()?.manager.as_deref()
}

fn last_applied(metadata: &ObjectMeta) -> Value {
    let annotations = metadata.annotations.as_ref();
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
        assert_eq!(manifest(&object, Some("orders")), expected);
    }

    #[test]
    fn it_is_applied_as_whoever_applied_it_before() {
        let entry = |manager: &str, operation: &str, subresource: &str| {
            json!({
                "manager": manager, "operation": operation, "subresource": subresource,
                "fieldsV1": {"f:spec": {"f:appId": {}}},
            })
        };
        let object = |entries: &[Value]| -> ObjectMeta {
            serde_json::from_value(json!({"name": "a", "managedFields": entries})).unwrap()
        };
        let edited = entry("kubectl-edit", "Update", "");
        let operator = entry("zitadel-secret-operator", "Apply", "status");
        let flux = entry("kustomize-controller", "Apply", "");
        let all = object(&[edited.clone(), operator.clone(), flux]);
        assert_eq!(applier(&all), Some("kustomize-controller"));
        assert_eq!(applier(&object(&[edited, operator])), None);
    }
}
