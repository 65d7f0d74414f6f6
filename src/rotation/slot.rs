//! Which of an object's two applications. No I/O.

/// Which of an object's two applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Slot {
    /// `spec.appId`.
    #[default]
    Primary,
    /// `spec.standby.appId`, or what that was when the stored pair was made.
    Standby,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Standby];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Standby,
            Self::Standby => Self::Primary,
        }
    }
}
