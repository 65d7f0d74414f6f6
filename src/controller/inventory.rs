//! Has the metrics show what the watches show.

use std::sync::Arc;

use super::context::Context;
use crate::runtime::metrics::Inventory;

/// From now on a scrape shows the objects and connections as the watches have them.
pub fn export(context: &Arc<Context>) {
    // NB: weak, since the context has the metrics.
    let watching = Arc::downgrade(context);
    context.metrics.set_inventory(Box::new(move || {
        let context = watching.upgrade()?;
        Some(Inventory {
            objects: context.caches.objects().collect(),
            connections: context.caches.connections.state(),
            now: context.clock.wall(),
        })
    }));
}
