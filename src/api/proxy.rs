//! The forward proxy between the operator and ZITADEL. No I/O.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyRef;

/// A forward proxy that the operator goes through to ZITADEL.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.caBundle) || self.url.startsWith('https://')").message("proxy.caBundle is for a proxy with an https:// URL; the authorities of ZITADEL, or of a proxy that intercepts TLS, belong in spec.caBundle"))]
pub struct Proxy {
    /// Address of the proxy, such as `http://proxy.example.com:3128`: http or https, without a path and without credentials. Without a
    /// port it is 80 or 443.
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(validation = Rule::new("!self.contains('@')").message("proxy.url must not contain a user or password: store them as user:password in a Secret and name it in proxy.auth.secretKeyRef, such as {name: zitadel-proxy, key: auth}"))]
    #[x_kube(validation = Rule::new("self.contains('@') || self.matches('^https?://([A-Za-z0-9._-]+|[[][0-9A-Fa-f:.]+[]])(:[0-9]{1,5})?/?$')").message("proxy.url must be the address of an HTTP proxy, such as http://proxy.example.com:3128: http or https, without a path"))]
    pub url: String,

    /// Hosts that are dialled directly: a name with all names below it, an IP address or a CIDR range. Compared with the host of endpoint,
    /// or of url if there is none; names are not resolved for it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(h, h.matches('^[.]?[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$') || h.matches('^[0-9.]+/[0-9]{1,2}$') || h.matches('^[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/[0-9]{1,3})?$'))").message("proxy.noProxy takes host names, domains, IP addresses and CIDR ranges, such as zitadel.internal, .svc.cluster.local, 10.0.0.5 or 10.0.0.0/8; a port or * cannot be given, and a name covers all names below it"))]
    pub no_proxy: Option<Vec<NoProxyHost>>,

    /// User and password for the proxy. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ProxyAuth>,

    /// Certificate authorities (PEM) in the operator's namespace for a proxy with an https URL; they replace the system's, for the proxy
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<ProxyCaBundle>,
}

/// A host name, domain, IP address or CIDR range.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct NoProxyHost(#[schemars(length(min = 1, max = 253))] pub String);

/// User and password for a proxy (Basic).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProxyAuth {
    /// The key of a Secret in the operator's own namespace that holds `user:password`. It is read again when it changes.
    pub secret_key_ref: KeyRef,
}

/// Where a PEM bundle is: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMapKeyRef) != has(self.secretKeyRef)").message("exactly one of configMapKeyRef and secretKeyRef must be given"))]
pub struct ProxyCaBundle {
    /// A key of a ConfigMap in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
    /// A key of a Secret in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
}
