//! The promise of the WebSocket decoder: the same events however the bytes are cut, and no memory beyond them.

use protocol::websocket::decoder::PARTIAL_BYTES;
use protocol::websocket::frame::{self, Opcode};
use protocol::websocket::{CloseCode, Decoder, Limits, Role};

use crate::pieces::{pieces, split_choice};

const MESSAGE_BYTES_MAX: usize = 600;
const CONTROL_BYTES_MAX: usize = 125;

/// The first byte chooses role and compression, the second how the rest is cut.
pub fn target(input: &[u8]) {
    let (options, rest) = split_choice(input);
    let (choice, stream) = split_choice(rest);
    let role = if options & 1 == 0 { Role::Server } else { Role::Client };
    let limits = Limits { message_bytes_max: MESSAGE_BYTES_MAX, fragments_max: 5, deflate: options & 2 != 0 };
    let whole = said(role, &limits, &[stream]);
    assert_eq!(said(role, &limits, &pieces(stream, choice)), whole, "a cut changed what is heard");
}

/// The events as text, a violation as the last.
fn said(role: Role, limits: &Limits, pieces: &[&[u8]]) -> Vec<String> {
    let mut decoder = Decoder::new(role);
    let (mut said, mut fed) = (Vec::new(), 0);
    for piece in pieces {
        fed += piece.len();
        let mut bytes = piece.to_vec();
        let mut feed = decoder.feed(&mut bytes, limits);
        loop {
            match feed.next() {
                Ok(Some(event)) => said.push(format!("{event:?}")),
                Ok(None) => break,
                Err(violation) => {
                    said.push(format!("{violation:?}"));
                    assert_eq!(feed.next(), Ok(None), "something was heard after a violation");
                    drop(feed);
                    assert!(decoder.is_idle(), "memory is held after a violation");
                    return said;
                }
            }
        }
        assert!(feed.rest().is_empty(), "bytes are left without an event");
        let held = decoder.held_bytes();
        assert!(held <= PARTIAL_BYTES + 2 * fed, "{held} bytes are held for {fed} fed");
        assert!(held <= PARTIAL_BYTES + MESSAGE_BYTES_MAX + CONTROL_BYTES_MAX, "{held} bytes are held");
        assert_eq!(decoder.is_idle(), held == 0);
    }
    said
}

/// Streams of both roles with every kind of frame.
pub fn seeds() -> Vec<Vec<u8>> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut client = Vec::new();
    frame::push_masked_frame(
        &mut client,
        Opcode::Text,
        "42[\"message\",{\"content\":\"grüße €\"}]".as_bytes(),
        key,
    );
    frame::push_masked_frame(&mut client, Opcode::Ping, b"ping", key);
    frame::push_masked_frame(&mut client, Opcode::Binary, &[0xff; 300], [0; 4]);
    let mut fragments = Vec::new();
    frame::push_masked_frame(&mut fragments, Opcode::Text, "aé€".as_bytes(), [0; 4]);
    fragments[0] &= 0x7f;
    frame::push_masked_frame(&mut fragments, Opcode::Pong, b"", key);
    frame::push_masked_frame(&mut fragments, Opcode::Continuation, "𝄞z".as_bytes(), [0; 4]);
    let mut close = Vec::new();
    frame::push_masked_close(&mut close, CloseCode::NORMAL, "bye", [0; 4]);
    let mut server = Vec::new();
    frame::push_frame(&mut server, Opcode::Text, b"2probe");
    frame::push_frame(&mut server, Opcode::Binary, &[7; 500]);
    frame::push_deflated_frame(&mut server, Opcode::Text, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    frame::push_close(&mut server, CloseCode::GOING_AWAY, "");
    let with = |options: &[u8], streams: &[&[u8]]| [options, &streams.concat()].concat();
    vec![
        with(&[0, 3], &[&client, &fragments, &close]),
        with(&[0, 1], &[&fragments, &client]),
        with(&[2, 7], &[&fragments, &fragments]),
        with(&[3, 5], &[&server]),
        with(&[1, 0], &[&server]),
    ]
}
