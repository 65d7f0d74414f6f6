//! Whether another process of this pod lives: a name that one of them at most can have.
//!
//! A container that restarts may take what its predecessor left without waiting, since the kubelet starts a container only after
//! the one before it has ended. That is true of *one* container. This lock makes sure of it: where somebody runs the operator in two
//! containers of a pod, or two processes on a host with one name, only the first of them gets it.

#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixListener;

/// The lock. The kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct PodLock {
    _socket: UnixListener,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// Another process of the pod has it.
    #[error("another process of this pod is alive")]
    Taken,
    /// This system has no such thing, or does not let this process have it.
    #[error("it cannot be known here whether another process of this pod is alive")]
    Unavailable,
}

impl PodLock {
    /// Takes the lock of a pod, by its uid.
    ///
    /// It is an abstract Unix socket, which lives in the network namespace, and that is what the containers of a pod share. Nobody
    /// ever connects to it.
    #[cfg(target_os = "linux")]
    pub fn take(pod_uid: &str) -> Result<Self, NotTaken> {
        let name = format!("zitadel-secret-operator/{pod_uid}");
        let bound = std::os::unix::net::SocketAddr::from_abstract_name(name)
            .and_then(|address| UnixListener::bind_addr(&address));
        match bound {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(NotTaken::Taken),
            Err(_) => Err(NotTaken::Unavailable),
        }
    }

    /// Takes the lock of a pod, by its uid. Only Linux has it.
    #[cfg(not(target_os = "linux"))]
    pub fn take(_pod_uid: &str) -> Result<Self, NotTaken> {
        Err(NotTaken::Unavailable)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_lock_until_it_is_gone() {
        let uid = uuid::Uuid::new_v4().to_string();
        let first = PodLock::take(&uid);
        assert!(first.is_ok());
        assert!(matches!(PodLock::take(&uid), Err(NotTaken::Taken)));
        assert!(PodLock::take(&format!("{uid}-other")).is_ok());
        drop(first);
        assert!(PodLock::take(&uid).is_ok());
    }

    #[test]
    fn a_lock_that_this_system_does_not_give_is_not_taken_for_another_process() {
        // NB: longer than the name of a socket can be.
        let name = "x".repeat(200);
        assert!(matches!(PodLock::take(&name), Err(NotTaken::Unavailable)));
    }
}
