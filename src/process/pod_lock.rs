//! A lock that at most one process of a pod can hold.
//!
//! A restarted container may take over from its predecessor without waiting, because the kubelet starts a container only after the
//! previous one has ended. That applies to *one* container. If the operator runs in two containers of a pod, or in two processes on a
//! host with the same name, only the first of them gets this lock.

#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixListener;

/// The lock. The kernel releases it when the process ends, for whatever reason.
#[derive(Debug)]
pub struct PodLock {
    _socket: UnixListener,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// Another process of the pod holds it.
    #[error("another process of this pod is alive")]
    Taken,
    /// This system does not support it, or does not permit it.
    #[error("it cannot be known here whether another process of this pod is alive")]
    Unavailable,
}

impl PodLock {
    /// Takes the lock of a pod, by its uid.
    ///
    /// It is an abstract Unix socket in the network namespace, which the containers of a pod share. No process ever connects to it.
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

    /// Takes the lock of a pod, by its uid. Only Linux supports it.
    #[cfg(not(target_os = "linux"))]
    pub fn take(_pod_uid: &str) -> Result<Self, NotTaken> {
        Err(NotTaken::Unavailable)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_the_lock_until_it_ends() {
        let uid = uuid::Uuid::new_v4().to_string();
        let first = PodLock::take(&uid);
        assert!(first.is_ok());
        assert!(matches!(PodLock::take(&uid), Err(NotTaken::Taken)));
        assert!(PodLock::take(&format!("{uid}-other")).is_ok());
        drop(first);
        assert!(PodLock::take(&uid).is_ok());
    }

    #[test]
    fn an_unavailable_lock_does_not_count_as_another_process() {
        // NB: longer than the name of a socket can be.
        let name = "x".repeat(200);
        assert!(matches!(PodLock::take(&name), Err(NotTaken::Unavailable)));
    }
}
