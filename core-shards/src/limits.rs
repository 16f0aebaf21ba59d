//! Every bound of a core on one page. Each line says what happens when it is reached. Those that follow from the memory
//! that a core has are in `memory`.

use std::sync::Arc;

use crate::access::AccessRules;

mod memory;

#[cfg(test)]
pub(crate) use memory::{
    ACCESS_ANSWER_BYTES, APPEND_BYTES, DETACHED_BYTES, HOME_BYTES, JOURNAL_ENTRY_BYTES, RELATION_BYTES,
    REMOTE_BYTES, VENUE_BYTES,
};
pub use memory::{BillItem, MemoryBounds};

/// Bounds and choices that are configuration. The constants below are the bounds that are not.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Channels that one session may be in. Reached: the join is refused with `MAX_ROOMS_EXCEEDED`.
    pub channels_per_session_max: usize,
    /// Characters of a message's content. Over it: the message is refused with `PAYLOAD_TOO_LARGE`.
    pub message_chars_max: usize,
    /// Sessions that one user may have; 0 for any number. Reached: the next one is not let in.
    pub connections_per_user_max: usize,
    /// What happens to a session whose token ends.
    pub expiry: Expiry,
    /// How long a session may be silent before it counts as lost: a ping's interval and the time for its pong.
    pub session_timeout_ms: u64,
    /// Whether there is presence.
    pub presence_enabled: bool,
    /// How long a user without a live session still counts as present.
    pub presence_grace_ms: u64,
    /// How often nodes make sure that they know the same of each other's users.
    pub presence_sync_ms: u64,
    /// Whether there are typing indicators.
    pub typing_enabled: bool,
    /// How long somebody types who says nothing more about it.
    pub typing_timeout_ms: u64,
    /// Repeats within this time are not passed on. Less than the timeout.
    pub typing_debounce_ms: u64,
    /// What one user may do in a time.
    pub rate: RateLimits,
    /// Messages that one channel keeps; 0 for none. Reached: the oldest goes.
    pub history_size_max: usize,
    /// How long a channel keeps a message.
    pub history_life_ms: u64,
    /// How long a lost session can be taken up again; 0 for not at all.
    pub recovery_window_ms: u64,
    /// For whom lost sessions are kept.
    pub recovery: Recovery,
    /// How long the positions of an absent user are kept, so that what was missed can be told; 0 for not at all.
    pub offline_life_ms: u64,
    /// The dialect of sessions that did not say which they speak.
    pub dialect: DefaultDialect,
    /// Whether clients may have events of their own passed on (`dispatch`).
    pub relays_dispatch: bool,
    /// Events of clients that the node does not know and passes on to the channel that they name.
    pub relay_events: Arc<[Box<str>]>,
    /// Whether everybody in a channel is told who comes and goes, not only those who speak the legacy dialect.
    pub tells_joins: bool,
    /// Whether a message to a channel that its sender is not in is taken, if the sender may join.
    pub joins_implicitly: bool,
    /// Who may join what.
    pub access: Arc<AccessRules>,
    /// How much one core remembers.
    pub memory: MemoryBounds,
}

/// What happens to a session whose token ends while it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The session stays: the token was for the handshake.
    Ignore,
    /// The session is told `TOKEN_EXPIRED`, and closed unless it refreshes within the grace time.
    Disconnect,
}

/// How many events of one class a user may send in a time that begins with the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Whether anything is limited.
    pub is_enabled: bool,
    /// Events in a window.
    pub points: u32,
    /// The window in milliseconds.
    pub window_ms: u64,
}

/// For whom lost sessions are kept, so that they can be taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// For clients that are not known to stumble over the extra argument that it puts behind every event.
    Auto,
    /// For everybody who does not say otherwise.
    On,
    /// For nobody.
    Off,
}

impl Recovery {
    /// Every choice with its name in the configuration.
    pub const ALL: [(Self, &'static str); 3] = [(Self::Auto, "auto"), (Self::On, "on"), (Self::Off, "off")];
}

/// The dialect of a session that did not say which it speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultDialect {
    /// Found out from the first room event; primary until then.
    #[default]
    Auto,
    /// The specified names.
    Primary,
    /// The former server's names.
    Legacy,
    /// The specified names, and those of clients that mix both.
    Hybrid,
}

impl DefaultDialect {
    /// Reads a name as configurations and handshakes write it; none if there is no such dialect.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "primary" => Some(Self::Primary),
            "legacy" => Some(Self::Legacy),
            "both" | "socket" => Some(Self::Hybrid),
            _ => None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels_per_session_max: 256,
            message_chars_max: 10_000,
            connections_per_user_max: 0,
            expiry: Expiry::Ignore,
            session_timeout_ms: 30_000,
            presence_enabled: true,
            presence_grace_ms: 30_000,
            presence_sync_ms: 10_000,
            typing_enabled: true,
            typing_timeout_ms: 3_000,
            typing_debounce_ms: 300,
            rate: RateLimits { is_enabled: true, points: 100, window_ms: 60_000 },
            history_size_max: 1_000,
            history_life_ms: 300_000,
            recovery_window_ms: 120_000,
            recovery: Recovery::Auto,
            offline_life_ms: 300_000,
            dialect: DefaultDialect::Auto,
            relays_dispatch: false,
            relay_events: Arc::from([]),
            tells_joins: false,
            joins_implicitly: false,
            access: Arc::default(),
            memory: MemoryBounds::default(),
        }
    }
}

impl Limits {
    /// Whether cores keep what they handed out, so that lost sessions can be taken up again.
    pub fn keeps_journal(&self) -> bool {
        self.recovery_window_ms > 0 && self.recovery != Recovery::Off
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

/// Members of a channel up to whose number each is told at once who comes and goes. In a larger one presence comes in
/// batches: one frame a second at most, with 200 users in each, and `user:joined` and `user:left` are not sent.
pub const MEMBERS_TOLD_MAX: usize = 500;

/// Changes of presence not older than this are told again in the first batch of a channel that has grown, so that none
/// falls between what the cores told last and the home tells first, in milliseconds.
pub const GROWN_OVERLAP_MS: u64 = 2_000;

/// Changes of presence that one core keeps for those who cannot be told yet. Reached: the oldest is forgotten, and a
/// list of members or a resumed session may be out of date in it until the user's next change.
pub const TIDINGS_MAX: usize = 4_096;

/// Channels that those changes may name together. Reached: the oldest are forgotten likewise.
pub const TIDINGS_CHANNELS_MAX: usize = 65_536;

/// How long changes of presence are kept at least, in milliseconds: longer than a letter between cores takes.
pub const TIDINGS_LIFE_MS: u64 = 10_000;

/// Revocations that one core tells other nodes again when one of them comes back. Reached: the oldest is not told again.
pub const REVOCATIONS_TOLD_MAX: usize = 1_024;

/// Dead runs of other nodes that one core remembers, so that nothing late of them counts. Reached: the first is forgotten.
pub const DEAD_RUNS_MAX: usize = 1_024;

/// Users that one session follows. Reached: `presence:subscribe` is refused with `VALIDATION_ERROR`.
pub const FOLLOWED_MAX: usize = 2_000;

/// Former members that one channel remembers as offline. Reached: the longest gone is forgotten.
pub const SEEN_MAX: usize = 1_000;

/// How long a channel remembers a former member, in milliseconds.
pub const SEEN_LIFE_MS: u64 = 24 * 3_600_000;

/// Entries for lost sessions that are not kept any more in the order of losses, beside two for each that is. Reached: they
/// are swept out.
pub const LOSSES_VOID_MAX: usize = 1_024;

/// Places in the queue of deserted channels that mean nothing any more, beside one for each channel that is. Reached: they
/// are swept out.
pub const DESERTED_VOID_MAX: usize = 16_384;

/// Bytes of one channel's history. Reached: the oldest publications fall out.
pub const HISTORY_BYTES_MAX: usize = 4 << 20;

/// Requests that wait for one channel's next message. Reached: the next is refused with `SERVER_BUSY`.
pub const POLLERS_MAX: usize = 256;

/// Lost sessions of one user that are kept. Reached: the oldest is given up.
pub const DETACHED_PER_USER_MAX: usize = 16;

/// Channels of which is remembered where an absent user stopped reading. Reached: further ones are not remembered.
pub const ABSENCES_MAX: usize = 1_024;

/// Bytes that one session is replayed when it is taken up again. Over it: the session is not, and the client is told
/// `recovered: false` by a new one.
pub const REPLAY_BYTES_MAX: usize = 4 << 20;

/// How long a sender's retry of the same `clientMessageId` is recognised, in milliseconds.
pub const RECEIPT_LIFE_MS: u64 = 10 * 60_000;

/// Retries that may wait for one message's first acknowledgement. Reached: the retry is refused with `SERVER_BUSY`.
pub const RETRIES_WAITING_MAX: usize = 8;

/// Questions to the permission webhook that one core waits for. Reached: who asks is refused with `SERVER_BUSY`.
pub const ACCESS_QUESTIONS_MAX: usize = 1_024;

/// Requests that may wait for the same answer. Reached: who asks, too, is refused with `SERVER_BUSY`.
pub const ACCESS_WAITERS_MAX: usize = 256;

/// Memberships of one core that are looked at again later, because too many questions to the permission webhook wait.
/// Reached: further ones end.
pub const RECHECKS_MAX: usize = 65_536;

/// Newcomers of one core whose CONNECT waits for the store, or for what their channels tell of the time when they were
/// on another node. Reached: the next one gets a new session at once.
pub const RESTORING_MAX: usize = 4_096;

/// Users that are gone and of whom a core that shares a store still knows something, beside two for each that is not.
/// Reached: they are swept out.
pub const OWNERS_VOID_MAX: usize = 1_024;

/// Records of sessions that one core asks the store to keep in one turn. Reached: the rest waits for the next step.
pub const RECORDS_PER_TURN_MAX: usize = 512;

/// How long records wait that were refused or change often, in milliseconds.
pub const RECORDS_STEP_MS: u64 = 1_000;

/// Publications of one core that wait for the store which nodes share, where memory is no question:
/// [`MemoryBounds::appends_max`].
pub const APPENDS_WAITING_MAX: usize = 65_536;

/// Bytes of their bodies and attachments, likewise: [`MemoryBounds::appends_bytes_max`].
pub const APPENDS_BYTES_MAX: usize = 32 << 20;

/// Those of one partition that are on their way to the store at once. Reached: the others wait their turn.
pub const APPENDS_IN_FLIGHT_MAX: usize = 4_096;

/// Letters of one core that wait for the past of channels. Reached: the channel goes on without, and its members are told
/// when it is known.
pub const LETTERS_WAITING_MAX: usize = 8_192;

/// How long the store tells of a channel that nobody is in, in milliseconds; at most twice as long.
pub const LINGER_MS: u64 = 10_000;

/// How long the store is left alone after it refused something, in milliseconds.
pub const STORE_RETRY_MS: u64 = 1_000;

/// Publications of a partition that are recognised when they come again, because the store has forgotten them. As many as
/// four nodes have on their way at most. Reached: the oldest is not.
pub const LATEST_MAX: usize = 4 * APPENDS_IN_FLIGHT_MAX;

/// How old a publication of a channel's past may be to be recognised like those, in milliseconds: as long as it takes a client
/// to notice that its connection is lost, and to say at another node what nobody has acknowledged.
pub const LATEST_LIFE_MS: u64 = 60_000;

/// Former epochs of a partition that are recognised when a store comes back that has forgotten the later ones.
pub const FORMER_EPOCHS_MAX: usize = 32;

/// Letters that wait in one core's mailbox, per class of mail. Reached: senders keep their letters
/// and stop reading from their own sockets until there is room.
pub const MAILBOX_LETTERS_MAX: usize = 8_192;
