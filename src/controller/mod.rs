//! The shell around [`crate::rotation`]: it reads what a decision needs, carries out the one step that was decided on, and reports.
//!
//! * `target` what an object asks for, parsed; no I/O
//! * `observe` the facts as the watches show them; `live` reads the rest: GETs, ZITADEL
//! * `journal` how far back ZITADEL's journal has to be read; no I/O
//! * `act` carries out one step; `flush` is the part of it that must never be interrupted
//! * `status` what people are told; `report` tells it, `news` what of it is worth an event, `event` publishes it, `unreadable` of what cannot be parsed; `reconcile` the loop around all of these
//! * `connections` the `ZitadelConnection`s, and the clients made from them; `connect` makes them, of what `material` reads
//! * `scope` which namespaces are watched; `cache` what the watches show of them; `apps` the controller of their objects
//! * `health` what `/ready` says of all that
//! * `open_claims` what a replica does while another one leads; `patrol` what the leader does from time to time
//! * `watch` watches that come back; `bulkhead` how many objects are looked at at once, so that one who hangs stops nobody else; `retries` how long failures wait; no I/O
//! * `inventory` has the metrics show what the watches show
//! * `progress` whether the watches have shown what was written; no I/O
//! * `render` turns a template and an application's values into the text of a key; no I/O
//! * `secret`, `claim` the two objects that are written, read and made; no I/O; `write` as which field manager they are written

mod act;
mod another_operator;
mod apps;
mod bulkhead;
mod cache;
mod claim;
#[cfg(test)]
mod compatibility;
mod connect;
mod connections;
mod context;
mod event;
mod failure;
mod flush;
mod former;
mod health;
mod inventory;
mod journal;
mod kept;
mod live;
mod material;
mod message;
mod mutated;
mod names;
mod news;
mod observe;
mod open_claims;
mod own_writes;
mod patrol;
mod probe;
mod progress;
mod prune;
mod quote;
mod reconcile;
pub(crate) mod render;
mod report;
mod retries;
mod rivals;
mod rotate;
mod run;
mod scope;
mod secret;
mod status;
mod target;
mod unreadable;
mod watch;
mod wiped;
mod write;

pub use claim::{CLAIM_ANNOTATION, CLAIM_LABEL};
pub use context::{Parts, Settings};
pub use run::run;
pub use scope::{Scope, class_name, namespace_name};
pub use secret::{COMMIT_ANNOTATION, MANAGED_LABEL};
pub use target::claim_name;
pub use write::FIELD_MANAGER;
