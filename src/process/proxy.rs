//! The forward proxy to the API server from a kubeconfig or the environment: an unreachable one is reported with the next step.

use std::time::Duration;

use tokio::net::TcpStream;

/// How long a proxy may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the API server cannot be reached through a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not one of the schemes `http` and `https`.
    #[error(
        "{set} is a proxy that is not an http:// one: set an http:// proxy, or unset it, or add the API server's host {server} to NO_PROXY"
    )]
    Scheme {
        /// What names the proxy.
        set: String,
        /// The API server's host.
        server: String,
    },
    /// The proxy does not answer.
    #[error(
        "{set} is set to {proxy}, which {kind}: unset it, or add the API server's host {server} to NO_PROXY"
    )]
    Unreachable {
        /// What names the proxy.
        set: String,
        /// Its `host:port`.
        proxy: String,
        /// What happens there.
        kind: &'static str,
        /// The API server's host.
        server: String,
    },
}

/// Checks that the proxy to the API server accepts connections, if there is one. `NO_PROXY` may exclude the API server.
pub async fn reachable(config: &kube::Config) -> Result<(), ProxyError> {
    let Some(proxy) = &config.proxy_url else {
        return Ok(());
    };
    let set = named_by(proxy, |name| std::env::var(name).ok());
    let server = config.cluster_url.host().unwrap_or_default().to_owned();
    if !matches!(proxy.scheme_str(), Some("http" | "https") | None) {
        return Err(ProxyError::Scheme { set, server });
    }
    let host = proxy.host().unwrap_or_default();
    let usual = if proxy.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let port = proxy.port_u16().unwrap_or(usual);
    let address = (host.trim_matches(['[', ']']), port);
    let kind = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "refuses connections",
            _ => "cannot be reached",
        },
        Err(_) => "does not accept connections within 5 s",
    };
    Err(ProxyError::Unreachable {
        set,
        // NB: not the URL, which may hold a password.
        proxy: format!("{host}:{port}"),
        kind,
        server,
    })
}

/// The setting that names the proxy: the kubeconfig takes precedence, then `HTTPS_PROXY`, then `https_proxy`.
fn named_by(proxy: &http::Uri, variable: impl Fn(&str) -> Option<String>) -> String {
    let is_it = |name: &&&str| {
        let value = variable(name).unwrap_or_default();
        value.parse::<http::Uri>().is_ok_and(|uri| uri == *proxy)
    };
    ["HTTPS_PROXY", "https_proxy"]
        .iter()
        .find(is_it)
        .map_or_else(
            || "proxy-url of the kubeconfig".to_owned(),
            |name| (*name).to_owned(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_proxy_is_named_with_the_host_that_needs_none_and_never_with_its_password() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut config = kube::Config::new("https://10.0.0.1:6443".parse().unwrap());
        assert_eq!(reachable(&config).await, Ok(()));
        let proxy = format!("http://user:secret@127.0.0.1:{port}");
        config.proxy_url = Some(proxy.parse().unwrap());
        let error = reachable(&config).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "proxy-url of the kubeconfig is set to 127.0.0.1:{port}, which refuses connections: unset it, or add the API server's host 10.0.0.1 to NO_PROXY"
            )
        );
        config.proxy_url = Some("socks5://127.0.0.1:1".parse().unwrap());
        let error = reachable(&config).await.unwrap_err().to_string();
        assert!(error.contains("not an http:// one"), "{error}");
    }

    #[test]
    fn the_variable_that_names_the_proxy_is_reported() {
        let proxy: http::Uri = "http://127.0.0.1:9".parse().unwrap();
        let lower = |name: &str| (name == "https_proxy").then(|| "http://127.0.0.1:9".to_owned());
        assert_eq!(named_by(&proxy, lower), "https_proxy");
        assert_eq!(named_by(&proxy, |_| None), "proxy-url of the kubeconfig");
    }
}
