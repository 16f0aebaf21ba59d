//! The chat node: Socket.IO packets are authenticated here and then belong to the shard, and so are HTTP requests.

mod handshake;
mod rest;

use std::collections::HashSet;
use std::sync::Arc;

use core_shards::access::Outcome;
use core_shards::metrics::Counter;
use core_shards::outputs::Ticket;
use core_shards::{
    CoreId, Ending, Event, Mail, MailClass, Newcomer, Now, Outputs, Placement, SessionId, Shard, Verdict,
};
use protocol::chat::event::{self, Failure};
use protocol::chat::request::{self, Request};
use protocol::codes::{CloseReason, ErrorCode};
use protocol::http::head::Request as HttpRequest;
use protocol::json::{Json, Validator};
use protocol::socket_io::Kind;

use crate::auth::{Denial, SharedVerifier};
use crate::engine::application::{Application, Incoming, Opening, Payload, Reply, Step};
use crate::permissions::Permissions;
use crate::routes::Routes;

/// What happened at the door of one core.
#[derive(Debug, Default)]
pub struct ChatMetrics {
    /// Refused identities, by [`Denial`].
    pub denials: [Counter; Denial::ALL.len()],
}

/// What every core of the chat node is made of.
#[derive(Clone)]
pub struct Parts {
    /// Decides who a client is.
    pub verifier: SharedVerifier,
    /// Answers what is not about chat.
    pub routes: Arc<Routes>,
    /// Asks whoever the operator has named, if anybody.
    pub permissions: Option<Permissions>,
    /// Bounds and choices.
    pub limits: Arc<core_shards::Limits>,
}

/// One core of the chat node.
pub struct ChatNode {
    core: CoreId,
    placement: Placement,
    shard: Shard,
    parts: Parts,
    metrics: Arc<ChatMetrics>,
    validator: Validator,
    /// Sessions that have not joined yet, and whose clients stumble over a cursor.
    plain: HashSet<SessionId>,
}

impl ChatNode {
    /// Puts a core's parts together.
    pub fn new(
        core: CoreId,
        placement: Placement,
        shard: Shard,
        parts: Parts,
        metrics: Arc<ChatMetrics>,
    ) -> Self {
        Self { core, placement, shard, parts, metrics, validator: Validator::new(), plain: HashSet::new() }
    }

    fn connect(
        &mut self,
        session: SessionId,
        packet: &Incoming<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Step<Newcomer> {
        if packet.namespace != "/" {
            out.send(session, |frame| event::push_invalid_namespace(frame, packet.namespace));
            return Step::Stay;
        }
        if self.shard.is_connected(session) {
            return Step::Close(CloseReason::ProtocolViolation);
        }
        match self.parts.verifier.authenticate(packet.payload.json(), anonymous_name) {
            Ok(greeting) => {
                let is_plain = self.plain.remove(&session);
                let newcomer = handshake::newcomer(greeting, is_plain, &self.parts.limits);
                let home = self.placement.home_of_user(&newcomer.identity.user);
                if home != self.core {
                    return Step::Move(home, newcomer);
                }
                self.shard.handle_connect(session, newcomer, now, out);
                Step::Joined
            }
            Err(denial) => {
                let (code, message) = self.denied(denial);
                out.send(session, |frame| event::push_connect_error(frame, code, message));
                Step::Stay
            }
        }
    }

    fn event(
        &mut self,
        session: SessionId,
        packet: &Incoming<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Step<Newcomer> {
        let Payload::Json(arguments) = packet.payload else {
            refuse_unreadable(session, packet.id, now, out);
            return Step::Stay;
        };
        match refreshed_token(arguments) {
            Some(token) => {
                let verdict = token.and_then(|token| self.parts.verifier.verify(&token));
                let verdict = verdict.map_err(|denial| self.denied(denial));
                self.shard.handle_refresh(session, verdict, packet.id, now, out);
            }
            None => {
                let event = Event { arguments, ack: packet.id, attachments: packet.attachments };
                self.shard.handle_event(session, &event, now, out);
            }
        }
        Step::Stay
    }

    fn denied(&self, denial: Denial) -> (ErrorCode, &'static str) {
        self.metrics.denials[denial as usize].increment();
        denial.answer()
    }

    /// Hands the shard's questions to those who ask them. One that nobody takes is answered at once: no.
    fn ask(&mut self, now: Now, out: &mut Outputs) {
        loop {
            let questions = self.shard.take_questions();
            if questions.is_empty() {
                return;
            }
            for question in questions {
                let refused = match &self.parts.permissions {
                    Some(permissions) => permissions.ask(question).err(),
                    None => Some(question),
                };
                if let Some(question) = refused {
                    let verdict = Verdict { is_allowed: false, ttl_ms: 0, outcome: Outcome::Busy };
                    self.shard.handle_verdict(question, &verdict, now, out);
                }
            }
        }
    }
}

impl Application for ChatNode {
    type Mail = Mail;
    type Passport = Newcomer;

    const ROUTES: &'static [&'static str] = &[
        "/",
        "/health",
        "/healthz",
        "/readyz",
        "/version",
        "/metrics",
        "/presence",
        "/typing",
        "/messages",
        "/poll",
        "/api",
    ];

    fn measure(&self) {
        self.shard.measure();
        if self.core == CoreId(0) {
            self.parts.routes.look();
        }
    }

    fn class(letter: &Mail) -> MailClass {
        letter.class()
    }

    fn has_joined(&self, session: SessionId, namespace: &str) -> bool {
        namespace == "/" && self.shard.is_connected(session)
    }

    fn handle_open(&mut self, session: SessionId, opening: Opening, _: Now, _: &mut Outputs) {
        if handshake::stumbles_over_cursors(&opening) {
            self.plain.insert(session);
        }
    }

    fn handle_packet(
        &mut self,
        session: SessionId,
        packet: &Incoming<'_>,
        now: Now,
        out: &mut Outputs,
    ) -> Step<Newcomer> {
        if packet.kind != Kind::Connect && !self.has_joined(session, packet.namespace) {
            return Step::Close(CloseReason::ProtocolViolation);
        }
        let step = match packet.kind {
            Kind::Connect => self.connect(session, packet, now, out),
            Kind::Event | Kind::BinaryEvent => self.event(session, packet, now, out),
            // Nothing that we send asks for an acknowledgement.
            Kind::Ack | Kind::BinaryAck => Step::Stay,
            Kind::Disconnect => {
                self.shard.handle_disconnect(session, Ending::Left, now, out);
                Step::Left
            }
            Kind::ConnectError => Step::Close(CloseReason::ProtocolViolation),
        };
        self.ask(now, out);
        step
    }

    fn handle_arrival(&mut self, session: SessionId, newcomer: Newcomer, now: Now, out: &mut Outputs) {
        self.shard.handle_connect(session, newcomer, now, out);
        self.ask(now, out);
    }

    fn handle_close(&mut self, session: SessionId, reason: CloseReason, now: Now, out: &mut Outputs) {
        self.plain.remove(&session);
        self.shard.handle_disconnect(session, handshake::ending(reason), now, out);
    }

    fn handle_mail(&mut self, from: CoreId, letter: Mail, now: Now, out: &mut Outputs) {
        self.shard.handle_mail(from, letter, now, out);
        self.ask(now, out);
    }

    fn handle_time(&mut self, now: Now, out: &mut Outputs) {
        self.shard.handle_time(now, out);
    }

    fn next_deadline_ms(&self) -> Option<u64> {
        self.shard.next_deadline_ms()
    }

    fn body_bytes_max(&mut self, request: &HttpRequest<'_>) -> usize {
        self.rest_body_bytes_max(request)
    }

    fn handle_request(
        &mut self,
        request: &HttpRequest<'_>,
        body: &[u8],
        ticket: Ticket,
        now: Now,
        out: &mut Outputs,
    ) -> Reply {
        let reply = self.call(request, body, ticket, now, out);
        self.ask(now, out);
        reply.unwrap_or_else(|| Reply::Now(self.parts.routes.answer(request, now)))
    }
}

/// The token of an `auth:refresh` event; any other event is the shard's.
fn refreshed_token(arguments: Json<'_>) -> Option<Result<String, Denial>> {
    let mut items = arguments.items();
    let name = items.next().and_then(Json::as_str)?;
    if name != "auth:refresh" {
        return None;
    }
    match request::parse(&name, items.next()) {
        Ok(Request::Refresh { token }) => Some(Ok(token.into_owned())),
        _ => Some(Err(Denial::Missing)),
    }
}

/// An event with half a surrogate pair or a number beyond a double: no fault of the protocol, but nothing to act on.
fn refuse_unreadable(session: SessionId, ack: Option<u64>, now: Now, out: &mut Outputs) {
    let failure = Failure {
        code: ErrorCode::ValidationError,
        message: "the event holds a lone surrogate or a number out of range",
        event: "",
        channel: None,
        retry_after_s: None,
    };
    out.send(session, |frame| match ack {
        Some(ack) => event::push_failure_ack(frame, ack, &failure),
        None => event::push_error(frame, &failure, now.unix_ms),
    });
}

/// A name for a guest.
fn anonymous_name() -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the kernel gives randomness once it has booted");
    format!("anon-{:016x}", u64::from_le_bytes(random))
}
