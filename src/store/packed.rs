//! JSON in little room. No I/O.
//!
//! Ten thousand objects at rest resemble each other, and so do their Secrets. Each is kept as its difference from a typical one, in a single
//! allocation: as structs their strings alone would need ten times as much.

use std::fmt;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

/// A typical object and the metadata of a typical Secret. What others have in common with them costs them nothing.
const TYPICAL: &[u8] = include_bytes!("typical.json");

/// A value as compressed JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// A value in little room.
    ///
    /// # Errors
    /// As [`serde_json::to_vec`].
    pub fn new<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        let json = serde_json::to_vec(value)?;
        let packed = compress_prepend_size_with_dict(&json, TYPICAL);
        Ok(Self(packed.into_boxed_slice()))
    }

    /// How many bytes it takes.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value.
    ///
    /// # Errors
    /// If what was packed was a value of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let json = decompress_size_prepended_with_dict(&self.0, TYPICAL);
        let json = json.map_err(serde_json::Error::custom)?;
        serde_json::from_slice(&json)
    }
}

/// NB: its bytes say nothing to a reader.
impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
