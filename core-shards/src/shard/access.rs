//! Who may join what, before the join is sent to the channel's home.

use protocol::chat::room::{self, RoomKind};
use protocol::codes::ErrorCode;

/// Whether a user may join a room: one's own user room and the direct conversations one is part of.
///
/// `user:7` is open to user 7 alone; `dm:7:9` to users 7 and 9, whose ids may hold colons themselves.
pub(super) fn may_join(user: &str, channel: &str) -> Result<(), (ErrorCode, &'static str)> {
    let is_allowed = match room::split(channel) {
        (RoomKind::User, owner) => owner == user,
        (RoomKind::Direct, pair) if pair.contains(':') => {
            let follows = pair.strip_prefix(user).is_some_and(|rest| rest.starts_with(':'));
            let precedes = pair.strip_suffix(user).is_some_and(|rest| rest.ends_with(':'));
            follows || precedes
        }
        (RoomKind::Direct | RoomKind::Channel | RoomKind::Thread, _) => true,
    };
    if is_allowed { Ok(()) } else { Err((ErrorCode::RoomAccessDenied, "you are not in this room")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_of_others_stay_closed() {
        let check = |user, channel, expected| {
            assert_eq!(may_join(user, channel).is_ok(), expected, "{user} {channel}")
        };
        check("7", "user:7", true);
        check("7", "user:77", false);
        check("7", "dm:7:9", true);
        check("9", "dm:7:9", true);
        check("8", "dm:7:9", false);
        check("", "dm:7:9", false);
        check("a:b", "dm:a:b:c", true);
        check("7", "general", true);
        check("7", "thread:9", true);
    }
}
