//! Owns permessage-deflate (RFC 7692): whether an offer can be accepted, and the compressing and inflating of messages.
//!
//! It is only ever agreed without context takeover in both directions, so a connection costs no memory for it: one
//! [`Inflater`] and one [`Deflater`] serve all connections of a core, and a broadcast is compressed once.

use core::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::close::CloseCode;

/// What answers an accepted offer, in `Sec-WebSocket-Extensions`.
pub const RESPONSE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// What a sender takes off the end of each message and a receiver puts back (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// zlib's default: 7.5 us for a 208-byte event that shrinks by 22 %, where level 1 takes 3 us for 9 %.
const LEVEL: u32 = 6;
/// The most final blocks in one message: each costs a reset, and senders make none or one.
const FINAL_BLOCKS_MAX: u32 = 8;
const GROWTH_BYTES_MIN: usize = 1024;

/// The error of a `Sec-WebSocket-Extensions` that does not follow the grammar (RFC 6455 section 9.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedOffer;

/// Whether one of the offers can be accepted with [`RESPONSE`]; `values` are the header's lines, in order.
///
/// An offer with unknown, repeated or ill-valued parameters is declined and the next one is looked at (RFC 7692
/// section 7.1). So is one with `server_max_window_bits`, which would bind the shared compressor to a smaller window.
pub fn is_acceptable<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<bool, MalformedOffer> {
    let mut accepted = false;
    for offer in values.into_iter().flat_map(|value| value.split(',')).map(trim) {
        if offer.is_empty() {
            continue;
        }
        let mut parts = offer.split(';').map(trim);
        let name = parts.next().unwrap_or_default();
        if !is_token(name) {
            return Err(MalformedOffer);
        }
        let mut acceptable = name.eq_ignore_ascii_case("permessage-deflate");
        let mut seen = Seen::default();
        for part in parts {
            let (parameter, value) = parameter(part)?;
            acceptable &= seen.admits(parameter, value);
        }
        accepted |= acceptable;
    }
    Ok(accepted)
}

/// The parameters that one offer has had so far.
#[derive(Default)]
struct Seen {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    client_max_window_bits: bool,
}

impl Seen {
    /// Whether an offer with this parameter, too, can be accepted.
    fn admits(&mut self, parameter: &str, value: Option<&str>) -> bool {
        let (seen, valid) = match parameter {
            "server_no_context_takeover" => (&mut self.server_no_context_takeover, value.is_none()),
            "client_no_context_takeover" => (&mut self.client_no_context_takeover, value.is_none()),
            "client_max_window_bits" => (&mut self.client_max_window_bits, value.is_none_or(is_window_bits)),
            _ => return false,
        };
        !core::mem::replace(seen, true) && valid
    }
}

/// Splits `name=value`; a value may be quoted, and is a token also then (RFC 6455 section 9.1).
fn parameter(part: &str) -> Result<(&str, Option<&str>), MalformedOffer> {
    let (name, value) = match part.split_once('=') {
        None => (part, None),
        Some((name, value)) => {
            let value = trim(value);
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            (trim(name), Some(unquoted))
        }
    };
    if !is_token(name) || value.is_some_and(|value| !is_token(value)) {
        return Err(MalformedOffer);
    }
    Ok((name, value))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Whether this is a token of RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

fn is_window_bits(value: &str) -> bool {
    matches!(value, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15")
}

/// Why a compressed message was not inflated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InflateError {
    /// The bytes are not deflate data.
    Corrupt,
    /// The message is larger than the bound, once inflated.
    TooBig,
}

impl InflateError {
    /// The code to close with: 1007 for bytes that are not what they claim to be, 1009 for too many.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Corrupt => CloseCode::INVALID_PAYLOAD,
            Self::TooBig => CloseCode::TOO_BIG,
        }
    }

    /// The reason to close with.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Corrupt => "the compressed message is corrupt",
            Self::TooBig => "the message is too big",
        }
    }
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl core::error::Error for InflateError {}

/// An inflater undoes the compression of messages; one per core, about 48 KiB.
#[derive(Debug)]
pub struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Inflater {
    /// Makes an inflater.
    pub fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// Appends the inflated message to `out`, at most `bytes_max` bytes of it; on an error `out` is as it was.
    ///
    /// Room is taken as it is needed, so ten kilobytes that unfold to ten megabytes cost no more than `bytes_max`.
    pub fn inflate(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), InflateError> {
        let start = out.len();
        self.0.reset(false);
        let mut final_blocks = 0;
        let outcome = [payload, &TAIL]
            .into_iter()
            .try_for_each(|input| self.inflate_part(input, out, start, bytes_max, &mut final_blocks));
        if outcome.is_err() {
            out.truncate(start);
        }
        outcome
    }

    fn inflate_part(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
        start: usize,
        bytes_max: usize,
        final_blocks: &mut u32,
    ) -> Result<(), InflateError> {
        loop {
            let written = out.len() - start;
            if out.len() == out.capacity() {
                // One byte more than allowed, to tell a message that just fits from one that does not.
                let room = (bytes_max - written).saturating_add(1);
                out.reserve_exact(written.max(GROWTH_BYTES_MIN).min(room));
            }
            let (in_before, out_before) = (self.0.total_in(), out.len());
            let status = self.0.decompress_vec(input, out, FlushDecompress::Sync);
            let status = status.map_err(|_| InflateError::Corrupt)?;
            let consumed = (self.0.total_in() - in_before) as usize;
            input = &input[consumed..];
            if out.len() - start > bytes_max {
                return Err(InflateError::TooBig);
            }
            if status == Status::StreamEnd {
                *final_blocks += 1;
                if *final_blocks > FINAL_BLOCKS_MAX {
                    return Err(InflateError::Corrupt);
                }
                self.0.reset(false);
            }
            let has_room = out.len() < out.capacity();
            if input.is_empty() && has_room {
                return Ok(());
            }
            if consumed == 0 && out.len() == out_before && has_room {
                return Err(InflateError::Corrupt);
            }
        }
    }
}

/// A deflater compresses messages; one per core, about 380 KiB.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflater {
    /// Makes a deflater.
    pub fn new() -> Self {
        Self(Compress::new(Compression::new(LEVEL), false))
    }

    /// Appends the compressed message to `out`, ready for [`super::frame::push_deflated_frame`].
    pub fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        if payload.is_empty() {
            // An empty block of the fixed code, without its tail (RFC 7692 section 7.2.3.6).
            out.push(0);
            return;
        }
        self.0.reset();
        let mut input = payload;
        loop {
            if out.capacity() - out.len() < GROWTH_BYTES_MIN {
                out.reserve(input.len() / 2 + GROWTH_BYTES_MIN);
            }
            let before = self.0.total_in();
            self.0
                .compress_vec(input, out, FlushCompress::Sync)
                .expect("compressing fails only after a finish, which is never asked for");
            input = &input[(self.0.total_in() - before) as usize..];
            if input.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        assert!(out.ends_with(&TAIL), "a sync flush ends with an empty stored block");
        out.truncate(out.len() - TAIL.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(value: &str, expected: Result<bool, MalformedOffer>) {
        assert_eq!(is_acceptable([value]), expected, "{value}");
    }

    #[test]
    fn an_offer_is_accepted_when_all_of_it_is_understood() {
        offer("", Ok(false));
        offer("permessage-deflate", Ok(true));
        offer("permessage-deflate; client_max_window_bits", Ok(true));
        offer("permessage-deflate;client_max_window_bits=\"15\";server_no_context_takeover", Ok(true));
        offer("permessage-deflate; client_no_context_takeover; server_no_context_takeover", Ok(true));
        offer("x-webkit-deflate-frame", Ok(false));
        offer("permessage-deflate; client_max_window_bits=7", Ok(false));
        offer("permessage-deflate; client_max_window_bits=08", Ok(false));
        offer("permessage-deflate; client_max_window_bits; client_max_window_bits", Ok(false));
        offer("permessage-deflate; server_no_context_takeover=1", Ok(false));
        offer("permessage-deflate; server_max_window_bits=10", Ok(false));
        offer("permessage-deflate; unknown", Ok(false));
    }

    #[test]
    fn the_first_acceptable_of_several_offers_decides() {
        offer("permessage-deflate; server_max_window_bits=10, permessage-deflate", Ok(true));
        offer("a; b=c, permessage-deflate; client_max_window_bits, x", Ok(true));
        assert_eq!(is_acceptable(["permessage-bzip2", "permessage-deflate"]), Ok(true));
    }

    #[test]
    fn what_breaks_the_grammar_is_malformed() {
        for value in [
            "permessage-deflate;",
            "permessage-deflate; =1",
            "permessage-deflate; a=",
            "a b",
            "; a",
            "a; b=\"c",
            "a; b=\"c,d\"",
            "é",
        ] {
            offer(value, Err(MalformedOffer));
        }
    }

    fn inflated(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        Inflater::new().inflate(payload, &mut out, bytes_max).map(|()| out)
    }

    #[test]
    fn examples_of_the_rfc_are_inflated() {
        let hello = Ok(b"Hello".to_vec());
        assert_eq!(inflated(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5), hello);
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        assert_eq!(inflated(&stored, 5), hello, "a stored block");
        let with_final = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflated(&with_final, 5), hello, "a final block");
        let two_blocks = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflated(&two_blocks, 5), hello, "two blocks");
        assert_eq!(inflated(&[0x00], 0), Ok(Vec::new()), "an empty message");
    }

    #[test]
    fn what_is_compressed_comes_back_and_no_message_leaves_traces_in_the_next() {
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
        let mut noise = 1_u32;
        for length in [0, 1, 5, 100, 1023, 1024, 5000, 70_000, 300_000] {
            let text: Vec<u8> = (0..length).map(|i| b"the quick brown fox "[i % 20]).collect();
            let random: Vec<u8> = (0..length)
                .map(|_| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (noise >> 24) as u8
                })
                .collect();
            for plain in [text, random] {
                let mut first = Vec::new();
                deflater.deflate(&plain, &mut first);
                let mut second = b"before".to_vec();
                deflater.deflate(&plain, &mut second);
                assert_eq!(second[6..], first, "a context was taken over");
                let mut out = Vec::new();
                inflater.inflate(&first, &mut out, length).expect("our own data");
                assert!(out == plain, "{length} bytes");
            }
        }
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_bound() {
        let mut bomb = Vec::new();
        Deflater::new().deflate(&vec![0; 10 << 20], &mut bomb);
        let mut out = b"kept".to_vec();
        assert_eq!(Inflater::new().inflate(&bomb, &mut out, 1 << 16), Err(InflateError::TooBig));
        assert_eq!(out, b"kept");
        assert!(out.capacity() <= (1 << 17) + GROWTH_BYTES_MIN);
        assert_eq!(inflated(&bomb, (10 << 20) - 1), Err(InflateError::TooBig));
        assert_eq!(inflated(&bomb, 10 << 20).map(|out| out.len()), Ok(10 << 20));
    }

    #[test]
    fn corrupt_data_is_an_error_and_not_an_endless_loop() {
        assert_eq!(inflated(&[0xff; 20], 100), Err(InflateError::Corrupt));
        assert_eq!(inflated(&[0x07, 0x00], 100), Err(InflateError::Corrupt));
        let final_blocks = [0x03, 0x00].repeat(1000);
        assert_eq!(inflated(&final_blocks, 100), Err(InflateError::Corrupt));
    }
}
