//! What an `ApiAppSecret` asks for, read into types that can't hold an invalid value. No I/O.

//!
//! * [`secret_template`] is the Secret that is wanted, [`render`] its templates, [`names`] what Kubernetes accepts as a name
//! * [`apps`] are the applications, and the names of what is kept for them
//! * [`consumers`] is what is to be done for those who use the Secret
//! * [`error`] says why a spec cannot be used, [`quote`] repeats what stands in it without what could be a password

pub mod apps;
pub mod consumers;
pub(crate) mod error;
pub(crate) mod names;
pub(crate) mod quote;
pub mod render;
pub(crate) mod secret_template;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::api::{AppSecret, Recovery};
use crate::ids::{AppId, OrganizationId, ProjectId};
use crate::rotation::{Owner, Schedule};
use crate::target::consumers::ConsumerPolicy;
use crate::target::error::TargetError;
use crate::target::secret_template::Template;
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
    /// The application, with the organization that the object names itself.
    pub app: AppRef,
    /// The standby application of the same project, where it is known: that of a provisioned one is not in the object.
    pub standby: Option<AppId>,
    /// Whether the operator creates the standby application.
    pub provisioned: bool,
    /// The Secret.
    pub secret: Template,
    /// When to rotate.
    pub schedule: Schedule,
    /// `spec.rotation.trigger`.
    pub trigger: Option<String>,
    /// `spec.recovery`.
    pub recovery: Recovery,
    /// `spec.consumers`.
    pub consumers: ConsumerPolicy,
    /// `spec.suspend`.
    pub suspended: bool,
}

impl Target {
    /// Reads the object where the shortest interval is not known: it is a flag of the operator.
    pub fn read_unlimited(object: &AppSecret) -> Result<Self, TargetError> {
        Self::read(object, Duration::from_secs(1))
    }

    /// Reads the object. `minimum` is the shortest interval that the operator allows.
    pub fn read(object: &AppSecret, minimum: Duration) -> Result<Self, TargetError> {
        let spec = &object.spec;
        let name = object.name_any();
        let uid = object.uid().unwrap_or_default();
        let id = |field| move |error| TargetError::Id(field, error);
        let app = AppId::try_from(spec.app_id.as_str()).map_err(id("spec.appId"))?;
        let standby = spec
            .standby_app_id()
            .map(AppId::try_from)
            .transpose()
            .map_err(id("spec.standby.appId"))?;
        if standby.as_ref() == Some(&app) {
            return Err(TargetError::StandbyIsApp);
        }
        let schedule = Schedule::parse(spec.rotation.as_ref(), &uid, minimum)?;
        let provisioned = spec.is_standby_provisioned();
        match (provisioned, spec.standby.is_some(), &standby) {
            (true, _, Some(_)) => return Err(TargetError::ProvisionedAppId),
            (false, true, None) => return Err(TargetError::ExistingWithoutAppId),
            _ => {}
        }
        if schedule.overlap().is_some() && spec.standby.is_none() {
            return Err(TargetError::OverlapWithoutStandby);
        }
        Ok(Self {
            connection: spec.connection_name().to_owned(),
            standby,
            provisioned,
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
            consumers: ConsumerPolicy::read(spec.consumers.as_ref())?,
            suspended: spec.is_suspended(),
            generation: object.metadata.generation,
            deleting: object.metadata.deletion_timestamp.is_some(),
            owner: owner(object),
        })
    }
}

/// One state of an object's spec: its uid and its generation. Generations alone do not suffice, because an object that is made again
/// counts them from 1 again.
pub type ObjectVersion = (String, Option<i64>);

/// The edition of an object with this metadata.
pub fn object_version(metadata: &ObjectMeta) -> ObjectVersion {
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
    pub fn object_version(&self) -> ObjectVersion {
        (self.owner.uid.clone(), self.generation)
    }

    /// Whether the object names an application today.
    pub fn names(&self, app: &AppId) -> bool {
        self.app.app == *app || self.standby.as_ref() == Some(app)
    }
}

/// The identity of an object.
pub fn owner(object: &AppSecret) -> Owner {
    Owner {
        kind: object.kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DeletionPolicy;

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
        assert_eq!(read("u", 2).object_version(), read("u", 2).object_version());
        assert_ne!(read("u", 2).object_version(), read("u", 3).object_version());
        assert_ne!(read("u", 2).object_version(), read("v", 2).object_version());
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
        let names: Vec<_> = target.secret.data.keys().collect();
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
        let entry = |key: &str, from: &str| serde_json::json!({"key": key, "from": from});
        let data =
            |entries: &[serde_json::Value]| base(serde_json::json!({"secret": {"data": entries}}));
        let secret = entry("A", "ClientSecret");
        assert_eq!(
            data(&[secret.clone(), entry("A", "ClientId")]),
            TargetError::SameKey("A".to_owned())
        );
        assert_eq!(data(&[entry("A", "ClientId")]), TargetError::NoClientSecret);
        assert_eq!(
            data(&[secret, serde_json::json!({"key": "B"})]),
            TargetError::Content("B".to_owned())
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
            base(serde_json::json!({"standby": {"type": "Existing", "appId": "2"}})),
            TargetError::StandbyIsApp
        );
        assert_eq!(
            base(serde_json::json!({"rotation": {"overlap": {"minimum": "1h"}}})),
            TargetError::OverlapWithoutStandby
        );
    }
}
