//! Which room a name means. The same channel is addressed as `abc` and `channel:abc`; threads, users
//! and direct messages keep their prefix.

use std::borrow::Cow;

/// The longest room name in bytes, prefix included.
pub const NAME_BYTES_MAX: usize = 255;

/// What a room is for; decides who may join it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomKind {
    /// A channel, addressed by its bare id.
    Channel,
    /// A thread of a channel: `thread:<id>`.
    Thread,
    /// Everything that concerns one user: `user:<id>`.
    User,
    /// A direct conversation: `dm:<id>`.
    Direct,
}

impl RoomKind {
    /// The kind's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Thread => "thread",
            Self::User => "user",
            Self::Direct => "dm",
        }
    }
}

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The name, or what follows its prefix, is empty.
    Empty,
    /// The name is longer than [`NAME_BYTES_MAX`].
    TooLong,
    /// The name holds a control character.
    ControlCharacter,
}

impl NameError {
    /// A sentence for the client.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Empty => "channelId is required",
            Self::TooLong => "channelId must be at most 255 bytes",
            Self::ControlCharacter => "channelId must not hold control characters",
        }
    }
}

/// The one spelling that a room is kept under: channels by bare id, other kinds with their prefix.
///
/// `abc` and `channel:abc` both give `abc`; `dm:a:b` stays `dm:a:b`.
pub fn canonical(name: Cow<'_, str>) -> Result<Cow<'_, str>, NameError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter);
    }
    let bare = match &name {
        Cow::Borrowed(text) => text.strip_prefix("channel:").map(Cow::Borrowed),
        Cow::Owned(text) => text.strip_prefix("channel:").map(|bare| Cow::Owned(bare.to_owned())),
    };
    let name = bare.unwrap_or(name);
    let (_, id) = split(&name);
    if id.is_empty() {
        return Err(NameError::Empty);
    }
    Ok(name)
}

/// Splits a canonical name into its kind and id: `dm:a:b` is `(Direct, "a:b")`.
pub fn split(name: &str) -> (RoomKind, &str) {
    for (prefix, kind) in
        [("thread:", RoomKind::Thread), ("user:", RoomKind::User), ("dm:", RoomKind::Direct)]
    {
        if let Some(id) = name.strip_prefix(prefix) {
            return (kind, id);
        }
    }
    (RoomKind::Channel, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_has_one_name() {
        let check =
            |name: &'static str, expected| assert_eq!(canonical(Cow::Borrowed(name)).as_deref(), expected);
        check("abc", Ok("abc"));
        check("channel:abc", Ok("abc"));
        check("dm:a:b", Ok("dm:a:b"));
        check("user:7", Ok("user:7"));
        check("odd:name", Ok("odd:name"));
        check("", Err(&NameError::Empty));
        check("channel:", Err(&NameError::Empty));
        check("thread:", Err(&NameError::Empty));
        check("a\u{7}b", Err(&NameError::ControlCharacter));
        assert_eq!(canonical(Cow::Owned("x".repeat(256))), Err(NameError::TooLong));
    }
}
