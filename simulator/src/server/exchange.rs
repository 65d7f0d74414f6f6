//! One request from arrival to answer: ledger, faults, execution, faults again.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::config::Availability;
use crate::faults::actions::Action;
use crate::faults::disturb;
use crate::ledger::{self, RequestRecord};
use crate::lock;
use crate::routes::answer::{Answer, Delivery};
use crate::routes::call::{Call, Mode};
use crate::routes::client;
use crate::routes::handle;
use crate::routes::unserved;
use crate::routes::v2;
use crate::routes::{self, Route};
use crate::server::shared::Shared;

/// A request as it came off the wire.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) connection: u64,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Works on a request in a task of its own, so that it may outlive its client. `client` is closed when that hangs up.
pub(crate) async fn work(
    shared: Arc<Shared>,
    arrival: Arrival,
    mut client: oneshot::Sender<Delivery>,
) {
    let (id, route, attempt) = note(&shared, &arrival);
    let operation = route.operation;
    let actions = shared.faults.hitting(&route, attempt.as_deref());
    let call = prepare(&shared, arrival, id, route, attempt, &actions);
    let delivery = run(call, &actions, &mut client).await;
    let noted = match &delivery {
        Delivery::Answer(answer) => ledger::Outcome::Answered(answer.status),
        Delivery::Drop(_) => ledger::Outcome::Dropped,
        Delivery::RolledBack => ledger::Outcome::RolledBack,
    };
    shared.ledger.finish(id, operation, noted);
    // An error means that the client has gone.
    let _ = client.send(delivery);
}

/// Finds out what the request is about and notes it in the ledger.
fn note(shared: &Shared, arrival: &Arrival) -> (u64, Route, Option<String>) {
    let mut route = routes::route(&arrival.method, arrival.uri.path());
    let header = |name: &str| {
        arrival
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let attempt = header(&shared.attempt_header);
    let bearer = header("authorization");
    let bearer = bearer
        .as_deref()
        .and_then(|header| header.strip_prefix("Bearer "));
    let now = shared.now();
    if route.api.is_connect() {
        v2::read_body(&mut route, &arrival.body);
    }
    let client = route
        .operation
        .is_oauth()
        .then(|| client::basic_client(&arrival.headers));
    let user = {
        let world = lock(&shared.world);
        if let Some((project, app)) = client
            .flatten()
            .and_then(|client| world.app_of_client(&client))
        {
            (route.project, route.app) = (Some(project), Some(app));
        }
        bearer
            .and_then(|token| world.live_token(token, now))
            .map(|token| token.user.clone())
    };
    let record = RequestRecord {
        id: 0,
        received_at: Timestamp::now(),
        finished_at: None,
        method: arrival.method.to_string(),
        path: arrival
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        operation: route.operation,
        api: route.api,
        project: route.project.clone(),
        app: route.app.clone(),
        attempt: attempt.clone(),
        org: header("x-zitadel-orgid"),
        user,
        connection: arrival.connection,
        version: format!("{:?}", arrival.version),
        outcome: ledger::Outcome::Open,
    };
    (shared.ledger.begin(record), route, attempt)
}

fn prepare(
    shared: &Arc<Shared>,
    arrival: Arrival,
    id: u64,
    route: Route,
    attempt: Option<String>,
    actions: &[Action],
) -> Prepared {
    let settings = shared.settings();
    let authority = arrival.uri.authority().map(http::uri::Authority::as_str);
    let issuer = shared.hosts.issuer(
        &arrival.headers,
        authority,
        shared.tls || settings.external_secure,
    );
    let mode = actions.iter().rev().find_map(|action| match action {
        Action::Duplicate(which) => Some(Mode::Twice(*which)),
        Action::WithoutEffect => Some(Mode::WithoutEffect),
        Action::Crossed(which) => Some(Mode::Crossed(*which)),
        _ => None,
    });
    let (issuer, unknown_host) = match issuer {
        Ok(issuer) => (issuer, None),
        Err(unknown) => (String::new(), Some(unknown)),
    };
    let call = Call {
        shared: Arc::clone(shared),
        id,
        route,
        query: arrival.uri.query().unwrap_or_default().to_owned(),
        headers: arrival.headers,
        body: arrival.body,
        issuer,
        attempt,
        mode: mode.unwrap_or_default(),
        settings,
        now: shared.now(),
    };
    Prepared { call, unknown_host }
}

struct Prepared {
    call: Call,
    unknown_host: Option<crate::world::instance::UnknownHost>,
}

async fn run(
    prepared: Prepared,
    actions: &[Action],
    client: &mut oneshot::Sender<Delivery>,
) -> Delivery {
    let Prepared {
        mut call,
        unknown_host,
    } = prepared;
    let shared = Arc::clone(&call.shared);
    let outlives =
        actions.iter().any(disturb::outlives_client) || !call.settings.rollback_on_hangup;
    let before = async {
        let early = disturb::before(&shared, actions).await;
        if early.is_none() && call.route.operation.generates() {
            tokio::time::sleep(call.settings.generate_latency).await;
        }
        early
    };
    let early = tokio::select! {
        early = before => early,
        () = client.closed(), if !outlives => return Delivery::RolledBack,
    };
    if let Some(delivery) = early {
        return delivery;
    }
    if client.is_closed() && !outlives {
        return Delivery::RolledBack;
    }
    // The request may have waited: what counts is the time of its execution.
    call.settings = shared.settings();
    let answer = answer(&mut call, unknown_host.as_ref());
    disturb::after(&shared, actions, answer).await
}

fn answer(call: &mut Call, unknown_host: Option<&crate::world::instance::UnknownHost>) -> Answer {
    let availability = call.settings.availability;
    if let Some(answer) = handle::before_instance(&call.route, availability) {
        return answer;
    }
    if let Some(answer) = unserved::answer(call).or_else(|| handle::at_gateway(call)) {
        return answer;
    }
    if availability == Availability::DatabaseDown {
        return handle::database_down(call);
    }
    match unknown_host {
        Some(error) => handle::unknown_host(call, error),
        None => unserved::announced(handle::execute(call), &call.route, &call.settings),
    }
}
