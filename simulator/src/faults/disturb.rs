//! Carries out the actions of faults, before and after the execution.

use bytes::Bytes;

use crate::faults::actions::Action;
use crate::faults::gzip;
use crate::routes::answer::{Answer, Delivery, End};
use crate::server::shared::Shared;

/// Executed even if the client hangs up before.
pub(crate) fn outlives_client(action: &Action) -> bool {
    matches!(
        action,
        Action::DelayBefore {
            outlives_client: true,
            ..
        } | Action::HoldBefore {
            outlives_client: true,
            ..
        }
    )
}

/// What happens before the execution; a delivery means that there is none.
pub(crate) async fn before(shared: &Shared, actions: &[Action]) -> Option<Delivery> {
    for action in actions {
        match action {
            Action::DelayBefore { delay, .. } => tokio::time::sleep(*delay).await,
            Action::HoldBefore { gate, .. } => shared.gates.named(gate).pass().await,
            Action::RespondBefore(reply) => return Some(Delivery::Answer(reply.into())),
            Action::DropBefore(cut) => return Some(Delivery::Drop(*cut)),
            _ => {}
        }
    }
    None
}

/// What becomes of the answer after the execution.
pub(crate) async fn after(shared: &Shared, actions: &[Action], mut answer: Answer) -> Delivery {
    for action in actions {
        match action {
            Action::DelayAfter(delay) => tokio::time::sleep(*delay).await,
            Action::HoldAfter { gate } => shared.gates.named(gate).pass().await,
            Action::RespondAfter(reply) => answer = reply.into(),
            Action::DropAfter(cut) => return Delivery::Drop(*cut),
            Action::Truncate(bytes) => answer.end = End::CutAfter(*bytes),
            Action::ReplaceBody(body) => answer.body = body.clone().into(),
            Action::Garbage => {
                answer.body = Bytes::from_static(b"\xff\xfe\x00{\"clientSecret\":\"\xc3\x28\"");
            }
            Action::Oversize(bytes) => oversize(&mut answer, *bytes),
            Action::Endless => answer.end = End::Never,
            Action::ContentType(content_type) => answer.set("content-type", content_type),
            Action::Gzip => {
                answer.body = gzip::stored(&answer.body).into();
                answer.set("content-encoding", "gzip");
            }
            Action::DelayBefore { .. }
            | Action::HoldBefore { .. }
            | Action::RespondBefore(_)
            | Action::DropBefore(_)
            | Action::Duplicate(_)
            | Action::WithoutEffect
            | Action::Crossed(_) => {}
        }
    }
    Delivery::Answer(answer)
}

/// Adds a field of this size to a JSON object, so that the answer stays valid.
fn oversize(answer: &mut Answer, bytes: usize) {
    let padding = "x".repeat(bytes);
    answer.body =
        match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&answer.body) {
            Ok(mut object) => {
                object.insert("padding".to_owned(), padding.into());
                serde_json::Value::Object(object).to_string().into()
            }
            Err(_) => padding.into(),
        };
}
