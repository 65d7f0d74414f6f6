//! What `plan -f` says besides its lines.

use std::collections::BTreeMap;

use crate::plugin::output::{Output, note, rotate_now};

/// What is said besides the lines.
#[derive(Debug, Default)]
pub struct Remarks {
    /// What is not known, and of how many objects.
    pub unknown: BTreeMap<String, usize>,
    /// What cannot be applied, and why.
    pub refused: Vec<String>,
    /// What is not known of connections.
    pub notes: Vec<String>,
    /// Whether a connection of the file can be planned.
    pub has_connections: bool,
    /// How many objects stay as they are.
    pub unchanged: usize,
    /// How many objects of the file are of other kinds.
    pub others: usize,
}

impl Remarks {
    /// Says all of it.
    pub fn say(&self, file: &str, objects: usize, rotating: usize, output: &Output) {
        for refused in &self.refused {
            note(&format!("error: {refused}"));
        }
        for (unknown, count) in &self.unknown {
            let of = if *count == 1 {
                "1 object".to_owned()
            } else {
                format!("{count} objects")
            };
            note(&format!("{of}: {unknown}"));
        }
        for unknown in &self.notes {
            note(unknown);
        }
        if objects == 0 && self.refused.is_empty() {
            let none = "no ApiAppSecret or OidcAppSecret";
            note(&if self.has_connections {
                format!("{none} uses a connection of {file}")
            } else {
                format!("{none} in {file}")
            });
        }
        if self.others > 0 {
            note(&format!(
                "{} of other kinds in {file} left out",
                self.others
            ));
        }
        if objects > 0 && !output.is_for_program() {
            note(&format!(
                "{}, {} unchanged",
                rotate_now(rotating, objects),
                self.unchanged
            ));
        }
    }
}
