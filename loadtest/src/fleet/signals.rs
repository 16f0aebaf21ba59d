//! What a fleet thread shows of itself while it works: written by the thread alone, read by the scenario.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One thread's counters on a cache line pair of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Signals {
    ready: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    sent: AtomicU64,
    expected: AtomicU64,
    delivered: AtomicU64,
    has_published: AtomicBool,
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
    /// Messages sent.
    pub sent: u64,
    /// Messages that receivers should get for what was sent.
    pub expected: u64,
    /// Messages that receivers got, each counted once.
    pub delivered: u64,
    /// Threads that have sent their whole share of the schedule.
    pub published: u32,
}

impl Signals {
    /// Shows `totals`; `published` above 0 says that the whole share has been sent.
    pub(crate) fn show(&self, totals: &Totals) {
        self.ready.store(totals.ready, Ordering::Relaxed);
        self.failed.store(totals.failed, Ordering::Relaxed);
        self.dropped.store(totals.dropped, Ordering::Relaxed);
        self.sent.store(totals.sent, Ordering::Relaxed);
        self.expected.store(totals.expected, Ordering::Relaxed);
        self.delivered.store(totals.delivered, Ordering::Relaxed);
        // Whoever sees this also sees the final `sent` and `expected`.
        self.has_published.store(totals.published > 0, Ordering::Release);
    }

    /// What the thread showed last.
    pub(crate) fn totals(&self) -> Totals {
        let published = self.has_published.load(Ordering::Acquire).into();
        Totals {
            ready: self.ready.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            expected: self.expected.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
            published,
        }
    }
}

impl Totals {
    /// The sum of both.
    pub(crate) const fn plus(self, other: &Self) -> Self {
        Self {
            ready: self.ready + other.ready,
            failed: self.failed + other.failed,
            dropped: self.dropped + other.dropped,
            sent: self.sent + other.sent,
            expected: self.expected + other.expected,
            delivered: self.delivered + other.delivered,
            published: self.published + other.published,
        }
    }

    /// Connections that are ready at this moment.
    pub const fn open(&self) -> u64 {
        self.ready - self.dropped
    }

    /// Connections of which it is known how they went.
    pub const fn settled(&self) -> u64 {
        self.ready + self.failed
    }
}
