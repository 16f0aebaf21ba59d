//! The numbers of a run's appends to a partition, and the positions of what is handed out in the partition's lane.

use crate::limits::APPENDS_WAITING_MAX;
use crate::publication::{NUMBER_BITS, position};

const MASK: u32 = (1 << NUMBER_BITS) - 1;

/// From here on there might be no room for an outage before the lower bits begin anew.
const LAST: u32 = MASK - APPENDS_WAITING_MAX as u32;

/// What was given out and handed out so far.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    number: u32,
    /// The last that was handed out before the store had it.
    early: u32,
    /// How many of those the feed has not brought back.
    early_count: usize,
    seq: u64,
}

impl Numbers {
    /// The number of the next append. Its lower bits are never zero, and do not begin anew while `is_adrift`: what waits
    /// then is ordered by them.
    pub(super) fn next(&mut self, is_adrift: bool) -> u32 {
        let next = self.number.wrapping_add(1);
        self.number = match next & MASK {
            0 => next.wrapping_add(1),
            LAST.. if !is_adrift => (next | MASK).wrapping_add(2),
            _ => next,
        };
        self.number
    }

    /// The last position that was handed out.
    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    /// The position of what came as the store's publication `stored`; `None` if something later was handed out before.
    /// As long as something is not back that was handed out early, positions go on naming the last of it: whoever has one of
    /// them has had that.
    pub(super) fn place_stored(&mut self, stored: u64) -> Option<u64> {
        let seq = position(stored, if self.early_count > 0 { self.early } else { 0 });
        let is_next = seq > self.seq;
        self.seq = self.seq.max(seq);
        is_next.then_some(seq)
    }

    /// The position of what is handed out before the store has it.
    pub(super) fn place_provisional(&mut self, heard: u64, number: u32) -> u64 {
        (self.early, self.early_count) = (number, self.early_count + 1);
        self.seq = position(heard, number).max(self.seq + 1);
        self.seq
    }

    /// Whether something was handed out that the store may not have yet.
    pub(super) const fn has_early(&self) -> bool {
        self.early_count > 0
    }

    /// Something that was handed out early has its end.
    pub(super) fn end_early(&mut self) {
        self.early_count = self.early_count.saturating_sub(1);
    }

    /// Positions begin anew.
    pub(super) fn begin_lane(&mut self) {
        self.seq = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_leave_room_for_an_outage() {
        let mut numbers = Numbers { number: LAST - 2, ..Numbers::default() };
        assert_eq!([(); 3].map(|()| numbers.next(false)), [LAST - 1, MASK + 2, MASK + 3]);
        let mut numbers = Numbers { number: LAST - 2, ..Numbers::default() };
        let mut last = 0;
        for _ in 0..APPENDS_WAITING_MAX {
            let lower = numbers.next(true) & MASK;
            assert!(lower > last, "{lower}");
            last = lower;
        }
        let mut numbers = Numbers { number: u32::MAX - 1, ..Numbers::default() };
        assert_eq!(numbers.next(false) & MASK, 1);
    }

    #[test]
    fn what_is_handed_out_early_lies_between_what_the_store_has() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.place_stored(7), Some(7 << 24));
        assert_eq!(numbers.place_provisional(7, 3), 7 << 24 | 3);
        assert_eq!(numbers.place_provisional(7, 4), 7 << 24 | 4);
        assert_eq!(numbers.place_stored(8), Some(8 << 24 | 4));
        numbers.end_early();
        assert_eq!(numbers.place_stored(9), Some(9 << 24 | 4));
        numbers.end_early();
        assert_eq!(numbers.place_stored(9), None);
        assert_eq!(numbers.place_stored(10), Some(10 << 24));
        assert_eq!((numbers.place_stored(6), numbers.seq()), (None, 10 << 24));
    }
}
