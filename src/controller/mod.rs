//! The shell around [`crate::rotation`]: it reads what a decision needs, carries out the one step that was decided on, and reports.
//!
//! * `target` what an object asks for, parsed; no I/O
//! * `observe` reads: watches, GETs, ZITADEL
//! * `act` carries out one step; `flush` is the part of it that must never be interrupted
//! * `status` what people are told; `reconcile` the loop around all of these
//! * `connections` the `ZitadelConnection`s, and the clients made from them
//! * `inventory` has the metrics show what the watches show
//! * `progress` whether the watches have shown what was written; no I/O
//! * `secret`, `claim` the two objects that are written, read and made; no I/O

mod act;
mod claim;
mod connect;
mod connections;
mod context;
mod failure;
mod flush;
mod inventory;
mod message;
mod metered;
mod observe;
mod patrol;
mod probe;
mod progress;
mod reconcile;
mod rotate;
mod run;
mod secret;
mod status;
mod target;

pub use claim::{CLAIM_ANNOTATION, CLAIM_LABEL};
pub use context::{Parts, Settings};
pub use run::run;
pub use secret::{COMMIT_ANNOTATION, FIELD_MANAGER, MANAGED_LABEL};
pub use target::claim_name;
