//! What a run found: plain numbers that are printed for people or written as one line of JSON.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::latency::Percentiles;
use crate::sampling::Usage;

pub mod human;

/// A thread of the tester that is on a CPU for more than this share of the time may be what limits the run.
pub const BUSY_SHARE_MAX: f64 = 0.85;

/// How connecting went.
#[derive(Clone, Debug, Serialize)]
pub struct Connections {
    /// How many were asked for.
    pub wanted: u64,
    /// How many became ready.
    pub ready: u64,
    /// How many never became ready.
    pub failed: u64,
    /// How many were ready and then lost.
    pub dropped: u64,
    /// From the first connect to the last one settled, in seconds.
    pub ramp_s: f64,
    /// From the moment each was due until it was ready.
    pub connect: Percentiles,
    /// Why connections failed.
    pub failures: BTreeMap<String, u64>,
    /// Why connections were lost.
    pub drops: BTreeMap<String, u64>,
}

/// What the load tester itself needed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tester {
    /// Its threads that hold connections.
    pub threads: u32,
    /// The share of the time that its busiest thread was on a CPU, from 0 to 1.
    pub busiest_thread: f64,
    /// Whether that was more than [`BUSY_SHARE_MAX`]: the numbers may then be the tester's, not the server's.
    pub client_limited: bool,
    /// Its own resident memory per connection, in bytes.
    pub bytes_per_connection: f64,
}

/// What `idle` found.
#[derive(Clone, Debug, Serialize)]
pub struct IdleReport {
    /// Always `idle`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went.
    pub connections: Connections,
    /// Members per channel; 0 if none was joined.
    pub joined_per_channel: u32,
    /// How long connections were held, in seconds.
    pub hold_s: f64,
    /// Heartbeats that were answered in the whole run.
    pub heartbeats: u64,
    /// What the server used, if its process is known.
    pub server: Option<IdleServer>,
    /// What the tester used.
    pub tester: Tester,
}

/// What idle connections cost a server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IdleServer {
    /// Resident memory before the first connection, in KiB.
    pub rss_before_kib: u64,
    /// Resident memory when all were ready, in KiB.
    pub rss_ready_kib: u64,
    /// Resident memory per connection at the end of the hold, above that before, in bytes.
    pub bytes_per_connection: f64,
    /// CPU time per connection while connecting, in microseconds.
    pub connect_cpu_us: f64,
    /// CPU time per connection and second while holding, in microseconds.
    pub idle_cpu_us_per_s: f64,
    /// The use while holding.
    pub hold: Usage,
}

/// What `fanout` found.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutReport {
    /// Always `fanout`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went.
    pub connections: Connections,
    /// Rooms.
    pub rooms: u32,
    /// Members of each room.
    pub members: u32,
    /// Messages per second that the schedule asked for.
    pub rate_per_s: f64,
    /// Content per message, in bytes.
    pub payload_bytes: usize,
    /// From the first message due to the last one received or given up, in seconds.
    pub seconds: f64,
    /// What became of the messages.
    pub messages: Messages,
    /// Messages received per second, over all members.
    pub deliveries_per_s: f64,
    /// From the moment a message was due until a member had it.
    pub latency: Percentiles,
    /// From the moment a message was due until its sender had the acknowledgement; count 0 if none was asked for.
    pub ack: Percentiles,
    /// From the moment a message was due until the tester had sent it.
    pub lateness: Percentiles,
    /// What the server refused, by its code.
    pub refusals: BTreeMap<String, u64>,
    /// What the server used, if its process is known.
    pub server: Option<FanoutServer>,
    /// What the tester used.
    pub tester: Tester,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Messages {
    /// Messages sent.
    pub sent: u64,
    /// Messages due whose sender was gone or stuck.
    pub unsent: u64,
    /// Deliveries that should have been.
    pub expected: u64,
    /// Deliveries that were, each counted once.
    pub delivered: u64,
    /// Deliveries that never were.
    pub lost: u64,
    /// Members that lost at least one message.
    pub members_with_loss: u64,
    /// Deliveries that came again.
    pub doubled: u64,
    /// Deliveries that came after a later one.
    pub reordered: u64,
    /// Deliveries to someone who is not in the room.
    pub misrouted: u64,
}

/// What deliveries cost a server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FanoutServer {
    /// CPU time per delivery, in microseconds.
    pub cpu_us_per_delivery: f64,
    /// The part of it in user mode.
    pub user_us_per_delivery: f64,
    /// The part of it in the kernel.
    pub system_us_per_delivery: f64,
    /// The use from the first message to the last.
    pub usage: Usage,
}

impl Tester {
    /// Reads the tester's own use, with `rss_before_kib` resident before the first of `connections`.
    pub fn new(threads: u32, usage: &Usage, rss_before_kib: u64, connections: u64) -> Self {
        Self {
            threads,
            busiest_thread: usage.busiest_thread,
            client_limited: usage.busiest_thread > BUSY_SHARE_MAX,
            bytes_per_connection: bytes_per_connection(rss_before_kib, usage.rss_kib, connections),
        }
    }
}

/// The growth from `before_kib` to `after_kib` per connection, in bytes; 0 without connections.
pub fn bytes_per_connection(before_kib: u64, after_kib: u64, connections: u64) -> f64 {
    if connections == 0 { 0.0 } else { (after_kib as f64 - before_kib as f64) * 1024.0 / connections as f64 }
}

/// Appends `report` as one line of JSON to `file`; `-` is standard output.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(file: &Path, report: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_string(report).context("a report is plain numbers and text")?;
    line.push('\n');
    if file == Path::new("-") {
        return std::io::stdout().write_all(line.as_bytes()).context("cannot write to standard output");
    }
    let open = OpenOptions::new().create(true).append(true).open(file);
    open.and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}
