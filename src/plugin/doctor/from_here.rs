//! ZITADEL as this machine sees it: host, port, certificate, issuer, clock. Nothing but its public OIDC configuration is asked for.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;

use crate::api::{CaBundle, KeyRef, ZitadelConnection};
use crate::plugin::cluster::Cluster;
use crate::plugin::doctor::connections::object;
use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::doctor::leader;
use crate::plugin::doctor::operators::Operators;
use crate::process::clock::SystemClock;
use crate::zitadel::{Client, ClientConfig, Credential, Endpoint, Issuer};

/// What ZITADEL's token is where none is needed.
const NO_CREDENTIAL: &[u8] = b"none";

/// Asks the ZITADEL of a connection.
pub async fn ask(
    cluster: &Cluster,
    connection: &ZitadelConnection,
    operators: &Operators,
) -> Vec<Finding> {
    let name = object(&connection.name_any());
    let about = |finding: Finding| finding.about("", name.as_str());
    let client = match client(cluster, connection, operators).await {
        Ok(client) => client,
        Err(finding) => return vec![about(*finding)],
    };
    let url = &connection.spec.url;
    let found = client.discovery().await;
    let finding = match found {
        Ok(_) => {
            let message =
                format!("{url} responds, with a certificate that is valid and with its own issuer");
            Finding::new(Check::FromHere, Verdict::Ok, message)
        }
        Err(error) => {
            let message = format!("{url}: {error}");
            let finding = Finding::new(Check::FromHere, Verdict::Warning, message);
            finding.fix(format!(
                "curl --verbose {url}/.well-known/openid-configuration"
            ))
        }
    };
    let ahead = client.clock().offset().zip(cluster.skew());
    let clock = ahead.map(|(zitadel, cluster)| leader::clock("ZITADEL", zitadel - cluster));
    std::iter::once(finding).chain(clock).map(about).collect()
}

async fn client(
    cluster: &Cluster,
    connection: &ZitadelConnection,
    operators: &Operators,
) -> Result<Client, Box<Finding>> {
    let unknown = |why: String| {
        let message = format!("not checked: {why}");
        Box::new(Finding::new(Check::FromHere, Verdict::Unknown, message))
    };
    let spec = &connection.spec;
    if spec.proxy.is_some() {
        return Err(unknown(
            "it is behind spec.proxy, which is the operator's".to_owned(),
        ));
    }
    let plaintext = spec.allows_plaintext();
    let issuer = Issuer::parse(&spec.url, plaintext);
    let issuer = issuer.map_err(|error| unknown(format!("spec.url {error}")))?;
    let endpoint = spec.endpoint.as_deref();
    let endpoint = endpoint.map(|endpoint| Endpoint::parse(endpoint, plaintext));
    let endpoint = endpoint.transpose();
    let endpoint = endpoint.map_err(|error| unknown(format!("spec.endpoint {error}")))?;
    let ca_pem = match spec.ca_bundle() {
        None => None,
        Some(CaBundle {
            config_map_key_ref: Some(reference),
            ..
        }) => {
            let class = spec.class();
            let mut installations = operators.installations();
            let own = installations.find(|it| it.class == class);
            let own = own.ok_or_else(|| {
                unknown(
                    "spec.tls.caBundle is in the operator's namespace, which is not known"
                        .to_owned(),
                )
            })?;
            Some(authorities(cluster, &own.namespace, reference).await?)
        }
        Some(CaBundle { .. }) => {
            let why = "spec.tls.caBundle is in a Secret, and no value of a Secret is read";
            return Err(unknown(why.to_owned()));
        }
    };
    let credential = Credential::personal_access_token(NO_CREDENTIAL);
    let credential = credential.map_err(|error| unknown(error.to_string()))?;
    let config = ClientConfig {
        endpoint,
        ca_pem,
        clock: Arc::new(SystemClock),
        ..ClientConfig::new(issuer, credential)
    };
    Client::new(config).map_err(|error| unknown(error.to_string()))
}

/// The certificate authorities in a ConfigMap of the operator's namespace.
async fn authorities(
    cluster: &Cluster,
    namespace: &str,
    KeyRef { name, key }: &KeyRef,
) -> Result<Vec<u8>, Box<Finding>> {
    let found = cluster.fetch::<ConfigMap>(Some(namespace), name).await;
    let found = found.map_err(|error| Box::new(Finding::unknown(Check::FromHere, &error)))?;
    let pem = found.into_read().and_then(|it| it.data?.remove(key));
    pem.map(String::into_bytes).ok_or_else(|| {
        let message = format!("not checked: ConfigMap {namespace}/{name} has no key {key}");
        Box::new(Finding::new(Check::FromHere, Verdict::Unknown, message))
    })
}
