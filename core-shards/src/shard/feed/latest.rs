//! What was handed out of a partition lately. A store that lost its end is told it again by nodes that had not heard that
//! it was appended, and whoever had it does not get it again. And a sender that did not hear of it says it again, perhaps
//! to another node, which must not hand it out early then.

use std::collections::VecDeque;

use crate::ids::MessageId;
use crate::limits::LATEST_MAX;

/// The latest publications of a partition, by numbers that their ids have.
#[derive(Debug, Default)]
pub(super) struct Latest {
    /// In this epoch, the latest last.
    ring: VecDeque<u64>,
    /// The keys by which retries of them are known, the latest last.
    keys: VecDeque<u64>,
    /// In those before it, sorted. None as long as the store forgets nothing.
    former: Vec<u64>,
}

impl Latest {
    /// Notes what is handed out. Returns whether it was handed out in a former epoch.
    pub(super) fn note(&mut self, id: &MessageId, key: u64) -> bool {
        self.note_key(key);
        let number = id.random_bits();
        if self.ring.len() >= LATEST_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(number);
        self.former.binary_search(&number).is_ok()
    }

    /// Notes the key of what the store has, be it handed out or told to those who join.
    pub(super) fn note_key(&mut self, key: u64) {
        if key == 0 {
            return;
        }
        if self.keys.len() >= LATEST_MAX {
            self.keys.pop_front();
        }
        self.keys.push_back(key);
    }

    /// Whether something that the store has in this epoch is known by this key. Slow: for outages.
    pub(super) fn has_key(&self, key: u64) -> bool {
        key != 0 && self.keys.contains(&key)
    }

    /// Whether it was handed out in this epoch. Slow: for what comes out of its order.
    pub(super) fn has(&self, id: &MessageId) -> bool {
        self.ring.contains(&id.random_bits())
    }

    /// The store has forgotten something: what was handed out may come again.
    pub(super) fn begin_epoch(&mut self) {
        self.keys.clear();
        let room = LATEST_MAX.saturating_sub(self.ring.len());
        self.former.truncate(room);
        self.former.extend(self.ring.drain(..));
        self.former.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_out_before_the_store_forgot_is_known() {
        let id = |number: u128| MessageId::new(7, number << 40 | number);
        let mut latest = Latest::default();
        assert!(!latest.note(&id(1), 0) && !latest.note(&id(1), 0), "an epoch does not repeat itself");
        latest.begin_epoch();
        assert!(latest.note(&id(1), 0) && !latest.note(&id(2), 0));
        latest.begin_epoch();
        assert!(latest.note(&id(1), 0) && latest.note(&id(2), 0));
        for number in 10..LATEST_MAX as u128 + 20 {
            latest.note(&id(number), 0);
        }
        latest.begin_epoch();
        assert!(!latest.note(&id(1), 0) && latest.note(&id(LATEST_MAX as u128), 0));
        assert!(latest.former.len() <= LATEST_MAX);
    }

    #[test]
    fn retries_are_known_by_their_keys_within_an_epoch() {
        let id = MessageId::new(7, 7);
        let mut latest = Latest::default();
        latest.note(&id, 0);
        latest.note(&id, 1);
        assert!(latest.has_key(1) && !latest.has_key(2) && !latest.has_key(0));
        for key in 2..LATEST_MAX as u64 + 2 {
            latest.note(&id, key);
        }
        assert!(!latest.has_key(1) && latest.has_key(2));
        latest.begin_epoch();
        assert!(!latest.has_key(2), "what the store forgot it may have anew");
    }
}
