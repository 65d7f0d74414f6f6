//! What the controllers of all kinds have in common.

use tokio::sync::mpsc;

use crate::reconcile::context::Context;
use crate::store::cache::Synced;

/// NB: a controller that is stopped while its cache fills waits for it for ever. It has done nothing by then, like a replica that
/// never led: leave it.
pub(crate) async fn unless_stopped_before_sync(
    work: impl Future<Output = ()>,
    synced: &Synced,
    context: &Context,
) {
    let never_began = async {
        let began = async {
            context.process.lead.leading().await;
            synced.wait().await;
        };
        if context
            .process
            .stop
            .run_until_cancelled(began)
            .await
            .is_some()
        {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = work => {}
        () = never_began => {}
    }
}

pub(crate) fn stream_of<T>(receiver: mpsc::UnboundedReceiver<T>) -> impl futures::Stream<Item = T> {
    futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    })
}
