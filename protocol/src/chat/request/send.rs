//! A message on its way in: the fields that decide something are read, the listed others are handed on untouched.

use std::borrow::Cow;

use super::Refusal;
use super::fields::{channel_of, fields, invalid, text};
use crate::json::{Json, Kind};

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

/// The fields that the node itself reads, in front of those of [`FORWARDED`].
const OWN: [&str; 4] = ["channelId", "roomName", "room_id", "content"];

/// The names of [`OWN`] and [`FORWARDED`], for one walk over the object.
const ALL: [&str; OWN.len() + FORWARDED.len()] = {
    let mut names = [""; OWN.len() + FORWARDED.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < OWN.len() { OWN[at] } else { FORWARDED[at - OWN.len()] };
        at += 1;
    }
    names
};

/// The longest `clientMessageId` in bytes.
pub const CLIENT_MESSAGE_ID_BYTES_MAX: usize = 128;
/// The longest message `type` in bytes.
pub const MESSAGE_TYPE_BYTES_MAX: usize = 32;

pub(in crate::chat) fn read_send(argument: Option<Json<'_>>) -> Result<Send<'_>, Refusal> {
    let [channel, room, room_id, content, forwarded @ ..] = fields(argument, ALL)?;
    let forwarded = forwarded.map(|field| field.filter(|value| !value.is_null()));
    let room = channel_of([channel, room, room_id])?;
    match check_send(content, &forwarded) {
        Ok((content, client_message_id)) => {
            Ok(Send { channel: room.channel, content, client_message_id, forwarded })
        }
        Err(message) => Err(invalid(message).about(&room.channel)),
    }
}

/// The `clientMessageId` of a message that was refused, for telling its sender which one it was.
pub fn client_message_id(argument: Option<Json<'_>>) -> Option<Cow<'_, str>> {
    let [client_message_id, temporary_id] = fields(argument, ["clientMessageId", "tempId"]).ok()?;
    text(client_message_id.or(temporary_id), CLIENT_MESSAGE_ID_BYTES_MAX, "").ok()?
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
        Some(content) if content.kind() == Kind::String => content,
        Some(_) => return Err("content must be a string"),
        None if has_attachments => Json::trusted("\"\""),
        None => return Err("content is required"),
    };
    if content.as_raw() == "\"\"" && !has_attachments {
        return Err("content must not be empty");
    }
    if forwarded[MENTIONS].is_some_and(|list| list.kind() != Kind::Array) {
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
