//! What can be wrong with a Socket.IO packet.

use std::fmt;

/// Why a packet is refused.
///
/// Nearly all of them end the connection, as in Node; see [`ParseError::closes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// The message has no packet in it.
    Empty,
    /// The first character is no packet type.
    UnknownKind,
    /// A binary packet without a count of attachments, or with a count of zero.
    AttachmentCount,
    /// More than [`super::ATTACHMENTS_MAX`] attachments are announced.
    TooManyAttachments,
    /// The acknowledgement id is larger than `u64::MAX`.
    IdTooLarge,
    /// The JSON is not JSON.
    Syntax,
    /// The JSON is not of the kind that this packet carries.
    Payload,
    /// The event has a name that only libraries may use.
    ReservedEvent,
    /// A placeholder for an attachment names none.
    Placeholder,
    /// Text came while attachments of the packet before were missing.
    AttachmentMissing,
    /// An attachment came that no packet had announced.
    AttachmentUnexpected,
    /// A packet and its attachments together are larger than allowed.
    TooLarge,
    /// An event with nothing in it, not even a name.
    EventWithoutData,
    /// An acknowledgement that does not say of what.
    AckWithoutId,
}

impl ParseError {
    /// Whether the connection is to be closed; otherwise the packet is dropped, since it can mean nothing to anybody.
    #[must_use]
    pub const fn closes(self) -> bool {
        !matches!(self, Self::EventWithoutData | Self::AckWithoutId)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "empty packet",
            Self::UnknownKind => "unknown packet type",
            Self::AttachmentCount => "invalid count of attachments",
            Self::TooManyAttachments => "too many attachments",
            Self::IdTooLarge => "acknowledgement id too large",
            Self::Syntax => "invalid JSON",
            Self::Payload => "invalid payload",
            Self::ReservedEvent => "reserved event name",
            Self::Placeholder => "placeholder without attachment",
            Self::AttachmentMissing => "text while attachments are missing",
            Self::AttachmentUnexpected => "attachment without packet",
            Self::TooLarge => "packet too large",
            Self::EventWithoutData => "event without data",
            Self::AckWithoutId => "acknowledgement without id",
        })
    }
}

impl std::error::Error for ParseError {}
