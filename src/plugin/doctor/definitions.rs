//! Whether the custom resource definitions are those of this version. No I/O.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::fault::ClusterError;

/// What installs them.
pub const APPLY: &str = "kubectl apply --server-side --force-conflicts --filename crds/";
/// Fields that a message names.
const NAMED: usize = 3;

/// A definition as it is in the cluster, beside the one that this version has.
pub struct Definition {
    /// That of this version.
    pub expected: CustomResourceDefinition,
    /// That of the cluster.
    pub found: Result<CustomResourceDefinition, ClusterError>,
}

/// Judges one.
pub fn judge(definition: &Definition) -> Finding {
    let name = definition.expected.name_any();
    let object = format!("crd/{name}");
    let finding = match &definition.found {
        Ok(found) => compare(&definition.expected, found),
        Err(ClusterError::Absent(_)) => Finding::new(
            Check::Definition,
            Verdict::Problem,
            "it is not installed; with Helm, an upgrade of the release installs it",
        )
        .fix(APPLY),
        Err(error) => Finding::unknown(Check::Definition, error),
    };
    finding.about("", object)
}

fn compare(expected: &CustomResourceDefinition, found: &CustomResourceDefinition) -> Finding {
    let of = |verdict, message: String| Finding::new(Check::Definition, verdict, message);
    if let Some(why) = unestablished(found) {
        let message = format!("the API server does not serve it: {why}");
        return of(Verdict::Problem, message)
            .fix(format!("kubectl describe crd {}", found.name_any()));
    }
    let Some(version) = expected.spec.versions.first() else {
        return of(Verdict::Ok, "it has no version".to_owned());
    };
    let version = version.name.as_str();
    let Some(theirs) = schema(found, version) else {
        let message = format!("it does not serve the version {version}");
        return of(Verdict::Problem, message).fix(APPLY);
    };
    let stored = stored_versions(expected, found);
    if !stored.is_empty() {
        let message = format!(
            "objects may be stored in a version that is not known here: {}; use the plugin of the operator's version",
            stored.join(", ")
        );
        return of(Verdict::Warning, message);
    }
    let ours = schema(expected, version).unwrap_or_default();
    let (own, other) = (fields(&ours), fields(&theirs));
    let lacking: Vec<_> = own.difference(&other).map(String::as_str).collect();
    let besides: Vec<_> = other.difference(&own).map(String::as_str).collect();
    match (lacking.is_empty(), besides.is_empty()) {
        (true, true) if ours == theirs => {
            of(Verdict::Ok, format!("{version} is that of this version"))
        }
        (true, true) => of(
            Verdict::Warning,
            "it has the same fields as here, with other rules or descriptions: it is of another version"
                .to_owned(),
        )
        .fix(APPLY),
        (false, true) => of(
            Verdict::Warning,
            format!("it is older than this plugin: it lacks {}", list(&lacking)),
        )
        .fix(APPLY),
        (true, false) => of(
            Verdict::Warning,
            format!(
                "it is newer than this plugin, which does not know {}; use the plugin of the operator's version",
                list(&besides)
            ),
        ),
        (false, false) => of(
            Verdict::Warning,
            format!(
                "it is of another version: it lacks {}, and has {} besides",
                list(&lacking),
                list(&besides)
            ),
        )
        .fix(APPLY),
    }
}

/// Why the API server does not serve it, if it says so.
fn unestablished(found: &CustomResourceDefinition) -> Option<String> {
    let conditions = found.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions.iter().find(|condition| {
        let is_of = ["Established", "NamesAccepted"].contains(&condition.type_.as_str());
        is_of && condition.status == "False"
    })?;
    let message = failed.message.clone().unwrap_or_default();
    Some(format!("{} is False: {message}", failed.type_))
}

fn stored_versions<'a>(
    expected: &CustomResourceDefinition,
    found: &'a CustomResourceDefinition,
) -> Vec<&'a str> {
    let known = |name: &str| expected.spec.versions.iter().any(|it| it.name == name);
    let status = found.status.iter();
    let stored = status.flat_map(|status| status.stored_versions.iter().flatten());
    let stored = stored.map(String::as_str);
    stored.filter(|name| !known(name)).collect()
}

/// The schema of a version that is served.
fn schema(definition: &CustomResourceDefinition, version: &str) -> Option<Value> {
    let mut versions = definition.spec.versions.iter();
    let version = versions.find(|it| it.name == version && it.served)?;
    serde_json::to_value(version.schema.as_ref()?.open_api_v3_schema.as_ref()?).ok()
}

/// The fields of a schema, such as `spec.rotation.windows.name`.
fn fields(schema: &Value) -> BTreeSet<String> {
    fn collect(schema: &Value, path: &str, all: &mut BTreeSet<String>) {
        for inner in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(inner) {
                collect(inner, path, all);
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, inner) in properties.into_iter().flatten() {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            collect(inner, &path, all);
            all.insert(path);
        }
    }
    let mut all = BTreeSet::new();
    collect(schema, "", &mut all);
    all
}

/// Some of them, and how many more there are.
fn list(fields: &[&str]) -> String {
    let named = fields.iter().take(NAMED).copied().collect::<Vec<_>>();
    let more = fields.len() - named.len();
    let named = named.join(", ");
    if more == 0 {
        named
    } else {
        format!("{named} and {more} more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::definitions;
    use crate::plugin::fault::Asked;

    fn judged(change: impl FnOnce(&mut Value)) -> (Verdict, String) {
        let [expected, ..] = definitions().unwrap();
        let mut found = serde_json::to_value(&expected).unwrap();
        change(&mut found);
        let found = Ok(serde_json::from_value(found).unwrap());
        let finding = judge(&Definition { expected, found });
        (finding.result, finding.message)
    }

    fn properties(found: &mut Value) -> &mut serde_json::Map<String, Value> {
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        found.pointer_mut(path).unwrap().as_object_mut().unwrap()
    }

    #[test]
    fn a_definition_is_the_same_older_newer_or_neither() {
        assert_eq!(judged(|_| {}).0, Verdict::Ok);
        let older = judged(|found| {
            properties(found).remove("suspend");
        });
        assert_eq!(older.0, Verdict::Warning);
        assert!(older.1.ends_with("it lacks spec.suspend"), "{older:?}");
        let newer = judged(|found| {
            let field =
                serde_json::json!({"type": "object", "properties": {"b": {"type": "string"}}});
            properties(found).insert("a".to_owned(), field);
        });
        assert!(
            newer.1.contains("does not know spec.a, spec.a.b;"),
            "{newer:?}"
        );
        let rules = judged(|found| {
            properties(found)["suspend"]["description"] = "x".into();
        });
        assert!(rules.1.contains("the same fields"), "{rules:?}");
    }

    #[test]
    fn a_definition_that_is_not_served_is_a_problem() {
        let served = judged(|found| found["spec"]["versions"][0]["served"] = false.into());
        assert_eq!(served.0, Verdict::Problem);
        let names = judged(|found| {
            found["status"] = serde_json::json!({"conditions": [
                {"type": "NamesAccepted", "status": "False", "reason": "x", "message": "the plural is taken"},
            ]});
        });
        assert_eq!(names.0, Verdict::Problem);
        assert!(names.1.ends_with("the plural is taken"), "{names:?}");
        let stored = judged(|found| {
            found["status"] = serde_json::json!({"storedVersions": ["v1alpha1", "v2"]});
        });
        assert_eq!(stored.0, Verdict::Warning);
        assert!(stored.1.contains("known here: v2;"), "{stored:?}");
    }

    #[test]
    fn a_definition_that_may_not_be_read_is_unknown() {
        let [expected, ..] = definitions().unwrap();
        let asked = Asked::of(
            "get",
            "customresourcedefinitions.apiextensions.k8s.io",
            None,
        );
        let found = Err(ClusterError::Denied(asked));
        let finding = judge(&Definition { expected, found });
        assert_eq!(finding.result, Verdict::Unknown);
    }
}
