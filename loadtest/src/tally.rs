//! Sequence accounting for one receiver: what it got in order, late, twice, and what it never got.

/// How many of the latest sequence numbers a receiver remembers one by one.
pub const WINDOW: u32 = 64;

/// What one receiver has seen of its room, in 16 bytes.
///
/// After 0 1 2 5 it expects 6 and misses 2 (3 and 4); a late 3 makes that 1 and is counted as reordered; a
/// second 5 is a double.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bit `i` is set if sequence number `next - 1 - i` has been seen.
    seen: u64,
    /// One above the highest sequence number seen.
    next: u32,
    /// How many below `next` have not been seen.
    missing: u32,
}

/// What the arrival of one sequence number meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is higher than all before; what lies between is missing for now.
    Newer,
    /// It was missing and has come after a higher one.
    Reordered,
    /// It had been seen before.
    Doubled,
}

impl Tally {
    /// The accounting of somebody whose first message will be `sequence` and who misses nothing before it.
    pub const fn begun_at(sequence: u32) -> Self {
        Self { seen: u64::MAX, next: sequence, missing: 0 }
    }

    /// One above the highest sequence number seen.
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Enters the arrival of `sequence`.
    ///
    /// A number more than [`WINDOW`] below the highest is not remembered: it counts as reordered while
    /// anything is missing, otherwise it must be a double.
    pub fn enter(&mut self, sequence: u32) -> Arrival {
        if sequence >= self.next {
            let gap = sequence - self.next;
            let older = if gap < WINDOW - 1 { self.seen << (gap + 1) } else { 0 };
            self.seen = older | 1;
            self.missing += gap;
            self.next = sequence.saturating_add(1);
            return Arrival::Newer;
        }
        let back = self.next - 1 - sequence;
        let bit = if back < WINDOW { 1u64 << back } else { 0 };
        if self.missing == 0 || self.seen & bit != 0 {
            return Arrival::Doubled;
        }
        self.seen |= bit;
        self.missing -= 1;
        Arrival::Reordered
    }

    /// How many of the first `sent` messages never arrived.
    pub const fn lost(&self, sent: u32) -> u32 {
        self.missing + sent.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arrival::{Doubled, Newer, Reordered};

    fn check(sequences: &[u32], expected: &[Arrival], sent: u32, lost: u32) {
        let mut tally = Tally::default();
        let arrivals: Vec<_> = sequences.iter().map(|&sequence| tally.enter(sequence)).collect();
        assert_eq!(arrivals, expected, "{sequences:?}");
        assert_eq!(tally.lost(sent), lost, "{sequences:?}");
    }

    #[test]
    fn a_receiver_that_got_everything_lost_nothing() {
        check(&[0, 1, 2], &[Newer; 3], 3, 0);
    }

    #[test]
    fn gaps_and_a_missing_end_are_lost() {
        check(&[], &[], 4, 4);
        check(&[0, 1, 2, 5], &[Newer; 4], 8, 4);
    }

    #[test]
    fn a_late_arrival_is_reordered_and_not_lost() {
        check(&[0, 2, 1, 3], &[Newer, Newer, Reordered, Newer], 4, 0);
        check(&[3, 0, 1, 2], &[Newer, Reordered, Reordered, Reordered], 4, 0);
    }

    #[test]
    fn a_second_arrival_is_a_double_and_hides_no_loss() {
        check(&[0, 0, 2, 2], &[Newer, Doubled, Newer, Doubled], 3, 1);
        check(&[0, 2, 1, 1, 0], &[Newer, Newer, Reordered, Doubled, Doubled], 3, 0);
    }

    #[test]
    fn who_came_later_misses_nothing_of_before() {
        let mut tally = Tally::begun_at(100);
        let arrivals = [100, 102, 99, 101].map(|sequence| tally.enter(sequence));
        assert_eq!(arrivals, [Newer, Newer, Doubled, Reordered]);
        assert_eq!((tally.lost(103), tally.lost(104)), (0, 1));
    }

    #[test]
    fn far_jumps_do_not_overflow() {
        check(&[63, 64, 0], &[Newer, Newer, Reordered], 65, 62);
        check(&[200, 200, 0, 1], &[Newer, Doubled, Reordered, Reordered], 201, 198);
        check(&[u32::MAX - 1], &[Newer], 0, u32::MAX - 1);
    }
}
