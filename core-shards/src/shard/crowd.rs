//! Presence in one big channel: changes are gathered and told in batches, at most one a second, so that a thousand
//! people who arrive together are a few frames for each member and not a thousand.
//!
//! Does not know what a note says; the latest of each user counts.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::ids::UserId;
use crate::placement::Placement;

/// Users in one batch. The rest waits for the next.
pub(super) const CROWD_BATCH_MAX: usize = 200;

/// Time between two batches, in milliseconds.
const CROWD_PERIOD_MS: u64 = 1_000;

/// What is to be told, in the order in which the users came up.
#[derive(Debug)]
struct Line<N> {
    notes: VecDeque<(UserId, N)>,
    /// How many left the line at its front: a user's number less this is the user's place.
    gone: u64,
    by_user: HashTable<u64>,
}

/// The changes that the members of a big channel were not told yet. Two words while there are none.
#[derive(Debug)]
pub(super) struct Crowd<N> {
    line: Option<Box<Line<N>>>,
    /// When the next batch may be told, in monotonic milliseconds.
    next_ms: u64,
}

impl<N> Default for Crowd<N> {
    fn default() -> Self {
        Self { line: None, next_ms: 0 }
    }
}

impl<N> Crowd<N> {
    /// Notes what there is to tell of a user. It takes the place of what was not told yet of the same user: nobody
    /// hears of a join that was followed by a leave, or waits longer because of it.
    ///
    /// At most two notes per member wait, and a batch more. Beyond, the oldest is forgotten and `true` returned: only
    /// many who come and go at once get there, and their next change is told again.
    pub(super) fn note(
        &mut self,
        user: &UserId,
        note: N,
        member_count: usize,
        placement: &Placement,
    ) -> bool {
        let line = self.line.get_or_insert_with(|| {
            Box::new(Line { notes: VecDeque::new(), gone: 0, by_user: HashTable::new() })
        });
        let hash = placement.hash(user);
        let (notes, gone) = (&mut line.notes, line.gone);
        let place = |number: u64| (number - gone) as usize;
        if let Some(number) = line.by_user.find(hash, |number| notes[place(*number)].0 == *user) {
            notes[place(*number)].1 = note;
            return false;
        }
        notes.push_back((user.clone(), note));
        let number = gone + notes.len() as u64 - 1;
        line.by_user.insert_unique(hash, number, |number| placement.hash(&notes[place(*number)].0));
        let is_over = line.notes.len() > member_count.saturating_mul(2).saturating_add(CROWD_BATCH_MAX);
        if is_over {
            line.pop(placement);
        }
        is_over
    }

    /// The next batch, oldest first; empty while it is too early.
    pub(super) fn take(&mut self, now_ms: u64, placement: &Placement) -> Vec<(UserId, N)> {
        let Some(line) = self.line.as_mut().filter(|_| now_ms >= self.next_ms) else { return Vec::new() };
        self.next_ms = now_ms.saturating_add(CROWD_PERIOD_MS);
        let count = line.notes.len().min(CROWD_BATCH_MAX);
        let batch = (0..count).filter_map(|_| line.pop(placement)).collect();
        if line.notes.is_empty() {
            self.line = None;
        }
        batch
    }

    /// When the next batch is due, in monotonic milliseconds; the past if it is due at once.
    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.line.as_ref().map(|_| self.next_ms)
    }

    /// How many users there is something to tell of.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.line.as_ref().map_or(0, |line| line.notes.len())
    }
}

impl<N> Line<N> {
    fn pop(&mut self, placement: &Placement) -> Option<(UserId, N)> {
        let (user, note) = self.notes.pop_front()?;
        let number = self.gone;
        if let Ok(entry) = self.by_user.find_entry(placement.hash(&user), |known| *known == number) {
            entry.remove();
        }
        self.gone += 1;
        Some((user, note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEMENT: Placement = Placement::new(1, (1, 2));
    const MEMBERS: usize = 1_000;

    fn note(crowd: &mut Crowd<u64>, user: usize, note: u64) {
        assert!(!crowd.note(&user.to_string().into(), note, MEMBERS, &PLACEMENT));
    }

    fn take(crowd: &mut Crowd<u64>, now_ms: u64) -> Vec<(String, u64)> {
        let batch = crowd.take(now_ms, &PLACEMENT);
        batch.into_iter().map(|(user, note)| (user.to_string(), note)).collect()
    }

    #[test]
    fn the_latest_note_of_a_user_is_told_in_the_place_of_the_first() {
        let mut crowd = Crowd::default();
        for (user, about) in [(7, 1), (8, 2), (7, 3)] {
            note(&mut crowd, user, about);
        }
        assert_eq!(crowd.count(), 2);
        assert_eq!(take(&mut crowd, 0), [("7".into(), 3), ("8".into(), 2)]);
        assert_eq!((crowd.count(), crowd.next_deadline_ms()), (0, None));
    }

    #[test]
    fn one_batch_a_second_is_told_oldest_first() {
        let mut crowd = Crowd::default();
        for user in 0..2 * CROWD_BATCH_MAX + 1 {
            note(&mut crowd, user, 0);
        }
        let first = take(&mut crowd, 50);
        assert_eq!((first.len(), &*first[0].0, &*first[199].0), (CROWD_BATCH_MAX, "0", "199"));
        assert_eq!(crowd.next_deadline_ms(), Some(1_050));
        note(&mut crowd, 0, 1);
        assert!(take(&mut crowd, 1_049).is_empty());
        let second = take(&mut crowd, 1_050);
        assert_eq!((second.len(), &*second[0].0), (CROWD_BATCH_MAX, "200"));
        assert_eq!(take(&mut crowd, 9_000), [("400".into(), 0), ("0".into(), 1)]);
        assert!(crowd.line.is_none());
        note(&mut crowd, 5, 0);
        assert_eq!(crowd.next_deadline_ms(), Some(10_000), "an empty line does not forget the pace");
    }

    #[test]
    fn those_who_only_pass_through_cost_no_more_than_the_bound() {
        let mut crowd = Crowd::default();
        let forgotten =
            (0..1_000).filter(|user: &u64| crowd.note(&user.to_string().into(), *user, 100, &PLACEMENT));
        assert_eq!(forgotten.count(), 600);
        assert_eq!(crowd.count(), 400);
        assert_eq!(take(&mut crowd, 0)[0], ("600".into(), 600));
        assert_eq!(size_of::<Crowd<u64>>(), 16);
    }

    #[test]
    fn everybody_is_told_of_in_turn_and_once() {
        for seed in 0..100 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut crowd, mut now_ms, mut next_ms) = (Crowd::default(), 0, 0);
            // What was not told yet, in order.
            let mut model: Vec<(String, u64)> = Vec::new();
            for step in 0..2_000 {
                now_ms += random.u64(0..5);
                if random.u8(..20) > 0 {
                    let user = random.usize(..600);
                    note(&mut crowd, user, step);
                    match model.iter_mut().find(|(known, _)| *known == user.to_string()) {
                        Some((_, latest)) => *latest = step,
                        None => model.push((user.to_string(), step)),
                    }
                } else {
                    let count = if now_ms < next_ms { 0 } else { model.len().min(CROWD_BATCH_MAX) };
                    if count > 0 {
                        next_ms = now_ms + 1_000;
                    }
                    let expected: Vec<_> = model.drain(..count).collect();
                    assert_eq!(take(&mut crowd, now_ms), expected, "seed {seed} at {now_ms} ms");
                }
                assert_eq!(crowd.count(), model.len(), "seed {seed} at {now_ms} ms");
            }
        }
    }
}
