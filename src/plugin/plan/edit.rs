//! What follows from an edit of an object: by the operator's own decision and schedule, before and after it. No I/O.

mod consequence;
mod sides;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::{AppSecret, AppSecretStatus, ConditionType, Reason, Status, seconds};
use crate::plugin::decision::{Act, Found, Scene};
pub use crate::plugin::plan::edit::consequence::{Change, Consequence};
use crate::plugin::plan::edit::sides::{Ahead, Sides};
use crate::plugin::plan::grants::Granted;
use crate::rotation::Cause;
use crate::target::Target;
use crate::target::apps::standby_name;

/// So many Pods are named in a sentence.
const NAMED: usize = 10;

/// An object before and after an edit, and what is known around it.
#[derive(Debug)]
pub struct Edit<'a> {
    /// The object as it is; none: it is created.
    pub before: Option<&'a AppSecret>,
    /// The object as it will be.
    pub after: &'a AppSecret,
    /// Whether its connection lets it use its applications at present.
    pub was_granted: Granted,
    /// Whether it does then.
    pub granted: Granted,
    /// Whether its connection is to the same ZITADEL then; none: not known.
    pub same_zitadel: Option<bool>,
    /// A Secret of its new name.
    pub found: Option<Found>,
    /// The Pods that name its present Secret, or why they are not known. Only where that gets another name.
    pub pods: Result<Vec<String>, String>,
    /// The time.
    pub now: Timestamp,
    /// Until when rotations are counted.
    pub until: Timestamp,
}

impl Edit<'_> {
    /// What follows, the worst first. Empty: nothing is edited.
    pub fn consequences(&self) -> Vec<Consequence> {
        let is_edited = self
            .before
            .is_none_or(|before| before.spec != self.after.spec);
        let is_same = self.was_granted == self.granted && self.same_zitadel != Some(false);
        if !is_edited && is_same {
            return Vec::new();
        }
        let target = match Target::read_unlimited(self.after) {
            Ok(target) => target,
            Err(error) => {
                let stalls = Consequence::new(Change::Stalls, error.to_string());
                return vec![stalls.because(Reason::InvalidSpec.as_str())];
            }
        };
        let before = self
            .before
            .and_then(|before| Target::read_unlimited(before).ok());
        let status = self.before.and_then(|before| before.status.clone());
        let mut status = status.unwrap_or_default();
        if self.is_granted_again() {
            // What it stalls by is over then.
            status.conditions.remove(ConditionType::Stalled);
        }
        let mut all = self.all(&status, before.as_ref(), &target);
        if all.is_empty() && is_edited {
            let message = "nothing is rotated or written for it";
            all.push(Consequence::new(Change::Settles, message));
        }
        all.sort_by_key(|it| it.change);
        all
    }

    /// Whether a grant covers it that was not covered before.
    fn is_granted_again(&self) -> bool {
        self.before.is_some() && !is_covered(&self.was_granted) && self.granted == Granted::Yes
    }

    fn all(
        &self,
        status: &AppSecretStatus,
        before: Option<&Target>,
        target: &Target,
    ) -> Vec<Consequence> {
        let scene = Scene {
            written: before.map_or(&target.secret, |before| &before.secret),
            granted: is_covered(&self.granted),
            same_zitadel: self.same_zitadel.unwrap_or(true),
            found: self.found,
            ..Scene::present(target, status, self.now)
        };
        let course = scene.course();
        let (was, was_due) = before.map_or_else(Default::default, |before| {
            let scene = Scene {
                granted: is_covered(&self.was_granted),
                ..Scene::present(before, status, self.now)
            };
            let course = scene.course();
            let is_due = course.cause() == Some(Cause::Due);
            (Ahead::of(&scene, &course, self.until), is_due)
        });
        let sides = Sides {
            status,
            before,
            target,
            ahead: [was, Ahead::of(&scene, &course, self.until)],
            course,
            was_due,
            granted_again: self.is_granted_again(),
        };
        let single = [
            self.rotates(&sides),
            self.takes_over(&sides),
            self.stalls(&sides),
            sides.moves(),
            sides.suspends(),
            self.reconnects(&sides),
            sides.standby(),
        ];
        let acts = sides.course.acts.iter();
        let acts = acts.filter_map(|act| match act {
            Act::Moves => Some(self.renames(&sides)),
            // NB: what is there before the object is belongs to no one yet.
            Act::Renders => self.before.map(|_| self.renders(target)),
            Act::Provisions => Some(Consequence::new(
                Change::ChangesStandby,
                format!(
                    "the operator creates the application \"{}\"",
                    standby_name(&target.app.app)
                ),
            )),
            Act::TakesOver | Act::Rotates(_) => None,
        });
        single.into_iter().flatten().chain(acts).collect()
    }

    fn rotates(&self, sides: &Sides<'_>) -> Option<Consequence> {
        let cause = sides.course.cause()?;
        let target = sides.target;
        let because = match cause {
            Cause::FirstIssue => {
                let (app, secret) = (&target.app.app, &target.secret.name);
                format!("the first client secret of app {app} for Secret {secret}")
            }
            Cause::Trigger => "spec.rotation.trigger has a new text".to_owned(),
            Cause::Due if sides.was_due => "it is due, with this edit or without".to_owned(),
            Cause::Due => "with this edit it is old enough, and can start at once".to_owned(),
            Cause::Retire => {
                return Some(Consequence::new(
                    Change::RotatesNow,
                    "the overlap is over: the client secret before the stored one stops working",
                )
                .because(cause.as_str()));
            }
            Cause::SecretInvalid if self.same_zitadel == Some(false) => format!(
                "ZitadelConnection {} is to another ZITADEL, which rejects the stored client secret",
                target.connection
            ),
            Cause::SecretInvalid | Cause::SecretMissing | Cause::LostAttempt => {
                "the stored client secret does not work".to_owned()
            }
        };
        let then = if cause == Cause::FirstIssue {
            ": the application's present one stops working"
        } else if target.standby.is_some() || target.provisioned {
            "; the stored client secret goes on working"
        } else {
            "; the stored client secret stops working at once"
        };
        let stalled = sides.status.conditions.get(ConditionType::Stalled);
        let stalled = stalled.filter(|it| it.status == Status::True);
        let waits = stalled.map_or_else(String::new, |stalled| {
            format!("; at present it is stalled ({})", stalled.reason)
        });
        let message = format!("{because}{then}{waits}");
        let rotates = Consequence::new(Change::RotatesNow, message).because(cause.as_str());
        Some(Consequence {
            to: Some(seconds(self.now)),
            ..rotates
        })
    }

    fn takes_over(&self, sides: &Sides<'_>) -> Option<Consequence> {
        let is_kept = self.before.is_none() && self.found == Some(Found::Managed);
        let is_kept = is_kept && sides.course.cause().is_none() && sides.course.stalled().is_none();
        (is_kept || sides.course.acts.contains(&Act::TakesOver)).then(|| {
            let message = format!(
                "Secret {} is taken over if ZITADEL accepts the client secret in it; nothing is generated for that",
                sides.target.secret.name
            );
            Consequence::new(Change::TakesOver, message)
        })
    }

    fn stalls(&self, sides: &Sides<'_>) -> Option<Consequence> {
        let reason = sides.course.stalled()?;
        let connection = &sides.target.connection;
        let (change, message) = match (reason, &self.granted) {
            (Reason::Suspended, _) => return None,
            (Reason::NotGranted, Granted::NoConnection) => {
                let message = format!("ZitadelConnection {connection} does not exist");
                let stalls = Consequence::new(Change::Stalls, message);
                return Some(stalls.because(Reason::ConnectionNotFound.as_str()));
            }
            (Reason::NotGranted, _) => {
                let is_lost = self.before.is_some() && self.was_granted == Granted::Yes;
                let change = if is_lost {
                    Change::LosesGrant
                } else {
                    Change::NotGranted
                };
                let message = format!(
                    "no grant of ZitadelConnection {connection} covers this namespace, project and application: nothing is rotated, and the Secret stays as it is"
                );
                (change, message)
            }
            (Reason::NothingToAdopt, _) => {
                let message = format!(
                    "spec.secret.adoptionPolicy is Required, and there is no Secret {} to take over",
                    sides.target.secret.name
                );
                (Change::Stalls, message)
            }
            (Reason::SecretNotOwned, _) => {
                let message = format!(
                    "Secret {} exists but is not managed by the operator: set spec.secret.adoptionPolicy: Required to take it over, or another spec.secret.name",
                    sides.target.secret.name
                );
                (Change::Stalls, message)
            }
            (reason, _) => (Change::Stalls, reason.meaning().trim().to_owned()),
        };
        Some(Consequence::new(change, message).because(reason.as_str()))
    }

    fn reconnects(&self, sides: &Sides<'_>) -> Option<Consequence> {
        let (was, is) = (&sides.before?.connection, &sides.target.connection);
        let what = match self.same_zitadel {
            Some(true) => "which is to the same ZITADEL: nothing is rotated for that",
            Some(false) => "which is to another ZITADEL",
            None => {
                "and it is not known whether that is to the same ZITADEL: to another one, a new client secret is generated"
            }
        };
        let message = format!("from ZitadelConnection {was} to {is}, {what}");
        (was != is).then(|| Consequence::new(Change::Reconnects, message))
    }

    fn renames(&self, sides: &Sides<'_>) -> Consequence {
        let was = sides.status.secret_name.as_deref().unwrap_or_default();
        let is = &sides.target.secret.name;
        let (pods, text) = match &self.pods {
            Ok(pods) if pods.is_empty() => (Vec::new(), format!("no Pod names {was}")),
            Ok(pods) => {
                let text = format!(
                    "{} {was}, without which no container of theirs starts: {}",
                    match pods.len() {
                        1 => "1 Pod names".to_owned(),
                        count => format!("{count} Pods name"),
                    },
                    named(pods)
                );
                (pods.clone(), text)
            }
            Err(why) => (
                Vec::new(),
                format!("which Pods name {was} is not known: {why}"),
            ),
        };
        let message = format!(
            "the value moves from Secret {was} to Secret {is}, and {was} is deleted; {text}"
        );
        Consequence {
            pods,
            ..Consequence::new(Change::Renames, message)
        }
    }

    fn renders(&self, target: &Target) -> Consequence {
        let fields = self.fields();
        let of_secret = fields
            .iter()
            .filter(|field| field.starts_with("spec.secret"));
        let of_secret: Vec<&str> = of_secret.map(String::as_str).collect();
        let message = format!(
            "Secret {} is written again from the value that is there ({})",
            target.secret.name,
            of_secret.join(", ")
        );
        Consequence::new(Change::Renders, message)
    }

    /// The fields that are edited, such as `spec.rotation.interval`.
    pub fn fields(&self) -> Vec<String> {
        let mut fields = Vec::new();
        if let Some(before) = self.before {
            let json = |object: &AppSecret| serde_json::to_value(&object.spec).unwrap_or_default();
            differences("spec", &json(before), &json(self.after), &mut fields);
        }
        fields
    }
}

/// Whether a grant covers it, as far as that is known.
const fn is_covered(granted: &Granted) -> bool {
    !matches!(granted, Granted::No | Granted::NoConnection)
}

/// The first of them, and how many more there are.
fn named(pods: &[String]) -> String {
    let names: Vec<&str> = pods.iter().take(NAMED).map(String::as_str).collect();
    let rest = match pods.len() - names.len() {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!("{}{rest}", names.join(", "))
}

/// Which fields differ. A list counts as one.
fn differences(path: &str, one: &Value, other: &Value, into: &mut Vec<String>) {
    if let (Value::Object(one), Value::Object(other)) = (one, other) {
        let names = one
            .keys()
            .chain(other.keys().filter(|name| !one.contains_key(*name)));
        for name in names {
            let (one, other) = (one.get(name), other.get(name));
            let path = format!("{path}.{name}");
            let null = Value::Null;
            differences(&path, one.unwrap_or(&null), other.unwrap_or(&null), into);
        }
    } else if one != other {
        into.push(path.to_owned());
    }
}

#[cfg(test)]
mod tests;
