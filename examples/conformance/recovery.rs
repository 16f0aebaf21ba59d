//! Connection state recovery as Socket.IO's in-memory adapter has it: what was sent is kept for a
//! while, with whom it was for, and a session that was cut off is kept with its rooms.

use std::collections::{BTreeSet, VecDeque};

use core_shards::Now;

use super::namespace::Namespace;
use super::seating::Member;

/// How long a session and what it missed are kept.
const KEPT_MS: u64 = 2 * 60 * 1000;
/// Events that are kept; the oldest go first, and who needs them begins anew.
const EVENTS_MAX: usize = 10_000;
/// Bytes of events that are kept; a longer one cannot be recovered.
const EVENT_BYTES_MAX: usize = 16 << 20;
/// Sessions that are kept; the oldest go first.
const PARKED_MAX: usize = 1_000;

/// Whom an event is for.
#[derive(Clone, Debug)]
pub(crate) struct Audience {
    /// The namespace.
    pub(crate) namespace: Namespace,
    /// The room; `None` for the whole namespace. Every member is alone in a room named by its id.
    pub(crate) room: Option<String>,
    /// The id of the member that does not get it.
    pub(crate) except: Option<String>,
}

impl Audience {
    /// Whether somebody with this id and these rooms belongs to it.
    pub(crate) fn includes(&self, id: &str, rooms: &BTreeSet<String>) -> bool {
        let is_inside = self.room.as_deref().is_none_or(|room| room == id || rooms.contains(room));
        is_inside && self.except.as_deref() != Some(id)
    }
}

/// A session that may come back.
#[derive(Debug)]
struct Parked {
    namespace: Namespace,
    pid: String,
    id: String,
    rooms: BTreeSet<String>,
    until_ms: u64,
}

/// An event that may have been missed.
#[derive(Debug)]
struct Sent {
    audience: Audience,
    frames: Vec<u8>,
    until_ms: u64,
}

/// What a session that came back gets.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Its former id.
    pub(crate) id: String,
    /// Its private id.
    pub(crate) pid: String,
    /// Its rooms.
    pub(crate) rooms: BTreeSet<String>,
    /// The frames of every event that it missed.
    pub(crate) missed: Vec<u8>,
}

/// What is kept for sessions that may come back.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// Oldest first, without a gap in their offsets.
    events: VecDeque<Sent>,
    event_bytes: usize,
    /// The offset of the event to come.
    next_offset: usize,
    parked: VecDeque<Parked>,
}

impl Recovery {
    /// Keeps an event and returns its frames. `write` is given the offset to put into them.
    pub(crate) fn keep(
        &mut self,
        audience: Audience,
        now: Now,
        write: impl FnOnce(&mut Vec<u8>, &str),
    ) -> Vec<u8> {
        let mut frames = Vec::new();
        write(&mut frames, &self.next_offset.to_string());
        self.next_offset += 1;
        self.event_bytes += frames.len();
        let until_ms = now.monotonic_ms() + KEPT_MS;
        self.events.push_back(Sent { audience, frames: frames.clone(), until_ms });
        self.forget_old_events(now);
        frames
    }

    fn forget_old_events(&mut self, now: Now) {
        while let Some(oldest) = self.events.front() {
            let is_full = self.events.len() > EVENTS_MAX || self.event_bytes > EVENT_BYTES_MAX;
            if !is_full && oldest.until_ms >= now.monotonic_ms() {
                return;
            }
            self.event_bytes -= oldest.frames.len();
            self.events.pop_front();
        }
    }

    /// Keeps a member that was cut off.
    pub(crate) fn park(&mut self, namespace: Namespace, member: &Member, now: Now) {
        let Some(pid) = member.pid.clone() else { return };
        if self.parked.len() >= PARKED_MAX {
            self.parked.pop_front();
        }
        let until_ms = now.monotonic_ms() + KEPT_MS;
        let (id, rooms) = (member.id.clone(), member.rooms.clone());
        self.parked.push_back(Parked { namespace, pid, id, rooms, until_ms });
    }

    /// Gives a session back, once, to whoever knows its private id and an offset that is still kept.
    pub(crate) fn restore(
        &mut self,
        namespace: Namespace,
        pid: &str,
        offset: &str,
        now: Now,
    ) -> Option<Recovered> {
        self.parked.retain(|parked| parked.until_ms >= now.monotonic_ms());
        self.forget_old_events(now);
        let first_offset = self.next_offset - self.events.len();
        let place = offset.parse::<usize>().ok()?.checked_sub(first_offset)?;
        if place >= self.events.len() {
            return None;
        }
        let is_it = |parked: &Parked| parked.namespace == namespace && parked.pid == pid;
        let parked = self.parked.remove(self.parked.iter().position(is_it)?)?;
        let mut missed = Vec::new();
        for sent in self.events.range(place + 1..) {
            if sent.audience.namespace == namespace && sent.audience.includes(&parked.id, &parked.rooms) {
                missed.extend_from_slice(&sent.frames);
            }
        }
        Some(Recovered { id: parked.id, pid: parked.pid, rooms: parked.rooms, missed })
    }
}
