//! Why a spec can't be used.

use crate::ids::IdError;
use crate::rotation::ScheduleError;
use crate::rotation::schedule::interval::IntervalError;
use crate::target::quote;
use crate::target::render::TemplateError;

/// Why a spec can't be used. The API server refuses most of these already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// An id is none.
    #[error("{0} {1}")]
    Id(&'static str, IdError),
    /// Two entries have the same key.
    #[error("spec.secret.data has two entries with the key {0}")]
    SameKey(String),
    /// A key has no content that this version of the operator knows.
    #[error("spec.secret.data, key {0}: give exactly one of from and template")]
    Content(String),
    /// A template cannot be used.
    #[error("spec.secret.data, template of key {0}: {1}")]
    Template(String, TemplateError),
    /// No key holds the client secret as it is.
    #[error(
        "spec.secret.data has no entry with from: ClientSecret; add one, such as {{key: CLIENT_SECRET, from: ClientSecret}}"
    )]
    NoClientSecret,
    /// A label or an annotation that the operator or Kubernetes acts on.
    #[error(
        "{0} has the name {name}: names under zitadel-secrets.dev/, kubernetes.io/ and k8s.io/ are reserved, and so is the label app.kubernetes.io/managed-by", name = quote::value(.1)
    )]
    Reserved(&'static str, String),
    /// A label or an annotation that Kubernetes does not accept.
    #[error("{0} has the name {name}: that name or its value is none that Kubernetes accepts", name = quote::value(.1))]
    Malformed(&'static str, String),
    /// The Secret's name is none.
    #[error(
        "spec.secret.name must be lower case letters, digits and -, in parts that are separated by single dots"
    )]
    SecretName,
    /// The Secret's type has a meaning to Kubernetes.
    #[error("spec.secret.type must be Opaque, kubernetes.io/basic-auth or a type of your own")]
    SecretType,
    /// The schedule is refused.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The standby application is the application itself.
    #[error("spec.standby.appId must be another application than spec.appId")]
    StandbyIsApp,
    /// An existing standby application without its id.
    #[error("spec.standby of type Existing needs the appId of the application")]
    ExistingWithoutAppId,
    /// A provisioned standby application with an id.
    #[error(
        "spec.standby of type Provisioned must not have an appId, because the operator creates the application"
    )]
    ProvisionedAppId,
    /// An overlap without a second application.
    #[error(
        "spec.rotation.overlap needs spec.standby: one application has one client secret at a time"
    )]
    OverlapWithoutStandby,
    /// The deadline of consumers can't be read.
    #[error("spec.consumers.deadline {0}")]
    Deadline(IntervalError),
    /// The deadline of consumers is zero.
    #[error("spec.consumers.deadline is zero; write a time such as 30m, or leave it out")]
    DeadlineZero,
    /// A workload of a kind that is not restarted.
    #[error(
        "spec.consumers.workloads has the kind {kind}; write apiVersion: apps/v1 and the kind Deployment, StatefulSet or DaemonSet", kind = quote::value(.0)
    )]
    Workload(String),
}
