//! Owns the query of `GET /poll`, the way to messages for those who can keep no connection.

use std::borrow::Cow;

use crate::chat::request::{EPOCH_BYTES_MAX, ID_BYTES_MAX, Refusal, Since, invalid, since_time};
use crate::chat::room;

/// The longest time that a poll waits for a message, in seconds.
pub const POLL_WAIT_S_MAX: u64 = 30;
/// How many messages a poll gives at most; who asks for more, or does not ask, gets as many.
pub const POLL_MESSAGES_MAX: usize = 100;

/// The parameters of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollQuery<'a> {
    /// Canonical room name.
    pub channel: Cow<'a, str>,
    /// What the caller has already; `None` if it does not say.
    pub since: Option<Since<'a>>,
    /// How long to wait in seconds if there is nothing, 0 to [`POLL_WAIT_S_MAX`].
    pub wait_s: u64,
    /// How many messages to give, 1 to [`POLL_MESSAGES_MAX`].
    pub limit: usize,
}

/// Reads the decoded parameters `channelId`, `since` (milliseconds or seconds), `wait` and `limit`; instead of `since`
/// also `lastMessageId`, or `epoch` with `offset`. Others are ignored, and so are empty ones.
///
/// # Errors
/// [`Refusal`] with `VALIDATION_ERROR` if `channelId` is missing, a parameter stands twice or is no number.
pub fn parse_poll<'a>(
    parameters: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<PollQuery<'a>, Refusal> {
    const NAMES: [&str; 7] = ["channelId", "since", "wait", "limit", "lastMessageId", "epoch", "offset"];
    let mut values: [Option<Cow<'a, str>>; NAMES.len()] = Default::default();
    for (name, value) in parameters.filter(|(_, value)| !value.is_empty()) {
        let Some(index) = NAMES.iter().position(|known| *known == name) else { continue };
        if values[index].replace(value).is_some() {
            return Err(invalid("a parameter stands twice"));
        }
    }
    let [channel, since, wait, limit, last_message, epoch, offset] = values;
    let channel = room::canonical(channel.ok_or(invalid("channelId is required"))?)?;
    let refused = |refusal: Refusal| refusal.about(&channel);
    let since = match (since, last_message, epoch) {
        (Some(since), ..) => {
            let time = since.parse().map(since_time);
            Some(time.map_err(|_| refused(invalid("since must be milliseconds since the epoch")))?)
        }
        (None, Some(id), _) if id.len() <= ID_BYTES_MAX => Some(Since::Message { id }),
        (None, Some(_), _) => {
            return Err(refused(invalid("lastMessageId must be at most 128 bytes")));
        }
        (None, None, Some(epoch)) if epoch.len() <= EPOCH_BYTES_MAX => {
            let offset = offset.and_then(|offset| offset.parse().ok());
            let offset = offset.ok_or_else(|| refused(invalid("offset must be a whole number")))?;
            Some(Since::Position { epoch, offset })
        }
        (None, None, Some(_)) => return Err(refused(invalid("epoch must be at most 64 bytes"))),
        (None, None, None) => None,
    };
    let number =
        |value: Option<Cow<'a, str>>, absent: u64| value.map_or(Ok(absent), |value| value.parse::<u64>());
    let wait_s = number(wait, 0)
        .ok()
        .filter(|wait_s| *wait_s <= POLL_WAIT_S_MAX)
        .ok_or_else(|| refused(invalid("wait must be 0 to 30 seconds")))?;
    let limit = number(limit, POLL_MESSAGES_MAX as u64)
        .ok()
        .filter(|limit| *limit > 0)
        .ok_or_else(|| refused(invalid("limit must be a whole number from 1")))?;
    let limit = usize::try_from(limit).map_or(POLL_MESSAGES_MAX, |limit| limit.min(POLL_MESSAGES_MAX));
    Ok(PollQuery { channel, since, wait_s, limit })
}
