//! The names of things, as types: nothing crosses a function edge as a bare integer.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One core of this node, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoreId(pub u16);

impl CoreId {
    /// The position in per-core tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A part of the channels that a store shared by nodes keeps together: in one order, in one place. The same channels on
/// every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u16);

impl Partition {
    /// The position in tables by partition.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An order of publications: that of one core, or with a store that nodes share that of one partition, which is the same
/// on every node. A core is handed the publications of a lane in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub u16);

impl Lane {
    /// The position in tables by lane.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<CoreId> for Lane {
    fn from(core: CoreId) -> Self {
        Self(core.0)
    }
}

impl From<Partition> for Lane {
    fn from(partition: Partition) -> Self {
        Self(partition.0)
    }
}

/// A session on one core: its slot in that core's table, and how often the slot had been used before.
///
/// Slot 7 in generation 2 and slot 7 in generation 3 are different people; mail to the former is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    /// Position in the core's session table.
    pub slot: u32,
    /// Guards against letters to a former owner of the slot.
    pub generation: u32,
}

/// A place in one of a core's tables, guarded like [`SessionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Position in the table.
    pub index: u32,
    /// Guards against letters to a former owner of the position.
    pub generation: u32,
}

/// Names a question that several cores answer a part of. Never used again on the same core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatheringTicket {
    /// Position among the core's open questions.
    pub slot: u32,
    /// Tells one question at a position from the next.
    pub serial: u64,
}

/// A core's local side of a channel.
pub type RoomId = Place;

/// A user, as named by a verified token.
pub type UserId = Arc<str>;

/// A room in its one canonical spelling, see [`protocol::chat::room::canonical`].
pub type ChannelName = Arc<str>;

/// A message's number in its channel and epoch: 1, 2, 3 and so on without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number before this one; 0 has none.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// One unbroken run of a channel's offsets. A channel that was forgotten and made anew has another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch([u8; Epoch::TEXT_BYTES]);

impl Epoch {
    /// Length of the text form.
    pub const TEXT_BYTES: usize = 8;

    /// The epoch made of 40 random bits, five to a letter.
    pub fn from_random(random: u64) -> Self {
        let mut text = [0; Self::TEXT_BYTES];
        for (position, letter) in text.iter_mut().enumerate() {
            *letter = BASE32[(random >> (5 * position) & 31) as usize];
        }
        Self(text)
    }

    /// Reads the text that clients were given; none if it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; Self::TEXT_BYTES] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(is_base32).then_some(Self(bytes))
    }

    /// The text that clients are given.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an epoch is made of base32 letters")
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A message's id in the ULID form: 48 bits of milliseconds, 80 random bits, 26 letters that sort by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId([u8; MessageId::TEXT_BYTES]);

impl MessageId {
    /// Length of the text form.
    pub const TEXT_BYTES: usize = 26;

    /// The id of nothing.
    pub const ZERO: Self = Self([b'0'; Self::TEXT_BYTES]);

    /// The id of a message sent at `unix_ms`. Of `random`, the lower 80 bits count.
    pub fn new(unix_ms: u64, random: u128) -> Self {
        let bits = u128::from(unix_ms & 0xffff_ffff_ffff) << 80 | random & ((1 << 80) - 1);
        let mut text = [0; Self::TEXT_BYTES];
        for (position, letter) in text.iter_mut().rev().enumerate() {
            *letter = BASE32[(bits >> (5 * position) & 31) as usize];
        }
        Self(text)
    }

    /// A number made of its random part: two ids have the same only by a rare chance.
    pub fn random_bits(&self) -> u64 {
        let (upper, lower) = self.0[Self::TEXT_BYTES - 16..].split_at(8);
        let word = |letters: &[u8]| letters.iter().fold(0, |word, letter| word << 8 | u64::from(*letter));
        word(upper).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word(lower)
    }

    /// Reads an id that some node made.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; Self::TEXT_BYTES] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(is_base32).then_some(Self(bytes))
    }

    /// The text that clients are given.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a message id is made of base32 letters")
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Crockford's alphabet: digits and letters without i, l, o and u.
pub(crate) const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Whether a letter is one of [`BASE32`]. Four ids are read for each publication that a store brings, so this is no search
/// of the alphabet.
const fn is_base32(letter: &u8) -> bool {
    matches!(letter, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z')
}

/// 128 bits that stand for a list of names. In two halves, because a `u128` wants an alignment that no other part of a
/// letter does, and an allocator pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    upper: u64,
    lower: u64,
}

impl Fingerprint {
    /// From its bits, which must be uniformly distributed.
    pub const fn from_bits(bits: u128) -> Self {
        Self { upper: (bits >> 64) as u64, lower: bits as u64 }
    }
}

impl Hash for Fingerprint {
    /// One half is as good as the whole.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.upper);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_the_alphabet() {
        for letter in 0..=u8::MAX {
            assert_eq!(is_base32(&letter), BASE32.contains(&letter), "{letter}");
        }
    }

    #[test]
    fn message_ids_sort_by_time_and_keep_their_bits() {
        let early = MessageId::new(1_000, u128::MAX);
        let late = MessageId::new(1_001, 0);
        assert!(early.as_str() < late.as_str());
        // The example of the ULID specification: 1469918176385 ms begins with 01ARYZ6S41.
        assert!(MessageId::new(1_469_918_176_385, 0).as_str().starts_with("01ARYZ6S41"));
    }
}
