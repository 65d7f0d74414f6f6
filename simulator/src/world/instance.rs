//! Which instance a request means, by host, and what the instance's issuer is. Does no I/O.

use http::HeaderMap;

/// Hosts of the one instance there is.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Vec<String>);

/// The request's host is none of the instance's.
#[derive(Clone, Debug)]
pub(crate) struct UnknownHost {
    id: &'static str,
    host: String,
    proto: &'static str,
}

impl UnknownHost {
    /// The server's text (`middleware/instance_interceptor.go`).
    pub(crate) fn message(&self) -> String {
        format!(
            "unable to set instance using origin &{{{} {}}} (ExternalDomain is localhost): ID={} Message=Instance not found. \
             Make sure you got the domain right. Check out https://zitadel.com/docs/apis/introduction#domains",
            self.host, self.proto, self.id
        )
    }
}

impl Hosts {
    pub(crate) fn new(external: &[String]) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        Self(own.into_iter().chain(external.iter().cloned()).collect())
    }

    /// The issuer: scheme and public or instance host, with the port as sent (`internal/api/http/request_context.go`).
    pub(crate) fn issuer(
        &self,
        headers: &HeaderMap,
        authority: Option<&str>,
        secure: bool,
    ) -> Result<String, UnknownHost> {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .filter(|value| !value.is_empty())
        };
        let forwarded = |name: &str| header(name).and_then(forwarded_host);
        let host = header("x-zitadel-instance-host")
            .or_else(|| forwarded("forwarded"))
            .or_else(|| forwarded("x-zitadel-forwarded"))
            .or_else(|| forwarded("x-forwarded-for"))
            .or_else(|| header("x-forwarded-host"))
            .or(authority)
            .or_else(|| header("host"))
            .unwrap_or_default();
        let proto = match (secure, header("x-forwarded-proto")) {
            (true, _) | (false, Some("https")) => "https",
            _ => "http",
        };
        let unknown = |id, host: &str| UnknownHost {
            id,
            host: host.to_owned(),
            proto,
        };
        if !self.contain(host) {
            return Err(unknown("QUERY-1kIjX", host));
        }
        let public = header("x-zitadel-public-host").unwrap_or(host);
        if !self.contain(public) {
            return Err(unknown("QUERY-IuGh1", public));
        }
        Ok(format!("{proto}://{public}"))
    }

    fn contain(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// `host=` of a Forwarded header (RFC 7239).
fn forwarded_host(value: &str) -> Option<&str> {
    let host = value.split([';', ',']).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("host")
            .then(|| value.trim_matches('"'))
    })?;
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        });
        Hosts::new(&["iam.example.com".to_owned()])
            .issuer(&headers.collect(), None, false)
            .ok()
    }

    #[test]
    fn the_issuer_keeps_the_port_and_takes_the_forwarded_scheme() {
        assert_eq!(
            issuer(&[("host", "localhost:8080")]).as_deref(),
            Some("http://localhost:8080")
        );
        let external = [
            ("host", "10.0.0.1"),
            ("x-zitadel-instance-host", "iam.example.com"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(
            issuer(&external).as_deref(),
            Some("https://iam.example.com")
        );
    }

    #[test]
    fn an_unknown_host_or_public_host_is_refused() {
        assert_eq!(issuer(&[("host", "other.example")]), None);
        assert_eq!(
            issuer(&[
                ("host", "localhost"),
                ("x-zitadel-public-host", "other.example")
            ]),
            None
        );
    }
}
