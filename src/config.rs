//! What the node is told: environment variables or flags of the same meaning, checked before
//! anything starts.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};
use core_shards::Limits;
use core_shards::limits::Expiry;
use jsonwebtoken::Algorithm;
use protocol::http::cors::Cors;
use protocol::websocket;

use crate::auth::AuthSettings;
use crate::engine::{Settings, Surface, SurfaceKind};
use crate::rt::DriverPreference;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "realtime", version, about = "The realtime chat node: Socket.IO on every core", after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; without a command, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub config: Config,
}

/// Commands beside serving.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Ask the node on this machine for its health; exit code 0 if it is healthy. For containers.
    Healthcheck,
}

const EXAMPLES: &str = "\
Examples:
  realtime --dev                              try it: no tokens, a page at http://127.0.0.1:3101/
  REALTIME_JWT_SECRET=… realtime              serve on 0.0.0.0:3101, tokens signed with HS256
  REALTIME_IO_DRIVER=epoll realtime --dev     without io_uring
  realtime healthcheck                        exit code 0 if the node here is healthy";

/// Everything that can be set.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Development mode: identities are believed without a token, the demonstration page is served, and only this
    /// machine can connect unless --host says otherwise. The same as REALTIME_AUTH_REQUIRED=false
    #[arg(long)]
    pub dev: bool,

    /// Port to listen on
    #[arg(long, env = "REALTIME_PORT", default_value_t = 3101)]
    pub port: u16,

    /// Address to listen on [default: 0.0.0.0, in development mode 127.0.0.1]
    #[arg(long, env = "REALTIME_HOST")]
    pub host: Option<IpAddr>,

    /// Cores to use [default: as many as this process may use]
    #[arg(long, env = "REALTIME_CORES", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub cores: Option<u16>,

    /// How to talk to the kernel
    #[arg(long, env = "REALTIME_IO_DRIVER", value_enum, default_value_t = DriverPreference::Auto)]
    pub io_driver: DriverPreference,

    /// Sessions that the node holds at most; more are answered 503 and retry
    #[arg(
        long, env = "REALTIME_WEBSOCKET_MAX_CONNECTIONS", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_connections: u32,

    /// Milliseconds between a pong and the next ping
    #[arg(
        long, env = "REALTIME_WEBSOCKET_PING_INTERVAL", default_value_t = 25_000,
        value_parser = clap::value_parser!(u32).range(10..=3_600_000)
    )]
    pub ping_interval: u32,

    /// Milliseconds that a pong may take; slow mobile links want 20000
    #[arg(
        long, env = "REALTIME_WEBSOCKET_PING_TIMEOUT", default_value_t = 5_000,
        value_parser = clap::value_parser!(u32).range(10..=3_600_000)
    )]
    pub ping_timeout: u32,

    /// Secret that signs tokens, a PEM key, or Hasura's {"type","key"}
    #[arg(long, env = "REALTIME_JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<String>,

    /// The one algorithm that tokens may be signed with: HS256, HS384, HS512, RS256, ES256, EdDSA and so on
    #[arg(long, env = "REALTIME_JWT_ALGORITHM", default_value = "HS256")]
    pub jwt_algorithm: Algorithm,

    /// Whether clients must prove who they are
    #[arg(
        long, env = "REALTIME_AUTH_REQUIRED", default_value_t = true, action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub auth_required: bool,

    /// Whether clients without a token come in, as guests
    #[arg(
        long, env = "REALTIME_ALLOW_ANONYMOUS", default_value_t = false, action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub allow_anonymous: bool,

    /// Claim that names the user, looked at before userId, x-hasura-user-id, sub and user_id
    #[arg(long, env = "REALTIME_JWT_USER_CLAIM")]
    pub jwt_user_claim: Option<String>,

    /// Claims that a token must have, separated by commas; `role` keeps refresh tokens out
    #[arg(long, env = "REALTIME_JWT_REQUIRED_CLAIMS", value_delimiter = ',')]
    pub jwt_required_claims: Vec<String>,

    /// Issuer that a token must name
    #[arg(long, env = "REALTIME_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// Audience that a token must name
    #[arg(long, env = "REALTIME_JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,

    /// What happens when a connected client's token ends: `ignore`, or `disconnect` after a warning and 60 s
    #[arg(long, env = "REALTIME_JWT_EXPIRY", default_value = "ignore", value_parser = ["ignore", "disconnect"])]
    pub jwt_expiry: String,

    /// Origins of pages that may connect, separated by commas; `*` for all
    #[arg(long, env = "REALTIME_CORS_ORIGIN", default_value = "*")]
    pub cors_origin: String,

    /// Characters of a message's content at most
    #[arg(
        long, env = "REALTIME_MAX_MESSAGE_LENGTH", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_message_length: u32,

    /// Bytes of one packet from a client at most
    #[arg(
        long, env = "REALTIME_MAX_PAYLOAD", default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u32).range(1_000..=100_000_000)
    )]
    pub max_payload: u32,

    /// Channels that one session may join
    #[arg(
        long, env = "REALTIME_MAX_ROOMS_PER_SOCKET", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    pub max_rooms_per_socket: u32,

    /// Bytes that may wait for a client that does not read, before it is disconnected to come back and catch up
    #[arg(
        long, env = "REALTIME_MAX_QUEUE_BYTES", default_value_t = 262_144,
        value_parser = clap::value_parser!(u32).range(16_384..)
    )]
    pub max_queue_bytes: u32,

    /// Whether GET /metrics answers
    #[arg(
        long, env = "REALTIME_METRICS_ENABLED", default_value_t = true, action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub metrics_enabled: bool,

    /// What is logged: error, warn, info, debug, or a filter such as realtime=debug
    #[arg(long, env = "REALTIME_LOG_LEVEL", default_value = "info")]
    pub log_level: String,

    /// Whether GET /debug/panic-connection and /debug/panic-core break things on purpose; development mode only
    #[arg(
        long, env = "REALTIME_FAULT_INJECTION", default_value_t = false, action = ArgAction::Set,
        value_parser = BoolishValueParser::new(), hide = true
    )]
    pub fault_injection: bool,
}

impl Config {
    /// Whether identities are believed without proof.
    pub fn is_insecure(&self) -> bool {
        self.dev || !self.auth_required
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
        Ok(())
    }

    /// What decides about tokens.
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
        }
    }

    /// Bounds of a shard.
    pub fn limits(&self) -> Limits {
        Limits {
            channels_per_session_max: self.max_rooms_per_socket as usize,
            message_chars_max: self.max_message_length as usize,
            expiry: if self.jwt_expiry == "disconnect" { Expiry::Disconnect } else { Expiry::Ignore },
        }
    }

    /// Settings of the engine.
    pub fn engine(&self) -> Settings {
        Settings {
            surfaces: vec![Surface { path: "/socket.io/", kind: SurfaceKind::SocketIo }],
            ping_interval_ms: self.ping_interval,
            ping_timeout_ms: self.ping_timeout,
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            max_payload: self.max_payload,
            queue_bytes_max: self.max_queue_bytes as usize,
            sessions_max: self.max_connections as usize,
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
        let mut text = String::new();
        let _ = write!(
            text,
            "listen {}, auth {auth}, secret {secret}, algorithm {:?}, sessions at most {}, ping {} + {} ms, \
             payload at most {} bytes, content at most {} characters, channels per session {}, cors {}",
            self.address(),
            self.jwt_algorithm,
            self.max_connections,
            self.ping_interval,
            self.ping_timeout,
            self.max_payload,
            self.max_message_length,
            self.max_rooms_per_socket,
            self.cors_origin,
        );
        text
    }
}

/// How long a connection may be without a namespace.
const CONNECT_TIMEOUT_MS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, String> {
        let arguments = std::iter::once("realtime").chain(arguments.iter().copied());
        Cli::try_parse_from(arguments).map(|cli| cli.config).map_err(|error| error.to_string())
    }

    #[test]
    fn development_mode_is_for_this_machine_only() {
        assert_eq!(parse(&["--dev"]).unwrap().address().to_string(), "127.0.0.1:3101");
        assert_eq!(parse(&["--auth-required=false"]).unwrap().address().to_string(), "127.0.0.1:3101");
        assert_eq!(parse(&["--dev", "--host=0.0.0.0"]).unwrap().address().to_string(), "0.0.0.0:3101");
        assert_eq!(parse(&["--jwt-secret=s"]).unwrap().address().to_string(), "0.0.0.0:3101");
    }

    #[test]
    fn nonsense_is_refused_with_what_is_possible() {
        let check = |argument: &str, hint: &str| {
            let error = parse(&[argument]).unwrap_err();
            assert!(error.contains(hint), "{argument}: {error}");
        };
        check("--port=70000", "0..=65535");
        check("--cores=0", "1..=1024");
        check("--io-driver=fast", "uring");
        check("--jwt-algorithm=none", "--jwt-algorithm");
        check("--auth-required=perhaps", "--auth-required");
        check("--ping-timeout=1", "10..=3600000");
        check("--jwt-expiry=later", "disconnect");
    }

    #[test]
    fn faults_are_injected_in_development_only() {
        assert!(parse(&["--fault-injection=true", "--jwt-secret=s"]).unwrap().check().is_err());
        assert!(parse(&["--fault-injection=true", "--dev"]).unwrap().check().is_ok());
    }

    #[test]
    fn the_summary_hides_the_secret() {
        assert!(!parse(&["--jwt-secret=hush"]).unwrap().summary().contains("hush"));
    }
}
