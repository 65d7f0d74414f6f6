//! What lines about objects have in common: whose they are, the columns of that, and their order. No I/O.

use std::cmp::Ordering;

use serde::Serialize;

use crate::api::Kind;
use crate::plugin::cluster::resource;
use crate::plugin::output::{Cell, Column, Record};

/// A line about an object.
pub trait Line {
    /// The object's kind.
    fn kind(&self) -> Kind;
    /// Its namespace.
    fn namespace(&self) -> &str;
    /// Its name.
    fn name(&self) -> &str;
}

/// Implements [`Line`] for a type that has fields of these names.
macro_rules! line {
    ($row:ty) => {
        impl $crate::plugin::line::Line for $row {
            fn kind(&self) -> $crate::api::Kind {
                self.kind
            }
            fn namespace(&self) -> &str {
                &self.namespace
            }
            fn name(&self) -> &str {
                &self.name
            }
        }
    };
}
pub(super) use line;

impl<L: Line + Serialize> Record for L {
    fn reference(&self) -> String {
        resource(self.kind(), self.name())
    }
}

/// The columns that say whose a line is, as far as that differs from line to line.
pub fn columns<L: Line>(with_namespace: bool, with_kind: bool) -> impl Iterator<Item = Column<L>> {
    let namespace = Column::new("NAMESPACE", |line: &L, _| Cell::plain(line.namespace()));
    let name = Column::new("NAME", |line: &L, _| Cell::plain(line.name()));
    let kind = Column::new("KIND", |line: &L, _| Cell::plain(line.kind().as_str()));
    let namespace = with_namespace.then_some(namespace);
    let kind = with_kind.then_some(kind);
    namespace.into_iter().chain([name]).chain(kind)
}

/// Orders lines by namespace, name and kind.
pub fn order<L: Line>(one: &L, other: &L) -> Ordering {
    let [one, other] = [one, other].map(|line| (line.namespace(), line.name(), line.kind()));
    one.cmp(&other)
}

/// Whether there are objects of every kind.
pub fn has_every_kind<L: Line>(lines: &[L]) -> bool {
    let has = |kind| lines.iter().any(|line| line.kind() == kind);
    Kind::ALL.into_iter().all(has)
}
