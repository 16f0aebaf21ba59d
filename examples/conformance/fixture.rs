//! The application itself: sessions come, join namespaces, say something, and go.

use std::borrow::Cow;
use std::collections::VecDeque;

use core_shards::outputs::Ticket;
use core_shards::{CoreId, MailClass, Now, Outputs, SessionId};
use protocol::codes::CloseReason;
use protocol::http::Request;
use protocol::http::response::Response;
use protocol::json::Json;
use protocol::socket_io::Kind;
use protocol::websocket::frame::{Opcode, push_frame};
use realtime::engine::application::{Message, NotAdmitted};
use realtime::engine::{Application, Incoming, Opening, Payload, Reply, Step};

use super::arguments::Arguments;
use super::handshake::Handshake;
use super::namespace::{INVALID, Namespace};
use super::options::{ENGINE_IO, Options, Profile};
use super::packets::{push_connect, push_disconnect, push_message, push_refusal};
use super::recovery::Recovery;
use super::seating::{Awaited, Member, Seat, Seating, Session, Turn};
use super::{client_events, interop_events};

/// There is one core: nobody writes letters, nobody moves.
#[derive(Debug)]
pub(crate) enum Never {}

/// What becomes of a session after one of its packets.
pub(crate) type Next = Step<Never>;

/// An event of a member.
#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    /// The array: name and arguments.
    pub(crate) array: Json<'a>,
    /// Its attachments.
    pub(crate) attachments: &'a [Vec<u8>],
    /// The id under which an answer is expected.
    pub(crate) ack: Option<u64>,
}

impl<'a> Event<'a> {
    /// The name; `None` for a number.
    pub(crate) fn name(&self) -> Option<Cow<'a, str>> {
        self.array.items().next().and_then(Json::as_str)
    }

    /// An argument, counted from 0.
    pub(crate) fn argument(&self, number: usize) -> Option<Json<'a>> {
        self.array.items().nth(number + 1)
    }

    /// The arguments from this one on, to be sent.
    pub(crate) fn arguments_from(&self, number: usize) -> Arguments {
        Arguments::received(self.array.items().skip(number + 1), self.attachments)
    }

    /// All arguments, to be sent.
    pub(crate) fn arguments(&self) -> Arguments {
        self.arguments_from(0)
    }

    /// Whether an argument is binary.
    pub(crate) fn is_binary(&self, argument: Option<Json<'a>>) -> bool {
        let is_placeholder = |json: Json<'a>| json.get("_placeholder").and_then(Json::as_bool) == Some(true);
        !self.attachments.is_empty() && argument.is_some_and(is_placeholder)
    }
}

/// How long after the CONNECT reply a member is greeted. Suites wait for one frame, then for the
/// next, and miss a second one that comes out of the same read; Node writes them one by one.
const GREETING_DELAY_MS: u64 = 5;

/// The application.
pub(crate) struct Fixture {
    profile: Profile,
    seating: Seating,
    /// Members that are to be greeted, and when; at most one entry for each.
    greetings: VecDeque<(u64, Seat)>,
}

impl Fixture {
    /// An application without anybody in it.
    pub(crate) fn new(options: &Options) -> Self {
        let recovery = options.has_recovery.then(Recovery::default);
        let seating = Seating { recovery, ..Seating::default() };
        Self { profile: options.profile, seating, greetings: VecDeque::new() }
    }

    // --- Joining ----------------------------------------------------------------------------

    fn connect(&mut self, session: SessionId, packet: &Incoming<'_>, turn: &mut Turn<'_>) -> Next {
        let Some(visitor) = self.seating.sessions.get(&session) else {
            return Step::Close(CloseReason::ProtocolViolation);
        };
        let auth = packet.payload.json();
        let found = Namespace::find(packet.namespace, self.profile);
        if found.is_some_and(|namespace| visitor.members.contains_key(&namespace)) {
            return Step::Close(CloseReason::ProtocolViolation);
        }
        let refusal = match found {
            None => Some(INVALID),
            Some(namespace) => namespace.refusal(&visitor.handshake, auth),
        };
        match (found, refusal) {
            (Some(namespace), None) => {
                self.join(Seat { session, namespace }, auth, turn);
                Step::Joined
            }
            (_, refusal) => {
                let refusal = refusal.unwrap_or(INVALID);
                turn.out.send(session, |out| push_refusal(out, packet.namespace, refusal));
                Step::Stay
            }
        }
    }

    fn join(&mut self, seat: Seat, auth: Option<Json<'_>>, turn: &mut Turn<'_>) {
        let auth_text = Arguments::received(auth.into_iter(), &[]).json;
        let auth_text = String::from_utf8(auth_text).unwrap_or_default();
        let auth_text = if auth_text.is_empty() { "{}".to_owned() } else { auth_text };
        let mut member = Member::new(auth_text, self.seating.recovery.is_some());
        let missed = self.recover(seat.namespace, &mut member, auth, turn.now);
        turn.out.send(seat.session, |out| {
            push_connect(out, seat.namespace, &member.id, member.pid.as_deref());
            out.extend_from_slice(&missed);
        });
        if let Some(session) = self.seating.sessions.get_mut(&seat.session) {
            session.members.insert(seat.namespace, member);
        }
        self.greetings.push_back((turn.now.monotonic_ms() + GREETING_DELAY_MS, seat));
    }

    /// Makes a new member the continuation of one that was cut off, if the client says so and can
    /// show it. Returns what that one missed.
    fn recover(
        &mut self,
        namespace: Namespace,
        member: &mut Member,
        auth: Option<Json<'_>>,
        now: Now,
    ) -> Vec<u8> {
        let text = |name| auth.and_then(|auth| auth.get(name)).and_then(Json::as_str);
        let (Some(recovery), Some(pid), Some(offset)) =
            (&mut self.seating.recovery, text("pid"), text("offset"))
        else {
            return Vec::new();
        };
        let Some(recovered) = recovery.restore(namespace, &pid, &offset, now) else { return Vec::new() };
        member.id = recovered.id;
        member.pid = Some(recovered.pid);
        member.rooms = recovered.rooms;
        member.is_recovered = true;
        recovered.missed
    }

    /// Greets those whose time has come, and those of one session that has not waited for it.
    fn greet(&mut self, impatient: Option<SessionId>, turn: &mut Turn<'_>) {
        let is_due = |(due_ms, seat): &(u64, Seat)| {
            *due_ms <= turn.now.monotonic_ms() || Some(seat.session) == impatient
        };
        let (due, early) = self.greetings.drain(..).partition::<VecDeque<_>, _>(is_due);
        self.greetings = early;
        for (_, seat) in due {
            self.greet_member(seat, turn);
        }
    }

    /// What a member hears without having asked.
    fn greet_member(&mut self, seat: Seat, turn: &mut Turn<'_>) {
        let Some(session) = self.seating.sessions.get(&seat.session) else { return };
        let Some(member) = session.members.get(&seat.namespace) else { return };
        if seat.namespace.is_basic(self.profile) {
            let auth = Arguments::written(|json| json.extend_from_slice(member.auth.as_bytes()));
            self.seating.emit(seat, "auth", &auth, turn);
        } else if seat.namespace == Namespace::Abc {
            let handshake = Arguments::written(|json| session.handshake.push(json, &member.auth));
            self.seating.emit(seat, "handshake", &handshake, turn);
        }
    }

    // --- Talking ----------------------------------------------------------------------------

    fn event(&mut self, seat: Seat, event: &Event<'_>, turn: &mut Turn<'_>) -> Next {
        if seat.namespace.is_basic(self.profile) {
            basic_event(&mut self.seating, seat, event, turn);
            return Step::Stay;
        }
        match seat.namespace {
            Namespace::Interop => interop_events::handle(&mut self.seating, seat, event, turn),
            _ => {
                client_events::handle(&mut self.seating, seat, event, turn);
                Step::Stay
            }
        }
    }

    fn acknowledged(&mut self, seat: Seat, packet: &Incoming<'_>, turn: &mut Turn<'_>) {
        let awaited = packet.id.and_then(|id| self.seating.member(seat)?.take_awaited(id));
        let answer = || packet.payload.json().into_iter().flat_map(Json::items);
        match awaited {
            Some(Awaited::GotIt) if client_events::is_right_answer(answer()) => {
                self.seating.emit(seat, "got it", &Arguments::none(), turn);
            }
            Some(Awaited::Answer) => {
                let arguments = Arguments::received(answer(), packet.attachments);
                self.seating.emit(seat, "answer", &arguments, turn);
            }
            Some(Awaited::GotIt) | None => {}
        }
    }
}

/// The events of the protocol suites.
fn basic_event(seating: &mut Seating, seat: Seat, event: &Event<'_>, turn: &mut Turn<'_>) {
    match event.name().as_deref() {
        Some("message") => seating.emit(seat, "message-back", &event.arguments(), turn),
        Some("message-with-ack") => seating.answer(seat, event.ack, &event.arguments(), turn),
        _ => {}
    }
}

/// Takes a member out of its namespace and tells those who want to know why.
pub(crate) fn leave(seating: &mut Seating, seat: Seat, reason: &str, turn: &mut Turn<'_>) -> Next {
    let Some(session) = seating.sessions.get_mut(&seat.session) else { return Step::Stay };
    let Some(member) = session.members.remove(&seat.namespace) else { return Step::Stay };
    let is_last = session.members.is_empty();
    let is_farewell = matches!(reason, CLIENT_LEFT | SERVER_SENT_AWAY | PARSE_ERROR);
    if let (Some(recovery), false) = (&mut seating.recovery, is_farewell) {
        recovery.park(seat.namespace, &member, turn.now);
    }
    if seat.namespace == Namespace::Interop {
        interop_events::announce_departure(seating, &member.id, reason, turn);
    }
    if is_last { Step::Left } else { Step::Stay }
}

/// The reason of a member that left by itself, in Node's words.
const CLIENT_LEFT: &str = "client namespace disconnect";
/// The reason of a member that was sent away.
pub(crate) const SERVER_SENT_AWAY: &str = "server namespace disconnect";
/// The reason of a session that broke the protocol.
const PARSE_ERROR: &str = "parse error";

/// Sends a member away, as Node's `socket.disconnect()` does.
pub(crate) fn send_away(seating: &mut Seating, seat: Seat, turn: &mut Turn<'_>) -> Next {
    turn.out.send(seat.session, |out| push_disconnect(out, seat.namespace));
    leave(seating, seat, SERVER_SENT_AWAY, turn)
}

/// Why a session ended, in Node's words.
const fn reason_name(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::ClientClosed | CloseReason::TransportLost | CloseReason::ConnectTimeout => {
            "transport close"
        }
        CloseReason::PingTimeout => "ping timeout",
        CloseReason::ProtocolViolation => PARSE_ERROR,
        CloseReason::ServerDisconnect | CloseReason::TokenExpired | CloseReason::Evicted => "forced close",
        CloseReason::ShuttingDown => "server shutting down",
        CloseReason::InvalidText
        | CloseReason::PayloadTooLarge
        | CloseReason::SlowReader
        | CloseReason::TooManyPings
        | CloseReason::Panicked => "transport error",
    }
}

impl Application for Fixture {
    type Mail = Never;
    type Passport = Never;

    fn class(letter: &Never) -> MailClass {
        match *letter {}
    }

    fn admit(&mut self, opening: &Opening) -> Result<(), NotAdmitted> {
        let mut parameters = protocol::http::query::parameters(&opening.query);
        let is_denied = self.profile == Profile::Engine
            && opening.surface == ENGINE_IO
            && parameters.any(|(name, _)| name == "deny");
        let body = Cow::Borrowed(r#"{"code":4,"message":"Forbidden"}"#);
        if is_denied { Err(NotAdmitted { status: 403, body }) } else { Ok(()) }
    }

    fn handle_open(&mut self, session: SessionId, opening: Opening, now: Now, out: &mut Outputs<Never>) {
        if opening.surface != ENGINE_IO {
            let is_websocket = opening.is_websocket;
            let handshake = Handshake::new(opening, now);
            let visitor = Session { handshake, is_websocket, members: Default::default() };
            self.seating.sessions.insert(session, visitor);
        } else if self.profile == Profile::Engine {
            out.send(session, |frames| push_message(frames, |text| text.extend_from_slice(b"hi")));
        }
    }

    fn handle_upgrade(&mut self, session: SessionId) {
        if let Some(session) = self.seating.sessions.get_mut(&session) {
            session.is_websocket = true;
        }
    }

    fn has_joined(&self, session: SessionId, namespace: &str) -> bool {
        let found = Namespace::find(namespace, self.profile);
        let session = self.seating.sessions.get(&session);
        found.zip(session).is_some_and(|(namespace, session)| session.members.contains_key(&namespace))
    }

    fn handle_packet(
        &mut self,
        session: SessionId,
        packet: &Incoming<'_>,
        now: Now,
        out: &mut Outputs<Never>,
    ) -> Next {
        let mut turn = Turn { now, out };
        self.greet(Some(session), &mut turn);
        if packet.kind == Kind::Connect {
            return self.connect(session, packet, &mut turn);
        }
        let Some(namespace) = Namespace::find(packet.namespace, self.profile) else {
            return Step::Close(CloseReason::ProtocolViolation);
        };
        let seat = Seat { session, namespace };
        if self.seating.member(seat).is_none() {
            return Step::Close(CloseReason::ProtocolViolation);
        }
        match packet.kind {
            Kind::Event | Kind::BinaryEvent => {
                // What cannot be read cannot be answered, either.
                let Payload::Json(array) = packet.payload else { return Step::Stay };
                let event = Event { array, attachments: packet.attachments, ack: packet.id };
                self.event(seat, &event, &mut turn)
            }
            Kind::Ack | Kind::BinaryAck => {
                self.acknowledged(seat, packet, &mut turn);
                Step::Stay
            }
            Kind::Disconnect => leave(&mut self.seating, seat, CLIENT_LEFT, &mut turn),
            Kind::Connect | Kind::ConnectError => Step::Close(CloseReason::ProtocolViolation),
        }
    }

    fn handle_message(&mut self, session: SessionId, message: Message<'_>, _: Now, out: &mut Outputs<Never>) {
        out.send(session, |frames| match message {
            Message::Text(text) => push_message(frames, |out| out.extend_from_slice(text.as_bytes())),
            Message::Binary(bytes) => push_frame(frames, Opcode::Binary, bytes),
        });
    }

    fn handle_arrival(&mut self, _: SessionId, passport: Never, _: Now, _: &mut Outputs<Never>) {
        match passport {}
    }

    fn handle_close(&mut self, session: SessionId, reason: CloseReason, now: Now, out: &mut Outputs<Never>) {
        let mut turn = Turn { now, out };
        let namespaces = self.seating.sessions.get(&session).map(|session| session.members.keys().copied());
        for namespace in namespaces.map(Iterator::collect::<Vec<_>>).unwrap_or_default() {
            leave(&mut self.seating, Seat { session, namespace }, reason_name(reason), &mut turn);
        }
        self.seating.sessions.remove(&session);
    }

    fn handle_mail(&mut self, _: CoreId, letter: Never, _: Now, _: &mut Outputs<Never>) {
        match letter {}
    }

    fn handle_time(&mut self, now: Now, out: &mut Outputs<Never>) {
        self.greet(None, &mut Turn { now, out });
    }

    fn next_deadline_ms(&self) -> Option<u64> {
        self.greetings.front().map(|(due_ms, _)| *due_ms)
    }

    fn handle_request(
        &mut self,
        request: &Request<'_>,
        _: &[u8],
        _: Ticket,
        _: Now,
        _: &mut Outputs<Never>,
    ) -> Reply {
        Reply::Now(match request.path {
            "/readyz" => Response::text(200, "ready"),
            _ => Response::text(404, "the surfaces are /socket.io/, /engine.io/ and /echo"),
        })
    }
}
