//! Why a client secret is generated, and the search for such a cause. No I/O.

mod drift;
pub(super) mod find;
pub(super) mod found;
pub(super) mod kind;
mod proof;
