//! Every span of time in the protocol, in one value that tests can scale. No I/O.

use std::time::Duration;

/// The spans of the rotation protocol. `docs/protocol.md` says what each is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timing {
    /// Deadline of generate, its body included (`T_req`). ZITADEL itself pushes for up to 15 s, five times.
    pub request: Duration,
    /// From the answer to the claim until everything was read once more (`T_recheck`). A ZITADEL whose reads take seconds is slow, not
    /// unusable.
    pub recheck: Duration,
    /// From the last answer of that until the first byte of generate (`T_send`).
    pub send: Duration,
    /// How long a new secret is tried at introspection before it is published unproven (`T_prove`).
    pub prove: Duration,
    /// The longest known lag of ZITADEL's projection (`T_lag`): so long a new secret that is rejected while the stored one is accepted
    /// is kept in memory and asked about again.
    pub lag: Duration,
    /// How long another replica's open claim is watched before anything is decided about it (`T_take`).
    pub takeover: Duration,
    /// After this a request that was sent is taken to have been carried out or never to be (`Q`).
    pub quiet: Duration,
    /// A Secret that is gone is read again after this, before it counts as gone.
    pub missing: Duration,
    /// A rejected credential must stay rejected for this long, over `dead_probes` probes, before it counts as dead. At least `lag`: one
    /// that was published unproven may be good and not known to ZITADEL's projection yet.
    pub dead: Duration,
    /// See `dead`.
    pub dead_probes: u32,
    /// Between two probes that brought no verdict.
    pub probe: Duration,
    /// The longest wait between two probes of a value that is rejected or in doubt; the first is `probe`, and they double.
    pub probe_most: Duration,
    /// How long the report of a new doubt waits for the first answer about the stored value.
    pub news: Duration,
    /// First wait after an attempt that was not carried out; doubles up to `retry_most`, and is four times as long each time after
    /// refusals that only a person can change.
    pub retry_first: Duration,
    /// First wait after anything else that did not change the world: a claim that was given up, a write that was undone, too many steps
    /// at once. Doubles up to `retry_most`.
    pub retry_soonest: Duration,
    /// Longest wait after something that did not change the world.
    pub retry_most: Duration,
    /// Between a second lost answer within `breaker_short` and its repair; six times as long for the third. The first is repaired at
    /// once.
    pub lost: Duration,
    /// Two repairs of an edited credential within this are a contest.
    pub contest: Duration,
    /// The time over which a thousand credentials are spread that became due while the operator was away.
    pub catch_up: Duration,
    /// The short period of the breaker of one application.
    pub breaker_short: Duration,
    /// The long period of the breaker of one application.
    pub breaker_long: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            request: s(30),
            recheck: s(20),
            send: s(2),
            prove: s(5),
            lag: s(75),
            takeover: s(15),
            quiet: s(90),
            missing: s(10),
            dead: s(75),
            dead_probes: 3,
            probe: s(20),
            probe_most: s(300),
            news: s(2),
            retry_first: s(30),
            retry_soonest: s(5),
            retry_most: s(3600),
            lost: s(10),
            contest: s(24 * 3600),
            catch_up: s(600),
            breaker_short: s(3600),
            breaker_long: s(24 * 3600),
        }
    }
}

/// Why a set of spans is unsafe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// `Q` must cover the way to ZITADEL and its own push deadline.
    #[error(
        "the quiet period must be at least the recheck, send and request deadlines and half a request deadline more"
    )]
    QuietTooShort,
    /// A value must not count as dead while its rotation may still take effect.
    #[error(
        "the time after which a rejected value counts as dead must be at least the longest known lag"
    )]
    DeadTooShort,
}

impl Timing {
    const SHORTEST_SEND: Duration = Duration::from_millis(500);
    /// Repairs of one application within `breaker_short`.
    pub const BREAKER_SHORT_LIMIT: u32 = 3;
    /// Repairs of one application within `breaker_long`.
    pub const BREAKER_LONG_LIMIT: u32 = 6;

    /// How long a lost answer waits for its repair, after so many repairs of lost answers within `breaker_short`.
    pub fn lost_pause(&self, before: usize) -> Duration {
        match before {
            0 => Duration::ZERO,
            1 => self.lost,
            _ => self.lost * 6,
        }
    }

    /// All protocol spans divided by `factor`; those of hours and days stay, but for the retries.
    #[must_use]
    pub fn scaled(self, factor: u32) -> Self {
        let factor = factor.max(1);
        let request = self.request / factor;
        let send = (self.send / factor).max(self.send.min(Self::SHORTEST_SEND));
        // NB: reads are not made faster, so it is as long as the quiet period allows.
        let allowed = (self.quiet / factor).saturating_sub(send + request + request / 2);
        Self {
            request,
            recheck: (self.recheck / factor).max(allowed.min(self.recheck)),
            // NB: the access token and a connection must fit into it on a busy machine, however fast the rest is made.
            send,
            prove: self.prove / factor,
            lag: self.lag / factor,
            takeover: self.takeover / factor,
            quiet: self.quiet / factor,
            missing: self.missing / factor,
            dead: self.dead / factor,
            probe: self.probe / factor,
            probe_most: self.probe_most / factor,
            // NB: an answer takes as long as it takes, however fast the rest is made.
            news: (self.news / factor).max(self.news.min(Self::SHORTEST_SEND)),
            retry_first: self.retry_first / factor,
            retry_soonest: self.retry_soonest / factor,
            retry_most: self.retry_most / factor,
            lost: self.lost / factor,
            catch_up: self.catch_up / factor,
            ..self
        }
    }

    /// `Q ≥ T_recheck + T_send + T_req + T_req/2`: with the default request deadline of 30 s the last term is ZITADEL's push deadline of
    /// 15 s. No rejected value counts as dead within `T_lag`.
    pub fn check(self) -> Result<Self, TimingError> {
        if self.quiet < self.recheck + self.send + self.request + self.request / 2 {
            return Err(TimingError::QuietTooShort);
        }
        if self.dead < self.lag {
            return Err(TimingError::DeadTooShort);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_every_span_of_the_protocol_is_shorter_by_the_same_factor() {
        let (whole, ms) = (Timing::default(), Duration::from_millis);
        let scaled = Timing {
            request: ms(300),
            prove: ms(50),
            lag: ms(750),
            takeover: ms(150),
            quiet: ms(900),
            missing: ms(100),
            dead: ms(750),
            probe: ms(200),
            probe_most: ms(3000),
            retry_first: ms(300),
            retry_soonest: ms(50),
            retry_most: ms(36_000),
            lost: ms(100),
            catch_up: ms(6000),
            // What others take is not made faster: a token, an answer, reads.
            send: ms(500),
            news: ms(500),
            recheck: ms(200),
            ..whole
        };
        assert_eq!(whole.scaled(100), scaled);
        assert_eq!(whole.scaled(1), whole);
        // As long as the quiet period allows.
        let half = whole.scaled(2);
        assert_eq!(half.recheck, whole.recheck);
    }

    #[test]
    fn the_defaults_are_safe_and_stay_so_when_scaled() {
        assert!(Timing::default().check().is_ok());
        for factor in [1, 2, 7, 50] {
            assert!(Timing::default().scaled(factor).check().is_ok(), "{factor}");
        }
        let quiet = Duration::from_secs(60);
        let short = Timing {
            quiet,
            ..Timing::default()
        };
        assert_eq!(short.check(), Err(TimingError::QuietTooShort));
        let lag = Timing::default().lag;
        let dead = lag.saturating_sub(Duration::from_millis(1));
        let short = Timing {
            dead,
            ..Timing::default()
        };
        assert_eq!(short.check(), Err(TimingError::DeadTooShort));
    }
}
