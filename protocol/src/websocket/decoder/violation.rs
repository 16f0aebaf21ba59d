//! Owns the ways in which a peer can break the framing, and the close code that answers each.

use core::fmt;

use crate::websocket::close::CloseCode;

/// A violation is the rule that a peer broke; the connection is closed with its code and reason.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Violation {
    /// A reserved bit is set without an extension that gives it a meaning (RFC 6455 section 5.2).
    ReservedBits,
    /// The opcode is one of the reserved ones, 3 to 7 or 11 to 15 (section 5.2).
    ReservedOpcode,
    /// A control frame lacks FIN (section 5.5).
    FragmentedControl,
    /// A control frame declares more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A client's frame is not masked (section 5.1).
    Unmasked,
    /// A server's frame is masked (section 5.1).
    Masked,
    /// The length is not written in the shortest form (section 5.2).
    LengthNotMinimal,
    /// The length uses the 64th bit (section 5.2).
    LengthOverflow,
    /// A continuation frame comes while no message is open (section 5.4).
    UnexpectedContinuation,
    /// A new message begins before the last fragment of the open one (section 5.4).
    ExpectedContinuation,
    /// The message is larger than [`super::Limits::message_bytes_max`].
    MessageTooBig,
    /// The message comes in more frames than [`super::Limits::fragments_max`].
    TooManyFragments,
    /// A text message or a close reason is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A close frame carries one byte, half a code (section 5.5.1).
    CloseTooShort,
    /// A close frame carries a code that may not be sent (section 7.4).
    CloseCodeNotAllowed,
}

impl Violation {
    /// All violations, in the order of their declaration.
    pub const ALL: [Self; 15] = [
        Self::ReservedBits,
        Self::ReservedOpcode,
        Self::FragmentedControl,
        Self::ControlTooLong,
        Self::Unmasked,
        Self::Masked,
        Self::LengthNotMinimal,
        Self::LengthOverflow,
        Self::UnexpectedContinuation,
        Self::ExpectedContinuation,
        Self::MessageTooBig,
        Self::TooManyFragments,
        Self::InvalidUtf8,
        Self::CloseTooShort,
        Self::CloseCodeNotAllowed,
    ];

    /// The code to close with: 1007 for bad text, 1009 for what is too big, otherwise 1002.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::LengthOverflow | Self::MessageTooBig | Self::TooManyFragments => CloseCode::TOO_BIG,
            Self::ReservedBits
            | Self::ReservedOpcode
            | Self::FragmentedControl
            | Self::ControlTooLong
            | Self::Unmasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::CloseTooShort
            | Self::CloseCodeNotAllowed => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The reason to close with: a short English sentence, for the person who debugs the peer.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "a reserved bit is set",
            Self::ReservedOpcode => "the opcode is reserved",
            Self::FragmentedControl => "a control frame is fragmented",
            Self::ControlTooLong => "a control frame is longer than 125 bytes",
            Self::Unmasked => "a client's frame is not masked",
            Self::Masked => "a server's frame is masked",
            Self::LengthNotMinimal => "the length is not in its shortest form",
            Self::LengthOverflow => "the length does not fit in 63 bits",
            Self::UnexpectedContinuation => "a continuation without a message",
            Self::ExpectedContinuation => "a message inside a fragmented message",
            Self::MessageTooBig => "the message is too big",
            Self::TooManyFragments => "the message has too many fragments",
            Self::InvalidUtf8 => "the text is not UTF-8",
            Self::CloseTooShort => "the close code is cut short",
            Self::CloseCodeNotAllowed => "the close code may not be sent",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::Violation;

    #[test]
    fn every_violation_closes_with_a_code_that_may_be_sent_and_a_reason_that_fits() {
        for violation in Violation::ALL {
            assert!(matches!(violation.close_code().0, 1002 | 1007 | 1009), "{violation:?}");
            assert!(violation.reason().len() <= 123, "{violation:?}");
        }
    }
}
