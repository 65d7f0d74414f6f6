//! Runs the controllers: the watches, what each event wakes, and the order in which things start.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{PredicateConfig, WatchStreamExt, predicates};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc;

use super::bulkhead;
use super::claim::{self, CLAIM_LABEL};
use super::connect;
use super::context::{Context, Guarded, Parts, Stores, lock};
use super::open_claims;
use super::patrol;
use super::reconcile::{Error, reconcile};
use super::secret::{COMMIT_ANNOTATION, MANAGED_LABEL};

use crate::api::{ZitadelConnection, ZitadelConnectionSpec};
use crate::rotation::{ClaimView, CommitRecord, Owner};
use crate::runtime::readiness::{Check, Readiness};

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
    let (connections, connections_writer) = reflector::store();
    let stores = Stores {
        objects: objects.clone(),
        secrets,
        claims,
        namespaces,
        connections,
        objects_shown: Arc::default(),
        secrets_shown: Arc::default(),
        claims_shown: Arc::default(),
    };
    let objects_shown = Arc::clone(&stores.objects_shown);
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
        .reflect(objects_writer)
        .inspect(move |event| {
            objects_shown.note(event);
            index(&indexed, event);
        })
        .applied_objects();

    let in_namespace = objects.clone();
    let apps = Controller::for_stream(object_changes, objects)
        .with_config(controller::Config::default().concurrency(bulkhead::IN_ALL))
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

    let connections = connections_controller(&context, connections_writer, woken_connections);
    let standby = async {
        fill(&context.stores).await;
        context.filled.cancel();
        readiness.set("watches", Check::Ok);
        open_claims::watch(Arc::clone(&context)).await;
    };
    let leader = async {
        context.lead.cancelled().await;
        context.filled.cancelled().await;
        let looked_at = async {
            connections_looked_at(&context).await;
            readiness.set("connections", Check::Ok);
        };
        futures::join!(
            looked_at,
            patrol::look_for_rotations_by_others(Arc::clone(&context)),
            patrol::sweep_claims(Arc::clone(&context)),
            patrol::tally(Arc::clone(&context))
        );
    };
    let patrols = stop.run_until_cancelled(async { futures::join!(standby, leader) });
    let work = futures::future::join3(Box::pin(apps), Box::pin(connections), Box::pin(patrols));
    // NB: a controller that is stopped while its caches fill waits for them for ever. Nothing was begun then, and neither by a replica
    // that never led: leave it.
    let never_began = async {
        let begun = async {
            context.lead.cancelled().await;
            context.filled.cancelled().await;
        };
        if stop.run_until_cancelled(begun).await.is_some() {
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
    let mut index = lock(&context.index);
    let mut forget = |guarded: &Guarded| {
        let namespace = guarded.namespace().unwrap_or_default();
        index.remove(&namespace, &guarded.name_any())
    };
    let freed = match event {
        Ok(Event::Apply(guarded) | Event::InitApply(guarded)) => match &guarded.0 {
            Ok(object) => index.insert(object),
            Err(_) => forget(guarded),
        },
        Ok(Event::Delete(guarded)) => forget(guarded),
        // What was deleted while the watch was interrupted is only missing in the list.
        Ok(Event::InitDone) => index.retain(|owner| context.object(owner).is_some()),
        Ok(Event::Init) | Err(_) => return,
    };
    drop(index);
    for owner in &freed {
        context.wake(owner);
    }
}

/// Waits until every watch has shown everything: a cache that is still filling looks like a cluster in which everything is gone.
///
/// NB: to be called once. Of several tasks that wait for a store kube wakes one; the others wait for [`Context::filled`].
async fn fill(stores: &Stores) {
    let Stores {
        objects,
        secrets,
        claims,
        namespaces,
        connections,
        ..
    } = stores;
    // NB: an error means that the watch has ended, and with it whoever waits here.
    let _ = futures::join!(
        objects.wait_until_ready(),
        secrets.wait_until_ready(),
        claims.wait_until_ready(),
        namespaces.wait_until_ready(),
        connections.wait_until_ready()
    );
}

/// Waits until each connection that there was in the beginning was looked at once.
async fn connections_looked_at(context: &Context) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let unknown =
        |connection: &Arc<ZitadelConnection>| !context.connections.knows(&connection.name_any());
    while context.stores.connections.state().iter().any(unknown) {
        ticks.tick().await;
    }
}

/// Waits until this replica leads and knows what there is.
async fn reconcile_when_ready(
    guarded: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let ready = async {
        context.lead.cancelled().await;
        context.filled.cancelled().await;
    };
    // NB: the end of the process waits for every reconcile, and nothing fills the caches any more then.
    if context.stop.run_until_cancelled(ready).await.is_none() {
        return Ok(Action::await_change());
    }
    let connection = match &guarded.0 {
        Ok(object) => object.spec.connection_name(),
        Err(_) => "",
    };
    if context.awaits_connection(connection) {
        return Ok(Action::await_change());
    }
    let who = ObjectRef::from_obj(guarded.as_ref());
    let namespace = guarded.namespace().unwrap_or_default();
    let Some(_place) = context.bulkheads.enter(&who, connection, &namespace) else {
        return Ok(Action::await_change());
    };
    let result = Box::pin(reconcile(Arc::clone(&guarded), Arc::clone(&context))).await;
    if result.is_ok() {
        context
            .retries
            .succeeded(&guarded.uid().unwrap_or_default());
    }
    result
}

/// Waits until this replica leads: a standby asks ZITADEL nothing.
async fn connect_when_leading(
    connection: Arc<ZitadelConnection>,
    context: Arc<Context>,
) -> Result<Action, kube::Error> {
    let stop = context.stop.clone();
    if stop
        .run_until_cancelled(context.lead.cancelled())
        .await
        .is_none()
    {
        return Ok(Action::await_change());
    }
    let name = connection.name_any();
    let result = Box::pin(connect::reconcile(connection, Arc::clone(&context))).await;
    if result.is_ok() {
        context.connection_retries.succeeded(&name);
    }
    result
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the controller's"
)]
fn on_error(guarded: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let wait = context.retries.failed(guarded.uid().unwrap_or_default());
    if let Some(left_out) = context.log.allows(error.reason()) {
        tracing::warn!(
            namespace = guarded.meta().namespace,
            name = guarded.meta().name,
            reason = error.reason(),
            left_out,
            "looking at an object failed; it is tried again"
        );
    }
    Action::requeue(wait)
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

/// The controller of the connections.
fn connections_controller(
    context: &Arc<Context>,
    writer: reflector::store::Writer<ZitadelConnection>,
    woken: mpsc::UnboundedReceiver<ObjectRef<ZitadelConnection>>,
) -> impl Future<Output = ()> + use<> {
    let client = context.client.clone();
    let namespace = context.settings.namespace.clone();
    let store = context.stores.connections.clone();
    let listed = Arc::clone(context);
    let changes = watcher(
        Api::<ZitadelConnection>::all(client.clone()),
        watcher::Config::default(),
    )
    .backoff(watch_backoff())
    .modify(prune)
    .reflect(writer)
    .inspect(move |event| {
        // NB: a list shows what was deleted only by leaving it out.
        if let Ok(Event::Delete(_) | Event::InitDone) = event {
            let connections = &listed.stores.connections;
            let exists = |name: &str| connections.get(&ObjectRef::new(name)).is_some();
            for gone in listed.connections.retain(exists) {
                listed.wake_users(&gone);
            }
        }
    })
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
    Controller::for_stream(changes, store)
        .watches_stream(secret_changes, move |secret: PartialObjectMeta<Secret>| {
            users_of(&by_secret, &secret.name_any(), names_of_secrets)
        })
        .watches_stream(map_changes, move |map: PartialObjectMeta<ConfigMap>| {
            users_of(&by_map, &map.name_any(), names_of_maps)
        })
        .reconcile_on(tokio_stream(woken))
        .graceful_shutdown_on(context.stop.clone().cancelled_owned())
        .run(
            connect_when_leading,
            |object, error: &kube::Error, context| {
                let wait = context.connection_retries.failed(object.name_any());
                if let Some(left_out) = context.log.allows("ConnectionStatusWriteFailed") {
                    tracing::warn!(connection = object.name_any(), %error, left_out, "the status of a connection cannot be written");
                }
                Action::requeue(wait)
            },
            Arc::clone(context),
        )
        .for_each(|_| ready(()))
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
