//! What a client asks for after it was away.

use super::fields::{channel_of, fields, invalid};
use super::membership::read_since;
use super::{Refusal, Request};
use crate::json::Json;

/// How many messages `sync:messages` gives to a client that does not say.
pub const SYNC_MESSAGES_DEFAULT: usize = 50;
/// How many messages `sync:messages` gives at most; who asks for more gets as many.
pub const SYNC_MESSAGES_MAX: usize = 100;

pub(super) fn read_messages(argument: Option<Json<'_>>) -> Result<Request<'_>, Refusal> {
    let [channel, room, room_id, since, last_message, limit] =
        fields(argument, ["channelId", "roomName", "room_id", "since", "lastMessageId", "limit"])?;
    let channel = channel_of([channel, room, room_id])?.channel;
    let refused = |refusal: Refusal| refusal.about(&channel);
    let since = read_since(since, last_message).map_err(refused)?;
    let limit = match limit.filter(|limit| !limit.is_null()).map(Json::as_u64) {
        None => SYNC_MESSAGES_DEFAULT,
        Some(Some(limit @ 1..)) => {
            usize::try_from(limit).map_or(SYNC_MESSAGES_MAX, |limit| limit.min(SYNC_MESSAGES_MAX))
        }
        Some(_) => return Err(refused(invalid("limit must be a whole number from 1"))),
    };
    Ok(Request::SyncMessages { channel, since, limit })
}
