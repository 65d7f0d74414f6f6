//! How a command ends: its exit code, and why it failed. No I/O.

use std::io;
use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Nothing needs attention.
    Fine,
    /// Something needs attention, or was not done.
    Finding,
    /// The command line, or the kubeconfig, cannot be used.
    Usage,
    /// The cluster cannot be reached, or does not let the caller do it.
    NoAccess,
    /// It took too long.
    Timeout,
    /// ^C.
    Interrupted,
}

impl Exit {
    /// The exit code of the process.
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Finding => 1,
            Self::Usage => 2,
            Self::NoAccess => 3,
            Self::Timeout => 4,
            // NB: 128 and the number of SIGINT, as shells have it.
            Self::Interrupted => 130,
        }
    }

    /// How a command ends that has looked at objects. What was found is certain, whatever else could not be seen.
    pub const fn of(found: bool, missing: bool) -> Self {
        match (found, missing) {
            (true, _) => Self::Finding,
            (false, true) => Self::NoAccess,
            (false, false) => Self::Fine,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command failed: a sentence for the caller.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such object, or it cannot be used so.
    #[error("{0}")]
    Finding(String),
    /// The command line, or the kubeconfig, cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The cluster cannot be reached, or does not let the caller do it.
    #[error("{0}")]
    NoAccess(String),
    /// It took too long.
    #[error("{0}")]
    Timeout(String),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// How the command ends with it. A reader that has seen enough is none of the command's business.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NoAccess(_) => Exit::NoAccess,
            Self::Timeout(_) => Exit::Timeout,
            Self::Output(_) if self.is_silent() => Exit::Fine,
            Self::Finding(_) | Self::Output(_) => Exit::Finding,
        }
    }

    /// Whether nothing is said about it: the reader of the output has closed the pipe.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((closed.exit(), closed.is_silent()), (Exit::Fine, true));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((full.exit(), full.is_silent()), (Exit::Finding, false));
    }
}
