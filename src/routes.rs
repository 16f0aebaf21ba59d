//! The HTTP routes of the chat node, beside Socket.IO's.

mod exposition;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use core_shards::{Now, ShardMetrics};
use protocol::chat::time::push_iso;
use protocol::codes::ErrorCode;
use protocol::http::head::{Method, Request};
use protocol::http::response::Response;
use serde_json::json;

use crate::auth::SharedVerifier;
use crate::chat::{ChatMetrics, ChatNode};
use crate::engine::core::Shared;
use crate::rt::Driver;

/// The page that shows the node at work; served in development mode only.
const PAGE: &str = include_str!("page/index.html");

/// The version that the node reports.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the routes can see: the counters of all cores, and what was decided at start.
pub struct Routes {
    shared: Arc<Shared<ChatNode>>,
    shards: Vec<Arc<ShardMetrics>>,
    doors: Vec<Arc<ChatMetrics>>,
    verifier: SharedVerifier,
    driver: Driver,
    has_metrics: bool,
}

impl Routes {
    /// Puts the routes together.
    pub fn new(
        shared: Arc<Shared<ChatNode>>,
        shards: Vec<Arc<ShardMetrics>>,
        doors: Vec<Arc<ChatMetrics>>,
        verifier: SharedVerifier,
        driver: Driver,
        has_metrics: bool,
    ) -> Self {
        Self { shared, shards, doors, verifier, driver, has_metrics }
    }

    /// Answers one request.
    pub fn answer(&self, request: &Request<'_>, now: Now) -> Response {
        let is_read = matches!(request.method, Method::Get | Method::Head);
        match request.path {
            "/health" | "/healthz" | "/readyz" | "/version" | "/metrics" | "/" if !is_read => {
                refusal(ErrorCode::MethodNotAllowed, "use GET").with("Allow", "GET, HEAD")
            }
            "/health" => self.health(now),
            "/healthz" => Response::json(
                200,
                json!({"status": "ok", "plugin": "realtime", "version": VERSION}).to_string(),
            ),
            "/readyz" => self.readiness(),
            "/version" => Response::json(200, json!({"plugin": "realtime", "version": VERSION}).to_string()),
            "/metrics" if self.has_metrics => {
                let text = exposition::text(&self.shared, &self.shards, &self.doors, self.driver);
                Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
            }
            "/" if self.verifier.is_insecure() => Response::new(200, "text/html; charset=utf-8", PAGE)
                .with("Content-Security-Policy", PAGE_POLICY)
                .with("X-Content-Type-Options", "nosniff"),
            _ => refusal(ErrorCode::NotFound, "no such route"),
        }
    }

    fn is_draining(&self) -> bool {
        self.shared.is_draining.load(Ordering::Relaxed)
    }

    fn readiness(&self) -> Response {
        match self.is_draining() {
            false => Response::json(200, json!({"status": "ready"}).to_string()),
            true => Response::json(503, json!({"status": "draining"}).to_string()),
        }
    }

    fn health(&self, now: Now) -> Response {
        let connections = self.shared.session_count.load(Ordering::Relaxed);
        let is_draining = self.is_draining();
        let mut timestamp = Vec::new();
        push_iso(&mut timestamp, now.unix_ms);
        let body = json!({
            "status": if is_draining { "unhealthy" } else { "healthy" },
            "service": "realtime",
            "version": VERSION,
            "uptime": now.monotonic_us / 1_000_000,
            "timestamp": String::from_utf8_lossy(&timestamp),
            "websocket": {"running": !is_draining, "connections": connections},
            "connections": connections,
            "maxConnections": self.shared.settings.sessions_max,
            "cores": self.shared.core_count(),
            "driver": self.driver.name(),
            "auth": if self.verifier.is_insecure() { "insecure" } else { "jwt" },
            "dependencies": {"redis": {"status": "disabled"}},
        });
        Response::json(if is_draining { 503 } else { 200 }, body.to_string())
    }
}

/// The page runs its own inline script and talks to its own origin, nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self' ws: wss:; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'";

fn refusal(code: ErrorCode, message: &str) -> Response {
    let body = json!({"success": false, "error": {"code": code.name(), "message": message}});
    Response::json(code.http_status(), body.to_string())
}
