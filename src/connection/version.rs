//! Which version of ZITADEL's API a connection uses.

use crate::api::{ApiPolicy, Reason};
use crate::connection::Connection;
use crate::connection::connect::{refused, who};
use crate::connection::unusable::Unusable;
use crate::ids::{ApiVersion, UserId};
use crate::zitadel::Client;

/// The version to use, and whose credential it is. Only v1 is asked for that, and where it is in use it is always known.
pub(super) struct Found {
    pub(super) version: ApiVersion,
    pub(super) user: Option<UserId>,
}

/// Checks the credential, and asks which version is served where that is not known. `before` is what was in use before, and is not
/// doubted.
pub(super) async fn find(
    client: &Client,
    policy: ApiPolicy,
    before: Option<&Connection>,
) -> Result<Found, Unusable> {
    let user = who(client).await?;
    let known = before.map(|before| before.zitadel.api());
    let v1 = match (policy, &user) {
        (ApiPolicy::V2, _) | (_, None) => false,
        (ApiPolicy::V1, _) => true,
        // NB: one request is enough as long as v1 is in use.
        (ApiPolicy::Auto, _) if known == Some(ApiVersion::V1) => true,
        (ApiPolicy::Auto, _) => serves(client, ApiVersion::V1).await?,
    };
    if v1 {
        let version = ApiVersion::V1;
        return Ok(Found { version, user });
    }
    let not_served = |version: &str| {
        // NB: it may be a proxy's word, while that is configured anew.
        Unusable::passing(
            Reason::ApiNotServed,
            format!(
                "ZITADEL does not serve {version}, see spec.api; the operator asks again every 15 s"
            ),
        )
    };
    match policy {
        ApiPolicy::V1 => Err(not_served("its management API v1")),
        ApiPolicy::Auto | ApiPolicy::V2 if serves(client, ApiVersion::V2).await? => Ok(Found {
            version: ApiVersion::V2,
            user,
        }),
        ApiPolicy::V2 => Err(not_served("its application service v2")),
        ApiPolicy::Auto => Err(not_served(
            "its management API v1, nor its application service v2",
        )),
    }
}

async fn serves(client: &Client, version: ApiVersion) -> Result<bool, Unusable> {
    let asked = client.over(version).is_served().await;
    asked.map_err(|error| refused(&error))
}
