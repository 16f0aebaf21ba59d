//! What an engine is told at start, the same for all cores.

use protocol::engine_io::sid::NodeName;
use protocol::http::cors::Cors;
use protocol::websocket;

/// What is spoken under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurfaceKind {
    /// Socket.IO over Engine.IO.
    SocketIo,
    /// Bare Engine.IO: messages go to the application as they are.
    EngineIo,
    /// A bare WebSocket that sends every message back; no Engine.IO at all.
    Echo,
}

/// A path and what is spoken there.
#[derive(Clone, Copy, Debug)]
pub struct Surface {
    /// The path, such as `/socket.io/`.
    pub path: &'static str,
    /// What is spoken.
    pub kind: SurfaceKind,
}

/// The settings of an engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What other nodes call this one, if they know of it.
    pub node: Option<NodeName>,
    /// The paths.
    pub surfaces: Vec<Surface>,
    /// Time between a pong and the next ping.
    pub ping_interval_ms: u32,
    /// How long a pong may take.
    pub ping_timeout_ms: u32,
    /// How long a session may be without a namespace.
    pub connect_timeout_ms: u32,
    /// The longest message from a client, and the longest polling body, in bytes.
    pub max_payload: u32,
    /// Bytes that may wait for one session before it is closed as a slow reader.
    pub queue_bytes_max: usize,
    /// Sessions of the whole node. Reached: handshakes are answered 503, and clients retry.
    pub sessions_max: usize,
    /// How long the node that is to go still takes connections, so that balancers learn that it is not ready.
    pub drain_delay_ms: u32,
    /// Over how long the node that goes sends its sessions away; 0 for all at once.
    pub drain_spread_ms: u32,
    /// Which pages may talk to us.
    pub cors: Cors,
    /// Whether a session's opening keeps the request's headers.
    pub keeps_headers: bool,
    /// How late handshakes are answered; a fixture's clients want to see `connecting` first.
    pub handshake_delay_ms: u32,
    /// Limits of [`SurfaceKind::Echo`].
    pub echo_limits: websocket::Limits,
    /// Whether `/debug/panic-*` may break things on purpose.
    pub allows_fault_injection: bool,
}

/// How long a client may take to send a request head or the next part of a body.
pub const REQUEST_TIMEOUT_MS: u64 = 5_000;
/// How long a connection may be kept without a request on it.
pub const KEEP_ALIVE_MS: u64 = 65_000;
/// How long an upgrade may take from its probe to its completion.
pub const UPGRADE_TIMEOUT_MS: u64 = 10_000;
/// How long a poll that arrives in the middle of an upgrade is held before it is answered with a noop.
pub const UPGRADE_HOLD_MS: u64 = 20;
/// How long the other side of a closed connection may take to close, too.
pub const LINGER_MS: u64 = 2_000;
/// How long a node that goes waits for what its application has not done yet.
pub const SETTLEMENT_MS: u64 = 2_000;
/// Keys of volatile frames that may wait for one session before it is closed as a slow reader.
pub const VOLATILE_KEYS_MAX: usize = 256;
/// Bytes of a `User-Agent` that an opening keeps. The rest is cut off.
pub const USER_AGENT_BYTES_MAX: usize = 256;
/// Packets in one polling response: clients in Python refuse more.
pub const POLL_RECORDS_MAX: usize = 16;
/// Bytes in the body of a request that is for no session here: anybody can send one, on as many connections as the
/// process has descriptors. More is answered 413.
pub const STRANGER_BODY_BYTES_MAX: usize = 16 * 1024;
/// Bytes that one core keeps of bodies and messages that have not arrived whole, for all of its connections together.
/// Reached: the request that wants more is answered 503, the session that wants more is closed with `PayloadTooLarge`.
pub const BODIES_BYTES_MAX: usize = 64 << 20;
/// Bytes of a message that a WebSocket may send before it has taken over its session: a probe needs six.
pub const PROBE_BYTES_MAX: usize = 64;
/// Requests of one core that may wait for an answer that comes later. One more is answered 503.
pub const ANSWERS_WAITING_MAX: usize = 4_096;
/// How long a request may wait for its answer before it is told 503: longer than a poll of the REST routes lasts.
pub const ANSWER_TIMEOUT_MS: u64 = 35_000;
/// Polling requests of one core that may wait for other nodes. One more is answered 503.
pub const FORWARDS_MAX: usize = 16_384;
/// Bytes of those requests together. More is answered 503.
pub const FORWARDED_BYTES_MAX: usize = 16 << 20;
/// Polling requests of other nodes that one core serves at the same time. One more is answered 503.
pub const SERVED_MAX: usize = 2 * FORWARDS_MAX;
/// How long another node may take to say anything about a request. Its client is told then that the session is unknown.
pub const FORWARD_TIMEOUT_MS: u64 = 3_000;
/// How long a poll for another node waits for packets before it is answered without any.
pub const FORWARD_HOLD_MS: u64 = 5_000;
/// Packets in one polling request.
pub const POST_RECORDS_MAX: usize = 10_000;
/// Sockets that are written before other work gets its turn.
pub const FLUSH_SOCKETS_MAX: usize = 512;
/// Bytes of frames that may be waiting for their sockets before everything is written without a pause.
pub const ARENA_BYTES_MAX: usize = 8 << 20;
/// WebSocket pings of one session that are answered, for as long as it likes. More close it with `TooManyPings`.
pub const PINGS_PER_SECOND_MAX: u64 = 50;
/// WebSocket pings of one session that are answered at once, however fast they come.
pub const PINGS_BURST_MAX: u64 = 100;
/// Reads from one socket before other work gets its turn.
pub const READS_PER_TURN_MAX: usize = 4;
/// Bytes handled on a core before its driver gets its turn, and with it the timers and whoever waits for them.
pub const SHARE_BYTES_MAX: usize = 256 * 1024;
/// What a connection or a request counts for at least, in bytes handled.
pub const REQUEST_SHARE_BYTES: usize = 4 * 1024;
/// Bytes of a core's shared read buffer.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Letters handled before other work gets its turn.
pub const LETTERS_PER_TURN_MAX: usize = 512;
/// Letters that one core may keep for mailboxes that are full, before it stops reading from its sockets.
pub const OUTBOX_LETTERS_MAX: usize = 4_096;
/// Cores that a polling request may be passed through to find its session.
pub const HOPS_MAX: u8 = 3;

impl Settings {
    /// Limits of WebSockets that carry Engine.IO.
    pub fn websocket_limits(&self) -> websocket::Limits {
        websocket::Limits {
            message_bytes_max: self.max_payload as usize,
            fragments_max: FRAGMENTS_MAX,
            deflate: false,
        }
    }

    /// Granularity of the engine's deadlines: fine enough for short ping timeouts, coarse enough that many
    /// heartbeats share one wake-up.
    pub fn tick_ms(&self) -> u64 {
        u64::from(self.ping_interval_ms.min(self.ping_timeout_ms) / 50).clamp(5, 100)
    }

    /// The surface under a path.
    pub fn surface(&self, path: &str) -> Option<usize> {
        self.surfaces.iter().position(|surface| surface.path == path)
    }
}

/// Fragments of one WebSocket message.
const FRAGMENTS_MAX: u32 = 64;
