//! What users did with messages: read them, or put an emoji to one.

use std::borrow::Cow;

use super::Refusal;
use super::fields::{
    EMOJI_CHARS_MAX, ID_BYTES_MAX, channel_of, characters, fields, invalid, message_id, thread,
};
use crate::json::{Json, Kind};

/// How many messages one receipt may name.
pub const MESSAGE_IDS_MAX: usize = 500;

/// A user has read a channel: up to a message, or certain messages, or all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// Canonical room name.
    pub channel: Cow<'a, str>,
    /// The last message that was read; `None` if it is the whole channel.
    pub message_id: Option<Cow<'a, str>>,
    /// All of them, a JSON array of 1 to [`MESSAGE_IDS_MAX`] strings.
    pub message_ids: Option<Json<'a>>,
    /// The thread, if they were read in one.
    pub thread: Option<Cow<'a, str>>,
}

/// A user puts an emoji to a message, or takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct React<'a> {
    /// Canonical room name.
    pub channel: Cow<'a, str>,
    /// The message.
    pub message_id: Cow<'a, str>,
    /// The emoji, 1 to [`EMOJI_CHARS_MAX`] characters.
    pub emoji: Cow<'a, str>,
    /// Whether it is put there.
    pub is_added: bool,
    /// The thread, if the message is in one.
    pub thread: Option<Cow<'a, str>>,
}

pub(super) fn read_receipt<'a>(event: &str, argument: Option<Json<'a>>) -> Result<Read<'a>, Refusal> {
    let [channel, room, room_id, message, messages, thread_id] =
        fields(argument, ["channelId", "roomName", "room_id", "messageId", "messageIds", "threadId"])?;
    let channel = channel_of([channel, room, room_id])?.channel;
    let refused = |refusal: Refusal| refusal.about(&channel);
    let thread = thread(thread_id).map_err(refused)?;
    let (message_id, message_ids) = match event {
        "channel:read" => (None, None),
        "message:batch-read-ack" => {
            let (last, messages) = read_messages(messages).map_err(refused)?;
            (Some(last), Some(messages))
        }
        _ => {
            let message = message_id(message).map_err(refused)?;
            (Some(message.ok_or_else(|| refused(invalid("messageId is required")))?), None)
        }
    };
    Ok(Read { channel, message_id, message_ids, thread })
}

/// Reads the ids of several messages; the last one stands for all of them where one is asked for.
fn read_messages(messages: Option<Json<'_>>) -> Result<(Cow<'_, str>, Json<'_>), Refusal> {
    const REFUSED: Refusal = invalid("messageIds must be an array of 1 to 500 strings of at most 128 bytes");
    let messages = messages.filter(|messages| messages.kind() == Kind::Array).ok_or(REFUSED)?;
    let mut last = None;
    for (count, id) in messages.items().enumerate() {
        let id = id.as_str().filter(|id| (1..=ID_BYTES_MAX).contains(&id.len()));
        if count == MESSAGE_IDS_MAX || id.is_none() {
            return Err(REFUSED);
        }
        last = id;
    }
    Ok((last.ok_or(REFUSED)?, messages))
}

pub(super) fn read_reaction<'a>(event: &str, argument: Option<Json<'a>>) -> Result<React<'a>, Refusal> {
    let [channel, room, room_id, message, emoji, action, thread_id] =
        fields(argument, ["channelId", "roomName", "room_id", "messageId", "emoji", "action", "threadId"])?;
    let channel = channel_of([channel, room, room_id])?.channel;
    let refused = |refusal: Refusal| refusal.about(&channel);
    let message_id =
        message_id(message).and_then(|id| id.ok_or(invalid("messageId is required"))).map_err(refused)?;
    let emoji = characters(emoji, EMOJI_CHARS_MAX, "emoji must be a string of 1 to 50 characters")
        .and_then(|emoji| emoji.ok_or(invalid("emoji is required")))
        .map_err(refused)?;
    let is_added = match (event, action.and_then(Json::as_str).as_deref()) {
        ("reaction:add", _) | ("reaction", Some("add")) => true,
        ("reaction:remove", _) | ("reaction", Some("remove")) => false,
        _ => return Err(refused(invalid("action must be add or remove"))),
    };
    let thread = thread(thread_id).map_err(refused)?;
    Ok(React { channel, message_id, emoji, is_added, thread })
}
