//! The connections of a file, and the objects that use them without being in the file themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{AppSecret, Kind, ZitadelConnection};
use crate::plugin::cluster::{Cluster, Listed, Scope};
use crate::plugin::exit::Failure;
use crate::plugin::fault::ClusterError;
use crate::plugin::plan::dry_run::{self, Applied, Refused};
use crate::plugin::plan::grants::{Connection, Grants};
use crate::plugin::plan::manifest::{ConnectionDocument, Place};
use crate::plugin::plan::object::Object;
use crate::plugin::plan::remarks::Remarks;
use crate::plugin::plan::validate;

/// Which object is meant.
pub type Key = (Kind, String, String);

/// The connections of a file.
#[derive(Debug, Default)]
pub struct Planned {
    /// Where each stands, by its name.
    places: BTreeMap<String, Place>,
}

impl Planned {
    /// Takes note of the connections of a file, and of their grants.
    ///
    /// # Errors
    /// If the cluster cannot be asked.
    pub async fn read(
        cluster: &Cluster,
        documents: &[ConnectionDocument],
        file: &str,
        grants: &mut Grants,
        remarks: &mut Remarks,
    ) -> Result<Self, Failure> {
        let mut planned = Self::default();
        for document in documents {
            let ConnectionDocument { place, name, .. } = document;
            let compared = match planned.places.get(name) {
                Some(first) => Err(Refused::Document(format!("it is in {first} as well"))),
                None => compare(cluster, document).await,
            };
            let why = match compared {
                Ok((before, Applied { object, unchecked })) => {
                    grants.plan(name, before, Connection::read(&object));
                    planned.places.insert(name.clone(), place.clone());
                    let about =
                        format!("ZitadelConnection {name} is not checked by the API server");
                    let unchecked = unchecked.map(|why| format!("{about}: {why}"));
                    remarks.notes.extend(unchecked);
                    continue;
                }
                Err(Refused::Document(why)) => why,
                Err(Refused::Cluster(error)) => return Err(error.into()),
            };
            let refused = format!("{file}, {place} (ZitadelConnection {name}): {why}");
            remarks.refused.push(refused);
        }
        remarks.has_connections = !planned.places.is_empty();
        Ok(planned)
    }

    /// The objects of these connections, in a namespace or in all, and where the connection of each stands. Those of the file are left out.
    ///
    /// # Errors
    /// If the cluster cannot be asked. What the caller may not see is not known.
    pub async fn users(
        &self,
        cluster: &Cluster,
        namespace: Option<&str>,
        in_file: &BTreeSet<Key>,
        remarks: &mut Remarks,
    ) -> Result<Vec<(Place, AppSecret)>, Failure> {
        if self.places.is_empty() {
            return Ok(Vec::new());
        }
        let scope = Scope {
            namespace: namespace.map(ToOwned::to_owned),
            labels: None,
        };
        let (mut users, mut unreadable) = (Vec::new(), 0_usize);
        let keep = |kind, listed: Listed<Object>| {
            let Some(object) = listed.into_read() else {
                unreadable += 1;
                return;
            };
            let object = object.of_kind(kind);
            if let Some(place) = self.places.get(object.spec.connection_name())
                && !in_file.contains(&key(&object))
            {
                users.push((place.clone(), object));
            }
        };
        let missing = match cluster.all(&scope, keep).await {
            Ok(missing) => missing,
            Err(error @ ClusterError::Denied(_)) => vec![error],
            Err(error) => return Err(error.into()),
        };
        let missing = missing.iter().map(|error| {
            format!("not every object that uses a connection of the file is known: {error}")
        });
        remarks.notes.extend(missing);
        if unreadable > 0 {
            let text = "objects were written for another version of the API: what becomes of them is not known";
            remarks.notes.push(format!("{unreadable} {text}"));
        }
        Ok(users)
    }
}

/// Which object it is.
fn key(object: &AppSecret) -> Key {
    let metadata = &object.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (object.kind, text(&metadata.namespace), text(&metadata.name))
}

/// A connection as it is, and as it will be.
async fn compare(
    cluster: &Cluster,
    document: &ConnectionDocument,
) -> Result<(Connection, Applied<ZitadelConnection>), Refused> {
    let before = cluster.fetch(None, &document.name).await;
    if let Err(error @ ClusterError::Denied(_)) = &before {
        let why = error.to_string();
        let applied = Applied {
            object: validate::connection(document).map_err(Refused::Document)?,
            unchecked: Some(why.clone()),
        };
        return Ok((Connection::Unseen(why), applied));
    }
    let before: Option<ZitadelConnection> = dry_run::before(before, "connection")?;
    let applied = dry_run::connection(cluster, document, before.as_ref()).await?;
    let before = before.map_or(Connection::Missing, |before| Connection::read(&before));
    Ok((before, applied))
}
