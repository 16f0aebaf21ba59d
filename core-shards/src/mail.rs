//! What cores write to each other. Lanes are first in, first out per sender and class, and that is all the
//! order that the rest of the crate relies on.

mod calls;
mod elsewhere;
mod presence;

use std::sync::Arc;

use protocol::chat::dialect::Spelling;
use protocol::chat::event::Kind;

use crate::access::{self, Verdict};
use crate::ids::{
    ChannelName, Epoch, Fingerprint, GatheringTicket, Lane, MessageId, Offset, Partition, RoomId, SessionId,
    UserId,
};
use crate::publication::{FormKey, Note, Publication};
use crate::store::StoreTrouble;

pub use calls::{Answer, Broadcast, Call, CallId, Caller, Deed, Outcome, PartId, Query, Question, Quota};
pub use elsewhere::{Elsewhere, LaneKey, Passage, Refresh, Step, Tales};
pub use presence::{Asked, PresenceChange, PresenceReport, Standpoint};

/// A letter from one core to another, or to itself.
#[derive(Debug)]
pub enum Mail {
    /// To the channel's home: a session wants to be a member.
    Join(Box<Join>),
    /// To the channel's home: a session is no longer a member.
    Leave(Box<Leave>),
    /// To the channel's home: a member is reached in another form.
    Restyle(Box<Restyle>),
    /// To the channel's home: an event wants its place.
    Publish(Box<Publish>),
    /// To the channel's home: somebody types, or stopped.
    Typing(Box<Typing>),
    /// To every core: a user's presence changed.
    Presence(Arc<PresenceChange>),
    /// To users' home: how are they?
    AskPresence(Box<Asked>),
    /// The answer to it. A request only because it must not overtake the changes that follow it.
    PresenceReport(Box<PresenceReport>),
    /// To a user's home: a back end asks something in a user's name.
    Call(Box<Call>),
    /// To the core that knows whether it has been seen before: a back end's event.
    Broadcast(PartId, Box<Broadcast>),
    /// To a channel's home: what is in it?
    Query(Box<Query>),
    /// To every core: rights changed.
    Revoke(Arc<Revocation>),
    /// To whichever core it concerns: what other nodes told, or are to be told.
    Elsewhere(Box<Elsewhere>),
    /// To the core that asked, from outside of the cores: what the permission webhook says.
    Verdict(Box<access::Question>, Verdict),
    /// To the core that keeps the session of a private id: another node has taken it up.
    Evict(Box<str>),

    /// To the member's core: it is a member from this position on.
    Joined(Box<Joined>),
    /// To a watching core: one publication for all of its members.
    Deliver(Deliver),
    /// To the core of a user: what was said to the user's own room, for the sessions that are not in it.
    Own(Arc<Publication>),
    /// To a watching core: something is missing, and nobody can tell what.
    Gap(Box<Gap>),
    /// To every core: something that was said to users of this partition is missing.
    UsersGap(Partition),
    /// To every core: the positions of a lane begin anew.
    LaneBegun(Lane, Epoch),
    /// To a watching core: one volatile event for its members.
    Notice(Notice),
    /// To a watching core: from now on presence comes in batches from the home.
    Grown(RoomId),
    /// To the sender's core: the publication has its place, or was refused.
    Published(Box<Published>),
    /// To the core where a broadcast came in: to how many sessions a part of it was sent; none if some channel did not take
    /// it.
    BroadcastDone(GatheringTicket, Option<u32>),
    /// To the core where a question came in.
    Answer(Box<Answer>),
}

/// The two classes of mail. Requests beget mail; of results, only the end of a publication does: an answer to each call
/// that waited for it, and answers beget nothing. So a core always takes results, results always drain, and a core that
/// waits for room to answer requests never waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailClass {
    /// Handled only while there is room for what it leads to.
    Request,
    /// Always handled.
    Result,
}

impl Mail {
    /// Which lane the letter travels in.
    pub fn class(&self) -> MailClass {
        match self {
            Self::Join(_)
            | Self::Leave(_)
            | Self::Restyle(_)
            | Self::Publish(_)
            | Self::Typing(_)
            | Self::Presence(_)
            | Self::AskPresence(_)
            | Self::PresenceReport(_)
            | Self::Call(_)
            | Self::Broadcast(..)
            | Self::Query(_)
            | Self::Revoke(_)
            | Self::Elsewhere(_)
            | Self::Verdict(..)
            | Self::Evict(_) => MailClass::Request,
            Self::Joined(_)
            | Self::Deliver(_)
            | Self::Own(_)
            | Self::Gap(_)
            | Self::UsersGap(_)
            | Self::LaneBegun(..)
            | Self::Notice(_)
            | Self::Grown(_)
            | Self::Published(_)
            | Self::BroadcastDone(..)
            | Self::Answer(_) => MailClass::Result,
        }
    }
}

/// Where the answer to a session's request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The session that asked.
    pub session: SessionId,
    /// Its acknowledgement id, if it wants one.
    pub ack: Option<u64>,
}

/// A place in a channel's history from which somebody wants what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// After this offset of this epoch.
    Position(Epoch, Offset),
    /// After this offset of this epoch, and whatever is later than this instant besides.
    Heard(Epoch, Offset, u64),
    /// After this instant, in milliseconds since the epoch.
    Time(u64),
    /// After the message of this id.
    Message(Box<str>),
    /// After a position of an epoch that this node cannot have made.
    Foreign,
}

/// What a joining session wants to be told of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Past {
    /// Nothing.
    None,
    /// It asked itself: the answer goes into the reply.
    Asked(Since),
    /// It was away: what it missed follows the reply.
    Missed(Since),
    /// It was on another node, and has everything of the channel's lane up to a position.
    Resumed {
        /// The position, see [`Publication::seq`].
        after_seq: u64,
    },
}

/// How a join is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinManner {
    /// How the session wrote the name.
    pub spelling: Spelling,
    /// It came as `room:join`.
    pub by_room_name: bool,
}

/// A session wants to be a member of a channel.
#[derive(Debug)]
pub struct Join {
    /// The channel.
    pub channel: ChannelName,
    /// Where the asking core wants its deliveries.
    pub room: RoomId,
    /// The session's user.
    pub user: UserId,
    /// The user's display name.
    pub name: Option<Arc<str>>,
    /// How others see the user.
    pub standpoint: Standpoint,
    /// The form in which the session is reached.
    pub form: FormKey,
    /// Who asked.
    pub reply: Reply,
    /// How it is answered.
    pub manner: JoinManner,
    /// What it wants to be told of the past.
    pub past: Past,
    /// Which of the session's joins this is; an answer to an older one is void.
    pub ticket: u32,
    /// The session is a member already and only wants the answer again.
    pub is_repeat: bool,
}

/// A session is no longer a member of a channel.
#[derive(Debug)]
pub struct Leave {
    /// The channel.
    pub channel: ChannelName,
    /// The session's user.
    pub user: UserId,
    /// The form in which the session was reached.
    pub form: FormKey,
    /// The connection was lost, as opposed to the user having left.
    pub was_lost: bool,
}

/// A member is reached in another form, because it uses another spelling.
#[derive(Debug)]
pub struct Restyle {
    /// The channel.
    pub channel: ChannelName,
    /// The form until now.
    pub from: FormKey,
    /// The form from now on.
    pub to: FormKey,
}

/// Who wants to know what became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A member's session.
    Session(Reply),
    /// A back end.
    Call(CallId),
    /// A back end's broadcast, which waits for all of its channels.
    Broadcast(GatheringTicket),
}

/// An event on its way to its place.
#[derive(Debug)]
pub struct Publish {
    /// The channel.
    pub channel: ChannelName,
    /// What it is.
    pub kind: Kind,
    /// Who sent it.
    pub user: UserId,
    /// Who wants to know.
    pub sender: Sender,
    /// The sender's id of the message, for the acknowledgement.
    pub client_message_id: Option<Box<str>>,
    /// Under which the sender's core keeps the receipt.
    pub fingerprint: Option<Fingerprint>,
    /// Fields of the event's object, see [`Publication::body`].
    pub body: Vec<u8>,
    /// Binary attachments.
    pub attachments: Vec<Vec<u8>>,
    /// When the sender's core received it, in monotonic microseconds.
    pub received_us: u64,
}

/// Somebody types in a channel, or stopped.
#[derive(Debug)]
pub struct Typing {
    /// The channel.
    pub channel: ChannelName,
    /// Who.
    pub user: UserId,
    /// Display name.
    pub name: Option<Arc<str>>,
    /// The session that says so, and does not want to hear it.
    pub session: Option<SessionId>,
    /// What happened.
    pub turn: TypingTurn,
}

/// What happened to somebody's typing.
#[derive(Debug)]
pub enum TypingTurn {
    /// It goes on, in this thread.
    Start {
        /// The thread.
        thread: Option<Box<str>>,
        /// What kind of room the client says that it is.
        room_type: Option<&'static str>,
    },
    /// It ended, in this thread.
    Stop {
        /// The thread.
        thread: Option<Box<str>>,
    },
    /// It ended in all threads: the session left.
    StopAll,
}

/// Rights of a user, in a channel, or of everybody everywhere, have to be looked at again.
#[derive(Debug)]
pub struct Revocation {
    /// The user, or everybody.
    pub user: Option<UserId>,
    /// The channel, or every channel.
    pub channel: Option<ChannelName>,
}

/// A session became a member.
#[derive(Debug)]
pub struct Joined {
    /// The room that asked.
    pub room: RoomId,
    /// Who asked.
    pub reply: Reply,
    /// How it is answered.
    pub manner: JoinManner,
    /// Which join is answered.
    pub ticket: u32,
    /// Users in the channel, the new one included.
    pub member_count: u32,
    /// The JSON array for `channel:members`.
    pub members: Vec<u8>,
    /// The number of the last change of presence from each core that the list knows.
    pub heard: Box<[u64]>,
    /// The channel's epoch.
    pub epoch: Epoch,
    /// The last offset before the membership: what follows is delivered.
    pub offset: Offset,
    /// The position in the channel's lane before the membership: what is delivered has a greater one.
    pub seq: u64,
    /// What was asked of the past.
    pub past: Replay,
    /// Presence of the channel comes in batches.
    pub is_big: bool,
}

/// A piece of a channel's history.
#[derive(Debug, Default)]
pub struct Replay {
    /// What it is for.
    pub purpose: ReplayPurpose,
    /// Whether what follows is all of the answer.
    pub is_complete: bool,
    /// What followed the position, in order.
    pub publications: Vec<Arc<Publication>>,
    /// How many publications fell out of the history, as far as that can be known.
    pub lost: u64,
}

/// Why a session is told of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayPurpose {
    /// It is not.
    #[default]
    Nothing,
    /// It asked: the reply holds all that followed, or an honest no.
    Answer,
    /// Its user was away: what there is follows the reply.
    Missed,
    /// It was on another node: all that followed, or nothing.
    Resumed,
}

/// One publication for all members on one core.
#[derive(Debug)]
pub struct Deliver {
    /// The room on the receiving core.
    pub room: RoomId,
    /// The publication, shared between the cores.
    pub publication: Arc<Publication>,
}

/// What members have of a channel has a gap, and they are told so.
#[derive(Clone, Debug)]
pub struct Gap {
    /// The room on the receiving core.
    pub room: RoomId,
    /// Why.
    pub reason: GapReason,
    /// The channel's epoch from here on.
    pub epoch: Epoch,
    /// What follows this offset is delivered.
    pub offset: Offset,
    /// The lane of the channel.
    pub lane: Lane,
    /// The last position in it before what is delivered from here on.
    pub seq: u64,
}

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// What was published is not kept any more.
    Trimmed,
    /// The store has lost its memory, or a part of it.
    Epoch,
}

/// One volatile event for members on one core.
#[derive(Debug)]
pub struct Notice {
    /// The room on the receiving core.
    pub room: RoomId,
    /// The event, shared between the cores.
    pub note: Arc<Note>,
    /// A session of the receiving core that does not get it.
    pub except: Option<SessionId>,
}

/// The end of a publish.
#[derive(Debug)]
pub struct Published {
    /// The channel.
    pub channel: ChannelName,
    /// What it was.
    pub kind: Kind,
    /// Who wants to know.
    pub sender: Sender,
    /// The sender's id of the message.
    pub client_message_id: Option<Box<str>>,
    /// Under which the sender's core keeps the receipt.
    pub fingerprint: Option<Fingerprint>,
    /// The place; `None` if the channel had no such member, or for the trouble that there was.
    pub receipt: Option<Receipt>,
    /// Why the store that nodes share did not take it.
    pub trouble: Option<StoreTrouble>,
    /// The publication, for a back end that wants to see it.
    pub publication: Option<Arc<Publication>>,
    /// How many sessions it was sent to.
    pub recipient_count: u32,
}

/// What a sender is told of an accepted publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The publication's id.
    pub id: MessageId,
    /// Its number in the channel; 0 if the history does not keep it.
    pub offset: Offset,
    /// Its time, in milliseconds since the epoch.
    pub timestamp_ms: u64,
}

impl Receipt {
    /// Of something that has no place.
    pub const NONE: Self = Self { id: MessageId::ZERO, offset: Offset(0), timestamp_ms: 0 };
}
