//! All channels that are ordered on this core: each is known while somebody is in it or anything of it is remembered.

use std::collections::VecDeque;

use super::elsewhere::Distant;
use super::feed::Tie;
use super::home::Home;
use super::table::Table;
use super::{Deadline, Shard};
use crate::Now;
use crate::ids::{ChannelName, Epoch, Place};
use crate::limits::DESERTED_VOID_MAX;
use crate::outputs::Outputs;
use crate::placement::Placement;
use crate::store::StoreRequest;

/// All channels ordered on a core.
#[derive(Debug)]
pub(super) struct Homes {
    pub(super) table: Table<Home>,
    /// Who is in the channels on other nodes.
    pub(super) distant: Distant,
    pub(super) random: SplitMix,
    /// Channels that nobody is in, the longest deserted first; those whose number is another now mean nothing.
    deserted: VecDeque<(u64, Place)>,
    /// How many channels nobody is in.
    deserted_count: usize,
    /// How often a channel became deserted.
    deserted_number: u64,
    /// Former members that all channels know.
    former_count: usize,
    /// Requests that wait for messages of any channel.
    pub(super) poller_count: usize,
    /// Bytes that the histories of all channels keep.
    pub(super) history_bytes: usize,
}

impl Homes {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            table: Table::default(),
            distant: Distant::default(),
            random: SplitMix(seed),
            deserted: VecDeque::new(),
            deserted_count: 0,
            deserted_number: 0,
            former_count: 0,
            poller_count: 0,
            history_bytes: 0,
        }
    }

    /// Counts the former members of a channel anew.
    fn count_formers(&mut self, index: u32) {
        let home = self.table.at_mut(index);
        let before = std::mem::replace(&mut home.former_count, home.seen.count());
        self.former_count = self.former_count - before + home.former_count;
    }

    /// Something goes on in a channel: it is not among those that are forgotten when memory is short.
    pub(super) fn wake(&mut self, index: u32) {
        if std::mem::take(&mut self.table.at_mut(index).deserted_number) > 0 {
            self.deserted_count -= 1;
        }
    }

    fn note_deserted(&mut self, index: u32) {
        self.deserted_count += 1;
        self.deserted_number += 1;
        self.table.at_mut(index).deserted_number = self.deserted_number;
        if self.deserted.len() > 2 * self.deserted_count + DESERTED_VOID_MAX {
            let table = &self.table;
            self.deserted.retain(|(number, place)| {
                table.get(*place).is_some_and(|home| home.deserted_number == *number)
            });
        }
        self.deserted.push_back((self.deserted_number, self.table.place(index)));
    }

    /// How often a channel became deserted so far.
    pub(super) fn deserted_number(&self) -> u64 {
        self.deserted_number
    }

    /// How many channels nobody is in.
    pub(super) fn deserted_count(&self) -> usize {
        self.deserted_count
    }

    /// Takes out the channel that is deserted for the longest time, if it was by the time when that was counted.
    pub(super) fn pop_deserted_until(&mut self, number: u64) -> Option<u32> {
        if self.deserted.front().is_some_and(|(first, _)| *first <= number) {
            self.pop_deserted()
        } else {
            None
        }
    }

    /// Takes out the channel that is deserted for the longest time.
    fn pop_deserted(&mut self) -> Option<u32> {
        while let Some((number, place)) = self.deserted.pop_front() {
            if self.table.get(place).is_some_and(|home| home.deserted_number == number) {
                return Some(place.index);
            }
        }
        None
    }

    /// The home of a channel, if the store tells what happens in it.
    pub(super) fn find_open(&self, channel: &str, placement: &Placement) -> Option<u32> {
        self.table.find(channel, placement).filter(|index| self.table.at(*index).is_open())
    }

    /// The home of a channel. One that was unknown begins a new epoch.
    pub(super) fn find_or_insert(&mut self, channel: &ChannelName, placement: &Placement, now: Now) -> u32 {
        if let Some(index) = self.table.find(channel, placement) {
            return index;
        }
        let epoch = Epoch::from_random(self.random.next());
        let mut home = Home::new(channel.clone(), epoch, now);
        for member in self.distant.members(channel, placement) {
            home.add_member(member.clone(), placement);
        }
        home.tie = placement.partition_of(channel).map(Tie::new).map(Box::new);
        self.table.insert(home, placement)
    }
}

impl Shard {
    /// Arms the wheel for whatever of a home ends next, and forgets one that nothing is left of.
    pub(super) fn look_at_home(&mut self, index: u32) {
        self.homes.count_formers(index);
        let home = self.homes.table.at(index);
        if home.is_forgettable() {
            return self.forget_home(index);
        }
        match (home.is_deserted(), home.deserted_number > 0) {
            (true, false) => self.homes.note_deserted(index),
            (false, true) => self.homes.wake(index),
            (true, true) | (false, false) => {}
        }
        self.count_channels();
        let place = self.homes.table.place(index);
        let home = self.homes.table.at_mut(index);
        let deadline_ms = home.next_deadline_ms();
        if deadline_ms < home.looked_at_ms {
            home.looked_at_ms = deadline_ms;
            self.arm(deadline_ms, Deadline::Home(place));
        }
        self.bound_homes(place);
    }

    /// Keeps what is remembered of channels within the bounds of the core. The latest that somebody looked at is
    /// among the last to suffer.
    fn bound_homes(&mut self, latest: Place) {
        while self.homes.deserted_count > self.limits.memory.homes_idle_max && self.forget_a_deserted() {}
        while self.homes.former_count > self.limits.memory.formers_max {
            if self.forget_a_deserted() {
                continue;
            }
            let Some(home) = self.homes.table.get_mut(latest) else { return };
            if !home.seen.drop_oldest() {
                return;
            }
            self.homes.count_formers(latest.index);
        }
    }

    /// A deadline of a home has come.
    pub(super) fn home_is_due(&mut self, place: Place, now: Now, out: &mut Outputs) {
        let now_ms = now.monotonic_ms();
        let Some(home) = self.homes.table.get_mut(place) else { return };
        if home.looked_at_ms > now_ms {
            return;
        }
        home.looked_at_ms = u64::MAX;
        let (before, entries_before) = (home.history.bytes(), home.history.iter().len());
        home.history.expire(now_ms);
        let (after, entries_after) = (home.history.bytes(), home.history.iter().len());
        home.seen.expire(now_ms);
        self.homes.history_bytes -= before - after;
        self.metrics.history_entries.take((entries_before - entries_after) as u64);
        self.expire_typing(place.index, now, out);
        self.end_said(place.index, now, out);
        self.tell_crowd(place.index, now, out);
        self.end_polls(place.index, now, out);
        self.look_at_home(place.index);
    }

    pub(super) fn forget_home(&mut self, index: u32) {
        self.homes.wake(index);
        if let Some(home) = self.homes.table.remove(index, &self.placement) {
            if home.is_open() {
                self.store_requests.push(StoreRequest::Close(home.channel.clone()));
            }
            self.homes.history_bytes -= home.history.bytes();
            self.homes.former_count -= home.former_count;
            self.metrics.history_entries.take(home.history.iter().len() as u64);
        }
        self.count_channels();
    }

    /// Forgets the longest deserted channel; `false` if there is none.
    pub(super) fn forget_a_deserted(&mut self) -> bool {
        let deserted = self.homes.pop_deserted();
        if let Some(index) = deserted {
            self.metrics.homes_evicted.increment();
            self.forget_home(index);
        }
        deserted.is_some()
    }

    fn count_channels(&self) {
        self.metrics.channels.set(self.homes.table.count() as u64);
        self.metrics.channels_idle.set(self.homes.deserted_count as u64);
    }
}

/// Sebastiano Vigna's SplitMix64: ids that do not repeat, from a seed that a simulation can choose.
#[derive(Debug)]
pub(super) struct SplitMix(u64);

impl SplitMix {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { monotonic_us: 0, unix_ms: 0 };

    #[test]
    fn a_channel_that_was_forgotten_begins_another_epoch() {
        let (mut homes, placement) = (Homes::new(7), Placement::new(1, (1, 2)));
        let channel: ChannelName = "a".into();
        let index = homes.find_or_insert(&channel, &placement, NOW);
        let first = homes.table.at(index).epoch;
        assert_eq!(homes.find_or_insert(&channel, &placement, NOW), index);
        homes.table.remove(index, &placement);
        let index = homes.find_or_insert(&channel, &placement, NOW);
        assert_ne!(homes.table.at(index).epoch, first);
    }
}
