//! How far this core has come in every partition of the shared store, as the cursors of its frames say. Nothing without
//! such a store.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::Shard;
use super::sessions::UNLISTED;
use super::users::Users;
use crate::cursor::{Fold, RunId, Vector, Writer};
use crate::ids::{CoreId, Epoch, Lane, Place, RoomId, SessionId};
use crate::limits::OWNERS_VOID_MAX;
use crate::publication::Publication;

/// A session that has more of a room than this core has handed out: it came from a node that was ahead.
#[derive(Clone, Copy, Debug)]
struct Late {
    room: RoomId,
    session: SessionId,
    /// The position up to which it has everything.
    seq: u64,
}

/// What is known of few users.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnPast {
    /// The place of the last that was said in the user's own room and is in the journal no more; 0 if there is none.
    pub(super) fallen: u64,
    /// The store was not told of all absences of the user.
    pub(super) is_unshared: bool,
}

/// The places of one core.
#[derive(Debug)]
pub(super) struct Lanes {
    vector: Vector,
    /// The partitions' epochs, as far as they are known.
    epochs: SmallVec<[Option<Epoch>; 4]>,
    /// The vector's text; empty if it is to be written anew.
    text: String,
    /// Sessions that are handed nothing until this core has come as far as they have. Mostly nobody.
    late: Vec<Late>,
    /// Users of whom something is known besides. Those who are forgotten are swept out when they are too many.
    owners: HashMap<Place, OwnPast>,
}

impl Lanes {
    /// Of a core that has heard of nothing yet.
    pub(super) fn new(run: RunId, core: CoreId, partition_count: u16) -> Self {
        let epochs = SmallVec::from_elem(None, usize::from(partition_count));
        let mut vector = Vector::new(Writer::of(run, core), partition_count);
        vector.fold = Fold::of(epochs.iter().copied());
        Self { vector, epochs, text: String::new(), late: Vec::new(), owners: HashMap::new() }
    }

    /// The places.
    pub(super) fn vector(&self) -> &Vector {
        &self.vector
    }

    /// The cursor of whoever has everything up to here.
    pub(super) fn cursor(&mut self) -> &str {
        if self.text.is_empty() {
            self.vector.write(&mut self.text);
        }
        &self.text
    }

    /// Something of a lane is handed out. Returns whether it stands behind all that was before it.
    pub(super) fn advance(&mut self, lane: Lane, seq: u64) -> bool {
        let known = self.vector.seq(lane);
        if seq != known {
            self.vector.set(lane, seq);
            self.text.clear();
        }
        seq >= known
    }

    /// A home said how far it has come: everything before that was handed out to its members here.
    pub(super) fn raise(&mut self, lane: Lane, seq: u64) {
        self.advance(lane, seq.max(self.vector.seq(lane)));
    }

    /// Something was sent to one session out of turn: it stands in the journal at this position.
    pub(super) fn mark(&mut self, position: u64) {
        self.vector.mark = position;
        self.text.clear();
    }

    /// Whether only this core may take up sessions by the cursors that it writes.
    pub(super) fn bind(&mut self, is_bound: bool) {
        if self.vector.is_bound != is_bound {
            self.vector.is_bound = is_bound;
            self.text.clear();
        }
    }

    /// What is known of a user besides.
    pub(super) fn own_past(&self, user: Place) -> OwnPast {
        self.owners.get(&user).copied().unwrap_or_default()
    }

    /// As [`own_past`](Self::own_past), to be changed.
    pub(super) fn own_past_mut(&mut self, user: Place, users: &Users) -> &mut OwnPast {
        if self.owners.len() > 2 * users.count() + OWNERS_VOID_MAX {
            self.owners.retain(|user, _| users.get(*user).is_some());
        }
        self.owners.entry(user).or_default()
    }

    /// The epoch of a partition is known, or another. Returns whether it was another.
    pub(super) fn begin(&mut self, lane: Lane, epoch: Epoch) -> bool {
        let Some(known) = self.epochs.get_mut(lane.index()) else { return false };
        let former = known.replace(epoch);
        self.vector.fold = Fold::of(self.epochs.iter().copied());
        let is_other = former.is_some_and(|former| former != epoch);
        if is_other {
            self.vector.set(lane, 0);
        }
        self.text.clear();
        is_other
    }
}

impl Shard {
    /// A publication of the shared store is handed out here.
    pub(super) fn advance(&mut self, publication: &Publication) {
        if !self.lanes.advance(publication.lane, publication.seq) {
            // Only a store that contradicts itself goes back. Nobody resumes over that.
            self.forget_lane(publication.lane);
        }
    }

    /// The positions of a lane begin anew: those before it are not compared with what follows.
    pub(super) fn begin_lane(&mut self, lane: Lane, epoch: Epoch) {
        if self.lanes.begin(lane, epoch) {
            self.forget_lane(lane);
        }
        self.keep_all_records();
    }

    /// Positions of a lane that are known mean nothing any more: everything that comes is greater.
    fn forget_lane(&mut self, lane: Lane) {
        let is_meant = |name: &str| self.placement.partition_of(name).map(Lane::from) == Some(lane);
        let rooms: Vec<u32> = self.rooms.iter().map(|(index, _)| index).collect();
        let rooms: Vec<u32> =
            rooms.into_iter().filter(|index| is_meant(&self.rooms.at(*index).channel)).collect();
        let ids: Vec<SessionId> = self.sessions.iter().map(|(id, _)| id).collect();
        for index in &rooms {
            self.rooms.at_mut(*index).fallen = None;
            self.list_late(self.rooms.place(*index), u64::MAX);
        }
        for id in ids {
            if let Some(session) = self.sessions.get_mut(id) {
                session.forget_starts(&rooms);
            }
        }
        let users: Vec<u32> = self.users.iter().map(|(index, _)| index).collect();
        for index in users {
            let Some(past) = &mut self.users.at_mut(index).past else { continue };
            past.detached.iter_mut().for_each(|detached| detached.session.forget_starts(&rooms));
        }
        self.lanes.owners.values_mut().for_each(|own| own.fallen = 0);
        self.journal.begin_lane(lane);
    }

    /// A session is handed nothing of a room up to a position: it has all of it.
    pub(super) fn list_later(&mut self, room: RoomId, session: SessionId, seq: u64) {
        self.lanes.late.push(Late { room, session, seq });
    }

    /// Something of a room is handed out: whoever waited for what comes from here on is listed.
    pub(super) fn list_late(&mut self, room: RoomId, seq: u64) {
        if self.lanes.late.is_empty() {
            return;
        }
        let due = |late: &mut Late| late.room == room && late.seq < seq;
        let due: SmallVec<[Late; 4]> = self.lanes.late.extract_if(.., due).collect();
        for late in due {
            self.list(late.session, room);
        }
    }

    /// Puts a member into the list of its room, if it is in none.
    pub(super) fn list(&mut self, id: SessionId, place: RoomId) {
        let (Some(session), Some(room)) = (self.sessions.get_mut(id), self.rooms.get_mut(place)) else {
            return;
        };
        let Some(membership) = session.membership_mut(place.index) else { return };
        if membership.is_member() && membership.position == UNLISTED {
            membership.position = room.list(membership.form, id.slot);
            room.detached_count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_how_far_the_core_has_come_in_which_epochs() {
        let run = RunId::from_random(7);
        let mut lanes = Lanes::new(run, CoreId(1), 2);
        let first = lanes.cursor().to_owned();
        assert!(lanes.advance(Lane(1), 5 << 24) && lanes.advance(Lane(1), 5 << 24));
        assert_ne!(lanes.cursor(), first);
        assert!(!lanes.begin(Lane(1), Epoch::from_random(1)), "none was known");
        assert!(!lanes.begin(Lane(1), Epoch::from_random(1)));
        let cursor = lanes.cursor().to_owned();
        assert_eq!(Vector::parse(&cursor, 2).as_ref(), Some(lanes.vector()));
        assert!(lanes.begin(Lane(1), Epoch::from_random(2)));
        assert_eq!(lanes.vector().seq(Lane(1)), 0);
        assert!(!lanes.begin(Lane(9), Epoch::from_random(2)), "there is no such partition");
        assert!(lanes.advance(Lane(0), 1) && !lanes.advance(Lane(0), 0));
    }
}
