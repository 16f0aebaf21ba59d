//! The channels that are ordered on this core: each message of a channel passes through here once,
//! which is why every member on every core sees the same order.

use hashbrown::HashTable;
use smallvec::SmallVec;
use std::sync::Arc;

use protocol::chat::event::{self, Stamp};

use super::Shard;
use crate::Now;
use crate::ids::{ChannelName, CoreId, Epoch, MessageId, Offset, RoomId, UserId};
use crate::limits::{MEMBERS_LISTED_MAX, MEMBERS_SAMPLED};
use crate::mail::{Deliver, Join, Joined, Leave, Mail, Publication, Publish, Published, Receipt};
use crate::outputs::Outputs;
use crate::placement::Placement;

/// A core with members in the channel.
#[derive(Debug)]
struct Watcher {
    core: CoreId,
    room: RoomId,
    session_count: u32,
}

/// A user in the channel, on whatever core.
#[derive(Debug)]
struct Member {
    user: UserId,
    name: Option<Arc<str>>,
    session_count: u32,
    joined_at_unix_ms: u64,
}

/// One channel: its order, and who is in it.
#[derive(Debug)]
struct Home {
    channel: ChannelName,
    epoch: Epoch,
    last_offset: Offset,
    last_timestamp_ms: u64,
    watchers: SmallVec<[Watcher; 4]>,
    members: HashTable<Member>,
}

impl Home {
    fn new(channel: ChannelName, epoch: Epoch) -> Self {
        Self {
            channel,
            epoch,
            last_offset: Offset(0),
            last_timestamp_ms: 0,
            watchers: SmallVec::new(),
            members: HashTable::new(),
        }
    }

    fn add_member(&mut self, from: CoreId, join: &Join, placement: &Placement, now: Now) {
        match self.watchers.iter_mut().find(|watcher| watcher.core == from) {
            Some(watcher) => watcher.session_count += 1,
            None => self.watchers.push(Watcher { core: from, room: join.room, session_count: 1 }),
        }
        let hash = placement.hash(&join.user);
        match self.members.find_mut(hash, |member| member.user == join.user) {
            Some(member) => member.session_count += 1,
            None => {
                let member = Member {
                    user: join.user.clone(),
                    name: join.name.clone(),
                    session_count: 1,
                    joined_at_unix_ms: now.unix_ms,
                };
                self.members.insert_unique(hash, member, |member| placement.hash(&member.user));
            }
        }
    }

    fn remove_member(&mut self, from: CoreId, user: &UserId, placement: &Placement) {
        if let Some(position) = self.watchers.iter().position(|watcher| watcher.core == from) {
            self.watchers[position].session_count -= 1;
            if self.watchers[position].session_count == 0 {
                self.watchers.swap_remove(position);
            }
        }
        if let Ok(mut entry) = self.members.find_entry(placement.hash(user), |member| member.user == *user) {
            entry.get_mut().session_count -= 1;
            if entry.get().session_count == 0 {
                entry.remove();
            }
        }
    }

    /// The JSON array of `channel:members`, cut in large channels.
    fn list_members(&self) -> Vec<u8> {
        let listed =
            if self.members.len() <= MEMBERS_LISTED_MAX { MEMBERS_LISTED_MAX } else { MEMBERS_SAMPLED };
        let mut list = vec![b'['];
        for member in self.members.iter().take(listed) {
            event::push_member(&mut list, &member.user, member.name.as_deref(), member.joined_at_unix_ms);
        }
        list.push(b']');
        list
    }

    fn member_count(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    /// The next place in the channel. Timestamps are the clock's, pushed forward where it stands still or went back.
    fn next_receipt(&mut self, random: u128, now: Now) -> Receipt {
        self.last_offset = self.last_offset.next();
        self.last_timestamp_ms = now.unix_ms.max(self.last_timestamp_ms + 1);
        Receipt {
            id: MessageId::new(self.last_timestamp_ms, random),
            offset: self.last_offset,
            timestamp_ms: self.last_timestamp_ms,
        }
    }
}

/// All channels ordered on a core, by name.
#[derive(Debug)]
pub(super) struct Homes {
    homes: HashTable<Box<Home>>,
    random: SplitMix,
}

impl Homes {
    pub(super) fn new(seed: u64) -> Self {
        Self { homes: HashTable::new(), random: SplitMix(seed) }
    }

    pub(super) fn count(&self) -> usize {
        self.homes.len()
    }

    fn find_mut(&mut self, channel: &str, placement: &Placement) -> Option<&mut Home> {
        let found = self.homes.find_mut(placement.hash(channel), |home| *home.channel == *channel);
        found.map(|home| &mut **home)
    }

    /// The home of a channel. One that was unknown begins a new epoch.
    fn find_or_insert(&mut self, channel: &ChannelName, placement: &Placement) -> &mut Home {
        let random = &mut self.random;
        let entry = self.homes.entry(
            placement.hash(channel),
            |home| home.channel == *channel,
            |home| placement.hash(&home.channel),
        );
        entry
            .or_insert_with(|| Box::new(Home::new(channel.clone(), Epoch::from_random(random.next()))))
            .into_mut()
    }

    fn remove(&mut self, channel: &str, placement: &Placement) {
        if let Ok(entry) = self.homes.find_entry(placement.hash(channel), |home| *home.channel == *channel) {
            entry.remove();
        }
    }
}

impl Shard {
    /// A session of `from` becomes a member; the answer carries the position from which it gets everything.
    pub(super) fn admit_member(&mut self, from: CoreId, join: Join, now: Now, out: &mut Outputs) {
        let home = self.homes.find_or_insert(&join.channel, &self.placement);
        if !join.is_repeat {
            home.add_member(from, &join, &self.placement, now);
        }
        let joined = Joined {
            room: join.room,
            reply: join.reply,
            ticket: join.ticket,
            member_count: home.member_count(),
            members: home.list_members(),
            epoch: home.epoch,
            offset: home.last_offset,
        };
        self.metrics.channels.set(self.homes.count() as u64);
        self.post(from, Mail::Joined(Box::new(joined)), out);
    }

    /// A session of `from` is no longer a member. A channel without members is forgotten.
    pub(super) fn dismiss_member(&mut self, from: CoreId, leave: &Leave) {
        let Some(home) = self.homes.find_mut(&leave.channel, &self.placement) else {
            return self.metrics.stale_letters.increment();
        };
        home.remove_member(from, &leave.user, &self.placement);
        if home.watchers.is_empty() {
            self.homes.remove(&leave.channel, &self.placement);
        }
        self.metrics.channels.set(self.homes.count() as u64);
    }

    /// Gives a message its place, encodes it once, and sends it to every watching core.
    pub(super) fn order(&mut self, from: CoreId, publish: Publish, now: Now, out: &mut Outputs) {
        let Publish { channel, reply, client_message_id, fingerprint, body, attachments, received_us } =
            publish;
        let random = u128::from(self.homes.random.next()) << 64 | u128::from(self.homes.random.next());
        let mut receipt = None;
        if let Some(home) = self.homes.find_mut(&channel, &self.placement) {
            let place = home.next_receipt(random, now);
            let publication = Arc::new(encode(place, &body, &attachments, received_us));
            self.metrics.publications.increment();
            self.metrics.encodes.increment();
            let letters: SmallVec<[(CoreId, Deliver); 4]> = home
                .watchers
                .iter()
                .map(|watcher| {
                    (watcher.core, Deliver { room: watcher.room, publication: publication.clone() })
                })
                .collect();
            for (core, deliver) in letters {
                self.post(core, Mail::Deliver(deliver), out);
            }
            receipt = Some(place);
        }
        let published = Published { channel, reply, client_message_id, fingerprint, receipt };
        self.post(from, Mail::Published(Box::new(published)), out);
    }
}

fn encode(place: Receipt, body: &[u8], attachments: &[Vec<u8>], received_us: u64) -> Publication {
    /// Id twice, offset, times, brackets and names around the body.
    const AROUND_BODY_BYTES: usize = 224;
    let attachment_bytes: usize = attachments.iter().map(|attachment| attachment.len() + 10).sum();
    let mut frames = Vec::with_capacity(body.len() + AROUND_BODY_BYTES + attachment_bytes);
    let stamp = Stamp { id: place.id.as_str(), offset: place.offset.0, timestamp_ms: place.timestamp_ms };
    event::push_message(&mut frames, stamp, body, attachments);
    Publication { offset: place.offset, frames: frames.into_boxed_slice(), received_us }
}

/// Sebastiano Vigna's SplitMix64: ids that do not repeat, from a seed that a simulation can choose.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Trial;
    use super::*;
    use crate::limits::Limits;

    fn join(trial: &mut Trial, number: usize) -> String {
        let session = trial.connect(u32::try_from(number).unwrap(), &format!("user-{number}"), None);
        trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None).swap_remove(1)
    }

    #[test]
    fn a_large_channel_lists_a_sample_and_the_true_total() {
        let mut trial = Trial::new(Limits::default());
        let count = |list: &str| list.matches(r#""status":"#).count();
        for number in 1..MEMBERS_LISTED_MAX {
            join(&mut trial, number);
        }
        let whole = join(&mut trial, MEMBERS_LISTED_MAX);
        assert_eq!(count(&whole), MEMBERS_LISTED_MAX);
        assert!(whole.ends_with(r#""total":1000}]"#));
        let sampled = join(&mut trial, MEMBERS_LISTED_MAX + 1);
        assert_eq!(count(&sampled), MEMBERS_SAMPLED);
        assert!(sampled.ends_with(r#""total":1001}]"#));
    }

    #[test]
    fn times_go_on_rising_when_the_clock_goes_back() {
        let mut home = Home::new("a".into(), Epoch::from_random(1));
        let mut time = |unix_ms| home.next_receipt(0, Now { monotonic_us: 0, unix_ms }).timestamp_ms;
        assert_eq!(
            [time(1_000), time(1_000), time(400), time(2_000), time(1_999)],
            [1_000, 1_001, 1_002, 2_000, 2_001]
        );
    }

    #[test]
    fn a_channel_that_was_forgotten_begins_another_epoch() {
        let (mut homes, placement) = (Homes::new(7), Placement::new(1, (1, 2)));
        let channel: ChannelName = "a".into();
        let first = homes.find_or_insert(&channel, &placement).epoch;
        assert_eq!(homes.find_or_insert(&channel, &placement).epoch, first);
        homes.remove(&channel, &placement);
        assert_ne!(homes.find_or_insert(&channel, &placement).epoch, first);
    }
}
