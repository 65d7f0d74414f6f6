//! Has the metrics show what the watches show.

use std::sync::Arc;

use kube::runtime::reflector::Store;

use super::context::Context;
use crate::api::ZitadelConnection;
use crate::runtime::metrics::Inventory;

/// From now on a scrape shows the objects and connections as the watches have them.
pub fn export(context: &Arc<Context>, connections: Store<ZitadelConnection>) {
    // NB: weak, since the context has the metrics.
    let watching = Arc::downgrade(context);
    context.metrics.set_inventory(Box::new(move || {
        let context = watching.upgrade()?;
        Some(Inventory {
            objects: context.stores.objects.state(),
            connections: connections.state(),
            now: context.clock.wall(),
        })
    }));
}
