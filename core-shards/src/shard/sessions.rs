//! The sessions of one core, by slot, and the rooms that each is in.

use std::num::NonZeroU64;
use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::dialect::{Dialect, Spelling};
use protocol::chat::status::Status;

use super::connect::Rights;
use super::particulars::Particulars;
use crate::chunks::Chunks;
use crate::ids::SessionId;
use crate::publication::FormKey;

/// Not in a room's list: the session waits for the home's answer, or has lost its connection.
pub(super) const UNLISTED: u32 = u32::MAX;

/// Which of a core's sessions one is, counted from the first. It stays the same when the session is taken up on
/// another connection, and its public ids are made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin(pub(super) NonZeroU64);

/// The spellings of a channel's name under which a session has joined it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spellings(u8);

impl Spellings {
    pub(super) const fn of(spelling: Spelling) -> Self {
        Self(1 << spelling as u8)
    }

    pub(super) fn add(&mut self, spelling: Spelling) {
        self.0 |= Self::of(spelling).0;
    }

    pub(super) fn remove(&mut self, spelling: Spelling) {
        self.0 &= !Self::of(spelling).0;
    }

    /// A bit for each, for records.
    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    /// From such bits; others than those of spellings are dropped.
    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & (Self::of(Spelling::Bare).0 | Self::of(Spelling::Prefixed).0))
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The one that events are written in: one frame serves both, and bare names are the rule.
    pub(super) const fn preferred(self) -> Spelling {
        if self.0 & Self::of(Spelling::Bare).0 != 0 { Spelling::Bare } else { Spelling::Prefixed }
    }
}

/// A session's place in one room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    /// Index of the room.
    pub(super) room: u32,
    /// Where the session stands in the room's list of its form, or [`UNLISTED`].
    pub(super) position: u32,
    /// Which of the core's joins led here.
    pub(super) ticket: u32,
    /// How events of the room are written for the session.
    pub(super) form: FormKey,
    /// How the session wrote the name.
    pub(super) spellings: Spellings,
    /// The session said that its user types, and has not said yet that it stopped everywhere.
    pub(super) types: bool,
    /// The place from which on events of the room are the session's: in the core's journal, or with a shared store in the
    /// room's lane. None of them as long as the home has not answered.
    pub(super) journal_start: u64,
}

impl Membership {
    /// No event is so late.
    pub(super) const UNANSWERED: u64 = u64::MAX;

    /// Whether the home has answered.
    pub(super) const fn is_member(&self) -> bool {
        self.journal_start != Self::UNANSWERED
    }
}

/// One connected session.
#[derive(Debug)]
pub(super) struct Session {
    /// Index of the user.
    pub(super) user: u32,
    /// One entry a channel, at most `channels_per_session_max`.
    pub(super) memberships: SmallVec<[Membership; 1]>,
    /// Display name, if the token has one.
    pub(super) name: Option<Arc<str>>,
    /// What the token allows beyond what everybody may.
    pub(super) rights: Option<Arc<Rights>>,
    pub(super) origin: Origin,
    /// What the session itself said of its user, if anything.
    pub(super) said: Option<Status>,
    /// The names of events that it reads, once it is known.
    pub(super) dialect: Option<Dialect>,
    /// Durable events carry a cursor, from which the session can resume.
    pub(super) has_cursor: bool,
    pub(super) particulars: Particulars,
}

impl Session {
    pub(super) fn membership(&self, room: u32) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.room == room)
    }

    pub(super) fn membership_mut(&mut self, room: u32) -> Option<&mut Membership> {
        self.memberships.iter_mut().find(|membership| membership.room == room)
    }

    /// Nothing is known any more of where in their lane these rooms became the session's.
    pub(super) fn forget_starts(&mut self, rooms: &[u32]) {
        for membership in &mut self.memberships {
            if membership.is_member() && rooms.contains(&membership.room) {
                membership.journal_start = 0;
                self.particulars.forget_start(membership.ticket);
            }
        }
        self.particulars.forget_own_start();
    }

    /// The names of events that it reads.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect.unwrap_or(Dialect::Primary)
    }

    /// Whether a join has no answer yet: then a resumed session could be missing a channel that its client
    /// believes to be in.
    pub(super) fn is_joining(&self) -> bool {
        !self.particulars.asking().is_empty()
            || self.memberships.iter().any(|membership| !membership.is_member())
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    session: Option<Box<Session>>,
}

/// All sessions of a core. The slots are the shell's: it numbers connections, we follow.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    slots: Chunks<Slot>,
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
        let slot = self.slots.get(id.slot)?;
        if slot.generation == id.generation { slot.session.as_deref() } else { None }
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let slot = self.slots.get_mut(id.slot)?;
        if slot.generation == id.generation { slot.session.as_deref_mut() } else { None }
    }

    /// The session that stands in a slot now, for slots taken from a list of live sessions.
    pub(super) fn at(&self, slot: u32) -> Option<&Session> {
        self.slots.get(slot)?.session.as_deref()
    }

    /// As [`at`](Self::at), to be changed.
    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot)?.session.as_deref_mut()
    }

    /// The id of the session that stands in a slot now.
    pub(super) fn id_at(&self, slot: u32) -> SessionId {
        let generation = self.slots.get(slot).expect("whose session lives has a slot").generation;
        SessionId { slot, generation }
    }

    /// Every session with its id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        let numbered = (0..).zip(self.slots.iter());
        numbered.filter_map(|(slot, of)| {
            Some((SessionId { slot, generation: of.generation }, of.session.as_deref()?))
        })
    }

    pub(super) fn insert(&mut self, id: SessionId, session: Box<Session>) {
        while self.slots.len() <= id.slot as usize {
            self.slots.push(Slot::default());
        }
        if let Some(slot) = self.slots.get_mut(id.slot) {
            assert!(slot.session.is_none(), "a slot is given out only when its session is gone");
            *slot = Slot { generation: id.generation, session: Some(session) };
            self.live_count += 1;
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        self.get(id)?;
        self.live_count -= 1;
        self.slots.get_mut(id.slot)?.session.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Box<Session> {
        Box::new(Session {
            user: 0,
            memberships: SmallVec::new(),
            name: None,
            rights: None,
            origin: Origin(NonZeroU64::MIN),
            said: None,
            dialect: None,
            has_cursor: false,
            particulars: Particulars::default(),
        })
    }

    #[test]
    fn a_session_in_one_room_costs_ten_words() {
        assert_eq!((size_of::<Membership>(), size_of::<Session>()), (24, 80));
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
        let id = SessionId { slot: 0, generation: 0 };
        sessions.insert(id, session());
        sessions.insert(SessionId { slot: 0, generation: 1 }, session());
    }

    #[test]
    fn bare_names_are_preferred_while_they_are_used() {
        let mut spellings = Spellings::of(Spelling::Prefixed);
        assert_eq!(spellings.preferred(), Spelling::Prefixed);
        spellings.add(Spelling::Bare);
        assert_eq!(spellings.preferred(), Spelling::Bare);
        spellings.remove(Spelling::Bare);
        assert_eq!(spellings.preferred(), Spelling::Prefixed);
        spellings.remove(Spelling::Prefixed);
        assert!(spellings.is_empty());
    }
}
