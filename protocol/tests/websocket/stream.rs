//! Owns the making of frames that the encoder never makes, and the running of a decoder over a stream in pieces.

use protocol::websocket::{Decoder, Event, Limits, Role, Violation, mask};

pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
pub(crate) const FIN: u8 = 0x80;
pub(crate) const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 64, deflate: false };

/// What a decoder said, kept beyond the input; a violation is the last of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Text(String),
    Binary(Vec<u8>),
    CompressedText(Vec<u8>),
    CompressedBinary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Broke(Violation),
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::CompressedText(bytes) => Self::CompressedText(bytes.to_vec()),
            Event::CompressedBinary(bytes) => Self::CompressedBinary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(None) => Self::Close(None),
            Event::Close(Some((code, reason))) => Self::Close(Some((code.0, reason.to_owned()))),
        }
    }
}

/// Makes a frame of any first byte, masked for a server unless `key` is `None`.
pub(crate) fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(masked | length as u8),
        length @ 126..=0xffff => {
            out.push(masked | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(masked | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(key.unwrap_or_default().iter().take(if key.is_some() { 4 } else { 0 }));
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], key.unwrap_or_default());
    out
}

/// Feeds `pieces` to one decoder until it reports a violation.
pub(crate) fn said<'a>(role: Role, limits: &Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Said> {
    let mut decoder = Decoder::new(role);
    let (mut said, mut fed) = (Vec::new(), 0);
    for piece in pieces {
        let mut input = piece.to_vec();
        fed += input.len();
        let mut feed = decoder.feed(&mut input, limits);
        loop {
            match feed.next() {
                Ok(Some(event)) => said.push(event.into()),
                Ok(None) => break,
                Err(violation) => {
                    said.push(Said::Broke(violation));
                    return said;
                }
            }
        }
        assert!(feed.rest().is_empty(), "None is given before all bytes were consumed");
        assert!(decoder.held_bytes() <= 2 * fed + protocol::websocket::decoder::PARTIAL_BYTES);
    }
    said
}

/// Checks that a server understands `stream` as `expected`, whole, byte by byte, in any two pieces (long streams: cut
/// near their beginning) and, when it is short, in any three.
pub(crate) fn check_with(name: &str, limits: &Limits, stream: &[u8], expected: &[Said]) {
    assert_eq!(said(Role::Server, limits, [stream]), expected, "{name}");
    assert_eq!(said(Role::Server, limits, stream.chunks(1)), expected, "{name}, byte by byte");
    let cuts = if stream.len() > 1000 { 40 } else { stream.len() };
    for cut in 0..cuts {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(said(Role::Server, limits, [head, tail]), expected, "{name}, cut at {cut}");
    }
    if stream.len() > 60 {
        return;
    }
    for first in 0..stream.len() {
        for second in first..stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(said(Role::Server, limits, pieces), expected, "{name}, cut at {first} and {second}");
        }
    }
}
