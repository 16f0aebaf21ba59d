//! What happens while the store is away. The rules, as they are promised, are in `docs/ARCHITECTURE.md`.

use std::sync::Arc;

use super::super::Shard;
use super::State;
use super::appends::Content;
use crate::Now;
use crate::ids::{Lane, Partition};
use crate::limits::STORE_RETRY_MS;
use crate::outputs::Outputs;
use crate::publication::{Frames, Origin, Publication};

impl Shard {
    /// The feed of a partition is not heard any more. What was on its way to the store comes first among what this core
    /// hands out by itself.
    pub(super) fn go_adrift(&mut self, partition: Partition, now: Now, out: &mut Outputs) {
        let feed = self.feeds.of(partition);
        feed.state = State::Adrift;
        feed.reopen_at_ms = u64::MAX;
        feed.appends.unsend();
        let drafts: Vec<u32> = feed
            .appends
            .iter()
            .filter(|waiting| !waiting.is_handed_out())
            .map(|waiting| waiting.number)
            .collect();
        for number in drafts {
            self.hand_out_early(partition, number, now, out);
        }
    }

    /// Asks the store again in a while, without waiting for it to say that it is back.
    pub(super) fn retry_soon(&mut self, partition: Partition, now: Now) {
        self.feeds.of(partition).retry_at_ms = now.monotonic_ms() + STORE_RETRY_MS;
    }

    /// Hands a publication out to the members here before the store has it: without an offset, at a position of its own
    /// behind the last one that was heard of. What the feed brought before is a retry, which the store will know.
    pub(super) fn hand_out_early(&mut self, partition: Partition, number: u32, now: Now, out: &mut Outputs) {
        let run = self.run;
        let feed = self.feeds.of(partition);
        let Some(waiting) = feed.appends.find_mut(number) else { return };
        if feed.latest.has_key(waiting.key()) {
            return;
        }
        let (home, id, user) = (waiting.home, waiting.id, waiting.user.clone());
        let Content::Draft(draft) = &mut waiting.content else { return };
        let (kind, received_us) = (draft.kind.clone(), draft.received_us);
        let (body, attachments) = (std::mem::take(&mut draft.body), std::mem::take(&mut draft.attachments));
        let seq = feed.numbers.place_provisional(feed.heard, number);
        if kind == protocol::chat::event::Kind::Message {
            self.stop_typing(home.index, &user, now, out);
        }
        let Some(channel) = self.homes.table.get_mut(home) else { return };
        channel.last_timestamp_ms = now.unix_ms.max(channel.last_timestamp_ms + 1);
        if let Some(tie) = &mut channel.tie {
            tie.handed_out_count += 1;
        }
        let mut publication = Publication {
            lane: Lane::from(partition),
            seq,
            is_belated: false,
            origin: Some(Origin { run, number }),
            channel: channel.channel.clone(),
            kind,
            id,
            offset: None,
            timestamp_ms: channel.last_timestamp_ms,
            body,
            attachments,
            frames: Frames::default(),
            received_us,
        };
        publication.encode(channel.volatile_forms().into_iter(), run);
        self.metrics.encodes.add(publication.frames.form_count() as u64);
        self.metrics.provisional.increment();
        self.count_published(&publication);
        let publication = Arc::new(publication);
        let recipient_count = self.send_to_all(Some(home.index), &publication, now, out);
        if let Some(waiting) = self.feeds.of(partition).appends.find_mut(number) {
            waiting.published.recipient_count = recipient_count;
            waiting.content = Content::HandedOut(publication);
        }
    }
}
