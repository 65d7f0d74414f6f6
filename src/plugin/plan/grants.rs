//! Whether the connection of an object lets it use its applications, as far as the caller may see connections and namespaces.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::api::ZitadelConnection;
use crate::connection::grants::ParsedGrant;
use crate::plugin::cluster::Cluster;
use crate::plugin::exit::Failure;
use crate::plugin::fault::ClusterError;
use crate::target::Target;
use crate::zitadel::AppRef;

/// What is known of a connection.
#[derive(Debug, Clone)]
pub enum Connection {
    /// Its issuer and its grants.
    Known {
        /// `spec.url`.
        url: String,
        /// `spec.grants`.
        grants: Vec<ParsedGrant>,
    },
    /// There is none of that name.
    Missing,
    /// It cannot be seen, and why.
    Unseen(String),
}

/// Whether an object may use its applications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// A grant covers it.
    Yes,
    /// None does.
    No,
    /// There is no such connection.
    NoConnection,
    /// It is not known, and why.
    Unknown(String),
}

/// The labels of a namespace.
type Labels = BTreeMap<String, String>;

/// Before a file is applied, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As it is.
    Before,
    /// As it will be.
    After,
}

/// The connections that objects name, and the labels of their namespaces: each is read once.
#[derive(Debug, Default)]
pub struct Grants {
    connections: BTreeMap<String, Connection>,
    /// Those of the file, as they will be.
    planned: BTreeMap<String, Connection>,
    namespaces: BTreeMap<String, Result<Labels, String>>,
}

impl Connection {
    /// Reads a connection.
    pub fn read(object: &ZitadelConnection) -> Self {
        Self::Known {
            url: object.spec.url.clone(),
            grants: object.spec.grants.iter().map(ParsedGrant::from).collect(),
        }
    }
}

impl Grants {
    /// Takes note of a connection of the file.
    pub fn plan(&mut self, name: &str, before: Connection, after: Connection) {
        self.connections.insert(name.to_owned(), before);
        self.planned.insert(name.to_owned(), after);
    }

    /// Whether a connection is in the file.
    pub fn is_planned(&self, name: &str) -> bool {
        self.planned.contains_key(name)
    }

    /// Reads the connection of an object, and its namespace if a grant depends on its labels.
    ///
    /// # Errors
    /// If the cluster cannot be asked. What the caller may not see is not known.
    pub async fn see(&mut self, cluster: &Cluster, target: &Target) -> Result<(), Failure> {
        let (name, namespace) = (&target.connection, &target.owner.namespace);
        if !self.connections.contains_key(name) {
            let connection = match get::<ZitadelConnection>(cluster, name).await {
                Ok(object) => Connection::read(&object),
                Err(ClusterError::Absent(_)) => Connection::Missing,
                Err(error) => Connection::Unseen(unseen(error)?),
            };
            self.connections.insert(name.clone(), connection);
        }
        let depends = [When::Before, When::After]
            .into_iter()
            .any(|when| self.by_name(target, when) == Granted::No);
        if depends && !self.namespaces.contains_key(namespace) {
            let labels = match get::<Namespace>(cluster, namespace).await {
                Ok(object) => Ok(object.labels().clone()),
                Err(ClusterError::Absent(_)) => Ok(Labels::new()),
                Err(error) => Err(unseen(error)?),
            };
            self.namespaces.insert(namespace.clone(), labels);
        }
        Ok(())
    }

    /// Whether an object may use its applications.
    pub fn granted(&self, target: &Target, when: When) -> Granted {
        match self.by_name(target, when) {
            Granted::No => {}
            granted => return granted,
        }
        match self.namespaces.get(&target.owner.namespace) {
            Some(Ok(labels)) => self.with_labels(target, labels, when),
            Some(Err(why)) => Granted::Unknown(why.clone()),
            None => Granted::No,
        }
    }

    /// Whether a connection as it is and another one as it will be are to the same ZITADEL; none if that cannot be seen.
    pub fn is_same_zitadel(&self, before: &str, after: &str) -> Option<bool> {
        if before == after && !self.is_planned(after) {
            return Some(true);
        }
        let url = |name, when| match self.connection(name, when)? {
            Connection::Known { url, .. } => Some(url.trim_end_matches('/')),
            Connection::Missing | Connection::Unseen(_) => None,
        };
        let before = url(before, When::Before)?;
        Some(before.eq_ignore_ascii_case(url(after, When::After)?))
    }

    fn connection(&self, name: &str, when: When) -> Option<&Connection> {
        let planned = self.planned.get(name).filter(|_| when == When::After);
        planned.or_else(|| self.connections.get(name))
    }

    /// The same by what is known without labels.
    fn by_name(&self, target: &Target, when: When) -> Granted {
        self.with_labels(target, &Labels::new(), when)
    }

    fn with_labels(&self, target: &Target, labels: &Labels, when: When) -> Granted {
        let grants = match self.connection(&target.connection, when) {
            Some(Connection::Known { grants, .. }) => grants,
            Some(Connection::Missing) => return Granted::NoConnection,
            Some(Connection::Unseen(why)) => return Granted::Unknown(why.clone()),
            None => return Granted::Unknown("it was not read".to_owned()),
        };
        let label = |key: &str| labels.get(key).cloned();
        let covers = |app: &AppRef| {
            let owner = &target.owner;
            let mut grants = grants.iter();
            grants.any(|grant| grant.covers(owner.kind, &owner.namespace, &label, app))
        };
        let standby = target.standby.as_ref().map(|app| target.app_ref(app));
        let is_granted = covers(&target.app) && standby.is_none_or(|app| covers(&app));
        if is_granted {
            Granted::Yes
        } else {
            Granted::No
        }
    }
}

/// What the caller may not see is not known; anything else that fails is a failure.
fn unseen(error: ClusterError) -> Result<String, Failure> {
    match error {
        ClusterError::Denied(_) | ClusterError::NotServed { .. } | ClusterError::Unreadable(_) => {
            Ok(error.to_string())
        }
        error => Err(error.into()),
    }
}

async fn get<T: Resource<DynamicType = ()> + DeserializeOwned>(
    cluster: &Cluster,
    name: &str,
) -> Result<T, ClusterError> {
    let found = cluster.fetch(None, name).await?;
    found.into_read().ok_or_else(|| cluster.unreadable())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::AppSecret;

    fn target(spec: &Value) -> Target {
        let mut object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"}, "spec": {"projectId": "1", "appId": "2"},
        });
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        let object: AppSecret = serde_json::from_value(object).unwrap();
        Target::read_unlimited(&object).unwrap()
    }

    fn grants(url: &str, grants: &Value) -> Grants {
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": "default"},
            "spec": {
                "url": url, "grants": grants,
                "auth": {"personalAccessToken": {"secretKeyRef": {"name": "a", "key": "b"}}},
            },
        });
        let connection = Connection::read(&serde_json::from_value(object).unwrap());
        Grants {
            connections: BTreeMap::from([("default".to_owned(), connection)]),
            ..Grants::default()
        }
    }

    fn granted(grants: &Grants, target: &Target) -> Granted {
        grants.granted(target, When::After)
    }

    #[test]
    fn every_application_must_be_covered_and_what_cannot_be_seen_is_not_known() {
        let named =
            json!([{"name": "g", "namespaces": ["orders"], "projectIds": ["1"], "appIds": ["2"]}]);
        let named = grants("https://a", &named);
        assert_eq!(granted(&named, &target(&json!({}))), Granted::Yes);
        let standby = json!({"standby": {"type": "Existing", "appId": "3"}});
        assert_eq!(granted(&named, &target(&standby)), Granted::No);
        let other = json!({"connectionRef": {"name": "other"}});
        let other = granted(&named, &target(&other));
        assert!(matches!(other, Granted::Unknown(_)));
        let mut labelled = grants(
            "https://a",
            &json!([{"name": "g", "namespaceSelector": {"matchLabels": {"team": "a"}}, "projectIds": ["1"]}]),
        );
        assert_eq!(granted(&labelled, &target(&json!({}))), Granted::No);
        let team = Labels::from([("team".to_owned(), "a".to_owned())]);
        labelled.namespaces.insert("orders".to_owned(), Ok(team));
        assert_eq!(granted(&labelled, &target(&json!({}))), Granted::Yes);
        let denied = Err("you may not".to_owned());
        labelled.namespaces.insert("orders".to_owned(), denied);
        let unknown = Granted::Unknown("you may not".to_owned());
        assert_eq!(granted(&labelled, &target(&json!({}))), unknown);
    }

    #[test]
    fn what_a_file_makes_of_a_connection_holds_after_it_is_applied() {
        let of = |url: &str, of: &Value| {
            let mut all = grants(url, of);
            all.connections.remove("default").unwrap()
        };
        let named = json!([{"name": "g", "namespaces": ["orders"], "projectIds": ["1"]}]);
        let mut all = Grants::default();
        let (before, after) = (of("https://a", &named), of("https://b", &json!([])));
        all.plan("default", before.clone(), after);
        let target = target(&json!({}));
        let both = [When::Before, When::After].map(|when| all.granted(&target, when));
        assert_eq!(both, [Granted::Yes, Granted::No]);
        assert_eq!(all.is_same_zitadel("default", "default"), Some(false));
        all.plan("default", Connection::Missing, before);
        let both = [When::Before, When::After].map(|when| all.granted(&target, when));
        assert_eq!(both, [Granted::NoConnection, Granted::Yes]);
    }

    #[test]
    fn two_connections_are_to_one_zitadel_if_their_url_is_one() {
        let mut both = grants("https://iam.example.com/", &json!([]));
        let other = grants("https://IAM.example.com", &json!([]));
        both.connections.extend(
            other
                .connections
                .into_values()
                .map(|it| ("other".to_owned(), it)),
        );
        assert_eq!(both.is_same_zitadel("default", "other"), Some(true));
        both.connections
            .insert("other".to_owned(), Connection::Missing);
        assert_eq!(both.is_same_zitadel("default", "other"), None);
        assert_eq!(both.is_same_zitadel("default", "default"), Some(true));
    }
}
