//! The lanes of other runs as one core hears them: whether it has all that was told in each, and what to do if not.
//!
//! ```text
//!             a number is missing                     piece 0 of the lane's state
//!   even ─────────────────────────> behind: asked ─────────────────────────────> refreshing
//!    ^                                  ^                                              │
//!    │                                  └──────── a number or a piece is missing ──────┤
//!    └───────────────────────────────────────────────────────── the last piece ────────┘
//! ```
//!
//! A state goes the way that changes go, so everything told after it follows it. Does not know what a change says.

use std::collections::BTreeMap;

use protocol::relay::signal::{Lane, Piece};

use crate::cursor::RunId;
use crate::mail::LaneKey;

/// Lanes that one core hears. Reached: further ones are not heard, and their users are taken to be away.
pub(super) const LANES_MAX: usize = 8_192;

/// Whoever was asked for a state and said nothing for so long is asked again, in milliseconds.
const ASK_AGAIN_MS: u64 = 2_000;

/// The generation that a run begins with, every lane of it empty.
pub(super) const FIRST_GENERATION: u32 = 1;

/// How far a lane was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Everything was heard.
    Even,
    /// Something is missing.
    Behind {
        /// When the whole state was asked for.
        asked_ms: u64,
    },
    /// The whole state is being told.
    Refreshing {
        /// Tells this state from the former.
        mark: u32,
        /// The piece that comes next.
        next: u32,
        /// When the last piece came.
        heard_ms: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    generation: u32,
    number: u64,
    phase: Phase,
}

/// What to do with what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: it is known, or void.
    Ignore,
    /// The changes follow what is known.
    Apply,
    /// A piece of the whole state: what it names is as it says. With the last, whatever no piece named is gone.
    Refresh {
        /// Tells this state from the former.
        mark: u32,
        /// It is the last piece.
        is_last: bool,
    },
    /// Something is missing: ask for the whole state.
    Ask,
}

/// All lanes that a core hears.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    heard: BTreeMap<LaneKey, Heard>,
    marks: u32,
}

impl Lanes {
    /// How many are known.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.heard.len()
    }

    /// Whether a lane is known in a generation, or a later one.
    pub(super) fn knows(&self, key: LaneKey, generation: u32) -> bool {
        self.heard.get(&key).is_some_and(|heard| heard.generation >= generation)
    }

    /// The lane, up to date with the generation that was heard; `None` if that is over, or there is no room. A lane that
    /// began with this, when it was empty, is even; of any other something is missing.
    fn lane(&mut self, key: LaneKey, lane: Lane, begins: bool) -> Option<&mut Heard> {
        let has_room = self.heard.len() < LANES_MAX || self.heard.contains_key(&key);
        let unknown = Heard { generation: lane.generation, number: 0, phase: Phase::Behind { asked_ms: 0 } };
        let is_whole = begins && lane.generation == FIRST_GENERATION;
        let first = Heard { phase: if is_whole { Phase::Even } else { unknown.phase }, ..unknown };
        if !has_room {
            return None;
        }
        let heard = self.heard.entry(key).or_insert(first);
        if heard.generation < lane.generation {
            *heard = unknown;
        }
        (heard.generation == lane.generation).then_some(heard)
    }

    /// `count` changes came, up to the lane's number.
    pub(super) fn hear_changes(&mut self, key: LaneKey, lane: Lane, count: u64, now_ms: u64) -> Step {
        let before = lane.number.saturating_sub(count);
        let Some(heard) = self.lane(key, lane, before == 0) else { return Step::Ignore };
        match heard.phase {
            Phase::Behind { .. } => heard.ask(now_ms),
            Phase::Even | Phase::Refreshing { .. } if before == heard.number => {
                heard.number = lane.number;
                Step::Apply
            }
            Phase::Even | Phase::Refreshing { .. } if lane.number <= heard.number => Step::Ignore,
            Phase::Even | Phase::Refreshing { .. } => heard.fall_behind(now_ms),
        }
    }

    /// A piece of a lane's state came.
    pub(super) fn hear_piece(&mut self, key: LaneKey, lane: Lane, piece: Piece, now_ms: u64) -> Step {
        self.marks = self.marks.wrapping_add(1);
        let new_mark = self.marks;
        let Some(heard) = self.lane(key, lane, false) else { return Step::Ignore };
        let mark = match heard.phase {
            Phase::Even if heard.number >= lane.number => return Step::Ignore,
            Phase::Refreshing { mark, next, .. } if next == piece.index && heard.number == lane.number => {
                mark
            }
            _ if piece.index == 0 => new_mark,
            Phase::Behind { .. } => return heard.ask(now_ms),
            Phase::Even | Phase::Refreshing { .. } => return heard.fall_behind(now_ms),
        };
        heard.number = lane.number;
        heard.phase = match piece.is_last {
            true => Phase::Even,
            false => Phase::Refreshing { mark, next: piece.index.saturating_add(1), heard_ms: now_ms },
        };
        Step::Refresh { mark, is_last: piece.is_last }
    }

    /// A lane is said to be so far.
    pub(super) fn hear_head(&mut self, key: LaneKey, lane: Lane, now_ms: u64) -> Step {
        let Some(heard) = self.lane(key, lane, lane.number == 0) else { return Step::Ignore };
        match heard.phase {
            Phase::Behind { .. } => heard.ask(now_ms),
            Phase::Even | Phase::Refreshing { .. } if lane.number <= heard.number => Step::Ignore,
            Phase::Even | Phase::Refreshing { .. } => heard.fall_behind(now_ms),
        }
    }

    /// Who has to be asked again: no answer came, or it came to a halt.
    pub(super) fn overdue(&mut self, now_ms: u64) -> Vec<LaneKey> {
        let mut overdue = Vec::new();
        for (key, heard) in &mut self.heard {
            if let Phase::Refreshing { heard_ms, .. } = heard.phase
                && heard_ms.saturating_add(ASK_AGAIN_MS) <= now_ms
            {
                heard.phase = Phase::Behind { asked_ms: 0 };
            }
            if matches!(heard.phase, Phase::Behind { .. }) && heard.ask(now_ms) == Step::Ask {
                overdue.push(*key);
            }
        }
        overdue
    }

    /// A run is gone, up to a generation.
    pub(super) fn forget(&mut self, run: RunId, generation: u32) {
        self.heard.retain(|key, heard| key.run != run || heard.generation > generation);
    }
}

impl Heard {
    fn fall_behind(&mut self, now_ms: u64) -> Step {
        self.phase = Phase::Behind { asked_ms: 0 };
        self.ask(now_ms)
    }

    /// Asks, unless it was asked a moment ago.
    fn ask(&mut self, now_ms: u64) -> Step {
        let Phase::Behind { asked_ms } = &mut self.phase else { return Step::Ignore };
        if *asked_ms > 0 && asked_ms.saturating_add(ASK_AGAIN_MS) > now_ms {
            return Step::Ignore;
        }
        *asked_ms = now_ms.max(1);
        Step::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Partition;

    fn key() -> LaneKey {
        LaneKey { run: RunId::from_random(7), core: 0, partition: Partition(1) }
    }

    const fn at(generation: u32, number: u64) -> Lane {
        Lane { generation, core: 0, number }
    }

    const fn piece(index: u32, is_last: bool) -> Piece {
        Piece { index, is_last }
    }

    #[test]
    fn what_follows_is_taken_once_and_what_came_before_is_not() {
        let mut lanes = Lanes::default();
        let mut check = |number, count, expected| {
            assert_eq!(lanes.hear_changes(key(), at(1, number), count, 10), expected, "{number} {count}");
        };
        check(2, 2, Step::Apply);
        check(2, 2, Step::Ignore);
        check(3, 1, Step::Apply);
        check(1, 1, Step::Ignore);
        check(5, 1, Step::Ask);
        check(6, 1, Step::Ignore);
    }

    #[test]
    fn a_lane_that_was_not_heard_from_its_beginning_is_asked_for() {
        for (lane, count, expected) in
            [(at(1, 1), 1, Step::Apply), (at(1, 2), 1, Step::Ask), (at(2, 1), 1, Step::Ask)]
        {
            assert_eq!(Lanes::default().hear_changes(key(), lane, count, 10), expected, "{lane:?}");
        }
        for (lane, expected) in [(at(1, 0), Step::Ignore), (at(1, 1), Step::Ask), (at(2, 0), Step::Ask)] {
            assert_eq!(Lanes::default().hear_head(key(), lane, 10), expected, "{lane:?}");
        }
    }

    #[test]
    fn a_state_makes_a_lane_even_and_changes_may_come_between_its_pieces() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.hear_head(key(), at(1, 9), 10), Step::Ask);
        let Step::Refresh { mark, is_last: false } = lanes.hear_piece(key(), at(1, 9), piece(0, false), 11)
        else {
            panic!("the first piece is taken");
        };
        assert_eq!(lanes.hear_changes(key(), at(1, 11), 2, 12), Step::Apply);
        let last = lanes.hear_piece(key(), at(1, 11), piece(1, true), 13);
        assert_eq!(last, Step::Refresh { mark, is_last: true });
        assert_eq!(lanes.hear_piece(key(), at(1, 11), piece(0, true), 14), Step::Ignore, "for somebody else");
        assert_eq!(lanes.hear_changes(key(), at(1, 12), 1, 15), Step::Apply);
    }

    #[test]
    fn whatever_is_missing_of_a_state_is_asked_for_again() {
        let begun = || {
            let mut lanes = Lanes::default();
            lanes.hear_head(key(), at(1, 9), 10);
            lanes.hear_piece(key(), at(1, 9), piece(0, false), 10);
            lanes
        };
        let mut lanes = begun();
        assert_eq!(lanes.hear_piece(key(), at(1, 9), piece(2, true), 11), Step::Ask);
        let mut lanes = begun();
        assert_eq!(lanes.hear_piece(key(), at(1, 10), piece(1, true), 11), Step::Ask);
        let mut lanes = begun();
        assert_eq!(lanes.hear_changes(key(), at(1, 11), 1, 11), Step::Ask);
        let mut lanes = begun();
        assert_eq!((lanes.overdue(2_009), lanes.overdue(2_010)), (vec![], vec![key()]));
        assert_eq!((lanes.overdue(4_009), lanes.overdue(4_010)), (vec![], vec![key()]));
    }

    #[test]
    fn a_new_generation_begins_anew_and_the_former_is_void() {
        let mut lanes = Lanes::default();
        lanes.hear_changes(key(), at(1, 5), 5, 10);
        let refreshed = lanes.hear_piece(key(), at(2, 0), piece(0, true), 11);
        assert!(matches!(refreshed, Step::Refresh { is_last: true, .. }));
        assert_eq!(lanes.hear_changes(key(), at(1, 6), 1, 12), Step::Ignore);
        assert_eq!(lanes.hear_changes(key(), at(2, 1), 1, 12), Step::Apply);
        lanes.forget(key().run, 1);
        assert_eq!(lanes.count(), 1);
        lanes.forget(key().run, 2);
        assert_eq!((lanes.count(), lanes.knows(key(), 1)), (0, false));
    }
}
