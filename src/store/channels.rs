//! Channels that are heard: first their topic, then what is kept of them, so that nothing falls in between.
//!
//! ```text
//!            Open                 topic is heard              answer
//! (unknown) ------> Subscribing ------------------> Asked ------------> Open
//!     ^                 | feed lost: refused          | refused           |
//!     +-----------------+-----------------------------+-------------------+ Close
//! ```
//! Users' own rooms are heard by every node over one topic, so they begin at Asked.

use core_shards::limits::HISTORY_BYTES_MAX;
use core_shards::store::{Opened, StoreTrouble, Stored, Unanswered};
use core_shards::{ChannelName, Partition, StoreEvent};
use protocol::redis::Reply;

use super::{Question, State, Store, envelope, is_own_room, refused, scripts};
use crate::redis::GroupId;

/// How far the opening of a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its topic is not heard yet.
    Subscribing,
    /// What is kept of it was asked for.
    Asked,
    /// It is open.
    Open,
}

impl Store {
    /// Opens a channel; a refusal comes at once.
    pub(super) fn open(&self, state: &mut State, channel: ChannelName) -> Option<StoreEvent> {
        let partition = self.partition_of(&channel);
        let group = self.group_of(partition).filter(|group| state.is_up[usize::from(group.0)]);
        let Some(group) = group else {
            return Some(refused(Unanswered::Open(channel), StoreTrouble::Away));
        };
        if is_own_room(&channel) || state.channels.get(&channel) == Some(&Standing::Open) {
            state.channels.insert(channel.clone(), Standing::Asked);
            self.ask_for_channel(state, partition, channel);
            return None;
        }
        match state.channels.get(&channel) {
            None => {
                self.client.watch(group, &self.keys.channel_topic(partition, &channel));
                state.channels.insert(channel, Standing::Subscribing);
                None
            }
            Some(_) => Some(refused(Unanswered::Open(channel), StoreTrouble::Busy)),
        }
    }

    /// Closes a channel. One that was not open yet is refused.
    pub(super) fn close(&self, state: &mut State, channel: &ChannelName) -> Option<StoreEvent> {
        let standing = state.channels.remove(channel)?;
        self.unwatch(channel);
        (standing != Standing::Open).then(|| refused(Unanswered::Open(channel.clone()), StoreTrouble::Away))
    }

    /// A channel's topic is heard.
    pub(super) fn channel_is_heard(&self, state: &mut State, partition: Partition, channel: &str) {
        if let Some((channel, standing)) = state.channels.get_key_value(channel)
            && *standing == Standing::Subscribing
        {
            let channel = channel.clone();
            state.channels.insert(channel.clone(), Standing::Asked);
            self.ask_for_channel(state, partition, channel);
        }
    }

    /// What is kept of a channel has come, or will not.
    pub(super) fn opened(
        &self,
        state: &mut State,
        channel: ChannelName,
        reply: Result<Reply<'_>, StoreTrouble>,
    ) {
        match state.channels.get_mut(&channel) {
            Some(standing) if *standing == Standing::Asked => *standing = Standing::Open,
            // It was closed meanwhile, and refused then.
            _ => return,
        }
        let partition = self.partition_of(&channel);
        let reason = match reply {
            Ok(reply) => match read_opened(&channel, partition, reply) {
                Some(opened) => {
                    state.events.push(StoreEvent::Opened(Box::new(opened)));
                    return;
                }
                None => {
                    self.puzzle("a channel", &reply);
                    StoreTrouble::Unable
                }
            },
            Err(trouble) => trouble,
        };
        state.channels.remove(&channel);
        self.unwatch(&channel);
        state.refuse(Unanswered::Open(channel), reason);
    }

    /// The partition is heard no more: channels whose topic was not heard yet are not opened.
    pub(super) fn give_up_openings(&self, state: &mut State, group: GroupId) {
        let partition = self.partitions[usize::from(group.0)];
        let is_given_up = |channel: &ChannelName, standing: &Standing| {
            *standing == Standing::Subscribing && self.partition_of(channel) == partition
        };
        let given_up: Vec<_> =
            state.channels.extract_if(|channel, standing| is_given_up(channel, standing)).collect();
        for (channel, _) in given_up {
            self.unwatch(&channel);
            state.refuse(Unanswered::Open(channel), StoreTrouble::Away);
        }
    }

    fn unwatch(&self, channel: &str) {
        let partition = self.partition_of(channel);
        if let Some(group) = self.group_of(partition).filter(|_| !is_own_room(channel)) {
            self.client.unwatch(group, &self.keys.channel_topic(partition, channel));
        }
    }

    fn ask_for_channel(&self, state: &mut State, partition: Partition, channel: ChannelName) {
        self.flush_before(state, partition);
        let fresh = state.fresh_epoch();
        let keys = [
            self.keys.counter(partition),
            self.keys.state(partition, &channel),
            self.keys.stream(partition, &channel),
        ];
        let numbers =
            [self.settings.state_life_ms(), self.settings.history_size_max as u64, HISTORY_BYTES_MAX as u64]
                .map(|number| number.to_string());
        let [state_life, entries_max, bytes_max] = numbers.each_ref().map(|text| text.as_bytes());
        self.ask(
            state,
            Question::Open(channel),
            self.keys.slot(partition),
            &scripts::OPEN,
            &keys.each_ref().map(|key| &key[..]),
            &[fresh.as_str().as_bytes(), state_life, entries_max, bytes_max],
        );
    }
}

fn read_opened(channel: &ChannelName, partition: Partition, reply: Reply<'_>) -> Option<Opened> {
    let mut texts = reply.as_list()?.iter().map(Reply::as_text);
    let head = envelope::read_counter(texts.next()??)?;
    let state = envelope::read_state(texts.next()??)?;
    let tail = texts.map(|text| envelope::read_stored(text?, partition)).collect::<Option<Vec<_>>>()?;
    Some(Opened {
        channel: channel.clone(),
        head,
        epoch: state.epoch,
        offset: state.offset,
        timestamp_ms: state.timestamp_ms,
        last_number: state.last_number,
        tail: oldest_first(tail),
    })
}

/// Scripts tell the youngest first, because bytes are counted from there.
pub(super) fn oldest_first(mut tail: Vec<Stored>) -> Vec<Stored> {
    tail.reverse();
    tail
}
