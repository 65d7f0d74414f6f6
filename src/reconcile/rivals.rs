//! Which of several objects has an application. The claim is the lock; this is who may wait for it. No I/O.

use std::sync::Arc;

use crate::connection::Connection;
use crate::ids::AppId;
use crate::reconcile::context::Context;
use crate::reconcile::observe::{Application, Reconciliation, application};
use crate::rotation::{ClaimView, Owner};
use crate::target::Target;

impl Reconciliation {
    /// An older object that is to have an application of this one. The holder of the claim keeps it, whatever its age; and an object
    /// that the connection grants nothing, or that can't be used, keeps no one waiting.
    pub(crate) fn rival(&self, context: &Context, connection: &Arc<Connection>) -> Option<Owner> {
        let older = context.store.owners.lock().older(&self.target.owner);
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

    /// Whether a claim is this object's, or another one's that keeps the application. The claim itself names the latter.
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

/// Whether an object can be used, and the connection grants it all that it names.
fn could_use(context: &Context, connection: &Connection, owner: &Owner) -> bool {
    let found = context.store.object(owner);
    let Some(Ok(object)) = found.map(|found| found.read()) else {
        return false;
    };
    let minimum = context.process.settings.minimum_interval;
    let Ok(target) = Target::read(&object, minimum) else {
        return false;
    };
    let labels = |name: &str| context.store.namespace_label(&owner.namespace, name);
    let granted = |app: &AppId| connection.grants(owner, labels, &target.app_ref(app));
    // NB: a standby that the operator creates is not in the target, and needs no grant of its own.
    !target.deleting && granted(&target.app.app) && target.standby.iter().all(granted)
}
