//! The cluster, with the caller's kubeconfig and rights: a client with deadlines, and objects of every kind, page by page.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt as _, future};
use http::HeaderValue;
use http::header::ACCEPT;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{GetParams, ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::{AppSecret, GROUP, Kind};
use crate::plugin::cli::{Global, Reference, short};
use crate::plugin::exit::Failure;
use crate::plugin::fault::{Asked, ClusterError};
use crate::plugin::kubeconfig;
use crate::process::clock::{ServerClock, SystemClock};
use crate::process::kube_client::{self, DEFAULT_DEADLINE, KubeRequestLayer};
use crate::process::metrics::Metrics;
use crate::process::proxy;

/// The field manager of what the plugin writes.
// NB: Flux takes away what a manager wrote whose name begins with kubectl: each restart would be followed by another one.
pub const FIELD_MANAGER: &str = "zitadel-secret-plugin";
/// Objects of a page.
const PAGE: u32 = 500;

/// The cluster.
pub struct Cluster {
    client: Client,
    clock: ServerClock,
    /// Host and port of the API server.
    host: Arc<str>,
    /// The namespace of the caller.
    namespace: String,
}

/// Which objects are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The namespace; none: all of them.
    pub namespace: Option<String>,
    /// A label selector.
    pub labels: Option<String>,
}

impl Scope {
    /// Such as `in namespace orders with the labels team=a`.
    pub fn in_words(&self) -> String {
        let place = match &self.namespace {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in any namespace".to_owned(),
        };
        match &self.labels {
            Some(labels) => format!("{place} with the labels {labels}"),
            None => place,
        }
    }
}

/// An object as kubectl takes it, such as `apiappsecret.zitadel-secrets.dev/orders`.
pub fn resource(kind: Kind, name: &str) -> String {
    format!("{}.{GROUP}/{name}", kind.as_str().to_lowercase())
}

/// What of an object's metadata is kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its uid.
    #[serde(default)]
    pub uid: String,
    /// How often its spec was changed.
    pub generation: Option<i64>,
    /// When it was created.
    pub creation_timestamp: Option<Time>,
    /// Since when it is being deleted.
    pub deletion_timestamp: Option<Time>,
    /// Its revision.
    #[serde(default)]
    pub resource_version: String,
}

/// An object of a list.
#[derive(Debug, Clone)]
pub enum Listed<T> {
    /// As it was read.
    Read(T),
    /// One that this version cannot read, such as an object of a newer version.
    Unreadable(Metadata),
}

/// A Secret without its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Its metadata. The managed fields name its keys.
    pub metadata: ObjectMeta,
    /// Its type.
    pub type_: String,
}

/// What happened to an object that is watched.
#[derive(Debug, Clone)]
pub enum Happened<T> {
    /// It is like this now.
    Is(Listed<T>),
    /// It is gone.
    Gone(Metadata),
}

#[derive(Deserialize)]
struct Page<T> {
    // NB: a list of metadata that has nothing in it has null here.
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct OnlyPageMetadata {
    #[serde(default)]
    metadata: PageMetadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    continue_: Option<String>,
    #[serde(default)]
    resource_version: String,
}

#[derive(Deserialize)]
struct OnlyMetadata {
    #[serde(default)]
    metadata: Metadata,
}

impl<T> Listed<T> {
    /// The object, if it could be read.
    pub fn into_read(self) -> Option<T> {
        match self {
            Self::Read(object) => Some(object),
            Self::Unreadable(_) => None,
        }
    }
}

impl<T: DeserializeOwned> Listed<T> {
    fn read(value: &serde_json::Value) -> Self {
        match T::deserialize(value) {
            Ok(read) => Self::Read(read),
            Err(_) => Self::Unreadable(metadata(value)),
        }
    }
}

fn metadata(object: &serde_json::Value) -> Metadata {
    OnlyMetadata::deserialize(object).map_or_else(|_| Metadata::default(), |it| it.metadata)
}

/// The objects of a page.
fn read_page<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<Listed<T>>, serde_json::Error> {
    if let Ok(page) = serde_json::from_slice::<Page<T>>(body) {
        let items = page.items.into_iter().flatten();
        return Ok(items.map(Listed::Read).collect());
    }
    // One of them cannot be read: the others are.
    let page: Page<serde_json::Value> = serde_json::from_slice(body)?;
    Ok(page.items.iter().flatten().map(Listed::read).collect())
}

impl Cluster {
    /// The cluster of a kubeconfig. Nothing is asked of it yet.
    pub async fn connect(global: &Global) -> Result<Self, Failure> {
        let config = kubeconfig::config(global).await?;
        proxy::reachable(&config)
            .await
            .map_err(|error| Failure::NoAccess(error.to_string()))?;
        let url = &config.cluster_url;
        let usual = if url.scheme_str() == Some("http") {
            80
        } else {
            443
        };
        let port = url.port_u16().unwrap_or(usual);
        let host = format!("{}:{port}", url.host().unwrap_or_default());
        let namespace = global.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let clock = ServerClock::new(Arc::new(SystemClock));
        let layer = KubeRequestLayer::new(Metrics::new(), clock.clone(), DEFAULT_DEADLINE);
        let host = Arc::from(host);
        let nothing = Asked::of("reach", "the cluster", None);
        let client = kube_client::kube_client_with_system_dns(config, &layer)
            .map_err(|error| ClusterError::read(&error, &nothing, &host))?;
        Ok(Self {
            client,
            clock,
            host,
            namespace,
        })
    }

    /// The client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The namespace of the caller.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Which objects the caller means.
    pub fn scope(&self, global: &Global) -> Scope {
        let namespace = (!global.all_namespaces).then(|| self.namespace.clone());
        Scope {
            namespace,
            labels: global.selector.clone(),
        }
    }

    /// The time on the API server's clock, after its first answer.
    pub fn now(&self) -> Timestamp {
        self.clock.now().unwrap_or_else(Timestamp::now)
    }

    /// The API server's clock minus that of this machine, after its first answer.
    pub fn skew(&self) -> Option<SignedDuration> {
        self.clock.offset()
    }

    /// What it means that a request failed.
    pub fn error(&self, error: &kube::Error, asked: &Asked) -> ClusterError {
        ClusterError::read(error, asked, &self.host)
    }

    /// Hands every object of a kind to `keep`, and returns the revision of the list.
    pub async fn each<T: DeserializeOwned + Send + 'static>(
        &self,
        kind: Kind,
        scope: &Scope,
        keep: impl FnMut(Listed<T>),
    ) -> Result<String, ClusterError> {
        let asked = Asked::kind("list", kind, scope.namespace.as_deref());
        let path = AppSecret::url_path(&kind, scope.namespace.as_deref());
        let params = ListParams {
            label_selector: scope.labels.clone(),
            ..ListParams::default()
        };
        let request = |params: &ListParams| Request::new(&path).list(params);
        self.pages(request, params, &asked, keep).await
    }

    /// Hands every object of a list to `keep`, and returns its revision. While a page is read, the API server makes the next one.
    pub async fn pages<T: DeserializeOwned + Send + 'static>(
        &self,
        request: impl Fn(&ListParams) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        params: ListParams,
        asked: &Asked,
        mut keep: impl FnMut(Listed<T>),
    ) -> Result<String, ClusterError> {
        let page = async |token: Option<String>| {
            let mut params = params.clone().limit(PAGE);
            params.continue_token = token;
            let body = self.body(request(&params), asked).await?;
            let metadata = serde_json::from_slice::<OnlyPageMetadata>(&body);
            let metadata = metadata.map_err(|_| self.unreadable())?.metadata;
            Ok((body, metadata))
        };
        let (mut body, mut metadata) = page(None).await?;
        loop {
            let reading = tokio::task::spawn_blocking(move || read_page::<T>(&body));
            let token = metadata.continue_.take().filter(|token| !token.is_empty());
            let is_last = token.is_none();
            let next = async {
                if is_last {
                    None
                } else {
                    Some(page(token).await)
                }
            };
            let (items, next) = tokio::join!(reading, next);
            let items = items.ok().and_then(Result::ok);
            let items = items.ok_or_else(|| self.unreadable())?;
            items.into_iter().for_each(&mut keep);
            match next {
                Some(next) => (body, metadata) = next?,
                None => return Ok(metadata.resource_version),
            }
        }
    }

    /// Hands every object of every kind to `keep`. A kind that the cluster does not serve is left out, and so is one that the caller may
    /// not list: what was missing is returned.
    ///
    /// # Errors
    /// If no kind can be listed, or if a list fails for another reason: then some objects of it may be missing.
    pub async fn all<T: DeserializeOwned + Send + 'static>(
        &self,
        scope: &Scope,
        keep: impl FnMut(Kind, Listed<T>),
    ) -> Result<Vec<ClusterError>, ClusterError> {
        let keep = RefCell::new(keep);
        let kinds = Kind::ALL.map(|kind| {
            let keep = &keep;
            self.each(kind, scope, move |object| (keep.borrow_mut())(kind, object))
        });
        let outcomes = future::join_all(kinds).await;
        unless_failed(outcomes.into_iter().map(|outcome| outcome.map(drop)))
    }

    /// An object.
    pub async fn get<T: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Listed<T>, ClusterError> {
        let asked = Asked::kind("get", kind, Some(&self.namespace)).named(name);
        let path = AppSecret::url_path(&kind, Some(&self.namespace));
        self.at(&path, &asked).await
    }

    /// An object of a type, in a namespace or, without, of the cluster.
    pub async fn fetch<T: Resource<DynamicType = ()> + DeserializeOwned>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Listed<T>, ClusterError> {
        let asked = Asked::resource::<T>("get", namespace).named(name);
        self.at(&T::url_path(&(), namespace), &asked).await
    }

    /// The objects of a type, in a namespace or, without, in all.
    pub async fn list<T>(
        &self,
        namespace: Option<&str>,
        params: ListParams,
    ) -> Result<Vec<Listed<T>>, ClusterError>
    where
        T: Resource<DynamicType = ()> + DeserializeOwned + Send + 'static,
    {
        let asked = Asked::resource::<T>("list", namespace);
        let path = T::url_path(&(), namespace);
        let mut all = Vec::new();
        let request = |params: &ListParams| Request::new(&path).list(params);
        self.pages(request, params, &asked, |object| all.push(object))
            .await?;
        Ok(all)
    }

    /// What is at a path under the name in what is asked.
    pub async fn at<T: DeserializeOwned>(
        &self,
        path: &str,
        asked: &Asked,
    ) -> Result<Listed<T>, ClusterError> {
        let name = asked.name.as_deref().unwrap_or_default();
        let request = Request::new(path).get(name, &GetParams::default());
        let body = self.body(request, asked).await?;
        let object: serde_json::Value =
            serde_json::from_slice(&body).map_err(|_| self.unreadable())?;
        Ok(Listed::read(&object))
    }

    /// The objects that have a name, of one kind or of several.
    ///
    /// # Errors
    /// If there is none.
    pub async fn named<T: DeserializeOwned>(
        &self,
        reference: &Reference,
    ) -> Result<Vec<(Kind, Listed<T>)>, Failure> {
        let mut found = Vec::new();
        let mut failed = Vec::new();
        for kind in reference.kinds() {
            match self.get(kind, &reference.name).await {
                Ok(object) => found.push((kind, object)),
                Err(ClusterError::Absent(_)) => {}
                Err(error) => failed.push(error),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        let is_served = failed.len() < reference.kinds().count();
        failed.retain(|error| !is_served || !error.is_not_served());
        match failed.into_iter().next() {
            Some(error) => Err(error.into()),
            None => Err(self.absent(reference)),
        }
    }

    /// Hands the objects that have one of the names to `keep`; without names, every object of the scope. Returns what was denied.
    pub async fn chosen<T: DeserializeOwned + Send + 'static>(
        &self,
        scope: &Scope,
        names: &[Reference],
        mut keep: impl FnMut(Kind, Listed<T>),
    ) -> Result<Vec<ClusterError>, Failure> {
        if names.is_empty() {
            return Ok(self.all(scope, keep).await?);
        }
        for name in names {
            for (kind, object) in self.named(name).await? {
                keep(kind, object);
            }
        }
        Ok(Vec::new())
    }

    /// The one object that has a name.
    ///
    /// # Errors
    /// If there is none, or one of either kind.
    pub async fn one<T: DeserializeOwned>(
        &self,
        reference: &Reference,
    ) -> Result<(Kind, Listed<T>), Failure> {
        let mut found = self.named(reference).await?;
        match (found.pop(), found.pop()) {
            (Some(object), None) => Ok(object),
            (Some((one, _)), Some((other, _))) => {
                let name = &reference.name;
                Err(Failure::Usage(format!(
                    "there is {}/{name} and {}/{name} in namespace {}: write which one you mean",
                    short(other),
                    short(one),
                    self.namespace
                )))
            }
            (None, _) => Err(self.absent(reference)),
        }
    }

    fn absent(&self, reference: &Reference) -> Failure {
        let what = match reference.kind {
            Some(_) => reference.to_string(),
            None => format!("object named {}", reference.name),
        };
        Failure::Finding(format!(
            "there is no {what} in namespace {}: `kubectl zitadel-secret status` lists those that are there, with -A in all namespaces",
            self.namespace
        ))
    }

    /// The names of the objects below a path, from the API server's cache.
    pub async fn names(&self, path: &str, resource: &str) -> Result<Vec<String>, ClusterError> {
        let asked = Asked::of("list", resource, None);
        let request = Request::new(path).list_metadata(&ListParams::default().match_any());
        let body = self.body(request, &asked).await?;
        let page: Page<OnlyMetadata> =
            serde_json::from_slice(&body).map_err(|_| self.unreadable())?;
        Ok(page
            .items
            .into_iter()
            .flatten()
            .map(|item| item.metadata.name)
            .collect())
    }

    /// What is around the values of a Secret, which the API server keeps to itself: it is asked for a table with metadata.
    pub async fn secret(&self, name: &str) -> Result<Outline, ClusterError> {
        let namespace = Some(self.namespace.as_str());
        let asked = Asked::resource::<Secret>("get", namespace).named(name);
        let request = Request::new(Secret::url_path(&(), namespace));
        let request = request.get(name, &GetParams::default());
        let request = request.map(|mut request| {
            let table = HeaderValue::from_static("application/json;as=Table;g=meta.k8s.io;v=v1");
            request.headers_mut().insert(ACCEPT, table);
            request
        });
        let body = self.body(request, &asked).await?;
        outline(&body).ok_or_else(|| self.unreadable())
    }

    /// Watches objects of a kind from a revision on, until `seen` returns false, the API server ends it, or something fails. Returns the
    /// revision to go on from; none: the objects are to be listed again.
    pub async fn watch<T>(
        &self,
        kind: Kind,
        scope: &Scope,
        from: &str,
        mut seen: impl FnMut(Happened<T>) -> bool,
    ) -> Result<Option<String>, ClusterError>
    where
        T: DeserializeOwned,
    {
        let asked = Asked::kind("watch", kind, scope.namespace.as_deref());
        let path = AppSecret::url_path(&kind, scope.namespace.as_deref());
        let params = WatchParams {
            label_selector: scope.labels.clone(),
            ..WatchParams::default()
        };
        let request = Request::new(path).watch(&params, from);
        let request = request.map_err(|error| self.unbuilt(error, &asked))?;
        let events = self.client.request_events::<serde_json::Value>(request);
        let events = events.await.map_err(|error| self.error(&error, &asked))?;
        let mut events = pin!(events);
        let mut revision = from.to_owned();
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => return Err(self.error(&error, &asked)),
            };
            let happened = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    revision = metadata(&object).resource_version;
                    Happened::Is(Listed::read(&object))
                }
                WatchEvent::Deleted(object) => {
                    let metadata = metadata(&object);
                    revision.clone_from(&metadata.resource_version);
                    Happened::Gone(metadata)
                }
                WatchEvent::Bookmark(bookmark) => {
                    revision = bookmark.metadata.resource_version;
                    continue;
                }
                // NB: 410, the revision is too old by now.
                WatchEvent::Error(_) => return Ok(None),
            };
            if !seen(happened) {
                break;
            }
        }
        Ok(Some(revision))
    }

    /// The same cluster, for a namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            client: self.client.clone(),
            clock: self.clock.clone(),
            host: Arc::clone(&self.host),
            namespace: namespace.to_owned(),
        }
    }

    /// The body of an answer.
    pub async fn body(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        asked: &Asked,
    ) -> Result<Vec<u8>, ClusterError> {
        let request = request.map_err(|error| self.unbuilt(error, asked))?;
        let read = kube_client::body(&self.client, request).await;
        read.map_err(|error| self.error(&error, asked))
    }

    /// That an answer is none.
    pub fn unreadable(&self) -> ClusterError {
        ClusterError::Unreadable(Arc::clone(&self.host))
    }

    fn unbuilt(&self, error: kube::core::request::Error, asked: &Asked) -> ClusterError {
        self.error(&kube::Error::BuildRequest(error), asked)
    }
}

/// Reads a table of one Secret.
fn outline(body: &[u8]) -> Option<Outline> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Table {
        column_definitions: Vec<Definition>,
        rows: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Definition {
        name: String,
    }
    #[derive(Deserialize)]
    struct Row {
        cells: Vec<serde_json::Value>,
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        metadata: ObjectMeta,
    }
    let table: Table = serde_json::from_slice(body).ok()?;
    let mut columns = table.column_definitions.iter();
    let column = columns.position(|column| column.name == "Type")?;
    let row = table.rows.into_iter().next()?;
    Some(Outline {
        type_: row.cells.get(column)?.as_str()?.to_owned(),
        metadata: row.object.metadata,
    })
}

/// What was denied; an error if there is nothing else, or if something failed for another reason.
fn unless_failed(
    outcomes: impl Iterator<Item = Result<(), ClusterError>>,
) -> Result<Vec<ClusterError>, ClusterError> {
    let (mut is_served, mut denied, mut unserved) = (false, Vec::new(), None);
    for outcome in outcomes {
        match outcome {
            Ok(()) => is_served = true,
            Err(error) if error.is_not_served() => unserved = unserved.or(Some(error)),
            Err(error @ ClusterError::Denied(_)) => denied.push(error),
            Err(error) => return Err(error),
        }
    }
    if is_served {
        return Ok(denied);
    }
    match denied.into_iter().next().or(unserved) {
        Some(error) => Err(error),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Numbered {
        number: u8,
    }

    #[test]
    fn an_object_that_cannot_be_read_keeps_no_other_from_being_shown() {
        let object = |name: &str, number: serde_json::Value| json!({"metadata": {"namespace": "a", "name": name, "x": {}}, "number": number});
        let page = json!({
            "kind": "List", "items": [object("one", json!(1)), object("two", json!({"of": "a newer version"}))],
        });
        let items = read_page::<Numbered>(page.to_string().as_bytes()).unwrap();
        assert!(matches!(&items[0], Listed::Read(Numbered { number: 1 })));
        assert!(matches!(&items[1], Listed::Unreadable(it) if it.name == "two"));
        assert!(read_page::<Numbered>(b"<html>").is_err());
        for nothing in [&b"{}"[..], br#"{"items": null}"#, br#"{"items": []}"#] {
            assert!(read_page::<Numbered>(nothing).unwrap().is_empty());
        }
    }

    #[test]
    fn a_kind_that_is_missing_matters_only_where_all_are() {
        let unserved = || {
            Err(ClusterError::NotServed {
                resource: "a".to_owned(),
            })
        };
        let denied = || Err(ClusterError::Denied(Asked::of("list", "b", None)));
        let of = |outcomes: [Result<(), ClusterError>; 2]| unless_failed(outcomes.into_iter());
        assert!(of([Ok(()), unserved()]).unwrap().is_empty());
        assert_eq!(of([Ok(()), denied()]).unwrap().len(), 1);
        assert!(of([unserved(), unserved()]).unwrap_err().is_not_served());
        let error = of([unserved(), denied()]).unwrap_err();
        assert!(matches!(error, ClusterError::Denied(_)));
        let unreadable = Err(ClusterError::Unreadable(Arc::from("10.0.0.1:6443")));
        assert!(of([Ok(()), unreadable]).is_err());
    }
}
