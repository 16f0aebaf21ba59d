//! The HTTP routes of the chat node, beside Socket.IO's.

mod exposition;
mod kernel;
mod overview;
mod redis;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use core_shards::metrics::Counter;
use core_shards::{Now, ShardMetrics};
use protocol::chat::time::push_iso;
use protocol::codes::ErrorCode;
use protocol::http::head::{Method, Request};
use protocol::http::response::Response;
use serde_json::json;

use crate::auth::SharedVerifier;
use crate::chat::{ChatMetrics, ChatNode};
use crate::config::pages::Pages;
use crate::engine::core::Shared;
use crate::engine::metrics::EngineMetrics;
use crate::permissions::Permissions;
use crate::rt::Driver;

pub use redis::RedisHealth;

/// The page that shows the node at work; served in development mode only.
const PAGE: &str = include_str!("page/index.html");

/// The version that the node reports.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the routes can see: the counters of all cores, and what was decided at start.
pub struct Surroundings {
    /// What the cores share.
    pub shared: Arc<Shared<ChatNode>>,
    /// The counters of each shard.
    pub shards: Vec<Arc<ShardMetrics>>,
    /// The counters of each core's door.
    pub doors: Vec<Arc<ChatMetrics>>,
    /// Decides who a client is.
    pub verifier: SharedVerifier,
    /// Asks the permission webhook, if there is one.
    pub permissions: Option<Permissions>,
    /// How the kernel is talked to.
    pub driver: Driver,
    /// How the node stands with Redis; the same on all cores.
    pub redis: Arc<RedisHealth>,
    /// Where the pages for operators are.
    pub pages: Pages,
    /// A number that is the same on nodes with the same settings; see [`hash_of`].
    pub config_hash: u64,
}

impl Surroundings {
    /// Sessions of the whole node.
    fn session_count(&self) -> u64 {
        self.shared.session_count.load(Ordering::Relaxed) as u64
    }

    /// Sessions that have not joined the main namespace: nobody knows yet whose they are.
    fn handshakes(&self) -> u64 {
        self.session_count().saturating_sub(self.sum_shards(|shard| &shard.sessions))
    }

    fn sum_shards(&self, field: impl Fn(&ShardMetrics) -> &Counter) -> u64 {
        sum(&self.shards, field)
    }

    fn sum_engines(&self, field: impl Fn(&EngineMetrics) -> &Counter) -> u64 {
        sum(&self.shared.metrics, field)
    }

    fn sum_doors(&self, field: impl Fn(&ChatMetrics) -> &Counter) -> u64 {
        sum(&self.doors, field)
    }
}

fn sum<M>(cores: &[Arc<M>], field: impl Fn(&M) -> &Counter) -> u64 {
    // A gauge may go below zero on one core, for what came on it and went on another, and wraps; the sum does not.
    cores.iter().fold(0, |total, core| total.wrapping_add(field(core).get()))
}

/// The number that stands for some settings: 48 bits, which a double holds exactly.
pub fn hash_of(settings: &str) -> u64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, settings.as_bytes());
    digest.as_ref()[..6].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// The pages of the node that are not about chat.
pub struct Routes {
    surroundings: Surroundings,
}

impl Routes {
    /// Puts the routes together.
    pub fn new(surroundings: Surroundings) -> Self {
        Self { surroundings }
    }

    /// Brings what is looked up at intervals up to date. To be called about once a second, by one core.
    pub fn look(&self) {
        self.surroundings.redis.look(self.surroundings.shared.now());
    }

    /// Answers one request.
    pub fn answer(&self, request: &Request<'_>, now: Now) -> Response {
        let Some(page) = self.page(request.path) else {
            return refusal(ErrorCode::NotFound, "no such route");
        };
        if !matches!(request.method, Method::Get | Method::Head) {
            return refusal(ErrorCode::MethodNotAllowed, "use GET").with("Allow", "GET, HEAD");
        }
        match page {
            Page::Health => self.health(now),
            Page::Liveness => Response::json(
                200,
                json!({"status": "ok", "plugin": "realtime", "version": VERSION}).to_string(),
            ),
            Page::Readiness => self.readiness(now),
            Page::Version => {
                Response::json(200, json!({"plugin": "realtime", "version": VERSION}).to_string())
            }
            Page::Metrics if overview::is_wanted(request.header("accept")) => {
                Response::json(200, overview::json(&self.surroundings, now).to_string())
            }
            Page::Metrics => {
                let text = exposition::text(&self.surroundings, now);
                Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
            }
            Page::Welcome => Response::new(200, "text/html; charset=utf-8", PAGE)
                .with("Content-Security-Policy", PAGE_POLICY)
                .with("X-Content-Type-Options", "nosniff"),
        }
    }

    fn page(&self, path: &str) -> Option<Page> {
        let Pages { health, metrics } = &self.surroundings.pages;
        match path {
            "/healthz" => Some(Page::Liveness),
            "/readyz" => Some(Page::Readiness),
            "/version" => Some(Page::Version),
            "/" if self.surroundings.verifier.is_insecure() => Some(Page::Welcome),
            _ if health.as_deref() == Some(path) => Some(Page::Health),
            _ if metrics.as_deref() == Some(path) => Some(Page::Metrics),
            _ => None,
        }
    }

    fn is_draining(&self) -> bool {
        !self.surroundings.shared.drain.is_ready()
    }

    fn readiness(&self, now: Now) -> Response {
        let standing = self.surroundings.redis.standing(now);
        let (code, status) = match standing {
            _ if self.is_draining() => (503, "draining"),
            _ if !standing.is_ready() => (503, "without redis"),
            _ if !standing.is_whole() => (200, "degraded"),
            _ => (200, "ready"),
        };
        Response::json(code, json!({"status": status}).to_string())
    }

    fn health(&self, now: Now) -> Response {
        let connections = self.surroundings.shared.session_count.load(Ordering::Relaxed);
        let is_draining = self.is_draining();
        let status = match self.surroundings.redis.standing(now).is_whole() {
            _ if is_draining => "unhealthy",
            true => "healthy",
            false => "degraded",
        };
        let mut timestamp = Vec::new();
        push_iso(&mut timestamp, now.unix_ms);
        let body = json!({
            "status": status,
            "service": "realtime",
            "version": VERSION,
            "uptime": now.monotonic_us / 1_000_000,
            "timestamp": String::from_utf8_lossy(&timestamp),
            "websocket": {"running": !is_draining, "connections": connections},
            "connections": connections,
            "maxConnections": self.surroundings.shared.settings.sessions_max,
            "cores": self.surroundings.shared.core_count(),
            "driver": self.surroundings.driver.name(),
            "auth": if self.surroundings.verifier.is_insecure() { "insecure" } else { "jwt" },
            "dependencies": {"redis": self.surroundings.redis.page(now)},
        });
        Response::json(if is_draining { 503 } else { 200 }, body.to_string())
    }
}

/// A page.
#[derive(Clone, Copy, Debug)]
enum Page {
    Health,
    Liveness,
    Readiness,
    Version,
    Metrics,
    /// Something to look at in a browser; in development mode only.
    Welcome,
}

/// The page runs its own inline script and talks to its own origin, nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self' ws: wss:; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'";

fn refusal(code: ErrorCode, message: &str) -> Response {
    let body = json!({"success": false, "error": {"code": code.name(), "message": message}});
    Response::json(code.http_status(), body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_settings_have_the_same_number_and_others_another() {
        assert_eq!(hash_of("listen 1"), hash_of("listen 1"));
        assert_ne!(hash_of("listen 1"), hash_of("listen 2"));
        assert!(hash_of("") < 1 << 48);
    }
}
