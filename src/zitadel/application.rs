//! Applications, and how v1 describes them. No I/O.

use jiff::Timestamp;
use serde_json::Value;

use super::wire;
use crate::ids::{AppId, OrganizationId, ProjectId, Sequence};

/// Identifies an application, and the organization that calls act in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppRef {
    /// The organization that owns the project, sent as `x-zitadel-orgid`. `None` means the service user's own organization.
    pub organization: Option<OrganizationId>,
    /// The project of the application.
    pub project: ProjectId,
    /// The application.
    pub app: AppId,
}

/// The state of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppState {
    /// Its credentials are accepted if its project and organization are active too.
    Active,
    /// Deactivated: a secret can be generated, but is rejected.
    Inactive,
    /// A state this client does not know.
    Other,
}

/// The kind of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKind {
    /// An API that authenticates with a client secret.
    ApiBasic,
    /// An API that authenticates with a key. ZITADEL would generate a secret nevertheless.
    ApiPrivateKeyJwt,
    /// An OIDC client that authenticates with a client secret, as Basic or Post.
    OidcSecret,
    /// An OIDC client that authenticates with a key. ZITADEL would generate a secret nevertheless.
    OidcPrivateKeyJwt,
    /// An OIDC client that does not authenticate. ZITADEL would generate a secret nevertheless.
    OidcPublic,
    /// A SAML service provider.
    Saml,
    /// A kind or authentication method this client does not know.
    Other,
}

/// An application. Its name is omitted on purpose: nothing here is freely chosen text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its id.
    pub id: AppId,
    /// The OAuth client id, of API and OIDC applications.
    pub client_id: Option<String>,
    /// Its state.
    pub state: AppState,
    /// Its kind.
    pub kind: AppKind,
    /// The last event of this application in ZITADEL's projection, including renames; over v2 its time stands for it.
    pub sequence: Sequence,
    /// The time of that event, by ZITADEL's clock.
    pub change_date: Timestamp,
    /// The organization that owns it; v2 does not name it.
    pub resource_owner: Option<String>,
}

/// One page of a list of applications.
pub struct AppPage {
    /// The number of items, readable or not.
    pub len: usize,
    /// The readable ones.
    pub apps: Vec<Application>,
}

/// Parses the answer to a single read.
pub fn parse(body: &[u8]) -> Option<Application> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    application(answer.get("app")?)
}

/// Parses the answer to a creation: the id. The client secret in it is not read.
pub fn parse_created(body: &[u8]) -> Option<AppId> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Created {
        app_id: String,
    }
    let created: Created = serde_json::from_slice(body).ok()?;
    AppId::try_from(created.app_id.as_str()).ok()
}

/// Parses the answer to a search; unreadable items are omitted.
pub fn parse_page(body: &[u8]) -> Option<AppPage> {
    let items = wire::result_items(body)?;
    Some(AppPage {
        len: items.len(),
        apps: items.iter().filter_map(application).collect(),
    })
}

fn application(app: &Value) -> Option<Application> {
    let details = app.get("details")?;
    let owner = details.get("resourceOwner").and_then(Value::as_str);
    let config = ["apiConfig", "oidcConfig"]
        .iter()
        .find_map(|name| app.get(*name));
    Some(Application {
        id: AppId::try_from(app.get("id")?.as_str()?).ok()?,
        client_id: config.and_then(client_id),
        state: match app.get("state").and_then(Value::as_str) {
            Some("APP_STATE_ACTIVE") => AppState::Active,
            Some("APP_STATE_INACTIVE") => AppState::Inactive,
            _ => AppState::Other,
        },
        kind: kind(app),
        sequence: wire::sequence(details.get("sequence")?)?,
        change_date: wire::timestamp(details.get("changeDate")?)?,
        resource_owner: owner
            .and_then(|owner| OrganizationId::try_from(owner).ok())
            .map(String::from),
    })
}

/// Digits in current versions, `digits@project` in applications of old ones.
pub(super) fn client_id(config: &Value) -> Option<String> {
    let id = config.get("clientId")?.as_str()?;
    let fits = (1..=255).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| id.to_owned())
}

fn kind(app: &Value) -> AppKind {
    let config = |name: &str| app.get(name);
    kind_of(
        config("apiConfig"),
        config("oidcConfig"),
        config("samlConfig"),
    )
}

/// The kind of an application, by its configurations, of which it has one.
pub(super) fn kind_of(api: Option<&Value>, oidc: Option<&Value>, saml: Option<&Value>) -> AppKind {
    match (api, oidc, saml) {
        (Some(api), None, None) => match method(api, "API_AUTH_METHOD_TYPE_") {
            Some("BASIC") => AppKind::ApiBasic,
            Some("PRIVATE_KEY_JWT") => AppKind::ApiPrivateKeyJwt,
            _ => AppKind::Other,
        },
        (None, Some(oidc), None) => match method(oidc, "OIDC_AUTH_METHOD_TYPE_") {
            Some("BASIC" | "POST") => AppKind::OidcSecret,
            Some("PRIVATE_KEY_JWT") => AppKind::OidcPrivateKeyJwt,
            Some("NONE") => AppKind::OidcPublic,
            _ => AppKind::Other,
        },
        (None, None, Some(_)) => AppKind::Saml,
        _ => AppKind::Other,
    }
}

/// How an application authenticates.
fn method<'a>(config: &'a Value, prefix: &str) -> Option<&'a str> {
    // NB: BASIC is the zero value of both enums, so the JSON omits it.
    match config.get("authMethodType") {
        None => Some("BASIC"),
        Some(method) => method.as_str()?.strip_prefix(prefix),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn app(config: &str, value: Value) -> Value {
        let mut app = json!({"id": "7", "state": "APP_STATE_ACTIVE", "name": "orders", "details": {
            "sequence": "22", "changeDate": "2026-11-23T13:08:27.315830Z", "resourceOwner": "9"}});
        app[config] = value;
        app
    }

    fn parsed(app: &Value) -> Option<Application> {
        parse(json!({ "app": app }).to_string().as_bytes())
    }

    #[test]
    fn an_application_is_read() {
        let read = parsed(&app("apiConfig", json!({"clientId": "1@orders"}))).unwrap();
        assert_eq!(read.id.as_str(), "7");
        assert_eq!(read.client_id.as_deref(), Some("1@orders"));
        assert_eq!(
            (read.state, read.kind),
            (AppState::Active, AppKind::ApiBasic)
        );
        assert_eq!(read.sequence, Sequence(22));
        assert_eq!(read.resource_owner.as_deref(), Some("9"));
    }

    #[test]
    fn the_configuration_determines_the_kind() {
        let api = |method: Value| {
            app(
                "apiConfig",
                json!({"clientId": "1", "authMethodType": method}),
            )
        };
        let oidc = |method: &str| {
            let method = format!("OIDC_AUTH_METHOD_TYPE_{method}");
            app("oidcConfig", json!({"authMethodType": method}))
        };
        let rows = [
            (api(json!("API_AUTH_METHOD_TYPE_BASIC")), AppKind::ApiBasic),
            (
                api(json!("API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT")),
                AppKind::ApiPrivateKeyJwt,
            ),
            (api(json!("API_AUTH_METHOD_TYPE_NEW")), AppKind::Other),
            (api(json!(1)), AppKind::Other),
            (app("oidcConfig", json!({})), AppKind::OidcSecret),
            (oidc("BASIC"), AppKind::OidcSecret),
            (oidc("POST"), AppKind::OidcSecret),
            (oidc("NONE"), AppKind::OidcPublic),
            (oidc("PRIVATE_KEY_JWT"), AppKind::OidcPrivateKeyJwt),
            (oidc("NEW"), AppKind::Other),
            (app("samlConfig", json!({})), AppKind::Saml),
            (app("newConfig", json!({})), AppKind::Other),
        ];
        for (app, kind) in rows {
            assert_eq!(parsed(&app).unwrap().kind, kind, "{app}");
        }
    }

    #[test]
    fn an_application_with_a_missing_or_mistyped_field_is_rejected() {
        for (pointer, bad) in [
            ("/id", json!("a/b")),
            ("/id", json!(7)),
            ("/details", json!(null)),
            ("/details/sequence", json!("-1")),
            ("/details/changeDate", json!("soon")),
        ] {
            let mut app = app("apiConfig", json!({"clientId": "1"}));
            *app.pointer_mut(pointer).unwrap() = bad;
            assert_eq!(parsed(&app), None, "{pointer}");
        }
        let mut odd = app("apiConfig", json!({"clientId": "a\nb"}));
        odd["state"] = json!("APP_STATE_NEW");
        odd["details"]["resourceOwner"] = json!("<script>");
        let odd = parsed(&odd).unwrap();
        assert_eq!(
            (odd.client_id, odd.state, odd.resource_owner),
            (None, AppState::Other, None)
        );
    }

    #[test]
    fn an_application_whose_client_id_cannot_be_used_is_active_all_the_same_and_has_none() {
        for config in [
            json!(null),
            json!({}),
            json!({"clientId": ""}),
            json!({"clientId": 7}),
            json!({"clientId": "a\nb"}),
            json!({"clientId": "a b"}),
            json!({"clientId": "7".repeat(10_000)}),
        ] {
            let read = parsed(&app("apiConfig", config.clone())).unwrap();
            let found = (read.kind, read.state, read.client_id);
            let wanted = (AppKind::ApiBasic, AppState::Active, None);
            assert_eq!(found, wanted, "{config}");
        }
    }

    #[test]
    fn a_list_counts_what_it_cannot_read() {
        let body =
            json!({"details": {}, "result": [app("apiConfig", json!({})), null, {"id": "8"}]});
        let page = parse_page(body.to_string().as_bytes()).unwrap();
        assert_eq!((page.len, page.apps.len()), (3, 1));
        assert_eq!(parse_page(b"{}").unwrap().len, 0);
        for bad in ["", "[]", r#"{"result":{}}"#, "<html>"] {
            assert!(parse_page(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_application_or_not(body in any::<Vec<u8>>()) {
            parse(&body);
            parse_page(&body);
        }
    }
}
