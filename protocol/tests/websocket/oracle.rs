//! Another implementation as the oracle: tungstenite hears the same in the same bytes, and understands ours.

use std::io::{self, Read, Write};

use proptest::prelude::*;
use protocol::websocket::Role;
use protocol::websocket::frame::{self, Opcode};
use tungstenite::Message;
use tungstenite::protocol::{Role as OracleRole, WebSocketConfig, WebSocketContext};

use super::round_trip::{long_text, piece_lengths, pieces, words};
use super::stream::{FIN, LIMITS, Said, frame as raw_frame, said};

/// A peer in memory: bytes to read, and what was written.
#[derive(Default)]
struct Pipe {
    incoming: io::Cursor<Vec<u8>>,
    outgoing: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.incoming.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            length => Ok(length),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite hears; `None` when it finds an error, which it does at other places than we do.
fn oracle_hears(role: OracleRole, stream: &[u8]) -> Option<Vec<Said>> {
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let mut context = WebSocketContext::new(role, Some(config));
    let mut pipe = Pipe { incoming: io::Cursor::new(stream.to_vec()), outgoing: Vec::new() };
    let mut heard = Vec::new();
    loop {
        heard.push(match context.read(&mut pipe) {
            Ok(Message::Text(text)) => Said::Text(text.to_string()),
            Ok(Message::Binary(bytes)) => Said::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Said::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Said::Pong(bytes.to_vec()),
            Ok(Message::Close(close)) => {
                heard.push(Said::Close(close.map(|close| (close.code.into(), close.reason.to_string()))));
                return Some(heard);
            }
            Ok(Message::Frame(_)) => return None,
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Some(heard);
            }
            Err(_) => return None,
        });
    }
}

proptest! {
    #[test]
    fn both_hear_the_same_from_a_client(words in words(), key in any::<[u8; 4]>(), close in any::<bool>()) {
        let (mut stream, mut meaning) = (Vec::new(), Vec::new());
        words.iter().for_each(|word| word.push(&mut stream, &mut meaning, Some(key)));
        if close {
            stream.extend(raw_frame(FIN | 0x8, b"\x0f\xa0bye", Some(key)));
        }
        let ours = said(Role::Server, &LIMITS, [stream.as_slice()]);
        prop_assert_eq!(Some(ours), oracle_hears(OracleRole::Server, &stream));
    }

    #[test]
    fn what_we_encode_is_heard_by_the_oracle(payload in prop_oneof![".{0,20}", ".{120,140}", long_text()]) {
        let mut stream = Vec::new();
        frame::push_frame(&mut stream, Opcode::Text, payload.as_bytes());
        frame::push_frame_with(&mut stream, Opcode::Binary, |out| out.extend_from_slice(payload.as_bytes()));
        let expected = vec![Said::Text(payload.clone()), Said::Binary(payload.clone().into_bytes())];
        prop_assert_eq!(oracle_hears(OracleRole::Client, &stream), Some(expected));
    }

    #[test]
    fn what_the_oracle_encodes_is_heard_by_us(
        payloads in prop::collection::vec(prop_oneof![".{0,20}", ".{120,140}", long_text()], 1..4),
        lengths in piece_lengths(),
    ) {
        let mut context = WebSocketContext::new(OracleRole::Client, None);
        let mut pipe = Pipe::default();
        let mut expected = Vec::new();
        for payload in payloads {
            context.write(&mut pipe, Message::text(payload.clone())).expect("a pipe in memory");
            context.flush(&mut pipe).expect("a pipe in memory");
            expected.push(Said::Text(payload));
        }
        prop_assert_eq!(said(Role::Server, &LIMITS, pieces(&pipe.outgoing, &lengths)), expected);
    }

    #[test]
    fn what_the_oracle_refuses_we_refuse(
        words in words(), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
    ) {
        // A flipped byte may still be a valid stream; then both hear the same. We refuse more (lengths that are not
        // minimal) and earlier (before the end of a frame), never less.
        let (mut stream, mut meaning) = (Vec::new(), Vec::new());
        words.iter().for_each(|word| word.push(&mut stream, &mut meaning, Some([1, 2, 3, 4])));
        prop_assume!(!stream.is_empty());
        let at = at.index(stream.len());
        stream[at] ^= flip;
        let ours = said(Role::Server, &LIMITS, [stream.as_slice()]);
        let ended = matches!(ours.last(), Some(Said::Broke(_) | Said::Close(_)));
        if !ended {
            prop_assert_eq!(Some(ours), oracle_hears(OracleRole::Server, &stream));
        }
    }
}
