//! Makes a `ZitadelConnection` into a client: read, checked at ZITADEL, reported.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::sync::Arc;
use std::time::Duration;

use kube::api::Patch;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use crate::api::{
    ApiInUse, AuthMethod, ConditionType, KeyRef, Reason, RehearsalPolicy, Status,
    ZitadelConnection, ZitadelConnectionStatus,
};
use crate::connection::check::{self, needs_more, refused};
use crate::connection::inputs::{material, method};
use crate::connection::shared::Shared;
use crate::connection::terms::{RepairLimit, TermsError, organization};
use crate::connection::unusable::Unusable;
use crate::connection::{Connection, Declared, Reach, permanent, unreached};
use crate::ids::ApiVersion;
use crate::reconcile::context::Context;
use crate::report::changes::{self, V2_GUARANTEES};
use crate::report::unreadable::{self, Unreadable};
use crate::rotation::Failure;
use crate::store::apply;
use crate::store::cache::GuardedConnection;
use crate::store::secret::Endpoints;
use crate::target::quote;
use crate::target::{ObjectVersion, object_version};
use crate::zitadel::{
    Client, ClientConfig, ConfigError, Credential, CredentialError, Endpoint, ErrorClass, Issuer,
    IssuerError, Observer, Operation, Timeouts, ZitadelError,
};

/// Reads a connection, checks it at ZITADEL and reports.
pub async fn reconcile(
    guarded: Arc<GuardedConnection>,
    context: Arc<Context>,
) -> Result<Action, kube::Error> {
    let name = guarded.name_any();
    let object = match &guarded.0 {
        Ok(object) => object,
        Err(invalid) => return unreadable(&guarded, &invalid.error, &context).await,
    };
    let former = context.connections.get(&name);
    // What is under way and what was counted goes on, whatever becomes of the client.
    let shared = context
        .connections
        .shared(&name, object.spec.concurrent_generates());
    let before = former.and_then(|former| on_new_terms(object, &context, former));
    let outcome = connect(object, &context, before.as_ref().ok(), Arc::clone(&shared)).await;
    // It was deleted or given to another operator meanwhile.
    if !context.store.keeps_connection(&name) {
        return Ok(Action::await_change());
    }
    let (retry, result) = match outcome {
        Ok(connection) => (Duration::from_secs(3600), Ok(connection)),
        // A connection that worked goes on being used while a check of it fails for a passing reason: calls judge for themselves.
        Err(refusal) if !refusal.failure.permanent && context.connections.get(&name).is_ok() => {
            // Only where nothing of ZITADEL answers, this check is the one that asks again.
            let outage = refusal.outage.then(|| refusal.stored());
            let soon = outage.is_some();
            if shared.saw_outage(outage) && !soon {
                context.store.wake_users(&name);
            }
            (
                Duration::from_secs(if soon { 10 } else { 30 }),
                Err(refusal),
            )
        }
        Err(refusal) => {
            context.connections.set(&name, Err(refusal.stored()));
            // NB: no watch shows a right that is granted later.
            let soon = !refusal.failure.permanent || refusal.failure.reason == Reason::Forbidden;
            (
                Duration::from_secs(if soon { 15 } else { 300 }),
                Err(refusal),
            )
        }
    };
    let changed = match (&before, &result) {
        (Ok(before), Ok((after, _))) => !Arc::ptr_eq(before, after),
        (Err(before), Err(after)) => *before != after.stored(),
        _ => true,
    };
    let mut changed = changed;
    if let Ok((connection, _)) = &result {
        changed |= shared.saw_outage(None);
        context.connections.set(&name, Ok(Arc::clone(connection)));
    }
    // NB: before the report, which may fail: no one else wakes those who wait for this connection.
    if changed {
        context.store.wake_users(&name);
    }
    let shown = report(object, &context, &result).await?;
    // NB: nothing wakes it when it is shown again with the same generation.
    let soon = context.process.settings.timing.retry_first;
    Ok(Action::requeue(if shown { retry } else { soon }))
}

/// What needs no ZITADEL applies at once, whether it answers or not: who may use the connection, and how much. The client goes on being
/// used for the same address and the same declared credential only: nothing is sent to an address that is not declared any more.
fn on_new_terms(
    object: &ZitadelConnection,
    context: &Context,
    before: Arc<Connection>,
) -> Result<Arc<Connection>, Failure> {
    if before.terms == object_version(&object.metadata) {
        return Ok(before);
    }
    let name = &before.name;
    let same = before.reach.declared == Declared::by(&object.spec);
    let after = Connection::clone(&before).on_terms(object);
    let Some(after) = after.ok().filter(|_| same) else {
        let failure = unreached();
        context.connections.set(name, Err(failure.clone()));
        return Err(failure);
    };
    let after = Arc::new(after);
    context.connections.set(name, Ok(Arc::clone(&after)));
    context.store.wake_users(name);
    Ok(after)
}

fn credential(method: AuthMethod<'_>, bytes: &[u8]) -> Result<Credential, CredentialError> {
    match method {
        AuthMethod::ServiceAccountKey(_) => Credential::service_account_key(bytes),
        AuthMethod::PersonalAccessToken(_) => Credential::personal_access_token(bytes),
    }
}

type Connected = (Arc<Connection>, Option<jiff::Timestamp>);

async fn connect(
    object: &ZitadelConnection,
    context: &Context,
    before: Option<&Arc<Connection>>,
    shared: Arc<Shared>,
) -> Result<Connected, Unusable> {
    let spec = &object.spec;
    let name = object.metadata.name.clone().unwrap_or_default();
    let plaintext = spec.allows_plaintext();
    let unusable = |field: &str, value: &str, error: IssuerError| {
        let message = format!("spec.{field}: {} {error}", quote::url(value));
        Unusable::new(Reason::InvalidSpec, message)
    };
    let url = |error| unusable("url", &spec.url, error);
    let issuer = Issuer::parse(&spec.url, plaintext).map_err(url)?;
    organization(spec).map_err(|error| invalid(error.into()))?;
    let endpoint = spec
        .endpoint
        .as_deref()
        .map(|endpoint| Endpoint::parse(endpoint, plaintext))
        .transpose();
    let declared = spec.endpoint.as_deref().unwrap_or_default();
    let endpoint = endpoint.map_err(|error| unusable("endpoint", declared, error))?;
    let material = material(spec, context).await?;
    let reach = Reach {
        declared: Declared::by(spec),
        credential: material.credential_revision,
        authorities: material.ca_revision,
        proxy: material.proxy_revision,
    };
    let method = method(spec)?;
    let credential = credential(method, &material.credential).map_err(|error| {
        let (namespace, KeyRef { name, key }) = (&context.process.settings.namespace, method.key());
        let message = format!("Secret {namespace}/{name}, key {key}: {error}");
        Unusable::new(Reason::CredentialMalformed, message)
    })?;
    let expiry = credential.expiry();
    if let Some(before) = before
        && before.reach == reach
    {
        // Nothing changed: one cheap call shows whether the credential still works.
        let known = (!shared.takes_api_doubt()).then(|| before.zitadel.api());
        let after = still(before, object, known).await?;
        return Ok((after, expiry));
    }
    if before.is_some_and(|before| before.reach.authorities != reach.authorities) {
        // The one that was trusted may not be any more. A credential that is replaced may go on being used meanwhile: it goes to the same one.
        context.connections.set(&name, Err(unreached()));
    }
    let timeouts = Timeouts {
        generate: context.process.settings.timing.request,
        ..Timeouts::default()
    };
    let config = ClientConfig {
        endpoint,
        ca_pem: material.ca_pem,
        proxy: material.proxy,
        timeouts,
        observer: Some(observer(context, &name, &shared)),
        ..ClientConfig::new(issuer.clone(), credential)
    };
    let client = Client::new(config).map_err(|error| match error {
        ConfigError::CaBundle => Unusable::new(
            Reason::CaBundleInvalid,
            format!("spec.tls.caBundle: {error}"),
        ),
        ConfigError::ProxyCaBundle => Unusable::new(
            Reason::CaBundleInvalid,
            format!("spec.proxy.caBundle: {error}"),
        ),
        ConfigError::Proxy => {
            Unusable::new(Reason::InvalidSpec, format!("spec.proxy.url: {error}"))
        }
        ConfigError::Tls => Unusable::new(Reason::TlsFailed, error.to_string()),
    })?;
    let discovery = client.discovery().await.map_err(|error| refused(&error))?;
    let found = check::find(&client, spec.api(), None).await?;
    let connection = Connection {
        name,
        zitadel: Arc::new(client.over(found.version)),
        user: found.user,
        endpoints: Endpoints {
            issuer: issuer.as_str().to_owned(),
            introspection: discovery.introspection_endpoint,
            token: discovery.token_endpoint,
        },
        organization: None,
        rehearsal: RehearsalPolicy::Required,
        grants: Vec::new(),
        shared,
        repair_limit: RepairLimit::default(),
        made_from: String::new(),
        reach,
        terms: ObjectVersion::default(),
    };
    let connection = connection.on_terms(object).map_err(invalid)?;
    Ok((Arc::new(connection), expiry))
}

/// The connection as it was, over the version of the API that is served. `known` is the one in use, if no call has said that it is gone.
async fn still(
    before: &Arc<Connection>,
    object: &ZitadelConnection,
    known: Option<ApiVersion>,
) -> Result<Arc<Connection>, Unusable> {
    let found = check::find(&before.zitadel, object.spec.api(), known).await?;
    if found.version == before.zitadel.api() && found.user == before.user {
        return Ok(Arc::clone(before));
    }
    let connection = Connection {
        zitadel: Arc::new(before.zitadel.over(found.version)),
        user: found.user,
        ..Connection::clone(before)
    };
    let connection = connection.on_terms(object).map_err(invalid)?;
    Ok(Arc::new(connection))
}

fn invalid(error: TermsError) -> Unusable {
    Unusable::new(Reason::InvalidSpec, error.to_string())
}

/// Counts the calls of a connection, and has the connection checked when one of them casts doubt on it.
fn observer(context: &Context, name: &str, shared: &Arc<Shared>) -> Observer {
    let metrics = context.process.metrics.clone();
    let doubt = doubt(context, name, shared);
    let shared = Arc::clone(shared);
    Box::new(move |operation, error, took| {
        let outcome = error.map_or("Ok", |error| error.class().reason());
        metrics.zitadel_request(operation.as_str(), took);
        shared.requests.count(operation.as_str(), outcome);
        // NB: the check itself consists of these calls. The call that needed the token fails as well.
        let is_check = matches!(
            operation,
            Operation::Me | Operation::Discovery | Operation::Api | Operation::Token
        );
        let served = !error.is_some_and(|error| is_gone(operation, error));
        if !served {
            shared.doubts_api();
        }
        if !is_check && (!served || error.is_some_and(casts_doubt)) {
            doubt();
        }
    })
}

/// Whether a call says that the API in use is not served any more.
///
/// NB: not of projects, which another service has that may be missing for good; nor of a journal, which is asked of v1 for an attempt that was
/// begun over it.
fn is_gone(operation: Operation, error: &ZitadelError) -> bool {
    error.class() == ErrorClass::NotServed
        && matches!(
            operation,
            Operation::App | Operation::Apps | Operation::Generate
        )
}

/// Whether a call that failed so makes it doubtful that the connection works.
fn casts_doubt(error: &ZitadelError) -> bool {
    needs_more(error)
        || matches!(
            error.class(),
            ErrorClass::Unauthenticated | ErrorClass::TokenRefused
        )
}

/// Has the connection checked, at most every few seconds.
fn doubt(context: &Context, name: &str, shared: &Arc<Shared>) -> impl Fn() + Send + Sync + 'static {
    let wake = context.wake_connections.clone();
    let clock = Arc::clone(&context.process.clock);
    let shared = Arc::clone(shared);
    let connection = ObjectRef::new(name);
    move || {
        let Some(wait) = shared.doubts(clock.boot()) else {
            return;
        };
        let (wake, connection) = (wake.clone(), connection.clone());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = wake.send(connection);
        });
    }
}

/// Writes the status and the events. False if the API server has another spec than the watch shows.
async fn report(
    object: &ZitadelConnection,
    context: &Context,
    result: &Result<Connected, Unusable>,
) -> Result<bool, kube::Error> {
    let before = object.status.clone().unwrap_or_default();
    let mut status = ZitadelConnectionStatus {
        observed_generation: object.metadata.generation,
        ..before.clone()
    };
    let now = context.process.clock.wall();
    let generation = object.metadata.generation;
    match result {
        Ok((connection, expiry)) => {
            status.user_id = connection.user.as_ref().map(ToString::to_string);
            status.credential_expiry = expiry.map(Time);
            status.api = Some(api_in_use(connection));
            let message = connected(connection);
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
        Err(Unusable {
            failure, message, ..
        }) => {
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
        return Ok(true);
    }
    let name = object.metadata.name.clone().unwrap_or_default();
    let api: Api<ZitadelConnection> = Api::all(context.process.client.clone());
    let patch =
        Patch::Merge(json!({"status": crate::report::merge_patch::merge_patch(&before, &status)}));
    let written = api.patch_status(&name, &apply::patch(), &patch).await?;
    let shown = written.metadata.generation != generation || written.spec == object.spec;
    if !shown {
        let kind = ZitadelConnection::kind(&());
        let relist = &context.process.relist;
        relist.shown_otherwise(&kind, &written.metadata);
    }
    if let Some(news) = changes::of_api(before.api.as_ref(), status.api.as_ref()) {
        context
            .events
            .paced(object, news.severity, news.reason, &news.note);
    }
    if let Some(news) = changes::of_ready(&before.conditions, &status.conditions) {
        context
            .events
            .paced(object, news.severity, news.reason, &news.note);
    }
    Ok(shown)
}

fn api_in_use(connection: &Connection) -> ApiInUse {
    let version = connection.zitadel.api();
    let journal = match (version, connection.shared.journal_readable()) {
        (ApiVersion::V2, _) => "None",
        (ApiVersion::V1, None) => "Unknown",
        (ApiVersion::V1, Some(true)) => "Readable",
        (ApiVersion::V1, Some(false)) => "Unreadable",
    };
    ApiInUse {
        in_use: version.as_str().to_owned(),
        journal: journal.to_owned(),
    }
}

/// The message of a connection that can be used.
fn connected(connection: &Connection) -> String {
    let user = connection.user.as_ref();
    let user = user.map_or_else(String::new, |user| format!(" as user {user}"));
    let api = match (connection.zitadel.api(), connection.zitadel.deprecation()) {
        (ApiVersion::V2, _) => format!(" over API V2: {V2_GUARANTEES}"),
        (ApiVersion::V1, Some(deprecation)) => {
            format!(" over API V1, which ZITADEL calls {deprecation}")
        }
        (ApiVersion::V1, None) => String::new(),
    };
    format!("Connected{user}{api}")
}

/// The connection can't even be read, so no one may use it: a value that the schema of another version let through.
async fn unreadable(
    guarded: &GuardedConnection,
    error: &str,
    context: &Context,
) -> Result<Action, kube::Error> {
    let name = guarded.name_any();
    let set = |failure: Failure| {
        let before = context.connections.get(&name);
        context.connections.set(&name, Err(failure.clone()));
        if before.err() != Some(failure) {
            context.store.wake_users(&name);
        }
    };
    let failure = permanent(Reason::InvalidObject);
    let known = context.connections.get(&name).err();
    let reported = unreadable::report::<ZitadelConnection>(context, guarded.meta(), error).await;
    match &reported {
        // What was known of it stands.
        Ok(Unreadable::Elsewhere) => {}
        // NB: those who use it may not be allowed to read it.
        Ok(Unreadable::Reported(sentence)) => set(Failure {
            connection: Some(sentence.clone()),
            ..failure
        }),
        Ok(Unreadable::Known) | Err(_) => {
            if known.is_none_or(|known| known.reason != failure.reason) {
                set(failure);
            }
        }
    }
    reported.map(|reported| reported.again(context))
}
