//! WebSocket connections: the reading side of sessions, the upgrade from polling, and the bare echo.

use std::rc::Rc;

use core_shards::{CoreId, SessionId};
use protocol::codes::CloseReason;
use protocol::engine_io::sid::Sid;
use protocol::engine_io::{self, Packet};
use protocol::socket_io::Assembler;
use protocol::websocket::frame::{Opcode, push_frame, push_frame_with};
use protocol::websocket::{CloseCode, Decoder, Event, Role, Violation};

use super::application::{Application, Opening};
use super::budget::HalfReceived;
use super::core::{Core, Place, WatchGuard};
use super::mailbox::{Arrival, ArrivalTransport, Letter};
use super::metrics::Carrier;
use super::pings::Pings;
use super::requests::open_packet;
use super::settings::READS_PER_TURN_MAX;
use super::state::Flow;
use super::{SurfaceKind, echo, ingest, link, upgrade};
use crate::rt::Socket;

/// What a WebSocket was opened for.
pub(super) enum Purpose<A: Application> {
    /// A new session.
    Open(Opening, Place<A>),
    /// An existing polling session wants to change over.
    Probe(Sid, u8),
    /// The bare echo.
    Echo {
        /// Whether messages may be compressed.
        is_deflated: bool,
    },
}

/// Goes on as a WebSocket behind the 101 response, which is `head`. `rest` was read behind the request.
pub(super) fn begin<A: Application>(
    core: &Rc<Core<A>>,
    socket: Rc<Socket>,
    watch: WatchGuard<A>,
    purpose: Purpose<A>,
    mut head: Vec<u8>,
    rest: Vec<u8>,
) {
    if let Purpose::Open(..) = purpose {
        let sid = Sid {
            node: core.shared.settings.node,
            core: core.id.0,
            slot: u32::MAX,
            secret: core.secrets.next(),
        }
        .to_text();
        push_frame_with(&mut head, Opcode::Text, |out| open_packet(core, &sid, false).push(out));
    }
    core.metrics.bytes_out[Carrier::Http as usize].add(head.len() as u64);
    // The socket has just been accepted: a buffer that does not take 400 bytes belongs to nobody who waits for them.
    if !socket.send(&head).is_ok_and(|count| count == head.len()) {
        return;
    }
    match purpose {
        Purpose::Open(opening, place) => {
            drop(watch);
            let surface = link::surface_number(opening.surface);
            let id = core.turn(|state, now| state.open_websocket(socket.clone(), opening, now));
            place.keep();
            serve(core, socket, id, surface, rest, HalfReceived::default());
        }
        Purpose::Probe(sid, surface) => {
            upgrade::begin(core, socket, watch, sid, surface, rest);
        }
        Purpose::Echo { is_deflated } => {
            watch.set(None);
            core.start(echo::run(core.clone(), socket, watch, is_deflated, rest));
        }
    }
}

/// Starts reading for a session. `rest` was read already, and `half` holds what came of a binary packet.
pub(super) fn serve<A: Application>(
    core: &Rc<Core<A>>,
    socket: Rc<Socket>,
    id: SessionId,
    surface: u8,
    rest: Vec<u8>,
    half: HalfReceived,
) {
    let kind = core.shared.settings.surfaces[usize::from(surface)].kind;
    let mut reader =
        Reader { decoder: Decoder::new(Role::Server), half, pings: Pings::default(), id, surface, kind };
    let mut rest = rest;
    let taken = reader.take(core, &mut rest);
    if let Taken::Move(to, passport, rest) = taken {
        return reader.hand_over(core, socket, to, passport, rest);
    }
    core.start(reader.run(core.clone(), socket));
}

/// What became of a chunk of bytes.
enum Taken<P> {
    /// All of it was handled.
    Go,
    /// The session is over, its peer may still say something.
    Gone,
    /// The connection is over.
    Over,
    /// The session belongs to another core; these bytes were not decoded.
    Move(CoreId, P, Vec<u8>),
}

/// The reading state of one session: a few words while nothing is half received.
struct Reader {
    decoder: Decoder,
    half: HalfReceived,
    pings: Pings,
    id: SessionId,
    surface: u8,
    kind: SurfaceKind,
}

impl Reader {
    /// Reads until the session or its socket ends. Woken by the socket alone; everything else closes
    /// the socket to wake it. Holds as little as possible while it waits, because there is one for each session: what it
    /// is made of lies in it once, and rare waits have their state on the heap.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    fn run<A: Application>(mut self, core: Rc<Core<A>>, socket: Rc<Socket>) -> impl Future<Output = ()> {
        async move {
            let is_over = loop {
                if core.is_congested() {
                    Box::pin(core.room.next()).await;
                    continue;
                }
                if core.is_share_used() {
                    Box::pin(core.share_renewed.next()).await;
                }
                socket.readable().await;
                match self.read(&core, &socket) {
                    Taken::Go => {}
                    Taken::Gone => break false,
                    Taken::Over => break true,
                    Taken::Move(to, passport, rest) => {
                        return self.hand_over(&core, socket, to, passport, rest);
                    }
                }
            };
            let id = self.id;
            // Nobody waits for the rest of what was half received.
            drop(self);
            if !is_over {
                Box::pin(drained(&core, &socket)).await;
            }
            core.turn(|state, now| state.socket_gone(id, CloseReason::TransportLost, now));
        }
    }

    /// Reads what is there, bounded, and hands it on.
    fn read<A: Application>(&mut self, core: &Rc<Core<A>>, socket: &Socket) -> Taken<A::Passport> {
        for _ in 0..READS_PER_TURN_MAX {
            let (taken, is_more) = core.with_read_buffer(|buffer| match socket.recv(buffer) {
                Ok(0) => (Taken::Over, false),
                Ok(count) => {
                    core.metrics.bytes_in[Carrier::WebSocket as usize].add(count as u64);
                    core.count_share(count);
                    (self.take(core, &mut buffer[..count]), count == buffer.len())
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => (Taken::Go, false),
                Err(_) => (Taken::Over, false),
            });
            if !is_more || !matches!(taken, Taken::Go) {
                return taken;
            }
        }
        Taken::Go
    }

    /// Decodes bytes and hands on every message in them.
    fn take<A: Application>(&mut self, core: &Rc<Core<A>>, bytes: &mut [u8]) -> Taken<A::Passport> {
        let limits = core.shared.settings.websocket_limits();
        let Self { decoder, half, pings, id, kind, .. } = self;
        let mut feed = decoder.feed(bytes, &limits);
        loop {
            let flow = match feed.next() {
                Ok(Some(Event::Ping(payload))) => answer_ping(core, *id, pings, payload),
                Ok(Some(event)) => take_event(core, *id, *kind, &mut half.assembler, event),
                Ok(None) => break,
                Err(violation) => refuse(core, *id, violation),
            };
            match flow {
                Flow::Go => {}
                Flow::Gone => return Taken::Gone,
                Flow::Move(to, passport) => return Taken::Move(to, passport, feed.rest().to_vec()),
            }
        }
        if !self.half.settle(&core.budget, self.decoder.held_bytes()) {
            let _: Flow<A::Passport> = ingest::close(core, self.id, CloseReason::PayloadTooLarge);
            return Taken::Gone;
        }
        if !self.decoder.is_idle() {
            // A long upload is a sign of life, too.
            core.turn(|state, now| state.heard(self.id, now));
        }
        Taken::Go
    }
}

fn take_event<A: Application>(
    core: &Rc<Core<A>>,
    id: SessionId,
    kind: SurfaceKind,
    assembler: &mut Assembler,
    event: Event<'_>,
) -> Flow<A::Passport> {
    match event {
        Event::Text(text) => match engine_io::parse(text) {
            Ok(packet) => ingest::packet(core, id, kind, assembler, packet),
            Err(_) => ingest::close(core, id, CloseReason::ProtocolViolation),
        },
        Event::Binary(bytes) => ingest::packet(core, id, kind, assembler, Packet::Binary(bytes)),
        Event::Ping(_) | Event::Pong(_) => Flow::Go,
        Event::Close(_) => ingest::close(core, id, CloseReason::ClientClosed),
        // Compression was not agreed, so the decoder refuses such frames.
        Event::CompressedText(_) | Event::CompressedBinary(_) => {
            ingest::close(core, id, CloseReason::ProtocolViolation)
        }
    }
}

/// Answers a ping of the WebSocket protocol, unless they come faster than they are worth it.
fn answer_ping<A: Application>(
    core: &Rc<Core<A>>,
    id: SessionId,
    pings: &mut Pings,
    payload: &[u8],
) -> Flow<A::Passport> {
    core.turn(|state, now| {
        if !pings.count(now.monotonic_ms()) {
            state.out.close(id, CloseReason::TooManyPings);
            return Flow::Gone;
        }
        state.out.send(id, |frames| push_frame(frames, Opcode::Pong, payload));
        Flow::Go
    })
}

fn refuse<A: Application>(core: &Rc<Core<A>>, id: SessionId, violation: Violation) -> Flow<A::Passport> {
    let reason = match violation.close_code() {
        CloseCode::TOO_BIG => CloseReason::PayloadTooLarge,
        CloseCode::INVALID_PAYLOAD => CloseReason::InvalidText,
        _ => CloseReason::ProtocolViolation,
    };
    ingest::close(core, id, reason)
}

/// Reads and forgets what still comes, until the peer closes or a deadline cuts the connection: one that is
/// closed with unread bytes is reset, and the close frame lost with it.
pub(super) async fn drained<A: Application>(core: &Rc<Core<A>>, socket: &Socket) {
    loop {
        if core.is_share_used() {
            core.share_renewed.next().await;
        }
        if is_over(core, socket) {
            return;
        }
        socket.readable().await;
    }
}

/// Reads and forgets what is there. `true` at the end of the stream.
fn is_over<A: Application>(core: &Rc<Core<A>>, socket: &Socket) -> bool {
    core.with_read_buffer(|buffer| match socket.recv(buffer) {
        Ok(count) => {
            core.count_share(count);
            count == 0
        }
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    })
}

impl Reader {
    fn hand_over<A: Application>(
        self,
        core: &Rc<Core<A>>,
        socket: Rc<Socket>,
        to: CoreId,
        passport: A::Passport,
        rest: Vec<u8>,
    ) {
        core.turn(|state, _| state.release_websocket(self.id));
        match Rc::try_unwrap(socket).map(Socket::into_fd) {
            Ok(fd) => {
                let transport = ArrivalTransport::WebSocket { fd, rest };
                core.post(
                    to,
                    Letter::Arrival(Box::new(Arrival { surface: self.surface, passport, transport })),
                );
            }
            // A task still waits to write what the client did not read before it even connected: it ends with the socket.
            Err(socket) => {
                socket.reset();
                core.shared.give_place_back();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ChatNode;
    use crate::engine::core::TaskCount;
    use crate::rt::task_bytes;

    /// The task that such a function makes, without making it.
    fn task_bytes_of<F: Future<Output = ()>>(
        _: impl FnOnce(Reader, Rc<Core<ChatNode>>, Rc<Socket>) -> F,
    ) -> usize {
        task_bytes::<F, TaskCount<ChatNode>>()
    }

    #[test]
    fn the_task_of_an_idle_session_is_small() {
        let bytes = task_bytes_of(Reader::run);
        assert!(bytes <= 160, "{bytes}");
    }
}
