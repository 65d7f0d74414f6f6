//! Generating a client secret: the checks in the server's order, then the event (`internal/command/project_application_*.go`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::Lag;
use crate::faults::actions::Which;
use crate::ledger::{Effect, Execution};
use crate::random;
use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::{Call, Mode};
use crate::routes::errors::{self, ApiError};
use crate::world::World;
use crate::world::events::EventKind;
use crate::world::model::AppKind;
use crate::world::project::{NewEvent, Project};
use crate::world::secret::SecretValue;

/// A new secret with its event's sequence and date.
pub(crate) struct Generated {
    pub(crate) secret: SecretValue,
    pub(crate) sequence: u64,
    pub(crate) change_date: Timestamp,
}

/// `RegenerateAPIClientSecret` and `RegenerateOIDCClientSecret`. Neither states nor the auth method are checked.
pub(crate) fn generate(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let wants_api = !call.route.oidc;
    let message = if wants_api {
        "RegenerateAPIClientSecretRequest"
    } else {
        "RegenerateOIDCClientSecretRequest"
    };
    let caller = call.authorize(world, Permission::WriteApps, message)?;
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(errors::APP_UNKNOWN)?;
    let app = project.current.app(call.app()).ok_or(errors::APP_UNKNOWN)?;
    match (wants_api, &app.kind) {
        (true, Some(AppKind::Api(_))) | (false, Some(AppKind::Oidc(_))) => {}
        (true, _) => return Err(errors::APP_NOT_API),
        (false, _) => return Err(errors::APP_NOT_OIDC),
    }
    let owner = project.org.clone();
    let generated = execute(call, project, call.app(), &caller.user);
    Ok(json!({
        "clientSecret": generated.secret.expose(),
        "details": {
            "sequence": generated.sequence.to_string(),
            "changeDate": rfc3339(generated.change_date),
            "resourceOwner": owner,
        },
    }))
}

/// Executes as the faults have it and returns what is answered.
pub(crate) fn execute(call: &Call, project: &mut Project, app: &str, editor: &str) -> Generated {
    let settings = &call.settings;
    let fresh = || SecretValue::from(random::secret(settings));
    let note = |project: &Project, generated: &Generated, effect: Effect, own: bool| {
        call.shared.ledger.execute(Execution {
            request: own.then_some(call.id),
            executed_at: Timestamp::now(),
            attempt: if own { call.attempt.clone() } else { None },
            project: project.id.clone(),
            app: app.to_owned(),
            editor: editor.to_owned(),
            sequence: generated.sequence,
            change_date: generated.change_date,
            secret: generated.secret.clone(),
            effect,
        });
    };
    let once = |project: &mut Project, at: Timestamp, effect: Effect| {
        let (lag, passed_by) = (settings.projection_lag, effect == Effect::None);
        let generated = rotate(project, app, editor, fresh(), at, lag, passed_by);
        note(project, &generated, effect, true);
        generated
    };
    match call.mode {
        Mode::Once => once(project, call.now, Effect::Applied),
        Mode::WithoutEffect => once(project, call.now, Effect::None),
        Mode::Twice(which) => {
            let first = once(project, call.now, Effect::Applied);
            let later = call.now + jiff::SignedDuration::from_micros(1);
            let second = once(project, later, Effect::Applied);
            if which == Which::First { first } else { second }
        }
        Mode::Crossed(which) => {
            let (first, second) = cross(
                project,
                app,
                editor,
                [fresh(), fresh()],
                call.now,
                settings.projection_lag,
            );
            note(project, &first, Effect::Applied, which == Which::First);
            note(project, &second, Effect::None, which == Which::Second);
            if which == Which::First { first } else { second }
        }
    }
}

/// Pushes one `secret.changed` event for an app of either kind.
pub(crate) fn rotate(
    project: &mut Project,
    app: &str,
    editor: &str,
    secret: SecretValue,
    at: Timestamp,
    lag: Lag,
    passed_by: bool,
) -> Generated {
    let new = NewEvent {
        passed_by,
        ..secret_changed(project, app, editor, &secret)
    };
    let sequence = project.push(new, at, lag);
    Generated {
        secret,
        sequence,
        change_date: at,
    }
}

/// Two rotations at once; the first returned has the lower sequence and survives.
fn cross(
    project: &mut Project,
    app: &str,
    editor: &str,
    [survivor, loser]: [SecretValue; 2],
    at: Timestamp,
    lag: Lag,
) -> (Generated, Generated) {
    let first = secret_changed(project, app, editor, &survivor);
    let second = secret_changed(project, app, editor, &loser);
    let [first, second] = project.push_crossed(first, second, at, lag);
    (
        Generated {
            secret: survivor,
            sequence: first.0,
            change_date: first.1,
        },
        Generated {
            secret: loser,
            sequence: second.0,
            change_date: second.1,
        },
    )
}

fn secret_changed(project: &Project, app: &str, editor: &str, secret: &SecretValue) -> NewEvent {
    let oidc = project
        .current
        .app(app)
        .is_some_and(|app| matches!(app.kind, Some(AppKind::Oidc(_))));
    let secret = secret.clone();
    let kind = if oidc {
        EventKind::OidcSecretChanged { secret }
    } else {
        EventKind::ApiSecretChanged { secret }
    };
    NewEvent::of_app(kind, app, editor)
}
