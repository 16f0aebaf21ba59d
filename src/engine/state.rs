//! Everything that one core owns: the application's share, the links of its sessions, their
//! deadlines, what goes out. Tasks reach it through [`super::core::Core::turn`] alone.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use core_shards::{CoreId, Now, Outputs, SessionId, Wheel};
use protocol::codes::CloseReason;
use protocol::engine_io::ErrorCode;
use protocol::engine_io::sid::Sid;
use protocol::http::response::Response;
use protocol::socket_io::Assembler;
use protocol::websocket::frame::{self, Opcode};

use super::application::{Application, Incoming, Message, Opening, Step};
use super::core::Shared;
use super::egress::{self, Egress, EgressLimits, Written};
use super::heartbeat::Pulse;
use super::link::{Backlog, Links, Transport, surface_number};
use super::mailbox::{Arrival, ArrivalTransport, Letter, Outbox};
use super::metrics::EngineMetrics;
use super::polling::{PollWaiter, Polling, payload_response};
use super::settings::{ARENA_BYTES_MAX, LINGER_MS, OUTBOX_LETTERS_MAX, Settings};
use crate::rt::Socket;

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

    // --- Sessions begin ---------------------------------------------------------------------

    /// Opens a session that polls. The caller has checked the capacity.
    pub(super) fn open_polling(&mut self, secret: [u8; 16], opening: Opening, now: Now) -> Sid {
        let placeholder = Sid { core: self.core.0, slot: 0, secret };
        let polling = Transport::Polling(Box::new(Polling::new(placeholder, None)));
        let id = self.links.insert(polling, surface_number(opening.surface), now.monotonic_ms());
        let sid = Sid { core: self.core.0, slot: id.slot, secret };
        if let Some(Transport::Polling(polling)) = self.links.get_mut(id).map(|link| &mut link.transport) {
            polling.sid = sid;
        }
        self.opened(id, opening, now);
        sid
    }

    /// Opens a session on a WebSocket; `open_packet` is the frame that tells the client so.
    pub(super) fn open_websocket(
        &mut self,
        socket: Rc<Socket>,
        open_packet: &[u8],
        opening: Opening,
        now: Now,
    ) -> SessionId {
        let surface = surface_number(opening.surface);
        let id = self.links.insert(Transport::WebSocket(socket), surface, now.monotonic_ms());
        self.out.send(id, |frames| frames.extend_from_slice(open_packet));
        self.opened(id, opening, now);
        id
    }

    fn opened(&mut self, id: SessionId, opening: Opening, now: Now) {
        self.metrics.opened.increment();
        self.arm_session(id, now);
        let connect = now.monotonic_ms() + u64::from(self.settings.connect_timeout_ms);
        if self.settings.surfaces[opening.surface].kind == super::SurfaceKind::SocketIo {
            self.wheel.arm(connect, Deadline::Connect(id));
        }
        self.count_transport(id, 1);
        self.app.handle_open(id, opening, now, &mut self.out);
    }

    fn arm_session(&mut self, id: SessionId, now: Now) {
        let ping_ms = now.monotonic_ms() + u64::from(self.settings.ping_interval_ms);
        if let Some(link) = self.links.get_mut(id) {
            link.heartbeat.plan_ping(ping_ms);
        }
        self.wheel.arm(ping_ms, Deadline::Ping(id));
    }

    /// Takes in a session that moved here. Returns what the caller still has to do for it.
    pub(super) fn arrive_websocket(
        &mut self,
        socket: Rc<Socket>,
        surface: u8,
        passport: A::Passport,
        now: Now,
    ) -> SessionId {
        let id = self.links.insert(Transport::WebSocket(socket), surface, now.monotonic_ms());
        self.arrived(id, passport, now);
        id
    }

    /// Takes in a polling session that was born on the core that its `sid` names.
    pub(super) fn arrive_polling(
        &mut self,
        sid: Sid,
        is_upgrading: bool,
        backlog: &[u8],
        surface: u8,
        passport: A::Passport,
        now: Now,
    ) -> SessionId {
        let polling = Box::new(Polling { is_upgrading, ..Polling::new(sid, Some(CoreId(sid.core))) });
        let id = self.links.insert(Transport::Polling(polling), surface, now.monotonic_ms());
        self.adopted.insert((sid.core, sid.slot), id);
        if !backlog.is_empty() {
            self.out.send(id, |frames| frames.extend_from_slice(backlog));
        }
        self.arrived(id, passport, now);
        id
    }

    fn arrived(&mut self, id: SessionId, passport: A::Passport, now: Now) {
        if let Some(link) = self.links.get_mut(id) {
            link.is_joined = true;
        }
        self.arm_session(id, now);
        self.count_transport(id, 1);
        self.app.handle_arrival(id, passport, now, &mut self.out);
    }

    // --- Packets ----------------------------------------------------------------------------

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
        self.app.handle_message(id, message, now, &mut self.out);
        Flow::Go
    }

    // --- Polling ----------------------------------------------------------------------------

    /// Finds the session of a request. One of another surface is none.
    pub(super) fn find(&mut self, sid: &Sid, surface: u8, now: Now) -> Found {
        let id = if sid.core == self.core.0 {
            match self.links.at_mut(sid.slot).map(|link| &link.transport) {
                Some(Transport::Moved(core)) => return Found::Elsewhere(*core),
                Some(_) => self.links.id_at(sid.slot),
                None => return Found::Unknown,
            }
        } else if let Some(id) = self.adopted.get(&(sid.core, sid.slot)) {
            *id
        } else if sid.core < self.shared.core_count() {
            return Found::Elsewhere(CoreId(sid.core));
        } else {
            return Found::Unknown;
        };
        self.check_pulse(id, now);
        let Some(link) = self.links.get_mut(id).filter(|link| link.surface == surface) else {
            return Found::Unknown;
        };
        match &link.transport {
            Transport::Polling(polling) | Transport::Leaving(polling) if polling.sid == *sid => {
                Found::Here(id)
            }
            _ => Found::Unknown,
        }
    }

    /// A poll came. One that finds another waiting ends the session, as the protocol says.
    pub(super) fn begin_poll(&mut self, id: SessionId) -> PollStart {
        let Some(link) = self.links.get_mut(id) else {
            return PollStart::Answer(refusal(ErrorCode::SessionUnknown));
        };
        if matches!(link.transport, Transport::Leaving(_)) {
            return PollStart::Answer(self.last_words(id));
        }
        let Transport::Polling(polling) = &mut link.transport else {
            return PollStart::Answer(refusal(ErrorCode::BadRequest));
        };
        if polling.waiter.is_some() {
            self.out.close(id, CloseReason::ProtocolViolation);
            return PollStart::Answer(refusal(ErrorCode::BadRequest));
        }
        if polling.is_upgrading {
            return PollStart::Upgrading;
        }
        let waiter = match egress::take_from(&mut link.backlog, &self.egress_limits, &self.metrics) {
            Some(payload) => return PollStart::Answer(payload_response(payload)),
            None => Rc::new(PollWaiter::default()),
        };
        polling.waiter = Some(waiter.clone());
        PollStart::Wait(waiter)
    }

    /// The client gave up its poll: the session is lost, as the protocol says.
    pub(super) fn poll_aborted(&mut self, id: SessionId, waiter: &Rc<PollWaiter>) {
        let Some(Transport::Polling(polling)) = self.links.get_mut(id).map(|link| &mut link.transport) else {
            return;
        };
        if polling.waiter.as_ref().is_some_and(|current| Rc::ptr_eq(current, waiter)) {
            polling.waiter = None;
            self.out.close(id, CloseReason::TransportLost);
        }
    }

    /// Sends a polling session to another core. Its requests keep coming here and are passed on.
    pub(super) fn move_polling(&mut self, id: SessionId, to: CoreId, passport: A::Passport, rest: &str) {
        self.flush_one(id);
        let Some(link) = self.links.get_mut(id) else { return };
        let is_native = matches!(&link.transport, Transport::Polling(polling) if polling.origin.is_none());
        if !is_native {
            // It moved before. The client comes back with a session that is born anew.
            return self.out.close(id, CloseReason::ServerDisconnect);
        }
        let surface = link.surface;
        let backlog = link.backlog.take().map(|backlog| backlog.bytes).unwrap_or_default();
        self.metrics.queued_bytes.add((backlog.len() as u64).wrapping_neg());
        let Transport::Polling(polling) = std::mem::replace(&mut link.transport, Transport::Moved(to)) else {
            return;
        };
        if let Some(waiter) = &polling.waiter {
            waiter.answer(payload_response(NOOP_PACKET.to_vec()));
        }
        self.metrics.pollings.add(1u64.wrapping_neg());
        self.metrics.moved.increment();
        let (sid, is_upgrading) = (polling.sid, polling.is_upgrading);
        let transport = ArrivalTransport::Polling { sid, is_upgrading, backlog, rest: rest.to_owned() };
        self.outbox.post(to, Letter::Arrival(Box::new(Arrival { surface, passport, transport })));
    }

    /// Takes the half-received packet of a polling session, for the time of a request.
    pub(super) fn take_assembler(&mut self, id: SessionId) -> Assembler {
        match self.links.get_mut(id).map(|link| &mut link.transport) {
            Some(Transport::Polling(polling)) => std::mem::take(&mut polling.assembler),
            _ => Assembler::new(),
        }
    }

    /// Gives it back.
    pub(super) fn put_assembler_back(&mut self, id: SessionId, assembler: Assembler) {
        if let Some(Transport::Polling(polling)) = self.links.get_mut(id).map(|link| &mut link.transport) {
            polling.assembler = assembler;
        }
    }

    // --- Upgrade ----------------------------------------------------------------------------

    /// The client has changed over: what waited for a poll goes out on the socket. Returns what the
    /// session has received of a binary packet, whose rest comes over the socket.
    pub(super) fn change_over(&mut self, id: SessionId, socket: Rc<Socket>) -> Option<Assembler> {
        self.flush_one(id);
        let link = self.links.get_mut(id)?;
        let previous = std::mem::replace(&mut link.transport, Transport::WebSocket(socket));
        let Transport::Polling(mut polling) = previous else {
            link.transport = previous;
            return None;
        };
        if let Some(waiter) = &polling.waiter {
            waiter.answer(payload_response(NOOP_PACKET.to_vec()));
        }
        let waiting = link.backlog.take().map(|backlog| backlog.bytes).unwrap_or_default();
        self.metrics.queued_bytes.add((waiting.len() as u64).wrapping_neg());
        self.metrics.pollings.add(1u64.wrapping_neg());
        self.metrics.websockets.increment();
        self.forget_birthplace(&polling);
        if !waiting.is_empty() {
            self.out.send(id, |frames| frames.extend_from_slice(&waiting));
        }
        self.app.handle_upgrade(id);
        Some(std::mem::take(&mut polling.assembler))
    }

    fn forget_birthplace(&mut self, polling: &Polling) {
        if let Some(origin) = polling.origin {
            self.adopted.remove(&(polling.sid.core, polling.sid.slot));
            self.outbox.post(origin, Letter::Forget(polling.sid));
        }
    }

    /// The slot of a session that lives elsewhere is needed no more.
    pub(super) fn forget(&mut self, sid: &Sid) {
        if let Some(Transport::Moved(_)) = self.links.at_mut(sid.slot).map(|link| &link.transport) {
            self.links.remove(sid.slot);
        }
    }

    // --- Sessions end -----------------------------------------------------------------------

    /// Gives up a session that moves to another core; the application here knows nothing of it.
    pub(super) fn release_websocket(&mut self, id: SessionId) {
        self.flush_one(id);
        self.count_transport(id, 1u64.wrapping_neg());
        self.metrics.moved.increment();
        self.links.remove(id.slot);
    }

    /// The task of a WebSocket ends. A session that was still open is lost.
    pub(super) fn socket_gone(&mut self, id: SessionId, reason: CloseReason, now: Now) {
        if self.is_open(id) {
            self.end(id, reason, now);
        }
        if matches!(self.links.get_mut(id).map(|link| &link.transport), Some(Transport::Closing(_))) {
            self.links.remove(id.slot);
        }
    }

    /// Ends a session: the application hears of it, the peer is told as far as its transport allows.
    fn end(&mut self, id: SessionId, reason: CloseReason, now: Now) {
        if !self.is_open(id) {
            return;
        }
        self.flush_one(id);
        self.count_transport(id, 1u64.wrapping_neg());
        self.metrics.closed[reason as usize].increment();
        self.shared.session_count.fetch_sub(1, Ordering::Relaxed);
        let Some(link) = self.links.get_mut(id) else { return };
        let backlog = link.backlog.take();
        let backlog_bytes = backlog.as_ref().map_or(0, |backlog| backlog.bytes.len());
        match std::mem::replace(&mut link.transport, Transport::Free) {
            Transport::Polling(polling) if polling.waiter.is_none() && has_last_words(reason) => {
                link.transport = Transport::Leaving(polling);
                let backlog = link.backlog.insert(backlog.unwrap_or_else(Box::<Backlog>::default));
                frame::push_frame(&mut backlog.bytes, Opcode::Text, CLOSE_PACKET);
                let added_bytes = backlog.bytes.len() - backlog_bytes;
                self.metrics.queued_bytes.add(added_bytes as u64);
                self.wheel.arm(now.monotonic_ms() + LINGER_MS, Deadline::Linger(id));
                return self.app.handle_close(id, reason, now, &mut self.out);
            }
            Transport::WebSocket(socket) => {
                farewell(&socket, reason, backlog.is_some());
                link.transport = Transport::Closing(socket);
                self.wheel.arm(now.monotonic_ms() + LINGER_MS, Deadline::Linger(id));
            }
            Transport::Polling(polling) => {
                link.transport = Transport::Moved(self.core);
                self.links.remove(id.slot);
                self.forget_birthplace(&polling);
                if let Some(waiter) = polling.waiter {
                    waiter.answer(last_poll(reason));
                }
            }
            other @ (Transport::Free
            | Transport::Moved(_)
            | Transport::Closing(_)
            | Transport::Leaving(_)) => {
                link.transport = other;
            }
        }
        self.metrics.queued_bytes.add((backlog_bytes as u64).wrapping_neg());
        self.app.handle_close(id, reason, now, &mut self.out);
    }

    /// Answers a poll of a session that is over with what was sent to it before; with the last of it,
    /// the session's slot is free.
    fn last_words(&mut self, id: SessionId) -> Response {
        let words = self
            .links
            .get_mut(id)
            .and_then(|link| egress::take_from(&mut link.backlog, &self.egress_limits, &self.metrics));
        if self.links.get_mut(id).is_some_and(|link| link.backlog.is_none()) {
            self.let_go(id);
        }
        words.map_or_else(|| refusal(ErrorCode::SessionUnknown), payload_response)
    }

    /// Frees the slot of a polling session that is over.
    fn let_go(&mut self, id: SessionId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let unsaid_bytes = link.backlog.as_ref().map_or(0, |backlog| backlog.bytes.len());
        self.metrics.queued_bytes.add((unsaid_bytes as u64).wrapping_neg());
        if let Transport::Leaving(polling) = self.links.remove(id.slot) {
            self.forget_birthplace(&polling);
        }
    }

    /// Closes every session, for a node that goes down.
    pub(super) fn end_all(&mut self, now: Now) {
        for slot in self.links.slots_in_use() {
            let id = self.links.id_at(slot);
            self.end(id, CloseReason::ShuttingDown, now);
            if matches!(self.links.at_mut(slot).map(|link| &link.transport), Some(Transport::Moved(_))) {
                self.links.remove(slot);
            }
        }
    }

    /// Cuts the connections of closed sessions whose peers have not closed their side.
    pub(super) fn cut_all(&mut self) {
        for slot in self.links.slots_in_use() {
            if let Some(Transport::Closing(socket)) = self.links.at_mut(slot).map(|link| &link.transport) {
                socket.shutdown_both();
            }
        }
    }

    fn count_transport(&mut self, id: SessionId, amount: u64) {
        match self.links.get_mut(id).map(|link| &link.transport) {
            Some(Transport::WebSocket(_)) => self.metrics.websockets.add(amount),
            Some(Transport::Polling(_)) => self.metrics.pollings.add(amount),
            _ => {}
        }
    }

    // --- Time -------------------------------------------------------------------------------

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

    // --- The end of a turn ------------------------------------------------------------------

    /// Turns the application's outputs into pending frames, letters and closed sessions.
    pub(super) fn settle(&mut self, now: Now) {
        loop {
            self.collect_frames();
            self.post_app_mail();
            self.out.take_latency_marks().for_each(|received_us| self.egress.mark(received_us));
            let closes: Vec<_> = self.out.take_closes().collect();
            if closes.is_empty() {
                break;
            }
            for (id, reason) in closes {
                self.end(id, reason, now);
            }
        }
        if self.out.arena_bytes() > ARENA_BYTES_MAX {
            self.flush(usize::MAX);
        }
    }

    /// Puts the application's letters into the outgoing mail.
    pub(super) fn post_app_mail(&mut self) {
        for (to, letter) in self.out.take_mail() {
            self.outbox.post(to, Letter::App(letter));
        }
    }

    fn collect_frames(&mut self) {
        let (links, egress) = (&mut self.links, &mut self.egress);
        self.out.take_deliveries(|frame, slots| {
            for &slot in slots {
                if let Some(link) = links.at_mut(slot) {
                    egress.pend(slot, link, frame);
                }
            }
        });
    }

    /// Writes to at most `sockets_max` sockets. Returns whether everything is written.
    pub(super) fn flush(&mut self, sockets_max: usize) -> bool {
        for _ in 0..sockets_max {
            let Some(slot) = self.egress.next_dirty() else { break };
            let id = self.links.id_at(slot);
            self.write(id);
        }
        let written_us = self.shared.now().monotonic_us;
        while let Some(received_us) = self.egress.take_written_mark() {
            self.metrics.latency.observe(written_us.saturating_sub(received_us));
        }
        if !self.egress.is_clean() {
            return false;
        }
        self.egress.reset();
        self.out.clear_frames();
        true
    }

    /// Writes what is pending for one session now, before its transport changes.
    fn flush_one(&mut self, id: SessionId) {
        self.collect_frames();
        self.write(id);
    }

    fn write(&mut self, id: SessionId) {
        let written = self.egress.write(id, &mut self.links, &self.out, &self.egress_limits, &self.metrics);
        match written {
            Written::Fine => {}
            Written::TooSlow => self.out.close(id, CloseReason::SlowReader),
            Written::Broken => self.out.close(id, CloseReason::TransportLost),
        }
    }

    /// Whether so many letters wait for full mailboxes that this core should read no more for now.
    pub(super) fn is_congested(&self) -> bool {
        self.outbox.letter_count() > OUTBOX_LETTERS_MAX
    }

    /// Whether there is room for the results that another core's requests lead to.
    pub(super) fn has_room_for_results(&self) -> bool {
        self.outbox.result_count() <= OUTBOX_LETTERS_MAX
    }
}

/// The answer to an Engine.IO request that is refused.
pub(super) fn refusal(code: ErrorCode) -> Response {
    Response::json(code.status(), code.body())
}

/// Tells a WebSocket's peer why, if it reads; otherwise ends the connection at once.
fn farewell(socket: &Socket, reason: CloseReason, is_blocked: bool) {
    if is_blocked || reason == CloseReason::TransportLost {
        return socket.shutdown_both();
    }
    let (code, text) = reason.websocket();
    let mut close = Vec::new();
    frame::push_close(&mut close, code, text);
    // A socket that does not take even this is closed without it.
    let _ = socket.send(&close);
    socket.shutdown_write();
}

/// Whether a client that polls is still to get what was sent to it before, though no poll of its waits:
/// it must hear that it was sent away, or it would come back.
const fn has_last_words(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::ServerDisconnect | CloseReason::TokenExpired)
}

/// The last answer to a poll. Where the client should come back it is an error, because some clients
/// take the close packet as final. A client that said goodbye itself gets a packet without meaning, as in Node.
fn last_poll(reason: CloseReason) -> Response {
    match reason {
        CloseReason::ClientClosed => payload_response(NOOP_PACKET.to_vec()),
        CloseReason::ShuttingDown | CloseReason::SlowReader | CloseReason::Panicked => {
            Response::json(503, format!("{{\"code\":3,\"message\":\"{}\"}}", reason.websocket().1))
        }
        _ => payload_response(CLOSE_PACKET.to_vec()),
    }
}
