//! The local side of channels: for each channel with a session of this core in it, whom to hand its events to.

use smallvec::SmallVec;

use super::Shard;
use super::journal::Target;
use super::sessions::UNLISTED;
use super::table::{Named, Table};
use crate::Now;
use crate::ids::{ChannelName, CoreId, Epoch, Lane, Offset, RoomId};
use crate::mail::{Deliver, Notice};
use crate::metrics::EventClass;
use crate::outputs::Outputs;
use crate::placement::Placement;
use crate::publication::FormKey;

/// The members of a room that read the same frames.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) form: FormKey,
    /// Slots of their sessions.
    pub(super) members: Vec<u32>,
}

/// A publication that was handed out here and is in the journal no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fallen {
    /// Its position in the journal.
    pub(super) position: u64,
    /// The order that it belongs to.
    pub(super) lane: Lane,
    /// Its position there.
    pub(super) seq: u64,
}

/// One channel as this core sees it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) channel: ChannelName,
    /// The core that orders it.
    pub(super) home: CoreId,
    /// Sessions that are members and connected.
    pub(super) groups: SmallVec<[Group; 1]>,
    /// Sessions that asked to join and have no answer yet.
    pub(super) waiting_count: u32,
    /// Sessions that are members and lost their connection.
    pub(super) detached_count: u32,
    /// The place up to which everything was handed out here.
    pub(super) position: Option<(Epoch, Offset)>,
    /// Users in the channel when this core last asked.
    pub(super) member_count: u32,
    /// When the last message was handed out, in milliseconds since the epoch.
    pub(super) last_message_ms: u64,
    /// Presence comes in batches from the home.
    pub(super) is_big: bool,
    /// The last of its publications that fell out of the journal.
    pub(super) fallen: Option<Fallen>,
}

impl Named for Room {
    fn name(&self) -> &str {
        &self.channel
    }
}

impl Room {
    fn new(channel: &str, placement: &Placement) -> Self {
        Self {
            channel: ChannelName::from(channel),
            home: placement.home_of_channel(channel),
            groups: SmallVec::new(),
            waiting_count: 0,
            detached_count: 0,
            position: None,
            member_count: 0,
            last_message_ms: 0,
            is_big: false,
            fallen: None,
        }
    }

    /// Adds a session to the list of its form; returns its position there.
    pub(super) fn list(&mut self, form: FormKey, slot: u32) -> u32 {
        let group = match self.groups.iter_mut().position(|group| group.form == form) {
            Some(known) => &mut self.groups[known],
            None => {
                self.groups.push(Group { form, members: Vec::new() });
                self.groups.last_mut().expect("one was pushed")
            }
        };
        group.members.push(slot);
        u32::try_from(group.members.len() - 1).expect("slots are u32")
    }

    /// Takes a session out of its list; returns the session that stands at its position now, if any.
    pub(super) fn unlist(&mut self, form: FormKey, position: u32) -> Option<u32> {
        let at = self.groups.iter().position(|group| group.form == form)?;
        let members = &mut self.groups[at].members;
        members.swap_remove(position as usize);
        let moved = members.get(position as usize).copied();
        if members.is_empty() {
            self.groups.swap_remove(at);
        }
        moved
    }

    /// Every session that is listed.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        self.groups.iter().flat_map(|group| group.members.iter().copied())
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.waiting_count == 0 && self.detached_count == 0
    }

    /// Whether somebody here may take up a session that is lost now or later.
    fn is_resumable(&self) -> bool {
        self.detached_count > 0 || self.groups.iter().any(|group| group.form.has_cursor)
    }
}

/// All rooms of a core.
pub(super) type Rooms = Table<Room>;

impl Rooms {
    /// The room of a channel, made if this core had none.
    pub(super) fn find_or_insert(&mut self, channel: &str, placement: &Placement) -> u32 {
        let known = self.find(channel, placement);
        known.unwrap_or_else(|| self.insert(Room::new(channel, placement), placement))
    }

    /// Forgets a room that nobody is in or waits for. Letters to it are stale from now on.
    pub(super) fn remove_if_empty(&mut self, index: u32, placement: &Placement) {
        if self.at(index).is_empty() {
            self.remove(index, placement);
        }
    }
}

impl Shard {
    /// Hands a publication to every local member: the last hop, one copy of each form for all its readers.
    pub(super) fn hand_out(&mut self, deliver: Deliver, now: Now, out: &mut Outputs) {
        let Deliver { room: id, publication } = deliver;
        if self.placement.is_joined() {
            self.advance(&publication);
            self.list_late(id, publication.seq);
        }
        let Some(room) = self.rooms.get_mut(id) else {
            return self.metrics.stale_letters.increment();
        };
        if let (Some(offset), Some((_, position))) = (publication.offset, &mut room.position) {
            *position = offset;
        }
        if publication.is_message() {
            room.last_message_ms = publication.timestamp_ms;
        }
        let mut count = 0;
        for group in &room.groups {
            count += group.members.len();
            if group.form.has_cursor && self.placement.is_joined() {
                let cursor = self.lanes.cursor();
                out.broadcast_with(&group.members, |frames| publication.splice(frames, group.form, cursor));
                continue;
            }
            match publication.frames.get(group.form) {
                Some(frames) => out.broadcast(frames, &group.members),
                None => {
                    // The form came to the channel while the publication was on its way.
                    let mut frames = Vec::new();
                    publication.push(&mut frames, group.form, self.run);
                    self.metrics.encodes.increment();
                    out.broadcast(&frames, &group.members);
                }
            }
        }
        out.mark_latency(publication.received_us);
        self.metrics.deliveries.add(count as u64);
        self.metrics.delivered[EventClass::of_kind(&publication.kind) as usize].add(count as u64);
        let on_the_way_us = now.monotonic_us.saturating_sub(publication.received_us);
        match room.home == self.core {
            true => self.metrics.delivery_local.observe(on_the_way_us),
            false => self.metrics.delivery_across.observe(on_the_way_us),
        }
        if publication.is_belated {
            let (lane, seq) = (publication.lane, publication.seq + 1);
            room.fallen = Some(Fallen { position: self.journal.end() + 1, lane, seq });
            return;
        }
        let is_resumable = room.is_resumable();
        if is_resumable && self.limits.keeps_journal() {
            let target = Target::Room { room: id, lane: publication.lane, seq: publication.seq };
            self.journal.push(target, publication.memory_bytes(), publication, now.monotonic_ms());
            self.trim_journal(now);
        }
    }

    /// Drops what is too old or too much in the journal. Rooms remember the last of theirs that fell out: whoever got
    /// it misses nothing of them.
    pub(super) fn trim_journal(&mut self, now: Now) {
        let rooms = &mut self.rooms;
        let (users, lanes) = (&self.users, &mut self.lanes);
        self.journal.expire(now.monotonic_ms(), |position, entry| match entry.target {
            Target::Room { room, lane, seq } => {
                if let Some(room) = rooms.get_mut(room) {
                    room.fallen = Some(Fallen { position, lane, seq });
                }
            }
            Target::Own { user, seq, .. } => {
                lanes.own_past_mut(user, users).fallen = seq;
            }
            Target::Session(_) => {}
        });
    }

    /// Hands a volatile event to every local member but one.
    pub(super) fn hand_note(&mut self, notice: &Notice, out: &mut Outputs) {
        let Some(room) = self.rooms.get(notice.room) else {
            return self.metrics.stale_letters.increment();
        };
        let delivered = &self.metrics.delivered[notice.note.class as usize];
        let except = notice.except.filter(|id| self.sessions.is_live(*id)).map_or(UNLISTED, |id| id.slot);
        for group in &room.groups {
            let Some(frames) = notice.note.frames_for(group.form.volatile()) else { continue };
            if group.members.contains(&except) {
                let others: Vec<u32> = group.members.iter().copied().filter(|slot| *slot != except).collect();
                delivered.add(others.len() as u64);
                out.broadcast_volatile(frames, &others, notice.note.key);
            } else {
                delivered.add(group.members.len() as u64);
                out.broadcast_volatile(frames, &group.members, notice.note.key);
            }
        }
    }

    /// The home of a channel sends presence in batches from now on.
    pub(super) fn note_grown(&mut self, id: RoomId) {
        if let Some(room) = self.rooms.get_mut(id) {
            room.is_big = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEMENT: Placement = Placement::new(1, (1, 2));

    #[test]
    fn a_room_is_given_up_with_its_last_member_and_its_last_waiting_session() {
        let mut rooms = Rooms::default();
        let index = rooms.find_or_insert("a", &PLACEMENT);
        assert_eq!(rooms.find_or_insert("a", &PLACEMENT), index);
        rooms.at_mut(index).waiting_count = 1;
        rooms.remove_if_empty(index, &PLACEMENT);
        rooms.at_mut(index).waiting_count = 0;
        rooms.at_mut(index).detached_count = 1;
        rooms.remove_if_empty(index, &PLACEMENT);
        rooms.at_mut(index).detached_count = 0;
        let position = rooms.at_mut(index).list(FormKey::PLAIN, 7);
        rooms.remove_if_empty(index, &PLACEMENT);
        assert_eq!(rooms.find("a", &PLACEMENT), Some(index));
        rooms.at_mut(index).unlist(FormKey::PLAIN, position);
        rooms.remove_if_empty(index, &PLACEMENT);
        assert_eq!((rooms.find("a", &PLACEMENT), rooms.count()), (None, 0));
    }

    #[test]
    fn who_takes_a_free_position_is_told() {
        let mut room = Room::new("a", &PLACEMENT);
        for slot in [4, 5, 6] {
            room.list(FormKey::PLAIN, slot);
        }
        let other = FormKey { has_cursor: true, ..FormKey::PLAIN };
        room.list(other, 9);
        assert_eq!(room.unlist(FormKey::PLAIN, 0), Some(6));
        assert_eq!(room.unlist(FormKey::PLAIN, 1), None);
        assert_eq!(room.slots().collect::<Vec<_>>(), [6, 9]);
        assert_eq!((room.unlist(FormKey::PLAIN, 0), room.unlist(other, 0)), (None, None));
        assert!(room.is_empty());
    }
}
