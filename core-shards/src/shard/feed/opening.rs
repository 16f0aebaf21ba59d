//! Homes whose past is being asked for. What is wanted of such a channel waits for the answer; where there is no store to
//! ask, or too much waits, the home goes on without a past, and its members are told when it is known.

use super::super::Shard;
use super::super::home::Home;
use super::State;
use crate::Now;
use crate::ids::{ChannelName, CoreId, Partition};
use crate::limits::{LETTERS_WAITING_MAX, LINGER_MS, STORE_RETRY_MS};
use crate::mail::{GapReason, Mail, Sender};
use crate::outputs::Outputs;
use crate::publication::position;
use crate::store::{Opened, StoreRequest};

/// How a home stands to the store.
#[derive(Debug)]
pub(in crate::shard) enum Standing {
    /// Its past was asked for. Nobody is in it; what is wanted of it waits here, with the core that wants it.
    Opening(Vec<(CoreId, Mail)>),
    /// Its past is not known: it was made while the store was away.
    Unknown,
    /// The store tells what happens in it.
    Open,
}

/// What a home keeps because nodes share it.
#[derive(Debug)]
pub(in crate::shard) struct Tie {
    pub(in crate::shard) partition: Partition,
    pub(in crate::shard) standing: Standing,
    /// Publications of this node that the store has not confirmed. The home stays while there are any.
    pub(in crate::shard) waiting_count: u32,
    /// Those of them that the members here have.
    pub(in crate::shard) handed_out_count: u32,
    /// The time of the last publication that the store told of.
    pub(in crate::shard) timestamp_ms: u64,
    /// The time of the last one that is kept.
    pub(in crate::shard) kept_timestamp_ms: u64,
    /// The position in its lane of the last publication that took an offset; 0 if there was none.
    pub(in crate::shard) last_seq: u64,
}

impl Tie {
    /// Of a home that nothing is known of.
    pub(in crate::shard) const fn new(partition: Partition) -> Self {
        Self {
            partition,
            standing: Standing::Unknown,
            waiting_count: 0,
            handed_out_count: 0,
            timestamp_ms: 0,
            kept_timestamp_ms: 0,
            last_seq: 0,
        }
    }

    /// Whether nothing of the home may be forgotten now.
    pub(in crate::shard) fn is_pinned(&self) -> bool {
        self.waiting_count > 0 || matches!(self.standing, Standing::Opening(_))
    }
}

impl Home {
    /// The history took a publication at this position in its lane.
    pub(in crate::shard) fn note_last(&mut self, seq: u64) {
        if let Some(tie) = &mut self.tie {
            tie.last_seq = seq;
        }
    }

    /// The position of the last publication that the history took; 0 if there was none.
    pub(in crate::shard) fn last_seq(&self) -> u64 {
        self.tie.as_ref().map_or(0, |tie| tie.last_seq)
    }
}

/// Since when nobody has been in channels, as far as it takes to close them in time.
#[derive(Debug)]
pub(super) struct Lingering {
    /// [`super::super::homes::Homes::deserted_number`] when this was last looked at.
    number: u64,
    next_ms: u64,
}

impl Default for Lingering {
    fn default() -> Self {
        Self { number: 0, next_ms: u64::MAX }
    }
}

impl Lingering {
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        (self.next_ms < u64::MAX).then_some(self.next_ms)
    }
}

impl Shard {
    /// Puts a letter aside that needs a home whose past is not there yet, and asks for that. Gives any other back.
    pub(in crate::shard) fn put_aside(
        &mut self,
        from: CoreId,
        letter: Mail,
        now: Now,
        out: &mut Outputs,
    ) -> Option<Mail> {
        if !self.placement.is_joined() {
            return Some(letter);
        }
        let (channel, makes_home) = match &letter {
            Mail::Join(join) => (&join.channel, true),
            Mail::Publish(publish) => {
                let is_member = matches!(publish.sender, Sender::Session(_)) && !self.limits.joins_implicitly;
                (&publish.channel, !is_member)
            }
            Mail::Query(query) => (&query.channel, true),
            Mail::Leave(leave) => (&leave.channel, false),
            Mail::Restyle(restyle) => (&restyle.channel, false),
            Mail::Typing(typing) => (&typing.channel, false),
            _ => return Some(letter),
        };
        let index = match self.homes.table.find(channel, &self.placement) {
            Some(index) => index,
            None if makes_home => self.ask_for_home(&channel.clone(), now),
            None => return Some(letter),
        };
        let is_crowded = self.feeds.letter_count >= LETTERS_WAITING_MAX;
        let tie = self.homes.table.at_mut(index).tie.as_mut();
        let Some(Standing::Opening(letters)) = tie.map(|tie| &mut tie.standing) else { return Some(letter) };
        if is_crowded {
            self.set_standing(index, Standing::Unknown, now, out);
            return Some(letter);
        }
        letters.push((from, letter));
        self.feeds.letter_count += 1;
        None
    }

    /// Makes the home of a channel, and asks for its past if the store is there.
    fn ask_for_home(&mut self, channel: &ChannelName, now: Now) -> u32 {
        let index = self.homes.find_or_insert(channel, &self.placement, now);
        if let Some(tie) = &mut self.homes.table.at_mut(index).tie
            && !self.feeds.of(tie.partition).is_adrift()
        {
            tie.standing = Standing::Opening(Vec::new());
            self.store_requests.push(StoreRequest::Open(channel.clone()));
        }
        index
    }

    /// A home's past is here, or it goes on without: what waited for it is handled, in order.
    fn set_standing(&mut self, index: u32, standing: Standing, now: Now, out: &mut Outputs) {
        let Some(tie) = &mut self.homes.table.at_mut(index).tie else { return };
        if let Standing::Opening(letters) = std::mem::replace(&mut tie.standing, standing) {
            self.feeds.letter_count -= letters.len();
            // Nobody may be in it after that; then it lingers.
            self.look_at_home(index);
            for (from, letter) in letters {
                self.open(from, letter, now, out);
            }
        }
    }

    /// The store told what it keeps of a channel.
    pub(super) fn open_home(&mut self, opened: Opened, now: Now, out: &mut Outputs) {
        let Some(index) = self.homes.table.find(&opened.channel, &self.placement) else {
            // Nobody was in it any more.
            return self.store_requests.push(StoreRequest::Close(opened.channel));
        };
        let Some(tie) = &self.homes.table.at(index).tie else { return };
        let (partition, was_unknown) = (tie.partition, matches!(tie.standing, Standing::Unknown));
        if self.homes.table.at(index).is_open() {
            return;
        }
        self.take_past(index, opened.epoch, opened.offset, &opened.tail, now, out);
        let last_number = opened.tail.last().map_or(opened.last_number, |last| last.place.number);
        let home = self.homes.table.at_mut(index);
        home.note_time(opened.timestamp_ms);
        home.note_last(position(last_number, 0));
        if was_unknown {
            self.announce_gap(index, GapReason::Epoch, out);
        }
        self.set_standing(index, Standing::Open, now, out);
        let feed = self.feeds.of(partition);
        match &mut feed.state {
            State::Live if feed.epoch != Some(opened.head.epoch) => self.begin_repair(partition),
            State::Repairing(repair) => repair.note_opened(),
            State::Live | State::Adrift => {}
        }
    }

    /// The store did not open a channel: it is asked again, and what waits is not kept waiting.
    pub(super) fn go_without_past(&mut self, channel: &str, now: Now, out: &mut Outputs) {
        let Some(index) = self.homes.table.find(channel, &self.placement) else { return };
        if self.homes.table.at(index).is_open() {
            return;
        }
        self.set_standing(index, Standing::Unknown, now, out);
        let Some(partition) = self.placement.partition_of(channel) else { return };
        let feed = self.feeds.of(partition);
        if !feed.is_adrift() {
            feed.reopen_at_ms = feed.reopen_at_ms.min(now.monotonic_ms() + STORE_RETRY_MS);
        }
    }

    /// Asks for the past of homes that went on without.
    pub(super) fn ask_for_pasts(&mut self, partition: Partition) {
        self.feeds.of(partition).reopen_at_ms = u64::MAX;
        for (_, home) in self.homes.table.iter() {
            let tie = home.tie.as_ref().filter(|tie| tie.partition == partition);
            if tie.is_some_and(|tie| matches!(tie.standing, Standing::Unknown)) {
                self.store_requests.push(StoreRequest::Open(home.channel.clone()));
            }
        }
    }

    /// Closes the channels that nobody has been in since this was looked at last.
    pub(super) fn close_deserted(&mut self, now: Now) {
        if !self.placement.is_joined() || self.feeds.lingering.next_ms > now.monotonic_ms() {
            return;
        }
        let latest = self.homes.deserted_number();
        let before = std::mem::replace(&mut self.feeds.lingering.number, latest);
        while let Some(index) = self.homes.pop_deserted_until(before) {
            self.homes.wake(index);
            let home = self.homes.table.at(index);
            if home.seen.next_said_end_ms().is_some() {
                // What a back end said of somebody who is not here holds for its time.
                self.look_at_home(index);
            } else {
                self.forget_home(index);
            }
        }
        self.feeds.lingering.next_ms = u64::MAX;
        self.linger(now);
    }

    /// Looks later at the channels that nobody is in.
    pub(in crate::shard) fn linger(&mut self, now: Now) {
        if self.placement.is_joined()
            && self.feeds.lingering.next_ms == u64::MAX
            && self.homes.deserted_count() > 0
        {
            self.feeds.lingering.next_ms = now.monotonic_ms() + LINGER_MS;
        }
    }
}

impl Home {
    /// Notes the time of the last publication that the store has of the channel.
    pub(super) fn note_time(&mut self, timestamp_ms: u64) {
        self.last_timestamp_ms = self.last_timestamp_ms.max(timestamp_ms);
        if let Some(tie) = &mut self.tie {
            tie.timestamp_ms = tie.timestamp_ms.max(timestamp_ms);
        }
    }
}
