//! Random values: ids, secrets, tokens. Uses the operating system's generator.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::{Lag, Settings};

const ALPHANUMERIC: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// The set of symbols of ZITADEL's generator (`internal/crypto/code.go`).
const SYMBOLS: &[u8] = b"~!@#$^&*()_+`-={}|[]:<>?,./";

/// Numeric ids of 18 digits, rising, unlike between two simulators.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(
            400_000_000_000_000_000 + number() % 90_000_000_000_000_000,
        ))
    }

    pub(crate) fn next(&self) -> String {
        self.0.fetch_add(65_536 + 1, Ordering::Relaxed).to_string()
    }
}

/// A random number.
pub(crate) fn number() -> u64 {
    let mut bytes = [0_u8; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A client secret as the instance's *app secret* generator makes it.
pub(crate) fn secret(settings: &Settings) -> String {
    if settings.secret_symbols {
        let all: Vec<u8> = [ALPHANUMERIC, SYMBOLS].concat();
        text(settings.secret_length, &all)
    } else {
        text(settings.secret_length, ALPHANUMERIC)
    }
}

/// A personal access token of the form seen on real servers: five parts, 277 characters.
pub(crate) fn pat() -> String {
    [72, 0, 16, 163, 22]
        .map(|length| text(length, ALPHANUMERIC))
        .join(".")
}

/// An opaque token of one part.
pub(crate) fn token(length: usize) -> String {
    text(length, ALPHANUMERIC)
}

/// One lag, drawn from the distribution; nothing for [`Lag::Never`].
pub(crate) fn lag(lag: Lag) -> Option<Duration> {
    match lag {
        Lag::None => Some(Duration::ZERO),
        Lag::Fixed(fixed) => Some(fixed),
        Lag::Uniform { min, max } => Some(between(min, max)),
        Lag::Observed => {
            let (min, max) = match number() % 100 {
                0..50 => (2, 24),
                50..90 => (24, 45),
                90..99 => (45, 98),
                _ => (98, 206),
            };
            Some(between(
                Duration::from_millis(min),
                Duration::from_millis(max),
            ))
        }
        Lag::Never => None,
    }
}

fn between(min: Duration, max: Duration) -> Duration {
    let span = u64::try_from(max.saturating_sub(min).as_micros()).unwrap_or(u64::MAX - 1);
    min + Duration::from_micros(number() % (span + 1))
}

fn text(length: usize, alphabet: &[u8]) -> String {
    let mut bytes = vec![0_u8; length * 2];
    fill(&mut bytes);
    bytes
        .chunks_exact(2)
        .filter_map(|pair| match *pair {
            [high, low] => {
                let index = usize::from(u16::from_be_bytes([high, low])) % alphabet.len();
                alphabet.get(index).copied().map(char::from)
            }
            _ => None,
        })
        .collect()
}

fn fill(bytes: &mut [u8]) {
    // NB: the system's generator fails only where no program could run; zeros then are as good as any value in a test.
    let _ = aws_lc_rs::rand::fill(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_64_alphanumeric_characters() {
        let secret = secret(&Settings::default());
        assert_eq!(secret.len(), 64);
        assert!(secret.chars().all(|c| c.is_ascii_alphanumeric()));
    }

    #[test]
    fn a_pat_has_277_characters_in_five_parts() {
        let pat = pat();
        assert_eq!((pat.len(), pat.split('.').count()), (277, 5));
    }

    #[test]
    fn ids_have_18_digits_and_rise() {
        let ids = Ids::new();
        let (first, second) = (ids.next(), ids.next());
        assert_eq!(first.len(), 18);
        assert!(first < second);
    }
}
