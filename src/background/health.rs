//! Reports to `/ready` what the operator can see and what stands in its way.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::ResourceExt as _;

use crate::api::Kind;
use crate::process::denied_requests::DeniedRequest;
use crate::process::readiness::{Check, Readiness};
use crate::reconcile::context::Context;
use crate::store::cache::GuardedConnection;
use crate::store::scope::Scope;

/// Of more than so many sentences the rest is counted.
const SENTENCES: usize = 10;

/// Keeps the checks `connections`, `watches` and `permissions` as they are. Does not end.
pub async fn report(context: &Context, readiness: &Readiness) {
    let mut denied = context.process.denied.subscribe();
    let mut connections = context.connections.subscribe();
    let mut filling = FuturesUnordered::new();
    for cache in context.store.namespaces.values() {
        filling.push(Box::pin(cache.synced()) as futures::future::BoxFuture<'_, ()>);
    }
    filling.push(Box::pin(context.store.claims_synced.wait()));
    filling.push(Box::pin(context.store.connections_synced.wait()));
    let mut leadership = context.process.lead.clone();
    let mut others = context.another_operator.subscribe();
    let mut reported = None;
    loop {
        let watches = watches(context, &context.process.denied.current());
        if reported.as_ref() != Some(&watches) {
            if let Check::NotYet(what) | Check::Info(what) = &watches {
                tracing::warn!(what, "the operator cannot see everything");
            }
            readiness.set("watches", watches.clone());
            reported = Some(watches);
        }
        // A standby does not check them: it is ready to take over all the same.
        let connections_now = if context.process.lead.leads() {
            usable(context)
        } else if context.process.lead.terms() == 0 {
            Check::Info("standby".to_owned())
        } else {
            Check::Info(
                "standby: this replica led and lost it, and stands for election again".to_owned(),
            )
        };
        readiness.set("connections", connections_now);
        match lesser(&context.process.denied.current()) {
            Some(text) => readiness.set("permissions", Check::Info(text)),
            None => readiness.clear("permissions"),
        }
        if let Some(text) = others.borrow_and_update().clone() {
            readiness.set("operators", Check::Info(text));
        }
        // NB: the senders are in the context, so no channel closes.
        tokio::select! {
            _ = denied.changed() => {}
            _ = connections.changed() => {}
            () = leadership.changed() => {}
            _ = others.changed() => {}
            Some(()) = filling.next() => {}
        }
    }
}

/// Whether nothing can be done without it.
fn needed(request: &DeniedRequest) -> bool {
    request.hides_objects() || request.resource == "leases"
}

fn watches(context: &Context, denied: &[DeniedRequest]) -> Check {
    let parts = &context.store.namespaces;
    let filled = parts.values().filter(|cache| cache.is_synced()).count();
    let works =
        filled > 0 && context.store.claims_synced.is() && context.store.connections_synced.is();
    // One namespace that is refused, because it is gone for example, must not make the operator useless for the others.
    let elsewhere = |request: &DeniedRequest| {
        let own = matches!(&context.process.settings.scope, Scope::Namespaces(names) if names.contains(&request.namespace));
        let kinds = Kind::ALL.map(Kind::plural);
        let kind = ["secrets", "namespaces"].contains(&request.resource)
            || kinds.contains(&request.resource);
        own && kind && filled > 0
    };
    let needed: Vec<_> = denied.iter().filter(|request| needed(request)).collect();
    let fatal = needed.iter().any(|request| !elsewhere(request));
    if needed.is_empty() && works && filled == parts.len() {
        Check::Ok
    } else if fatal || !works {
        Check::NotYet(sentences(&needed))
    } else {
        Check::Info(sentences(&needed))
    }
}

fn usable(context: &Context) -> Check {
    let listed = context.store.own_connections();
    let known =
        |connection: &Arc<GuardedConnection>| context.connections.knows(&connection.name_any());
    if !context.store.connections_synced.is() || !listed.iter().all(known) {
        return Check::NotYet("not every ZitadelConnection was checked yet".to_owned());
    }
    let (all, unusable) = context.connections.unusable();
    let named = unusable
        .iter()
        .map(|(name, reason)| format!("{name} ({})", reason.as_str()));
    match (all, unusable.len()) {
        (0, _) => Check::Info("there is no ZitadelConnection".to_owned()),
        (_, 0) => Check::Ok,
        (_, many) => Check::Info(format!(
            "{many} of {all} cannot be used, see their status: {}",
            first(named, ", ")
        )),
    }
}

/// What is refused and keeps nothing from working.
fn lesser(denied: &[DeniedRequest]) -> Option<String> {
    let lesser: Vec<_> = denied.iter().filter(|request| !needed(request)).collect();
    (!lesser.is_empty()).then(|| sentences(&lesser))
}

fn sentences(denied: &[&DeniedRequest]) -> String {
    if denied.is_empty() {
        return "the API server has not shown everything yet".to_owned();
    }
    let mut all: Vec<String> = denied.iter().map(ToString::to_string).collect();
    all.dedup();
    first(all.into_iter(), "; ")
}

/// The first ones, and how many more there are.
fn first(all: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let more = all.len().saturating_sub(SENTENCES);
    let mut listed: Vec<String> = all.take(SENTENCES).collect();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    listed.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_a_long_list_is_counted() {
        let of = |count: usize| {
            let all: Vec<String> = (0..count).map(|n| n.to_string()).collect();
            first(all.into_iter(), ", ")
        };
        assert_eq!(of(2), "0, 1");
        assert_eq!(of(10), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
        assert_eq!(of(13), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 3 more");
    }
}
