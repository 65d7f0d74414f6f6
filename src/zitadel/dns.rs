//! Name resolution as this host is configured, without a fallback.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Queries the name servers in `/etc/resolv.conf`.
///
/// NB: reqwest's own resolver falls back to Google's name servers if that file has none or cannot be read. A third party would then learn
/// the names of a cluster, and decide where the credential is sent.
#[derive(Clone, Default)]
pub(super) struct SystemDns(Arc<OnceLock<TokioResolver>>);

impl SystemDns {
    fn resolver(&self) -> Result<&TokioResolver, NetError> {
        if let Some(resolver) = self.0.get() {
            return Ok(resolver);
        }
        // A failure is not cached: the file may appear later.
        let mut builder = TokioResolver::builder_tokio()?;
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        let resolver = builder.build()?;
        Ok(self.0.get_or_init(|| resolver))
    }
}

impl Resolve for SystemDns {
    fn resolve(&self, name: Name) -> Resolving {
        let dns = self.clone();
        Box::pin(async move {
            let found = dns.resolver()?.lookup_ip(name.as_str()).await?;
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::system_conf::parse_resolv_conf;

    #[test]
    fn without_a_name_server_nothing_is_resolved() {
        for none in ["", "search orders.svc.cluster.local\noptions ndots:5\n"] {
            assert!(parse_resolv_conf(none).is_err(), "{none:?}");
        }
        assert!(parse_resolv_conf("nameserver 10.96.0.10\n").is_ok());
    }
}
