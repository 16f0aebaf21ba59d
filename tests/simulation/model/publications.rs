//! Messages: each is accepted once, has one place in one order that all members see, and one receipt however often
//! it is tried again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use core_shards::limits::RETRIES_WAITING_MAX;
use serde_json::Value;

use super::Checked;
use crate::client::{Draft, Seat};
use crate::heard::{Message, Receipt};
use crate::schedule::display_name;

/// A message that the node took on.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) channel: String,
    user: String,
    core: usize,
    content: String,
    client_message_id: Option<String>,
    attachments: Vec<Vec<u8>>,
    /// Memberships that must see it, if they last.
    pub(super) witnesses: Vec<(Seat, u64)>,
    pub(super) receipt: Option<Receipt>,
    /// Its sender's core has the receipt, as somebody was told.
    is_acknowledged: bool,
    epoch: Option<String>,
}

/// How long clients may try a message again: the promise, not the node's constant.
pub(crate) const RETRY_RECOGNISED_MS: u64 = 10 * 60_000;

/// What a send turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First(usize),
    Retry { publication: usize, may_be_busy: bool },
}

/// User, channel, `clientMessageId`.
type Key = (String, String, String);

#[derive(Debug)]
struct Remembered {
    publication: usize,
    core: usize,
    end_ms: u64,
    /// Retries before the first acknowledgement.
    waiting_count: usize,
}

/// All messages of a run, in the order in which they reached the cores of their senders.
#[derive(Debug, Default)]
pub(super) struct Publications {
    pub(super) all: Vec<Publication>,
    by_content: BTreeMap<String, usize>,
    by_id: BTreeMap<String, usize>,
    retried_contents: BTreeSet<String>,
    /// By channel and epoch: the message at each offset.
    orders: BTreeMap<(String, String), BTreeMap<u64, usize>>,
    remembered: BTreeMap<Key, Remembered>,
    last_retry: Option<Key>,
}

impl Publications {
    /// A member sends a message.
    pub(super) fn attempt(
        &mut self,
        seat: Seat,
        user: &str,
        draft: &Draft,
        attachments: &[Vec<u8>],
        now_ms: u64,
    ) -> Attempt {
        let key = draft.client_message_id.clone().map(|id| (user.to_owned(), draft.channel.clone(), id));
        if let Some(key) = &key
            && let Some(remembered) = self.remembered.get_mut(key)
        {
            let is_waiting = !self.all[remembered.publication].is_acknowledged;
            let may_be_busy = is_waiting && remembered.waiting_count >= RETRIES_WAITING_MAX;
            remembered.waiting_count += usize::from(is_waiting);
            self.retried_contents.insert(draft.content.clone());
            self.last_retry = Some(key.clone());
            return Attempt::Retry { publication: remembered.publication, may_be_busy };
        }
        let publication = self.all.len();
        self.all.push(Publication {
            channel: draft.channel.clone(),
            user: user.to_owned(),
            core: seat.core,
            content: draft.content.clone(),
            client_message_id: draft.client_message_id.clone(),
            attachments: attachments.to_vec(),
            witnesses: Vec::new(),
            receipt: None,
            is_acknowledged: false,
            epoch: None,
        });
        self.by_content.insert(draft.content.clone(), publication);
        if let Some(key) = key {
            let end_ms = now_ms + RETRY_RECOGNISED_MS;
            let remembered = Remembered { publication, core: seat.core, end_ms, waiting_count: 0 };
            self.remembered.insert(key, remembered);
        }
        Attempt::First(publication)
    }

    /// The last retry was turned away and waits for nothing.
    pub(super) fn forget_last_retry(&mut self) {
        if let Some(remembered) = self.last_retry.take().and_then(|key| self.remembered.get_mut(&key)) {
            remembered.waiting_count -= 1;
        }
    }

    pub(super) fn expire(&mut self, core: usize, now_ms: u64) {
        self.remembered.retain(|_, remembered| remembered.core != core || remembered.end_ms > now_ms);
    }

    /// Messages whose retry would be recognised.
    pub(super) fn remembered_count(&self) -> usize {
        self.remembered.len()
    }

    pub(super) fn expect_witnesses(&mut self, publication: usize, witnesses: Vec<(Seat, u64)>) {
        self.all[publication].witnesses = witnesses;
    }

    pub(super) fn is_witnessed_by(&self, publication: usize, seat: Seat, serial: u64) -> bool {
        self.all[publication].witnesses.contains(&(seat, serial))
    }

    pub(super) fn channel(&self, publication: usize) -> &str {
        &self.all[publication].channel
    }

    /// The sender was told the message's place.
    pub(super) fn acknowledged(
        &mut self,
        publication: usize,
        receipt: &Receipt,
        data: &Value,
        epoch: Option<&str>,
    ) -> Checked {
        let sent = &self.all[publication];
        let named_id = data["clientMessageId"].as_str();
        if data["channelId"] != *sent.channel || named_id != sent.client_message_id.as_deref() {
            return Err(format!("{sent:?} was acknowledged as {data}"));
        }
        self.all[publication].is_acknowledged = true;
        self.settle(publication, receipt, epoch)
    }

    /// A member was handed a message.
    pub(super) fn delivered(&mut self, message: &Message, epoch: &str) -> Checked {
        if self.retried_contents.contains(&message.content) {
            return Err(format!("a retry became a second message: {message:?}"));
        }
        let Some(&publication) = self.by_content.get(&message.content) else {
            return Err(format!("nobody sent {message:?}"));
        };
        let sent = &self.all[publication];
        let is_as_sent = sent.channel == message.channel
            && sent.user == message.user
            && sent.attachments == message.attachments
            && message.user_name.as_deref() == display_name(&sent.user)
            && sent.client_message_id == message.client_message_id;
        if !is_as_sent {
            return Err(format!("{sent:?} arrived as {message:?}"));
        }
        self.settle(publication, &message.receipt, Some(epoch))
    }

    /// A message has one place, and a place one message.
    fn settle(&mut self, publication: usize, receipt: &Receipt, epoch: Option<&str>) -> Checked {
        let sent = &mut self.all[publication];
        if let Some(known) = &sent.receipt
            && known != receipt
        {
            return Err(format!("{} stands at {known:?} and at {receipt:?}", sent.content));
        }
        sent.receipt = Some(receipt.clone());
        if *self.by_id.entry(receipt.id.clone()).or_insert(publication) != publication {
            return Err(format!("two messages have the id {}", receipt.id));
        }
        let Some(epoch) = epoch else { return Ok(()) };
        let known = sent.epoch.get_or_insert_with(|| epoch.to_owned());
        if known != epoch {
            return Err(format!("{} stands in epochs {known} and {epoch}", sent.content));
        }
        let order = self.orders.entry((sent.channel.clone(), epoch.to_owned())).or_default();
        match order.entry(receipt.offset) {
            Entry::Occupied(entry) if *entry.get() != publication => {
                let other = &self.all[*entry.get()].content;
                return Err(format!(
                    "{} and {other} share offset {}",
                    self.all[publication].content, receipt.offset
                ));
            }
            Entry::Occupied(_) => return Ok(()),
            Entry::Vacant(entry) => drop(entry.insert(publication)),
        }
        self.check_neighbours(publication, receipt, epoch)
    }

    /// Times and ids rise with offsets, and so do the messages of one core in the order of their sending.
    fn check_neighbours(&self, publication: usize, receipt: &Receipt, epoch: &str) -> Checked {
        let order = &self.orders[&(self.all[publication].channel.clone(), epoch.to_owned())];
        let core = self.all[publication].core;
        let (before, after) = (order.range(..receipt.offset), order.range(receipt.offset + 1..));
        let rises = |low: Option<&Receipt>, high: Option<&Receipt>| {
            low.zip(high).is_none_or(|(low, high)| low.timestamp < high.timestamp && low.id < high.id)
        };
        let known = |(_, other): (&u64, &usize)| self.all[*other].receipt.as_ref();
        let is_of_core = |(_, other): &(&u64, &usize)| self.all[**other].core == core;
        let is_ordered = rises(before.clone().next_back().and_then(known), Some(receipt))
            && rises(Some(receipt), after.clone().next().and_then(known))
            && before.rev().find(is_of_core).is_none_or(|(_, other)| *other < publication)
            && after.clone().find(is_of_core).is_none_or(|(_, other)| *other > publication);
        if is_ordered {
            return Ok(());
        }
        Err(format!("{} at {receipt:?} stands out of order in epoch {epoch}", self.all[publication].content))
    }
}
