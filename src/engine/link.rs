//! The table of sessions on one core, by slot: how each is reached, and what waits to be written to it.

use std::rc::Rc;

use core_shards::{Chunks, CoreId, FrameRef, SessionId};

use super::backlog::Backlog;
use super::heartbeat::Heartbeat;
use super::joining::Joining;
use super::polling::Polling;
use crate::rt::Socket;

/// How a session is reached.
///
/// ```text
///            open                    open, or upgrade done
///   Free ─────────> Polling ─────────────────────────────> WebSocket ──> Closing ──> Free
///                      │ move                                  │ move
///                      ├──────> Moved ──> Free                 └──────> Free
///                      └──────> Leaving ──> Free
/// ```
#[derive(Debug)]
pub(super) enum Transport {
    /// The slot has no session.
    Free,
    /// Requests come and go.
    Polling(Box<Polling>),
    /// One socket, shared with the task that reads from it.
    WebSocket(Rc<Socket>),
    /// The session lives on another core; its polling requests still come here first.
    Moved(CoreId),
    /// The session is over, the peer has not closed its side yet.
    Closing(Rc<Socket>),
    /// The session is over, its last packets wait for the polls that the client still makes.
    Leaving(Box<Polling>),
}

/// No node in the list of further frames.
pub(super) const NONE: u32 = u32::MAX;

/// What waits to be written at the end of the turn. The frames of a busy channel lie side by side,
/// so one range is the rule, and a list of further ones the exception.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// The first range.
    pub(super) first: FrameRef,
    /// First and last node of the list of further ranges.
    pub(super) more: (u32, u32),
}

/// One slot.
#[derive(Debug)]
pub(super) struct Link {
    generation: u32,
    pub(super) surface: u8,
    pub(super) joining: Joining,
    pub(super) transport: Transport,
    pub(super) pending: Option<Pending>,
    pub(super) backlog: Option<Box<Backlog>>,
    pub(super) heartbeat: Heartbeat,
}

/// All slots of a core.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Chunks<Link>,
    free: Vec<u32>,
}

impl Links {
    /// Takes a free slot.
    pub(super) fn insert(&mut self, transport: Transport, surface: u8, now_ms: u64) -> SessionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.links.push(Link {
                generation: 0,
                surface: 0,
                joining: Joining::default(),
                transport: Transport::Free,
                pending: None,
                backlog: None,
                heartbeat: Heartbeat::default(),
            });
            u32::try_from(self.links.len() - 1).expect("descriptors are fewer than 2^32")
        });
        let link = self.links.get_mut(slot).expect("a slot is given out with its link");
        link.transport = transport;
        link.surface = surface;
        link.joining = Joining::default();
        link.heartbeat = Heartbeat::begin(now_ms);
        SessionId { slot, generation: link.generation }
    }

    /// Gives a slot back and returns how its session was reached.
    pub(super) fn remove(&mut self, slot: u32) -> Transport {
        let Some(link) = self.links.get_mut(slot) else { return Transport::Free };
        let transport = std::mem::replace(&mut link.transport, Transport::Free);
        if matches!(transport, Transport::Free) {
            return transport;
        }
        link.generation = link.generation.wrapping_add(1);
        link.pending = None;
        link.backlog = None;
        self.free.push(slot);
        transport
    }

    /// The link of a session that still has its slot.
    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Link> {
        let link = self.links.get_mut(id.slot)?;
        (link.generation == id.generation && !matches!(link.transport, Transport::Free)).then_some(link)
    }

    /// The link in a slot, whoever has it.
    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Link> {
        self.links.get_mut(slot).filter(|link| !matches!(link.transport, Transport::Free))
    }

    /// The socket of the session in a slot, if that is how it is reached.
    pub(super) fn socket_at(&self, slot: u32) -> Option<&Socket> {
        match &self.links.get(slot)?.transport {
            Transport::WebSocket(socket) => Some(socket),
            _ => None,
        }
    }

    /// The id of the session in a slot.
    pub(super) fn id_at(&self, slot: u32) -> SessionId {
        SessionId { slot, generation: self.links.get(slot).map_or(0, |link| link.generation) }
    }

    /// Every slot in use.
    pub(super) fn slots_in_use(&self) -> Vec<u32> {
        let in_use = |(slot, link): (usize, &Link)| {
            (!matches!(link.transport, Transport::Free)).then(|| u32::try_from(slot).ok()).flatten()
        };
        self.links.iter().enumerate().filter_map(in_use).collect()
    }
}

/// A surface's number as a link keeps it.
pub(super) fn surface_number(surface: usize) -> u8 {
    u8::try_from(surface).expect("an engine has a handful of surfaces")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_under_another_generation() {
        let mut links = Links::default();
        let first = links.insert(Transport::Moved(CoreId(1)), 0, 0);
        links.remove(first.slot);
        let second = links.insert(Transport::Moved(CoreId(2)), 0, 0);
        assert_eq!(first.slot, second.slot);
        assert!(links.get_mut(first).is_none());
        assert!(links.get_mut(second).is_some());
        assert_eq!(links.slots_in_use(), [second.slot]);
    }

    #[test]
    fn an_idle_link_is_small() {
        assert!(size_of::<Link>() <= 72, "{}", size_of::<Link>());
    }
}
