//! What the core uses of the API, without schemas: deriving those takes longer than everything else.

mod kind;
mod reason;

pub use kind::Kind;
pub use reason::Reason;

#[derive(Clone, Debug, Default)]
pub struct Rotation {
    pub interval: Option<String>,
    pub windows: Option<Vec<Window>>,
    pub jitter_percent: Option<i32>,
    pub overlap: Option<Overlap>,
    pub trigger: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Overlap {
    pub minimum: Option<String>,
    pub until: Option<OverlapEnd>,
    pub maximum: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlapEnd {
    #[default]
    Elapsed,
    ConsumersCurrent,
}

#[derive(Clone, Debug)]
pub struct Window {
    pub name: String,
    pub schedule: String,
    pub time_zone: Option<String>,
    pub duration: String,
}

#[derive(Clone, Copy)]
pub struct Recovery {
    pub missing: Option<RecoveryPolicy>,
    pub rejected: Option<RecoveryPolicy>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum RecoveryPolicy {
    Rotate,
    Report,
}

impl Recovery {
    pub fn missing(self) -> RecoveryPolicy {
        self.missing.unwrap_or(RecoveryPolicy::Rotate)
    }

    pub fn rejected(self) -> RecoveryPolicy {
        self.rejected.unwrap_or(RecoveryPolicy::Rotate)
    }
}
