//! Owns the reading of a request body as it arrives, plain or chunked (RFC 9112 sections 6 and 7), within a bound.
//!
//! ```text
//! Length:   Plain(left) ------------------------------------------------.
//!                                                                       v
//! Chunked:  Size -> Extension -> SizeEnd -> Chunk(left) -> ChunkEnd   Complete
//!            ^  `------------------^                          |         ^
//!            `------------------------------------------------'         |
//!           (size 0) SizeEnd -> TrailerStart -> Trailer -> TrailerEnd   |
//!                                  |    ^------------------'            |
//!                                  `-> LastEnd -------------------------'
//! ```

use super::error::HttpError;
use super::head::Framing;

/// The most bytes that the extensions and the trailer of one chunked body may have; they are read and dropped.
pub const CHUNK_OVERHEAD_BYTES_MAX: usize = 4 << 10;

/// The most digits of a chunk size: 16 hexadecimal digits fill 64 bits.
const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// A reader takes the bytes that follow a head until the body is complete; it keeps a few numbers, never bytes.
#[derive(Clone, Debug)]
pub struct BodyReader {
    state: State,
    /// How many more bytes the body may have.
    room: usize,
    /// How many more bytes extensions and trailer may have.
    overhead_room: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The rest of a body of declared length.
    Plain { left: usize },
    /// The digits of a chunk's size.
    Size { size: u64, digits: u8 },
    /// What follows a `;` after the size.
    Extension { size: u64 },
    /// The LF that ends the size line.
    SizeEnd { size: u64 },
    /// The rest of a chunk.
    Chunk { left: usize },
    /// The CR LF after a chunk; true when the CR was seen.
    ChunkEnd { after_cr: bool },
    /// The first byte of a trailer line, or the CR that ends the body.
    TrailerStart,
    /// The rest of a trailer line.
    Trailer,
    /// The LF that ends a trailer line.
    TrailerEnd,
    /// The LF that ends the body.
    LastEnd,
    /// Nothing more is taken.
    Complete,
}

impl BodyReader {
    /// Makes the reader of one body of at most `bytes_max` bytes; a declared length above it is refused at once.
    pub fn new(framing: Framing, bytes_max: usize) -> Result<Self, HttpError> {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Complete,
            Framing::Length(length) => match usize::try_from(length) {
                Ok(left) if left <= bytes_max => State::Plain { left },
                _ => return Err(HttpError::BodyTooBig),
            },
            Framing::Chunked => State::Size { size: 0, digits: 0 },
        };
        Ok(Self { state, room: bytes_max, overhead_room: CHUNK_OVERHEAD_BYTES_MAX })
    }

    /// Whether the body is whole; what follows belongs to the next request.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Appends what `input` has of the body to `body`, and returns how many bytes of `input` were consumed.
    ///
    /// All of `input` is consumed until the body is complete. A chunk beyond the bound is refused at its size.
    /// After an error the reader takes nothing more that makes sense: the connection is to be closed.
    pub fn feed(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, HttpError> {
        let mut at = 0;
        while at < input.len() && !self.is_complete() {
            match self.state {
                State::Plain { left } | State::Chunk { left } => {
                    let taken = left.min(input.len() - at);
                    body.extend_from_slice(&input[at..at + taken]);
                    at += taken;
                    self.after_payload(left - taken);
                }
                _ => {
                    self.state = self.after_framing(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    fn after_payload(&mut self, left: usize) {
        self.state = match (self.state, left) {
            (State::Plain { .. }, 0) => State::Complete,
            (State::Plain { .. }, left) => State::Plain { left },
            (_, 0) => State::ChunkEnd { after_cr: false },
            (_, left) => State::Chunk { left },
        };
    }

    /// The state after one byte that is not payload.
    fn after_framing(&mut self, byte: u8) -> Result<State, HttpError> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == CHUNK_SIZE_DIGITS_MAX {
                    return Err(HttpError::Chunk);
                }
                let size = size << 4 | u64::from(hex_value(byte));
                if size > self.room as u64 {
                    return Err(HttpError::BodyTooBig);
                }
                Ok(State::Size { size, digits: digits + 1 })
            }
            (State::Size { digits: 0, .. }, _) => Err(HttpError::Chunk),
            (State::Size { size, .. }, b';') => Ok(State::Extension { size }),
            (State::Size { size, .. } | State::Extension { size }, b'\r') => Ok(State::SizeEnd { size }),
            (State::Extension { .. }, _) if is_of_a_line(byte) => self.overhead(self.state),
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeEnd { size }, b'\n') => {
                // The size was held against the room, a usize, digit by digit.
                let left = size as usize;
                self.room -= left;
                Ok(State::Chunk { left })
            }
            (State::ChunkEnd { after_cr: false }, b'\r') => Ok(State::ChunkEnd { after_cr: true }),
            (State::ChunkEnd { after_cr: true }, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::TrailerStart, b'\r') => Ok(State::LastEnd),
            (State::TrailerStart, _) if is_of_a_name(byte) => self.overhead(State::Trailer),
            (State::Trailer, b'\r') => Ok(State::TrailerEnd),
            (State::Trailer, _) if is_of_a_line(byte) => self.overhead(State::Trailer),
            (State::TrailerEnd, b'\n') => Ok(State::TrailerStart),
            (State::LastEnd, b'\n') => Ok(State::Complete),
            _ => Err(HttpError::Chunk),
        }
    }

    /// Takes one byte from what extensions and trailer may have.
    fn overhead(&mut self, next: State) -> Result<State, HttpError> {
        self.overhead_room = self.overhead_room.checked_sub(1).ok_or(HttpError::Chunk)?;
        Ok(next)
    }
}

/// Whether a byte can be inside a line: anything but control characters.
const fn is_of_a_line(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether a byte can begin a header name.
const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// The value of a hexadecimal digit.
const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 10;

    /// The body and the consumed bytes, or the error, the same at once and byte by byte.
    fn check(framing: Framing, input: &[u8], expected: Result<(&[u8], usize, bool), HttpError>) {
        let expected = expected.map(|(body, consumed, complete)| (body.to_vec(), consumed, complete));
        for piece_bytes in [input.len().max(1), 1] {
            let outcome = (|| {
                let mut reader = BodyReader::new(framing, BYTES_MAX)?;
                let (mut body, mut consumed) = (Vec::new(), 0);
                for piece in input.chunks(piece_bytes) {
                    consumed += reader.feed(piece, &mut body)?;
                }
                Ok((body, consumed, reader.is_complete()))
            })();
            assert_eq!(outcome, expected, "{:?} by {piece_bytes}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_declared_length_is_read_exactly() {
        check(Framing::None, b"next", Ok((b"", 0, true)));
        check(Framing::Length(0), b"next", Ok((b"", 0, true)));
        check(Framing::Length(5), b"hellonext", Ok((b"hello", 5, true)));
        check(Framing::Length(5), b"hel", Ok((b"hel", 3, false)));
        check(Framing::Length(10), b"0123456789", Ok((b"0123456789", 10, true)));
        check(Framing::Length(11), b"", Err(HttpError::BodyTooBig));
        check(Framing::Length(u64::MAX), b"", Err(HttpError::BodyTooBig));
    }

    #[test]
    fn chunks_are_joined_and_extensions_and_trailers_dropped() {
        check(Framing::Chunked, b"5\r\nhello\r\n0\r\n\r\nnext", Ok((b"hello", 15, true)));
        check(Framing::Chunked, b"2\r\nhe\r\n3;a=\"b\"\r\nllo\r\n0\r\n\r\n", Ok((b"hello", 26, true)));
        check(
            Framing::Chunked,
            b"00000A\r\n0123456789\r\n0;x\r\nA: b\r\nC: d\r\n\r\n",
            Ok((b"0123456789", 39, true)),
        );
        check(Framing::Chunked, b"0\r\n\r\n", Ok((b"", 5, true)));
        check(Framing::Chunked, b"5\r\nhel", Ok((b"hel", 6, false)));
    }

    #[test]
    fn chunks_that_two_readers_could_read_differently_are_refused() {
        for body in [
            "\r\n",
            ";x\r\n",
            "g\r\n",
            "0x5\r\n",
            "+5\r\n",
            "-1\r\n",
            " 5\r\n",
            "5 \r\n",
            "5\n",
            "5\rx",
            "5;a\n",
            "5;\0",
            "1\r\naX",
            "1\r\na\n",
            "1\r\na\rX",
            "0\r\n\n",
            "0\r\n\rX",
            "0\r\n: x",
            "0\r\n folded",
            "0\r\nA: b\n",
            "00000000000000005\r\n",
        ] {
            check(Framing::Chunked, body.as_bytes(), Err(HttpError::Chunk));
        }
    }

    #[test]
    fn a_chunk_beyond_the_bound_is_refused_at_its_size() {
        check(Framing::Chunked, b"b", Err(HttpError::BodyTooBig));
        check(Framing::Chunked, b"FFFFFFFFFFFFFFFF", Err(HttpError::BodyTooBig));
        check(Framing::Chunked, b"6\r\n012345\r\n5", Err(HttpError::BodyTooBig));
    }

    #[test]
    fn extensions_and_trailers_are_bounded_together() {
        let extension = [b"1;".as_slice(), &[b'x'; CHUNK_OVERHEAD_BYTES_MAX]].concat();
        check(Framing::Chunked, &extension, Ok((b"", extension.len(), false)));
        check(Framing::Chunked, &[&extension, b"\r\na\r\n0\r\nT".as_slice()].concat(), Err(HttpError::Chunk));
    }
}
