//! Joining and leaving, and the ways to say what one has already.

use std::borrow::Cow;

use super::fields::{channel_of, fields, invalid, message_id, text};
use super::{Refusal, Request};
use crate::json::{Json, Kind};

/// The longest epoch in bytes.
pub const EPOCH_BYTES_MAX: usize = 64;

/// Times below are seconds since the epoch: as milliseconds this is March 1973, as seconds the year 5138.
const SECONDS_BELOW: u64 = 100_000_000_000;

/// What a client has already; it asks for everything after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since<'a> {
    /// Everything up to and including a number of an unbroken run.
    Position {
        /// The run.
        epoch: Cow<'a, str>,
        /// The last number that the client has.
        offset: u64,
    },
    /// Everything up to and including an instant.
    Time {
        /// In milliseconds since the epoch. Clients may write seconds; they are told by being below 10^11.
        unix_ms: u64,
    },
    /// Everything up to and including a message.
    Message {
        /// Its id.
        id: Cow<'a, str>,
    },
}

pub(super) fn read_join(argument: Option<Json<'_>>, by_room_name: bool) -> Result<Request<'_>, Refusal> {
    let [channel, room, room_id, since, last_message] =
        fields(argument, ["channelId", "roomName", "room_id", "since", "lastMessageId"])?;
    let room = channel_of([channel, room, room_id])?;
    let since = read_since(since, last_message).map_err(|refusal| refusal.about(&room.channel))?;
    Ok(Request::Join { channel: room.channel, spelling: room.spelling, by_room_name, since })
}

pub(super) fn read_leave(argument: Option<Json<'_>>, by_room_name: bool) -> Result<Request<'_>, Refusal> {
    let room = channel_of(fields(argument, ["channelId", "roomName", "room_id"])?)?;
    Ok(Request::Leave { channel: room.channel, spelling: room.spelling, by_room_name })
}

/// Reads `since`, or `lastMessageId` where there is none.
pub(super) fn read_since<'a>(
    since: Option<Json<'a>>,
    last_message: Option<Json<'a>>,
) -> Result<Option<Since<'a>>, Refusal> {
    const REFUSED: &str = "since must be milliseconds since the epoch, or an object with epoch and offset";
    let Some(since) = since.filter(|since| !since.is_null()) else {
        return Ok(message_id(last_message)?.map(|id| Since::Message { id }));
    };
    match since.kind() {
        Kind::Object => {
            let [epoch, offset] = fields(Some(since), ["epoch", "offset"])?;
            let epoch = text(epoch, EPOCH_BYTES_MAX, REFUSED)?;
            match (epoch, offset.and_then(Json::as_u64)) {
                (Some(epoch), Some(offset)) => Ok(Some(Since::Position { epoch, offset })),
                _ => Err(invalid(REFUSED)),
            }
        }
        _ => since.as_u64().map(since_time).map(Some).ok_or(invalid(REFUSED)),
    }
}

/// An instant in milliseconds, or in seconds where it would otherwise lie before 1973.
pub(in crate::chat) const fn since_time<'a>(number: u64) -> Since<'a> {
    Since::Time { unix_ms: if number < SECONDS_BELOW { number * 1000 } else { number } }
}
