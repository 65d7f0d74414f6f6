//! 1,000 rotations due at once, against generate calls one after the other.

use std::time::{Duration, Instant};

use crate::figures::{Figures, number};
use crate::stage::{LONG, Stage, rotated, rotations};
use crate::support::world::Tenant;

const OBJECTS: usize = 1000;
const BARE: usize = 200;
/// What a generate takes on a real server.
const GENERATE: Duration = Duration::from_millis(13);

/// Triggers all at once.
pub async fn run(figures: &mut Figures) {
    let stage = Stage::new(OBJECTS).await;
    let operator = stage.operator().await;
    stage.issue(&operator, OBJECTS).await;
    let tenant = stage.world.tenant("bare").await;
    stage
        .zitadel()
        .configure(|settings| settings.generate_latency = GENERATE);
    let before = bare(&tenant).await;

    let done = rotations(&operator).await;
    let began = Instant::now();
    stage.fleet.trigger(0..OBJECTS, "1").await;
    rotated(&operator, done + OBJECTS).await;
    let took = began.elapsed().as_secs_f64();
    let at_once = stage.zitadel().counters().max_generates_in_flight;

    let after = bare(&tenant).await;
    let one = f64::midpoint(before, after);
    figures.show("bare_generate_seconds", one, "s");
    figures.show("drain_1000_seconds", took, "s");
    figures.show(
        "drain_generates_at_once",
        number(usize::try_from(at_once).unwrap()),
        "calls",
    );
    figures.at_least(
        "drain_ratio",
        one * number(OBJECTS) / took,
        0.8,
        "of_generates_one_at_a_time",
    );
    stage.fleet.settled(0..OBJECTS, "1", LONG).await;
}

/// Seconds a generate takes, one after the other on a new connection each, as the operator does it.
async fn bare(tenant: &Tenant) -> f64 {
    let app = tenant.app("bare");
    let client = reqwest::Client::builder()
        .http1_only()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let url = format!(
        "{}/management/v1/projects/{}/apps/{}/api_config/_generate_client_secret",
        tenant.url, tenant.project, app.id
    );
    let began = Instant::now();
    for _ in 0..BARE {
        let request = client.post(&url).bearer_auth(&tenant.pat).body("{}");
        let request = request.header("x-zitadel-orgid", &tenant.organization);
        let answer = request
            .header("content-type", "application/json")
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success());
        let _ = answer.bytes().await.unwrap();
    }
    began.elapsed().as_secs_f64() / number(BARE)
}
