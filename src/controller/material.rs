//! What a connection is made from besides its spec: credential and certificate authorities, as they are stored.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;

use super::connect::Refusal;
use super::context::Context;
use crate::api::{KeyRef, Reason, ZitadelConnectionSpec};

/// What a connection is made from, as it is stored.
pub(super) struct Material {
    pub(super) credential: Vec<u8>,
    pub(super) ca_pem: Option<Vec<u8>>,
    /// Tells one state of the credential from another.
    pub(super) credential_revision: String,
    /// The same for the certificate authorities.
    pub(super) ca_revision: String,
}

/// Reads the credential and the certificate authorities from the operator's own namespace.
pub(super) async fn material(
    spec: &ZitadelConnectionSpec,
    context: &Context,
) -> Result<Material, Refusal> {
    let namespace = &context.settings.namespace;
    let unavailable = |kind: &str, reference: &KeyRef, error: &kube::Error| {
        let forbidden = matches!(error, kube::Error::Api(status) if status.code == 403);
        let object = format!("{kind} {namespace}/{}", reference.name);
        if forbidden {
            let message = format!("RBAC does not let the operator read {object}");
            return Refusal::new(Reason::Forbidden, message);
        }
        Refusal::passing(
            Reason::KubernetesUnavailable,
            format!("{object} cannot be read: the API server does not answer"),
        )
    };
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let secret_key = async |reference: &KeyRef| {
        let secret = secrets.get_opt(&reference.name).await;
        let secret = secret.map_err(|error| unavailable("Secret", reference, &error))?;
        let revision = secret
            .as_ref()
            .and_then(|secret| secret.metadata.resource_version.clone())
            .unwrap_or_default();
        let bytes = secret
            .and_then(|mut secret| secret.data.as_mut()?.remove(&reference.key))
            .map(|bytes| bytes.0);
        Ok::<_, Refusal>((bytes, revision))
    };
    let KeyRef { name, key } = &spec.credential.secret_ref;
    let (credential, revision) = secret_key(&spec.credential.secret_ref).await?;
    let credential = credential.ok_or_else(|| {
        let message = format!("Secret {namespace}/{name} with key {key} does not exist: create it, see spec.credential");
        Refusal::new(Reason::CredentialMissing, message)
    })?;
    let missing_ca = |kind: &str, reference: &KeyRef| {
        let message = format!(
            "{kind} {namespace}/{} with key {} does not exist: see spec.caBundle",
            reference.name, reference.key
        );
        Refusal::new(Reason::CaBundleInvalid, message)
    };
    let (ca_pem, ca_revision) = match spec
        .ca_bundle
        .as_ref()
        .map(|ca| (&ca.config_map_ref, &ca.secret_ref))
    {
        None => (None, String::new()),
        Some((_, Some(reference))) => {
            let (bytes, revision) = secret_key(reference).await?;
            (
                Some(bytes.ok_or_else(|| missing_ca("Secret", reference))?),
                revision,
            )
        }
        Some((Some(reference), None)) => {
            let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
            let map = maps.get_opt(&reference.name).await;
            let map = map.map_err(|error| unavailable("ConfigMap", reference, &error))?;
            let revision = map
                .as_ref()
                .and_then(|map| map.metadata.resource_version.clone())
                .unwrap_or_default();
            let text = map.and_then(|mut map| map.data.as_mut()?.remove(&reference.key));
            (
                Some(
                    text.ok_or_else(|| missing_ca("ConfigMap", reference))?
                        .into_bytes(),
                ),
                revision,
            )
        }
        Some((None, None)) => {
            return Err(Refusal::new(
                Reason::CaBundleInvalid,
                "spec.caBundle: give configMapRef or secretRef",
            ));
        }
    };
    Ok(Material {
        credential,
        ca_pem,
        credential_revision: revision,
        ca_revision,
    })
}
