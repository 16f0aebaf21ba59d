//! What a client may ask: a validated event packet becomes a [`Request`], or a [`Refusal`] that says
//! what was wrong with it. Bounds that are configuration are checked by the shard, not here.

use std::borrow::Cow;

use super::room::{self, NameError};
use crate::codes::ErrorCode;
use crate::json::Json;

/// One event from a client, its room names canonical and its fields of the right type.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for the time of one event")]
pub enum Request<'a> {
    /// `channel:join`: become a member.
    Join {
        /// Canonical room name.
        channel: Cow<'a, str>,
    },
    /// `channel:leave`: stop being a member.
    Leave {
        /// Canonical room name.
        channel: Cow<'a, str>,
    },
    /// `message:send`: publish to a channel.
    Send(Send<'a>),
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
}

/// A message on its way in. Raw fields are forwarded exactly as the client wrote them.
#[derive(Debug)]
pub struct Send<'a> {
    /// Canonical room name.
    pub channel: Cow<'a, str>,
    /// A JSON string; empty only if there are attachments.
    pub content: Json<'a>,
    /// The sender's own id of the message, by which a retry is known.
    pub client_message_id: Option<Cow<'a, str>>,
    /// The listed optional fields, name and raw value, in the order of [`FORWARDED`].
    pub forwarded: [Option<Json<'a>>; FORWARDED.len()],
}

/// Fields of `message:send` that are handed on to the members untouched.
pub const FORWARDED: [&str; 12] = [
    "mentions",
    "type",
    "clientMessageId",
    "tempId",
    "threadId",
    "replyTo",
    "replyToId",
    "parentMessageId",
    "attachments",
    "attachmentIds",
    "metadata",
    "customData",
];
const MENTIONS: usize = 0;
const KIND: usize = 1;
const CLIENT_MESSAGE_ID: usize = 2;
const TEMPORARY_ID: usize = 3;
const ATTACHMENTS: usize = 8;
const ATTACHMENT_IDS: usize = 9;

/// The longest `clientMessageId` in bytes.
pub const CLIENT_MESSAGE_ID_BYTES_MAX: usize = 128;
/// The longest message `type` in bytes.
pub const MESSAGE_TYPE_BYTES_MAX: usize = 32;

/// Why an event was refused before anything was done.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code from the page of codes.
    pub code: ErrorCode,
    /// What to write instead, for the developer who reads it.
    pub message: &'static str,
    /// The channel that the event named, if it could be read.
    pub channel: Option<String>,
}

impl Refusal {
    /// A refusal that concerns no channel.
    pub const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message, channel: None }
    }

    const fn invalid(message: &'static str) -> Self {
        Self::new(ErrorCode::ValidationError, message)
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::invalid(error.message())
    }
}

/// Reads one event: its name and its first argument, if any.
///
/// Unknown fields are ignored. A field that decides something may stand only once, since readers
/// differ in which of two they take.
pub fn parse<'a>(event: &str, argument: Option<Json<'a>>) -> Result<Request<'a>, Refusal> {
    match event {
        "channel:join" => Ok(Request::Join { channel: read_channel(argument)? }),
        "channel:leave" => Ok(Request::Leave { channel: read_channel(argument)? }),
        "message:send" => read_send(argument).map(Request::Send),
        "ping" => Ok(Request::Ping { timestamp: argument.and_then(|object| object.get("timestamp")) }),
        "pong" => Ok(Request::Pong),
        "auth:refresh" => Ok(Request::Refresh { token: read_token(argument)? }),
        _ => Err(Refusal::new(ErrorCode::UnknownEvent, "unknown event")),
    }
}

fn read_channel(argument: Option<Json<'_>>) -> Result<Cow<'_, str>, Refusal> {
    let [channel, room, room_id] = fields(argument, ["channelId", "roomName", "room_id"])?;
    channel_name(channel.or(room).or(room_id))
}

fn read_send(argument: Option<Json<'_>>) -> Result<Send<'_>, Refusal> {
    let [channel, room, room_id, content] =
        fields(argument, ["channelId", "roomName", "room_id", "content"])?;
    let forwarded = fields(argument, FORWARDED)?.map(|field| field.filter(|value| !value.is_null()));
    let channel = channel_name(channel.or(room).or(room_id))?;
    match check_send(content, &forwarded) {
        Ok((content, client_message_id)) => Ok(Send { channel, content, client_message_id, forwarded }),
        Err(message) => Err(Refusal { channel: Some(channel.into_owned()), ..Refusal::invalid(message) }),
    }
}

/// Checks the fields of a message against each other; the error is what to tell the client.
fn check_send<'a>(
    content: Option<Json<'a>>,
    forwarded: &[Option<Json<'a>>; FORWARDED.len()],
) -> Result<(Json<'a>, Option<Cow<'a, str>>), &'static str> {
    let has_attachments = [ATTACHMENTS, ATTACHMENT_IDS]
        .into_iter()
        .any(|field| forwarded[field].is_some_and(|list| list.items().next().is_some()));
    let content = match content {
        Some(content) if content.as_raw().starts_with('"') => content,
        Some(_) => return Err("content must be a string"),
        None if has_attachments => Json::trusted("\"\""),
        None => return Err("content is required"),
    };
    if content.as_raw() == "\"\"" && !has_attachments {
        return Err("content must not be empty");
    }
    if forwarded[MENTIONS].is_some_and(|list| !list.as_raw().starts_with('[')) {
        return Err("mentions must be an array");
    }
    let is_short = |field: Option<Json<'_>>, bytes_max: usize| match field.map(Json::as_str) {
        None => true,
        Some(Some(text)) => text.len() <= bytes_max,
        Some(None) => false,
    };
    if !is_short(forwarded[KIND], MESSAGE_TYPE_BYTES_MAX) {
        return Err("type must be a string of at most 32 bytes");
    }
    let client_message_id = forwarded[CLIENT_MESSAGE_ID].or(forwarded[TEMPORARY_ID]);
    if !is_short(client_message_id, CLIENT_MESSAGE_ID_BYTES_MAX) {
        return Err("clientMessageId must be a string of at most 128 bytes");
    }
    Ok((content, client_message_id.and_then(Json::as_str).filter(|id| !id.is_empty())))
}

fn read_token(argument: Option<Json<'_>>) -> Result<Cow<'_, str>, Refusal> {
    let [token] = fields(argument, ["token"])?;
    token.and_then(Json::as_str).ok_or(Refusal::invalid("token must be a string"))
}

fn channel_name(field: Option<Json<'_>>) -> Result<Cow<'_, str>, Refusal> {
    let Some(field) = field else { return Err(Refusal::invalid("channelId is required")) };
    let Some(name) = field.as_str() else { return Err(Refusal::invalid("channelId must be a string")) };
    Ok(room::canonical(name)?)
}

fn fields<'a, const N: usize>(
    argument: Option<Json<'a>>,
    names: [&str; N],
) -> Result<[Option<Json<'a>>; N], Refusal> {
    let Some(object) = argument.filter(|argument| argument.as_raw().starts_with('{')) else {
        return Err(Refusal::invalid("the event needs one object as its argument"));
    };
    object.read(names).map_err(|_| Refusal::invalid("a field stands twice"))
}
