//! The change list of an app or of a project, straight from the events (`ListAppChanges`, `ListProjectChanges`,
//! `internal/query/event.go`). Does no I/O.

use serde_json::{Value, json};

use crate::routes::Operation;
use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::world::World;
use crate::world::events::Event;
use crate::world::identities::User;

/// Parameters come in the query string alone. `query.sequence` is a cursor: ascending *greater than*, descending *less than*.
pub(crate) fn list(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = call.authorize(world, Permission::ReadApps, "ListAppChangesRequest")?;
    if call.settings.journal_forbidden {
        return Err(errors::NO_PERMISSION);
    }
    let number = |name: &str| {
        call.parameter(name)
            .and_then(|value| value.parse::<u64>().ok())
            .filter(|value| *value > 0)
    };
    let ascending = call
        .parameter("query.asc")
        .is_some_and(|value| value == "true");
    let cursor = number("query.sequence");
    let limit = number("query.limit")
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX);

    let Some(project) = world
        .projects
        .get(call.project())
        .filter(|project| project.org == caller.org)
    else {
        return Ok(json!({}));
    };
    let whole_project = call.route.operation == Operation::ProjectJournal;
    let wanted = |event: &&Event| {
        (whole_project || event.app.as_deref() == Some(call.app()))
            && call
                .settings
                .journal_since
                .is_none_or(|since| event.created_at >= since)
            && cursor.is_none_or(|cursor| {
                if ascending {
                    event.sequence > cursor
                } else {
                    event.sequence < cursor
                }
            })
    };
    let item = |event: &Event| change_json(event, world.users.get(&event.editor), &project.org);
    let events = project.events.iter().filter(wanted);
    let items: Vec<Value> = if ascending {
        events.take(limit).map(item).collect()
    } else {
        events.rev().take(limit).map(item).collect()
    };
    Ok(if items.is_empty() {
        json!({})
    } else {
        json!({"result": items})
    })
}

fn change_json(event: &Event, editor: Option<&User>, owner: &str) -> Value {
    json!({
        "changeDate": rfc3339(event.created_at),
        "eventType": {
            "key": format!("EventTypes.{}", event.kind.name()),
            "localizedMessage": event.kind.message(),
        },
        "sequence": event.sequence.to_string(),
        "editorId": event.editor,
        "editorDisplayName": editor.map_or(event.editor.as_str(), |user| &user.name),
        "resourceOwnerId": owner,
        "editorPreferredLoginName": editor.map_or(event.editor.as_str(), |user| &user.login_name),
    })
}
