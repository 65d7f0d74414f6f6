//! Rate limit for log lines about a repeated failure: one line of each kind per period, with the number of omitted lines. No I/O.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The minimum time between two lines of a kind.
pub const PERIOD: Duration = Duration::from_secs(30);

/// The last line of each kind.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<HashMap<&'static str, LastLine>>);

#[derive(Debug)]
struct LastLine {
    at: Instant,
    left_out: u64,
}

impl LogLimit {
    /// The number of lines omitted since the last one, if a line of this kind may be written now. Kinds are few and fixed.
    pub fn allows(&self, kind: &'static str) -> Option<u64> {
        let mut all = self.0.lock();
        let now = Instant::now();
        if let Some(last) = all.get_mut(kind)
            && now.duration_since(last.at) < PERIOD
        {
            last.left_out += 1;
            return None;
        }
        let before = all.insert(
            kind,
            LastLine {
                at: now,
                left_out: 0,
            },
        );
        Some(before.map_or(0, |last| last.left_out))
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
