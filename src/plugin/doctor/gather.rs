//! What `doctor` asks the cluster. What is missing of it is kept beside it: no check stops another one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, PostParams};
use kube::core::{PartialObjectMeta, Request};
use kube::{Resource, ResourceExt};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::api::{GROUP, Kind, ZitadelConnection};
use crate::check::access::{Access, accesses, self_review};
use crate::check::leader::{NoLeader, leads};
use crate::check::without;
use crate::operator::LEADER_LEASE;
use crate::plugin::cluster::{Cluster, Listed, Scope};
use crate::plugin::doctor::caller::Need;
use crate::plugin::doctor::definitions::Definition;
use crate::plugin::doctor::finding::Check;
use crate::plugin::doctor::installation::{Installation, LABEL};
use crate::plugin::doctor::objects::Owned;
use crate::plugin::doctor::operators::{Operators, Place};
use crate::plugin::fault::{Asked, ClusterError};
use crate::rights;
use crate::store::claim::CLAIM_LABEL;
use crate::store::secret::MANAGED_LABEL;

/// How long a Lease is watched whose holder may have a wrong clock: longer than it is renewed after.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks whether the cluster serves the kinds. Whatever else fails here would fail everywhere.
pub async fn served(cluster: &Cluster) -> Result<(), ClusterError> {
    let asked = Asked::of("get", GROUP, None).named("v1alpha1");
    cluster
        .at::<IgnoredAny>("/apis/zitadel-secrets.dev", &asked)
        .await
        .map(drop)
}

/// The custom resource definitions.
pub async fn definitions(cluster: &Cluster) -> Vec<Definition> {
    // NB: a test rules out that they cannot be made.
    let expected = crate::api::definitions().into_iter().flatten();
    let definitions = expected.map(async |expected| {
        let name = expected.name_any();
        let found = cluster.fetch(None, &name).await;
        let found = found.and_then(|found| found.into_read().ok_or(ClusterError::Absent(name)));
        Definition { expected, found }
    });
    future::join_all(definitions).await
}

/// The operators: in a namespace, or wherever they are.
pub async fn operators(cluster: &Cluster, own: Option<&str>) -> Operators {
    let deployments = ListParams::default().labels(&format!("{}={}", LABEL.0, LABEL.1));
    let leases = ListParams::default().fields(&format!("metadata.name={LEADER_LEASE}"));
    let (deployments, leases) = tokio::join!(
        list::<Deployment>(cluster, own, deployments),
        list::<Lease>(cluster, own, leases),
    );
    let mut errors = Vec::new();
    let deployments = deployments.unwrap_or_else(|error| {
        errors.push((Check::Operator, error));
        Vec::new()
    });
    let leases = leases.unwrap_or_else(|error| {
        errors.push((Check::Leader, error));
        Vec::new()
    });
    let installations: Vec<_> = deployments.iter().filter_map(Installation::of).collect();
    let of_deployments = installations.iter().map(|it| it.namespace.clone());
    let of_leases = leases.iter().filter_map(ResourceExt::namespace);
    let namespaces: BTreeSet<String> = of_deployments.chain(of_leases).collect();
    let places = namespaces.into_iter().map(|namespace| {
        let is_here = |it: &&Installation| it.namespace == namespace;
        let here: Vec<_> = installations.iter().filter(is_here).cloned().collect();
        place(cluster, namespace, here)
    });
    Operators {
        places: future::join_all(places).await,
        errors,
        is_partial: own.is_some(),
    }
}

/// What is in a namespace of an operator.
async fn place(
    cluster: &Cluster,
    namespace: String,
    mut installations: Vec<Installation>,
) -> Place {
    if installations.is_empty() {
        // One whose name, and label, is another.
        let all = list::<Deployment>(cluster, Some(&namespace), ListParams::default()).await;
        let all = all.unwrap_or_default();
        installations = all.iter().filter_map(Installation::of).collect();
    }
    let lease = renewed(cluster, &namespace).await;
    let installations = installations.into_iter().map(async |installation| {
        let denied = denied(cluster, &installation).await;
        (installation, denied)
    });
    Place {
        installations: future::join_all(installations).await,
        namespace,
        lease,
    }
}

async fn read_lease(cluster: &Cluster, namespace: &str) -> Result<Option<Lease>, ClusterError> {
    match cluster.fetch(Some(namespace), LEADER_LEASE).await {
        Ok(lease) => Ok(lease.into_read()),
        Err(ClusterError::Absent(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A Lease as it was and as it is. Where it seems not to be renewed it is read again for some time: the holder's clock may be wrong.
async fn renewed(cluster: &Cluster, namespace: &str) -> Result<[Option<Lease>; 2], ClusterError> {
    let first = read_lease(cluster, namespace).await?;
    let mut last = first.clone();
    let begin = tokio::time::Instant::now();
    while let Err(NoLeader::Expired { .. }) = leads(last.as_ref(), first.as_ref(), cluster.now())
        && begin.elapsed() < PATIENCE
    {
        tokio::time::sleep(Duration::from_secs(1)).await;
        last = read_lease(cluster, namespace).await?;
    }
    Ok([first, last])
}

/// What the API server denies an operator of that which it needs.
async fn denied(
    cluster: &Cluster,
    installation: &Installation,
) -> Result<Vec<Access>, ClusterError> {
    let api: Api<SubjectAccessReview> = Api::all(cluster.client().clone());
    let asked = Asked::resource::<SubjectAccessReview>("create", None);
    let own = installation.namespace.as_str();
    let groups = ["system:serviceaccounts", "system:authenticated"];
    let groups = groups.into_iter().map(ToOwned::to_owned);
    let groups: Vec<_> = groups
        .chain([format!("system:serviceaccounts:{own}")])
        .collect();
    let needed = rights::needed(installation.refreshes, installation.restarts);
    let needed = accesses(needed, own, &installation.scope);
    without(needed, async |access: &Access| {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                resource_attributes: Some(access.attributes()),
                user: Some(installation.user()),
                groups: Some(groups.clone()),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| cluster.error(&error, &asked))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    })
    .await
}

/// What the API server denies the caller of that which commands need.
pub async fn denied_to_caller(
    cluster: &Cluster,
    scope: &Scope,
    needs: Vec<Need>,
) -> Result<Vec<Need>, ClusterError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client().clone());
    let asked = Asked::resource::<SelfSubjectAccessReview>("create", None);
    without(needs, async |need: &Need| {
        let attributes = ResourceAttributes {
            group: Some(need.group.to_owned()),
            resource: Some(need.resource.to_owned()),
            verb: Some(need.verb.to_owned()),
            namespace: scope.namespace.clone(),
            ..ResourceAttributes::default()
        };
        let review = self_review(attributes);
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| cluster.error(&error, &asked))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    })
    .await
}

/// All connections.
pub async fn connections(
    cluster: &Cluster,
) -> Result<Vec<Listed<ZitadelConnection>>, ClusterError> {
    cluster.list(None, ListParams::default()).await
}

/// The objects of the scope, of both kinds.
pub async fn objects(cluster: &Cluster, scope: &Scope) -> Result<Vec<Owned>, ClusterError> {
    let kinds = Kind::ALL.map(async |kind| {
        let mut all = Vec::new();
        let keep = |object| all.push(Owned::of(kind, object, cluster.now()));
        cluster.each(kind, scope, keep).await?;
        Ok(all)
    });
    // NB: of several errors the first one in this order is named, not the first one in time.
    let kinds = future::join_all(kinds).await;
    let kinds: Vec<Vec<Owned>> = kinds.into_iter().collect::<Result<_, _>>()?;
    Ok(kinds.into_iter().flatten().collect())
}

/// The claims in a namespace of an operator.
pub async fn claims(cluster: &Cluster, namespace: &str) -> Result<Vec<Lease>, ClusterError> {
    let params = ListParams::default().labels(CLAIM_LABEL);
    list(cluster, Some(namespace), params).await
}

/// The metadata of the Secrets that the operator wrote, without their data.
pub async fn secrets(
    cluster: &Cluster,
    scope: &Scope,
) -> Result<Vec<PartialObjectMeta>, ClusterError> {
    let namespace = scope.namespace.as_deref();
    let asked = Asked::resource::<Secret>("list", namespace);
    let request = Request::new(Secret::url_path(&(), namespace));
    let mut all = Vec::new();
    let keep = |secret: Listed<_>| all.extend(secret.into_read());
    let params = ListParams::default().labels(MANAGED_LABEL);
    cluster
        .pages(|params| request.list_metadata(params), params, &asked, keep)
        .await?;
    Ok(all)
}

/// The objects of a type that can be read.
async fn list<T>(
    cluster: &Cluster,
    namespace: Option<&str>,
    params: ListParams,
) -> Result<Vec<T>, ClusterError>
where
    T: Resource<DynamicType = ()> + DeserializeOwned + Send + 'static,
{
    let all = cluster.list(namespace, params).await?;
    Ok(all.into_iter().filter_map(Listed::into_read).collect())
}
