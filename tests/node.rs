//! What a node promises to whoever connects to it, well-meaning or not: the real binary, raw sockets, and where
//! the chat node does not show it a small application on the same engine. The driver is the one that `REALTIME_IO_DRIVER` names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a promise that was broken ends the test")]

#[path = "node/answers.rs"]
mod answers;
#[path = "node/bodies.rs"]
mod bodies;
#[path = "node/branch.rs"]
mod branch;
#[path = "node/clerk.rs"]
mod clerk;
#[path = "node/desk.rs"]
mod desk;
#[path = "node/drain.rs"]
mod drain;
#[path = "node/fairness.rs"]
mod fairness;
#[path = "node/forwarding.rs"]
mod forwarding;
#[path = "node/holdings.rs"]
mod holdings;
#[path = "node/hostile.rs"]
mod hostile;
#[path = "node/http.rs"]
mod http;
#[path = "node/metrics.rs"]
mod metrics;
#[path = "node/moving.rs"]
mod moving;
#[path = "node/polling.rs"]
mod polling;
#[path = "cluster/redis.rs"]
mod redis;
#[path = "node/server.rs"]
mod server;
#[path = "node/shutdown.rs"]
mod shutdown;
#[path = "node/slow_readers.rs"]
mod slow_readers;
#[path = "node/stalled_core.rs"]
mod stalled_core;
#[path = "node/together.rs"]
mod together;
#[path = "node/websocket.rs"]
mod websocket;
