//! The cursor of nodes that share a store: how far a core had come in every partition when it wrote a frame. Whoever
//! got that frame has everything up to there of the channels that it is in, on whatever node it asks for the rest.
//!
//! ```text
//! v0A1B2C.9XYZ.Bk.A.5-_~G.A*s!
//!  |      |    |          | └ the store may not know of all that the writer's sessions are in
//!  |      |    |          └ what its core had sent single sessions out of turn, if it still keeps any of that
//!  |      |    └ the last number of each partition; behind ~ that of the outage's publications, if there are any
//!  |      └ which core of which run wrote it
//!  └ the epochs of all partitions
//! ```
//!
//! Numbers are in base 64 with the letters of URLs, the highest digit first. There is one spelling of each vector.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::RunId;
use crate::ids::{BASE32, CoreId, Epoch, Lane};
use crate::publication::{NUMBER_BITS, stored_of};

/// What a position says of an outage: the number of the last that was handed out before the store had it; 0 if there is
/// none.
const fn provisional_of(seq: u64) -> u64 {
    seq & ((1 << NUMBER_BITS) - 1)
}

/// Which core of which run writes, in 20 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writer(u32);

impl Writer {
    const LETTERS: usize = 4;

    /// The writer on a core of a run.
    pub fn of(run: RunId, core: CoreId) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(run.as_str().as_bytes());
        hasher.write_u16(core.0);
        Self((hasher.finish() & ((1 << (5 * Self::LETTERS)) - 1)) as u32)
    }
}

/// All partitions' epochs, in 30 bits. Places of vectors with another fold cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fold(u32);

impl Fold {
    const LETTERS: usize = 6;

    /// The bits, for records.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Of the epochs in the order of their partitions, as far as they are known.
    pub fn of(epochs: impl Iterator<Item = Option<Epoch>>) -> Self {
        let mut hasher = SipHasher13::new();
        for epoch in epochs {
            hasher.write(epoch.as_ref().map_or(b"--------", |epoch| epoch.as_str().as_bytes()));
        }
        Self((hasher.finish() & ((1 << (5 * Self::LETTERS)) - 1)) as u32)
    }
}

/// A place in every partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The epochs in which the places are.
    pub fold: Fold,
    /// Who wrote it.
    pub writer: Writer,
    /// The position in the writer's journal of the last that it sent a single session out of turn; 0 if it keeps none.
    pub mark: u64,
    /// Only its writer may take up sessions by it: what the store keeps of them may be out of date.
    pub is_bound: bool,
    lanes: SmallVec<[u64; 4]>,
}

impl Vector {
    /// The longest text: of sixteen partitions.
    pub const TEXT_BYTES_MAX: usize = 2 + Fold::LETTERS + Writer::LETTERS + 16 * (1 + 7 + 1 + 4) + 1 + 11 + 1;

    /// The beginning of everything, with so many partitions.
    pub fn new(writer: Writer, partition_count: u16) -> Self {
        let lanes = SmallVec::from_elem(0, usize::from(partition_count));
        Self { fold: Fold::default(), writer, mark: 0, is_bound: false, lanes }
    }

    /// The place in a partition's lane; 0 in one that there is not.
    pub fn seq(&self, lane: Lane) -> u64 {
        self.lanes.get(lane.index()).copied().unwrap_or(0)
    }

    /// A partition's lane has come to a place.
    pub fn set(&mut self, lane: Lane, seq: u64) {
        if let Some(known) = self.lanes.get_mut(lane.index()) {
            *known = seq;
        }
    }

    /// Whether something of an outage is among what the client has: only its writer knows what that is.
    pub fn is_provisional(&self) -> bool {
        self.lanes.iter().any(|seq| provisional_of(*seq) > 0)
    }

    /// Appends the text form.
    pub fn write(&self, text: &mut String) {
        text.push('v');
        push_letters(text, self.fold.0, Fold::LETTERS);
        text.push('.');
        push_letters(text, self.writer.0, Writer::LETTERS);
        for seq in &self.lanes {
            text.push('.');
            push_base64(text, stored_of(*seq));
            if provisional_of(*seq) > 0 {
                text.push('~');
                push_base64(text, provisional_of(*seq));
            }
        }
        if self.mark > 0 {
            text.push('*');
            push_base64(text, self.mark);
        }
        if self.is_bound {
            text.push('!');
        }
    }

    /// The text form.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(64);
        self.write(&mut text);
        text
    }

    /// Reads a text that [`write`](Self::write) wrote; `None` for any other, and for one of another number of partitions.
    pub fn parse(text: &str, partition_count: u16) -> Option<Self> {
        if text.len() > Self::TEXT_BYTES_MAX {
            return None;
        }
        let free = text.strip_suffix('!');
        let (is_bound, places) = (free.is_some(), free.unwrap_or(text).strip_prefix('v')?);
        let (places, mark) = match places.split_once('*') {
            Some((places, mark)) => (places, read_positive(mark)?),
            None => (places, 0),
        };
        let mut parts = places.split('.');
        let fold = Fold(read_letters(parts.next()?, Fold::LETTERS)?);
        let writer = Writer(read_letters(parts.next()?, Writer::LETTERS)?);
        let lanes = parts.map(read_place).collect::<Option<SmallVec<_>>>()?;
        (lanes.len() == usize::from(partition_count)).then_some(Self { fold, writer, mark, is_bound, lanes })
    }
}

fn read_place(text: &str) -> Option<u64> {
    let (number, provisional) = match text.split_once('~') {
        Some((number, provisional)) => (number, read_positive(provisional)?),
        None => (text, 0),
    };
    let number = read_base64(number)?;
    let is_whole = number < 1 << (u64::BITS - NUMBER_BITS) && provisional < 1 << NUMBER_BITS;
    is_whole.then_some(number << NUMBER_BITS | provisional)
}

fn push_letters(text: &mut String, bits: u32, count: usize) {
    text.extend((0..count).map(|at| char::from(BASE32[(bits >> (5 * at) & 31) as usize])));
}

fn read_letters(text: &str, count: usize) -> Option<u32> {
    let values = text.bytes().rev().map(|letter| BASE32.iter().position(|known| *known == letter));
    let bits =
        values.into_iter().try_fold(0_u32, |bits, value| Some(bits << 5 | u32::try_from(value?).ok()?));
    bits.filter(|_| text.len() == count)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn push_base64(text: &mut String, number: u64) {
    let digit_count = (u64::BITS - number.leading_zeros()).div_ceil(6).max(1);
    let digit = |at: u32| BASE64[(number >> (6 * at) & 63) as usize];
    text.extend((0..digit_count).rev().map(|at| char::from(digit(at))));
}

fn read_base64(text: &str) -> Option<u64> {
    let is_plain =
        matches!(text.as_bytes(), [_] | [b'B'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_', ..]);
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    text.bytes().filter(|_| is_plain).try_fold(None, |number: Option<u64>, digit| {
        let number = number.unwrap_or(0).checked_mul(64)?;
        Some(Some(number | u64::from(value(digit)?)))
    })?
}

fn read_positive(text: &str) -> Option<u64> {
    read_base64(text).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::position;

    fn vector(lanes: &[u64], mark: u64) -> Vector {
        let (fold, writer) = (Fold(0x1234_5678), Writer(0xabcde));
        Vector { fold, writer, mark, is_bound: false, lanes: SmallVec::from_slice(lanes) }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let check = |vector: Vector, expected: &str| {
            assert_eq!(vector.text(), expected);
            let count = u16::try_from(vector.lanes.len()).unwrap();
            assert_eq!(Vector::parse(expected, count), Some(vector));
            assert_eq!(Vector::parse(expected, count + 1), None, "another number of partitions");
            assert!(expected.len() <= Vector::TEXT_BYTES_MAX);
        };
        check(vector(&[0], 0), "vRKN839.Y6FN.A");
        check(vector(&[position(100, 0), 0, position(63, 6)], 44), "vRKN839.Y6FN.Bk.A._~G*s");
        let longest = Vector { is_bound: true, ..vector(&[u64::MAX; 16], u64::MAX) };
        let text = longest.text();
        assert_eq!(text.len(), Vector::TEXT_BYTES_MAX, "{text}");
        check(longest, &text);
    }

    #[test]
    fn any_other_spelling_is_refused() {
        for text in [
            "",
            "v",
            "vRKN839",
            "vRKN839.Y6FN",
            "vRKN839.Y6FN.",
            "vRKN839.Y6FN.AB",
            "vRKN839.Y6FN.B~",
            "vRKN839.Y6FN.B~A",
            "vRKN839.Y6FN.B~B~B",
            "vRKN839.Y6FN.B*",
            "vRKN839.Y6FN.B*A",
            "vRKN839.Y6FN.B*AB",
            "vRKN839.Y6FN.B*B*B",
            "vRKN839.Y6FN.B!!",
            "vRKN839.Y6FN.B!*B",
            "vRKN839.Y6FN.B+",
            "vRKN839.Y6FN.B ",
            "vRKN83.Y6FN.B",
            "vRKN83U.Y6FN.B",
            "vRKN839.Y6F.B",
            "VRKN839.Y6FN.B",
            "vRKN839.Y6FN.BAAAAAAAAAAA",
            "vRKN839.Y6FN.QAAAAAAAAAA",
            "vRKN839.Y6FN.BAAAAAAA",
            "vRKN839.Y6FN.B~BAAAA",
            "vRKN83ü.Y6FN.B",
            "c1.2s.70000000",
        ] {
            assert_eq!(Vector::parse(text, 1), None, "{text}");
        }
        assert!(Vector::parse("vRKN839.Y6FN.B~B*B", 1).is_some());
        assert_eq!(Vector::parse(&"v".repeat(1 << 20), 1), None);
    }

    #[test]
    fn whatever_is_accepted_is_written_the_same() {
        for seed in 0..2_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let count = random.u16(1..6);
            let number = |random: &mut fastrand::Rng| random.u64(..) >> random.u32(0..64);
            let lanes: Vec<u64> = (0..count).map(|_| number(&mut random)).collect();
            let of = vector(&lanes, number(&mut random));
            let text = of.text();
            assert_eq!(Vector::parse(&text, count), Some(of), "seed {seed}: {text}");
            let mut bytes = text.into_bytes();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = *random.choice(b"vAB09az.~*!-_ \xff").unwrap();
            }
            let changed = String::from_utf8_lossy(&bytes);
            if let Some(read) = Vector::parse(&changed, count) {
                assert_eq!(read.text(), changed, "seed {seed}");
            }
        }
    }

    #[test]
    fn an_epoch_that_changes_folds_to_something_else() {
        let epochs = |last| [None, Some(Epoch::from_random(last))].into_iter();
        assert_ne!(Fold::of(epochs(1)), Fold::of(epochs(2)));
        assert_eq!(Fold::of(epochs(1)), Fold::of(epochs(1)));
        let writer = |run, core| Writer::of(RunId::from_random(run), CoreId(core));
        assert_eq!(writer(1, 0), writer(1, 0));
        assert!(writer(1, 0) != writer(1, 1) && writer(1, 0) != writer(2, 0));
    }
}
