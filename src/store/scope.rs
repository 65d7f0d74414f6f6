//! Which namespaces are watched. No I/O.

use std::collections::BTreeSet;

/// The namespaces whose objects are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// All of them: one watch of each kind.
    #[default]
    Cluster,
    /// These: one watch of each kind for each of them, so that no right reaches beyond them.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// The namespaces of that name; without any, the whole cluster.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = names.into_iter().collect();
        if names.is_empty() {
            Self::Cluster
        } else {
            Self::Namespaces(names)
        }
    }

    /// Whether a namespace is one of them.
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(names) => names.contains(namespace),
        }
    }

    /// What is watched for itself: each namespace, or everything at once (`None`).
    pub fn parts(&self) -> Vec<Option<&str>> {
        match self {
            Self::Cluster => vec![None],
            Self::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
        }
    }
}

/// The name of a namespace, as Kubernetes allows it (RFC 1123 label).
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn namespace_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the name of a namespace cannot be empty".to_owned());
    }
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() > 63 || !text.chars().all(inner) || text.starts_with('-') || text.ends_with('-') {
        return Err(
            "a namespace is up to 63 of a-z, 0-9 and -, with no - at either end".to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// The name of a class of connections, as `spec.controllerClass` allows it.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn class_name(text: &str) -> Result<String, String> {
    namespace_name(text)
        .map_err(|_| "a class is one to 63 of a-z, 0-9 and -, with no - at either end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_the_whole_cluster_is_watched_and_no_name_is_watched_twice() {
        assert_eq!(Scope::new([]), Scope::Cluster);
        assert_eq!(Scope::Cluster.parts(), [None]);
        let two = Scope::new(["b", "a", "b"].map(ToOwned::to_owned));
        assert_eq!(two.parts(), [Some("a"), Some("b")]);
        assert!(two.covers("a") && !two.covers("c") && Scope::Cluster.covers("c"));
    }

    #[test]
    fn what_is_no_namespace_is_refused() {
        for name in ["a", "team-1", &"x".repeat(63)] {
            assert_eq!(namespace_name(name).as_deref(), Ok(name));
        }
        for name in ["", "A", "a_b", "-a", "a-", "a.b", "*", &"x".repeat(64)] {
            assert!(namespace_name(name).is_err(), "{name}");
            assert!(class_name(name).is_err(), "{name}");
        }
        assert_eq!(class_name("team-1").as_deref(), Ok("team-1"));
    }
}
