//! Who is where: sessions, the namespaces that they joined, their rooms, and what is sent to them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core_shards::{Now, Outputs, SessionId};

use super::arguments::Arguments;
use super::fixture::Never;
use super::handshake::Handshake;
use super::namespace::Namespace;
use super::packets::{push_ack, push_event};
use super::recovery::{Audience, Recovery};

/// Acknowledgements that one member may owe; the oldest is given up for a newer one.
const AWAITED_MAX: usize = 256;
/// Rooms of one member; further ones are not joined.
pub(crate) const ROOMS_MAX: usize = 64;

/// What comes with everything that is handled: the time, and the way out.
pub(crate) struct Turn<'a> {
    /// The time.
    pub(crate) now: Now,
    /// What follows from it.
    pub(crate) out: &'a mut Outputs<Never>,
}

/// A session's place in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The session.
    pub(crate) session: SessionId,
    /// The namespace.
    pub(crate) namespace: Namespace,
}

/// An Engine.IO session.
#[derive(Debug)]
pub(crate) struct Session {
    /// What it said when it was opened.
    pub(crate) handshake: Handshake,
    /// Whether it is a WebSocket, from its beginning or since its upgrade.
    pub(crate) is_websocket: bool,
    /// The namespaces that it joined.
    pub(crate) members: BTreeMap<Namespace, Member>,
}

/// What an acknowledgement leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// `got it`, if it is the right one.
    GotIt,
    /// `answer`, with its arguments.
    Answer,
}

/// A session in a namespace: what JavaScript calls a socket.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its public id.
    pub(crate) id: String,
    /// Its private id, where sessions can be recovered.
    pub(crate) pid: Option<String>,
    /// Whether it is the continuation of a session that was cut off.
    pub(crate) is_recovered: bool,
    /// The auth payload: a JSON object.
    pub(crate) auth: String,
    /// Its rooms, but for the one named by its id.
    pub(crate) rooms: BTreeSet<String>,
    /// `abuff1` came with bytes.
    pub(crate) has_first_buffer: bool,
    awaited: VecDeque<(u64, Awaited)>,
    next_ack: u64,
}

impl Member {
    /// A member with new ids.
    pub(crate) fn new(auth: String, is_recoverable: bool) -> Self {
        Self {
            id: random_id(),
            pid: is_recoverable.then(random_id),
            is_recovered: false,
            auth,
            rooms: BTreeSet::new(),
            has_first_buffer: false,
            awaited: VecDeque::new(),
            next_ack: 0,
        }
    }

    /// What an acknowledgement with this id leads to; each does once.
    pub(crate) fn take_awaited(&mut self, id: u64) -> Option<Awaited> {
        let place = self.awaited.iter().position(|(awaited, _)| *awaited == id)?;
        self.awaited.remove(place).map(|(_, awaited)| awaited)
    }

    fn await_ack(&mut self, awaited: Awaited) -> u64 {
        if self.awaited.len() >= AWAITED_MAX {
            self.awaited.pop_front();
        }
        let id = self.next_ack;
        self.next_ack += 1;
        self.awaited.push_back((id, awaited));
        id
    }
}

/// Twenty letters that cannot be guessed.
fn random_id() -> String {
    let mut random = [0; 15];
    getrandom::fill(&mut random).expect("the kernel gives randomness once it has booted");
    URL_SAFE_NO_PAD.encode(random)
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Seating {
    /// The sessions of the Socket.IO surface.
    pub(crate) sessions: HashMap<SessionId, Session>,
    /// What is kept for sessions that were cut off, if they can be recovered.
    pub(crate) recovery: Option<Recovery>,
}

impl Seating {
    /// The member in a seat.
    pub(crate) fn member(&mut self, seat: Seat) -> Option<&mut Member> {
        self.sessions.get_mut(&seat.session)?.members.get_mut(&seat.namespace)
    }

    /// Answers an event, if an answer was asked for.
    pub(crate) fn answer(&self, seat: Seat, ack: Option<u64>, arguments: &Arguments, turn: &mut Turn<'_>) {
        if let Some(id) = ack {
            turn.out.send(seat.session, |out| push_ack(out, seat.namespace, id, arguments));
        }
    }

    /// Sends an event to one member.
    pub(crate) fn emit(&mut self, seat: Seat, name: &str, arguments: &Arguments, turn: &mut Turn<'_>) {
        let Some(room) = self.member(seat).map(|member| member.id.clone()) else { return };
        let audience = Audience { namespace: seat.namespace, room: Some(room), except: None };
        let frames = self.encode(audience, name, arguments, turn.now);
        turn.out.send(seat.session, |out| out.extend_from_slice(&frames));
    }

    /// Sends an event that may be lost: it has no offset and is not kept.
    pub(crate) fn emit_volatile(&self, seat: Seat, name: &str, arguments: &Arguments, turn: &mut Turn<'_>) {
        turn.out.send(seat.session, |out| push_event(out, seat.namespace, None, name, arguments, None));
    }

    /// Sends an event that asks for an acknowledgement: it has no offset and is not kept, either.
    pub(crate) fn ask(
        &mut self,
        seat: Seat,
        name: &str,
        arguments: &Arguments,
        awaited: Awaited,
        turn: &mut Turn<'_>,
    ) {
        let Some(id) = self.member(seat).map(|member| member.await_ack(awaited)) else { return };
        turn.out.send(seat.session, |out| push_event(out, seat.namespace, Some(id), name, arguments, None));
    }

    /// Sends an event to many.
    pub(crate) fn publish(
        &mut self,
        audience: Audience,
        name: &str,
        arguments: &Arguments,
        turn: &mut Turn<'_>,
    ) {
        let frames = self.encode(audience.clone(), name, arguments, turn.now);
        let is_listening = |session: &Session| {
            let member = session.members.get(&audience.namespace);
            member.is_some_and(|member| audience.includes(&member.id, &member.rooms))
        };
        let listening = self.sessions.iter().filter(|(_, session)| is_listening(session));
        let slots: Vec<u32> = listening.map(|(id, _)| id.slot).collect();
        turn.out.broadcast(&frames, &slots);
    }

    /// The frames of an event, which is kept where sessions can be recovered.
    fn encode(&mut self, audience: Audience, name: &str, arguments: &Arguments, now: Now) -> Vec<u8> {
        let namespace = audience.namespace;
        let write = |out: &mut Vec<u8>, offset: Option<&str>| {
            push_event(out, namespace, None, name, arguments, offset);
        };
        match &mut self.recovery {
            Some(recovery) => recovery.keep(audience, now, |out, offset| write(out, Some(offset))),
            None => {
                let mut frames = Vec::new();
                write(&mut frames, None);
                frames
            }
        }
    }
}
