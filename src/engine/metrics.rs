//! Counters of one core's sockets and turns. One core writes, the scrape sums.

mod requests;

use core_shards::metrics::{Counter, Histogram, Microseconds};
use protocol::codes::CloseReason;

pub use requests::{METHODS, ROUTE_OTHER, ROUTE_SURFACE, ROUTES_MAX, RequestMetrics, STATUSES, route_of};

/// What bytes came and went over.
#[derive(Clone, Copy, Debug)]
pub enum Carrier {
    /// WebSockets.
    WebSocket,
    /// HTTP requests and their answers, polling and pages alike.
    Http,
}

impl Carrier {
    /// Every carrier with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 2] = [(Self::WebSocket, "websocket"), (Self::Http, "http")];
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
    /// More would have waited, or been kept, than may.
    Busy,
    /// The application did not answer in time.
    Unanswered,
    /// The node of the session did not answer.
    Unreachable,
}

impl Rejection {
    /// Every rejection with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Capacity, "limit"),
        (Self::Origin, "origin"),
        (Self::BadRequest, "bad_request"),
        (Self::Timeout, "timeout"),
        (Self::Descriptors, "fd"),
        (Self::Draining, "draining"),
        (Self::Busy, "busy"),
        (Self::Unanswered, "unanswered"),
        (Self::Unreachable, "unreachable"),
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
    /// HTTP requests.
    pub requests: RequestMetrics,
    /// Polling requests that another node was asked to answer.
    pub forwarded: Counter,
    /// Polling requests that were answered for other nodes.
    pub served: Counter,
    /// Bytes read from clients, by [`Carrier`].
    pub bytes_in: [Counter; Carrier::ALL.len()],
    /// Bytes written to clients, by [`Carrier`].
    pub bytes_out: [Counter; Carrier::ALL.len()],
    /// Write calls for sessions.
    pub writes: Counter,
    /// Write calls that the socket did not take whole.
    pub blocked_writes: Counter,
    /// Frames that were replaced by later ones before their slow readers took them.
    pub coalesced: Counter,
    /// Bytes that wait for clients that do not read (gauge).
    pub queued_bytes: Counter,
    /// Bytes of requests and messages that have not arrived whole (gauge).
    pub half_received_bytes: Counter,
    /// Inputs handled.
    pub turns: Counter,
    /// Letters that had to wait for a full mailbox.
    pub delayed_letters: Counter,
    /// Connection tasks that panicked.
    pub panics: Counter,
    /// From a message's arrival at the node to the end of the turn that wrote it to a core's sockets.
    pub latency: Histogram<Microseconds>,
    /// From a ping to its pong.
    pub round_trip: Histogram<Microseconds>,
    /// By how much the core's clock woke later than it wanted to.
    pub lag: Histogram<Microseconds>,
    /// Processor time that the core's thread has used, in microseconds.
    pub busy_us: Counter,
    /// Time for which the thread could have run and no processor was free for it, in microseconds.
    pub delayed_us: Counter,
    /// How much of the last second, in thousandths, the thread was busy (gauge).
    pub busy_permille: Counter,
    /// Tasks of connections (gauge).
    pub tasks: Counter,
    /// Deadlines on the core's wheel (gauge).
    pub deadlines: Counter,
    /// Letters that wait for full mailboxes (gauge).
    pub unsent_letters: Counter,
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
    fn carriers_stand_in_the_order_of_their_numbers() {
        for (number, (carrier, label)) in Carrier::ALL.into_iter().enumerate() {
            assert_eq!(carrier as usize, number, "{label}");
        }
    }
}
