//! Runs the controllers: the watches, what each event wakes, and the order in which things start.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{PredicateConfig, WatchStreamExt, predicates};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc;

use super::claim::{self, CLAIM_LABEL};
use super::connect;
use super::context::{Context, Guarded, Parts, Stores, lock};
use super::inventory;
use super::patrol;
use super::reconcile::{Error, reconcile};
use super::secret::{COMMIT_ANNOTATION, MANAGED_LABEL};
use crate::api::{ZitadelConnection, ZitadelConnectionSpec};
use crate::rotation::{ClaimView, CommitRecord, Owner};
use crate::runtime::readiness::{Check, Readiness};

/// Objects that are looked at at once.
const CONCURRENCY: u16 = 16;

/// Runs until `parts.stop`, and then until every reconcile under way has ended. What is still being written goes on in tasks of
/// its own, which the returned context tracks.
#[expect(
    clippy::too_many_lines,
    reason = "the watches are set up in one place, in the order in which they depend on each other"
)]
pub async fn run(parts: Parts, readiness: Readiness) -> Arc<Context> {
    let client = parts.client.clone();
    let namespace = parts.settings.namespace.clone();
    let stop = parts.stop.clone();
    let (wake, woken) = mpsc::unbounded_channel();
    let (wake_connections, woken_connections) = mpsc::unbounded_channel();
    let (objects, objects_writer) = reflector::store();
    let (secrets, secrets_writer) = reflector::store();
    let (claims, claims_writer) = reflector::store();
    let (namespaces, namespaces_writer) = reflector::store();
    let stores = Stores {
        objects: objects.clone(),
        secrets,
        claims,
        namespaces,
        secrets_shown: Arc::default(),
        claims_shown: Arc::default(),
    };
    let (secrets_shown, claims_shown) = (
        Arc::clone(&stores.secrets_shown),
        Arc::clone(&stores.claims_shown),
    );
    let context = Arc::new(Context::new(parts, stores, wake, wake_connections));

    let secrets: Api<PartialObjectMeta<Secret>> = Api::all(client.clone());
    let secret_changes = watcher(secrets, watcher::Config::default().labels(MANAGED_LABEL))
        .backoff(watch_backoff())
        .modify(prune)
        .reflect(secrets_writer)
        .inspect(move |event| secrets_shown.note(event))
        .touched_objects();
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let claim_changes = watcher(leases, watcher::Config::default().labels(CLAIM_LABEL))
        .backoff(watch_backoff())
        .modify(prune)
        .reflect(claims_writer)
        .inspect(move |event| claims_shown.note(event))
        .touched_objects();
    let all_namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let namespace_changes = watcher(all_namespaces, watcher::Config::default())
        .backoff(watch_backoff())
        .modify(prune)
        .reflect(namespaces_writer)
        .applied_objects();
    let all_objects: Api<Guarded> = Api::all(client.clone());
    let indexed = Arc::clone(&context);
    let object_changes = watcher(all_objects, watcher::Config::default())
        .backoff(watch_backoff())
        .modify(prune)
        .inspect(move |event| index(&indexed, event))
        .reflect(objects_writer)
        .applied_objects();

    let in_namespace = objects.clone();
    let apps = Controller::for_stream(object_changes, objects)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .watches_stream(secret_changes, |secret: PartialObjectMeta<Secret>| {
            Some(keeper_of_secret(&secret))
        })
        .watches_stream(claim_changes, |lease: Lease| keeper_of_claim(&lease))
        .watches_stream(
            namespace_changes,
            move |changed: PartialObjectMeta<Namespace>| {
                let name = changed.name_any();
                let same =
                    move |object: &Arc<Guarded>| object.namespace().as_deref() == Some(&name);
                in_namespace
                    .state()
                    .into_iter()
                    .filter(same)
                    .map(|object| ObjectRef::from_obj(object.as_ref()))
                    .collect::<Vec<_>>()
            },
        )
        .reconcile_on(tokio_stream(woken))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(reconcile_when_ready, on_error, Arc::clone(&context))
        .for_each(|_| ready(()));

    let (connections, synced) = connections_controller(&context, woken_connections);
    let patrols = async {
        synced.await;
        readiness.set("connections", Check::Ok);
        context.stores.objects.wait_until_ready().await.ok();
        readiness.set("watches", Check::Ok);
        futures::join!(
            patrol::look_for_rotations_by_others(Arc::clone(&context)),
            patrol::sweep_claims(Arc::clone(&context))
        );
    };
    let patrols = stop.run_until_cancelled(patrols);
    let work = futures::future::join3(Box::pin(apps), Box::pin(connections), Box::pin(patrols));
    // NB: a controller that is stopped while its caches fill waits for them for ever. Nothing was begun then: leave it.
    let never_began = async {
        let filled = async {
            context.connections_ready.cancelled().await;
            context.stores.objects.wait_until_ready().await.ok();
        };
        if stop.run_until_cancelled(filled).await.is_some() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = work => {}
        () = never_began => {}
    }
    context
}

/// How long a watch that failed waits before it is tried again: an operator that is blind for half a minute is too late with repairs.
fn watch_backoff() -> watcher::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(8))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .into()
}

fn tokio_stream<T>(receiver: mpsc::UnboundedReceiver<T>) -> impl futures::Stream<Item = T> {
    futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

fn prune<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Keeps the index of which object names which application; those that come free are looked at.
fn index(context: &Context, event: &Result<Event<Guarded>, watcher::Error>) {
    match event {
        Ok(Event::Apply(guarded) | Event::InitApply(guarded)) => match &guarded.0 {
            Ok(object) => lock(&context.index).insert(object),
            Err(_) => forget(context, guarded),
        },
        Ok(Event::Delete(guarded)) => forget(context, guarded),
        Ok(Event::Init | Event::InitDone) | Err(_) => {}
    }
}

fn forget(context: &Context, guarded: &Guarded) {
    let freed = lock(&context.index).remove(
        &guarded.namespace().unwrap_or_default(),
        &guarded.name_any(),
    );
    for owner in &freed {
        context.wake(owner);
    }
}

/// Waits until the watches have shown everything: a cache that is still filling looks like a cluster in which everything is gone.
async fn reconcile_when_ready(
    guarded: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let stores = &context.stores;
    let filled = async {
        futures::join!(
            stores.secrets.wait_until_ready(),
            stores.claims.wait_until_ready(),
            stores.namespaces.wait_until_ready(),
            context.connections_ready.cancelled().map(Ok::<(), ()>)
        )
    };
    // NB: the end of the process waits for every reconcile, and nothing fills the caches any more then.
    if context.stop.run_until_cancelled(filled).await.is_none() {
        return Ok(Action::await_change());
    }
    reconcile(guarded, context).await
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the controller's"
)]
fn on_error(guarded: Arc<Guarded>, error: &Error, _: Arc<Context>) -> Action {
    tracing::warn!(
        namespace = guarded.meta().namespace,
        name = guarded.meta().name,
        reason = error.reason(),
        "looking at an object failed; it is tried again"
    );
    Action::requeue(Duration::from_secs(5))
}

fn reference(owner: &Owner) -> ObjectRef<Guarded> {
    ObjectRef::new(&owner.name).within(&owner.namespace)
}

fn keeper_of_secret(secret: &PartialObjectMeta<Secret>) -> ObjectRef<Guarded> {
    let namespace = secret.namespace().unwrap_or_default();
    let record = secret
        .annotations()
        .get(COMMIT_ANNOTATION)
        .and_then(|text| CommitRecord::from_json(text).ok());
    let owner = record
        .map(|record| record.owner)
        .filter(|owner| owner.namespace == namespace);
    // A record that was removed or damaged: by default the object has the Secret's name.
    owner.map_or_else(
        || ObjectRef::new(&secret.name_any()).within(&namespace),
        |owner| reference(&owner),
    )
}

fn keeper_of_claim(lease: &Lease) -> Option<ObjectRef<Guarded>> {
    match claim::view(Some(lease), |_| false) {
        ClaimView::Present {
            record: Ok(claim), ..
        } => Some(reference(&claim.owner)),
        _ => None,
    }
}

/// The controller of the connections, and a future that ends when each of them was looked at once.
fn connections_controller(
    context: &Arc<Context>,
    woken: mpsc::UnboundedReceiver<ObjectRef<ZitadelConnection>>,
) -> (impl Future<Output = ()>, impl Future<Output = ()>) {
    let client = context.client.clone();
    let namespace = context.settings.namespace.clone();
    let (store, writer) = reflector::store::<ZitadelConnection>();
    inventory::export(context, store.clone());
    let deleted = Arc::clone(context);
    let changes = watcher(
        Api::<ZitadelConnection>::all(client.clone()),
        watcher::Config::default(),
    )
    .backoff(watch_backoff())
    .modify(prune)
    .inspect(move |event| {
        if let Ok(Event::Delete(gone)) = event {
            deleted.connections.remove(&gone.name_any());
            wake_users(&deleted, &gone.name_any());
        }
    })
    .reflect(writer)
    .applied_objects()
    .predicate_filter(predicates::generation, PredicateConfig::default());
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), &namespace);
    let secret_changes = watcher(secrets, watcher::Config::default())
        .backoff(watch_backoff())
        .touched_objects();
    let maps: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(client, &namespace);
    let map_changes = watcher(maps, watcher::Config::default())
        .backoff(watch_backoff())
        .touched_objects();
    let (by_secret, by_map) = (store.clone(), store.clone());
    let run = Controller::for_stream(changes, store.clone())
        .watches_stream(secret_changes, move |secret: PartialObjectMeta<Secret>| {
            users_of(&by_secret, &secret.name_any(), names_of_secrets)
        })
        .watches_stream(map_changes, move |map: PartialObjectMeta<ConfigMap>| {
            users_of(&by_map, &map.name_any(), names_of_maps)
        })
        .reconcile_on(tokio_stream(woken))
        .graceful_shutdown_on(context.stop.clone().cancelled_owned())
        .run(
            connect::reconcile,
            |object, error: &kube::Error, _| {
                tracing::warn!(connection = object.name_any(), %error, "the status of a connection cannot be written");
                Action::requeue(Duration::from_secs(5))
            },
            Arc::clone(context),
        )
        .for_each(|_| ready(()));
    let waiting = Arc::clone(context);
    let synced = async move {
        store.wait_until_ready().await.ok();
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while !store
            .state()
            .iter()
            .all(|connection| waiting.connections.knows(&connection.name_any()))
        {
            ticks.tick().await;
        }
        waiting.connections_ready.cancel();
    };
    (run, synced)
}

fn wake_users(context: &Context, connection: &str) {
    for guarded in context.stores.objects.state() {
        if let Ok(object) = &guarded.0
            && object.spec.connection_name() == connection
        {
            context.wake(&super::context::owner(object));
        }
    }
}

fn names_of_secrets(spec: &ZitadelConnectionSpec) -> Vec<&str> {
    let ca = spec
        .ca_bundle
        .as_ref()
        .and_then(|ca| ca.secret_ref.as_ref());
    std::iter::once(&spec.credential.secret_ref)
        .chain(ca)
        .map(|reference| reference.name.as_str())
        .collect()
}

fn names_of_maps(spec: &ZitadelConnectionSpec) -> Vec<&str> {
    let ca = spec
        .ca_bundle
        .as_ref()
        .and_then(|ca| ca.config_map_ref.as_ref());
    ca.into_iter()
        .map(|reference| reference.name.as_str())
        .collect()
}

fn users_of(
    store: &Store<ZitadelConnection>,
    name: &str,
    names: fn(&ZitadelConnectionSpec) -> Vec<&str>,
) -> Vec<ObjectRef<ZitadelConnection>> {
    let uses = |connection: &Arc<ZitadelConnection>| names(&connection.spec).contains(&name);
    store
        .state()
        .into_iter()
        .filter(uses)
        .map(|connection| ObjectRef::from_obj(connection.as_ref()))
        .collect()
}
