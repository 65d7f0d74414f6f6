//! The controllers of the objects of one namespace, or of all of them: its watches, and what each event wakes.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;

use crate::api::Kind;
use crate::operator::sync::{stream_of, unless_stopped_before_sync};
use crate::process::denied_requests::DeniedRequest;
use crate::reconcile::context::Context;
use crate::reconcile::limits;
use crate::reconcile::reconcile;
use crate::report::{self, Error};
use crate::store::cache::{ByKind, Cache, Objects, Synced};
use crate::store::object::Object;
use crate::store::prune;
use crate::store::secret::MANAGED_LABEL;
use crate::store::secrets::KeptSecret;
use crate::store::watch::{NoPause, watch, with_missed_deletions};

/// How long an object that cannot be reconciled yet waits, once that was reported.
const NOT_YET: Duration = Duration::from_secs(5);
/// How long an object that names a connection of another operator is left alone. A change of either is reconciled at once, but no
/// event shows a connection that was deleted while the watch was interrupted.
const FOREIGN: Duration = Duration::from_mins(5);

/// Where the watches of a cache write.
pub struct Feed {
    objects: ByKind<ObjectsFeed>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
}

/// Where the watch of one kind writes.
struct ObjectsFeed {
    writer: Writer<Object>,
    woken: mpsc::UnboundedReceiver<ObjectRef<Object>>,
}

/// An empty cache and its feed.
pub fn cache() -> (Cache, Feed) {
    let (api_app, api_app_feed) = objects(Kind::ApiApp);
    let (oidc_app, oidc_app_feed) = objects(Kind::OidcApp);
    let (namespaces, namespaces_writer) = reflector::store();
    let cache = Cache {
        objects: ByKind { api_app, oidc_app },
        secrets: Arc::default(),
        secrets_synced: Synced::default(),
        namespaces,
        namespaces_synced: Synced::default(),
    };
    let feed = Feed {
        objects: ByKind {
            api_app: api_app_feed,
            oidc_app: oidc_app_feed,
        },
        namespaces: namespaces_writer,
    };
    (cache, feed)
}

fn objects(kind: Kind) -> (Objects, ObjectsFeed) {
    let (wake, woken) = mpsc::unbounded_channel();
    let writer = Writer::new(kind);
    let objects = Objects {
        kind,
        all: writer.as_reader(),
        synced: Synced::default(),
        statuses: Arc::default(),
        own_statuses: Arc::default(),
        wake,
    };
    (objects, ObjectsFeed { writer, woken })
}

/// Watches a namespace, or the whole cluster, and reconciles its objects, until the process stops.
pub async fn control(context: Arc<Context>, namespace: Option<String>, cache: Cache, feed: Feed) {
    let beside = async {
        futures::join!(
            watch_secrets(&context, namespace.clone(), &cache),
            watch_namespaces(&context, namespace.as_deref(), &cache, feed.namespaces)
        );
    };
    let ByKind { api_app, oidc_app } = feed.objects;
    let work = async {
        futures::join!(
            control_kind(&context, namespace.clone(), &cache.objects.api_app, api_app),
            control_kind(
                &context,
                namespace.clone(),
                &cache.objects.oidc_app,
                oidc_app
            )
        );
    };
    tokio::select! {
        () = Box::pin(work) => {}
        () = Box::pin(beside) => {}
    }
}

/// Watches the objects of one kind and reconciles them, until the process stops.
async fn control_kind(
    context: &Arc<Context>,
    namespace: Option<String>,
    objects: &Objects,
    feed: ObjectsFeed,
) {
    let client = context.process.client.clone();
    let api: Api<Object> = match &namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &objects.kind),
        None => Api::all_with(client, &objects.kind),
    };
    let (indexed, shown, own) = (Arc::clone(context), objects.clone(), objects.clone());
    let changes = watch(api, watcher::Config::default(), &context.process.relist);
    let changes = with_missed_deletions(changes.boxed(), objects.all.clone())
        .reflect(feed.writer)
        .inspect(move |event| {
            if let Ok(event) = event {
                shown.statuses.lock().note(event);
            }
            index(&indexed, shown.kind, namespace.as_deref(), event);
            indexed.store.changed();
            shown.synced.note(event);
        })
        .filter(move |event| ready(!own.own_statuses.explain(event)))
        .applied_objects();

    let work = Controller::for_stream_with(changes, objects.all.clone(), objects.kind)
        .with_config(controller::Config::default().concurrency(limits::IN_ALL))
        .trigger_backoff(NoPause)
        .reconcile_on(stream_of(feed.woken))
        .graceful_shutdown_on(context.process.stop.clone().cancelled_owned())
        .run(reconcile_when_ready, on_error, Arc::clone(context))
        .for_each(|_| ready(()));
    unless_stopped_before_sync(work, &objects.synced, context).await;
}

/// Shows the namespaces, and has the objects of one reconciled that has changed. Does not end.
async fn watch_namespaces(
    context: &Context,
    namespace: Option<&str>,
    cache: &Cache,
    writer: Writer<PartialObjectMeta<Namespace>>,
) {
    let mut named = watcher::Config::default();
    if let Some(namespace) = namespace {
        // NB: RBAC can grant list and watch of one object by its name, and this is the request that it grants.
        named = named.fields(&format!("metadata.name={namespace}"));
    }
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(context.process.client.clone());
    let changes = watch(namespaces, named, &context.process.relist).modify(prune::annotations);
    with_missed_deletions(changes.boxed(), cache.namespaces.clone())
        .reflect(writer)
        .inspect(|event| cache.namespaces_synced.note(event))
        .touched_objects()
        .for_each(|changed| {
            if let Ok(changed) = changed {
                wake_objects_in(context, cache, &changed.name_any());
            }
            ready(())
        })
        .await;
}

/// Shows the Secrets with our label, and has the object reconciled whose Secret has changed. Does not end.
async fn watch_secrets(context: &Context, namespace: Option<String>, cache: &Cache) {
    let client = context.process.client.clone();
    let secrets: Api<PartialObjectMeta<Secret>> = match namespace {
        Some(namespace) => Api::namespaced(client, &namespace),
        None => Api::all(client),
    };
    let config = watcher::Config::default().labels(MANAGED_LABEL);
    let changes = watch(secrets, config, &context.process.relist).modify(prune::secret);
    changes
        .for_each(|event| {
            let touched = event.as_ref().map(|event| cache.secrets.note(event));
            context.store.changed();
            cache.secrets_synced.note(&event);
            for ((namespace, name), secret) in touched.into_iter().flatten() {
                for keeper in keepers(&namespace, &name, &secret) {
                    context.store.wake_object(keeper);
                }
            }
            ready(())
        })
        .await;
}

/// Keeps the index of which object names which application; those that come free are reconciled. `kind` and `watched` are those of the
/// watch: `watched` is its namespace, if it is not all of them.
fn index(
    context: &Context,
    kind: Kind,
    watched: Option<&str>,
    event: &Result<Event<Object>, watcher::Error>,
) {
    let mut index = context.store.owners.lock();
    let mut forget = |object: &Object| {
        let namespace = object.namespace().unwrap_or_default();
        index.remove(kind, &namespace, &object.name_any())
    };
    let freed = match event {
        Ok(Event::Apply(kept) | Event::InitApply(kept)) => match kept.read() {
            Ok(object) => index.insert(&object),
            Err(_) => forget(kept),
        },
        Ok(Event::Delete(kept)) => {
            if context.process.lead.leads()
                && let Ok(object) = kept.read()
            {
                report::deleted(&object, context);
            }
            forget(kept)
        }
        // What was deleted while the watch was interrupted is only missing in the list.
        Ok(Event::InitDone) => {
            index.retain(kind, watched, |owner| context.store.object(owner).is_some())
        }
        Ok(Event::Init) | Err(_) => return,
    };
    drop(index);
    for owner in &freed {
        context.store.wake(owner);
    }
}

/// Waits until this replica leads and the watches have shown everything: a partly filled cache resembles a cluster in which
/// everything is gone. Where a watch is refused, that is said.
async fn reconcile_when_ready(object: Arc<Object>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let connection = object.connection().unwrap_or_default();
    let in_the_way = |request: &DeniedRequest| {
        let here = request.namespace.is_empty()
            || request.namespace == namespace
            || request.namespace == context.process.settings.namespace;
        let needed = ["secrets", "namespaces", "leases", "zitadelconnections"];
        request.hides_objects() && here && needed.contains(&request.resource)
    };
    let ready = async {
        context.process.lead.leading().await;
        tokio::select! {
            biased;
            () = context.store.synced(object.kind(), &namespace) => None,
            request = context.process.denied.until(in_the_way) => Some(request),
        }
    };
    // NB: the end of the process waits for every reconcile, and nothing fills the caches any more then.
    match context.process.stop.run_until_cancelled(ready).await {
        None => return Ok(Action::await_change()),
        Some(_) if context.store.is_foreign(connection) => return Ok(Action::requeue(FOREIGN)),
        Some(Some(request)) => {
            report::blind(&object, &request, &context).await?;
            return Ok(Action::requeue(NOT_YET));
        }
        Some(None) => {}
    }
    if context.awaits_connection(connection) {
        return Ok(Action::await_change());
    }
    let who = object.reference();
    // NB: it may have waited for long: to lead, for example.
    let objects = context.store.objects_of(object.kind(), &namespace);
    let Some(object) = objects.and_then(|objects| objects.all.get(&who)) else {
        return Ok(Action::await_change());
    };
    let Some(_slot) = context.pools.try_acquire(&who, connection, &namespace) else {
        return Ok(Action::await_change());
    };
    let result = Box::pin(reconcile(Arc::clone(&object), Arc::clone(&context))).await;
    if result.is_ok() {
        context.retries.succeeded(object.uid());
    }
    result
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the controller's"
)]
fn on_error(object: Arc<Object>, error: &Error, context: Arc<Context>) -> Action {
    let wait = context.retries.failed(object.uid().to_owned());
    if let Some(left_out) = context.log.allows(error.reason()) {
        tracing::warn!(
            kind = %object.kind(),
            namespace = object.meta().namespace,
            name = object.meta().name,
            reason = error.reason(),
            left_out,
            "reconciling an object failed; it is retried"
        );
    }
    Action::requeue(wait)
}

fn wake_objects_in(context: &Context, cache: &Cache, namespace: &str) {
    for objects in cache.objects.iter() {
        for object in objects.all.state() {
            if object.meta().namespace.as_deref() == Some(namespace) {
                context.store.wake_object(object.reference());
            }
        }
    }
}

/// The object that keeps a Secret. Where that is not known, those that may.
fn keepers(namespace: &str, name: &str, secret: &KeptSecret) -> Vec<ObjectRef<Object>> {
    let owner = secret.record().map(|record| record.owner);
    let owner = owner.filter(|owner| owner.namespace == namespace);
    let reference = |kind, name: &str| ObjectRef::new_with(name, kind).within(namespace);
    match owner {
        Some(owner) => vec![reference(owner.kind, &owner.name)],
        // A record that was removed or damaged: by default the object has the Secret's name.
        None => Kind::ALL.map(|kind| reference(kind, name)).into(),
    }
}
