//! The one type that holds a client secret. No I/O.

use secrecy::{ExposeSecret, SecretString};

/// Why bytes are not a client secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// ZITADEL generates 64 characters by default.
    #[error("is longer than {} bytes", ClientSecret::MAX_LEN)]
    TooLong,
    /// Secrets are text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// Most consumers would read a value with a line break differently.
    #[error("has a control character")]
    ControlCharacter,
}

/// A client secret: wiped from memory when dropped. It can be neither printed, serialized, nor cloned.
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// The maximum length, in bytes.
    pub const MAX_LEN: usize = 4096;

    /// The value itself, for writing or sending it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its length in bytes, for a placeholder of the same size.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether both are the same value.
    pub fn same_as(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl TryFrom<&str> for ClientSecret {
    type Error = SecretError;

    fn try_from(text: &str) -> Result<Self, SecretError> {
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(SecretError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(SecretError::ControlCharacter);
        }
        Ok(Self(SecretString::from(text)))
    }
}

impl TryFrom<&[u8]> for ClientSecret {
    type Error = SecretError;

    fn try_from(bytes: &[u8]) -> Result<Self, SecretError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SecretError::NotUtf8)?;
        Self::try_from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not compile if `ClientSecret` implements one of these: two candidates for `check` would be ambiguous.
    macro_rules! assert_not_implemented {
        ($($trait:path),+) => {$({
            trait Ambiguous<A> { fn check() {} }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Implemented;
            impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
            <ClientSecret as Ambiguous<_>>::check();
        })+};
    }

    #[test]
    fn a_secret_cannot_be_printed_serialized_or_cloned() {
        assert_not_implemented!(
            std::fmt::Debug,
            std::fmt::Display,
            serde::Serialize,
            Clone,
            AsRef<str>,
            std::ops::Deref
        );
    }

    #[test]
    fn a_secret_is_1_to_4096_bytes_of_text_without_control_characters() {
        let parse = |bytes: &[u8]| ClientSecret::try_from(bytes).map(|secret| secret.len());
        assert_eq!(parse(b""), Err(SecretError::Empty));
        assert_eq!(parse(b"a"), Ok(1));
        assert_eq!(parse(&[b'x'; 4096]), Ok(4096));
        assert_eq!(parse(&[b'x'; 4097]), Err(SecretError::TooLong));
        assert_eq!(parse(b"\xff\xfe"), Err(SecretError::NotUtf8));
        for bad in ["a\n", "\0", "a\u{7f}", "a\u{85}b"] {
            assert_eq!(
                parse(bad.as_bytes()),
                Err(SecretError::ControlCharacter),
                "{bad:?}"
            );
        }
        let symbols = r"~!@#$^&*()_+`-={}|[]:<>?,./ %";
        assert_eq!(ClientSecret::try_from(symbols).unwrap().expose(), symbols);
    }
}
