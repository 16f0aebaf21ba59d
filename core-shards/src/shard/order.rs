//! Ordering: each event of a channel passes through its home once, gets its place there, is written once for each
//! form that somebody reads, kept, and sent to every core with members.

use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::dialect::Spelling;
use protocol::chat::event::Kind;

use super::Shard;
use super::feed::published_of;
use super::history::{Entry, HistoryBounds};
use super::home::Home;
use super::journal::Target;
use crate::Now;
use crate::ids::{CoreId, Offset};
use crate::mail::{Deliver, Mail, Past, Publish, Receipt, Replay, ReplayPurpose, Sender, Since};
use crate::metrics::EventClass;
use crate::outputs::Outputs;
use crate::publication::{Frames, Publication, stored_of};

impl Shard {
    /// Gives an event its place, and sends it to every watching core. A member's is taken only while the channel is
    /// known: a back end's makes the channel, and so does one of somebody who need not join.
    pub(super) fn order(&mut self, from: CoreId, publish: Publish, now: Now, out: &mut Outputs) {
        if self.placement.is_joined() {
            return self.order_in_store(from, publish, now, out);
        }
        let index = match publish.sender {
            Sender::Session(_) if !self.limits.joins_implicitly => {
                self.homes.table.find(&publish.channel, &self.placement)
            }
            _ => Some(self.homes.find_or_insert(&publish.channel, &self.placement, now)),
        };
        let mut published = published_of(&publish);
        if let Some(index) = index {
            let home = self.homes.table.at(index);
            published.recipient_count = home.watchers.iter().map(|watcher| watcher.session_count).sum();
            let publication = self.place(index, publish, now, out);
            published.recipient_count += self.send_to_owner(&publication, now, out);
            self.metrics.fanout.observe(u64::from(published.recipient_count));
            let offset = publication.offset.unwrap_or_default();
            let receipt = Receipt { id: publication.id, offset, timestamp_ms: publication.timestamp_ms };
            published.receipt = Some(receipt);
            if matches!(published.sender, Sender::Call(_)) {
                published.publication = Some(publication);
            }
        }
        self.post(from, Mail::Published(Box::new(published)), out);
    }

    /// Gives an event its place in a channel of this core, writes it and sends it.
    fn place(&mut self, index: u32, publish: Publish, now: Now, out: &mut Outputs) -> Arc<Publication> {
        self.homes.wake(index);
        if publish.kind == Kind::Message {
            self.stop_typing(index, &publish.user, now, out);
        }
        let random = u128::from(self.homes.random.next()) << 64 | u128::from(self.homes.random.next());
        let home = self.homes.table.at_mut(index);
        // Receipts of reading are many and soon void: they would push messages out of the history.
        let is_kept = publish.kind != Kind::Read;
        let receipt = home.next_receipt(random, is_kept, now);
        self.seq += 1;
        let mut publication = Publication {
            lane: self.core.into(),
            seq: self.seq,
            is_belated: false,
            origin: None,
            channel: home.channel.clone(),
            kind: publish.kind,
            id: receipt.id,
            offset: is_kept.then_some(receipt.offset),
            timestamp_ms: receipt.timestamp_ms,
            body: publish.body,
            attachments: publish.attachments,
            frames: Frames::default(),
            received_us: publish.received_us,
        };
        publication.encode(home.forms(), self.run);
        self.metrics.publications.increment();
        self.metrics.published[EventClass::of_kind(&publication.kind) as usize].increment();
        if publication.is_message() {
            self.metrics.message_bytes.observe(publication.body.len() as u64);
        }
        self.metrics.encodes.add(publication.frames.form_count() as u64);
        let publication = Arc::new(publication);
        self.send_out(index, &publication, out);
        if is_kept {
            self.keep(index, receipt, publication.clone(), now);
        }
        self.answer_polls(index, out);
        self.look_at_home(index);
        publication
    }

    pub(super) fn send_out(&mut self, index: u32, publication: &Arc<Publication>, out: &mut Outputs) {
        let home = self.homes.table.at(index);
        let letters: SmallVec<[(CoreId, Deliver); 4]> = home
            .watchers
            .iter()
            .map(|watcher| (watcher.core, Deliver { room: watcher.room, publication: publication.clone() }))
            .collect();
        for (core, deliver) in letters {
            self.post(core, Mail::Deliver(deliver), out);
        }
    }

    /// What is said in a user's own room reaches all of the user's sessions, also those that have not joined it.
    /// Returns how many those are.
    fn send_to_owner(&mut self, publication: &Arc<Publication>, now: Now, out: &mut Outputs) -> u32 {
        let Some(owner) = publication.channel.strip_prefix("user:") else { return 0 };
        let Some(user) = self.users.find(owner, &self.placement) else { return 0 };
        let room = self.rooms.find(&publication.channel, &self.placement);
        let mut count = 0;
        for slot in self.users.at(user).sessions.clone() {
            let Some(session) = self.sessions.at(slot) else { continue };
            if room.is_some_and(|room| session.membership(room).is_some()) {
                continue;
            }
            let form = session.form(Spelling::Bare);
            self.send_apart(self.sessions.id_at(slot), form, publication, now, out);
            count += 1;
        }
        self.keep_for_lost(user, room, publication, now);
        count
    }

    /// Lost sessions of a user that have not joined the user's own room find what is said there in the journal.
    fn keep_for_lost(&mut self, user: u32, room: Option<u32>, publication: &Arc<Publication>, now: Now) {
        let now_ms = now.monotonic_ms();
        let lost = self.users.at_mut(user).past.iter_mut().flat_map(|past| &mut past.detached);
        for detached in lost.filter(|detached| detached.resumable_until_ms > now_ms) {
            let session = &mut detached.session;
            if room.is_none_or(|room| session.membership(room).is_none()) {
                let (bytes, target) = (publication.memory_bytes(), Target::Session(session.origin));
                let position = self.journal.push(target, bytes, publication.clone(), now_ms);
                session.particulars.set_apart_end(position);
            }
        }
        self.trim_journal(now);
    }

    /// Puts a publication into the channel's history, within the bounds of the channel and of the core.
    pub(super) fn keep(&mut self, index: u32, receipt: Receipt, publication: Arc<Publication>, now: Now) {
        let history_bounds = HistoryBounds::of(&self.limits);
        let home = self.homes.table.at_mut(index);
        home.note_last(publication.seq);
        let (before, entries_before) = (home.history.bytes(), home.history.iter().len());
        let entry = Entry {
            offset: receipt.offset,
            timestamp_ms: receipt.timestamp_ms,
            bytes: publication.memory_bytes(),
            id: receipt.id,
            value: publication,
        };
        home.history.push(entry, now.monotonic_ms(), &history_bounds);
        let after = home.history.bytes();
        self.homes.history_bytes = self.homes.history_bytes - before + after;
        let entries_after = home.history.iter().len();
        self.metrics.history_entries.add((entries_after as u64).wrapping_sub(entries_before as u64));
        while self.homes.history_bytes > self.limits.memory.histories_bytes_max {
            if self.forget_a_deserted() {
                continue;
            }
            let home = self.homes.table.at_mut(index);
            let freed = home.history.drop_oldest();
            if freed == 0 {
                return;
            }
            self.homes.history_bytes -= freed;
            self.metrics.history_entries.take(1);
        }
    }
}

impl Home {
    /// What followed a position, all of it or an honest no.
    pub(super) fn replay(&self, past: &Past) -> Replay {
        let (since, purpose) = match past {
            Past::None => return Replay::default(),
            Past::Asked(since) => (since, ReplayPurpose::Answer),
            Past::Missed(since) => (since, ReplayPurpose::Missed),
            Past::Resumed { after_seq } => return self.resumed(*after_seq),
        };
        // What the members here have before the store has it is in no history yet.
        let ahead = self.tie.as_ref().map_or(0, |tie| u64::from(tie.handed_out_count));
        let found = self.publications_since(since);
        let found = if ahead > 0 { Err(ahead) } else { found };
        let is_complete = found.is_ok();
        // Who was away gets what there is, and is told what there is not; who asked gets all or nothing.
        let rest = || match purpose {
            ReplayPurpose::Missed => self.kept_since(since),
            ReplayPurpose::Answer | ReplayPurpose::Nothing | ReplayPurpose::Resumed => Vec::new(),
        };
        let lost = found.as_ref().err().copied().unwrap_or(0);
        Replay { purpose, is_complete, publications: found.unwrap_or_else(|_| rest()), lost }
    }

    /// What followed a place in the channel's lane, all of it or nothing. Of a history that lost something it is enough to
    /// know that its oldest entry is not among what followed.
    fn resumed(&self, after_seq: u64) -> Replay {
        // What a node says of its own outages in a position means nothing on another.
        let (purpose, after) = (ReplayPurpose::Resumed, stored_of(after_seq));
        let is_complete = match self.history.iter().next() {
            Some(oldest) => self.history.lost_since(Offset(0)) == 0 || stored_of(oldest.value.seq) <= after,
            None => stored_of(self.last_seq()) <= after,
        };
        let missed = self.history.iter().map(|entry| &entry.value).filter(|kept| stored_of(kept.seq) > after);
        let publications = if is_complete { missed.cloned().collect() } else { Vec::new() };
        Replay { purpose, is_complete, publications, lost: 0 }
    }

    /// The publications after a position, or how many of them are lost, as far as that can be known.
    pub(super) fn publications_since(&self, since: &Since) -> Result<Vec<Arc<Publication>>, u64> {
        let found = match since {
            Since::Position(epoch, offset) if *epoch == self.epoch => {
                self.history.since_offset(*offset).ok_or(self.history.lost_since(*offset))
            }
            Since::Heard(epoch, offset, unix_ms) if *epoch == self.epoch => {
                let after = self.history.since_offset(*offset).ok_or(self.history.lost_since(*offset))?;
                let later = self.history.kept_since_time(*unix_ms);
                Ok(if later.len() > after.len() { later } else { after })
            }
            // All that this epoch lost came after a position of a former one.
            Since::Position(..) | Since::Heard(..) | Since::Foreign => {
                Err(self.history.lost_since(Offset(0)))
            }
            Since::Time(unix_ms) => self.history.since_time(*unix_ms).ok_or(0),
            Since::Message(id) => self.history.since_message(id).ok_or(0),
        };
        found.map(|entries| entries.map(|entry| entry.value.clone()).collect())
    }

    /// What is kept of what followed a position.
    pub(super) fn kept_since(&self, since: &Since) -> Vec<Arc<Publication>> {
        let after_ms = if let Since::Time(unix_ms) = since { *unix_ms } else { 0 };
        self.history.kept_since_time(after_ms).map(|entry| entry.value.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Trial;
    use super::*;
    use crate::limits::{HISTORY_BYTES_MAX, Limits, RateLimits};
    use crate::mail::{Caller, Deed, Question};
    use protocol::chat::status::Status;

    #[test]
    fn a_publication_is_written_once_for_each_form_that_is_read() {
        let mut trial = Trial::new(Limits::default());
        let (one, other) = (trial.connect(0, "7", None), trial.connect(1, "8", None));
        let third = trial.connect(2, "9", None);
        trial.event(one, r#"["channel:join",{"channelId":"a"}]"#, None);
        trial.event(other, r#"["channel:join",{"channelId":"a"}]"#, None);
        trial.event(third, r#"["room:join",{"roomName":"channel:a"}]"#, None);
        let before = trial.metrics.encodes.get();
        let heard = trial.event(one, r#"["message:send",{"channelId":"a","content":"x"}]"#, None);
        assert_eq!(heard.len(), 2, "one frame for two primary sessions, one for a legacy one: {heard:?}");
        assert!(heard[1].starts_with(r#"42["message:new",{"roomName":"channel:a""#), "{}", heard[1]);
        assert_eq!(trial.metrics.encodes.get() - before, 2);
    }

    #[test]
    fn a_channel_is_not_forgotten_for_what_is_published_to_it() {
        let rate = RateLimits { is_enabled: false, ..Limits::default().rate };
        let mut trial = Trial::new(Limits { rate, ..Limits::default() });
        let histories_bytes_max = Limits::default().memory.histories_bytes_max;
        let long = "x".repeat(HISTORY_BYTES_MAX / 4);
        let publish = |trial: &mut Trial, channel: &str| {
            let body = format!(r#""userId":"7","content":"{long}""#).into_bytes();
            let deed = Deed::Publish { kind: Kind::Message, body, client_message_id: None };
            let responses = trial.call(Caller::Server, "7", channel, deed);
            assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [200]);
        };
        // Channels that nobody is in, three messages each, until the core has no room for more.
        let count = 2 * histories_bytes_max / HISTORY_BYTES_MAX + 8;
        for channel in 0..count {
            for _ in 0..3 {
                publish(&mut trial, &channel.to_string());
            }
        }
        assert!(trial.metrics.homes_evicted.get() > 0);
        for _ in 0..100 {
            publish(&mut trial, "alone");
        }
        assert!(trial.shard.homes.history_bytes <= histories_bytes_max);
        assert!(trial.shard.homes.table.find("alone", &trial.shard.placement).is_some());
        trial.pass_slowly(600_000);
        assert_eq!((trial.shard.homes.history_bytes, trial.shard.holdings().homes), (0, 0));
    }

    #[test]
    fn the_longest_deserted_channel_is_forgotten_first() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        let touch = |trial: &mut Trial, channel: &str| {
            let question = Question::SetPresence { user: "9".into(), status: Status::Away };
            trial.call(Caller::Server, "9", channel, Deed::Ask(question));
            trial.pass(61_000);
        };
        touch(&mut trial, "first");
        touch(&mut trial, "second");
        for _ in 0..3 {
            // It comes and goes, and is the latest after that.
            trial.event(session, r#"["channel:join",{"channelId":"first"}]"#, None);
            trial.event(session, r#"["channel:leave",{"channelId":"first"}]"#, None);
        }
        assert!(trial.shard.forget_a_deserted());
        assert!(trial.shard.homes.table.find("first", &trial.shard.placement).is_some());
        assert!(trial.shard.homes.table.find("second", &trial.shard.placement).is_none());
        assert!(trial.shard.forget_a_deserted() && !trial.shard.forget_a_deserted());
    }

    #[test]
    fn receipts_of_reading_push_no_message_out() {
        let rate = RateLimits { is_enabled: false, ..Limits::default().rate };
        let mut trial = Trial::new(Limits { history_size_max: 1, rate, ..Limits::default() });
        let session = trial.connect(0, "7", None);
        trial.join(session, "a");
        trial.say(session, "a", "x");
        for _ in 0..3 {
            trial.event(session, r#"["read",{"channelId":"a","messageId":"m"}]"#, None);
        }
        let heard = trial.event(session, r#"["sync:messages",{"channelId":"a"}]"#, Some(1));
        assert!(heard[0].contains(r#""content":"x""#), "{heard:?}");
    }

    #[test]
    fn who_need_not_join_sends_to_a_channel_that_nobody_knows() {
        let mut trial = Trial::new(Limits { joins_implicitly: true, ..Limits::default() });
        let session = trial.connect(0, "7", None);
        let heard = trial.event(session, r#"["message:send",{"channelId":"a","content":"x"}]"#, Some(1));
        assert!(heard[0].starts_with(r#"431[{"success":true"#), "{heard:?}");
        let heard = trial.event(session, r#"["message:send",{"channelId":"user:8","content":"x"}]"#, Some(1));
        assert!(heard[0].contains("ROOM_ACCESS_DENIED"), "{heard:?}");
    }
}
