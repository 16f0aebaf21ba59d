//! Owns the words for what a user is said to be doing: the four statuses and the line of text beside them. How the
//! sessions of one user are merged into one status is decided elsewhere.

use std::borrow::Cow;

/// A user's status, the most available first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Status {
    /// There.
    Online,
    /// There, but not at the keyboard.
    Away,
    /// There, and not to be disturbed; the legacy dialect calls it `busy`.
    Dnd,
    /// Not there, or wishing to be taken for it.
    Offline,
}

impl Status {
    /// How many statuses there are.
    pub const COUNT: usize = 4;
    /// Every status, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [Self::Online, Self::Away, Self::Dnd, Self::Offline];

    /// Reads a status as clients write it; `busy` is `dnd`, and `invisible` is `offline`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "online" => Some(Self::Online),
            "away" => Some(Self::Away),
            "dnd" | "busy" => Some(Self::Dnd),
            "offline" | "invisible" => Some(Self::Offline),
            _ => None,
        }
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Dnd => "dnd",
            Self::Offline => "offline",
        }
    }

    /// The name in the legacy dialect: `busy` for `dnd`.
    pub const fn legacy_name(self) -> &'static str {
        match self {
            Self::Dnd => "busy",
            Self::Online | Self::Away | Self::Offline => self.name(),
        }
    }
}

/// What a user says beside the status, as it came with an event. Nothing in it means that it is to be taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custom<'a> {
    /// The text, not empty.
    pub text: Option<Cow<'a, str>>,
    /// The emoji, not empty.
    pub emoji: Option<Cow<'a, str>>,
    /// When it ends, in milliseconds since the epoch.
    pub expires_at_ms: Option<u64>,
}

impl Custom<'_> {
    /// The same to be kept; `None` if there is nothing to say.
    pub fn to_status(&self) -> Option<CustomStatus> {
        if self.text.is_none() && self.emoji.is_none() {
            return None;
        }
        Some(CustomStatus {
            text: self.text.as_deref().map(Box::from),
            emoji: self.emoji.as_deref().map(Box::from),
            expires_at_ms: self.expires_at_ms,
        })
    }
}

/// What a user says beside the status: a text or an emoji, at least one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomStatus {
    /// The text.
    pub text: Option<Box<str>>,
    /// The emoji.
    pub emoji: Option<Box<str>>,
    /// When it ends, in milliseconds since the epoch.
    pub expires_at_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_by_its_names() {
        for (number, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, number);
            assert_eq!(Status::parse(status.name()), Some(status));
            assert_eq!(Status::parse(status.legacy_name()), Some(status));
        }
        assert_eq!(Status::parse("invisible"), Some(Status::Offline));
        for name in ["", "Online", "gone"] {
            assert_eq!(Status::parse(name), None);
        }
    }

    #[test]
    fn a_custom_status_of_nothing_is_none() {
        let expiry_alone = Custom { expires_at_ms: Some(1), ..Custom::default() };
        assert_eq!(expiry_alone.to_status(), None);
        let emoji = Custom { emoji: Some("x".into()), ..Custom::default() };
        assert_eq!(emoji.to_status().and_then(|status| status.emoji).as_deref(), Some("x"));
    }
}
