//! Counters of one core's sockets and turns. One core writes, the scrape sums.

use core_shards::metrics::Counter;
use protocol::codes::CloseReason;

/// Upper bounds of the latency histogram's buckets, in microseconds.
pub const LATENCY_BOUNDS_US: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// Counts by upper bound; the last bucket has none.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; LATENCY_BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl Histogram {
    /// Counts one observation.
    pub fn observe(&self, microseconds: u64) {
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < microseconds);
        self.buckets[bucket].increment();
        self.sum_us.add(microseconds);
    }

    /// The counts, not cumulated, and the sum in microseconds.
    pub fn snapshot(&self) -> ([u64; LATENCY_BOUNDS_US.len() + 1], u64) {
        (std::array::from_fn(|bucket| self.buckets[bucket].get()), self.sum_us.get())
    }
}

/// Why a connection or a request was turned away before it had a session.
#[derive(Clone, Copy, Debug)]
pub enum Rejection {
    /// The node holds as many sessions as it may.
    Capacity,
    /// The page's origin is not allowed.
    Origin,
    /// The request head or body was not HTTP as we accept it, or over a bound.
    BadRequest,
    /// The client took too long.
    Timeout,
    /// The process is out of file descriptors.
    Descriptors,
    /// The node is going down.
    Draining,
}

impl Rejection {
    /// Every rejection with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Capacity, "limit"),
        (Self::Origin, "origin"),
        (Self::BadRequest, "bad_request"),
        (Self::Timeout, "timeout"),
        (Self::Descriptors, "fd"),
        (Self::Draining, "draining"),
    ];
}

/// What happened on one core's sockets.
#[derive(Debug, Default)]
pub struct EngineMetrics {
    /// Open sessions over WebSocket (gauge).
    pub websockets: Counter,
    /// Open sessions over polling (gauge).
    pub pollings: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Sessions opened.
    pub opened: Counter,
    /// Sessions handed to another core.
    pub moved: Counter,
    /// Sessions ended, by reason.
    pub closed: [Counter; CloseReason::ALL.len()],
    /// Turned away, by [`Rejection`].
    pub rejected: [Counter; Rejection::ALL.len()],
    /// HTTP requests answered.
    pub requests: Counter,
    /// Bytes read from clients.
    pub bytes_in: Counter,
    /// Bytes written to sessions.
    pub bytes_out: Counter,
    /// Write calls for sessions.
    pub writes: Counter,
    /// Write calls that the socket did not take whole.
    pub blocked_writes: Counter,
    /// Bytes that wait for clients that do not read (gauge).
    pub queued_bytes: Counter,
    /// Inputs handled.
    pub turns: Counter,
    /// Letters that had to wait for a full mailbox.
    pub delayed_letters: Counter,
    /// Connection tasks that panicked.
    pub panics: Counter,
    /// From a message's arrival at the node to the end of the turn that wrote it to a core's sockets.
    pub latency: Histogram,
}

impl EngineMetrics {
    /// Counts a rejection.
    pub fn reject(&self, rejection: Rejection) {
        self.rejected[rejection as usize].increment();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_stand_in_the_order_of_their_numbers() {
        for (number, (rejection, label)) in Rejection::ALL.into_iter().enumerate() {
            assert_eq!(rejection as usize, number, "{label}");
        }
    }

    #[test]
    fn an_observation_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for microseconds in [0, 50, 51, 5_000_000, 5_000_001] {
            histogram.observe(microseconds);
        }
        let (buckets, sum) = histogram.snapshot();
        assert_eq!((buckets[0], buckets[1], buckets[13], buckets[14]), (2, 1, 1, 1));
        assert_eq!(sum, 10_000_102);
    }
}
