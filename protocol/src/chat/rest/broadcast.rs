//! Owns the bodies of what only a back end may do: events of its own making, one or many, and taking back permissions.

use std::borrow::Cow;

use super::post::{object, user_of};
use crate::chat::request::{ID_BYTES_MAX, Refusal, channel_of, event_name, fields, invalid, is_absent, text};
use crate::chat::room;
use crate::json::{Json, Kind};

/// How many rooms one broadcast may name.
pub const ROOMS_MAX: usize = 100;
/// How many events one batch may hold.
pub const BATCH_EVENTS_MAX: usize = 100;
/// How many rooms the events of one batch may name together.
pub const BATCH_ROOMS_MAX: usize = 1000;

/// One event of a back end, for everybody in some rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastPost<'a> {
    /// The event's name, not a reserved one.
    pub event: Cow<'a, str>,
    /// Canonical names, each once, 1 to [`ROOMS_MAX`].
    pub rooms: Vec<Cow<'a, str>>,
    /// The event's argument, delivered as it came.
    pub payload: Json<'a>,
    /// The back end's own id of the event, by which a repetition is known.
    pub event_id: Option<Cow<'a, str>>,
}

/// Whose remembered permissions no longer count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation<'a> {
    /// Of this user; `None` is everybody.
    pub user: Option<Cow<'a, str>>,
    /// For this room, by its canonical name; `None` is every room.
    pub channel: Option<Cow<'a, str>>,
}

/// Reads the body of `POST /api/broadcast`: `eventType`, `rooms`, `payload`, perhaps `eventId`.
///
/// # Errors
/// [`Refusal`] with `VALIDATION_ERROR`, as for every function here.
pub fn parse_broadcast(body: Json<'_>) -> Result<BroadcastPost<'_>, Refusal> {
    let [event, rooms, room_names, payload, event_id] =
        fields(Some(object(body)?), ["eventType", "rooms", "roomNames", "payload", "eventId"])?;
    Ok(BroadcastPost {
        event: event_name(event)?,
        rooms: read_rooms(rooms.or(room_names))?,
        payload: payload.ok_or(invalid("payload is required; it may be null"))?,
        event_id: text(event_id, ID_BYTES_MAX, "eventId must be a string of at most 128 bytes")?,
    })
}

/// Reads the body of `POST /api/broadcast/batch`: `events`, each as [`parse_broadcast`] reads it, whose rooms are called
/// `roomNames`. One that is wrong refuses them all.
///
/// # Errors
/// [`Refusal`] with `VALIDATION_ERROR`.
pub fn parse_batch(body: Json<'_>) -> Result<Vec<BroadcastPost<'_>>, Refusal> {
    const REFUSED: Refusal = invalid("events must be an array of 1 to 100 objects");
    let [list] = fields(Some(object(body)?), ["events"])?;
    let list = list.filter(|list| list.kind() == Kind::Array).ok_or(REFUSED)?;
    let mut events = Vec::new();
    let mut room_count = 0;
    for item in list.items() {
        if events.len() == BATCH_EVENTS_MAX {
            return Err(REFUSED);
        }
        let event = parse_broadcast(item)?;
        room_count += event.rooms.len();
        if room_count > BATCH_ROOMS_MAX {
            return Err(invalid("the events must name at most 1000 rooms together"));
        }
        events.push(event);
    }
    if events.is_empty() { Err(REFUSED) } else { Ok(events) }
}

fn read_rooms(rooms: Option<Json<'_>>) -> Result<Vec<Cow<'_, str>>, Refusal> {
    const REFUSED: Refusal = invalid("rooms must be an array of 1 to 100 names");
    let rooms = rooms.filter(|rooms| rooms.kind() == Kind::Array).ok_or(REFUSED)?;
    let mut names: Vec<Cow<'_, str>> = Vec::new();
    for (count, name) in rooms.items().enumerate() {
        if count == ROOMS_MAX {
            return Err(REFUSED);
        }
        let name = room::canonical(name.as_str().ok_or(REFUSED)?)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { Err(REFUSED) } else { Ok(names) }
}

/// Reads the body of `POST /api/permissions/invalidate`: perhaps `userId`, perhaps `channelId`.
///
/// # Errors
/// [`Refusal`] with `VALIDATION_ERROR`: what is there must be right, lest too much or nothing is taken back.
pub fn parse_invalidation(body: Json<'_>) -> Result<Invalidation<'_>, Refusal> {
    let [user, channel, room, room_id] =
        fields(Some(object(body)?), ["userId", "channelId", "roomName", "room_id"])?;
    let names = [channel, room, room_id];
    Ok(Invalidation {
        user: if is_absent(user) { None } else { Some(user_of(user)?) },
        channel: if names.into_iter().all(is_absent) { None } else { Some(channel_of(names)?.channel) },
    })
}
