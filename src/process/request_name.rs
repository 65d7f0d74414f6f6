//! Verb and resource of a request to the API server, for metrics. No I/O.

use http::{Method, Request};

const RESOURCES: [&str; 18] = [
    "apiappsecrets",
    "apiappsecrets/status",
    "configmaps",
    "customresourcedefinitions",
    "daemonsets",
    "deployments",
    "events",
    "leases",
    "namespaces",
    "oidcappsecrets",
    "oidcappsecrets/status",
    "pods",
    "secrets",
    "selfsubjectaccessreviews",
    "serviceaccounts",
    "statefulsets",
    "zitadelconnections",
    "zitadelconnections/status",
];

/// Whether the answer is a stream.
pub(super) fn is_watch<B>(request: &Request<B>) -> bool {
    let mut parameters = request.uri().query().unwrap_or_default().split('&');
    parameters.any(|parameter| matches!(parameter, "watch=true" | "watch=1"))
}

/// Verb and resource as in Kubernetes, from a closed list, so that no path can create a metric series.
pub(super) fn classify<B>(request: &Request<B>) -> (&'static str, &'static str) {
    let mut segments = request
        .uri()
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty());
    // /api/{version}/… or /apis/{group}/{version}/…, either with namespaces/{namespace}/ before the resource.
    let prefix = if segments.next() == Some("apis") {
        2
    } else {
        1
    };
    let segments: Vec<&str> = segments.skip(prefix).collect();
    let segments = match segments.as_slice() {
        // NB: a namespace is itself a resource with subresources.
        ["namespaces", _, "status" | "finalize"] => &segments,
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        _ => &segments,
    };
    let (resource, name, subresource) = match *segments {
        [resource] => (resource, false, None),
        [resource, _] => (resource, true, None),
        [resource, _, subresource] => (resource, true, Some(subresource)),
        _ => ("", false, None),
    };
    let full = subresource.map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}"));
    let resource = RESOURCES
        .into_iter()
        .find(|known| *known == full)
        .unwrap_or("other");
    let verb = match *request.method() {
        Method::GET if is_watch(request) => "watch",
        Method::GET if name => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    };
    (verb, resource)
}

/// The namespace of a request; empty for the whole cluster.
pub(super) fn namespace<B>(request: &Request<B>) -> &str {
    let mut segments = request.uri().path().split('/');
    if segments.any(|segment| segment == "namespaces")
        && let Some(name) = segments.next()
    {
        return name;
    }
    // A single namespace is watched by its name.
    let mut parameters = request.uri().query().unwrap_or_default().split('&');
    let selector = parameters.find_map(|parameter| parameter.strip_prefix("fieldSelector="));
    selector
        .and_then(|selector| selector.strip_prefix("metadata.name%3D"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str) -> Request<()> {
        Request::builder().method(method).uri(uri).body(()).unwrap()
    }

    #[test]
    fn a_request_is_named_by_its_verb_and_resource() {
        for (method, uri, expected) in [
            ("GET", "/api/v1/namespaces/a/secrets/b", ("get", "secrets")),
            (
                "GET",
                "/api/v1/secrets?labelSelector=x",
                ("list", "secrets"),
            ),
            (
                "GET",
                "/api/v1/secrets?allowWatchBookmarks=true&watch=true",
                ("watch", "secrets"),
            ),
            (
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b",
                ("update", "leases"),
            ),
            (
                "POST",
                "/apis/coordination.k8s.io/v1/namespaces/a/leases?",
                ("create", "leases"),
            ),
            (
                "PATCH",
                "/apis/zitadel-secrets.dev/v1alpha1/namespaces/a/apiappsecrets/b/status?force=true",
                ("patch", "apiappsecrets/status"),
            ),
            (
                "GET",
                "/apis/zitadel-secrets.dev/v1alpha1/zitadelconnections/b",
                ("get", "zitadelconnections"),
            ),
            ("GET", "/api/v1/namespaces", ("list", "namespaces")),
            ("GET", "/api/v1/namespaces/a", ("get", "namespaces")),
            (
                "DELETE",
                "/api/v1/namespaces/a/secrets",
                ("deletecollection", "secrets"),
            ),
            ("GET", "/api/v1/namespaces/a/pods/b/log", ("get", "other")),
            ("GET", "/version", ("list", "other")),
            ("GET", "/", ("list", "other")),
        ] {
            assert_eq!(classify(&request(method, uri)), expected, "{method} {uri}");
        }
    }

    #[test]
    fn a_request_is_about_the_namespace_in_its_path_or_the_one_that_it_names() {
        for (uri, expected) in [
            ("/api/v1/namespaces/a/secrets?limit=500&", "a"),
            (
                "/apis/zitadel-secrets.dev/v1alpha1/namespaces/a/apiappsecrets/b/status",
                "a",
            ),
            ("/api/v1/namespaces/a", "a"),
            (
                "/api/v1/namespaces?&fieldSelector=metadata.name%3Da&limit=500",
                "a",
            ),
            ("/api/v1/namespaces?&limit=500", ""),
            ("/api/v1/secrets", ""),
            ("/apis/zitadel-secrets.dev/v1alpha1/zitadelconnections", ""),
        ] {
            assert_eq!(namespace(&request("GET", uri)), expected, "{uri}");
        }
    }
}
