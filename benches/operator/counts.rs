//! What a first issue and a rotation cost: writes, events, reads, calls to ZITADEL. Exact counts.

use std::collections::BTreeMap;

use crate::figures::{Figures, number};
use crate::stage::{LONG, Stage, quiet, rotated, rotations};
use crate::support::audit::Request;

const OBJECTS: usize = 200;

/// Issues 200 objects, then rotates each of them.
pub async fn run(figures: &mut Figures) {
    let mut stage = Stage::new(OBJECTS).await;
    let operator = stage.operator().await;
    stage.requests();
    stage.zitadel().clear_ledger();
    stage.issue(&operator, OBJECTS).await;
    // Beyond the three of a rotation, a first issue makes the Secret as an empty shell.
    print(figures, &mut stage, "first_issue", 4.0);

    let before = rotations(&operator).await;
    stage.fleet.trigger(0..OBJECTS, "1").await;
    rotated(&operator, before + OBJECTS).await;
    stage.fleet.settled(0..OBJECTS, "1", LONG).await;
    quiet(&operator, LONG).await;
    print(figures, &mut stage, "rotation", 3.0);
}

/// Prints and forgets what was asked so far.
fn print(figures: &mut Figures, stage: &mut Stage, what: &str, writes: f64) {
    let requests = stage.requests();
    let count = |wanted: &dyn Fn(&Request) -> bool| {
        number(requests.iter().filter(|request| wanted(request)).count()) / number(OBJECTS)
    };
    // NB: what is written of the connection is not written for an object.
    let is_aside =
        |request: &Request| ["events", "zitadelconnections"].contains(&request.resource());
    let unit = format!("per_{what}");
    figures.at_most(
        &format!("writes_per_{what}"),
        count(&|request| request.is_write() && !is_aside(request)),
        writes,
        &unit,
    );
    figures.at_most(
        &format!("events_per_{what}"),
        count(&|request| request.is_write() && request.resource() == "events"),
        1.0,
        &unit,
    );
    let generates = number(stage.zitadel().executions().len()) / number(OBJECTS);
    figures.exactly(&format!("generates_per_{what}"), generates, 1.0, &unit);
    let dry_runs = count(&|request| request.is_dry_run());
    figures.show(&format!("dry_runs_per_{what}"), dry_runs, &unit);
    let reads = count(&|request| request.verb == "get");
    figures.show(&format!("reads_per_{what}"), reads, &unit);
    let lists = count(&|request| request.verb == "list");
    figures.exactly(&format!("lists_per_{what}"), lists, 0.0, &unit);
    let refused = count(&|request| request.verb != "get" && request.code() >= 400);
    figures.show(&format!("refused_writes_per_{what}"), refused, &unit);
    let zitadel = number(stage.zitadel().request_log().len()) / number(OBJECTS);
    figures.show(&format!("zitadel_requests_per_{what}"), zitadel, &unit);
    stage.zitadel().clear_ledger();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.verb != "get") {
        *kinds.entry(request.kind()).or_default() += 1;
    }
    for (kind, count) in kinds {
        let kind = kind.replace([' ', '/'], "_");
        figures.show(
            &format!("{kind}_per_{what}"),
            number(count) / number(OBJECTS),
            &unit,
        );
    }
}
