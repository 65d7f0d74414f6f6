//! The requests that the API server currently denies, according to its answers. No I/O.

use std::collections::BTreeSet;
use std::fmt;

use tokio::sync::watch;

use super::metrics::KubeCode;

/// Why a request was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// 401: the API server does not accept the credentials.
    Unauthenticated,
    /// 403: the permission is missing.
    Forbidden,
    /// 404 for a list: the kind does not exist.
    UnknownKind,
}

/// A kind of request that is denied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeniedRequest {
    /// Such as `list`.
    pub verb: &'static str,
    /// Such as `secrets`.
    pub resource: &'static str,
    /// The namespace; empty for the whole cluster.
    pub namespace: String,
    /// The reason.
    pub denial: Denial,
}

impl DeniedRequest {
    /// Whether it hides objects that the operator must see.
    pub fn hides_objects(&self) -> bool {
        matches!(self.verb, "list" | "watch")
    }
}

impl fmt::Display for DeniedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            resource,
            namespace,
            ..
        } = self;
        let place = if namespace.is_empty() {
            String::new()
        } else {
            format!(" in namespace {namespace}")
        };
        match self.denial {
            Denial::Unauthenticated => write!(
                f,
                "the API server does not accept the operator's credentials ({verb} {resource}{place})"
            ),
            Denial::Forbidden => {
                write!(f, "RBAC does not let the operator {verb} {resource}{place}")
            }
            Denial::UnknownKind => write!(
                f,
                "the API server knows no {resource}: install the custom resource definitions"
            ),
        }
    }
}

/// The maximum number of entries: that many have a common cause.
const MOST: usize = 64;

/// All requests that are currently denied; clones share them.
#[derive(Debug, Clone, Default)]
pub struct DeniedRequests(watch::Sender<BTreeSet<DeniedRequest>>);

impl DeniedRequests {
    /// Records an answer.
    pub fn record(
        &self,
        verb: &'static str,
        resource: &'static str,
        namespace: &str,
        code: KubeCode,
    ) {
        let hides_objects = matches!(verb, "list" | "watch");
        // NB: a condition reports a denied write of a Secret or ConfigMap, which may also result from a quota or a policy, and that
        // consumers cannot be seen.
        let reported_elsewhere = match resource {
            "secrets" | "configmaps" => !hides_objects,
            "pods" | "deployments" | "statefulsets" | "daemonsets" => true,
            _ => false,
        };
        let denial = match code {
            KubeCode::Status(401) => Some(Denial::Unauthenticated),
            KubeCode::Status(403) if !reported_elsewhere => Some(Denial::Forbidden),
            KubeCode::Status(404) if hides_objects => Some(Denial::UnknownKind),
            KubeCode::Status(_) => None,
            // Without an answer nothing is known about permissions.
            KubeCode::Failed | KubeCode::Deadline => return,
        };
        self.0.send_if_modified(|denied| {
            let same = |request: &DeniedRequest| {
                (request.verb, request.resource, request.namespace.as_str())
                    == (verb, resource, namespace)
            };
            match denial {
                None => {
                    let before = denied.len();
                    denied.retain(|request| !same(request));
                    denied.len() != before
                }
                Some(denial) if denied.len() < MOST || denied.iter().any(same) => {
                    let request = DeniedRequest {
                        verb,
                        resource,
                        namespace: namespace.to_owned(),
                        denial,
                    };
                    if denied.contains(&request) {
                        return false;
                    }
                    denied.retain(|request| !same(request));
                    denied.insert(request)
                }
                Some(_) => false,
            }
        });
    }

    /// The requests that are currently denied.
    pub fn current(&self) -> Vec<DeniedRequest> {
        self.0.borrow().iter().cloned().collect()
    }

    /// Subscribes to changes.
    pub fn subscribe(&self) -> watch::Receiver<BTreeSet<DeniedRequest>> {
        self.0.subscribe()
    }

    /// Waits until a request that matters is denied, and returns it.
    pub async fn until(&self, matters: impl Fn(&DeniedRequest) -> bool) -> DeniedRequest {
        let mut changes = self.subscribe();
        loop {
            if let Some(request) = self.0.borrow().iter().find(|request| matters(request)) {
                return request.clone();
            }
            // NB: the sender is this very object, so the channel stays open.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: KubeCode = KubeCode::Status(200);
    const FORBIDDEN: KubeCode = KubeCode::Status(403);

    fn messages(denied: &DeniedRequests) -> Vec<String> {
        denied.current().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_denied_request_is_reported_until_it_is_granted() {
        let denied = DeniedRequests::default();
        denied.record("list", "secrets", "orders", FORBIDDEN);
        denied.record("patch", "apiappsecrets/status", "", FORBIDDEN);
        denied.record("list", "apiappsecrets", "", KubeCode::Status(404));
        assert_eq!(
            messages(&denied),
            [
                "the API server knows no apiappsecrets: install the custom resource definitions",
                "RBAC does not let the operator list secrets in namespace orders",
                "RBAC does not let the operator patch apiappsecrets/status",
            ]
        );
        denied.record("list", "secrets", "billing", OK);
        assert_eq!(messages(&denied).len(), 3, "another namespace");
        denied.record("list", "secrets", "orders", KubeCode::Deadline);
        assert_eq!(messages(&denied).len(), 3, "no answer says nothing");
        denied.record("list", "secrets", "orders", OK);
        denied.record("list", "apiappsecrets", "", OK);
        denied.record("patch", "apiappsecrets/status", "", OK);
        assert!(messages(&denied).is_empty());
    }

    #[test]
    fn an_absent_object_and_a_secret_that_a_policy_denies_are_not_missing_permissions() {
        let denied = DeniedRequests::default();
        denied.record("get", "leases", "operator", KubeCode::Status(404));
        denied.record("create", "secrets", "orders", FORBIDDEN);
        denied.record("get", "configmaps", "operator", FORBIDDEN);
        denied.record("watch", "secrets", "orders", KubeCode::Status(410));
        assert!(messages(&denied).is_empty());
    }

    #[test]
    fn another_reason_replaces_the_first_and_the_list_is_bounded() {
        let denied = DeniedRequests::default();
        denied.record("list", "secrets", "", KubeCode::Status(401));
        denied.record("list", "secrets", "", FORBIDDEN);
        assert_eq!(denied.current().len(), 1);
        for n in 0..1000 {
            denied.record("create", "events", &n.to_string(), FORBIDDEN);
        }
        assert_eq!(denied.current().len(), MOST);
    }

    #[tokio::test]
    async fn a_waiter_receives_a_request_that_is_denied_later() {
        let denied = DeniedRequests::default();
        denied.record("list", "configmaps", "", FORBIDDEN);
        let later = denied.clone();
        let waiting = tokio::spawn(async move { later.until(|r| r.resource == "secrets").await });
        tokio::task::yield_now().await;
        denied.record("watch", "secrets", "", FORBIDDEN);
        let request = waiting.await.unwrap();
        assert!(request.hides_objects() && request.verb == "watch");
    }
}
