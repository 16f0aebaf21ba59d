//! Owns the reading of one frame header (RFC 6455 section 5.2) and the rules that a header can break by itself.
//!
//! What depends on earlier frames (fragments, sizes of messages) is the decoder's.

use super::decoder::{Role, Violation};
use super::frame::Opcode;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;
/// The bound on a control frame's payload (RFC 6455 section 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// What one header says, in the order of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) fin: bool,
    /// RSV1: the first frame of a compressed message (RFC 7692 section 6).
    pub(super) compressed: bool,
    pub(super) opcode: Opcode,
    pub(super) key: Option<[u8; 4]>,
    pub(super) payload_bytes: u64,
    pub(super) header_bytes: usize,
}

/// Reads the header at the start of `bytes`; `None` when it has not arrived whole.
///
/// Each byte is judged as soon as it is there, in the order of the wire, so a bad header gives the same violation
/// however it is cut.
pub(super) fn parse(bytes: &[u8], role: Role, deflate: bool) -> Result<Option<Header>, Violation> {
    let [first, rest @ ..] = bytes else { return Ok(None) };
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::ReservedOpcode)?;
    let fin = first & FIN != 0;
    let compressed = first & RSV1 != 0;
    if first & RSV2_AND_3 != 0 || (compressed && !(deflate && opcode.begins_message())) {
        return Err(Violation::ReservedBits);
    }
    if opcode.is_control() && !fin {
        return Err(Violation::FragmentedControl);
    }

    let [second, rest @ ..] = rest else { return Ok(None) };
    let masked = second & MASKED != 0;
    match role {
        Role::Server if !masked => return Err(Violation::Unmasked),
        Role::Client if masked => return Err(Violation::Masked),
        Role::Server | Role::Client => {}
    }
    let short = second & !MASKED;
    if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
        return Err(Violation::ControlTooLong);
    }

    let Some((payload_bytes, rest)) = length(short, rest)? else { return Ok(None) };
    let (key, rest) = match (masked, rest) {
        (false, rest) => (None, rest),
        (true, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
        (true, _) => return Ok(None),
    };
    let header_bytes = bytes.len() - rest.len();
    Ok(Some(Header { fin, compressed, opcode, key, payload_bytes, header_bytes }))
}

/// Reads the extended length that `short` announces, which must be written in the shortest form.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    match short {
        126 => {
            let Some((field, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let length = u16::from_be_bytes(*field);
            if length < 126 {
                return Err(Violation::LengthNotMinimal);
            }
            Ok(Some((length.into(), rest)))
        }
        127 => {
            let Some((field, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let length = u64::from_be_bytes(*field);
            if length >> 63 != 0 {
                return Err(Violation::LengthOverflow);
            }
            if length <= u64::from(u16::MAX) {
                return Err(Violation::LengthNotMinimal);
            }
            Ok(Some((length, rest)))
        }
        short => Ok(Some((short.into(), rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Header, parse};
    use crate::websocket::decoder::{Role, Violation};
    use crate::websocket::frame::Opcode;

    fn check(bytes: &[u8], expected: Result<Option<(u64, usize)>, Violation>) {
        let outcome = parse(bytes, Role::Server, false);
        assert_eq!(
            outcome.map(|header| header.map(|h| (h.payload_bytes, h.header_bytes))),
            expected,
            "{bytes:02x?}"
        );
    }

    #[test]
    fn lengths_are_read_in_their_shortest_form_only() {
        check(&[0x82, 0x80 | 125, 1, 2, 3, 4], Ok(Some((125, 6))));
        check(&[0x82, 0x80 | 126, 0, 126, 1, 2, 3, 4], Ok(Some((126, 8))));
        check(&[0x82, 0x80 | 126, 0, 125], Err(Violation::LengthNotMinimal));
        check(&[0x82, 0x80 | 126, 0xff, 0xff, 1, 2, 3, 4], Ok(Some((65_535, 8))));
        check(&[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Err(Violation::LengthNotMinimal));
        check(&[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4], Ok(Some((65_536, 14))));
        check(&[0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Err(Violation::LengthOverflow));
    }

    #[test]
    fn a_broken_rule_is_reported_as_soon_as_its_byte_is_there() {
        check(&[], Ok(None));
        check(&[0x83], Err(Violation::ReservedOpcode));
        check(&[0xc1], Err(Violation::ReservedBits));
        check(&[0x09], Err(Violation::FragmentedControl));
        check(&[0x81], Ok(None));
        check(&[0x81, 5], Err(Violation::Unmasked));
        check(&[0x89, 0x80 | 126], Err(Violation::ControlTooLong));
        check(&[0x81, 0x80 | 5, 1, 2, 3], Ok(None));
    }

    #[test]
    fn rsv1_marks_the_first_frame_of_a_compressed_message_only() {
        let text = parse(&[0xc1, 0x80, 1, 2, 3, 4], Role::Server, true).expect("a valid header");
        let key = Some([1, 2, 3, 4]);
        let header = Header {
            fin: true,
            compressed: true,
            opcode: Opcode::Text,
            key,
            payload_bytes: 0,
            header_bytes: 6,
        };
        assert_eq!(text, Some(header));
        for first in [0xc0, 0xc8, 0xc9, 0xca, 0xa1, 0x91] {
            assert_eq!(parse(&[first], Role::Server, true), Err(Violation::ReservedBits), "{first:02x}");
        }
    }
}
