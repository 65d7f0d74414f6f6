//! `spec.secret.name` was changed: the newest value moves. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::api::Reason;
use crate::rotation::claims::Claims;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::secret::{SecretState, SecretView};
use crate::rotation::step::{Retry, Step, rest, stalled};

/// `spec.secret.name` was changed. That is no cause: the newest value moves.
pub(super) fn renamed(
    eval: &mut Evaluation<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step> {
    let facts = eval.facts;
    let Some(former) = &facts.former else {
        return Continue(());
    };
    if eval.memory.claimed.is_some() {
        return Continue(());
    }
    if let Some(report) = eval.backing_off() {
        return Break(rest(report));
    }
    eval.current()?;
    // The process that called generate under the former name may still be writing there.
    for slot in facts.slots() {
        let Some((_, attempt)) = claims.open(*slot, secret) else {
            continue;
        };
        let known =
            former.carries.contains(&attempt.id) || eval.memory.not_executed == Some(attempt.id);
        if !known {
            let since = eval.memory.attempt_seen(attempt.id, facts.now.boot);
            eval.quiet(Some(since))?;
        }
    }
    let moved = |over: Option<&SecretView>| Step::Move {
        former: former.clone(),
        over: over.map(|view| view.version.clone()),
    };
    Break(match secret {
        SecretState::Absent => moved(None),
        SecretState::Present(view) => match &view.commit {
            Ok(Some(entry)) if entry.sequence >= former.sequence => {
                Step::DropFormer(former.clone())
            }
            // One of long ago that was kept.
            Ok(Some(_)) => moved(Some(view)),
            // There was another Secret of the new name, and a value that is held is not thrown away for it.
            _ => rest(stalled(Reason::SecretNotOwned, Retry::OnChange)),
        },
    })
}
