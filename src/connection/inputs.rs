//! What a connection is made from besides its spec: credentials and certificate authorities, as they are stored.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use zeroize::Zeroizing;

use crate::api::{AuthMethod, CaBundle, KeyRef, Reason, ZitadelConnectionSpec};
use crate::connection::unusable::Unusable;
use crate::process::kube_error;
use crate::reconcile::context::Context;
use crate::zitadel::{Proxy, ProxyAuth};

/// What a connection is made from, as it is stored.
pub(crate) struct Material {
    pub(crate) credential: Zeroizing<Vec<u8>>,
    pub(crate) ca_pem: Option<Vec<u8>>,
    pub(crate) proxy: Option<Proxy>,
    /// Differs between two states of the credential.
    pub(crate) credential_revision: String,
    /// The same for the certificate authorities, those of the proxy included.
    pub(crate) ca_revision: String,
    /// The same for the proxy's credentials.
    pub(crate) proxy_revision: String,
}

/// The bytes under a key, if they are there, and the revision of what holds them.
type Stored = (Option<Zeroizing<Vec<u8>>>, String);

/// How the operator authenticates, by the spec.
pub(crate) fn method(spec: &ZitadelConnectionSpec) -> Result<AuthMethod<'_>, Unusable> {
    spec.auth.method().ok_or_else(|| {
        let message = "spec.auth: exactly one of serviceAccountKey and personalAccessToken must be given; this version of the operator knows no other";
        Unusable::new(Reason::InvalidSpec, message.to_owned())
    })
}

/// Reads the credentials and the certificate authorities from the operator's own namespace.
pub(crate) async fn material(
    spec: &ZitadelConnectionSpec,
    context: &Context,
) -> Result<Material, Unusable> {
    let namespace = &context.process.settings.namespace;
    let method = method(spec)?;
    let KeyRef { name, key } = method.key();
    let (credential, credential_revision) = secret(context, method.key()).await?;
    let credential = credential.ok_or_else(|| {
        let message = format!(
            "Secret {namespace}/{name} with key {key} does not exist: create it, see {}",
            method.field()
        );
        Unusable::new(Reason::CredentialMissing, message)
    })?;
    let (ca_pem, mut ca_revision) = match spec.ca_bundle() {
        None => (None, String::new()),
        Some(ca) => bundle(context, ca, "spec.tls.caBundle").await?,
    };
    let mut proxy = None;
    let mut proxy_revision = String::new();
    if let Some(declared) = &spec.proxy {
        let invalid = |field: &str, error: &dyn std::error::Error| {
            Unusable::new(Reason::InvalidSpec, format!("spec.proxy.{field} {error}"))
        };
        let mut made = Proxy::parse(&declared.url).map_err(|error| invalid("url", &error))?;
        for host in declared.no_proxy.iter().flatten() {
            let refused = |error| invalid(&format!("noProxy: {:?}", host.0), &error);
            made = made.without(&host.0).map_err(refused)?;
        }
        if let Some(auth) = &declared.auth {
            let auth = proxy_auth(context, &auth.secret_key_ref).await?;
            proxy_revision = auth.1;
            made = made.with_auth(Some(auth.0));
        }
        if let Some(ca) = &declared.ca_bundle {
            let (pem, revision) = bundle(context, ca, "spec.proxy.caBundle").await?;
            ca_revision = format!("{ca_revision}/{revision}");
            made = made.with_ca(pem);
        }
        proxy = Some(made);
    }
    Ok(Material {
        credential,
        ca_pem,
        proxy,
        credential_revision,
        ca_revision,
        proxy_revision,
    })
}

/// User and password for the proxy, and the revision of the Secret.
async fn proxy_auth(
    context: &Context,
    reference: &KeyRef,
) -> Result<(ProxyAuth, String), Unusable> {
    let namespace = &context.process.settings.namespace;
    let stored_in = format!(
        "Secret {namespace}/{}, key {}",
        reference.name, reference.key
    );
    let (bytes, revision) = secret(context, reference).await?;
    let bytes = bytes.ok_or_else(|| {
        let message = format!(
            "Secret {namespace}/{} with key {} does not exist: create it with user:password, see spec.proxy.auth",
            reference.name, reference.key
        );
        Unusable::new(Reason::CredentialMissing, message)
    })?;
    let auth = ProxyAuth::parse(&bytes, &stored_in).map_err(|error| {
        Unusable::new(Reason::CredentialMalformed, format!("{stored_in}: {error}"))
    })?;
    Ok((auth, revision))
}

async fn bundle(
    context: &Context,
    declared: &CaBundle,
    field: &str,
) -> Result<(Option<Vec<u8>>, String), Unusable> {
    let namespace = &context.process.settings.namespace;
    let (kind, reference, (bytes, revision)) =
        match (&declared.config_map_key_ref, &declared.secret_key_ref) {
            (_, Some(reference)) => ("Secret", reference, secret(context, reference).await?),
            (Some(reference), None) => (
                "ConfigMap",
                reference,
                config_map(context, reference).await?,
            ),
            (None, None) => {
                let message = format!("{field}: give the key of a ConfigMap or of a Secret");
                return Err(Unusable::new(Reason::CaBundleInvalid, message));
            }
        };
    let bytes = bytes.ok_or_else(|| {
        let message = format!(
            "{kind} {namespace}/{} with key {} does not exist: see {field}",
            reference.name, reference.key
        );
        Unusable::new(Reason::CaBundleInvalid, message)
    })?;
    Ok((Some(bytes.to_vec()), revision))
}

async fn secret(context: &Context, reference: &KeyRef) -> Result<Stored, Unusable> {
    let secrets: Api<Secret> = Api::namespaced(
        context.process.client.clone(),
        &context.process.settings.namespace,
    );
    let secret = secrets.get_opt(&reference.name).await;
    let secret = secret.map_err(|error| unavailable(context, "Secret", reference, &error))?;
    let revision = secret
        .as_ref()
        .and_then(|secret| secret.metadata.resource_version.clone())
        .unwrap_or_default();
    // NB: the other keys of the Secret are wiped too.
    let data = secret.and_then(|secret| secret.data).unwrap_or_default();
    let mut wanted = None;
    for (key, bytes) in data {
        let bytes = Zeroizing::new(bytes.0);
        if key == reference.key {
            wanted = Some(bytes);
        }
    }
    Ok((wanted, revision))
}

async fn config_map(context: &Context, reference: &KeyRef) -> Result<Stored, Unusable> {
    let maps: Api<ConfigMap> = Api::namespaced(
        context.process.client.clone(),
        &context.process.settings.namespace,
    );
    let map = maps.get_opt(&reference.name).await;
    let map = map.map_err(|error| unavailable(context, "ConfigMap", reference, &error))?;
    let revision = map
        .as_ref()
        .and_then(|map| map.metadata.resource_version.clone())
        .unwrap_or_default();
    let text = map.and_then(|mut map| map.data.as_mut()?.remove(&reference.key));
    Ok((text.map(|text| Zeroizing::new(text.into_bytes())), revision))
}

fn unavailable(context: &Context, kind: &str, reference: &KeyRef, error: &kube::Error) -> Unusable {
    let object = format!(
        "{kind} {}/{}",
        context.process.settings.namespace, reference.name
    );
    if kube_error::is_forbidden(error) {
        let message = format!("RBAC does not let the operator read {object}");
        return Unusable::new(Reason::Forbidden, message);
    }
    Unusable::passing(
        Reason::KubernetesUnavailable,
        format!("{object} cannot be read: the API server does not respond"),
    )
}
