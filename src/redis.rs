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
mod client;
mod detours;
mod metrics;
mod script;
mod sink;
mod topology;
mod trouble;

pub use address::{Address, Host, RedisSettings};
pub use client::Client;
pub use metrics::StoreMetrics;
pub use script::Script;
pub use sink::{GroupId, GroupSpec, Sink};
pub use trouble::Trouble;
