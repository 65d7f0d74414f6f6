//! Has the metrics show what the watches show.

use std::sync::Arc;

use crate::process::metrics::Inventory;
use crate::reconcile::context::Context;

/// From now on a scrape of the replica that leads shows the objects and connections as the watches have them.
pub fn export(context: &Arc<Context>) {
    // NB: weak, since the context has the metrics.
    let watching = Arc::downgrade(context);
    context.metrics.set_inventory(Box::new(move || {
        let context = watching.upgrade()?;
        // A standby watches too: with two replicas every object would be there twice.
        if !context.lead.leads() {
            return None;
        }
        Some(Inventory {
            objects: context.objects().collect(),
            connections: context.own_connections(),
            now: context.clock.wall(),
        })
    }));
}
