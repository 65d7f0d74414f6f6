//! What a test may set: how the simulator starts and how the server it plays behaves. Does no I/O.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Header by which a client names its attempt, so that the ledger can distinguish attempts.
pub const ATTEMPT_HEADER: &str = "x-zitadel-secret-operator-attempt";

/// How the simulator starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the ZITADEL side; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve HTTPS with a certificate of a CA made at start ([`crate::Simulator::ca_pem`]).
    pub tls: bool,
    /// Hosts of the instance besides `localhost`, `127.0.0.1` and `[::1]`.
    pub external_hosts: Vec<String>,
    /// Header that carries the client's attempt id into the ledger.
    pub attempt_header: String,
    /// Threads of the server's own runtime.
    pub threads: usize,
    /// Behavior at start; change it later with [`crate::Simulator::configure`].
    pub settings: Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: false,
            external_hosts: Vec::new(),
            attempt_header: ATTEMPT_HEADER.to_owned(),
            threads: 2,
            settings: Settings::default(),
        }
    }
}

/// Behavior of the server that may change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Settings {
    /// Time between a generate's arrival and its execution.
    #[serde(with = "millis")]
    pub generate_latency: Duration,
    /// How far introspection trails behind the events.
    pub projection_lag: Lag,
    /// Reading an app brings the projection up to date (v1 `GetAppByID`); off = the trigger fails and the answer is stale.
    pub get_forces_projection: bool,
    /// ZITADEL's clock minus the real one, in milliseconds.
    pub clock_skew_ms: i64,
    /// White space of the API's JSON, which protojson leaves unstable on purpose.
    pub whitespace: Whitespace,
    /// Answer as releases up to v4.13.1: 500 code 2 for a missing authorization header and for ids that are too long.
    pub legacy_statuses: bool,
    /// A client that hangs up before the execution undoes it, as the real server's cancelled context does.
    pub rollback_on_hangup: bool,
    /// Whether and how the server can be reached.
    pub availability: Availability,
    /// What introspection answers.
    pub introspection: IntrospectionMode,
    /// Change lists answer 403.
    pub journal_forbidden: bool,
    /// Change lists leave out everything older (`AuditLogRetention`).
    pub journal_since: Option<Timestamp>,
    /// Length of generated secrets (instance setting, 64 by default).
    pub secret_length: usize,
    /// Generated secrets hold symbols too.
    pub secret_symbols: bool,
    /// Lifetime of access tokens in seconds.
    pub token_lifetime_seconds: i64,
    /// The issuer is https whatever the connection is (`ExternalSecure`).
    pub external_secure: bool,
    /// Whether there is `/management/v1`.
    pub management_v1: Served,
    /// Whether there is `zitadel.application.v2.ApplicationService`, which came with v4.5.0.
    pub application_v2: Served,
    /// Whether there is `zitadel.project.v2.ProjectService`.
    pub project_v2: Served,
    /// Answers of `/management/v1` and `/auth/v1` say since when these are deprecated.
    pub v1_deprecation: Option<Deprecation>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            generate_latency: Duration::ZERO,
            projection_lag: Lag::None,
            get_forces_projection: true,
            clock_skew_ms: 0,
            whitespace: Whitespace::Compact,
            legacy_statuses: false,
            rollback_on_hangup: true,
            availability: Availability::Up,
            introspection: IntrospectionMode::Normal,
            journal_forbidden: false,
            journal_since: None,
            secret_length: 64,
            secret_symbols: false,
            token_lifetime_seconds: 43_199,
            external_secure: false,
            management_v1: Served::Yes,
            application_v2: Served::Yes,
            project_v2: Served::Yes,
            v1_deprecation: None,
        }
    }
}

/// Whether an API is served, and what is answered where it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Served {
    /// It is.
    #[default]
    Yes,
    /// 404 `{"code":5,"message":"Not Found"}`, as the REST gateway answers on every path that it does not know.
    UnknownRoute,
    /// 501 in the API's own form: code 12, or `unimplemented` over Connect.
    Unimplemented,
    /// 501 with a text, as a proxy answers.
    ProxyRefusal,
}

/// The headers that announce the end of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deprecation {
    /// `Deprecation` (RFC 9745).
    pub since: Timestamp,
    /// `Sunset` (RFC 8594).
    #[serde(default)]
    pub sunset: Option<Timestamp>,
}

/// How long an event takes to reach the projection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Lag {
    /// At once.
    #[default]
    None,
    /// The same for every event.
    Fixed(#[serde(with = "millis")] Duration),
    /// Anything between the two.
    Uniform {
        /// Shortest lag.
        #[serde(with = "millis")]
        min: Duration,
        /// Longest lag.
        #[serde(with = "millis")]
        max: Duration,
    },
    /// As measured on a real server: p50 24 ms, p90 45 ms, p99 98 ms.
    Observed,
    /// Only when a client reads the app.
    Never,
}

/// White space in JSON answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Whitespace {
    /// None.
    #[default]
    Compact,
    /// A blank after every comma and colon.
    Spaced,
    /// Either, by chance.
    Random,
}

/// Whether and how the server can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Availability {
    /// Normal.
    #[default]
    Up,
    /// No server listens: connections are refused and open ones are reset.
    Refusing,
    /// Connections are accepted and reset after the client's first byte.
    Resetting,
    /// Connections are accepted and never answered.
    Hanging,
    /// Connections are accepted and answered with bytes that are neither TLS nor HTTP.
    Garbage,
    /// Everything answers 500.
    InternalError,
    /// Everything answers 503, as an ingress does without a backend.
    Unavailable,
    /// `PostgreSQL` is gone: API 500 code 13, token and introspection 500 text, ready 412.
    DatabaseDown,
}

/// What introspection answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IntrospectionMode {
    /// What is right.
    #[default]
    Normal,
    /// 200 `{"active":false}` to everything, as on internal errors.
    AlwaysInactive,
    /// 400 `unauthorized_client` to everything.
    AlwaysRefused,
}

/// Durations as whole milliseconds in JSON.
pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
