//! Signed assertions (RFC 7523): a service user's at the token endpoint, an application's as client authentication. Does no I/O.

use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use crate::routes::call::Call;
use crate::world::identities::Key;

/// Value of `client_assertion_type`.
pub(crate) const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    iat: Option<i64>,
    exp: i64,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

/// The id of the key that an assertion names.
pub(crate) fn key_id(assertion: &str) -> Option<String> {
    jsonwebtoken::decode_header(assertion).ok()?.kid
}

/// Issuer and subject of an assertion, if key, signature and claims are in order.
pub(crate) fn subject(call: &Call, assertion: &str, key: &Key) -> Option<String> {
    // Times are judged below, by the simulator's clock.
    let mut validation = Validation::new(Algorithm::RS256);
    validation.algorithms = key.verifies.algorithms.to_vec();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims>(assertion, &key.verifies.key, &validation)
        .ok()?
        .claims;
    let now = call.now.as_second();
    let iat = claims.iat?;
    let in_order = claims.iss == key.owner
        && claims.sub == claims.iss
        && key.expires_at > call.now
        && claims.aud.holds(&call.issuer)
        && iat <= now + 1
        && now - iat <= 3600
        && claims.exp > now + 1;
    in_order.then_some(claims.sub)
}
