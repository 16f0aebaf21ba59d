//! What one node writes for the others: a publication on its way through the store that they share.
//!
//! ```text
//! 1 byte    the version of this form, '1'
//! 1 byte    kind: m message, + and - reaction, r read, e relayed event
//! 8 bytes   the run that published it
//! 4 bytes   its number among the run's appends to the partition, big endian
//! 26 bytes  its id
//! 8 bytes   fingerprint of the key by which a retry of it is known, 0 if it has none
//! fields    user, event name (empty unless relayed), body, attachments: each with its length in front, 4 bytes big endian
//! ```
//!
//! The nodes of one product write for each other, so a text that cannot be read is a newer version's or a mistake: it
//! is refused as a whole.

pub mod forward;
pub mod session;
pub mod signal;

use crate::chat::event::Kind;

/// A publication as its node described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Kind,
    /// The run of the node that it came in on: eight letters.
    pub run: &'a str,
    /// Its number among that run's appends to the partition.
    pub number: u32,
    /// Its id: 26 letters.
    pub id: &'a str,
    /// Fingerprint of the key by which a retry of it is known, on whichever node that comes in; 0 if it has none.
    pub key: u64,
    /// Who sent it; empty if a back end did.
    pub user: &'a str,
    /// Fields of the event's object, or a relay's payload.
    pub body: &'a [u8],
    /// Binary attachments.
    pub attachments: Vec<&'a [u8]>,
}

const VERSION: u8 = b'1';
const RUN_BYTES: usize = 8;
const ID_BYTES: usize = 26;

impl<'a> Message<'a> {
    /// Appends the binary form.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, event) = match &self.kind {
            Kind::Message => (b'm', ""),
            Kind::Reaction { is_added: true } => (b'+', ""),
            Kind::Reaction { is_added: false } => (b'-', ""),
            Kind::Read => (b'r', ""),
            Kind::Relay { event } => (b'e', &**event),
        };
        out.reserve(64 + self.user.len() + event.len() + self.body.len());
        out.extend([VERSION, kind]);
        out.extend_from_slice(self.run.as_bytes());
        out.extend(self.number.to_be_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend(self.key.to_be_bytes());
        for field in [self.user.as_bytes(), event.as_bytes(), self.body] {
            push_field(out, field);
        }
        self.attachments.iter().for_each(|attachment| push_field(out, attachment));
    }

    /// Reads what [`write`](Self::write) wrote; `None` for anything else.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<2>()?;
        let (run, rest) = rest.split_at_checked(RUN_BYTES)?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (id, rest) = rest.split_at_checked(ID_BYTES)?;
        let (key, mut rest) = rest.split_first_chunk()?;
        let user = std::str::from_utf8(take_field(&mut rest)?).ok()?;
        let event = std::str::from_utf8(take_field(&mut rest)?).ok()?;
        let body = take_field(&mut rest)?;
        let kind = match *head {
            [VERSION, b'm'] => Kind::Message,
            [VERSION, b'+'] => Kind::Reaction { is_added: true },
            [VERSION, b'-'] => Kind::Reaction { is_added: false },
            [VERSION, b'r'] => Kind::Read,
            [VERSION, b'e'] => Kind::Relay { event: event.into() },
            _ => return None,
        };
        let mut attachments = Vec::new();
        while !rest.is_empty() {
            attachments.push(take_field(&mut rest)?);
        }
        let (run, id) = (std::str::from_utf8(run).ok()?, std::str::from_utf8(id).ok()?);
        let (number, key) = (u32::from_be_bytes(*number), u64::from_be_bytes(*key));
        Some(Self { kind, run, number, id, key, user, body, attachments })
    }
}

fn push_field(out: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).expect("what clients send is bounded far below 4 GiB");
    out.extend(length.to_be_bytes());
    out.extend_from_slice(field);
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (field, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind) -> Message<'static> {
        Message {
            kind,
            run: "0A1B2C3D",
            number: 70_000,
            id: "01ARYZ6S410000000000000000",
            key: 1 << 40,
            user: "ü7",
            body: br#""content":"hi""#,
            attachments: vec![b"", b"\x00\xff"],
        }
    }

    #[test]
    fn what_was_written_is_read_again_and_no_piece_of_it_is_more() {
        for kind in [
            Kind::Message,
            Kind::Reaction { is_added: true },
            Kind::Reaction { is_added: false },
            Kind::Read,
            Kind::Relay { event: "call:started".into() },
        ] {
            let message = message(kind);
            let mut bytes = Vec::new();
            message.write(&mut bytes);
            assert_eq!(Message::read(&bytes).as_ref(), Some(&message));
            for end in 0..bytes.len() {
                assert_ne!(Message::read(&bytes[..end]).as_ref(), Some(&message), "{end}");
            }
            bytes[0] = b'2';
            assert_eq!(Message::read(&bytes), None, "another version");
        }
    }
}
