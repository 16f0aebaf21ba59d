//! How sessions begin on a core: opened by a handshake, or arrived from another core.

use std::rc::Rc;

use core_shards::{CoreId, Now, SessionId};
use protocol::engine_io::sid::Sid;

use super::{Deadline, State};
use crate::engine::SurfaceKind;
use crate::engine::application::{Application, Opening};
use crate::engine::link::{Transport, surface_number};
use crate::engine::polling::Polling;
use crate::rt::Socket;

impl<A: Application> State<A> {
    /// Opens a session that polls. The caller has checked the capacity.
    pub(in crate::engine) fn open_polling(&mut self, secret: [u8; 16], opening: Opening, now: Now) -> Sid {
        let placeholder = Sid { node: self.node(), core: self.core.0, slot: 0, secret };
        let polling = Transport::Polling(Box::new(Polling::new(placeholder, None)));
        let id = self.links.insert(polling, surface_number(opening.surface), now.monotonic_ms());
        let sid = Sid { slot: id.slot, ..placeholder };
        if let Some(Transport::Polling(polling)) = self.links.get_mut(id).map(|link| &mut link.transport) {
            polling.sid = sid;
        }
        self.opened(id, opening, now);
        sid
    }

    /// Opens a session on a WebSocket whose client has been told so.
    pub(in crate::engine) fn open_websocket(
        &mut self,
        socket: Rc<Socket>,
        opening: Opening,
        now: Now,
    ) -> SessionId {
        let surface = surface_number(opening.surface);
        let id = self.links.insert(Transport::WebSocket(socket), surface, now.monotonic_ms());
        self.opened(id, opening, now);
        id
    }

    pub(super) fn opened(&mut self, id: SessionId, opening: Opening, now: Now) {
        self.metrics.opened.increment();
        self.arm_session(id, now);
        if self.settings.surfaces[opening.surface].kind == SurfaceKind::SocketIo {
            self.expect_join(id, now);
        }
        self.count_transport(id, 1);
        self.app.handle_open(id, opening, now, &mut self.out);
    }

    pub(super) fn arm_session(&mut self, id: SessionId, now: Now) {
        let ping_ms = now.monotonic_ms() + u64::from(self.settings.ping_interval_ms);
        if let Some(link) = self.links.get_mut(id) {
            link.heartbeat.plan_ping(ping_ms);
        }
        self.wheel.arm(ping_ms, Deadline::Ping(id));
    }

    /// Takes in a session that moved here. Returns what the caller still has to do for it.
    pub(in crate::engine) fn arrive_websocket(
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
    pub(in crate::engine) fn arrive_polling(
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

    pub(super) fn arrived(&mut self, id: SessionId, passport: A::Passport, now: Now) {
        if let Some(link) = self.links.get_mut(id) {
            link.joining.join();
        }
        self.arm_session(id, now);
        self.count_transport(id, 1);
        self.app.handle_arrival(id, passport, now, &mut self.out);
    }
}
