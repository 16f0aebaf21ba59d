//! How sessions end: the application hears of it once, the peer as far as its transport allows.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use core_shards::{Now, SessionId};
use protocol::codes::CloseReason;
use protocol::http::response::Response;
use protocol::websocket::frame;

use super::{CLOSE_PACKET, Deadline, NOOP_PACKET, State};
use crate::engine::application::Application;
use crate::engine::egress;
use crate::engine::link::Transport;
use crate::engine::polling::payload_response;
use crate::engine::settings::LINGER_MS;
use crate::rt::Socket;

impl<A: Application> State<A> {
    /// Gives up a session that moves to another core; the application here knows nothing of it.
    pub(in crate::engine) fn release_websocket(&mut self, id: SessionId) {
        self.flush_one(id);
        self.count_transport(id, 1u64.wrapping_neg());
        self.metrics.moved.increment();
        let backlog = self.links.get_mut(id).and_then(|link| link.backlog.take());
        let unsent_bytes = backlog.map_or(0, |backlog| backlog.byte_count());
        self.metrics.queued_bytes.add((unsent_bytes as u64).wrapping_neg());
        self.links.remove(id.slot);
    }

    /// The task of a WebSocket ends. A session that was still open is lost.
    pub(in crate::engine) fn socket_gone(&mut self, id: SessionId, reason: CloseReason, now: Now) {
        if self.is_open(id) {
            self.end(id, reason, now);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        if let Transport::Closing(socket) = &link.transport {
            let unsent_bytes = link.backlog.take().map_or(0, |backlog| backlog.byte_count());
            if unsent_bytes > 0 {
                socket.give_up();
            }
            self.metrics.queued_bytes.add((unsent_bytes as u64).wrapping_neg());
            self.links.remove(id.slot);
        }
    }

    /// Ends the WebSockets that lost their task to a panic: then nobody but their link has the socket.
    pub(in crate::engine) fn end_orphans(&mut self, now: Now) {
        for slot in self.links.slots_in_use() {
            let transport = self.links.at_mut(slot).map(|link| &link.transport);
            if let Some(Transport::WebSocket(socket) | Transport::Closing(socket)) = transport
                && Rc::strong_count(socket) == 1
            {
                self.socket_gone(self.links.id_at(slot), CloseReason::Panicked, now);
            }
        }
    }

    /// Ends a session: the application hears of it, the peer is told as far as its transport allows.
    pub(in crate::engine) fn end(&mut self, id: SessionId, reason: CloseReason, now: Now) {
        if !self.is_open(id) {
            return;
        }
        self.flush_one(id);
        self.count_transport(id, 1u64.wrapping_neg());
        self.metrics.closed[reason as usize].increment();
        self.shared.session_count.fetch_sub(1, Ordering::Relaxed);
        let Some(link) = self.links.get_mut(id) else { return };
        let mut backlog = link.backlog.take();
        let backlog_bytes = backlog.as_ref().map_or(0, |backlog| backlog.byte_count());
        match std::mem::replace(&mut link.transport, Transport::Free) {
            Transport::Polling(polling) if polling.waiter.is_none() && has_last_words(reason) => {
                link.transport = Transport::Leaving(polling);
                link.backlog = backlog;
                self.wheel.arm(now.monotonic_ms() + LINGER_MS, Deadline::Linger(id));
                return self.app.handle_close(id, reason, now, &mut self.out);
            }
            Transport::WebSocket(socket) => {
                let is_told = is_owed_everything(reason) || reason == CloseReason::SlowReader;
                match backlog.take_if(|_| is_told) {
                    Some(waiting) => {
                        let last = match is_owed_everything(reason) {
                            true => waiting.closed(reason),
                            // Should it read again in time, it hears why.
                            false => waiting.cut_short(reason),
                        };
                        let last = Box::new(last);
                        self.metrics.queued_bytes.add(last.byte_count() as u64);
                        link.backlog = Some(last);
                    }
                    None => farewell(&socket, reason, backlog.is_some()),
                }
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

    /// Answers a poll of a session that is over: first with what was sent to it before, then with the
    /// close packet. Not with both: stock clients would close before they look at what came first.
    pub(super) fn last_words(&mut self, id: SessionId) -> Response {
        let words = self
            .links
            .get_mut(id)
            .and_then(|link| egress::take_from(&mut link.backlog, &self.egress_limits, &self.metrics));
        words.map(payload_response).unwrap_or_else(|| {
            self.let_go(id);
            payload_response(CLOSE_PACKET.to_vec())
        })
    }

    /// Frees the slot of a polling session that is over.
    pub(super) fn let_go(&mut self, id: SessionId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let unsaid_bytes = link.backlog.as_ref().map_or(0, |backlog| backlog.byte_count());
        self.metrics.queued_bytes.add((unsaid_bytes as u64).wrapping_neg());
        if let Transport::Leaving(polling) = self.links.remove(id.slot) {
            self.forget_birthplace(&polling);
        }
    }

    /// The sessions that are reached through a transport.
    pub(in crate::engine) fn open_sessions(&mut self) -> Vec<SessionId> {
        let ids = self.links.slots_in_use().into_iter().map(|slot| self.links.id_at(slot));
        let ids: Vec<SessionId> = ids.collect();
        ids.into_iter().filter(|id| self.is_open(*id)).collect()
    }

    /// Closes every session and answers every request, for a node that goes down.
    pub(in crate::engine) fn end_all(&mut self, now: Now) {
        self.abandon_all(now);
        self.end_forwards();
        for slot in self.links.slots_in_use() {
            let id = self.links.id_at(slot);
            self.end(id, CloseReason::ShuttingDown, now);
            if matches!(self.links.at_mut(slot).map(|link| &link.transport), Some(Transport::Moved(_))) {
                self.links.remove(slot);
            }
        }
    }

    /// Cuts the connections of closed sessions whose peers have not closed their side.
    pub(in crate::engine) fn cut_all(&mut self) {
        for slot in self.links.slots_in_use() {
            if let Some(Transport::Closing(socket)) = self.links.at_mut(slot).map(|link| &link.transport) {
                socket.give_up();
            }
        }
    }

    pub(super) fn count_transport(&mut self, id: SessionId, amount: u64) {
        match self.links.get_mut(id).map(|link| &link.transport) {
            Some(Transport::WebSocket(_)) => self.metrics.websockets.add(amount),
            Some(Transport::Polling(_)) => self.metrics.pollings.add(amount),
            _ => {}
        }
    }
}

/// Tells a WebSocket's peer why, if it reads; otherwise ends the connection without a word.
fn farewell(socket: &Socket, reason: CloseReason, is_blocked: bool) {
    match (is_blocked, reason) {
        // Nobody reads what is left, and nobody waits for the peer to close.
        (true, CloseReason::TransportLost | CloseReason::Panicked) => return socket.reset(),
        (false, CloseReason::TransportLost) => return socket.shutdown_both(),
        // The frame that was begun does not end.
        (true, _) => return socket.shutdown_write(),
        (false, _) => {}
    }
    let (code, text) = reason.websocket();
    let mut close = Vec::new();
    frame::push_close(&mut close, code, text);
    // A socket that does not take even this is closed without it.
    let _ = socket.send(&close);
    socket.shutdown_write();
}

/// Whether a WebSocket whose socket takes no more at the moment still gets what was sent to it, and the reason behind it,
/// if it takes that in time. It does where the node ends the session, not where its peer is gone, slow or hostile.
const fn is_owed_everything(reason: CloseReason) -> bool {
    has_last_words(reason) || matches!(reason, CloseReason::ShuttingDown)
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
