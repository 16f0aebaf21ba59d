//! The events of `/interop`: what stock clients of several languages try out.

use protocol::codes::CloseReason;
use protocol::json::{Json, ObjectWriter};
use protocol::socket_io::is_reserved;
use realtime::engine::Step;

use super::arguments::Arguments;
use super::fixture::{Event, Next, send_away};
use super::namespace::Namespace;
use super::recovery::Audience;
use super::seating::{Awaited, ROOMS_MAX, Seat, Seating, Turn};

/// Events that one `burst` or `volatile` can ask for.
const BURST_EVENTS_MAX: u64 = 100_000;
/// Bytes of a room's name.
const ROOM_BYTES_MAX: usize = 255;

/// Handles one event. What has no handler is nobody's business, as in Node.
pub(crate) fn handle(seating: &mut Seating, seat: Seat, event: &Event<'_>, turn: &mut Turn<'_>) -> Next {
    let Some(name) = event.name() else { return Step::Stay };
    match &*name {
        "echo" if event.ack.is_some() => seating.answer(seat, event.ack, &event.arguments(), turn),
        "echo" => seating.emit(seat, "echo", &event.arguments(), turn),
        "whoami" => {
            let answer = who(seating, seat);
            seating.answer(seat, event.ack, &answer, turn);
        }
        "ask-back" => seating.ask(seat, "question", &event.arguments(), Awaited::Answer, turn),
        "join" | "leave" => {
            change_room(seating, seat, event, &name == "join");
            seating.answer(seat, event.ack, &Arguments::none(), turn);
        }
        "say" => say(seating, seat, event, true, turn),
        "say-all" => say(seating, seat, event, false, turn),
        "volatile" | "burst" => many(seating, seat, event, &name == "volatile", turn),
        "kick" => return kick(seating, seat, event, turn),
        "drop" => return Step::Close(CloseReason::ServerDisconnect),
        _ => {}
    }
    Step::Stay
}

fn who(seating: &Seating, seat: Seat) -> Arguments {
    let session = seating.sessions.get(&seat.session);
    let member = session.and_then(|session| session.members.get(&seat.namespace));
    let Some((session, member)) = session.zip(member) else { return Arguments::none() };
    Arguments::written(|json| {
        let mut object = ObjectWriter::begin(json);
        object.field_str("id", &member.id).field_raw("auth", &member.auth);
        session.handshake.push_query(object.field("query"));
        match session.handshake.header("x-interop") {
            Some(header) => object.field_str("header", header),
            None => object.field_raw("header", "null"),
        };
        object.field_str("transport", if session.is_websocket { "websocket" } else { "polling" });
        object.field_bool("recovered", member.is_recovered);
        object.end();
    })
}

fn room_of(event: &Event<'_>) -> Option<String> {
    let room = event.argument(0).and_then(Json::as_str)?;
    (room.len() <= ROOM_BYTES_MAX).then(|| room.into_owned())
}

fn change_room(seating: &mut Seating, seat: Seat, event: &Event<'_>, joins: bool) {
    let (Some(room), Some(member)) = (room_of(event), seating.member(seat)) else { return };
    if !joins {
        member.rooms.remove(&room);
    } else if member.rooms.len() < ROOMS_MAX {
        member.rooms.insert(room);
    }
}

fn say(seating: &mut Seating, seat: Seat, event: &Event<'_>, spares_speaker: bool, turn: &mut Turn<'_>) {
    let said = event.argument(1).and_then(Json::as_str);
    let (Some(room), Some(name)) = (room_of(event), said) else { return };
    let Some(speaker) = seating.member(seat).map(|member| member.id.clone()) else { return };
    if is_reserved(&name) {
        return;
    }
    let except = spares_speaker.then_some(speaker);
    let audience = Audience { namespace: seat.namespace, room: Some(room), except };
    seating.publish(audience, &name, &event.arguments_from(2), turn);
}

fn many(seating: &mut Seating, seat: Seat, event: &Event<'_>, is_volatile: bool, turn: &mut Turn<'_>) {
    let wanted = event.argument(0).and_then(Json::as_u64).unwrap_or(0);
    let count = usize::try_from(wanted.min(BURST_EVENTS_MAX)).unwrap_or(0);
    for number in 0..count {
        // Whoever reads gets them all; a client that does not is a slow reader, and is closed as one.
        match is_volatile {
            true => seating.emit_volatile(seat, "v", &Arguments::number(number), turn),
            false => seating.emit(seat, "b", &Arguments::number(number), turn),
        }
    }
    let last = if is_volatile { "v-done" } else { "b-done" };
    seating.emit(seat, last, &Arguments::number(count), turn);
}

/// Sends the client out of this namespace, or out of all of them and closes its connection.
fn kick(seating: &mut Seating, seat: Seat, event: &Event<'_>, turn: &mut Turn<'_>) -> Next {
    if event.argument(0).and_then(Json::as_bool) != Some(true) {
        return send_away(seating, seat, turn);
    }
    let session = seating.sessions.get(&seat.session);
    let joined: Vec<Namespace> =
        session.map(|session| session.members.keys().copied().collect()).unwrap_or_default();
    for namespace in joined {
        send_away(seating, Seat { namespace, ..seat }, turn);
    }
    Step::Close(CloseReason::ServerDisconnect)
}

/// Tells the namespace that somebody went, and why.
pub(crate) fn announce_departure(seating: &mut Seating, id: &str, reason: &str, turn: &mut Turn<'_>) {
    let departure = Arguments::written(|json| {
        let mut object = ObjectWriter::begin(json);
        object.field_str("id", id).field_str("reason", reason);
        object.end();
    });
    let audience = Audience { namespace: Namespace::Interop, room: None, except: None };
    seating.publish(audience, "left", &departure, turn);
}
