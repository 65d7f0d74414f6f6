//! Errors of ZITADEL and of the API server as reasons of conditions. No I/O.

use kube::core::Status;

use crate::api::Reason;
use crate::process::kube_client::DeadlineExceeded;
use crate::process::kube_error::{self, Admission, DENIAL, FAILING, is_denial};
use crate::rotation::Failure;
use crate::target::names;
use crate::zitadel::{Detail, ErrorClass, Fault, Operation, ZitadelError};

/// The reason of a failed call to ZITADEL.
pub fn zitadel(error: &ZitadelError) -> Failure {
    let reason = match error.class() {
        _ if let Some(proxy) = error.detail().and_then(of_proxy) => proxy,
        ErrorClass::UnreachableDns | ErrorClass::UnreachableConnect | ErrorClass::Interrupted => {
            Reason::ZitadelUnreachable
        }
        ErrorClass::Tls => Reason::TlsFailed,
        ErrorClass::Timeout => Reason::ZitadelTimeout,
        ErrorClass::Unauthenticated | ErrorClass::TokenRefused => Reason::CredentialRejected,
        ErrorClass::PermissionDenied => Reason::PermissionDenied,
        ErrorClass::OrganizationNotFound => Reason::OrganizationNotFound,
        ErrorClass::NotAMember => Reason::NotAMember,
        ErrorClass::AppNotFound => Reason::AppNotFound,
        ErrorClass::NotAnApiApp => Reason::AppNotApi,
        ErrorClass::NotAnOidcApp => Reason::AppNotOidc,
        ErrorClass::RateLimited => Reason::RateLimited,
        ErrorClass::Unavailable | ErrorClass::Internal => Reason::ZitadelUnavailable,
        ErrorClass::CredentialMalformed => Reason::CredentialMalformed,
        ErrorClass::NotInApi if error.operation() == Operation::Changes => {
            Reason::JournalUnavailable
        }
        ErrorClass::NotServed | ErrorClass::NotInApi => Reason::ApiNotServed,
        ErrorClass::AlreadyExists
        | ErrorClass::InstanceNotFound
        | ErrorClass::NotFound
        | ErrorClass::Rejected
        | ErrorClass::ActionInterrupted
        | ErrorClass::Malformed
        | ErrorClass::TooLarge
        | ErrorClass::Redirected
        | ErrorClass::IssuerMismatch => Reason::UnexpectedAnswer,
    };
    Failure {
        reason,
        permanent: error.is_permanent(),
        error_id: error.error_id().map(ToOwned::to_owned),
        answer: answer(error),
        call: Some(error.operation().as_str()),
        connection: None,
    }
}

/// The reason, if it is the connection's proxy that failed.
fn of_proxy(detail: &Detail) -> Option<Reason> {
    detail.is_proxy().then(|| match detail.fault() {
        Fault::ProxyCredentials(_) | Fault::NoTunnel(_) => Reason::ProxyRefused,
        _ => Reason::ProxyUnreachable,
    })
}

/// What came back, in words of the operator's own.
fn answer(error: &ZitadelError) -> Option<String> {
    if let Some(detail) = error.detail() {
        return Some(detail.to_string());
    }
    let status = error.http_status().map(|status| format!("HTTP {status}"));
    match (error.class(), status) {
        (ErrorClass::NotInApi, _) => Some(NOT_IN_API.to_owned()),
        (ErrorClass::Redirected, Some(status)) => Some(format!("{status}, a redirect")),
        (ErrorClass::Malformed, Some(status)) => {
            Some(format!("{status}, not a response from ZITADEL"))
        }
        (ErrorClass::Timeout, None) => Some("no response in time".to_owned()),
        (ErrorClass::Interrupted, None) => {
            Some("the connection closed before the response was complete".to_owned())
        }
        (_, status) => status,
    }
}

/// The reason of a failed request to the API server about a Secret.
///
/// NB: judged by status code and the API's own reason words. Only where Kubernetes has no word of its own (quota, admission, terminating
/// namespaces, dry runs) the message is parsed; only the name of a quota, policy or webhook in it is shown.
pub fn kubernetes(error: &kube::Error) -> Failure {
    if let kube::Error::Service(late) = error
        && let Some(DeadlineExceeded(after)) = late.downcast_ref()
    {
        let answer = format!(
            "no response within {} s: it is busy, or an admission webhook hangs",
            after.as_secs()
        );
        return Failure {
            answer: Some(answer),
            ..Failure::new(Reason::KubernetesUnavailable, false)
        };
    }
    let kube::Error::Api(status) = error else {
        return Failure::new(Reason::KubernetesUnavailable, false);
    };
    let named = |reason, permanent, answer| Failure {
        answer: Some(answer),
        ..Failure::new(reason, permanent)
    };
    let has = |text: &str| status.message.contains(text);
    if status.code == 400
        && !is_denial(status)
        && (has("does not support dry run") || has("side effects"))
    {
        return Failure::new(Reason::DryRunUnsupported, true);
    }
    if let Some(refusal) = admission(status) {
        return named(Reason::SecretWriteRefused, refusal.permanent, refusal.by);
    }
    if let Some(refusal) = quota(status) {
        return named(Reason::QuotaExceeded, refusal.permanent, refusal.by);
    }
    let (reason, permanent) = match status.code {
        403 if has("is being terminated") => (Reason::NamespaceTerminating, true),
        403 => (Reason::SecretWriteForbidden, true),
        404 => (Reason::NamespaceTerminating, true),
        422 if has("immutable") => (Reason::SecretImmutable, true),
        400 | 413 | 422 => (Reason::SecretWriteRefused, true),
        _ => (Reason::KubernetesUnavailable, false),
    };
    Failure::new(reason, permanent)
}

/// The reason of a refused write of a claim.
pub fn claim(error: &kube::Error) -> Failure {
    let kube::Error::Api(status) = error else {
        return Failure::new(Reason::KubernetesUnavailable, false);
    };
    if let Some(refusal) = admission(status).or_else(|| quota(status)) {
        return Failure {
            answer: Some(refusal.by),
            ..Failure::new(Reason::ClaimWriteForbidden, refusal.permanent)
        };
    }
    match status.code {
        400 | 403 | 413 | 422 => Failure::new(Reason::ClaimWriteForbidden, true),
        _ => Failure::new(Reason::KubernetesUnavailable, false),
    }
}

/// Who refused a write besides the API server itself, and whether it stays so until a person changes something.
struct Refused {
    by: String,
    permanent: bool,
}

/// An admission policy or webhook that refused, or a webhook that should have answered and did not.
fn admission(status: &Status) -> Option<Refused> {
    let message = status.message.as_str();
    let webhook = |before: &str, how: &str| {
        let webhook = called("admission webhook", name_after(message, before, '"'));
        format!("{webhook}{how}")
    };
    Some(match kube_error::admission(status)? {
        Admission::Denial if status.code < 500 => Refused {
            by: webhook(DENIAL, ""),
            permanent: status.code != 429,
        },
        Admission::Denial => Refused {
            by: webhook(DENIAL, ", which fails"),
            permanent: false,
        },
        Admission::Failing => {
            let late = ["deadline exceeded", "Timeout exceeded", "timed out"];
            let how = if late.iter().any(|word| message.contains(word)) {
                ", which does not respond in time"
            } else {
                ", which fails"
            };
            Refused {
                by: webhook(&format!("{FAILING}\""), how),
                permanent: false,
            }
        }
        Admission::Policy(kind) => Refused {
            by: called(kind, name_after(message, &format!("{kind} '"), '\'')),
            permanent: true,
        },
    })
}

/// How an answer ends where the write would have come before a rotation.
pub const NOTHING_ROTATED: &str = "; nothing was rotated";

/// The same failure of a write that comes before a rotation: it says that nothing was rotated.
pub fn before_generate(failure: Failure) -> Failure {
    let answer = failure
        .answer
        .map(|answer| format!("{answer}{NOTHING_ROTATED}"));
    Failure { answer, ..failure }
}

/// A quota that does not allow the write. One that was just created has no status for a moment.
fn quota(status: &Status) -> Option<Refused> {
    let message = status.message.as_str();
    let of = |before: &str, permanent| {
        message.contains(before).then(|| Refused {
            by: called("ResourceQuota", name_after(message, before, ',')),
            permanent,
        })
    };
    if status.code != 403 {
        return None;
    }
    of("exceeded quota: ", true).or_else(|| of("status unknown for quota: ", false))
}

fn called(kind: &str, name: Option<&str>) -> String {
    let article = if kind.starts_with('a') { "an" } else { "a" };
    name.map_or_else(
        || format!("{article} {kind}"),
        |name| format!("{kind} {name}"),
    )
}

/// The name of an object of Kubernetes in a message, between these; nothing that is none.
fn name_after<'a>(message: &'a str, before: &str, end: char) -> Option<&'a str> {
    let (_, rest) = message.split_once(before)?;
    let (name, _) = rest.split_once(end)?;
    names::is_subdomain(name).then_some(name)
}

/// Why an application is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// It is not active.
    Inactive,
    /// It authenticates by key.
    Method,
    /// It does not authenticate.
    Public,
    /// It is an API application.
    Api,
    /// It is an OIDC application.
    Oidc,
    /// It is a SAML application.
    Saml,
    /// It is of a type, or authenticates by a method, that this version does not know.
    Unknown,
}

/// What came of a call that the API in use does not have.
pub const NOT_IN_API: &str = "it is not part of ZITADEL's API V2";

/// What is wrong with an application without a client id that can be used.
pub const CLIENT_ID: &str = "its client id cannot be used";

#[cfg(test)]
mod tests {
    use super::*;

    fn reason_of(code: u16, message: &str) -> (Reason, bool) {
        let status = Status::failure(message, "").with_code(code).boxed();
        let failure = kubernetes(&kube::Error::Api(status));
        (failure.reason, failure.permanent)
    }

    #[test]
    fn refusals_of_the_api_server_have_reasons_of_their_own() {
        for (code, message, reason) in [
            (
                403,
                r#"secrets "api" is forbidden: exceeded quota: secrets, requested: secrets=1, used: secrets=1, limited: secrets=1"#,
                Reason::QuotaExceeded,
            ),
            (
                403,
                r#"secrets "api" is forbidden: unable to create new content in namespace orders because it is being terminated"#,
                Reason::NamespaceTerminating,
            ),
            (
                404,
                r#"namespaces "orders" not found"#,
                Reason::NamespaceTerminating,
            ),
            (
                403,
                r#"secrets "api" is forbidden: ValidatingAdmissionPolicy 'no' with binding 'no' denied request: no"#,
                Reason::SecretWriteRefused,
            ),
            (
                403,
                r#"admission webhook "a.example.com" denied the request: no"#,
                Reason::SecretWriteRefused,
            ),
            (
                403,
                r#"secrets "api" is forbidden: User "x" cannot create resource "secrets" in API group "" in the namespace "orders""#,
                Reason::SecretWriteForbidden,
            ),
            (
                400,
                "admission webhook \"a.example.com\" does not support dry run",
                Reason::DryRunUnsupported,
            ),
            (
                422,
                r#"Secret "api" is invalid: data: Forbidden: field is immutable when `immutable` is set"#,
                Reason::SecretImmutable,
            ),
            (
                422,
                r#"Secret "api" is invalid: data[a/b]: Invalid value"#,
                Reason::SecretWriteRefused,
            ),
        ] {
            assert_eq!(reason_of(code, message), (reason, true), "{message}");
        }
        for code in [409, 429, 500, 503, 504] {
            assert_eq!(reason_of(code, "x"), (Reason::KubernetesUnavailable, false));
        }
    }

    #[test]
    fn who_refuses_is_named_and_nothing_else_of_the_answer_is_repeated() {
        let answered = |code, message: &str| {
            let status = Status::failure(message, "").with_code(code).boxed();
            let error = kube::Error::Api(status);
            (kubernetes(&error), claim(&error))
        };
        // Each as the API server 1.36 hands it out.
        let policy = r#"secrets "api" is forbidden: ValidatingAdmissionPolicy 'no-secrets.example.com' with binding 'canary' denied request: canary, exceeded quota: canary, it is immutable"#;
        let webhook = r#"admission webhook "check.example.com" denied the request: canary"#;
        let broken = r#"Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: canary '<' looking for beginning of value"#;
        let quota = r#"secrets "api" is forbidden: exceeded quota: team-orders, requested: secrets=1, used: secrets=7, limited: secrets=7"#;
        let fresh = r#"secrets "api" is forbidden: status unknown for quota: team-orders, resources: secrets"#;
        let odd = r#"admission webhook "Canary <script>" denied the request: canary"#;
        for (code, message, reason, by, permanent) in [
            (
                422,
                policy,
                Reason::SecretWriteRefused,
                "ValidatingAdmissionPolicy no-secrets.example.com",
                true,
            ),
            (
                403,
                policy,
                Reason::SecretWriteRefused,
                "ValidatingAdmissionPolicy no-secrets.example.com",
                true,
            ),
            (
                403,
                webhook,
                Reason::SecretWriteRefused,
                "admission webhook check.example.com",
                true,
            ),
            (
                500,
                broken,
                Reason::SecretWriteRefused,
                "admission webhook check.example.com, which fails",
                false,
            ),
            (
                403,
                quota,
                Reason::QuotaExceeded,
                "ResourceQuota team-orders",
                true,
            ),
            (
                403,
                fresh,
                Reason::QuotaExceeded,
                "ResourceQuota team-orders",
                false,
            ),
            (
                403,
                odd,
                Reason::SecretWriteRefused,
                "an admission webhook",
                true,
            ),
        ] {
            let (secret, lease) = answered(code, message);
            assert_eq!((secret.reason, secret.permanent), (reason, permanent));
            assert_eq!(secret.answer.as_deref(), Some(by), "{message}");
            assert_eq!(lease.reason, Reason::ClaimWriteForbidden);
            assert_eq!(lease.answer.as_deref(), Some(by), "{message}");
        }
    }

    #[test]
    fn a_webhook_that_denies_is_named_whatever_status_code_it_chooses() {
        let denied = r#"admission webhook "check.example.com" denied the request"#;
        for (code, more, by, permanent) in [
            (400, " without explanation", "", true),
            (400, ": it has side effects", "", true),
            (403, ": exceeded quota: x, y", "", true),
            (
                403,
                ": ValidatingAdmissionPolicy 'x' denied request",
                "",
                true,
            ),
            (404, ": not found", "", true),
            (409, ": conflict", "", true),
            (422, ": immutable", "", true),
            (429, ": later", "", false),
            (500, ": failed calling webhook", ", which fails", false),
            (503, ": down", ", which fails", false),
        ] {
            let status = Status::failure(&format!("{denied}{more}"), "").with_code(code);
            let error = kube::Error::Api(status.boxed());
            let by = format!("admission webhook check.example.com{by}");
            for (failure, reason) in [
                (kubernetes(&error), Reason::SecretWriteRefused),
                (claim(&error), Reason::ClaimWriteForbidden),
            ] {
                assert_eq!((failure.reason, failure.permanent), (reason, permanent));
                assert_eq!(failure.answer.as_deref(), Some(by.as_str()), "{code}");
            }
        }
    }

    #[test]
    fn a_refused_claim_is_not_an_api_server_that_is_away() {
        let said = |code, message: &str| {
            let status = Status::failure(message, "").with_code(code).boxed();
            let failure = claim(&kube::Error::Api(status));
            (failure.reason, failure.permanent, failure.answer)
        };
        let rbac = r#"leases.coordination.k8s.io "claim-1" is forbidden: User "x" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "z""#;
        for code in [400, 403, 413, 422] {
            let (reason, permanent, answer) = said(code, rbac);
            assert_eq!((reason, permanent), (Reason::ClaimWriteForbidden, true));
            assert_eq!(answer, None);
        }
        assert_eq!(said(503, "x").0, Reason::KubernetesUnavailable);
    }

    #[test]
    fn a_webhook_that_hangs_and_one_that_fails_have_different_reasons() {
        let message = r#"Internal error occurred: failed calling webhook "slow.example.com": failed to call webhook: Post "https://127.0.0.1:1/?timeout=1s": context deadline exceeded"#;
        let status = Status::failure(message, "").with_code(500).boxed();
        let error = kube::Error::Api(status);
        let secret = kubernetes(&error);
        assert_eq!(secret.reason, Reason::SecretWriteRefused);
        let said = "admission webhook slow.example.com, which does not respond in time";
        assert_eq!(secret.answer.as_deref(), Some(said));
        let late =
            kube::Error::Service(DeadlineExceeded(std::time::Duration::from_secs(10)).into());
        let late = before_generate(kubernetes(&late));
        assert_eq!(late.reason, Reason::KubernetesUnavailable);
        let said = "no response within 10 s: it is busy, or an admission webhook hangs; nothing was rotated";
        assert_eq!(late.answer.as_deref(), Some(said));
    }
}
