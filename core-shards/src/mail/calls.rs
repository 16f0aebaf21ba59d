//! Letters on behalf of back ends, and questions about a channel.

use std::sync::Arc;

use protocol::chat::event::Kind;
use protocol::chat::status::Status;
use protocol::codes::ErrorCode;

use super::{Sender, Since, TypingTurn};
use crate::access::Grants;
use crate::ids::{ChannelName, CoreId, GatheringTicket, UserId};
use crate::outputs::Ticket;

/// A question that came in on a core, waiting there for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    /// Where it came in.
    pub core: CoreId,
    /// The shell's name for it.
    pub ticket: Ticket,
    /// What is left of the user's limit, if the call counted against one.
    pub quota: Option<Quota>,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many such calls a window has.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// Seconds until the window ends.
    pub reset_s: u32,
}

/// In whose name somebody calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A back end with the server's key, or anybody in development mode: may act for every user.
    Server,
    /// The user of a token.
    User {
        /// The token's roles.
        roles: Arc<[Box<str>]>,
        /// What the token says about channels.
        grants: Option<Arc<Grants>>,
    },
}

/// Where a part of an answer goes: a question on a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartId {
    /// The core.
    pub core: CoreId,
    /// Its question.
    pub gathering: GatheringTicket,
}

/// A back end's event for everybody in some channels.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// The event's name.
    pub event: Box<str>,
    /// The channels.
    pub channels: Vec<ChannelName>,
    /// The payload, JSON.
    pub payload: Vec<u8>,
    /// The caller's id of it, by which a repetition is known.
    pub event_id: Option<Box<str>>,
}

/// Something to be done in a user's name.
#[derive(Debug)]
pub struct Call {
    /// Where the answer goes.
    pub id: CallId,
    /// Who calls.
    pub caller: Caller,
    /// In whose name.
    pub user: UserId,
    /// Where.
    pub channel: ChannelName,
    /// What.
    pub deed: Deed,
    /// When it came in, in monotonic microseconds.
    pub received_us: u64,
}

/// What a call wants done.
#[derive(Debug)]
pub enum Deed {
    /// Publish an event.
    Publish {
        /// What it is.
        kind: Kind,
        /// Fields of its object, see [`crate::publication::Publication::body`].
        body: Vec<u8>,
        /// The caller's id of it, by which a retry is known.
        client_message_id: Option<Box<str>>,
    },
    /// Tell that the user types, or stopped.
    Type(TypingTurn),
    /// Ask the channel's home, or tell it.
    Ask(Question),
}

/// A question for a channel's home.
#[derive(Clone, Debug)]
pub struct Query {
    /// The channel.
    pub channel: ChannelName,
    /// Where the answer goes.
    pub asker: Sender,
    /// What is asked.
    pub question: Question,
}

/// What can be asked of a channel.
#[derive(Clone, Debug)]
pub enum Question {
    /// The messages that followed, for `sync:messages`.
    Messages {
        /// From where; everything that is kept if absent.
        since: Option<Since>,
        /// How many at most.
        limit: usize,
    },
    /// The messages that followed, for `GET /poll`.
    Poll {
        /// From where.
        since: Since,
        /// How long the answer may wait for a first message, in milliseconds.
        wait_ms: u64,
        /// How many at most.
        limit: usize,
    },
    /// Who is there, for `GET /presence`.
    Presence,
    /// A user's status in this channel alone is this, says a back end.
    SetPresence {
        /// Who.
        user: UserId,
        /// How.
        status: Status,
    },
}

/// The end of a call or query.
#[derive(Debug)]
pub struct Answer {
    /// Who asked.
    pub to: Sender,
    /// What is told.
    pub outcome: Outcome,
}

/// What somebody who asked is told.
#[derive(Debug)]
pub enum Outcome {
    /// A JSON body for a call, or whole frames for a session.
    Told(Vec<u8>),
    /// Why not.
    Refused {
        /// The code from the page of codes.
        code: ErrorCode,
        /// What to write instead.
        message: &'static str,
        /// After how many seconds a retry makes sense.
        retry_after_s: Option<u32>,
    },
}
