use proptest::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;

#[derive(Debug, PartialEq)]
enum Seen {
    Success(String, u64),
    WithoutSequence(String),
    NotExecuted(ErrorClass),
    Unknown(ErrorClass),
}

fn seen(outcome: GenerateOutcome) -> Seen {
    match outcome {
        GenerateOutcome::Success {
            secret, sequence, ..
        } => Seen::Success(secret.expose().to_owned(), sequence.0),
        GenerateOutcome::SuccessWithoutSequence { secret } => {
            Seen::WithoutSequence(secret.expose().to_owned())
        }
        GenerateOutcome::NotExecuted(error) => Seen::NotExecuted(error.class()),
        GenerateOutcome::Unknown(error) => Seen::Unknown(error.class()),
    }
}

fn judged(status: u16, body: impl Into<Vec<u8>>) -> Seen {
    let body = Zeroizing::new(body.into());
    seen(classify(Ok(&Answer { status, body }), with_sequence))
}

/// An error as ZITADEL writes it; without an id it has no details.
fn error(code: u8, id: &str) -> String {
    let mut body = json!({"code": code, "message": format!("text ({id})")});
    if !id.is_empty() {
        body["details"] = json!([{"@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "id": id, "message": "text"}]);
    }
    body.to_string()
}

fn generated() -> Value {
    json!({"clientSecret": "s3cret", "details": {"sequence": "12",
        "changeDate": "2026-07-10T09:52:56.123456Z", "resourceOwner": "269"}})
}

#[test]
fn a_new_secret_is_a_success_whatever_the_white_space() {
    let expected = || Seen::Success("s3cret".to_owned(), 12);
    assert_eq!(judged(200, generated().to_string()), expected());
    assert_eq!(judged(201, format!("\n {} \n", generated())), expected());
    let body = Zeroizing::new(generated().to_string().into_bytes());
    let GenerateOutcome::Success {
        change_date,
        resource_owner,
        ..
    } = classify(Ok(&Answer { status: 200, body }), with_sequence)
    else {
        panic!("no success");
    };
    assert_eq!(change_date, "2026-07-10T09:52:56.123456Z".parse().unwrap());
    assert_eq!(resource_owner.as_deref(), Some("269"));
}

#[test]
fn a_new_secret_with_unusable_details_is_kept() {
    for (pointer, bad) in [
        ("/details", json!(null)),
        ("/details", json!("text")),
        ("/details", json!([])),
        ("/details/sequence", json!("-1")),
        ("/details/sequence", json!("18446744073709551616")),
        ("/details/sequence", json!(-1)),
        ("/details/sequence", json!(1.5)),
        ("/details/sequence", json!("")),
        ("/details/sequence", json!(null)),
        ("/details/sequence", json!("0")),
        ("/details/changeDate", json!("soon")),
        ("/details/changeDate", json!(null)),
    ] {
        let mut body = generated();
        *body.pointer_mut(pointer).unwrap() = bad;
        let expected = Seen::WithoutSequence("s3cret".to_owned());
        assert_eq!(judged(200, body.to_string()), expected, "{body}");
    }
    let mut number = generated();
    number["details"]["sequence"] = json!(12);
    number["details"]["resourceOwner"] = json!("<script>");
    assert_eq!(
        judged(200, number.to_string()),
        Seen::Success("s3cret".to_owned(), 12)
    );
    let bare = r#"{"clientSecret":"s3cret"}"#;
    assert_eq!(
        judged(200, bare),
        Seen::WithoutSequence("s3cret".to_owned())
    );
}

#[test]
fn a_success_without_a_usable_secret_is_unknown() {
    let with = |secret: Value| {
        let mut body = generated();
        body["clientSecret"] = secret;
        body.to_string()
    };
    let whole = generated().to_string();
    let bodies = [
        String::new(),
        "{}".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "<html>Log in</html>".to_owned(),
        with(json!(null)),
        with(json!(7)),
        with(json!("")),
        with(json!("a\nb")),
        with(json!("a\u{0}")),
        with(json!("x".repeat(4097))),
        whole[..whole.len() - 1].to_owned(),
        format!("{whole}garbage"),
        error(5, "COMMAND-2g66f"),
    ];
    for body in bodies {
        assert_eq!(
            judged(200, body.clone()),
            Seen::Unknown(ErrorClass::Malformed),
            "{body}"
        );
    }
    assert_eq!(
        judged(200, [0x1f, 0x8b, 8, 0]),
        Seen::Unknown(ErrorClass::Malformed)
    );
    assert_eq!(judged(204, ""), Seen::Unknown(ErrorClass::Malformed));
    let longest = with(json!("x".repeat(4096)));
    assert_eq!(judged(200, longest), Seen::Success("x".repeat(4096), 12));
}

#[test]
fn every_error_that_zitadel_documents_or_shows() {
    use ErrorClass as C;
    use Seen::{NotExecuted as No, Unknown};
    let rows = [
        // Refused by ZITADEL before anything was done.
        (429, error(8, "LIMITS-molsj"), No(C::RateLimited)),
        (401, error(16, "AUTH-toLo1"), No(C::Unauthenticated)),
        (401, error(16, "AUTH-7fs1e"), No(C::Unauthenticated)),
        (403, error(7, "APP-wai8O"), No(C::PermissionDenied)),
        (403, error(7, "APP-Shi0J"), No(C::PermissionDenied)),
        (403, error(7, "AUTH-Bs7Ds"), No(C::OrganizationNotFound)),
        (404, error(5, "AUTHZ-cdgFk"), No(C::NotAMember)),
        (403, error(7, "AUTH-5mWD2"), No(C::PermissionDenied)),
        (403, error(7, "AUTH-3jknH"), No(C::PermissionDenied)),
        (429, error(8, "QUOTA-vjAy8"), No(C::RateLimited)),
        (404, error(5, "COMMAND-2g66f"), No(C::AppNotFound)),
        (400, error(3, "COMMAND-aeH4"), No(C::NotAnApiApp)),
        (400, error(3, "COMMAND-Ghrh3"), No(C::NotAnOidcApp)),
        (400, error(3, "COMMAND-99i83"), No(C::Rejected)),
        (403, error(7, "AUTH-AWfge"), No(C::PermissionDenied)),
        (403, error(7, "AUTH-Swrgg2"), No(C::PermissionDenied)),
        (400, error(9, "COMMAND-x8910n"), No(C::Rejected)),
        // Action targets: perhaps after the deed, with a status of their choice.
        (
            400,
            error(9, "EXEC-dra6yamk98"),
            Unknown(C::ActionInterrupted),
        ),
        (
            404,
            error(5, "EXEC-bmhNhpcqpF"),
            Unknown(C::ActionInterrupted),
        ),
        (
            403,
            error(7, "EXEC-reUaUZCzCp"),
            Unknown(C::ActionInterrupted),
        ),
        (
            500,
            error(2, "EXEC-reUaUZCzCp"),
            Unknown(C::ActionInterrupted),
        ),
        // Without an id a proxy could have written it.
        (404, error(5, ""), Unknown(C::Rejected)),
        (
            404,
            r#"{"code":5,"message":"unable to set instance …: ID=QUERY-1kIjX Message=x"}"#
                .to_owned(),
            Unknown(C::InstanceNotFound),
        ),
        (
            404,
            r#"{"code":5,"message":"unable to set instance …: ID=QUERY-IuGh1 Message=x"}"#
                .to_owned(),
            Unknown(C::InstanceNotFound),
        ),
        (401, error(16, ""), Unknown(C::Unauthenticated)),
        (400, error(3, ""), Unknown(C::Rejected)),
        (405, error(12, ""), Unknown(C::Rejected)),
        (
            429,
            "Your ZITADEL instance is blocked.".to_owned(),
            Unknown(C::RateLimited),
        ),
        (
            403,
            "<html>Forbidden</html>".to_owned(),
            Unknown(C::Rejected),
        ),
        // The server failed somewhere.
        (500, error(13, ""), Unknown(C::Internal)),
        (500, error(2, ""), Unknown(C::Internal)),
        (500, error(3, "COMMAND-99i83"), Unknown(C::Internal)),
        (503, error(14, ""), Unknown(C::Unavailable)),
        (
            502,
            "<html>Bad Gateway</html>".to_owned(),
            Unknown(C::Unavailable),
        ),
        (
            503,
            "<html>Unavailable</html>".to_owned(),
            Unknown(C::Unavailable),
        ),
        (
            504,
            "<html>Gateway Time-out</html>".to_owned(),
            Unknown(C::Unavailable),
        ),
        // A party stopped waiting, or another code.
        (408, error(5, "COMMAND-2g66f"), Unknown(C::AppNotFound)),
        (499, error(1, ""), Unknown(C::Unavailable)),
        (409, error(10, "COMMAND-abcde"), Unknown(C::Rejected)),
        (400, error(11, "COMMAND-abcde"), Unknown(C::Rejected)),
        (404, "Not Found".to_owned(), Unknown(C::Rejected)),
        (302, String::new(), Unknown(C::Redirected)),
        (307, generated().to_string(), Unknown(C::Redirected)),
        (101, String::new(), Unknown(C::Malformed)),
    ];
    for (status, body, expected) in rows {
        assert_eq!(judged(status, body.clone()), expected, "{status} {body}");
    }
}

#[test]
fn details_in_the_newer_shape_count_as_an_id() {
    let body = json!({"code": 5, "message": "x", "details": [
        {"@type": "type.googleapis.com/zitadel.error.v2.ErrorDetail", "slug": "project.app.missing"}]});
    assert_eq!(
        judged(404, body.to_string()),
        Seen::NotExecuted(ErrorClass::NotFound)
    );
    let body = json!({"code": 9, "details": [{"id": "COMMAND-2g66f"}, {"id": "EXEC-dra6yamk98"}]});
    assert_eq!(
        judged(400, body.to_string()),
        Seen::Unknown(ErrorClass::ActionInterrupted)
    );
}

#[test]
fn only_a_request_that_never_left_is_known_not_to_be_executed() {
    use ErrorClass as C;
    for class in [C::UnreachableDns, C::UnreachableConnect, C::Tls] {
        assert_eq!(
            seen(classify(
                Err(SendError::NotSent(class, None)),
                with_sequence
            )),
            Seen::NotExecuted(class)
        );
    }
    for (class, status) in [
        (C::Timeout, None),
        (C::Interrupted, None),
        (C::Interrupted, Some(200)),
        (C::Interrupted, Some(404)),
        (C::TooLarge, Some(200)),
    ] {
        let outcome = classify(
            Err(SendError::MaybeSent(class, status, None)),
            with_sequence,
        );
        assert_eq!(seen(outcome), Seen::Unknown(class));
    }
}

proptest! {
    #[test]
    fn any_answer_is_judged_and_only_a_proof_says_not_executed(status in 0u16..1000, body in any::<Vec<u8>>()) {
        let outcome = judged(status, body);
        // Random bytes are no error of ZITADEL's.
        prop_assert!(!matches!(outcome, Seen::NotExecuted(_)));
    }

    #[test]
    fn no_cut_of_a_success_is_one(cut in 0usize..120) {
        let whole = generated().to_string();
        prop_assume!(cut < whole.len());
        prop_assert_eq!(judged(200, &whole.as_bytes()[..cut]), Seen::Unknown(ErrorClass::Malformed));
    }
}
