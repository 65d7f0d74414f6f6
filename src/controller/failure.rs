//! Errors of ZITADEL and of the API server as reasons that a person is told. No I/O.

use crate::api::Reason;
use crate::rotation::Failure;
use crate::zitadel::{Detail, ErrorClass, Fault, ZitadelError};

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
        ErrorClass::RateLimited => Reason::RateLimited,
        ErrorClass::Unavailable | ErrorClass::Internal => Reason::ZitadelUnavailable,
        ErrorClass::CredentialMalformed => Reason::CredentialMalformed,
        ErrorClass::InstanceNotFound
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
        (ErrorClass::Redirected, Some(status)) => Some(format!("{status}, a redirect")),
        (ErrorClass::Malformed, Some(status)) => Some(format!("{status}, no answer of ZITADEL's")),
        (ErrorClass::Timeout, None) => Some("no answer in time".to_owned()),
        (ErrorClass::Interrupted, None) => {
            Some("the connection ended before the answer".to_owned())
        }
        (_, status) => status,
    }
}

/// The reason of a failed request to the API server about a Secret.
///
/// NB: judged by status code and the API's own reason words. Only where Kubernetes has no word of its own (quota, terminating
/// namespaces, dry runs) the message is looked at; none of it is ever shown.
pub fn kubernetes(error: &kube::Error) -> Failure {
    if let Some(answer) = webhook(error) {
        return Failure {
            answer: Some(answer.to_owned()),
            ..Failure::new(Reason::SecretWriteRefused, false)
        };
    }
    let (reason, permanent) = match error {
        kube::Error::Api(status) => {
            let has = |text: &str| status.message.contains(text);
            match status.code {
                403 if has("exceeded quota") => (Reason::QuotaExceeded, true),
                403 if has("is being terminated") => (Reason::NamespaceTerminating, true),
                403 if has("denied the request")
                    || has("denied request")
                    || has("ValidatingAdmissionPolicy") =>
                {
                    (Reason::SecretWriteRefused, true)
                }
                403 => (Reason::SecretWriteForbidden, true),
                404 => (Reason::NamespaceTerminating, true),
                400 if has("does not support dry run") || has("side effects") => {
                    (Reason::DryRunUnsupported, true)
                }
                422 if has("immutable") => (Reason::SecretImmutable, true),
                400 | 422 => (Reason::SecretWriteRefused, true),
                _ => (Reason::KubernetesUnavailable, false),
            }
        }
        _ => (Reason::KubernetesUnavailable, false),
    };
    Failure::new(reason, permanent)
}

/// The reason of a refused write of a claim.
pub fn claim(error: &kube::Error) -> Failure {
    let forbidden = |answer: &str, permanent| Failure {
        answer: Some(answer.to_owned()),
        ..Failure::new(Reason::ClaimWriteForbidden, permanent)
    };
    if webhook(error).is_some() {
        return forbidden("an admission webhook failed", false);
    }
    let kube::Error::Api(status) = error else {
        return Failure::new(Reason::KubernetesUnavailable, false);
    };
    match status.code {
        403 if is_rbac(&status.message) => Failure::new(Reason::ClaimWriteForbidden, true),
        403 if status.message.contains("exceeded quota") => forbidden(
            "a quota of the operator's namespace does not allow it",
            true,
        ),
        400 | 403 | 413 | 422 => forbidden("an admission policy or webhook refuses it", true),
        _ => Failure::new(Reason::KubernetesUnavailable, false),
    }
}

/// Whether a 403 is of the authorizer: admission has other words.
fn is_rbac(message: &str) -> bool {
    message.contains(" cannot ") && message.contains(" resource ")
}

/// What is wrong with an admission webhook that should have answered, and did not.
fn webhook(error: &kube::Error) -> Option<&'static str> {
    match error {
        kube::Error::Api(status)
            if status.code >= 500 && status.message.contains("failed calling webhook") =>
        {
            Some("an admission webhook failed")
        }
        _ => None,
    }
}

/// Whether the API server answered that something else was changed meanwhile.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 || status.code == 404)
}

/// Whether it is known that the request was not carried out.
pub fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 408 && status.code != 429)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn told(code: u16, message: &str) -> (Reason, bool) {
        let status = Status::failure(message, "").with_code(code).boxed();
        let failure = kubernetes(&kube::Error::Api(status));
        (failure.reason, failure.permanent)
    }

    #[test]
    fn what_the_api_server_refuses_is_told_by_its_own_words() {
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
            assert_eq!(told(code, message), (reason, true), "{message}");
        }
        for code in [409, 429, 500, 503, 504] {
            assert_eq!(told(code, "x"), (Reason::KubernetesUnavailable, false));
        }
    }

    #[test]
    fn an_admission_policy_that_refuses_the_claim_is_not_an_api_server_that_is_away() {
        let said = |code, message: &str| {
            let status = Status::failure(message, "").with_code(code).boxed();
            let failure = claim(&kube::Error::Api(status));
            (failure.reason, failure.permanent, failure.answer)
        };
        let policy = "leases.coordination.k8s.io \"claim-1\" is forbidden: ValidatingAdmissionPolicy 'no' with binding 'no' denied request: not today";
        for code in [403, 422] {
            let (reason, permanent, answer) = said(code, policy);
            assert_eq!((reason, permanent), (Reason::ClaimWriteForbidden, true));
            assert!(answer.is_some_and(|answer| answer.contains("admission policy")));
        }
        let rbac = r#"leases.coordination.k8s.io "claim-1" is forbidden: User "x" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "z""#;
        assert_eq!(said(403, rbac), (Reason::ClaimWriteForbidden, true, None));
        assert_eq!(said(503, "x").0, Reason::KubernetesUnavailable);
    }

    #[test]
    fn a_webhook_that_fails_is_named_and_is_not_an_api_server_that_is_away() {
        let message = r#"Internal error occurred: failed calling webhook "a.example.com": failed to call webhook: invalid character '<' looking for beginning of value"#;
        let status = Status::failure(message, "InternalError")
            .with_code(500)
            .boxed();
        let error = kube::Error::Api(status);
        let secret = kubernetes(&error);
        assert_eq!(
            (secret.reason, secret.permanent),
            (Reason::SecretWriteRefused, false)
        );
        assert_eq!(
            secret.answer.as_deref(),
            Some("an admission webhook failed")
        );
        assert_eq!(claim(&error).reason, Reason::ClaimWriteForbidden);
    }
}
