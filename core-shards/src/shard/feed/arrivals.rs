//! What the feed brings: each publication gets its place in the lane and in the channel's history, and is handed out to
//! whoever has not had it.

use std::sync::Arc;

use protocol::chat::event::Kind;
use protocol::relay::Message;

use super::super::Shard;
use super::super::home::Home;
use super::State;
use super::appends::{Content, Waiting};
use super::opening::Standing;
use crate::Now;
use crate::cursor::RunId;
use crate::ids::{Lane, MessageId, Partition, UserId};
use crate::mail::{GapReason, Mail, Receipt};
use crate::metrics::EventClass;
use crate::outputs::Outputs;
use crate::publication::{Frames, Origin, Publication, stored_of};
use crate::store::{Stored, StoredPlace};

/// How a publication goes with what a home has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// It follows.
    Next,
    /// It is known.
    Known,
    /// Something before it is missing.
    Hole,
    /// The channel has another epoch.
    OtherEpoch,
}

impl Home {
    fn fit(&self, place: &StoredPlace) -> Fit {
        match place.offset.0 {
            // What is not kept has no place among what is.
            0 => Fit::Next,
            _ if place.epoch != self.epoch => Fit::OtherEpoch,
            _ if place.offset <= self.last_offset => Fit::Known,
            _ if place.offset == self.last_offset.next() => Fit::Next,
            _ => Fit::Hole,
        }
    }
}

impl Shard {
    /// The feed brought a publication.
    pub(super) fn hear(&mut self, stored: Box<Stored>, now: Now, out: &mut Outputs) {
        let Some(feed) = self.feeds.find_mut(stored.partition) else { return };
        let partition = stored.partition;
        let is_foreign = feed.epoch != Some(stored.place.partition_epoch);
        // The number up to which nothing is missing, if something is after it.
        let whole = || {
            let index = self.homes.find_open(&stored.channel, &self.placement)?;
            let home = self.homes.table.at(index);
            (home.fit(&stored.place) == Fit::Hole).then(|| stored_of(home.last_seq()))
        };
        let hole = if feed.is_live() { whole() } else { None };
        match &mut feed.state {
            // What followed is asked for when the feed is whole again.
            State::Adrift => {}
            State::Repairing(repair) => repair.keep(*stored),
            State::Live if is_foreign || hole.is_some() => {
                feed.whole = feed.whole.min(hole.unwrap_or(u64::MAX));
                self.begin_repair(partition);
                if let Some(feed) = self.feeds.find_mut(partition)
                    && let State::Repairing(repair) = &mut feed.state
                {
                    repair.keep(*stored);
                }
            }
            State::Live => {
                self.take_in(&stored, now, out);
                self.send_appends(partition);
            }
        }
    }

    /// Takes in a publication that belongs to the partition's epoch. What is missing before it is announced.
    pub(super) fn take_in(&mut self, stored: &Stored, now: Now, out: &mut Outputs) {
        let place = stored.place;
        let feed = self.feeds.of(stored.partition);
        let is_news = place.number > feed.heard;
        feed.heard = feed.heard.max(place.number);
        let message = Message::read(&stored.payload);
        let message = message.and_then(|message| Some((MessageId::parse(message.id)?, message)));
        let own = message.as_ref().filter(|(_, message)| message.run == self.run.as_str());
        let own = own.and_then(|(_, message)| feed.appends.take(message.number, message.id));
        let seq = feed.numbers.place_stored(place.number);
        let is_belated = seq.is_none();
        let seq = seq.unwrap_or(feed.numbers.seq());
        let is_user = stored.channel.starts_with("user:");
        // What came already, or is soon void, is not handed out belatedly.
        let is_void = is_belated
            && (place.offset.0 == 0 || message.as_ref().is_some_and(|(id, _)| feed.latest.has(id)));
        let mut open = self.homes.find_open(&stored.channel, &self.placement);
        if let Some(index) = open {
            match self.homes.table.at(index).fit(&place) {
                // The room's past was told when it was opened, but not to its owner.
                Fit::Known
                    if is_user && is_news && !self.was_handed_out(stored.partition, message.as_ref()) =>
                {
                    open = None;
                }
                Fit::Known => return self.finish_stored(own, &place, None, out),
                // Nobody can be handed what cannot be read.
                _ if message.is_none() && place.offset.0 > 0 => {
                    self.leave_gap(index, GapReason::Trimmed, &place, place.offset, out);
                }
                Fit::Next => {}
                Fit::Hole => {
                    self.leave_gap(index, GapReason::Trimmed, &place, place.offset.before(), out);
                }
                Fit::OtherEpoch => {
                    self.leave_gap(index, GapReason::Epoch, &place, place.offset.before(), out);
                }
            }
        }
        match message.filter(|_| !is_void && (open.is_some() || is_user)) {
            Some((id, message)) => {
                let arrival = Arrival { stored, seq, is_belated, id, message, own };
                self.receive(open, arrival, now, out);
            }
            None => self.finish_stored(own, &place, None, out),
        }
    }

    /// Whether a publication is among those that were handed out lately. One that cannot be read has no use.
    fn was_handed_out(&self, partition: Partition, message: Option<&(MessageId, Message<'_>)>) -> bool {
        let feed = self.feeds.find(partition);
        message.zip(feed).is_none_or(|((id, _), feed)| feed.latest.has(id))
    }

    /// Hands out a publication that follows what was handed out before, and remembers it.
    fn receive(&mut self, open: Option<u32>, arrival: Arrival<'_>, now: Now, out: &mut Outputs) {
        let Arrival { stored, is_belated, id, .. } = arrival;
        let place = stored.place;
        let feed = self.feeds.of(stored.partition);
        let mut had = feed.latest.note(&id, arrival.message.key);
        if let (Some(index), true, None) = (open, feed.numbers.has_early(), &arrival.own)
            && let Some(same) = feed.appends.take_early(self.homes.table.place(index), &arrival.message)
        {
            had = true;
            self.finish(same, Ok(Receipt::of_stored(id, &place)), None, out);
        }
        let (mut publication, mut own) = arrival.publication(now);
        had |= own.as_ref().is_some_and(Waiting::is_handed_out);
        if let (Some(index), false) = (open, had) {
            self.end_typing_of(index, &publication, own.as_ref(), now, out);
            publication.encode(self.homes.table.at(index).volatile_forms().into_iter(), self.run);
            self.metrics.encodes.add(publication.frames.form_count() as u64);
        }
        if own.is_some() && !had {
            self.count_published(&publication);
        }
        let publication = Arc::new(publication);
        let mut recipient_count = 0;
        if !had {
            recipient_count = self.send_to_all(open, &publication, now, out);
        }
        if let Some(own) = own.as_mut().filter(|own| !own.is_handed_out()) {
            own.published.recipient_count = recipient_count;
        }
        if let Some(index) = open {
            let home = self.homes.table.at_mut(index);
            match publication.offset {
                // The history knows its own position.
                Some(_) if is_belated => self.remember(index, stored, now),
                Some(_) => {
                    home.note_place(&place);
                    self.keep(index, Receipt::of_stored(id, &place), publication.clone(), now);
                }
                None => home.note_place(&place),
            }
            self.answer_polls(index, out);
            self.look_at_home(index);
        }
        self.finish_stored(own, &place, Some(publication), out);
    }

    /// Sends a publication to every local member of a channel, and to its owner if it is a user's room. Returns to how
    /// many sessions, as far as this core knows.
    pub(super) fn send_to_all(
        &mut self,
        home: Option<u32>,
        publication: &Arc<Publication>,
        now: Now,
        out: &mut Outputs,
    ) -> u32 {
        let mut count = 0;
        if let Some(index) = home {
            count = self.homes.table.at(index).session_count();
            self.send_out(index, publication, out);
        }
        if let Some(owner) = publication.channel.strip_prefix("user:") {
            let core = self.placement.home_of_user(owner);
            if core == self.core {
                count += self.hand_to_owner(publication, now, out);
            } else {
                self.post(core, Mail::Own(publication.clone()), out);
            }
        }
        self.metrics.fanout.observe(u64::from(count));
        count
    }

    /// Counts a publication that came in on this node.
    pub(super) fn count_published(&self, publication: &Publication) {
        self.metrics.publications.increment();
        self.metrics.published[EventClass::of_kind(&publication.kind) as usize].increment();
        if publication.is_message() {
            self.metrics.message_bytes.observe(publication.body.len() as u64);
        }
    }

    /// A user's message says that typing is over.
    fn end_typing_of(
        &mut self,
        index: u32,
        publication: &Publication,
        own: Option<&Waiting>,
        now: Now,
        out: &mut Outputs,
    ) {
        let types = self.homes.table.at(index).typists.next_deadline_ms().is_some();
        if let Some(own) = own.filter(|_| types && publication.kind == Kind::Message) {
            self.stop_typing(index, &UserId::clone(&own.user), now, out);
        }
    }

    /// The end of an append that the feed has brought back.
    fn finish_stored(
        &mut self,
        own: Option<Waiting>,
        place: &StoredPlace,
        publication: Option<Arc<Publication>>,
        out: &mut Outputs,
    ) {
        if let Some(own) = own {
            let receipt = Receipt::of_stored(own.id, place);
            self.finish(own, Ok(receipt), publication, out);
        }
    }
}

/// A publication of the store, read.
struct Arrival<'a> {
    stored: &'a Stored,
    seq: u64,
    is_belated: bool,
    id: MessageId,
    message: Message<'a>,
    own: Option<Waiting>,
}

impl Arrival<'_> {
    /// As it is handed out; what this node has of it is not copied. And the append, if it is this node's.
    fn publication(mut self, now: Now) -> (Publication, Option<Waiting>) {
        let place = &self.stored.place;
        let drafted = self.own.as_mut().and_then(|own| match &mut own.content {
            Content::Draft(draft) => Some((
                std::mem::take(&mut draft.body),
                std::mem::take(&mut draft.attachments),
                draft.received_us,
            )),
            Content::HandedOut(_) => None,
        });
        let (body, attachments, received_us) = drafted.unwrap_or_else(|| {
            let attachments = self.message.attachments.iter().map(|attachment| attachment.to_vec()).collect();
            (self.message.body.to_vec(), attachments, now.monotonic_us)
        });
        let run = RunId::parse(self.message.run);
        let publication = Publication {
            lane: Lane::from(self.stored.partition),
            seq: self.seq,
            is_belated: self.is_belated,
            origin: run.map(|run| Origin { run, number: self.message.number }),
            channel: self.stored.channel.clone(),
            kind: self.message.kind,
            id: self.id,
            offset: (place.offset.0 > 0).then_some(place.offset),
            timestamp_ms: place.timestamp_ms,
            body,
            attachments,
            frames: Frames::default(),
            received_us,
        };
        (publication, self.own)
    }
}

impl Home {
    /// Whether the store tells what happens in the channel.
    pub(in crate::shard) fn is_open(&self) -> bool {
        self.tie.as_ref().is_some_and(|tie| matches!(tie.standing, Standing::Open))
    }

    fn note_place(&mut self, place: &StoredPlace) {
        self.last_timestamp_ms = self.last_timestamp_ms.max(place.timestamp_ms);
        let Some(tie) = &mut self.tie else { return };
        tie.timestamp_ms = place.timestamp_ms;
        if place.offset.0 > 0 {
            tie.kept_timestamp_ms = place.timestamp_ms;
            self.last_offset = place.offset;
        }
    }
}
