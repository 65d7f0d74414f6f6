//! The terms of a connection that need no client: the organization, and the limit of repairs.

use std::time::Duration;

use crate::api::ZitadelConnectionSpec;
use crate::ids::{IdError, OrganizationId};
use crate::rotation::schedule::interval::{self, IntervalError};

/// The organization of objects that name none.
pub fn organization(spec: &ZitadelConnectionSpec) -> Result<Option<OrganizationId>, IdError> {
    let id = spec.organization_id.as_deref();
    id.map(OrganizationId::try_from).transpose()
}

/// How many repairs may be made within which time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RepairLimit {
    pub(super) count: usize,
    pub(super) window: Duration,
}

impl Default for RepairLimit {
    fn default() -> Self {
        Self {
            count: 30,
            window: Duration::from_mins(10),
        }
    }
}

impl RepairLimit {
    /// The longest window.
    const LONGEST: Duration = Duration::from_hours(24);

    pub(super) fn read(spec: &ZitadelConnectionSpec) -> Result<Self, TermsError> {
        let default = Self::default();
        let Some(given) = spec.repair_limit() else {
            return Ok(default);
        };
        let window = given.window.as_deref();
        let window = window.map_or(Ok(default.window), |text| {
            interval::parse(text).map_err(TermsError::RepairWindow)
        })?;
        if window.is_zero() || window > Self::LONGEST {
            return Err(TermsError::RepairWindowLength);
        }
        let count = given.count.and_then(|count| usize::try_from(count).ok());
        Ok(Self {
            count: count.map_or(default.count, |count| count.clamp(1, 10_000)),
            window,
        })
    }
}

/// Why the terms of a connection cannot be used: the field, and what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TermsError {
    /// The organization is no id.
    #[error("spec.organizationId {0}")]
    Organization(#[from] IdError),
    /// The window of the limit of repairs cannot be read.
    #[error("spec.limits.repairs.window {0}")]
    RepairWindow(IntervalError),
    /// The window of the limit of repairs is zero or too long.
    #[error("spec.limits.repairs.window must be longer than 0s and at most 1d, such as 10m")]
    RepairWindowLength,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_limit_of_repairs_has_defaults_and_bounds() {
        let read = |limits: serde_json::Value| {
            let spec = json!({
                "url": "https://iam.example.com", "limits": limits,
                "auth": {"personalAccessToken": {"secretKeyRef": {"name": "a", "key": "b"}}},
            });
            let limit = RepairLimit::read(&serde_json::from_value(spec).unwrap())?;
            Ok::<_, TermsError>((limit.count, limit.window.as_secs()))
        };
        assert_eq!(read(json!({})), Ok((30, 600)));
        assert_eq!(read(json!({"repairs": {"count": 5}})), Ok((5, 600)));
        assert_eq!(read(json!({"repairs": {"window": "1d"}})), Ok((30, 86_400)));
        for window in ["0s", "1d1s"] {
            let refused = read(json!({"repairs": {"window": window}}));
            assert_eq!(refused, Err(TermsError::RepairWindowLength));
        }
        let refused = read(json!({"repairs": {"window": "soon"}})).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("spec.limits.repairs.window "),
            "{refused}"
        );
    }
}
