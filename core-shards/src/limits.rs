//! Every bound of a core on one page. Each line says what happens when it is reached.

/// Bounds that are configuration. The constants below are those that are not.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Channels that one session may be in. Reached: the join is refused with `MAX_ROOMS_EXCEEDED`.
    pub channels_per_session_max: usize,
    /// Characters of a message's content. Over it: the message is refused with `PAYLOAD_TOO_LARGE`.
    pub message_chars_max: usize,
    /// What happens to a session whose token ends.
    pub expiry: Expiry,
}

/// What happens to a session whose token ends while it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The session stays: the token was for the handshake.
    Ignore,
    /// The session is told `TOKEN_EXPIRED`, and closed unless it refreshes within the grace time.
    Disconnect,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channels_per_session_max: 256, message_chars_max: 10_000, expiry: Expiry::Ignore }
    }
}

/// How long an expired session may go on while it fetches a new token, in milliseconds.
pub const EXPIRY_GRACE_MS: u64 = 60_000;

/// Deadlines of sessions that are gone that one core keeps beside two for each of its sessions. Reached: they are
/// swept out.
pub const DEADLINES_VOID_MAX: usize = 4_096;

/// Members listed by `channel:members` in a channel of up to this many; a larger one lists
/// [`MEMBERS_SAMPLED`] of them. The `total` field always tells the true number.
pub const MEMBERS_LISTED_MAX: usize = 1_000;

/// Members listed in a channel of more than [`MEMBERS_LISTED_MAX`].
pub const MEMBERS_SAMPLED: usize = 100;

/// How long a sender's retry of the same `clientMessageId` is recognised, in milliseconds.
pub const RECEIPT_LIFE_MS: u64 = 10 * 60_000;

/// Receipts that one core keeps. Reached: the oldest is forgotten early and
/// `realtime_receipts_evicted_total` counts it.
pub const RECEIPTS_MAX: usize = 262_144;

/// Retries that may wait for one message's first acknowledgement. Reached: the retry is refused with `SERVER_BUSY`.
pub const RETRIES_WAITING_MAX: usize = 8;

/// Letters that wait in one core's mailbox, per class of mail. Reached: senders keep their letters
/// and stop reading from their own sockets until there is room.
pub const MAILBOX_LETTERS_MAX: usize = 8_192;

/// Bytes that one receipt costs its core: the map entry and its place in the queue.
const RECEIPT_BYTES: usize = 194;

/// Bytes that one waiting letter costs, envelope only.
const LETTER_BYTES: usize = 64;

/// One line of the memory bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BillItem {
    /// What the memory is for.
    pub purpose: &'static str,
    /// The most that it can come to, in bytes, for one core.
    pub bytes: usize,
}

/// What one core's fixed bounds add up to when all are reached at once.
pub fn memory_bill() -> [BillItem; 2] {
    [
        BillItem { purpose: "receipts of sent messages", bytes: RECEIPTS_MAX * RECEIPT_BYTES },
        BillItem { purpose: "mailboxes", bytes: 2 * MAILBOX_LETTERS_MAX * LETTER_BYTES },
    ]
}
