//! Asks introspection whether a client secret is accepted.

use super::connections::Connection;
use crate::rotation::Probe;
use crate::zitadel::{AppRef, ClientSecret, Introspection, ProbeToken};

/// Tries a client secret. The positive proof is an own token that is found active; without one, the stored value and a wrong one are
/// compared, because a lone answer proves nothing: ZITADEL answers 200 on internal errors as well.
pub async fn probe(
    connection: &Connection,
    app: &AppRef,
    client_id: &str,
    value: &ClientSecret,
) -> Probe {
    let zitadel = &connection.zitadel;
    let own = ProbeToken::Own(app.project.clone());
    match zitadel.introspect(client_id, value, own).await {
        Ok(Introspection::Active) => return Probe::Valid,
        Ok(Introspection::Refused | Introspection::Inactive | Introspection::NoVerdict)
        | Err(_) => {}
    }
    paired(connection, client_id, value).await
}

/// Compares a client secret with a wrong one, beside a token that is none. It needs no token of the operator's own, which ZITADEL may have
/// revoked meanwhile.
pub async fn paired(connection: &Connection, client_id: &str, value: &ClientSecret) -> Probe {
    let zitadel = &connection.zitadel;
    let wrong = uuid::Uuid::new_v4().simple().to_string().repeat(2);
    let Ok(wrong) = ClientSecret::try_from(wrong.as_str()) else {
        return Probe::NoVerdict;
    };
    let stored = zitadel.introspect(client_id, value, ProbeToken::Junk).await;
    let control = zitadel
        .introspect(client_id, &wrong, ProbeToken::Junk)
        .await;
    match (stored, control) {
        (Ok(Introspection::Active | Introspection::Inactive), Ok(Introspection::Refused)) => {
            Probe::Valid
        }
        (Ok(Introspection::Refused), Ok(Introspection::Refused)) => Probe::Refused,
        _ => Probe::NoVerdict,
    }
}
