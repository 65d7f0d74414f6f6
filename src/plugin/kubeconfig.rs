//! The caller's kubeconfig, and as whom the caller acts.

use std::io::ErrorKind;

use http::{HeaderName, HeaderValue};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::plugin::cli::Global;
use crate::plugin::exit::Failure;

/// The configuration of a client, from the kubeconfig that the caller means; in a Pod, from its service account.
pub async fn config(global: &Global) -> Result<Config, Failure> {
    let options = KubeConfigOptions {
        context: global.context.clone(),
        ..KubeConfigOptions::default()
    };
    let is_chosen = global.kubeconfig.is_some() || global.context.is_some();
    let config = match read(global) {
        Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
        Err(error) => Err(error),
    };
    let mut config = match config {
        Ok(config) => config,
        // In a Pod.
        Err(error) if !is_chosen => match Config::incluster() {
            Ok(config) => config,
            Err(_) => return Err(Failure::Usage(unusable(&error, global))),
        },
        Err(error) => return Err(Failure::Usage(unusable(&error, global))),
    };
    impersonate(&mut config, global)?;
    Ok(config)
}

/// The contexts of the caller's kubeconfig; none if it cannot be read.
pub fn contexts(global: &Global) -> Vec<String> {
    let contexts = read(global).map(|kubeconfig| kubeconfig.contexts);
    let contexts = contexts.unwrap_or_default().into_iter();
    contexts.map(|context| context.name).collect()
}

fn read(global: &Global) -> Result<Kubeconfig, KubeconfigError> {
    match &global.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    }
}

/// Why a kubeconfig cannot be used, and what to do.
fn unusable(error: &KubeconfigError, global: &Global) -> String {
    let set = std::env::var("KUBECONFIG").unwrap_or_default();
    let file = match &global.kubeconfig {
        Some(path) => path.display().to_string(),
        None if !set.is_empty() => format!("{set} ($KUBECONFIG)"),
        None => "~/.kube/config".to_owned(),
    };
    match error {
        KubeconfigError::ReadConfig(error, _) => {
            let why = match error.kind() {
                ErrorKind::NotFound => "there is no such file".to_owned(),
                kind => kind.to_string(),
            };
            format!(
                "the kubeconfig {file} cannot be read ({why}): name one with --kubeconfig or $KUBECONFIG"
            )
        }
        // NB: the error quotes the file, which has credentials in it.
        KubeconfigError::Parse(_) => {
            format!("the kubeconfig {file} cannot be used: it is not YAML, or no kubeconfig")
        }
        KubeconfigError::FindPath => {
            "there is no kubeconfig: name one with --kubeconfig or $KUBECONFIG".to_owned()
        }
        KubeconfigError::CurrentContextNotSet => {
            format!("the kubeconfig {file} has no current context: choose one with --context")
        }
        KubeconfigError::LoadContext(name) => format!(
            "the kubeconfig {file} has no context {name}: `kubectl config get-contexts` lists those that are there"
        ),
        other => format!("the kubeconfig {file} cannot be used: {other}"),
    }
}

/// Acts as someone else, as the flag or the kubeconfig says.
///
/// NB: kube reads the fields of the kubeconfig, and does nothing with them.
fn impersonate(config: &mut Config, global: &Global) -> Result<(), Failure> {
    let user = &config.auth_info;
    let mut headers = Vec::new();
    match (&global.as_user, &user.impersonate) {
        (Some(name), _) => headers.push(("impersonate-user", name.clone())),
        (None, Some(name)) => {
            headers.push(("impersonate-user", name.clone()));
            let uid = user.impersonate_uid.iter();
            headers.extend(uid.map(|uid| ("impersonate-uid", uid.clone())));
            let groups = user.impersonate_groups.iter().flatten();
            headers.extend(groups.map(|group| ("impersonate-group", group.clone())));
        }
        (None, None) => {}
    }
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value)
            .map_err(|_| Failure::Usage(format!("no user or group is called {value:?}")))?;
        config.headers.push((HeaderName::from_static(name), value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_goes_with_every_request() {
        let global = |user: &str| Global {
            namespace: None,
            all_namespaces: false,
            selector: None,
            context: None,
            kubeconfig: None,
            as_user: Some(user.to_owned()),
            output: crate::plugin::output::Format::Table,
            no_color: false,
        };
        let mut config = Config::new("https://10.0.0.1".parse().unwrap());
        impersonate(&mut config, &global("system:serviceaccount:a:b")).unwrap();
        assert_eq!(config.headers[0].0, "impersonate-user");
        assert_eq!(config.headers[0].1, "system:serviceaccount:a:b");
        assert!(impersonate(&mut config, &global("a\nb")).is_err());
    }
}
