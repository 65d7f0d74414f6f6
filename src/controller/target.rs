//! What an `ApiAppSecret` asks for, read into types that can't hold an invalid value. No I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::{names, quote};
use crate::api::{ApiAppSecret, ApiAppSecretSpec, DeletionPolicy, Recovery, SecretKeys};
use crate::ids::{AppId, IdError, OrganizationId, ProjectId};
use crate::rotation::{Owner, Schedule, ScheduleError};
use crate::zitadel::AppRef;

/// What an `ApiAppSecret` asks for.
#[derive(Debug, Clone)]
pub struct Target {
    /// The object.
    pub owner: Owner,
    /// Its generation.
    pub generation: Option<i64>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The connection to use.
    pub connection: String,
    /// The application, with the organisation that the object names itself.
    pub app: AppRef,
    /// The standby application of the same project.
    pub standby: Option<AppId>,
    /// The Secret.
    pub secret: Template,
    /// When to rotate.
    pub schedule: Schedule,
    /// `spec.rotation.trigger`.
    pub trigger: Option<String>,
    /// `spec.recovery`.
    pub recovery: Recovery,
    /// `spec.suspend`.
    pub suspended: bool,
}

/// The Secret that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_: String,
    /// Its keys.
    pub keys: Keys,
    /// Labels for it.
    pub labels: BTreeMap<String, String>,
    /// Annotations for it.
    pub annotations: BTreeMap<String, String>,
    /// Whether an existing Secret may be taken over.
    pub adopt: bool,
    /// What happens to it when the object is deleted.
    pub deletion: DeletionPolicy,
}

/// The names of the keys; those that are none are not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// For the client id.
    pub client_id: String,
    /// For the client secret.
    pub client_secret: String,
    /// For the issuer.
    pub issuer: Option<String>,
    /// For the introspection endpoint.
    pub introspection_endpoint: Option<String>,
    /// For the token endpoint.
    pub token_endpoint: Option<String>,
    /// For the project id.
    pub project_id: Option<String>,
    /// For the application id.
    pub app_id: Option<String>,
}

impl Keys {
    /// The names as the template hash in the commit record has them. Persisted: 0.1.0 wrote this text, so a change renders every Secret
    /// anew. A key that is added later appears only where it is set.
    pub fn encoded(&self) -> String {
        let quoted = |name: &str| format!("\"{name}\"");
        let optional = [
            ("issuer", &self.issuer),
            ("introspection_endpoint", &self.introspection_endpoint),
            ("token_endpoint", &self.token_endpoint),
            ("project_id", &self.project_id),
            ("app_id", &self.app_id),
        ]
        .map(|(field, name)| {
            let name = name.as_deref().map_or_else(
                || "None".to_owned(),
                |name| format!("Some({})", quoted(name)),
            );
            format!("{field}: {name}")
        })
        .join(", ");
        format!(
            "Keys {{ client_id: {}, client_secret: {}, {optional} }}",
            quoted(&self.client_id),
            quoted(&self.client_secret),
        )
    }
}

/// Why a spec can't be used. The API server refuses most of these already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// An id is none.
    #[error("{0} {1}")]
    Id(&'static str, IdError),
    /// Two values have the same key.
    #[error("spec.secret.keys: two values cannot have the same key")]
    SameKey,
    /// A label or an annotation that the operator or Kubernetes acts on.
    #[error(
        "{0} has the name {name}: names under zitadel-secrets.dev/, kubernetes.io/ and k8s.io/ are reserved, and so is the label app.kubernetes.io/managed-by", name = quote::value(.1)
    )]
    Reserved(&'static str, String),
    /// A label or an annotation that Kubernetes does not accept.
    #[error("{0} has the name {name}: that name or its value is none that Kubernetes accepts", name = quote::value(.1))]
    Malformed(&'static str, String),
    /// The Secret's name is none.
    #[error(
        "spec.secret.name must be lower case letters, digits and -, in parts that are separated by single dots"
    )]
    SecretName,
    /// The Secret's type has a meaning to Kubernetes.
    #[error("spec.secret.type must be Opaque, kubernetes.io/basic-auth or a type of your own")]
    SecretType,
    /// The schedule is refused.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The standby application is the application itself.
    #[error("spec.standbyAppId must be another application than spec.appId")]
    StandbyIsApp,
    /// An overlap without a second application.
    #[error(
        "spec.rotation.overlap needs spec.standbyAppId: one application has one client secret at a time"
    )]
    OverlapWithoutStandby,
}

impl Keys {
    fn new(keys: Option<&SecretKeys>) -> Result<Self, TargetError> {
        let keys = keys.cloned().unwrap_or_default();
        let keys = Self {
            client_id: keys.client_id.unwrap_or_else(|| "CLIENT_ID".to_owned()),
            client_secret: keys
                .client_secret
                .unwrap_or_else(|| "CLIENT_SECRET".to_owned()),
            issuer: keys.issuer,
            introspection_endpoint: keys.introspection_endpoint,
            token_endpoint: keys.token_endpoint,
            project_id: keys.project_id,
            app_id: keys.app_id,
        };
        let mut names: Vec<&str> = keys.names().collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() == all {
            Ok(keys)
        } else {
            Err(TargetError::SameKey)
        }
    }

    /// All names in use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let optional = [
            &self.issuer,
            &self.introspection_endpoint,
            &self.token_endpoint,
            &self.project_id,
            &self.app_id,
        ];
        [&self.client_id, &self.client_secret]
            .into_iter()
            .chain(optional.into_iter().flatten())
            .map(String::as_str)
    }
}

impl Template {
    fn read(spec: &ApiAppSecretSpec, object: &str) -> Result<Self, TargetError> {
        let secret = spec.secret.clone().unwrap_or_default();
        let name = spec.secret_name(object).to_owned();
        if !names::is_subdomain(&name) {
            return Err(TargetError::SecretName);
        }
        let type_ = secret.secret_type.unwrap_or_else(|| "Opaque".to_owned());
        if !names::is_allowed_type(&type_) {
            return Err(TargetError::SecretType);
        }
        let labels = secret.labels.into_iter().flatten();
        let labels: BTreeMap<_, _> = labels.map(|(name, value)| (name, value.0)).collect();
        let annotations = secret.annotations.into_iter().flatten();
        let annotations: BTreeMap<_, _> =
            annotations.map(|(name, value)| (name, value.0)).collect();
        let refuse =
            |name: Option<&String>, error: fn(&'static str, String) -> TargetError, field| {
                name.map_or(Ok(()), |name| Err(error(field, name.clone())))
            };
        let reserved = labels.keys().find(|name| names::is_reserved_label(name));
        refuse(reserved, TargetError::Reserved, "spec.secret.labels")?;
        let mut all = annotations.keys();
        let reserved = all.find(|name| names::is_reserved_annotation(name));
        refuse(reserved, TargetError::Reserved, "spec.secret.annotations")?;
        let bad = |(name, value): &(&String, &String)| {
            !names::is_qualified(name) || !names::is_label_value(value)
        };
        let malformed = labels.iter().find(bad).map(|(name, _)| name);
        refuse(malformed, TargetError::Malformed, "spec.secret.labels")?;
        let malformed = annotations.keys().find(|name| !names::is_qualified(name));
        refuse(malformed, TargetError::Malformed, "spec.secret.annotations")?;
        Ok(Self {
            name,
            type_,
            keys: Keys::new(secret.keys.as_ref())?,
            labels,
            annotations,
            adopt: spec.adopt(),
            deletion: spec.deletion_policy(),
        })
    }
}

impl Target {
    /// Reads the object. `minimum` is the shortest interval that the operator allows.
    pub fn read(object: &ApiAppSecret, minimum: Duration) -> Result<Self, TargetError> {
        let spec = &object.spec;
        let name = object.name_any();
        let uid = object.uid().unwrap_or_default();
        let id = |field| move |error| TargetError::Id(field, error);
        let app = AppId::try_from(spec.app_id.as_str()).map_err(id("spec.appId"))?;
        let standby = spec
            .standby_app_id
            .as_deref()
            .map(AppId::try_from)
            .transpose()
            .map_err(id("spec.standbyAppId"))?;
        if standby.as_ref() == Some(&app) {
            return Err(TargetError::StandbyIsApp);
        }
        let schedule = Schedule::parse(spec.rotation.as_ref(), &uid, minimum)?;
        if schedule.overlap().is_some() && standby.is_none() {
            return Err(TargetError::OverlapWithoutStandby);
        }
        Ok(Self {
            connection: spec.connection_name().to_owned(),
            standby,
            app: AppRef {
                organization: spec
                    .organization_id
                    .as_deref()
                    .map(OrganizationId::try_from)
                    .transpose()
                    .map_err(id("spec.organizationId"))?,
                project: ProjectId::try_from(spec.project_id.as_str())
                    .map_err(id("spec.projectId"))?,
                app,
            },
            secret: Template::read(spec, &name)?,
            schedule,
            trigger: spec.trigger().map(ToOwned::to_owned),
            recovery: spec.recovery.unwrap_or_default(),
            suspended: spec.is_suspended(),
            generation: object.metadata.generation,
            deleting: object.metadata.deletion_timestamp.is_some(),
            owner: Owner {
                namespace: object.namespace().unwrap_or_default(),
                name,
                uid,
            },
        })
    }
}

/// One state of an object's spec: its uid and its generation. Generations alone do not tell, because an object that is made again
/// counts them from 1 again.
pub type Edition = (String, Option<i64>);

/// The edition of an object with this metadata.
pub fn edition(metadata: &ObjectMeta) -> Edition {
    (
        metadata.uid.clone().unwrap_or_default(),
        metadata.generation,
    )
}

impl Target {
    /// Another application of the same project.
    pub fn app_ref(&self, app: &AppId) -> AppRef {
        AppRef {
            app: app.clone(),
            ..self.app.clone()
        }
    }

    /// Which edition of the object this was read from.
    pub fn edition(&self) -> Edition {
        (self.owner.uid.clone(), self.generation)
    }

    /// Whether the object names an application today.
    pub fn names(&self, app: &AppId) -> bool {
        self.app.app == *app || self.standby.as_ref() == Some(app)
    }
}

/// The instance and project that an application is in, as 32 hexadecimal digits.
pub fn scope(issuer: &str, app: &AppRef) -> String {
    hash(&[issuer, app.project.as_str()])
}

/// The name of an application's claim.
///
/// NB: the organisation is left out. It is a matter of how ZITADEL is asked, not of which application is meant: with it, an
/// object that names the organisation and one that leaves it to the default would hold two locks on one application.
pub fn claim_name(issuer: &str, app: &AppRef) -> String {
    format!(
        "claim-{}",
        hash(&[issuer, app.project.as_str(), app.app.as_str()])
    )
}

/// 128 bits of SHA-256 over the parts, as hexadecimal digits.
pub fn hash(parts: &[&str]) -> String {
    use std::fmt::Write as _;
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        // NB: 64 bits on every machine: what is hashed is compared across them.
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_le_bytes());
        context.update(part.as_bytes());
    }
    context
        .finish()
        .as_ref()
        .iter()
        .take(16)
        .fold(String::new(), |mut text, byte| {
            // NB: writing into a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(organization: Option<&str>, project: &str, app: &str) -> AppRef {
        AppRef {
            organization: organization.map(|id| OrganizationId::try_from(id).unwrap()),
            project: ProjectId::try_from(project).unwrap(),
            app: AppId::try_from(app).unwrap(),
        }
    }

    #[test]
    fn the_names_of_keys_are_encoded_as_the_first_version_did() {
        let mut keys = Keys {
            client_id: "CLIENT_ID".to_owned(),
            client_secret: "client.secret-1_x".to_owned(),
            issuer: Some("ISSUER".to_owned()),
            introspection_endpoint: None,
            token_endpoint: None,
            project_id: Some("P".to_owned()),
            app_id: None,
        };
        // Written by 0.1.0.
        assert_eq!(
            keys.encoded(),
            "Keys { client_id: \"CLIENT_ID\", client_secret: \"client.secret-1_x\", issuer: Some(\"ISSUER\"), introspection_endpoint: None, token_endpoint: None, project_id: Some(\"P\"), app_id: None }"
        );
        keys.app_id = Some("A".to_owned());
        assert!(keys.encoded().ends_with(", app_id: Some(\"A\") }"));
    }

    #[test]
    fn one_application_has_one_claim_however_its_organisation_is_given() {
        let url = "https://iam.example.com";
        assert_eq!(
            claim_name(url, &app(None, "1", "2")),
            claim_name(url, &app(Some("9"), "1", "2"))
        );
        assert_ne!(
            claim_name(url, &app(None, "1", "2")),
            claim_name(url, &app(None, "12", "3"))
        );
    }

    #[test]
    fn an_object_that_was_made_again_is_another_one_at_the_same_generation() {
        let read = |uid: &str, generation: i64| {
            let object = serde_json::json!({
                "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
                "metadata": {"name": "api", "namespace": "orders", "uid": uid, "generation": generation},
                "spec": {"projectId": "1", "appId": "2"},
            });
            let object = serde_json::from_value(object).unwrap();
            Target::read(&object, Duration::from_secs(3600)).unwrap()
        };
        assert_eq!(read("u", 2).edition(), read("u", 2).edition());
        assert_ne!(read("u", 2).edition(), read("u", 3).edition());
        assert_ne!(read("u", 2).edition(), read("v", 2).edition());
    }

    #[test]
    fn parts_cannot_be_shifted() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }

    fn read(spec: &serde_json::Value) -> Result<Target, TargetError> {
        let object = serde_json::json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"}, "spec": spec
        });
        Target::read(
            &serde_json::from_value(object).unwrap(),
            Duration::from_secs(3600),
        )
    }

    #[test]
    fn defaults_are_filled_in_by_code() {
        let target = read(&serde_json::json!({"projectId": "1", "appId": "2"})).unwrap();
        assert_eq!(
            (target.connection.as_str(), target.secret.name.as_str()),
            ("default", "api")
        );
        let names: Vec<_> = target.secret.keys.names().collect();
        assert_eq!(names, ["CLIENT_ID", "CLIENT_SECRET"]);
        assert_eq!(target.secret.deletion, DeletionPolicy::Delete);
    }

    #[test]
    fn what_the_api_server_might_let_through_is_refused_again() {
        let base = |extra: serde_json::Value| {
            let mut spec = serde_json::json!({"projectId": "1", "appId": "2"});
            spec.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            read(&spec).unwrap_err()
        };
        let id = base(serde_json::json!({"appId": "../x"}));
        assert_eq!(
            id.to_string(),
            "spec.appId has a character outside A-Z a-z 0-9 _ . - at position 2"
        );
        assert_eq!(
            base(serde_json::json!({"secret": {"keys": {"clientId": "CLIENT_SECRET"}}})),
            TargetError::SameKey
        );
        let label =
            serde_json::json!({"secret": {"labels": {"zitadel-secrets.dev/managed": "no"}}});
        let name = "zitadel-secrets.dev/managed".to_owned();
        let reserved = TargetError::Reserved("spec.secret.labels", name);
        assert_eq!(base(label), reserved);
        assert!(
            reserved.to_string().starts_with(
                "spec.secret.labels has the name \"zitadel-secrets.dev/managed\": names under"
            ),
            "{reserved}"
        );
        for (secret, error) in [
            (serde_json::json!({"name": "a..b"}), TargetError::SecretName),
            (
                serde_json::json!({"type": "kubernetes.io/service-account-token"}),
                TargetError::SecretType,
            ),
            (
                serde_json::json!({"annotations": {"kubernetes.io/service-account.name": "admin"}}),
                TargetError::Reserved(
                    "spec.secret.annotations",
                    "kubernetes.io/service-account.name".into(),
                ),
            ),
            (
                serde_json::json!({"labels": {"a b": "c"}}),
                TargetError::Malformed("spec.secret.labels", "a b".into()),
            ),
            (
                serde_json::json!({"labels": {"a": "b c"}}),
                TargetError::Malformed("spec.secret.labels", "a".into()),
            ),
            (
                serde_json::json!({"annotations": {"a/b/c": ""}}),
                TargetError::Malformed("spec.secret.annotations", "a/b/c".into()),
            ),
        ] {
            assert_eq!(base(serde_json::json!({"secret": secret})), error);
        }
        assert_eq!(
            base(serde_json::json!({"standbyAppId": "2"})),
            TargetError::StandbyIsApp
        );
        assert_eq!(
            base(serde_json::json!({"rotation": {"overlap": "1h"}})),
            TargetError::OverlapWithoutStandby
        );
    }
}
