//! From an event to an append, and from the append's end to the acknowledgement.

use std::sync::Arc;

use super::super::Shard;
use super::super::home::Home;
use super::appends::{Content, Done, Draft, Waiting};
use super::is_surely_undone;
use crate::Now;
use crate::ids::{CoreId, MessageId, Offset, Partition};
use crate::limits::{APPENDS_IN_FLIGHT_MAX, STORE_RETRY_MS};
use crate::mail::{Mail, Publish, Published, Receipt, Sender};
use crate::outputs::Outputs;
use crate::publication::Publication;
use crate::store::{StoreRequest, StoreTrouble, StoredPlace};

impl Shard {
    /// Sends an event to the store; while that is away, hands it out and keeps it for the store.
    pub(in crate::shard) fn order_in_store(
        &mut self,
        from: CoreId,
        publish: Publish,
        now: Now,
        out: &mut Outputs,
    ) {
        let known = self.homes.table.find(&publish.channel, &self.placement);
        let partition = self.placement.partition_of(&publish.channel);
        let (Some(index), Some(partition)) = (known, partition) else {
            let published = Box::new(published_of(&publish));
            return self.post(from, Mail::Published(published), out);
        };
        if !self.feeds.has_room(&self.limits.memory) {
            self.metrics.appends_refused.increment();
            let published = Published { trouble: Some(StoreTrouble::Busy), ..published_of(&publish) };
            return self.post(from, Mail::Published(Box::new(published)), out);
        }
        self.homes.wake(index);
        let random = u128::from(self.homes.random.next()) << 64 | u128::from(self.homes.random.next());
        let feed = self.feeds.of(partition);
        let is_adrift = feed.is_adrift();
        let number = feed.numbers.next(is_adrift);
        let waiting = Waiting {
            number,
            id: MessageId::new(now.unix_ms, random),
            home: self.homes.table.place(index),
            user: publish.user.clone(),
            idempotency: idempotency_of(&publish),
            from,
            published: Box::new(published_of(&publish)),
            content: Content::Draft(Draft {
                kind: publish.kind,
                body: publish.body,
                attachments: publish.attachments,
                received_us: publish.received_us,
            }),
            was_refused: false,
            done: None,
        };
        feed.appends.push(waiting);
        if let Some(tie) = &mut self.homes.table.at_mut(index).tie {
            tie.waiting_count += 1;
        }
        if is_adrift {
            self.hand_out_early(partition, number, now, out);
        } else {
            self.send_appends(partition);
        }
    }

    /// Sends the store what waits for it, as much as may be on its way.
    pub(super) fn send_appends(&mut self, partition: Partition) {
        let feed = self.feeds.of(partition);
        while feed.is_live() && feed.appends.sent_count() < APPENDS_IN_FLIGHT_MAX {
            let Some(waiting) = feed.appends.send_next() else { return };
            let Some(home) = self.homes.table.get(waiting.home) else { continue };
            let append = waiting.append(home.channel.clone(), partition, self.run);
            self.store_requests.push(StoreRequest::Append(Box::new(append)));
        }
    }

    /// The store has appended something, or had it before. The feed brings what it has appended, perhaps after this.
    pub(super) fn note_appended(
        &mut self,
        partition: Partition,
        number: u32,
        place: StoredPlace,
        known_as: Option<MessageId>,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(feed) = self.feeds.find_mut(partition) else { return };
        let Some(waiting) = feed.appends.find_mut(number) else { return };
        // What members here have already, and the very publication, are known by this until the feed has brought it.
        let is_to_come = place.number > feed.heard;
        let is_over = |id: &MessageId| !is_to_come || *id != waiting.id && !waiting.is_handed_out();
        let Some(id) = known_as.filter(is_over) else {
            // Of what a broken connection delivered late no place is told.
            if place.number > 0 {
                waiting.done = Some(Done { at_ms: now.monotonic_ms(), number: place.number });
                feed.overdue_at_ms = feed.overdue_at_ms.min(now.monotonic_ms() + STORE_RETRY_MS);
            }
            return;
        };
        let of_number = |waiting: &Waiting| waiting.number == number;
        for waiting in feed.appends.take_if(of_number) {
            self.metrics.duplicates.increment();
            let receipt = Receipt { id, offset: place.offset, timestamp_ms: place.timestamp_ms };
            self.finish(waiting, Ok(receipt), None, out);
        }
        self.send_appends(partition);
    }

    /// What was appended a while ago has to have come by now: if it has not, the feed has left something out.
    pub(super) fn look_for_overdue(&mut self, partition: Partition, now: Now) {
        let feed = self.feeds.of(partition);
        feed.overdue_at_ms = u64::MAX;
        if !feed.is_live() {
            return;
        }
        let before_ms = now.monotonic_ms().saturating_sub(STORE_RETRY_MS);
        let done = feed.appends.iter().filter_map(|waiting| waiting.done);
        let Some(first) = done.min_by_key(|done| done.at_ms) else { return };
        if first.at_ms <= before_ms {
            feed.whole = feed.whole.min(first.number - 1);
            return self.begin_repair(partition);
        }
        feed.overdue_at_ms = first.at_ms + STORE_RETRY_MS;
    }

    /// The store has not appended something, or nobody knows whether it has.
    pub(super) fn note_not_appended(
        &mut self,
        partition: Partition,
        number: u32,
        trouble: StoreTrouble,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(feed) = self.feeds.find_mut(partition) else { return };
        let is_adrift = feed.is_adrift();
        let Some(waiting) = feed.appends.find_mut(number) else { return };
        let is_undone = is_surely_undone(trouble);
        waiting.was_refused |= is_undone;
        if is_undone && !waiting.is_handed_out() {
            // Nobody has it: its sender may try again.
            for waiting in feed.appends.take_if(|waiting| waiting.number == number) {
                self.metrics.appends_refused.increment();
                self.finish(waiting, Err(trouble), None, out);
            }
            return self.send_appends(partition);
        }
        if !is_adrift {
            self.go_adrift(partition, now, out);
            self.retry_soon(partition, now);
        }
    }

    /// An append has its end: whoever sent it is told.
    pub(super) fn finish(
        &mut self,
        waiting: Waiting,
        outcome: Result<Receipt, StoreTrouble>,
        publication: Option<Arc<Publication>>,
        out: &mut Outputs,
    ) {
        let mut published = waiting.published;
        match outcome {
            Ok(receipt) => published.receipt = Some(receipt),
            Err(trouble) => published.trouble = Some(trouble),
        }
        if matches!(published.sender, Sender::Call(_)) {
            published.publication = publication;
        }
        let was_handed_out = matches!(waiting.content, Content::HandedOut(_));
        self.post(waiting.from, Mail::Published(published), out);
        let Some(home) = self.homes.table.get_mut(waiting.home) else { return };
        if let Some(tie) = &mut home.tie {
            tie.waiting_count -= 1;
            tie.handed_out_count -= u32::from(was_handed_out);
            if was_handed_out {
                let partition = tie.partition;
                self.feeds.of(partition).numbers.end_early();
            }
        }
        self.look_at_home(waiting.home.index);
    }
}

impl Home {
    /// How many sessions on this node are members.
    pub(super) fn session_count(&self) -> u32 {
        self.watchers.iter().map(|watcher| watcher.session_count).sum()
    }
}

/// What became of a publish, before anything has.
pub(in crate::shard) fn published_of(publish: &Publish) -> Published {
    Published {
        channel: publish.channel.clone(),
        kind: publish.kind.clone(),
        sender: publish.sender,
        client_message_id: publish.client_message_id.clone(),
        fingerprint: publish.fingerprint,
        receipt: None,
        trouble: None,
        publication: None,
        recipient_count: 0,
    }
}

/// By which the store knows a retry, on whichever node it comes in: of the sender's own id of a message, or of a back
/// end's id of an event.
fn idempotency_of(publish: &Publish) -> Option<Box<str>> {
    let id = publish.client_message_id.as_deref()?;
    let (user, channel) = (&publish.user, &publish.channel);
    let key = match publish.sender {
        Sender::Broadcast(_) => format!("\0broadcast\0{channel}\0{id}"),
        Sender::Session(_) | Sender::Call(_) => format!("{user}\0{channel}\0{id}"),
    };
    Some(key.into())
}

impl Receipt {
    /// Of a publication that the store has.
    pub(super) const fn of_stored(id: MessageId, place: &StoredPlace) -> Self {
        let offset = Offset(place.offset.0);
        Self { id, offset, timestamp_ms: place.timestamp_ms }
    }
}
