//! Asks ZITADEL whether a credential works, and which version of its API it serves.

use std::time::Duration;

use crate::api::{ApiPolicy, Reason};
use crate::connection::unusable::Unusable;
use crate::ids::{ApiVersion, UserId};
use crate::report::failure;
use crate::zitadel::{Client, Detail, Discovery, ErrorClass, Fault, Operation, ZitadelError};

/// The version to use, and whose credential it is. Only v1 is asked for that, and where it is in use it is always known.
pub(super) struct Found {
    pub(super) version: ApiVersion,
    pub(super) user: Option<UserId>,
}

/// Checks the credential, and asks which version is served where that is not known. `known` is what was in use before, if no call has
/// said that it is gone.
pub(super) async fn find(
    client: &Client,
    policy: ApiPolicy,
    known: Option<ApiVersion>,
) -> Result<Found, Unusable> {
    let user = who(client).await?;
    let v1 = match (policy, &user) {
        (ApiPolicy::V2, _) | (_, None) => false,
        (ApiPolicy::V1, _) => true,
        // NB: one request is enough as long as v1 is in use.
        (ApiPolicy::Auto, _) if known == Some(ApiVersion::V1) => true,
        // NB: only its own word says that it is not served. Whatever else comes back, the calls that follow are judged for themselves.
        (ApiPolicy::Auto, _) => {
            let asked = client.over(ApiVersion::V1).is_served().await;
            asked.unwrap_or(true)
        }
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
                "ZITADEL does not serve {version}, see spec.api; the operator asks again within 30 s"
            ),
        )
    };
    match policy {
        ApiPolicy::V1 => Err(not_served("its management API v1")),
        ApiPolicy::Auto | ApiPolicy::V2 if serves_v2(client).await? => Ok(Found {
            version: ApiVersion::V2,
            user,
        }),
        ApiPolicy::V2 => Err(not_served("its application service v2")),
        ApiPolicy::Auto => Err(not_served(
            "its management API v1, nor its application service v2",
        )),
    }
}

async fn serves_v2(client: &Client) -> Result<bool, Unusable> {
    let asked = client.over(ApiVersion::V2).is_served().await;
    asked.map_err(|error| refused(&error))
}

pub(super) fn refused(error: &ZitadelError) -> Unusable {
    let mut failure = failure::zitadel(error);
    // NB: what a connection asks for exists in every ZITADEL: a route that does not is another actor's, such as while a proxy is
    // configured anew.
    failure.permanent &= !matches!(
        error.class(),
        ErrorClass::NotFound | ErrorClass::PermissionDenied
    );
    let message = match error.detail().filter(|detail| detail.is_proxy()) {
        Some(detail) => format!("spec.proxy: {detail}"),
        None => format!("ZITADEL: {error}"),
    };
    Unusable {
        outage: false,
        message,
        failure,
    }
}

/// Whose credential it is; none if v1 is not served, which is asked for it. Where that is not answered, one more request shows whether
/// anything of ZITADEL answers; it is asked at the same time where the first one takes long, so that both take no longer than one.
async fn who(zitadel: &Client) -> Result<Option<UserId>, Unusable> {
    const LONG: Duration = Duration::from_secs(3);
    const REST: Duration = Duration::from_secs(7);
    let more = async || {
        let away = || Err(ZitadelError::new(Operation::Discovery, ErrorClass::Timeout));
        let asked = tokio::time::timeout(REST, zitadel.discovery()).await;
        asked.unwrap_or_else(|_| away())
    };
    let mut me = std::pin::pin!(zitadel.me());
    let (answer, other) = if let Ok(answer) = tokio::time::timeout(LONG, &mut me).await {
        (answer, None)
    } else {
        let (answer, other) = futures::join!(me, more());
        (answer, Some(other))
    };
    match (answer, other) {
        (Ok(user), _) => Ok(Some(user)),
        (Err(error), _) if error.class() == ErrorClass::NotServed => Ok(None),
        (Err(error), Some(other)) => Err(judged(&error, other)),
        (Err(error), None) if needs_more(&error) => Err(judged(&error, more().await)),
        (Err(error), None) => Err(refused(&error)),
    }
}

/// Whether one more request can show more.
pub(super) fn needs_more(error: &ZitadelError) -> bool {
    is_away(error) || error.detail().map(Detail::fault) == Some(&Fault::TokenServerError)
}

/// Why ZITADEL does not say which user the credential is, by whether the issuer answers.
fn judged(error: &ZitadelError, discovery: Result<Discovery, ZitadelError>) -> Unusable {
    let refusal = refused(error);
    let key = error.detail().map(Detail::fault) == Some(&Fault::TokenServerError);
    let away = is_away(error);
    match discovery {
        Ok(_) if key => Unusable::passing(
            Reason::CredentialRejected,
            "ZITADEL responds, but its token endpoint returns server_error: the service account key was probably deleted or has expired. Create a new key and put it into the Secret, see spec.auth",
        ),
        Err(other) if away && is_away(&other) => Unusable {
            outage: true,
            ..refusal
        },
        _ => refusal,
    }
}

/// Whether no one answered who knows ZITADEL.
fn is_away(error: &ZitadelError) -> bool {
    matches!(
        error.class(),
        ErrorClass::UnreachableDns
            | ErrorClass::UnreachableConnect
            | ErrorClass::Tls
            | ErrorClass::Interrupted
            | ErrorClass::Timeout
            | ErrorClass::Unavailable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zitadel::Issuer;

    fn error(operation: Operation, class: ErrorClass) -> ZitadelError {
        ZitadelError::new(operation, class)
    }

    #[test]
    fn a_token_endpoint_that_fails_while_the_issuer_answers_names_the_key() {
        let gone = error(Operation::Token, ErrorClass::Internal)
            .with_detail(Some(Detail::of(Fault::TokenServerError)));
        assert!(needs_more(&gone));
        let discovery = Discovery {
            issuer: Issuer::parse("https://iam.example.com", false).unwrap(),
            introspection_endpoint: String::new(),
            token_endpoint: String::new(),
        };
        let refusal = judged(&gone, Ok(discovery));
        assert_eq!(refusal.failure.reason, Reason::CredentialRejected);
        assert!(
            refusal
                .message
                .contains("service account key was probably deleted")
        );
        let down = error(Operation::Discovery, ErrorClass::Internal);
        let refusal = judged(&gone, Err(down));
        assert_eq!(refusal.failure.reason, Reason::ZitadelUnavailable);
    }

    #[test]
    fn other_connections_wait_only_where_nothing_of_zitadel_answers() {
        use ErrorClass::{Malformed, Timeout, Unauthenticated, Unavailable};
        let of = |me, other| {
            let me = error(Operation::Me, me);
            judged(&me, Err(error(Operation::Discovery, other))).outage
        };
        assert!(of(Timeout, Timeout) && of(Unavailable, Unavailable));
        assert!(!of(Timeout, Malformed) && !of(Unauthenticated, Timeout));
    }

    #[test]
    fn a_403_on_who_one_is_leaves_the_objects_alone() {
        let refusal = refused(&error(Operation::Me, ErrorClass::PermissionDenied));
        assert!(!refusal.failure.permanent);
    }
}
