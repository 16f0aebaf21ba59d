//! Single fields of what a client reads, and the ways to write an instant.

use serde_json::Value;

use super::{PresenceHeard, Stamp};

/// Where a channel stands: the last offset, in which epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

/// The position in the reply to a join, or in the answer to `sync:messages`.
pub(crate) fn position(object: &Value) -> Option<Position> {
    Some(Position { epoch: text(object, "epoch")?, offset: object["offset"].as_u64()? })
}

/// The stamp in a message or in the data of its acknowledgement, which both name id and time twice.
pub(crate) fn stamp_of_message(object: &Value) -> Option<Stamp> {
    let created_at = instant(&object["createdAt"])?;
    let is_said_alike = object["id"] == object["messageId"]
        && (object["timestamp"] == created_at || object["timestamp"] == object["createdAt"]);
    let id = text(object, "id").filter(|_| is_said_alike)?;
    Some(Stamp { id: Some(id), offset: Some(object["offset"].as_u64()?), timestamp: created_at })
}

/// The stamp of a reaction, whose id stands in another place in the legacy dialect.
pub(super) fn stamp_of_reaction(object: &Value) -> Option<Stamp> {
    let id = text(object, "eventId").or_else(|| text(&object["meta"], "eventId"))?;
    let offset = object["offset"].as_u64()?;
    Some(Stamp { id: Some(id), offset: Some(offset), timestamp: instant(&object["timestamp"])? })
}

/// How a user is, in whatever dialect.
pub(crate) fn presence(object: &Value) -> Option<PresenceHeard> {
    instant(&object["lastSeen"])?;
    let status = match object["status"].as_str()? {
        "busy" => "dnd",
        status @ ("online" | "away" | "dnd" | "offline") => status,
        _ => return None,
    };
    let custom = match &object["customStatus"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        object => Some(text(object, "text")?),
    };
    Some(PresenceHeard { user: text(object, "userId")?, status: status.to_owned(), custom })
}

/// A member in `channel:members`: the user and how it is.
pub(crate) fn member(object: &Value) -> Option<(String, String)> {
    instant(&object["joinedAt"])?;
    instant(&object["lastSeen"])?;
    Some((text(object, "userId")?, text(object, "status")?))
}

pub(super) fn text(object: &Value, field: &str) -> Option<String> {
    object[field].as_str().map(str::to_owned)
}

/// Reads `2026-03-01T10:00:01.000Z` as milliseconds since the epoch, by counting days year by year.
pub(super) fn instant(value: &Value) -> Option<u64> {
    let text = value.as_str().filter(|text| text.len() == 24 && text.ends_with('Z'))?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years_days: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months_days: u64 = months.get(..usize::try_from(month).ok()?.checked_sub(1)?)?.iter().sum();
    let days = years_days + months_days + day.checked_sub(1)?;
    let seconds = (number(11, 13)? * 60 + number(14, 16)?) * 60 + number(17, 19)?;
    Some((days * 86_400 + seconds) * 1000 + number(20, 23)?)
}
