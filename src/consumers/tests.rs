//! What is asked of the API server while a rotation is followed.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use kube::runtime::reflector;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::consumers::find::Wanted;
use crate::consumers::judge::Spans;
use crate::process::clock::{Clock, ServerClock, SystemClock};
use crate::process::leader::LeadershipWatch;
use crate::process::metrics::Metrics;
use crate::store::Store;
use crate::target::consumers::ConsumerPolicy;

const PODS: usize = 3;
const SECOND: Duration = Duration::from_secs(1);

/// An API server with Pods that mount a Secret. It follows a rotation when the first Pod is prompted, as if that became known then.
#[derive(Default)]
struct Api {
    seen: Mutex<Vec<Method>>,
    all_prompted: Notify,
    consumers: OnceLock<Consumers>,
    then: OnceLock<Rotation>,
}

impl Api {
    fn answer(&self, method: &Method) -> serde_json::Value {
        let prompts = {
            let mut seen = self.seen.lock();
            seen.push(method.clone());
            seen.iter().filter(|it| *it == Method::PATCH).count()
        };
        if *method == Method::PATCH && prompts == 1 {
            let consumers = self.consumers.get().unwrap();
            consumers.follow(self.then.get().unwrap().clone());
        }
        if prompts == PODS {
            self.all_prompted.notify_one();
        }
        let volume = json!({"name": "v", "secret": {"secretName": "oauth"}});
        let mount = json!({"name": "v", "mountPath": "/oauth"});
        let pod = |number| {
            json!({
                "metadata": {"name": format!("p-{number}"), "uid": format!("u-{number}")},
                "spec": {"containers": [{"name": "c", "volumeMounts": [mount]}], "volumes": [volume]},
            })
        };
        json!({"items": (0..PODS).map(pod).collect::<Vec<_>>()})
    }

    /// The requests until all Pods were prompted for a rotation, if another one becomes known meanwhile.
    async fn requests(rotation: Rotation, then: Rotation) -> Vec<Method> {
        let api = Arc::new(Self::default());
        let answering = Arc::clone(&api);
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = answering.answer(request.method()).to_string();
            async { Ok::<_, std::io::Error>(Response::new(Body::from(answer.into_bytes()))) }
        });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (connections, _writer) = reflector::store();
        let consumers = Consumers::new(Handles {
            client: kube::Client::new(service, "default"),
            abilities: Abilities {
                refresh: true,
                restart: false,
            },
            spans: Spans::new(1),
            clock: Arc::clone(&clock),
            api_clock: ServerClock::new(Arc::clone(&clock)),
            lead: LeadershipWatch::always(clock),
            stop: CancellationToken::new(),
            store: Arc::new(Store::new(String::new(), BTreeMap::new(), connections)),
            tasks: TaskTracker::new(),
            metrics: Metrics::new(),
        });
        assert!(api.consumers.set(consumers.clone()).is_ok());
        assert!(api.then.set(then).is_ok());
        consumers.follow(rotation);
        let all = tokio::time::timeout(SECOND * 60, api.all_prompted.notified());
        all.await.unwrap();
        api.seen.lock().clone()
    }
}

fn rotation(number: u128, written: Timestamp) -> Rotation {
    Rotation {
        owner: Owner {
            kind: crate::api::Kind::ApiApp,
            namespace: "shop".to_owned(),
            name: "oauth".to_owned(),
            uid: number.to_string(),
        },
        attempt: AttemptId(uuid::Uuid::from_u128(number)),
        written,
        replaced: true,
        annotation: String::new(),
        wanted: Wanted {
            secret: "oauth".to_owned(),
            keys: ["S".to_owned()].into(),
        },
        policy: ConsumerPolicy::read(None).unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn pods_are_prompted_without_a_break_when_only_the_time_of_the_write_becomes_known_better() {
    let (get, patch) = (Method::GET, Method::PATCH);
    let now = Timestamp::now();
    let first = rotation(1, now);
    let earlier = rotation(1, now - SECOND);
    let seen = Api::requests(first.clone(), earlier).await;
    assert_eq!(seen, [&get, &patch, &patch, &patch]);
    let another = rotation(2, now);
    let seen = Api::requests(first, another).await;
    assert_eq!(
        seen[..3],
        [get.clone(), patch, get],
        "a rotation that is new has its consumers counted first"
    );
}
