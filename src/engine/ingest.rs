//! From an Engine.IO packet to the application: the same for both transports. Decoding and
//! validating happen outside of the turn, so that what breaks there breaks one connection.

use std::rc::Rc;

use core_shards::SessionId;
use protocol::codes::CloseReason;
use protocol::engine_io::Packet;
use protocol::json::Json;
use protocol::socket_io::{self, Assembler, Kind};

use super::SurfaceKind;
use super::application::{Application, Incoming, Message, Payload};
use super::core::Core;
use super::state::Flow;

/// Hands one Engine.IO packet of a session on.
pub(super) fn packet<A: Application>(
    core: &Rc<Core<A>>,
    id: SessionId,
    kind: SurfaceKind,
    assembler: &mut Assembler,
    packet: Packet<'_>,
) -> Flow<A::Passport> {
    match packet {
        Packet::Message(text) if kind == SurfaceKind::SocketIo => socket_io_text(core, id, assembler, text),
        Packet::Binary(bytes) if kind == SurfaceKind::SocketIo => {
            socket_io_binary(core, id, assembler, bytes)
        }
        Packet::Message(text) => core.turn(|state, now| state.message(id, Message::Text(text), now)),
        Packet::Binary(bytes) => core.turn(|state, now| state.message(id, Message::Binary(bytes), now)),
        Packet::Pong(_) => {
            core.turn(|state, now| state.pong(id, now));
            Flow::Go
        }
        Packet::Close => close(core, id, CloseReason::ClientClosed),
        // Only the server pings in revision 4.
        Packet::Ping(_) => close(core, id, CloseReason::ProtocolViolation),
        Packet::Open(_) | Packet::Upgrade | Packet::Noop => Flow::Go,
    }
}

/// Ends a session from the reading side.
pub(super) fn close<A: Application>(
    core: &Rc<Core<A>>,
    id: SessionId,
    reason: CloseReason,
) -> Flow<A::Passport> {
    core.turn(|state, _| state.out.close(id, reason));
    Flow::Gone
}

fn socket_io_text<A: Application>(
    core: &Rc<Core<A>>,
    id: SessionId,
    assembler: &mut Assembler,
    text: &str,
) -> Flow<A::Passport> {
    match assembler.text(text) {
        Ok(Some(packet)) => check_and_hand_on(core, id, &packet, &[]),
        Ok(None) => Flow::Go,
        Err(error) if error.closes() => close(core, id, CloseReason::ProtocolViolation),
        Err(_) => Flow::Go,
    }
}

fn socket_io_binary<A: Application>(
    core: &Rc<Core<A>>,
    id: SessionId,
    assembler: &mut Assembler,
    bytes: &[u8],
) -> Flow<A::Passport> {
    match assembler.binary(bytes, core.shared.settings.max_payload as usize) {
        Ok(Some(complete)) => check_and_hand_on(core, id, &complete.packet(), &complete.attachments),
        Ok(None) => Flow::Go,
        Err(socket_io::ParseError::TooLarge) => close(core, id, CloseReason::PayloadTooLarge),
        Err(_) => close(core, id, CloseReason::ProtocolViolation),
    }
}

fn check_and_hand_on<A: Application>(
    core: &Rc<Core<A>>,
    id: SessionId,
    packet: &socket_io::Packet<'_>,
    attachments: &[Vec<u8>],
) -> Flow<A::Passport> {
    let payload = match read_payload(core, packet) {
        Ok(payload) => payload,
        Err(()) => return close(core, id, CloseReason::ProtocolViolation),
    };
    if !matches!(payload, Payload::Unreadable) {
        match socket_io::check(packet, payload.json(), attachments.len()) {
            Ok(()) => {}
            Err(error) if error.closes() => return close(core, id, CloseReason::ProtocolViolation),
            Err(_) if core.turn(|state, _| state.app.has_joined(id, packet.namespace)) => return Flow::Go,
            Err(_) => return close(core, id, CloseReason::ProtocolViolation),
        }
    }
    let incoming =
        Incoming { kind: packet.kind, namespace: packet.namespace, id: packet.id, payload, attachments };
    core.turn(|state, now| state.packet(id, &incoming, now))
}

/// Validates the packet's JSON. An event that is JSON but cannot be read is refused by the
/// application; anything else that is not JSON ends the session.
fn read_payload<'a, A: Application>(
    core: &Rc<Core<A>>,
    packet: &socket_io::Packet<'a>,
) -> Result<Payload<'a>, ()> {
    if packet.data.is_empty() {
        return Ok(Payload::Absent);
    }
    let checked: Result<Json<'a>, _> = core.with_validator(|validator| validator.check(packet.data));
    let is_event = matches!(packet.kind, Kind::Event | Kind::BinaryEvent);
    match checked {
        Ok(json) => Ok(Payload::Json(json)),
        Err(error) if error.is_well_formed() && is_event => Ok(Payload::Unreadable),
        Err(_) => Err(()),
    }
}
