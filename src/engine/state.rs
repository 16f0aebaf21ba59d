//! Everything that one core owns: the application's share, the links of its sessions, their
//! deadlines, what goes out. Tasks reach it through [`super::core::Core::turn`] alone.

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
use protocol::http::response::Response;

use super::application::{Application, Incoming, Message, Step};
use super::core::Shared;
use super::egress::{Egress, EgressLimits};
use super::heartbeat::Pulse;
use super::link::{Links, Transport};
use super::mailbox::Outbox;
use super::metrics::EngineMetrics;
use super::polling::PollWaiter;
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
    /// The connection in this place of the watch list may have waited too long.
    Watch(u32),
}

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
    /// Nowhere, or the secret is wrong.
    Unknown,
}

/// How a poll is answered.
#[derive(Debug)]
pub(super) enum PollStart {
    /// At once.
    Answer(Response),
    /// When there is something to answer.
    Wait(Rc<PollWaiter>),
    /// Not before the upgrade under way is done or has had its time.
    Upgrading,
}

/// One core's state.
pub(super) struct State<A: Application> {
    core: CoreId,
    pub(super) app: A,
    pub(super) out: Outputs<A::Mail>,
    pub(super) links: Links,
    pub(super) egress: Egress,
    pub(super) outbox: Outbox<A>,
    pub(super) wheel: Wheel<Deadline>,
    /// Polling sessions that were born on other cores, by birthplace.
    adopted: HashMap<(u16, u32), SessionId>,
    settings: Arc<Settings>,
    shared: Arc<Shared<A>>,
    metrics: Arc<EngineMetrics>,
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

    /// Bytes came from a session: it lives.
    pub(super) fn heard(&mut self, id: SessionId, now: Now) {
        if let Some(link) = self.links.get_mut(id) {
            link.heartbeat.hear(now.monotonic_ms());
        }
    }

    /// The answer to a ping came: the next ping follows after the interval.
    pub(super) fn pong(&mut self, id: SessionId, now: Now) {
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
        let step = self.app.handle_packet(id, packet, now, &mut self.out);
        match step {
            Step::Stay => Flow::Go,
            Step::Joined | Step::Left => {
                let is_joined = matches!(step, Step::Joined);
                if let Some(link) = self.links.get_mut(id) {
                    link.is_joined = is_joined;
                }
                if !is_joined {
                    let connect = now.monotonic_ms() + u64::from(self.settings.connect_timeout_ms);
                    self.wheel.arm(connect, Deadline::Connect(id));
                }
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
            Deadline::Connect(id) => {
                let is_late = self.links.get_mut(id).is_some_and(|link| !link.is_joined);
                if is_late && self.is_open(id) {
                    self.out.close(id, CloseReason::ConnectTimeout);
                }
            }
            Deadline::Linger(id) => match self.links.get_mut(id).map(|link| &link.transport) {
                Some(Transport::Closing(socket)) => socket.shutdown_both(),
                Some(Transport::Leaving(_)) => self.let_go(id),
                _ => {}
            },
            Deadline::Watch(_) => {}
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
            Pulse::Busy => self.pong(id, now),
            Pulse::Gone => self.end(id, CloseReason::PingTimeout, now),
        }
    }
}

/// The answer to an Engine.IO request that is refused.
pub(super) fn refusal(code: ErrorCode) -> Response {
    Response::json(code.status(), code.body())
}
