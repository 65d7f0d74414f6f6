//! What the operator must be allowed to do in a cluster, and which code needs it. No I/O.
//!
//! The chart's RBAC grants exactly this: a test compares the two, and another one compares both with what the API server's audit log
//! says was used.

/// Where a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the whole cluster: the kind has no namespace.
    Cluster,
    /// On the namespaces that are watched, themselves.
    WatchedNamespaces,
    /// In each namespace that is watched.
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
    pub place: Place,
    /// The code that needs it, and what for.
    pub because: &'static str,
}

const fn right(
    place: Place,
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    because: &'static str,
) -> Right {
    Right {
        group,
        resource,
        verbs,
        place,
        because,
    }
}

/// All rights. Nothing else is ever asked of the API server, but for what every authenticated user may ask.
pub const RIGHTS: &[Right] = &[
    right(
        Place::Cluster,
        "zitadel-secrets.dev",
        "zitadelconnections",
        &["list", "watch"],
        "src/operator/controllers.rs watches the connections, src/check.rs lists them",
    ),
    right(
        Place::Cluster,
        "zitadel-secrets.dev",
        "zitadelconnections/status",
        &["patch"],
        "src/connection/connect.rs reports whether they can be used",
    ),
    right(
        Place::WatchedNamespaces,
        "",
        "namespaces",
        &["list", "watch"],
        "src/operator/objects.rs watches their labels, which grants may select",
    ),
    right(
        Place::Watched,
        "zitadel-secrets.dev",
        "apiappsecrets",
        &["get", "list", "watch"],
        "src/operator/objects.rs watches the objects, read.rs reads one again before it is acted on",
    ),
    right(
        Place::Watched,
        "zitadel-secrets.dev",
        "apiappsecrets/status",
        &["patch"],
        "src/report/mod.rs reports; nothing else of an object is ever written",
    ),
    right(
        Place::Watched,
        "",
        "secrets",
        &["get", "list", "watch", "create", "patch", "delete"],
        "src/operator/objects.rs watches the metadata of those with the operator's label; read.rs reads one by name; act.rs and \
         flush.rs create it and apply its content; act.rs deletes the one with the former name",
    ),
    right(
        Place::Watched,
        "events.k8s.io",
        "events",
        &["create"],
        "src/report/event.rs publishes events beside the object",
    ),
    right(
        Place::Own,
        "",
        "secrets",
        &["get", "list", "watch"],
        "src/connection/connect.rs reads the credential, controllers.rs watches the metadata for changes",
    ),
    right(
        Place::Own,
        "",
        "configmaps",
        &["get", "list", "watch"],
        "src/connection/connect.rs reads certificate authorities, controllers.rs watches the metadata for changes",
    ),
    right(
        Place::Own,
        "coordination.k8s.io",
        "leases",
        &["get", "list", "watch", "create", "update", "delete"],
        "claims: src/reconcile/act.rs writes, read.rs reads, controllers.rs watches, patrol.rs deletes them; leader election: \
         src/process/leader/lease.rs, read by src/check/leader.rs",
    ),
];
