//! The connections that are open, and which of them goes when there are too many. Does no I/O.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::task::AbortHandle;

/// The connections that are open, oldest first.
pub(super) struct Open {
    most: usize,
    all: Vec<(IpAddr, AbortHandle)>,
}

impl Open {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        let all = Vec::with_capacity(most);
        Self { most, all }
    }

    /// Makes room for a connection of `peer`. If there is none, closes the oldest one of the peer that has the most: a
    /// peer that opens many pays for it, not one that sends a request now and then.
    pub(super) fn make_room(&mut self, peer: IpAddr) {
        self.all.retain(|(_, task)| !task.is_finished());
        while self.all.len() >= self.most {
            let Some(at) = self.to_close(peer) else {
                return;
            };
            self.all.remove(at).1.abort();
        }
    }

    fn to_close(&self, comes: IpAddr) -> Option<usize> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::from([(comes, 1)]);
        for (peer, _) in &self.all {
            *counts.entry(*peer).or_default() += 1;
        }
        let count = |peer: &IpAddr| counts.get(peer).copied().unwrap_or_default();
        let most = self.all.iter().map(|(peer, _)| count(peer)).max()?;
        self.all.iter().position(|(peer, _)| count(peer) == most)
    }

    /// Takes note of a connection, by the task that serves it.
    pub(super) fn add(&mut self, peer: IpAddr, task: AbortHandle) {
        self.all.push((peer, task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn peer(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, last))
    }

    /// Those that are left of connections that these peers open one after the other.
    async fn left(peers: &[u8], most: usize) -> Vec<(u8, usize)> {
        let mut open = Open::new(most);
        let mut tasks = Vec::new();
        for last in peers {
            let task = tokio::spawn(std::future::pending::<()>());
            open.make_room(peer(*last));
            open.add(peer(*last), task.abort_handle());
            tasks.push(task);
        }
        let mut left = Vec::new();
        for (at, (task, last)) in tasks.into_iter().zip(peers).enumerate() {
            let kept = open.all.iter().any(|(_, kept)| kept.id() == task.id());
            if kept {
                task.abort();
                left.push((*last, at));
            }
            assert!(task.await.unwrap_err().is_cancelled());
        }
        left
    }

    #[tokio::test]
    async fn the_oldest_of_the_peer_that_has_the_most_goes() {
        assert_eq!(left(&[1, 2, 2, 2], 3).await, [(1, 0), (2, 2), (2, 3)]);
        assert_eq!(
            left(&[2, 2, 3, 3, 3, 1], 5).await,
            [(2, 0), (2, 1), (3, 3), (3, 4), (1, 5)]
        );
    }

    #[tokio::test]
    async fn of_peers_with_one_each_the_oldest_goes() {
        assert_eq!(left(&[1, 2, 3, 4, 5], 3).await, [(3, 2), (4, 3), (5, 4)]);
    }

    #[tokio::test]
    async fn one_that_has_ended_takes_no_room() {
        let mut open = Open::new(2);
        for last in [1, 2] {
            let mut ended = tokio::task::JoinSet::new();
            open.add(peer(last), ended.spawn(async {}));
            ended.join_all().await;
        }
        let task = tokio::spawn(std::future::pending::<()>());
        open.make_room(peer(3));
        open.add(peer(3), task.abort_handle());
        assert_eq!(open.all.len(), 1);
        task.abort();
    }
}
