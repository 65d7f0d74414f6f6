//! What the operator needs, as single accesses that the API server can be asked about. No I/O.

use std::fmt::Write as _;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};

use crate::rights::{Right, RightScope};
use crate::store::scope::Scope;

/// One verb in one place.
pub(crate) struct Access {
    /// The right.
    pub(crate) right: &'static Right,
    /// The verb.
    pub(crate) verb: &'static str,
    /// The namespace; none: all of them, or a resource without.
    pub(crate) namespace: Option<String>,
    /// The object, where it is about one.
    pub(crate) name: Option<String>,
}

impl Access {
    /// What an access review asks about it.
    pub(crate) fn attributes(&self) -> ResourceAttributes {
        let (resource, subresource) = match self.right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (self.right.resource, None),
        };
        ResourceAttributes {
            group: Some(self.right.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(self.verb.to_owned()),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..ResourceAttributes::default()
        }
    }

    /// The chart values that grant it.
    pub(crate) fn granted_by(&self) -> String {
        let switch = self.right.switch;
        let switch = switch.map_or_else(String::new, |switch| format!(", {switch}: true"));
        format!("granted by the chart with rbac.create: true{switch}")
    }

    /// The same, with where the chart is to be installed, and the flag that says so here.
    pub(crate) fn granted_where(&self, scope: &Scope) -> String {
        let rights = self.granted_by();
        let namespace = self.namespace.as_ref().or(self.name.as_ref());
        match (self.right.scope, scope, namespace) {
            (RightScope::Cluster, ..) => rights,
            (RightScope::Own, _, Some(own)) => {
                format!("{rights}, installed into namespace {own}: see --namespace")
            }
            (_, Scope::Namespaces(_), Some(namespace)) => {
                format!("{rights} and {namespace} in watchNamespaces")
            }
            _ => format!(
                "{rights} and watchNamespaces: []; where only some namespaces are to be watched, see --watch-namespaces"
            ),
        }
    }

    /// Such as `list pods in namespace orders`.
    pub(crate) fn words(&self) -> String {
        let mut words = format!("{} {}", self.verb, self.right.resource);
        if let Some(name) = &self.name {
            // NB: writing to a String cannot fail.
            let _ = write!(words, " {name}");
        }
        if let Some(namespace) = &self.namespace {
            let _ = write!(words, " in namespace {namespace}");
        }
        words
    }
}

/// The question whether the caller has a right.
pub(crate) fn self_review(attributes: ResourceAttributes) -> SelfSubjectAccessReview {
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

/// What an operator in the namespace `own` needs, verb by verb.
pub(crate) fn accesses(rights: Vec<&'static Right>, own: &str, scope: &Scope) -> Vec<Access> {
    let mut accesses = Vec::new();
    for right in rights {
        let places: Vec<(Option<String>, Option<String>)> = match (right.scope, scope) {
            (RightScope::Own, _) => vec![(Some(own.to_owned()), None)],
            (RightScope::Cluster, _) | (_, Scope::Cluster) => vec![(None, None)],
            (RightScope::Watched, Scope::Namespaces(names)) => names
                .iter()
                .map(|name| (Some(name.clone()), None))
                .collect(),
            (RightScope::WatchedNamespaces, Scope::Namespaces(names)) => names
                .iter()
                .map(|name| (None, Some(name.clone())))
                .collect(),
        };
        for verb in right.verbs {
            for (namespace, name) in &places {
                accesses.push(Access {
                    right,
                    verb,
                    namespace: namespace.clone(),
                    name: name.clone(),
                });
            }
        }
    }
    accesses
}
