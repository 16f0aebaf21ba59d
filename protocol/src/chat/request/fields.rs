//! Owns the reading of single fields: present or not, of the right type, within their bounds.

use std::borrow::Cow;

use super::Refusal;
use crate::chat::dialect::Spelling;
use crate::chat::room;
use crate::codes::ErrorCode;
use crate::json::{Json, Kind};

/// The longest id of a message, event or notification in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// The longest id of a thread in bytes.
pub const THREAD_BYTES_MAX: usize = 255;
/// The longest id of a user in bytes.
pub const USER_BYTES_MAX: usize = 255;
/// The longest emoji in characters; some are made of many.
pub const EMOJI_CHARS_MAX: usize = 50;

/// What the field of a user's id must be.
pub(in crate::chat) const USER: &str = "userId must be a string of 1 to 255 bytes";

pub(in crate::chat) const fn invalid(message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::ValidationError, message)
}

/// Reads the fields of the one object that an event has as its argument, in the order of `names`.
pub(in crate::chat) fn fields<'a, const N: usize>(
    argument: Option<Json<'a>>,
    names: [&str; N],
) -> Result<[Option<Json<'a>>; N], Refusal> {
    let Some(object) = argument.filter(|argument| argument.kind() == Kind::Object) else {
        return Err(invalid("the event needs one object as its argument"));
    };
    object.read(names).map_err(|_| invalid("a field stands twice"))
}

/// Whether a field is missing or `null`, which mean the same.
pub(in crate::chat) fn is_absent(field: Option<Json<'_>>) -> bool {
    field.is_none_or(Json::is_null)
}

/// A room that an event names, and how.
pub(in crate::chat) struct Room<'a> {
    /// Canonical name.
    pub(in crate::chat) channel: Cow<'a, str>,
    /// How it was written.
    pub(in crate::chat) spelling: Spelling,
}

/// Reads the room from the fields `channelId`, `roomName` and `room_id`: the first that is there counts.
pub(in crate::chat) fn channel_of<'a>(names: [Option<Json<'a>>; 3]) -> Result<Room<'a>, Refusal> {
    let Some(name) = names.into_iter().flatten().find(|name| !name.is_null()) else {
        return Err(invalid("channelId is required"));
    };
    let Some(name) = name.as_str() else { return Err(invalid("channelId must be a string")) };
    let spelling = room::spelling(&name);
    Ok(Room { channel: room::canonical(name)?, spelling })
}

/// Reads an optional text of at most `bytes_max` bytes. Missing, `null` and empty are `None`.
pub(in crate::chat) fn text<'a>(
    field: Option<Json<'a>>,
    bytes_max: usize,
    refused: &'static str,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(field) = field.filter(|field| !field.is_null()) else { return Ok(None) };
    let text = field.as_str().filter(|text| text.len() <= bytes_max).ok_or(invalid(refused))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Reads an optional text as [`text`] does, with a bound in characters.
pub(super) fn characters<'a>(
    field: Option<Json<'a>>,
    chars_max: usize,
    refused: &'static str,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    match text(field, chars_max * char::MAX.len_utf8(), refused)? {
        Some(text) if text.chars().count() > chars_max => Err(invalid(refused)),
        text => Ok(text),
    }
}

pub(super) fn message_id(field: Option<Json<'_>>) -> Result<Option<Cow<'_, str>>, Refusal> {
    text(field, ID_BYTES_MAX, "messageId must be a string of at most 128 bytes")
}

pub(super) fn thread(field: Option<Json<'_>>) -> Result<Option<Cow<'_, str>>, Refusal> {
    text(field, THREAD_BYTES_MAX, "threadId must be a string of at most 255 bytes")
}
