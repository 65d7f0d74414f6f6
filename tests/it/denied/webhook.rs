//! An admission webhook on the loopback interface, by HTTPS: it allows everything until it is told what to deny.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What a path of the webhook denies.
#[derive(Clone)]
struct Denial {
    /// The `status` of the response.
    status: Value,
    dry_runs: bool,
    /// Requests denied so far.
    count: usize,
}

type Denials = Arc<Mutex<BTreeMap<String, Denial>>>;

/// A webhook that runs until it is dropped.
pub struct Webhook {
    url: String,
    ca: String,
    denials: Denials,
    running: JoinHandle<()>,
}

impl Webhook {
    /// Starts one.
    pub async fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let denials = Denials::default();
        Self {
            url: format!("https://{}", listener.local_addr().unwrap()),
            ca: cert.pem(),
            running: tokio::spawn(serve(
                listener,
                TlsAcceptor::from(Arc::new(config)),
                Arc::clone(&denials),
            )),
            denials,
        }
    }

    /// The `clientConfig` of a webhook that is asked at this path.
    pub fn client_config(&self, path: &str) -> Value {
        let ca = ByteString(self.ca.as_bytes().to_vec());
        json!({"url": format!("{}{path}", self.url), "caBundle": ca})
    }

    /// Denies each request at a path with this status from now on, dry runs too or only real writes.
    pub fn deny(&self, path: &str, status: Value, dry_runs: bool) {
        let denial = Denial {
            status,
            dry_runs,
            count: 0,
        };
        self.denials.lock().unwrap().insert(path.to_owned(), denial);
    }

    /// Allows everything at a path again. How many requests were denied there.
    pub fn allow(&self, path: &str) -> usize {
        let denial = self.denials.lock().unwrap().remove(path);
        denial.map_or(0, |denial| denial.count)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, denials: Denials) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, denials) = (tls.clone(), Arc::clone(&denials));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| {
                let denials = Arc::clone(&denials);
                async move { Ok::<_, Infallible>(review(request, &denials).await) }
            });
            // An error is the API server's hanging up.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn review(request: http::Request<Incoming>, denials: &Denials) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    let body = to_bytes(Body::new(request.into_body()), usize::MAX).await;
    let review: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    let asked = &review["request"];
    let mut response = json!({"uid": asked["uid"], "allowed": true});
    if let Some(denial) = denials.lock().unwrap().get_mut(&path)
        && (denial.dry_runs || asked["dryRun"] != json!(true))
    {
        denial.count += 1;
        response["allowed"] = json!(false);
        response["status"] = denial.status.clone();
    }
    let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    http::Response::builder()
        .header("content-type", "application/json")
        .body(answer.to_string().into())
        .unwrap()
}
