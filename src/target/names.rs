//! Which type, name, labels and annotations an `ApiAppSecret` may give its Secret. No I/O.
//!
//! The operator may write every Secret; the author of an `ApiAppSecret` may not. So nothing is written to which Kubernetes gives a
//! meaning of its own: of a Secret of type `kubernetes.io/service-account-token`, named by its annotation, it makes the token of any
//! service account of the namespace.

/// Names under this prefix are the operator's own.
const OPERATORS: &str = "zitadel-secrets.dev/";
/// Well-known names that describe and grant nothing.
const DESCRIBING: &str = "app.kubernetes.io/";
/// The one of them that tools act on.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// A type with keys that its consumers agree on, and no other meaning.
pub const BASIC_AUTH: &str = "kubernetes.io/basic-auth";
/// The keys of such a Secret, one of which must be there.
pub const BASIC_AUTH_KEYS: [&str; 2] = ["username", "password"];

/// Whether a Secret may have that type.
pub fn is_allowed_type(text: &str) -> bool {
    text == BASIC_AUTH || (!text.is_empty() && text.len() <= 253 && !is_kubernetes(text))
}

/// Whether a template may not set a label of that name.
pub fn is_reserved_label(name: &str) -> bool {
    is_reserved_annotation(name) || name.starts_with(MANAGED_BY)
}

/// Whether a template may not set an annotation of that name.
pub fn is_reserved_annotation(name: &str) -> bool {
    name.starts_with(OPERATORS) || (is_kubernetes(name) && !name.starts_with(DESCRIBING))
}

/// Whether a name is in a domain of Kubernetes.
fn is_kubernetes(name: &str) -> bool {
    let Some((domain, _)) = name.split_once('/') else {
        return false;
    };
    ["kubernetes.io", "k8s.io"].iter().any(|reserved| {
        let before = domain.strip_suffix(reserved);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

/// Whether a Secret may have that name: a DNS subdomain.
pub fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        bytes
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && ends.iter().all(|end| end.is_some_and(|end| *end != b'-'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Whether a label or an annotation may have that name: a name, perhaps with a DNS subdomain before it.
pub fn is_qualified(name: &str) -> bool {
    match name.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_word(name),
        None => is_word(name),
    }
}

/// Whether a label may have that value.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_word(text)
}

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && ends
            .iter()
            .all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_kubernetes_gives_a_meaning_are_refused() {
        for allowed in [
            "Opaque",
            "kubernetes.io/basic-auth",
            "example.com/oauth",
            "oauth",
            "notkubernetes.io/x",
        ] {
            assert!(is_allowed_type(allowed), "{allowed}");
        }
        for refused in [
            "",
            "kubernetes.io/service-account-token",
            "bootstrap.kubernetes.io/token",
            "kubernetes.io/tls",
            "kubernetes.io/dockerconfigjson",
            "kubernetes.io/ssh-auth",
            "x.k8s.io/y",
            "k8s.io/",
        ] {
            assert!(!is_allowed_type(refused), "{refused}");
        }
    }

    #[test]
    fn names_that_kubernetes_or_the_operator_act_on_are_reserved() {
        for reserved in [
            "kubernetes.io/service-account.name",
            "kubectl.kubernetes.io/last-applied-configuration",
            "x.k8s.io/y",
            "zitadel-secrets.dev/managed",
        ] {
            assert!(
                is_reserved_annotation(reserved) && is_reserved_label(reserved),
                "{reserved}"
            );
        }
        for free in [
            "app.kubernetes.io/name",
            "argocd.argoproj.io/sync-options",
            "meta.helm.sh/release-name",
            "team",
            "reflector.v1.k8s.emberstack.com/reflection-allowed",
        ] {
            assert!(
                !is_reserved_annotation(free) && !is_reserved_label(free),
                "{free}"
            );
        }
        assert!(is_reserved_label("app.kubernetes.io/managed-by"));
    }

    #[test]
    fn names_are_those_that_the_api_server_accepts() {
        for good in ["a", "a.b", "0-a.b-1"] {
            assert!(is_subdomain(good), "{good}");
        }
        for bad in ["", "a..b", ".a", "a.", "-a", "a-", "a.-b", "A", "a/b"] {
            assert!(!is_subdomain(bad), "{bad}");
        }
        for good in ["a", "A_b.c-d", "example.com/a", "a.b/C"] {
            assert!(is_qualified(good), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a/b/c", "a b", "-a", "a-", "A.b/c", "a..b/c",
        ] {
            assert!(!is_qualified(bad), "{bad}");
        }
        assert!(is_qualified(&"x".repeat(63)) && !is_qualified(&"x".repeat(64)));
        assert!(is_label_value("") && is_label_value("a.b") && !is_label_value("a b"));
    }
}
