//! Restarts workloads whose Pods keep a former value, a few at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::consumers::requests;
use crate::consumers::workload::{Kind, Plan, Workload, WorkloadId};
use crate::process::kube_error;
use crate::store::apply;

/// Workloads that roll out at the same time in a namespace.
const MOST_IN_NAMESPACE: usize = 3;
/// Workloads that roll out at the same time in the cluster.
pub const MOST_IN_CLUSTER: usize = 10;
/// A rollout that takes longer than this has failed, whatever its workload says; as long as a Deployment's own deadline by default.
const LONGEST: Duration = Duration::from_mins(10);

/// A workload that is to be restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The workload.
    pub id: WorkloadId,
    /// The annotations that its Pod template gets: one for each Secret.
    pub annotations: BTreeMap<String, String>,
    /// The uids of the objects whose rotations ask for it.
    pub for_objects: BTreeSet<String>,
}

/// The restarts of a namespace.
pub struct Restarts {
    client: kube::Client,
    namespace: String,
    cluster: Arc<Semaphore>,
    /// What rolls out.
    rolling: Vec<Rolling>,
    /// What waits for its turn, with its generation.
    pending: VecDeque<(Wanted, i64)>,
    /// The uids of objects for which nothing else is restarted.
    stopped: BTreeSet<String>,
    /// Why a workload is not restarted, by the uid of the object: the first of them.
    obstacles: BTreeMap<String, String>,
    /// Whether a rollout was seen since the Pods were counted.
    seen_rollout: bool,
}

struct Rolling {
    wanted: Wanted,
    since: Instant,
    /// Its place among those that roll out at the same time. None: it has none, since it takes too long.
    place: Option<OwnedSemaphorePermit>,
}

impl Restarts {
    /// None yet.
    pub fn new(client: kube::Client, namespace: &str, cluster: Arc<Semaphore>) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            cluster,
            rolling: Vec::new(),
            pending: VecDeque::new(),
            stopped: BTreeSet::new(),
            obstacles: BTreeMap::new(),
            seen_rollout: false,
        }
    }

    /// Why a workload of an object is not restarted.
    pub fn obstacle(&self, uid: &str) -> Option<&str> {
        self.obstacles.get(uid).map(String::as_str)
    }

    /// Whether a rollout was seen since the Pods were counted, so that there are others now.
    pub const fn has_seen_rollout(&self) -> bool {
        self.seen_rollout
    }

    /// Looks at all workloads that are wanted, after the Pods were counted. What was asked for before, by whatever process, is found in
    /// their annotations.
    ///
    /// # Errors
    /// The first request that failed.
    pub async fn begin(&mut self, all: Vec<Wanted>) -> Result<(), kube::Error> {
        self.pending.clear();
        self.stopped.clear();
        self.obstacles.clear();
        self.seen_rollout = false;
        let mut before = std::mem::take(&mut self.rolling);
        for wanted in all {
            let known = before.iter().position(|it| it.wanted.id == wanted.id);
            let known = known.map(|at| before.swap_remove(at));
            match self.look(&wanted).await? {
                Some((Plan::Restart, workload)) => {
                    self.pending.push_back((wanted, workload.generation()));
                }
                Some((Plan::Wait, _)) => {
                    let known = known.unwrap_or_else(|| Rolling {
                        wanted: wanted.clone(),
                        since: Instant::now(),
                        place: Arc::clone(&self.cluster).try_acquire_owned().ok(),
                    });
                    self.rolling.push(Rolling { wanted, ..known });
                }
                Some((Plan::Done | Plan::Failed | Plan::Leave(_), _)) | None => {}
            }
        }
        Ok(())
    }

    /// Restarts those whose turn it is. Whether any roll out or wait for their turn.
    ///
    /// # Errors
    /// The first request that failed.
    pub async fn advance(&mut self) -> Result<bool, kube::Error> {
        self.seen_rollout |= !self.rolling.is_empty();
        for mut rolling in std::mem::take(&mut self.rolling) {
            let looked = self.look(&rolling.wanted).await?;
            if !matches!(looked, Some((Plan::Wait, _))) {
                // NB: also one that was not restarted for the rotation: another actor's rollout has ended, and its Pods are counted again.
                continue;
            }
            if rolling.since.elapsed() >= LONGEST {
                rolling.place = None;
                self.fail(&rolling.wanted);
            }
            self.rolling.push(rolling);
        }
        while self.rolling.iter().filter(|it| it.place.is_some()).count() < MOST_IN_NAMESPACE
            && let Some((wanted, generation)) = self.pending.pop_front()
        {
            if !self.stopped.is_disjoint(&wanted.for_objects) {
                continue;
            }
            let Ok(place) = Arc::clone(&self.cluster).try_acquire_owned() else {
                self.pending.push_front((wanted, generation));
                break;
            };
            match self.look(&wanted).await? {
                Some((Plan::Restart, workload)) if workload.generation() != generation => {
                    // NB: another actor may have restarted it meanwhile: its Pods are counted again.
                    self.seen_rollout = true;
                    continue;
                }
                Some((Plan::Restart, workload)) => {
                    if !self.restart(&wanted, &workload).await? {
                        continue;
                    }
                }
                Some((Plan::Wait, _)) => {}
                Some((Plan::Done | Plan::Failed | Plan::Leave(_), _)) | None => continue,
            }
            self.rolling.push(Rolling {
                wanted,
                since: Instant::now(),
                place: Some(place),
            });
        }
        self.seen_rollout |= !self.rolling.is_empty();
        let rolls = self.rolling.iter().any(|it| it.place.is_some());
        Ok(rolls || !self.pending.is_empty())
    }

    /// Restarts a workload. False if that is refused: only this one is left alone for it.
    async fn restart(&mut self, wanted: &Wanted, workload: &Workload) -> Result<bool, kube::Error> {
        let (id, annotations) = (&wanted.id, &wanted.annotations);
        let (client, namespace) = (&self.client, &self.namespace);
        let params = apply::patch();
        let asked =
            requests::restart(client, namespace, id, workload.uid(), annotations, &params).await;
        if let Err(error) = asked {
            let why = refusal(&error, "patch", id.kind, namespace).ok_or(error)?;
            self.note(wanted, &why);
            return Ok(false);
        }
        tracing::info!(
            namespace,
            workload = %id,
            "restarted a workload whose Pods have a former client secret"
        );
        Ok(true)
    }

    /// What is done about a workload, and the workload as it is now. None if it can't be read or does not exist. Why nothing is done is
    /// noted.
    async fn look(&mut self, wanted: &Wanted) -> Result<Option<(Plan, Workload)>, kube::Error> {
        let (client, namespace, id) = (&self.client, &self.namespace, &wanted.id);
        let workload = match requests::workload(client, namespace, id).await {
            Ok(Some(workload)) => workload,
            Ok(None) => {
                self.note(wanted, "it does not exist");
                return Ok(None);
            }
            Err(error) => {
                let why = refusal(&error, "get", id.kind, namespace).ok_or(error)?;
                self.note(wanted, &why);
                return Ok(None);
            }
        };
        let plan = workload.plan(id.kind, &wanted.annotations);
        match plan {
            Plan::Leave(why) => self.note(wanted, why),
            Plan::Failed => self.fail(wanted),
            Plan::Restart | Plan::Wait | Plan::Done => {}
        }
        Ok(Some((plan, workload)))
    }

    fn fail(&mut self, wanted: &Wanted) {
        self.note(
            wanted,
            "its rollout has failed, so nothing else is restarted for this rotation",
        );
        self.stopped.extend(wanted.for_objects.iter().cloned());
    }

    fn note(&mut self, wanted: &Wanted, why: &str) {
        for uid in &wanted.for_objects {
            let sentence = || format!("{}: {why}", wanted.id);
            self.obstacles.entry(uid.clone()).or_insert_with(sentence);
        }
    }
}

/// Why the API server refuses a request with this verb about one workload, if it does, and what to do about it.
fn refusal(error: &kube::Error, verb: &str, kind: Kind, namespace: &str) -> Option<String> {
    let kube::Error::Api(status) = error else {
        return None;
    };
    let is_stopped = kube_error::admission(status).is_some();
    match status.code {
        403 if !is_stopped => Some(format!(
            "the operator may not {verb} {} in namespace {namespace}: set consumers.restart in the chart, or grant it; `zitadel-secret-operator check` lists what is missing",
            kind.plural()
        )),
        code if is_stopped || matches!(code, 400 | 422) => Some(
            "the API server refuses its restart: check admission policies and webhooks".to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Response};
    use kube::client::Body;
    use kube::core::Status;
    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;

    /// Deployments by name, and which of them were restarted, in order.
    #[derive(Default)]
    struct Api {
        deployments: Mutex<BTreeMap<String, Value>>,
        restarted: Mutex<Vec<String>>,
    }

    impl Api {
        fn client(self: &Arc<Self>) -> kube::Client {
            let api = Arc::clone(self);
            let service = tower::service_fn(move |request: Request<Body>| {
                let name = request.uri().path().rsplit('/').next().unwrap_or_default();
                if request.method() == Method::PATCH {
                    api.restarted.lock().push(name.to_owned());
                    api.set(name, 2, 1);
                }
                let answer = api.deployments.lock()[name].to_string();
                async { Ok::<_, std::io::Error>(Response::new(Body::from(answer.into_bytes()))) }
            });
            kube::Client::new(service, "default")
        }

        /// A Deployment of this generation, which its controller has seen up to another one.
        fn set(&self, name: &str, generation: i64, observed: i64) {
            let deployment = json!({
                "metadata": {"uid": name, "generation": generation}, "spec": {"replicas": 1},
                "status": {"observedGeneration": observed, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
            });
            let mut deployments = self.deployments.lock();
            deployments.insert(name.to_owned(), deployment);
        }
    }

    #[tokio::test]
    async fn a_workload_that_another_actor_changed_while_it_waited_is_not_restarted_before_its_pods_are_counted_again()
     {
        let api = Arc::new(Api::default());
        let cluster = Arc::new(Semaphore::new(MOST_IN_CLUSTER));
        let mut restarts = Restarts::new(api.client(), "shop", cluster);
        let names = ["a", "b", "c", "d", "e"];
        let wanted = names.map(|name| Wanted {
            id: WorkloadId {
                kind: Kind::Deployment,
                name: name.to_owned(),
            },
            annotations: BTreeMap::from([("r".to_owned(), "1".to_owned())]),
            for_objects: BTreeSet::new(),
        });
        for name in names {
            api.set(name, 1, 1);
        }
        restarts.begin(wanted.to_vec()).await.unwrap();
        assert!(restarts.advance().await.unwrap());
        assert_eq!(*api.restarted.lock(), ["a", "b", "c"]);
        for name in ["a", "b", "c", "d"] {
            api.set(name, 2, 2);
        }
        assert!(restarts.advance().await.unwrap());
        assert_eq!(*api.restarted.lock(), ["a", "b", "c", "e"]);
        assert!(restarts.has_seen_rollout(), "another pass follows");
    }

    #[test]
    fn what_stops_one_workload_is_told_from_what_stops_all() {
        let why = |code, message: &str| {
            let status = Status::failure(message, "").with_code(code).boxed();
            refusal(
                &kube::Error::Api(status),
                "patch",
                Kind::StatefulSet,
                "shop",
            )
        };
        let webhook = r#"admission webhook "a.example.com" denied the request: no"#;
        let broken = r#"Internal error occurred: failed calling webhook "a.example.com": no"#;
        let policy = r#"deployments.apps "a" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'a' denied request: no"#;
        let admission =
            Some("the API server refuses its restart: check admission policies and webhooks");
        for code in [400, 403, 404, 409, 429, 503] {
            assert_eq!(why(code, webhook).as_deref(), admission, "{code}");
        }
        for (code, message) in [(500, broken), (403, policy), (422, policy), (422, "x")] {
            let why = why(code, message);
            assert_eq!(why.as_deref(), admission, "{code}: {message}");
        }
        let rights = why(403, "x").unwrap();
        let named = "the operator may not patch statefulsets in namespace shop: set consumers.restart in the chart";
        assert!(rights.starts_with(named), "{rights}");
        for code in [401, 404, 409, 429, 500, 503] {
            assert_eq!(why(code, "x"), None, "{code}");
        }
    }
}
