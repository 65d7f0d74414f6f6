//! The label sets of the metrics and the closed lists of their values. No I/O.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::api::Outcome;

/// The outcomes of a generate call.
pub(super) const GENERATE_OUTCOMES: [&str; 4] = [
    "Success",
    "SuccessWithoutSequence",
    "NotExecuted",
    "Unknown",
];

/// The outcomes of a rotation whose value was received.
pub(super) fn rotation_outcomes() -> impl Iterator<Item = Outcome> {
    let all = Outcome::ALL.into_iter();
    // An adoption generates nothing.
    all.filter(|outcome| *outcome != Outcome::Adopted)
}

/// The results of verifying a stored value.
pub(super) const VERDICTS: [&str; 3] = ["valid", "refused", "none"];

/// A part of the time from the response until the new credential is in the Secret. The stored one works meanwhile only with a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WindowPart {
    /// From the response until ZITADEL accepts the new credential.
    Prove,
    /// From then until the Secret is written.
    Write,
    /// From the response until the Secret is written.
    Total,
}

impl WindowPart {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Prove, Self::Write, Self::Total];

    /// As it stands in the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prove => "prove",
            Self::Write => "write",
            Self::Total => "total",
        }
    }
}

impl EncodeLabelValue for WindowPart {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

/// How a request to the API server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KubeCode {
    /// With this HTTP status.
    Status(u16),
    /// Not within the deadline.
    Deadline,
    /// Without a response.
    Failed,
}

impl EncodeLabelValue for KubeCode {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        match self {
            Self::Status(status) => u64::from(*status).encode(encoder),
            Self::Deadline => "deadline".encode(encoder),
            Self::Failed => "failed".encode(encoder),
        }
    }
}

macro_rules! labels {
    ($($name:ident { $($label:ident: $type:ty),+ })+) => {$(
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(super) struct $name { $(pub(super) $label: $type),+ }
    )+};
}

labels! {
    ByCause { cause: &'static str, outcome: &'static str }
    ByPart { part: WindowPart }
    ByCheck { check: &'static str }
    ByResult { result: &'static str }
    ByReason { reason: &'static str }
    ByOperation { operation: &'static str }
    ByKubeRequest { verb: &'static str, resource: &'static str, code: KubeCode }
    ByVerdict { verdict: &'static str }
    Build { version: &'static str }
}
