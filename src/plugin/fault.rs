//! What a failed request to the cluster means, and what the caller can do about it. No I/O.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::core::Status;

use crate::api::{GROUP, Kind};
use crate::plugin::exit::{Exit, Failure};
use crate::process::kube_client::DeadlineExceeded;
use crate::process::kube_error;
use crate::zitadel::detail::{find, tls};
use crate::zitadel::{Detail, Fault};

/// What was asked of the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The verb, such as `list`.
    pub verb: &'static str,
    /// The resource with its group, such as `apiappsecrets.zitadel-secrets.dev`.
    pub resource: String,
    /// Where; none: in all namespaces.
    pub namespace: Option<String>,
    /// The object, where it is one.
    pub name: Option<String>,
}

impl Asked {
    /// A request about objects of a kind.
    pub fn kind(verb: &'static str, kind: Kind, namespace: Option<&str>) -> Self {
        Self::of(verb, &format!("{}.{GROUP}", kind.plural()), namespace)
    }

    /// A request about a resource.
    pub fn of(verb: &'static str, resource: &str, namespace: Option<&str>) -> Self {
        Self {
            verb,
            resource: resource.to_owned(),
            namespace: namespace.map(ToOwned::to_owned),
            name: None,
        }
    }

    /// A request about a resource that is known by its type.
    pub fn resource<R: Resource<DynamicType = ()>>(
        verb: &'static str,
        namespace: Option<&str>,
    ) -> Self {
        let (plural, group) = (R::plural(&()), R::group(&()));
        let dot = if group.is_empty() { "" } else { "." };
        Self::of(verb, &format!("{plural}{dot}{group}"), namespace)
    }

    /// The same about one object.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in all namespaces".to_owned(),
        }
    }
}

/// Why the cluster did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API server does not know the resource.
    #[error(
        "the cluster does not serve {resource}: the custom resource definitions are not installed, or are of another version (`kubectl get crd` lists them)"
    )]
    NotServed {
        /// The resource.
        resource: String,
    },
    /// There is no such object.
    #[error("{0} does not exist")]
    Absent(String),
    /// A right is missing.
    #[error("you may not {} {} {}: ask for the verb {} on {}{}", .0.verb, .0.resource, .0.place(), .0.verb, .0.resource, narrower(.0))]
    Denied(Asked),
    /// The caller may not act as someone else.
    #[error(
        "you may not act as the user of --as, or of the kubeconfig: ask for the verb impersonate on users"
    )]
    Impersonation,
    /// An admission policy or webhook does not allow it.
    #[error("an admission policy or webhook refuses to {} {}: {message}", .asked.verb, .asked.resource)]
    Refused {
        /// What was asked.
        asked: Asked,
        /// What it says.
        message: String,
    },
    /// The API server does not take the request.
    #[error("the API server refuses to {} {} (HTTP {code}): {message}", .asked.verb, .asked.resource)]
    Invalid {
        /// What was asked.
        asked: Asked,
        /// The status code.
        code: u16,
        /// What it says.
        message: String,
    },
    /// The object was changed, or replaced, meanwhile.
    #[error("{0} was changed by someone else meanwhile; try again")]
    Conflict(String),
    /// The API server does not know who asks.
    #[error(
        "the API server at {0} does not accept your credentials (HTTP 401): log in again, or check the user of the context"
    )]
    Unauthorized(Arc<str>),
    /// The API server cannot serve the request.
    #[error("the API server at {host} cannot serve the request (HTTP {code}); try again")]
    Unavailable {
        /// Its host and port.
        host: Arc<str>,
        /// The status code.
        code: u16,
    },
    /// There is no connection.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the API server at {host} did not respond within {} s", .after.as_secs())]
    TimedOut {
        /// Its host and port.
        host: Arc<str>,
        /// How long it had.
        after: Duration,
    },
    /// The credential plugin of the kubeconfig fails.
    #[error("your credentials cannot be had: {0}")]
    Credentials(String),
    /// What came back cannot be read.
    #[error(
        "the answer of the API server at {0} cannot be read: is something else at that address?"
    )]
    Unreadable(Arc<str>),
}

/// What a caller without rights on the whole cluster can do.
fn narrower(asked: &Asked) -> &'static str {
    if asked.namespace.is_none() {
        ", or choose a namespace with -n"
    } else {
        ""
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let text = error.to_string();
        match error.exit() {
            Exit::Usage => Self::Usage(text),
            Exit::NoAccess => Self::NoAccess(text),
            Exit::Timeout => Self::Timeout(text),
            Exit::Fine | Exit::Finding | Exit::Interrupted => Self::Finding(text),
        }
    }
}

impl ClusterError {
    /// Reads why a request to the API server at that `host:port` failed.
    pub fn read(error: &kube::Error, asked: &Asked, host: &Arc<str>) -> Self {
        match error {
            kube::Error::Api(status) => Self::answered(status, asked, host),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                Self::Unreadable(Arc::clone(host))
            }
            kube::Error::Auth(error) => Self::Credentials(causes(error)),
            other => Self::of_network(other, host),
        }
    }

    fn answered(status: &Status, asked: &Asked, host: &Arc<str>) -> Self {
        let is_stopped = kube_error::admission(status).is_some();
        let message = || status.message.clone();
        match status.code {
            _ if is_stopped => Self::Refused {
                asked: asked.clone(),
                message: message(),
            },
            401 => Self::Unauthorized(Arc::clone(host)),
            403 if status.message.contains("cannot impersonate") => Self::Impersonation,
            403 => Self::Denied(asked.clone()),
            404 if is_of_object(status) => Self::Absent(subject(asked)),
            404 => Self::NotServed {
                resource: asked.resource.clone(),
            },
            409 => Self::Conflict(subject(asked)),
            code @ (400..=428 | 431..=499) => Self::Invalid {
                asked: asked.clone(),
                code,
                message: message(),
            },
            code => Self::Unavailable {
                host: Arc::clone(host),
                code,
            },
        }
    }

    fn of_network(error: &kube::Error, host: &Arc<str>) -> Self {
        if let Some(DeadlineExceeded(after)) = find::<DeadlineExceeded>(error) {
            return Self::TimedOut {
                host: Arc::clone(host),
                after: *after,
            };
        }
        if let Some(error) = find::<kube::client::AuthError>(error) {
            return Self::Credentials(causes(error));
        }
        let fault = match find::<rustls::Error>(error) {
            Some(error) => Some(tls(error)),
            None => of_connection(error),
        };
        let text = match fault {
            Some(Fault::UnknownIssuer) => format!(
                "the certificate of {host} is of an unknown issuer: check certificate-authority of the cluster in your kubeconfig"
            ),
            Some(fault) => Detail::new(host, fault).to_string(),
            None => format!("{host}: {}", causes(error)),
        };
        Self::Unreachable(text)
    }

    /// How a command ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            // NB: of a list nothing but its selectors can be wrong.
            Self::Invalid {
                code: 400, asked, ..
            } if asked.verb == "list" => Exit::Usage,
            Self::Absent(_) | Self::Conflict(_) | Self::Refused { .. } | Self::Invalid { .. } => {
                Exit::Finding
            }
            Self::NotServed { .. }
            | Self::Denied(_)
            | Self::Impersonation
            | Self::Unauthorized(_)
            | Self::Unavailable { .. }
            | Self::Unreachable(_)
            | Self::Credentials(_)
            | Self::Unreadable(_) => Exit::NoAccess,
            Self::TimedOut { .. } => Exit::Timeout,
        }
    }

    /// Whether the cluster has no such kind of objects.
    pub const fn is_not_served(&self) -> bool {
        matches!(self, Self::NotServed { .. })
    }
}

/// What an attempt at a connection came to.
fn of_connection(error: &kube::Error) -> Option<Fault> {
    let error = find::<std::io::Error>(error)?;
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(Fault::Refused),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Some(Fault::Reset),
        ErrorKind::UnexpectedEof => Some(Fault::Closed),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(Fault::NoRoute),
        // NB: getaddrinfo's errors have no kind of their own.
        _ if error.to_string().contains("failed to lookup address") => Some(Fault::NameNotFound),
        _ => None,
    }
}

/// Whether an answer of 404 is about an object. About a resource that is not served it names none.
fn is_of_object(status: &Status) -> bool {
    let details = status.details.as_ref();
    details.is_some_and(|details| !details.name.is_empty())
}

fn subject(asked: &Asked) -> String {
    let name = asked.name.as_deref().unwrap_or_default();
    format!("{}/{name} {}", asked.resource, asked.place())
}

/// An error with what caused it, each once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked::kind("list", Kind::ApiApp, Some("orders"))
    }

    fn read(error: &kube::Error) -> (Exit, String) {
        let host = Arc::from("10.0.0.1:6443");
        let failure = Failure::from(ClusterError::read(error, &asked(), &host));
        (failure.exit(), failure.to_string())
    }

    fn answer(code: u16, message: &str) -> (Exit, String) {
        let status = Status::failure(message, "").with_code(code).boxed();
        read(&kube::Error::Api(status))
    }

    #[test]
    fn a_missing_right_is_named_by_verb_and_resource() {
        let (exit, text) = answer(
            403,
            "apiappsecrets is forbidden: User \"alice\" cannot list",
        );
        assert_eq!(exit, Exit::NoAccess);
        assert_eq!(
            text,
            "you may not list apiappsecrets.zitadel-secrets.dev in namespace orders: ask for the verb list on apiappsecrets.zitadel-secrets.dev"
        );
        let everywhere = Asked::kind("list", Kind::ApiApp, None);
        let text = ClusterError::Denied(everywhere).to_string();
        assert!(text.ends_with(", or choose a namespace with -n"), "{text}");
    }

    #[test]
    fn each_answer_has_its_meaning_and_its_exit_code() {
        let policy =
            "x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no";
        for (code, message, exit, part) in [
            (401, "Unauthorized", Exit::NoAccess, "log in again"),
            (403, policy, Exit::Finding, "admission policy"),
            (
                403,
                "users \"x\" is forbidden: User \"y\" cannot impersonate resource \"users\"",
                Exit::NoAccess,
                "the verb impersonate",
            ),
            (404, "404 page not found", Exit::NoAccess, "does not serve"),
            (
                400,
                "unable to parse requirement",
                Exit::Usage,
                "unable to parse",
            ),
            (
                409,
                "the object has been modified",
                Exit::Finding,
                "try again",
            ),
            (429, "", Exit::NoAccess, "HTTP 429"),
            (503, "", Exit::NoAccess, "HTTP 503"),
        ] {
            let (found, text) = answer(code, message);
            assert_eq!(found, exit, "{code}: {text}");
            assert!(text.contains(part), "{code}: {text}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_named_with_host_port_and_cause() {
        let io = |kind| kube::Error::Service(Box::new(std::io::Error::from(kind)));
        let (exit, text) = read(&io(ErrorKind::ConnectionRefused));
        assert_eq!(exit, Exit::NoAccess);
        assert_eq!(
            text,
            "the API server cannot be reached: 10.0.0.1:6443 refuses connections"
        );
        let late = DeadlineExceeded(Duration::from_secs(10));
        let (exit, text) = read(&kube::Error::Service(Box::new(late)));
        assert_eq!(exit, Exit::Timeout);
        assert_eq!(
            text,
            "the API server at 10.0.0.1:6443 did not respond within 10 s"
        );
        let issuer = rustls::Error::from(rustls::CertificateError::UnknownIssuer);
        let (_, text) = read(&kube::Error::Service(Box::new(issuer)));
        assert!(text.contains("certificate-authority"), "{text}");
    }
}
