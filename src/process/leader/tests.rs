//! Electors against an API server in memory, on tokio's paused clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use http::{Method, Request, Response};
use k8s_openapi::api::coordination::v1::Lease;
use kube::client::{Body, ClientBuilder};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::BoxError;

use super::*;

/// Time since boot is tokio's clock; the wall clock is wrong and stands still.
struct TestClock {
    start: Instant,
    wall: &'static str,
}

impl Clock for TestClock {
    fn wall(&self) -> jiff::Timestamp {
        self.wall.parse().unwrap()
    }

    fn boot(&self) -> Duration {
        self.start.elapsed()
    }
}

/// One Lease with Kubernetes' preconditions.
#[derive(Clone, Default)]
struct Server {
    lease: Arc<Mutex<Option<Lease>>>,
    gone: Arc<AtomicBool>,
    loses_answers: Arc<AtomicBool>,
    /// The next request is never answered.
    swallows_one: Arc<AtomicBool>,
    /// Milliseconds that each request takes to arrive.
    delay: Arc<AtomicU64>,
    /// There is no such namespace.
    nowhere: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
}

impl Server {
    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        sleep(Duration::from_millis(self.delay.load(SeqCst))).await;
        if self.gone.load(SeqCst) || self.swallows_one.swap(false, SeqCst) {
            std::future::pending::<()>().await;
        }
        let (code, answer) = self.carry_out(&parts.method, &body);
        if parts.method != Method::GET && self.loses_answers.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(Response::builder().status(code).body(Body::from(answer))?)
    }

    fn carry_out(&self, method: &Method, body: &[u8]) -> (u16, Vec<u8>) {
        let mut lease = self.lease.lock().unwrap();
        let refused = |code: u16, reason: &str| {
            let status = json!({"kind": "Status", "status": "Failure", "message": "", "reason": reason, "code": code});
            (code, status.to_string().into_bytes())
        };
        let version = |lease: &Lease| {
            lease
                .metadata
                .resource_version
                .clone()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        self.requests.fetch_add(1, SeqCst);
        match (method, lease.as_ref()) {
            _ if self.nowhere.load(SeqCst) => return refused(404, "NotFound"),
            (&Method::GET, None) => return refused(404, "NotFound"),
            (&Method::GET, Some(_)) => {}
            (_, standing) => {
                let mut new: Lease = serde_json::from_slice(body).unwrap();
                let create = method == Method::POST;
                if create != standing.is_none()
                    || standing.is_some_and(|old| {
                        old.metadata.uid != new.metadata.uid
                            || old.metadata.resource_version != new.metadata.resource_version
                    })
                {
                    return refused(409, "Conflict");
                }
                new.metadata.uid = Some("uid".into());
                new.metadata.resource_version = Some((standing.map_or(0, version) + 1).to_string());
                *lease = Some(new);
            }
        }
        (200, serde_json::to_vec(&*lease).unwrap())
    }

    fn start(
        &self,
        pod: &str,
        wall: &'static str,
        release: &CancellationToken,
    ) -> (LeadershipWatch, JoinHandle<()>) {
        self.start_process(pod, "1", wall, release)
    }

    fn start_process(
        &self,
        pod: &str,
        process: &str,
        wall: &'static str,
        release: &CancellationToken,
    ) -> (LeadershipWatch, JoinHandle<()>) {
        let identity = Identity {
            pod: pod.to_owned(),
            process: process.to_owned(),
        };
        let server = self.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        let client = ClientBuilder::new(service, "default").build();
        let clock = Arc::new(TestClock {
            start: Instant::now(),
            wall,
        });
        let elector = LeaderElector::new(
            client,
            "operator",
            "lock",
            identity,
            LeaseTiming::default(),
            clock,
            RestoreDetector::default(),
        )
        .unwrap();
        (elector.watch(), tokio::spawn(elector.run(release.clone())))
    }

    fn spec(&self) -> k8s_openapi::api::coordination::v1::LeaseSpec {
        self.lease.lock().unwrap().clone().unwrap().spec.unwrap()
    }
}

/// Whether it leads before a minute is over.
async fn soon(candidate: &LeadershipWatch) -> bool {
    timeout(Duration::from_mins(1), candidate.leading()).await == Ok(true)
}

const PAST: &str = "1999-01-01T00:00:00Z";
const FUTURE: &str = "2099-01-01T00:00:00Z";

#[tokio::test(start_paused = true)]
async fn the_second_takes_over_when_the_first_is_killed_whatever_the_wall_clocks_say() {
    for (first_wall, second_wall) in [(PAST, FUTURE), (FUTURE, PAST)] {
        let (server, release) = (Server::default(), CancellationToken::new());
        let (first, task) = server.start("first", first_wall, &release);
        assert!(soon(&first).await);
        let (second, _task) = server.start("second", second_wall, &release);
        sleep(Duration::from_mins(5)).await;
        assert!(first.leads() && !second.leads());

        let killed = Instant::now();
        task.abort();
        assert!(soon(&second).await && second.leads());
        assert!(!first.leads());
        let took = killed.elapsed();
        // The Lease's 15 s from the last renewal, which the second saw at most a retry period and its jitter later.
        assert!((13.0..=17.5).contains(&took.as_secs_f64()), "{took:?}");
        let spec = server.spec();
        assert_eq!(spec.holder_identity.as_deref(), Some("second_1"));
        assert_eq!(
            (spec.lease_transitions, spec.lease_duration_seconds),
            (Some(1), Some(15))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_restarts_leads_again_at_once_and_another_pod_does_not() {
    let (server, release) = (Server::default(), CancellationToken::new());
    let (first, task) = server.start_process("first", "1", PAST, &release);
    assert!(soon(&first).await);
    let (standby, _standby) = server.start("second", PAST, &release);
    sleep(Duration::from_mins(1)).await;
    task.abort();
    let killed = Instant::now();
    let (again, _again) = server.start_process("first", "2", PAST, &release);
    assert!(soon(&again).await && !first.leads());
    assert!(killed.elapsed() < Duration::from_secs(1));
    sleep(Duration::from_mins(1)).await;
    assert!(again.leads() && !standby.leads());
    assert_eq!(server.spec().holder_identity.as_deref(), Some("first_2"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_an_api_server_steps_down_by_itself_and_comes_back() {
    let (server, release) = (Server::default(), CancellationToken::new());
    let (leader, _task) = server.start("first", PAST, &release);
    assert!(soon(&leader).await);
    server.gone.store(true, SeqCst);
    let gone = Instant::now();
    timeout(Duration::from_mins(1), leader.standby())
        .await
        .unwrap();
    assert!(!leader.leads());
    let took = gone.elapsed();
    assert!((8.0..=10.0).contains(&took.as_secs_f64()), "{took:?}");
    server.gone.store(false, SeqCst);
    assert!(
        timeout(Duration::from_secs(10), leader.leading())
            .await
            .unwrap()
    );
    assert_eq!(server.spec().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn leadership_that_is_released_is_taken_at_once_and_keeps_its_count() {
    let server = Server::default();
    let (release, keep) = (CancellationToken::new(), CancellationToken::new());
    let (first, task) = server.start("first", PAST, &release);
    assert!(soon(&first).await);
    release.cancel();
    task.await.unwrap();
    assert!(!first.leads());
    let spec = server.spec();
    assert_eq!(spec.holder_identity.as_deref(), Some(""));
    assert_eq!(
        (spec.lease_transitions, spec.lease_duration_seconds),
        (Some(0), Some(1))
    );

    let (second, _task) = server.start("second", PAST, &keep);
    assert!(
        timeout(Duration::from_secs(1), second.leading())
            .await
            .unwrap()
    );
    assert_eq!(server.spec().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_ends_does_not_touch_the_lease() {
    let server = Server::default();
    let (release, keep) = (CancellationToken::new(), CancellationToken::new());
    let (first, _task) = server.start("first", PAST, &keep);
    assert!(soon(&first).await);
    let (_, standby) = server.start("second", PAST, &release);
    sleep(Duration::from_secs(7)).await;
    release.cancel();
    standby.await.unwrap();
    assert_eq!(server.spec().holder_identity.as_deref(), Some("first_1"));
    assert!(first.leads());
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_makes_no_leader_until_one_is_answered() {
    let (server, release) = (Server::default(), CancellationToken::new());
    server.loses_answers.store(true, SeqCst);
    let (candidate, _task) = server.start("first", PAST, &release);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(server.spec().holder_identity.as_deref(), Some("first_1"));
    assert!(!candidate.leads());
    server.loses_answers.store(false, SeqCst);
    assert!(
        timeout(Duration::from_secs(10), candidate.leading())
            .await
            .unwrap()
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_api_server_does_not_end_leadership() {
    let (server, release) = (Server::default(), CancellationToken::new());
    server.delay.store(4_500, SeqCst);
    let (leader, _task) = server.start("first", PAST, &release);
    assert!(soon(&leader).await);
    let (standby, _standby) = server.start("second", PAST, &release);
    let stepped_down = timeout(Duration::from_mins(10), leader.standby()).await;
    assert!(stepped_down.is_err(), "it led all the time");
    assert!(leader.leads() && !standby.leads());
    assert_eq!(server.spec().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn one_request_that_is_never_answered_does_not_cost_the_leadership() {
    let (server, release) = (Server::default(), CancellationToken::new());
    let (leader, _task) = server.start("first", PAST, &release);
    assert!(soon(&leader).await);
    server.swallows_one.store(true, SeqCst);
    let stepped_down = timeout(Duration::from_mins(1), leader.standby()).await;
    assert!(stepped_down.is_err() && leader.leads());
    assert!(!server.swallows_one.load(SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_missing_namespace_is_tried_once_per_period_until_it_exists() {
    let (server, release) = (Server::default(), CancellationToken::new());
    server.nowhere.store(true, SeqCst);
    let (candidate, _task) = server.start("first", PAST, &release);
    sleep(Duration::from_mins(1)).await;
    // A read and a write each time, and not once more as after a conflict.
    let requests = server.requests.load(SeqCst);
    assert!((40..=62).contains(&requests), "{requests}");
    server.nowhere.store(false, SeqCst);
    assert!(soon(&candidate).await);
}
