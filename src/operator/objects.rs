//! The controller of the `ApiAppSecret`s of one namespace, or of all of them: its watches, and what each event wakes.

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
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;

use crate::operator::sync::{stream_of, unless_stopped_before_sync};
use crate::process::denied_requests::DeniedRequest;
use crate::reconcile::context::Context;
use crate::reconcile::limits;
use crate::reconcile::reconcile;
use crate::report::{self, Error};
use crate::store::cache::{Cache, Synced};
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
    objects: Writer<Object>,
    namespaces: Writer<PartialObjectMeta<Namespace>>,
    woken: mpsc::UnboundedReceiver<ObjectRef<Object>>,
}

/// An empty cache and its feed.
pub fn cache() -> (Cache, Feed) {
    let (wake, woken) = mpsc::unbounded_channel();
    let (objects, objects_writer) = reflector::store();
    let (namespaces, namespaces_writer) = reflector::store();
    let cache = Cache {
        objects,
        objects_synced: Synced::default(),
        statuses: Arc::default(),
        secrets: Arc::default(),
        secrets_synced: Synced::default(),
        namespaces,
        namespaces_synced: Synced::default(),
        wake,
    };
    let feed = Feed {
        objects: objects_writer,
        namespaces: namespaces_writer,
        woken,
    };
    (cache, feed)
}

/// Watches a namespace, or the whole cluster, and reconciles its objects, until the process stops.
pub async fn control(context: Arc<Context>, namespace: Option<String>, cache: Cache, feed: Feed) {
    let client = context.process.client.clone();
    let secrets = watch_secrets(&context, namespace.clone(), &cache);
    let mut named = watcher::Config::default();
    if let Some(namespace) = &namespace {
        // NB: RBAC can grant list and watch of one object by its name, and this is the request that it grants.
        named = named.fields(&format!("metadata.name={namespace}"));
    }
    let filled = cache.namespaces_synced.clone();
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let namespace_changes =
        watch(namespaces, named, &context.process.restore).modify(prune::annotations);
    let namespace_changes =
        with_missed_deletions(namespace_changes.boxed(), cache.namespaces.clone())
            .reflect(feed.namespaces)
            .inspect(move |event| filled.note(event))
            .touched_objects();
    let objects: Api<Object> = match &namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let (indexed, shown, own) = (Arc::clone(&context), cache.clone(), Arc::clone(&context));
    let object_changes = watch(
        objects,
        watcher::Config::default(),
        &context.process.restore,
    );
    let object_changes = with_missed_deletions(object_changes.boxed(), cache.objects.clone())
        .reflect(feed.objects)
        .inspect(move |event| {
            if let Ok(event) = event {
                shown.statuses.lock().note(event);
            }
            index(&indexed, namespace.as_deref(), event);
            indexed.store.changed();
            shown.objects_synced.note(event);
        })
        .filter(move |event| ready(!own.store.own_statuses.explain(event)))
        .applied_objects();

    let in_namespace = cache.objects.clone();
    let work = Controller::for_stream(object_changes, cache.objects.clone())
        .with_config(controller::Config::default().concurrency(limits::IN_ALL))
        .trigger_backoff(NoPause)
        .watches_stream(
            namespace_changes,
            move |changed: PartialObjectMeta<Namespace>| {
                objects_in(&in_namespace, &changed.name_any())
            },
        )
        .reconcile_on(stream_of(feed.woken))
        .graceful_shutdown_on(context.process.stop.clone().cancelled_owned())
        .run(reconcile_when_ready, on_error, Arc::clone(&context))
        .for_each(|_| ready(()));
    let work = unless_stopped_before_sync(work, &cache.objects_synced, &context);
    tokio::select! {
        () = work => {}
        () = secrets => {}
    }
}

/// Shows the Secrets with our label, and has the object reconciled whose Secret has changed. Does not end.
async fn watch_secrets(context: &Context, namespace: Option<String>, cache: &Cache) {
    let client = context.process.client.clone();
    let secrets: Api<PartialObjectMeta<Secret>> = match namespace {
        Some(namespace) => Api::namespaced(client, &namespace),
        None => Api::all(client),
    };
    let config = watcher::Config::default().labels(MANAGED_LABEL);
    let changes = watch(secrets, config, &context.process.restore).modify(prune::secret);
    changes
        .for_each(|event| {
            let touched = event.as_ref().map(|event| cache.secrets.note(event));
            context.store.changed();
            cache.secrets_synced.note(&event);
            for ((namespace, name), secret) in touched.into_iter().flatten() {
                context
                    .store
                    .wake_object(keeper(&namespace, &name, &secret));
            }
            ready(())
        })
        .await;
}

/// Keeps the index of which object names which application; those that come free are reconciled. `watched` is the namespace of the
/// watch, if it is not all of them.
fn index(context: &Context, watched: Option<&str>, event: &Result<Event<Object>, watcher::Error>) {
    let mut index = context.store.owners.lock();
    let mut forget = |object: &Object| {
        let namespace = object.namespace().unwrap_or_default();
        index.remove(&namespace, &object.name_any())
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
        Ok(Event::InitDone) => index.retain(watched, |owner| context.store.object(owner).is_some()),
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
            () = context.store.synced(&namespace) => None,
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
    let who = ObjectRef::from_obj(object.as_ref());
    // NB: it may have waited for long: to lead, for example.
    let cache = context.store.of(&namespace);
    let Some(object) = cache.and_then(|cache| cache.objects.get(&who)) else {
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
            namespace = object.meta().namespace,
            name = object.meta().name,
            reason = error.reason(),
            left_out,
            "reconciling an object failed; it is retried"
        );
    }
    Action::requeue(wait)
}

fn objects_in(objects: &Store<Object>, namespace: &str) -> Vec<ObjectRef<Object>> {
    let objects = objects.state();
    let inside = objects
        .iter()
        .filter(|object| object.namespace().as_deref() == Some(namespace));
    inside
        .map(|object| ObjectRef::from_obj(object.as_ref()))
        .collect()
}

/// The object that keeps a Secret.
fn keeper(namespace: &str, name: &str, secret: &KeptSecret) -> ObjectRef<Object> {
    let owner = secret.record().map(|record| record.owner);
    let owner = owner.filter(|owner| owner.namespace == namespace);
    // A record that was removed or damaged: by default the object has the Secret's name.
    let name = owner.map_or_else(|| name.to_owned(), |owner| owner.name);
    ObjectRef::new(&name).within(namespace)
}
