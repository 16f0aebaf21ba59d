//! What a node keeps of a session in the store, so that another node can take it up.
//!
//! ```text
//! 1 byte    the version of this form, '1'
//! 1 byte    dialect: - unknown, p primary, l legacy, h hybrid
//! 1 byte    what the session said of its user: - nothing, otherwise the status's number
//! 8 bytes   the run that keeps the record
//! 2 bytes   and the core
//! 4 bytes   the fold of the partitions' epochs
//! 8 bytes   the last position in that core's journal of what was for the session alone, 0 for none
//! 8 bytes   the place from which on the user's own room is the session's
//! fields    user, public id; number of followed users and their ids; of each channel its name, with 1 byte of spellings
//!           and the 8 bytes of the place from which on it is the session's behind it
//! ```
//!
//! Numbers are big endian, fields have their length in front, 4 bytes. A record that cannot be read is refused as a whole,
//! see [`relay`](super).

use super::{RUN_BYTES, VERSION, push_field, take_field};
use crate::chat::dialect::Dialect;
use crate::chat::status::Status;

/// A session as the node that has it describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord<'a> {
    /// The run that keeps the record: eight letters.
    pub run: &'a str,
    /// The core of that run.
    pub core: u16,
    /// In which epochs of the partitions its places are.
    pub fold: u32,
    /// Whose session it is.
    pub user: &'a str,
    /// Its public id.
    pub sid: &'a str,
    /// The names of events that it reads, if they are known.
    pub dialect: Option<Dialect>,
    /// What it said of its user.
    pub said: Option<Status>,
    /// The last position in the core's journal of what was for the session alone; 0 if there was nothing.
    pub apart_end: u64,
    /// The place in its lane from which on what is said in the user's own room is the session's.
    pub own_start: u64,
    /// Users whom it follows.
    pub followed: Vec<&'a str>,
    /// Channels that it is in.
    pub channels: Vec<KeptChannel<'a>>,
}

/// A channel that a session is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptChannel<'a> {
    /// Its canonical name.
    pub name: &'a str,
    /// The spellings under which it was joined, a bit for each.
    pub spellings: u8,
    /// The place in its lane from which on it is the session's.
    pub start: u64,
}

impl<'a> SessionRecord<'a> {
    /// The binary form.
    pub fn bytes(&self) -> Vec<u8> {
        let names: usize = self.channels.iter().map(|channel| channel.name.len() + 13).sum();
        let mut out = Vec::with_capacity(64 + self.user.len() + self.sid.len() + names);
        let dialect = match self.dialect {
            None => b'-',
            Some(Dialect::Primary) => b'p',
            Some(Dialect::Legacy) => b'l',
            Some(Dialect::Hybrid) => b'h',
        };
        out.extend([VERSION, dialect, self.said.map_or(b'-', |said| b'0' + said as u8)]);
        out.extend_from_slice(self.run.as_bytes());
        out.extend(self.core.to_be_bytes());
        out.extend(self.fold.to_be_bytes());
        out.extend(self.apart_end.to_be_bytes());
        out.extend(self.own_start.to_be_bytes());
        push_field(&mut out, self.user.as_bytes());
        push_field(&mut out, self.sid.as_bytes());
        let count = u32::try_from(self.followed.len()).expect("a session follows a bounded number of users");
        out.extend(count.to_be_bytes());
        self.followed.iter().for_each(|user| push_field(&mut out, user.as_bytes()));
        for channel in &self.channels {
            push_field(&mut out, channel.name.as_bytes());
            out.push(channel.spellings);
            out.extend(channel.start.to_be_bytes());
        }
        out
    }

    /// Reads what [`bytes`](Self::bytes) wrote; `None` for anything else.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<3>()?;
        let dialect = match *head {
            [VERSION, b'-', _] => None,
            [VERSION, b'p', _] => Some(Dialect::Primary),
            [VERSION, b'l', _] => Some(Dialect::Legacy),
            [VERSION, b'h', _] => Some(Dialect::Hybrid),
            _ => return None,
        };
        let said = match head[2] {
            b'-' => None,
            number => Some(*Status::ALL.get(usize::from(number.checked_sub(b'0')?))?),
        };
        let (run, rest) = rest.split_at_checked(RUN_BYTES)?;
        let (core, rest) = rest.split_first_chunk()?;
        let (fold, rest) = rest.split_first_chunk()?;
        let (apart_end, rest) = rest.split_first_chunk()?;
        let (own_start, mut rest) = rest.split_first_chunk()?;
        let (user, sid) = (take_text(&mut rest)?, take_text(&mut rest)?);
        let (count, after) = rest.split_first_chunk()?;
        rest = after;
        let followed =
            (0..u32::from_be_bytes(*count)).map(|_| take_text(&mut rest)).collect::<Option<_>>()?;
        let mut channels = Vec::new();
        while !rest.is_empty() {
            let name = take_text(&mut rest)?;
            let (spellings, after) = rest.split_first()?;
            let (start, after) = after.split_first_chunk()?;
            rest = after;
            channels.push(KeptChannel { name, spellings: *spellings, start: u64::from_be_bytes(*start) });
        }
        Some(Self {
            run: std::str::from_utf8(run).ok()?,
            core: u16::from_be_bytes(*core),
            fold: u32::from_be_bytes(*fold),
            user,
            sid,
            dialect,
            said,
            apart_end: u64::from_be_bytes(*apart_end),
            own_start: u64::from_be_bytes(*own_start),
            followed,
            channels,
        })
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_field(rest)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> SessionRecord<'static> {
        SessionRecord {
            run: "0A1B2C3D",
            core: 3,
            fold: 0x3fff_ffff,
            user: "ü7",
            sid: "01ARYZ6S410000000000000000",
            dialect: Some(Dialect::Hybrid),
            said: Some(Status::Dnd),
            apart_end: 9,
            own_start: u64::MAX,
            followed: vec!["8", ""],
            channels: vec![
                KeptChannel { name: "a", spellings: 3, start: 7 << 24 },
                KeptChannel { name: "dm:7:8", spellings: 1, start: 0 },
            ],
        }
    }

    #[test]
    fn what_was_written_is_read_again_and_no_piece_of_it_is_the_same() {
        for record in [
            record(),
            SessionRecord { dialect: None, said: None, followed: vec![], channels: vec![], ..record() },
        ] {
            let bytes = record.bytes();
            assert_eq!(SessionRecord::read(&bytes).as_ref(), Some(&record));
            for end in 0..bytes.len() {
                assert_ne!(SessionRecord::read(&bytes[..end]).as_ref(), Some(&record), "{end}");
            }
        }
    }

    #[test]
    fn another_version_is_refused() {
        assert_eq!(SessionRecord::read(&[b'2'; 200]), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(changes in prop::collection::vec((0..150_usize, any::<u8>()), 1..4)) {
            let mut bytes = record().bytes();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if let Some(read) = SessionRecord::read(&bytes) {
                prop_assert_eq!(read.bytes(), bytes);
            }
        }
    }
}
