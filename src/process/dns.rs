//! Name resolution as this host is configured, without a fallback.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::vec;

use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use hyper_util::client::legacy::connect::dns;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower::Service;

/// Queries the name servers in `/etc/resolv.conf`.
///
/// NB: reqwest's own resolver falls back to Google's name servers if that file has none or cannot be read. A third party would then learn
/// the names of a cluster, and decide where the credential is sent.
#[derive(Clone, Default)]
pub struct SystemDns(Arc<OnceLock<TokioResolver>>);

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

    async fn addresses(self, name: &str) -> Result<vec::IntoIter<SocketAddr>, NetError> {
        let found = self.resolver()?.lookup_ip(name).await?;
        let addresses = found.iter().map(|ip| SocketAddr::new(ip, 0));
        Ok(addresses.collect::<Vec<_>>().into_iter())
    }
}

/// For reqwest.
impl Resolve for SystemDns {
    fn resolve(&self, name: Name) -> Resolving {
        let dns = self.clone();
        Box::pin(async move { Ok(Box::new(dns.addresses(name.as_str()).await?) as Addrs) })
    }
}

/// For hyper.
impl Service<dns::Name> for SystemDns {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = NetError;
    type Future = BoxFuture<'static, Result<Self::Response, NetError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NetError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        let dns = self.clone();
        Box::pin(async move { dns.addresses(name.as_str()).await })
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
