//! Who may use a connection. Without a grant no one may.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};

use crate::api::{Grant, Kind, NamespaceSelector};
use crate::zitadel::AppRef;

/// A grant, with its selector as Kubernetes reads it. An empty selector, or one that this version does not understand, is none.
#[derive(Debug, Clone)]
pub(crate) struct ParsedGrant {
    grant: Grant,
    selector: Option<Selector>,
}

impl From<&Grant> for ParsedGrant {
    fn from(grant: &Grant) -> Self {
        let selector = grant.namespace_selector.as_ref();
        let selector = selector.and_then(|selector| {
            // NB: both have the same fields.
            let selector = serde_json::to_value(selector).ok()?;
            let selector: LabelSelector = serde_json::from_value(selector).ok()?;
            Selector::try_from(selector).ok()
        });
        Self {
            grant: grant.clone(),
            selector: selector.filter(|selector| !selector.selects_all()),
        }
    }
}

impl ParsedGrant {
    /// Whether it covers an application for objects of a kind in a namespace. `labels` are the namespace's.
    pub(crate) fn covers(
        &self,
        kind: Kind,
        namespace: &str,
        labels: &impl Fn(&str) -> Option<String>,
        app: &AppRef,
    ) -> bool {
        let Self { grant, selector } = self;
        let names = grant.namespaces.as_ref();
        let by_name = names.is_some_and(|names| names.iter().any(|name| name.0 == namespace));
        let label = |key: &str| Some((key.to_owned(), labels(key)?));
        let keys = grant.namespace_selector.iter();
        let keys = keys.flat_map(NamespaceSelector::keys);
        let by_label = selector
            .as_ref()
            .is_some_and(|selector| selector.matches(&keys.filter_map(label).collect()));
        let project = grant
            .project_ids
            .iter()
            .any(|id| id.0 == "*" || id.0 == app.project.as_str());
        let one = grant
            .app_ids
            .as_ref()
            .is_none_or(|ids| ids.iter().any(|id| id.0 == "*" || id.0 == app.app.as_str()));
        grant.covers_kind(kind) && (by_name || by_label) && project && one
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::{AppId, ProjectId};

    fn grant(value: serde_json::Value) -> ParsedGrant {
        ParsedGrant::from(&serde_json::from_value::<Grant>(value).unwrap())
    }

    fn app(project: &str, app: &str) -> AppRef {
        AppRef {
            organization: None,
            project: ProjectId::try_from(project).unwrap(),
            app: AppId::try_from(app).unwrap(),
        }
    }

    #[test]
    fn a_grant_covers_the_kinds_that_it_names_and_one_that_names_none_the_first() {
        let covered = |kinds: serde_json::Value| {
            let mut given = json!({"name": "g", "namespaces": ["a"], "projectIds": ["1"]});
            if !kinds.is_null() {
                given["kinds"] = kinds;
            }
            let grant = grant(given);
            Kind::ALL.map(|kind| grant.covers(kind, "a", &|_: &str| None, &app("1", "7")))
        };
        assert_eq!(covered(json!(null)), [true, false]);
        assert_eq!(covered(json!(["ApiAppSecret"])), [true, false]);
        assert_eq!(covered(json!(["OidcAppSecret"])), [false, true]);
        assert_eq!(
            covered(json!(["OidcAppSecret", "ApiAppSecret"])),
            [true, true]
        );
        assert_eq!(covered(json!(["KindOfALaterVersion"])), [false, false]);
    }

    #[test]
    fn without_a_grant_that_covers_all_three_nothing_is_granted() {
        let labels = |name: &str| (name == "team").then(|| "orders".to_owned());
        let granted = |grant: &ParsedGrant, project: &str, id: &str| {
            let here = grant.covers(Kind::ApiApp, "a", &labels, &app(project, id));
            (
                here,
                grant.covers(Kind::ApiApp, "b", &labels, &app(project, id)),
            )
        };
        let named = grant(json!({"name": "g", "namespaces": ["a"], "projectIds": ["1"]}));
        assert_eq!(granted(&named, "1", "7"), (true, false));
        assert_eq!(granted(&named, "2", "7"), (false, false));
        let narrowed =
            grant(json!({"name": "g", "namespaces": ["a"], "projectIds": ["*"], "appIds": ["7"]}));
        assert_eq!(granted(&narrowed, "2", "7"), (true, false));
        assert_eq!(granted(&narrowed, "2", "8"), (false, false));
        let is = |operator: &str, key: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, selected) in [
            (json!({"matchLabels": {"team": "orders"}}), true),
            (json!({"matchLabels": {"team": "x"}}), false),
            (
                json!({"matchLabels": {"team": "orders", "more": "x"}}),
                false,
            ),
            (is("In", "team", &["billing", "orders"]), true),
            (is("In", "team", &["billing"]), false),
            (is("NotIn", "team", &["billing"]), true),
            (is("NotIn", "team", &["orders"]), false),
            (is("Exists", "team", &[]), true),
            (is("Exists", "more", &[]), false),
            (is("DoesNotExist", "more", &[]), true),
            (is("DoesNotExist", "team", &[]), false),
            // What selects everything, or cannot be read, selects nothing.
            (json!({}), false),
            (json!({"matchLabels": {}, "matchExpressions": []}), false),
            (is("In", "team", &[]), false),
        ] {
            let grant =
                grant(json!({"name": "g", "namespaceSelector": selector, "projectIds": ["*"]}));
            let covered = grant.covers(Kind::ApiApp, "any", &labels, &app("2", "8"));
            assert_eq!(covered, selected, "{grant:?}");
        }
    }
}
