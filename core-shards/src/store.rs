//! What a core asks of the store that joins nodes, and what the store tells it. Values only: the shell speaks to Redis.
//!
//! Every request that has an answer is answered exactly once, with [`StoreEvent::Refused`] if nothing better: a core need
//! not watch the clock for it. Events of one partition come in the order in which the store carried things out.

use crate::cursor::RunId;
use crate::ids::{ChannelName, Epoch, MessageId, Offset, Partition, UserId};

/// Something that a core wants of the store. Requests are carried out in their order, for one partition.
#[derive(Debug)]
pub enum StoreRequest {
    /// Append a publication to its channel and tell every node. Answered by [`StoreEvent::Appended`].
    Append(Box<Append>),
    /// Hear of a channel's publications and signals from now on, and tell all that is kept of it. The first answer
    /// is [`StoreEvent::Opened`]; what is heard before it may be a part of it.
    Open(ChannelName),
    /// Hear of a channel no more. Not answered.
    Close(ChannelName),
    /// What followed on channels that are open. Answered by [`StoreEvent::CaughtUp`].
    CatchUp(Box<CatchUp>),
    /// Begin a new epoch of a partition, unless its epoch is another than this by now: the store has forgotten what it
    /// told. Not answered; the next [`StoreEvent::CaughtUp`] shows it.
    Renounce(Partition, Epoch),
    /// Tell something that is not kept. Not answered; lost if the store is away.
    Signal(Topic, Vec<u8>),
    /// Keep what another node needs to take up a session, for as long as the recovery window after this node was last
    /// heard of. Not answered, but refused if it was not done.
    ///
    /// A session that another node kept before has that node's name in its id: it is kept for the window after this
    /// request, which is repeated.
    KeepSession {
        /// The session's private id, which names the run and the core where the session began.
        pid: Box<str>,
        /// For whoever takes it.
        record: Vec<u8>,
        /// Comes back if it was not done.
        ticket: u64,
    },
    /// The session ended. Not answered.
    DropSession {
        /// The session's private id.
        pid: Box<str>,
    },
    /// Give the record of a session to this node and to nobody else after it. Answered by [`StoreEvent::Taken`].
    TakeSession {
        /// The session's private id, which names the run and the core that kept it.
        pid: Box<str>,
        /// Comes back with the answer.
        ticket: u64,
    },
    /// Keep where a user stopped reading channels, of each the first that is noted, until the life of an absence is over.
    /// Not answered, but refused if it was not done.
    NoteAbsences {
        /// The user.
        user: UserId,
        /// Channels, each with what whoever asks is to know.
        channels: Vec<(ChannelName, Vec<u8>)>,
    },
    /// Where did a user stop reading? Answered by [`StoreEvent::Absences`].
    AskAbsences {
        /// The user.
        user: UserId,
        /// Comes back with the answer.
        ticket: u64,
    },
    /// A user reads a channel again. Not answered.
    EndAbsence {
        /// The user.
        user: UserId,
        /// The channel.
        channel: ChannelName,
    },
    /// Say that this node lives, and ask who else does. Answered by [`StoreEvent::Leases`].
    Renew {
        /// Which of the node's generations lives.
        generation: u32,
        /// The node is leaving: its lease ends now.
        is_last: bool,
    },
}

/// A publication on its way into the store.
#[derive(Clone, Debug)]
pub struct Append {
    /// The channel.
    pub channel: ChannelName,
    /// Its partition.
    pub partition: Partition,
    /// The publication's id.
    pub id: MessageId,
    /// Its number among this run's appends to the partition, rising. Comes back with the answer; the store remembers the
    /// last one that was carried out of each run.
    pub number: u32,
    /// It was handed out to this node's members before.
    pub is_provisional: bool,
    /// It is carried out though a later one of the run was: the store refused it before that. Any other append that is
    /// not later than the last of its run, and the last one in any case, is one that a broken connection delivers late, and not
    /// carried out again; its place is not told.
    pub is_out_of_turn: bool,
    /// It takes an offset and is kept.
    pub is_kept: bool,
    /// A retry of the same publication has the same one, whichever node it comes to.
    pub idempotency: Option<Box<str>>,
    /// What the publication is, see [`protocol::relay::Message`].
    pub payload: Vec<u8>,
}

/// What a node knows of a partition, to be told what followed.
#[derive(Debug)]
pub struct CatchUp {
    /// The partition.
    pub partition: Partition,
    /// Comes back with the answer.
    pub ticket: u64,
    /// The number up to which the node has everything that was said to users.
    pub users_after: u64,
    /// Channels that are open.
    pub channels: Vec<Known>,
}

/// The position of a channel as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The channel.
    pub channel: ChannelName,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its last offset.
    pub offset: Offset,
    /// Its last timestamp, be it of what is kept or not.
    pub timestamp_ms: u64,
}

/// Where signals go to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Nodes that have the channel open.
    Channel(ChannelName),
    /// Every node: presence of users of the partition.
    Presence(Partition),
    /// Every node.
    Everybody,
    /// One node.
    Node(RunId),
}

/// What the store tells a core.
#[derive(Debug)]
pub enum StoreEvent {
    /// The partition's feed is heard again: everything that this core had open is open. What was told meanwhile is
    /// missing.
    Up(Partition),
    /// The partition's feed is not heard any more, and appends may not have been carried out.
    Down(Partition),
    /// A publication came over the feed.
    Fed(Box<Stored>),
    /// A signal came.
    Signal(Topic, Vec<u8>),
    /// An append was carried out, or the store knew it.
    Appended {
        /// The partition.
        partition: Partition,
        /// [`Append::number`].
        number: u32,
        /// Its place.
        place: StoredPlace,
        /// The id of the publication that the idempotency key belongs to, if it was known before.
        known_as: Option<MessageId>,
    },
    /// A channel is open.
    Opened(Box<Opened>),
    /// The answer to a [`CatchUp`].
    CaughtUp(Box<CaughtUp>),
    /// The record of a session, if there was one.
    Taken {
        /// The request's.
        ticket: u64,
        /// What was kept.
        record: Option<Vec<u8>>,
    },
    /// Where a user stopped reading.
    Absences {
        /// The request's.
        ticket: u64,
        /// What was noted, by channel.
        channels: Vec<(ChannelName, Vec<u8>)>,
    },
    /// Who lives.
    Leases {
        /// Whether this node's lease was still there, and of this generation.
        was_held: bool,
        /// Whether any lease was there: none at all means that the store has lost its memory.
        was_any: bool,
        /// Runs and their generations, this node's included.
        alive: Vec<(RunId, u32)>,
    },
    /// A request was not carried out, or nobody knows whether it was.
    Refused(Box<Refused>),
}

/// The place that the store gave to a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPlace {
    /// The partition's epoch.
    pub partition_epoch: Epoch,
    /// The number among the partition's publications (G).
    pub number: u64,
    /// The channel's epoch.
    pub epoch: Epoch,
    /// The number in the channel; 0 if it is not kept.
    pub offset: Offset,
    /// Milliseconds since the epoch, rising within the channel.
    pub timestamp_ms: u64,
}

/// A publication of the store.
#[derive(Debug)]
pub struct Stored {
    /// The channel.
    pub channel: ChannelName,
    /// Its partition.
    pub partition: Partition,
    /// Its place.
    pub place: StoredPlace,
    /// What it is, see [`protocol::relay::Message`].
    pub payload: Vec<u8>,
}

/// How far a partition has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The partition's epoch.
    pub epoch: Epoch,
    /// The last number that it gave out.
    pub number: u64,
}

/// All that is kept of a channel.
#[derive(Debug)]
pub struct Opened {
    /// The channel.
    pub channel: ChannelName,
    /// Its partition's head.
    pub head: Head,
    /// The channel's epoch.
    pub epoch: Epoch,
    /// Its last offset.
    pub offset: Offset,
    /// Its last timestamp; 0 if there was none.
    pub timestamp_ms: u64,
    /// The number in the partition of the last of its publications that took an offset; 0 if none is known.
    pub last_number: u64,
    /// What is kept, in order.
    pub tail: Vec<Stored>,
}

/// What followed on the channels of a partition.
#[derive(Debug)]
pub struct CaughtUp {
    /// The partition.
    pub partition: Partition,
    /// The request's.
    pub ticket: u64,
    /// The partition's head.
    pub head: Head,
    /// The number of the last append of this run that was carried out; 0 if the store knows of none. Every append of the
    /// run with a greater one was not.
    pub appended: u32,
    /// What was said to users since, or `None` if a part of it is kept no more.
    pub users: Option<Vec<Stored>>,
    /// The channels of the request whose epoch, offset or timestamp is another now. A channel that the store knows
    /// nothing of, or of a former epoch of the partition, has another epoch from here on.
    pub channels: Vec<Progress>,
}

/// What followed on a channel.
#[derive(Debug)]
pub struct Progress {
    /// The channel.
    pub channel: ChannelName,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its last offset.
    pub offset: Offset,
    /// What is kept of everything from the offset that was known on, that one included, so that it can be compared; or
    /// everything that is kept if the epoch is another or the offset less.
    pub tail: Vec<Stored>,
}

/// A request that came to nothing.
#[derive(Debug)]
pub struct Refused {
    /// Which one.
    pub request: Unanswered,
    /// Why.
    pub reason: StoreTrouble,
}

/// Which request came to nothing.
#[derive(Debug)]
pub enum Unanswered {
    /// [`StoreRequest::Append`]: the partition and [`Append::number`].
    Append(Partition, u32),
    /// [`StoreRequest::Open`]. The channel is not open.
    Open(ChannelName),
    /// [`StoreRequest::CatchUp`]: the partition and the ticket.
    CatchUp(Partition, u64),
    /// [`StoreRequest::KeepSession`]: the ticket.
    KeepSession(u64),
    /// [`StoreRequest::TakeSession`]: the ticket.
    TakeSession(u64),
    /// [`StoreRequest::NoteAbsences`]: the user.
    NoteAbsences(UserId),
    /// [`StoreRequest::AskAbsences`]: the ticket.
    AskAbsences(u64),
    /// [`StoreRequest::Renew`].
    Renew,
}

/// Why the store did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// There is no connection, or it broke before the answer: it may have been done.
    Away,
    /// The store said that it cannot for now (out of memory, read-only, loading): it was not done.
    Unable,
    /// Too much waits already: it was not done.
    Busy,
}
