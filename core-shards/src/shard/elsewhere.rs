//! Who is there on other nodes, and which nodes live: what this core keeps for that, and what others tell that is not kept.
//!
//! ```text
//!   another run's core                      here
//!   user's home ── changes, in a lane ──> core of the user's partition: all heard?   hearing, lanes
//!                                           └──> user's home: one presence of all    dwellers, remote
//!                                                  └──> channel's home: its members  passages, distant
//! ```
//!
//! Whoever has a user's devices tells of them (`telling`); nobody tells of another's. Core 0 looks which runs live
//! (`leases`), and tells every core which do not.

mod distant;
mod dwellers;
mod hearing;
mod lanes;
mod leases;
mod living;
mod passages;
mod remote;
mod telling;
#[cfg(test)]
mod trials;

use std::collections::VecDeque;

use protocol::relay::signal::{Signal, Word};

use super::Shard;
use super::table::{Named, Table};
use crate::Now;
use crate::cursor::RunId;
use crate::ids::{ChannelName, CoreId};
use crate::limits::REVOCATIONS_TOLD_MAX;
use crate::mail::{Elsewhere as Letter, Mail};
use crate::outputs::Outputs;
use crate::store::{StoreRequest, Topic};
use lanes::{FIRST_GENERATION, Lanes};
use leases::Leases;
use living::{Dead, Fence};
use telling::Telling;

pub(super) use distant::Distant;
pub(super) use remote::Abroad;

/// A channel that somebody is in on another node.
#[derive(Debug)]
struct Venue {
    channel: ChannelName,
    /// How many users and runs name it.
    count: u32,
}

impl Named for Venue {
    fn name(&self) -> &str {
        &self.channel
    }
}

/// What one core keeps of other nodes.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// Users on other nodes, and what other nodes were told of them, by index.
    abroad: Vec<Option<Box<Abroad>>>,
    telling: Telling,
    lanes: Lanes,
    leases: Leases,
    fence: Fence,
    dead: Dead,
    venues: Table<Venue>,
    /// Users' devices on other nodes, by user and run.
    remote_count: usize,
    /// Channels of those.
    venue_count: usize,
    /// Rights that ended lately, with when that was, in monotonic milliseconds: told again to whoever was away.
    revoked: VecDeque<(u64, Vec<u8>)>,
    /// When something is due next, in monotonic milliseconds; `u64::MAX` on a node that is alone.
    pub(super) next_ms: u64,
    /// When all lanes are told again, in monotonic milliseconds.
    next_heads_ms: u64,
}

impl Elsewhere {
    /// Nothing is known of others yet. `partition_count` is 0 for a node that is alone.
    pub(super) fn new(partition_count: u16, now_ms: u64) -> Self {
        Self {
            abroad: Vec::new(),
            telling: Telling::new(partition_count),
            lanes: Lanes::default(),
            leases: Leases::default(),
            fence: Fence::new(FIRST_GENERATION),
            dead: Dead::default(),
            venues: Table::default(),
            remote_count: 0,
            venue_count: 0,
            revoked: VecDeque::new(),
            next_ms: if partition_count > 0 { now_ms } else { u64::MAX },
            next_heads_ms: now_ms,
        }
    }

    /// The user at an index, on other nodes.
    pub(super) fn abroad(&self, user: u32) -> Option<&Abroad> {
        self.abroad.get(user as usize)?.as_deref()
    }

    /// As [`abroad`](Self::abroad), to be changed.
    pub(super) fn abroad_mut(&mut self, user: u32) -> Option<&mut Abroad> {
        self.abroad.get_mut(user as usize)?.as_deref_mut()
    }

    /// As [`abroad`](Self::abroad), where there was nothing yet. Whoever is here stays in the table of users.
    pub(super) fn abroad_or_default(&mut self, user: u32) -> &mut Abroad {
        let place = user as usize;
        if self.abroad.len() <= place {
            self.abroad.resize_with(place + 1, || None);
        }
        self.abroad[place].get_or_insert_default()
    }

    /// Forgets a user of whom nothing is to be known elsewhere.
    fn tidy(&mut self, user: u32) {
        if let Some(abroad) = self.abroad.get_mut(user as usize) {
            abroad.take_if(|abroad| abroad.is_empty());
        }
    }

    /// Everybody of whom something is known elsewhere, by index.
    fn users(&self) -> impl Iterator<Item = (u32, &Abroad)> {
        (0..).zip(&self.abroad).filter_map(|(user, abroad)| Some((user, abroad.as_deref()?)))
    }

    /// Whether other nodes have devices of a user, be it lost ones.
    pub(super) fn has(&self, user: u32) -> bool {
        self.abroad(user).is_some_and(Abroad::is_elsewhere)
    }

    /// How many devices of a user are connected to other nodes.
    pub(super) fn connection_count(&self, user: u32) -> usize {
        self.abroad(user).map_or(0, Abroad::connection_count)
    }

    /// Users' devices on other nodes, by user and run.
    pub(super) fn remote_count(&self) -> usize {
        self.remote_count
    }

    /// Channels of those.
    pub(super) fn venue_count(&self) -> usize {
        self.venue_count
    }

    /// Other runs that live, as far as core 0 knows; 0 elsewhere.
    pub(super) fn live_count(&self) -> usize {
        self.leases.live_count()
    }
}

impl Shard {
    /// Another node told something that is not kept, or this one did.
    pub(super) fn hear_signal(&mut self, topic: &Topic, signal: &[u8], now: Now, out: &mut Outputs) {
        let read = Signal::read(signal).and_then(|signal| Some((RunId::parse(signal.run)?, signal.word)));
        let Some((run, word)) = read else { return self.metrics.signals_refused.increment() };
        if run == self.run {
            return;
        }
        match (topic, word) {
            (Topic::Channel(channel), Word::Typing(sign)) => {
                self.hear_typing(channel, run, &sign, now, out);
            }
            (Topic::Channel(channel), Word::Said { user, status }) => {
                if self.homes.table.find(channel, &self.placement).is_some() {
                    self.set_presence_here(channel, &user.into(), status, now, out);
                }
            }
            (Topic::Presence(partition), Word::Renounced { epoch }) => self.hear_renounced(*partition, epoch),
            (Topic::Presence(partition), word) => self.hear_presence(*partition, run, &word, now, out),
            (Topic::Everybody, Word::Revoked { user, channel }) => {
                self.revoke_everywhere(user.map(Into::into), channel.map(Into::into), out);
            }
            (Topic::Node(_), Word::Evicted { pid }) => self.pass_eviction(pid, out),
            _ => self.metrics.signals_refused.increment(),
        }
    }

    /// Tells other nodes something that is not kept. Nothing happens on a node that is alone.
    pub(super) fn signal(&mut self, topic: Topic, word: Word<'_>) {
        if self.placement.is_joined() {
            let signal = Signal { run: self.run.as_str(), word }.bytes();
            self.store_requests.push(StoreRequest::Signal(topic, signal));
        }
    }

    /// A letter about other nodes.
    pub(super) fn open_elsewhere(&mut self, letter: Letter, now: Now, out: &mut Outputs) {
        match letter {
            Letter::Tales(tales) => self.hear_tales(&tales, now, out),
            Letter::Passage(passage) => self.hear_passage(&passage, now, out),
            Letter::Dead(run, generation) => self.bury(run, generation, now, out),
            Letter::Mistaken(run) => self.elsewhere.dead.forget(run),
            Letter::Met(run, generation) => {
                self.elsewhere.leases.meet(run, generation, now.monotonic_ms());
            }
            Letter::TellHeads(partition) => self.tell_head(partition, now),
            Letter::TellState(partition) => self.tell_state(partition, now),
            Letter::Generation(generation) => self.begin_generation(generation, now, out),
            Letter::Spent(user, class) => self.note_spent(&user, class, now),
            Letter::Notified { user, name, id } => self.notify_here(&user, &name, id.as_deref(), now, out),
        }
    }

    pub(super) fn post_elsewhere(&mut self, to: CoreId, letter: Letter, out: &mut Outputs) {
        self.post(to, Mail::Elsewhere(Box::new(letter)), out);
    }

    /// Whatever is due about other nodes.
    pub(super) fn tick_elsewhere(&mut self, now: Now, out: &mut Outputs) {
        let now_ms = now.monotonic_ms();
        if self.elsewhere.next_ms > now_ms {
            return;
        }
        self.look_at_leases(now, out);
        for lane in self.elsewhere.lanes.overdue(now_ms) {
            self.ask_for_state(lane);
        }
        if self.elsewhere.next_heads_ms <= now_ms {
            self.elsewhere.next_heads_ms = now_ms.saturating_add(self.limits.presence_sync_ms);
            self.tell_heads(now);
        }
        self.tell_states();
        let pause_ms = if self.elsewhere.telling.is_telling_states() { STATE_PAUSE_MS } else { TICK_MS };
        self.elsewhere.next_ms = now_ms.saturating_add(pause_ms);
    }

    /// Keeps what ended somebody's rights, to be told again, and tells it.
    pub(super) fn tell_revoked(&mut self, user: Option<&str>, channel: Option<&str>, now: Now) {
        if !self.placement.is_joined() {
            return;
        }
        let word = Word::Revoked { user, channel };
        let signal = Signal { run: self.run.as_str(), word }.bytes();
        let revoked = &mut self.elsewhere.revoked;
        if revoked.len() >= REVOCATIONS_TOLD_MAX {
            revoked.pop_front();
        }
        revoked.push_back((now.monotonic_ms(), signal.clone()));
        self.store_requests.push(StoreRequest::Signal(Topic::Everybody, signal));
    }

    /// Tells again what may not have been heard.
    fn tell_revoked_again(&mut self, now: Now) {
        let since_ms = now.monotonic_ms().saturating_sub(REVOCATION_LIFE_MS);
        self.elsewhere.revoked.retain(|(told_ms, _)| *told_ms >= since_ms);
        let again = self.elsewhere.revoked.iter().map(|(_, signal)| signal.clone());
        self.store_requests.extend(again.map(|signal| StoreRequest::Signal(Topic::Everybody, signal)));
    }
}

/// Time between two looks at what is due, in milliseconds.
const TICK_MS: u64 = 1_000;

/// The same while whole states are being told.
const STATE_PAUSE_MS: u64 = 50;

/// How long rights that ended are told again, in milliseconds.
const REVOCATION_LIFE_MS: u64 = 600_000;
