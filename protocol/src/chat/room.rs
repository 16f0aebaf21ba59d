//! Which room a name means. The same channel is addressed as `abc` and `channel:abc`; threads, users
//! and direct messages keep their prefix.

use std::borrow::Cow;

use super::dialect::Spelling;

/// The longest room name in bytes, prefix included.
pub const NAME_BYTES_MAX: usize = 255;

/// What stands before the id of a channel in its longer spelling.
const CHANNEL_PREFIX: &str = "channel:";

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
/// `abc` and `channel:abc` both give `abc`; `dm:a:b` stays `dm:a:b`. A canonical name gives itself.
pub fn canonical(name: Cow<'_, str>) -> Result<Cow<'_, str>, NameError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    if has_control(&name) {
        return Err(NameError::ControlCharacter);
    }
    let name = match name {
        Cow::Borrowed(text) => Cow::Borrowed(without_prefixes(text)),
        Cow::Owned(text) => Cow::Owned(without_prefixes(&text).to_owned()),
    };
    let (_, id) = split(&name);
    if id.is_empty() {
        return Err(NameError::Empty);
    }
    Ok(name)
}

fn has_control(name: &str) -> bool {
    // Control characters beyond ASCII begin with this byte in UTF-8; most names are decided without decoding them.
    const UPPER_CONTROLS: u8 = 0xc2;
    let is_suspect = |byte: u8| byte < 0x20 || byte == 0x7f || byte == UPPER_CONTROLS;
    name.bytes().fold(false, |found, byte| found | is_suspect(byte)) && name.chars().any(char::is_control)
}

/// `trim_start_matches` would prepare a search first, at twenty times the cost.
fn without_prefixes(mut name: &str) -> &str {
    while let Some(rest) = name.strip_prefix(CHANNEL_PREFIX) {
        name = rest;
    }
    name
}

/// How a client wrote the name that it gave.
pub fn spelling(original: &str) -> Spelling {
    if original.starts_with(CHANNEL_PREFIX) { Spelling::Prefixed } else { Spelling::Bare }
}

/// A canonical name in one of its spellings: `channel:abc` for `abc` if that is how it was joined.
///
/// Rooms of other kinds have one spelling.
pub fn spelled(canonical: &str, spelling: Spelling) -> Cow<'_, str> {
    match (spelling, split(canonical).0) {
        (Spelling::Prefixed, RoomKind::Channel) => Cow::Owned([CHANNEL_PREFIX, canonical].concat()),
        _ => Cow::Borrowed(canonical),
    }
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
        check("channel:user:7", Ok("user:7"));
        check("channel:channel:abc", Ok("abc"));
        assert_eq!(canonical(Cow::Owned("x".repeat(256))), Err(NameError::TooLong));
        assert_eq!(canonical(Cow::Owned("channel:x".to_owned())), Ok(Cow::Borrowed("x")));
    }

    #[test]
    fn a_name_is_echoed_as_it_was_spelled() {
        for name in ["abc", "channel:abc", "dm:a:b", "thread:t", "user:7"] {
            let canonical = canonical(Cow::Borrowed(name)).unwrap();
            assert_eq!(spelled(&canonical, spelling(name)), name);
        }
        assert_eq!(spelled("user:7", Spelling::Prefixed), "user:7");
    }
}
