//! What users say of themselves, and whose status they ask for.

use std::borrow::Cow;

use super::Refusal;
use super::fields::{EMOJI_CHARS_MAX, USER_BYTES_MAX, characters, fields, invalid};
use crate::chat::status::{Custom, Status};
use crate::chat::time;
use crate::json::{Json, Kind};

/// How many users one event may name.
pub const USERS_MAX: usize = 500;
/// The longest text of a custom status in characters.
pub const CUSTOM_TEXT_CHARS_MAX: usize = 256;

/// The status that a user chose or a client noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceUpdate<'a> {
    /// The status.
    pub status: Status,
    /// The text beside it: `None` leaves it as it is, one without text and emoji takes it away.
    pub custom: Option<Custom<'a>>,
}

pub(super) fn read_update(argument: Option<Json<'_>>) -> Result<PresenceUpdate<'_>, Refusal> {
    presence_fields(fields(argument, ["status", "customStatus", "customEmoji", "expiresAt"])?)
}

/// Reads the fields `status`, `customStatus`, `customEmoji` and `expiresAt`.
///
/// A custom status is a text with its emoji and expiry beside it, or an object of `text`, `emoji` and `expiresAt`.
pub(in crate::chat) fn presence_fields<'a>(
    [status, custom, emoji, expires_at]: [Option<Json<'a>>; 4],
) -> Result<PresenceUpdate<'a>, Refusal> {
    let status = status.and_then(Json::as_str).and_then(|name| Status::parse(&name));
    let status = status.ok_or(invalid("status must be online, away, dnd or offline"))?;
    if custom.is_none() && emoji.is_none() {
        return Ok(PresenceUpdate { status, custom: None });
    }
    let [text, emoji, expires_at] = match custom {
        Some(object) if object.kind() == Kind::Object => {
            let [text, own_emoji, own_expiry] = fields(Some(object), ["text", "emoji", "expiresAt"])?;
            [text, own_emoji.or(emoji), own_expiry.or(expires_at)]
        }
        _ => [custom, emoji, expires_at],
    };
    let custom = Custom {
        text: characters(text, CUSTOM_TEXT_CHARS_MAX, "customStatus must have at most 256 characters")?,
        emoji: characters(emoji, EMOJI_CHARS_MAX, "customEmoji must have at most 50 characters")?,
        expires_at_ms: read_instant(expires_at)?,
    };
    Ok(PresenceUpdate { status, custom: Some(custom) })
}

/// An instant as milliseconds since the epoch, or as the text that `toISOString` gives.
fn read_instant(field: Option<Json<'_>>) -> Result<Option<u64>, Refusal> {
    let Some(field) = field.filter(|field| !field.is_null()) else { return Ok(None) };
    let instant = field.as_u64().or_else(|| time::parse_iso(&field.as_str()?));
    instant.map(Some).ok_or(invalid("expiresAt must be milliseconds since the epoch, or an ISO 8601 instant"))
}

pub(super) fn read_users(argument: Option<Json<'_>>) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let [users] = fields(argument, ["userIds"])?;
    let Some(users) = users.filter(|users| users.kind() == Kind::Array) else {
        return Err(invalid("userIds must be an array"));
    };
    let mut ids = Vec::new();
    for user in users.items() {
        if ids.len() == USERS_MAX {
            return Err(invalid("userIds must name at most 500 users"));
        }
        let id = user.as_str().filter(|id| (1..=USER_BYTES_MAX).contains(&id.len()));
        ids.push(id.ok_or(invalid("userIds must hold strings of 1 to 255 bytes"))?);
    }
    Ok(ids)
}
