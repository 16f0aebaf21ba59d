//! Owns the close codes of RFC 6455 section 7.4 and the IANA registry, and which of them may be sent.

use core::fmt;

/// A close code is the 16-bit status that starts the payload of a close frame (RFC 6455 section 7.4).
///
/// Any number can be held; [`CloseCode::is_allowed_on_the_wire`] says which may be sent or received.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled (1000).
    pub const NORMAL: Self = Self(1000);
    /// The endpoint goes away: a server stops, a page is left (1001).
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke a rule of the framing (1002).
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The peer sent a kind of data that is not taken here (1003).
    pub const UNSUPPORTED: Self = Self(1003);
    /// The payload contradicts its kind, as text that is not UTF-8 (1007).
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The peer broke a rule of the application (1008).
    pub const POLICY: Self = Self(1008);
    /// The message is bigger than this side takes (1009).
    pub const TOO_BIG: Self = Self(1009);
    /// This side failed and cannot go on (1011).
    pub const INTERNAL: Self = Self(1011);
    /// The service restarts; the peer may reconnect (1012, IANA registry).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The service is overloaded; the peer may come back later (1013, IANA registry).
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// Whether a close frame may carry this code (RFC 6455 sections 7.4.1 and 7.4.2).
    ///
    /// 1000 to 1014 without 1004, 1005 and 1006, and the ranges of libraries and applications, 3000 to 4999.
    /// 1015 and everything else stands for something that did not happen on the wire.
    pub const fn is_allowed_on_the_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    #[test]
    fn codes_that_stand_for_a_missing_close_frame_are_not_sent() {
        for code in
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
        {
            assert!(CloseCode(code).is_allowed_on_the_wire(), "{code}");
        }
        for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!CloseCode(code).is_allowed_on_the_wire(), "{code}");
        }
    }
}
