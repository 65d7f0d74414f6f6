//! Who calls, in which organization, and whether they may (`internal/api/authz`). Does no I/O.

use http::HeaderMap;
use jiff::Timestamp;

use crate::routes::errors::{self, ApiError, Code};
use crate::world::World;
use crate::world::identities::{Role, Scope, Token, TokenKind};
use crate::world::model::State;

/// An authenticated user and the organization they act in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) org: String,
}

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// `project.app.read`, and here also `project.read`
    ReadApps,
    /// `project.app.write`, and here also `project.write`
    WriteApps,
    /// `user.read`
    ReadUsers,
    /// `user.write`
    WriteUsers,
}

impl Permission {
    /// NB: every role here can read everything.
    const fn is_held_by(self, role: Role) -> bool {
        match self {
            Self::ReadApps | Self::ReadUsers => true,
            Self::WriteApps => role.writes_apps(),
            Self::WriteUsers => role.writes_users(),
        }
    }
}

impl World {
    /// The token behind an `Authorization` header, if it is alive.
    pub(crate) fn live_token(&self, token: &str, now: Timestamp) -> Option<&Token> {
        let token = self.tokens.get(token)?;
        let user = self.users.get(&token.user)?.projected();
        let known = match token.kind {
            TokenKind::Pat => user.pat(&token.id).is_some(),
            TokenKind::Access { .. } => true,
        };
        let alive = known && !token.dead && token.expires_at > now;
        (alive && user.state == State::Active).then_some(token)
    }

    /// Authenticates a caller and finds the organization: that of `x-zitadel-orgid`, else the caller's own.
    pub(crate) fn authenticate(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
        legacy: bool,
    ) -> Result<Caller, ApiError> {
        let Some(header) = headers.get(http::header::AUTHORIZATION) else {
            let code = if legacy {
                Code::Unknown
            } else {
                Code::Unauthenticated
            };
            return Err(ApiError::plain(code, "auth header missing"));
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|header| header.strip_prefix("Bearer "));
        let token = token
            .filter(|token| !token.contains(' '))
            .ok_or(errors::AUTH_HEADER_INVALID)?;
        let token = self.live_token(token, now).ok_or(errors::TOKEN_INVALID)?;
        if let TokenKind::Access { audience, .. } = &token.kind
            && !audience.contains(&self.zitadel_project)
        {
            return Err(errors::TOKEN_INVALID);
        }
        let named = headers.get("x-zitadel-orgid").filter(|org| !org.is_empty());
        let org = match named {
            Some(org) => org.to_str().ok().and_then(|org| self.orgs.get(org)),
            None => self
                .users
                .get(&token.user)
                .and_then(|user| self.orgs.get(&user.org)),
        };
        let org = org.ok_or(errors::ORG_UNKNOWN)?;
        Ok(Caller {
            user: token.user.clone(),
            org: org.id.clone(),
        })
    }

    /// Where in their organization a caller has a permission (`permissions.go`); there is at least one place.
    pub(crate) fn scopes(
        &self,
        caller: &Caller,
        permission: Permission,
    ) -> Result<Vec<&Scope>, ApiError> {
        let in_org = |scope: &Scope| match scope {
            Scope::Instance => true,
            Scope::Org(org) => *org == caller.org,
            Scope::Project(project) => self
                .projects
                .get(project)
                .is_some_and(|project| project.org == caller.org),
        };
        let mut memberships = self
            .memberships
            .iter()
            .filter(|found| found.user == caller.user && in_org(&found.scope))
            .peekable();
        if memberships.peek().is_none() {
            return Err(errors::NO_MEMBERSHIP);
        }
        let scopes: Vec<&Scope> = memberships
            .filter(|found| permission.is_held_by(found.role))
            .map(|found| &found.scope)
            .collect();
        if scopes.is_empty() {
            return Err(errors::NO_PERMISSION);
        }
        Ok(scopes)
    }

    /// Checks a permission on a project in the caller's organization (`authorization.go`).
    pub(crate) fn check(
        &self,
        caller: &Caller,
        permission: Permission,
        project: &str,
    ) -> Result<(), ApiError> {
        let scopes = self.scopes(caller, permission)?;
        let removed = self
            .projects
            .get(project)
            .is_none_or(|project| project.current.state == State::Removed);
        let covers = |scope: &Scope| match scope {
            Scope::Instance | Scope::Org(_) => true,
            Scope::Project(granted) => granted == project && !removed,
        };
        if scopes.into_iter().any(covers) {
            Ok(())
        } else {
            Err(errors::OTHER_PROJECT_ONLY)
        }
    }
}
