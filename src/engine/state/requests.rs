//! Polling sessions: their requests, their way to another core, their change to a WebSocket.

use std::rc::Rc;

use core_shards::{CoreId, Now, SessionId};
use protocol::codes::CloseReason;
use protocol::engine_io::ErrorCode;
use protocol::engine_io::sid::Sid;

use super::{Found, NOOP_PACKET, PollStart, State, refusal};
use crate::engine::answers::Waiter;
use crate::engine::application::Application;
use crate::engine::budget::HalfReceived;
use crate::engine::egress;
use crate::engine::link::Transport;
use crate::engine::mailbox::{Arrival, ArrivalTransport, Letter};
use crate::engine::polling::{Polling, payload_response};
use crate::rt::Socket;

impl<A: Application> State<A> {
    /// Finds the session of a request. One of another surface is none.
    pub(in crate::engine) fn find(&mut self, sid: &Sid, surface: u8, now: Now) -> Found {
        if sid.node != self.node() {
            // Without a name of its own a node knows no others.
            let knows_others = sid.node.is_some() && self.node().is_some();
            return if knows_others { Found::Foreign } else { Found::Unknown };
        }
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
    pub(in crate::engine) fn begin_poll(&mut self, id: SessionId) -> PollStart {
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
            None => Rc::new(Waiter::default()),
        };
        polling.waiter = Some(waiter.clone());
        PollStart::Wait(waiter)
    }

    /// The client gave up its poll: the session is lost, as the protocol says.
    pub(in crate::engine) fn poll_aborted(&mut self, id: SessionId, waiter: &Rc<Waiter>) {
        let Some(Transport::Polling(polling)) = self.links.get_mut(id).map(|link| &mut link.transport) else {
            return;
        };
        if polling.waiter.as_ref().is_some_and(|current| Rc::ptr_eq(current, waiter)) {
            polling.waiter = None;
            self.out.close(id, CloseReason::TransportLost);
        }
    }

    /// Sends a polling session to another core. Its requests keep coming here and are passed on.
    pub(in crate::engine) fn move_polling(
        &mut self,
        id: SessionId,
        to: CoreId,
        passport: A::Passport,
        rest: &str,
    ) {
        self.flush_one(id);
        let Some(link) = self.links.get_mut(id) else { return };
        let is_native = matches!(&link.transport, Transport::Polling(polling) if polling.origin.is_none());
        if !is_native {
            // It moved before. The client comes back with a session that is born anew.
            return self.out.close(id, CloseReason::ServerDisconnect);
        }
        let surface = link.surface;
        let backlog = link.backlog.take().map(|backlog| backlog.into_bytes()).unwrap_or_default();
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
    pub(in crate::engine) fn take_half_received(&mut self, id: SessionId) -> HalfReceived {
        match self.links.get_mut(id).map(|link| &mut link.transport) {
            Some(Transport::Polling(polling)) => std::mem::take(&mut polling.half),
            _ => HalfReceived::default(),
        }
    }

    /// Gives it back.
    pub(in crate::engine) fn put_half_received_back(&mut self, id: SessionId, half: HalfReceived) {
        if let Some(Transport::Polling(polling)) = self.links.get_mut(id).map(|link| &mut link.transport) {
            polling.half = half;
        }
    }

    /// The client has changed over: what waited for a poll goes out on the socket. Returns what the
    /// session has received of a binary packet, whose rest comes over the socket.
    pub(in crate::engine) fn change_over(
        &mut self,
        id: SessionId,
        socket: Rc<Socket>,
    ) -> Option<HalfReceived> {
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
        let waiting = link.backlog.take().map(|backlog| backlog.into_bytes()).unwrap_or_default();
        self.metrics.queued_bytes.add((waiting.len() as u64).wrapping_neg());
        self.metrics.pollings.add(1u64.wrapping_neg());
        self.metrics.websockets.increment();
        self.forget_birthplace(&polling);
        if !waiting.is_empty() {
            self.out.send(id, |frames| frames.extend_from_slice(&waiting));
        }
        self.app.handle_upgrade(id);
        Some(std::mem::take(&mut polling.half))
    }

    pub(super) fn forget_birthplace(&mut self, polling: &Polling) {
        if let Some(origin) = polling.origin {
            self.adopted.remove(&(polling.sid.core, polling.sid.slot));
            self.outbox.post(origin, Letter::Forget(polling.sid));
        }
    }

    /// The slot of a session that lives elsewhere is needed no more.
    pub(in crate::engine) fn forget(&mut self, sid: &Sid) {
        if let Some(Transport::Moved(_)) = self.links.at_mut(sid.slot).map(|link| &link.transport) {
            self.links.remove(sid.slot);
        }
    }
}
