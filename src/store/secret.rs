//! The Secret as it is written: made from its template and a value. No I/O.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use crate::api::{DeletionPolicy, GROUP};
use crate::ids::AppId;
use crate::rotation::{CommitRecord, Entry, Fingerprints, Recorded, Salt, UnknownFields, Version};
use crate::store::wiped::Manifest;
use crate::target::Target;
use crate::target::apps::hash;
use crate::target::error::TargetError;
use crate::target::names;
use crate::target::render::Values;
use crate::target::secret_template::{Content, Template};

/// The label of Secrets that the operator keeps; they are watched by it.
pub const MANAGED_LABEL: &str = "zitadel-secrets.dev/managed";
/// The annotation with the commit record.
pub const COMMIT_ANNOTATION: &str = "zitadel-secrets.dev/commit";

/// Where consumers find things; written to the Secret under the keys that are named for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The issuer.
    pub issuer: String,
    /// The introspection endpoint.
    pub introspection: String,
    /// The token endpoint.
    pub token: String,
}

/// Where an object's Secret stands: its application, its place at ZITADEL.
#[derive(Debug, Clone, Copy)]
pub struct SecretTarget<'a> {
    /// What is wanted.
    pub target: &'a Target,
    /// The instance and project, as a hash.
    pub scope: &'a str,
    /// Where consumers find things.
    pub endpoints: &'a Endpoints,
    /// Random bytes for the fingerprints that are made in this reconciliation.
    pub salt: Salt,
}

/// What is recorded of a value at the moment it is written.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// The operator's clock; none for a value that was there before.
    pub time: Option<Timestamp>,
    /// The trigger that is handled by it.
    pub trigger: Option<String>,
}

/// A deletion policy as the template hash has it. Persisted: a word must not change.
const fn encoded(deletion: DeletionPolicy) -> &'static str {
    match deletion {
        DeletionPolicy::Delete => "Delete",
        DeletionPolicy::Retain => "Retain",
    }
}

/// The data of a Secret, by key.
type Contents<'a> = BTreeMap<&'a str, Zeroizing<String>>;

impl SecretTarget<'_> {
    /// What the Secret is made from besides its value, as a hash.
    pub fn template_hash(&self) -> String {
        let Template {
            name,
            type_,
            data,
            labels,
            annotations,
            adopt: _,
            deletion,
        } = &self.target.secret;
        let Endpoints {
            issuer,
            introspection,
            token,
        } = self.endpoints;
        let mut parts: Vec<&str> = vec![name, type_, issuer, introspection, token];
        let data = data.encoded();
        parts.extend(data.iter().map(String::as_str));
        parts.push(encoded(*deletion));
        for (name, value) in labels.iter().chain(annotations) {
            parts.extend([name.as_str(), value.as_str()]);
        }
        hash(&parts)
    }

    /// A commit record for a value of an application, which becomes the active one. What is recorded of the object's other
    /// application is kept.
    pub fn commit(
        &self,
        app: &AppId,
        recorded: Recorded,
        before: Option<&CommitRecord>,
        published: Published,
    ) -> CommitRecord {
        let mut apps: BTreeMap<AppId, Recorded> = before
            .filter(|before| before.scope == self.scope)
            .map(|before| before.apps.clone())
            .unwrap_or_default();
        apps.insert(app.clone(), recorded);
        CommitRecord {
            published_time: published.time,
            trigger: Some(published.trigger.unwrap_or_default()),
            ..self.record(app.clone(), apps)
        }
    }

    /// The same commit record, made anew from the template, with another entry for an application that is recorded in it.
    pub fn amended(&self, before: &CommitRecord, entry: Option<(&AppId, Entry)>) -> CommitRecord {
        let mut apps = before.apps.clone();
        if let Some((app, entry)) = entry
            && let Some(recorded) = apps.get_mut(app)
        {
            recorded.entry = entry;
        }
        CommitRecord {
            published_time: before.published_time,
            trigger: before.trigger.clone(),
            unknown: before.unknown.clone(),
            ..self.record(before.active.clone(), apps)
        }
    }

    fn record(&self, active: AppId, mut apps: BTreeMap<AppId, Recorded>) -> CommitRecord {
        // NB: only the applications that matter today; a record must not grow.
        apps.retain(|app, _| self.target.names(app) || *app == active);
        CommitRecord {
            version: CommitRecord::VERSION,
            owner: self.target.owner.clone(),
            scope: self.scope.to_owned(),
            active,
            key: self.target.secret.data.secret_key().to_owned(),
            template: self.template_hash(),
            apps,
            fingerprint: None,
            published_time: None,
            trigger: None,
            unknown: UnknownFields::default(),
        }
    }

    /// The Secret without data: what is there before any secret exists.
    pub fn shell(&self) -> Manifest {
        let active = self.target.app.app.clone();
        let mut data = Contents::new();
        if self.target.secret.type_ == names::BASIC_AUTH {
            // One of its two keys at least must be there, with whatever value.
            let declared = self.target.secret.data.keys();
            let required = declared.filter(|key| names::BASIC_AUTH_KEYS.contains(key));
            data.extend(required.map(|key| (key, Zeroizing::default())));
        }
        self.object(&self.record(active, BTreeMap::new()), data, None)
    }

    /// The Secret in its final form, with a value that the operator received, or that ZITADEL accepted.
    pub fn full(
        &self,
        mut commit: CommitRecord,
        client_id: &str,
        value: &str,
        over: Option<&Version>,
    ) -> Manifest {
        let data = self.data(&commit.active, client_id, value);
        commit.fingerprint = Some(fingerprints(self.salt, &data));
        self.object(&commit, data, over)
    }

    /// The Secret in the greatest size that it can have with a client secret as long as the placeholder, for a rehearsal. An error is a
    /// template that cannot be rendered for this application.
    pub fn rehearsal(
        &self,
        mut commit: CommitRecord,
        client_id: &str,
        placeholder: &str,
        over: &Version,
    ) -> Result<Manifest, TargetError> {
        let values = self.values(&commit.active, client_id, placeholder);
        let mut data = Contents::new();
        for (key, content) in self.target.secret.data.entries() {
            let text = match content {
                Content::From(source) => Zeroizing::new(values.of(*source).to_owned()),
                Content::Template(template) => template
                    .rehearse(values, placeholder.len())
                    .map_err(|error| TargetError::Template(key.to_owned(), error))?,
            };
            data.insert(key, text);
        }
        commit.fingerprint = Some(fingerprints(self.salt, &data));
        Ok(self.object(&commit, data, Some(over)))
    }

    /// The Secret in its final form, with the value that is in it. Whose that is stays as `before` has it.
    pub fn again(
        &self,
        mut commit: CommitRecord,
        client_id: &str,
        value: &str,
        before: Option<&CommitRecord>,
        over: Option<&Version>,
    ) -> Manifest {
        let written = before.and_then(|before| {
            let fingerprint = before.fingerprint.as_ref()?;
            Some((fingerprint.salt, *fingerprint.keys.get(&before.key)?))
        });
        let salt = written.map_or(self.salt, |(salt, _)| salt);
        let data = self.data(&commit.active, client_id, value);
        let mut fingerprint = fingerprints(salt, &data);
        fingerprint.keys.remove(&commit.key);
        if let Some((_, digest)) = written {
            fingerprint.keys.insert(commit.key.clone(), digest);
        }
        commit.fingerprint = Some(fingerprint);
        self.object(&commit, data, over)
    }

    /// The data of the Secret, by key. A template that cannot be rendered leaves its key out: the client secret is never lost for it.
    pub(super) fn data(&self, active: &AppId, client_id: &str, value: &str) -> Contents<'_> {
        let values = self.values(active, client_id, value);
        let content = |content: &Content| match content {
            Content::From(source) => Some(Zeroizing::new(values.of(*source).to_owned())),
            Content::Template(template) => template.render(values).ok(),
        };
        let entries = self.target.secret.data.entries();
        entries
            .filter_map(|(key, wanted)| Some((key, content(wanted)?)))
            .collect()
    }

    fn values<'b>(&'b self, active: &'b AppId, client_id: &'b str, value: &'b str) -> Values<'b> {
        Values {
            client_id,
            client_secret: value,
            issuer: &self.endpoints.issuer,
            introspection_endpoint: &self.endpoints.introspection,
            token_endpoint: &self.endpoints.token,
            project_id: self.target.app.project.as_str(),
            app_id: active.as_str(),
        }
    }

    fn object(
        &self,
        commit: &CommitRecord,
        data: Contents<'_>,
        over: Option<&Version>,
    ) -> Manifest {
        let Target { owner, secret, .. } = self.target;
        let mut annotations = secret.annotations.clone();
        annotations.insert(COMMIT_ANNOTATION.to_owned(), commit.to_json());
        let mut labels = secret.labels.clone();
        labels.insert(MANAGED_LABEL.to_owned(), "true".to_owned());
        let mut metadata = json!({
            "name": secret.name,
            "namespace": owner.namespace,
            "labels": labels,
            "annotations": annotations,
        });
        if secret.deletion == DeletionPolicy::Delete {
            // NB: not a controller reference, and it blocks nothing: deleting the object must never hang on the operator.
            let reference = json!([{
                "apiVersion": format!("{GROUP}/v1alpha1"),
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
            }]);
            put(&mut metadata, "ownerReferences", reference);
        }
        if let Some(version) = over {
            put(&mut metadata, "uid", version.uid.as_str());
            put(&mut metadata, "resourceVersion", version.revision.as_str());
        }
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": secret.type_});
        if !data.is_empty() {
            // NB: stringData would be kept in managedFields as its own field; the API server takes data as base64.
            let data: serde_json::Map<_, _> = data
                .into_iter()
                .map(|(key, value)| (key.to_owned(), STANDARD.encode(&*value).into()))
                .collect();
            put(&mut object, "data", data);
        }
        object.into()
    }
}

fn fingerprints(salt: Salt, data: &Contents<'_>) -> Fingerprints {
    Fingerprints::of(salt, data.iter().map(|(key, value)| (*key, value.as_str())))
}

/// Sets a field of a JSON object.
pub(crate) fn put(object: &mut Json, field: &str, value: impl Into<Json>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value.into());
    }
}
