//! Owns the names for how the node speaks to a session: its dialect, the spelling of a room, and the style that follows
//! from both. What each style looks like is the events'; which session has which dialect is decided elsewhere.

/// Which event names and shapes a session is spoken to with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The specification's names: `message`, `typing`, `presence`, `reaction`, `read`.
    Primary,
    /// The former server's names: `message:new`, `typing:event`, `presence:changed`, rooms as `roomName`.
    Legacy,
    /// Primary, and after each of its frames the same under the names of clients that mix both.
    Hybrid,
}

impl Dialect {
    /// Reads the name that clients and operators use: `primary`, `legacy`, `socket` or `both`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "primary" => Some(Self::Primary),
            "legacy" => Some(Self::Legacy),
            "socket" | "both" => Some(Self::Hybrid),
            _ => None,
        }
    }
}

/// How a session wrote a channel's name when it joined. Rooms of other kinds have only one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// `abc`.
    Bare,
    /// `channel:abc`.
    Prefixed,
}

/// How the broadcasts of a room are written for one of its members: one encoding each, shared by all of that style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Style {
    /// The primary dialect.
    Primary,
    /// The legacy dialect, `roomName` being `abc`.
    LegacyBare,
    /// The legacy dialect, `roomName` being `channel:abc`.
    LegacyPrefixed,
    /// The hybrid dialect.
    Hybrid,
}

impl Style {
    /// How many styles there are.
    pub const COUNT: usize = 4;
    /// Every style, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Primary, Self::LegacyBare, Self::LegacyPrefixed, Self::Hybrid];

    /// The style of a membership.
    pub const fn of(dialect: Dialect, spelling: Spelling) -> Self {
        match (dialect, spelling) {
            (Dialect::Primary, _) => Self::Primary,
            (Dialect::Hybrid, _) => Self::Hybrid,
            (Dialect::Legacy, Spelling::Bare) => Self::LegacyBare,
            (Dialect::Legacy, Spelling::Prefixed) => Self::LegacyPrefixed,
        }
    }

    /// Whether the legacy dialect is spoken.
    pub const fn is_legacy(self) -> bool {
        matches!(self, Self::LegacyBare | Self::LegacyPrefixed)
    }

    /// The spelling that `roomName` has; bare outside of the legacy dialect.
    pub const fn spelling(self) -> Spelling {
        match self {
            Self::LegacyPrefixed => Spelling::Prefixed,
            Self::Primary | Self::LegacyBare | Self::Hybrid => Spelling::Bare,
        }
    }
}

/// All that the bytes of a broadcast depend on besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form<'a> {
    /// The style.
    pub style: Style,
    /// Where the receiver stands after this event: the last argument of each frame, a string that stock clients keep and
    /// send back when they resume. `None` for sessions that cannot be resumed.
    pub cursor: Option<&'a str>,
}

impl Form<'_> {
    /// A style without cursor.
    pub const fn plain(style: Style) -> Self {
        Self { style, cursor: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_stand_in_the_order_of_their_numbers() {
        for (number, style) in Style::ALL.into_iter().enumerate() {
            assert_eq!(style as usize, number);
        }
    }

    #[test]
    fn only_the_legacy_dialect_tells_spellings_apart() {
        use Dialect::{Hybrid, Legacy, Primary};
        use Spelling::{Bare, Prefixed};
        assert_eq!(Style::of(Primary, Bare), Style::of(Primary, Prefixed));
        assert_eq!(Style::of(Hybrid, Bare), Style::of(Hybrid, Prefixed));
        for spelling in [Bare, Prefixed] {
            let style = Style::of(Legacy, spelling);
            assert!(style.is_legacy());
            assert_eq!(style.spelling(), spelling);
        }
    }

    #[test]
    fn dialects_have_the_names_of_the_handshake() {
        let names = ["primary", "legacy", "socket", "both", "auto", ""].map(Dialect::parse);
        let [primary, legacy, hybrid] = [Dialect::Primary, Dialect::Legacy, Dialect::Hybrid].map(Some);
        assert_eq!(names, [primary, legacy, hybrid, hybrid, None, None]);
    }
}
