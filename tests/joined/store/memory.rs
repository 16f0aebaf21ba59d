//! What the store keeps, and what its scripts do with it. Everything of a partition is in one place; nothing is done by
//! halves.

use std::collections::{BTreeMap, HashMap};

use core_shards::cursor::RunId;
use core_shards::ids::MessageId;
use core_shards::store::{Append, Head, Known, Progress, Stored, StoredPlace};
use core_shards::{ChannelName, Epoch, Offset, Partition, UserId};

/// How long a node lives that says nothing.
const LEASE_MS: u64 = 10_000;

/// Publications to users that are kept of a partition.
const USERS_MAX: usize = 10_000;

#[derive(Clone)]
struct Channel {
    epoch: Epoch,
    /// The partition's epoch in which that was made.
    partition_epoch: Epoch,
    offset: u64,
    timestamp_ms: u64,
    /// The number of the last publication that took an offset.
    last_number: u64,
    tail: Vec<Kept>,
}

#[derive(Clone)]
struct Kept {
    place: StoredPlace,
    payload: Vec<u8>,
}

#[derive(Clone, Default)]
struct Shelf {
    epoch: Option<Epoch>,
    number: u64,
    channels: BTreeMap<ChannelName, Channel>,
    users: Vec<(ChannelName, Kept)>,
    users_lost: bool,
    appended: HashMap<RunId, u32>,
    receipts: HashMap<Box<str>, (MessageId, StoredPlace)>,
}

/// Everything that the store keeps.
#[derive(Clone)]
pub(super) struct Memory {
    shelves: BTreeMap<u16, Shelf>,
    /// Records by private id, those that the session's own node keeps apart from those of others.
    sessions: HashMap<(Box<str>, bool), Vec<u8>>,
    absences: BTreeMap<UserId, BTreeMap<ChannelName, Vec<u8>>>,
    leases: HashMap<(RunId, u32), u64>,
    random: u64,
}

/// What came of an append.
pub(super) struct Done {
    pub(super) place: StoredPlace,
    pub(super) known_as: Option<MessageId>,
    /// What every node is told.
    pub(super) stored: Option<Stored>,
}

/// A publication once more.
pub(crate) fn copy(stored: &Stored) -> Stored {
    let Stored { channel, partition, place, payload } = stored;
    Stored { channel: channel.clone(), partition: *partition, place: *place, payload: payload.clone() }
}

impl Memory {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            shelves: BTreeMap::new(),
            sessions: HashMap::new(),
            absences: BTreeMap::new(),
            leases: HashMap::new(),
            random: seed | 1,
        }
    }

    pub(super) fn take_random(&self) -> u64 {
        self.random
    }

    pub(super) fn set_random(&mut self, random: u64) {
        self.random = random;
    }

    pub(super) fn forget_all(&mut self) {
        (self.shelves, self.sessions, self.leases) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        self.absences.clear();
    }

    fn new_epoch(&mut self) -> Epoch {
        self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        Epoch::from_random(self.random >> 20)
    }

    /// The epoch of a partition, made where there is none.
    fn partition_epoch(&mut self, partition: Partition) -> Epoch {
        if let Some(epoch) = self.shelves.entry(partition.0).or_default().epoch {
            return epoch;
        }
        let epoch = self.new_epoch();
        self.shelf(partition).epoch = Some(epoch);
        epoch
    }

    fn shelf(&mut self, partition: Partition) -> &mut Shelf {
        self.shelves.entry(partition.0).or_default()
    }

    /// A channel, of the partition's epoch. Its offset goes on where it was.
    fn channel(&mut self, partition: Partition, name: &ChannelName) -> &mut Channel {
        let partition_epoch = self.partition_epoch(partition);
        let epoch = self.new_epoch();
        let channel = self.shelf(partition).channels.entry(name.clone()).or_insert_with(|| Channel {
            epoch,
            partition_epoch,
            offset: 0,
            timestamp_ms: 0,
            last_number: 0,
            tail: Vec::new(),
        });
        if channel.partition_epoch != partition_epoch {
            (channel.epoch, channel.partition_epoch) = (epoch, partition_epoch);
        }
        channel
    }

    pub(super) fn append(&mut self, append: &Append, run: RunId, now_ms: u64, size_max: usize) -> Done {
        let partition = append.partition;
        let partition_epoch = self.partition_epoch(partition);
        let shelf = self.shelf(partition);
        let last = shelf.appended.get(&run).copied();
        let known = append.idempotency.as_ref().and_then(|key| shelf.receipts.get(key)).copied();
        let ahead = last.map_or(1, |last| append.number.wrapping_sub(last) as i32);
        if ahead == 0 || (ahead < 0 && !append.is_out_of_turn) {
            // A broken line delivers it late.
            let place = StoredPlace {
                partition_epoch,
                number: 0,
                epoch: partition_epoch,
                offset: Offset(0),
                timestamp_ms: 0,
            };
            let (known_as, place) = known.map_or((None, place), |(id, place)| (Some(id), place));
            return Done { place, known_as, stored: None };
        }
        if ahead > 0 {
            shelf.appended.insert(run, append.number);
        }
        if let Some((id, place)) = known {
            return Done { place, known_as: Some(id), stored: None };
        }
        shelf.number += 1;
        let number = shelf.number;
        let channel = self.channel(partition, &append.channel);
        channel.timestamp_ms = now_ms.max(channel.timestamp_ms + 1);
        channel.offset += u64::from(append.is_kept);
        let place = StoredPlace {
            partition_epoch,
            number,
            epoch: channel.epoch,
            offset: Offset(if append.is_kept { channel.offset } else { 0 }),
            timestamp_ms: channel.timestamp_ms,
        };
        let kept = Kept { place, payload: append.payload.clone() };
        if append.is_kept {
            channel.last_number = number;
            channel.tail.push(kept.clone());
            let surplus = channel.tail.len().saturating_sub(size_max);
            channel.tail.drain(..surplus);
        }
        let shelf = self.shelf(partition);
        if append.channel.starts_with("user:") {
            shelf.users.push((append.channel.clone(), kept.clone()));
            shelf.users_lost |= shelf.users.len() > USERS_MAX;
        }
        if let Some(key) = &append.idempotency {
            shelf.receipts.insert(key.clone(), (append.id, place));
        }
        let stored = stored(&append.channel, partition, &kept);
        Done { place, known_as: None, stored: Some(stored) }
    }

    pub(super) fn head(&mut self, partition: Partition) -> Head {
        Head { epoch: self.partition_epoch(partition), number: self.shelf(partition).number }
    }

    pub(super) fn appended(&mut self, partition: Partition, run: RunId) -> u32 {
        self.shelf(partition).appended.get(&run).copied().unwrap_or(0)
    }

    pub(super) fn past(
        &mut self,
        partition: Partition,
        name: &ChannelName,
    ) -> (Epoch, Offset, u64, u64, Vec<Stored>) {
        let channel = self.channel(partition, name);
        let tail = channel.tail.iter().map(|kept| stored(name, partition, kept)).collect();
        (channel.epoch, Offset(channel.offset), channel.timestamp_ms, channel.last_number, tail)
    }

    pub(super) fn users_after(&mut self, partition: Partition, number: u64) -> Option<Vec<Stored>> {
        let shelf = self.shelf(partition);
        if shelf.users_lost {
            return None;
        }
        let after = shelf.users.iter().filter(|(_, kept)| kept.place.number > number);
        Some(after.map(|(channel, kept)| stored(channel, partition, kept)).collect())
    }

    pub(super) fn progress(&mut self, partition: Partition, known: Known) -> Option<Progress> {
        let (epoch, offset, timestamp_ms, _, mut tail) = self.past(partition, &known.channel);
        if (epoch, offset, timestamp_ms) == (known.epoch, known.offset, known.timestamp_ms) {
            return None;
        }
        if epoch == known.epoch && offset >= known.offset {
            tail.retain(|stored| stored.place.offset >= known.offset);
        }
        Some(Progress { channel: known.channel, epoch, offset, tail })
    }

    pub(super) fn renounce(&mut self, partition: Partition, epoch: Epoch) {
        if self.partition_epoch(partition) == epoch {
            let epoch = self.new_epoch();
            self.shelf(partition).epoch = Some(epoch);
        }
    }

    pub(super) fn keep_session(&mut self, pid: Box<str>, is_own: bool, record: Vec<u8>) {
        self.sessions.insert((pid, is_own), record);
    }

    pub(super) fn drop_session(&mut self, pid: Box<str>, is_own: bool) {
        self.sessions.remove(&(pid, is_own));
    }

    pub(super) fn take_session(&mut self, pid: &str) -> Option<Vec<u8>> {
        let own = self.sessions.remove(&(pid.into(), true));
        self.sessions.remove(&(pid.into(), false)).or(own)
    }

    pub(super) fn note_absences(&mut self, user: &UserId, channels: Vec<(ChannelName, Vec<u8>)>) {
        let known = self.absences.entry(user.clone()).or_default();
        for (channel, since) in channels {
            known.entry(channel).or_insert(since);
        }
    }

    pub(super) fn absences(&self, user: &UserId) -> Vec<(ChannelName, Vec<u8>)> {
        let known = self.absences.get(user).into_iter().flatten();
        known.map(|(channel, since)| (channel.clone(), since.clone())).collect()
    }

    pub(super) fn end_absence(&mut self, user: &UserId, channel: &ChannelName) {
        if let Some(known) = self.absences.get_mut(user) {
            known.remove(channel);
        }
    }

    /// Renews a lease; whether it was held, whether any was, and who lives.
    pub(super) fn renew(
        &mut self,
        lease: (RunId, u32),
        is_last: bool,
        now_ms: u64,
    ) -> (bool, bool, Vec<(RunId, u32)>) {
        self.leases.retain(|_, end_ms| *end_ms > now_ms);
        let (was_held, was_any) = (self.leases.contains_key(&lease), !self.leases.is_empty());
        match is_last {
            true => drop(self.leases.remove(&lease)),
            false => drop(self.leases.insert(lease, now_ms + LEASE_MS)),
        }
        let mut alive: Vec<_> = self.leases.keys().copied().collect();
        alive.sort_by_key(|(run, generation)| (run.as_str().to_owned(), *generation));
        (was_held, was_any, alive)
    }
}

fn stored(channel: &ChannelName, partition: Partition, kept: &Kept) -> Stored {
    Stored { channel: channel.clone(), partition, place: kept.place, payload: kept.payload.clone() }
}
