//! Applications over management v1: reading, searching, making (`internal/api/grpc/management/project_application.go`).

use serde_json::{Value, json};

use crate::random;
use crate::routes::access::Permission;
use crate::routes::answer::{rfc3339, set};
use crate::routes::app_json;
use crate::routes::call::Call;
use crate::routes::creation::{self, Wish};
use crate::routes::errors::{self, ApiError};
use crate::world::World;
use crate::world::model::{App, State};

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
    Ok(json!({"app": app_json::v1(app, &owner)}))
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
        .map(|app| app_json::v1(app, &owner))
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
        .all(|query| name_matches(query, &app.name))
}

/// Whether a name fits a query with `name` and `method`.
pub(crate) fn name_matches(query: &Value, found: &str) -> bool {
    let text = |field| query.get(field).and_then(Value::as_str).unwrap_or_default();
    let (name, found_lower) = (text("name"), found.to_lowercase());
    let lower = name.to_lowercase();
    match text("method") {
        "TEXT_QUERY_METHOD_CONTAINS" => found.contains(name),
        "TEXT_QUERY_METHOD_STARTS_WITH" => found.starts_with(name),
        "TEXT_QUERY_METHOD_ENDS_WITH" => found.ends_with(name),
        "TEXT_QUERY_METHOD_EQUALS_IGNORE_CASE" => found_lower == lower,
        "TEXT_QUERY_METHOD_CONTAINS_IGNORE_CASE" => found_lower.contains(&lower),
        "TEXT_QUERY_METHOD_STARTS_WITH_IGNORE_CASE" => found_lower.starts_with(&lower),
        "TEXT_QUERY_METHOD_ENDS_WITH_IGNORE_CASE" => found_lower.ends_with(&lower),
        _ => found == name,
    }
}

/// `AddAPIApp` and `AddOIDCApp`.
pub(crate) fn create(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let message = if call.route.oidc {
        "AddOIDCAppRequest"
    } else {
        "AddAPIAppRequest"
    };
    let caller = call.authorize(world, Permission::WriteApps, message)?;
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    call.check_length(&format!("{message}.Name"), name)?;
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(errors::PROJECT_UNKNOWN)?;
    let owner = project.org.clone();
    let wish = Wish::read(call.route.oidc, &body);
    let made = creation::add(call, world, &caller.user, name, wish)?;
    let mut answer = json!({
        "appId": made.id,
        "details": {
            "sequence": made.sequence.to_string(),
            "creationDate": rfc3339(made.created_at),
            "resourceOwner": owner,
        },
        "clientId": made.client_id,
    });
    if let Some(secret) = &made.secret {
        set(&mut answer, "clientSecret", secret.expose());
    }
    Ok(answer)
}
