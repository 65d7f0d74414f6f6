//! The applications that an object is about, and the names of what is kept for them.

use aws_lc_rs::digest;

use crate::api::AppSecret;
use crate::ids::{AppId, OrganizationId, ProjectId};
use crate::zitadel::AppRef;

/// The instance and project that an application is in, as 32 hexadecimal digits.
pub fn scope(issuer: &str, app: &AppRef) -> String {
    hash(&[issuer, app.project.as_str()])
}

/// The name of an application's claim.
///
/// NB: the organization is left out. It is a matter of how ZITADEL is asked, not of which application is meant: with it, an
/// object that names the organization and one that leaves it to the default would hold two locks on one application.
pub fn claim_name(issuer: &str, app: &AppRef) -> String {
    format!(
        "claim-{}",
        hash(&[issuer, app.project.as_str(), app.app.as_str()])
    )
}

/// The name of the standby application that the operator creates for an application.
///
/// Names are unique in a project (ZITADEL refuses a second one with `V3-DKcYh`), so that creating it twice is not possible.
pub fn standby_name(app: &AppId) -> String {
    format!("{app} standby (zitadel-secret-operator)")
}

/// 128 bits of SHA-256 over the parts, as hexadecimal digits.
pub fn hash(parts: &[&str]) -> String {
    use std::fmt::Write as _;
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        // NB: 64 bits on every machine: what is hashed is compared across them.
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_le_bytes());
        context.update(part.as_bytes());
    }
    context
        .finish()
        .as_ref()
        .iter()
        .take(16)
        .fold(String::new(), |mut text, byte| {
            // NB: writing into a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The applications of an object: those that it names, and the one whose pair it keeps.
pub(crate) fn named_apps(object: &AppSecret) -> impl Iterator<Item = AppRef> {
    let spec = &object.spec;
    let status = object.status.as_ref();
    let active = status.and_then(|status| status.active_app_id.as_deref());
    let named = [Some(spec.app_id.as_str()), spec.standby_app_id()];
    let others = active.filter(|active| !named.contains(&Some(*active)));
    let apps: Vec<_> = named
        .into_iter()
        .chain([others])
        .flatten()
        .filter_map(|app| app_ref(object, app))
        .collect();
    apps.into_iter()
}

fn app_ref(object: &AppSecret, app: &str) -> Option<AppRef> {
    let organization = object
        .spec
        .organization_id
        .as_deref()
        .map(OrganizationId::try_from)
        .transpose()
        .ok()?;
    Some(AppRef {
        organization,
        project: ProjectId::try_from(object.spec.project_id.as_str()).ok()?,
        app: AppId::try_from(app).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(organization: Option<&str>, project: &str, app: &str) -> AppRef {
        AppRef {
            organization: organization.map(|id| OrganizationId::try_from(id).unwrap()),
            project: ProjectId::try_from(project).unwrap(),
            app: AppId::try_from(app).unwrap(),
        }
    }

    #[test]
    fn one_application_has_one_claim_however_its_organization_is_given() {
        let url = "https://iam.example.com";
        assert_eq!(
            claim_name(url, &app(None, "1", "2")),
            claim_name(url, &app(Some("9"), "1", "2"))
        );
        assert_ne!(
            claim_name(url, &app(None, "1", "2")),
            claim_name(url, &app(None, "12", "3"))
        );
    }

    #[test]
    fn parts_cannot_be_shifted() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }
}
