//! One Engine.IO packet: what a WebSocket text frame or one record of a polling payload says.

use std::fmt;

/// First byte of the packet that opens a session.
pub const OPEN: u8 = b'0';
/// First byte of a text message; the Socket.IO packet follows it.
pub const MESSAGE: u8 = b'4';
/// The packet that ends a session.
pub const CLOSE: &[u8] = b"1";
/// The server's heartbeat.
pub const PING: &[u8] = b"2";
/// The client's answer to a heartbeat.
pub const PONG: &[u8] = b"3";
/// The client's first packet on a WebSocket that shall take over from polling.
pub const PROBE: &[u8] = b"2probe";
/// The server's answer to [`PROBE`].
pub const PROBE_ANSWER: &[u8] = b"3probe";
/// The client's last word of an upgrade: from here on everything goes over the WebSocket.
pub const UPGRADE: &[u8] = b"5";
/// The packet without a meaning, which ends a pending poll during an upgrade.
pub const NOOP: &[u8] = b"6";

/// An Engine.IO packet, revision 4.
///
/// What follows the type of a packet that carries nothing (close, upgrade, noop) is dropped, as in Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0` and the handshake's JSON; only servers send it. See [`super::Open`].
    Open(&'a str),
    /// `1`.
    Close,
    /// `2`, in an upgrade followed by `probe`. As a heartbeat only servers send it.
    Ping(&'a str),
    /// `3`, in an upgrade followed by `probe`.
    Pong(&'a str),
    /// `4` and a text, which may be empty.
    Message(&'a str),
    /// A binary message: a WebSocket binary frame as a whole. [`parse`] never gives it.
    Binary(&'a [u8]),
    /// `5`.
    Upgrade,
    /// `6`.
    Noop,
}

/// Why bytes are no Engine.IO packet or payload. All of them end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// A packet without even a type; so is an empty payload.
    Empty,
    /// A first character that is no packet type.
    UnknownType,
    /// What follows the `b` of a binary record is not base64.
    Base64,
    /// The payload has more bytes than [`super::PayloadLimits::bytes_max`].
    TooLarge,
    /// The payload has more records than [`super::PayloadLimits::records_max`].
    TooManyRecords,
}

impl fmt::Display for PacketError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "empty packet",
            Self::UnknownType => "unknown packet type",
            Self::Base64 => "invalid base64",
            Self::TooLarge => "payload too large",
            Self::TooManyRecords => "too many packets in one payload",
        })
    }
}

impl std::error::Error for PacketError {}

/// Parses one packet: a WebSocket text frame, or a polling record that does not begin with `b`.
///
/// `4hello` is `Message("hello")`, `2probe` is `Ping("probe")`. A text frame that begins with `b` is refused, though
/// Node takes base64 there too: on a WebSocket bytes have frames of their own. [`super::payload::record`] takes both.
///
/// # Errors
/// [`PacketError::Empty`] and [`PacketError::UnknownType`].
pub fn parse(text: &str) -> Result<Packet<'_>, PacketError> {
    let Some(&kind) = text.as_bytes().first() else {
        return Err(PacketError::Empty);
    };
    let rest = text.get(1..).unwrap_or("");
    match kind {
        OPEN => Ok(Packet::Open(rest)),
        b'1' => Ok(Packet::Close),
        b'2' => Ok(Packet::Ping(rest)),
        b'3' => Ok(Packet::Pong(rest)),
        MESSAGE => Ok(Packet::Message(rest)),
        b'5' => Ok(Packet::Upgrade),
        b'6' => Ok(Packet::Noop),
        _ => Err(PacketError::UnknownType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_told_from_its_first_character() {
        let check = |text, expected| assert_eq!(parse(text), expected, "{text:?}");
        check("0{}", Ok(Packet::Open("{}")));
        check("1", Ok(Packet::Close));
        check("1x", Ok(Packet::Close));
        check("2", Ok(Packet::Ping("")));
        check("2probe", Ok(Packet::Ping("probe")));
        check("3probe", Ok(Packet::Pong("probe")));
        check("4", Ok(Packet::Message("")));
        check("4ä\u{1e}", Ok(Packet::Message("ä\u{1e}")));
        check("5", Ok(Packet::Upgrade));
        check("6", Ok(Packet::Noop));
        check("", Err(PacketError::Empty));
        check("bAQID", Err(PacketError::UnknownType));
        for text in ["7", "abc", " 4", "é", "-", "\0", "\u{1e}"] {
            check(text, Err(PacketError::UnknownType));
        }
    }
}
