//! Why a client secret is generated: the only seven causes, and the search for one. No I/O.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decide::settled_report;
use super::facts::{Journal, JournalEvent, Observed, Probe, SecretState, SecretView, Value};
use super::memory::DoubtKind;
use super::pair::{Claims, overlap_is_over, standby_is_ready};
use super::round::{Round, rest, stalled, waiting};
use super::{
    Blocked, Claim, DueState, Entry, Facts, HandledTrigger, Origin, Owner, Repairs, Report, Retry,
    Source, Step,
};
use crate::api::Reason;
use crate::ids::Sequence;

/// Why a credential is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// There is no credential yet.
    FirstIssue,
    /// The schedule says so.
    Due,
    /// `spec.rotation.trigger` has a new value.
    Trigger,
    /// The Secret, or the client secret in it, is gone.
    SecretMissing,
    /// ZITADEL refuses the stored client secret, proven by repeated probes.
    SecretInvalid,
    /// A rotation was carried out and its answer lost, proven by ZITADEL's journal.
    LostAttempt,
    /// The overlap is over: the pair before the stored one, which is the standby's, is made useless. Nobody gets what is generated.
    Retire,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 7] = [
        Self::FirstIssue,
        Self::Due,
        Self::Trigger,
        Self::SecretMissing,
        Self::SecretInvalid,
        Self::LostAttempt,
        Self::Retire,
    ];

    /// As it stands in status, metrics and the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstIssue => "FirstIssue",
            Self::Due => "Due",
            Self::Trigger => "Trigger",
            Self::SecretMissing => "SecretMissing",
            Self::SecretInvalid => "SecretInvalid",
            Self::LostAttempt => "LostAttempt",
            Self::Retire => "Retire",
        }
    }

    /// Whether the breaker may hold it back.
    pub const fn is_repair(self) -> bool {
        matches!(
            self,
            Self::SecretMissing | Self::SecretInvalid | Self::LostAttempt
        )
    }
}

/// The cause of an attempt, as a claim says it: a later version of the same format may know others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttemptCause {
    /// One that this version knows.
    Known(Cause),
    /// Another one, by its word.
    Other(CauseWord),
}

/// The word of a cause that this version does not know: up to 64 letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CauseWord(String);

impl TryFrom<String> for CauseWord {
    type Error = &'static str;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        let is_word = word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_word && (1..=64).contains(&word.len()) {
            Ok(Self(word))
        } else {
            Err("a cause is a word of up to 64 letters and digits")
        }
    }
}

impl AttemptCause {
    /// The cause, if this version knows it.
    pub const fn known(&self) -> Option<Cause> {
        match self {
            Self::Known(cause) => Some(*cause),
            Self::Other(_) => None,
        }
    }

    /// Its word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(cause) => cause.as_str(),
            Self::Other(CauseWord(word)) => word,
        }
    }

    /// Whether this version knows it as a repair.
    pub(super) const fn is_known_repair(&self) -> bool {
        matches!(self, Self::Known(cause) if cause.is_repair())
    }
}

impl From<Cause> for AttemptCause {
    fn from(cause: Cause) -> Self {
        Self::Known(cause)
    }
}

impl PartialEq<Cause> for AttemptCause {
    fn eq(&self, other: &Cause) -> bool {
        self.known() == Some(*other)
    }
}

/// What the search came to.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a round, and often it is a step"
)]
pub(super) enum Found {
    /// A reason to rotate.
    Cause(Cause),
    /// A reason to rotate in place of the open attempt, which is known not to have been carried out.
    Instead(Cause),
    /// A lost answer to make up for once more, since the attempt that was to do so is known not to have been carried out.
    Again,
    /// None; this is to be done instead.
    Nothing(Step),
}

/// Searches for a cause where no attempt is open. One that is known not to have been carried out is void in its claim.
pub(super) fn find(
    round: &mut Round<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> Result<Found, Step> {
    let owner = &round.facts.object.owner;
    let claim = claims.of(round.slot);
    let mine = claim.filter(|claim| claim.owner == *owner);
    let ours = claims.all().filter(|claim| claim.owner == *owner);
    let used = |claim: &&Claim| claim.issued || claim.live_attempt().is_some();
    // That of the pair in use knows which trigger was handled; without it the newest attempt.
    let issued = mine
        .filter(used)
        .or_else(|| {
            let used = ours.clone().filter(used);
            used.max_by_key(|claim| claim.live_attempt().map(|attempt| attempt.id))
        })
        // NB: a Secret that goes with the object's predecessor is not missed, it was never this one's.
        .filter(|_| !round.memory.inherited);
    let known = mine.or_else(|| ours.clone().next());
    match secret {
        SecretState::Absent if issued.is_some() => missing(round, issued),
        SecretState::Absent if round.facts.object.adopt => nothing_to_adopt(round, known, claim),
        SecretState::Absent => Ok(Found::Cause(first(ours))),
        SecretState::Present(secret) => {
            let entry = match &secret.commit {
                Ok(entry) => entry.clone(),
                Err(_) => None,
            };
            match (entry, secret.value) {
                (None, Value::Absent) if issued.is_some() => missing(round, issued),
                (None, Value::Absent) if round.facts.object.adopt => {
                    nothing_to_adopt(round, known, claim)
                }
                (None, Value::Absent) => Ok(Found::Cause(first(ours))),
                (None, _) => take_over(round, mine, claim, secret),
                (Some(_), Value::Absent) => missing(round, mine),
                (Some(entry), _) => {
                    round.memory.missing = None;
                    round.memory.inherited = !secret.owned;
                    stored(round, mine, claim, secret, &entry)
                }
            }
        }
    }
}

/// The trigger that counts as handled where no claim says: by the record of the object's own Secret, where there is none by the status, and
/// where that says nothing the one that is there.
///
/// NB: the status of an object that was made again during a rotation may be a mirror of the former one's claim.
pub(super) fn handled_trigger(facts: &Facts) -> Option<String> {
    let object = &facts.object;
    if let Some(SecretState::Present(secret)) = facts.secret.known()
        && let HandledTrigger::Recorded(trigger) = &secret.handled_trigger
        && (secret.owned || *trigger == object.trigger)
    {
        return trigger.clone();
    }
    let observed = object.observed_trigger.as_ref();
    observed
        .or(object.trigger.as_ref())
        .filter(|trigger| !trigger.is_empty())
        .cloned()
}

/// The cause where nothing was ever written. A replacement of a lost answer that was given up before it was sent is still one: by
/// another name the breaker would not count it. What this version does not know may have been one.
fn first<'a>(mine: impl IntoIterator<Item = &'a Claim>) -> Cause {
    let mut given_up = mine.into_iter().filter_map(|claim| claim.attempt.as_ref());
    if given_up.any(|it| {
        it.cause
            .known()
            .is_none_or(|cause| cause == Cause::LostAttempt)
    }) {
        Cause::LostAttempt
    } else {
        Cause::FirstIssue
    }
}

/// An existing value is to be adopted, and there is none that can be. A new one would invalidate the one that consumers use, so it is made
/// only for a trigger that was set since. `mine` is the object's own claim, which knows the trigger that was there before.
fn nothing_to_adopt(
    round: &mut Round<'_>,
    mine: Option<&Claim>,
    claim: Option<&Claim>,
) -> Result<Found, Step> {
    let facts = round.facts;
    let trigger = facts.object.trigger.as_deref();
    let Some(mine) = mine else {
        let trigger = facts.object.trigger.clone();
        return claimed(round, claim, trigger, Claim::unissued);
    };
    if trigger.is_some() && trigger != mine.trigger(false) {
        return Ok(Found::Cause(Cause::Trigger));
    }
    Ok(Found::Nothing(stalled(
        Reason::NothingToAdopt,
        Retry::After(facts.timing.retry_most / 12),
    )))
}

/// Writes the object's own claim without an attempt, over one that was another's or over none. What that remembers of repairs is kept.
fn claimed(
    round: &mut Round<'_>,
    before: Option<&Claim>,
    trigger: Option<String>,
    make: fn(Owner, Option<String>, Option<Timestamp>) -> Claim,
) -> Result<Found, Step> {
    let repairs = repairs(round, before)?;
    round.current()?;
    let owner = round.facts.object.owner.clone();
    let claim = make(owner, trigger, before.and_then(|it| it.invalid_repair));
    let unknown = before.map(|it| it.unknown.clone()).unwrap_or_default();
    let claim = Claim {
        unknown,
        ..claim.remembering(repairs)
    };
    let step = round.write_claim(claim);
    Ok(Found::Nothing(step))
}

/// A value that is recorded as ours: is it the newest, is it good, is something due?
fn stored(
    round: &mut Round<'_>,
    mine: Option<&Claim>,
    claim: Option<&Claim>,
    secret: &SecretView,
    entry: &Entry,
) -> Result<Found, Step> {
    let facts = round.facts;
    let sequence = entry.sequence;
    let Some(mine) = mine else {
        // A CR that was deleted and created again, or a claim that was swept: the value decides, and nothing is rotated if it is good.
        if let Some(found) = verify(round, claim, secret)? {
            return Ok(found);
        }
        return claimed(round, claim, handled_trigger(facts), Claim::settled);
    };
    let news = round
        .seen()
        .hint
        .is_some_and(|hint| round.memory.is_news(hint, sequence));
    let asked = news || round.memory.drift.is_some();
    let journal = match &round.seen().journal {
        Observed::Live(journal) => Some(journal),
        Observed::Unread | Observed::Cached(_) if asked => {
            return Err(round.read(&[Source::Journal]));
        }
        // NB: the question stays open. Passed over, a rotation by somebody else would never be noticed.
        Observed::Failed(failure) if asked && !failure.permanent => {
            if news {
                round.doubts(DoubtKind::News);
            }
            return Err(round.failed(failure));
        }
        _ => None,
    };
    if (asked || journal.is_some())
        && let Some(found) = drift(round, mine, journal, secret, sequence)?
    {
        return Ok(found);
    }
    if facts.object.trigger.is_some()
        && facts.object.trigger.as_deref() != mine.handled(entry.attempt)
    {
        return Ok(Found::Cause(Cause::Trigger));
    }
    if let Some(found) = verify(round, Some(mine), secret)? {
        return Ok(found);
    }
    if let DueState::Due { .. } = facts.object.due {
        return Ok(Found::Cause(Cause::Due));
    }
    if secret.refused == Some(Reason::SecretContested) {
        // The value works. It is said now, and not when the next rotation is refused for it.
        let most = facts.timing.retry_most;
        let until_due = match facts.object.due {
            DueState::NotDue { next } => next.duration_since(facts.now.time).unsigned_abs(),
            _ => most,
        };
        let retry = Retry::After(most.min(until_due));
        let contested = waiting(Reason::SecretContested.into(), retry);
        return Ok(Found::Nothing(rest(contested)));
    }
    if !secret.rendered || !secret.owned {
        if let Some(step) = round.backing_off() {
            return Ok(Found::Nothing(step));
        }
        if let Some(reason) = secret.refused {
            return Ok(Found::Nothing(stalled(reason, Retry::OnChange)));
        }
        round.current()?;
        return Ok(Found::Nothing(round.render(secret.version.clone(), None)));
    }
    standby_is_ready(round)?;
    if overlap_is_over(round) {
        return Ok(Found::Cause(Cause::Retire));
    }
    let report = if round.memory.doubt.is_some() {
        waiting(
            Reason::NoVerdict.into(),
            // NB: it is asked about again all the same.
            Retry::OnChange,
        )
    } else {
        settled_report(facts)
    };
    Ok(Found::Nothing(rest(report)))
}

/// The repairs that a claim has to remember which is written over this one. Where there is none, the journal stands in: a claim that
/// was deleted must not reset the breaker.
pub(super) fn repairs(round: &mut Round<'_>, claim: Option<&Claim>) -> Result<Repairs, Step> {
    if let Some(claim) = claim {
        return Ok(claim.counted());
    }
    let facts = round.facts;
    match &round.seen().journal {
        Observed::Live(journal) => {
            let explained = facts.object.explained.sequences(facts.secret.known());
            let (now, timing) = (facts.now.time, &facts.timing);
            Ok(Repairs::by_journal(journal, &explained, now, timing))
        }
        Observed::Unread | Observed::Cached(_) => Err(round.read(&[Source::Journal])),
        Observed::Failed(failure) if failure.permanent => Ok(Repairs::default()),
        Observed::Failed(failure) => Err(round.failed(failure)),
    }
}

/// The Secret or its value is gone: looked for twice before it counts. Where that is only reported, a new trigger makes a new value.
/// `mine` is the claim that was used last.
fn missing(round: &mut Round<'_>, mine: Option<&Claim>) -> Result<Found, Step> {
    let facts = round.facts;
    if !facts.object.recovery.missing {
        let handled = mine.and_then(|mine| mine.trigger(mine.live_attempt().is_some()));
        if facts.object.trigger.is_some() && facts.object.trigger.as_deref() != handled {
            return Ok(Found::Cause(Cause::Trigger));
        }
        return Ok(Found::Nothing(stalled(
            Reason::SecretMissing,
            Retry::OnChange,
        )));
    }
    let since = *round.memory.missing.get_or_insert(facts.now.boot);
    match round.left(since, facts.timing.missing) {
        Some(left) => Err(rest(Report::Working {
            blocked: Reason::SecretMissing.into(),
            retry: Retry::After(left),
        })),
        None => Ok(Found::Cause(Cause::SecretMissing)),
    }
}

/// A value that is taken over is recorded with the newest event, so it must be probed after that event was read and its effect
/// can be seen. What an earlier probe said is of before.
pub(super) fn read_before_probe(round: &Round<'_>) -> Result<(), Step> {
    if matches!(round.seen().journal, Observed::Unread | Observed::Cached(_)) {
        return Err(round.read(&[Source::Journal, Source::App, Source::Probe]));
    }
    // NB: after the journal, so that the effect of its newest event can be seen.
    if matches!(round.seen().app, Observed::Unread | Observed::Cached(_)) {
        return Err(round.read(&[Source::App, Source::Probe]));
    }
    Ok(())
}

/// A value of unknown origin: kept if ZITADEL accepts it.
fn take_over(
    round: &mut Round<'_>,
    mine: Option<&Claim>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> Result<Found, Step> {
    let facts = round.facts;
    if mine.is_some() {
        read_before_probe(round)?;
        // Whatever is known of this revision may be older than the newest event.
        if let Some(found) = prove(round, claim, secret)? {
            return Ok(found);
        }
    } else if let Some(found) = verify(round, claim, secret)? {
        return Ok(found);
    }
    if mine.is_none() {
        return claimed(round, claim, handled_trigger(facts), Claim::settled);
    }
    round.current()?;
    if let Some(step) = round.backing_off() {
        return Ok(Found::Nothing(step));
    }
    if let Some(reason) = secret.refused {
        let trigger = facts.object.trigger.as_deref();
        let handled = mine.and_then(|mine| mine.trigger(false));
        if reason == Reason::SecretContested && trigger.is_some() && trigger != handled {
            return Ok(Found::Cause(Cause::Trigger));
        }
        return Ok(Found::Nothing(stalled(reason, Retry::OnChange)));
    }
    let newest = match &round.seen().journal {
        Observed::Live(journal) => journal.newest().map(|event| (event.sequence, event.time)),
        Observed::Failed(failure) if failure.permanent => None,
        Observed::Failed(failure) => return Err(round.failed(failure)),
        Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Journal])),
    };
    let (sequence, change_date) = newest.unwrap_or((Sequence(0), facts.now.time));
    let entry = Entry {
        attempt: None,
        sequence,
        change_date,
    };
    let record = Some((secret.active, entry));
    Ok(Found::Nothing(round.render(secret.version.clone(), record)))
}

/// Compares the stored sequence with the journal. Without one, or with one that was cut, only the value itself tells.
fn drift(
    round: &mut Round<'_>,
    mine: &Claim,
    journal: Option<&Journal>,
    secret: &SecretView,
    sequence: Sequence,
) -> Result<Option<Found>, Step> {
    let facts = round.facts;
    let newest_event = journal.and_then(Journal::newest);
    let newest_own = journal
        .and_then(Journal::newest_own)
        .filter(|event| event.sequence > sequence);
    let own = newest_own.map(|event| event.sequence);
    let newest = newest_event.map(|event| event.sequence);
    if let Some(own) = own
        && newest == Some(own)
    {
        // An own rotation that the Secret does not know of, and no open claim: wait out whatever may still be on its way, then repair once.
        let since = match round.memory.drift {
            Some((seen, since)) if seen == own => since,
            _ => facts.now.boot,
        };
        let news = round.memory.drift.is_none_or(|(seen, _)| seen != own);
        round.memory.drift = Some((own, since));
        if news {
            // Whatever is known of the value is of before.
            round.memory.doubts(DoubtKind::News, facts.now.boot);
            return Err(round.read(&[Source::App, Source::Probe]));
        }
        return match round.left(since, facts.timing.quiet) {
            Some(left) => Err(rest(waiting(
                Reason::OutcomeUnknown.into(),
                Retry::After(left),
            ))),
            None => match &facts.probe {
                Observed::Unread | Observed::Cached(_) => Err(round.read(&[Source::Probe])),
                // Accepted all the same: that rotation had no effect, or it was answered without its sequence. The record was behind.
                Observed::Live(Probe::Valid) => {
                    Ok(Some(Found::Nothing(correct(round, newest_own, secret))))
                }
                Observed::Live(Probe::Refused) => Ok(Some(Found::Cause(Cause::LostAttempt))),
                // Nobody says so of the value itself: as long again, then the journal's word is enough.
                Observed::Live(Probe::NoVerdict) | Observed::Failed(_) => {
                    match round.left(since, facts.timing.quiet * 2) {
                        Some(left) => Err(rest(waiting(
                            Reason::NoVerdict.into(),
                            Retry::After(left.min(facts.timing.probe)),
                        ))),
                        None => Ok(Some(Found::Cause(Cause::LostAttempt))),
                    }
                }
            },
        };
    }
    round.memory.drift = None;
    if newest == Some(sequence) {
        round.memory.looked_into(round.seen().hint, sequence);
        return Ok(None);
    }
    // Rotated by somebody else, or ZITADEL was restored from a backup, or the journal can't tell: only the value itself does.
    round.doubts(DoubtKind::News);
    let found = prove(round, Some(mine), secret)?;
    if found.is_none() {
        if round.memory.doubt.is_some() {
            // Nobody could tell: the question stays open.
            round.memory.doubts(DoubtKind::News, facts.now.boot);
            return Ok(None);
        }
        round.memory.looked_into(round.seen().hint, sequence);
        // ZITADEL counts from a lower number again, and the value is good: the record is lowered.
        if newest.is_some_and(|newest| newest < sequence) {
            return Ok(Some(Found::Nothing(correct(round, newest_event, secret))));
        }
    }
    Ok(found)
}

/// Corrects the record of a stored value that ZITADEL accepts.
fn correct(round: &mut Round<'_>, newest: Option<&JournalEvent>, secret: &SecretView) -> Step {
    round.memory.verified = Some(secret.version.revision.clone());
    let entry = secret.commit.as_ref().ok().and_then(Option::as_ref);
    let attempt = entry.and_then(|entry| entry.attempt);
    let record = newest.map(|event| (secret.active, event.entry(attempt)));
    let step = round.render(secret.version.clone(), record);
    if matches!(step, Step::Render { .. }) {
        round.memory.drift = None;
    }
    step
}

/// Makes sure that the stored value is accepted, unless this revision of the Secret was verified before.
fn verify(
    round: &mut Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> Result<Option<Found>, Step> {
    let revision = &secret.version.revision;
    let known = [&round.memory.verified, &round.facts.object.verified];
    // NB: the status is a mirror that tenants may edit; it can only spare a probe, and only while nothing else is odd.
    if claim.is_some()
        && round.memory.rejected.is_none()
        && round.memory.doubt.is_none()
        && known.contains(&&Some(revision.clone()))
    {
        return Ok(None);
    }
    prove(round, claim, secret)
}

/// Probes the stored value. `None`: accepted, or nothing can be concluded and the rest may go on.
fn prove(
    round: &mut Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> Result<Option<Found>, Step> {
    let facts = round.facts;
    let verdict = match &facts.probe {
        Observed::Live(verdict) => *verdict,
        Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Probe])),
        Observed::Failed(_) => Probe::NoVerdict,
    };
    if verdict != Probe::NoVerdict {
        let now = facts.now.boot;
        round.memory.judged(&secret.version, verdict, now);
    }
    match verdict {
        Probe::Valid => Ok(None),
        Probe::NoVerdict => no_verdict(round, claim, secret),
        Probe::Refused => refused(round, claim, secret),
    }
}

/// Nothing can be concluded of the stored value.
fn no_verdict(
    round: &mut Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> Result<Option<Found>, Step> {
    round
        .memory
        .doubts(DoubtKind::Unproven, round.facts.now.boot);
    unless_ours_is_stored(round, claim, secret)
}

/// Nothing is decided about a value of unknown origin, or under a claim that is not ours yet.
fn unless_ours_is_stored(
    round: &Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> Result<Option<Found>, Step> {
    let facts = round.facts;
    let ours = matches!(secret.commit, Ok(Some(_)))
        && claim.is_some_and(|claim| claim.owner == facts.object.owner);
    if ours {
        return Ok(None);
    }
    Err(rest(waiting(
        Reason::NoVerdict.into(),
        Retry::After(facts.timing.probe),
    )))
}

/// Whether nothing explains that the stored value is refused: ZITADEL accepted it once, the bytes are those that the operator wrote, and the journal has
/// its event and none that is newer. Then the judge is wrong, for example while ZITADEL builds its projections anew, and refuses every
/// value of every application; another one would be refused as well.
fn is_unexplained(facts: &Facts, secret: &SecretView, journal: &Journal) -> bool {
    let Ok(Some(entry)) = &secret.commit else {
        return false;
    };
    let its_own = |event: &JournalEvent| event.sequence == entry.sequence;
    // NB: of two rotations at once the later one counts, whatever their sequences are.
    let newer = |event: &JournalEvent| {
        event.sequence > entry.sequence || (!its_own(event) && event.time >= entry.change_date)
    };
    secret.origin == Origin::Own
        && facts.object.proven == Some(entry.sequence)
        && journal.0.iter().any(its_own)
        && !journal.0.iter().any(newer)
}

/// ZITADEL refuses the stored value: dead only when it stays so, the application is active and the journal can be read.
fn refused(
    round: &mut Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> Result<Option<Found>, Step> {
    let facts = round.facts;
    // An inactive application is refused whatever its secret is: the count begins when it is seen to be active.
    if let Some(reason) = round.app()?.refused {
        round.refused_for_another_reason(&secret.version);
        return Err(stalled(reason, Retry::After(facts.timing.probe)));
    }
    let (first, count) = round.refused_once_more(&secret.version);
    let left = round.left(first, facts.timing.dead);
    if count < facts.timing.dead_probes || left.is_some() {
        let again = round.after_asking(count);
        return Err(rest(Report::Working {
            blocked: Reason::Refused.into(),
            retry: Retry::After(
                left.filter(|_| count >= facts.timing.dead_probes)
                    .unwrap_or(again),
            ),
        }));
    }
    let foreign = match &round.seen().journal {
        Observed::Live(journal) if !round.unresolved && is_unexplained(facts, secret, journal) => {
            return unless_ours_is_stored(round, claim, secret);
        }
        Observed::Live(journal) => journal.newest().is_some_and(|event| !event.own),
        Observed::Failed(failure) if failure.permanent => false,
        Observed::Failed(failure) => return Err(round.failed(failure)),
        Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Journal])),
    };
    let owner = &facts.object.owner;
    let mine = claim.filter(|claim| claim.owner == *owner);
    let issued = |claim: &Claim| claim.issued || claim.live_attempt().is_some();
    if facts.object.adopt && !matches!(secret.commit, Ok(Some(_))) && !mine.is_some_and(issued) {
        return nothing_to_adopt(round, mine, claim).map(Some);
    }
    if !facts.object.recovery.invalid {
        let reason = if foreign {
            Reason::RotatedElsewhere
        } else {
            Reason::SecretInvalid
        };
        return Err(stalled(reason, Retry::After(facts.timing.retry_most)));
    }
    let new_trigger = facts.object.trigger.is_some()
        && claim.is_some_and(|claim| claim.trigger(true) != facts.object.trigger.as_deref());
    if new_trigger {
        return Ok(Some(Found::Cause(Cause::Trigger)));
    }
    let last = claim.and_then(|claim| claim.invalid_repair);
    if last.is_some_and(|last| {
        facts.now.time.duration_since(last).unsigned_abs() < facts.timing.contest
    }) {
        let blocked = Blocked::from(match (foreign, secret.co_written) {
            (true, _) => Reason::Contested,
            (false, true) => Reason::SecretContested,
            // Nobody else wrote it, so ZITADEL rejects what it hands out itself.
            (false, false) => Reason::Refused,
        });
        return Err(rest(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        }));
    }
    Ok(Some(Found::Cause(Cause::SecretInvalid)))
}
