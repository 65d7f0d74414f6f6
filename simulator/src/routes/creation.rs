//! Making an application, whichever API asks for it (`internal/command/project_application_*.go`). Does no I/O.

use serde_json::Value;

use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::world::build::ChangeError;
use crate::world::events::AuthMethod;
use crate::world::oidc::{OidcConfig, OidcMethod};
use crate::world::{NewApiApp, NewApp, World};

/// The kind of application asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Api(AuthMethod),
    Oidc(OidcConfig),
}

impl Wish {
    /// Reads a configuration; v1 has its fields beside the name, v2 in an object of their own.
    pub(crate) fn read(oidc: bool, configuration: &Value) -> Self {
        if !oidc {
            return Self::Api(api_method(configuration));
        }
        let texts = |field: &str| {
            let list = configuration.get(field).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        Self::Oidc(OidcConfig {
            redirect_uris: texts("redirectUris"),
            grants: texts("grantTypes"),
            method: OidcMethod::named(method_name(configuration)),
        })
    }
}

/// The auth method of an API app's configuration.
pub(crate) fn api_method(configuration: &Value) -> AuthMethod {
    match method_name(configuration) {
        "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT" => AuthMethod::PrivateKeyJwt,
        _ => AuthMethod::Basic,
    }
}

fn method_name(configuration: &Value) -> &str {
    let name = configuration.get("authMethodType").and_then(Value::as_str);
    name.unwrap_or_default()
}

/// Adds the application to the call's project.
pub(crate) fn add(
    call: &Call,
    world: &mut World,
    user: &str,
    name: &str,
    wish: Wish,
) -> Result<NewApp, ApiError> {
    let project = call.project();
    let spec = NewApiApp {
        name,
        editor: user,
        ..NewApiApp::default()
    };
    let made = match wish {
        Wish::Api(method) => {
            let spec = NewApiApp { method, ..spec };
            world.add_api_app(project, &spec, call.now, &call.settings)
        }
        Wish::Oidc(config) => world.add_oidc_app(project, &spec, config, call.now, &call.settings),
    };
    made.map_err(|error| match error {
        ChangeError::NotThere { .. } => errors::PROJECT_UNKNOWN,
        ChangeError::NameInUse { .. } => errors::APP_NAME_IN_USE,
    })
}
