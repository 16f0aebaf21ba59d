//! Owns the bodies by which a back end speaks for a user: a message, a status, typing.

use std::borrow::Cow;

use crate::chat::request::{
    ID_BYTES_MAX, PresenceUpdate, Refusal, Send, Typing, USER, USER_BYTES_MAX, channel_of, fields, invalid,
    presence_fields, read_send, read_typing, text,
};
use crate::chat::room;
use crate::json::{Json, Kind};

/// `POST /messages`.
#[derive(Debug)]
pub struct MessagePost<'a> {
    /// Who is to have sent it.
    pub user: Cow<'a, str>,
    /// The message. Its `client_message_id` is the caller's `id` if there is none of its own name.
    pub send: Send<'a>,
}

/// `POST /typing`.
#[derive(Debug)]
pub struct TypingPost<'a> {
    /// Who types.
    pub user: Cow<'a, str>,
    /// Where, and whether.
    pub typing: Typing<'a>,
}

/// `POST /presence` and `POST /presence/<channelId>`.
#[derive(Debug)]
pub struct PresencePost<'a> {
    /// Whose status it is.
    pub user: Cow<'a, str>,
    /// Canonical name of the room that it is for.
    pub channel: Cow<'a, str>,
    /// The status.
    pub update: PresenceUpdate<'a>,
}

/// Reads the body of `POST /messages`: `userId`, `channelId`, `content` and what `message:send` takes besides; `id` is
/// the caller's own, by which a repetition is known.
///
/// # Errors
/// [`Refusal`] with `VALIDATION_ERROR`, as for every function here.
pub fn parse_message(body: Json<'_>) -> Result<MessagePost<'_>, Refusal> {
    let [user, id] = fields(Some(object(body)?), ["userId", "id"])?;
    let user = user_of(user)?;
    let mut send = read_send(Some(body))?;
    let id = text(id, ID_BYTES_MAX, "id must be a string of at most 128 bytes")
        .map_err(|refusal| refusal.about(&send.channel))?;
    send.client_message_id = send.client_message_id.or(id);
    Ok(MessagePost { user, send })
}

/// Reads the body of `POST /typing`: `userId`, `channelId`, `isTyping`, perhaps `threadId`.
///
/// # Errors
/// [`Refusal`] with `VALIDATION_ERROR`.
pub fn parse_typing(body: Json<'_>) -> Result<TypingPost<'_>, Refusal> {
    let [user] = fields(Some(object(body)?), ["userId"])?;
    Ok(TypingPost { user: user_of(user)?, typing: read_typing("typing", Some(body))? })
}

/// Reads the body of `POST /presence`: `userId`, `status`, perhaps a custom status, and `channelId` unless the path has
/// it; `path_channel` is the decoded segment of the path, and goes first.
///
/// # Errors
/// [`Refusal`] with `VALIDATION_ERROR`.
pub fn parse_presence<'a>(
    body: Json<'a>,
    path_channel: Option<&'a str>,
) -> Result<PresencePost<'a>, Refusal> {
    let [user, channel, room, room_id, presence @ ..] = fields(
        Some(object(body)?),
        ["userId", "channelId", "roomName", "room_id", "status", "customStatus", "customEmoji", "expiresAt"],
    )?;
    let channel = match path_channel {
        Some(name) => room::canonical(Cow::Borrowed(name))?,
        None => channel_of([channel, room, room_id])?.channel,
    };
    let update = user_of(user).and_then(|user| Ok((user, presence_fields(presence)?)));
    let (user, update) = update.map_err(|refusal| refusal.about(&channel))?;
    Ok(PresencePost { user, channel, update })
}

pub(super) fn object(body: Json<'_>) -> Result<Json<'_>, Refusal> {
    if body.kind() == Kind::Object { Ok(body) } else { Err(invalid("the body must be a JSON object")) }
}

pub(super) fn user_of(field: Option<Json<'_>>) -> Result<Cow<'_, str>, Refusal> {
    text(field, USER_BYTES_MAX, USER)?.ok_or(invalid(USER))
}
