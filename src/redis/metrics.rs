//! Counters of one core's way to Redis. The core writes them, the scrape of any core reads and sums them.

use core_shards::metrics::{Counter, Histogram, Microseconds};

use super::trouble::Trouble;

/// What happened on one core's way to Redis.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    /// Connections that carry out commands (gauge).
    pub links_up: Counter,
    /// Connections that there should be (gauge).
    pub links: Counter,
    /// Groups of topics that are heard (gauge).
    pub groups_up: Counter,
    /// Groups of topics (gauge).
    pub groups: Counter,
    /// Topics that are wanted, those of the canaries included (gauge).
    pub topics: Counter,
    /// Commands that were sent.
    pub commands: Counter,
    /// Commands that were refused because too much was under way.
    pub refused: Counter,
    /// Publishes without an answer that were dropped because too much was under way, or nobody was there.
    pub dropped: Counter,
    /// Commands under way (gauge).
    pub in_flight: Counter,
    /// Bytes of commands under way or not yet written (gauge).
    pub in_flight_bytes: Counter,
    /// Messages of topics that came.
    pub messages: Counter,
    /// Bytes that came.
    pub received_bytes: Counter,
    /// Bytes that were sent.
    pub sent_bytes: Counter,
    /// Writes: each carries all commands of a turn.
    pub writes: Counter,
    /// Attempts to connect.
    pub attempts: Counter,
    /// Connections that were up and were lost.
    pub losses: Counter,
    /// Commands of subscription that were sent.
    pub subscriptions: Counter,
    /// Connections given up because canaries were answered and not heard.
    pub canary_misses: Counter,
    /// Connections and attempts given up because nothing came.
    pub silences: Counter,
    /// From a canary's departure until it was heard.
    pub round_trip: Histogram<Microseconds>,
    /// The last of them in microseconds (gauge).
    pub last_round_trip_us: Counter,
    /// The wall clock in milliseconds when anything was last heard from Redis; 0 if never (gauge).
    pub heard_ms: Counter,
    /// Troubles by [`Trouble`].
    pub troubles: [Counter; Trouble::ALL.len()],
    /// The latest trouble as its number and 1; 0 once a connection was made after it (gauge).
    pub trouble: Counter,
    /// The wall clock in milliseconds when it was last met (gauge).
    pub trouble_ms: Counter,
}

/// How long a trouble counts that was met while there is a connection: commands are refused as long as it lasts.
const TROUBLE_LASTS_MS: u64 = 5_000;

impl StoreMetrics {
    /// The trouble that there is, by the wall clock.
    pub fn current_trouble(&self, now_ms: u64) -> Option<Trouble> {
        let number = usize::try_from(self.trouble.get()).ok()?.checked_sub(1)?;
        let is_over = self.is_up() && now_ms.saturating_sub(self.trouble_ms.get()) > TROUBLE_LASTS_MS;
        Trouble::ALL.get(number).filter(|_| !is_over).map(|(trouble, _)| *trouble)
    }

    /// Whether there are all connections that there should be, and all topics are heard.
    pub fn is_up(&self) -> bool {
        self.links.get() > 0
            && self.links_up.get() == self.links.get()
            && self.groups_up.get() == self.groups.get()
    }

    pub(super) fn note_trouble(&self, trouble: Trouble, now_ms: u64) {
        self.troubles[trouble as usize].increment();
        self.trouble.set(trouble as u64 + 1);
        self.trouble_ms.set(now_ms);
    }

    pub(super) fn end_trouble(&self) {
        self.trouble.set(0);
    }
}
