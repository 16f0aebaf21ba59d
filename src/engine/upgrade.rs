//! The upgrade from polling to WebSocket: `2probe`, `3probe`, `5`, and then the session is the
//! socket's. The session may move to another core in the middle of it, because clients probe and
//! join at the same time; then the socket follows.

use std::rc::Rc;

use core_shards::{CoreId, Now, SessionId};
use protocol::engine_io::packet::{PROBE, PROBE_ANSWER, UPGRADE};
use protocol::engine_io::sid::Sid;
use protocol::websocket::frame::{Opcode, push_close, push_frame, push_masked_frame};
use protocol::websocket::{CloseCode, Decoder, Event, Limits, Role};

use super::application::Application;
use super::budget::HalfReceived;
use super::core::{Core, WatchGuard};
use super::http::read_some;
use super::link::Transport;
use super::mailbox::{Letter, Prober};
use super::polling::payload_response;
use super::settings::{HOPS_MAX, PROBE_BYTES_MAX, UPGRADE_TIMEOUT_MS};
use super::state::{Found, NOOP_PACKET, State};
use super::websocket::serve;
use crate::rt::Socket;

/// A WebSocket that wants to take over a polling session.
struct Probe<A: Application> {
    core: Rc<Core<A>>,
    socket: Rc<Socket>,
    watch: WatchGuard<A>,
    sid: Sid,
    surface: u8,
    has_probed: bool,
    hops: u8,
}

/// What came of a step, or of the bytes that were read.
enum Probed {
    /// More is needed.
    Waiting,
    /// The session is the socket's. These bytes came behind, and this much of a binary packet before.
    Complete(SessionId, Vec<u8>, HalfReceived),
    /// The session is on another core. These bytes must be read again there.
    Elsewhere(CoreId, Vec<u8>),
    /// The session goes on polling, if it is still there.
    Failed,
}

/// Starts an upgrade on a connection that has just become a WebSocket. `rest` was read already.
pub(super) fn begin<A: Application>(
    core: &Rc<Core<A>>,
    socket: Rc<Socket>,
    watch: WatchGuard<A>,
    sid: Sid,
    surface: u8,
    rest: Vec<u8>,
) {
    watch.set(Some(UPGRADE_TIMEOUT_MS));
    let probe = Probe { core: core.clone(), socket, watch, sid, surface, has_probed: false, hops: 0 };
    core.start(probe.run(rest));
}

/// Goes on with an upgrade that began on another core.
pub(super) fn resume<A: Application>(core: &Rc<Core<A>>, prober: Prober) {
    let Prober { fd, sid, surface, has_probed, hops, bytes } = prober;
    let Ok(socket) = Socket::new(fd) else { return };
    let socket = Rc::new(socket);
    let watch = core.watch(&socket, UPGRADE_TIMEOUT_MS);
    let probe = Probe { core: core.clone(), socket, watch, sid, surface, has_probed, hops };
    core.start(probe.run(bytes));
}

impl<A: Application> Probe<A> {
    /// Reads until the upgrade is complete or has failed. Woken by the socket; the watch bounds it.
    async fn run(mut self, mut bytes: Vec<u8>) {
        let limits =
            Limits { message_bytes_max: PROBE_BYTES_MAX, ..self.core.shared.settings.websocket_limits() };
        let mut decoder = Decoder::new(Role::Server);
        loop {
            match self.take(&mut decoder, &limits, &mut bytes) {
                Probed::Waiting => {}
                Probed::Complete(id, rest, half) => {
                    drop(self.watch);
                    return serve(&self.core, self.socket, id, self.surface, rest, half);
                }
                Probed::Elsewhere(core, bytes) => return self.follow(core, bytes),
                Probed::Failed => break,
            }
            match read_some(&self.core, &self.socket).await {
                Ok(more) => bytes = more,
                Err(_) => break,
            }
        }
        self.give_up();
    }

    fn take(&mut self, decoder: &mut Decoder, limits: &Limits, bytes: &mut [u8]) -> Probed {
        let mut feed = decoder.feed(bytes, limits);
        loop {
            let (said, step) = match feed.next() {
                Ok(None) => return Probed::Waiting,
                Ok(Some(Event::Pong(_))) => continue,
                Ok(Some(Event::Text(text))) if text.as_bytes() == PROBE && !self.has_probed => {
                    (PROBE, self.core.turn(|state, now| state.begin_upgrade(&self.sid, self.surface, now)))
                }
                Ok(Some(Event::Text(text))) if text.as_bytes() == UPGRADE && self.has_probed => {
                    let socket = self.socket.clone();
                    let step = |state: &mut State<A>, now| {
                        state.complete_upgrade(&self.sid, self.surface, socket, now)
                    };
                    (UPGRADE, self.core.turn(step))
                }
                Ok(Some(_)) | Err(_) => return Probed::Failed,
            };
            match step {
                Probed::Waiting if self.answer_probe() => {}
                Probed::Complete(id, _, half) => {
                    return Probed::Complete(id, feed.rest().to_vec(), half);
                }
                Probed::Elsewhere(core, mut again) if self.hops < HOPS_MAX => {
                    push_masked_frame(&mut again, Opcode::Text, said, [0; 4]);
                    again.extend_from_slice(feed.rest());
                    return Probed::Elsewhere(core, again);
                }
                Probed::Waiting | Probed::Elsewhere(..) | Probed::Failed => return Probed::Failed,
            }
        }
    }

    fn answer_probe(&mut self) -> bool {
        self.has_probed = true;
        let mut answer = Vec::new();
        push_frame(&mut answer, Opcode::Text, PROBE_ANSWER);
        self.socket.send(&answer).is_ok_and(|count| count == answer.len())
    }

    /// Goes to the core where the session is.
    fn follow(self, to: CoreId, bytes: Vec<u8>) {
        let Self { core, socket, watch, sid, surface, has_probed, hops } = self;
        drop(watch);
        let fd = Rc::try_unwrap(socket).map(Socket::into_fd);
        if let Ok(fd) = fd {
            let prober = Prober { fd, sid, surface, has_probed, hops: hops + 1, bytes };
            core.post(to, Letter::Prober(Box::new(prober)));
        }
    }

    fn give_up(self) {
        if self.has_probed {
            self.core.turn(|state, now| state.abandon_upgrade(&self.sid, self.surface, now));
        }
        let mut close = Vec::new();
        push_close(&mut close, CloseCode::NORMAL, "");
        // A socket that does not take even this is closed without it.
        let _ = self.socket.send(&close);
        self.socket.shutdown_write();
    }
}

impl<A: Application> State<A> {
    /// A WebSocket showed its probe. The waiting poll is released, so that the client can finish.
    fn begin_upgrade(&mut self, sid: &Sid, surface: u8, now: Now) -> Probed {
        let id = match self.find(sid, surface, now) {
            Found::Here(id) => id,
            Found::Elsewhere(core) => return Probed::Elsewhere(core, Vec::new()),
            Found::Foreign | Found::Unknown => return Probed::Failed,
        };
        let Some(Transport::Polling(polling)) = self.links.get_mut(id).map(|link| &mut link.transport) else {
            return Probed::Failed;
        };
        // Only one WebSocket at a time may try.
        if std::mem::replace(&mut polling.is_upgrading, true) {
            return Probed::Failed;
        }
        if let Some(waiter) = polling.waiter.take() {
            waiter.answer(payload_response(NOOP_PACKET.to_vec()));
        }
        Probed::Waiting
    }

    /// The upgrade failed; polling goes on, wherever the session is by now.
    pub(super) fn abandon_upgrade(&mut self, sid: &Sid, surface: u8, now: Now) {
        match self.find(sid, surface, now) {
            Found::Here(id) => {
                let transport = self.links.get_mut(id).map(|link| &mut link.transport);
                if let Some(Transport::Polling(polling)) = transport {
                    polling.is_upgrading = false;
                }
            }
            Found::Elsewhere(core) => self.outbox.post(core, Letter::UpgradeAbandoned(*sid, surface)),
            Found::Foreign | Found::Unknown => {}
        }
    }

    /// The client has changed over: what waited for a poll goes out on the socket.
    fn complete_upgrade(&mut self, sid: &Sid, surface: u8, socket: Rc<Socket>, now: Now) -> Probed {
        let id = match self.find(sid, surface, now) {
            Found::Here(id) => id,
            Found::Elsewhere(core) => return Probed::Elsewhere(core, Vec::new()),
            Found::Foreign | Found::Unknown => return Probed::Failed,
        };
        self.change_over(id, socket).map_or(Probed::Failed, |rest| Probed::Complete(id, Vec::new(), rest))
    }
}
