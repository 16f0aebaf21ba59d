//! What cores write to each other. Lanes are first in, first out per sender, and that is all the
//! order that the rest of the crate relies on.

use std::sync::Arc;

use crate::ids::{ChannelName, Epoch, MessageId, Offset, RoomId, SessionId, UserId};

/// A letter from one core to another, or to itself.
#[derive(Debug)]
pub enum Mail {
    /// To the channel's home: a session wants to be a member.
    Join(Box<Join>),
    /// To the channel's home: a session is no longer a member.
    Leave(Box<Leave>),
    /// To the channel's home: a message wants its offset.
    Publish(Box<Publish>),
    /// To the member's core: it is a member from this position on.
    Joined(Box<Joined>),
    /// To a watching core: one message for all of its members.
    Deliver(Deliver),
    /// To the sender's core: the message has its offset, or was refused.
    Published(Box<Published>),
}

/// The two classes of mail. Requests beget mail, results do not: a core always takes
/// results, so results always drain, so a core that waits for room to answer requests never waits for ever.
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
            Self::Join(_) | Self::Leave(_) | Self::Publish(_) => MailClass::Request,
            Self::Joined(_) | Self::Deliver(_) | Self::Published(_) => MailClass::Result,
        }
    }
}

/// Where the answer to a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// The session that asked.
    pub session: SessionId,
    /// Its acknowledgement id, if it wants one.
    pub ack: Option<u64>,
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
    /// Who asked.
    pub reply: Reply,
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
}

/// A message on its way to its offset.
#[derive(Debug)]
pub struct Publish {
    /// The channel.
    pub channel: ChannelName,
    /// Who sent it.
    pub reply: Reply,
    /// The sender's id of the message, for the acknowledgement.
    pub client_message_id: Option<Box<str>>,
    /// Under which the sender's core keeps the receipt.
    pub fingerprint: Option<u128>,
    /// What [`protocol::chat::event::push_message_body`] wrote.
    pub body: Vec<u8>,
    /// Binary attachments.
    pub attachments: Vec<Vec<u8>>,
    /// When the sender's core received it, in monotonic microseconds.
    pub received_us: u64,
}

/// A session became a member.
#[derive(Debug)]
pub struct Joined {
    /// The room that asked.
    pub room: RoomId,
    /// Who asked.
    pub reply: Reply,
    /// Which join is answered.
    pub ticket: u32,
    /// Users in the channel, the new one included.
    pub member_count: u32,
    /// The JSON array for `channel:members`.
    pub members: Vec<u8>,
    /// The channel's epoch.
    pub epoch: Epoch,
    /// The last offset before the membership: what follows is delivered.
    pub offset: Offset,
}

/// One message for all members on one core.
#[derive(Debug)]
pub struct Deliver {
    /// The room on the receiving core.
    pub room: RoomId,
    /// The message, shared between the cores.
    pub publication: Arc<Publication>,
}

/// A message with its place in the channel, encoded.
#[derive(Debug)]
pub struct Publication {
    /// Its number in the channel.
    pub offset: Offset,
    /// Whole WebSocket frames: the text frame, then its attachments.
    pub frames: Box<[u8]>,
    /// When the sender's core received it, in monotonic microseconds.
    pub received_us: u64,
}

/// The end of a publish.
#[derive(Debug)]
pub struct Published {
    /// The channel.
    pub channel: ChannelName,
    /// Who sent it.
    pub reply: Reply,
    /// The sender's id of the message.
    pub client_message_id: Option<Box<str>>,
    /// Under which the sender's core keeps the receipt.
    pub fingerprint: Option<u128>,
    /// The message's place; `None` if the channel had no such member.
    pub receipt: Option<Receipt>,
}

/// What a sender is told of an accepted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id.
    pub id: MessageId,
    /// Its number in the channel.
    pub offset: Offset,
    /// Its time, in milliseconds since the epoch.
    pub timestamp_ms: u64,
}
