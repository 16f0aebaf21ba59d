//! Who begins or stops to type, under the four names that clients have for it.

use std::borrow::Cow;

use super::Refusal;
use super::fields::{channel_of, fields, invalid, is_absent, thread};
use crate::chat::room::{self, RoomKind};
use crate::json::Json;

/// A user begins or stops to type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typing<'a> {
    /// Canonical room name.
    pub channel: Cow<'a, str>,
    /// Whether the user types.
    pub is_typing: bool,
    /// The thread, if it is typed in one.
    pub thread: Option<Cow<'a, str>>,
    /// What legacy clients call the room, to be told to the others: `channel`, `thread` or `dm`.
    pub room_type: Option<&'static str>,
}

/// Reads `typing` and `message:typing` with their `isTyping`, `typing:start` and `typing:stop` without.
///
/// Legacy clients give the bare id as `roomName` and the kind of room beside it: `{"roomName":"a:b","roomType":"dm"}`
/// is the room `dm:a:b`. With a `threadId` of its own, `roomName` is the channel that the thread is in.
pub(in crate::chat) fn read_typing<'a>(
    event: &str,
    argument: Option<Json<'a>>,
) -> Result<Typing<'a>, Refusal> {
    let [channel, room, room_id, is_typing, thread_id, room_type] =
        fields(argument, ["channelId", "roomName", "room_id", "isTyping", "threadId", "roomType"])?;
    let by_room_name = is_absent(channel);
    let channel = channel_of([channel, room, room_id])?.channel;
    let refused = |refusal: Refusal| refusal.about(&channel);
    let is_typing = match event {
        "typing:start" => true,
        "typing:stop" => false,
        _ => is_typing
            .and_then(Json::as_bool)
            .ok_or_else(|| refused(invalid("isTyping must be true or false")))?,
    };
    let thread = thread(thread_id).map_err(refused)?;
    let room_type = room_type.and_then(Json::as_str).and_then(|name| kind_of(&name));
    let channel = match room_type {
        Some(kind @ (RoomKind::Direct | RoomKind::Thread))
            if by_room_name && room::split(&channel).0 == RoomKind::Channel =>
        {
            let is_inside = kind == RoomKind::Thread && thread.is_some();
            if is_inside { channel } else { room::canonical([kind.name(), ":", &channel].concat().into())? }
        }
        _ => channel,
    };
    Ok(Typing { channel, is_typing, thread, room_type: room_type.map(RoomKind::name) })
}

fn kind_of(name: &str) -> Option<RoomKind> {
    [RoomKind::Channel, RoomKind::Thread, RoomKind::Direct].into_iter().find(|kind| kind.name() == name)
}
