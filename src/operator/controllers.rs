//! Runs the controllers: the watches, what each event wakes, and the order in which things start.

use std::fmt::Debug;
use std::future::ready;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{PredicateConfig, WatchStreamExt, predicates};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc;

use crate::api::{AuthMethod, CaBundle, ZitadelConnectionSpec};
use crate::background::health;
use crate::background::inventory;
use crate::background::standby_replica;
use crate::background::{self, drift, restore, sweep, usage};
use crate::connection::connect;
use crate::operator::objects::{self, Feed};
use crate::operator::sync::{stream_of, unless_stopped_before_sync};
use crate::process::readiness::Readiness;
use crate::reconcile::context::{Context, ProcessHandles};
use crate::store::Store;
use crate::store::cache::Cache;
use crate::store::cache::GuardedConnection;
use crate::store::claim::CLAIM_LABEL;
use crate::store::prune;
use crate::store::watch::{NoPause, watch, with_missed_deletions};

/// Runs until `handles.stop`, and then until every reconcile under way has ended. What is still being written goes on in tasks of
/// its own, which the returned context tracks.
pub async fn run(handles: ProcessHandles, readiness: Readiness) -> Arc<Context> {
    let stop = handles.stop.clone();
    let (wake_connections, woken_connections) = mpsc::unbounded_channel();
    let (connections, connections_writer) = reflector::store();
    let scope = handles.settings.scope.parts();
    let scope: Vec<_> = scope
        .into_iter()
        .map(|namespace| (namespace.map(ToOwned::to_owned), objects::cache()))
        .collect();
    let by_namespace = |(namespace, (cache, _)): &(Option<String>, (Cache, Feed))| {
        (namespace.clone(), cache.clone())
    };
    let store = Store::new(
        handles.settings.class.clone(),
        scope.iter().map(by_namespace).collect(),
        connections,
    );
    let context = Arc::new(Context::new(handles, Arc::new(store), wake_connections));
    inventory::export(&context);
    let apps = scope.into_iter().map(|(namespace, (cache, feed))| {
        Box::pin(objects::control(
            Arc::clone(&context),
            namespace,
            cache,
            feed,
        ))
    });
    let connections = unless_stopped_before_sync(
        connections_controller(&context, connections_writer, woken_connections),
        &context.store.connections_synced,
        &context,
    );
    let standby = async {
        context.store.any_synced().await;
        standby_replica::watch(Arc::clone(&context)).await;
    };
    let leader = async {
        context.store.any_synced().await;
        while context.process.lead.leading().await {
            let tasks = futures::future::join5(
                drift::scan_for_external_rotations(Arc::clone(&context)),
                restore::detect_restore(Arc::clone(&context)),
                sweep::sweep_claims(Arc::clone(&context)),
                usage::count_objects_periodically(Arc::clone(&context)),
                background::wake_waiters_periodically(Arc::clone(&context)),
            );
            tokio::select! {
                _ = Box::pin(tasks) => {}
                () = context.process.lead.standby() => {}
            }
        }
    };
    let beside = async {
        futures::join!(
            Box::pin(watch_claims(&context)),
            Box::pin(health::report(&context, &readiness)),
            Box::pin(standby),
            Box::pin(leader)
        );
    };
    futures::join!(
        futures::future::join_all(apps),
        Box::pin(connections),
        stop.run_until_cancelled(beside)
    );
    context
}

/// Watches the claims, and reconciles the object whose claim has changed.
async fn watch_claims(context: &Context) {
    let leases: Api<Lease> = Api::namespaced(
        context.process.client.clone(),
        &context.process.settings.namespace,
    );
    let config = watcher::Config::default().labels(CLAIM_LABEL);
    let store = &context.store;
    let changes = watch(leases, config, &context.process.relist);
    changes
        .for_each(|event| {
            let touched = event.as_ref().map(|event| store.claims.note(event));
            store.changed();
            store.claims_synced.note(&event);
            let explained = store.own_claims.explain(&event);
            for (name, claim) in touched.into_iter().flatten().filter(|_| !explained) {
                match &claim.record {
                    Ok(claim) => store.wake(&claim.owner),
                    // NB: it does not say whose it is, but its name says of which application.
                    Err(_) => {
                        for owner in sweep::claimants(context, &name) {
                            store.wake(&owner);
                        }
                    }
                }
            }
            ready(())
        })
        .await;
}

/// Forgets the connections that are gone or another operator's by now; the objects that name them are reconciled.
fn forget_connections(context: &Context) {
    let kept = |name: &str| context.store.keeps_connection(name);
    for gone in context.connections.retain(kept) {
        context.store.wake_users(&gone);
    }
}

/// Waits until this replica leads: a standby asks ZITADEL nothing.
async fn connect_when_leading(
    connection: Arc<GuardedConnection>,
    context: Arc<Context>,
) -> Result<Action, kube::Error> {
    let stop = context.process.stop.clone();
    if stop
        .run_until_cancelled(context.process.lead.leading())
        .await
        .is_none()
    {
        return Ok(Action::await_change());
    }
    let name = connection.name_any();
    if !context.store.is_own(&connection) {
        return Ok(Action::await_change());
    }
    let result = Box::pin(connect::reconcile(connection, Arc::clone(&context))).await;
    if result.is_ok() {
        context.connection_retries.succeeded(&name);
    }
    result
}

/// The controller of the connections.
fn connections_controller(
    context: &Arc<Context>,
    writer: Writer<GuardedConnection>,
    woken: mpsc::UnboundedReceiver<ObjectRef<GuardedConnection>>,
) -> impl Future<Output = ()> + use<> {
    let client = context.process.client.clone();
    let namespace = context.process.settings.namespace.clone();
    let store = context.store.connections.clone();
    let listed = Arc::clone(context);
    let changes = watch(
        Api::<GuardedConnection>::all(client.clone()),
        watcher::Config::default(),
        &context.process.relist,
    )
    .modify(prune::annotations)
    .reflect(writer)
    .inspect(move |event| {
        // NB: a list shows what was deleted only by leaving it out, and a change may have given a connection to another operator.
        if let Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone) = event {
            forget_connections(&listed);
        }
        // Nothing was known of one that was another operator's; the objects that name it are reconciled now.
        if let Ok(Event::Delete(connection)) = event {
            listed.store.wake_users(&connection.name_any());
        }
        listed.store.connections_synced.note(event);
    })
    .applied_objects()
    .predicate_filter(predicates::generation, PredicateConfig::default());
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), &namespace);
    let secret_changes = touched_names(context, secrets);
    let maps: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(client, &namespace);
    let map_changes = touched_names(context, maps);
    let (by_secret, by_map) = (store.clone(), store.clone());
    Controller::for_stream(changes, store)
        .trigger_backoff(NoPause)
        .watches_stream(secret_changes, move |secret: PartialObjectMeta<Secret>| {
            users_of(&by_secret, &secret.name_any(), names_of_secrets)
        })
        .watches_stream(map_changes, move |map: PartialObjectMeta<ConfigMap>| {
            users_of(&by_map, &map.name_any(), names_of_maps)
        })
        .reconcile_on(stream_of(woken))
        .graceful_shutdown_on(context.process.stop.clone().cancelled_owned())
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

/// What has changed, or is gone: names, and nothing else of it is kept.
fn touched_names<K>(
    context: &Context,
    api: Api<PartialObjectMeta<K>>,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let changes =
        watch(api, watcher::Config::default(), &context.process.relist).modify(|object| {
            object.metadata = ObjectMeta {
                name: object.metadata.name.take(),
                namespace: object.metadata.namespace.take(),
                ..ObjectMeta::default()
            };
        });
    with_missed_deletions(changes.boxed(), store)
        .reflect(writer)
        .touched_objects()
}

fn names_of_secrets(spec: &ZitadelConnectionSpec) -> Vec<&str> {
    let auth = spec.auth.method().map(AuthMethod::key);
    let proxy_auth = spec.proxy.as_ref().and_then(|proxy| proxy.auth.as_ref());
    let bundles = bundles(spec).filter_map(|bundle| bundle.secret_key_ref.as_ref());
    auth.into_iter()
        .chain(proxy_auth.map(|auth| &auth.secret_key_ref))
        .chain(bundles)
        .map(|reference| reference.name.as_str())
        .collect()
}

fn names_of_maps(spec: &ZitadelConnectionSpec) -> Vec<&str> {
    bundles(spec)
        .filter_map(|bundle| bundle.config_map_key_ref.as_ref())
        .map(|reference| reference.name.as_str())
        .collect()
}

/// The certificate authorities that a connection names.
fn bundles(spec: &ZitadelConnectionSpec) -> impl Iterator<Item = &CaBundle> {
    let of_proxy = spec
        .proxy
        .as_ref()
        .and_then(|proxy| proxy.ca_bundle.as_ref());
    spec.ca_bundle().into_iter().chain(of_proxy)
}

fn users_of(
    store: &reflector::Store<GuardedConnection>,
    name: &str,
    names: fn(&ZitadelConnectionSpec) -> Vec<&str>,
) -> Vec<ObjectRef<GuardedConnection>> {
    let uses = |connection: &Arc<GuardedConnection>| {
        let object = connection.0.as_ref();
        object.is_ok_and(|object| names(&object.spec).contains(&name))
    };
    store
        .state()
        .into_iter()
        .filter(uses)
        .map(|connection| ObjectRef::from_obj(connection.as_ref()))
        .collect()
}
