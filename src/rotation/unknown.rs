//! Fields of a record that this version does not know. Another version of the same format wrote them; they are kept where the record is
//! written again. No I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

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
