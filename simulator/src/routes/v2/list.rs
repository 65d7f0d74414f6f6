//! Lists, in which a caller without rights finds nothing but the total. Does no I/O.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use crate::routes::Operation;
use crate::routes::access::Permission;
use crate::routes::answer::{rfc3339, set};
use crate::routes::app_json;
use crate::routes::apps::name_matches;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::routes::keys::date;
use crate::routes::v2;
use crate::world::World;
use crate::world::model::{App, AppKey, AppKind, State};
use crate::world::users::{Credential, User};

/// An item with its project and that project's organization.
struct Found<T> {
    project: String,
    org: String,
    item: T,
}

/// `ListApplications`
pub(crate) fn apps(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = v2::authenticate(call, world, &[])?;
    let filters = filters(&body)?;
    let mut found: Vec<Found<App>> = Vec::new();
    for project in world.projects.values_mut() {
        let (id, org) = (project.id.clone(), project.org.clone());
        let model = project.projected();
        let apps = model.apps.keys().filter_map(|app| model.app(app));
        let wanted = apps.filter(|app| filters.iter().all(|filter| filter.fits(app, &id)));
        found.extend(wanted.map(|app| Found {
            project: id.clone(),
            org: org.clone(),
            item: app.clone(),
        }));
    }
    let column = v2::text(&body, "sortingColumn").unwrap_or_default();
    found.sort_by(|a, b| by_column(column, &a.item, &b.item));
    let json = |found: &Found<App>| app_json::v2(&found.item, &found.project);
    let may_see = |found: &Found<App>| sees(world, &caller.user, &found.project);
    Ok(page(&body, "applications", &found, may_see, json))
}

/// `ListApplicationKeys`
pub(crate) fn keys(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = v2::authenticate(call, world, &[])?;
    let mut found: Vec<Found<AppKey>> = Vec::new();
    for project in world.projects.values_mut() {
        let (id, org) = (project.id.clone(), project.org.clone());
        let model = project.projected();
        let keys = model.keys.keys().filter_map(|key| model.key(key));
        let wanted = keys.filter(|key| key_fits(&body, key, &id, &org));
        found.extend(wanted.map(|key| Found {
            project: id.clone(),
            org: org.clone(),
            item: key.clone(),
        }));
    }
    found.sort_by(|a, b| a.item.id.cmp(&b.item.id));
    let json = |found: &Found<AppKey>| {
        json!({
            "keyId": found.item.id,
            "applicationId": found.item.app,
            "projectId": found.project,
            "creationDate": rfc3339(found.item.created_at),
            "organizationId": found.org,
            "expirationDate": date(found.item.key.expires_at),
        })
    };
    let may_see = |found: &Found<AppKey>| sees(world, &caller.user, &found.project);
    Ok(page(&body, "keys", &found, may_see, json))
}

fn sees(world: &World, user: &str, project: &str) -> bool {
    v2::check(world, user, Permission::ReadApps, project).is_ok()
}

/// `ListKeys` and `ListPersonalAccessTokens` of the user service.
pub(crate) fn credentials(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = v2::authenticate(call, world, &[])?;
    let pats = call.route.operation == Operation::SearchPats;
    let mut found: Vec<(&User, Credential<'_>)> = Vec::new();
    for user in world.users.values().filter(|user| user_fits(&body, user)) {
        let model = user.projected();
        let all = if pats { model.pats() } else { model.keys() };
        found.extend(all.into_iter().map(|one| (user, one)));
    }
    found.sort_by_key(|(_, one)| one.id);
    let json = |(user, one): &(&User, Credential<'_>)| {
        json!({
            "creationDate": rfc3339(one.created_at),
            "changeDate": rfc3339(one.created_at),
            "id": one.id,
            "userId": user.id,
            "organizationId": user.org,
            "expirationDate": date(one.expires_at),
        })
    };
    let may_see = |(user, _): &(&User, Credential<'_>)| {
        v2::users::check(world, &caller.user, Permission::ReadUsers, user).is_ok()
    };
    Ok(page(&body, "result", &found, may_see, json))
}

fn user_fits(body: &Value, user: &User) -> bool {
    let filters = v2::field(body, "filters").and_then(Value::as_array);
    let id = |filter| v2::text(v2::field(filter, "userIdFilter")?, "id");
    let mut ids = filters.into_iter().flatten().filter_map(id);
    ids.all(|id| id == user.id)
}

/// The page asked for, of what the caller may see. NB: the total counts what they may not see, too.
fn page<T>(
    body: &Value,
    name: &str,
    found: &[T],
    may_see: impl Fn(&T) -> bool,
    json: impl Fn(&T) -> Value,
) -> Value {
    let pagination = v2::field(body, "pagination").unwrap_or(&Value::Null);
    let number = |name: &str| {
        let value = v2::field(pagination, name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(100);
    let ascending = v2::field(pagination, "asc") == Some(&Value::Bool(true));
    let mut seen: Vec<&T> = found.iter().filter(|found| may_see(found)).collect();
    if !ascending {
        seen.reverse();
    }
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let page: Vec<Value> = seen
        .into_iter()
        .skip(size(number("offset").unwrap_or(0)))
        .take(size(limit))
        .map(json)
        .collect();
    let mut answer = Map::new();
    if !page.is_empty() {
        answer.insert(name.to_owned(), page.into());
    }
    let mut pagination = json!({"appliedLimit": limit.to_string()});
    if !found.is_empty() {
        set(&mut pagination, "totalResult", found.len().to_string());
    }
    answer.insert("pagination".to_owned(), pagination);
    Value::Object(answer)
}

fn by_column(column: &str, a: &App, b: &App) -> Ordering {
    let first = match column {
        "APPLICATION_SORT_BY_NAME" => a.name.cmp(&b.name),
        "APPLICATION_SORT_BY_CREATION_DATE" => a.created_at.cmp(&b.created_at),
        "APPLICATION_SORT_BY_CHANGE_DATE" => a.changed_at.cmp(&b.changed_at),
        _ => Ordering::Equal,
    };
    first.then_with(|| a.id.cmp(&b.id))
}

/// A filter of `ListApplications`; all must fit.
enum Filter<'a> {
    Project(&'a str),
    Name(&'a Value),
    State(State),
    Type { oidc: bool },
}

impl Filter<'_> {
    fn fits(&self, app: &App, project: &str) -> bool {
        match self {
            Self::Project(wanted) => *wanted == project,
            Self::Name(query) => name_matches(query, &app.name),
            Self::State(wanted) => app.state == *wanted,
            Self::Type { oidc } => match &app.kind {
                Some(kind) => *oidc == matches!(kind, AppKind::Oidc(_)),
                None => false,
            },
        }
    }
}

fn filters(body: &Value) -> Result<Vec<Filter<'_>>, ApiError> {
    let filters = v2::field(body, "filters").and_then(Value::as_array);
    filters
        .into_iter()
        .flatten()
        .map(|filter| filter_of(filter).ok_or(errors::FILTER_UNKNOWN))
        .collect()
}

fn filter_of(filter: &Value) -> Option<Filter<'_>> {
    if let Some(filter) = v2::field(filter, "projectIdFilter") {
        return v2::text(filter, "projectId").map(Filter::Project);
    }
    if let Some(query) = v2::field(filter, "nameFilter") {
        return Some(Filter::Name(query));
    }
    match v2::text(filter, "stateFilter") {
        Some("APPLICATION_STATE_ACTIVE") => return Some(Filter::State(State::Active)),
        Some("APPLICATION_STATE_INACTIVE") => return Some(Filter::State(State::Inactive)),
        _ => {}
    }
    match v2::text(filter, "typeFilter")? {
        "APPLICATION_TYPE_API" => Some(Filter::Type { oidc: false }),
        "APPLICATION_TYPE_OIDC" => Some(Filter::Type { oidc: true }),
        _ => None,
    }
}

fn key_fits(body: &Value, key: &AppKey, project: &str, org: &str) -> bool {
    let filters = v2::field(body, "filters").and_then(Value::as_array);
    filters.into_iter().flatten().all(|filter| {
        let wanted = |name: &str, id: &str| v2::text(v2::field(filter, name)?, id);
        let fits = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
        fits(wanted("applicationIdFilter", "applicationId"), &key.app)
            && fits(wanted("projectIdFilter", "projectId"), project)
            && fits(wanted("organizationIdFilter", "organizationId"), org)
    })
}
