//! Which of several objects has an application. The claim is the lock; this is who may wait for it. No I/O.

use std::sync::Arc;

use crate::api::ApiAppSecret;
use crate::connection::Connection;
use crate::ids::AppId;
use crate::reconcile::context::{Context, lock};
use crate::reconcile::observe::{Application, Round, application};
use crate::rotation::{ClaimView, CommitRecord, Owner};
use crate::store::secret::COMMIT_ANNOTATION;
use crate::target::Target;
use crate::zitadel::AppRef;

impl Round {
    /// An older object that is to have an application of this one. Whoever has the claim keeps it, whatever its age; and an object
    /// that the connection grants nothing, or that can't be used, keeps nobody waiting.
    pub(crate) fn rival(&self, context: &Context, connection: &Arc<Connection>) -> Option<Owner> {
        let older = lock(&context.index).older(&self.target.owner);
        let rivals = older.into_iter().filter(|(app, other)| {
            let Ok(app) = AppId::try_from(app.as_str()) else {
                return false;
            };
            let Application { app, claim, .. } = application(
                Some(connection),
                &connection.endpoints.issuer,
                &self.target.app_ref(&app),
            );
            !self.is_kept(&self.cached_claim(context, &app, &claim))
                && could_use(context, connection, other)
        });
        rivals.map(|(_, other)| other).next()
    }

    /// Whether a claim is this object's, or another one's that keeps the application. Of the latter the claim itself tells.
    fn is_kept(&self, claim: &ClaimView) -> bool {
        match claim {
            ClaimView::Present {
                record: Ok(claim),
                held_elsewhere,
                ..
            } => *held_elsewhere || claim.owner == self.target.owner,
            _ => false,
        }
    }
}

/// Whether an object exists and still names an application, or keeps its pair: a standby that is named no more is one for as long as
/// its pair is stored.
pub(crate) fn keeps_app(context: &Context, app: &AppRef, owner: &Owner) -> bool {
    // Of a namespace that is not watched (any more), or was not shown yet, nobody can say that an object is gone.
    if !context.caches.knows(&owner.namespace) {
        return true;
    }
    match context.object(owner).as_deref().map(|object| &object.0) {
        Some(Ok(object)) => {
            object.spec.project_id == app.project.as_str()
                && (object.spec.names(&app.app) || stores_pair(context, object, &app.app, owner))
        }
        Some(Err(_)) => true,
        None => false,
    }
}

/// Whether the pair of an application is stored for an object, by the commit record or else by the status.
fn stores_pair(context: &Context, object: &ApiAppSecret, app: &AppId, owner: &Owner) -> bool {
    let name = object.spec.secret_name(&owner.name);
    let secret = context.caches.secret(&owner.namespace, name);
    let record = secret.and_then(|secret| {
        let text = secret
            .metadata
            .annotations
            .as_ref()?
            .get(COMMIT_ANNOTATION)?;
        CommitRecord::from_json(text).ok()
    });
    let recorded = record.is_some_and(|record| {
        record.owner == *owner && record.active == *app && record.stored().is_some()
    });
    let status = object.status.as_ref();
    recorded || status.is_some_and(|status| status.active_app_id.as_deref() == Some(app.as_str()))
}

/// Whether an object can be used, and the connection grants it all that it names.
fn could_use(context: &Context, connection: &Connection, owner: &Owner) -> bool {
    let guarded = context.object(owner);
    let Some(Ok(object)) = guarded.as_deref().map(|guarded| &guarded.0) else {
        return false;
    };
    let Ok(target) = Target::read(object, context.settings.minimum_interval) else {
        return false;
    };
    let labels = |name: &str| context.caches.namespace_label(&owner.namespace, name);
    let granted = |app: &AppId| connection.grants(&owner.namespace, labels, &target.app_ref(app));
    !target.deleting && granted(&target.app.app) && target.standby.iter().all(granted)
}
