//! What claims and commit records have in common: a version, and fields that this version does not know. Another version of the same
//! format wrote those; they are kept where the record is written again. No I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::api::Kind;

/// The object that a claim or a Secret belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Its kind.
    // NB: left out for the first kind, as it was before there were others.
    #[serde(default = "Kind::unnamed", skip_serializing_if = "Kind::is_unnamed")]
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, which distinguishes it from one that was deleted and created again.
    pub uid: String,
}

impl Owner {
    /// Whether both are of one kind and have the same name in the same namespace: one may be the other, created again.
    pub fn is_named_as(&self, other: &Self) -> bool {
        (self.kind, &self.namespace, &self.name) == (other.kind, &other.namespace, &other.name)
    }
}

/// Why a record can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum RecordError {
    /// It is not what this version or an older one writes.
    #[error("can't be read")]
    Unreadable,
    /// A newer version wrote it.
    #[error("was written by a newer version")]
    Newer,
}

/// The version of a record, read before anything else so that a newer format is not taken for a damaged one.
pub(super) fn check_version(text: &str, known: u32) -> Result<(), RecordError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    // NB: claims and commit records are written by us and small; a large one was edited.
    if text.len() > 16 * 1024 {
        return Err(RecordError::Unreadable);
    }
    match serde_json::from_str::<Versioned>(text) {
        Ok(Versioned { version }) if version > known => Err(RecordError::Newer),
        Ok(Versioned { version: 0 }) | Err(_) => Err(RecordError::Unreadable),
        Ok(_) => Ok(()),
    }
}

/// Fields of another version, by name, each with its JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UnknownFields(BTreeMap<String, String>);

impl UnknownFields {
    /// More bytes than this are kept by no version of the operator: a record must not grow beyond what can be read again.
    const MOST: usize = 2048;
}

impl Serialize for UnknownFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = |text: &String| serde_json::from_str::<Value>(text).unwrap_or_default();
        serializer.collect_map(self.0.iter().map(|(name, text)| (name, value(text))))
    }
}

impl<'de> Deserialize<'de> for UnknownFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let texts = fields.into_iter().map(|(name, it)| (name, it.to_string()));
        let texts: BTreeMap<_, _> = texts.collect();
        let size: usize = texts.iter().map(|(name, it)| name.len() + it.len()).sum();
        Ok(Self(if size > Self::MOST {
            BTreeMap::new()
        } else {
            texts
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_object_that_was_created_again_has_the_same_name_and_one_of_another_kind_has_not() {
        let owner = Owner {
            kind: Kind::ApiApp,
            namespace: "orders".into(),
            name: "api".into(),
            uid: "1".into(),
        };
        let with = |change: fn(&mut Owner)| {
            let mut other = owner.clone();
            change(&mut other);
            owner.is_named_as(&other)
        };
        assert!(with(|other| other.uid = "2".into()));
        assert!(!with(|other| other.kind = Kind::OidcApp));
        assert!(!with(|other| other.namespace = "billing".into()));
        assert!(!with(|other| other.name = "web".into()));
    }

    #[test]
    fn unknown_fields_are_kept_up_to_a_size() {
        // Names, and values with their quotes.
        let kept = |length: usize| {
            let fields = serde_json::json!({"ab": "x".repeat(length - 6), "cd": 1, "e": 2});
            let read: UnknownFields = serde_json::from_value(fields.clone()).unwrap();
            serde_json::to_value(read).unwrap() == fields
        };
        assert!(kept(UnknownFields::MOST - 3));
        assert!(!kept(UnknownFields::MOST - 2));
    }
}
