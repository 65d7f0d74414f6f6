//! Creates the standby application of an object, or finds the one that was created before.
//!
//! At any point the process may end: the next one is refused the name, finds the application by it, and takes it only if the change list
//! says that the operator's user created it. The first client secret, which the answer holds, is dropped.

use crate::api::Reason;
use crate::connection::Connection;
use crate::ids::AppId;
use crate::process::kube_error::is_conflict;
use crate::reconcile::claim;
use crate::reconcile::context::Context;
use crate::reconcile::observe::Reconciliation;
use crate::report::failure;
use crate::rotation::{Claim, Facts, Failure, Slot, Version};
use crate::target::apps::standby_name;
use crate::zitadel::{AppRef, ChangeKind, ErrorClass, JournalDepth};

/// What came back where the name is taken and no application has it: ZITADEL's list may lag behind.
const NOT_LISTED: &str =
    "an application has its name, and the list of applications does not show it yet";

/// An application that can be recorded as the standby.
struct Standby {
    app: AppId,
    /// Whether it was created just now.
    new: bool,
}

/// Creates the standby application, or finds it, and records it in the claim `over` that revision. `facts` begin anew if that is done.
pub(crate) async fn provision(
    context: &Context,
    reconciliation: &mut Reconciliation,
    claim: Claim,
    over: Option<&Version>,
    facts: &mut Facts,
) {
    let Ok(connection) = reconciliation.connection.clone() else {
        return;
    };
    let primary = reconciliation.primary.app.clone();
    let known = reconciliation.target.standby.clone();
    let standby = match create_or_find(&connection, &primary, known.as_ref()).await {
        Ok(standby) => standby,
        Err(failure) => {
            let memory = &mut reconciliation.state.lock().memory;
            return memory.not_provisioned(facts, &failure);
        }
    };
    let claim = Claim {
        standby: Some(standby.app.clone()),
        ..claim
    };
    match claim::put(context, reconciliation, Slot::Primary, &claim, over).await {
        Ok(()) => {
            report(context, reconciliation, &standby);
            reconciliation.state.lock().memory.provision = None;
            reconciliation.provisioned(standby.app);
            *facts = reconciliation.begin(context);
        }
        // Another actor changed it meanwhile: it is read again.
        Err(error) if is_conflict(&error) => {}
        Err(error) => reconciliation.back_off(facts, &failure::claim(&error)),
    }
}

async fn create_or_find(
    connection: &Connection,
    primary: &AppRef,
    known: Option<&AppId>,
) -> Result<Standby, Failure> {
    let name = standby_name(&primary.app);
    let zitadel = &connection.zitadel;
    let (organization, project) = (primary.organization.as_ref(), &primary.project);
    match zitadel.create_app(organization, project, &name).await {
        Ok(app) => return Ok(Standby { app, new: true }),
        Err(error) if error.class() == ErrorClass::AlreadyExists => {}
        Err(error) => return Err(not_ready(failure::zitadel(&error))),
    }
    let found = zitadel.app_named(organization, project, &name).await;
    let found = found.map_err(|error| not_ready(failure::zitadel(&error)))?;
    // NB: the one that is known is not there any more, by a read of it alone.
    let Some(app) = found.filter(|app| known != Some(app)) else {
        return Err(Failure {
            answer: Some(NOT_LISTED.to_owned()),
            call: Some("apps"),
            ..Failure::new(Reason::StandbyNotReady, false)
        });
    };
    let app_ref = AppRef {
        app: app.clone(),
        ..primary.clone()
    };
    let changes = zitadel.changes(&app_ref, JournalDepth::FULL).await;
    let changes = changes.map_err(|error| not_ready(failure::zitadel(&error)))?;
    let mut created = changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Created);
    if created.any(|change| connection.made(change)) {
        return Ok(Standby { app, new: false });
    }
    Err(Failure::new(Reason::StandbyNameTaken, true))
}

/// A call that is refused for good says nothing of the application whose client secret is stored.
fn not_ready(failure: Failure) -> Failure {
    let reason = if failure.permanent {
        Reason::StandbyNotReady
    } else {
        failure.reason
    };
    Failure { reason, ..failure }
}

fn report(context: &Context, reconciliation: &Reconciliation, standby: &Standby) {
    let Standby { app, new } = standby;
    let target = &reconciliation.target;
    let (primary, project) = (&target.app.app, &target.app.project);
    let name = standby_name(primary);
    let made = if *new {
        format!("Created app {app} ({name:?}) in project {project}")
    } else {
        format!(
            "Found app {app} ({name:?}) in project {project}, which the operator created before"
        )
    };
    let note =
        format!("{made}: the standby of app {primary}. It is kept when this object is deleted");
    let reason = Reason::StandbyProvisioned;
    context.events.normal(&target.owner, reason, &note);
    tracing::info!(
        kind = %target.owner.kind,
        namespace = target.owner.namespace,
        name = target.owner.name,
        %app,
        %project,
        new,
        "the standby application is provisioned"
    );
}
