//! Who may use a connection: `spec.grants`. No I/O.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::rule;
use super::secret_template::LabelValue;

/// Namespaces, and the projects and applications that they may use.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.namespaces) != has(self.namespaceSelector)").message(Message::Expression("'grant \"' + self.name + '\" must have exactly one of namespaces and namespaceSelector, such as namespaces: [orders]'".to_owned())))]
pub struct Grant {
    /// Its name, unique in the list.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rule::label_name("orders")))]
    pub name: String,
    /// The namespaces, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Option<Vec<NamespaceName>>,
    /// The namespaces, by label. An empty selector is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
    /// The projects. `*` stands for all and must be written out.
    #[schemars(length(min = 1, max = 128), extend("x-kubernetes-list-type" = "set"))]
    pub project_ids: Vec<GrantedId>,
    /// The applications of these projects. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), extend("x-kubernetes-list-type" = "set"))]
    pub app_ids: Option<Vec<GrantedId>>,
    /// The kinds of objects that may use it: `ApiAppSecret`, `OidcAppSecret`. Default: `ApiAppSecret` alone.
    // NB: a grant that names none is not widened by a version of the operator that has more kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub kinds: Option<Vec<GrantedKind>>,
}

/// An id, or `*`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct GrantedId(
    #[schemars(length(max = 200), extend("x-kubernetes-validations" = rule::granted_id()))]
    pub  String,
);

/// A kind of objects.
// NB: open in code, so that a connection that names a kind of a later version can be read: of that kind it grants nothing.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct GrantedKind(
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rule::granted_kind()))]
    pub  String,
);

/// The name of a namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct NamespaceName(
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rule::label_name("orders")))]
    pub String,
);

/// Labels that a namespace must have: all that is listed must hold.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)").message("namespaceSelector must not be empty: give matchLabels or matchExpressions, such as matchLabels: {team: orders}"))]
pub struct NamespaceSelector {
    /// Labels with their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: Option<BTreeMap<String, LabelValue>>,
    /// Requirements on labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Option<Vec<LabelRequirement>>,
}

/// A requirement on one label.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)").message(Message::Expression("'the requirement on label \"' + self.key + '\": In and NotIn need values, Exists and DoesNotExist have none'".to_owned())))]
pub struct LabelRequirement {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label's value is compared.
    pub operator: LabelOperator,
    /// The values, for `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Option<Vec<LabelValue>>,
}

/// How a label's value is compared.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// It is one of the values.
    In,
    /// It is none of the values, or the label is missing.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

impl Grant {
    /// Whether it covers objects of a kind.
    pub fn covers_kind(&self, kind: Kind) -> bool {
        match &self.kinds {
            Some(kinds) => kinds.iter().any(|granted| granted.0 == kind.as_str()),
            None => kind == Kind::unnamed(),
        }
    }
}

impl NamespaceSelector {
    /// The labels that it speaks of.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let labels = self.match_labels.iter().flatten().map(|(key, _)| key);
        let expressions = self.match_expressions.iter().flatten();
        let keys = labels.chain(expressions.map(|requirement| &requirement.key));
        keys.map(String::as_str)
    }
}
