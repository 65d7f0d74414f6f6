//! The forward proxy between the operator and ZITADEL. No I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::auth::SecretSource;
use crate::api::rule;
use crate::api::tls::CaBundle;

/// A forward proxy that the operator goes through to ZITADEL.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rule::proxy_ca_bundle()))]
pub struct Proxy {
    /// Address of the proxy, such as `http://proxy.example.com:3128`: http or https, without a path and without credentials. Without a
    /// port it is 80 or 443.
    #[schemars(
        length(min = 8, max = 512),
        extend("x-kubernetes-validations" = rule::proxy_url())
    )]
    pub url: String,

    /// Hosts that are dialed directly: a name with all names below it, an IP address or a CIDR range. Compared with the host of endpoint,
    /// or of url if there is none; names are not resolved for it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = rule::no_proxy()))]
    pub no_proxy: Option<Vec<NoProxyHost>>,

    /// User and password for the proxy, stored as `user:password`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<SecretSource>,

    /// Certificate authorities (PEM) in the operator's namespace for a proxy with an https URL; they replace the system's, for the proxy
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// A host name, domain, IP address or CIDR range.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct NoProxyHost(#[schemars(length(min = 1, max = 253))] pub String);
