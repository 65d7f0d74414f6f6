//! The tower layer through which a replica reaches the API server: it does what a rule says to the requests that the rule meets,
//! and notes what really happened to every write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as Answer, Bytes};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body as HttpBody;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service};
use zitadel_secret_operator::api::Kind;
use zitadel_secret_operator::ids::AttemptId;
use zitadel_secret_operator::rotation::{AttemptState, Claim};
use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;

use super::replica::Controls;

/// A request of a replica.
#[derive(Clone, Debug)]
pub struct Seen {
    pub replica: usize,
    pub verb: &'static str,
    pub resource: String,
    pub name: String,
    pub dry_run: bool,
    /// The claim that is to be written, if it is one.
    pub claim: Option<Claim>,
    /// Whether a claim with an open attempt was written before, since the rules were laid.
    pub claimed: bool,
}

impl Seen {
    /// Whether it writes a claim whose attempt is in that state.
    pub fn claims(&self, state: AttemptState) -> bool {
        let attempt = self.claim.as_ref().and_then(|claim| claim.attempt.as_ref());
        self.verb != "get" && attempt.is_some_and(|attempt| attempt.state == state)
    }
}

/// A body that is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    Truncated,
    Garbled,
    WrongType,
    Oversized,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// The process dies before the request leaves.
    DieBefore,
    /// The server carries it out, and the process dies before it sees the answer.
    DieAfter,
    /// It never arrives; no answer comes.
    Drop,
    /// It is carried out and the connection ends.
    CutAfter,
    /// It is carried out and the answer comes after the deadline.
    LateAfter,
    /// It is carried out twice; the second answer comes back.
    Twice,
    /// It is refused with this status and not carried out.
    Refuse(u16),
    /// It is refused as the API server refuses dry runs where a webhook cannot take part in them.
    NoDryRun,
    /// It is carried out and answered with this status.
    RefuseAfter(u16),
    /// It is carried out, and the body of the answer is spoilt.
    Spoil(Bad),
    /// No connection can be made.
    Unreachable,
    /// The process stands still before the request leaves.
    FreezeBefore,
    /// The request is carried out, and the process stands still before it sees the answer.
    FreezeAfter,
    /// The process is asked to end, and the request goes on.
    Stop,
    /// A test does something before the answer is seen: the request waits until the token is cancelled.
    Wait(CancellationToken),
    /// Its sender panics, and it does not leave.
    Panic,
}

/// Which requests are hit by what.
pub struct Rule {
    meets: Box<dyn Fn(&Seen) -> bool + Send + Sync>,
    /// One act for each request that is met, in this order; afterwards nothing.
    acts: Vec<Act>,
    /// Whether it only prepares for what is tested.
    prelude: bool,
    fired: usize,
}

impl Rule {
    pub fn new(acts: Vec<Act>, meets: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Self {
        Self {
            meets: Box::new(meets),
            acts,
            prelude: false,
            fired: 0,
        }
    }

    /// The same, not counted among what fired.
    pub fn prelude(self) -> Self {
        Self {
            prelude: true,
            ..self
        }
    }
}

/// A mechanism of the protocol that is taken away on the way to the API server, so that a test can show that it would be missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// A claim is written without a precondition.
    ClaimPrecondition,
    /// The Secret is written without a precondition.
    SecretPrecondition,
    /// A dry run always succeeds.
    Rehearsal,
    /// No Pod is seen.
    Consumers,
    /// The claim is not written at all; the process gets the answer that it was, and reads it back.
    WriteAhead,
}

/// A write, and what the server really answered to it.
#[derive(Clone, Debug)]
pub struct Written {
    pub seen: Seen,
    pub begun: Timestamp,
    pub answered: Timestamp,
    pub status: u16,
}

/// One firing of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Fired {
    pub replica: usize,
    pub at: Timestamp,
}

/// What the layers of one lane share.
#[derive(Default)]
pub struct Wire {
    rules: Mutex<Vec<Rule>>,
    fired: Mutex<Vec<Fired>>,
    writes: Mutex<Vec<Written>>,
    /// Attempts under a claim that was read, and when the answer came.
    reads: Mutex<Vec<(AttemptId, Timestamp)>>,
    requests: Mutex<u64>,
    claimed: Mutex<bool>,
    without: Mutex<Option<Without>>,
    /// Claims that were never written, by name.
    imagined: Mutex<BTreeMap<String, Bytes>>,
    watches: Mutex<CancellationToken>,
}

impl Wire {
    pub fn add(&self, rule: Rule) {
        self.rules.lock().unwrap().push(rule);
    }

    /// Forgets rules and notes.
    pub fn clear(&self) {
        self.rules.lock().unwrap().clear();
        self.fired.lock().unwrap().clear();
        self.writes.lock().unwrap().clear();
        self.reads.lock().unwrap().clear();
        *self.claimed.lock().unwrap() = false;
        *self.without.lock().unwrap() = None;
        self.imagined.lock().unwrap().clear();
    }

    /// From now on it counts as not yet written that a claim has an open attempt.
    pub fn forget_claimed(&self) {
        *self.claimed.lock().unwrap() = false;
    }

    /// Takes a mechanism away from now on.
    pub fn take_away(&self, mechanism: Without) {
        *self.without.lock().unwrap() = Some(mechanism);
    }

    /// What a replica is answered without a mechanism, where the request is not to leave.
    fn imagine(&self, seen: &Seen, body: &Bytes) -> Option<Response<Answer>> {
        let without = (*self.without.lock().unwrap())?;
        let imagined = &mut *self.imagined.lock().unwrap();
        let body = match without {
            Without::Consumers if seen.verb == "list" && seen.resource == "pods" => {
                Bytes::from_static(b"{\"kind\":\"PodList\",\"items\":[]}")
            }
            Without::Rehearsal if seen.dry_run => body.clone(),
            Without::WriteAhead if seen.claims(AttemptState::Open) => {
                let mut claim: Value = serde_json::from_slice(body).unwrap();
                claim["metadata"]["uid"] = json!("imagined");
                claim["metadata"]["resourceVersion"] = json!("1");
                imagined.insert(seen.name.clone(), claim.to_string().into());
                imagined[&seen.name].clone()
            }
            Without::WriteAhead if seen.verb == "get" && seen.resource == "leases" => {
                imagined.get(&seen.name)?.clone()
            }
            _ => return None,
        };
        let answer = Response::builder().header("content-type", "application/json");
        Some(answer.body(Answer::from(body)).unwrap())
    }

    /// The request without its precondition.
    fn strip(&self, seen: &Seen, request: &mut Request<Body>, body: &Bytes) {
        let without = *self.without.lock().unwrap();
        let claim = seen.verb == "update" && seen.claim.is_some();
        let secret = seen.verb == "patch" && seen.resource == "secrets" && !seen.dry_run;
        let (strips, patches) = match without {
            Some(Without::ClaimPrecondition) => (claim, true),
            Some(Without::SecretPrecondition) => (secret, false),
            _ => (false, false),
        };
        if !strips {
            return;
        }
        let mut object: Value = serde_json::from_slice(body).unwrap();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        metadata.remove("uid");
        let text = object.to_string();
        if patches {
            // NB: a Lease is never replaced without a resourceVersion; a merge patch has none.
            *request.method_mut() = Method::PATCH;
            request.headers_mut().insert(
                http::header::CONTENT_TYPE,
                http::HeaderValue::from_static("application/merge-patch+json"),
            );
        }
        request.headers_mut().remove(http::header::CONTENT_LENGTH);
        *request.body_mut() = Body::from(text.into_bytes());
    }

    pub fn fired(&self) -> Vec<Fired> {
        self.fired.lock().unwrap().clone()
    }

    pub fn writes(&self) -> Vec<Written> {
        self.writes.lock().unwrap().clone()
    }

    /// Whether the claim of an attempt had been read by then. Under load, a replica that gave up waiting for the answer to its write may read
    /// the claim, and call ZITADEL, before that answer is noted here.
    pub fn had_read(&self, attempt: &str, by: Timestamp) -> bool {
        let reads = self.reads.lock().unwrap();
        let mut reads = reads.iter().filter(|(id, _)| id.to_string() == attempt);
        reads.any(|(_, at)| *at <= by)
    }

    pub fn requests(&self) -> u64 {
        *self.requests.lock().unwrap()
    }

    /// Ends every watch of objects that is open, as a proxy does now and then.
    pub fn cut_watches(&self) {
        std::mem::take(&mut *self.watches.lock().unwrap()).cancel();
    }

    fn act(&self, seen: &Seen) -> Option<Act> {
        for rule in self.rules.lock().unwrap().iter_mut() {
            if rule.fired < rule.acts.len() && (rule.meets)(seen) {
                rule.fired += 1;
                if !rule.prelude {
                    self.fired.lock().unwrap().push(Fired {
                        replica: seen.replica,
                        at: Timestamp::now(),
                    });
                }
                return Some(rule.acts[rule.fired - 1].clone());
            }
        }
        None
    }

    fn note(&self, seen: &Seen, begun: Timestamp, status: StatusCode) {
        if seen.claims(AttemptState::Open) && status.is_success() {
            *self.claimed.lock().unwrap() = true;
        }
        self.writes.lock().unwrap().push(Written {
            seen: seen.clone(),
            begun,
            answered: Timestamp::now(),
            status: status.as_u16(),
        });
    }
}

/// Makes the way of one replica to the API server.
#[derive(Clone)]
pub struct FaultLayer {
    pub wire: Arc<Wire>,
    pub controls: Arc<Controls>,
    /// The only namespace, and the name of the only connection, that the replica sees.
    pub namespace: String,
}

impl<S> Layer<S> for FaultLayer {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`FaultLayer`] makes.
#[derive(Clone)]
pub struct Faulty<S> {
    inner: S,
    layer: FaultLayer,
}

impl<S, B> Service<Request<Body>> for Faulty<S>
where
    S: Service<
            Request<Body>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        >,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Answer>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let FaultLayer {
            wire,
            controls,
            namespace,
        } = self.layer.clone();
        if controls.is_dead() {
            return std::future::pending().boxed();
        }
        *request.uri_mut() = confined(request.uri(), &namespace);
        let body = request
            .body()
            .try_clone()
            .and_then(|body| body.collect_bytes().now_or_never())
            .and_then(Result::ok)
            .unwrap_or_default();
        let mut seen = seen(&request, &body, controls.number);
        seen.claimed = *wire.claimed.lock().unwrap();
        // NB: Pods are listed from time to time while a consumer is behind.
        if seen.verb != "watch" && seen.resource != "pods" {
            *wire.requests.lock().unwrap() += 1;
        }
        let act = wire.act(&seen);
        if act.is_none()
            && let Some(answer) = wire.imagine(&seen, &body)
        {
            return std::future::ready(Ok(answer)).boxed();
        }
        wire.strip(&seen, &mut request, &body);
        let again = matches!(act, Some(Act::Twice)).then(|| copy(&request));
        let first = self.inner.call(request);
        let second = again.map(|again| self.inner.call(again));
        let begun = Timestamp::now();
        let watch = seen.verb == "watch";
        let writes = !matches!(seen.verb, "get" | "list" | "watch");
        let end = wire.watches.lock().unwrap().clone();
        let noted = Arc::clone(&wire);
        let exchange = async move |future: S::Future| -> Result<Response<Answer>, BoxError> {
            let response = future.await.map_err(Into::into)?;
            let (parts, body) = response.into_parts();
            if watch {
                let body = Answer::new(body).into_data_stream();
                let body = Answer::from_stream(body.take_until(end.cancelled_owned()));
                return Ok(Response::from_parts(parts, body));
            }
            let bytes = axum::body::to_bytes(Answer::new(body), usize::MAX).await?;
            if writes {
                noted.note(&seen, begun, parts.status);
            } else if seen.resource == "leases"
                && let Some(attempt) = claim(&bytes).and_then(|claim| claim.attempt)
            {
                let read = (attempt.id, Timestamp::now());
                noted.reads.lock().unwrap().push(read);
            }
            Ok(Response::from_parts(parts, Answer::from(bytes)))
        };
        // Bytes that have left are on their way, whether or not the sender still waits for the answer.
        let exchange = move |future: S::Future| {
            let sent = tokio::spawn(exchange.clone()(future));
            async move { sent.await? }
        };
        async move {
            match act {
                None => exchange(first).await,
                Some(Act::DieBefore) => {
                    controls.kill();
                    std::future::pending().await
                }
                Some(Act::DieAfter) => {
                    let _ = exchange(first).await;
                    controls.kill();
                    std::future::pending().await
                }
                Some(Act::Drop) => std::future::pending().await,
                Some(Act::CutAfter) => {
                    let _ = exchange(first).await;
                    Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
                }
                Some(Act::LateAfter) => {
                    let _ = exchange(first).await;
                    std::future::pending().await
                }
                Some(Act::Twice) => {
                    let _ = exchange(first).await;
                    match second {
                        Some(second) => exchange(second).await,
                        None => unreachable!(),
                    }
                }
                Some(Act::Refuse(code)) => Ok(refusal(code, "refused by a test")),
                Some(Act::NoDryRun) => Ok(refusal(
                    400,
                    "admission webhook \"w.example.com\" does not support dry run",
                )),
                Some(Act::RefuseAfter(code)) => {
                    let _ = exchange(first).await;
                    Ok(refusal(code, "refused by a test"))
                }
                Some(Act::Spoil(bad)) => {
                    let response = exchange(first).await?;
                    Ok(spoilt(response, bad, watch).await)
                }
                Some(Act::Unreachable) => {
                    Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into())
                }
                Some(Act::FreezeBefore) => {
                    controls.freeze_here();
                    exchange(first).await
                }
                Some(Act::FreezeAfter) => {
                    let answer = exchange(first).await;
                    controls.freeze_here();
                    answer
                }
                Some(Act::Stop) => {
                    controls.stop();
                    exchange(first).await
                }
                Some(Act::Wait(token)) => {
                    let answer = exchange(first).await;
                    token.cancelled().await;
                    answer
                }
                Some(Act::Panic) => panic!("a panic of a test"),
            }
        }
        .boxed()
    }
}

fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(request.body().try_clone().unwrap());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// What the API server itself says when it refuses something.
fn refusal(code: u16, message: &str) -> Response<Answer> {
    let reason = match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Answer::from(body.to_string()))
        .unwrap()
}

async fn spoilt(response: Response<Answer>, bad: Bad, watch: bool) -> Response<Answer> {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove("content-length");
    let bytes = if watch {
        Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Api")
    } else {
        axum::body::to_bytes(body, usize::MAX).await.unwrap()
    };
    let body = match bad {
        Bad::Truncated => bytes.slice(..bytes.len() / 2),
        Bad::Garbled => Bytes::from_static(b"\xff\xfe\x00\x01{]"),
        Bad::WrongType => {
            Bytes::from_static(b"{\"kind\":\"Cactus\",\"apiVersion\":\"v1\",\"items\":7}")
        }
        Bad::Oversized => {
            let mut body = bytes.to_vec();
            body.resize(body.len() + 1024 * 1024, b'x');
            body.into()
        }
    };
    Response::from_parts(parts, Answer::from(body))
}

/// Replicas of several lanes share one API server: each sees one namespace and one connection.
fn confined(uri: &Uri, namespace: &str) -> Uri {
    let path = uri.path();
    let group = "/apis/zitadel-secrets.dev/v1alpha1";
    let mut query = uri.query().unwrap_or_default().to_owned();
    let only = || format!("&fieldSelector=metadata.name%3D{namespace}");
    let objects = Kind::ALL
        .map(Kind::plural)
        .into_iter()
        .find(|plural| path == format!("{group}/{plural}"));
    let path = if let Some(plural) = objects {
        format!("{group}/namespaces/{namespace}/{plural}")
    } else if path == "/api/v1/secrets" {
        format!("/api/v1/namespaces/{namespace}/secrets")
    } else {
        if path == "/api/v1/namespaces" || path == format!("{group}/zitadelconnections") {
            query.push_str(&only());
        }
        path.to_owned()
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}?{query}").parse().unwrap());
    Uri::from_parts(parts).unwrap()
}

/// The claim in a Lease.
fn claim(body: &Bytes) -> Option<Claim> {
    let object: Value = serde_json::from_slice(body).ok()?;
    let text = object["metadata"]["annotations"][CLAIM_ANNOTATION].as_str()?;
    Claim::from_json(text).ok()
}

fn seen(request: &Request<Body>, body: &Bytes, replica: usize) -> Seen {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let mut segments: Vec<&str> = uri.path().split('/').filter(|s| !s.is_empty()).collect();
    segments.drain(..if segments[0] == "apis" { 3 } else { 2 });
    if let ["namespaces", _, _, ..] = segments.as_slice() {
        segments.drain(..2);
    }
    let name = segments.get(1).copied().unwrap_or_default();
    let sub = segments
        .get(2)
        .map_or(String::new(), |sub| format!("/{sub}"));
    let verb = match *request.method() {
        Method::GET if query.contains("watch=true") || query.contains("watch=1") => "watch",
        Method::GET if name.is_empty() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        _ => "delete",
    };
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let named = object["metadata"]["name"].as_str().unwrap_or_default();
    Seen {
        replica,
        verb,
        resource: format!("{}{sub}", segments[0]),
        name: if name.is_empty() { named } else { name }.to_owned(),
        dry_run: query.contains("dryRun=All"),
        claim: claim(body),
        claimed: false,
    }
}

/// The deadline of a request to the API server in these tests.
pub const DEADLINE: Duration = Duration::from_millis(800);
