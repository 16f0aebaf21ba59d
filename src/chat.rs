//! The chat node: Socket.IO packets are authenticated here and then belong to the shard, and so are HTTP requests.

mod handshake;
mod rest;

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use core_shards::access::{Outcome, Question};
use core_shards::cursor::RunId;
use core_shards::metrics::Counter;
use core_shards::outputs::Ticket;
use core_shards::store::Topic;
use core_shards::{
    CoreId, Ending, Event, Mail, MailClass, Newcomer, Now, Outputs, Placement, SessionId, Shard, StoreEvent,
    StoreRequest, Verdict,
};
use protocol::chat::event::{self, Failure};
use protocol::chat::request::{self, Request};
use protocol::codes::{CloseReason, ErrorCode};
use protocol::engine_io::sid::NodeName;
use protocol::http::head::Request as HttpRequest;
use protocol::json::{Json, Validator};
use protocol::relay::forward::Forwarding;
use protocol::socket_io::Kind;

use crate::auth::{Denial, SharedVerifier};
use crate::engine::CoreHandle;
use crate::engine::application::{Application, Incoming, Opening, Payload, Reply, Step};
use crate::permissions::Permissions;
use crate::routes::Routes;
use crate::store::Store;

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
    /// The core's part in the store that nodes share, if they do.
    pub store: Option<Rc<Store>>,
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
    /// What other nodes said about polling requests and the engine has not taken yet.
    forwarded: Vec<Forwarding>,
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
        Self {
            core,
            placement,
            shard,
            parts,
            metrics,
            validator: Validator::new(),
            plain: HashSet::new(),
            forwarded: Vec::new(),
        }
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

    /// Hands on what the shard wants of others: its questions to those who ask them, its requests to the store. What
    /// can be answered at once is.
    fn ask(&mut self, now: Now, out: &mut Outputs) {
        loop {
            let (questions, requests) = (self.shard.take_questions(), self.shard.take_store_requests());
            if questions.is_empty() && requests.is_empty() {
                return;
            }
            for question in questions {
                self.ask_permission(question, now, out);
            }
            for event in self.want(requests) {
                self.handle_store(event, now, out);
            }
        }
    }

    /// One question that nobody takes is answered at once: no.
    fn ask_permission(&mut self, question: Question, now: Now, out: &mut Outputs) {
        let refused = match &self.parts.permissions {
            Some(permissions) => permissions.ask(question).err(),
            None => Some(question),
        };
        if let Some(question) = refused {
            let verdict = Verdict { is_allowed: false, ttl_ms: 0, outcome: Outcome::Busy };
            self.shard.handle_verdict(question, &verdict, now, out);
        }
    }

    /// Wants something of the store. What it answers at once is returned; without a store nothing is wanted.
    fn want(&self, requests: Vec<StoreRequest>) -> Vec<StoreEvent> {
        match &self.parts.store {
            Some(store) => store.submit(requests),
            None => Vec::new(),
        }
    }

    /// The store tells something.
    fn handle_store(&mut self, event: StoreEvent, now: Now, out: &mut Outputs) {
        match event {
            StoreEvent::Signal(Topic::Node(_), signal) if Forwarding::is_one(&signal) => {
                self.forwarded.extend(Forwarding::read(&signal));
            }
            event => self.shard.handle_store(event, now, out),
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

    fn start(core: &CoreHandle<Self>) {
        let store = core.turn(|node, _, _| node.parts.store.clone()).flatten();
        if let Some(store) = store {
            let own = core.clone();
            let listener = move |events: Vec<StoreEvent>| {
                own.turn(|node, now, out| {
                    events.into_iter().for_each(|event| node.handle_store(event, now, out));
                    node.ask(now, out);
                });
            };
            store.heed(core.gate());
            store.start(&core.starter(), Box::new(listener));
        }
    }

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
        self.ask(now, out);
    }

    fn handle_mail(&mut self, from: CoreId, letter: Mail, now: Now, out: &mut Outputs) {
        self.shard.handle_mail(from, letter, now, out);
        self.ask(now, out);
    }

    fn handle_time(&mut self, now: Now, out: &mut Outputs) {
        self.shard.handle_time(now, out);
        self.ask(now, out);
    }

    fn next_deadline_ms(&self) -> Option<u64> {
        self.shard.next_deadline_ms()
    }

    fn forward(&mut self, node: NodeName, forwarding: &Forwarding, now: Now, out: &mut Outputs) -> bool {
        let is_away = self.parts.store.as_ref().is_none_or(|store| store.is_away());
        let Some(run) = RunId::parse(node.as_str()).filter(|_| !is_away) else { return false };
        let mut signal = Vec::new();
        forwarding.write(&mut signal);
        for event in self.want(vec![StoreRequest::Signal(Topic::Node(run), signal)]) {
            self.handle_store(event, now, out);
        }
        true
    }

    fn take_forwarded(&mut self) -> Vec<Forwarding> {
        std::mem::take(&mut self.forwarded)
    }

    fn handle_shutdown(&mut self, now: Now, out: &mut Outputs) {
        self.shard.handle_farewell();
        self.ask(now, out);
    }

    fn owes(&self) -> bool {
        self.parts.store.as_ref().is_some_and(|store| self.shard.owes() || store.owes())
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
