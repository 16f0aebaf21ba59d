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
    /// Canaries that did not come back in time.
    pub canary_misses: Counter,
    /// From a canary's departure until it was heard.
    pub round_trip: Histogram<Microseconds>,
    /// The last of them in microseconds (gauge).
    pub last_round_trip_us: Counter,
    /// The wall clock in milliseconds when anything was last heard from Redis; 0 if never (gauge).
    pub heard_ms: Counter,
    /// Troubles by [`Trouble`].
    pub troubles: [Counter; Trouble::ALL.len()],
    /// The trouble that there is, as its number and 1; 0 if there is none (gauge).
    pub trouble: Counter,
}

impl StoreMetrics {
    /// The trouble that there is.
    pub fn current_trouble(&self) -> Option<Trouble> {
        let number = usize::try_from(self.trouble.get()).ok()?.checked_sub(1)?;
        Trouble::ALL.get(number).map(|(trouble, _)| *trouble)
    }

    /// Whether everything is heard and commands are carried out.
    pub fn is_healthy(&self) -> bool {
        self.groups_up.get() == self.groups.get() && self.links_up.get() == self.links.get()
    }

    pub(super) fn note_trouble(&self, trouble: Trouble) {
        self.troubles[trouble as usize].increment();
        self.trouble.set(trouble as u64 + 1);
    }

    pub(super) fn end_trouble(&self) {
        self.trouble.set(0);
    }
}
