//! Properties of everything that is read from elsewhere and of every decision, for tests and for the fuzzer (`fuzz/`); in no other
//! build. Each takes bytes and panics if it does not hold.

use crate::target::render;
use crate::{rotation, zitadel};

/// A property of bytes.
pub type Property = fn(&[u8]);

/// All of them, by the names of the fuzzer's targets and of the directories of `fuzz/seeds`.
pub const ALL: [(&str, Property); 16] = [
    ("generate", zitadel::properties::generate),
    ("error", zitadel::properties::error),
    ("journal", zitadel::properties::journal),
    ("token", zitadel::properties::token),
    ("credential", zitadel::properties::credential),
    ("introspection", zitadel::properties::introspection),
    ("application", zitadel::properties::application),
    ("project", zitadel::properties::project),
    ("discovery", zitadel::properties::discovery),
    ("claim", rotation::properties::claim),
    ("commit", rotation::properties::commit),
    ("interval", rotation::properties::interval),
    ("window", rotation::properties::window),
    ("schedule", rotation::properties::schedule),
    ("decision", rotation::properties::decision),
    ("template", template),
];

/// The property of templates, whose module is private.
pub fn template(data: &[u8]) {
    render::properties::template(data);
}

#[cfg(test)]
mod tests;
