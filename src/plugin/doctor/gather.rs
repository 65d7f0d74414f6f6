//! What `doctor` asks the cluster. What is missing of it is kept beside it: no check stops another one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, future, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use kube::core::{PartialObjectMeta, Request};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::api::{GROUP, Kind, ZitadelConnection};
use crate::check::access::{Access, accesses};
use crate::check::leader::{NoLeader, leads};
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

/// Requests at the same time.
pub const CONCURRENCY: usize = 8;
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
        let asked = Asked::of(
            "get",
            "customresourcedefinitions.apiextensions.k8s.io",
            None,
        );
        let asked = asked.named(&expected.name_any());
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let found = cluster
            .at(path, &asked)
            .await
            .and_then(|found| match found {
                Listed::Read(found) => Ok(found),
                Listed::Unreadable(_) => Err(ClusterError::Absent(asked.resource.clone())),
            });
        Definition { expected, found }
    });
    future::join_all(definitions).await
}

/// The operators: in a namespace, or wherever they are.
pub async fn operators(cluster: &Cluster, own: Option<&str>) -> Operators {
    let deployments = ListParams::default().labels(&format!("{}={}", LABEL.0, LABEL.1));
    let leases = ListParams::default().fields(&format!("metadata.name={LEADER_LEASE}"));
    let (deployments, leases) = tokio::join!(
        list::<Deployment>(cluster, "apps", "deployments", own, deployments),
        list::<Lease>(cluster, "coordination.k8s.io", "leases", own, leases),
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
        let all = list(
            cluster,
            "apps",
            "deployments",
            Some(&namespace),
            ListParams::default(),
        )
        .await;
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
    let asked = Asked::of("get", "leases.coordination.k8s.io", Some(namespace)).named(LEADER_LEASE);
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    match cluster.at(&path, &asked).await {
        Ok(Listed::Read(lease)) => Ok(Some(lease)),
        Ok(Listed::Unreadable(_)) | Err(ClusterError::Absent(_)) => Ok(None),
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
    let asked = Asked::of("create", "subjectaccessreviews.authorization.k8s.io", None);
    let own = installation.namespace.as_str();
    let groups = ["system:serviceaccounts", "system:authenticated"];
    let groups = groups.into_iter().map(ToOwned::to_owned);
    let groups: Vec<_> = groups
        .chain([format!("system:serviceaccounts:{own}")])
        .collect();
    let needed = rights::needed(installation.refreshes, installation.restarts);
    let needed = accesses(needed, own, &installation.scope);
    let reviews = stream::iter(needed).map(async |access| {
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
        let allowed = answer.status.is_some_and(|status| status.allowed);
        Ok((!allowed).then_some(access))
    });
    let answers: Vec<Result<Option<Access>, ClusterError>> =
        reviews.buffered(CONCURRENCY).collect().await;
    answers.into_iter().filter_map(Result::transpose).collect()
}

/// What the API server denies the caller of that which commands need.
pub async fn denied_to_caller(
    cluster: &Cluster,
    scope: &Scope,
    needs: Vec<Need>,
) -> Result<Vec<Need>, ClusterError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client().clone());
    let asked = Asked::of(
        "create",
        "selfsubjectaccessreviews.authorization.k8s.io",
        None,
    );
    let reviews = stream::iter(needs).map(async |need| {
        let attributes = ResourceAttributes {
            group: Some(need.group.to_owned()),
            resource: Some(need.resource.to_owned()),
            verb: Some(need.verb.to_owned()),
            namespace: scope.namespace.clone(),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| cluster.error(&error, &asked))?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        Ok((!allowed).then_some(need))
    });
    let answers: Vec<Result<Option<Need>, ClusterError>> =
        reviews.buffered(CONCURRENCY).collect().await;
    answers.into_iter().filter_map(Result::transpose).collect()
}

/// All connections.
pub async fn connections(
    cluster: &Cluster,
) -> Result<Vec<Listed<ZitadelConnection>>, ClusterError> {
    let asked = Asked::of("list", "zitadelconnections.zitadel-secrets.dev", None);
    let request = Request::new("/apis/zitadel-secrets.dev/v1alpha1/zitadelconnections");
    let mut all = Vec::new();
    let keep = |connection| all.push(connection);
    cluster
        .pages(
            |params| request.list(params),
            ListParams::default(),
            &asked,
            keep,
        )
        .await?;
    Ok(all)
}

/// The objects of the scope, of both kinds.
pub async fn objects(cluster: &Cluster, scope: &Scope) -> Result<Vec<Owned>, ClusterError> {
    let kinds = Kind::ALL.map(async |kind| {
        let mut all = Vec::new();
        let keep = |object| all.push(Owned::of(kind, object, cluster.now()));
        cluster.each(kind, scope, keep).await?;
        Ok(all)
    });
    let kinds: Vec<Vec<Owned>> = future::try_join_all(kinds).await?;
    Ok(kinds.into_iter().flatten().collect())
}

/// The claims in a namespace of an operator.
pub async fn claims(cluster: &Cluster, namespace: &str) -> Result<Vec<Lease>, ClusterError> {
    let params = ListParams::default().labels(CLAIM_LABEL);
    list(
        cluster,
        "coordination.k8s.io",
        "leases",
        Some(namespace),
        params,
    )
    .await
}

/// The metadata of the Secrets that the operator wrote, without their data.
pub async fn secrets(
    cluster: &Cluster,
    scope: &Scope,
) -> Result<Vec<PartialObjectMeta>, ClusterError> {
    let asked = Asked::of("list", "secrets", scope.namespace.as_deref());
    let request = Request::new(path("", "secrets", scope.namespace.as_deref()));
    let mut all = Vec::new();
    let keep = |secret| match secret {
        Listed::Read(secret) => all.push(secret),
        Listed::Unreadable(_) => {}
    };
    let params = ListParams::default().labels(MANAGED_LABEL);
    cluster
        .pages(|params| request.list_metadata(params), params, &asked, keep)
        .await?;
    Ok(all)
}

fn path(group: &str, resource: &str, namespace: Option<&str>) -> String {
    let root = if group.is_empty() {
        "/api".to_owned()
    } else {
        format!("/apis/{group}")
    };
    match namespace {
        Some(namespace) => format!("{root}/v1/namespaces/{namespace}/{resource}"),
        None => format!("{root}/v1/{resource}"),
    }
}

async fn list<T: DeserializeOwned + Send + 'static>(
    cluster: &Cluster,
    group: &str,
    resource: &str,
    namespace: Option<&str>,
    params: ListParams,
) -> Result<Vec<T>, ClusterError> {
    let asked = Asked::of("list", &format!("{resource}.{group}"), namespace);
    let request = Request::new(path(group, resource, namespace));
    let mut all = Vec::new();
    let keep = |object| match object {
        Listed::Read(object) => all.push(object),
        Listed::Unreadable(_) => {}
    };
    cluster
        .pages(|params| request.list(params), params, &asked, keep)
        .await?;
    Ok(all)
}
