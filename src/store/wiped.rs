//! Secrets in the two forms in which they come and go, wiped when they are dropped. No I/O.

use std::ops::Deref;

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value as Json;
use zeroize::Zeroize as _;

/// A Secret as it is sent.
#[derive(Debug, Clone)]
pub struct Manifest(Json);

/// A Secret as it was read.
#[derive(Debug)]
pub struct Stored(Secret);

impl From<Json> for Manifest {
    fn from(object: Json) -> Self {
        Self(object)
    }
}

impl From<Secret> for Stored {
    fn from(secret: Secret) -> Self {
        Self(secret)
    }
}

impl Deref for Manifest {
    type Target = Json;

    fn deref(&self) -> &Json {
        &self.0
    }
}

impl Deref for Stored {
    type Target = Secret;

    fn deref(&self) -> &Secret {
        &self.0
    }
}

impl Manifest {
    fn wipe(&mut self) {
        let data = self.0.get_mut("data").and_then(Json::as_object_mut);
        for value in data.into_iter().flat_map(serde_json::Map::values_mut) {
            if let Json::String(text) = value {
                text.zeroize();
            }
        }
    }
}

impl Stored {
    fn wipe(&mut self) {
        for bytes in self.0.data.iter_mut().flat_map(|data| data.values_mut()) {
            bytes.0.zeroize();
        }
    }
}

impl Drop for Manifest {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_data_is_wiped_and_nothing_else() {
        let object = json!({"metadata": {"name": "a"}, "type": "Opaque", "data": {"k": "dg=="}});
        let mut sent = Manifest::from(object.clone());
        let mut read = Stored::from(serde_json::from_value::<Secret>(object).unwrap());
        sent.wipe();
        read.wipe();
        assert_eq!(
            *sent,
            json!({"metadata": {"name": "a"}, "type": "Opaque", "data": {"k": ""}})
        );
        assert_eq!(read.metadata.name.as_deref(), Some("a"));
        assert!(read.data.as_ref().unwrap()["k"].0.is_empty());
    }
}
