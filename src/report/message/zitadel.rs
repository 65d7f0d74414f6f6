//! The message about a failed call to ZITADEL. No I/O.

use super::scene::{Scene, answer, at_or_after, span};
use crate::api::Reason;
use crate::report::failure::CLIENT_ID;
use crate::rotation::Blocked;

/// The sentence, if a call to ZITADEL or a connection is why.
pub(super) fn call(blocked: &Blocked, scene: &Scene<'_>) -> Option<String> {
    let app = &scene.target.app.app;
    let connection = &scene.target.connection;
    if let Some(sentence) = &blocked.connection {
        return Some(format!(
            "ZitadelConnection {connection} cannot be used: {sentence}"
        ));
    }
    if blocked.answer.as_deref() == Some(CLIENT_ID) {
        return Some(format!(
            "App {app}: {CLIENT_ID}. Check the app in ZITADEL. {}",
            again(scene)
        ));
    }
    if blocked.reason == Reason::CredentialRejected {
        return refused(blocked, scene);
    }
    let (what, next) = match blocked.reason {
        Reason::ZitadelUnreachable => (
            "ZITADEL cannot be reached",
            "check spec.url and spec.endpoint of the connection, DNS and network policies",
        ),
        Reason::ProxyUnreachable => (
            "The proxy to ZITADEL cannot be reached",
            "check spec.proxy.url of the connection, DNS and network policies",
        ),
        Reason::ProxyRefused => (
            "The proxy refuses the connection to ZITADEL",
            "check spec.proxy.auth of the connection and the rules of the proxy",
        ),
        Reason::TlsFailed => (
            "No TLS connection to ZITADEL could be established",
            "check spec.url and spec.tls.caBundle of the connection, and the certificate",
        ),
        Reason::ZitadelTimeout => (
            "ZITADEL did not respond in time",
            "check ZITADEL and what is between it and the operator",
        ),
        Reason::ZitadelUnavailable => (
            "ZITADEL reports that it cannot serve requests",
            "check ZITADEL and what is between it and the operator",
        ),
        Reason::RateLimited => (
            "ZITADEL reports too many requests",
            "check ZITADEL's quota and spec.limits of the connection",
        ),
        Reason::ApiNotServed => (
            "ZITADEL does not serve the API that the connection uses",
            "see status.api and spec.api of the connection; with spec.api: Auto the operator looks for another one at once",
        ),
        Reason::UnexpectedAnswer => (
            "ZITADEL, or a proxy in front of it, returned an unexpected response",
            "check that spec.url of the connection is ZITADEL's external URL and that no proxy responds in its place",
        ),
        _ => return None,
    };
    let when = during(blocked, scene).map_or_else(String::new, |when| format!(" when {when}"));
    let answer = answer(blocked).map_or_else(String::new, |answer| format!(" ({answer})"));
    Some(format!(
        "{what}{when}{answer}. ZitadelConnection {connection}: {next}. {}",
        again(scene)
    ))
}

/// When it is tried again.
fn again(scene: &Scene<'_>) -> String {
    format!(
        "The operator tries again {}; waits double up to {}",
        at_or_after(scene, scene.timing.retry_first),
        span(scene.timing.retry_most)
    )
}

/// What was asked of ZITADEL.
fn during(blocked: &Blocked, scene: &Scene<'_>) -> Option<String> {
    let (app, project) = (&scene.target.app.app, &scene.target.app.project);
    Some(match blocked.call? {
        "generate" => format!("the client secret of app {app} was requested"),
        "create_app" => format!("the standby of app {app} was created"),
        "apps" => format!("the apps of project {project} were searched"),
        "project" => format!("project {project} was read"),
        "changes" => format!("the change list of app {app} was read"),
        "token" => "the operator asked for an access token".to_owned(),
        "introspect" => "the stored client secret was probed".to_owned(),
        _ => format!("app {app} was read"),
    })
}

/// That one call was refused says nothing of the connection, whose own check may well succeed.
fn refused(blocked: &Blocked, scene: &Scene<'_>) -> Option<String> {
    let when = during(blocked, scene)?;
    let what = if blocked.call == Some("token") {
        "credential"
    } else {
        "token"
    };
    let id = blocked.error_id.as_ref();
    let id = id.map(|id| format!(" ({id})")).unwrap_or_default();
    let next = scene
        .next
        .map_or_else(String::new, |next| format!(" at {next}"));
    Some(format!(
        "ZITADEL did not accept the operator's {what} when {when}{id}; tried again{next}"
    ))
}
