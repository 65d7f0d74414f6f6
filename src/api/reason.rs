//! The closed list of condition and event reasons. Each has a paragraph in `docs/troubleshooting.md`. No I/O.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why an object is in the state it is in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The reason as it stands in conditions, events, metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

impl Reason {
    /// The reason that a word stands for. None if it is not of this version.
    pub fn parse(word: &str) -> Option<Self> {
        let known = Self::ALL.iter();
        known.copied().find(|reason| reason.as_str() == word)
    }

    /// Whether it says that ZITADEL does not answer as ZITADEL does, so that nothing can be asked of it.
    pub const fn is_zitadel_away(self) -> bool {
        matches!(
            self,
            Self::ProxyUnreachable
                | Self::ProxyRefused
                | Self::ZitadelUnreachable
                | Self::TlsFailed
                | Self::ZitadelTimeout
                | Self::ZitadelUnavailable
                | Self::RateLimited
                | Self::UnexpectedAnswer
        )
    }
}

reasons! {
    /// The Secret holds the newest credential.
    UpToDate,
    /// A rotation is due and waits for its window.
    AwaitingWindow,
    /// Overdue after downtime, like many others; starts when the operator catches up.
    CatchingUp,
    /// A rotation is due and waits until every consumer has the credential of the last one.
    AwaitingConsumers,
    /// Everything is stopped by `spec.suspend`.
    Suspended,

    /// The object can't be read.
    InvalidObject,
    /// A field of the spec has a value that can't be used.
    InvalidSpec,

    /// The connection does not exist.
    ConnectionNotFound,
    /// No grant of the connection covers the namespace, project and application.
    NotGranted,
    /// The connection's credential Secret, or the key in it, is missing.
    CredentialMissing,
    /// The connection's credential can't be read.
    CredentialMalformed,
    /// ZITADEL refuses the connection's credential.
    CredentialRejected,
    /// The connection's certificate authorities are missing or can't be read.
    CaBundleInvalid,
    /// The connection can be used.
    Connected,

    /// The connection's proxy can't be reached, so ZITADEL was not asked.
    ProxyUnreachable,
    /// The connection's proxy asks for other credentials, or does not let the operator through to ZITADEL.
    ProxyRefused,
    /// ZITADEL can't be reached.
    ZitadelUnreachable,
    /// The TLS connection to ZITADEL failed.
    TlsFailed,
    /// ZITADEL did not respond in time.
    ZitadelTimeout,
    /// ZITADEL reports that it can't serve requests.
    ZitadelUnavailable,
    /// ZITADEL reports too many requests.
    RateLimited,
    /// ZITADEL, or something in front of it, returned an unexpected response.
    UnexpectedAnswer,
    /// ZITADEL does not serve the API that the connection uses.
    ApiNotServed,
    /// ZITADEL serves other APIs than before, and the connection uses another one.
    ApiChanged,
    /// The organization does not exist, or the operator may not act in it.
    OrganizationNotFound,
    /// The operator's user has no membership in the organization or project.
    NotAMember,
    /// The operator's user may not rotate this application.
    PermissionDenied,
    /// The application does not exist in that project and organization.
    AppNotFound,
    /// The application is not an API application.
    AppNotApi,
    /// The application is not an OIDC application.
    AppNotOidc,
    /// The application is inactive or does not authenticate by secret.
    AppNotReady,
    /// The standby application is not an active API application that authenticates by secret, or could not be created.
    StandbyNotReady,
    /// The operator cannot create the standby application, because one that it did not create has its name.
    StandbyNameTaken,
    /// The project of the application is inactive.
    ProjectInactive,

    /// A Secret of that name exists but is not managed by this operator.
    SecretNotOwned,
    /// The Secret that is to be adopted does not exist, lacks the key with the client secret, or holds one that ZITADEL rejects.
    NothingToAdopt,
    /// Another object keeps the same Secret.
    SecretKeyConflict,
    /// Another field manager owns a key of the Secret.
    SecretContested,
    /// The Secret has another type.
    SecretTypeMismatch,
    /// The Secret is immutable.
    SecretImmutable,
    /// The operator may not write the Secret.
    SecretWriteForbidden,
    /// An admission policy refuses the Secret.
    SecretWriteRefused,
    /// An admission policy or webhook changes what the operator writes to the Secret.
    SecretMutated,
    /// A quota is used up.
    QuotaExceeded,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// A webhook does not support dry runs, so the write can't be rehearsed.
    DryRunUnsupported,
    /// RBAC does not let the operator see what it must see, or a kind is not installed.
    Forbidden,
    /// The Kubernetes API can't be reached.
    KubernetesUnavailable,
    /// A new credential is held in memory until the Secret can be written.
    SecretHeld,

    /// Another object keeps this application.
    AppAlreadyClaimed,
    /// Another operator of the same class keeps the same object, in a namespace of its own.
    AnotherOperator,
    /// Another replica's attempt is open and is being watched.
    AttemptOpen,
    /// It is not known whether the last attempt was carried out.
    OutcomeUnknown,
    /// Something changed each time while a rotation was being prepared, so nothing was sent.
    ConcurrentChanges,
    /// The operator may not write claims in its own namespace.
    ClaimWriteForbidden,
    /// The claim can't be read.
    ClaimUnreadable,
    /// The claim was written by a newer version of the operator.
    ClaimFromNewerVersion,
    /// The commit record on the Secret was written by a newer version of the operator.
    CommitRecordFromNewerVersion,
    /// ZITADEL's change list can't be read.
    JournalUnavailable,

    /// The Secret, or the client secret in it, is gone, and the policy is to report.
    SecretMissing,
    /// ZITADEL refuses the stored client secret, and the policy is to report.
    SecretInvalid,
    /// Another actor rotated the credential.
    RotatedElsewhere,
    /// Another actor repeatedly changes the credential.
    Contested,
    /// Too many repairs of one application.
    BreakerOpen,
    /// Too many repairs over one connection.
    RepairLimit,
    /// Clocks differ by more than five minutes.
    ClockSkew,
    /// No window opens before the rotation is overdue.
    Overdue,

    /// ZITADEL accepts the stored credential.
    Accepted,
    /// ZITADEL refuses the stored credential.
    Refused,
    /// It is not known yet whether ZITADEL accepts the stored credential.
    NoVerdict,

    /// Every Pod that uses the Secret has the stored credential.
    AllCurrent,
    /// Some Pods may still hold the former credential.
    RollingOut,
    /// Some Pods may still hold the former credential after `spec.consumers.deadline`.
    DeadlineExceeded,
    /// The operator may not see Pods, so it is not known which credential they hold.
    ConsumersUnseen,

    /// The credential was rotated.
    Rotated,
    /// The client secret of the former pair was replaced by one that no one has, because the overlap is over.
    Retired,
    /// The credential was issued for the first time.
    Issued,
    /// The client secret that was in the Secret is kept from now on; nothing was generated.
    Adopted,
    /// The operator created the standby application, or found the one that it created before.
    StandbyProvisioned,
    /// The object was deleted, and the standby application that the operator created is still there.
    StandbyKept,
    /// A rotation had no effect at ZITADEL and is repeated.
    WithoutEffect,
    /// A credential was lost before it could be written and is replaced.
    LostAttempt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_can_stand_in_a_condition() {
        for reason in Reason::ALL {
            assert!(
                reason.as_str().chars().all(|c| c.is_ascii_alphanumeric())
                    && reason.as_str().len() <= 64
            );
            assert!(reason.meaning().ends_with('.'), "{reason:?}");
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
    }
}
