//! The sessions of one core, by slot, and the rooms that each is in.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::ids::SessionId;

/// A session's place in one room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    /// Index of the room.
    pub(super) room: u32,
    /// Where the session stands in the room's list, once it is a member.
    pub(super) position: Option<u32>,
    /// Which of the session's joins led here.
    pub(super) ticket: u32,
}

/// One connected session.
#[derive(Debug)]
pub(super) struct Session {
    /// Index of the user.
    pub(super) user: u32,
    /// Joins so far.
    pub(super) ticket: u32,
    /// One entry a channel, at most `channels_per_session_max`.
    pub(super) memberships: SmallVec<[Membership; 1]>,
    /// When the token ends, monotonic milliseconds; `u64::MAX` if it is not to be watched.
    pub(super) expires_at_ms: u64,
    /// When the wheel looks at this session next, monotonic milliseconds; `u64::MAX` if it does not.
    pub(super) looked_at_ms: u64,
    /// Display name, if the token has one.
    pub(super) name: Option<Arc<str>>,
}

impl Session {
    pub(super) fn membership(&self, room: u32) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.room == room)
    }

    pub(super) fn membership_mut(&mut self, room: u32) -> Option<&mut Membership> {
        self.memberships.iter_mut().find(|membership| membership.room == room)
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    session: Option<Session>,
}

/// All sessions of a core. The slots are the shell's: it numbers connections, we follow.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    slots: Vec<Slot>,
    live_count: usize,
}

impl Sessions {
    pub(super) fn is_live(&self, id: SessionId) -> bool {
        self.get(id).is_some()
    }

    pub(super) fn live_count(&self) -> usize {
        self.live_count
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.generation == id.generation { slot.session.as_ref() } else { None }
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.session.as_mut() } else { None }
    }

    /// The session that stands in a slot now, for slots taken from a room's list.
    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)?.session.as_mut()
    }

    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        let index = id.slot as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        assert!(self.slots[index].session.is_none(), "a slot is given out only when its session is gone");
        self.slots[index] = Slot { generation: id.generation, session: Some(session) };
        self.live_count += 1;
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.get(id)?;
        self.live_count -= 1;
        self.slots[id.slot as usize].session.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            user: 0,
            ticket: 0,
            memberships: SmallVec::new(),
            expires_at_ms: u64::MAX,
            looked_at_ms: u64::MAX,
            name: None,
        }
    }

    #[test]
    fn a_former_owner_of_a_slot_is_not_its_present_one() {
        let mut sessions = Sessions::default();
        let (former, present) = (SessionId { slot: 5, generation: 1 }, SessionId { slot: 5, generation: 2 });
        sessions.insert(former, session());
        assert!(sessions.remove(former).is_some());
        sessions.insert(present, session());
        assert!(sessions.get(former).is_none() && sessions.get_mut(former).is_none());
        assert!(sessions.remove(former).is_none());
        assert!(sessions.is_live(present));
        assert_eq!(sessions.live_count(), 1);
        assert!(!sessions.is_live(SessionId { slot: u32::MAX, generation: 0 }));
    }

    #[test]
    #[should_panic(expected = "a slot is given out only when its session is gone")]
    fn a_slot_in_use_is_not_given_out() {
        let mut sessions = Sessions::default();
        sessions.insert(SessionId { slot: 0, generation: 0 }, session());
        sessions.insert(SessionId { slot: 0, generation: 1 }, session());
    }
}
