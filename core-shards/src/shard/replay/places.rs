//! Replay by places in the lanes of a shared store. What is handed out here has its place whichever node wrote the cursor;
//! only what was sent to single sessions out of turn is counted by this core's own journal.

use std::sync::Arc;

use protocol::chat::dialect::Spelling;

use super::super::Shard;
use super::super::journal::{Entry, Target};
use super::super::sessions::Session;
use crate::cursor::Vector;
use crate::ids::{Lane, SessionId};
use crate::limits::REPLAY_BYTES_MAX;
use crate::outputs::Outputs;
use crate::publication::{FormKey, Publication};

impl Shard {
    /// The places of a cursor, as seen from here: what another core sent out of turn was not sent by this one. `None` if
    /// they cannot be compared with those of this core.
    pub(in super::super) fn read_places(&self, cursor: &str) -> Option<Vector> {
        let own = self.lanes.vector();
        let mut places = Vector::parse(cursor, self.placement.partition_count())?;
        if places.fold != own.fold {
            return None;
        }
        if places.writer != own.writer {
            (places.writer, places.mark) = (own.writer, 0);
        }
        places.is_bound = own.is_bound;
        Some(places)
    }

    /// Up to where the client of a session has everything, if the journal has all that follows.
    pub(super) fn places_of(&self, cursor: &str, session: &Session) -> Option<Vector> {
        let read = Vector::parse(cursor, self.placement.partition_count())?;
        let came_with_it = || session.particulars.adopted().is_some_and(|adopted| *adopted.cursor == *cursor);
        // Whoever has a cursor of another node was there since, and this session is what is left of before. Unless it came
        // with that cursor, and has got nothing here.
        if read.writer != self.lanes.vector().writer && !came_with_it() {
            return None;
        }
        let start = self.read_places(cursor)?;
        if self.misses_apart(session, start.mark) || self.misses_places(session, &start) {
            return None;
        }
        let missed = self.missed_places(session, &start);
        let bytes: usize = missed.map(|(_, entry, _)| entry.publication.memory_bytes()).sum();
        (bytes <= REPLAY_BYTES_MAX).then_some(start)
    }

    /// Whether something after these places, that was the session's, has fallen out of the journal.
    fn misses_places(&self, session: &Session, start: &Vector) -> bool {
        let mut rooms =
            session.memberships.iter().map(|membership| (membership, self.rooms.at(membership.room)));
        let own_fallen = self.lanes.own_past(self.users.place(session.user)).fallen;
        own_fallen > self.own_start(session, start)
            || rooms.any(|(membership, room)| {
                let fallen = room.fallen;
                fallen.is_some_and(|fallen| fallen.seq > start.seq(fallen.lane).max(membership.journal_start))
            })
    }

    /// The place after which what is said in the own room of a session's user is the session's.
    fn own_start(&self, session: &Session, start: &Vector) -> u64 {
        let own_room = format!("user:{}", self.users.at(session.user).id);
        let lane = self.placement.partition_of(&own_room).map(Lane::from);
        lane.map_or(0, |lane| start.seq(lane)).max(session.particulars.own_start())
    }

    /// What was handed out after these places and is a session's, with its position and the form in which it reads it.
    pub(in super::super) fn missed_places<'a>(
        &'a self,
        session: &'a Session,
        start: &'a Vector,
    ) -> impl Iterator<Item = (u64, &'a Entry<Arc<Publication>>, FormKey)> {
        let (user, own_start) = (self.users.place(session.user), self.own_start(session, start));
        let own_room = self.rooms.find(&format!("user:{}", self.users.at(session.user).id), &self.placement);
        let own = own_room.and_then(|room| session.membership(room));
        let bare = session.form(Spelling::Bare);
        let mut first = self.journal.start_of(|lane| start.seq(lane));
        if session.particulars.apart_end() > start.mark {
            first = first.min(start.mark);
        }
        self.journal.after(first).filter_map(move |(position, entry)| {
            let form = match entry.target {
                Target::Room { room, lane, seq } => {
                    let room = self.rooms.get(room).map(|_| room.index);
                    let membership = room.and_then(|room| session.membership(room));
                    membership.filter(|of| seq > of.journal_start && seq > start.seq(lane)).map(|of| of.form)
                }
                Target::Own { user: of, seq, .. } => {
                    let is_member = own.is_some_and(|own| own.is_member() && seq > own.journal_start);
                    (of == user && seq > own_start && !is_member).then_some(bare)
                }
                Target::Session(origin) if origin == session.origin && position > start.mark => {
                    let room = self.rooms.find(&entry.publication.channel, &self.placement);
                    let membership = room.and_then(|room| session.membership(room));
                    let is_own = &*entry.publication.channel == self.own_room_of(session).as_str();
                    membership.map(|of| of.form).or(is_own.then_some(bare))
                }
                Target::Session(_) => None,
            };
            Some((position, entry, form?))
        })
    }

    fn own_room_of(&self, session: &Session) -> String {
        format!("user:{}", self.users.at(session.user).id)
    }

    /// Sends what a session missed, each with the places that its client has then. Returns how much it was.
    pub(super) fn replay_places(&self, id: SessionId, start: Vector, out: &mut Outputs) -> u64 {
        let Some(session) = self.sessions.get(id) else { return 0 };
        let (mut count, mut reached) = (0, start.clone());
        for (position, entry, form) in self.missed_places(session, &start) {
            match entry.target {
                Target::Room { lane, seq, .. } | Target::Own { lane, seq, .. } => reached.set(lane, seq),
                Target::Session(_) => {
                    reached.mark = position;
                    // Whatever its lane brought before was handed out before, so it is replayed before.
                    let (lane, seq) = (entry.publication.lane, entry.publication.seq);
                    reached.set(lane, seq.max(reached.seq(lane)));
                }
            }
            let cursor = reached.text();
            out.send(id, |frame| entry.publication.splice(frame, form, &cursor));
            count += 1;
        }
        count
    }
}
