//! The admin side: JSON over HTTP for programs outside this process.
//!
//! | route | |
//! |---|---|
//! | `GET /healthz` | the simulator runs |
//! | `GET`, `PATCH /settings` | behavior; a patch names what changes |
//! | `POST`, `GET`, `DELETE /faults` | rules; `DELETE` removes all and opens every gate |
//! | `GET /gates/{name}`, `POST /gates/{name}/release` | requests that arrived; open it |
//! | `POST /commands` | change the world ([`Command`]) |
//! | `POST /accepts` | `{app, secret}`: is it accepted now, and once the projection has caught up |
//! | `GET /apps/{id}` | newest rotation, number of rotations |
//! | `GET /ledger/requests`, `/ledger/executions`, `/ledger/counters`, `DELETE /ledger` | what happened; never a secret |

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use zitadel_simulator::{Fault, Settings, Simulator};

use crate::commands::{self, Command};

pub(crate) async fn serve(simulator: Simulator, listener: TcpListener) {
    let router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/settings", get(settings).patch(patch_settings))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/gates/{name}", get(gate))
        .route("/gates/{name}/release", post(release))
        .route("/commands", post(command))
        .route("/accepts", post(accepts))
        .route("/apps/{id}", get(app))
        .route("/ledger", axum::routing::delete(clear_ledger))
        .route("/ledger/requests", get(requests))
        .route("/ledger/executions", get(executions))
        .route("/ledger/counters", get(counters))
        .with_state(simulator);
    // Ends with the runtime.
    let _ = axum::serve(listener, router).await;
}

async fn settings(State(simulator): State<Simulator>) -> Json<Settings> {
    Json(simulator.settings())
}

async fn patch_settings(
    State(simulator): State<Simulator>,
    Json(patch): Json<serde_json::Map<String, Value>>,
) -> Response {
    let mut merged = serde_json::to_value(simulator.settings()).unwrap_or_default();
    if let Some(merged) = merged.as_object_mut() {
        merged.extend(patch);
    }
    match serde_json::from_value::<Settings>(merged) {
        Ok(settings) => {
            // It may wait for the listener.
            tokio::task::block_in_place(|| simulator.configure(|present| *present = settings));
            Json(settings).into_response()
        }
        Err(error) => bad_request(&error.to_string()),
    }
}

async fn faults(State(simulator): State<Simulator>) -> Response {
    Json(simulator.faults()).into_response()
}

async fn add_fault(State(simulator): State<Simulator>, Json(fault): Json<Fault>) -> Json<Value> {
    Json(json!({"id": simulator.inject(fault)}))
}

async fn clear_faults(State(simulator): State<Simulator>) -> Json<Value> {
    simulator.clear_faults();
    Json(json!({}))
}

async fn gate(State(simulator): State<Simulator>, Path(name): Path<String>) -> Json<Value> {
    Json(json!({"arrived": simulator.gate(&name).arrived()}))
}

async fn release(State(simulator): State<Simulator>, Path(name): Path<String>) -> Json<Value> {
    simulator.gate(&name).release();
    Json(json!({}))
}

async fn command(State(simulator): State<Simulator>, Json(command): Json<Command>) -> Response {
    match tokio::task::block_in_place(|| commands::execute(&simulator, command)) {
        Ok(made) => Json(made).into_response(),
        Err(error) => bad_request(&error.to_string()),
    }
}

#[derive(Deserialize)]
struct Question {
    app: String,
    secret: String,
}

async fn accepts(
    State(simulator): State<Simulator>,
    Json(question): Json<Question>,
) -> Json<Value> {
    let Question { app, secret } = question;
    Json(
        json!({"accepts": simulator.accepts(&app, &secret), "wouldAccept": simulator.would_accept(&app, &secret)}),
    )
}

async fn app(State(simulator): State<Simulator>, Path(id): Path<String>) -> Json<Value> {
    Json(json!({"latest": simulator.latest(&id), "generates": simulator.generates(&id)}))
}

async fn clear_ledger(State(simulator): State<Simulator>) -> Json<Value> {
    simulator.clear_ledger();
    Json(json!({}))
}

async fn requests(State(simulator): State<Simulator>) -> Response {
    Json(simulator.request_log()).into_response()
}

async fn executions(State(simulator): State<Simulator>) -> Response {
    Json(simulator.executions()).into_response()
}

async fn counters(State(simulator): State<Simulator>) -> Response {
    Json(simulator.counters()).into_response()
}

fn bad_request(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}
