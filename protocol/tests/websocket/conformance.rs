//! The cases of Autobahn's sections 1 to 7 and 9, told again as tables: frames of a client, and what a server hears.

use protocol::websocket::{Limits, Violation};

use super::stream::{FIN, KEY, LIMITS, Said, check_with, frame};

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// One frame of a case: its first byte and its payload.
type Frame<'a> = (u8, &'a [u8]);

fn stream(frames: &[Frame<'_>]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame(*first, payload, Some(KEY))).collect()
}

fn check(name: &str, frames: &[Frame<'_>], expected: &[Said]) {
    check_with(name, &LIMITS, &stream(frames), expected);
}

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

fn ping(payload: &[u8]) -> Said {
    Said::Ping(payload.to_vec())
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

#[test]
fn section_1_messages_of_every_length_form_are_heard() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_001] {
        let payload = vec![b'*'; length];
        check("text", &[(FIN | TEXT, &payload)], &[text(&"*".repeat(length))]);
        let payload: Vec<u8> = (0..length).map(|i| (i * 31) as u8).collect();
        check("binary", &[(FIN | BINARY, &payload)], &[Said::Binary(payload.clone())]);
    }
}

#[test]
fn section_2_pings_and_pongs_carry_up_to_125_bytes() {
    let longest = [0xfe; 125];
    check("empty ping", &[(FIN | PING, b"")], &[ping(b"")]);
    check("ping", &[(FIN | PING, b"Hello, world!")], &[ping(b"Hello, world!")]);
    check("ping that is not text", &[(FIN | PING, &[0, 0xff, 0xfe])], &[ping(&[0, 0xff, 0xfe])]);
    check("longest ping", &[(FIN | PING, &longest)], &[ping(&longest)]);
    check("too long ping", &[(FIN | PING, &[0xfe; 126])], &[Said::Broke(Violation::ControlTooLong)]);
    check("too long pong", &[(FIN | PONG, &[0xfe; 126])], &[Said::Broke(Violation::ControlTooLong)]);
    check("unasked pong", &[(FIN | PONG, b"x")], &[Said::Pong(b"x".to_vec())]);
    let pings: Vec<Vec<u8>> = (0..10).map(|i| format!("payload-{i}").into_bytes()).collect();
    let frames: Vec<Frame<'_>> = pings.iter().map(|payload| (FIN | PING, payload.as_slice())).collect();
    let expected: Vec<Said> = pings.iter().map(|payload| ping(payload)).collect();
    check("ten pings", &frames, &expected);
}

#[test]
fn section_3_reserved_bits_end_the_connection() {
    for reserved in 1..8 {
        let first = FIN | reserved << 4;
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            check("reserved bits", &[(first | opcode, b"x")], &[Said::Broke(Violation::ReservedBits)]);
        }
        check(
            "reserved bits between messages",
            &[(FIN | TEXT, b"good"), (first | TEXT, b"bad"), (FIN | TEXT, b"never")],
            &[text("good"), Said::Broke(Violation::ReservedBits)],
        );
    }
}

#[test]
fn section_4_reserved_opcodes_end_the_connection() {
    for opcode in (3..=7).chain(11..=15) {
        for payload in [b"".as_slice(), b"payload"] {
            check("reserved opcode", &[(FIN | opcode, payload)], &[Said::Broke(Violation::ReservedOpcode)]);
        }
        check(
            "reserved opcode between messages",
            &[(FIN | TEXT, b"good"), (FIN | opcode, b"bad"), (FIN | PING, b"")],
            &[text("good"), Said::Broke(Violation::ReservedOpcode)],
        );
    }
}

#[test]
fn section_5_fragments_are_joined_and_controls_pass_between_them() {
    check("fragmented ping", &[(PING, b"a"), (FIN, b"b")], &[Said::Broke(Violation::FragmentedControl)]);
    check("fragmented pong", &[(PONG, b"a"), (FIN, b"b")], &[Said::Broke(Violation::FragmentedControl)]);
    check("fragmented close", &[(CLOSE, b""), (FIN, b"")], &[Said::Broke(Violation::FragmentedControl)]);
    check("two fragments", &[(TEXT, b"frag1"), (FIN, b"frag2")], &[text("frag1frag2")]);
    check("binary fragments", &[(BINARY, &[1]), (0, &[2]), (FIN, &[3])], &[Said::Binary(vec![1, 2, 3])]);
    check(
        "a ping between fragments",
        &[(TEXT, b"frag1"), (FIN | PING, b"ping"), (FIN, b"frag2")],
        &[ping(b"ping"), text("frag1frag2")],
    );
    check(
        "controls between many fragments",
        &[
            (TEXT, b"1"),
            (CONTINUATION, b"2"),
            (FIN | PING, b"p"),
            (CONTINUATION, b"3"),
            (FIN | PONG, b"q"),
            (FIN | CONTINUATION, b"4"),
            (FIN | TEXT, b"5"),
        ],
        &[ping(b"p"), Said::Pong(b"q".to_vec()), text("1234"), text("5")],
    );
    for first in [FIN, CONTINUATION] {
        let broken = Said::Broke(Violation::UnexpectedContinuation);
        check(
            "a continuation of nothing",
            &[(first, b"a"), (FIN | TEXT, b"b")],
            std::slice::from_ref(&broken),
        );
        check(
            "a continuation after the last fragment",
            &[(TEXT, b"1"), (FIN, b"2"), (first, b"3")],
            &[text("12"), broken],
        );
    }
    for opcode in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
        let broken = Said::Broke(Violation::ExpectedContinuation);
        check("a message inside a message", &[(TEXT, b"1"), (opcode, b"2"), (FIN, b"3")], &[broken]);
    }
    check("empty fragments", &[(TEXT, b""), (0, b""), (FIN, b"")], &[text("")]);
    check("an empty fragment in the middle", &[(TEXT, b"a"), (0, b""), (FIN, b"b")], &[text("ab")]);
}

/// Text that is UTF-8, one case per line.
const VALID_TEXT: [&str; 16] = [
    "",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
    "\u{0}",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10000}",
    "\u{1fffe}",
    "\u{10ffff}",
];

/// Bytes that are not UTF-8, one case per line.
const INVALID_TEXT: [&[u8]; 38] = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80\xbf\x80\xbf",
    b"\xc0\x20\xc1\x20\xc2\x20",
    b"\xe0\x20\xe1\x20\xe2\x20",
    b"\xf0\x20\xf1\x20\xf2\x20",
    b"\xc2",
    b"\xe0\xa0",
    b"\xf0\x90\x80",
    b"\xf0\x90",
    b"\xdf",
    b"\xef\xbf",
    b"\xc2\xe0\xa0\xf0\x90\x80",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
    b"\xe2\x82\x28",
];

#[test]
fn section_6_text_is_utf8_over_every_cut_of_frames_and_bytes() {
    for valid in VALID_TEXT {
        let bytes = valid.as_bytes();
        check("valid", &[(FIN | TEXT, bytes)], &[text(valid)]);
        for cut in 0..=bytes.len() {
            let frames: [Frame<'_>; 3] = [(TEXT, &bytes[..cut]), (0, b""), (FIN, &bytes[cut..])];
            check("valid in fragments", &frames, &[text(valid)]);
        }
        let mut singles: Vec<Frame<'_>> = vec![(TEXT, b"")];
        singles.extend(bytes.chunks(1).map(|byte| (CONTINUATION, byte)));
        singles.push((FIN, b""));
        check("valid in fragments of one byte", &singles, &[text(valid)]);
    }
    let broken = [Said::Broke(Violation::InvalidUtf8)];
    for invalid in INVALID_TEXT {
        check("invalid", &[(FIN | TEXT, invalid)], &broken);
        for cut in 0..=invalid.len() {
            check("invalid in fragments", &[(TEXT, &invalid[..cut]), (FIN, &invalid[cut..])], &broken);
        }
        check("binary is not text", &[(FIN | BINARY, invalid)], &[Said::Binary(invalid.to_vec())]);
    }
}

#[test]
fn section_6_bad_text_fails_at_its_first_byte_before_the_frame_or_message_ends() {
    use protocol::websocket::{Decoder, Role};
    // The bad byte is the fourth of a frame of ten, in a message that has not ended.
    let good_then_bad = b"ab\xf4\x90zzzzzz";
    for first in [FIN | TEXT, TEXT] {
        let bytes = frame(first, good_then_bad, Some(KEY));
        let mut decoder = Decoder::new(Role::Server);
        let fails_at = bytes.iter().position(|byte| decoder.feed(&mut [*byte], &LIMITS).next().is_err());
        assert_eq!(fails_at, Some(6 + 3));
    }
}

#[test]
fn section_7_nothing_is_heard_after_a_close() {
    let bye = [Said::Close(None)];
    check(
        "close after a message",
        &[(FIN | TEXT, b"Hello World!"), (FIN | CLOSE, b"")],
        &[text("Hello World!"), Said::Close(None)],
    );
    check("two closes", &[(FIN | CLOSE, b""), (FIN | CLOSE, b"")], &bye);
    check("a ping after a close", &[(FIN | CLOSE, b""), (FIN | PING, b"")], &bye);
    check("a message after a close", &[(FIN | CLOSE, b""), (FIN | TEXT, b"x")], &bye);
    check("a close inside a message", &[(TEXT, b"a"), (FIN | CLOSE, b""), (FIN, b"b")], &bye);
    check("rubbish after a close", &[(FIN | CLOSE, b""), (0xff, b"x")], &bye);
}

#[test]
fn section_7_close_payloads_are_a_code_and_a_reason_in_utf8() {
    let closed = |code, reason: &str| [Said::Close(Some((code, reason.to_owned())))];
    let longest = "*".repeat(123);
    check("a code", &[(FIN | CLOSE, &close_payload(1000, b""))], &closed(1000, ""));
    check("a reason", &[(FIN | CLOSE, &close_payload(1000, b"Hello"))], &closed(1000, "Hello"));
    check(
        "the longest reason",
        &[(FIN | CLOSE, &close_payload(1000, longest.as_bytes()))],
        &closed(1000, &longest),
    );
    check(
        "a reason too long",
        &[(FIN | CLOSE, &close_payload(1000, &[b'*'; 124]))],
        &[Said::Broke(Violation::ControlTooLong)],
    );
    check("half a code", &[(FIN | CLOSE, b"a")], &[Said::Broke(Violation::CloseTooShort)]);
    for invalid in INVALID_TEXT {
        let payload = close_payload(1000, invalid);
        check(
            "a reason that is not UTF-8",
            &[(FIN | CLOSE, &payload)],
            &[Said::Broke(Violation::InvalidUtf8)],
        );
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        check("an allowed code", &[(FIN | CLOSE, &close_payload(code, b"x"))], &closed(code, "x"));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let broken = [Said::Broke(Violation::CloseCodeNotAllowed)];
        check("a forbidden code", &[(FIN | CLOSE, &close_payload(code, b"x"))], &broken);
    }
}

#[test]
fn section_9_sizes_and_fragments_end_at_their_limits() {
    let limits = Limits { message_bytes_max: 100, fragments_max: 3, deflate: false };
    let check =
        |name, frames: &[Frame<'_>], expected: &[Said]| check_with(name, &limits, &stream(frames), expected);
    let too_big = [Said::Broke(Violation::MessageTooBig)];
    check("as big as allowed", &[(FIN | BINARY, &[7; 100])], &[Said::Binary(vec![7; 100])]);
    check("a byte too big", &[(FIN | BINARY, &[7; 101])], &too_big);
    check(
        "as big as allowed in fragments",
        &[(BINARY, &[7; 60]), (FIN, &[7; 40])],
        &[Said::Binary(vec![7; 100])],
    );
    check("a byte too big in fragments", &[(BINARY, &[7; 60]), (FIN, &[7; 41])], &too_big);
    check(
        "controls do not count",
        &[(BINARY, &[7; 60]), (FIN | PING, &[1; 60]), (FIN, &[7; 40])],
        &[ping(&[1; 60]), Said::Binary(vec![7; 100])],
    );
    check("as many as allowed", &[(TEXT, b"1"), (0, b"2"), (FIN, b"3")], &[text("123")]);
    check(
        "one too many",
        &[(TEXT, b""), (0, b""), (0, b""), (FIN, b"")],
        &[Said::Broke(Violation::TooManyFragments)],
    );
    check(
        "each message counts anew",
        &[(TEXT, b"1"), (0, b"2"), (FIN, b"3"), (TEXT, b"4"), (FIN, b"5")],
        &[text("123"), text("45")],
    );
    let mut declared = vec![FIN | BINARY, 0x80 | 127, 0x7f];
    declared.extend([0xff; 7]);
    declared.extend(KEY);
    check_with("a declared length is refused at its header", &limits, &declared, &too_big);
    declared[2] = 0x80;
    check_with("64 bits", &limits, &declared, &[Said::Broke(Violation::LengthOverflow)]);
}

#[test]
fn each_side_refuses_the_mask_of_its_own_kind() {
    use super::stream::said;
    use protocol::websocket::Role;
    let masked = frame(FIN | TEXT, b"x", Some(KEY));
    let plain = frame(FIN | TEXT, b"x", None);
    assert_eq!(said(Role::Server, &LIMITS, [plain.as_slice()]), [Said::Broke(Violation::Unmasked)]);
    assert_eq!(said(Role::Client, &LIMITS, [masked.as_slice()]), [Said::Broke(Violation::Masked)]);
    assert_eq!(said(Role::Client, &LIMITS, [plain.as_slice()]), [text("x")]);
}

#[test]
fn lengths_in_a_longer_form_than_needed_end_the_connection() {
    for longer in
        [[FIN | TEXT, 0x80 | 126, 0, 5].as_slice(), &[FIN | TEXT, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 200]]
    {
        let stream = [longer, &KEY, b"Hello"].concat();
        check_with("not minimal", &LIMITS, &stream, &[Said::Broke(Violation::LengthNotMinimal)]);
    }
}

#[test]
fn compressed_messages_are_marked_and_not_judged_as_text() {
    const RSV1: u8 = 0x40;
    let limits = Limits { deflate: true, ..LIMITS };
    let check =
        |name, frames: &[Frame<'_>], expected: &[Said]| check_with(name, &limits, &stream(frames), expected);
    let bytes = [0xff, 0x00, 0xfe];
    check("text", &[(FIN | RSV1 | TEXT, &bytes)], &[Said::CompressedText(bytes.to_vec())]);
    check("binary", &[(FIN | RSV1 | BINARY, &bytes)], &[Said::CompressedBinary(bytes.to_vec())]);
    check("plain text beside it", &[(FIN | TEXT, b"a")], &[text("a")]);
    check(
        "fragments",
        &[(RSV1 | TEXT, &bytes[..1]), (FIN | PING, b""), (FIN, &bytes[1..])],
        &[ping(b""), Said::CompressedText(bytes.to_vec())],
    );
    for first in [RSV1 | PING, RSV1 | CLOSE, RSV1 | CONTINUATION] {
        check(
            "marked elsewhere",
            &[(RSV1 | TEXT, b"a"), (FIN | first, b"b")],
            &[Said::Broke(Violation::ReservedBits)],
        );
    }
}
