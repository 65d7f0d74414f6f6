//! The permissions that the operator needs in a cluster, and the code that needs them. No I/O.
//!
//! The chart's RBAC grants exactly these: a test compares the two, and another one compares both with the permissions that the API server's
//! audit log shows as used.

/// Where a permission is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RightScope {
    /// In the whole cluster, because the kind has no namespace.
    Cluster,
    /// On the watched namespaces themselves.
    WatchedNamespaces,
    /// In each watched namespace.
    Watched,
    /// In the operator's own namespace.
    Own,
}

/// Some verbs on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// Where.
    pub scope: RightScope,
    /// The chart's value that grants it, where not every operator needs it.
    pub switch: Option<&'static str>,
    /// The code that needs it, and its purpose.
    pub because: &'static str,
}

impl Right {
    const fn with(self, switch: &'static str) -> Self {
        Self {
            switch: Some(switch),
            ..self
        }
    }
}

const fn right(
    scope: RightScope,
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    because: &'static str,
) -> Right {
    Right {
        group,
        resource,
        verbs,
        scope,
        switch: None,
        because,
    }
}

/// All permissions without those of a switch. The operator sends no other request to the API server, except those that every authenticated user
/// may send.
pub const RIGHTS: &[Right] = &[
    right(
        RightScope::Cluster,
        "zitadel-secrets.dev",
        "zitadelconnections",
        &["list", "watch"],
        "src/operator/controllers.rs watches the connections, src/check.rs lists them",
    ),
    right(
        RightScope::Cluster,
        "zitadel-secrets.dev",
        "zitadelconnections/status",
        &["patch"],
        "src/connection/connect.rs reports whether they can be used",
    ),
    right(
        RightScope::WatchedNamespaces,
        "",
        "namespaces",
        &["list", "watch"],
        "src/operator/objects.rs watches their labels, which grants may select",
    ),
    right(
        RightScope::Watched,
        "zitadel-secrets.dev",
        "apiappsecrets",
        &["get", "list", "watch"],
        "src/operator/objects.rs watches the objects, src/reconcile/read.rs reads one again before it is acted on",
    ),
    right(
        RightScope::Watched,
        "zitadel-secrets.dev",
        "apiappsecrets/status",
        &["patch"],
        "src/report/mod.rs reports; nothing else of an object is ever written",
    ),
    right(
        RightScope::Watched,
        "zitadel-secrets.dev",
        "oidcappsecrets",
        &["get", "list", "watch"],
        "src/operator/objects.rs and src/reconcile/read.rs, as for apiappsecrets",
    ),
    right(
        RightScope::Watched,
        "zitadel-secrets.dev",
        "oidcappsecrets/status",
        &["patch"],
        "src/report/mod.rs, as for apiappsecrets",
    ),
    right(
        RightScope::Watched,
        "",
        "secrets",
        &["get", "list", "watch", "create", "patch", "delete"],
        "src/operator/objects.rs watches the metadata of those with the operator's label; src/reconcile/read.rs reads one by name; act.rs and \
         flush.rs create it and apply its content; act.rs deletes the one with the former name",
    ),
    right(
        RightScope::Watched,
        "events.k8s.io",
        "events",
        &["create"],
        "src/report/event.rs publishes events beside the object",
    ),
    right(
        RightScope::Own,
        "",
        "secrets",
        &["get", "list", "watch"],
        "src/connection/connect.rs reads the credential, src/operator/controllers.rs watches the metadata for changes",
    ),
    right(
        RightScope::Own,
        "",
        "configmaps",
        &["get", "list", "watch"],
        "src/connection/connect.rs reads certificate authorities, src/operator/controllers.rs watches the metadata for changes",
    ),
    right(
        RightScope::Own,
        "coordination.k8s.io",
        "leases",
        &["get", "list", "watch", "create", "update", "delete"],
        "claims: src/reconcile/act.rs writes, read.rs reads, src/operator/controllers.rs watches, src/background/sweep.rs deletes them; leader election: \
         src/process/leader/lease.rs, read by src/check/leader.rs",
    ),
];

/// What it may need besides for the Pods that use a credential, as far as the chart's values grant it: `consumers.refresh`.
pub const REFRESH_RIGHTS: &[Right] = &[right(
    RightScope::Watched,
    "",
    "pods",
    &["list", "patch"],
    "src/consumers/requests.rs lists the Pods that use a rotated Secret, and changes an annotation of those that mount it",
)
.with("consumers.refresh")];

/// The same for `consumers.restart`.
pub const RESTART_RIGHTS: &[Right] = &[
    right(
        RightScope::Watched,
        "",
        "pods",
        &["list"],
        "src/consumers/requests.rs lists the Pods that use a rotated Secret",
    )
    .with("consumers.restart"),
    right(
        RightScope::Watched,
        "apps",
        "deployments",
        &["get", "patch"],
        "src/consumers/requests.rs reads the workload of a Pod, and restarts it by an annotation of its Pod template",
    )
    .with("consumers.restart"),
    right(
        RightScope::Watched,
        "apps",
        "statefulsets",
        &["get", "patch"],
        "src/consumers/requests.rs, as for Deployments",
    )
    .with("consumers.restart"),
    right(
        RightScope::Watched,
        "apps",
        "daemonsets",
        &["get", "patch"],
        "src/consumers/requests.rs, as for Deployments",
    )
    .with("consumers.restart"),
];

/// The permissions of an operator with these switches, each once.
pub fn needed(refresh: bool, restart: bool) -> Vec<&'static Right> {
    let chosen = |switch, rights| if switch { rights } else { &[][..] };
    let refresh = chosen(refresh, REFRESH_RIGHTS);
    let restart = chosen(restart, RESTART_RIGHTS);
    let of_both = |right: &Right| {
        let mut known = refresh.iter();
        known.any(|known| (known.group, known.resource) == (right.group, right.resource))
    };
    let restart = restart.iter().filter(|right| !of_both(right));
    RIGHTS.iter().chain(refresh).chain(restart).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_verb_on_each_resource_is_needed_once_and_none_is_left_out() {
        let verbs = |rights: &[&Right]| {
            let of = |right: &Right| {
                let place = (right.scope, right.group, right.resource);
                right.verbs.iter().map(move |verb| (place, *verb))
            };
            rights
                .iter()
                .flat_map(|right| of(right))
                .collect::<Vec<_>>()
        };
        for (refresh, restart) in [(false, false), (true, false), (false, true), (true, true)] {
            let all = verbs(&needed(refresh, restart));
            let distinct: BTreeSet<_> = all.iter().copied().collect();
            assert_eq!(distinct.len(), all.len(), "none twice");
            let mut wanted: Vec<&Right> = RIGHTS.iter().collect();
            wanted.extend(REFRESH_RIGHTS.iter().filter(|_| refresh));
            wanted.extend(RESTART_RIGHTS.iter().filter(|_| restart));
            assert_eq!(distinct, verbs(&wanted).into_iter().collect());
        }
    }
}
