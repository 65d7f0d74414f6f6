//! What the core uses of the API, without schemas: deriving those takes longer than everything else.

mod reason;

pub use reason::Reason;

#[derive(Clone, Debug, Default)]
pub struct Rotation {
    pub interval: Option<String>,
    pub windows: Option<Vec<Window>>,
    pub jitter: Option<i32>,
    pub overlap: Option<String>,
    pub trigger: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Window {
    pub schedule: String,
    pub time_zone: Option<String>,
    pub duration: String,
}

#[derive(Clone, Copy)]
pub struct Recovery {
    pub missing_secret: Option<RecoveryPolicy>,
    pub invalid_secret: Option<RecoveryPolicy>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum RecoveryPolicy {
    Rotate,
    Report,
}

impl Recovery {
    pub fn missing(self) -> RecoveryPolicy {
        self.missing_secret.unwrap_or(RecoveryPolicy::Rotate)
    }

    pub fn invalid(self) -> RecoveryPolicy {
        self.invalid_secret.unwrap_or(RecoveryPolicy::Rotate)
    }
}
