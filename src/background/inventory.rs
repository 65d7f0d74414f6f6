//! Has the metrics show what the watches show.

use std::sync::Arc;

use crate::process::metrics::Inventory;
use crate::reconcile::context::Context;

/// From now on a scrape of the replica that leads shows the objects and connections as the watches have them.
pub fn export(context: &Arc<Context>) {
    // NB: weak, since the context has the metrics.
    let watching = Arc::downgrade(context);
    context.process.metrics.set_inventory(Box::new(move || {
        let context = watching.upgrade()?;
        // A standby watches too: with two replicas every object would be there twice.
        if !context.process.lead.leads() {
            return None;
        }
        let clock = &context.process.clock;
        Some(Inventory {
            objects: context.store.objects().collect(),
            connections: context.store.own_connections(),
            activity: context.connections.activity(clock.wall(), clock.boot()),
            clock_skew: context.process.api_clock.offset(),
            consumers: context.consumers.totals(),
            now: context.process.clock.wall(),
        })
    }));
}
