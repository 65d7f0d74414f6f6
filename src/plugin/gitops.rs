//! Who keeps an object: a tool that applies what is in Git undoes what is set in the cluster, or rotates once more. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::plugin::cluster::FIELD_MANAGER;

/// The field managers of tools that apply what is in Git, or in a chart.
const MANAGERS: [(&str, &str); 9] = [
    ("argocd-controller", "Argo CD"),
    ("argocd-application-controller", "Argo CD"),
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("helm", "Helm"),
    ("configsync", "Config Sync"),
    ("fleetagent", "Fleet"),
    ("kapp", "kapp"),
    ("kapp-server", "kapp"),
];

/// The labels and annotations by which such tools know their objects.
const MARKS: [(&str, &str); 8] = [
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
    ("meta.helm.sh/release-name", "Helm"),
    ("configmanagement.gke.io/managed", "Config Sync"),
    ("objectset.rio.cattle.io/id", "Fleet"),
    ("kapp.k14s.io/app", "kapp"),
];

/// Who keeps an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    /// The tool that applies it from Git, and by what it is known.
    pub tool: Option<String>,
    /// Those that set `spec.rotation.trigger`, besides the plugin.
    pub trigger: Vec<String>,
    /// Whether one of them is such a tool.
    pub is_trigger_in_git: bool,
}

impl Ownership {
    /// Reads it from an object's metadata.
    pub fn read(metadata: &ObjectMeta) -> Self {
        let managers = metadata.managed_fields.iter().flatten();
        let mut ownership = Self::default();
        for entry in managers {
            let Some(name) = entry.manager.as_deref() else {
                continue;
            };
            if entry
                .subresource
                .as_deref()
                .is_some_and(|it| !it.is_empty())
            {
                continue;
            }
            let tool = MANAGERS.iter().find(|(manager, _)| *manager == name);
            if let Some((manager, tool)) = tool {
                ownership.found(tool, &format!("field manager {manager}"));
            }
            let fields = entry.fields_v1.as_ref();
            let trigger =
                fields.and_then(|fields| fields.0.pointer("/f:spec/f:rotation/f:trigger"));
            if trigger.is_some() && name != FIELD_MANAGER {
                ownership.trigger.push(name.to_owned());
                ownership.is_trigger_in_git |= tool.is_some();
            }
        }
        let labels = metadata.labels.iter().flatten();
        for (name, value) in labels.chain(metadata.annotations.iter().flatten()) {
            if let Some((_, tool)) = MARKS.iter().find(|(mark, _)| mark == name) {
                ownership.found(tool, &format!("{name}: {value}"));
            }
        }
        ownership
    }

    fn found(&mut self, tool: &str, by: &str) {
        self.tool.get_or_insert_with(|| format!("{tool} ({by})"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(metadata: Value) -> Ownership {
        Ownership::read(&serde_json::from_value(metadata).unwrap())
    }

    fn managed(manager: &str, subresource: &str, fields: &Value) -> Value {
        json!({"managedFields": [{
            "manager": manager, "operation": "Apply", "apiVersion": "zitadel-secrets.dev/v1alpha1",
            "subresource": subresource, "fieldsType": "FieldsV1", "fieldsV1": fields,
        }]})
    }

    #[test]
    fn a_tool_is_known_by_its_field_manager_and_by_its_marks() {
        for metadata in [
            managed("argocd-controller", "", &json!({"f:spec": {}})),
            managed("kustomize-controller", "", &json!({"f:spec": {}})),
            managed("helm", "", &json!({"f:spec": {}})),
            json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:zitadel-secrets.dev/ApiAppSecret:orders/api"}}),
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}),
            json!({"annotations": {"meta.helm.sh/release-name": "shop"}}),
        ] {
            let ownership = read(metadata.clone());
            assert!(ownership.tool.is_some(), "{metadata}");
            assert!(!ownership.is_trigger_in_git, "{metadata}");
        }
        for metadata in [
            json!({}),
            json!({"labels": {"team": "orders"}}),
            managed("kubectl-client-side-apply", "", &json!({"f:spec": {}})),
            managed("argocd-controller", "status", &json!({"f:status": {}})),
        ] {
            assert_eq!(read(metadata.clone()), Ownership::default(), "{metadata}");
        }
    }

    #[test]
    fn who_set_the_trigger_is_known() {
        let trigger = json!({"f:spec": {"f:rotation": {"f:trigger": {}}}});
        let of = |manager| read(managed(manager, "", &trigger));
        assert!(of("argocd-controller").is_trigger_in_git);
        let person = of("kubectl-edit");
        assert_eq!(person.trigger, ["kubectl-edit"]);
        assert_eq!((person.tool, person.is_trigger_in_git), (None, false));
        assert_eq!(of(FIELD_MANAGER), Ownership::default());
    }
}
