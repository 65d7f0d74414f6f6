use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::api::Kind;
use crate::ids::{AppId, AttemptId, OrganizationId, ProjectId, Sequence};
use crate::process::clock::Clock;
use crate::zitadel::credential::Credential;
use crate::zitadel::issuer::Endpoint;
use crate::zitadel::{
    AppRef, ClientSecret, GenerateOutcome, Introspection, JournalDepth, ProbeToken, credential,
};

mod tokens;

/// A request as it arrived.
struct Seen {
    line: String,
    headers: http::HeaderMap,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// Serves what `answer` says to the n-th request and writes down what came.
async fn serve<R: IntoResponse>(
    answer: impl Fn(&Seen, usize) -> R + Clone + Send + Sync + 'static,
) -> (SocketAddr, Log) {
    let log = Log::default();
    let written = Arc::clone(&log);
    let app = axum::Router::new().fallback(move |request: Request| {
        let (written, answer) = (Arc::clone(&written), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let seen = Seen {
                line: format!("{} {}", parts.method, parts.uri),
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let mut written = written.lock();
            let response: Response = answer(&seen, written.len()).into_response();
            written.push(seen);
            response
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, log)
}

fn config(address: SocketAddr, credential: Credential) -> ClientConfig {
    let url = Issuer::parse(&format!("http://{address}"), false).unwrap();
    ClientConfig::new(url, credential)
}

fn pat() -> Credential {
    Credential::PersonalAccessToken(SecretString::from("the-pat"))
}

fn client(address: SocketAddr, credential: Credential) -> Client {
    Client::new(config(address, credential)).unwrap()
}

fn app() -> AppRef {
    AppRef {
        organization: Some(OrganizationId::try_from("9").unwrap()),
        project: ProjectId::try_from("42").unwrap(),
        app: AppId::try_from("7").unwrap(),
    }
}

fn attempt() -> AttemptId {
    AttemptId(uuid::Uuid::now_v7())
}

fn me() -> (u16, String) {
    (200, json!({"user": {"id": "271"}}).to_string())
}

fn answer((status, body): (u16, String)) -> (http::StatusCode, String) {
    (http::StatusCode::from_u16(status).unwrap(), body)
}

#[tokio::test]
async fn generate_is_one_post_that_names_organization_and_attempt() {
    let body = json!({"clientSecret": "s", "details": {"sequence": "12", "changeDate": "2026-07-10T09:52:56Z"}});
    let (address, log) = serve(move |_, _| body.to_string()).await;
    let client = client(address, pat());
    let attempt = attempt();
    let outcome = client.generate(Kind::ApiApp, &app(), attempt).await;
    assert!(matches!(
        outcome,
        GenerateOutcome::Success {
            sequence: Sequence(12),
            ..
        }
    ));
    let log = log.lock();
    let [seen] = log.as_slice() else {
        panic!("{} requests", log.len());
    };
    let path = "POST /management/v1/projects/42/apps/7/api_config/_generate_client_secret";
    assert_eq!((seen.line.as_str(), seen.body.as_str()), (path, "{}"));
    assert_eq!(seen.header("authorization"), Some("Bearer the-pat"));
    assert_eq!(seen.header("x-zitadel-orgid"), Some("9"));
    let named = attempt.to_string();
    assert_eq!(
        seen.header("x-zitadel-secret-operator-attempt"),
        Some(named.as_str())
    );
    let agent = concat!("zitadel-secret-operator/", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen.header("user-agent"), Some(agent));
    assert_eq!(seen.header("accept-encoding"), None);
    assert_eq!(seen.header("x-zitadel-instance-host"), None);
    assert!(client.clock().now().is_some());
}

#[tokio::test]
async fn requests_to_another_endpoint_carry_host_and_scheme_of_the_url() {
    let (address, log) = serve(|_, _| answer(me())).await;
    let url = Issuer::parse("https://iam.example.com:8443", false).unwrap();
    let client = Client::new(ClientConfig {
        endpoint: Some(Endpoint::parse(&format!("http://{address}/"), false).unwrap()),
        ..ClientConfig::new(url, pat())
    })
    .unwrap();
    assert_eq!(client.me().await.unwrap().as_str(), "271");
    let log = log.lock();
    assert_eq!(
        log[0].header("x-zitadel-instance-host"),
        Some("iam.example.com:8443")
    );
    assert_eq!(log[0].header("x-forwarded-proto"), Some("https"));
    assert_eq!(log[0].header("x-zitadel-orgid"), None);
}

fn change(sequence: u64) -> serde_json::Value {
    json!({"sequence": sequence.to_string(), "changeDate": "2026-07-10T09:52:56Z", "editorId": "5",
        "eventType": {"key": "EventTypes.project.application.config.api.secret.changed"}})
}

/// A journal with these sequences, served newest first in pages.
async fn serve_journal(last: u64, item: fn(u64) -> serde_json::Value) -> (SocketAddr, Log) {
    serve(move |seen, _| {
        let parameter = |name: &str| {
            let (_, rest) = seen.line.split_once(&format!("query.{name}="))?;
            rest.split('&').next()?.parse::<u64>().ok()
        };
        let limit = usize::try_from(parameter("limit").unwrap_or_default()).unwrap();
        let before = parameter("sequence").unwrap_or(last + 1);
        let changes: Vec<_> = (1..before).rev().take(limit).map(item).collect();
        json!({ "result": changes }).to_string()
    })
    .await
}

fn renamed(sequence: u64) -> serde_json::Value {
    let mut item = change(sequence);
    item["eventType"]["key"] = json!("EventTypes.project.application.changed");
    item
}

#[tokio::test]
async fn the_journal_is_read_page_by_page_as_far_as_is_asked() {
    let (address, log) = serve_journal(850, change).await;
    let client = client(address, pat());
    let all = client.changes(&app(), JournalDepth::FULL).await.unwrap();
    assert_eq!(
        (all.len(), all[0].sequence, all[849].sequence),
        (850, Sequence(1), Sequence(850))
    );
    let late = client
        .changes(&app(), JournalDepth::to_entry(Sequence(848)))
        .await
        .unwrap();
    assert_eq!((late.len(), late[0].sequence), (100, Sequence(751)));
    let log = log.lock();
    let lines: Vec<_> = log
        .iter()
        .map(|seen| seen.line.rsplit_once('?').unwrap().1)
        .collect();
    assert_eq!(
        lines,
        [
            "query.limit=100",
            "query.limit=500&query.sequence=751",
            "query.limit=500&query.sequence=251",
            "query.limit=500&query.sequence=1",
            "query.limit=100",
        ]
    );
}

#[tokio::test]
async fn each_call_is_observed_once_when_it_ends_whatever_it_takes() {
    let (address, log) = serve_journal(850, change).await;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let observer: Observer = Box::new(move |operation, error, _| {
        let class = error.map(ZitadelError::class);
        seen.lock().push((operation, class));
    });
    let client = Client::new(ClientConfig {
        observer: Some(observer),
        ..config(address, pat())
    })
    .unwrap();
    let project = ProjectId::try_from("42").unwrap();
    client.prepare(&project).await.unwrap();
    client.changes(&app(), JournalDepth::FULL).await.unwrap();
    assert_eq!(log.lock().len(), 4, "pages");
    // Nothing else is served there.
    assert!(client.discovery().await.is_err());
    let outcome = client.generate(Kind::ApiApp, &app(), attempt()).await;
    assert!(matches!(outcome, GenerateOutcome::Unknown(_)));
    let malformed = Some(ErrorClass::Malformed);
    assert_eq!(
        *calls.lock(),
        [
            (Operation::Changes, None),
            (Operation::Discovery, malformed),
            (Operation::Generate, malformed),
        ]
    );
}

#[tokio::test]
async fn a_journal_whose_rest_cannot_be_seen_is_an_error() {
    let same = |_: &Seen, _| json!({"result": (1..=100).rev().map(change).collect::<Vec<_>>()});
    let ascending = |_: &Seen, _| json!({"result": (1..=100).map(change).collect::<Vec<_>>()});
    let (address, log) = serve(move |seen, number| same(seen, number).to_string()).await;
    let read = client(address, pat())
        .changes(&app(), JournalDepth::FULL)
        .await;
    assert_eq!(read.unwrap_err().class(), ErrorClass::Malformed);
    assert_eq!(log.lock().len(), 2);
    let (address, _) = serve(move |seen, number| ascending(seen, number).to_string()).await;
    let read = client(address, pat())
        .changes(&app(), JournalDepth::NEWEST)
        .await;
    assert_eq!(read.unwrap_err().class(), ErrorClass::Malformed);
}

#[tokio::test]
async fn of_a_journal_without_end_the_newest_part_is_taken_if_a_new_secret_is_in_it() {
    let (address, log) = serve_journal(10_000_000, change).await;
    let read = client(address, pat())
        .changes(&app(), JournalDepth::FULL)
        .await;
    assert_eq!(read.unwrap().last().unwrap().sequence, Sequence(10_000_000));
    assert_eq!(log.lock().len(), 100);
    let (address, _) = serve_journal(10_000_000, renamed).await;
    let read = client(address, pat())
        .changes(&app(), JournalDepth::NEWEST)
        .await;
    assert_eq!(read.unwrap_err().class(), ErrorClass::TooLarge);
}

#[tokio::test]
async fn applications_are_all_listed_in_whatever_order_each_page_has_them() {
    for (count, requests) in [(3, 1..=1), (499, 1..=1), (730, 3..=8)] {
        let (address, log) = serve(move |seen, number| {
            let query: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
            let number_of = |name: &str| match &query["query"][name] {
                serde_json::Value::String(text) => text.parse().unwrap(),
                number => usize::try_from(number.as_u64().unwrap()).unwrap(),
            };
            let item = |id| json!({"id": format!("{id}"), "apiConfig": {"clientId": "1"}, "state": "APP_STATE_ACTIVE",
                "details": {"sequence": "1", "changeDate": "2026-07-10T09:52:56Z"}});
            // Another order each time.
            let mut all: Vec<_> = (0..count).collect();
            all.rotate_left((number * 130) % count);
            let page = all.into_iter().skip(number_of("offset"));
            let apps: Vec<_> = page.take(number_of("limit")).map(item).collect();
            json!({ "result": apps }).to_string()
        })
        .await;
        let project = ProjectId::try_from("42").unwrap();
        let apps = client(address, pat()).apps(None, &project).await.unwrap();
        assert_eq!(apps.len(), count);
        let asked = log.lock().len();
        assert!(requests.contains(&asked), "{count}: {asked} requests");
    }
}

#[tokio::test]
async fn an_answer_about_another_application_is_malformed() {
    let other = json!({"app": {"id": "8", "details": {"sequence": "1", "changeDate": "2026-07-10T09:52:56Z"}}});
    let (address, _) = serve(move |_, _| other.to_string()).await;
    let error = client(address, pat()).app(&app()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Malformed);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (target, reached) = serve(|_, _| "").await;
    let (address, _) = serve(move |_, _| {
        (
            http::StatusCode::TEMPORARY_REDIRECT,
            [("location", format!("http://{target}/"))],
        )
    })
    .await;
    let client = client(address, pat());
    assert_eq!(
        client.me().await.unwrap_err().class(),
        ErrorClass::Redirected
    );
    let outcome = client.generate(Kind::ApiApp, &app(), attempt()).await;
    assert!(
        matches!(outcome, GenerateOutcome::Unknown(error) if error.class() == ErrorClass::Redirected)
    );
    assert!(reached.lock().is_empty());
}

#[tokio::test]
async fn too_much_is_not_read() {
    let (address, _) = serve(|_, _| Bytes::from(vec![b' '; 65 * 1024])).await;
    let outcome = client(address, pat())
        .generate(Kind::ApiApp, &app(), attempt())
        .await;
    assert!(
        matches!(outcome, GenerateOutcome::Unknown(error) if error.class() == ErrorClass::TooLarge)
    );
}

#[tokio::test]
async fn errors_contain_nothing_that_was_sent_or_received() {
    let (address, _) = serve(|_, _| (http::StatusCode::IM_A_TEAPOT, "canary")).await;
    let client = client(
        address,
        Credential::PersonalAccessToken(SecretString::from("canary")),
    );
    let error = client.app(&app()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

/// A host that is suspended, for an hour, after that many readings of the clock.
struct Suspended {
    readings: std::sync::atomic::AtomicUsize,
    after: usize,
}

impl Clock for Suspended {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot(&self) -> Duration {
        let readings = self
            .readings
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Duration::from_hours(if readings < self.after { 1 } else { 2 })
    }
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline_even_if_the_host_was_suspended() {
    let body = json!({"clientSecret": "s", "details": {"sequence": "12", "changeDate": "2026-07-10T09:52:56Z"}});
    let mut sent = 0;
    for after in 1..10 {
        let body = body.to_string();
        let (address, log) = serve(move |_, _| body.clone()).await;
        let client = Client::new(ClientConfig {
            clock: Arc::new(Suspended {
                readings: std::sync::atomic::AtomicUsize::new(0),
                after,
            }),
            ..config(address, pat())
        })
        .unwrap();
        match client.generate(Kind::ApiApp, &app(), attempt()).await {
            GenerateOutcome::NotExecuted(error) => {
                assert_eq!(error.class(), ErrorClass::Timeout, "{after}");
                assert!(log.lock().is_empty(), "{after}");
            }
            GenerateOutcome::Success { .. } => sent += 1,
            _ => panic!("{after}: no outcome"),
        }
    }
    // Start, token, after the token, connection: four readings before the request is sent.
    assert_eq!(sent, 6);
}
