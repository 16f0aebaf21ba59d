//! Events that the node does not understand and hands on: who may use them, and where they go, is decided elsewhere.

use std::borrow::Cow;

use super::fields::{ID_BYTES_MAX, channel_of, fields, invalid, is_absent, text};
use super::{Refusal, Request};
use crate::chat::event::is_reserved;
use crate::chat::room;
use crate::json::{Json, Kind};

/// The longest name of an event that is handed on, in bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 128;
/// How many events one `batch` may hold.
pub const BATCH_EVENTS_MAX: usize = 10;

/// An event of the operator's list, for the room that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed<'a> {
    /// Canonical room name: that of `channelId` or `roomName`, else `stream:<streamId>`.
    pub channel: Cow<'a, str>,
    /// The object that came, for [`super::super::event::push_relayed_body`].
    pub payload: Json<'a>,
}

/// Reads an event that [`super::parse`] does not know and that the operator wants handed on.
///
/// # Errors
/// [`Refusal`] if it is not an object, or names no room.
pub fn parse_relayed(argument: Option<Json<'_>>) -> Result<Relayed<'_>, Refusal> {
    let [channel, room, room_id, stream] =
        fields(argument, ["channelId", "roomName", "room_id", "streamId"])?;
    let payload = argument.unwrap_or(crate::json::EMPTY_OBJECT);
    let names = [channel, room, room_id];
    let stream = stream.and_then(Json::as_str).filter(|id| !id.is_empty());
    let channel = match stream {
        Some(id) if names.into_iter().all(is_absent) => room::canonical(["stream:", &id].concat().into())?,
        _ => channel_of(names)?.channel,
    };
    Ok(Relayed { channel, payload })
}

pub(super) fn read_notification(argument: Option<Json<'_>>) -> Result<Request<'_>, Refusal> {
    let [id] = fields(argument, ["notificationId"])?;
    let id = text(id, ID_BYTES_MAX, "notificationId must be a string of at most 128 bytes")?;
    let id = id.ok_or(invalid("notificationId is required"))?;
    Ok(Request::Notification { name: "notification:read", id: Some(id) })
}

pub(super) fn read_dispatch(argument: Option<Json<'_>>) -> Result<Request<'_>, Refusal> {
    let [event, room, room_name, channel, payload] =
        fields(argument, ["event", "room", "roomName", "channelId", "payload"])?;
    let channel = channel_of([room, room_name, channel])?.channel;
    let event = event_name(event).map_err(|refusal| refusal.about(&channel))?;
    Ok(Request::Dispatch { event, channel, payload: payload.unwrap_or(Json::trusted("null")) })
}

/// Reads the name of an event to be handed on, which must not be one that libraries or the node speak with.
pub(in crate::chat) fn event_name(field: Option<Json<'_>>) -> Result<Cow<'_, str>, Refusal> {
    const REFUSED: &str = "the event's name must be a string of 1 to 128 bytes";
    let name = text(field, EVENT_NAME_BYTES_MAX, REFUSED)?.ok_or(invalid(REFUSED))?;
    if is_reserved(&name) {
        return Err(invalid("the event's name is reserved"));
    }
    Ok(name)
}

pub(super) fn read_batch(argument: Option<Json<'_>>) -> Result<Request<'_>, Refusal> {
    const REFUSED: Refusal = invalid("batch needs an array of 1 to 10 objects with event and data");
    let list = argument.filter(|list| list.kind() == Kind::Array).ok_or(REFUSED)?;
    let mut events = Vec::new();
    for item in list.items() {
        if events.len() == BATCH_EVENTS_MAX {
            return Err(REFUSED);
        }
        let [event, value] = fields(Some(item), ["event", "data"]).map_err(|_| REFUSED)?;
        let event = event.and_then(Json::as_str).ok_or(REFUSED)?;
        if event == "batch" {
            return Err(invalid("a batch must not hold a batch"));
        }
        events.push((event, value.filter(|value| !value.is_null())));
    }
    if events.is_empty() { Err(REFUSED) } else { Ok(Request::Batch { events }) }
}
