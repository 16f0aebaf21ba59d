//! The strings that scripts and nodes exchange: publications with their place, signals, states.
//!
//! ```text
//! publication   head 33 bytes, length of the channel's name 2, the name, the payload
//! head          'P', partition epoch 8, channel epoch 8, number 5, offset 5, milliseconds 6; all big endian
//! receipt       head, message id 26
//! signal        'S', what is signalled
//! counter       partition epoch 8, last number 5, 7 of the scripts' own
//! state         partition epoch 8, channel epoch 8, last offset 5, last milliseconds 6, 6 of the scripts' own,
//!               number of the last publication with an offset 5
//! ```
//!
//! A string that is none of these was written by something else or by another version: it is refused as a whole.

use core_shards::ids::MessageId;
use core_shards::store::{Head, Stored, StoredPlace};
use core_shards::{Epoch, Offset, Partition};

/// Before every signal.
pub(super) const SIGNAL: u8 = b'S';

const PUBLICATION: u8 = b'P';
const HEAD_BYTES: usize = 33;

/// What is published to a topic.
#[derive(Debug)]
pub(super) enum Told<'a> {
    /// A publication.
    Publication(Stored),
    /// A signal.
    Signal(&'a [u8]),
}

/// Appends what the script for appending puts behind the head.
pub(super) fn push_body(out: &mut Vec<u8>, channel: &str, payload: &[u8]) {
    let length = u16::try_from(channel.len()).expect("names of channels are bounded far below 64 KiB");
    out.extend(length.to_be_bytes());
    out.extend_from_slice(channel.as_bytes());
    out.extend_from_slice(payload);
}

/// Reads what was published to a topic of the partition.
pub(super) fn read_told(text: &[u8], partition: Partition) -> Option<Told<'_>> {
    match text.first()? {
        &SIGNAL => Some(Told::Signal(&text[1..])),
        _ => read_stored(text, partition).map(Told::Publication),
    }
}

/// Reads a publication of the partition.
pub(super) fn read_stored(text: &[u8], partition: Partition) -> Option<Stored> {
    let (head, body) = text.split_at_checked(HEAD_BYTES)?;
    let place = read_head(head)?;
    let (length, body) = body.split_first_chunk::<2>()?;
    let (channel, payload) = body.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let channel = std::str::from_utf8(channel).ok()?.into();
    Some(Stored { channel, partition, place, payload: payload.to_vec() })
}

/// Reads the answer to an append: the place, and the id of the publication that has it if it was known. One that came
/// late has no place that anybody could know.
pub(super) fn read_answer(text: &[u8]) -> Option<(StoredPlace, Option<MessageId>)> {
    if text.is_empty() {
        return Some((nowhere(), None));
    }
    let (head, id) = text.split_at_checked(HEAD_BYTES)?;
    let known_as = if id.is_empty() { None } else { Some(read_message_id(id)?) };
    Some((read_head(head)?, known_as))
}

/// Reads a partition's counter.
pub(super) fn read_counter(text: &[u8]) -> Option<Head> {
    let mut reader = Reader(text);
    let head = Head { epoch: reader.epoch()?, number: reader.number::<5>()? };
    reader.number::<7>()?;
    reader.0.is_empty().then_some(head)
}

/// A channel's state.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The channel's epoch.
    pub(super) epoch: Epoch,
    /// Its last offset.
    pub(super) offset: Offset,
    /// Its last timestamp.
    pub(super) timestamp_ms: u64,
    /// The number of its last publication with an offset.
    pub(super) last_number: u64,
}

/// Reads a channel's state.
pub(super) fn read_state(text: &[u8]) -> Option<State> {
    let mut reader = Reader(text);
    reader.epoch()?;
    let epoch = reader.epoch()?;
    let (offset, timestamp_ms) = (Offset(reader.number::<5>()?), reader.number::<6>()?);
    reader.number::<6>()?;
    let state = State { epoch, offset, timestamp_ms, last_number: reader.number::<5>()? };
    reader.0.is_empty().then_some(state)
}

/// The place of what was not carried out again.
fn nowhere() -> StoredPlace {
    let none = Epoch::from_random(0);
    StoredPlace { partition_epoch: none, number: 0, epoch: none, offset: Offset(0), timestamp_ms: 0 }
}

fn read_head(text: &[u8]) -> Option<StoredPlace> {
    let mut reader = Reader(text.strip_prefix(&[PUBLICATION])?);
    Some(StoredPlace {
        partition_epoch: reader.epoch()?,
        epoch: reader.epoch()?,
        number: reader.number::<5>()?,
        offset: Offset(reader.number::<5>()?),
        timestamp_ms: reader.number::<6>()?,
    })
}

fn read_message_id(text: &[u8]) -> Option<MessageId> {
    MessageId::parse(std::str::from_utf8(text).ok()?)
}

/// What is left of a string.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn epoch(&mut self) -> Option<Epoch> {
        let (text, rest) = self.0.split_at_checked(Epoch::TEXT_BYTES)?;
        self.0 = rest;
        Epoch::parse(std::str::from_utf8(text).ok()?)
    }

    /// A number of so many bytes, the highest first.
    fn number<const BYTES: usize>(&mut self) -> Option<u64> {
        let (digits, rest) = self.0.split_first_chunk::<BYTES>()?;
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"PAAAAAAAABBBBBBBB\0\0\0\x01\x02\0\0\0\0\x07\x01\0\0\0\0\0";

    #[test]
    fn a_publication_is_read_with_its_place_and_no_piece_of_it_is() {
        let mut text = HEAD.to_vec();
        push_body(&mut text, "gen\u{e4}", b"hello");
        let stored = read_stored(&text, Partition(3)).unwrap();
        assert_eq!(
            (&*stored.channel, stored.partition, &*stored.payload),
            ("gen\u{e4}", Partition(3), &b"hello"[..])
        );
        let place = stored.place;
        assert_eq!((place.partition_epoch.as_str(), place.epoch.as_str()), ("AAAAAAAA", "BBBBBBBB"));
        assert_eq!((place.number, place.offset, place.timestamp_ms), (258, Offset(7), 1 << 40));
        for end in 0..text.len() - 5 {
            assert!(read_stored(&text[..end], Partition(3)).is_none(), "{end}");
        }
        assert!(matches!(read_told(&text, Partition(0)), Some(Told::Publication(_))));
        assert!(matches!(read_told(b"Shi", Partition(0)), Some(Told::Signal(b"hi"))));
        assert!(read_told(b"", Partition(0)).is_none() && read_told(b"Q", Partition(0)).is_none());
    }

    #[test]
    fn an_answer_says_whether_the_publication_was_known() {
        assert_eq!(read_answer(HEAD).unwrap().1, None);
        assert_eq!(read_answer(b"").unwrap().0.number, 0, "it came late");
        let id = "01ARYZ6S410000000000000000";
        let known = read_answer(&[HEAD, id.as_bytes()].concat()).unwrap().1.unwrap();
        assert_eq!(known.as_str(), id);
        assert!(read_answer(&[HEAD, b"x"].concat()).is_none());
    }

    #[test]
    fn counters_and_states_are_read_as_the_scripts_write_them() {
        let head = read_counter(b"AAAAAAAA\0\0\0\0\x09\x01\0\0\0\0\0\0").unwrap();
        assert_eq!((head.epoch.as_str(), head.number), ("AAAAAAAA", 9));
        assert!(read_counter(b"AAAAAAAA\0\0\0\0\x09").is_none() && read_counter(b"AAAAAAA").is_none());
        let state = b"AAAAAAAABBBBBBBB\0\0\0\0\x02\0\0\0\0\0\x03\0\0\0\0\0\x04\0\0\0\0\x05";
        let expected = State {
            epoch: Epoch::parse("BBBBBBBB").unwrap(),
            offset: Offset(2),
            timestamp_ms: 3,
            last_number: 5,
        };
        assert_eq!(read_state(state), Some(expected));
        assert_eq!(read_state(&state[1..]), None);
    }
}
