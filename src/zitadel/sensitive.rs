//! Headers and bodies that contain a credential: they cannot be printed, and are wiped when the last reference is dropped. No I/O.
//!
//! NB: copies in the buffers of hyper and rustls are out of reach.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use reqwest::RequestBuilder;
use zeroize::{Zeroize as _, Zeroizing};

/// A header with that text; none if a header cannot contain it.
pub(super) fn header(text: Zeroizing<Vec<u8>>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The value of an `Authorization` header of the scheme Basic (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    const SCHEME: &[u8] = b"Basic ";
    // NB: the capacity fits all of it, so that growing leaves no copy behind.
    let mut pair = Zeroizing::new(Vec::with_capacity(user.len() + 1 + password.len()));
    pair.extend_from_slice(user.as_bytes());
    pair.push(b':');
    pair.extend_from_slice(password.as_bytes());
    let mut text = Zeroizing::new(vec![0; SCHEME.len() + pair.len().div_ceil(3) * 4]);
    let (scheme, rest) = text.split_at_mut_checked(SCHEME.len())?;
    scheme.copy_from_slice(SCHEME);
    STANDARD.encode_slice(&*pair, rest).ok()?;
    header(text)
}

/// The request with these fields as a form.
pub(super) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    request
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from_owner(encoded(fields)))
}

fn encoded(fields: &[(&str, &str)]) -> Zeroizing<String> {
    // NB: the capacity fits all of it with each byte escaped, so that growing leaves no copy behind.
    let capacity = fields
        .iter()
        .map(|(name, value)| 3 * (name.len() + value.len()) + 2)
        .sum();
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    form_urlencoded::Serializer::new(&mut *text).extend_pairs(fields);
    text
}

/// Appends a received chunk to the body, and wipes the chunk unless it is shared.
pub(super) fn append(body: &mut Zeroizing<Vec<u8>>, chunk: Bytes) {
    let wanted = body.len() + chunk.len();
    if wanted > body.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(wanted.max(2 * body.capacity())));
        larger.extend_from_slice(body);
        // NB: this wipes the old buffer.
        *body = larger;
    }
    body.extend_from_slice(&chunk);
    if let Ok(mut chunk) = chunk.try_into_mut() {
        chunk.as_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_encoded_and_not_printed() {
        // RFC 7617, section 2.
        let value = basic("Aladdin", "open sesame").unwrap();
        assert_eq!(value.as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(format!("{value:?}"), "Sensitive");
        for (user, password) in [("a", "b"), ("ab", "c"), ("abc", "de:f"), ("ä", "ß")] {
            let value = basic(user, password).unwrap();
            let text = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            let pair = STANDARD.decode(text).unwrap();
            assert_eq!(pair, format!("{user}:{password}").as_bytes());
        }
    }

    #[test]
    fn a_form_is_encoded_without_growing() {
        let text = encoded(&[("grant_type", "urn:x"), ("token", "a b%+ä&=")]);
        assert_eq!(
            *text,
            "grant_type=urn%3Ax&token=a+b%25%2B%C3%A4%26%3D".to_owned()
        );
        let worst = "ä".repeat(100);
        let text = encoded(&[(&worst, &worst)]);
        assert_eq!((text.len(), text.capacity()), (1201, 1202));
    }

    #[test]
    fn received_chunks_are_joined() {
        let mut body = Zeroizing::new(Vec::with_capacity(4));
        for chunk in ["abc", "", "defgh", "i"] {
            append(&mut body, Bytes::from(chunk.to_owned()));
        }
        assert_eq!(&**body, b"abcdefghi");
    }

    #[test]
    fn a_text_with_a_line_break_is_no_header() {
        assert!(header(Zeroizing::new(b"a\nb".to_vec())).is_none());
    }
}
