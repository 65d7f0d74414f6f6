//! `OidcAppSecret`: one ZITADEL OIDC application whose client secret is kept in one Kubernetes Secret. No I/O.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::api_app_secret::{ApiAppSecretSpec, ConnectionRef};
use crate::api::consumers::Consumers;
use crate::api::rotation::{Recovery, Rotation, Window};
use crate::api::rule;
use crate::api::secret_template::SecretTemplate;
use crate::api::status::AppSecretStatus;

/// An OAuth2 client secret of a ZITADEL OIDC application, kept in a Kubernetes Secret and rotated.
// NB: no standby: codes, refresh tokens and redirect URIs belong to one client.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "zitadel-secrets.dev",
    version = "v1alpha1",
    kind = "OidcAppSecret",
    plural = "oidcappsecrets",
    singular = "oidcappsecret",
    shortname = "oas",
    category = "zitadel",
    namespaced,
    status = "AppSecretStatus",
    derive = "PartialEq",
    doc = "The client secret of one ZITADEL OIDC application, kept in a Kubernetes Secret: created, rotated, verified and repaired.",
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
pub struct OidcAppSecretSpec {
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

    /// The OIDC application whose client secret is kept. It authenticates by client secret (Basic or Post). Cannot be changed.
    #[schemars(length(max = 200), extend("x-kubernetes-validations" = rule::immutable_id("appId")))]
    pub app_id: String,

    /// The Kubernetes Secret to write. Default: a Secret with the object's name and the keys `CLIENT_ID` and `CLIENT_SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretTemplate>,

    /// When to rotate. Default: only on trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<OidcRotation>,

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

/// When to rotate. The former client secret stops working at once: an OIDC application has one at a time.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OidcRotation {
    /// The age at which the credential is rotated, such as 30d or 1d12h (units w d h m s, each once, from large to small). Absent: only on trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-validations" = rule::duration_above_zero("30d"))
    )]
    pub interval: Option<String>,

    /// When a due rotation may start. Default: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub windows: Option<Vec<Window>>,

    /// Percent of the interval over which objects with the same interval are spread, the same for an object every time. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub jitter_percent: Option<i32>,

    /// Any text. The credential is rotated once each time it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), extend("x-kubernetes-validations" = rule::trigger()))]
    pub trigger: Option<String>,
}

impl From<OidcAppSecretSpec> for ApiAppSecretSpec {
    fn from(spec: OidcAppSecretSpec) -> Self {
        let OidcAppSecretSpec {
            connection_ref,
            organization_id,
            project_id,
            app_id,
            secret,
            rotation,
            consumers,
            recovery,
            suspend,
        } = spec;
        Self {
            connection_ref,
            organization_id,
            project_id,
            app_id,
            standby: None,
            secret,
            rotation: rotation.map(Rotation::from),
            consumers,
            recovery,
            suspend,
        }
    }
}

impl From<OidcRotation> for Rotation {
    fn from(rotation: OidcRotation) -> Self {
        let OidcRotation {
            interval,
            windows,
            jitter_percent,
            trigger,
        } = rotation;
        Self {
            interval,
            windows,
            jitter_percent,
            overlap: None,
            trigger,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_both_kinds_have_is_read_alike_and_no_more_is() {
        let given = json!({
            "connectionRef": {"name": "c"}, "organizationId": "1", "projectId": "2", "appId": "3",
            "secret": {"name": "s", "data": [{"key": "client_secret", "from": "ClientSecret"}]},
            "rotation": {"interval": "30d", "windows": [{"name": "w", "schedule": "0 3 * * *", "duration": "1h"}], "jitterPercent": 5, "trigger": "t"},
            "consumers": {"refresh": "Prompt"}, "recovery": {"missing": "Report"}, "suspend": true,
        });
        let mut more = given.clone();
        more["standby"] = json!({"type": "Existing", "appId": "4"});
        more["rotation"]["overlap"] = json!({"minimum": "1h"});
        let read: OidcAppSecretSpec = serde_json::from_value(more).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), given);
        let common = ApiAppSecretSpec::from(read);
        assert_eq!(serde_json::to_value(common).unwrap(), given);
    }
}
