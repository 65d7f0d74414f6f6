//! Asks introspection whether a client secret is accepted.

use crate::connection::Connection;
use crate::rotation::Verdict;
use crate::zitadel::{AppRef, ClientSecret, Introspection, ProbeToken};

/// Tries a client secret. The positive proof is an own token that is found active; without one, the stored value and a wrong one are
/// compared, because a lone answer proves nothing: ZITADEL answers 200 on internal errors as well.
pub async fn probe(
    connection: &Connection,
    app: &AppRef,
    client_id: &str,
    value: &ClientSecret,
) -> Verdict {
    let zitadel = &connection.zitadel;
    let own = ProbeToken::Own(app.project.clone());
    match zitadel.introspect(client_id, value, own.clone()).await {
        Ok(Introspection::Active) => Verdict::Accepted,
        Ok(Introspection::Refused) => beside_a_wrong_one(connection, client_id, own).await,
        Ok(Introspection::Inactive | Introspection::NoVerdict) | Err(_) => {
            paired(connection, client_id, value).await
        }
    }
}

/// A client secret was refused: rejected, if a wrong one is refused beside the same token as well.
async fn beside_a_wrong_one(
    connection: &Connection,
    client_id: &str,
    token: ProbeToken,
) -> Verdict {
    match ask_with_a_wrong_one(connection, client_id, token).await {
        Some(Introspection::Refused) => Verdict::Rejected,
        _ => Verdict::Unknown,
    }
}

/// Compares a client secret with a wrong one, beside a token that is none. It needs no token of the operator's own, which ZITADEL may have
/// revoked meanwhile.
pub async fn paired(connection: &Connection, client_id: &str, value: &ClientSecret) -> Verdict {
    let zitadel = &connection.zitadel;
    match zitadel.introspect(client_id, value, ProbeToken::Junk).await {
        Ok(Introspection::Refused) => {
            beside_a_wrong_one(connection, client_id, ProbeToken::Junk).await
        }
        Ok(Introspection::Active | Introspection::Inactive) => {
            match ask_with_a_wrong_one(connection, client_id, ProbeToken::Junk).await {
                Some(Introspection::Refused) => Verdict::Accepted,
                _ => Verdict::Unknown,
            }
        }
        Ok(Introspection::NoVerdict) | Err(_) => Verdict::Unknown,
    }
}

/// What ZITADEL says of a client secret that is wrong on purpose, if anything.
async fn ask_with_a_wrong_one(
    connection: &Connection,
    client_id: &str,
    token: ProbeToken,
) -> Option<Introspection> {
    let wrong = uuid::Uuid::new_v4().simple().to_string().repeat(2);
    let wrong = ClientSecret::try_from(wrong.as_str()).ok()?;
    let asked = connection.zitadel.introspect(client_id, &wrong, token);
    asked.await.ok()
}
