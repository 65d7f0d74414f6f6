//! The committed definitions on a real API server, objects of all kinds, and what the API server answers to them.

use std::path::{Path, PathBuf};

use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use zitadel_secret_operator::api::{ApiAppSecret, OidcAppSecret, ZitadelConnection};

use crate::support::controlplane::ControlPlane;
use crate::support::data;

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")
}

/// A cluster in which the committed files were installed as a person would.
pub async fn cluster() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = ControlPlane::shared().await;
    INSTALLED
        .get_or_init(|| async {
            let files = directory();
            let files = files.to_str().unwrap();
            let applied = cluster.kubectl(&["apply", "-f", files]);
            assert!(
                applied.status.success(),
                "{}",
                String::from_utf8_lossy(&applied.stderr)
            );
            let wait = [
                "wait",
                "--for=condition=Established",
                "--timeout=30s",
                "-f",
                files,
            ];
            let established = cluster.kubectl(&wait);
            assert!(
                established.status.success(),
                "{}",
                String::from_utf8_lossy(&established.stderr)
            );
        })
        .await;
    cluster
}

fn any_kind<K: kube::Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<K>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Sets the value at a path such as `secret.name`; null takes it away.
pub fn set(spec: &mut Value, path: &str, value: Value) {
    let mut place = spec;
    for part in path.split('.') {
        let object = match place {
            Value::Object(object) => object,
            other => {
                *other = json!({});
                other.as_object_mut().unwrap()
            }
        };
        place = object.entry(part).or_insert(Value::Null);
    }
    *place = value;
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(object) = value {
        object.retain(|_, inner| !inner.is_null());
        object.values_mut().for_each(without_nulls);
    }
}

pub struct Kind {
    pub api: Api<DynamicObject>,
    pub kind: &'static str,
    pub base: Value,
}

impl Kind {
    pub async fn app_secrets(prefix: &str) -> Self {
        let cluster = cluster().await;
        let namespace = cluster.fresh_namespace(prefix).await;
        let client = cluster.client().await;
        Self {
            api: any_kind::<ApiAppSecret>(&client, Some(&namespace)),
            kind: "ApiAppSecret",
            base: json!({"projectId": "1", "appId": "2"}),
        }
    }

    pub async fn oidc_app_secrets(prefix: &str) -> Self {
        let cluster = cluster().await;
        let namespace = cluster.fresh_namespace(prefix).await;
        let client = cluster.client().await;
        Self {
            api: any_kind::<OidcAppSecret>(&client, Some(&namespace)),
            kind: "OidcAppSecret",
            base: json!({"projectId": "1", "appId": "2"}),
        }
    }

    pub async fn connections() -> Self {
        let client = cluster().await.client().await;
        let base = json!({
            "url": "https://iam.example.com",
            "auth": {"serviceAccountKey": {"secretKeyRef": {"name": "key", "key": "key.json"}}},
        });
        Self {
            api: any_kind::<ZitadelConnection>(&client, None),
            kind: "ZitadelConnection",
            base,
        }
    }

    pub fn object(&self, name: &str, changes: &[(&str, Value)]) -> DynamicObject {
        let mut spec = self.base.clone();
        for (path, value) in changes {
            set(&mut spec, path, value.clone());
        }
        without_nulls(&mut spec);
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": self.kind, "metadata": {"name": name}, "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    /// The API server's answer to such an object, which is not stored. Unknown fields are an error.
    pub async fn judged(&self, changes: &[(&str, Value)]) -> Result<DynamicObject, String> {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match self
            .api
            .create(&params, &self.object("judged", changes))
            .await
        {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(format!("{} {}", status.code, status.message)),
            Err(error) => panic!("{error}"),
        }
    }

    /// The field and the message of each cause for which the API server refuses the creation of such an object, or the change of one that
    /// is stored. Nothing where it accepts it.
    pub async fn causes(
        &self,
        stored: Option<&[(&str, Value)]>,
        changes: &[(&str, Value)],
    ) -> Vec<(String, String)> {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let refused = match stored {
            None => {
                self.api
                    .create(&params, &self.object("judged", changes))
                    .await
            }
            Some(stored) => {
                let mut object = self.object("", stored);
                object.metadata.name = None;
                object.metadata.generate_name = Some("changed-".to_owned());
                let stored = self
                    .api
                    .create(&PostParams::default(), &object)
                    .await
                    .unwrap();
                let name = stored.metadata.name.unwrap();
                let mut object = self.object(&name, changes);
                object.metadata.resource_version = stored.metadata.resource_version;
                self.api.replace(&name, &params, &object).await
            }
        };
        let status = match refused {
            Ok(_) => return Vec::new(),
            Err(kube::Error::Api(status)) => status,
            Err(error) => panic!("{error}"),
        };
        let causes = status.details.map(|details| details.causes);
        causes
            .into_iter()
            .flatten()
            .map(|cause| (cause.field, cause.message))
            .collect()
    }

    pub async fn accepts(&self, cases: Vec<Vec<(&str, Value)>>) {
        for changes in cases {
            let judged = self.judged(&changes).await;
            assert!(judged.is_ok(), "{changes:?}: {judged:?}");
        }
    }

    /// Each is refused as invalid (422), with this text in the answer.
    pub async fn refuses(&self, cases: Vec<(Vec<(&str, Value)>, &str)>) {
        for (changes, text) in cases {
            match self.judged(&changes).await {
                Ok(_) => panic!("accepted: {changes:?}"),
                Err(message) => {
                    assert!(
                        message.starts_with("422 ") && message.contains(text),
                        "{changes:?}: {message}"
                    );
                }
            }
        }
    }
}

impl Kind {
    /// Each is refused as invalid (422) with this sentence, and with no pattern.
    pub async fn sentences(&self, cases: Vec<(Vec<(&str, Value)>, String)>) {
        for (changes, sentence) in cases {
            match self.judged(&changes).await {
                Ok(_) => panic!("accepted: {changes:?}"),
                Err(message) => {
                    let pattern = ["should match", "failed rule", "at least"];
                    assert!(
                        message.starts_with("422 ")
                            && message.contains(&sentence)
                            && !pattern.iter().any(|text| message.contains(text)),
                        "{changes:?}: {message}"
                    );
                }
            }
        }
    }
}

pub fn many(count: usize) -> Value {
    (0..count)
        .map(|index| (format!("label-{index}"), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

pub fn many_keys(count: usize) -> Value {
    let keys: Vec<String> = (1..count).map(|index| format!("key-{index}")).collect();
    let entries = keys.iter().map(|key| (key.as_str(), "Issuer"));
    let entries: Vec<_> = entries.chain([("secret", "ClientSecret")]).collect();
    data(&entries)
}

pub fn standby(app: &str) -> Value {
    json!({"type": "Existing", "appId": app})
}

pub fn windows(count: usize) -> Value {
    let window = |index| json!({"name": format!("w{index}"), "schedule": "0 3 * * MON-FRI", "duration": "2h"});
    (0..count).map(window).collect()
}
