//! The bare loop: the same requests as the operator makes for a first issue, without an operator.
//!
//! What they are is not written down here: they are what the audit log and the simulator's ledger hold of one object that
//! the operator issued, with the bodies that its Secret, claim, status and event show.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use http::Request as HttpRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use zitadel_simulator::{AppHandle, Operation, RequestRecord};

use crate::stage::{Stage, claims_namespace};
use crate::support::audit::Request;
use crate::support::fleet::{IN_FLIGHT, name};
use crate::support::world::Tenant;

/// One request of the loop.
#[derive(Clone)]
enum Step {
    Kubernetes(Kubernetes),
    Zitadel(RequestRecord),
}

#[derive(Clone)]
struct Kubernetes {
    method: &'static str,
    uri: String,
    content_type: &'static str,
    body: String,
}

/// The requests of one first issue.
pub struct Recipe {
    create: Kubernetes,
    steps: Vec<Step>,
    /// What to replace in them: name, uid, namespace, claim, project, app.
    from: [String; 6],
}

impl Recipe {
    /// Learns from the nth object, which was just issued while nothing else happened.
    pub async fn learn(stage: &Stage, n: usize, asked: &[Request]) -> Self {
        let tenant = &stage.fleet.tenant;
        let app = &stage.fleet.apps[n];
        let object = tenant.objects().get(&name(n)).await.unwrap();
        let uid = object.metadata.uid.clone().unwrap();
        let claims: Api<Lease> = Api::namespaced(tenant.client.clone(), claims_namespace());
        let claims = claims
            .list(&ListParams::default().labels("zitadel-secrets.dev/claim"))
            .await
            .unwrap();
        let claim = claims.items.into_iter().next().unwrap();
        let claim_name = claim.metadata.name.clone().unwrap();
        let secret = tenant.secrets().get(&name(n)).await.unwrap();
        let events: Api<Event> = Api::namespaced(tenant.client.clone(), &tenant.namespace);
        let event = events
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .into_iter()
            .next();
        let bodies = Bodies {
            secret: sent(serde_json::to_value::<Secret>(secret).unwrap()),
            claim: sent(serde_json::to_value(claim).unwrap()),
            event: sent(serde_json::to_value(event).unwrap()),
            status: json!({"metadata": {"uid": uid}, "status": object.status}),
        };
        let mut steps: Vec<_> = asked
            .iter()
            .filter(|request| request.resource() != "zitadelconnections")
            .map(|request| (request.received, Step::Kubernetes(bodies.request(request))))
            .collect();
        let calls = stage.zitadel().request_log().into_iter();
        let of_app = calls.filter(|call| call.app.as_deref() == Some(&app.id));
        steps.extend(of_app.map(|call| (call.received_at, Step::Zitadel(call))));
        steps.sort_by_key(|(at, _)| *at);
        let manifest = tenant.manifest(&name(n), &app.id, json!({"rotation": {"trigger": "0"}}));
        let create = Kubernetes {
            method: "POST",
            uri: format!(
                "/apis/zitadel-secrets.dev/v1alpha1/namespaces/{}/apiappsecrets",
                tenant.namespace
            ),
            content_type: "application/json",
            body: manifest.to_string(),
        };
        let namespace = tenant.namespace.clone();
        Self {
            create,
            steps: steps.into_iter().map(|(_, step)| step).collect(),
            from: [
                name(n),
                uid,
                namespace,
                claim_name,
                app.project.clone(),
                app.id.clone(),
            ],
        }
    }

    /// Requests to the API server and to ZITADEL, the creation of the object not counted.
    pub fn counts(&self) -> (usize, usize) {
        let kubernetes = |step: &&Step| matches!(step, Step::Kubernetes(_));
        let count = self.steps.iter().filter(kubernetes).count();
        (count, self.steps.len() - count)
    }

    /// Does it all for this many new objects of a tenant, 16 at a time, and removes them again. How long it took until the
    /// last Secret was written.
    pub async fn run(&self, tenant: &Tenant, size: usize) -> Duration {
        let apps: Vec<_> = (0..size).map(|n| tenant.app(&name(n))).collect();
        let http = |idle: usize| {
            let client = reqwest::Client::builder().http1_only().no_proxy();
            client.pool_max_idle_per_host(idle).build().unwrap()
        };
        // As the operator: a connection of its own for each generate.
        let clients = (http(8), http(0));
        let started = Instant::now();
        let last = stream::iter(apps.iter().enumerate())
            .map(|(n, app)| self.issue(tenant, &clients, n, app))
            .buffer_unordered(IN_FLIGHT)
            .fold(started, async |last, written| last.max(written))
            .await;
        let params = (DeleteParams::default(), ListParams::default());
        tenant
            .objects()
            .delete_collection(&params.0, &params.1)
            .await
            .unwrap();
        tenant
            .secrets()
            .delete_collection(&params.0, &params.1)
            .await
            .unwrap();
        let claims: Api<Lease> = Api::namespaced(tenant.client.clone(), claims_namespace());
        let claimed = ListParams::default().labels("zitadel-secrets.dev/claim");
        claims.delete_collection(&params.0, &claimed).await.unwrap();
        last - started
    }

    /// When the Secret was written.
    async fn issue(
        &self,
        tenant: &Tenant,
        clients: &(reqwest::Client, reqwest::Client),
        n: usize,
        app: &AppHandle,
    ) -> Instant {
        let claim = format!("claim-{}-{n:0>40}", tenant.namespace);
        let mut to = [
            name(n),
            self.from[1].clone(),
            tenant.namespace.clone(),
            claim,
            app.project.clone(),
            app.id.clone(),
        ];
        let created = self.ask(tenant, &self.create, &to).await;
        let created: Value = serde_json::from_str(&created).unwrap();
        created["metadata"]["uid"]
            .as_str()
            .unwrap()
            .clone_into(&mut to[1]);
        let mut written = Instant::now();
        let mut secret = String::new();
        for step in &self.steps {
            match step {
                Step::Kubernetes(request) => {
                    self.ask(tenant, request, &to).await;
                    if request.uri.contains("/secrets/") && request.method == "PATCH" {
                        written = Instant::now();
                    }
                }
                Step::Zitadel(call) => self.call(tenant, clients, call, app, &mut secret).await,
            }
        }
        written
    }

    async fn ask(&self, tenant: &Tenant, request: &Kubernetes, to: &[String; 6]) -> String {
        let renamed = |text: &str| {
            let pairs = self.from.iter().zip(to);
            pairs.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        let http = HttpRequest::builder()
            .method(request.method)
            .uri(renamed(&request.uri))
            .header("content-type", request.content_type)
            .body(renamed(&request.body).into_bytes())
            .unwrap();
        match tenant.client.request_text(http).await {
            Ok(text) => text,
            Err(kube::Error::Api(status)) if request.method == "GET" && status.code == 404 => {
                String::new()
            }
            Err(error) => panic!("{} {}: {error}", request.method, request.uri),
        }
    }

    async fn call(
        &self,
        tenant: &Tenant,
        (reads, once): &(reqwest::Client, reqwest::Client),
        call: &RequestRecord,
        app: &AppHandle,
        secret: &mut String,
    ) {
        let path = call
            .path
            .replace(&self.from[4], &app.project)
            .replace(&self.from[5], &app.id);
        let method = call.method.parse().unwrap();
        let client = if call.operation == Operation::Generate {
            once
        } else {
            reads
        };
        let request = client.request(method, format!("{}{path}", tenant.url));
        let request = match call.operation {
            Operation::Introspect => request
                .basic_auth(&app.client_id, Some(&secret))
                .form(&[("token", &tenant.pat)]),
            Operation::GetApp => request.bearer_auth(&tenant.pat),
            _ => request
                .bearer_auth(&tenant.pat)
                .header("content-type", "application/json")
                .body("{}"),
        };
        let request = request.header("x-zitadel-orgid", &tenant.organization);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let body = answer.bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        if call.operation == Operation::Generate {
            body["clientSecret"].as_str().unwrap().clone_into(secret);
        }
    }
}

/// An object as it was sent: without what the server added.
fn sent(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in [
            "creationTimestamp",
            "generation",
            "managedFields",
            "resourceVersion",
            "uid",
        ] {
            metadata.remove(field);
        }
    }
    object
}

struct Bodies {
    secret: Value,
    claim: Value,
    event: Value,
    status: Value,
}

impl Bodies {
    fn request(&self, asked: &Request) -> Kubernetes {
        let (method, content_type, body) = match (asked.verb.as_str(), asked.resource()) {
            ("get", _) => ("GET", "application/json", String::new()),
            ("create", "secrets") => {
                let mut shell = self.secret.clone();
                shell.as_object_mut().unwrap().remove("data");
                ("POST", "application/json", shell.to_string())
            }
            ("patch", "secrets") => (
                "PATCH",
                "application/apply-patch+yaml",
                self.secret.to_string(),
            ),
            ("create", "leases") => ("POST", "application/json", self.claim.to_string()),
            ("update", "leases") => ("PUT", "application/json", self.claim.to_string()),
            ("create", "events") => ("POST", "application/json", self.event.to_string()),
            ("patch", "apiappsecrets") => (
                "PATCH",
                "application/merge-patch+json",
                self.status.to_string(),
            ),
            (verb, resource) => panic!("the bare loop does not know how to {verb} {resource}"),
        };
        Kubernetes {
            method,
            uri: asked.uri.clone(),
            content_type,
            body,
        }
    }
}
