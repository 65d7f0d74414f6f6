//! Keys of applications over management v1, and what v2 shares with it (`internal/command/project_application_key.go`). Does no I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::routes::access::Permission;
use crate::routes::answer::{rfc3339, set};
use crate::routes::call::Call;
use crate::routes::changes::change_details;
use crate::routes::errors::{self, ApiError};
use crate::world::World;
use crate::world::events::{AuthMethod, EventKind};
use crate::world::identities::{self, Key, NEVER};
use crate::world::model::{AppKey, AppKind, Model};
use crate::world::oidc::{OidcConfig, OidcMethod};
use crate::world::project::{NewEvent, Project};

/// A key just made.
pub(crate) struct NewKey {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    /// The key file as base64; it is never shown again.
    pub(crate) details: String,
}

/// `AddAppKey`.
pub(crate) fn add(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = call.authorize(world, Permission::WriteApps, "AddAppKeyRequest")?;
    let id = world.ids.next();
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(errors::KEY_APP_UNKNOWN)?;
    app_exists(project, call.app())?;
    // NB: v1 takes a key without an expiry date, v2 does not.
    let expires_at = expiry(&body).unwrap_or(NEVER);
    let made = generate(call, project, id, &caller.user, Some(expires_at))?;
    Ok(json!({
        "id": made.id,
        "details": {
            "sequence": made.sequence.to_string(),
            "creationDate": rfc3339(call.now),
            "resourceOwner": project.org,
        },
        "keyDetails": made.details,
    }))
}

/// `ListAppKeys`: in the order in which they were made. The query is in the body.
pub(crate) fn search(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = call.authorize(world, Permission::ReadApps, "ListAppKeysRequest")?;
    let mut details = json!({"viewTimestamp": rfc3339(call.now)});
    let Some(project) = world.project_of(&caller.org, call.project()) else {
        return Ok(json!({"details": details}));
    };
    let owner = project.org.clone();
    let keys = keys_of(project.projected(), call.app());
    if keys.is_empty() {
        return Ok(json!({"details": details}));
    }
    set(&mut details, "totalResult", keys.len().to_string());
    let limit = body.pointer("/query/limit").and_then(Value::as_u64);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let page: Vec<Value> = keys
        .into_iter()
        .take(limit)
        .map(|key| key_json(key, &owner))
        .collect();
    Ok(json!({"details": details, "result": page}))
}

/// `GetAppKey`. The public half is not shown.
pub(crate) fn get(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = call.authorize(world, Permission::ReadApps, "GetAppKeyRequest")?;
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(errors::GET_KEY_UNKNOWN)?;
    let owner = project.org.clone();
    let key = project
        .projected()
        .key(call.key())
        .filter(|key| key.app == call.app())
        .ok_or(errors::GET_KEY_UNKNOWN)?;
    Ok(json!({"key": key_json(key, &owner)}))
}

/// `RemoveAppKey`.
pub(crate) fn remove(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = call.authorize(world, Permission::WriteApps, "RemoveAppKeyRequest")?;
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(errors::REMOVE_KEY_UNKNOWN)?;
    exists(project, call)?;
    let sequence = discard(call, project, &caller.user);
    Ok(json!({"details": change_details(sequence, call, &project.org)}))
}

/// Keys of one app, oldest first.
pub(crate) fn keys_of<'a>(model: &'a Model, app: &str) -> Vec<&'a AppKey> {
    let ids = model.keys.values().filter(|key| key.app == app);
    let mut keys: Vec<&AppKey> = ids.filter_map(|key| model.key(&key.id)).collect();
    keys.sort_by_key(|key| key.sequence);
    keys
}

pub(crate) fn app_exists(project: &Project, app: &str) -> Result<(), ApiError> {
    project
        .current
        .app(app)
        .map(|_| ())
        .ok_or(errors::KEY_APP_UNKNOWN)
}

/// Whether the app has the key of the call.
pub(crate) fn exists(project: &Project, call: &Call) -> Result<(), ApiError> {
    let key = project.current.key(call.key());
    key.filter(|key| key.app == call.app())
        .map(|_| ())
        .ok_or(errors::REMOVE_KEY_UNKNOWN)
}

/// Makes a pair, keeps the public half, and writes the key file (`internal/domain/application_key.go`).
pub(crate) fn generate(
    call: &Call,
    project: &mut Project,
    id: String,
    user: &str,
    expires_at: Option<Timestamp>,
) -> Result<NewKey, ApiError> {
    let app = project
        .current
        .app(call.app())
        .ok_or(errors::KEY_APP_UNKNOWN)?;
    match &app.kind {
        Some(
            AppKind::Api(AuthMethod::PrivateKeyJwt)
            | AppKind::Oidc(OidcConfig {
                method: OidcMethod::PrivateKeyJwt,
                ..
            }),
        ) => {}
        _ => return Err(errors::KEY_NOT_FOR_METHOD),
    }
    let expires_at = expires_at
        .filter(|at| *at > call.now)
        .ok_or(errors::KEY_EXPIRED)?;
    let client_id = app.client_id.clone();
    let (pem, verifies) = identities::new_rsa_key().ok_or(errors::INTERNAL)?;
    let file = json!({
        "type": "application",
        "keyId": id,
        "key": pem,
        "appId": call.app(),
        "clientId": client_id,
        "expirationDate": date(expires_at),
    });
    let added = EventKind::AppKeyAdded {
        id: id.clone(),
        app: call.app().to_owned(),
        key: Key {
            owner: client_id,
            verifies,
            expires_at,
        },
    };
    let sequence = project.push(
        NewEvent::of_project(added, user),
        call.now,
        call.settings.projection_lag,
    );
    Ok(NewKey {
        id,
        sequence,
        details: STANDARD.encode(file.to_string()),
    })
}

/// Removes the key of the call and returns the event's sequence.
pub(crate) fn discard(call: &Call, project: &mut Project, user: &str) -> u64 {
    let removed = EventKind::AppKeyRemoved {
        id: call.key().to_owned(),
    };
    project.push(
        NewEvent::of_project(removed, user),
        call.now,
        call.settings.projection_lag,
    )
}

/// `expirationDate` of a request; nothing if it is absent or no date.
pub(crate) fn expiry(body: &Value) -> Option<Timestamp> {
    body.get("expirationDate")?.as_str()?.parse().ok()
}

/// A date of expiry; the last one stands for *never*.
pub(crate) fn date(expires_at: Timestamp) -> String {
    if expires_at == NEVER {
        "9999-12-31T23:59:59Z".to_owned()
    } else {
        rfc3339(expires_at)
    }
}

fn key_json(key: &AppKey, owner: &str) -> Value {
    let created = rfc3339(key.created_at);
    json!({
        "id": key.id,
        "details": {
            "sequence": key.sequence.to_string(),
            "creationDate": created,
            "changeDate": created,
            "resourceOwner": owner,
        },
        "type": "KEY_TYPE_JSON",
        "expirationDate": date(key.key.expires_at),
    })
}
