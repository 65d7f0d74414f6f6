//! Times of day in messages: which of two stands in a status. No I/O.

use std::time::Duration;

use jiff::Timestamp;

/// The first time of day in a message.
pub fn first_in(message: &str) -> Option<Timestamp> {
    message.split(' ').find_map(time_of)
}

fn time_of(word: &str) -> Option<Timestamp> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if word.len() < 20 {
        return None;
    }
    word.parse().ok()
}

/// Whether two messages say the same but for times of day, and each pair of times is alike as `alike` has it.
pub fn is_same(was: &str, is: &str, alike: impl Fn(Timestamp, Timestamp) -> bool) -> bool {
    let (mut before, mut after) = (was.split(' '), is.split(' '));
    loop {
        match (before.next(), after.next()) {
            (None, None) => return true,
            (Some(was), Some(is)) if was == is => {}
            (Some(was), Some(is)) => match (time_of(was), time_of(is)) {
                (Some(was), Some(is)) if alike(was, is) => {}
                _ => return false,
            },
            _ => return false,
        }
    }
}

/// Times that differ by no more than this are the same: the clocks that they are computed from are known to the second.
pub const ALIKE: Duration = Duration::from_secs(2);

/// Whether a time in a status still stands. One that another process wrote does until it is over: replicas that wait for times of their
/// own would correct each other without end.
pub fn stands(was: Timestamp, is: Timestamp, is_own: bool, now: Timestamp) -> bool {
    is.duration_since(was).unsigned_abs() <= ALIKE || (!is_own && was > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn messages_are_the_same_but_for_times_that_are_alike() {
        let was =
            "Quota x: raise it. The operator tries again at 2026-11-29T03:00:10Z; waits double";
        let with = |second: &str| was.replace("03:00:10Z", second);
        let near = |a: Timestamp, b: Timestamp| stands(a, b, true, a);
        assert!(is_same(was, was, |_, _| false));
        assert!(is_same(was, &with("03:00:11Z"), near));
        assert!(!is_same(was, &with("03:00:15Z"), near), "a new wait");
        assert!(!is_same(was, &with("soon"), near));
        assert!(!is_same(was, &was.replace("raise", "lower"), near));
        assert!(!is_same(was, &format!("{was} more"), near));
        assert_eq!(first_in(was), Some(time("2026-11-29T03:00:10Z")));
        assert_eq!(first_in("asked at 2026-11-29T03:00:10Z."), first_in(was));
        assert_eq!(first_in("after 30s, doubling up to 1h"), None);
    }

    #[test]
    fn what_another_process_announced_stands_until_it_is_over() {
        let (was, is) = (time("2026-11-29T03:00:10Z"), time("2026-11-29T03:05:00Z"));
        let (before, after) = (time("2026-11-29T03:00:00Z"), time("2026-11-29T03:00:11Z"));
        assert!(stands(was, is, false, before));
        assert!(!stands(was, is, true, before), "its own wait is a new one");
        assert!(!stands(was, is, false, after));
    }
}
