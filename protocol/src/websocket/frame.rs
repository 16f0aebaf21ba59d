//! Owns the encoding of frames into a caller's buffer, and the walk over frames that were encoded here.
//!
//! Messages are never fragmented when they are sent. Decoding what a peer sends is the decoder's.

use core::ops::Range;

use super::close::CloseCode;
use super::mask;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;
const CLOSE_REASON_BYTES_MAX: usize = 123;
/// The header length that [`push_frame_with`] bets on: chat events are between 126 bytes and 64 KiB.
const HEADER_BYTES_GUESSED: usize = 4;

/// The longest header there is: two bytes, an eight-byte length, a four-byte mask key (RFC 6455 section 5.2).
pub const HEADER_BYTES_MAX: usize = 14;

/// An opcode says what a frame carries (RFC 6455 section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// The next fragment of the message that is under way.
    Continuation = 0x0,
    /// Text, or its first fragment.
    Text = 0x1,
    /// Bytes, or their first fragment.
    Binary = 0x2,
    /// The last frame of this direction.
    Close = 0x8,
    /// A question that is answered with a pong of the same payload.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life nobody asked for.
    Pong = 0xa,
}

impl Opcode {
    /// Reads the four bits of the wire; the reserved values give nothing.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    /// Whether this is a close, ping or pong frame, which may come between the fragments of a message.
    pub const fn is_control(self) -> bool {
        self as u8 >= 0x8
    }

    /// Whether this is the first frame of a message.
    pub const fn begins_message(self) -> bool {
        matches!(self, Self::Text | Self::Binary)
    }
}

/// Appends a whole unmasked frame, as a server sends it. Control frames carry at most 125 bytes (RFC 6455 section 5.5).
pub fn push_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    push_whole(out, FIN | opcode as u8, payload);
}

/// Appends a whole unmasked frame whose payload a [`super::deflate::Deflater`] made (RSV1 is set, RFC 7692 section 6).
pub fn push_deflated_frame(out: &mut Vec<u8>, opcode: Opcode, deflated: &[u8]) {
    push_whole(out, FIN | RSV1 | opcode as u8, deflated);
}

/// Appends a whole masked frame, as a client sends it; `key` should be unpredictable (RFC 6455 section 10.3).
pub fn push_masked_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: [u8; 4]) {
    let (mut header, header_bytes) = header(FIN | opcode as u8, payload.len());
    header[1] |= MASKED;
    out.reserve(header_bytes + key.len() + payload.len());
    out.extend_from_slice(&header[..header_bytes]);
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], key);
}

/// Appends a whole unmasked frame whose payload `write` appends to `out`, and returns where the payload lies in `out`.
///
/// The header is filled in afterwards. Payloads between 126 and 65535 bytes stay where they were written; smaller and
/// larger ones are moved once, by two bytes down or six up.
///
/// # Panics
/// When `write` makes `out` shorter than it was, which is a mistake of the caller and cannot come from the network.
pub fn push_frame_with(out: &mut Vec<u8>, opcode: Opcode, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = out.len();
    let guessed = start + HEADER_BYTES_GUESSED;
    out.extend_from_slice(&[0; HEADER_BYTES_GUESSED]);
    write(out);
    assert!(out.len() >= guessed, "a payload is appended, nothing before it is taken away");
    let payload_bytes = out.len() - guessed;
    let (header, header_bytes) = header(FIN | opcode as u8, payload_bytes);
    let payload_start = start + header_bytes;
    if header_bytes > HEADER_BYTES_GUESSED {
        out.resize(payload_start + payload_bytes, 0);
    }
    if header_bytes != HEADER_BYTES_GUESSED {
        out.copy_within(guessed..guessed + payload_bytes, payload_start);
    }
    out.truncate(payload_start + payload_bytes);
    out[start..payload_start].copy_from_slice(&header[..header_bytes]);
    payload_start..payload_start + payload_bytes
}

/// Appends an unmasked close frame; the reason is cut to 123 bytes, between two characters (RFC 6455 section 5.5.1).
pub fn push_close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    push_frame_with(out, Opcode::Close, |out| close_payload(out, code, reason));
}

/// Appends a masked close frame, as a client sends it; otherwise as [`push_close`].
pub fn push_masked_close(out: &mut Vec<u8>, code: CloseCode, reason: &str, key: [u8; 4]) {
    let mut payload = Vec::with_capacity(2 + CLOSE_REASON_BYTES_MAX);
    close_payload(&mut payload, code, reason);
    push_masked_frame(out, Opcode::Close, &payload, key);
}

/// Walks over the whole unmasked frames at the start of `bytes`, as [`push_frame`] and its kin make them.
///
/// It serves to turn a session's waiting frames into another form. It ends at the first byte that is not such a
/// frame (masked, fragmented, compressed or cut short); [`Frames::rest`] is then not empty.
pub const fn frames(bytes: &[u8]) -> Frames<'_> {
    Frames { rest: bytes, frame_bytes: 0 }
}

/// How many bytes are left of the frame that byte `at` of unmasked whole frames is in; 0 if a frame begins there.
///
/// Of two frames of 5 bytes each, 3 bytes are left at 2 and none at 5.
///
/// # Panics
/// If the bytes are not whole frames, which is a mistake of the caller.
pub fn rest_of_frame(frames: &[u8], at: usize) -> usize {
    let mut end = 0;
    while end < at {
        let head = &frames[end..];
        end += match head[1] {
            126 => 4 + usize::from(u16::from_be_bytes([head[2], head[3]])),
            127 => {
                let length =
                    u64::from_be_bytes(*head[2..].first_chunk().expect("a whole frame has its length"));
                10 + usize::try_from(length).expect("a frame that is in memory")
            }
            short => 2 + usize::from(short),
        };
    }
    end - at
}

/// The iterator that [`frames`] returns; each item is a frame's opcode and payload.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    frame_bytes: usize,
}

impl<'a> Frames<'a> {
    /// The bytes of the frame returned last, header and payload together; 0 before the first.
    pub const fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// The bytes that were not walked over.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (Opcode, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [first, short, after @ ..] = self.rest else { return None };
        let opcode = Opcode::from_bits(first ^ FIN)?;
        let (payload_bytes, after) = match short {
            0..=125 => (usize::from(*short), after),
            126 => {
                after.split_first_chunk().map(|(field, after)| (u16::from_be_bytes(*field).into(), after))?
            }
            127 => {
                let (field, after) = after.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*field)).ok()?, after)
            }
            _ => return None,
        };
        let (payload, rest) = after.split_at_checked(payload_bytes)?;
        self.frame_bytes = self.rest.len() - rest.len();
        self.rest = rest;
        Some((opcode, payload))
    }
}

fn push_whole(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    let (header, header_bytes) = header(first, payload.len());
    out.reserve(header_bytes + payload.len());
    out.extend_from_slice(&header[..header_bytes]);
    out.extend_from_slice(payload);
}

fn close_payload(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    out.extend_from_slice(&code.0.to_be_bytes());
    let mut end = reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    out.extend_from_slice(&reason.as_bytes()[..end]);
}

/// Makes an unmasked header, at most ten bytes, with the length in its shortest form.
fn header(first: u8, payload_bytes: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = first;
    let header_bytes = match payload_bytes {
        0..=125 => {
            header[1] = payload_bytes as u8;
            2
        }
        126..=0xffff => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            10
        }
    };
    (header, header_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_frame_ends_where_the_next_one_begins() {
        let mut frames = Vec::new();
        let mut ends = Vec::new();
        for length in [3, 0, 125, 126, 70_000, 65_535] {
            push_frame(&mut frames, Opcode::Text, &vec![b'x'; length]);
            ends.push(frames.len());
        }
        for at in 0..=frames.len() {
            let end = ends.iter().copied().find(|end| *end >= at).unwrap_or(0);
            let is_begin = at == 0 || ends.contains(&at);
            assert_eq!(rest_of_frame(&frames, at), if is_begin { 0 } else { end - at }, "{at}");
        }
    }

    #[test]
    fn every_way_of_pushing_gives_the_same_frame() {
        for payload_bytes in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..payload_bytes).map(|i| i as u8).collect();
            let mut whole = b"before".to_vec();
            push_frame(&mut whole, Opcode::Binary, &payload);
            let mut written = b"before".to_vec();
            let range = push_frame_with(&mut written, Opcode::Binary, |out| out.extend_from_slice(&payload));
            assert_eq!(written, whole, "{payload_bytes}");
            assert_eq!(&written[range], payload);

            let mut masked = Vec::new();
            push_masked_frame(&mut masked, Opcode::Binary, &payload, [0; 4]);
            assert_eq!(masked.len(), whole.len() - 6 + 4);
        }
    }

    #[test]
    fn examples_of_the_rfc_are_made_byte_for_byte() {
        let mut out = Vec::new();
        push_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        out.clear();
        push_masked_frame(&mut out, Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        out.clear();
        push_deflated_frame(&mut out, Opcode::Text, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(out, [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    }

    #[test]
    fn a_long_close_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        push_close(&mut out, CloseCode::POLICY, &"€".repeat(50));
        assert_eq!(out.len(), 2 + 2 + 123);
        assert_eq!(&out[..4], [0x88, 125, 0x03, 0xf0]);
        assert_eq!(core::str::from_utf8(&out[4..]).map(str::len), Ok(123));
        out.clear();
        push_close(&mut out, CloseCode::NORMAL, &format!("a{}", "€".repeat(50)));
        assert_eq!(out.len(), 2 + 2 + 121);
        out.clear();
        push_masked_close(&mut out, CloseCode::NORMAL, "bye", [0; 4]);
        assert_eq!(out, [&[0x88, 0x85, 0, 0, 0, 0, 0x03, 0xe8], b"bye".as_slice()].concat());
    }

    #[test]
    fn pushed_frames_are_walked_in_order_and_what_is_cut_stays() {
        let mut out = Vec::new();
        let payloads = [vec![1; 3], vec![2; 126], vec![3; 65_536], Vec::new()];
        for payload in &payloads {
            push_frame(&mut out, Opcode::Binary, payload);
        }
        push_close(&mut out, CloseCode::GOING_AWAY, "");
        let mut walk = frames(&out);
        let mut bytes = 0;
        for payload in &payloads {
            assert_eq!(walk.next(), Some((Opcode::Binary, payload.as_slice())));
            bytes += walk.frame_bytes();
        }
        assert_eq!(walk.next(), Some((Opcode::Close, [0x03, 0xe9].as_slice())));
        assert_eq!(bytes + walk.frame_bytes(), out.len());
        assert!(walk.next().is_none() && walk.rest().is_empty());

        let cut = &out[..out.len() - 1];
        assert_eq!(frames(cut).count(), payloads.len());
        for foreign in [[0x01, 0x00], [0x81, 0x80], [0xc1, 0x00], [0x83, 0x00], [0x81, 0x01]] {
            let mut walk = frames(&foreign);
            assert!(walk.next().is_none());
            assert_eq!(walk.rest(), foreign);
        }
    }
}
