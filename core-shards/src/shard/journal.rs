//! What this core handed out lately, for all of its rooms in one order: a session whose transport was lost and found
//! gets the rest of it. Bounded by count, bytes and age.
//!
//! Does not know who was a member of what; whoever replays does.

use std::collections::VecDeque;

use super::sessions::Origin;
use crate::ids::{Lane, Place, RoomId};
use crate::limits::MemoryBounds;

/// Whom a publication was handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Every member of a room, in its turn.
    Room {
        /// The room of this core.
        room: RoomId,
        /// The order that it belongs to.
        lane: Lane,
        /// Its position there.
        seq: u64,
    },
    /// The sessions of a user that are not in the user's own room, where it was said.
    Own {
        /// The user.
        user: Place,
        /// The order that it belongs to.
        lane: Lane,
        /// Its position there.
        seq: u64,
    },
    /// One session, out of turn.
    Session(Origin),
}

/// A publication that was handed out.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Whom it was handed to.
    pub(super) target: Target,
    /// The publication.
    pub(super) publication: T,
    end_ms: u64,
    bytes: u32,
}

/// The latest publications that a core handed out. Nothing is allocated while there are none.
///
/// A position counts the publications up to and including one. Of positions 1 to 9 with a bound of four, 6 to 9 are
/// kept: a session that got everything up to 5 or later can be given the rest, one that got 4 cannot.
#[derive(Debug)]
pub(super) struct Journal<T> {
    entries: VecDeque<Entry<T>>,
    /// The position of the newest entry that fell out.
    lost: u64,
    bytes: usize,
    /// Positions of the kept entries of each lane, in the order of their `seq`.
    lanes: Vec<VecDeque<u64>>,
    window_ms: u64,
    entries_max: usize,
    bytes_max: usize,
}

impl<T> Journal<T> {
    /// An empty journal that keeps what it is given for `window_ms`; with 0 it keeps nothing.
    pub(super) const fn new(window_ms: u64, bounds: &MemoryBounds) -> Self {
        Self {
            entries: VecDeque::new(),
            lost: 0,
            bytes: 0,
            lanes: Vec::new(),
            window_ms,
            entries_max: bounds.journal_entries_max,
            bytes_max: bounds.journal_bytes_max,
        }
    }

    /// Adds what is being handed out and returns its position. Of what comes in its turn, `seq` rises from one entry of
    /// a lane to the next. The bounds hold again after [`expire`](Self::expire).
    pub(super) fn push(&mut self, target: Target, bytes: usize, publication: T, now_ms: u64) -> u64 {
        let position = self.end() + 1;
        if let Target::Room { lane, seq, .. } | Target::Own { lane, seq, .. } = target {
            // What is said in a user's own room goes to those who are in it and to the others, with the same place.
            assert!(self.last_seq(lane) <= Some(seq), "a lane's publications come in their order");
            if self.lanes.len() <= lane.index() {
                self.lanes.resize_with(lane.index() + 1, VecDeque::new);
            }
            self.lanes[lane.index()].push_back(position);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let end_ms = now_ms.saturating_add(self.window_ms);
        self.entries.push_back(Entry { target, publication, end_ms, bytes });
        self.bytes += bytes as usize;
        position
    }

    /// Drops what is too old or too much, and tells `fell` of each with its position.
    pub(super) fn expire(&mut self, now_ms: u64, mut fell: impl FnMut(u64, &Entry<T>)) {
        let count = self.entries.len();
        while let Some(oldest) = self.entries.front()
            && (oldest.end_ms <= now_ms
                || self.entries.len() > self.entries_max
                || self.bytes > self.bytes_max)
        {
            self.bytes -= oldest.bytes as usize;
            self.lost += 1;
            fell(self.lost, oldest);
            if let Target::Room { lane, .. } | Target::Own { lane, .. } = oldest.target {
                let lane = &mut self.lanes[lane.index()];
                // A lane that began anew has forgotten those before.
                if lane.front() == Some(&self.lost) {
                    lane.pop_front();
                }
                if lane.len() < lane.capacity() / 4 {
                    lane.shrink_to(2 * lane.len());
                }
            }
            self.entries.pop_front();
        }
        if self.entries.is_empty() && count > 0 {
            (self.entries, self.lanes) = (VecDeque::new(), Vec::new());
        } else if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// When the oldest entry is too old, in monotonic milliseconds.
    pub(super) fn next_end_ms(&self) -> Option<u64> {
        self.entries.front().map(|oldest| oldest.end_ms)
    }

    /// How many publications are kept.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// What the kept publications cost together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The position of the newest publication that fell out; 0 before the first one did.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// The position of the newest publication, kept or not; 0 before the first one.
    pub(super) fn end(&self) -> u64 {
        self.lost + self.entries.len() as u64
    }

    /// The position of a lane's publication, if it is kept.
    pub(super) fn find(&self, lane: Lane, seq: u64) -> Option<u64> {
        let positions = self.lanes.get(lane.index())?;
        let found = positions.binary_search_by_key(&Some(seq), |position| self.seq_at(*position)).ok()?;
        Some(positions[found])
    }

    /// The position before the first entry that comes in its turn and is after the place of its lane that `place` tells.
    pub(super) fn start_of(&self, place: impl Fn(Lane) -> u64) -> u64 {
        let firsts = (0..).zip(&self.lanes).filter_map(|(lane, positions)| {
            let place = Some(place(Lane(lane)));
            let first = positions.partition_point(|position| self.seq_at(*position) <= place);
            positions.get(first).map(|position| position - 1)
        });
        firsts.min().unwrap_or(self.end())
    }

    /// What is kept of everything after `position`, in order, each with its own position.
    pub(super) fn after(&self, position: u64) -> impl Iterator<Item = (u64, &Entry<T>)> {
        let first = position.clamp(self.lost, self.end());
        (first + 1..).zip(self.entries.range((first - self.lost) as usize..))
    }

    /// The positions of a lane begin anew: what was before is found no more, and is not after anything.
    pub(super) fn begin_lane(&mut self, lane: Lane) {
        let begun = lane;
        if let Some(positions) = self.lanes.get_mut(begun.index()) {
            positions.clear();
        }
        for entry in &mut self.entries {
            match &mut entry.target {
                Target::Room { lane, seq, .. } | Target::Own { lane, seq, .. } if *lane == begun => *seq = 0,
                Target::Room { .. } | Target::Own { .. } | Target::Session(_) => {}
            }
        }
    }

    fn at(&self, position: u64) -> &Entry<T> {
        &self.entries[(position - self.lost - 1) as usize]
    }

    fn seq_at(&self, position: u64) -> Option<u64> {
        match self.at(position).target {
            Target::Room { seq, .. } | Target::Own { seq, .. } => Some(seq),
            Target::Session(_) => None,
        }
    }

    fn last_seq(&self, lane: Lane) -> Option<u64> {
        self.seq_at(*self.lanes.get(lane.index())?.back()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const ROOM: RoomId = RoomId { index: 0, generation: 0 };
    const LANE: Lane = Lane(2);
    const ENTRIES_MAX: usize = 1_000;
    const BYTES_MAX: usize = 10_000;

    fn bounds() -> MemoryBounds {
        let (journal_entries_max, journal_bytes_max) = (ENTRIES_MAX, BYTES_MAX);
        MemoryBounds { journal_entries_max, journal_bytes_max, ..MemoryBounds::default() }
    }

    /// Pushes, and drops what is over the bounds.
    fn push(journal: &mut Journal<u64>, lane: Lane, seq: u64, bytes: usize, value: u64, now_ms: u64) -> u64 {
        let position = journal.push(Target::Room { room: ROOM, lane, seq }, bytes, value, now_ms);
        journal.expire(now_ms, |_, _| {});
        position
    }

    fn is_complete_from(journal: &Journal<u64>, position: u64) -> bool {
        (journal.lost()..=journal.end()).contains(&position)
    }

    fn positions(journal: &Journal<u64>, after: u64) -> Vec<u64> {
        journal.after(after).map(|(position, _)| position).collect()
    }

    #[test]
    fn whoever_got_the_last_that_fell_out_gets_the_rest() {
        let mut journal = Journal::new(1_000, &bounds());
        for seq in 11..=19 {
            push(&mut journal, LANE, seq, 10, seq, if seq <= 15 { 0 } else { 1 });
        }
        journal.expire(1_000, |_, _| {});
        assert_eq!((journal.end(), journal.count(), journal.bytes()), (9, 4, 40));
        assert_eq!(
            [4, 5, 9, 10].map(|position| is_complete_from(&journal, position)),
            [false, true, true, false]
        );
        assert_eq!(positions(&journal, 5), [6, 7, 8, 9]);
        assert_eq!(positions(&journal, 8), [9]);
        assert!(positions(&journal, 9).is_empty() && positions(&journal, u64::MAX).is_empty());
        assert!(journal.after(0).all(|(_, entry)| matches!(entry.target, Target::Room { room: ROOM, .. })));
        let seqs: Vec<u64> = journal.after(0).map(|(_, entry)| entry.publication).collect();
        assert_eq!(seqs, [16, 17, 18, 19]);
    }

    #[test]
    fn a_publication_is_found_by_its_number_in_its_lane() {
        let mut journal = Journal::new(1_000, &bounds());
        for (lane, seq) in [(0, 5), (2, 1), (0, 9), (2, 7)] {
            push(&mut journal, Lane(lane), seq, 0, seq, 0);
        }
        let check = |lane, seq, position| assert_eq!(journal.find(Lane(lane), seq), position, "{lane} {seq}");
        check(0, 5, Some(1));
        check(0, 9, Some(3));
        check(2, 7, Some(4));
        check(0, 7, None);
        check(1, 1, None);
        check(u16::MAX, 1, None);
        check(0, u64::MAX, None);
    }

    #[test]
    fn an_empty_journal_is_complete_and_holds_no_memory() {
        let mut journal: Journal<u64> = Journal::new(1_000, &bounds());
        assert!(is_complete_from(&journal, 0) && !is_complete_from(&journal, 1));
        push(&mut journal, LANE, 1, 10, 1, 0);
        assert_eq!(journal.next_end_ms(), Some(1_000));
        journal.expire(1_000, |_, _| {});
        assert_eq!((journal.entries.capacity(), journal.lanes.capacity()), (0, 0));
        assert_eq!((journal.end(), journal.bytes(), journal.next_end_ms()), (1, 0, None));
        assert!(is_complete_from(&journal, 1) && !is_complete_from(&journal, 0));
    }

    #[test]
    fn without_a_window_nothing_is_kept() {
        let mut journal = Journal::new(0, &bounds());
        assert_eq!(push(&mut journal, LANE, 1, 10, 1, 5), 1);
        assert_eq!(push(&mut journal, LANE, 2, 10, 1, 5), 2);
        assert_eq!((journal.count(), journal.find(LANE, 2)), (0, None));
    }

    #[test]
    fn count_and_bytes_are_bounded() {
        let mut journal = Journal::new(1_000, &bounds());
        for seq in 0..ENTRIES_MAX as u64 + 10 {
            push(&mut journal, LANE, seq, 1, seq, 0);
        }
        assert_eq!((journal.count(), journal.bytes()), (ENTRIES_MAX, ENTRIES_MAX));
        assert_eq!((journal.find(LANE, 9), journal.find(LANE, 10)), (None, Some(11)));
        push(&mut journal, Lane(0), 1, BYTES_MAX, 1, 0);
        assert_eq!((journal.count(), journal.bytes()), (1, BYTES_MAX));
        assert_eq!(journal.lanes[LANE.index()].capacity(), 0);
        push(&mut journal, Lane(0), 2, usize::MAX, 1, 0);
        assert_eq!((journal.count(), journal.bytes(), journal.end()), (0, 0, 1_012));
    }

    #[test]
    fn an_entry_costs_forty_eight_bytes_and_eight_in_its_lane() {
        assert_eq!(size_of::<Entry<Arc<u64>>>(), 48);
    }

    #[test]
    fn a_journal_is_the_end_of_a_list_of_everything() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let window_ms = random.u64(0..100);
            let mut journal = Journal::new(window_ms, &bounds());
            let (mut all, mut seqs, mut now_ms) = (Vec::new(), [0; 3], 0);
            for _ in 0..200 {
                now_ms += random.u64(0..20);
                if random.bool() {
                    let lane = random.u16(0..3);
                    seqs[usize::from(lane)] += random.u64(1..4);
                    let seq = seqs[usize::from(lane)];
                    all.push((now_ms + window_ms, lane, seq));
                    let position = push(&mut journal, Lane(lane), seq, 1, all.len() as u64, now_ms);
                    assert_eq!(position, all.len() as u64, "seed {seed}");
                } else {
                    journal.expire(now_ms, |_, _| {});
                }
                let lost = all.iter().filter(|(end_ms, ..)| *end_ms <= now_ms).count() as u64;
                // Time alone drops nothing before the next input, so the oldest may be a little too old.
                journal.expire(now_ms, |_, _| {});
                let end = all.len() as u64;
                assert_eq!(positions(&journal, 0), (lost + 1..=end).collect::<Vec<_>>(), "seed {seed}");
                assert!(journal.after(0).all(|(position, entry)| position == entry.publication));
                let asked = random.u64(0..=end + 1);
                assert_eq!(is_complete_from(&journal, asked), (lost..=end).contains(&asked), "seed {seed}");
                for (position, (_, lane, seq)) in (1..).zip(&all) {
                    let found = (position > lost).then_some(position);
                    assert_eq!(journal.find(Lane(*lane), *seq), found, "seed {seed}");
                }
            }
        }
    }
}
