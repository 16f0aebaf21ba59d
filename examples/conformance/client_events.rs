//! The events that the tests of socket.io-client send to the main namespace and its neighbours.

use protocol::json::{Json, ObjectWriter};

use super::arguments::Arguments;
use super::fixture::Event;
use super::handshake::push_date;
use super::namespace::Namespace;
use super::seating::{Awaited, Seat, Seating, Turn};

/// What `getUtf8` is answered with, one event each.
const UTF8: [&str; 5] = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"];

/// Handles one event. What has no handler is nobody's business, as in Node.
pub(crate) fn handle(seating: &mut Seating, seat: Seat, event: &Event<'_>, turn: &mut Turn<'_>) {
    let Some(name) = event.name() else { return };
    match (&*name, seat.namespace) {
        ("getId", Namespace::Main | Namespace::Foo) => answer_id(seating, seat, event, turn),
        (name, Namespace::Main) => {
            binary(seating, seat, name, event, turn);
            plain(seating, seat, name, event, turn);
        }
        _ => {}
    }
}

fn answer_id(seating: &mut Seating, seat: Seat, event: &Event<'_>, turn: &mut Turn<'_>) {
    let Some(member) = seating.member(seat) else { return };
    let id = Arguments::text(&member.id);
    seating.answer(seat, event.ack, &id, turn);
}

fn plain(seating: &mut Seating, seat: Seat, name: &str, event: &Event<'_>, turn: &mut Turn<'_>) {
    let unix_ms = turn.now.unix_ms;
    let date = || Arguments::written(|json| push_date(json, unix_ms));
    match name {
        "hi" => seating.emit(seat, "hi", &Arguments::none(), turn),
        "echo" => {
            let value = Arguments::received(event.argument(0).into_iter(), event.attachments);
            seating.answer(seat, event.ack, &value, turn);
        }
        "ack" => seating.ask(seat, "ack", &Arguments::none(), Awaited::GotIt, turn),
        "getAckDate" => seating.answer(seat, event.ack, &date(), turn),
        "getDate" => seating.emit(seat, "takeDate", &date(), turn),
        "getDateObj" => {
            let object = Arguments::written(|json| {
                let mut object = ObjectWriter::begin(json);
                push_date(object.field("date"), unix_ms);
                object.end();
            });
            seating.emit(seat, "takeDateObj", &object, turn);
        }
        "getUtf8" => {
            for text in UTF8 {
                seating.emit(seat, "takeUtf8", &Arguments::text(text), turn);
            }
        }
        "false" => {
            let value = Arguments::written(|json| json.extend_from_slice(b"false"));
            seating.emit(seat, "false", &value, turn);
        }
        "getHandshake" => {
            let Some(session) = seating.sessions.get(&seat.session) else { return };
            let Some(member) = session.members.get(&seat.namespace) else { return };
            let handshake = Arguments::written(|json| session.handshake.push(json, &member.auth));
            seating.answer(seat, event.ack, &handshake, turn);
        }
        _ => {}
    }
}

fn binary(seating: &mut Seating, seat: Seat, name: &str, event: &Event<'_>, turn: &mut Turn<'_>) {
    let has_bytes = event.is_binary(event.argument(0));
    match name {
        "doge" => seating.emit(seat, "doge", &Arguments::bytes(b"asdfasdf"), turn),
        "buffa" if has_bytes => seating.emit(seat, "buffack", &Arguments::none(), turn),
        "jsonbuff" if is_mixed(event) => seating.emit(seat, "jsonbuff-ack", &Arguments::none(), turn),
        "abuff1" => {
            if let Some(member) = seating.member(seat) {
                member.has_first_buffer = has_bytes;
            }
        }
        "abuff2" if seating.member(seat).is_some_and(|member| member.has_first_buffer) => {
            seating.emit(seat, "abuff2-ack", &Arguments::none(), turn);
        }
        _ => {}
    }
}

/// Whether the argument is `{hello: 'lol', message: bytes, goodbye: 'gotcha'}`.
fn is_mixed(event: &Event<'_>) -> bool {
    let Some(object) = event.argument(0) else { return false };
    let is_text = |name, text: &str| object.get(name).and_then(Json::as_str).as_deref() == Some(text);
    is_text("hello", "lol") && is_text("goodbye", "gotcha") && event.is_binary(object.get("message"))
}

/// Whether an acknowledgement is (5, {test: true}).
pub(crate) fn is_right_answer<'a>(mut answer: impl Iterator<Item = Json<'a>>) -> bool {
    let (number, object) = (answer.next(), answer.next());
    let is_tested = object.and_then(|object| object.get("test")).and_then(Json::as_bool) == Some(true);
    number.and_then(Json::as_u64) == Some(5) && is_tested
}
