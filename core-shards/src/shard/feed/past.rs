//! A home's history from what the store keeps, and the gaps that its members are told of.

use std::sync::Arc;

use protocol::relay::Message;

use super::super::Shard;
use super::super::history::History;
use crate::Now;
use crate::cursor::RunId;
use crate::ids::{Epoch, Lane, MessageId, Offset};
use crate::limits::LATEST_LIFE_MS;
use crate::mail::{Gap, GapReason, Mail, Receipt};
use crate::outputs::Outputs;
use crate::publication::{Frames, Origin, Publication, position};
use crate::store::{Stored, StoredPlace};

impl Shard {
    /// A home's history is what the store keeps from here on. Nobody is handed anything of it; appends of this node that
    /// are in it have their end.
    pub(super) fn take_past(
        &mut self,
        index: u32,
        epoch: Epoch,
        offset: Offset,
        tail: &[Stored],
        now: Now,
        out: &mut Outputs,
    ) {
        self.forget_past(index, epoch, Offset(0), 0);
        for stored in tail {
            self.remember(index, stored, now);
            self.recognise(stored, now, out);
        }
        let home = self.homes.table.at(index);
        if home.last_offset < offset {
            let timestamp_ms = home.last_timestamp_ms;
            self.forget_past(index, epoch, offset, timestamp_ms);
        }
    }

    /// Begins a home's history anew: everything up to `offset` is lost.
    pub(super) fn forget_past(&mut self, index: u32, epoch: Epoch, offset: Offset, timestamp_ms: u64) {
        let home = self.homes.table.at_mut(index);
        self.homes.history_bytes -= home.history.bytes();
        self.metrics.history_entries.take(home.history.iter().len() as u64);
        home.history = History::after(offset, timestamp_ms);
        if let Some(tie) = &mut home.tie {
            tie.last_seq = tie.last_seq.max(self.feeds.seq(tie.partition));
        }
        (home.epoch, home.last_offset) = (epoch, offset);
        if let Some(tie) = &mut home.tie {
            tie.kept_timestamp_ms = timestamp_ms;
        }
    }

    /// Puts a publication of the store into a home's history, without handing it out. What is too old is not kept,
    /// whatever the store still has.
    pub(super) fn remember(&mut self, index: u32, stored: &Stored, now: Now) {
        let place = stored.place;
        let home = self.homes.table.at_mut(index);
        let (epoch, last) = (home.epoch, home.last_offset);
        home.note_time(place.timestamp_ms);
        home.note_last(position(place.number, 0));
        let publication = publication_of(stored);
        let is_over = now.unix_ms.saturating_sub(place.timestamp_ms) >= self.limits.history_life_ms;
        let Some(publication) = publication.filter(|_| !is_over) else {
            return self.forget_past(index, epoch, place.offset, place.timestamp_ms);
        };
        if place.offset != last.next() {
            self.forget_past(index, epoch, place.offset.before(), place.timestamp_ms.saturating_sub(1));
        }
        let home = self.homes.table.at_mut(index);
        home.last_offset = place.offset;
        if let Some(tie) = &mut home.tie {
            tie.kept_timestamp_ms = place.timestamp_ms;
        }
        let receipt = Receipt::of_stored(publication.id, &place);
        self.keep(index, receipt, Arc::new(publication), now);
    }

    /// An append of this node that the store turns out to have has its end. Whatever it has of late is known when its sender
    /// says it again: members may be told of it.
    fn recognise(&mut self, stored: &Stored, now: Now, out: &mut Outputs) {
        let Some(message) = Message::read(&stored.payload) else { return };
        let feed = self.feeds.of(stored.partition);
        if now.unix_ms.saturating_sub(stored.place.timestamp_ms) < LATEST_LIFE_MS {
            feed.latest.note_key(message.key);
        }
        if message.run == self.run.as_str()
            && let Some(own) = feed.appends.take(message.number, message.id)
        {
            if own.is_handed_out() {
                feed.latest.note(&own.id, 0);
            }
            let receipt = Receipt::of_stored(own.id, &stored.place);
            self.finish(own, Ok(receipt), None, out);
        }
    }

    /// Something before a publication is missing, or the publication itself: what members have up to `offset` has a gap.
    pub(super) fn leave_gap(
        &mut self,
        index: u32,
        reason: GapReason,
        place: &StoredPlace,
        offset: Offset,
        out: &mut Outputs,
    ) {
        let before_ms = place.timestamp_ms.saturating_sub(u64::from(offset < place.offset));
        self.forget_past(index, place.epoch, offset, before_ms);
        self.homes.table.at_mut(index).note_time(before_ms);
        self.announce_gap(index, reason, out);
    }

    /// Tells the members of a channel that something is missing, and from where on nothing is.
    pub(super) fn announce_gap(&mut self, index: u32, reason: GapReason, out: &mut Outputs) {
        let home = self.homes.table.at(index);
        let Some(partition) = home.tie.as_ref().map(|tie| tie.partition) else { return };
        let (epoch, offset) = (home.epoch, home.last_offset);
        let (lane, seq) = (Lane::from(partition), self.feeds.seq(partition));
        let watchers: Vec<_> = home.watchers.iter().map(|watcher| (watcher.core, watcher.room)).collect();
        self.metrics.gaps.increment();
        for (core, room) in watchers {
            let gap = Gap { room, reason, epoch, offset, lane, seq };
            self.post(core, Mail::Gap(Box::new(gap)), out);
        }
    }
}

/// A publication that nobody is handed; `None` if it cannot be read.
fn publication_of(stored: &Stored) -> Option<Publication> {
    let message = Message::read(&stored.payload)?;
    let run = RunId::parse(message.run)?;
    Some(Publication {
        lane: Lane::from(stored.partition),
        seq: position(stored.place.number, 0),
        is_belated: false,
        origin: Some(Origin { run, number: message.number }),
        channel: stored.channel.clone(),
        id: MessageId::parse(message.id)?,
        offset: Some(stored.place.offset),
        timestamp_ms: stored.place.timestamp_ms,
        body: message.body.to_vec(),
        attachments: message.attachments.iter().map(|attachment| attachment.to_vec()).collect(),
        kind: message.kind,
        frames: Frames::default(),
        received_us: 0,
    })
}
