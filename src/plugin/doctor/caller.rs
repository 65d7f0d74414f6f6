//! What the caller may do: the rights of the other commands, and the clock of this machine. No I/O.

use jiff::SignedDuration;

use crate::api::{GROUP, Kind};
use crate::plugin::cluster::Scope;
use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::doctor::leader;

/// A right that a command needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The command.
    pub command: &'static str,
    /// The verb.
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource.
    pub resource: &'static str,
}

impl Need {
    fn words(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

/// What the other commands need, in the order in which they are documented.
pub fn needs() -> Vec<Need> {
    let need = |command, verb, group, resource| Need {
        command,
        verb,
        group,
        resource,
    };
    let of_kinds = |command, verb| Kind::ALL.map(|kind| need(command, verb, GROUP, kind.plural()));
    let workloads = ["deployments", "statefulsets", "daemonsets"];
    let mut needs = Vec::new();
    needs.extend(of_kinds("status", "list"));
    needs.extend(of_kinds("status", "get"));
    needs.extend(of_kinds("status --watch", "watch"));
    needs.push(need("consumers", "list", "", "pods"));
    needs.extend(workloads.map(|it| need("consumers --restart", "patch", "apps", it)));
    needs.extend(of_kinds("rotate", "patch"));
    needs.push(need("import", "get", "", "secrets"));
    needs
}

/// Judges what of it the caller may not.
pub fn judge(denied: &[Need], scope: &Scope) -> Vec<Finding> {
    let place = match &scope.namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "in all namespaces".to_owned(),
    };
    if denied.is_empty() {
        let message = format!("you may use every command {place}");
        return vec![Finding::new(Check::Caller, Verdict::Ok, message)];
    }
    let commands = denied.chunk_by(|one, other| one.command == other.command);
    let findings = commands.filter_map(|needs| {
        let command = needs.first()?.command;
        let rights: Vec<_> = needs.iter().map(Need::words).collect();
        let message = format!(
            "you may not use `{command}` {place}: it needs the right to {}",
            rights.join(", ")
        );
        Some(Finding::new(Check::Caller, Verdict::Info, message))
    });
    findings.collect()
}

/// Judges the clock of this machine by how far the API server's is ahead of it.
pub fn clock(skew: SignedDuration) -> Finding {
    leader::clock("this machine", -skew)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_may_not_be_used_is_one_line_with_its_rights() {
        let scope = Scope {
            namespace: Some("orders".to_owned()),
            labels: None,
        };
        assert_eq!(judge(&[], &scope)[0].result, Verdict::Ok);
        let denied: Vec<_> = needs()
            .into_iter()
            .filter(|it| it.verb == "patch")
            .collect();
        let found = judge(&denied, &scope);
        let messages: Vec<_> = found.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "you may not use `consumers --restart` in namespace orders: it needs the right to patch deployments.apps, patch statefulsets.apps, patch daemonsets.apps",
                "you may not use `rotate` in namespace orders: it needs the right to patch apiappsecrets.zitadel-secrets.dev, patch oidcappsecrets.zitadel-secrets.dev",
            ]
        );
        assert!(found.iter().all(|it| it.result == Verdict::Info));
    }

    #[test]
    fn the_clock_of_the_machine_is_wrong_in_either_direction() {
        for (skew, part) in [(3600, "60m behind"), (-3600, "60m ahead of")] {
            let found = clock(SignedDuration::from_secs(skew));
            assert_eq!(found.result, Verdict::Warning);
            assert!(found.message.contains(part), "{found:?}");
        }
        assert_eq!(clock(SignedDuration::from_secs(-2)).result, Verdict::Ok);
    }
}
