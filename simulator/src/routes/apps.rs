//! Applications over management v1: reading, searching, making, changing (`internal/api/grpc/management/project_application.go`).

use serde_json::{Map, Value, json};

use crate::random;
use crate::routes::Operation;
use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::world::build::ChangeError;
use crate::world::events::{AuthMethod, EventKind};
use crate::world::model::{App, AppKind, State};
use crate::world::project::NewEvent;
use crate::world::{NewApiApp, World};

/// `GetAppByID`: brings the projection up to date first.
pub(crate) fn get(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = call.authorize(world, Permission::ReadApps, "GetAppByIDRequest")?;
    let project = world
        .projects
        .get_mut(call.project())
        .ok_or(errors::GET_APP_UNKNOWN)?;
    let owner = project.org.clone();
    let model = if call.settings.get_forces_projection {
        project.force_projection()
    } else {
        project.projected()
    };
    let app = model.app(call.app()).ok_or(errors::GET_APP_UNKNOWN)?;
    if owner != caller.org {
        return Err(errors::GET_APP_OTHER_ORG);
    }
    Ok(json!({"app": app_json(app, &owner)}))
}

/// `ListApps`. ZITADEL sorts by nothing here, so the order is arbitrary; the simulator's is by a hash of the id.
pub(crate) fn search(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = call.authorize(world, Permission::ReadApps, "ListAppsRequest")?;
    let number = |name: &str| {
        let value = body.pointer(&format!("/query/{name}"))?;
        value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .and_then(|value| usize::try_from(value).ok())
    };
    let mut details = json!({"viewTimestamp": rfc3339(call.now)});
    let Some(project) = world.project_of(&caller.org, call.project()) else {
        return Ok(json!({"details": details}));
    };
    let owner = project.org.clone();
    let model = project.projected();
    let mut found: Vec<&App> = model
        .apps
        .values()
        .filter(|app| app.state != State::Removed && matches_queries(&body, app))
        .collect();
    // Nothing says in which order, and the database keeps none: another one each time.
    found.sort_by_cached_key(|_| random::number());
    if let Some(details) = details.as_object_mut()
        && !found.is_empty()
    {
        details.insert("totalResult".to_owned(), found.len().to_string().into());
    }
    let limit = number("limit")
        .filter(|limit| *limit > 0)
        .unwrap_or(usize::MAX);
    let page: Vec<Value> = found
        .into_iter()
        .skip(number("offset").unwrap_or(0))
        .take(limit)
        .map(|app| app_json(app, &owner))
        .collect();
    let mut answer = json!({"details": details});
    if let Some(answer) = answer.as_object_mut()
        && !page.is_empty()
    {
        answer.insert("result".to_owned(), Value::Array(page));
    }
    Ok(answer)
}

fn matches_queries(body: &Value, app: &App) -> bool {
    let queries = body.get("queries").and_then(Value::as_array);
    queries
        .into_iter()
        .flatten()
        .filter_map(|query| query.get("nameQuery"))
        .all(|query| {
            let name = query
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            match query.get("method").and_then(Value::as_str) {
                Some("TEXT_QUERY_METHOD_CONTAINS") => app.name.contains(name),
                Some("TEXT_QUERY_METHOD_STARTS_WITH") => app.name.starts_with(name),
                Some("TEXT_QUERY_METHOD_ENDS_WITH") => app.name.ends_with(name),
                Some("TEXT_QUERY_METHOD_EQUALS_IGNORE_CASE") => app.name.eq_ignore_ascii_case(name),
                _ => app.name == name,
            }
        })
}

/// `AddAPIApp`.
pub(crate) fn create(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = call.authorize(world, Permission::WriteApps, "AddAPIAppRequest")?;
    let name = name_of(&body);
    call.check_length("AddAPIAppRequest.Name", name)?;
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(errors::PROJECT_UNKNOWN)?;
    let (project, owner) = (project.id.clone(), project.org.clone());
    let spec = NewApiApp {
        name,
        method: method_of(&body),
        editor: &caller.user,
        ..NewApiApp::default()
    };
    let made = world
        .add_api_app(&project, &spec, call.now, &call.settings)
        .map_err(|error| match error {
            ChangeError::NotThere { .. } => errors::PROJECT_UNKNOWN,
            ChangeError::NameInUse { .. } => errors::APP_NAME_IN_USE,
        })?;
    let mut answer = json!({
        "appId": made.id,
        "details": {
            "sequence": made.sequence.to_string(),
            "creationDate": rfc3339(made.created_at),
            "resourceOwner": owner,
        },
        "clientId": made.client_id,
    });
    if let (Some(secret), Some(answer)) = (&made.secret, answer.as_object_mut()) {
        answer.insert("clientSecret".to_owned(), secret.expose().into());
    }
    Ok(answer)
}

fn name_of(body: &Value) -> &str {
    body.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn method_of(body: &Value) -> AuthMethod {
    match body.get("authMethodType").and_then(Value::as_str) {
        Some("API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT") => AuthMethod::PrivateKeyJwt,
        _ => AuthMethod::Basic,
    }
}

/// Renaming, switching off and on, removing, changing the auth method: one event each.
pub(crate) fn change(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = call.authorize(world, Permission::WriteApps, "UpdateAppRequest")?;
    if call.route.operation == Operation::RenameApp {
        call.check_length("UpdateAppRequest.Name", name_of(&body))?;
    }
    let missing = match call.route.operation {
        Operation::RemoveApp => errors::REMOVE_APP_UNKNOWN,
        Operation::RenameApp => errors::RENAME_APP_UNKNOWN,
        Operation::DeactivateApp | Operation::ReactivateApp => errors::SWITCH_APP_UNKNOWN,
        _ => errors::APP_UNKNOWN,
    };
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(missing.clone())?;
    let app = project.current.app(call.app()).ok_or(missing)?;
    let kind = match (call.route.operation, app.state, &app.kind) {
        (Operation::RemoveApp, _, _) => EventKind::AppRemoved,
        (Operation::DeactivateApp, State::Active, _) => EventKind::AppDeactivated,
        (Operation::DeactivateApp, _, _) => return Err(errors::APP_NOT_ACTIVE),
        (Operation::ReactivateApp, State::Inactive, _) => EventKind::AppReactivated,
        (Operation::ReactivateApp, _, _) => return Err(errors::APP_NOT_INACTIVE),
        (Operation::RenameApp, _, _) => {
            let name = name_of(&body);
            if name == app.name {
                return Err(errors::RENAME_NO_CHANGE);
            }
            project
                .name_is_free(name, call.app())
                .map_err(|_| errors::APP_NAME_IN_USE)?;
            EventKind::AppRenamed {
                name: name.to_owned(),
            }
        }
        (_, _, Some(AppKind::Api(now))) if *now != method_of(&body) => EventKind::ApiChanged {
            method: method_of(&body),
        },
        (_, _, Some(AppKind::Api(_))) => return Err(errors::RENAME_NO_CHANGE),
        _ => return Err(errors::APP_NOT_API),
    };
    let new = NewEvent::of_app(kind, call.app(), &caller.user);
    let sequence = project.push(new, call.now, call.settings.projection_lag);
    Ok(json!({"details": change_details(sequence, call, &project.org)}))
}

/// `DeactivateProject` and `ReactivateProject`.
pub(crate) fn switch_project(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = call.authorize(world, Permission::WriteApps, "DeactivateProjectRequest")?;
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(errors::PROJECT_UNKNOWN)?;
    let kind = match (call.route.operation, project.current.state) {
        (Operation::DeactivateProject, State::Active) => EventKind::ProjectDeactivated,
        (Operation::DeactivateProject, _) => return Err(errors::PROJECT_NOT_ACTIVE),
        (_, State::Inactive) => EventKind::ProjectReactivated,
        _ => return Err(errors::PROJECT_NOT_INACTIVE),
    };
    let sequence = project.push(
        NewEvent::of_project(kind, &caller.user),
        call.now,
        call.settings.projection_lag,
    );
    Ok(json!({"details": change_details(sequence, call, &project.org)}))
}

/// `GetProjectByID`: brings the projection up to date first. By the source (`internal/query/project.go`); there is no recording of it.
pub(crate) fn get_project(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    call.authorize(world, Permission::ReadApps, "GetProjectByIDRequest")?;
    let project = world
        .projects
        .get_mut(call.project())
        .ok_or(errors::GET_PROJECT_UNKNOWN)?;
    let owner = project.org.clone();
    let (id, last) = (project.id.clone(), project.events.last().cloned());
    let model = if call.settings.get_forces_projection {
        project.force_projection()
    } else {
        project.projected()
    };
    let state = match model.state {
        State::Active => "PROJECT_STATE_ACTIVE",
        State::Inactive => "PROJECT_STATE_INACTIVE",
        State::Removed => return Err(errors::GET_PROJECT_UNKNOWN),
    };
    let mut out = json!({"id": id, "name": model.name, "state": state});
    if let Some((last, out)) = last.zip(out.as_object_mut()) {
        let details = json!({
            "sequence": last.sequence.to_string(),
            "changeDate": rfc3339(last.created_at),
            "resourceOwner": owner,
        });
        out.insert("details".to_owned(), details);
    }
    Ok(json!({"project": out}))
}

fn change_details(sequence: u64, call: &Call, owner: &str) -> Value {
    json!({"sequence": sequence.to_string(), "changeDate": rfc3339(call.now), "resourceOwner": owner})
}

/// An app as protojson writes it: zero values are left out, sequences are strings.
fn app_json(app: &App, owner: &str) -> Value {
    let mut out = Map::new();
    out.insert("id".to_owned(), app.id.clone().into());
    let details = json!({
        "sequence": app.sequence.to_string(),
        "creationDate": rfc3339(app.created_at),
        "changeDate": rfc3339(app.changed_at),
        "resourceOwner": owner,
    });
    out.insert("details".to_owned(), details);
    let state = if app.state == State::Active {
        "APP_STATE_ACTIVE"
    } else {
        "APP_STATE_INACTIVE"
    };
    out.insert("state".to_owned(), state.into());
    out.insert("name".to_owned(), app.name.clone().into());
    match &app.kind {
        Some(AppKind::Api(AuthMethod::Basic)) => {
            out.insert("apiConfig".to_owned(), json!({"clientId": app.client_id}));
        }
        Some(AppKind::Api(AuthMethod::PrivateKeyJwt)) => {
            let config = json!({"clientId": app.client_id, "authMethodType": "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"});
            out.insert("apiConfig".to_owned(), config);
        }
        Some(AppKind::Oidc { redirect_uri }) => {
            let config = json!({
                "redirectUris": [redirect_uri],
                "responseTypes": ["OIDC_RESPONSE_TYPE_CODE"],
                "grantTypes": ["OIDC_GRANT_TYPE_AUTHORIZATION_CODE"],
                "clientId": app.client_id,
                "clockSkew": "0s",
                "allowedOrigins": [origin(redirect_uri)],
            });
            out.insert("oidcConfig".to_owned(), config);
        }
        None => {}
    }
    Value::Object(out)
}

/// Scheme and authority of a URI.
fn origin(uri: &str) -> String {
    uri.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}
