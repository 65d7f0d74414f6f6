//! The API server's audit log: what was asked of it, by whom, when.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

/// A request that was answered, or a watch that began.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Such as `get`, `create`, `patch`, `watch`.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// `ResponseStarted` for a watch that begins, `ResponseComplete`, or `Panic`.
    pub stage: String,
    /// When it came.
    #[serde(rename = "requestReceivedTimestamp")]
    pub received: Timestamp,
    /// When it was answered.
    #[serde(rename = "stageTimestamp")]
    pub answered: Timestamp,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: Status,
}

#[derive(Clone, Debug, Deserialize)]
struct User {
    username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

impl Request {
    /// Who asked.
    pub fn user(&self) -> &str {
        &self.user.username
    }

    /// Such as `coordination.k8s.io`; empty for the core.
    pub fn group(&self) -> &str {
        &self.object_ref.api_group
    }

    /// Such as `secrets`.
    pub fn resource(&self) -> &str {
        &self.object_ref.resource
    }

    /// Such as `status`.
    pub fn subresource(&self) -> &str {
        &self.object_ref.subresource
    }

    /// The object's namespace.
    pub fn namespace(&self) -> &str {
        &self.object_ref.namespace
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        &self.object_ref.name
    }

    /// The status of the answer.
    pub fn code(&self) -> u16 {
        self.response_status.code
    }

    /// Whether nothing was to be kept.
    pub fn is_dry_run(&self) -> bool {
        self.uri.contains("dryRun=All")
    }

    /// Whether it changed something that lasts, an event or not.
    pub fn is_write(&self) -> bool {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        writes.contains(&self.verb.as_str())
            && !self.is_dry_run()
            && (200..300).contains(&self.code())
    }

    /// Such as `patch apiappsecrets/status`.
    pub fn kind(&self) -> String {
        let dry = if self.is_dry_run() { " dry" } else { "" };
        match self.subresource() {
            "" => format!("{} {}{dry}", self.verb, self.resource()),
            sub => format!("{} {}/{sub}{dry}", self.verb, self.resource()),
        }
    }

    /// How long it took the server, in seconds.
    pub fn seconds(&self) -> f64 {
        self.answered.duration_since(self.received).as_secs_f64()
    }
}

/// The log of a running server, read on from where it was last read.
pub struct AuditLog {
    path: PathBuf,
    read: u64,
}

impl AuditLog {
    /// The log from here on.
    pub fn from_now(path: &Path) -> Self {
        let read = std::fs::metadata(path).unwrap().len();
        Self {
            path: path.to_owned(),
            read,
        }
    }

    /// What came since it was last read.
    pub fn read(&mut self) -> Vec<Request> {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut text = Vec::new();
        file.read_to_end(&mut text).unwrap();
        // The last line may be half written.
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        self.read += u64::try_from(whole).unwrap();
        text[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            // A server that was killed may have left half a line in the middle.
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// What a user asked since it was last read, but for watches and the Leases of leader election.
    pub fn read_of(&mut self, user: &str, leader_lease: &str) -> Vec<Request> {
        let mut all = self.read();
        all.retain(|request| {
            request.user() == user
                && request.verb != "watch"
                && !(request.resource() == "leases" && request.name() == leader_lease)
        });
        all
    }
}
