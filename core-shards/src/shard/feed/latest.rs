//! What was handed out of a partition lately. A store that lost its end is told it again by nodes that had not heard that
//! it was appended, and whoever had it does not get it again.

use std::collections::VecDeque;

use crate::ids::MessageId;
use crate::limits::LATEST_MAX;

/// The latest publications of a partition, by numbers that their ids have.
#[derive(Debug, Default)]
pub(super) struct Latest {
    /// In this epoch, the latest last.
    ring: VecDeque<u64>,
    /// In those before it, sorted. None as long as the store forgets nothing.
    former: Vec<u64>,
}

impl Latest {
    /// Notes what is handed out. Returns whether it was handed out in a former epoch.
    pub(super) fn note(&mut self, id: &MessageId) -> bool {
        let number = id.random_bits();
        if self.ring.len() >= LATEST_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(number);
        self.former.binary_search(&number).is_ok()
    }

    /// Whether it was handed out in this epoch. Slow: for what comes out of its order.
    pub(super) fn has(&self, id: &MessageId) -> bool {
        self.ring.contains(&id.random_bits())
    }

    /// The store has forgotten something: what was handed out may come again.
    pub(super) fn begin_epoch(&mut self) {
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
        assert!(!latest.note(&id(1)) && !latest.note(&id(1)), "an epoch does not repeat itself");
        latest.begin_epoch();
        assert!(latest.note(&id(1)) && !latest.note(&id(2)));
        latest.begin_epoch();
        assert!(latest.note(&id(1)) && latest.note(&id(2)));
        for number in 10..LATEST_MAX as u128 + 20 {
            latest.note(&id(number));
        }
        latest.begin_epoch();
        assert!(!latest.note(&id(1)) && latest.note(&id(LATEST_MAX as u128)));
        assert!(latest.former.len() <= LATEST_MAX);
    }
}
