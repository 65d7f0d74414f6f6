//! `import`: the manifest of an object that takes over a Secret which exists. Nothing is applied.
//!
//! The values of the Secret are not asked for: its keys are in its managed fields.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{
    AdoptionPolicy, ApiAppSecretSpec, AppSecret, ConnectionRef, DataEntry, DeletionPolicy,
    SecretTemplate, ValueSource,
};
use crate::plugin::cli::{self, Global};
use crate::plugin::cluster::{Cluster, Outline};
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::gitops::Ownership;
use crate::plugin::output::{Output, note};
use crate::store::reading::owned_keys;
use crate::store::secret::MANAGED_LABEL;
use crate::target::names::{BASIC_AUTH, BASIC_AUTH_KEYS, is_allowed_type};

/// What is in a Secret, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found<'a> {
    name: &'a str,
    /// The keys, and the field managers that write each; empty where the API server keeps no record of them.
    keys: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

/// Which keys the operator is to write.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapping {
    client_id: Option<String>,
    client_secret: String,
}

/// Prints the manifest.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    arguments: &cli::Import,
    output: &mut Output,
) -> Result<Exit, Failure> {
    global.one_object()?;
    let name = &arguments.secret;
    let Outline { metadata, type_ } = cluster.secret(name).await?;
    let found = Found::read(name, &metadata);
    found.refuse(&metadata, &type_)?;
    let mapping = found.mapping(&type_, arguments)?;
    output.manifest(&manifest(cluster.namespace(), arguments, &type_, &mapping))?;
    for line in found.remarks(&metadata, &mapping) {
        note(&line);
    }
    note(
        "Nothing was applied, and applying it generates nothing: the object is Ready once ZITADEL accepts the pair. Add rotation.interval after that.",
    );
    Ok(Exit::Fine)
}

impl<'a> Found<'a> {
    fn read(name: &'a str, metadata: &'a ObjectMeta) -> Self {
        let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in metadata.managed_fields.iter().flatten() {
            for key in owned_keys(entry) {
                let writers = keys.entry(key).or_default();
                writers.extend(entry.manager.as_deref());
            }
        }
        Self { name, keys }
    }

    /// Refuses a Secret that cannot be adopted.
    fn refuse(&self, metadata: &ObjectMeta, type_: &str) -> Result<(), Failure> {
        let name = self.name;
        let labels = metadata.labels.as_ref();
        if labels.is_some_and(|labels| labels.contains_key(MANAGED_LABEL)) {
            let keeper = metadata.owner_references.iter().flatten().next();
            let keeper = keeper.map_or_else(
                || "the operator".to_owned(),
                |owner| format!("{} {}", owner.kind, owner.name),
            );
            return Err(Failure::Finding(format!(
                "Secret {name} is kept by {keeper} already: there is nothing to import"
            )));
        }
        if !is_allowed_type(type_) {
            return Err(Failure::Finding(format!(
                "Secret {name} is of type {type_}, which Kubernetes gives a meaning of its own: put the pair into a new Secret of type Opaque, and import that"
            )));
        }
        Ok(())
    }

    /// Which keys hold the pair: those that were named, or the only ones whose names say so.
    fn mapping(&self, type_: &str, arguments: &cli::Import) -> Result<Mapping, Failure> {
        let [user, password] = BASIC_AUTH_KEYS;
        let (id, secret) = match type_ {
            BASIC_AUTH => (Ok(Some(user)), Ok(Some(password))),
            _ => (self.only("clientid"), self.only("clientsecret")),
        };
        let client_id = match &arguments.client_id_key {
            Some(key) => Some(self.named(key, "--client-id-key")?),
            None => id
                .map_err(|all| self.ambiguous("client ID", &all, "--client-id-key"))?
                .map(ToOwned::to_owned),
        };
        let client_secret = match &arguments.client_secret_key {
            Some(key) => self.named(key, "--client-secret-key")?,
            None => secret
                .map_err(|all| self.ambiguous("client secret", &all, "--client-secret-key"))?
                .ok_or_else(|| self.unknown())?
                .to_owned(),
        };
        if client_id.as_ref() == Some(&client_secret) {
            let text = format!("key {client_secret} cannot hold both the client ID and the secret");
            return Err(Failure::Usage(text));
        }
        Ok(Mapping {
            client_id,
            client_secret,
        })
    }

    /// The only key whose name is that word, or else the only one that ends with it, in any spelling; all of them where there are several.
    fn only(&self, word: &str) -> Result<Option<&'a str>, Vec<&'a str>> {
        let matching = |matches: fn(&str, &str) -> bool| {
            let all = self.keys.keys().copied();
            let all = all.filter(|key| matches(&spelling(key), word));
            all.collect::<Vec<_>>()
        };
        for matches in [
            |key: &str, word: &str| key == word,
            |key: &str, word: &str| key.ends_with(word),
        ] {
            match matching(matches).as_slice() {
                [] => {}
                [key] => return Ok(Some(key)),
                several => return Err(several.to_vec()),
            }
        }
        Ok(None)
    }

    fn named(&self, key: &str, flag: &str) -> Result<String, Failure> {
        if self.keys.is_empty() || self.keys.contains_key(key) {
            return Ok(key.to_owned());
        }
        Err(Failure::Usage(format!(
            "{flag}: Secret {} has no key {key}. Its keys: {}",
            self.name,
            self.all()
        )))
    }

    fn ambiguous(&self, what: &str, keys: &[&str], flag: &str) -> Failure {
        Failure::Usage(format!(
            "Secret {} has several keys that may hold the {what}: {}. Say which one with {flag}",
            self.name,
            keys.join(", ")
        ))
    }

    fn unknown(&self) -> Failure {
        Failure::Usage(if self.keys.is_empty() {
            format!(
                "the managed fields of Secret {} do not say which keys it has: name them with --client-secret-key and --client-id-key",
                self.name
            )
        } else {
            format!(
                "no key of Secret {} is named like a client secret: say which one it is with --client-secret-key, and --client-id-key. Its keys: {}",
                self.name,
                self.all()
            )
        })
    }

    fn all(&self) -> String {
        self.keys.keys().copied().collect::<Vec<_>>().join(", ")
    }

    /// What to know before the manifest is applied.
    fn remarks(&self, metadata: &ObjectMeta, mapping: &Mapping) -> Vec<String> {
        let name = self.name;
        let mut remarks = Vec::new();
        let ownership = Ownership::read(metadata);
        if let Some(tool) = &ownership.tool {
            remarks.push(format!(
                "Secret {name} is applied by {tool}: take it out there first, so that it is not written or removed any more"
            ));
        }
        for owner in metadata.owner_references.iter().flatten() {
            let (kind, owner) = (&owner.kind, &owner.name);
            remarks.push(format!(
                "Secret {name} belongs to {kind} {owner}, and goes when that does: put the pair into a Secret of a new name, and import that"
            ));
        }
        let writers = self.keys.get(mapping.client_secret.as_str());
        let writers: Vec<&str> = writers.into_iter().flatten().copied().collect();
        if !writers.is_empty() {
            remarks.push(format!(
                "Key {} was last written by field manager {}: nothing may write it besides the operator from now on",
                mapping.client_secret,
                writers.join(", ")
            ));
        }
        if mapping.client_id.is_none() {
            remarks.push(format!(
                "No key of Secret {name} is named like a client ID: if there is one, say which with --client-id-key"
            ));
        }
        let is_mapped = |key: &&str| {
            *key == mapping.client_secret || Some(*key) == mapping.client_id.as_deref()
        };
        let others = self.keys.keys().copied().filter(|key| !is_mapped(key));
        let others: Vec<&str> = others.collect();
        if !others.is_empty() {
            remarks.push(format!("Left as they are: {}", others.join(", ")));
        }
        remarks
    }
}

/// A key in lower case, without what stands between words.
fn spelling(key: &str) -> String {
    let letters = key.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

fn manifest(namespace: &str, arguments: &cli::Import, type_: &str, mapping: &Mapping) -> AppSecret {
    let entry = |key: &str, from| DataEntry {
        key: key.to_owned(),
        from: Some(from),
        template: None,
    };
    let id = mapping.client_id.as_deref();
    let id = id.map(|key| entry(key, ValueSource::ClientId));
    let secret = entry(&mapping.client_secret, ValueSource::ClientSecret);
    let secret = SecretTemplate {
        name: Some(arguments.secret.clone()),
        secret_type: (type_ != "Opaque").then(|| type_.to_owned()),
        data: Some(id.into_iter().chain([secret]).collect()),
        adoption_policy: Some(AdoptionPolicy::Required),
        deletion_policy: Some(DeletionPolicy::Retain),
        ..SecretTemplate::default()
    };
    let connection = arguments.connection.clone();
    AppSecret {
        kind: arguments.kind,
        metadata: ObjectMeta {
            name: Some(arguments.name.as_ref().unwrap_or(&arguments.secret).clone()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec: ApiAppSecretSpec {
            connection_ref: connection.map(|name| ConnectionRef { name }),
            organization_id: arguments.organization_id.as_ref().map(ToString::to_string),
            project_id: arguments.project_id.to_string(),
            app_id: arguments.app_id.to_string(),
            standby: None,
            secret: Some(secret),
            rotation: None,
            consumers: None,
            recovery: None,
            suspend: None,
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::cli::{Cli, Command};

    fn arguments(more: &str) -> cli::Import {
        let line = format!("x import oauth --project-id 1 --app-id 2 {more}");
        match Cli::try_parse_from(line.split_whitespace())
            .unwrap()
            .command
        {
            Command::Import(import) => import,
            other => panic!("{other:?}"),
        }
    }

    fn metadata(keys: &[&str]) -> ObjectMeta {
        let fields: serde_json::Map<String, Value> = keys
            .iter()
            .map(|key| (format!("f:{key}"), json!({})))
            .collect();
        let entry =
            json!({"manager": "kubectl-create", "fieldsV1": {"f:data": fields, "f:type": {}}});
        serde_json::from_value(json!({"name": "oauth", "managedFields": [entry]})).unwrap()
    }

    fn mapping(keys: &[&str], type_: &str, more: &str) -> Result<(Option<String>, String), String> {
        let metadata = metadata(keys);
        let found = Found::read("oauth", &metadata);
        let mapping = found.mapping(type_, &arguments(more));
        let mapping = mapping.map_err(|failure| failure.to_string())?;
        Ok((mapping.client_id, mapping.client_secret))
    }

    #[test]
    fn the_pair_is_found_by_the_names_of_its_keys_in_any_spelling() {
        for keys in [
            ["CLIENT_ID", "CLIENT_SECRET"],
            ["clientId", "clientSecret"],
            ["client-id", "client-secret"],
            [
                "GF_AUTH_GENERIC_OAUTH_CLIENT_ID",
                "GF_AUTH_GENERIC_OAUTH_CLIENT_SECRET",
            ],
            ["oidc.clientID", "oidc.clientSecret"],
        ] {
            let [id, secret] = keys.map(ToOwned::to_owned);
            assert_eq!(mapping(&keys, "Opaque", ""), Ok((Some(id), secret)));
        }
        let basic = mapping(&["username", "password"], BASIC_AUTH, "");
        assert_eq!(basic, Ok((Some("username".into()), "password".into())));
        // The plain name counts for more than one that ends with it.
        let both = mapping(&["client_secret", "old_client_secret"], "Opaque", "");
        assert_eq!(both, Ok((None, "client_secret".into())));
    }

    #[test]
    fn what_is_not_clear_is_asked_for_and_what_is_wrong_is_named() {
        let says = |keys: &[&str], more: &str, part: &str| {
            let said = mapping(keys, "Opaque", more).unwrap_err();
            assert!(said.contains(part), "{said}");
        };
        says(
            &["a_client_secret", "b_client_secret"],
            "",
            "a_client_secret, b_client_secret. Say which one with --client-secret-key",
        );
        says(&["key", "secret"], "", "Its keys: key, secret");
        says(&[], "", "do not say which keys it has");
        says(
            &["key"],
            "--client-secret-key other",
            "has no key other. Its keys: key",
        );
        says(
            &["key"],
            "--client-secret-key key --client-id-key key",
            "both",
        );
        let named = "--client-secret-key secret --client-id-key key";
        let expected = Ok((Some("key".to_owned()), "secret".to_owned()));
        assert_eq!(mapping(&["key", "secret"], "Opaque", named), expected);
        assert_eq!(mapping(&[], "Opaque", named), expected);
    }

    #[test]
    fn a_secret_that_cannot_be_adopted_is_refused() {
        let refused = |metadata: &ObjectMeta, type_: &str| {
            let refused = Found::read("oauth", metadata).refuse(metadata, type_);
            refused.err().map(|failure| failure.to_string())
        };
        let mut kept = metadata(&["CLIENT_SECRET"]);
        assert_eq!(refused(&kept, "Opaque"), None);
        let said = refused(&kept, "kubernetes.io/tls").unwrap();
        assert!(said.contains("of type kubernetes.io/tls"), "{said}");
        let label = (MANAGED_LABEL.to_owned(), "true".to_owned());
        kept.labels = Some([label].into());
        let said = refused(&kept, "Opaque").unwrap();
        assert!(said.contains("is kept by the operator already"), "{said}");
    }

    #[test]
    fn the_manifest_is_one_that_the_operator_reads() {
        let arguments = arguments("--kind oas --name web --connection main --organization-id 3");
        let mapping = Mapping {
            client_id: Some("username".to_owned()),
            client_secret: "password".to_owned(),
        };
        let manifest = manifest("orders", &arguments, BASIC_AUTH, &mapping);
        let written = serde_json::to_value(&manifest).unwrap();
        let object: AppSecret = serde_json::from_value(written).unwrap();
        assert_eq!(object, manifest);
        assert_eq!(object.kind, crate::api::Kind::OidcApp);
        assert_eq!(object.metadata.name.as_deref(), Some("web"));
        assert_eq!(object.spec.organization_id.as_deref(), Some("3"));
        let secret = object.spec.secret.unwrap();
        assert_eq!(secret.name.as_deref(), Some("oauth"));
        assert_eq!(secret.secret_type.as_deref(), Some(BASIC_AUTH));
        assert_eq!(secret.data.unwrap().len(), 2);
    }
}
