//! `plan -f`: what changes if a file is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::api::{AppSecret, Kind};
use crate::plugin::cli::Global;
use crate::plugin::cluster::Cluster;
use crate::plugin::decision::Found;
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::fault::ClusterError;
use crate::plugin::line::{self, line};
use crate::plugin::output::{Cell, Column, Output};
use crate::plugin::plan::connections::{Key, Planned};
use crate::plugin::plan::dry_run::{self, Applied, Refused};
use crate::plugin::plan::edit::{Change, Consequence, Edit};
use crate::plugin::plan::grants::{Granted, Grants, When};
use crate::plugin::plan::manifest::{self, Document, Manifest, Place};
use crate::plugin::plan::remarks::Remarks;
use crate::plugin::pods::Credential;
use crate::store::secret::MANAGED_LABEL;
use crate::target::Target;

/// Documents that are compared at the same time.
const AT_ONCE: usize = 8;

/// A consequence in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    kind: Kind,
    namespace: String,
    name: String,
    change: Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
    place: String,
    message: String,
}

line!(Row);

/// An object of the file beside that of the cluster.
struct Compared {
    place: Place,
    before: Option<AppSecret>,
    after: AppSecret,
    found: Option<Found>,
    pods: Result<Vec<String>, String>,
    /// What is not known of it.
    unknown: Vec<String>,
}

fn columns(with_namespace: bool, with_kind: bool) -> Vec<Column<Row>> {
    let mut columns: Vec<Column<Row>> = line::columns(with_namespace, with_kind).collect();
    columns.extend([
        Column::new("CHANGE", |row: &Row, _| {
            Cell::new(&format!("{:?}", row.change), row.change.tone())
        }),
        Column::new("REASON", |row: &Row, _| Cell::maybe(row.reason)),
        Column::wide("FIELDS", |row: &Row, _| Cell::plain(&row.fields.join(","))),
        Column::wide("PLACE", |row: &Row, _| Cell::plain(&row.place)),
        Column::new("MESSAGE", |row: &Row, _| Cell::plain(&row.message)),
    ]);
    columns
}

/// Shows what changes if a file is applied. Exit code 1 if something rotates now, 2 if something cannot be applied.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    file: &Path,
    ahead: SignedDuration,
    output: &mut Output,
) -> Result<Exit, Failure> {
    global.of_file()?;
    let name = manifest::name(file);
    let Manifest {
        documents,
        connections,
        others,
        refused,
    } = Manifest::read(&manifest::text(file)?);
    let mut remarks = Remarks {
        others,
        ..Remarks::default()
    };
    for (place, why) in refused {
        remarks.refused.push(format!("{name}, {place} {why}"));
    }
    let documents = placed(cluster, global, documents, &name, &mut remarks);
    let mut grants = Grants::default();
    let connections =
        Planned::read(cluster, &connections, &name, &mut grants, &mut remarks).await?;
    let compared = stream::iter(documents.iter().map(|(namespace, document)| async move {
        compare(&cluster.in_namespace(namespace), document).await
    }));
    let compared: Vec<_> = compared.buffered(AT_ONCE).collect().await;
    let in_file: BTreeSet<Key> = documents.iter().map(key).collect();
    let namespace = global.namespace.as_deref();
    let users = connections
        .users(cluster, namespace, &in_file, &mut remarks)
        .await?;
    let objects = documents.len() + users.len();
    let mut all = Vec::new();
    for (compared, (namespace, document)) in compared.into_iter().zip(&documents) {
        match compared {
            Ok(compared) => all.push(compared),
            Err(Refused::Document(why)) => remarks.refused.push(format!(
                "{name}, {} ({} {namespace}/{}): {why}",
                document.place, document.kind, document.name
            )),
            Err(Refused::Cluster(error)) => return Err(error.into()),
        }
    }
    let users = users.into_iter();
    all.extend(users.map(|(place, object)| Compared::same(place, object)));
    let mut rows = Vec::new();
    for compared in all {
        let now = cluster.now();
        let until = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
        let new = consequences(cluster, &mut grants, compared, [now, until], &mut remarks);
        rows.extend(new.await?);
    }
    rows.sort_by(line::order);
    rows.sort_by_key(|row| row.change);
    let namespaces: BTreeSet<&str> = rows.iter().map(|row| row.namespace.as_str()).collect();
    let columns = columns(namespaces.len() > 1, line::has_every_kind(&rows));
    output.records(&columns, &rows, cluster.now())?;
    let rotating = rows.iter().filter(|row| row.change == Change::RotatesNow);
    let rotating = rotating.count();
    remarks.say(&name, objects, rotating, output);
    Ok(match (remarks.refused.is_empty(), rotating) {
        (false, _) => Exit::Usage,
        (true, 0) => Exit::Fine,
        (true, _) => Exit::Finding,
    })
}

fn key((namespace, document): &(String, Document)) -> Key {
    (document.kind, namespace.clone(), document.name.clone())
}

/// The documents with their namespaces. An object that is there twice is refused.
fn placed(
    cluster: &Cluster,
    global: &Global,
    documents: Vec<Document>,
    file: &str,
    remarks: &mut Remarks,
) -> Vec<(String, Document)> {
    let mut seen: BTreeMap<Key, Place> = BTreeMap::new();
    let mut placed = Vec::new();
    for document in documents {
        let Document {
            kind, name, place, ..
        } = &document;
        let namespace = document
            .namespace
            .as_deref()
            .unwrap_or(cluster.namespace())
            .to_owned();
        if let Some(wanted) = &global.namespace
            && *wanted != namespace
        {
            remarks.refused.push(format!(
                "{file}, {place} ({kind} {name}): it is for namespace {namespace}, and -n says {wanted}"
            ));
            continue;
        }
        let key = (*kind, namespace.clone(), name.clone());
        if let Some(first) = seen.get(&key) {
            remarks.refused.push(format!(
                "{file}, {place} ({kind} {namespace}/{name}): it is in {first} as well"
            ));
            continue;
        }
        seen.insert(key, place.clone());
        placed.push((namespace, document));
    }
    placed
}

/// Reads the object of a document, what becomes of it, and what is around it.
async fn compare(cluster: &Cluster, document: &Document) -> Result<Compared, Refused> {
    let before = cluster.get(document.kind, &document.name).await;
    let before: Option<AppSecret> = dry_run::before(before, "object")?;
    let Applied { object, unchecked } =
        dry_run::applied(cluster, document, before.as_ref()).await?;
    let unchecked = unchecked.map(|why| format!("not checked by the API server: {why}"));
    let mut compared = Compared {
        place: document.place.clone(),
        before,
        after: object,
        found: None,
        pods: Ok(Vec::new()),
        unknown: unchecked.into_iter().collect(),
    };
    compared
        .look_around(cluster)
        .await
        .map_err(Refused::Cluster)?;
    Ok(compared)
}

impl Compared {
    /// An object that is not edited itself.
    fn same(place: Place, object: AppSecret) -> Self {
        Self {
            place,
            before: Some(object.clone()),
            after: object,
            found: None,
            pods: Ok(Vec::new()),
            unknown: Vec::new(),
        }
    }

    /// Reads what else matters: a Secret of the new name, and the Pods that name the former one.
    async fn look_around(&mut self, cluster: &Cluster) -> Result<(), ClusterError> {
        let Ok(target) = Target::read_unlimited(&self.after) else {
            return Ok(());
        };
        let status = self
            .before
            .as_ref()
            .and_then(|before| before.status.as_ref());
        let kept = status.and_then(|status| status.secret_name.as_deref());
        if kept == Some(target.secret.name.as_str()) {
            return Ok(());
        }
        self.found = match cluster.secret(&target.secret.name).await {
            Ok(secret) => {
                let labels = secret.metadata.labels.unwrap_or_default();
                let is_managed = labels.contains_key(MANAGED_LABEL);
                Some(if is_managed {
                    Found::Managed
                } else {
                    Found::Foreign
                })
            }
            Err(ClusterError::Absent(_)) => None,
            Err(error @ ClusterError::Denied(_)) => {
                let why = format!("whether a Secret of its name exists is not known: {error}");
                self.unknown.push(why);
                target.secret.adopt.then_some(Found::Foreign)
            }
            Err(error) => return Err(error),
        };
        if let Some(before) = self.before.as_ref().filter(|_| kept.is_some())
            && let Ok(credential) = Credential::read(before)
        {
            self.pods = match credential.consumers(cluster).await {
                Ok(pods) => Ok(pods
                    .into_iter()
                    .map(|pod| match pod.owner {
                        Some(owner) => format!("{} ({owner})", pod.pod),
                        None => pod.pod,
                    })
                    .collect()),
                Err(error @ ClusterError::Denied(_)) => Err(error.to_string()),
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }
}

/// The lines of an object.
async fn consequences(
    cluster: &Cluster,
    grants: &mut Grants,
    compared: Compared,
    [now, until]: [Timestamp; 2],
    remarks: &mut Remarks,
) -> Result<Vec<Row>, Failure> {
    let read = |object| Target::read_unlimited(object).ok();
    let before = compared.before.as_ref().and_then(read);
    let after = read(&compared.after);
    for target in before.iter().chain(&after) {
        grants.see(cluster, target).await?;
    }
    let [was_granted, granted] =
        [(&before, When::Before), (&after, When::After)].map(|(target, when)| match target {
            Some(target) => grants.granted(target, when),
            None => Granted::Yes,
        });
    let same_zitadel = match (&before, &after) {
        (Some(before), Some(after)) => {
            grants.is_same_zitadel(&before.connection, &after.connection)
        }
        _ => Some(true),
    };
    let unknown = match &granted {
        Granted::Unknown(why) => Some(format!("whether a grant covers it is not known: {why}")),
        _ => None,
    };
    let edit = Edit {
        before: compared.before.as_ref(),
        after: &compared.after,
        was_granted,
        granted,
        same_zitadel,
        found: compared.found,
        pods: compared.pods,
        now,
        until,
    };
    let all = edit.consequences();
    if all.is_empty() {
        remarks.unchanged += 1;
        return Ok(Vec::new());
    }
    for unknown in compared.unknown.into_iter().chain(unknown) {
        *remarks.unknown.entry(unknown).or_default() += 1;
    }
    let (fields, place) = (edit.fields(), compared.place.to_string());
    let metadata = &compared.after.metadata;
    let row = |it: Consequence| Row {
        kind: compared.after.kind,
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        change: it.change,
        reason: it.reason,
        from: it.from,
        to: it.to,
        pods: it.pods,
        fields: fields.clone(),
        place: place.clone(),
        message: it.message,
    };
    Ok(all.into_iter().map(row).collect())
}
