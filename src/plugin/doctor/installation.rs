//! An installation of the operator, read from its Deployment. No I/O.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use kube::ResourceExt as _;

use crate::api::DEFAULT_CLASS;
use crate::store::scope::Scope;

/// The label of the operator's objects that does not change from release to release, unless `nameOverride` replaces it.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/name", "zitadel-secret-operator");
/// The label of its Pods.
const COMPONENT: (&str, &str) = ("app.kubernetes.io/component", "operator");

/// An installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its namespace.
    pub namespace: String,
    /// Its Deployment.
    pub name: String,
    /// The connections of which class it manages.
    pub class: String,
    /// The namespaces that it watches.
    pub scope: Scope,
    /// The name of its service account.
    pub account: String,
    /// Whether it has `--consumers-refresh`.
    pub refreshes: bool,
    /// Whether it has `--consumers-restart`.
    pub restarts: bool,
    /// Whether its replicas elect a leader.
    pub elects: bool,
    /// Its version, as its label has it.
    pub version: Option<String>,
    /// Replicas that are wanted, that are ready, and that are of the last change.
    pub replicas: [i32; 3],
}

impl Installation {
    /// Reads a Deployment; none: it is not the operator's.
    pub fn of(deployment: &Deployment) -> Option<Self> {
        let spec = deployment.spec.as_ref()?;
        let pod = spec.template.spec.as_ref()?;
        let labels = spec.template.metadata.as_ref()?.labels.as_ref()?;
        if labels.get(COMPONENT.0).map(String::as_str) != Some(COMPONENT.1) {
            return None;
        }
        let container = pod.containers.iter().find(|it| runs(it))?;
        let setting = |flag, variable| setting(container, flag, variable);
        let is = |flag, variable, default| {
            setting(flag, variable).map_or(default, |value| value == "true")
        };
        let watched = setting("--watch-namespaces", "WATCH_NAMESPACES").unwrap_or_default();
        let watched = watched.split(',').filter(|name| !name.is_empty());
        let status = deployment.status.as_ref();
        let count = |count: Option<i32>| count.unwrap_or_default();
        Some(Self {
            namespace: deployment.namespace().unwrap_or_default(),
            name: deployment.name_any(),
            class: setting("--controller-class", "CONTROLLER_CLASS")
                .unwrap_or(DEFAULT_CLASS)
                .to_owned(),
            scope: Scope::new(watched.map(ToOwned::to_owned)),
            account: pod
                .service_account_name
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            refreshes: is("--consumers-refresh", "CONSUMERS_REFRESH", false),
            restarts: is("--consumers-restart", "CONSUMERS_RESTART", false),
            elects: is("--leader-elect", "LEADER_ELECT", true),
            version: deployment
                .labels()
                .get("app.kubernetes.io/version")
                .cloned(),
            replicas: [
                spec.replicas.unwrap_or(1),
                count(status.and_then(|status| status.ready_replicas)),
                count(status.and_then(|status| status.updated_replicas)),
            ],
        })
    }

    /// Its Deployment as kubectl takes it.
    pub fn object(&self) -> String {
        format!("deployment.apps/{}", self.name)
    }

    /// The user as whom it makes its requests.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    /// Whether it reconciles the objects of a namespace with connections of a class.
    pub fn manages(&self, class: &str, namespace: &str) -> bool {
        self.class == class && self.scope.covers(namespace)
    }
}

fn runs(container: &Container) -> bool {
    let arguments = container.args.iter().flatten();
    let mut all = container.command.iter().flatten().chain(arguments);
    all.any(|argument| argument == "run")
}

/// The value of a flag, or of its environment variable.
fn setting<'a>(container: &'a Container, flag: &str, variable: &str) -> Option<&'a str> {
    let arguments = container.args.as_deref().unwrap_or_default();
    let mut given = None;
    for (at, argument) in arguments.iter().enumerate() {
        if argument == flag {
            given = arguments.get(at + 1).map(String::as_str);
        } else if let Some(value) = argument
            .strip_prefix(flag)
            .and_then(|it| it.strip_prefix('='))
        {
            given = Some(value);
        }
    }
    let mut variables = container.env.iter().flatten();
    let variable = || variables.find(|it| it.name == variable)?.value.as_deref();
    given.or_else(variable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::doctor::fixtures::{deployment, installation};

    #[test]
    fn the_settings_are_its_flags_then_its_environment_then_the_defaults() {
        let found = installation(&["--watch-namespaces=a,b", "--consumers-restart", "true"]);
        assert_eq!(found.class, "b");
        assert_eq!(found.user(), "system:serviceaccount:operators:zso");
        assert!(found.elects && found.restarts && !found.refreshes);
        assert!(found.manages("b", "a") && !found.manages("b", "c") && !found.manages("a", "a"));
        let found = installation(&["--controller-class=c", "--leader-elect=false"]);
        assert_eq!(found.class, "c");
        assert!(!found.elects && found.manages("c", "anywhere"));
    }

    #[test]
    fn another_deployment_with_the_label_is_none() {
        let mut other = deployment(&[]);
        other["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["serve"]);
        assert_eq!(
            Installation::of(&serde_json::from_value(other).unwrap()),
            None
        );
    }
}
