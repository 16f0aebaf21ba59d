//! What a run found: plain numbers that are printed for people or written as one line of JSON.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

pub use fanout::{FanoutReport, FanoutServer};
pub use idle::{IdleReport, IdleServer};

use crate::latency::{Curve, Percentiles};
use crate::sampling::Usage;

pub mod churn;
pub mod comparison;
pub mod conclusion;
pub mod fanout;
pub mod figures;
pub mod html;
pub mod human;
pub mod idle;
pub mod jitter;
pub mod machine;
pub mod page;
pub mod plot;
pub mod rest;
pub mod saturate;
pub mod sections;
pub mod slow;
pub mod staircase;
pub mod storm;
pub mod svg;

/// A thread of the tester that is on a CPU for more than this share of the time may be what limits the run.
pub const BUSY_SHARE_MAX: f64 = 0.85;
/// If one of 100 messages was sent later than this after it was due, in milliseconds, latencies are the tester's too.
pub const LATE_P99_MS_MAX: f64 = 5.0;

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
    /// The same as a whole distribution.
    pub connect_curve: Curve,
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
    /// The share of the time that a thread of it was on a CPU or waiting for one, of the thread that was so most.
    pub hungriest_thread: f64,
    /// Whether that was more than [`BUSY_SHARE_MAX`], or [`Self::is_late`]: the numbers may then be the tester's, not
    /// the server's.
    pub client_limited: bool,
    /// Whether one of 100 messages was sent more than [`LATE_P99_MS_MAX`] after it was due.
    pub is_late: bool,
    /// Its own resident memory per connection, in bytes.
    pub bytes_per_connection: f64,
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

impl Messages {
    /// The same with `lost` more deliveries that never were.
    pub const fn with_lost(self, lost: u64) -> Self {
        Self { lost: self.lost + lost, ..self }
    }
}

impl Tester {
    /// Reads the tester's own use, with `rss_before_kib` resident before the first of `connections`.
    pub fn new(threads: u32, usage: &Usage, rss_before_kib: u64, connections: u64) -> Self {
        Self {
            threads,
            busiest_thread: usage.busiest_thread,
            hungriest_thread: usage.hungriest_thread,
            client_limited: usage.hungriest_thread > BUSY_SHARE_MAX,
            is_late: false,
            bytes_per_connection: bytes_per_connection(rss_before_kib, usage.rss_kib, connections),
        }
    }

    /// The same tester, which sent its messages this late.
    pub fn sending(mut self, lateness: &Percentiles) -> Self {
        self.is_late = lateness.p99_ms > LATE_P99_MS_MAX;
        self.client_limited |= self.is_late;
        self
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
