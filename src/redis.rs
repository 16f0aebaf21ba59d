//! One core's way to Redis: commands with their answers, and topics with what is published to them.
//!
//! ```text
//! store ── command, evalsha, publish ──> Client ──> Link ── one write per turn ──> Redis
//!   ^      watch, unwatch                  |          |
//!   └───── Sink: reply, message, ──────────┘          └── read: replies in order, pushes; canary; reconnect
//!          watched, group_up, group_down, settle
//! ```
//!
//! What commands mean, which keys there are and what a message says is nobody's business here.

mod address;
mod backoff;
mod canary;
mod client;
mod detours;
mod handshake;
mod hub;
mod line;
mod link;
mod links;
mod metrics;
mod resolve;
mod script;
mod sink;
mod tls;
mod topics;
mod topology;
mod trouble;

pub use address::{Host, RedisSettings};
pub use client::Client;
pub use metrics::StoreMetrics;
pub use script::Script;
pub use sink::{GroupId, GroupSpec, Sink};
pub use trouble::Trouble;
