//! What the API server does not let the operator do at present, as its answers say. No I/O.

use std::collections::BTreeSet;
use std::fmt;

use tokio::sync::watch;

use super::metrics::KubeCode;

/// Why a request was not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// 401: the API server does not know who asks.
    Unauthenticated,
    /// 403: the right is missing.
    Forbidden,
    /// 404 for a list: there is no such kind.
    UnknownKind,
}

/// A kind of request that is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Such as `list`.
    pub verb: &'static str,
    /// Such as `secrets`.
    pub resource: &'static str,
    /// In which namespace; empty for the whole cluster.
    pub namespace: String,
    /// Why.
    pub why: Why,
}

impl Refusal {
    /// Whether the operator sees less than it must because of it.
    pub fn blinds(&self) -> bool {
        matches!(self.verb, "list" | "watch")
    }
}

impl fmt::Display for Refusal {
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
        match self.why {
            Why::Unauthenticated => write!(
                f,
                "the API server does not accept the operator's credentials ({verb} {resource}{place})"
            ),
            Why::Forbidden => write!(f, "RBAC does not let the operator {verb} {resource}{place}"),
            Why::UnknownKind => write!(
                f,
                "the API server knows no {resource}: install the custom resource definitions"
            ),
        }
    }
}

/// The most that are kept: whoever has so many has one cause for all of them.
const MOST: usize = 64;

/// All that are refused at present; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Refusals(watch::Sender<BTreeSet<Refusal>>);

impl Refusals {
    /// Takes note of an answer.
    pub fn note(
        &self,
        verb: &'static str,
        resource: &'static str,
        namespace: &str,
        code: KubeCode,
    ) {
        let blinds = matches!(verb, "list" | "watch");
        // NB: what is refused about one Secret or ConfigMap is told by a condition, and may be a quota's or a policy's doing.
        let told_elsewhere = matches!(resource, "secrets" | "configmaps") && !blinds;
        let why = match code {
            KubeCode::Status(401) => Some(Why::Unauthenticated),
            KubeCode::Status(403) if !told_elsewhere => Some(Why::Forbidden),
            KubeCode::Status(404) if blinds => Some(Why::UnknownKind),
            KubeCode::Status(_) => None,
            // No answer says nothing of rights.
            KubeCode::Failed | KubeCode::Deadline => return,
        };
        self.0.send_if_modified(|refused| {
            let same = |refusal: &Refusal| {
                (refusal.verb, refusal.resource, refusal.namespace.as_str())
                    == (verb, resource, namespace)
            };
            match why {
                None => {
                    let before = refused.len();
                    refused.retain(|refusal| !same(refusal));
                    refused.len() != before
                }
                Some(why) if refused.len() < MOST || refused.iter().any(same) => {
                    let refusal = Refusal {
                        verb,
                        resource,
                        namespace: namespace.to_owned(),
                        why,
                    };
                    if refused.contains(&refusal) {
                        return false;
                    }
                    refused.retain(|refusal| !same(refusal));
                    refused.insert(refusal)
                }
                Some(_) => false,
            }
        });
    }

    /// What is refused now.
    pub fn now(&self) -> Vec<Refusal> {
        self.0.borrow().iter().cloned().collect()
    }

    /// For those who wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<BTreeSet<Refusal>> {
        self.0.subscribe()
    }

    /// Waits until something that matters is refused, and says what.
    pub async fn until(&self, matters: impl Fn(&Refusal) -> bool) -> Refusal {
        let mut changes = self.subscribe();
        loop {
            if let Some(refusal) = self.0.borrow().iter().find(|refusal| matters(refusal)) {
                return refusal.clone();
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

    fn told(refusals: &Refusals) -> Vec<String> {
        refusals.now().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_refused_is_told_until_it_is_granted() {
        let refusals = Refusals::default();
        refusals.note("list", "secrets", "orders", FORBIDDEN);
        refusals.note("patch", "apiappsecrets/status", "", FORBIDDEN);
        refusals.note("list", "apiappsecrets", "", KubeCode::Status(404));
        assert_eq!(
            told(&refusals),
            [
                "the API server knows no apiappsecrets: install the custom resource definitions",
                "RBAC does not let the operator list secrets in namespace orders",
                "RBAC does not let the operator patch apiappsecrets/status",
            ]
        );
        refusals.note("list", "secrets", "billing", OK);
        assert_eq!(told(&refusals).len(), 3, "another namespace");
        refusals.note("list", "secrets", "orders", KubeCode::Deadline);
        assert_eq!(told(&refusals).len(), 3, "no answer says nothing");
        refusals.note("list", "secrets", "orders", OK);
        refusals.note("list", "apiappsecrets", "", OK);
        refusals.note("patch", "apiappsecrets/status", "", OK);
        assert!(told(&refusals).is_empty());
    }

    #[test]
    fn an_object_that_is_absent_and_a_policy_that_refuses_a_secret_are_no_missing_rights() {
        let refusals = Refusals::default();
        refusals.note("get", "leases", "operator", KubeCode::Status(404));
        refusals.note("create", "secrets", "orders", FORBIDDEN);
        refusals.note("get", "configmaps", "operator", FORBIDDEN);
        refusals.note("watch", "secrets", "orders", KubeCode::Status(410));
        assert!(told(&refusals).is_empty());
    }

    #[test]
    fn another_reason_takes_the_place_of_the_first_and_the_list_is_bounded() {
        let refusals = Refusals::default();
        refusals.note("list", "secrets", "", KubeCode::Status(401));
        refusals.note("list", "secrets", "", FORBIDDEN);
        assert_eq!(refusals.now().len(), 1);
        for n in 0..1000 {
            refusals.note("create", "events", &n.to_string(), FORBIDDEN);
        }
        assert_eq!(refusals.now().len(), MOST);
    }

    #[tokio::test]
    async fn who_waits_for_a_refusal_hears_of_one_that_comes_later() {
        let refusals = Refusals::default();
        refusals.note("list", "configmaps", "", FORBIDDEN);
        let later = refusals.clone();
        let waiting = tokio::spawn(async move { later.until(|r| r.resource == "secrets").await });
        tokio::task::yield_now().await;
        refusals.note("watch", "secrets", "", FORBIDDEN);
        let refusal = waiting.await.unwrap();
        assert!(refusal.blinds() && refusal.verb == "watch");
    }
}
