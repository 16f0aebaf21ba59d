//! What the node is told: environment variables or flags of the same meaning, checked before
//! anything starts. [`table`] has every setting; this file turns them into what the parts of the node take.

pub mod access;
pub mod aliases;
pub mod command_line;
mod limits;
pub mod pages;
mod readers;
pub mod redis;
pub mod report;
pub mod resolved;
pub mod rule;
pub mod setting;
pub mod table;
pub mod token;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use core_shards::Limits;
use core_shards::limits::MemoryBounds;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use protocol::http::cors::Cors;
use protocol::websocket;

use crate::auth::{AuthSettings, Verifier};
use crate::engine::{Settings, Surface, SurfaceKind};
use crate::memory;
use crate::permissions::PermissionSettings;
use crate::rt::DriverPreference;
use access::AccessConfig;
use pages::Pages;
use redis::RedisConfig;
use resolved::Resolved;

/// Which part of its memory a node spends on what it remembers: a third. The rest is for sessions, what waits for them, and
/// the kernel's side of their sockets, which containers are charged for, too.
const REMEMBERED_PART: usize = 3;

/// Bytes of one character of a message at most: JSON's `\u0000`.
const CHAR_BYTES_MAX: usize = 6;

/// So many of the longest messages should find room in the queue of a client that is between two polls.
const MESSAGES_WAITING_MIN: usize = 4;

/// Everything that can be set and is acted on; what each field means and what it may be is in [`table::SETTINGS`].
#[derive(Clone, Debug)]
pub struct Config {
    /// `REALTIME_PORT`; 0 for any that is free.
    pub port: u16,
    /// `REALTIME_HOST`, if it is set.
    pub host: Option<IpAddr>,
    /// `REALTIME_CORES`, if it is set.
    pub cores: Option<u16>,
    /// `REALTIME_MEMORY_MAX` in MiB, if it is set.
    pub memory_max: Option<u32>,
    /// `REALTIME_IO_DRIVER`.
    pub io_driver: DriverPreference,
    /// `REALTIME_WEBSOCKET_MAX_CONNECTIONS`: sessions.
    pub max_connections: u32,
    /// `REALTIME_WEBSOCKET_PING_INTERVAL`, in milliseconds.
    pub ping_interval: u32,
    /// `REALTIME_WEBSOCKET_PING_TIMEOUT`, in milliseconds.
    pub ping_timeout: u32,
    /// `REALTIME_JWT_SECRET`, if it is set.
    pub jwt_secret: Option<String>,
    /// `REALTIME_JWT_ALGORITHM`.
    pub jwt_algorithm: Algorithm,
    /// `REALTIME_AUTH_REQUIRED`; `--dev` sets it to false.
    pub auth_required: bool,
    /// `REALTIME_ALLOW_ANONYMOUS`.
    pub allow_anonymous: bool,
    /// `REALTIME_JWT_USER_CLAIM`, if it is set.
    pub jwt_user_claim: Option<String>,
    /// `REALTIME_JWT_REQUIRED_CLAIMS`; empty if it is not set.
    pub jwt_required_claims: Vec<String>,
    /// `REALTIME_JWT_ISSUER`, if it is set.
    pub jwt_issuer: Option<String>,
    /// `REALTIME_JWT_AUDIENCE`, if it is set.
    pub jwt_audience: Option<String>,
    /// `REALTIME_CORS_ORIGIN`.
    pub cors_origin: String,
    /// `REALTIME_MAX_PAYLOAD`, in bytes.
    pub max_payload: u32,
    /// `REALTIME_MAX_QUEUE_BYTES`.
    pub max_queue_bytes: u32,
    /// `REALTIME_HEALTH_CHECK_INTERVAL`, in milliseconds.
    pub health_check_interval_ms: u64,
    /// `REALTIME_DRAIN_DELAY`, in seconds.
    pub drain_delay: u32,
    /// `REALTIME_DRAIN_SECONDS`, if it is set.
    pub drain_seconds: Option<u32>,
    /// Who may do what, beside what tokens say.
    pub access: AccessConfig,
    /// Pages for operators.
    pub pages: Pages,
    /// The Redis over which nodes meet, if they do.
    pub redis: Option<RedisConfig>,
    /// `REALTIME_LOG_LEVEL`: a level or a filter that tracing takes.
    pub log_level: String,
    /// `REALTIME_FAULT_INJECTION`.
    pub fault_injection: bool,
    limits: Limits,
    /// All settings with their values, secrets masked: what a fingerprint of the configuration is made of.
    shown: String,
    /// What the operator should know: sentences about variables that are misspelt, overruled, or not acted on.
    pub warnings: Vec<String>,
}

impl Config {
    /// Takes the settings over.
    ///
    /// # Errors
    /// Everything that is wrong with single settings, each a sentence that says what to write instead.
    pub fn new(resolved: &Resolved) -> Result<Self, Vec<String>> {
        if !resolved.problems().is_empty() {
            return Err(resolved.problems().to_vec());
        }
        let redis = RedisConfig::new(resolved).map_err(|problem| vec![problem])?;
        let mut config = Self {
            port: resolved.number("REALTIME_PORT"),
            host: resolved.address("REALTIME_HOST"),
            cores: resolved.number_if_set("REALTIME_CORES"),
            memory_max: resolved.number_if_set("REALTIME_MEMORY_MAX"),
            io_driver: match resolved.text("REALTIME_IO_DRIVER").as_str() {
                "uring" => DriverPreference::Uring,
                "epoll" => DriverPreference::Epoll,
                _ => DriverPreference::Auto,
            },
            max_connections: resolved.number("REALTIME_WEBSOCKET_MAX_CONNECTIONS"),
            ping_interval: resolved.number("REALTIME_WEBSOCKET_PING_INTERVAL"),
            ping_timeout: resolved.number("REALTIME_WEBSOCKET_PING_TIMEOUT"),
            jwt_secret: resolved.text_if_set("REALTIME_JWT_SECRET"),
            jwt_algorithm: resolved.algorithm("REALTIME_JWT_ALGORITHM"),
            auth_required: resolved.switch("REALTIME_AUTH_REQUIRED"),
            allow_anonymous: resolved.switch("REALTIME_ALLOW_ANONYMOUS"),
            jwt_user_claim: resolved.text_if_set("REALTIME_JWT_USER_CLAIM"),
            jwt_required_claims: resolved.list("REALTIME_JWT_REQUIRED_CLAIMS"),
            jwt_issuer: resolved.text_if_set("REALTIME_JWT_ISSUER"),
            jwt_audience: resolved.text_if_set("REALTIME_JWT_AUDIENCE"),
            cors_origin: resolved.text("REALTIME_CORS_ORIGIN"),
            max_payload: resolved.number("REALTIME_MAX_PAYLOAD"),
            max_queue_bytes: resolved.number("REALTIME_MAX_QUEUE_BYTES"),
            health_check_interval_ms: 1_000 * resolved.number::<u64>("REALTIME_HEALTH_CHECK_INTERVAL"),
            drain_delay: resolved.number("REALTIME_DRAIN_DELAY"),
            drain_seconds: resolved.number_if_set("REALTIME_DRAIN_SECONDS"),
            access: AccessConfig::new(resolved),
            pages: Pages::new(resolved),
            redis,
            log_level: resolved.text("REALTIME_LOG_LEVEL"),
            fault_injection: resolved.switch("REALTIME_FAULT_INJECTION"),
            limits: limits::limits(resolved),
            shown: shown(resolved),
            warnings: resolved.warnings().to_vec(),
        };
        config.warnings.extend(config.doubts());
        config.warnings.extend(RedisConfig::doubt(resolved));
        Ok(config)
    }

    /// Whether identities are believed without proof.
    pub fn is_insecure(&self) -> bool {
        !self.auth_required
    }

    /// Where to listen: on this machine only, as long as anybody could be anyone.
    pub fn address(&self) -> SocketAddr {
        let default = if self.is_insecure() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        SocketAddr::new(self.host.unwrap_or(IpAddr::V4(default)), self.port)
    }

    /// Checks what single values cannot show.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn check(&self) -> Result<(), String> {
        if self.fault_injection && !self.is_insecure() {
            return Err(
                "REALTIME_FAULT_INJECTION works in development mode only: add --dev or unset it".to_owned()
            );
        }
        self.access.check(self.is_insecure())?;
        self.pages.check()?;
        limits::check_relays(&self.limits)?;
        Verifier::new(self.auth()).map(drop)
    }

    /// What is allowed and probably not meant.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let is_shared = AlgorithmFamily::Hmac.algorithms().contains(&self.jwt_algorithm);
        if let Some(secret) = self.jwt_secret.as_deref().filter(|_| is_shared) {
            if secret.len() < SECRET_BYTES_MIN {
                doubts.push(format!(
                    "REALTIME_JWT_SECRET can be guessed from a token: write {SECRET_BYTES_MIN} random bytes or more"
                ));
            }
            if secret.trim() != secret {
                doubts.push("REALTIME_JWT_SECRET begins or ends with a blank, and it counts".to_owned());
            }
        }
        if self.limits.message_chars_max > self.max_payload as usize {
            doubts.push(format!(
                "REALTIME_MAX_MESSAGE_LENGTH is never reached: REALTIME_MAX_PAYLOAD ends packets at {} bytes",
                self.max_payload
            ));
        }
        let waiting_bytes =
            self.limits.message_chars_max.saturating_mul(CHAR_BYTES_MAX * MESSAGES_WAITING_MIN);
        if waiting_bytes > self.max_queue_bytes as usize {
            doubts.push(format!(
                "REALTIME_MAX_QUEUE_BYTES has no room for {MESSAGES_WAITING_MIN} messages of \
                 REALTIME_MAX_MESSAGE_LENGTH: who polls may be closed as a slow reader between two polls; write \
                 {waiting_bytes} or more"
            ));
        }
        if self.limits.offline_life_ms > self.limits.history_life_ms {
            doubts.push(
                "REALTIME_OFFLINE_TTL is longer than REALTIME_HISTORY_TTL: who comes back later is told how much was \
                 missed, and not what"
                    .to_owned(),
            );
        }
        doubts.extend(self.access.doubts());
        doubts
    }

    /// What decides about tokens and callers.
    pub fn auth(&self) -> AuthSettings {
        AuthSettings {
            secret: self.jwt_secret.clone(),
            algorithm: self.jwt_algorithm,
            is_required: !self.is_insecure(),
            allows_anonymous: self.allow_anonymous,
            user_claim: self.jwt_user_claim.clone(),
            required_claims: self.jwt_required_claims.clone(),
            issuer: self.jwt_issuer.clone(),
            audience: self.jwt_audience.clone(),
            claims_are_exclusive: self.access.claims_are_exclusive,
            api_key: self.access.api_key.clone(),
            plugin_secret: self.access.plugin_secret.clone(),
            rest: self.access.rest(self.is_insecure()),
        }
    }

    /// Every setting but where the node listens, with its value, secrets masked: the same on nodes that are set alike.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Bounds and choices of one of `core_count` shards of a process that is to fit in `memory_bytes`.
    pub fn limits(&self, memory_bytes: Option<usize>, core_count: u16) -> Limits {
        let memory = match memory_bytes {
            Some(bytes) => MemoryBounds::within(bytes / REMEMBERED_PART / usize::from(core_count)),
            None => MemoryBounds::default(),
        };
        Limits { memory, ..self.limits.clone() }
    }

    /// What the process is to fit in, in bytes: as configured, or as the container or the machine allows, if they say.
    pub fn memory_bytes(&self) -> Option<usize> {
        let configured = self.memory_max.map(|mib| u64::from(mib) << 20);
        configured.or_else(memory::allowed_bytes).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Whom to ask about channels, if anybody.
    pub fn permissions(&self) -> Option<&PermissionSettings> {
        self.access.webhook.as_ref()
    }

    /// Settings of the engine.
    pub fn engine(&self) -> Settings {
        Settings {
            node: None,
            surfaces: vec![Surface { path: "/socket.io/", kind: SurfaceKind::SocketIo }],
            ping_interval_ms: self.ping_interval,
            ping_timeout_ms: self.ping_timeout,
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            max_payload: self.max_payload,
            queue_bytes_max: self.max_queue_bytes as usize,
            sessions_max: self.max_connections as usize,
            drain_delay_ms: 1_000 * self.drain_delay,
            drain_spread_ms: 1_000
                * self.drain_seconds.unwrap_or(if self.is_insecure() { 0 } else { DRAIN_SECONDS }),
            cors: Cors::from_setting(&self.cors_origin),
            keeps_headers: false,
            handshake_delay_ms: 0,
            echo_limits: websocket::Limits { message_bytes_max: 0, fragments_max: 0, deflate: false },
            allows_fault_injection: self.fault_injection,
        }
    }

    /// The configuration for people, secrets masked.
    pub fn summary(&self) -> String {
        let secret = if self.jwt_secret.is_some() { "set" } else { "not set" };
        let auth = if self.is_insecure() { "insecure: identities are believed" } else { "tokens" };
        let limits = &self.limits;
        let webhook = self.permissions().map_or("none".to_owned(), |webhook| rule::masked_url(&webhook.url));
        let redis = self.redis.as_ref().map_or("none".to_owned(), RedisConfig::shown);
        let mut text = String::new();
        let _ = write!(
            text,
            "listen {}, auth {auth}, secret {secret}, algorithm {:?}, sessions at most {}, ping {} + {} ms, \
             payload at most {} bytes, content at most {} characters, channels per session {}, cors {}, \
             history {} messages for {} s, recovery {} ms, webhook {}, redis {redis}",
            self.address(),
            self.jwt_algorithm,
            self.max_connections,
            self.ping_interval,
            self.ping_timeout,
            self.max_payload,
            limits.message_chars_max,
            limits.channels_per_session_max,
            self.cors_origin,
            limits.history_size_max,
            limits.history_life_ms / 1_000,
            limits.recovery_window_ms,
            webhook,
        );
        text
    }
}

/// How long a connection may be without a namespace.
const CONNECT_TIMEOUT_MS: u32 = 10_000;

/// Over how many seconds a node that goes sends its sessions away, unless in development mode. With the time that their
/// connections may take to close it stays within the 15 seconds that those who stop containers are asked to grant.
const DRAIN_SECONDS: u32 = 10;

/// Bytes that a shared secret should have at least (RFC 7518 section 3.2, for HS256).
const SECRET_BYTES_MIN: usize = 32;

fn shown(resolved: &Resolved) -> String {
    let is_place = |name: &str| matches!(name, "REALTIME_HOST" | "REALTIME_PORT");
    let entries = resolved.entries().iter().filter(|entry| !is_place(entry.setting.name));
    entries.map(|entry| format!("{}={}\n", entry.setting.name, entry.shown())).collect()
}

#[cfg(test)]
mod tests;
