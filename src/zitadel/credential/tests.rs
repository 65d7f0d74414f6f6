use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Keys made for these tests; they open nothing.
const PKCS1: &str = include_str!("testdata/pkcs1.pem");
const PKCS8: &str = include_str!("testdata/pkcs8.pem");
const PUBLIC: &str = include_str!("testdata/public.pem");
const ELLIPTIC: &str = include_str!("testdata/elliptic.pem");

fn file() -> Value {
    json!({"type": "serviceaccount", "keyId": "277", "key": PKCS1, "userId": "271",
        "expirationDate": "2030-01-02T03:04:05Z"})
}

pub(in super::super) fn service_account_key() -> Credential {
    let file = file().to_string();
    Credential::service_account_key(file.as_bytes()).unwrap()
}

fn key(file: &Value) -> Result<Credential, CredentialError> {
    Credential::service_account_key(file.to_string().as_bytes())
}

#[test]
fn a_key_file_is_read() {
    let expiry = key(&file()).unwrap().expiry();
    assert_eq!(expiry, "2030-01-02T03:04:05Z".parse().ok());
    let mut pkcs8 = file();
    pkcs8["key"] = json!(PKCS8);
    pkcs8["more"] = json!({"and": "more"});
    assert!(key(&pkcs8).is_ok());
}

#[test]
fn a_key_without_an_end_has_no_expiry() {
    for never in [
        json!(null),
        json!("9999-12-31T23:59:59Z"),
        json!("0001-01-01T00:00:00Z"),
    ] {
        let mut file = file();
        file["expirationDate"] = never;
        assert_eq!(key(&file).unwrap().expiry(), None);
    }
    let mut old = file();
    old.as_object_mut().unwrap().remove("expirationDate");
    assert_eq!(key(&old).unwrap().expiry(), None);
}

#[test]
fn the_part_that_is_wrong_is_named_and_not_quoted() {
    use CredentialError as E;
    let canary = json!("canary");
    for (field, value, error) in [
        ("type", json!("application"), E::KeyType),
        ("type", canary.clone(), E::KeyType),
        ("type", json!(7), E::KeyType),
        ("keyId", json!(""), E::KeyId),
        ("keyId", json!(7), E::KeyId),
        ("keyId", json!("a b"), E::KeyId),
        ("keyId", json!("x".repeat(201)), E::KeyId),
        ("userId", json!(null), E::UserId),
        ("userId", json!("canary/x"), E::UserId),
        ("key", json!(null), E::Key),
        ("key", json!(7), E::Key),
        ("key", json!(""), E::Key),
        ("key", canary.clone(), E::Key),
        ("key", json!(PUBLIC), E::Key),
        ("key", json!(ELLIPTIC), E::Key),
        ("key", json!(PKCS1.replace("MII", "AAA")), E::Key),
        ("expirationDate", canary, E::ExpirationDate),
        ("expirationDate", json!(0), E::ExpirationDate),
    ] {
        let mut file = file();
        file[field] = value;
        let found = key(&file).err().unwrap();
        assert_eq!(found, error, "{field}");
        assert!(!format!("{found} {found:?}").contains("canary"));
        let mut without = file.clone();
        without.as_object_mut().unwrap().remove(field);
        let expected = (field != "expirationDate").then_some(error);
        assert_eq!(key(&without).err(), expected, "{field}");
    }
}

#[test]
fn another_file_is_rejected_with_the_reason() {
    use CredentialError as E;
    for (bytes, error) in [
        (&b""[..], E::Empty),
        (b" \n\t", E::Empty),
        (b"a.token", E::NotJson),
        (b"[]", E::NotJson),
        (b"null", E::NotJson),
        (b"{", E::NotJson),
        (b"\xff\xfe", E::NotJson),
        (&vec![b' '; 65 * 1024], E::TooLarge),
    ] {
        assert_eq!(Credential::service_account_key(bytes).err(), Some(error));
    }
}

#[test]
fn a_token_is_trimmed_and_otherwise_left_alone() {
    use CredentialError as E;
    let token = |bytes: &[u8]| match Credential::personal_access_token(bytes) {
        Ok(Credential::PersonalAccessToken(token)) => Ok(token.expose_secret().to_owned()),
        Ok(Credential::ServiceAccountKey(_)) => panic!("a key"),
        Err(error) => Err(error),
    };
    assert_eq!(token(b"a.b-c_d~e+f/g=\n"), Ok("a.b-c_d~e+f/g=".to_owned()));
    assert_eq!(token(b"\r\n x \n"), Ok("x".to_owned()));
    assert_eq!(token(&vec![b'x'; 64 * 1024]).unwrap().len(), 64 * 1024);
    assert_eq!(token(&vec![b'x'; 64 * 1024 + 1]), Err(E::TooLarge));
    assert_eq!(token(b" \n"), Err(E::Empty));
    for bad in ["a b", "a\nb", "ä", "a\0", "\u{feff}a"] {
        assert_eq!(token(bad.as_bytes()), Err(E::TokenCharacter), "{bad:?}");
    }
    assert_eq!(token(b"\xff"), Err(E::TokenCharacter));
    assert_eq!(token(file().to_string().as_bytes()), Err(E::KeyFileAsToken));
}

#[test]
fn an_assertion_says_what_zitadel_checks() {
    let Credential::ServiceAccountKey(key) = service_account_key() else {
        panic!("no key");
    };
    let now = "2026-07-10T10:00:00Z".parse().unwrap();
    let signed = key.signing.sign("https://iam.example.com", now).unwrap();
    let signed = signed.expose_secret();
    let header = jsonwebtoken::decode_header(signed).unwrap();
    assert_eq!(
        (header.alg, header.kid.as_deref()),
        (Algorithm::RS256, Some("277"))
    );
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["https://iam.example.com"]);
    validation.validate_exp = false;
    let public = DecodingKey::from_rsa_pem(PUBLIC.as_bytes()).unwrap();
    let claims = jsonwebtoken::decode::<Value>(signed, &public, &validation)
        .unwrap()
        .claims;
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("271"), &json!("271"))
    );
    assert_eq!(claims["aud"], json!("https://iam.example.com"));
    let at = |name: &str| claims[name].as_i64().unwrap() - Timestamp::as_second(now);
    assert_eq!((at("iat"), at("exp")), (-60, 600));
}

proptest! {
    #[test]
    fn any_bytes_are_a_credential_or_not(bytes in any::<Vec<u8>>()) {
        let _ = Credential::personal_access_token(&bytes);
        let _ = Credential::service_account_key(&bytes);
    }
}
