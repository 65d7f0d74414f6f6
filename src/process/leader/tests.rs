//! Electors against an API server in memory, on tokio's paused clock.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst};

use http::{Method, Request, Response};
use k8s_openapi::api::coordination::v1::Lease;
use kube::client::{Body, ClientBuilder};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::BoxError;

use super::*;

/// Time since boot is tokio's clock, at another rate; the wall clock is wrong and stands still.
struct TestClock {
    start: Instant,
    wall: &'static str,
    permille: u32,
    /// Milliseconds for which the host was suspended: they pass for this clock only.
    suspended: Arc<AtomicU64>,
}

impl TestClock {
    fn new(wall: &'static str, permille: u32) -> Self {
        Self {
            start: Instant::now(),
            wall,
            permille,
            suspended: Arc::default(),
        }
    }
}

impl Clock for TestClock {
    fn wall(&self) -> jiff::Timestamp {
        self.wall.parse().unwrap()
    }

    fn boot(&self) -> Duration {
        let suspended = Duration::from_millis(self.suspended.load(SeqCst));
        self.start.elapsed() * self.permille / 1000 + suspended
    }
}

/// One Lease with Kubernetes' preconditions.
#[derive(Clone, Default)]
struct Server {
    lease: Arc<Mutex<Option<Lease>>>,
    gone: Arc<AtomicBool>,
    /// Pods that cannot reach it.
    cut_off: Arc<Mutex<BTreeSet<String>>>,
    loses_answers: Arc<AtomicBool>,
    /// The next request is never answered.
    swallows_one: Arc<AtomicBool>,
    /// Milliseconds that each request takes to arrive. It also arrives if its sender has given up on it.
    delay: Arc<AtomicU64>,
    /// There is no such namespace.
    nowhere: Arc<AtomicBool>,
    /// An admission webhook denies each write with this status code; 0: none does.
    denies: Arc<AtomicU16>,
    requests: Arc<AtomicU64>,
}

impl Server {
    async fn answer(self, pod: String, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let is_cut_off = || self.cut_off.lock().contains(&pod);
        if self.gone.load(SeqCst) || is_cut_off() || self.swallows_one.swap(false, SeqCst) {
            std::future::pending::<()>().await;
        }
        let (server, method) = (self.clone(), parts.method.clone());
        let arriving = tokio::spawn(async move {
            sleep(Duration::from_millis(server.delay.load(SeqCst))).await;
            server.carry_out(&method, &body)
        });
        let (code, answer) = arriving.await?;
        if is_cut_off() || (parts.method != Method::GET && self.loses_answers.load(SeqCst)) {
            std::future::pending::<()>().await;
        }
        Ok(Response::builder().status(code).body(Body::from(answer))?)
    }

    fn carry_out(&self, method: &Method, body: &[u8]) -> (u16, Vec<u8>) {
        let mut lease = self.lease.lock();
        let failed = |code: u16, reason: &str, message: &str| {
            let status = json!({"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code});
            (code, status.to_string().into_bytes())
        };
        let refused = |code: u16, reason: &str| failed(code, reason, "");
        let denied_with = self.denies.load(SeqCst);
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
            _ if denied_with != 0 => {
                let message = r#"admission webhook "leases.example.com" denied the request: no"#;
                return failed(denied_with, "", message);
            }
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

    fn client(&self, pod: &str) -> Client {
        let (server, sender) = (self.clone(), pod.to_owned());
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            server.answer(sender.clone(), request)
        });
        ClientBuilder::new(service, "default").build()
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
        let clock = TestClock::new(wall, 1000);
        self.start_with(pod, process, clock, release)
    }

    fn start_with(
        &self,
        pod: &str,
        process: &str,
        clock: TestClock,
        release: &CancellationToken,
    ) -> (LeadershipWatch, JoinHandle<()>) {
        let identity = Identity {
            pod: pod.to_owned(),
            process: process.to_owned(),
        };
        let clock = Arc::new(clock);
        let elector = LeaderElector::new(
            self.client(pod),
            "operator",
            "lock",
            identity,
            LeaseTiming::default(),
            clock,
            Relist::default(),
        )
        .unwrap();
        (elector.watch(), tokio::spawn(elector.run(release.clone())))
    }

    fn spec(&self) -> k8s_openapi::api::coordination::v1::LeaseSpec {
        self.lease.lock().clone().unwrap().spec.unwrap()
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
async fn a_leader_that_releases_stops_leading_before_another_can_read_of_it() {
    let server = Server::default();
    let (release, keep) = (CancellationToken::new(), CancellationToken::new());
    let (first, _first) = server.start("first", PAST, &release);
    assert!(soon(&first).await);
    let (second, _second) = server.start("second", PAST, &keep);
    sleep(Duration::from_secs(7)).await;
    // The release is carried out, and the leader does not learn of it.
    server.loses_answers.store(true, SeqCst);
    release.cancel();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(server.spec().holder_identity.as_deref(), Some(""));
    assert!(!first.leads());
    server.loses_answers.store(false, SeqCst);
    let took_over = timeout(Duration::from_secs(3), second.leading()).await;
    assert!(took_over == Ok(true) && !first.leads());
}

#[tokio::test(start_paused = true)]
async fn leadership_is_counted_from_the_request_that_won_it_and_not_from_its_answer() {
    let (server, release) = (Server::default(), CancellationToken::new());
    server.delay.store(4_500, SeqCst);
    let started = Instant::now();
    let (leader, _task) = server.start("first", PAST, &release);
    // A read of 4.5 s, and a write of as many; nothing after it is answered.
    sleep(Duration::from_secs(6)).await;
    server.gone.store(true, SeqCst);
    assert!(soon(&leader).await);
    let won = started.elapsed();
    assert!((9.0..=9.1).contains(&won.as_secs_f64()), "{won:?}");
    timeout(Duration::from_mins(1), leader.standby())
        .await
        .unwrap();
    let ended = started.elapsed();
    assert!((14.4..=14.6).contains(&ended.as_secs_f64()), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_host_was_suspended_does_not_lead_before_it_has_renewed() {
    let (server, release) = (Server::default(), CancellationToken::new());
    let clock = TestClock::new(PAST, 1000);
    let suspended = Arc::clone(&clock.suspended);
    let (leader, _task) = server.start_with("first", "1", clock, &release);
    assert!(soon(&leader).await);
    // The elector has not run yet since the host woke up.
    for (millis, leads) in [(9_900, true), (10_100, false)] {
        suspended.store(millis, SeqCst);
        assert_eq!(leader.leads(), leads, "after {millis} ms");
    }
    sleep(Duration::from_secs(3)).await;
    assert!(leader.leads());
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

#[tokio::test(start_paused = true)]
async fn a_webhook_that_denies_the_lease_is_no_lost_race_whatever_status_code_it_chooses() {
    for code in [403, 404, 409] {
        let (server, release) = (Server::default(), CancellationToken::new());
        server.denies.store(code, SeqCst);
        let (candidate, _task) = server.start("first", PAST, &release);
        sleep(Duration::from_mins(1)).await;
        // A read and a write each time, and not once more as after a conflict.
        let requests = server.requests.load(SeqCst);
        assert!((40..=62).contains(&requests), "{code}: {requests}");
        assert!(!candidate.leads());
        server.denies.store(0, SeqCst);
        assert!(soon(&candidate).await);
    }
}

#[tokio::test]
async fn a_write_that_is_denied_is_known_not_to_have_happened() {
    let server = Server::default();
    let mut store = LeaseStore::new(
        server.client("first"),
        "operator",
        "lock",
        "first_1",
        LeaseTiming::default(),
        Relist::default(),
    );
    let now = PAST.parse().unwrap();
    for write in [Write::Create, Write::Renew] {
        for code in [400, 403, 404, 409, 429, 500] {
            server.denies.store(code, SeqCst);
            let denied = store.write(write, now).await;
            assert!(
                matches!(denied, Err(WriteError::Refused(_))),
                "{write:?}, {code}"
            );
        }
        server.denies.store(0, SeqCst);
        store.write(write, now).await.unwrap();
    }
}

const CANDIDATES: usize = 3;

/// What happens to the candidates and to the network.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// Milliseconds pass.
    Pass(u64),
    /// Each request now takes so many milliseconds.
    Delay(u64),
    /// Answers to writes are lost, or not any more.
    LoseAnswers(bool),
    /// A candidate is cut off, or not any more.
    CutOff(usize, bool),
    /// The process of a candidate ends, and another one starts in the same pod.
    Restart(usize),
    /// A candidate releases its Lease.
    Release(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let candidate = 0..CANDIDATES;
    prop_oneof![
        8 => (1..6000_u64).prop_map(Happening::Pass),
        2 => (0..7000_u64).prop_map(Happening::Delay),
        1 => any::<bool>().prop_map(Happening::LoseAnswers),
        2 => (candidate.clone(), any::<bool>()).prop_map(|(who, cut)| Happening::CutOff(who, cut)),
        1 => candidate.clone().prop_map(Happening::Restart),
        1 => candidate.prop_map(Happening::Release),
    ]
}

/// A process of a candidate.
struct Process {
    watch: LeadershipWatch,
    task: JoinHandle<()>,
    release: CancellationToken,
}

impl Process {
    fn start(server: &Server, candidate: usize, number: usize, permille: u32) -> Self {
        let release = CancellationToken::new();
        let clock = TestClock::new(PAST, permille);
        let pod = format!("candidate-{candidate}");
        let (watch, task) = server.start_with(&pod, &number.to_string(), clock, &release);
        Self {
            watch,
            task,
            release,
        }
    }
}

/// Which candidates led; an error if two of them did at the same time.
async fn leaders(
    rates: [u32; CANDIDATES],
    happenings: &[Happening],
) -> Result<BTreeSet<usize>, TestCaseError> {
    const STEP: u64 = 100;
    let server = Server::default();
    let start = |candidate, number| Process::start(&server, candidate, number, rates[candidate]);
    let mut processes: [Process; CANDIDATES] = std::array::from_fn(|candidate| start(candidate, 0));
    let mut leaders = BTreeSet::new();
    for (number, happening) in happenings.iter().enumerate() {
        let mut millis = 1;
        match *happening {
            Happening::Pass(passing) => millis = passing,
            Happening::Delay(delay) => server.delay.store(delay, SeqCst),
            Happening::LoseAnswers(lose) => server.loses_answers.store(lose, SeqCst),
            Happening::CutOff(candidate, cut) => {
                let mut cut_off = server.cut_off.lock();
                let pod = format!("candidate-{candidate}");
                if cut {
                    cut_off.insert(pod);
                } else {
                    cut_off.remove(&pod);
                }
            }
            Happening::Restart(candidate) => {
                let process = &mut processes[candidate];
                process.task.abort();
                let _ = (&mut process.task).await;
                *process = start(candidate, number + 1);
            }
            Happening::Release(candidate) => processes[candidate].release.cancel(),
        }
        for _ in 0..millis.div_ceil(STEP) {
            sleep(Duration::from_millis(STEP)).await;
            let leads = |candidate: &usize| processes[*candidate].watch.leads();
            let leading: Vec<_> = (0..CANDIDATES).filter(leads).collect();
            prop_assert!(
                leading.len() <= 1,
                "{leading:?} lead after {number}: {happening:?}"
            );
            leaders.extend(leading);
        }
    }
    Ok(leaders)
}

fn run(
    rates: [u32; CANDIDATES],
    happenings: &[Happening],
) -> Result<BTreeSet<usize>, TestCaseError> {
    // NB: the jitter of a standby is random.
    fastrand::seed(7);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(leaders(rates, happenings))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn at_most_one_candidate_leads_at_any_time(
        // NB: real clocks differ by 0.1 ‰.
        rates in prop::array::uniform3(900..1100_u32),
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        run(rates, &happenings)?;
    }
}

#[test]
fn a_candidate_that_is_cut_off_loses_leadership_to_another_and_does_not_take_it_back() {
    use Happening::{CutOff, Pass};
    let mut happenings = vec![CutOff(1, true), CutOff(2, true), Pass(5000)];
    assert_eq!(run([1000; CANDIDATES], &happenings).unwrap(), [0].into());
    happenings.extend([CutOff(0, true), CutOff(1, false), Pass(14_000)]);
    assert_eq!(run([1000; CANDIDATES], &happenings).unwrap(), [0].into());
    happenings.extend([Pass(8000), CutOff(0, false), Pass(60_000)]);
    assert_eq!(run([1000; CANDIDATES], &happenings).unwrap(), [0, 1].into());
}
