//! What a fleet thread shows of itself while it works: written by the thread alone, read by the scenario.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One thread's counters on a cache line pair of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Signals {
    ready: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    parted: AtomicU64,
    unsettled: AtomicU64,
    sent: AtomicU64,
    expected: AtomicU64,
    delivered: AtomicU64,
    published: AtomicU32,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that became ready, whether they still are or not.
    pub ready: u64,
    /// Connections that never became ready.
    pub failed: u64,
    /// Connections that were ready and have been lost.
    pub dropped: u64,
    /// Connections that were ready and that the tester has ended.
    pub parted: u64,
    /// Seats that are away or on their way, and visitors, at this moment.
    pub unsettled: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that receivers should get for what was sent.
    pub expected: u64,
    /// Messages that receivers got, each counted once.
    pub delivered: u64,
    /// Shares of a schedule that were sent to their end, over all schedules and threads.
    pub published: u32,
}

impl Signals {
    /// Shows `totals`.
    pub(crate) fn show(&self, totals: &Totals) {
        self.ready.store(totals.ready, Ordering::Relaxed);
        self.failed.store(totals.failed, Ordering::Relaxed);
        self.dropped.store(totals.dropped, Ordering::Relaxed);
        self.parted.store(totals.parted, Ordering::Relaxed);
        self.unsettled.store(totals.unsettled, Ordering::Relaxed);
        self.sent.store(totals.sent, Ordering::Relaxed);
        self.expected.store(totals.expected, Ordering::Relaxed);
        self.delivered.store(totals.delivered, Ordering::Relaxed);
        // Whoever sees this also sees the final `sent` and `expected`.
        self.published.store(totals.published, Ordering::Release);
    }

    /// What the thread showed last.
    pub(crate) fn totals(&self) -> Totals {
        let published = self.published.load(Ordering::Acquire);
        Totals {
            ready: self.ready.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            parted: self.parted.load(Ordering::Relaxed),
            unsettled: self.unsettled.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            expected: self.expected.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
            published,
        }
    }
}

/// A view of what all threads show, for whoever looks on from another thread.
#[derive(Clone, Debug, Default)]
pub struct Watch(Vec<Arc<Signals>>);

impl Watch {
    /// A view of these.
    pub(super) fn new(signals: impl Iterator<Item = Arc<Signals>>) -> Self {
        Self(signals.collect())
    }

    /// What has happened so far, over all threads.
    pub fn totals(&self) -> Totals {
        self.0.iter().fold(Totals::default(), |sum, signals| sum.plus(&signals.totals()))
    }
}

impl Totals {
    /// The sum of both.
    pub(crate) const fn plus(self, other: &Self) -> Self {
        Self {
            ready: self.ready + other.ready,
            failed: self.failed + other.failed,
            dropped: self.dropped + other.dropped,
            parted: self.parted + other.parted,
            unsettled: self.unsettled + other.unsettled,
            sent: self.sent + other.sent,
            expected: self.expected + other.expected,
            delivered: self.delivered + other.delivered,
            published: self.published + other.published,
        }
    }

    /// Connections that are ready at this moment.
    pub const fn open(&self) -> u64 {
        // The three are read one after the other while their threads go on.
        self.ready.saturating_sub(self.dropped + self.parted)
    }

    /// Connections of which it is known how they went.
    pub const fn settled(&self) -> u64 {
        self.ready + self.failed
    }
}
