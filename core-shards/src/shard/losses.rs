//! Which sessions were lost first, so that a core that keeps too many gives up those that waited longest in vain. It
//! knows where they are, not what is kept of them.

use std::collections::VecDeque;

use crate::ids::Place;
use crate::limits::LOSSES_VOID_MAX;

/// One session that lost its connection, and the user at whom it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) user: Place,
    /// Which of the core's losses it is. Wraps around.
    pub(super) number: u32,
}

/// The losses of one core, in their order.
///
/// ```text
/// idle:       c d           nobody takes these up: they only wait for the end of their user's grace
/// resumable:  a b e         given up when no idle one is left
/// ```
///
/// A loss that is over leaves a void entry behind: whoever takes the oldest out looks whether it still means
/// something.
#[derive(Debug, Default)]
pub(super) struct Losses {
    idle: VecDeque<Loss>,
    resumable: VecDeque<Loss>,
    next_number: u32,
}

impl Losses {
    /// Notes that a session of a user was lost. Returns the loss's number.
    pub(super) fn note(&mut self, user: Place, is_resumable: bool) -> u32 {
        let loss = Loss { user, number: self.next_number };
        self.next_number = self.next_number.wrapping_add(1);
        let queue = if is_resumable { &mut self.resumable } else { &mut self.idle };
        queue.push_back(loss);
        loss.number
    }

    /// Takes out the loss that is given up before all others, perhaps a void one.
    pub(super) fn take_first(&mut self) -> Option<Loss> {
        self.idle.pop_front().or_else(|| self.resumable.pop_front())
    }

    /// Whether more entries are void than may be, where `kept_count` mean something.
    pub(super) fn is_littered(&self, kept_count: usize) -> bool {
        self.entry_count() > 2 * kept_count + LOSSES_VOID_MAX
    }

    /// How many entries there are, void ones included.
    pub(super) fn entry_count(&self) -> usize {
        self.idle.len() + self.resumable.len()
    }

    /// Drops every entry that `is_kept` refuses. Costs a walk over all of them.
    pub(super) fn sweep(&mut self, is_kept: impl Fn(Loss) -> bool) {
        for queue in [&mut self.idle, &mut self.resumable] {
            queue.retain(|loss| is_kept(*loss));
            queue.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(index: u32) -> Place {
        Place { index, generation: 0 }
    }

    #[test]
    fn the_oldest_is_first_among_those_that_nobody_takes_up_and_then_among_the_rest() {
        let mut losses = Losses::default();
        for (user, is_resumable) in [(0, true), (1, true), (2, false), (3, false), (4, true)] {
            losses.note(place(user), is_resumable);
        }
        let order: Vec<u32> =
            std::iter::from_fn(|| losses.take_first()).map(|loss| loss.user.index).collect();
        assert_eq!(order, [2, 3, 0, 1, 4]);
    }

    #[test]
    fn what_means_nothing_any_more_is_swept_out_in_its_order() {
        let mut losses = Losses::default();
        let count = LOSSES_VOID_MAX as u32 + 3;
        for user in 0..count {
            assert!(!losses.is_littered(1), "{user}");
            losses.note(place(user), user % 2 == 0);
        }
        assert!(losses.is_littered(1) && !losses.is_littered(2));
        losses.sweep(|loss| loss.number >= count - 3);
        let order: Vec<u32> = std::iter::from_fn(|| losses.take_first()).map(|loss| loss.number).collect();
        let mut expected: Vec<u32> = (count - 3..count).collect();
        expected.sort_by_key(|number| number % 2 == 0);
        assert_eq!(order, expected);
    }
}
