//! The mark in a message's content: room, sequence number and the moment it was due.
//!
//! A mark reads `~s<room>.<sequence>.<nanoseconds>~`. It needs no escaping in JSON, so a receiver finds it in
//! the raw text of a frame without parsing the frame.

use std::io::Write;

use crate::clock::Moment;
use crate::seating::Room;

/// What a receiver reads back out of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The room it was sent to.
    pub room: Room,
    /// Its sequence number in that room.
    pub sequence: u32,
    /// The moment it was due.
    pub at: Moment,
}

impl Mark {
    /// Appends the mark and filler so that the content is `content_bytes` long, or the mark alone if it is longer.
    pub fn push(&self, out: &mut Vec<u8>, content_bytes: usize) {
        let start = out.len();
        write!(out, "~s{}.{}.{}~", self.room.0, self.sequence, self.at.0)
            .expect("writing to memory cannot fail");
        let end = start + content_bytes;
        if out.len() < end {
            out.resize(end, b'x');
        }
    }

    /// Finds the first mark in `text`; `None` if there is none that is whole.
    pub fn find(text: &str) -> Option<Self> {
        let mut rest = text.as_bytes();
        while let Some(tilde) = memchr::memchr(b'~', rest) {
            rest = &rest[tilde + 1..];
            if let Some(mark) = rest.strip_prefix(b"s").and_then(Self::read) {
                return Some(mark);
            }
        }
        None
    }

    /// Reads `<room>.<sequence>.<nanoseconds>~` at the start of `text`.
    fn read(text: &[u8]) -> Option<Self> {
        let (room, text) = number(text, b'.')?;
        let (sequence, text) = number(text, b'.')?;
        let (nanos, _) = number(text, b'~')?;
        Some(Self {
            room: Room(u32::try_from(room).ok()?),
            sequence: u32::try_from(sequence).ok()?,
            at: Moment(nanos),
        })
    }
}

/// A decimal number that is followed by `end`, and what comes after that.
fn number(text: &[u8], end: u8) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            _ if byte == end && at > 0 => return Some((value, &text[at + 1..])),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(u32, u32, u64)>) {
        let found = Mark::find(text).map(|mark| (mark.room.0, mark.sequence, mark.at.0));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_is_written_is_found_in_a_frame() {
        let mark = Mark { room: Room(7), sequence: 12, at: Moment(u64::MAX) };
        let mut content = Vec::new();
        mark.push(&mut content, 128);
        assert_eq!(content.len(), 128);
        let frame = format!(r#"2["message",{{"content":"{}"}},"1-5"]"#, String::from_utf8(content).unwrap());
        assert_eq!(Mark::find(&frame), Some(mark));
    }

    #[test]
    fn only_a_whole_mark_counts() {
        check("", None);
        check("~s", None);
        check("~s1.2.3", None);
        check("~s1.2.~", None);
        check("~s..~", None);
        check("~s1.2.3~", Some((1, 2, 3)));
        check("~~s~s1.2.3~", Some((1, 2, 3)));
        check("~s1.x~ ~s4.5.6~", Some((4, 5, 6)));
        check("~s1.2.99999999999999999999999~", None);
        check("~s4294967296.2.3~", None);
    }
}
