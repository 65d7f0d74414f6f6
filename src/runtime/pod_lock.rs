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

impl PodLock {
    /// Takes the lock of a pod, by its uid. None: another process has it, or this system has no such thing.
    ///
    /// It is an abstract Unix socket, which lives in the network namespace, and that is what the containers of a pod share. Nobody
    /// ever connects to it.
    #[cfg(target_os = "linux")]
    pub fn take(pod_uid: &str) -> Option<Self> {
        let name = format!("zitadel-secret-operator/{pod_uid}");
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).ok()?;
        let socket = UnixListener::bind_addr(&address).ok()?;
        Some(Self { _socket: socket })
    }

    /// Takes the lock of a pod, by its uid. None: this system has no such thing.
    #[cfg(not(target_os = "linux"))]
    pub fn take(_pod_uid: &str) -> Option<Self> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn one_has_the_lock_until_it_is_gone() {
        let uid = uuid::Uuid::new_v4().to_string();
        let first = PodLock::take(&uid);
        assert!(first.is_some());
        assert!(PodLock::take(&uid).is_none());
        assert!(PodLock::take(&format!("{uid}-other")).is_some());
        drop(first);
        assert!(PodLock::take(&uid).is_some());
    }
}
