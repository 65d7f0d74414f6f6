//! What must hold of every answer of ZITADEL and every credential, whatever bytes they are. No I/O.
//!
//! One function a parser, from bytes; the first two are the HTTP status where it matters. Tests on stable and the fuzzer call the
//! same ones.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::Value;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::credential::Credential;
use super::error::{ErrorClass, ErrorId, Operation};
use super::error_body::{ErrorBody, error_of};
use super::generate_outcome::{GenerateOutcome, classify, with_date, with_sequence};
use super::introspection::{Introspection, judge};
use super::issuer::Issuer;
use super::journal::ChangeKind;
use super::project::ProjectState;
use super::{application, discovery, journal, project, token_answer};
use crate::ids::ProjectId;

fn answer(data: &[u8]) -> Answer {
    let (status, body) = data.split_at(data.len().min(2));
    Answer {
        status: status
            .iter()
            .fold(0, |status, byte| (status << 8) | u16::from(*byte)),
        body: Zeroizing::new(body.to_vec()),
    }
}

fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// Connect's words for refusals.
const REFUSALS: [&str; 7] = [
    "invalid_argument",
    "not_found",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "unimplemented",
    "unauthenticated",
];

/// The answer of generate, over either API: a success has the secret that stands in the body, and a refusal proves that nothing was done.
pub fn generate(data: &[u8]) {
    let answer = answer(data);
    for parse in [with_sequence, with_date] {
        outcome(&answer, classify(Ok(&answer), parse));
    }
}

fn outcome(answer: &Answer, outcome: GenerateOutcome) {
    let body = json(&answer.body);
    match outcome {
        GenerateOutcome::Success { secret, .. }
        | GenerateOutcome::SuccessWithoutSequence { secret } => {
            assert!((200..300).contains(&answer.status));
            assert!((1..=4096).contains(&secret.len()));
            assert!(!secret.expose().chars().any(char::is_control));
            // NB: what is ignored is read less strictly than all of the body.
            if let Some(body) = body {
                assert_eq!(body["clientSecret"].as_str(), Some(secret.expose()));
            }
        }
        GenerateOutcome::NotExecuted(error) => {
            assert!((400..500).contains(&answer.status));
            assert!(!matches!(answer.status, 408 | 499));
            assert_ne!(error.class(), ErrorClass::ActionInterrupted);
            let body = body.expect("a refusal is JSON");
            let code = &body["code"];
            let number = code
                .as_u64()
                .map(|code| [3, 5, 7, 8, 9, 12, 16].contains(&code));
            let word = code.as_str().map(|word| REFUSALS.contains(&word));
            assert_eq!(number.or(word), Some(true), "a refusal has a code");
            let details = body["details"].as_array().expect("a refusal has an id");
            let ids: Vec<&str> = details
                .iter()
                .map(|detail| detail.get("debug").unwrap_or(detail))
                .flat_map(|detail| [detail["id"].as_str(), detail["slug"].as_str()])
                .flatten()
                .collect();
            assert!(ids.iter().any(|id| !id.is_empty()));
            let is_action = |id: &&str| id.to_ascii_lowercase().starts_with("exec");
            assert!(!ids.iter().any(is_action));
        }
        GenerateOutcome::Unknown(error) => assert_eq!(error.http_status(), Some(answer.status)),
    }
}

/// Any other error: one class, and nothing of its text but an id that has the form of one.
pub fn error(data: &[u8]) {
    let answer = answer(data);
    let error = error_of(Operation::App, &answer);
    assert_eq!(error.http_status(), Some(answer.status));
    let parsed = ErrorBody::parse(&answer.body);
    if let Some(body) = &parsed {
        assert!(body.code <= 16 && body.ids.iter().all(|id| !id.is_empty()));
        if body.is_from_an_action() {
            assert_eq!(error.class(), ErrorClass::ActionInterrupted);
        }
    }
    if let Some(id) = error.error_id() {
        assert!(ErrorId::parse(id).is_some());
        assert!(parsed.is_some_and(|body| body.ids.iter().any(|known| known == id)));
    }
}

/// A page of the journal: no new secret is left out, and in order each sequence stands once.
pub fn journal(data: &[u8]) {
    let Some(page) = journal::parse_page(data) else {
        return;
    };
    assert!(page.changes.len() <= page.len);
    let made = |changes: &[journal::Change]| {
        let made = changes
            .iter()
            .filter(|change| change.kind == ChangeKind::SecretChanged);
        made.map(|change| change.sequence).collect::<Vec<_>>()
    };
    let body = json(data).expect("a journal is JSON");
    let written = body["result"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| {
            item["eventType"]["key"] == "EventTypes.project.application.config.api.secret.changed"
        });
    assert_eq!(made(&page.changes).len(), written.count());
    let all: BTreeSet<_> = made(&page.changes).into_iter().collect();
    let ordered = journal::in_order(page.changes);
    assert!(ordered.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert_eq!(made(&ordered), all.into_iter().collect::<Vec<_>>());
}

/// The token endpoint: what is taken for a token can stand in a header, and not for more than a day.
pub fn token(data: &[u8]) {
    let answer = answer(data);
    if let Ok((token, usable)) = token_answer::parse(&answer) {
        assert_eq!(answer.status, 200);
        let token = token.expose_secret();
        assert!(!token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()));
        assert!(usable <= Duration::from_hours(24));
    }
}

/// What an administrator hands over, read as a token and as a key file.
pub fn credential(data: &[u8]) {
    if let Ok(Credential::PersonalAccessToken(token)) = Credential::personal_access_token(data) {
        let token = token.expose_secret();
        assert!(!token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()));
        assert!(!token.starts_with('{'));
    }
    if let Ok(key) = Credential::service_account_key(data) {
        let file = json(data.trim_ascii());
        assert!(file.is_none_or(|file| file["type"] == "serviceaccount"));
        key.expiry();
    }
}

/// Introspection: proof either way only by the words that ZITADEL uses.
pub fn introspection(data: &[u8]) {
    let answer = answer(data);
    let body = || json(&answer.body).expect("a verdict is JSON");
    match judge(&answer) {
        Ok(Introspection::Active) => assert!(answer.status == 200 && body()["active"] == true),
        Ok(Introspection::Inactive) => assert!(answer.status == 200 && body()["active"] == false),
        Ok(Introspection::Refused) => {
            assert!(matches!(answer.status, 400 | 401));
            let word = body()["error"].clone();
            assert!(word == "unauthorized_client" || word == "invalid_client");
        }
        Ok(Introspection::NoVerdict) => assert!(matches!(answer.status, 200 | 400 | 401)),
        Err(_) => assert!(!matches!(answer.status, 200 | 400 | 401)),
    }
}

/// An application and a list of them: neither contains freely chosen text.
pub fn application(data: &[u8]) {
    let fits = |app: &application::Application| {
        let plain = |text: &String| text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
        app.client_id.as_ref().is_none_or(plain)
            && app.resource_owner.as_ref().is_none_or(plain)
            && app.sequence.0 > 0
    };
    assert!(application::parse(data).as_ref().is_none_or(fits));
    if let Some(page) = application::parse_page(data) {
        assert!(page.apps.len() <= page.len && page.apps.iter().all(fits));
    }
}

/// A project: its state is believed only if it is the one that was asked for.
pub fn project(data: &[u8]) {
    let wanted = ProjectId::try_from("7").unwrap();
    if let Some(state) = project::parse(data, &wanted) {
        let body = json(data).expect("a project is JSON");
        assert_eq!(body["project"]["id"], "7");
        assert_eq!(
            state == ProjectState::Active,
            body["project"]["state"] == "PROJECT_STATE_ACTIVE"
        );
    }
}

/// The OIDC configuration: consumers are never sent to another origin.
pub fn discovery(data: &[u8]) {
    let issuer = Issuer::parse("https://iam.example.com", false).unwrap();
    if let Ok(found) = discovery::parse(&answer(data), &issuer) {
        for endpoint in [&found.introspection_endpoint, &found.token_endpoint] {
            // NB: the case of scheme and host means nothing.
            let (origin, rest) = endpoint.split_at("https://iam.example.com".len());
            assert!(origin.eq_ignore_ascii_case("https://iam.example.com"));
            assert!(
                rest.is_empty() || rest.starts_with(['/', '?', '#', ':']),
                "{endpoint}"
            );
            assert!(endpoint.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
