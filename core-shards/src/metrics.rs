//! Counters of one core. One core writes them, the scrape of any core reads and sums them.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::codes::ErrorCode;

/// A number with one writer. Adding costs a load and a store, no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the counter. Only the owning core may call this.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Sets the value: for gauges.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The current value, from any core.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened in one shard.
#[derive(Debug, Default)]
pub struct ShardMetrics {
    /// Sessions that have joined the main namespace (gauge).
    pub sessions: Counter,
    /// Users with at least one session (gauge).
    pub users: Counter,
    /// Channels whose home is here (gauge).
    pub channels: Counter,
    /// Memberships of sessions in channels (gauge).
    pub subscriptions: Counter,
    /// Events received from clients.
    pub events: Counter,
    /// Messages that got their offset here.
    pub publications: Counter,
    /// Frames encoded for members: one per publication and dialect.
    pub encodes: Counter,
    /// Messages handed to sessions.
    pub deliveries: Counter,
    /// Retries answered with the first acknowledgement.
    pub duplicates: Counter,
    /// Receipts forgotten before their time.
    pub receipts_evicted: Counter,
    /// Letters for a session, room or channel that was gone.
    pub stale_letters: Counter,
    /// Letters handled, own ones included.
    pub letters: Counter,
    /// Users who came with their first session or went with their last.
    pub presence_updates: Counter,
    /// Refused requests, by [`ErrorCode`].
    pub refusals: [Counter; ErrorCode::ALL.len()],
}
