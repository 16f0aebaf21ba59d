//! The text by which a client says what it got last: the offset of Socket.IO's connection state recovery.
//!
//! ```text
//! c1.2s.0A1B2C3D    publication 100 of lane 1, received from the process 0A1B2C3D
//! m0.1z.0A1B2C3D    nothing since position 71 of core 0's journal, of the same process
//! ```
//!
//! Numbers are in base 36. There is one spelling of each cursor; any other text is refused. Nodes that share a store write
//! a [`Vector`] instead.

mod vector;

use crate::ids::{CoreId, Epoch, Lane};

pub use vector::{Fold, Vector, Writer};

/// One run of a process. Cursors of a former process or of another node have another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Epoch);

impl RunId {
    /// The run made of 40 random bits.
    pub fn from_random(random: u64) -> Self {
        Self(Epoch::from_random(random))
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Self> {
        Epoch::parse(text).map(Self)
    }

    /// Eight letters and digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What a client got last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// This publication. The same text goes to the members on all cores: each finds it in its own journal.
    Publication {
        /// The order that it belongs to.
        lane: Lane,
        /// Its position there.
        seq: u64,
    },
    /// No publication yet, but everything up to this position.
    Mark {
        /// The core whose journal is meant.
        core: CoreId,
        /// A position in that journal.
        position: u64,
    },
}

/// Why a cursor cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is none of ours.
    Malformed,
    /// It was given out by a former process or another node.
    Foreign,
}

impl Cursor {
    /// The longest text: kind, core, number, run and two dots between them.
    pub const TEXT_BYTES_MAX: usize = 1 + 4 + 1 + 13 + 1 + Epoch::TEXT_BYTES;

    /// Appends the text form.
    pub fn write(self, run: RunId, text: &mut String) {
        let (kind, place, number) = match self {
            Self::Publication { lane, seq } => ('c', lane.0, seq),
            Self::Mark { core, position } => ('m', core.0, position),
        };
        text.push(kind);
        push_base36(text, u64::from(place));
        text.push('.');
        push_base36(text, number);
        text.push('.');
        text.push_str(run.as_str());
    }

    /// The text form.
    pub fn text(self, run: RunId) -> String {
        let mut text = String::with_capacity(Self::TEXT_BYTES_MAX);
        self.write(run, &mut text);
        text
    }

    /// Reads a text that [`write`](Self::write) wrote in this `run`.
    pub fn parse(text: &str, run: RunId) -> Result<Self, Unusable> {
        let cursor = Self::read_place(text).ok_or(Unusable::Malformed)?;
        // Signs, capitals and leading zeros are read above and not written: one spelling only.
        let mut spelling = String::with_capacity(Self::TEXT_BYTES_MAX);
        cursor.write(run, &mut spelling);
        let own_bytes = spelling.len() - Epoch::TEXT_BYTES;
        match text.strip_prefix(&spelling[..own_bytes]) {
            Some(rest) if rest == run.as_str() => Ok(cursor),
            Some(rest) if is_run(rest) => Err(Unusable::Foreign),
            _ => Err(Unusable::Malformed),
        }
    }

    fn read_place(text: &str) -> Option<Self> {
        if text.len() > Self::TEXT_BYTES_MAX {
            return None;
        }
        let (place, _) = text.rsplit_once('.')?;
        let (core, number) = place.get(1..)?.split_once('.')?;
        let core = u16::from_str_radix(core, 36).ok()?;
        let number = u64::from_str_radix(number, 36).ok()?;
        match place.as_bytes()[0] {
            b'c' => Some(Self::Publication { lane: Lane(core), seq: number }),
            b'm' => Some(Self::Mark { core: CoreId(core), position: number }),
            _ => None,
        }
    }
}

fn is_run(text: &str) -> bool {
    text.len() == Epoch::TEXT_BYTES
        && text.bytes().all(|letter| letter.is_ascii_digit() || letter.is_ascii_uppercase())
}

fn push_base36(text: &mut String, number: u64) {
    let mut digits = [0; 13];
    let (mut rest, mut begin) = (number, digits.len());
    loop {
        begin -= 1;
        digits[begin] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
        rest /= 36;
        if rest == 0 {
            break;
        }
    }
    text.extend(digits[begin..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        RunId::from_random(7)
    }

    fn text_of(cursor: Cursor) -> String {
        let mut text = String::new();
        cursor.write(run(), &mut text);
        text
    }

    fn cursor(kind: u8, core: u16, number: u64) -> Cursor {
        match kind {
            b'c' => Cursor::Publication { lane: Lane(core), seq: number },
            _ => Cursor::Mark { core: CoreId(core), position: number },
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        assert_eq!(run().as_str(), "70000000");
        let check = |cursor: Cursor, expected: &str| {
            assert_eq!(text_of(cursor), expected);
            assert_eq!(Cursor::parse(expected, run()), Ok(cursor));
            assert!(expected.len() <= Cursor::TEXT_BYTES_MAX);
        };
        check(cursor(b'c', 1, 100), "c1.2s.70000000");
        check(cursor(b'm', 0, 0), "m0.0.70000000");
        check(cursor(b'c', u16::MAX, u64::MAX), "c1ekf.3w5e11264sgsf.70000000");
    }

    #[test]
    fn a_cursor_of_another_run_is_foreign() {
        let other = RunId::from_random(8);
        assert_eq!(Cursor::parse("c1.2s.70000000", other), Err(Unusable::Foreign));
        assert_eq!(Cursor::parse("m1.2s.ZZZZZZZZ", other), Err(Unusable::Foreign));
    }

    #[test]
    fn any_other_spelling_is_refused() {
        let refused = [
            "",
            ".",
            "..",
            "c",
            "c1",
            "c1.2s",
            "c1.2s.",
            "c1.2s.7000000",
            "c1.2s.700000000",
            "c1.2s.7000000a",
            "c1.2S.70000000",
            "c01.2s.70000000",
            "c1.02s.70000000",
            "c+1.2s.70000000",
            "c1.-2s.70000000",
            "c1..70000000",
            "c.2s.70000000",
            "x1.2s.70000000",
            "C1.2s.70000000",
            "c1ekg.0.70000000",
            "c0.3w5e11264sgsg.70000000",
            " c1.2s.70000000",
            "c1.2s.70000000 ",
            "c1.2s.2s.70000000",
            "ü1.2s.70000000",
            "c1.2s.7000ü00",
        ];
        for text in refused {
            assert_eq!(Cursor::parse(text, run()), Err(Unusable::Malformed), "{text}");
        }
        assert_eq!(Cursor::parse(&"c".repeat(1 << 20), run()), Err(Unusable::Malformed));
    }

    #[test]
    fn whatever_is_accepted_is_written_the_same() {
        for seed in 0..2_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let number = random.u64(..) >> random.u32(0..64);
            let text = text_of(cursor(*random.choice(b"cm").unwrap(), random.u16(..), number));
            let mut bytes = text.clone().into_bytes();
            assert!(Cursor::parse(&text, run()).is_ok(), "seed {seed}: {text}");
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = *random.choice(b"cm.0129azAZ+-_ \xff").unwrap();
            }
            let changed = String::from_utf8_lossy(&bytes);
            if let Ok(read) = Cursor::parse(&changed, run()) {
                assert_eq!(text_of(read), changed, "seed {seed}");
            }
        }
    }
}
