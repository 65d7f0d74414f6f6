//! What a person is told for each reason: which object, which field, what next. No text of the remote side. No I/O.

use super::target::Target;
use crate::api::Reason;
use crate::ids::AppId;
use crate::rotation::{Blocked, Cause, OpenBreaker, Standing};

/// What a message speaks of besides the reason.
pub struct Scene<'a> {
    /// What is wanted.
    pub target: &'a Target,
    /// The application that the next value is generated on, if there are two.
    pub idle: Option<&'a AppId>,
    /// The Secret that holds the value under its former name, until it was moved.
    pub former: Option<&'a str>,
    /// The keys of the Secret, if it exists and was read.
    pub keys: Option<&'a [String]>,
    /// Why the application cannot be rotated, if it was read and is not ready.
    pub not_ready: Option<NotReady>,
    /// The trigger that was handled last.
    pub handled: Option<&'a str>,
}

/// Why an application is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// It is not active.
    Inactive,
    /// It authenticates by key.
    Method,
}

/// What is wrong with an application without a client id that can be used.
pub const CLIENT_ID: &str = "its client id cannot be used";

/// What a person is told: which object, which field, what next.
pub fn message(blocked: &Blocked, scene: &Scene<'_>) -> String {
    let target = scene.target;
    let secret = &target.secret.name;
    let connection = &target.connection;
    let project = &target.app.project;
    let app = &target.app.app;
    let by = blocked
        .by
        .as_ref()
        .map(|owner| format!("{}/{}", owner.namespace, owner.name))
        .unwrap_or_default();
    if let Some(sentence) = &blocked.connection {
        return format!("ZitadelConnection {connection} cannot be used: {sentence}");
    }
    if blocked.answer.as_deref() == Some(CLIENT_ID) {
        return format!("App {app}: {CLIENT_ID}. The Secret is left as it is; this is tried again");
    }
    if let Some(text) = refused_call(blocked, target) {
        return text;
    }
    let text = match blocked.reason {
        Reason::ConnectionNotFound => format!("ZitadelConnection {connection} does not exist: create it, or correct spec.connectionRef.name"),
        Reason::NotGranted => format!("ZitadelConnection {connection} has no grant for namespace {}, project {project} and app {app}: ask its owner to add one to spec.grants", target.owner.namespace),
        // NB: an object that can't be read itself is told in other words.
        Reason::InvalidObject | Reason::InvalidSpec | Reason::CredentialMissing | Reason::CredentialMalformed | Reason::CredentialRejected | Reason::CaBundleInvalid | Reason::Forbidden => {
            format!("ZitadelConnection {connection} cannot be used; its status says why")
        }
        Reason::ProxyUnreachable | Reason::ProxyRefused | Reason::ZitadelUnreachable | Reason::TlsFailed | Reason::ZitadelTimeout | Reason::ZitadelUnavailable | Reason::RateLimited | Reason::UnexpectedAnswer => {
            format!("{} (ZitadelConnection {connection}) This is tried again", blocked.reason.meaning().trim())
        }
        Reason::OrganizationNotFound => match &target.app.organization {
            Some(id) => format!("Organization {id} (spec.organizationId) does not exist, or the service user of ZitadelConnection {connection} may not act in it: correct spec.organizationId, or make the service user a member"),
            None => format!("The organization of ZitadelConnection {connection} does not exist, or its service user may not act in it: correct organizationId of the connection, or set spec.organizationId"),
        },
        Reason::NotAMember => format!("The service user of ZitadelConnection {connection} has no membership that covers project {project}: add it as an administrator (PROJECT_OWNER) of the project, or correct spec.projectId or spec.organizationId"),
        Reason::PermissionDenied => format!("The service user of ZitadelConnection {connection} may not rotate app {app} of project {project}: give it the role PROJECT_OWNER on the project, or correct spec.projectId. If it has the role, the project may have been removed"),
        Reason::ClaimWriteForbidden if blocked.answer.is_some() => "The API server refuses the Lease with the claim of this application, in the operator's own namespace".to_owned(),
        Reason::ClaimWriteForbidden => "The operator may not write Leases in its own namespace: check its RBAC, or an admission policy refuses them".to_owned(),
        Reason::AppNotFound => format!("App {app} does not exist in project {project} of this organisation: check spec.appId, spec.projectId and spec.organizationId"),
        Reason::AppNotApi => format!("App {app} is not an API application: only those have the secret that is kept here"),
        Reason::AppNotReady => match scene.not_ready {
            Some(NotReady::Inactive) => format!("App {app} is inactive: activate it in ZITADEL"),
            Some(NotReady::Method) => format!("App {app} does not authenticate by client secret (BASIC): change its authentication method in ZITADEL"),
            None => format!("App {app} is inactive, or does not authenticate by client secret (BASIC): activate it, or change its authentication method, in ZITADEL"),
        },
        Reason::StandbyNotReady => {
            let idle = scene.idle.or(target.standby.as_ref()).unwrap_or(app);
            let field = if idle == app { "spec.appId" } else { "spec.standbyAppId" };
            format!("App {idle} ({field}), which is next, is not an active API application of project {project} that authenticates by client secret (BASIC): rotations wait until it is")
        }
        Reason::SecretNotOwned if scene.former.is_some() => format!("Secret {secret} exists and is not the operator's, so the value stays in Secret {}: delete {secret}, or choose another spec.secret.name", scene.former.unwrap_or_default()),
        Reason::SecretNotOwned => format!("Secret {secret} exists and is not the operator's: choose another spec.secret.name, delete it, or set spec.secret.adopt: true"),
        Reason::NothingToAdopt => nothing_to_adopt(scene),
        Reason::SecretKeyConflict => format!("Secret {secret} is kept by ApiAppSecret {by}: choose another spec.secret.name"),
        Reason::SecretContested if blocked.answer.is_some() => format!("What the operator writes to Secret {secret} is undone by another controller or an admission policy: keep it from doing so, or take it out of spec.secret"),
        Reason::SecretContested => format!("Keys of Secret {secret} are written by another tool as well: remove them there"),
        Reason::SecretTypeMismatch => format!("Secret {secret} has another type than spec.secret.type, and types cannot be changed: delete the Secret, or correct the field"),
        Reason::SecretImmutable => format!("Secret {secret} is immutable: delete it, or choose another spec.secret.name"),
        Reason::SecretWriteForbidden => format!("The operator may not read or write Secret {secret}: check its RBAC in namespace {}", target.owner.namespace),
        Reason::SecretWriteRefused => format!("The API server refuses Secret {secret}: an admission policy or webhook, or its size"),
        Reason::SecretMutated => format!("An admission policy or webhook changes what the operator writes to Secret {secret}: exclude the Secret from it"),
        Reason::QuotaExceeded => format!("A quota of namespace {} does not allow Secret {secret}", target.owner.namespace),
        Reason::NamespaceTerminating => format!("Namespace {} is being deleted", target.owner.namespace),
        Reason::AppAlreadyClaimed => format!("App {app} is kept by ApiAppSecret {by}: one of the two must go"),
        Reason::BreakerOpen => match &blocked.breaker {
            Some(breaker) => repairs_are_held(breaker, secret),
            None => "The credential was repaired too often within an hour or a day; set a new spec.rotation.trigger to rotate it now".to_owned(),
        },
        Reason::LostAttempt => format!("ZITADEL carried out a rotation whose answer was lost, so Secret {secret} holds an older client secret; it is replaced after a pause, because that happened before within the hour"),
        Reason::SecretMissing => format!("The client secret in Secret {secret} is gone. With spec.recovery.missingSecret: Report nothing is done until spec.rotation.trigger gets a new value; with Rotate it is made anew"),
        Reason::SecretInvalid => "ZITADEL refuses the stored client secret. With spec.recovery.invalidSecret: Report nothing is done until spec.rotation.trigger gets a new value".to_owned(),
        Reason::RotatedElsewhere => "The client secret was rotated by another user of ZITADEL, and the stored one is refused. Set a new spec.rotation.trigger to take it back".to_owned(),
        Reason::Contested => "The client secret is being rotated by somebody else again and again: find out who, in the app's change list, then set a new spec.rotation.trigger".to_owned(),
        Reason::ClaimFromNewerVersion | Reason::CommitRecordFromNewerVersion => "A newer version of the operator has been here: upgrade this one".to_owned(),
        Reason::SecretHeld => "A new client secret is being proven and written".to_owned(),
        Reason::Suspended => suspended(scene),
        other => other.meaning().trim().trim_end_matches('.').to_owned(),
    };
    match (&blocked.answer, &blocked.error_id) {
        (Some(answer), Some(id)) => format!("{text} ({answer}, {id})"),
        (Some(only), None) | (None, Some(only)) => format!("{text} ({only})"),
        (None, None) => text,
    }
}

/// That one call was refused says nothing of the connection, whose own check may well succeed.
fn refused_call(blocked: &Blocked, target: &Target) -> Option<String> {
    let call = blocked
        .call
        .filter(|_| blocked.reason == Reason::CredentialRejected)?;
    let (app, project) = (&target.app.app, &target.app.project);
    let (what, when) = match call {
        "generate" => (
            "token",
            format!("the client secret of app {app} was asked for"),
        ),
        "project" => ("token", format!("project {project} was read")),
        "changes" => ("token", format!("the change list of app {app} was read")),
        "token" => ("credential", "it asked for an access token".to_owned()),
        _ => ("token", format!("app {app} was read")),
    };
    let id = blocked.error_id.as_ref();
    let id = id.map(|id| format!(" ({id})")).unwrap_or_default();
    Some(format!(
        "ZITADEL did not accept the operator's {what} when {when}{id}; tried again"
    ))
}

/// What is stopped, and what waits for the end of it.
fn suspended(scene: &Scene<'_>) -> String {
    let trigger = scene.target.trigger.as_deref();
    let pending = trigger.filter(|trigger| Some(*trigger) != scene.handled);
    let pending = pending.map_or_else(String::new, |trigger| {
        format!("; spec.rotation.trigger {trigger:?} is pending until then")
    });
    format!("Everything is stopped by spec.suspend: true. Remove it to go on{pending}")
}

/// What is missing where an existing Secret is to be adopted.
fn nothing_to_adopt(scene: &Scene<'_>) -> String {
    /// More say no more.
    const NAMED: usize = 10;
    let secret = &scene.target.secret.name;
    let key = &scene.target.secret.keys.client_secret;
    let (found, next) = match scene.keys {
        None => (
            format!("Secret {secret} does not exist"),
            "create it or correct spec.secret.name",
        ),
        Some(keys) if !keys.contains(key) => {
            let mut list = keys
                .iter()
                .take(NAMED)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            if keys.len() > NAMED {
                list = format!("{list} and {} more", keys.len() - NAMED);
            }
            let there = if keys.is_empty() {
                "it has no keys".to_owned()
            } else {
                format!("its keys are {list}")
            };
            (
                format!("Secret {secret} has no client secret under the key {key}; {there}"),
                "add the key or correct spec.secret.keys.clientSecret",
            )
        }
        Some(_) => (
            format!("ZITADEL rejects the value of key {key} in Secret {secret}"),
            "store the current client secret there, or correct spec.secret.name, spec.secret.keys or spec.appId",
        ),
    };
    format!(
        "Nothing to adopt: {found}. Nothing was generated, so the current client secret still works: {next}. To replace it instead, set a new spec.rotation.trigger"
    )
}

/// Why repairs are held back: whether consumers are down, what was repaired why, and when it goes on.
fn repairs_are_held(breaker: &OpenBreaker, secret: &str) -> String {
    let standing = match breaker.standing {
        Standing::Accepted => format!("ZITADEL accepts the client secret in Secret {secret}"),
        Standing::Rejected => {
            format!("Consumers are down: ZITADEL rejects the client secret in Secret {secret}")
        }
        Standing::Gone => {
            format!("Consumers are down: there is no client secret in Secret {secret}")
        }
        Standing::Unknown => {
            format!("It is not known whether ZITADEL accepts the client secret in Secret {secret}")
        }
    };
    let causes = &breaker.repairs.causes;
    let of = |cause: Cause| {
        let repairs = causes.iter().filter(|known| known.cause == cause.as_str());
        // The one that is held back would have been one more.
        repairs.count() + usize::from(breaker.held == cause)
    };
    let times = |number| {
        if number == 1 {
            "once".to_owned()
        } else {
            format!("{number} times")
        }
    };
    let mut why = Vec::new();
    let lost = of(Cause::LostAttempt);
    if lost > 0 {
        let remembered = || {
            causes
                .iter()
                .rev()
                .find_map(|known| known.answer.as_deref())
        };
        let answer = breaker.answer.as_deref().or_else(remembered);
        let answer = answer.map_or_else(String::new, |answer| format!(" ({answer})"));
        why.push(if lost == 1 {
            format!("ZITADEL carried out a rotation whose answer could not be used{answer}")
        } else {
            format!("ZITADEL carried out {lost} rotations whose answers could not be used{answer}")
        });
    }
    let missing = of(Cause::SecretMissing);
    if missing > 0 {
        why.push(format!(
            "the client secret was deleted {}: find out who deletes it",
            times(missing)
        ));
    }
    let invalid = of(Cause::SecretInvalid);
    if invalid > 0 {
        why.push(format!(
            "ZITADEL rejected the stored client secret {}: find out who changes it",
            times(invalid)
        ));
    }
    let unknown = breaker.repairs.times.len().saturating_sub(causes.len());
    if unknown > 0 {
        why.push(format!(
            "rotations of which no record says why they were made: {unknown}"
        ));
    }
    let closes = breaker
        .closes
        .round(jiff::Unit::Second)
        .unwrap_or(breaker.closes);
    format!(
        "{standing}. Repaired too often: {}. The next repair is made at {closes}; to rotate now, set a new spec.rotation.trigger",
        why.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rotation::{RepairCause, Repairs};

    fn told(reason: Reason, idle: Option<&str>, former: Option<&str>) -> String {
        let object = serde_json::json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"},
            "spec": {"projectId": "1", "appId": "2", "standbyAppId": "3"},
        });
        let object = serde_json::from_value(object).unwrap();
        let target = Target::read(&object, Duration::from_secs(3600)).unwrap();
        let idle = idle.map(|id| AppId::try_from(id).unwrap());
        let scene = Scene {
            target: &target,
            idle: idle.as_ref(),
            former,
            keys: None,
            not_ready: None,
            handled: None,
        };
        message(&reason.into(), &scene)
    }

    #[test]
    fn what_is_missing_for_an_adoption_is_named() {
        let object = serde_json::json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"},
            "spec": {"projectId": "1", "appId": "2", "secret": {"name": "oauth", "adopt": true}},
        });
        let object = serde_json::from_value(object).unwrap();
        let target = Target::read(&object, Duration::from_secs(3600)).unwrap();
        let told = |keys: Option<&[String]>| {
            let scene = Scene {
                target: &target,
                idle: None,
                former: None,
                keys,
                not_ready: None,
                handled: None,
            };
            message(&Reason::NothingToAdopt.into(), &scene)
        };
        assert!(told(None).contains("Secret oauth does not exist. Nothing was generated"));
        let keys = ["client-id", "client-secret"].map(str::to_owned);
        assert!(told(Some(&keys)).contains(
            "Secret oauth has no client secret under the key CLIENT_SECRET; its keys are client-id, client-secret."
        ));
        assert!(told(Some(&[])).contains("it has no keys"));
        let many: Vec<String> = (0..12).map(|n| format!("k{n}")).collect();
        assert!(told(Some(&many)).contains("k9 and 2 more."));
        let rejected = told(Some(&["CLIENT_SECRET".to_owned()]));
        assert!(
            rejected.contains("ZITADEL rejects the value of key CLIENT_SECRET in Secret oauth")
        );
    }

    #[test]
    fn the_application_that_is_not_ready_is_the_one_that_is_next() {
        let of = |idle| told(Reason::StandbyNotReady, Some(idle), None);
        assert!(of("2").starts_with("App 2 (spec.appId)"), "{}", of("2"));
        assert!(
            of("3").starts_with("App 3 (spec.standbyAppId)"),
            "{}",
            of("3")
        );
    }

    #[test]
    fn what_is_wrong_is_quoted_and_each_field_that_may_be_wrong_is_named() {
        let member = told(Reason::NotAMember, None, None);
        assert_eq!(
            member,
            "The service user of ZitadelConnection default has no membership that covers project 1: add it as an administrator (PROJECT_OWNER) of the project, or correct spec.projectId or spec.organizationId"
        );
        let denied = told(Reason::PermissionDenied, None, None);
        assert!(denied.contains("or correct spec.projectId"), "{denied}");
        let object = serde_json::json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"},
            "spec": {"projectId": "1", "appId": "2", "organizationId": "77", "suspend": true, "rotation": {"trigger": "now"}},
        });
        let object = serde_json::from_value(object).unwrap();
        let target = Target::read(&object, Duration::from_secs(3600)).unwrap();
        let told = |reason: Reason, handled| {
            let scene = Scene {
                target: &target,
                idle: None,
                former: None,
                keys: None,
                not_ready: None,
                handled,
            };
            message(&reason.into(), &scene)
        };
        let organization = told(Reason::OrganizationNotFound, None);
        assert!(
            organization.starts_with("Organization 77 (spec.organizationId) does not exist"),
            "{organization}"
        );
        assert_eq!(
            told(Reason::Suspended, Some("before")),
            "Everything is stopped by spec.suspend: true. Remove it to go on; spec.rotation.trigger \"now\" is pending until then"
        );
        assert!(!told(Reason::Suspended, Some("now")).contains("pending"));
    }

    #[test]
    fn an_open_breaker_says_whether_consumers_are_down_what_was_lost_and_when_it_closes() {
        let time = |second: i64| jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
        let known = |second, cause: Cause, answer: Option<&str>| RepairCause {
            time: time(second),
            cause: cause.as_str().to_owned(),
            answer: answer.map(ToOwned::to_owned),
        };
        let mut breaker = OpenBreaker {
            closes: time(3600),
            repairs: Repairs {
                times: vec![time(0), time(1), time(2), time(3)],
                causes: vec![
                    known(1, Cause::LostAttempt, None),
                    known(2, Cause::LostAttempt, Some("malformed answer, HTTP 200")),
                    known(3, Cause::SecretMissing, None),
                ],
            },
            held: Cause::LostAttempt,
            answer: None,
            standing: Standing::Rejected,
        };
        assert_eq!(
            repairs_are_held(&breaker, "api"),
            "Consumers are down: ZITADEL rejects the client secret in Secret api. Repaired too often: ZITADEL carried out 3 rotations whose answers could not be used (malformed answer, HTTP 200); the client secret was deleted once: find out who deletes it; rotations of which no record says why they were made: 1. The next repair is made at 2027-01-15T09:00:00Z; to rotate now, set a new spec.rotation.trigger"
        );
        breaker.standing = Standing::Accepted;
        breaker.answer = Some("no answer in time".to_owned());
        let text = repairs_are_held(&breaker, "api");
        assert!(text.starts_with("ZITADEL accepts"), "{text}");
        assert!(text.contains("(no answer in time)"), "{text}");
    }

    #[test]
    fn during_a_rename_nobody_is_told_to_adopt() {
        let renaming = told(Reason::SecretNotOwned, None, Some("old"));
        assert!(
            renaming.contains("stays in Secret old: delete api"),
            "{renaming}"
        );
        assert!(!renaming.contains("adopt"), "{renaming}");
        assert!(told(Reason::SecretNotOwned, None, None).contains("spec.secret.adopt"));
    }

    fn told_of(blocked: &Blocked, not_ready: Option<NotReady>) -> String {
        let object = serde_json::json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"},
            "spec": {"projectId": "1", "appId": "2"},
        });
        let object = serde_json::from_value(object).unwrap();
        let target = Target::read(&object, Duration::from_secs(3600)).unwrap();
        let scene = Scene {
            target: &target,
            idle: None,
            former: None,
            keys: None,
            not_ready,
            handled: None,
        };
        message(blocked, &scene)
    }

    #[test]
    fn a_call_that_is_refused_alone_does_not_point_at_the_connection() {
        let blocked = Blocked {
            call: Some("generate"),
            error_id: Some("AUTH-7fs1e".to_owned()),
            answer: Some("HTTP 401".to_owned()),
            ..Reason::CredentialRejected.into()
        };
        assert_eq!(
            told_of(&blocked, None),
            "ZITADEL did not accept the operator's token when the client secret of app 2 was asked for (AUTH-7fs1e); tried again"
        );
    }

    #[test]
    fn an_object_over_a_broken_connection_carries_the_connections_own_sentence() {
        let blocked = Blocked {
            connection: Some("ZITADEL: discovery: iam.example.com:443 refuses connections".into()),
            ..Reason::ZitadelUnreachable.into()
        };
        assert_eq!(
            told_of(&blocked, None),
            "ZitadelConnection default cannot be used: ZITADEL: discovery: iam.example.com:443 refuses connections"
        );
    }

    #[test]
    fn an_application_that_is_not_ready_says_which_of_its_two_causes() {
        let blocked = Blocked::from(Reason::AppNotReady);
        let inactive = told_of(&blocked, Some(NotReady::Inactive));
        assert!(
            inactive.contains("is inactive") && !inactive.contains("BASIC"),
            "{inactive}"
        );
        let method = told_of(&blocked, Some(NotReady::Method));
        assert!(
            method.contains("BASIC") && !method.contains("inactive"),
            "{method}"
        );
    }
}
