//! What a client may ask: a validated event packet becomes a [`Request`], or a [`Refusal`] that says
//! what was wrong with it. Bounds that are configuration are checked by the shard, not here.

mod fields;
mod membership;
mod presence;
mod receipts;
mod relay;
mod send;
mod sync;
mod typing;

use std::borrow::Cow;

use super::dialect::Spelling;
use super::room::NameError;
use crate::codes::ErrorCode;
use crate::json::Json;

pub use fields::{EMOJI_CHARS_MAX, ID_BYTES_MAX, THREAD_BYTES_MAX, USER_BYTES_MAX};
pub use membership::{EPOCH_BYTES_MAX, Since};
pub use presence::{CUSTOM_TEXT_CHARS_MAX, PresenceUpdate, USERS_MAX};
pub use receipts::{MESSAGE_IDS_MAX, React, Read};
pub use relay::{BATCH_EVENTS_MAX, EVENT_NAME_BYTES_MAX, Relayed, parse_relayed};
pub use send::{CLIENT_MESSAGE_ID_BYTES_MAX, FORWARDED, MESSAGE_TYPE_BYTES_MAX, Send, client_message_id};
pub use sync::{SYNC_MESSAGES_DEFAULT, SYNC_MESSAGES_MAX};
pub use typing::Typing;

pub(super) use fields::{USER, channel_of, fields, invalid, is_absent, text};
pub(super) use membership::since_time;
pub(super) use presence::presence_fields;
pub(super) use relay::event_name;
pub(super) use send::read_send;
pub(super) use typing::read_typing;

/// One event from a client, its room names canonical and its fields of the right type.
#[derive(Debug)]
pub enum Request<'a> {
    /// `channel:join`, `room:join`: become a member.
    Join {
        /// Canonical room name.
        channel: Cow<'a, str>,
        /// How the client wrote it.
        spelling: Spelling,
        /// Whether `room:join` was used, which is answered with other events.
        by_room_name: bool,
        /// What the client has already.
        since: Option<Since<'a>>,
    },
    /// `channel:leave`, `room:leave`: stop being a member.
    Leave {
        /// Canonical room name.
        channel: Cow<'a, str>,
        /// How the client wrote it.
        spelling: Spelling,
        /// Whether `room:leave` was used.
        by_room_name: bool,
    },
    /// `message:send`, or `message:new` from a client: publish to a channel.
    Send(Send<'a>),
    /// `typing`, `typing:start`, `typing:stop`, `message:typing`.
    Typing(Typing<'a>),
    /// `presence:update`, `user:status`: the session's own status.
    Presence(PresenceUpdate<'a>),
    /// `presence:subscribe`: hear of these users from now on.
    Subscribe {
        /// User ids as they came, at most [`USERS_MAX`], perhaps with repetitions.
        users: Vec<Cow<'a, str>>,
    },
    /// `presence:unsubscribe`.
    Unsubscribe {
        /// User ids as in [`Request::Subscribe`].
        users: Vec<Cow<'a, str>>,
    },
    /// `presence:get`: how these users are, once.
    GetPresence {
        /// User ids as in [`Request::Subscribe`].
        users: Vec<Cow<'a, str>>,
    },
    /// `read`, `message:read`, `read:update`, `message:read-ack`, `message:batch-read-ack`, `channel:read`.
    Read(Read<'a>),
    /// `reaction`, `reaction:add`, `reaction:remove`.
    React(React<'a>),
    /// `sync:messages`: what was published since.
    SyncMessages {
        /// Canonical room name.
        channel: Cow<'a, str>,
        /// What the client has already; `None` asks for the latest.
        since: Option<Since<'a>>,
        /// How many it takes, 1 to [`SYNC_MESSAGES_MAX`].
        limit: usize,
    },
    /// `sync:channels`: the channels that the session is in.
    SyncChannels,
    /// `ping`: answered at once with the client's own timestamp and ours.
    Ping {
        /// The client's `timestamp`, echoed as it came.
        timestamp: Option<Json<'a>>,
    },
    /// `pong`: accepted and ignored, as the former server did.
    Pong,
    /// `auth:refresh`: a newer token for the same user.
    Refresh {
        /// The token.
        token: Cow<'a, str>,
    },
    /// `receipt:update`, `typing:update`: accepted and ignored, since nobody listens for what would follow.
    Acknowledged,
    /// `notification:read`, `notification:read:all`: told to the user's other sessions.
    Notification {
        /// The event's name.
        name: &'static str,
        /// The notification; `None` for all of them.
        id: Option<Cow<'a, str>>,
    },
    /// `dispatch`: an event of the client's own making for a room.
    Dispatch {
        /// The event's name, not a reserved one.
        event: Cow<'a, str>,
        /// Canonical room name.
        channel: Cow<'a, str>,
        /// Its argument, `null` if there was none.
        payload: Json<'a>,
    },
    /// `batch`: several events in one, each to be parsed by itself; none of them is a batch.
    Batch {
        /// Name and argument of each, 1 to [`BATCH_EVENTS_MAX`].
        events: Vec<(Cow<'a, str>, Option<Json<'a>>)>,
    },
}

/// Why an event was refused before anything was done.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code from the page of codes.
    pub code: ErrorCode,
    /// What to write instead, for the developer who reads it.
    pub message: &'static str,
    /// The channel that the event named, if it could be read.
    pub channel: Option<String>,
    /// After how many seconds a retry makes sense, if that is known.
    pub retry_after_s: Option<u32>,
}

impl Refusal {
    /// A refusal that concerns no channel.
    pub const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message, channel: None, retry_after_s: None }
    }

    /// The same refusal, of what may succeed later.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// The same refusal, of an event that named this channel.
    #[must_use]
    pub fn about(self, channel: &str) -> Self {
        Self { channel: Some(channel.to_owned()), ..self }
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        invalid(error.message())
    }
}

/// Reads one event: its name and its first argument, if any.
///
/// Unknown fields are ignored. A field that decides something may stand only once, since readers
/// differ in which of two they take.
///
/// # Errors
/// [`Refusal`] with `UNKNOWN_EVENT` if there is no such event, and with `VALIDATION_ERROR` if a field of it is missing,
/// of the wrong type or over its bound.
pub fn parse<'a>(event: &str, argument: Option<Json<'a>>) -> Result<Request<'a>, Refusal> {
    match event {
        "channel:join" => membership::read_join(argument, false),
        "room:join" => membership::read_join(argument, true),
        "channel:leave" => membership::read_leave(argument, false),
        "room:leave" => membership::read_leave(argument, true),
        "message:send" | "message:new" => read_send(argument).map(Request::Send),
        "typing" | "typing:start" | "typing:stop" | "message:typing" => {
            read_typing(event, argument).map(Request::Typing)
        }
        "presence:update" | "user:status" => presence::read_update(argument).map(Request::Presence),
        "presence:subscribe" => Ok(Request::Subscribe { users: presence::read_users(argument)? }),
        "presence:unsubscribe" => Ok(Request::Unsubscribe { users: presence::read_users(argument)? }),
        "presence:get" => Ok(Request::GetPresence { users: presence::read_users(argument)? }),
        "read"
        | "message:read"
        | "read:update"
        | "message:read-ack"
        | "message:batch-read-ack"
        | "channel:read" => receipts::read_receipt(event, argument).map(Request::Read),
        "reaction" | "reaction:add" | "reaction:remove" => {
            receipts::read_reaction(event, argument).map(Request::React)
        }
        "sync:messages" => sync::read_messages(argument),
        "sync:channels" => Ok(Request::SyncChannels),
        "ping" => Ok(Request::Ping { timestamp: argument.and_then(|object| object.get("timestamp")) }),
        "pong" => Ok(Request::Pong),
        "auth:refresh" => Ok(Request::Refresh { token: read_token(argument)? }),
        "receipt:update" | "typing:update" => Ok(Request::Acknowledged),
        "notification:read" => relay::read_notification(argument),
        "notification:read:all" => Ok(Request::Notification { name: "notification:read:all", id: None }),
        "dispatch" => relay::read_dispatch(argument),
        "batch" => relay::read_batch(argument),
        _ => Err(Refusal::new(ErrorCode::UnknownEvent, "unknown event")),
    }
}

fn read_token(argument: Option<Json<'_>>) -> Result<Cow<'_, str>, Refusal> {
    let [token] = fields(argument, ["token"])?;
    token.and_then(Json::as_str).ok_or(invalid("token must be a string"))
}
