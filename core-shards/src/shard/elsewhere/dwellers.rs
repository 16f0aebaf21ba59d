//! Users who have devices on other nodes, at their home: what each node says of them, and what follows for others.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::relay::signal::{Change, Changes, Lane, Summary};

use super::Venue;
use super::remote::{Abroad, Remote, Said};
use crate::Now;
use crate::cursor::RunId;
use crate::ids::{ChannelName, UserId};
use crate::mail::{Elsewhere as Letter, Passage, Step, Tales};
use crate::outputs::Outputs;
use crate::shard::Shard;

/// A channel that a whole state says that a user is in.
struct Stay<'a> {
    channel: &'a str,
    name: Option<&'a str>,
    joined_at_unix_ms: u64,
}

/// What a whole state says of one user.
struct Dweller<'a> {
    user: &'a str,
    summary: Option<Summary<'a>>,
    stays: Vec<Stay<'a>>,
}

impl Shard {
    /// Another run told something of users whose home this is.
    pub(super) fn hear_tales(&mut self, tales: &Tales, now: Now, out: &mut Outputs) {
        if self.elsewhere.dead.has(tales.lane.run, tales.generation) {
            return self.metrics.signals_void.increment();
        }
        let lane = Lane { generation: tales.generation, core: tales.lane.core, number: 0 };
        // Whoever sent them here has read them.
        let list = Changes { lane, piece: None, bytes: &tales.changes }.list().unwrap_or_default();
        let Some(refresh) = tales.refresh else {
            return list.iter().for_each(|change| self.hear_change(tales, change, now, out));
        };
        for dweller in dwellers(&list) {
            self.hear_dweller(tales, refresh.mark, dweller, now, out);
        }
        if refresh.is_last {
            let lane = tales.lane;
            let is_gone = |remote: &Remote| remote.core == lane.core && remote.mark != refresh.mark;
            for (user, _) in self.users_on(lane.run, is_gone) {
                if self.placement.partition_of(&self.users.at(user).id) == Some(lane.partition) {
                    self.end_remote(user, lane.run, 0, now, out);
                }
            }
        }
    }

    fn hear_change(&mut self, tales: &Tales, change: &Change<'_>, now: Now, out: &mut Outputs) {
        let run = tales.lane.run;
        match change {
            Change::Is { user, summary, is_said } => {
                let Some(index) = self.admit_remote(tales, user) else { return };
                self.note_said(index, run, Said::of(summary), *is_said, now, out);
            }
            Change::Joined { user, name, channel, joined_at_unix_ms } => {
                let Some(index) = self.admit_remote(tales, user) else { return };
                let stay = Stay { channel, name: *name, joined_at_unix_ms: *joined_at_unix_ms };
                self.note_stay(index, run, &stay, now, out);
            }
            Change::Left { user, channel, was_lost } => {
                let Some(index) = self.users.find(user, &self.placement) else { return };
                let venue = self.elsewhere.venues.find(channel, &self.placement);
                if let Some(venue) = venue {
                    self.end_stay(index, run, venue, *was_lost, out);
                }
            }
            Change::Gone { user, last_seen_unix_ms } => {
                if let Some(index) = self.users.find(user, &self.placement) {
                    self.end_remote(index, run, *last_seen_unix_ms, now, out);
                }
            }
        }
    }

    /// A whole state says how a user is on a run: whatever it does not name is over.
    fn hear_dweller(&mut self, tales: &Tales, mark: u32, dweller: Dweller<'_>, now: Now, out: &mut Outputs) {
        let run = tales.lane.run;
        let Some(index) = self.admit_remote(tales, dweller.user) else { return };
        let said = dweller.summary.as_ref().map(Said::of).unwrap_or_default();
        self.note_said(index, run, said, false, now, out);
        for stay in &dweller.stays {
            self.note_stay(index, run, stay, now, out);
        }
        let Some(remote) = self.remote_mut(index, run) else { return };
        remote.mark = mark;
        let venues = remote.venues.clone();
        for venue in venues {
            let channel = self.elsewhere.venues.at(venue).channel.clone();
            if !dweller.stays.iter().any(|stay| *stay.channel == *channel) {
                self.end_stay(index, run, venue, true, out);
            }
        }
    }

    /// The user of a name, with devices on a run; `None` if there is no room for one more.
    fn admit_remote(&mut self, tales: &Tales, user: &str) -> Option<u32> {
        let run = tales.lane.run;
        let known = self.users.find(user, &self.placement);
        if let Some(remote) = known.and_then(|index| self.remote_mut(index, run)) {
            (remote.generation, remote.core) = (tales.generation, tales.lane.core);
            return known;
        }
        if self.elsewhere.remote_count >= self.limits.memory.remotes_max {
            self.metrics.remotes_refused.increment();
            return None;
        }
        let index = self.users.find_or_insert(&UserId::from(user), &self.placement);
        self.elsewhere.remote_count += 1;
        let abroad = self.elsewhere.abroad_or_default(index);
        abroad.remotes.push(Remote {
            run,
            generation: tales.generation,
            core: tales.lane.core,
            mark: 0,
            said: Said::default(),
            venues: Vec::new(),
        });
        Some(index)
    }

    fn remote_mut(&mut self, user: u32, run: RunId) -> Option<&mut Remote> {
        self.elsewhere.abroad_mut(user)?.find(run)
    }

    /// How a user's devices on another run are from now on.
    fn note_said(&mut self, user: u32, run: RunId, said: Said, is_said: bool, now: Now, out: &mut Outputs) {
        if let Some(remote) = self.remote_mut(user, run) {
            remote.said = said;
        }
        if is_said {
            self.users.at_mut(user).discount_detached(now.monotonic_ms());
        }
        self.settle_user(user, None, now, out);
    }

    /// A user is in a channel on another run.
    fn note_stay(&mut self, user: u32, run: RunId, stay: &Stay<'_>, now: Now, out: &mut Outputs) {
        let known = self.elsewhere.venues.find(stay.channel, &self.placement);
        let was_there = known.is_some_and(|venue| self.is_abroad_in(user, venue));
        if known.is_some_and(|venue| self.remote_mut(user, run).is_none_or(|of| of.venues.contains(&venue))) {
            return;
        }
        if self.elsewhere.venue_count >= self.limits.memory.venues_max {
            return self.metrics.remotes_refused.increment();
        }
        let venue = known.unwrap_or_else(|| {
            let room = self.rooms.find(stay.channel, &self.placement);
            let channel = room
                .map_or_else(|| ChannelName::from(stay.channel), |room| self.rooms.at(room).channel.clone());
            self.elsewhere.venues.insert(Venue { channel, count: 0 }, &self.placement)
        });
        self.elsewhere.venues.at_mut(venue).count += 1;
        self.elsewhere.venue_count += 1;
        if let Some(remote) = self.remote_mut(user, run) {
            remote.venues.push(venue);
        }
        if !was_there {
            let (id, standpoint) = (self.users.at(user).id.clone(), self.standpoint(user, now));
            let step = Step::In {
                name: stay.name.map(Arc::from),
                standpoint,
                joined_at_unix_ms: stay.joined_at_unix_ms,
            };
            self.send_passage(venue, id, step, out);
            self.tell_arrival_elsewhere(user, venue, now, out);
        }
    }

    fn is_abroad_in(&self, user: u32, venue: u32) -> bool {
        self.elsewhere.abroad(user).is_some_and(|abroad| abroad.is_in(venue))
    }

    /// Whether a user is in a channel on another node.
    pub(in crate::shard) fn is_in_elsewhere(&self, user: u32, channel: &str) -> bool {
        let venue = self.elsewhere.venues.find(channel, &self.placement);
        venue.is_some_and(|venue| self.is_abroad_in(user, venue))
    }

    /// The channels that a user is in on other nodes.
    pub(in crate::shard) fn channels_elsewhere(&self, user: u32) -> impl Iterator<Item = ChannelName> {
        let venues = self.elsewhere.abroad(user).into_iter().flat_map(Abroad::venues);
        venues.map(|venue| self.elsewhere.venues.at(venue).channel.clone())
    }

    /// Tells the members of a channel that a user comes on another node, unless the user is in it here.
    fn tell_arrival_elsewhere(&mut self, user: u32, venue: u32, now: Now, out: &mut Outputs) {
        let channel = self.elsewhere.venues.at(venue).channel.clone();
        let room = self.rooms.find(&channel, &self.placement);
        if !room.is_some_and(|room| self.is_in_room(user, room)) {
            self.tell_arrival_of(None, user, channel, now, out);
        }
    }

    /// A user is in a channel on another run no more.
    fn end_stay(&mut self, user: u32, run: RunId, venue: u32, was_lost: bool, out: &mut Outputs) {
        let Some(remote) = self.remote_mut(user, run) else { return };
        let Some(place) = remote.venues.iter().position(|known| *known == venue) else { return };
        remote.venues.swap_remove(place);
        if !self.is_abroad_in(user, venue) {
            let id = self.users.at(user).id.clone();
            self.send_passage(venue, id, Step::Out { was_lost }, out);
        }
        self.elsewhere.venue_count -= 1;
        let known = self.elsewhere.venues.at_mut(venue);
        known.count -= 1;
        if known.count == 0 {
            self.elsewhere.venues.remove(venue, &self.placement);
        }
    }

    fn send_passage(&mut self, venue: u32, user: UserId, step: Step, out: &mut Outputs) {
        let channel = self.elsewhere.venues.at(venue).channel.clone();
        let home = self.placement.home_of_channel(&channel);
        self.post_elsewhere(home, Letter::Passage(Passage { channel, user, step }), out);
    }

    /// Nothing is left of a user on another run. Others hear that the user is away before the channels are left.
    fn end_remote(&mut self, user: u32, run: RunId, last_seen_unix_ms: u64, now: Now, out: &mut Outputs) {
        let Some(remote) = self.remote_mut(user, run) else { return };
        let last_seen_unix_ms = last_seen_unix_ms.max(remote.said.last_seen_unix_ms);
        remote.said = Said { last_seen_unix_ms, ..Said::default() };
        let venues = remote.venues.clone();
        self.settle_user(user, None, now, out);
        for venue in venues {
            self.end_stay(user, run, venue, true, out);
        }
        if let Some(abroad) = self.elsewhere.abroad_mut(user) {
            abroad.remotes.retain(|remote| remote.run != run);
        }
        self.elsewhere.tidy(user);
        self.elsewhere.remote_count -= 1;
        self.look_at_user(user, now);
    }

    /// A run is dead: its users were last seen when its lease was.
    pub(super) fn end_run(&mut self, run: RunId, generation: u32, now: Now, out: &mut Outputs) {
        let grace_ms = if self.limits.presence_enabled { self.limits.presence_grace_ms } else { 0 };
        let seen_unix_ms = now.unix_ms.saturating_sub(grace_ms);
        for (user, is_visible) in self.users_on(run, |remote| remote.generation <= generation) {
            // Who hid was seen last when that began.
            let last_seen_unix_ms = if is_visible { seen_unix_ms } else { 0 };
            self.end_remote(user, run, last_seen_unix_ms, now, out);
        }
    }

    /// Users with devices on a run of which `is_meant` says so, and whether others see them.
    fn users_on(&self, run: RunId, is_meant: impl Fn(&Remote) -> bool) -> Vec<(u32, bool)> {
        let meant = |remote: &Remote| remote.run == run && is_meant(remote);
        let users = self.elsewhere.users().filter(|(_, abroad)| abroad.remotes.iter().any(meant));
        users.map(|(user, _)| (user, self.users.at(user).standing.is_shown())).collect()
    }
}

/// Puts together what a whole state says of each user.
fn dwellers<'a>(list: &[Change<'a>]) -> Vec<Dweller<'a>> {
    let mut dwellers: Vec<Dweller<'a>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for change in list {
        let user = change.user();
        let place = *places.entry(user).or_insert_with(|| {
            dwellers.push(Dweller { user, summary: None, stays: Vec::new() });
            dwellers.len() - 1
        });
        let dweller = &mut dwellers[place];
        match change {
            Change::Is { summary, .. } => dweller.summary = Some(summary.clone()),
            Change::Joined { channel, name, joined_at_unix_ms, .. } => {
                dweller.stays.push(Stay { channel, name: *name, joined_at_unix_ms: *joined_at_unix_ms });
            }
            // A state is made of what is, and this is what is not.
            Change::Left { .. } | Change::Gone { .. } => {}
        }
    }
    dwellers
}
