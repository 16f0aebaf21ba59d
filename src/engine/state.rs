//! Everything that one core owns: the application's share, the links of its sessions, their
//! deadlines, what goes out. Tasks reach it through [`super::core::Core::turn`] alone.

mod answering;
mod ending;
mod opening;
mod requests;
mod settling;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use core_shards::{CoreId, Now, Outputs, SessionId, Wheel};
use protocol::codes::CloseReason;
use protocol::engine_io::ErrorCode;
use protocol::engine_io::sid::NodeName;
use protocol::http::response::Response;

use super::answers::{Answers, Waiter};
use super::application::{Application, Incoming, Message, Step};
use super::core::Shared;
use super::egress::{Egress, EgressLimits};
use super::forwarding::Forwards;
use super::heartbeat::Pulse;
use super::joining::Lateness;
use super::link::{Links, Transport};
use super::mailbox::Outbox;
use super::metrics::EngineMetrics;
use super::settings::Settings;

/// An Engine.IO ping as a whole WebSocket frame.
const PING_FRAME: [u8; 3] = [0x81, 0x01, b'2'];
/// The packet that ends a polling session.
const CLOSE_PACKET: &[u8] = b"1";
/// The packet that means nothing.
pub(super) const NOOP_PACKET: &[u8] = b"6";

/// A deadline of the engine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    /// The session wants a ping.
    Ping(SessionId),
    /// The answer to a ping is due.
    Pong(SessionId),
    /// The session must have joined a namespace.
    Connect(SessionId),
    /// The peer of a closed session must have closed its side.
    Linger(SessionId),
    /// A request may have waited too long for its answer.
    Answer,
    /// The request of this number may have waited too long for another node.
    Forward(u32),
    /// The connection in this place of the watch list may have waited too long.
    Watch(u32),
    /// The core is to be measured.
    Measure,
}

const _: () = assert!(size_of::<Deadline>() <= 12, "each session has one or two on the wheel");

/// What becomes of the task that handled a packet.
#[derive(Debug)]
pub(super) enum Flow<P> {
    /// It goes on reading.
    Go,
    /// The session is over.
    Gone,
    /// The session belongs to another core.
    Move(CoreId, P),
}

/// Where the session of a polling request is.
#[derive(Debug)]
pub(super) enum Found {
    /// On this core, polling.
    Here(SessionId),
    /// On another core.
    Elsewhere(CoreId),
    /// On another node.
    Foreign,
    /// Nowhere, or the secret is wrong.
    Unknown,
}

/// How a poll is answered.
#[derive(Debug)]
pub(super) enum PollStart {
    /// At once.
    Answer(Response),
    /// When there is something to answer.
    Wait(Rc<Waiter>),
    /// Not before the upgrade under way is done or has had its time.
    Upgrading,
}

pub(super) use answering::Asked;

/// One core's state.
pub(super) struct State<A: Application> {
    pub(super) core: CoreId,
    pub(super) app: A,
    pub(super) out: Outputs<A::Mail>,
    pub(super) links: Links,
    pub(super) egress: Egress,
    pub(super) outbox: Outbox<A>,
    pub(super) wheel: Wheel<Deadline>,
    answers: Answers,
    pub(super) forwards: Forwards,
    /// Polling sessions that were born on other cores, by birthplace.
    adopted: HashMap<(u16, u32), SessionId>,
    settings: Arc<Settings>,
    pub(super) shared: Arc<Shared<A>>,
    pub(super) metrics: Arc<EngineMetrics>,
    egress_limits: EgressLimits,
}

impl<A: Application> State<A> {
    pub(super) fn new(core: CoreId, app: A, shared: Arc<Shared<A>>, outbox: Outbox<A>, now: Now) -> Self {
        let settings = shared.settings.clone();
        Self {
            core,
            app,
            out: Outputs::default(),
            links: Links::default(),
            egress: Egress::default(),
            outbox,
            wheel: Wheel::new(settings.tick_ms(), now.monotonic_ms()),
            answers: Answers::default(),
            forwards: Forwards::default(),
            adopted: HashMap::new(),
            egress_limits: EgressLimits {
                queue_bytes_max: settings.queue_bytes_max,
                payload_bytes_max: settings.max_payload as usize,
            },
            metrics: shared.metrics[core.index()].clone(),
            settings,
            shared,
        }
    }

    /// What other nodes call this one.
    pub(super) fn node(&self) -> Option<NodeName> {
        self.settings.node
    }

    /// Bytes came from a session: it lives.
    pub(super) fn heard(&mut self, id: SessionId, now: Now) {
        if let Some(link) = self.links.get_mut(id) {
            link.heartbeat.hear(now.monotonic_ms());
        }
    }

    /// The answer to a ping came: the next ping follows after the interval.
    pub(super) fn pong(&mut self, id: SessionId, now: Now) {
        let Some(link) = self.links.get_mut(id) else { return };
        if let Some(round_trip_ms) = link.heartbeat.round_trip_ms(now.monotonic_ms()) {
            self.metrics.round_trip.observe(1_000 * round_trip_ms);
        }
        self.heard_of(id, now);
    }

    /// The session lives: if a pong was expected, nothing is any more.
    fn heard_of(&mut self, id: SessionId, now: Now) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.heartbeat.pong() {
            self.arm_session(id, now);
        }
    }

    /// Whether the session is still reached through its transport.
    pub(super) fn is_open(&mut self, id: SessionId) -> bool {
        self.links
            .get_mut(id)
            .is_some_and(|link| matches!(link.transport, Transport::WebSocket(_) | Transport::Polling(_)))
    }

    pub(super) fn packet(&mut self, id: SessionId, packet: &Incoming<'_>, now: Now) -> Flow<A::Passport> {
        if !self.is_open(id) {
            return Flow::Gone;
        }
        self.heard(id, now);
        match self.app.handle_packet(id, packet, now, &mut self.out) {
            Step::Stay => Flow::Go,
            Step::Joined => {
                if let Some(link) = self.links.get_mut(id) {
                    link.joining.join();
                }
                Flow::Go
            }
            Step::Left => {
                self.expect_join(id, now);
                Flow::Go
            }
            Step::Move(core, passport) => Flow::Move(core, passport),
            Step::Close(reason) => {
                self.out.close(id, reason);
                Flow::Gone
            }
        }
    }

    pub(super) fn message(&mut self, id: SessionId, message: Message<'_>, now: Now) -> Flow<A::Passport> {
        if !self.is_open(id) {
            return Flow::Gone;
        }
        self.heard(id, now);
        self.app.handle_message(id, message, now, &mut self.out);
        Flow::Go
    }

    /// Handles one deadline of a session.
    pub(super) fn deadline(&mut self, deadline: Deadline, now: Now) {
        match deadline {
            Deadline::Ping(id) => {
                if !self.is_open(id) {
                    return;
                }
                let Some(link) = self.links.get_mut(id) else { return };
                let overdue_ms = link.heartbeat.ping(now.monotonic_ms(), self.settings.ping_timeout_ms);
                self.out.send(id, |frames| frames.extend_from_slice(&PING_FRAME));
                self.wheel.arm(overdue_ms, Deadline::Pong(id));
            }
            Deadline::Pong(id) => self.check_pulse(id, now),
            Deadline::Connect(id) => self.check_joined(id, now),
            Deadline::Linger(id) => match self.links.get_mut(id).map(|link| &link.transport) {
                Some(Transport::Closing(socket)) => socket.give_up(),
                Some(Transport::Leaving(_)) => self.let_go(id),
                _ => {}
            },
            Deadline::Answer => self.abandon_overdue(now),
            Deadline::Forward(number) => self.check_forward(number, now),
            Deadline::Watch(_) | Deadline::Measure => {}
        }
    }

    /// From here on the session has its time to join a namespace.
    fn expect_join(&mut self, id: SessionId, now: Now) {
        let timeout_ms = self.settings.connect_timeout_ms;
        let link = self.links.get_mut(id);
        if let Some(due_ms) = link.and_then(|link| link.joining.leave(now.monotonic_ms(), timeout_ms)) {
            self.wheel.arm(due_ms, Deadline::Connect(id));
        }
    }

    /// Closes a session that is in no namespace for too long.
    fn check_joined(&mut self, id: SessionId, now: Now) {
        if !self.is_open(id) {
            return;
        }
        let Some(link) = self.links.get_mut(id) else { return };
        match link.joining.look(now.monotonic_ms(), self.settings.connect_timeout_ms) {
            Lateness::Fine => {}
            Lateness::Again(due_ms) => self.wheel.arm(due_ms, Deadline::Connect(id)),
            Lateness::Late => self.out.close(id, CloseReason::ConnectTimeout),
        }
    }

    /// Ends a session whose pong is overdue. Looked at when the deadline fires, and before a request is
    /// served: the clock may be a tick behind.
    fn check_pulse(&mut self, id: SessionId, now: Now) {
        if !self.is_open(id) {
            return;
        }
        let Some(link) = self.links.get_mut(id) else { return };
        match link.heartbeat.pulse(now.monotonic_ms(), self.settings.ping_timeout_ms) {
            Pulse::Fine => {}
            Pulse::Busy => self.heard_of(id, now),
            Pulse::Gone => self.end(id, CloseReason::PingTimeout, now),
        }
    }
}

/// The answer to an Engine.IO request that is refused.
pub(super) fn refusal(code: ErrorCode) -> Response {
    Response::json(code.status(), code.body())
}
