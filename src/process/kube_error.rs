//! What an error of the API server says about the request. No I/O.
//!
//! NB: judged by status code, and by the message only where Kubernetes has no code of its own: an admission webhook chooses the code of its
//! denial, and some choose 404 or 409.

use kube::Error;
use kube::core::Status;

/// How the answer begins where an admission webhook does not allow a request.
pub const DENIAL: &str = "admission webhook \"";
/// What precedes the name of an admission webhook that fails.
pub const FAILING: &str = "failed calling webhook ";

/// What kept a request from being carried out on its way through admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// A webhook that does not allow it.
    Denial,
    /// A webhook that does not respond, or not as it must.
    Failing,
    /// A policy of this kind.
    Policy(&'static str),
}

/// What of admission stopped a request, if anything did.
pub fn admission(status: &Status) -> Option<Admission> {
    let message = status.message.as_str();
    if is_denial(status) {
        return Some(Admission::Denial);
    }
    if status.code >= 500 && message.contains(FAILING) {
        return Some(Admission::Failing);
    }
    if !(400..500).contains(&status.code) || matches!(status.code, 404 | 409 | 429) {
        return None;
    }
    let is_denied = message.contains("denied request") || message.contains("denied the request");
    let kinds = ["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"];
    let kind = kinds.into_iter().find(|kind| message.contains(kind));
    kind.filter(|_| is_denied).map(Admission::Policy)
}

/// Whether an admission webhook answered that it does not allow the request. The status code means nothing then.
pub fn is_denial(status: &Status) -> bool {
    let denied = status.message.strip_prefix(DENIAL);
    denied.is_some_and(|rest| rest.contains("\" denied the request"))
}

/// Whether an admission webhook failed, so that nothing was written.
pub fn is_webhook(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code >= 500 && admission(status).is_some())
}

/// Whether the API server answered that something else was changed meanwhile.
pub fn is_conflict(error: &Error) -> bool {
    answered(error, |code| matches!(code, 404 | 409))
}

/// Whether the API server answered that there is such an object already, or that it was changed meanwhile.
pub fn is_taken(error: &Error) -> bool {
    answered(error, |code| code == 409)
}

/// Whether the API server answered that the object, or its namespace, does not exist.
pub fn is_absent(error: &Error) -> bool {
    answered(error, |code| code == 404)
}

/// Whether a right is missing, or a quota is exhausted: the same request about another object fares no better.
pub fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403 && admission(status).is_none())
}

/// Whether it is known that the request was not carried out.
pub fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Api(status) if is_denial(status) || (400..500).contains(&status.code) && !matches!(status.code, 408 | 429))
}

fn answered(error: &Error, code: impl Fn(u16) -> bool) -> bool {
    matches!(error, Error::Api(status) if code(status.code) && !is_denial(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> Error {
        Error::Api(Status::failure(message, "").with_code(code).boxed())
    }

    #[test]
    fn a_denial_of_a_webhook_is_a_refusal_whatever_status_code_it_chooses() {
        let denied = r#"admission webhook "check.example.com" denied the request: not found"#;
        for code in [400, 403, 404, 408, 409, 422, 429, 500, 503] {
            let denied = answer(code, denied);
            assert!(is_refusal(&denied), "{code}");
            let misread = [is_conflict, is_taken, is_absent, is_forbidden];
            assert!(!misread.iter().any(|is| is(&denied)), "{code}");
            assert_eq!(is_webhook(&denied), code >= 500);
        }
    }

    #[test]
    fn an_answer_of_the_api_server_itself_has_the_meaning_of_its_code() {
        let message = r#"leases.coordination.k8s.io "admission webhook" denied the request"#;
        let say = |code| {
            let error = answer(code, message);
            let [conflict, taken, absent, forbidden, refusal, webhook] = [
                is_conflict,
                is_taken,
                is_absent,
                is_forbidden,
                is_refusal,
                is_webhook,
            ]
            .map(|is| is(&error));
            ((conflict, taken, absent), (forbidden, refusal, webhook))
        };
        for (code, as_to_races, as_to_refusals) in [
            (403, (false, false, false), (true, true, false)),
            (404, (true, false, true), (false, true, false)),
            (409, (true, true, false), (false, true, false)),
            (408, (false, false, false), (false, false, false)),
            (422, (false, false, false), (false, true, false)),
            (429, (false, false, false), (false, false, false)),
            (500, (false, false, false), (false, false, false)),
        ] {
            assert_eq!(say(code), (as_to_races, as_to_refusals), "{code}");
        }
        assert!(!is_refusal(&Error::LinesCodecMaxLineLengthExceeded));
    }

    #[test]
    fn a_webhook_that_fails_and_a_policy_are_no_missing_right() {
        // Each as the API server 1.36 hands it out.
        let broken = r#"Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: no"#;
        let broken = answer(500, broken);
        assert!(is_webhook(&broken) && !is_refusal(&broken));
        let policy = r#"pods "a" is forbidden: ValidatingAdmissionPolicy 'no.example.com' with binding 'no' denied request: no"#;
        let policy = answer(403, policy);
        assert!(is_refusal(&policy) && !is_forbidden(&policy) && !is_webhook(&policy));
    }
}
