//! How far this core has come in every partition of the shared store, as the cursors of its frames say. Nothing without
//! such a store.

use smallvec::SmallVec;

use crate::cursor::{Fold, RunId, Vector, Writer};
use crate::ids::{CoreId, Epoch, Lane};

/// The places of one core.
#[derive(Debug)]
pub(super) struct Lanes {
    vector: Vector,
    /// The partitions' epochs, as far as they are known.
    epochs: SmallVec<[Option<Epoch>; 4]>,
    /// The vector's text; empty if it is to be written anew.
    text: String,
}

impl Lanes {
    /// Of a core that has heard of nothing yet.
    pub(super) fn new(run: RunId, core: CoreId, partition_count: u16) -> Self {
        let epochs = SmallVec::from_elem(None, usize::from(partition_count));
        let mut vector = Vector::new(Writer::of(run, core), partition_count);
        vector.fold = Fold::of(epochs.iter().copied());
        Self { vector, epochs, text: String::new() }
    }

    /// The places.
    pub(super) fn vector(&self) -> &Vector {
        &self.vector
    }

    /// The cursor of whoever has everything up to here.
    pub(super) fn cursor(&mut self) -> &str {
        if self.text.is_empty() {
            self.vector.write(&mut self.text);
        }
        &self.text
    }

    /// Something of a lane is handed out. Returns whether it stands behind all that was before it.
    pub(super) fn advance(&mut self, lane: Lane, seq: u64) -> bool {
        let known = self.vector.seq(lane);
        if seq != known {
            self.vector.set(lane, seq);
            self.text.clear();
        }
        seq >= known
    }

    /// Something was sent to one session out of turn: it stands in the journal at this position.
    pub(super) fn mark(&mut self, position: u64) {
        self.vector.mark = position;
        self.text.clear();
    }

    /// The epoch of a partition is known, or another. Returns whether it was another.
    pub(super) fn begin(&mut self, lane: Lane, epoch: Epoch) -> bool {
        let Some(known) = self.epochs.get_mut(lane.index()) else { return false };
        let former = known.replace(epoch);
        self.vector.fold = Fold::of(self.epochs.iter().copied());
        let is_other = former.is_some_and(|former| former != epoch);
        if is_other {
            self.vector.set(lane, 0);
        }
        self.text.clear();
        is_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_how_far_the_core_has_come_in_which_epochs() {
        let run = RunId::from_random(7);
        let mut lanes = Lanes::new(run, CoreId(1), 2);
        let first = lanes.cursor().to_owned();
        assert!(lanes.advance(Lane(1), 5 << 24) && lanes.advance(Lane(1), 5 << 24));
        assert_ne!(lanes.cursor(), first);
        assert!(!lanes.begin(Lane(1), Epoch::from_random(1)), "none was known");
        assert!(!lanes.begin(Lane(1), Epoch::from_random(1)));
        let cursor = lanes.cursor().to_owned();
        assert_eq!(Vector::parse(&cursor, 2).as_ref(), Some(lanes.vector()));
        assert!(lanes.begin(Lane(1), Epoch::from_random(2)));
        assert_eq!(lanes.vector().seq(Lane(1)), 0);
        assert!(!lanes.begin(Lane(9), Epoch::from_random(2)), "there is no such partition");
        assert!(lanes.advance(Lane(0), 1) && !lanes.advance(Lane(0), 0));
    }
}
