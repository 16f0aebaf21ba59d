//! What followed while the feed was not heard: asked for once it is, and handed out in the store's order together with what
//! the feed brought meanwhile. What cannot be known any more is announced.

use protocol::relay::signal::Word;

use super::super::Shard;
use super::super::home::Home;
use super::appends::Waiting;
use super::{Feed, State};
use crate::Now;
use crate::ids::{Epoch, Offset, Partition};
use crate::mail::{GapReason, Mail, Receipt};
use crate::outputs::Outputs;
use crate::store::{CatchUp, CaughtUp, Known, Progress, StoreRequest, Stored, Topic};

/// Beyond every number of the store: nothing was said after it.
const NOTHING_AFTER: u64 = (1 << 40) - 1;

/// A catch-up that was asked for, and what the feed brought since.
#[derive(Debug)]
pub(super) struct Repair {
    ticket: u64,
    pushes: Vec<Stored>,
    bytes: usize,
    /// How many and how much there may be.
    bounds: (usize, usize),
    /// There was too much: the catch-up is to be asked for again.
    is_overrun: bool,
    /// The epoch of the answer may be over: the catch-up is to be asked for again.
    is_renounced: bool,
    /// A channel was opened that was not asked for: in a new epoch it is to be.
    has_opened: bool,
}

impl Repair {
    /// Keeps what the feed brought until what was before it is known.
    pub(super) fn keep(&mut self, stored: Stored) {
        self.bytes += stored.payload.len();
        if self.pushes.len() >= self.bounds.0 || self.bytes > self.bounds.1 {
            (self.pushes, self.is_overrun) = (Vec::new(), true);
        }
        if !self.is_overrun {
            self.pushes.push(stored);
        }
    }

    /// Notes that a channel was opened after the catch-up was asked for.
    pub(super) fn note_opened(&mut self) {
        self.has_opened = true;
    }
}

/// What a catch-up says of the store's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// This node hears of the partition for the first time.
    First,
    /// The store knows everything that this node knows.
    Whole,
    /// It has forgotten everything, or some node found out that it has forgotten something.
    Renewed,
    /// It has forgotten something and does not know it: numbers went back, or the epoch did.
    Cut,
}

impl Shard {
    /// The feed is heard: asks for what it did not bring, and for the pasts of homes that have none.
    pub(super) fn begin_repair(&mut self, partition: Partition) {
        let Some(feed) = self.feeds.find_mut(partition) else { return };
        let was_adrift = feed.is_adrift();
        feed.retry_at_ms = u64::MAX;
        self.ask_what_followed(partition, Vec::new());
        if was_adrift {
            self.ask_for_pasts(partition);
        }
    }

    fn ask_what_followed(&mut self, partition: Partition, pushes: Vec<Stored>) {
        let channels = self.homes.table.iter().filter_map(|(_, home)| {
            let tie = home.tie.as_ref().filter(|tie| tie.partition == partition && home.is_open())?;
            Some(Known {
                channel: home.channel.clone(),
                epoch: home.epoch,
                offset: home.last_offset,
                timestamp_ms: tie.timestamp_ms,
            })
        });
        let channels = channels.collect();
        self.feeds.ticket += 1;
        let ticket = self.feeds.ticket;
        let bounds = self.feeds.repair_bounds(&self.limits.memory);
        let feed = self.feeds.of(partition);
        let users_after = feed.epoch.map_or(NOTHING_AFTER, |_| feed.heard.min(feed.whole));
        let bytes = pushes.iter().map(|stored| stored.payload.len()).sum();
        let (is_overrun, is_renounced, has_opened) = (false, false, false);
        let repair = Repair { ticket, pushes, bytes, bounds, is_overrun, is_renounced, has_opened };
        feed.state = State::Repairing(repair);
        let catch_up = CatchUp { partition, ticket, users_after, channels };
        self.store_requests.push(StoreRequest::CatchUp(Box::new(catch_up)));
        self.metrics.catch_ups.increment();
    }

    /// A catch-up came to nothing.
    pub(super) fn give_up_repair(&mut self, partition: Partition, ticket: u64, now: Now, out: &mut Outputs) {
        let Some(feed) = self.feeds.find_mut(partition) else { return };
        if matches!(&feed.state, State::Repairing(repair) if repair.ticket == ticket) {
            self.go_adrift(partition, now, out);
            self.retry_soon(partition, now);
        }
    }

    /// What followed is known.
    pub(super) fn catch_up(&mut self, caught_up: CaughtUp, now: Now, out: &mut Outputs) {
        let Some(feed) = self.feeds.find_mut(caught_up.partition) else { return };
        let partition = caught_up.partition;
        let State::Repairing(repair) = &mut feed.state else { return };
        if repair.ticket != caught_up.ticket {
            return;
        }
        let pushes = std::mem::take(&mut repair.pushes);
        let (mut is_stale, has_opened) = (repair.is_overrun || repair.is_renounced, repair.has_opened);
        let memory = feed.memory_of(&caught_up);
        is_stale |= has_opened && memory != Memory::Whole;
        let is_cut = memory == Memory::Cut || caught_up.channels.iter().any(|progress| self.is_cut(progress));
        if is_cut {
            self.metrics.tails_lost.increment();
            self.renounce(partition, caught_up.head.epoch);
            return self.ask_what_followed(partition, pushes);
        }
        let CaughtUp { head, appended, users, channels, .. } = caught_up;
        // Where a channel began anew, something else may be forgotten, too.
        let is_whole = memory == Memory::Whole && !channels.iter().any(|progress| self.begins_anew(progress));
        if memory != Memory::Whole {
            self.begin_epoch(partition, head.epoch, head.number, out);
        } else if !is_whole {
            self.feeds.of(partition).latest.begin_epoch();
        }
        let users = users.filter(|_| is_whole);
        if users.is_none() {
            self.announce_users_gap(partition, out);
        }
        let mut followed = self.progress_all(channels, now, out);
        followed.extend(users.into_iter().flatten());
        // What is of another epoch than the answer came after it.
        is_stale |= pushes.iter().any(|stored| stored.place.partition_epoch != head.epoch);
        followed.extend(pushes);
        // The same may have come in several ways.
        followed.sort_by_key(|stored| stored.place.number);
        followed.dedup_by_key(|stored| stored.place.number);
        for stored in followed.iter().filter(|stored| stored.place.partition_epoch == head.epoch) {
            self.take_in(stored, now, out);
        }
        let feed = self.feeds.of(partition);
        (feed.heard, feed.whole) = (feed.heard.max(head.number), u64::MAX);
        if is_stale {
            // What this node handed out itself may be among what is told again.
            return self.ask_what_followed(partition, Vec::new());
        }
        self.conclude_appends(partition, appended, now, out);
        self.feeds.of(partition).state = State::Live;
        self.send_appends(partition);
    }

    /// The store's memory is not what it told: it begins a new epoch, and every node asks what is left.
    fn renounce(&mut self, partition: Partition, epoch: Epoch) {
        self.store_requests.push(StoreRequest::Renounce(partition, epoch));
        self.signal(Topic::Presence(partition), Word::Renounced { epoch: epoch.as_str() });
    }

    /// Another node found out that the store has forgotten something. Whoever has not heard anything since would not notice.
    pub(in crate::shard) fn hear_renounced(&mut self, partition: Partition, epoch: &str) {
        let Some(feed) = self.feeds.find_mut(partition) else { return };
        match &mut feed.state {
            State::Adrift => {}
            State::Repairing(repair) => repair.is_renounced = true,
            State::Live if feed.epoch.is_some_and(|own| own.as_str() == epoch) => {
                self.begin_repair(partition)
            }
            State::Live => {}
        }
    }

    /// Whether the store has less of a channel than this node, or something else in its place.
    fn is_cut(&self, progress: &Progress) -> bool {
        let Some(index) = self.homes.find_open(&progress.channel, &self.placement) else { return false };
        let home = self.homes.table.at(index);
        if home.epoch != progress.epoch {
            return false;
        }
        let known_ms = home.tie.as_ref().map(|tie| tie.kept_timestamp_ms);
        let same = progress.tail.iter().find(|stored| stored.place.offset == home.last_offset);
        let is_other = same.is_some_and(|stored| Some(stored.place.timestamp_ms) != known_ms);
        progress.offset < home.last_offset || is_other
    }

    /// Whether the store knows nothing of what this node has of a channel.
    fn begins_anew(&self, progress: &Progress) -> bool {
        let index = self.homes.find_open(&progress.channel, &self.placement);
        index.is_some_and(|index| self.homes.table.at(index).epoch != progress.epoch)
    }

    /// Channels of another epoch begin anew; returns what followed in the others.
    fn progress_all(&mut self, channels: Vec<Progress>, now: Now, out: &mut Outputs) -> Vec<Stored> {
        let mut followed = Vec::new();
        for progress in channels {
            let Some(index) = self.homes.find_open(&progress.channel, &self.placement) else { continue };
            let home = self.homes.table.at(index);
            let known = home.last_offset;
            if home.epoch != progress.epoch {
                let had = home.last_before(&progress);
                let (past, rest): (Vec<_>, Vec<_>) =
                    progress.tail.into_iter().partition(|stored| stored.place.offset <= had);
                self.take_past(index, progress.epoch, had, &past, now, out);
                self.announce_gap(index, GapReason::Epoch, out);
                followed.extend(rest);
                continue;
            }
            let first = progress.tail.iter().map(|stored| stored.place.offset).find(|offset| *offset > known);
            if first.is_none() && progress.offset > known {
                // All of it fell out.
                let timestamp_ms = home.last_timestamp_ms;
                self.forget_past(index, progress.epoch, progress.offset, timestamp_ms);
                self.announce_gap(index, GapReason::Trimmed, out);
                continue;
            }
            followed.extend(progress.tail.into_iter().filter(|stored| stored.place.offset > known));
        }
        followed
    }

    /// Appends of which the store knows that it carried them out have their end; the others are sent once more.
    fn conclude_appends(&mut self, partition: Partition, appended: u32, now: Now, out: &mut Outputs) {
        let feed = self.feeds.of(partition);
        feed.appends.unsend();
        let is_carried_out = |number: u32| appended != 0 && (appended.wrapping_sub(number) as i32) >= 0;
        // What the store refused it may have refused before it carried out later ones. What has a key may be sent again safely,
        // and then its place is told.
        let is_certain = |waiting: &Waiting| !waiting.was_refused || waiting.number == appended;
        let done = feed.appends.take_if(|waiting| {
            is_carried_out(waiting.number) && is_certain(waiting) && waiting.idempotency.is_none()
        });
        for waiting in done {
            let timestamp_ms = now.unix_ms;
            let receipt = Receipt { id: waiting.id, timestamp_ms, ..Receipt::NONE };
            self.finish(waiting, Ok(receipt), None, out);
        }
    }

    /// Everybody on this node to whom something may have been said that did not come here is told so.
    fn announce_users_gap(&mut self, partition: Partition, out: &mut Outputs) {
        for core in 0..self.placement.core_count() {
            self.post(crate::CoreId(core), Mail::UsersGap(partition), out);
        }
    }
}

impl Home {
    /// The last offset of another epoch that members have no use for: what follows is handed out to them. They have it; or
    /// it is of a former epoch, and nobody knows how it goes with what they have.
    fn last_before(&self, progress: &Progress) -> Offset {
        let is_former = |stored: &&Stored| stored.place.epoch != progress.epoch;
        let former = progress.tail.iter().filter(is_former).map(|stored| stored.place.offset).max();
        if self.goes_on_in(progress) {
            // Numbers of a former epoch have no place among those of this one.
            return former.unwrap_or(self.last_offset).max(self.last_offset);
        }
        let first = progress.tail.first().map(|first| first.place.offset.before());
        former.or(first).unwrap_or(progress.offset)
    }

    /// Whether what the store has of a channel begins with what this home has.
    fn goes_on_in(&self, progress: &Progress) -> bool {
        let known_ms = self.tie.as_ref().map(|tie| tie.kept_timestamp_ms);
        let mut tail = progress.tail.iter();
        let last = tail.find(|stored| stored.place.offset == self.last_offset);
        self.last_offset.0 == 0 || last.is_some_and(|last| Some(last.place.timestamp_ms) == known_ms)
    }
}

impl Feed {
    fn memory_of(&self, caught_up: &CaughtUp) -> Memory {
        match self.epoch {
            None => Memory::First,
            // It has forgotten that it was renewed.
            Some(_) if self.former_epochs.contains(&caught_up.head.epoch) => Memory::Cut,
            Some(epoch) if epoch != caught_up.head.epoch => Memory::Renewed,
            Some(_) if caught_up.head.number < self.heard => Memory::Cut,
            Some(_) => Memory::Whole,
        }
    }
}
