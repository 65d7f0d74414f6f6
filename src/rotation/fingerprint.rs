//! Salted digests of written values: they distinguish the operator's own bytes from another actor's without holding the bytes. No I/O.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 32 bytes of lowercase hexadecimal text in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes32(pub [u8; 32]);

/// The key of a fingerprint: 32 random bytes, made by the shell.
pub type Salt = Bytes32;

impl Serialize for Bytes32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            // NB: writing into a String can't fail.
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || serde::de::Error::custom("expected 64 hexadecimal digits");
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            let digits = text.get(at..at + 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

fn digest(salt: Salt, value: &[u8]) -> Bytes32 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salt.0);
    let mut bytes = [0; 32];
    for (byte, made) in bytes.iter_mut().zip(hmac::sign(&key, value).as_ref()) {
        *byte = *made;
    }
    Bytes32(bytes)
}

/// HMAC-SHA-256 of one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The key of the HMAC.
    pub salt: Salt,
    /// The HMAC.
    pub digest: Bytes32,
}

impl Fingerprint {
    /// The fingerprint of a value.
    pub fn of(salt: Salt, value: &[u8]) -> Self {
        Self {
            salt,
            digest: digest(salt, value),
        }
    }

    /// Whether these are the bytes that it was made of.
    pub fn matches(&self, value: &[u8]) -> bool {
        digest(self.salt, value) == self.digest
    }
}

/// HMAC-SHA-256 of each data key that the operator wrote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprints {
    /// The key of the HMACs.
    pub salt: Salt,
    /// The HMACs, by data key.
    pub keys: BTreeMap<String, Bytes32>,
}

impl Fingerprints {
    /// The fingerprints of what is written under each key.
    pub fn of<'a>(salt: Salt, data: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let made =
            |(key, value): (&'a str, &'a str)| (key.to_owned(), digest(salt, value.as_bytes()));
        Self {
            salt,
            keys: data.into_iter().map(made).collect(),
        }
    }

    /// Whose bytes these are.
    pub fn origin(&self, key: &str, value: &[u8]) -> Origin {
        match self.keys.get(key) {
            Some(written) if *written == digest(self.salt, value) => Origin::Own,
            Some(_) => Origin::Foreign,
            None => Origin::Unknown,
        }
    }
}

/// Whose bytes a Secret holds under the key of the client secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The operator's: they are as it wrote them.
    Own,
    /// Another actor's, whatever `managedFields` names.
    Foreign,
    /// Not known: only metadata was read, or the record has no fingerprint, since an older version wrote it.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_foreign_and_a_key_without_a_fingerprint_says_nothing() {
        let written = Fingerprints::of(Bytes32([7; 32]), [("CLIENT_SECRET", "good")]);
        let origin = |key, value: &str| written.origin(key, value.as_bytes());
        assert_eq!(origin("CLIENT_SECRET", "good"), Origin::Own);
        assert_eq!(origin("CLIENT_SECRET", "good\n"), Origin::Foreign);
        assert_eq!(origin("CLIENT_SECRET", ""), Origin::Foreign);
        assert_eq!(origin("OTHER", "good"), Origin::Unknown);
        let one = Fingerprint::of(Bytes32([7; 32]), b"good");
        assert!(one.matches(b"good") && !one.matches(b"bad"));
        assert_ne!(Fingerprint::of(Bytes32([8; 32]), b"good"), one);
        // RFC 4231, test case 2, is "Jefe"; with a key padded to 32 bytes the HMAC is the same.
        let mut jefe = [0; 32];
        jefe[..4].copy_from_slice(b"Jefe");
        let text = serde_json::to_string(
            &Fingerprint::of(Bytes32(jefe), b"what do ya want for nothing?").digest,
        );
        assert_eq!(
            text.unwrap(),
            "\"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\""
        );
    }

    #[test]
    fn it_is_read_back_as_it_was_written_and_damaged_text_is_refused() {
        let written = Fingerprints::of(Bytes32([0xa5; 32]), [("a", "1"), ("b", "2")]);
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(
            serde_json::from_str::<Fingerprints>(&text).unwrap(),
            written
        );
        for bad in ["", "0", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            let text = serde_json::to_string(bad).unwrap();
            assert!(serde_json::from_str::<Bytes32>(&text).is_err(), "{bad}");
        }
    }
}
