//! A bare WebSocket that sends every message back: for the public protocol suites, which test the
//! framing with messages that no chat would allow.

use std::rc::Rc;

use protocol::websocket::deflate::{Deflater, Inflater};
use protocol::websocket::frame::{Opcode, push_close, push_deflated_frame, push_frame};
use protocol::websocket::{CloseCode, Decoder, Event, Limits, Role};

use super::application::Application;
use super::core::{Core, WatchGuard};
use super::http::{read_some, write_all};
use super::settings::LINGER_MS;
use super::websocket::drained;
use crate::rt::Socket;

/// What is sent back, and how.
struct Echo {
    decoder: Decoder,
    limits: Limits,
    deflate: Option<(Inflater, Deflater)>,
    answer: Vec<u8>,
}

/// Serves one connection until it closes. Each read is answered before the next one.
pub(super) async fn run<A: Application>(
    core: Rc<Core<A>>,
    socket: Rc<Socket>,
    watch: WatchGuard<A>,
    is_deflated: bool,
    mut bytes: Vec<u8>,
) {
    let limits = Limits { deflate: is_deflated, ..core.shared.settings.echo_limits };
    let deflate = is_deflated.then(|| (Inflater::new(), Deflater::new()));
    let mut echo = Echo { decoder: Decoder::new(Role::Server), limits, deflate, answer: Vec::new() };
    loop {
        let goes_on = echo.take(&mut bytes);
        let answer = std::mem::take(&mut echo.answer);
        if write_all(&socket, &answer).await.is_err() {
            return;
        }
        if !goes_on {
            socket.shutdown_write();
            // Closed with unread bytes it would be reset, and the close frame lost with it.
            watch.set(Some(LINGER_MS));
            return drained(&core, &socket).await;
        }
        match read_some(&core, &socket).await {
            Ok(more) => bytes = more,
            Err(_) => return,
        }
    }
}

impl Echo {
    /// Answers every message in `bytes`. `false` when the connection is to be closed.
    fn take(&mut self, bytes: &mut [u8]) -> bool {
        let Self { decoder, limits, deflate, answer } = self;
        let mut feed = decoder.feed(bytes, limits);
        loop {
            let ended = match feed.next() {
                Ok(None) => return true,
                Ok(Some(event)) => take_event(event, limits, deflate, answer),
                Err(violation) => Some((violation.close_code(), violation.reason())),
            };
            if let Some((code, reason)) = ended {
                push_close(answer, code, reason);
                return false;
            }
        }
    }
}

/// Answers one event; with a close code and reason when the connection is over.
fn take_event(
    event: Event<'_>,
    limits: &Limits,
    deflate: &mut Option<(Inflater, Deflater)>,
    answer: &mut Vec<u8>,
) -> Option<(CloseCode, &'static str)> {
    match event {
        Event::Text(text) => send(Opcode::Text, text.as_bytes(), deflate, answer),
        Event::Binary(bytes) => send(Opcode::Binary, bytes, deflate, answer),
        Event::CompressedText(bytes) => return send_inflated(Opcode::Text, bytes, limits, deflate, answer),
        Event::CompressedBinary(bytes) => {
            return send_inflated(Opcode::Binary, bytes, limits, deflate, answer);
        }
        Event::Ping(payload) => push_frame(answer, Opcode::Pong, payload),
        Event::Pong(_) => {}
        Event::Close(None) => return Some((CloseCode::NORMAL, "")),
        Event::Close(Some((code, _))) => return Some((code, "")),
    }
    None
}

fn send(opcode: Opcode, payload: &[u8], deflate: &mut Option<(Inflater, Deflater)>, answer: &mut Vec<u8>) {
    let Some((_, deflater)) = deflate else { return push_frame(answer, opcode, payload) };
    let mut deflated = Vec::new();
    deflater.deflate(payload, &mut deflated);
    push_deflated_frame(answer, opcode, &deflated);
}

fn send_inflated(
    opcode: Opcode,
    bytes: &[u8],
    limits: &Limits,
    deflate: &mut Option<(Inflater, Deflater)>,
    answer: &mut Vec<u8>,
) -> Option<(CloseCode, &'static str)> {
    let Some((inflater, _)) = deflate else { return Some((CloseCode::PROTOCOL_ERROR, "not agreed")) };
    let mut payload = Vec::new();
    if let Err(error) = inflater.inflate(bytes, &mut payload, limits.message_bytes_max) {
        return Some((error.close_code(), error.reason()));
    }
    if opcode == Opcode::Text && std::str::from_utf8(&payload).is_err() {
        return Some((CloseCode::INVALID_PAYLOAD, "text is not UTF-8"));
    }
    send(opcode, &payload, deflate, answer);
    None
}
