//! How a Pod uses a Secret. No I/O.

use std::collections::BTreeSet;

use crate::consumers::pod::{Container, Pod, SecretVolume};

/// How a container uses a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// In its environment: read when it starts.
    Environment,
    /// In a directory that the kubelet refreshes.
    Directory,
    /// As a single mounted file, which is never refreshed.
    SubPath,
    /// In an init container, which has made of it whatever it made.
    Init,
}

/// What is looked for: a Secret, and the keys of it that the operator writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The Secret.
    pub secret: String,
    /// The keys.
    pub keys: BTreeSet<String>,
}

/// The containers of a Pod that use the Secret, and how each of them does.
pub fn uses<'a>(pod: &'a Pod, wanted: &Wanted) -> Vec<(&'a str, Use)> {
    let volumes = pod.spec.volumes.iter().filter(|volume| {
        let own = volume.secret.iter();
        let projected = volume.projected.iter().flat_map(|it| &it.sources);
        let mut all = own.chain(projected.filter_map(|source| source.secret.as_ref()));
        all.any(|secret| wanted.is_in(secret))
    });
    let volumes: Vec<&str> = volumes.map(|volume| volume.name.as_str()).collect();
    let mut found = BTreeSet::new();
    let spec = &pod.spec;
    for container in spec.containers.iter().chain(&spec.ephemeral_containers) {
        found.extend(wanted.uses_of(container, &volumes));
    }
    for container in &spec.init_containers {
        let uses = wanted.uses_of(container, &volumes);
        if container.restart_policy.as_deref() == Some("Always") {
            found.extend(uses);
        } else if let Some((name, _)) = uses.first() {
            found.insert((*name, Use::Init));
        }
    }
    Vec::from_iter(found)
}

impl Wanted {
    fn is_in(&self, volume: &SecretVolume) -> bool {
        let name = volume.secret_name.as_ref().or(volume.name.as_ref());
        let listed = volume
            .items
            .iter()
            .any(|item| self.keys.contains(&item.key));
        name == Some(&self.secret) && (volume.items.is_empty() || listed)
    }

    fn uses_of<'a>(&self, container: &'a Container, volumes: &[&str]) -> Vec<(&'a str, Use)> {
        let name = container.name.as_str();
        let keys = container.env.iter().filter_map(|variable| {
            let source = variable.value_from.as_ref()?;
            source.secret_key_ref.as_ref()
        });
        let mut all = container.env_from.iter();
        let in_environment = keys
            .into_iter()
            .any(|key| key.name == self.secret && self.keys.contains(&key.key))
            || all.any(|all| {
                let secret = all.secret_ref.as_ref();
                secret.is_some_and(|secret| secret.name == self.secret)
            });
        let mounts = container.volume_mounts.iter();
        let mounts = mounts.filter(|mount| volumes.contains(&mount.name.as_str()));
        let mounts = mounts.map(|mount| {
            let is_file = |path: &Option<String>| path.as_ref().is_some_and(|it| !it.is_empty());
            if is_file(&mount.sub_path) || is_file(&mount.sub_path_expr) {
                Use::SubPath
            } else {
                Use::Directory
            }
        });
        let environment = in_environment.then_some(Use::Environment);
        let all = environment.into_iter().chain(mounts);
        all.map(|use_| (name, use_)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(spec: &serde_json::Value) -> Vec<(String, Use)> {
        let pod = json!({"metadata": {"name": "p"}, "spec": spec});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let keys = ["CLIENT_ID", "CLIENT_SECRET"].map(ToOwned::to_owned);
        let wanted = Wanted {
            secret: "oauth".to_owned(),
            keys: keys.into(),
        };
        let all = uses(&pod, &wanted).into_iter();
        all.map(|(name, use_)| (name.to_owned(), use_)).collect()
    }

    fn key(secret: &str, key: &str) -> serde_json::Value {
        json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    }

    #[test]
    fn each_way_of_using_a_secret_is_found_and_nothing_else_is() {
        use Use::{Directory, Environment, Init, SubPath};
        let volume = json!({"name": "v", "secret": {"secretName": "oauth"}});
        let mounted = |mount: serde_json::Value| json!({"containers": [{"name": "c", "volumeMounts": [mount]}], "volumes": [volume]});
        let projected = |sources: serde_json::Value| json!({"containers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/x"}]}], "volumes": [{"name": "v", "projected": {"sources": sources}}]});
        let env = |env: serde_json::Value| json!({"containers": [{"name": "c", "env": [env]}]});
        for (spec, expected) in [
            (env(key("oauth", "CLIENT_SECRET")), Some(Environment)),
            (env(key("oauth", "HOST")), None),
            (env(key("other", "CLIENT_SECRET")), None),
            (env(json!({"name": "A", "value": "oauth"})), None),
            (
                json!({"containers": [{"name": "c", "envFrom": [{"prefix": "X_", "secretRef": {"name": "oauth", "optional": true}}]}]}),
                Some(Environment),
            ),
            (
                json!({"containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "oauth"}}]}]}),
                None,
            ),
            (
                mounted(json!({"name": "v", "mountPath": "/x"})),
                Some(Directory),
            ),
            (
                mounted(json!({"name": "v", "mountPath": "/x", "subPath": "CLIENT_SECRET"})),
                Some(SubPath),
            ),
            (
                mounted(json!({"name": "v", "mountPath": "/x", "subPathExpr": "$(A)"})),
                Some(SubPath),
            ),
            (mounted(json!({"name": "w", "mountPath": "/x"})), None),
            (
                projected(
                    json!([{"configMap": {"name": "oauth"}}, {"secret": {"name": "oauth", "items": [{"key": "CLIENT_ID", "path": "id"}]}}]),
                ),
                Some(Directory),
            ),
            (
                projected(
                    json!([{"secret": {"name": "oauth", "items": [{"key": "HOST", "path": "host"}]}}]),
                ),
                None,
            ),
            (
                json!({"containers": [{"name": "d"}], "initContainers": [{"name": "c", "env": [key("oauth", "CLIENT_ID")]}]}),
                Some(Init),
            ),
            (
                json!({"containers": [{"name": "d"}], "initContainers": [{"name": "c", "restartPolicy": "Always", "env": [key("oauth", "CLIENT_ID")]}]}),
                Some(Environment),
            ),
            (
                json!({"containers": [{"name": "d"}], "ephemeralContainers": [{"name": "c", "env": [key("oauth", "CLIENT_ID")]}]}),
                Some(Environment),
            ),
            (
                json!({"containers": [{"name": "d"}], "imagePullSecrets": [{"name": "oauth"}], "volumes": [volume]}),
                None,
            ),
        ] {
            let expected = Vec::from_iter(expected.map(|use_| ("c".to_owned(), use_)));
            assert_eq!(found(&spec), expected, "{spec}");
        }
    }

    #[test]
    fn a_container_can_use_it_in_several_ways_and_so_can_several_containers() {
        let spec = json!({
            "containers": [
                {"name": "a", "env": [key("oauth", "CLIENT_ID"), key("oauth", "CLIENT_SECRET")], "volumeMounts": [{"name": "v"}]},
                {"name": "b", "volumeMounts": [{"name": "v", "subPath": "x"}]},
            ],
            "volumes": [{"name": "v", "secret": {"secretName": "oauth", "items": [{"key": "CLIENT_SECRET"}]}}],
        });
        let expected = [
            ("a", Use::Environment),
            ("a", Use::Directory),
            ("b", Use::SubPath),
        ];
        let expected = expected.map(|(name, use_)| (name.to_owned(), use_));
        assert_eq!(found(&spec), expected);
    }
}
