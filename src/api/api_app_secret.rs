//! `ApiAppSecret`: one ZITADEL API application whose client secret is kept in one Kubernetes Secret. No I/O.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::consumers::Consumers;
use crate::api::rotation::Recovery;
use crate::api::rotation::Rotation;
use crate::api::rule;
use crate::api::secret_template::AdoptionPolicy;
use crate::api::secret_template::DeletionPolicy;
use crate::api::secret_template::SecretTemplate;
use crate::api::status::AppSecretStatus;
use crate::ids::AppId;

/// An OAuth2 client secret of a ZITADEL API application, kept in a Kubernetes Secret and rotated.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "zitadel-secrets.dev",
    version = "v1alpha1",
    kind = "ApiAppSecret",
    plural = "apiappsecrets",
    singular = "apiappsecret",
    shortname = "aas",
    category = "zitadel",
    namespaced,
    status = "AppSecretStatus",
    derive = "PartialEq",
    doc = "The client secret of one ZITADEL API application, kept in a Kubernetes Secret: created, rotated, verified and repaired.",
    selectable = ".spec.projectId",
    selectable = ".spec.appId",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(
        name = "Last Rotation",
        type_ = "date",
        json_path = ".status.lastRotation.time"
    ),
    printcolumn(
        name = "Next Rotation",
        type_ = "string",
        json_path = ".status.nextRotationTime",
        description = "A string: kubectl prints dates in the future as <invalid>"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Verified",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Verified")].status"#,
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Verified")].reason"#,
        priority = 1
    ),
    printcolumn(
        name = "Consumers",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="ConsumersCurrent")].reason"#,
        priority = 1
    ),
    printcolumn(
        name = "Connection",
        type_ = "string",
        json_path = ".spec.connectionRef.name",
        priority = 1
    ),
    printcolumn(
        name = "App",
        type_ = "string",
        json_path = ".spec.appId",
        priority = 1
    ),
    printcolumn(
        name = "Schedule",
        type_ = "string",
        json_path = ".status.schedule",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.organizationId) || (has(self.organizationId) && self.organizationId == oldSelf.organizationId)").message(Message::Expression("'organizationId cannot be changed from \"' + oldSelf.organizationId + '\": delete the object and create another'".to_owned())))]
#[x_kube(validation = Rule::new("!has(self.standby) || !has(self.standby.appId) || self.standby.appId != self.appId").message(Message::Expression("'standby.appId must be another application than appId: both are \"' + self.appId + '\"'".to_owned())))]
#[x_kube(validation = Rule::new("!has(self.rotation) || !has(self.rotation.overlap) || has(self.standby)").message("rotation.overlap needs standby: one application has one client secret at a time"))]
pub struct ApiAppSecretSpec {
    /// The `ZitadelConnection` to use. Default: the one named `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,

    /// The organization that owns the project. Cannot be changed once it is set. Default: the connection's organizationId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), extend("x-kubernetes-validations" = rule::id()))]
    pub organization_id: Option<String>,

    /// The project of the application. Cannot be changed.
    #[schemars(length(max = 200), extend("x-kubernetes-validations" = rule::immutable_id("projectId")))]
    pub project_id: String,

    /// The API application whose client secret is kept. Cannot be changed.
    #[schemars(length(max = 200), extend("x-kubernetes-validations" = rule::immutable_id("appId")))]
    pub app_id: String,

    /// A second API application of the same project: rotations alternate between the two, without an outage. With type: Provisioned the
    /// operator creates it. Changing it rotates nothing. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<Standby>,

    /// The Kubernetes Secret to write. Default: a Secret with the object's name and the keys `CLIENT_ID` and `CLIENT_SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretTemplate>,

    /// When to rotate. Default: only on trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,

    /// What is done for the Pods that use the Secret after a rotation. Needs the right to see Pods, which the chart grants where
    /// consumers.refresh or consumers.restart is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<Consumers>,

    /// What to do when the stored credential is missing or rejected. Default: rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,

    /// Stops everything: no rotation, no repair, no change of the Secret. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// A reference to a `ZitadelConnection`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRef {
    /// The name of the `ZitadelConnection`.
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rule::object_name("default")))]
    pub name: String,
}

/// The standby application.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'Provisioned' || has(self.appId)").message("standby of type Existing needs the appId of the application; with type: Provisioned the operator creates one"))]
#[x_kube(validation = Rule::new("self.type != 'Provisioned' || !has(self.appId)").message(Message::Expression("'standby of type Provisioned must not have an appId, because the operator creates the application: leave it out, or write type: Existing to use \"' + self.appId + '\"'".to_owned())))]
pub struct Standby {
    /// Where the application comes from: Existing, which appId names; or Provisioned: the operator creates it beside spec.appId, and keeps it
    /// when the object is deleted.
    #[serde(rename = "type")]
    pub type_: StandbyType,
    /// The id of an existing application. It must differ from spec.appId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), extend("x-kubernetes-validations" = rule::id()))]
    pub app_id: Option<String>,
}

/// Where a standby application comes from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandbyType {
    /// It exists already, and appId names it.
    Existing,
    /// The operator creates it in the project of spec.appId, as `<appId> standby (zitadel-secret-operator)`, and keeps it when the object is
    /// deleted.
    Provisioned,
}

impl ApiAppSecretSpec {
    /// Whether an application is one of the object's.
    pub fn names(&self, app: &AppId) -> bool {
        self.app_id == app.as_str() || self.standby_app_id() == Some(app.as_str())
    }

    /// The id of the standby application, if it names one.
    pub fn standby_app_id(&self) -> Option<&str> {
        self.standby.as_ref()?.app_id.as_deref()
    }

    /// Whether the operator creates the standby application.
    pub fn is_standby_provisioned(&self) -> bool {
        let standby = self.standby.as_ref();
        standby.is_some_and(|standby| standby.type_ == StandbyType::Provisioned)
    }

    /// The name of the connection, `default` when none is given.
    pub fn connection_name(&self) -> &str {
        self.connection_ref
            .as_ref()
            .map_or("default", |reference| &reference.name)
    }

    /// Whether everything is stopped.
    pub fn is_suspended(&self) -> bool {
        self.suspend.unwrap_or(false)
    }

    /// The trigger, if one is set.
    pub fn trigger(&self) -> Option<&str> {
        self.rotation
            .as_ref()
            .and_then(|rotation| rotation.trigger.as_deref())
    }

    /// The Secret's name, `object` when none is given.
    pub fn secret_name<'a>(&'a self, object: &'a str) -> &'a str {
        self.secret
            .as_ref()
            .and_then(|secret| secret.name.as_deref())
            .unwrap_or(object)
    }

    /// Whether an existing Secret is adopted.
    pub fn adoption_policy(&self) -> AdoptionPolicy {
        self.secret
            .as_ref()
            .and_then(|secret| secret.adoption_policy)
            .unwrap_or_default()
    }

    /// What happens to the Secret when the object is deleted.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        self.secret
            .as_ref()
            .and_then(|secret| secret.deletion_policy)
            .unwrap_or_default()
    }
}
