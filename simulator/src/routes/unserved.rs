//! APIs that a server does not have, or not for much longer. Does no I/O.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::config::{Served, Settings};
use crate::routes::answer::Answer;
use crate::routes::call::Call;
use crate::routes::errors::{ApiError, Code, Language};
use crate::routes::{Api, Route, v2};

/// The answer to a call through an API that is not served.
pub(crate) fn answer(call: &Call) -> Option<Answer> {
    let (api, settings) = (call.route.api, &call.settings);
    let served = match api {
        Api::ManagementV1 => settings.management_v1,
        Api::ApplicationV2 => settings.application_v2,
        Api::ProjectV2 => settings.project_v2,
        Api::UserV2 | Api::AuthV1 | Api::Other => Served::Yes,
    };
    let (status, error) = match served {
        Served::Yes => return None,
        Served::UnknownRoute => {
            let error = ApiError::gateway(Code::NotFound, "Not Found");
            (404, error.rest_body(Language::English))
        }
        Served::Unimplemented if api.is_connect() => {
            let text = format!("{} is not implemented", v2::procedure(call));
            let error = ApiError::plain(Code::Unimplemented, text);
            (501, error.connect_body())
        }
        // NB: the gateway's own errors have 405 with this code.
        Served::Unimplemented => {
            let text = "unknown service zitadel.management.v1.ManagementService";
            let error = ApiError::gateway(Code::Unimplemented, text);
            (501, error.rest_body(Language::English))
        }
        Served::ProxyRefusal => {
            let text = "Not Implemented\n";
            return Some(Answer::new(501, "text/plain; charset=utf-8", text));
        }
    };
    Some(Answer::json(status, &error, settings.whitespace))
}

/// The answer with the headers that announce the end of its API.
pub(crate) fn announced(answer: Answer, route: &Route, settings: &Settings) -> Answer {
    let deprecation = match route.api {
        Api::ManagementV1 | Api::AuthV1 => settings.v1_deprecation,
        Api::ApplicationV2 | Api::ProjectV2 | Api::UserV2 | Api::Other => None,
    };
    let Some(deprecation) = deprecation else {
        return answer;
    };
    let since = format!("@{}", deprecation.since.as_second());
    let answer = answer.with("deprecation", &since);
    match deprecation.sunset.and_then(http_date) {
        Some(sunset) => answer.with("sunset", &sunset),
        None => answer,
    }
}

fn http_date(at: Timestamp) -> Option<String> {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}
