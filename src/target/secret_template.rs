//! The Secret that is wanted: its name, its type, what it contains.

use std::collections::BTreeMap;

use crate::api::{AdoptionPolicy, ApiAppSecretSpec, DataEntry, DeletionPolicy, ValueSource};
use crate::target::error::TargetError;
use crate::target::names;
use crate::target::render::{self, TemplateError};

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
fn template(text: &str) -> Result<render::Template, TemplateError> {
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

impl Template {
    pub(super) fn read(spec: &ApiAppSecretSpec, object: &str) -> Result<Self, TargetError> {
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
