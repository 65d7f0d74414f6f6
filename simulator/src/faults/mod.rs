//! Scripted faults: which requests they hit, what they do, and in which order. Does no I/O.

pub(crate) mod actions;
pub(crate) mod disturb;
pub(crate) mod gates;
pub(crate) mod gzip;
pub(crate) mod replies;
pub(crate) mod script;

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::faults::actions::Action;
use crate::lock;
use crate::routes::{Api, Operation, Route};

/// A rule: what happens to which requests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Only this operation; nothing: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Only through this API; nothing: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// Only this app; nothing: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Only this attempt id; nothing: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Matching requests that pass before the rule takes effect.
    #[serde(default)]
    pub skip: u64,
    /// Requests that the rule hits; nothing: all that follow.
    #[serde(default = "once")]
    pub times: Option<u64>,
    /// What happens.
    pub action: Action,
}

#[allow(clippy::unnecessary_wraps)]
const fn once() -> Option<u64> {
    Some(1)
}

impl Fault {
    /// Hits the next request of this operation, once.
    pub const fn on(operation: Operation, action: Action) -> Self {
        Self {
            operation: Some(operation),
            api: None,
            app: None,
            attempt: None,
            skip: 0,
            times: once(),
            action,
        }
    }

    /// Hits the next request, whatever it is, once.
    pub const fn on_any(action: Action) -> Self {
        Self {
            operation: None,
            api: None,
            app: None,
            attempt: None,
            skip: 0,
            times: once(),
            action,
        }
    }

    /// Only requests through this API. Without it a fault hits an operation through any.
    #[must_use]
    pub const fn through(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Only requests for this app.
    #[must_use]
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.app = Some(app.into());
        self
    }

    /// Only requests that name this attempt.
    #[must_use]
    pub fn attempt(mut self, attempt: impl Into<String>) -> Self {
        self.attempt = Some(attempt.into());
        self
    }

    /// From the nth matching request on, counted from 1.
    #[must_use]
    pub const fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// Hits this many requests.
    #[must_use]
    pub const fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Hits every request from then on.
    #[must_use]
    pub const fn always(mut self) -> Self {
        self.times = None;
        self
    }

    fn concerns(&self, route: &Route, attempt: Option<&str>) -> bool {
        let app = route.app.as_deref();
        self.operation
            .is_none_or(|wanted| wanted == route.operation)
            && self.api.is_none_or(|wanted| wanted == route.api)
            && self.app.as_deref().is_none_or(|wanted| app == Some(wanted))
            && self
                .attempt
                .as_deref()
                .is_none_or(|wanted| attempt == Some(wanted))
    }
}

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    id: u64,
    fault: Fault,
    seen: u64,
    fired: u64,
}

/// A rule with its counters.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultState {
    /// Number by which to ask for it.
    pub id: u64,
    /// The rule.
    pub fault: Fault,
    /// Requests that it concerned.
    pub seen: u64,
    /// Requests that it hit.
    pub fired: u64,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) -> u64 {
        let mut state = lock(&self.0);
        state.last_id += 1;
        let id = state.last_id;
        state.armed.push(Armed {
            id,
            fault,
            seen: 0,
            fired: 0,
        });
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        lock(&self.0).armed.retain(|armed| armed.id != id);
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).armed.clear();
    }

    pub(crate) fn fired(&self, id: u64) -> u64 {
        lock(&self.0)
            .armed
            .iter()
            .find(|armed| armed.id == id)
            .map_or(0, |armed| armed.fired)
    }

    pub(crate) fn states(&self) -> Vec<FaultState> {
        let state = |armed: &Armed| FaultState {
            id: armed.id,
            fault: armed.fault.clone(),
            seen: armed.seen,
            fired: armed.fired,
        };
        lock(&self.0).armed.iter().map(state).collect()
    }

    /// The actions that hit this request; counts it.
    pub(crate) fn hitting(&self, route: &Route, attempt: Option<&str>) -> Vec<Action> {
        let mut actions = Vec::new();
        for armed in &mut lock(&self.0).armed {
            if !armed.fault.concerns(route, attempt) {
                continue;
            }
            armed.seen += 1;
            if armed.seen > armed.fault.skip
                && armed.fault.times.is_none_or(|times| armed.fired < times)
            {
                armed.fired += 1;
                actions.push(armed.fault.action.clone());
            }
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rule_hits_the_nth_matching_request_only() {
        let faults = Faults::default();
        let id = faults.add(
            Fault::on(Operation::Generate, Action::Garbage)
                .app("1")
                .nth(2),
        );
        let hits = |app| faults.hitting(&generate(app), None).len();
        assert_eq!([hits("1"), hits("2"), hits("1"), hits("1")], [0, 0, 1, 0]);
        assert_eq!(faults.fired(id), 1);
    }

    #[test]
    fn a_rule_hits_an_operation_through_any_api_unless_it_names_one() {
        let faults = Faults::default();
        let fault = || Fault::on(Operation::Generate, Action::Garbage).always();
        let any = faults.add(fault());
        let v2 = faults.add(fault().through(Api::ApplicationV2));
        let over_v2 = Route {
            api: Api::ApplicationV2,
            ..generate("1")
        };
        assert_eq!(faults.hitting(&generate("1"), None).len(), 1);
        assert_eq!(faults.hitting(&over_v2, None).len(), 2);
        assert_eq!((faults.fired(any), faults.fired(v2)), (2, 1));
    }

    fn generate(app: &str) -> Route {
        let path =
            format!("/management/v1/projects/1/apps/{app}/api_config/_generate_client_secret");
        crate::routes::route(&http::Method::POST, &path)
    }

    #[test]
    fn a_rule_reads_from_json_and_hits_once_unless_it_says_otherwise() {
        let fault: Fault =
            serde_json::from_str(r#"{"operation":"generate","action":{"delayAfter":250}}"#)
                .unwrap();
        assert_eq!(
            fault,
            Fault::on(
                Operation::Generate,
                Action::DelayAfter(Duration::from_millis(250))
            )
        );
    }
}
