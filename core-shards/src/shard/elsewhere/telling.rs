//! What this core tells other nodes of its own users: changes, one lane for each partition, and whole states for whoever
//! missed some.

use std::collections::VecDeque;

use protocol::chat::status::Status;
use protocol::relay::signal::{Change, Changes, Lane, Piece, Word};

use super::lanes::FIRST_GENERATION;
use super::remote::{Choices, Said};
use crate::Now;
use crate::ids::Partition;
use crate::shard::Shard;
use crate::store::Topic;

/// Bytes of changes that one signal carries, and one change more.
const PARCEL_BYTES: usize = 32 << 10;

/// Pieces of whole states that are told at a time.
const PIECES_AT_A_TIME: usize = 8;

/// What is told of the users of one partition.
#[derive(Debug, Default)]
struct OwnLane {
    /// The number of the last change.
    number: u64,
    /// Changes that were not sent yet.
    bytes: Vec<u8>,
    count: u32,
}

/// A state that is being told.
#[derive(Debug)]
struct Recital {
    partition: Partition,
    /// The next piece.
    index: u32,
    /// Users before this index were told.
    next_user: u32,
    /// Somebody asked who may have missed its beginning: it is told again.
    is_wanted_again: bool,
}

/// What a core tells.
#[derive(Debug)]
pub(super) struct Telling {
    generation: u32,
    lanes: Box<[OwnLane]>,
    has_unsent: bool,
    recitals: VecDeque<Recital>,
}

impl Telling {
    pub(super) fn new(partition_count: u16) -> Self {
        let lanes = (0..partition_count).map(|_| OwnLane::default()).collect();
        Self { generation: FIRST_GENERATION, lanes, has_unsent: false, recitals: VecDeque::new() }
    }

    /// All lanes begin anew.
    pub(super) fn begin_generation(&mut self, generation: u32) {
        self.generation = generation;
        self.lanes.fill_with(OwnLane::default);
        self.recitals.clear();
    }

    pub(super) fn is_telling_states(&self) -> bool {
        !self.recitals.is_empty()
    }
}

impl Shard {
    /// Tells other nodes how a user's devices here are, if that is news; `is_said` if one of them said so.
    pub(in crate::shard) fn tell_devices(&mut self, user: u32, is_said: bool, now: Now) {
        if !self.placement.is_joined() {
            return;
        }
        if self.limits.presence_enabled {
            self.recount(user, now);
        }
        let said = self.said(user, now);
        let status = said.iter().map(|said| said.unwrap_or(Status::Online)).min();
        let of = self.users.at(user);
        let (id, last_seen_unix_ms) = (of.id.clone(), of.standing.visible(now.unix_ms).last_seen_unix_ms);
        if of.sessions.is_empty() && of.detached().is_empty() {
            let was_told = self.elsewhere.abroad_mut(user).and_then(|abroad| abroad.told.take()).is_some();
            self.elsewhere.tidy(user);
            if was_told {
                self.tell_change(&Change::Gone { user: &id, last_seen_unix_ms });
            }
            return;
        }
        let connection_count = match self.limits.connections_per_user_max {
            0 => 0,
            _ => u32::try_from(of.sessions.len()).unwrap_or(u32::MAX),
        };
        let abroad = self.elsewhere.abroad_or_default(user);
        let choices = if status.is_some() { abroad.choices.clone() } else { Choices::default() };
        let said = Said { status, connection_count, last_seen_unix_ms, choices };
        let is_known = abroad.told.as_ref().is_some_and(|told| told.is_as(&said));
        if is_said || !is_known {
            abroad.told = Some(said.clone());
            self.tell_change(&Change::Is { user: &id, summary: said.summary(), is_said });
        }
    }

    /// Tells other nodes that a user of this core came into a channel with a first session.
    pub(in crate::shard) fn tell_joined_elsewhere(
        &mut self,
        user: u32,
        channel: &str,
        name: Option<&str>,
        now: Now,
    ) {
        if self.placement.is_joined() {
            let user = self.users.at(user).id.clone();
            self.tell_change(&Change::Joined { user: &user, name, channel, joined_at_unix_ms: now.unix_ms });
        }
    }

    /// Tells other nodes that no session of a user of this core is in a room any more, if so.
    pub(in crate::shard) fn tell_left_elsewhere(&mut self, user: &str, room: u32, was_lost: bool) {
        if !self.placement.is_joined() {
            return;
        }
        let is_still_here =
            self.users.find(user, &self.placement).is_some_and(|user| self.is_in_room(user, room));
        if !is_still_here {
            let channel = self.rooms.at(room).channel.clone();
            self.tell_change(&Change::Left { user, channel: &channel, was_lost });
        }
    }

    fn tell_change(&mut self, change: &Change<'_>) {
        let Some(partition) = self.placement.partition_of(change.user()) else { return };
        let telling = &mut self.elsewhere.telling;
        let Some(lane) = telling.lanes.get_mut(partition.index()) else { return };
        lane.number += 1;
        lane.count += 1;
        change.write(&mut lane.bytes);
        telling.has_unsent = true;
        if lane.bytes.len() >= PARCEL_BYTES {
            self.send_changes_of(partition);
        }
    }

    /// Sends what was told in this turn.
    pub(in crate::shard) fn send_told(&mut self) {
        if std::mem::take(&mut self.elsewhere.telling.has_unsent) {
            for partition in self.placement.partitions() {
                self.send_changes_of(partition);
            }
        }
    }

    fn send_changes_of(&mut self, partition: Partition) {
        let head = self.head_of(partition);
        let lane = &mut self.elsewhere.telling.lanes[partition.index()];
        if lane.count > 0 {
            lane.count = 0;
            let bytes = std::mem::take(&mut lane.bytes);
            let changes = Changes { lane: head, piece: None, bytes: &bytes };
            self.signal(Topic::Presence(partition), Word::Changes(changes));
        }
    }

    fn head_of(&self, partition: Partition) -> Lane {
        let telling = &self.elsewhere.telling;
        let number = telling.lanes[partition.index()].number;
        Lane { generation: telling.generation, core: self.core.0, number }
    }

    /// Says how far the lane of a partition is, unless it is empty and was never anything else.
    pub(super) fn tell_head(&mut self, partition: Partition, now: Now) {
        if partition.index() >= self.elsewhere.telling.lanes.len() {
            return;
        }
        self.send_changes_of(partition);
        let head = self.head_of(partition);
        if head.number > 0 || head.generation != FIRST_GENERATION {
            self.signal(Topic::Presence(partition), Word::Head(head));
        }
        if partition == Partition(0) {
            self.tell_revoked_again(now);
        }
    }

    /// Says how far all lanes are.
    pub(super) fn tell_heads(&mut self, now: Now) {
        for partition in self.placement.partitions() {
            self.tell_head(partition, now);
        }
    }

    /// Somebody wants the whole state of a partition.
    pub(super) fn tell_state(&mut self, partition: Partition, now: Now) {
        if partition.index() >= self.elsewhere.telling.lanes.len() {
            return;
        }
        let recitals = &mut self.elsewhere.telling.recitals;
        match recitals.iter_mut().find(|recital| recital.partition == partition) {
            Some(recital) => recital.is_wanted_again |= recital.index > 0,
            None => recitals.push_back(Recital { partition, index: 0, next_user: 0, is_wanted_again: false }),
        }
        self.elsewhere.next_ms = self.elsewhere.next_ms.min(now.monotonic_ms());
    }

    /// Tells the next pieces of the states that are wanted.
    pub(super) fn tell_states(&mut self) {
        for _ in 0..PIECES_AT_A_TIME {
            let Some(mut recital) = self.elsewhere.telling.recitals.pop_front() else { return };
            let is_last = self.tell_piece(&mut recital);
            let again = Recital { index: 0, next_user: 0, is_wanted_again: false, ..recital };
            match (is_last, recital.is_wanted_again) {
                (true, true) => self.elsewhere.telling.recitals.push_back(again),
                (true, false) => {}
                (false, _) => self.elsewhere.telling.recitals.push_front(recital),
            }
        }
    }

    /// Tells users until the piece is full, each with all channels. Returns whether that was all of them.
    fn tell_piece(&mut self, recital: &mut Recital) -> bool {
        let partition = recital.partition;
        // What changed before is told before.
        self.send_changes_of(partition);
        let mut bytes = Vec::new();
        let mut is_last = false;
        while bytes.len() < PARCEL_BYTES {
            let Some(user) = self.users.next_from(recital.next_user) else {
                is_last = true;
                break;
            };
            recital.next_user = user + 1;
            self.write_user(user, partition, &mut bytes);
        }
        let piece = Some(Piece { index: recital.index, is_last });
        recital.index += 1;
        let changes = Changes { lane: self.head_of(partition), piece, bytes: &bytes };
        self.signal(Topic::Presence(partition), Word::Changes(changes));
        is_last
    }

    fn write_user(&self, index: u32, partition: Partition, bytes: &mut Vec<u8>) {
        let user = self.users.at(index);
        let told = self.elsewhere.abroad(index).and_then(|abroad| abroad.told.as_ref());
        let Some(told) = told.filter(|_| self.placement.partition_of(&user.id) == Some(partition)) else {
            return;
        };
        Change::Is { user: &user.id, summary: told.summary(), is_said: false }.write(bytes);
        for room in self.rooms_of_user(index) {
            let channel = &self.rooms.at(room).channel;
            let mut there = self.sessions_of(index).filter(|session| session.membership(room).is_some());
            let name = there.find_map(|session| session.name.clone());
            // The channel's home knows since when; whoever hears it for the first time takes it for the beginning.
            Change::Joined { user: &user.id, name: name.as_deref(), channel, joined_at_unix_ms: 0 }
                .write(bytes);
        }
    }
}
