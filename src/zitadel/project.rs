//! Projects as ZITADEL describes them. No I/O.

use serde_json::Value;

use crate::ids::ProjectId;

/// The state of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectState {
    /// The credentials of its active applications are accepted.
    Active,
    /// Deactivated: secrets can be generated, but are rejected.
    Inactive,
    /// A state this client does not know.
    Other,
}

/// Parses v1's answer to a read of that project.
pub fn parse(body: &[u8], wanted: &ProjectId) -> Option<ProjectState> {
    state(body, "id", wanted)
}

/// Parses v2's answer to a read of that project.
pub fn parse_v2(body: &[u8], wanted: &ProjectId) -> Option<ProjectState> {
    state(body, "projectId", wanted)
}

fn state(body: &[u8], id: &str, wanted: &ProjectId) -> Option<ProjectState> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let project = answer.get("project")?;
    (project.get(id)?.as_str()? == wanted.as_str()).then_some(())?;
    Some(match project.get("state").and_then(Value::as_str) {
        Some("PROJECT_STATE_ACTIVE") => ProjectState::Active,
        Some("PROJECT_STATE_INACTIVE") => ProjectState::Inactive,
        _ => ProjectState::Other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_state_of_the_wanted_project_is_read() {
        let seven = ProjectId::try_from("7").unwrap();
        let read = |body: Value| parse(body.to_string().as_bytes(), &seven);
        for (state, expected) in [
            (json!("PROJECT_STATE_ACTIVE"), ProjectState::Active),
            (json!("PROJECT_STATE_INACTIVE"), ProjectState::Inactive),
            (json!("PROJECT_STATE_NEW"), ProjectState::Other),
            (json!(1), ProjectState::Other),
        ] {
            let body = json!({"project": {"id": "7", "state": state, "name": "payments"}});
            assert_eq!(read(body), Some(expected), "{state}");
        }
        assert_eq!(
            read(json!({"project": {"id": "7"}})),
            Some(ProjectState::Other)
        );
        for bad in [
            json!({"project": {"id": "8", "state": "PROJECT_STATE_INACTIVE"}}),
            json!({"project": null}),
            json!({"project": {"id": 7}}),
            json!([]),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_project_or_not(body in any::<Vec<u8>>()) {
            parse(&body, &ProjectId::try_from("7").unwrap());
        }
    }
}
