//! What a consumer sees of rotations: with a standby no call is refused; without one it is, for as long as the consumer has the old pair.
//!
//! The consumer reads the Secret as a mounted file is read: a change shows after up to [`REFRESH`]. A kubelet takes up to
//! a minute for that; here a minute is [`SCALE`] times shorter, and so is the interval. `make outage` prints the figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::eventually;
use support::world::{PATIENCE, Tenant, World};
use zitadel_simulator::AppHandle;

const SCALE: u32 = 80;
const REFRESH: Duration = Duration::from_millis(60_000 / SCALE as u64);
const ROTATIONS: u64 = 20;
const CONSUMERS: u64 = 4;

/// What one consumer saw.
#[derive(Default)]
struct Seen {
    calls: u64,
    refused: u64,
    /// From the first refused call of a row to the first accepted one after it.
    outages: Vec<Duration>,
    /// Pairs that it had loaded.
    pairs: usize,
}

/// Calls introspection without a pause with the pair it has, and loads the pair anew after a while when the Secret has changed.
async fn consume(tenant: Arc<Tenant>, first: u64, stop: Arc<AtomicBool>) -> Seen {
    let http = reqwest::Client::new();
    let url = format!("{}/oauth/v2/introspect", tenant.url);
    let mut seen = Seen::default();
    let mut pair = load(&tenant).await;
    let mut next: Option<((String, String), Instant)> = None;
    let mut down: Option<Instant> = None;
    let mut random = first;
    loop {
        let stored = load(&tenant).await;
        // Only once it has loaded the last pair it has seen all there was to see.
        if stop.load(Ordering::SeqCst) && stored == pair && down.is_none() {
            return seen;
        }
        match &next {
            Some((loaded, at)) if Instant::now() >= *at => {
                pair = loaded.clone();
                next = None;
                seen.pairs += 1;
            }
            None if stored != pair => {
                // NB: a linear congruence is random enough to spread a delay, and the same in each run.
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let percent = u32::try_from((random >> 33) % 101).unwrap();
                let delay = REFRESH * percent / 100;
                next = Some((stored, Instant::now() + delay));
            }
            _ => {}
        }
        let answer = http
            .post(&url)
            .basic_auth(&pair.0, Some(&pair.1))
            .form(&[("token", tenant.pat.as_str())])
            .send()
            .await
            .unwrap();
        let accepted = answer.status() == 200;
        let body: Value = answer.json().await.unwrap();
        assert_eq!(accepted, body["active"] == true, "{body}");
        seen.calls += 1;
        seen.refused += u64::from(!accepted);
        match (accepted, down) {
            (false, None) => down = Some(Instant::now()),
            (true, Some(since)) => {
                seen.outages.push(since.elapsed());
                down = None;
            }
            _ => {}
        }
        tokio::task::yield_now().await;
    }
}

async fn load(tenant: &Tenant) -> (String, String) {
    let data = tenant.data("orders").await;
    (data["CLIENT_ID"].clone(), data["CLIENT_SECRET"].clone())
}

/// How the application is rotated.
struct Rotated {
    standby: bool,
    interval: &'static str,
    /// The idle application's secret is made new, too, when this is over.
    overlap: Option<&'static str>,
    times: u64,
}

/// Lets consumers call through so many rotations on schedule.
async fn watch(prefix: &str, how: Rotated) -> Vec<Seen> {
    let tenant = Arc::new(World::shared().await.tenant(prefix).await);
    let (first, second) = (tenant.app("orders-a"), tenant.app("orders-b"));
    let spec = |interval: &str| {
        let mut spec = json!({"rotation": {"interval": interval, "jitterPercent": 0}});
        if how.standby {
            spec["standby"] = json!({"type": "Existing", "appId": second.id});
        }
        if let Some(overlap) = how.overlap {
            spec["rotation"]["overlap"] = json!({"minimum": overlap});
        }
        spec
    };
    tenant.apply("orders", &first.id, spec("1h")).await.unwrap();
    tenant.ready("orders").await;
    let stop = Arc::new(AtomicBool::new(false));
    let consumers: Vec<_> = (1..=CONSUMERS)
        .map(|n| tokio::spawn(consume(Arc::clone(&tenant), n, Arc::clone(&stop))))
        .collect();
    let often = spec(how.interval);
    tenant.apply("orders", &first.id, often).await.unwrap();
    let made = |app: &AppHandle| tenant.generates(app);
    let calls = how.times * if how.overlap.is_some() { 2 } else { 1 };
    eventually(PATIENCE * 3, || async {
        (made(&first) + made(&second) > calls).then_some(())
    })
    .await;
    tenant.apply("orders", &first.id, spec("1h")).await.unwrap();
    tenant.ready("orders").await;
    stop.store(true, Ordering::SeqCst);
    let mut seen = Vec::new();
    for consumer in consumers {
        seen.push(
            tokio::time::timeout(PATIENCE, consumer)
                .await
                .unwrap()
                .unwrap(),
        );
    }
    seen
}

/// Prints how many calls there were; each consumer had most of the pairs, and none was refused.
fn none_refused(what: &str, seen: &[Seen], rotations: u64) {
    let calls: u64 = seen.iter().map(|seen| seen.calls).sum();
    let refused: u64 = seen.iter().map(|seen| seen.refused).sum();
    println!("figure {what}_calls {calls} calls");
    println!("figure {what}_refused_calls {refused} calls");
    for consumer in seen {
        let rotations = usize::try_from(rotations).unwrap();
        assert!(consumer.pairs >= rotations / 2, "{}", consumer.pairs);
        assert!(consumer.calls > ROTATIONS * 10, "{}", consumer.calls);
    }
    assert_eq!(refused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_standby_no_call_is_refused_over_twenty_rotations() {
    let how = Rotated {
        standby: true,
        interval: "1s",
        overlap: None,
        times: ROTATIONS,
    };
    let seen = watch("no-outage", how).await;
    none_refused("standby", &seen, ROTATIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_overlap_that_ends_no_call_is_refused_either() {
    // Four times as long as a consumer takes to load a new pair.
    let how = Rotated {
        standby: true,
        interval: "5s",
        overlap: Some("3s"),
        times: 10,
    };
    let seen = watch("overlap", how).await;
    none_refused("overlap", &seen, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_application_calls_are_refused_until_the_new_pair_is_loaded() {
    let how = Rotated {
        standby: false,
        interval: "1s",
        overlap: None,
        times: ROTATIONS,
    };
    let seen = watch("outage", how).await;
    let mut outages: Vec<Duration> = seen.iter().flat_map(|seen| seen.outages.clone()).collect();
    outages.sort_unstable();
    assert!(outages.len() as u64 >= ROTATIONS, "{}", outages.len());
    let of = |quantile: usize| outages[(outages.len() - 1) * quantile / 100] * SCALE;
    println!("figure single_app_outage_p50 {:.1} s", of(50).as_secs_f64());
    println!("figure single_app_outage_p99 {:.1} s", of(99).as_secs_f64());
    println!("figure single_app_outages {} outages", outages.len());
}
