//! Polling payloads: packets joined by U+001E, bytes as base64 behind a `b`.

use std::borrow::Cow;

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use base64::{alphabet, encoded_len};
use memchr::memchr;

use super::packet::{Packet, PacketError, parse};

/// The byte between two records.
pub const SEPARATOR: u8 = 0x1e;

/// Node takes base64 without its padding and with loose last bits, and so do we.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What one payload may hold at most.
#[derive(Clone, Copy, Debug)]
pub struct PayloadLimits {
    /// Records in one payload.
    pub records_max: usize,
    /// Bytes of the whole payload; base64 counts as it is written.
    pub bytes_max: usize,
}

/// One packet of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A packet as text.
    Text(Packet<'a>),
    /// A binary message, decoded; three quarters of its base64 long.
    Binary(Vec<u8>),
}

/// Iterator over the packets of a payload; ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    state: State<'a>,
}

#[derive(Clone, Debug)]
enum State<'a> {
    Open { rest: &'a str, records_left: usize },
    Refused(PacketError),
    Ended,
}

/// Takes a payload apart: `4a` U+001E `bAQID` is the message `a` and then the bytes 1, 2, 3.
///
/// An empty body is an error, as in Node, and so is a separator with nothing behind it.
#[must_use]
pub fn records<'a>(body: &'a str, limits: &PayloadLimits) -> Records<'a> {
    let state = if body.len() > limits.bytes_max {
        State::Refused(PacketError::TooLarge)
    } else {
        State::Open { rest: body, records_left: limits.records_max }
    };
    Records { state }
}

/// Reads one record: a packet, or bytes behind a `b`.
///
/// # Errors
/// Those of [`parse`], and [`PacketError::Base64`]. Both alphabets are taken, padded or not, with line breaks; Node
/// skips over every other foreign character as well, which is refused here.
pub fn record(text: &str) -> Result<Record<'_>, PacketError> {
    let Some(encoded) = text.strip_prefix('b') else {
        return parse(text).map(Record::Text);
    };
    TOLERANT.decode(&*in_one_alphabet(encoded)).map(Record::Binary).map_err(|_| PacketError::Base64)
}

/// Turns the URL alphabet into the standard one and leaves white space out; copies only what needs it.
fn in_one_alphabet(encoded: &str) -> Cow<'_, [u8]> {
    let is_foreign = |byte: u8| byte == b'-' || byte == b'_' || byte.is_ascii_whitespace();
    if !encoded.bytes().any(is_foreign) {
        return Cow::Borrowed(encoded.as_bytes());
    }
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    encoded.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(standard).collect()
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Open { records_left: 0, .. } => Some(Err(PacketError::TooManyRecords)),
            State::Open { rest, records_left } => {
                let (text, behind) = match memchr(SEPARATOR, rest.as_bytes()) {
                    Some(at) => (&rest[..at], Some(&rest[at + 1..])),
                    None => (rest, None),
                };
                let record = record(text);
                if let (Ok(_), Some(rest)) = (&record, behind) {
                    self.state = State::Open { rest, records_left: records_left - 1 };
                }
                Some(record)
            }
            State::Refused(error) => Some(Err(error)),
            State::Ended => None,
        }
    }
}

/// Adds a packet's text (`4hello`) to a payload.
pub fn push_text(out: &mut Vec<u8>, packet_text: &[u8]) {
    push_separator(out);
    out.extend_from_slice(packet_text);
}

/// Adds a binary message to a payload, as padded base64 behind a `b`.
pub fn push_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    push_separator(out);
    out.push(b'b');
    let start = out.len();
    out.resize(start + binary_record_bytes(bytes.len()) - 1, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    out.truncate(start + written.expect("the buffer was sized by encoded_len"));
}

/// How many bytes of a payload a binary message of this length takes, without separator.
#[must_use]
pub const fn binary_record_bytes(length: usize) -> usize {
    match encoded_len(length, true) {
        Some(encoded) => encoded + 1,
        None => usize::MAX,
    }
}

fn push_separator(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(SEPARATOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PayloadLimits = PayloadLimits { records_max: 3, bytes_max: 40 };

    fn check(body: &str, expected: &[Result<Record<'_>, PacketError>]) {
        let found: Vec<_> = records(body, &LIMITS).collect();
        assert_eq!(found, expected, "{body:?}");
    }

    fn message(text: &str) -> Result<Record<'_>, PacketError> {
        Ok(Record::Text(Packet::Message(text)))
    }

    fn bytes(bytes: &[u8]) -> Result<Record<'_>, PacketError> {
        Ok(Record::Binary(bytes.to_vec()))
    }

    #[test]
    fn packets_come_out_in_order() {
        check("4hello", &[message("hello")]);
        check(
            "4ä\u{1e}bAQIDBA==\u{1e}3",
            &[message("ä"), bytes(&[1, 2, 3, 4]), Ok(Record::Text(Packet::Pong("")))],
        );
    }

    #[test]
    fn base64_is_taken_as_loosely_as_clients_write_it() {
        check("b", &[bytes(&[])]);
        check("bAQIDBA", &[bytes(&[1, 2, 3, 4])]);
        check("bAQIDBA=", &[bytes(&[1, 2, 3, 4])]);
        check("bAQIDBB==", &[bytes(&[1, 2, 3, 4])]);
        check("b-_8", &[bytes(&[0xfb, 0xff])]);
        check("b+_8=", &[bytes(&[0xfb, 0xff])]);
        check("bAQ\r\nID", &[bytes(&[1, 2, 3])]);
        check("b!", &[Err(PacketError::Base64)]);
        check("bA", &[Err(PacketError::Base64)]);
    }

    #[test]
    fn the_first_error_is_the_end() {
        check("", &[Err(PacketError::Empty)]);
        check("4a\u{1e}", &[message("a"), Err(PacketError::Empty)]);
        check("4a\u{1e}x\u{1e}4b", &[message("a"), Err(PacketError::UnknownType)]);
        check("4a\u{1e}\u{1e}4b", &[message("a"), Err(PacketError::Empty)]);
    }

    #[test]
    fn a_payload_is_bounded_in_records_and_bytes() {
        check("4\u{1e}4\u{1e}4", &[message(""), message(""), message("")]);
        check(
            "4\u{1e}4\u{1e}4\u{1e}4",
            &[message(""), message(""), message(""), Err(PacketError::TooManyRecords)],
        );
        check(&"4".repeat(41), &[Err(PacketError::TooLarge)]);
        assert!(records(&"4".repeat(40), &LIMITS).all(|record| record.is_ok()));
    }

    #[test]
    fn what_is_pushed_comes_back() {
        for length in 0..9 {
            let binary: Vec<u8> = (0..length).map(|byte| byte * 31).collect();
            let mut out = Vec::new();
            push_text(&mut out, b"4hello");
            push_binary(&mut out, &binary);
            assert_eq!(out.len(), 7 + binary_record_bytes(binary.len()));
            push_text(&mut out, b"2");
            let body = String::from_utf8(out).unwrap();
            check(&body, &[message("hello"), bytes(&binary), Ok(Record::Text(Packet::Ping("")))]);
        }
    }
}
