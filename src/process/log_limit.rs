//! Keeps a log readable while something fails again and again: of each kind one line a period, with the number of those left out.
//! Does no I/O.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long nothing more is said of a kind.
pub const PERIOD: Duration = Duration::from_secs(30);

/// Which kinds were told of lately.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<HashMap<&'static str, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    left_out: u64,
}

impl LogLimit {
    /// Whether a line of this kind may be written now; if so, how many were left out since the last one. Kinds are few and fixed.
    pub fn allows(&self, kind: &'static str) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(told) = all.get_mut(kind)
            && now.duration_since(told.at) < PERIOD
        {
            told.left_out += 1;
            return None;
        }
        let before = all.insert(
            kind,
            Told {
                at: now,
                left_out: 0,
            },
        );
        Some(before.map_or(0, |told| told.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_each_kind_one_line_a_period_is_written_and_the_rest_is_counted() {
        let limit = LogLimit::default();
        assert_eq!(limit.allows("a"), Some(0));
        for _ in 0..7 {
            assert_eq!(limit.allows("a"), None);
        }
        assert_eq!(limit.allows("b"), Some(0));
        tokio::time::advance(PERIOD).await;
        assert_eq!(limit.allows("a"), Some(7));
        assert_eq!(limit.allows("a"), None);
        tokio::time::advance(PERIOD).await;
        assert_eq!(limit.allows("a"), Some(1));
        assert_eq!(limit.allows("b"), Some(0));
    }
}
