//! What an `ApiAppSecret` asks for, read into types that can't hold an invalid value. No I/O.

pub(crate) mod names;
pub(crate) mod quote;
pub mod render;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::api::{
    AdoptionPolicy, ApiAppSecret, ApiAppSecretSpec, DataEntry, DeletionPolicy, Recovery,
    ValueSource,
};
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
    /// The application, with the organization that the object names itself.
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
    /// What it contains.
    pub data: Data,
    /// Labels for it.
    pub labels: BTreeMap<String, String>,
    /// Annotations for it.
    pub annotations: BTreeMap<String, String>,
    /// Whether an existing Secret may be taken over.
    pub adopt: bool,
    /// What happens to it when the object is deleted.
    pub deletion: DeletionPolicy,
}

/// What the Secret contains: at least one key holds the client secret as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data(BTreeMap<String, Content>);

/// What a key of the Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A value as it is.
    From(ValueSource),
    /// What a template makes of the values.
    Template(render::Template),
}

/// The values of a rehearsal without an application: ids and URLs of the greatest length.
const LONGEST_ID: usize = 200;
const LONGEST_URL: usize = 512;
/// Client secrets of ZITADEL have 64 characters. A template must have room for longer ones.
const LONGEST_SECRET: usize = 512;

/// Checks a template, and that its text stays within the limits whatever the values are.
fn template(text: &str) -> Result<render::Template, render::TemplateError> {
    let template = render::Template::parse(text)?;
    let id = "9".repeat(LONGEST_ID);
    let url = format!("https://{:x>1$}", "", LONGEST_URL);
    let values = render::Values {
        client_id: &url,
        client_secret: "",
        issuer: &url,
        introspection_endpoint: &url,
        token_endpoint: &url,
        project_id: &id,
        app_id: &id,
    };
    match template.rehearse(values, LONGEST_SECRET) {
        // NB: it may print something for the ids that are really there. That is rehearsed before each rotation.
        Err(error) if error.kind != render::ErrorKind::Empty || !template.text().contains("if") => {
            Err(error)
        }
        Err(_) | Ok(_) => Ok(template),
    }
}

impl Data {
    fn read(entries: Option<&[DataEntry]>) -> Result<Self, TargetError> {
        let Some(entries) = entries else {
            return Ok(Self::default());
        };
        let mut data = BTreeMap::new();
        for entry in entries {
            let key = &entry.key;
            let content = match (entry.from, &entry.template) {
                (Some(source), None) => Content::From(source),
                (None, Some(text)) => {
                    let refused = |error| TargetError::Template(key.clone(), error);
                    Content::Template(template(text).map_err(refused)?)
                }
                (None, None) | (Some(_), Some(_)) => {
                    return Err(TargetError::Content(key.clone()));
                }
            };
            if data.insert(key.clone(), content).is_some() {
                return Err(TargetError::SameKey(key.clone()));
            }
        }
        let data = Self(data);
        let holds_secret = data.keys_of(ValueSource::ClientSecret).next().is_some();
        holds_secret
            .then_some(data)
            .ok_or(TargetError::NoClientSecret)
    }

    /// The keys and what they hold, sorted.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.0.iter().map(|(key, content)| (key.as_str(), content))
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The key that the client secret is read from and verified at: the first one that holds it as it is.
    pub fn secret_key(&self) -> &str {
        // NB: `read` lets nothing through without one.
        self.keys_of(ValueSource::ClientSecret)
            .next()
            .unwrap_or_default()
    }

    /// The key that the client id is read from, if there is one.
    pub fn client_id_key(&self) -> Option<&str> {
        self.keys_of(ValueSource::ClientId).next()
    }

    fn keys_of(&self, source: ValueSource) -> impl Iterator<Item = &str> {
        let of =
            move |(key, content): (_, &Content)| (*content == Content::From(source)).then_some(key);
        self.entries().filter_map(of)
    }

    /// The contents as the template hash in the commit record has them. Persisted: another text renders every Secret again.
    pub fn encoded(&self) -> Vec<String> {
        let encoded = |(key, content): (&str, &Content)| match content {
            Content::From(source) => [key.to_owned(), source.as_str().to_owned()],
            Content::Template(template) => {
                [key.to_owned(), format!("template {}", template.text())]
            }
        };
        self.entries().flat_map(encoded).collect()
    }
}

impl Default for Data {
    /// The client id and the client secret.
    fn default() -> Self {
        let entry = |key: &str, source| (key.to_owned(), Content::From(source));
        Self(BTreeMap::from([
            entry("CLIENT_ID", ValueSource::ClientId),
            entry("CLIENT_SECRET", ValueSource::ClientSecret),
        ]))
    }
}

/// Why a spec can't be used. The API server refuses most of these already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// An id is none.
    #[error("{0} {1}")]
    Id(&'static str, IdError),
    /// Two entries have the same key.
    #[error("spec.secret.data has two entries with the key {0}")]
    SameKey(String),
    /// A key has no content that this version of the operator knows.
    #[error("spec.secret.data, key {0}: give exactly one of from and template")]
    Content(String),
    /// A template cannot be used.
    #[error("spec.secret.data, template of key {0}: {1}")]
    Template(String, render::TemplateError),
    /// No key holds the client secret as it is.
    #[error(
        "spec.secret.data has no entry with from: ClientSecret; add one, such as {{key: CLIENT_SECRET, from: ClientSecret}}"
    )]
    NoClientSecret,
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
    #[error("spec.standby.appId must be another application than spec.appId")]
    StandbyIsApp,
    /// An overlap without a second application.
    #[error(
        "spec.rotation.overlap needs spec.standby: one application has one client secret at a time"
    )]
    OverlapWithoutStandby,
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
            data: Data::read(secret.data.as_deref())?,
            labels,
            annotations,
            adopt: spec.adoption_policy() == AdoptionPolicy::Required,
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
            .standby_app_id()
            .map(AppId::try_from)
            .transpose()
            .map_err(id("spec.standby.appId"))?;
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

/// The instance and project that an application is in, as 32 hexadecimal digits.
pub fn scope(issuer: &str, app: &AppRef) -> String {
    hash(&[issuer, app.project.as_str()])
}

/// The name of an application's claim.
///
/// NB: the organization is left out. It is a matter of how ZITADEL is asked, not of which application is meant: with it, an
/// object that names the organization and one that leaves it to the default would hold two locks on one application.
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

/// The identity of an object.
pub fn owner(object: &ApiAppSecret) -> Owner {
    Owner {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    }
}

/// The applications of an object: those that it names, and the one whose pair it keeps.
pub(crate) fn named_apps(object: &ApiAppSecret) -> impl Iterator<Item = AppRef> {
    let spec = &object.spec;
    let status = object.status.as_ref();
    let active = status.and_then(|status| status.active_app_id.as_deref());
    let named = [Some(spec.app_id.as_str()), spec.standby_app_id()];
    let others = active.filter(|active| !named.contains(&Some(*active)));
    let apps: Vec<_> = named
        .into_iter()
        .chain([others])
        .flatten()
        .filter_map(|app| app_ref(object, app))
        .collect();
    apps.into_iter()
}

fn app_ref(object: &ApiAppSecret, app: &str) -> Option<AppRef> {
    let organization = object
        .spec
        .organization_id
        .as_deref()
        .map(OrganizationId::try_from)
        .transpose()
        .ok()?;
    Some(AppRef {
        organization,
        project: ProjectId::try_from(object.spec.project_id.as_str()).ok()?,
        app: AppId::try_from(app).ok()?,
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
    fn one_application_has_one_claim_however_its_organization_is_given() {
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
        assert_eq!(read("u", 2).object_version(), read("u", 2).object_version());
        assert_ne!(read("u", 2).object_version(), read("u", 3).object_version());
        assert_ne!(read("u", 2).object_version(), read("v", 2).object_version());
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
