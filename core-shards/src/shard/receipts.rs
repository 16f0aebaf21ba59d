//! What was accepted from whom: a sender's retry of a message gets the first acknowledgement again
//! instead of becoming a second message.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::ids::Fingerprint;
use crate::limits::{RECEIPT_LIFE_MS, RETRIES_WAITING_MAX};
use crate::mail::{Receipt, Sender};
use crate::metrics::ShardMetrics;

/// What is known of a message that was sent before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is on its way; this retry will be answered together with it.
    Waiting,
    /// It was accepted.
    Accepted(Receipt),
    /// It is on its way and too many retries wait already.
    Crowded,
}

#[derive(Debug)]
enum Entry {
    /// No answer from the home yet; retries that wait for it.
    Pending(Vec<Sender>),
    Accepted(Receipt),
}

/// An entry and its end, by which a place in the queue knows whether it is the entry's last.
#[derive(Debug)]
struct Kept {
    end_ms: u64,
    entry: Entry,
}

/// The receipts of one core, keyed by a fingerprint of user, channel and `clientMessageId`.
#[derive(Debug)]
pub(super) struct Receipts {
    entries: HashMap<Fingerprint, Kept, foldless::Build>,
    /// Fingerprints in the order of their end, monotonic milliseconds.
    by_age: VecDeque<(u64, Fingerprint)>,
    count_max: usize,
}

/// Fingerprints are uniformly distributed already: hashing them again would be waste.
mod foldless {
    use std::hash::{BuildHasherDefault, Hasher};

    pub(super) type Build = BuildHasherDefault<Upper>;

    #[derive(Debug, Default)]
    pub(super) struct Upper(u64);

    impl Hasher for Upper {
        fn write(&mut self, _: &[u8]) {}

        fn write_u64(&mut self, half: u64) {
            self.0 = half;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }
}

impl Receipts {
    /// None yet, and never more than `count_max`.
    pub(super) fn new(count_max: usize) -> Self {
        Self { entries: HashMap::default(), by_age: VecDeque::new(), count_max }
    }

    /// Finds out whether a message was sent before. `None` if not: then it is to be [expected](Self::expect).
    pub(super) fn retry(
        &mut self,
        fingerprint: Fingerprint,
        sender: Sender,
        metrics: &ShardMetrics,
    ) -> Option<Known> {
        match &mut self.entries.get_mut(&fingerprint)?.entry {
            Entry::Accepted(receipt) => {
                metrics.duplicates.increment();
                Some(Known::Accepted(*receipt))
            }
            Entry::Pending(waiting) if waiting.len() >= RETRIES_WAITING_MAX => Some(Known::Crowded),
            Entry::Pending(waiting) => {
                metrics.duplicates.increment();
                waiting.push(sender);
                Some(Known::Waiting)
            }
        }
    }

    /// Notes a message that is about to be sent.
    pub(super) fn expect(&mut self, fingerprint: Fingerprint, now_ms: u64, metrics: &ShardMetrics) {
        self.insert(fingerprint, Entry::Pending(Vec::new()), now_ms, metrics);
    }

    /// Whether something that nobody waits for was there before. It is from now on.
    pub(super) fn is_repeat(
        &mut self,
        fingerprint: Fingerprint,
        now_ms: u64,
        metrics: &ShardMetrics,
    ) -> bool {
        let is_repeat = self.entries.contains_key(&fingerprint);
        if is_repeat {
            metrics.duplicates.increment();
        } else {
            self.insert(fingerprint, Entry::Accepted(Receipt::NONE), now_ms, metrics);
        }
        is_repeat
    }

    fn insert(&mut self, fingerprint: Fingerprint, entry: Entry, now_ms: u64, metrics: &ShardMetrics) {
        if self.by_age.len() >= self.count_max
            && let Some((end_ms, oldest)) = self.by_age.pop_front()
            && self.is_last(oldest, end_ms)
        {
            self.entries.remove(&oldest);
            metrics.receipts_evicted.increment();
        }
        let end_ms = now_ms + RECEIPT_LIFE_MS;
        self.entries.insert(fingerprint, Kept { end_ms, entry });
        self.by_age.push_back((end_ms, fingerprint));
    }

    /// Writes down the home's answer and returns who else waits for it. A refused message is forgotten:
    /// its retry is a new attempt.
    pub(super) fn conclude(&mut self, fingerprint: Fingerprint, receipt: Option<Receipt>) -> Vec<Sender> {
        let Some(Kept { entry, .. }) = self.entries.get_mut(&fingerprint) else { return Vec::new() };
        let waiting = match (&mut *entry, receipt) {
            (Entry::Pending(waiting), _) => std::mem::take(waiting),
            (Entry::Accepted(_), _) => Vec::new(),
        };
        match receipt {
            Some(receipt) => *entry = Entry::Accepted(receipt),
            // The place in the queue stays and finds nothing of its own when its time comes.
            None => drop(self.entries.remove(&fingerprint)),
        }
        waiting
    }

    /// How many messages are known.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// When the oldest receipt is to be forgotten.
    pub(super) fn next_end_ms(&self) -> Option<u64> {
        self.by_age.front().map(|(end_ms, _)| *end_ms)
    }

    /// Forgets what is older than its life. What is still on its way stays: its retries wait for an answer.
    pub(super) fn expire(&mut self, now_ms: u64) {
        while let Some(&(end_ms, fingerprint)) = self.by_age.front() {
            if end_ms > now_ms {
                return;
            }
            self.by_age.pop_front();
            if !self.is_last(fingerprint, end_ms) {
                continue;
            }
            match self.entries.get_mut(&fingerprint) {
                Some(Kept { end_ms, entry: Entry::Pending(_) }) => {
                    *end_ms = now_ms + RECEIPT_LIFE_MS;
                    self.by_age.push_back((*end_ms, fingerprint));
                }
                _ => drop(self.entries.remove(&fingerprint)),
            }
        }
        if self.by_age.is_empty() {
            self.entries.shrink_to_fit();
            self.by_age.shrink_to_fit();
        }
    }

    /// Whether an entry ends with this place in the queue. A message that was refused and tried again has a later one.
    fn is_last(&self, fingerprint: Fingerprint, end_ms: u64) -> bool {
        self.entries.get(&fingerprint).is_some_and(|kept| kept.end_ms == end_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MessageId, Offset, SessionId};
    use crate::mail::Reply;

    const REPLY: Sender =
        Sender::Session(Reply { session: SessionId { slot: 0, generation: 0 }, ack: Some(1) });

    const MESSAGE: Fingerprint = Fingerprint::from_bits(7);

    const COUNT_MAX: usize = 1_000;

    /// As a sender's core does: looks for the message, and expects it if it is not known.
    fn admit(
        receipts: &mut Receipts,
        fingerprint: Fingerprint,
        now_ms: u64,
        metrics: &ShardMetrics,
    ) -> Option<Known> {
        let known = receipts.retry(fingerprint, REPLY, metrics);
        if known.is_none() {
            receipts.expect(fingerprint, now_ms, metrics);
        }
        known
    }

    fn receipt(offset: u64) -> Receipt {
        Receipt { id: MessageId::new(0, u128::from(offset)), offset: Offset(offset), timestamp_ms: 0 }
    }

    #[test]
    fn a_retry_gets_the_first_receipt_until_it_is_forgotten() {
        let (mut receipts, metrics) = (Receipts::new(COUNT_MAX), ShardMetrics::default());
        assert_eq!(admit(&mut receipts, MESSAGE, 0, &metrics), None);
        assert_eq!(admit(&mut receipts, MESSAGE, 0, &metrics), Some(Known::Waiting));
        assert_eq!(receipts.conclude(MESSAGE, Some(receipt(3))).len(), 1);
        assert_eq!(admit(&mut receipts, MESSAGE, 0, &metrics), Some(Known::Accepted(receipt(3))));
        receipts.expire(RECEIPT_LIFE_MS - 1);
        assert_eq!(admit(&mut receipts, MESSAGE, 0, &metrics), Some(Known::Accepted(receipt(3))));
        receipts.expire(RECEIPT_LIFE_MS);
        assert_eq!(admit(&mut receipts, MESSAGE, 0, &metrics), None);
    }

    #[test]
    fn a_refused_message_may_be_tried_again() {
        let (mut receipts, metrics) = (Receipts::new(COUNT_MAX), ShardMetrics::default());
        admit(&mut receipts, MESSAGE, 0, &metrics);
        assert!(receipts.conclude(MESSAGE, None).is_empty());
        assert_eq!(admit(&mut receipts, MESSAGE, 0, &metrics), None);
    }

    #[test]
    fn a_message_accepted_after_a_refusal_is_known_for_its_whole_life() {
        let (mut receipts, metrics) = (Receipts::new(COUNT_MAX), ShardMetrics::default());
        admit(&mut receipts, MESSAGE, 0, &metrics);
        receipts.conclude(MESSAGE, None);
        admit(&mut receipts, MESSAGE, 1_000, &metrics);
        receipts.conclude(MESSAGE, Some(receipt(3)));
        receipts.expire(RECEIPT_LIFE_MS + 999);
        assert_eq!(admit(&mut receipts, MESSAGE, 0, &metrics), Some(Known::Accepted(receipt(3))));
        receipts.expire(RECEIPT_LIFE_MS + 1_000);
        assert_eq!((receipts.count(), receipts.by_age.len()), (0, 0));
    }

    #[test]
    fn retries_of_a_message_that_is_long_on_its_way_are_answered() {
        let (mut receipts, metrics) = (Receipts::new(COUNT_MAX), ShardMetrics::default());
        admit(&mut receipts, MESSAGE, 0, &metrics);
        admit(&mut receipts, MESSAGE, 0, &metrics);
        receipts.expire(3 * RECEIPT_LIFE_MS);
        assert_eq!(admit(&mut receipts, MESSAGE, 0, &metrics), Some(Known::Waiting));
        assert_eq!(receipts.conclude(MESSAGE, Some(receipt(3))).len(), 2);
        receipts.expire(4 * RECEIPT_LIFE_MS);
        assert_eq!((receipts.count(), receipts.by_age.len()), (0, 0));
    }

    #[test]
    fn what_nobody_waits_for_is_recognised_too() {
        let (mut receipts, metrics) = (Receipts::new(COUNT_MAX), ShardMetrics::default());
        assert!(!receipts.is_repeat(MESSAGE, 0, &metrics));
        assert!(receipts.is_repeat(MESSAGE, 0, &metrics));
        receipts.expire(RECEIPT_LIFE_MS);
        assert!(!receipts.is_repeat(MESSAGE, RECEIPT_LIFE_MS, &metrics));
    }

    #[test]
    fn retries_and_receipts_are_bounded() {
        let (mut receipts, metrics) = (Receipts::new(COUNT_MAX), ShardMetrics::default());
        let message = |number: usize| Fingerprint::from_bits((number as u128) << 64);
        for number in 0..COUNT_MAX + 10 {
            admit(&mut receipts, message(number), 0, &metrics);
        }
        assert_eq!(receipts.entries.len(), COUNT_MAX);
        assert_eq!(metrics.receipts_evicted.get(), 10);
        let last = message(COUNT_MAX + 9);
        for _ in 0..RETRIES_WAITING_MAX {
            assert_eq!(admit(&mut receipts, last, 0, &metrics), Some(Known::Waiting));
        }
        assert_eq!(admit(&mut receipts, last, 0, &metrics), Some(Known::Crowded));
    }
}
