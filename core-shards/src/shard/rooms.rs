//! The local side of channels: for each channel with a session of this core in it, whom to hand its messages to.

use hashbrown::HashTable;

use super::Shard;
use crate::ids::{ChannelName, CoreId, RoomId};
use crate::mail::Deliver;
use crate::outputs::Outputs;
use crate::placement::Placement;

/// One channel as this core sees it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) channel: ChannelName,
    /// The core that orders it.
    pub(super) home: CoreId,
    /// Slots of the sessions that are members.
    pub(super) members: Vec<u32>,
    /// Sessions that asked to join and have no answer yet.
    pub(super) waiting_count: u32,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    room: Option<Room>,
}

/// All rooms of a core, by index and by name.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
}

impl Rooms {
    pub(super) fn find(&self, channel: &str, placement: &Placement) -> Option<u32> {
        let is_it = |index: &u32| {
            self.slots[*index as usize].room.as_ref().is_some_and(|room| &*room.channel == channel)
        };
        self.by_name.find(placement.hash(channel), is_it).copied()
    }

    /// The room of a channel, made if this core had none.
    pub(super) fn find_or_insert(&mut self, channel: &str, placement: &Placement) -> u32 {
        if let Some(index) = self.find(channel, placement) {
            return index;
        }
        let room = Room {
            channel: ChannelName::from(channel),
            home: placement.home_of_channel(channel),
            members: Vec::new(),
            waiting_count: 0,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("a core has fewer than 2^32 rooms")
        });
        self.slots[index as usize].room = Some(room);
        let slots = &self.slots;
        self.by_name.insert_unique(placement.hash(channel), index, |index| {
            placement.hash(slots[*index as usize].room.as_ref().map_or("", |room| &room.channel))
        });
        index
    }

    /// How many rooms there are, as the table of names has it.
    pub(super) fn count(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn id(&self, index: u32) -> RoomId {
        RoomId { index, generation: self.slots[index as usize].generation }
    }

    pub(super) fn at_mut(&mut self, index: u32) -> &mut Room {
        self.slots[index as usize].room.as_mut().expect("a membership names a room that exists")
    }

    pub(super) fn at(&self, index: u32) -> &Room {
        self.slots[index as usize].room.as_ref().expect("a membership names a room that exists")
    }

    /// The room of a letter, unless it was given up since.
    pub(super) fn get(&self, id: RoomId) -> Option<&Room> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation == id.generation { slot.room.as_ref() } else { None }
    }

    /// Forgets a room that nobody is in or waits for. Letters to it are stale from now on.
    pub(super) fn remove_if_empty(&mut self, index: u32, placement: &Placement) {
        let slot = &mut self.slots[index as usize];
        let is_empty = |room: &Room| room.members.is_empty() && room.waiting_count == 0;
        let Some(room) = slot.room.take_if(|room| is_empty(room)) else { return };
        slot.generation = slot.generation.wrapping_add(1);
        if let Ok(entry) = self.by_name.find_entry(placement.hash(&room.channel), |entry| *entry == index) {
            entry.remove();
        }
        self.free.push(index);
    }
}

impl Shard {
    /// Hands a message to every local member: the last hop, one copy of the frame for all of them.
    pub(super) fn hand_out(&mut self, deliver: &Deliver, out: &mut Outputs) {
        let Some(room) = self.rooms.get(deliver.room) else {
            return self.metrics.stale_letters.increment();
        };
        out.broadcast(&deliver.publication.frames, &room.members);
        out.mark_latency(deliver.publication.received_us);
        self.metrics.deliveries.add(room.members.len() as u64);
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
        rooms.at_mut(index).members.push(7);
        rooms.remove_if_empty(index, &PLACEMENT);
        assert_eq!(rooms.find("a", &PLACEMENT), Some(index));
        rooms.at_mut(index).members.clear();
        rooms.remove_if_empty(index, &PLACEMENT);
        assert_eq!((rooms.find("a", &PLACEMENT), rooms.count()), (None, 0));
    }

    #[test]
    fn letters_to_a_former_room_do_not_reach_the_next_one_at_its_place() {
        let mut rooms = Rooms::default();
        let index = rooms.find_or_insert("a", &PLACEMENT);
        let former = rooms.id(index);
        assert!(rooms.get(former).is_some());
        rooms.remove_if_empty(index, &PLACEMENT);
        assert_eq!(rooms.find_or_insert("b", &PLACEMENT), index);
        assert!(rooms.get(former).is_none());
        assert!(rooms.get(rooms.id(index)).is_some());
    }
}
