//! The change list of an app, a project or a user, straight from the events (`ListAppChanges`, `ListProjectChanges`, `ListUserChanges`,
//! `internal/query/event.go`). Does no I/O.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::routes::users;
use crate::routes::{Api, Operation};
use crate::world::World;
use crate::world::events::Event;
use crate::world::users::{User, UserEvent};

/// Parameters come in the query string alone.
pub(crate) fn list(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = call.authorize(world, Permission::ReadApps, "ListAppChangesRequest")?;
    if call.settings.journal_forbidden {
        return Err(errors::NO_PERMISSION);
    }
    let cursor = Cursor::read(|name| call.parameter(&format!("query.{name}")));
    let found = world.projects.get(call.project());
    let Some(project) = found.filter(|project| project.org == caller.org) else {
        return Ok(json!({}));
    };
    let whole_project = call.route.operation == Operation::ProjectJournal;
    let of_app = |event: &&Event| whole_project || event.app.as_deref() == Some(call.app());
    let changes = project.events.iter().filter(of_app).map(Change::from);
    Ok(page(call, world, changes, &cursor, &project.org))
}

/// `ListUserChanges` and `ListMyUserChanges`. NB: parameters come in the body alone.
pub(crate) fn of_user(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let own = call.route.api == Api::AuthV1;
    let (user, org) = if own {
        let legacy = call.settings.legacy_statuses;
        let caller = world.authenticate(&call.headers, call.now, legacy)?;
        (caller.user, None)
    } else {
        let field = "ListUserChangesRequest.UserId";
        let caller = users::authorize(call, world, Permission::ReadUsers, field)?;
        (call.user().to_owned(), Some(caller.org))
    };
    if call.settings.journal_forbidden {
        return Err(errors::NO_PERMISSION);
    }
    let cursor = Cursor::read(|name| match body.pointer(&format!("/query/{name}"))? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    });
    let found = world.users.get(&user);
    let Some(user) = found.filter(|user| org.is_none_or(|org| org == user.org)) else {
        return Ok(json!({}));
    };
    let changes = user.events.iter().map(Change::from);
    Ok(page(call, world, changes, &cursor, &user.org))
}

/// Which part of a change list is wanted. A sequence means ascending *greater than*, descending *less than*.
struct Cursor {
    sequence: Option<u64>,
    limit: usize,
    ascending: bool,
}

impl Cursor {
    fn read(parameter: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name| {
            parameter(name)?
                .parse::<u64>()
                .ok()
                .filter(|value| *value > 0)
        };
        let limit = number("limit").and_then(|limit| usize::try_from(limit).ok());
        Self {
            sequence: number("sequence"),
            limit: limit.unwrap_or(usize::MAX),
            ascending: parameter("asc").is_some_and(|value| value == "true"),
        }
    }

    fn fits(&self, sequence: u64) -> bool {
        self.sequence.is_none_or(|cursor| {
            if self.ascending {
                sequence > cursor
            } else {
                sequence < cursor
            }
        })
    }
}

/// An event of a project or a user as its change list shows it.
struct Change<'a> {
    sequence: u64,
    created_at: Timestamp,
    name: &'static str,
    message: &'static str,
    editor: &'a str,
}

impl<'a> From<&'a Event> for Change<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            sequence: event.sequence,
            created_at: event.created_at,
            name: event.kind.name(),
            message: event.kind.message(),
            editor: &event.editor,
        }
    }
}

impl<'a> From<&'a UserEvent> for Change<'a> {
    fn from(event: &'a UserEvent) -> Self {
        Self {
            sequence: event.sequence,
            created_at: event.created_at,
            name: event.kind.name(),
            message: event.kind.message(),
            editor: &event.editor,
        }
    }
}

fn page<'a>(
    call: &Call,
    world: &World,
    changes: impl DoubleEndedIterator<Item = Change<'a>>,
    cursor: &Cursor,
    owner: &str,
) -> Value {
    let since = call.settings.journal_since;
    let wanted = changes.filter(|change| {
        since.is_none_or(|since| change.created_at >= since) && cursor.fits(change.sequence)
    });
    let item = |change: Change<'_>| change_json(&change, world.users.get(change.editor), owner);
    let items: Vec<Value> = if cursor.ascending {
        wanted.take(cursor.limit).map(item).collect()
    } else {
        wanted.rev().take(cursor.limit).map(item).collect()
    };
    if items.is_empty() {
        json!({})
    } else {
        json!({"result": items})
    }
}

fn change_json(change: &Change<'_>, editor: Option<&User>, owner: &str) -> Value {
    json!({
        "changeDate": rfc3339(change.created_at),
        "eventType": {
            "key": format!("EventTypes.{}", change.name),
            "localizedMessage": change.message,
        },
        "sequence": change.sequence.to_string(),
        "editorId": change.editor,
        "editorDisplayName": editor.map_or(change.editor, |user| &user.name),
        "resourceOwnerId": owner,
        "editorPreferredLoginName": editor.map_or(change.editor, |user| &user.login_name),
    })
}
