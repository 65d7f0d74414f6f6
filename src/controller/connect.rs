//! Makes a `ZitadelConnection` into a client: read, checked at ZITADEL, reported.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use serde_json::json;

use super::connections::{Connection, Shared, permanent};
use super::context::Context;
use super::failure;
use super::metered::Metered;
use super::secret::Endpoints;
use crate::api::{
    ConditionType, CredentialType, KeyRef, Reason, Status, ZitadelConnection,
    ZitadelConnectionSpec, ZitadelConnectionStatus,
};
use crate::ids::OrganizationId;
use crate::rotation::Failure;
use crate::zitadel::{
    Client, ClientConfig, ConfigError, Credential, Endpoint, Issuer, IssuerError, Timeouts, Zitadel,
};

/// A connection can't be used; the sentence says what to do about it.
struct Refusal {
    failure: Failure,
    message: String,
}

impl Refusal {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            failure: permanent(reason),
            message: message.into(),
        }
    }
}

/// What a connection is made from, as it is stored.
struct Material {
    credential: Vec<u8>,
    ca_pem: Option<Vec<u8>>,
    made_from: String,
}

/// Reads a connection, checks it at ZITADEL and reports.
pub async fn reconcile(
    object: Arc<ZitadelConnection>,
    context: Arc<Context>,
) -> Result<Action, kube::Error> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let before = context.connections.get(&name);
    let outcome = connect(&object, &context, before.as_ref().ok()).await;
    // It was deleted or given to another operator meanwhile.
    if !context.keeps_connection(&name) {
        return Ok(Action::await_change());
    }
    let (retry, result) = match outcome {
        Ok(connection) => (Duration::from_secs(3600), Ok(connection)),
        // A connection that worked goes on being used while a check of it fails for a passing reason: calls judge for themselves.
        Err(refusal) if !refusal.failure.permanent && before.is_ok() => {
            (Duration::from_secs(30), Err(refusal))
        }
        Err(refusal) => {
            context.connections.set(&name, Err(refusal.failure.clone()));
            // NB: of a right that is granted later no watch tells.
            let soon = !refusal.failure.permanent || refusal.failure.reason == Reason::Forbidden;
            (
                Duration::from_secs(if soon { 15 } else { 300 }),
                Err(refusal),
            )
        }
    };
    let changed = match (&before, &result) {
        (Ok(before), Ok((after, _))) => !Arc::ptr_eq(before, after),
        (Err(before), Err(after)) => *before != after.failure,
        _ => true,
    };
    if let Ok((connection, _)) = &result {
        context.connections.set(&name, Ok(Arc::clone(connection)));
    }
    // NB: before the report, which may fail: nobody else wakes those who wait for this connection.
    if changed {
        context.wake_users(&name);
    }
    report(&object, &context, &result).await?;
    Ok(Action::requeue(retry))
}

type Connected = (Arc<Connection>, Option<jiff::Timestamp>);

async fn connect(
    object: &ZitadelConnection,
    context: &Context,
    before: Option<&Arc<Connection>>,
) -> Result<Connected, Refusal> {
    let spec = &object.spec;
    let name = object.metadata.name.clone().unwrap_or_default();
    let insecure = spec.allow_insecure.unwrap_or(false);
    let url = |error: IssuerError| Refusal::new(Reason::InvalidSpec, format!("spec.url: {error}"));
    let issuer = Issuer::parse(&spec.url, insecure).map_err(url)?;
    let organization = spec
        .organization_id
        .as_deref()
        .map(OrganizationId::try_from)
        .transpose();
    let organization = organization.map_err(|error| {
        Refusal::new(Reason::InvalidSpec, format!("spec.organizationId {error}"))
    })?;
    let material = material(spec, object.metadata.generation, context).await?;
    let credential = match spec.credential.type_ {
        CredentialType::ServiceAccountKey => Credential::service_account_key(&material.credential),
        CredentialType::PersonalAccessToken => {
            Credential::personal_access_token(&material.credential)
        }
    };
    let KeyRef { name: secret, key } = &spec.credential.secret_ref;
    let credential = credential.map_err(|error| {
        let message = format!(
            "Secret {}/{secret}, key {key}: {error}",
            context.settings.namespace
        );
        Refusal::new(Reason::CredentialMalformed, message)
    })?;
    let expiry = credential.expiry();
    if let Some(before) = before
        && before.made_from == material.made_from
    {
        // Nothing changed: one cheap call shows whether the credential still works.
        before.zitadel.me().await.map_err(|error| refused(&error))?;
        return Ok((Arc::clone(before), expiry));
    }
    let endpoint = spec.endpoint.as_deref().map(Endpoint::parse).transpose();
    let endpoint = endpoint
        .map_err(|error| Refusal::new(Reason::InvalidSpec, format!("spec.endpoint: {error}")))?;
    let timeouts = Timeouts {
        generate: context.settings.timing.request,
        ..Timeouts::default()
    };
    let config = ClientConfig {
        endpoint,
        ca_pem: material.ca_pem,
        timeouts,
        ..ClientConfig::new(issuer.clone(), credential)
    };
    let client = Client::new(config).map_err(|error| match error {
        ConfigError::CaBundle => {
            Refusal::new(Reason::CaBundleInvalid, format!("spec.caBundle: {error}"))
        }
        ConfigError::Tls => Refusal::new(Reason::TlsFailed, error.to_string()),
    })?;
    let zitadel: Arc<dyn Zitadel> = Arc::new(Metered::new(client, context.metrics.clone()));
    let discovery = zitadel.discovery().await.map_err(|error| refused(&error))?;
    let user = zitadel.me().await.map_err(|error| refused(&error))?;
    let in_flight = spec.max_in_flight();
    let shared = before
        .map(|before| Arc::clone(&before.shared))
        .filter(|shared| shared.in_flight == in_flight);
    let connection = Connection {
        name,
        zitadel,
        user,
        endpoints: Endpoints {
            issuer: issuer.as_str().to_owned(),
            introspection: discovery.introspection_endpoint,
            token: discovery.token_endpoint,
        },
        organization,
        without_rehearsal: spec.allow_without_rehearsal.unwrap_or(false),
        grants: spec.grants.clone(),
        shared: shared.unwrap_or_else(|| Shared::new(in_flight)),
        repair_limit: spec.repairs_per_10_minutes(),
        made_from: material.made_from,
    };
    Ok((Arc::new(connection), expiry))
}

fn refused(error: &crate::zitadel::ZitadelError) -> Refusal {
    let failure = failure::zitadel(error);
    Refusal {
        message: format!("ZITADEL: {error}"),
        failure,
    }
}

/// Reads the credential and the certificate authorities from the operator's own namespace.
async fn material(
    spec: &ZitadelConnectionSpec,
    generation: Option<i64>,
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
        Refusal {
            failure: Failure {
                reason: Reason::KubernetesUnavailable,
                permanent: false,
                error_id: None,
            },
            message: format!("{object} cannot be read: the API server does not answer"),
        }
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
        made_from: format!("{generation:?}/{revision}/{ca_revision}"),
    })
}

async fn report(
    object: &ZitadelConnection,
    context: &Context,
    result: &Result<Connected, Refusal>,
) -> Result<(), kube::Error> {
    let before = object.status.clone().unwrap_or_default();
    let mut status = ZitadelConnectionStatus {
        observed_generation: object.metadata.generation,
        ..before.clone()
    };
    let now = context.clock.wall();
    let generation = object.metadata.generation;
    match result {
        Ok((connection, expiry)) => {
            status.user_id = Some(connection.user.to_string());
            status.credential_expiry = expiry.map(|expiry| expiry.to_string());
            status.journal_readable = connection.shared.journal_readable();
            let message = format!(
                "ZITADEL answers; the credential is of user {}",
                connection.user
            );
            status.conditions.set(
                ConditionType::Ready,
                Status::True,
                Reason::Connected,
                message,
                generation,
                now,
            );
            status.conditions.remove(ConditionType::Stalled);
        }
        Err(Refusal { failure, message }) => {
            let ready = &mut status.conditions;
            ready.set(
                ConditionType::Ready,
                Status::False,
                failure.reason,
                message,
                generation,
                now,
            );
            if failure.permanent {
                ready.set(
                    ConditionType::Stalled,
                    Status::True,
                    failure.reason,
                    message,
                    generation,
                    now,
                );
            } else {
                ready.remove(ConditionType::Stalled);
            }
        }
    }
    if status == before {
        return Ok(());
    }
    let name = object.metadata.name.clone().unwrap_or_default();
    let api: Api<ZitadelConnection> = Api::all(context.client.clone());
    let patch = Patch::Merge(json!({"status": super::status::merge_patch(&before, &status)}));
    let params = PatchParams {
        field_manager: Some(super::secret::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch_status(&name, &params, &patch).await.map(drop)
}
