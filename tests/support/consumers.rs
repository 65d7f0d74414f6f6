//! Consumers of a Secret in Pods of a node. They call introspection without a pause, and report here what was refused. See
//! `tests/node/consumer`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::Api;
use serde::Deserialize;
use serde_json::{Value, json};

use super::apply;
use super::node::{Node, program};

/// The name that the image has on a node.
const IMAGE: &str = "localhost/consumer:1";

/// How a Pod uses a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// `env[].valueFrom.secretKeyRef`.
    Env,
    /// `envFrom[].secretRef`.
    EnvFrom,
    /// A volume, mounted as a directory.
    Directory,
    /// A volume, each key mounted as a file.
    SubPath,
    /// A projected volume.
    Projected,
    /// A volume that an init container copies into an `emptyDir`.
    InitContainer,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Env,
        Self::EnvFrom,
        Self::Directory,
        Self::SubPath,
        Self::Projected,
        Self::InitContainer,
    ];

    /// Whether a running Pod gets a new value.
    pub fn refreshes(self) -> bool {
        matches!(self, Self::Directory | Self::Projected)
    }
}

/// What a consumer is told besides the Secret.
#[derive(Clone, Debug)]
pub struct Target {
    /// URL of ZITADEL, as Pods reach it.
    pub url: String,
    /// Its certificate authority.
    pub ca: String,
    /// A token to introspect.
    pub token: String,
    /// Host and port of the [`Reports`], as Pods reach them.
    pub reports: String,
    /// Time between two calls, such as 5ms.
    pub pause: String,
}

/// A Deployment of consumers; `name` is also what their reports say.
pub fn deployment(name: &str, how: Use, secret: &str, replicas: u32, target: &Target) -> Value {
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut env = vec![variable("CA", &target.ca), variable("TOKEN", &target.token)];
    let mut arguments = vec![
        format!("--name={name}"),
        format!("--url={}", target.url),
        format!("--report={}", target.reports),
        format!("--pause={}", target.pause),
    ];
    let keys = ["CLIENT_ID", "CLIENT_SECRET"];
    // As examples/consumer: only root and the group may read the files.
    let volume = json!({"name": "oauth", "secret": {"secretName": secret, "defaultMode": 0o440}});
    let mount = json!({"name": "oauth", "mountPath": "/etc/oauth", "readOnly": true});
    let (mut volumes, mut mounts) = (json!([volume]), json!([mount]));
    let (mut env_from, mut init) = (json!([]), json!([]));
    if !matches!(how, Use::Env | Use::EnvFrom) {
        arguments.push("--directory=/etc/oauth".to_owned());
    }
    match how {
        Use::Env | Use::EnvFrom => {
            (volumes, mounts) = (json!([]), json!([]));
            if how == Use::EnvFrom {
                env_from = json!([{"secretRef": {"name": secret}}]);
            } else {
                env.extend(keys.map(|key| {
                    let reference = json!({"name": secret, "key": key});
                    json!({"name": key, "valueFrom": {"secretKeyRef": reference}})
                }));
            }
        }
        Use::Directory => {}
        Use::SubPath => {
            let file = |key: &str| json!({"name": "oauth", "mountPath": format!("/etc/oauth/{key}"), "subPath": key, "readOnly": true});
            mounts = keys.map(file).into_iter().collect();
        }
        Use::Projected => {
            let sources = json!([{"secret": {"name": secret}}]);
            volumes = json!([{"name": "oauth", "projected": {"sources": sources}}]);
        }
        Use::InitContainer => {
            volumes = json!([volume, {"name": "copy", "emptyDir": {}}]);
            let copy = json!({"name": "copy", "mountPath": "/copy"});
            init = json!([{
                "name": "copy", "image": IMAGE, "args": ["--directory=/etc/oauth", "--copy-to=/copy"],
                "volumeMounts": [mount, copy],
            }]);
            mounts = json!([{"name": "copy", "mountPath": "/etc/oauth"}]);
        }
    }
    let pod = json!({
        "metadata": {"labels": {"consumer": name}},
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {"fsGroup": 65532},
            "initContainers": init,
            "containers": [{
                "name": "consumer", "image": IMAGE, "args": arguments, "env": env, "envFrom": env_from,
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"consumer": name}}, "template": pod},
    })
}

/// Gives a node the image of the consumers.
pub fn import(node: &Node) {
    node.import_program(&program("consumer"), IMAGE);
}

/// Applies a Deployment of consumers.
pub async fn start(client: &Client, namespace: &str, deployment: &Value) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    apply(&deployments, deployment).await.unwrap();
}

/// A line of a consumer.
#[derive(Clone, Debug, Deserialize)]
struct Line {
    consumer: String,
    pod: String,
    time: u64,
    state: String,
    calls: u64,
    refused: u64,
    errors: u64,
    value: u64,
}

/// What one Pod has reported so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The name of its Deployment.
    pub consumer: String,
    pub calls: u64,
    pub refused: u64,
    /// Calls without an answer of ZITADEL.
    pub errors: u64,
    /// A [`checksum`] of the client secret of its last call.
    pub value: u64,
    /// accepted, refused, error or, when it was asked to stop, ended.
    pub state: String,
    /// From the first refused call of a row to the first accepted one after it, or to the end of the Pod.
    pub dark: Vec<Duration>,
    dark_since: Option<u64>,
}

/// FNV-1a: what consumers report of a value.
pub fn checksum(value: &str) -> u64 {
    let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    value.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Where consumers report to.
pub struct Reports {
    port: u16,
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
}

impl Reports {
    /// Listens on a free port of 127.0.0.1, for which [`Node::start`] makes a way.
    pub fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let reports = Self {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
        };
        let seen = Arc::clone(&reports.seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || read(stream, &seen));
            }
        });
        reports
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What each Pod has reported so far, by the name of the Pod.
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// What the Pods of one Deployment have reported so far.
    pub fn of(&self, consumer: &str) -> Vec<Seen> {
        let mut seen: Vec<_> = self.seen().into_values().collect();
        seen.retain(|seen| seen.consumer == consumer);
        seen
    }
}

fn read(stream: TcpStream, seen: &Mutex<BTreeMap<String, Seen>>) {
    for text in BufReader::new(stream).lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Line>(&text) else {
            continue;
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(line.pod.clone()).or_default();
        match (line.state.as_str(), seen.dark_since) {
            ("refused", None) => seen.dark_since = Some(line.time),
            // One that is restarted ends in the dark; the next one has the new value.
            ("accepted" | "ended", Some(since)) => {
                seen.dark
                    .push(Duration::from_millis(line.time.saturating_sub(since)));
                seen.dark_since = None;
            }
            _ => {}
        }
        seen.consumer = line.consumer;
        seen.state = line.state;
        seen.value = line.value;
        (seen.calls, seen.refused, seen.errors) = (line.calls, line.refused, line.errors);
    }
}
