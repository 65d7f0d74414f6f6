//! The message for each reason: which object, which field, which value, what next. No text of the remote side. No I/O.

mod breaker;
mod scene;
#[cfg(test)]
mod tests;
pub(crate) mod time;
mod zitadel;

use crate::api::{Kind, Reason, RecoveryPolicy};
use crate::ids::AppId;
use crate::report::failure::{NOT_IN_API, NOTHING_ROTATED, NotReady};
use crate::rotation::Blocked;
use crate::store::reading::Writer;
use crate::target::Target;
use crate::target::apps::standby_name;
use breaker::repairs_are_held;
pub use scene::Scene;
use scene::{answer, at_or_after, span};
pub use time::{first_in, is_same, stands};

/// The message: which object, which field, which value, what next.
pub fn message(blocked: &Blocked, scene: &Scene<'_>) -> String {
    let text = zitadel::call(blocked, scene)
        .or_else(|| refused_write(blocked, scene))
        .unwrap_or_else(|| with_answer(sentence(blocked, scene), blocked));
    let mut text = with_times(text, scene);
    if let Some(former) = scene.former
        && stays_under_former_name(blocked.reason)
    {
        text = format!("{text}. Until then the client secret stays in Secret {former}");
    }
    if !scene.held || blocked.reason == Reason::SecretHeld {
        return text;
    }
    let until = if scene.candidate {
        "ZITADEL can be asked about it"
    } else {
        "the Secret can be written"
    };
    format!(
        "{text}. A new client secret is in the operator's memory only until {until}: do not restart the operator until then"
    )
}

/// The sentence with the end of the wait, unless it says that itself, and with the age of a verdict that stands.
fn with_times(mut text: String, scene: &Scene<'_>) -> String {
    if let Some(next) = scene.next.map(|next| next.to_string())
        && !text.contains(&next)
    {
        text = format!("{text}. The operator tries again at {next}");
    }
    if let Some(accepted) = scene.accepted {
        text = format!("{text}. ZITADEL accepted the stored client secret at {accepted}");
    }
    text
}

/// The sentence with what came back, in words of the operator's own.
fn with_answer(text: String, blocked: &Blocked) -> String {
    match answer(blocked) {
        Some(answer) => format!("{text} ({answer})"),
        None => text,
    }
}

/// Whether the Secret of the new name is in the way of a renamed one.
const fn stays_under_former_name(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SecretNotOwned
            | Reason::SecretKeyConflict
            | Reason::SecretTypeMismatch
            | Reason::SecretImmutable
            | Reason::SecretWriteForbidden
            | Reason::SecretWriteRefused
            | Reason::SecretMutated
            | Reason::QuotaExceeded
    )
}

fn sentence(blocked: &Blocked, scene: &Scene<'_>) -> String {
    let Scene { target, timing, .. } = scene;
    let secret = &target.secret.name;
    let connection = &target.connection;
    let project = &target.app.project;
    let app = &target.app.app;
    let namespace = &target.owner.namespace;
    let by = blocked
        .by
        .as_ref()
        .map(|owner| format!("{} {}/{}", owner.kind, owner.namespace, owner.name))
        .unwrap_or_default();
    let method = match target.owner.kind {
        Kind::ApiApp => "BASIC",
        Kind::OidcApp => "BASIC or POST",
    };
    match blocked.reason {
        Reason::ConnectionNotFound => format!("ZitadelConnection {connection} does not exist: create it, or correct spec.connectionRef.name"),
        Reason::NotGranted => not_granted(scene),
        // NB: an object that can't be read itself has another message.
        Reason::InvalidSpec if blocked.answer.is_some() => "A template cannot be rendered for this application, so nothing was generated: correct it".to_owned(),
        Reason::InvalidObject | Reason::InvalidSpec | Reason::CredentialMissing | Reason::CredentialMalformed | Reason::CredentialRejected | Reason::CaBundleInvalid | Reason::Forbidden => {
            format!("ZitadelConnection {connection} cannot be used; its status says why")
        }
        Reason::OrganizationNotFound => match &target.app.organization {
            Some(id) => format!("Organization {id} (spec.organizationId) does not exist, or the service user of ZitadelConnection {connection} may not act in it: correct spec.organizationId, or make the service user a member"),
            None => format!("The organization of ZitadelConnection {connection} does not exist, or its service user may not act in it: correct organizationId of the connection, or set spec.organizationId"),
        },
        Reason::NotAMember => format!("The service user of ZitadelConnection {connection} has no membership that covers project {project}: add it as an administrator (PROJECT_OWNER) of the project, or correct spec.projectId or spec.organizationId"),
        Reason::PermissionDenied => format!("The service user of ZitadelConnection {connection} may not rotate app {app} of project {project}: give it the role PROJECT_OWNER on the project, or correct spec.projectId. If it has the role, the project may have been removed"),
        Reason::ClaimWriteForbidden => format!("The operator may not write the Lease with the claim of app {app} in its own namespace: check its RBAC and the admission policies. Nothing is generated without a claim"),
        Reason::AppNotFound => {
            let organization = target.app.organization.as_ref().map_or_else(|| "the organization of the connection".to_owned(), |id| format!("organization {id}"));
            format!("App {app} does not exist in project {project} of {organization}: check spec.appId (not the client ID), spec.projectId and spec.organizationId")
        }
        Reason::AppNotApi | Reason::AppNotOidc => of_another_type(scene),
        Reason::AppNotReady => match scene.not_ready {
            Some(NotReady::Inactive) => format!("App {app} is inactive: activate it in ZITADEL"),
            Some(NotReady::Method) => format!("App {app} does not authenticate by client secret ({method}): change its authentication method in ZITADEL"),
            Some(NotReady::Public) => format!("App {app} is a public client, which has no client secret (authentication method NONE): change its authentication method to {method} in ZITADEL, or delete this object"),
            _ => format!("App {app} is inactive, or does not authenticate by client secret ({method}): activate it, or change its authentication method, in ZITADEL"),
        },
        Reason::StandbyNotReady => standby_not_ready(blocked, scene),
        Reason::StandbyNameTaken => format!("Project {project} has an app named {:?} that the service user of ZitadelConnection {connection} did not create, so the operator does not use it as the standby: rename or delete it in ZITADEL, or use it with spec.standby {{type: Existing, appId: …}}", standby_name(app)),
        Reason::ProjectInactive => format!("Project {project} is inactive, so ZITADEL rejects every credential of its applications: activate it in ZITADEL. Nothing is generated until then"),
        Reason::SecretNotOwned if scene.former.is_some() => format!("Secret {secret} exists but is not managed by this operator: delete it, or choose another spec.secret.name"),
        Reason::SecretNotOwned => format!("Secret {secret} exists but is not managed by this operator: choose another spec.secret.name, delete the Secret, or set spec.secret.adoptionPolicy: Required to keep its value"),
        Reason::NothingToAdopt => nothing_to_adopt(scene),
        Reason::SecretKeyConflict => format!("Secret {secret} is already managed by {by}: choose another spec.secret.name"),
        Reason::SecretContested => contested(blocked, scene),
        Reason::SecretTypeMismatch => {
            let found = scene.found_type.map_or_else(|| "another type".to_owned(), |found| format!("type {found}"));
            format!("Secret {secret} has {found}, spec.secret.type is {}, and the type of a Secret cannot be changed: delete the Secret, or correct spec.secret.type", target.secret.type_)
        }
        Reason::SecretImmutable => format!("Secret {secret} is immutable: delete it, or choose another spec.secret.name"),
        Reason::SecretWriteForbidden => format!("The operator may not read or write Secret {secret}: grant it in namespace {namespace}; `zitadel-secret-operator check` lists what is missing"),
        Reason::SecretWriteRefused => format!("The API server refuses Secret {secret} as invalid or too large: check spec.secret"),
        Reason::SecretMutated => format!("An admission policy or webhook changes what the operator writes to Secret {secret}: exclude the Secret from it"),
        Reason::QuotaExceeded => format!("A ResourceQuota of namespace {namespace} does not allow Secret {secret}: raise it, or delete a Secret that is not needed"),
        Reason::NamespaceTerminating => format!("Namespace {namespace} is being deleted, so nothing is generated for it"),
        Reason::DryRunUnsupported => format!("An admission webhook does not support dry runs, so the write of Secret {secret} cannot be rehearsed: set sideEffects: None or NoneOnDryRun in its configuration, exempt namespace {namespace}, or have spec.rehearsal set to BestEffort on ZitadelConnection {connection}"),
        Reason::KubernetesUnavailable => "The Kubernetes API server does not respond, or returns a server error. The operator tries again".to_owned() + &scene.next.map_or_else(String::new, |next| format!(" at {next}")),
        Reason::SecretHeld if scene.candidate => format!("ZITADEL does not accept the new client secret of app {app} yet, so Secret {secret} keeps the one that works. The new one is in the operator's memory only: do not restart the operator until this is over"),
        Reason::SecretHeld => format!("A new client secret of app {app} is being proven and written to Secret {secret}. It is in the operator's memory only: do not restart the operator until this is over"),
        Reason::AppAlreadyClaimed => format!("App {app} is already managed by {by}: delete one of the two"),
        Reason::AttemptOpen => format!("Another replica has a rotation of app {app} open, or left one behind. The operator decides when the claim and Secret {secret} have not changed for {}{}", span(timing.takeover), scene.next.map_or_else(String::new, |next| format!(", at {next} at the earliest"))),
        Reason::OutcomeUnknown => outcome_unknown(blocked, scene),
        Reason::ConcurrentChanges => format!("Secret {secret}, the claim or the change list of app {app} changed each time while a rotation was being prepared, so nothing was sent: find out who rotates the app or writes the Secret in a loop. The operator tries again {}; waits double up to {}", at_or_after(scene, timing.retry_soonest), span(timing.retry_most)),
        Reason::ClaimUnreadable => format!("The Lease with the claim of app {app} was edited or damaged: find out who edits Leases in the operator's namespace. The operator replaces it {}", at_or_after(scene, timing.quiet)),
        Reason::ClaimFromNewerVersion => format!("A newer version of the operator wrote the claim of app {app}: upgrade this one"),
        Reason::CommitRecordFromNewerVersion => format!("A newer version of the operator wrote Secret {secret}: upgrade this one"),
        Reason::BreakerOpen => match &blocked.breaker {
            Some(breaker) => repairs_are_held(breaker, secret),
            None => "The credential was repaired too often within an hour or a day; set a new spec.rotation.trigger to rotate it now".to_owned(),
        },
        Reason::RepairLimit => format!("Too many repairs over ZitadelConnection {connection} (spec.limits.repairs); this one follows later"),
        Reason::LostAttempt => format!("ZITADEL carried out a rotation, but its response was lost, so Secret {secret} holds an older client secret; it is replaced {}, because this is not the first one within an hour", scene.next.map_or_else(|| "after a pause".to_owned(), |next| format!("after a pause, at {next}"))),
        Reason::SecretMissing => match target.recovery.missing() {
            RecoveryPolicy::Rotate => format!("The client secret in Secret {secret} is gone. A new one is generated unless it is back {}", scene.next.map_or_else(|| format!("within {}", span(timing.missing)), |next| format!("by {next}"))),
            RecoveryPolicy::Report => format!("The client secret in Secret {secret} is gone, and spec.recovery.missing is Report: restore the Secret, or set a new spec.rotation.trigger to generate a new client secret"),
        },
        Reason::SecretInvalid => format!("ZITADEL rejects the client secret in Secret {secret}, and spec.recovery.rejected is Report: restore the right value, or set a new spec.rotation.trigger to generate a new one"),
        Reason::RotatedElsewhere => format!("Another user of ZITADEL rotated app {app}, and the client secret in Secret {secret} is rejected: put the new value into the Secret, or set a new spec.rotation.trigger to generate another one. The app's change list in ZITADEL names the user"),
        Reason::Contested => format!("Another user of ZITADEL repeatedly rotates app {app}: find out who, in the app's change list in ZITADEL, then set a new spec.rotation.trigger"),
        Reason::ClockSkew => "The clocks of the operator, of the API server and of ZITADEL differ by more than 5 minutes: correct them. Scheduled rotations wait; a new spec.rotation.trigger still rotates".to_owned(),
        Reason::Refused if scene.stalled => format!("ZITADEL rejects each client secret that it generates for app {app}, and no one else wrote Secret {secret}: check at ZITADEL that the app and its project are active and that introspection works, then set a new spec.rotation.trigger"),
        Reason::Refused => format!("ZITADEL rejects the client secret in Secret {secret}. One response proves nothing: the operator checks again, at most {} apart, and replaces the value only if it stays rejected", span(timing.probe_most)),
        Reason::NoVerdict => format!("It is not known yet whether ZITADEL accepts the client secret in Secret {secret}; the operator checks again, at most {} apart", span(timing.probe_most)),
        Reason::Suspended => suspended(scene),
        other => other.meaning().trim().trim_end_matches('.').to_owned(),
    }
}

/// Which grant is missing.
fn not_granted(scene: &Scene<'_>) -> String {
    let target = scene.target;
    let (connection, namespace) = (&target.connection, &target.owner.namespace);
    let (project, app) = (&target.app.project, &target.app.app);
    let (of_kind, kinds) = match target.owner.kind {
        // NB: a grant without kinds covers it.
        Kind::ApiApp => (String::new(), String::new()),
        kind @ Kind::OidcApp => (format!(", kind {kind}"), format!(", with kinds: [{kind}]")),
    };
    format!(
        "ZitadelConnection {connection} has no grant for namespace {namespace}, project {project} and app {app}{of_kind}: ask its owner to add one to spec.grants{kinds}"
    )
}

/// An application whose client secret is kept by another kind, or by none.
fn of_another_type(scene: &Scene<'_>) -> String {
    let target = scene.target;
    let app = &target.app.app;
    let wanted = match target.owner.kind {
        Kind::ApiApp => "API",
        Kind::OidcApp => "OIDC",
    };
    match scene.not_ready {
        Some(NotReady::Oidc) => format!(
            "App {app} is an OIDC application: delete this object and create an {} for it",
            Kind::OidcApp
        ),
        Some(NotReady::Api) => format!(
            "App {app} is an API application: delete this object and create an {} for it",
            Kind::ApiApp
        ),
        Some(NotReady::Saml) => format!(
            "App {app} is a SAML application, which has no client secret: delete this object and create one whose spec.appId names an {wanted} application"
        ),
        _ => format!(
            "App {app} is not an {wanted} application: delete this object and create one whose spec.appId names an {wanted} application"
        ),
    }
}

/// Why rotations wait for the application that is next.
fn standby_not_ready(blocked: &Blocked, scene: &Scene<'_>) -> String {
    let Scene { target, idle, .. } = scene;
    let (app, project) = (&target.app.app, &target.app.project);
    let connection = &target.connection;
    match idle.or(target.standby.as_ref()) {
        None if blocked.answer.as_deref() == Some(NOT_IN_API) => format!(
            "ZitadelConnection {connection} uses ZITADEL's API V2, over which the operator does not create applications, so there is no standby of app {app}, and rotations wait for it: create an API application in project {project} yourself and name it in spec.standby {{type: Existing, appId: …}}"
        ),
        None if blocked.call.is_some() => format!(
            "The operator cannot create the standby of app {app} in project {project}, and rotations wait for it: give the service user of ZitadelConnection {connection} the role PROJECT_OWNER on the project, or create an API application yourself and name it in spec.standby {{type: Existing, appId: …}}"
        ),
        None => format!(
            "The standby of app {app} is created as soon as app {app} itself is an active API application of project {project} that authenticates by client secret (BASIC): check it in ZITADEL"
        ),
        Some(idle) => {
            let field = match (idle == app, target.provisioned) {
                (true, _) => "spec.appId",
                (false, true) => "the standby that the operator created",
                (false, false) => "spec.standby.appId",
            };
            format!(
                "App {idle} ({field}), which is next, is not an active API application of project {project} that authenticates by client secret (BASIC): rotations wait until it is"
            )
        }
    }
}

/// A quota, policy or webhook that refuses a write, by its name.
fn refused_write(blocked: &Blocked, scene: &Scene<'_>) -> Option<String> {
    let target = scene.target;
    let (secret, namespace) = (&target.secret.name, &target.owner.namespace);
    let by = blocked.answer.as_deref()?;
    let (by, nothing) = by
        .strip_suffix(NOTHING_ROTATED)
        .map_or((by, ""), |by| (by, ". Nothing was rotated"));
    let refuser = |name: &str| {
        let mut first = name.chars();
        let upper = first.next().map(|c| c.to_ascii_uppercase());
        let name = upper.into_iter().chain(first).collect::<String>();
        name.replace(", which fails", " fails and so").replace(
            ", which does not respond in time",
            " does not respond in time and so",
        )
    };
    match blocked.reason {
        Reason::QuotaExceeded => Some(format!(
            "{} of namespace {namespace} does not allow Secret {secret}: raise it, or delete a Secret that is not needed{nothing}",
            refuser(by)
        )),
        Reason::SecretWriteRefused => Some(format!(
            "{} refuses Secret {secret}: exempt the Secret or namespace {namespace} from it, or change spec.secret to what it allows{nothing}",
            refuser(by)
        )),
        Reason::ClaimWriteForbidden => Some(format!(
            "{} refuses the Lease with the claim of app {}, in the operator's own namespace: exempt Leases of that namespace from it. Nothing is generated without a claim",
            refuser(by),
            target.app.app
        )),
        _ => None,
    }
}

/// Who writes the Secret besides the operator, and how to get out of it.
fn contested(blocked: &Blocked, scene: &Scene<'_>) -> String {
    let secret = &scene.target.secret.name;
    if blocked.answer.is_some() {
        return format!(
            "What the operator writes to Secret {secret} is undone by another controller or an admission policy, so it is written ever more rarely: keep it from doing so, or take it out of spec.secret"
        );
    }
    match scene.writer {
        Some(Writer {
            manager,
            key,
            applies: true,
        }) => format!(
            "Field manager {manager} applies key {key} of Secret {secret} as well, so rotations wait: take the key out of what it applies, or set a new spec.rotation.trigger to take the key over"
        ),
        Some(Writer { manager, key, .. }) => format!(
            "Field manager {manager} changed key {key} of Secret {secret} again after a repair within the last {}, and ZITADEL rejects the value: keep it from writing the key, then set a new spec.rotation.trigger",
            span(scene.timing.contest)
        ),
        None => format!(
            "Secret {secret} was changed again after a repair within the last {}, and ZITADEL rejects the value: find out who writes it, then set a new spec.rotation.trigger",
            span(scene.timing.contest)
        ),
    }
}

/// What is not known after a call, and when it will be.
fn outcome_unknown(blocked: &Blocked, scene: &Scene<'_>) -> String {
    let app = &scene.target.app.app;
    let answer = answer(blocked);
    let came = answer.as_ref().map_or_else(
        || format!("It is not known whether the last rotation of app {app} was carried out"),
        |_| format!("ZITADEL's response to the generate call for app {app} does not say whether it was carried out"),
    );
    let begun = scene
        .attempt
        .and_then(|attempt| attempt.started_at.as_ref());
    let begun = begun.map_or_else(|| "it was first seen".to_owned(), |time| time.0.to_string());
    let when = scene.next.map_or_else(
        || format!("about {} after {begun}", span(scene.timing.quiet)),
        |next| format!("at {next}"),
    );
    format!(
        "{came}. The operator decides by ZITADEL's change list, {when}: a lost client secret is replaced, otherwise the call is made again after {}, doubling up to {}",
        span(scene.timing.retry_first),
        span(scene.timing.retry_most)
    )
}

/// What is missing where the change list of an application may not be read, and what that costs.
pub fn journal_denied(target: &Target, app: &AppId) -> String {
    format!(
        "ZITADEL does not let the service user of ZitadelConnection {} read the change list of app {app} in project {}. After a lost response, the operator therefore has to try the stored client secret to find out whether the rotation was carried out, which takes minutes: give the service user the permission project.app.read, for example with the role PROJECT_OWNER on the project",
        target.connection, target.app.project
    )
}

/// What is stopped, and what waits for the end of it.
fn suspended(scene: &Scene<'_>) -> String {
    let trigger = scene.target.trigger.as_deref();
    let pending = trigger.filter(|trigger| Some(*trigger) != scene.handled);
    let pending = pending.map_or_else(String::new, |trigger| {
        format!("; spec.rotation.trigger {trigger:?} is pending until then")
    });
    format!("Everything is stopped by spec.suspend: true. Remove it to continue{pending}")
}

/// What is missing where an existing Secret is to be adopted.
fn nothing_to_adopt(scene: &Scene<'_>) -> String {
    /// More say no more.
    const NAMED: usize = 10;
    let secret = &scene.target.secret.name;
    let key = scene.target.secret.data.secret_key();
    let (found, next) = match scene.keys {
        None => (
            format!("Secret {secret} does not exist"),
            "create it or correct spec.secret.name",
        ),
        Some(keys) if !keys.iter().any(|found| found == key) => {
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
                "add the key or correct the entry with from: ClientSecret in spec.secret.data",
            )
        }
        Some(_) => (
            format!("ZITADEL rejects the value of key {key} in Secret {secret}"),
            "store the current client secret there, or correct spec.secret.name, spec.secret.data or spec.appId",
        ),
    };
    format!(
        "Nothing to adopt: {found}. Nothing was generated, so the current client secret still works: {next}. To replace it instead, set a new spec.rotation.trigger"
    )
}
