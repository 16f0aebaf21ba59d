//! What the environment says: the profile of a suite, and what deviates from it.

use std::env;
use std::net::SocketAddr;
use std::str::FromStr;

use protocol::http::cors::Cors;
use protocol::websocket;
use realtime::engine::{Settings, Surface, SurfaceKind};
use realtime::rt::DriverPreference;

/// Where the surfaces stand in [`Settings::surfaces`].
pub(crate) const ENGINE_IO: usize = 1;

/// The suite that the application is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// The public protocol suites of Engine.IO 4 and Socket.IO 5.
    Protocol,
    /// The tests of socket.io-client.
    Client,
    /// Stock clients of several languages.
    Interop,
    /// The tests of engine.io-client.
    Engine,
}

/// How the application was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// `CONF_PROFILE`: `protocol`, `client`, `interop` or `engine`; default `protocol`.
    pub(crate) profile: Profile,
    /// `CONF_HOST` and `CONF_PORT`; default 127.0.0.1 and 3000. Port 0 takes a free one, which is printed.
    pub(crate) address: SocketAddr,
    /// `REALTIME_IO_DRIVER`: `auto`, `uring` or `epoll`; default `auto`.
    pub(crate) driver: DriverPreference,
    /// `CONF_RECOVERY`, 0 or 1: connection state recovery. Default: as the profile has it.
    pub(crate) has_recovery: bool,
    /// `CONF_PING_INTERVAL`, `CONF_PING_TIMEOUT` in milliseconds, `CONF_MAX_PAYLOAD` in bytes. Defaults: the profile's.
    ping_interval_ms: u32,
    ping_timeout_ms: u32,
    max_payload: u32,
}

impl Options {
    /// Reads the environment.
    ///
    /// # Errors
    /// A sentence that names the variable and says what to write instead.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let profile = match text("CONF_PROFILE").as_deref() {
            None | Some("protocol") => Profile::Protocol,
            Some("client") => Profile::Client,
            Some("interop") => Profile::Interop,
            Some("engine") => Profile::Engine,
            Some(other) => {
                return Err(format!("CONF_PROFILE is {other}: write protocol, client, interop or engine"));
            }
        };
        let driver = match text("REALTIME_IO_DRIVER").as_deref() {
            None | Some("auto") => DriverPreference::Auto,
            Some("uring") => DriverPreference::Uring,
            Some("epoll") => DriverPreference::Epoll,
            Some(other) => return Err(format!("REALTIME_IO_DRIVER is {other}: write auto, uring or epoll")),
        };
        let (ping_interval_ms, ping_timeout_ms, max_payload, has_recovery) = match profile {
            Profile::Protocol => (300, 200, 1_000_000, 0),
            Profile::Client => (2_000, 20_000, 1_000_000, 1),
            Profile::Interop => (2_000, 3_000, 1_000_000, 1),
            Profile::Engine => (500, 20_000, 100, 0),
        };
        let host = text("CONF_HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
        let ip =
            host.parse().map_err(|_| format!("CONF_HOST is {host}: write an address, such as 127.0.0.1"))?;
        Ok(Self {
            profile,
            address: SocketAddr::new(ip, number("CONF_PORT", 3000)?),
            driver,
            has_recovery: number("CONF_RECOVERY", has_recovery)? != 0,
            ping_interval_ms: number("CONF_PING_INTERVAL", ping_interval_ms)?,
            ping_timeout_ms: number("CONF_PING_TIMEOUT", ping_timeout_ms)?,
            max_payload: number("CONF_MAX_PAYLOAD", max_payload)?,
        })
    }

    /// The engine's settings.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            node: None,
            surfaces: vec![
                Surface { path: "/socket.io/", kind: SurfaceKind::SocketIo },
                Surface { path: "/engine.io/", kind: SurfaceKind::EngineIo },
                Surface { path: "/echo", kind: SurfaceKind::Echo },
            ],
            ping_interval_ms: self.ping_interval_ms,
            ping_timeout_ms: self.ping_timeout_ms,
            connect_timeout_ms: if self.profile == Profile::Protocol { 1_000 } else { 45_000 },
            max_payload: self.max_payload,
            queue_bytes_max: 16 << 20,
            sessions_max: 10_000,
            drain_delay_ms: 0,
            drain_spread_ms: 0,
            cors: Cors::Any,
            keeps_headers: true,
            // The tests of socket.io-client want to see a client that is still connecting.
            handshake_delay_ms: if self.profile == Profile::Client { 10 } else { 0 },
            echo_limits: websocket::Limits {
                message_bytes_max: 16 << 20,
                fragments_max: 65_536,
                deflate: true,
            },
            allows_fault_injection: false,
        }
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: FromStr>(name: &str, default: T) -> Result<T, String> {
    let Some(value) = text(name) else { return Ok(default) };
    value.parse().map_err(|_| format!("{name} is {value}: write a whole number that is not negative"))
}
