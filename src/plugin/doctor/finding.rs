//! What a check comes to: one line of `doctor`. No I/O.

use jiff::Timestamp;
use serde::Serialize;

use crate::plugin::exit::Exit;
use crate::plugin::fault::{Asked, ClusterError};
use crate::plugin::output::{Cell, Column, Record, Tone};

/// What is checked, in the order in which one depends on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// The custom resource definitions.
    Definition,
    /// The operator's Deployment.
    Operator,
    /// The leader election.
    Leader,
    /// What the operator may do.
    Rights,
    /// The clocks of the caller, of the operator and of ZITADEL.
    Clock,
    /// A connection, as the operator sees it.
    Connection,
    /// The operator's credential of a connection.
    Credential,
    /// ZITADEL, as the caller sees it.
    FromHere,
    /// Objects that no operator reconciles, or that need attention.
    Object,
    /// Claims left behind.
    Claim,
    /// Applications left behind in ZITADEL.
    Standby,
    /// Secrets left behind.
    Secret,
    /// What the caller may do.
    Caller,
}

impl Check {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::Operator => "operator",
            Self::Leader => "leader",
            Self::Rights => "rights",
            Self::Clock => "clock",
            Self::Connection => "connection",
            Self::Credential => "credential",
            Self::FromHere => "fromHere",
            Self::Object => "object",
            Self::Claim => "claim",
            Self::Standby => "standby",
            Self::Secret => "secret",
            Self::Caller => "caller",
        }
    }
}

/// What a check comes to, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Something does not work.
    Problem,
    /// Something will not work for long, or is left behind.
    Warning,
    /// It could not be checked.
    Unknown,
    /// Something that may be meant so.
    Info,
    /// As it should be.
    Ok,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Info => "info",
            Self::Ok => "ok",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Problem => Tone::Bad,
            Self::Warning | Self::Unknown => Tone::Warning,
            Self::Info => Tone::Plain,
            Self::Ok => Tone::Good,
        }
    }
}

/// What a check comes to, and the command that helps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it comes to.
    pub result: Verdict,
    /// What was checked.
    pub check: Check,
    /// The namespace of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The object, as kubectl takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// A sentence.
    pub message: String,
    /// A command that fixes it, or shows more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How the command ends for want of this check.
    #[serde(skip)]
    pub exit: Exit,
}

impl Finding {
    /// A finding about nothing in particular.
    pub fn new(check: Check, result: Verdict, message: impl Into<String>) -> Self {
        Self {
            result,
            check,
            namespace: None,
            object: None,
            message: message.into(),
            command: None,
            exit: match result {
                Verdict::Problem | Verdict::Warning => Exit::Finding,
                Verdict::Unknown | Verdict::Info | Verdict::Ok => Exit::Fine,
            },
        }
    }

    /// That a check could not be made. Of a right that is missing it names verb, resource and place.
    pub fn unknown(check: Check, error: &ClusterError) -> Self {
        let message = match error {
            ClusterError::Denied(asked) => {
                format!("not checked: it needs the right to {}", right(asked))
            }
            other => format!("not checked: {other}"),
        };
        Self {
            exit: error.exit(),
            ..Self::new(check, Verdict::Unknown, message)
        }
    }

    /// The same about an object of a namespace.
    #[must_use]
    pub fn about(self, namespace: &str, object: impl Into<String>) -> Self {
        Self {
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            object: Some(object.into()),
            ..self
        }
    }

    /// The same with a command.
    #[must_use]
    pub fn fix(self, command: impl Into<String>) -> Self {
        Self {
            command: Some(command.into()),
            ..self
        }
    }

    /// The object without the group of its kind.
    fn short(&self) -> Option<String> {
        let (kind, name) = self.object.as_deref()?.split_once('/')?;
        let kind = kind.split('.').next().unwrap_or_default();
        Some(format!("{kind}/{name}"))
    }

    fn text(&self) -> String {
        match &self.command {
            Some(command) => format!("{}: `{command}`", self.message),
            None => self.message.clone(),
        }
    }
}

/// Such as `list leases.coordination.k8s.io in namespace orders`.
fn right(asked: &Asked) -> String {
    let place = match &asked.namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None => " in the whole cluster".to_owned(),
    };
    format!("{} {}{place}", asked.verb, asked.resource)
}

impl Record for Finding {
    fn reference(&self) -> String {
        self.object.clone().unwrap_or_default()
    }
}

/// How `doctor` ends: a finding counts more than what could not be checked.
pub fn exit(findings: &[Finding]) -> Exit {
    let exits = || findings.iter().map(|finding| finding.exit);
    if exits().any(|exit| exit == Exit::Finding) {
        return Exit::Finding;
    }
    exits().max().unwrap_or(Exit::Fine)
}

/// The columns.
pub fn columns() -> Vec<Column<Finding>> {
    vec![
        Column::new("RESULT", |finding: &Finding, _| {
            Cell::new(finding.result.as_str(), finding.result.tone())
        }),
        Column::new("CHECK", |finding: &Finding, _| {
            Cell::plain(finding.check.as_str())
        }),
        Column::wide("NAMESPACE", |finding: &Finding, _| {
            Cell::maybe(finding.namespace.as_deref())
        }),
        Column::new("OBJECT", |finding: &Finding, _| {
            Cell::maybe(finding.short().as_deref())
        }),
        Column::new("MESSAGE", |finding: &Finding, _: Timestamp| {
            Cell::plain(&finding.text())
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_counts_more_than_what_was_not_checked_and_a_note_counts_nothing() {
        let of = |result| Finding::new(Check::Clock, result, "x");
        let denied = Asked::of("list", "leases.coordination.k8s.io", None);
        let denied = Finding::unknown(Check::Leader, &ClusterError::Denied(denied));
        assert_eq!(
            denied.message,
            "not checked: it needs the right to list leases.coordination.k8s.io in the whole cluster"
        );
        assert_eq!(exit(&[of(Verdict::Ok), of(Verdict::Info)]), Exit::Fine);
        assert_eq!(exit(&[of(Verdict::Ok), denied.clone()]), Exit::NoAccess);
        assert_eq!(exit(&[denied, of(Verdict::Warning)]), Exit::Finding);
        assert_eq!(exit(&[]), Exit::Fine);
    }
}
