//! The text of a packet taken apart; its JSON is left as it is.

use memchr::memchr;

use super::ParseError;

/// Attachments one packet may announce; the default of socket.io-parser 4.2.
pub const ATTACHMENTS_MAX: usize = 10;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `0`: a client asks to join a namespace, a server agrees.
    Connect,
    /// `1`: one side leaves a namespace.
    Disconnect,
    /// `2`: an event with arguments.
    Event,
    /// `3`: the answer to an event with an id.
    Ack,
    /// `4`: a server refuses a namespace. It is no packet for a client to send.
    ConnectError,
    /// `5`: an event with attachments.
    BinaryEvent,
    /// `6`: an answer with attachments.
    BinaryAck,
}

impl Kind {
    const fn from_digit(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Connect,
            b'1' => Self::Disconnect,
            b'2' => Self::Event,
            b'3' => Self::Ack,
            b'4' => Self::ConnectError,
            b'5' => Self::BinaryEvent,
            b'6' => Self::BinaryAck,
            _ => return None,
        })
    }

    /// Whether attachments follow the packet.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::BinaryEvent | Self::BinaryAck)
    }
}

/// The parts of a packet: `51-/admin,7["file",{"_placeholder":true,"num":0}]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What the packet is for.
    pub kind: Kind,
    /// `/admin`; `/` when the packet names none. A query behind it is cut off.
    pub namespace: &'a str,
    /// The id under which an answer is expected (event) or given (answer).
    pub id: Option<u64>,
    /// JSON text that nobody has looked at yet, or nothing.
    pub data: &'a str,
    /// Attachments announced: 0 for text packets, else 1 to [`ATTACHMENTS_MAX`].
    pub attachment_count: usize,
}

/// Takes a packet's text apart.
///
/// Deliberately stricter than Node: white space and empty text stand for no digit (JavaScript reads them as 0, so
/// that `42 ["x"]` asks for answer 0), and the count of attachments is written in digits only (`51e0-` is refused).
/// A query behind the namespace is cut off, where Node 4 takes it for a part of the name. Ids are exact up to
/// `u64::MAX` and refused above; Node rounds them beyond 2^53, so that its answer names another id.
///
/// # Errors
/// [`ParseError`] up to [`ParseError::IdTooLarge`]. The JSON is not looked at: see [`super::check()`].
pub fn parse(text: &str) -> Result<Packet<'_>, ParseError> {
    let digit = text.bytes().next().ok_or(ParseError::Empty)?;
    let kind = Kind::from_digit(digit).ok_or(ParseError::UnknownKind)?;
    let rest = &text[1..];
    let (attachment_count, rest) = if kind.is_binary() { split_attachment_count(rest)? } else { (0, rest) };
    let (namespace, rest) = split_namespace(rest);
    let (id, data) = split_id(rest)?;
    Ok(Packet { kind, namespace, id, data, attachment_count })
}

fn split_attachment_count(text: &str) -> Result<(usize, &str), ParseError> {
    let (digits, rest) = split_digits(text);
    let rest = rest.strip_prefix('-').ok_or(ParseError::AttachmentCount)?;
    match digits.trim_start_matches('0') {
        "" => Err(ParseError::AttachmentCount),
        digits => match digits.parse() {
            Ok(count) if count <= ATTACHMENTS_MAX => Ok((count, rest)),
            _ => Err(ParseError::TooManyAttachments),
        },
    }
}

fn split_namespace(text: &str) -> (&str, &str) {
    if !text.starts_with('/') {
        return ("/", text);
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    let path_bytes = memchr(b'?', namespace.as_bytes()).unwrap_or(namespace.len());
    (&namespace[..path_bytes], rest)
}

fn split_id(text: &str) -> Result<(Option<u64>, &str), ParseError> {
    match split_digits(text) {
        ("", rest) => Ok((None, rest)),
        (digits, rest) => match digits.parse() {
            Ok(id) => Ok((Some(id), rest)),
            Err(_) => Err(ParseError::IdTooLarge),
        },
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_optional_but_the_kind() {
        let check = |text, kind, namespace, id, data, attachment_count| {
            assert_eq!(parse(text), Ok(Packet { kind, namespace, id, data, attachment_count }), "{text}");
        };
        check("0", Kind::Connect, "/", None, "", 0);
        check("0/", Kind::Connect, "/", None, "", 0);
        check("0/admin,", Kind::Connect, "/admin", None, "", 0);
        check("0/admin?token=a,{}", Kind::Connect, "/admin", None, "{}", 0);
        check("0/?a,{}", Kind::Connect, "/", None, "{}", 0);
        check("1/admin", Kind::Disconnect, "/admin", None, "", 0);
        check(r#"2["a"]"#, Kind::Event, "/", None, r#"["a"]"#, 0);
        check(r#"2/é,0["a"]"#, Kind::Event, "/é", Some(0), r#"["a"]"#, 0);
        check("3/admin,012[]", Kind::Ack, "/admin", Some(12), "[]", 0);
        check("4{}", Kind::ConnectError, "/", None, "{}", 0);
        check("51-/a,7[]", Kind::BinaryEvent, "/a", Some(7), "[]", 1);
        check("510-[]", Kind::BinaryEvent, "/", None, "[]", 10);
        check("6002-3[]", Kind::BinaryAck, "/", Some(3), "[]", 2);
        check("2-1[]", Kind::Event, "/", None, "-1[]", 0);
        check("218446744073709551615[]", Kind::Event, "/", Some(u64::MAX), "[]", 0);
    }

    #[test]
    fn what_no_packet_begins_with_is_refused() {
        let check = |text, error| assert_eq!(parse(text), Err(error), "{text:?}");
        check("", ParseError::Empty);
        for text in ["7", "a", " 0", "-1", "é"] {
            check(text, ParseError::UnknownKind);
        }
        for text in
            ["5", "5[]", "5-[]", "50-[]", "5000-[]", "5 1-[]", "5+1-[]", "51[]", "51.0-[]", "51e0-[]", "6é-"]
        {
            check(text, ParseError::AttachmentCount);
        }
        for text in ["511-[]", "699999999999999999999999-[]"] {
            check(text, ParseError::TooManyAttachments);
        }
        check("218446744073709551616[]", ParseError::IdTooLarge);
    }
}
