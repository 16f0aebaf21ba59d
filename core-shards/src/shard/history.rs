//! What one channel remembers of its publications, so that somebody who was away can be told everything or be told
//! that something is missing. Bounded by count, bytes and age.
//!
//! Does not order and does not encode: places come from the channel's home, and a value is whatever it keeps of one.

use std::collections::{VecDeque, vec_deque};

use crate::ids::{MessageId, Offset};
use crate::limits::{HISTORY_BYTES_MAX, Limits};

/// How much a history keeps. What is beyond falls out, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HistoryBounds {
    /// Publications.
    pub(super) entry_count_max: usize,
    /// Bytes of all of them, as their [`Entry::bytes`] say; at most [`HISTORY_BYTES_MAX`] counts.
    pub(super) bytes_max: usize,
    /// How long one is kept, in milliseconds.
    pub(super) life_ms: u64,
}

impl HistoryBounds {
    /// What the operator wants kept.
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            entry_count_max: limits.history_size_max,
            bytes_max: HISTORY_BYTES_MAX,
            life_ms: limits.history_life_ms,
        }
    }
}

/// One publication. Offsets follow each other without a gap; times rise, and therefore ids do.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Its number in the channel.
    pub(super) offset: Offset,
    /// Its time, in milliseconds since the epoch.
    pub(super) timestamp_ms: u64,
    /// What it costs.
    pub(super) bytes: usize,
    /// Its id.
    pub(super) id: MessageId,
    /// What is kept of it.
    pub(super) value: T,
}

/// An entry, and when it is too old on the monotonic clock: a jump of the wall clock empties no history.
#[derive(Debug)]
struct Kept<T> {
    end_ms: u64,
    entry: Entry<T>,
}

#[derive(Debug)]
struct Ring<T> {
    entries: VecDeque<Kept<T>>,
    bytes: usize,
}

/// The latest publications of one channel. Three words while there are none.
///
/// Of entries 1 to 9 with a bound of four, 6 to 9 are kept and `lost` is 5: whoever has 5 or more gets everything
/// after it, whoever has 3 is told that 4 and 5 are lost.
#[derive(Debug)]
pub(super) struct History<T> {
    ring: Option<Box<Ring<T>>>,
    /// The newest entry that fell out.
    lost: Offset,
    /// The time of the newest entry that fell out. Before the first one does: when the history began.
    lost_timestamp_ms: u64,
}

impl<T> History<T> {
    /// An empty history. What was before `begin_unix_ms` is unknown to it, and answered like what fell out.
    pub(super) const fn new(begin_unix_ms: u64) -> Self {
        Self { ring: None, lost: Offset(0), lost_timestamp_ms: begin_unix_ms }
    }

    /// The history of a channel of which nothing is kept up to `offset`, whose time was `timestamp_ms`.
    pub(super) const fn after(offset: Offset, timestamp_ms: u64) -> Self {
        Self { ring: None, lost: offset, lost_timestamp_ms: timestamp_ms }
    }

    /// Adds the newest publication. Older ones fall out until the bounds hold; a publication that is larger than they
    /// allow falls out itself.
    pub(super) fn push(&mut self, entry: Entry<T>, now_ms: u64, bounds: &HistoryBounds) {
        assert!(entry.offset == self.last().next(), "a channel's publications come without a gap");
        let ring = self.ring.get_or_insert_with(|| Box::new(Ring { entries: VecDeque::new(), bytes: 0 }));
        ring.bytes += entry.bytes;
        ring.entries.push_back(Kept { end_ms: now_ms.saturating_add(bounds.life_ms), entry });
        let bytes_max = bounds.bytes_max.min(HISTORY_BYTES_MAX);
        self.drop_while(|ring, oldest| {
            ring.entries.len() > bounds.entry_count_max || ring.bytes > bytes_max || oldest.end_ms <= now_ms
        });
    }

    /// Drops what is too old.
    pub(super) fn expire(&mut self, now_ms: u64) {
        self.drop_while(|_, oldest| oldest.end_ms <= now_ms);
        if let Some(ring) = &mut self.ring
            && ring.entries.len() < ring.entries.capacity() / 4
        {
            ring.entries.shrink_to(2 * ring.entries.len());
        }
    }

    /// Drops the oldest entry before its time, because memory is short elsewhere. Returns what it cost, 0 if there is
    /// none.
    pub(super) fn drop_oldest(&mut self) -> usize {
        let before = self.bytes();
        let count = self.iter().len();
        self.drop_while(|ring, _| ring.entries.len() >= count);
        before - self.bytes()
    }

    /// When the oldest entry is too old, in monotonic milliseconds.
    pub(super) fn next_end_ms(&self) -> Option<u64> {
        self.ring.as_ref()?.entries.front().map(|oldest| oldest.end_ms)
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_none()
    }

    /// What the kept entries cost together.
    pub(super) fn bytes(&self) -> usize {
        self.ring.as_ref().map_or(0, |ring| ring.bytes)
    }

    /// Everything that is kept, oldest first.
    pub(super) fn iter(&self) -> Entries<'_, T> {
        self.from(0)
    }

    /// Everything after `offset`, or `None` if something of it fell out or `offset` has not been given out.
    pub(super) fn since_offset(&self, offset: Offset) -> Option<Entries<'_, T>> {
        if offset < self.lost || offset > self.last() {
            return None;
        }
        Some(self.from(self.partition_point(|entry| entry.offset <= offset)))
    }

    /// Everything later than `unix_ms`, or `None` if something of it fell out or may have been before the beginning.
    pub(super) fn since_time(&self, unix_ms: u64) -> Option<Entries<'_, T>> {
        if unix_ms < self.lost_timestamp_ms { None } else { Some(self.kept_since_time(unix_ms)) }
    }

    /// What is kept of everything later than `unix_ms`, complete or not.
    pub(super) fn kept_since_time(&self, unix_ms: u64) -> Entries<'_, T> {
        self.from(self.partition_point(|entry| entry.timestamp_ms <= unix_ms))
    }

    /// Everything after the publication with this id, or `None` if it is not kept.
    pub(super) fn since_message(&self, id: &str) -> Option<Entries<'_, T>> {
        // Ids rise only where one clock made them.
        let position = self.iter().rposition(|entry| entry.id.as_str() == id)?;
        Some(self.from(position + 1))
    }

    /// How many of the publications after `offset` fell out.
    pub(super) fn lost_since(&self, offset: Offset) -> u64 {
        self.lost.0.saturating_sub(offset.0)
    }

    /// The newest publication, kept or not.
    fn last(&self) -> Offset {
        let newest = self.ring.as_ref().and_then(|ring| ring.entries.back());
        newest.map_or(self.lost, |newest| newest.entry.offset)
    }

    fn drop_while(&mut self, is_over: impl Fn(&Ring<T>, &Kept<T>) -> bool) {
        let Some(ring) = &mut self.ring else { return };
        while let Some(oldest) = ring.entries.front()
            && is_over(ring, oldest)
        {
            ring.bytes -= oldest.entry.bytes;
            (self.lost, self.lost_timestamp_ms) = (oldest.entry.offset, oldest.entry.timestamp_ms);
            ring.entries.pop_front();
        }
        if ring.entries.is_empty() {
            self.ring = None;
        }
    }

    fn partition_point(&self, is_before: impl Fn(&Entry<T>) -> bool) -> usize {
        self.ring.as_ref().map_or(0, |ring| ring.entries.partition_point(|kept| is_before(&kept.entry)))
    }

    fn from(&self, position: usize) -> Entries<'_, T> {
        Entries { kept: self.ring.as_ref().map(|ring| ring.entries.range(position..)) }
    }
}

/// A run of a history's entries in their order, from both ends.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a, T> {
    kept: Option<vec_deque::Iter<'a, Kept<T>>>,
}

impl<'a, T> Iterator for Entries<'a, T> {
    type Item = &'a Entry<T>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(&self.kept.as_mut()?.next()?.entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.kept.as_ref().map_or((0, Some(0)), Iterator::size_hint)
    }
}

impl<T> DoubleEndedIterator for Entries<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        Some(&self.kept.as_mut()?.next_back()?.entry)
    }
}

impl<T> ExactSizeIterator for Entries<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HistoryBounds =
        HistoryBounds { entry_count_max: 4, bytes_max: HISTORY_BYTES_MAX, life_ms: 1_000 };

    /// The publication with this number, a tenth of a second after the one before it.
    fn entry(offset: u64, bytes: usize) -> Entry<u64> {
        let timestamp_ms = 50_000 + 100 * offset;
        let id = MessageId::new(timestamp_ms, u128::from(offset));
        Entry { offset: Offset(offset), timestamp_ms, bytes, id, value: offset }
    }

    fn history(count: u64) -> History<u64> {
        let mut history = History::new(50_000);
        for offset in 1..=count {
            history.push(entry(offset, 10), 0, &BOUNDS);
        }
        history
    }

    fn values(entries: Option<Entries<'_, u64>>) -> Option<Vec<u64>> {
        entries.map(|entries| entries.map(|entry| entry.value).collect())
    }

    #[test]
    fn after_an_offset_comes_everything_or_nothing() {
        let history = history(9);
        let check = |offset, expected: Option<&[u64]>, lost| {
            let since = values(history.since_offset(Offset(offset)));
            assert_eq!((since.as_deref(), history.lost_since(Offset(offset))), (expected, lost), "{offset}");
        };
        check(0, None, 5);
        check(4, None, 1);
        check(5, Some(&[6, 7, 8, 9]), 0);
        check(8, Some(&[9]), 0);
        check(9, Some(&[]), 0);
        check(10, None, 0);
        check(u64::MAX, None, 0);
    }

    #[test]
    fn after_a_time_comes_everything_or_nothing() {
        let history = history(9);
        let check = |unix_ms, expected: Option<&[u64]>| {
            assert_eq!(values(history.since_time(unix_ms)).as_deref(), expected, "{unix_ms}");
        };
        check(50_499, None);
        check(50_500, Some(&[6, 7, 8, 9]));
        check(50_799, Some(&[8, 9]));
        check(50_800, Some(&[9]));
        check(u64::MAX, Some(&[]));
        assert_eq!(values(Some(history.kept_since_time(0))), Some(vec![6, 7, 8, 9]));
    }

    #[test]
    fn after_a_message_comes_everything_if_it_is_known() {
        let history = history(9);
        let check = |id: &str, expected: Option<&[u64]>| {
            assert_eq!(values(history.since_message(id)).as_deref(), expected, "{id}");
        };
        check(entry(5, 0).id.as_str(), None);
        check(entry(6, 0).id.as_str(), Some(&[7, 8, 9]));
        check(entry(9, 0).id.as_str(), Some(&[]));
        check(entry(10, 0).id.as_str(), None);
        check("", None);
        check("zzz", None);
    }

    #[test]
    fn what_was_before_the_beginning_is_not_claimed_to_be_known() {
        let history: History<u64> = History::new(50_000);
        assert_eq!(values(history.since_time(49_999)), None);
        assert_eq!(values(history.since_time(50_000)), Some(Vec::new()));
        assert_eq!(values(history.since_offset(Offset(0))), Some(Vec::new()));
        assert_eq!(values(history.since_offset(Offset(1))), None);
    }

    #[test]
    fn an_aged_history_remembers_what_it_lost_in_three_words() {
        let mut history = history(3);
        assert_eq!(history.next_end_ms(), Some(1_000));
        history.expire(999);
        assert_eq!(history.iter().len(), 3);
        history.expire(1_000);
        assert!(history.is_empty());
        assert_eq!((history.bytes(), history.next_end_ms()), (0, None));
        assert_eq!(history.lost_since(Offset(1)), 2);
        assert_eq!(values(history.since_offset(Offset(2))), None);
        assert_eq!(values(history.since_offset(Offset(3))), Some(Vec::new()));
        history.push(entry(4, 10), 1_000, &BOUNDS);
        assert_eq!(values(history.since_offset(Offset(3))), Some(vec![4]));
        assert_eq!(size_of::<History<u64>>(), 3 * size_of::<usize>());
    }

    #[test]
    fn a_publication_larger_than_the_bound_empties_the_history() {
        let mut history = history(3);
        history.push(entry(4, HISTORY_BYTES_MAX + 1), 0, &BOUNDS);
        assert!(history.is_empty());
        assert_eq!(history.lost_since(Offset(0)), 4);
        let nothing = HistoryBounds { entry_count_max: 0, ..BOUNDS };
        history.push(entry(5, 0), 0, &nothing);
        assert!(history.is_empty());
    }

    #[test]
    fn room_is_given_back_after_a_rush() {
        let bounds = HistoryBounds { entry_count_max: 10_000, ..BOUNDS };
        let mut history = History::new(0);
        for offset in 1..=10_000 {
            history.push(entry(offset, 1), u64::from(offset > 9_990), &bounds);
        }
        history.expire(1_000);
        assert_eq!(history.iter().len(), 10);
        assert!(history.ring.unwrap().entries.capacity() < 100);
    }

    #[test]
    fn a_history_is_the_end_of_a_list_of_everything() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let bounds = HistoryBounds {
                entry_count_max: random.usize(0..12),
                bytes_max: random.usize(0..200),
                life_ms: random.u64(0..400),
            };
            // Everything that was ever pushed: its cost, and its end.
            let (mut all, mut first, mut now_ms): (Vec<(usize, u64)>, usize, u64) = (Vec::new(), 0, 0);
            let mut history = History::new(0);
            for _ in 0..200 {
                now_ms += random.u64(0..60);
                if random.bool() {
                    let bytes = random.usize(0..60);
                    all.push((bytes, now_ms + bounds.life_ms));
                    history.push(entry(all.len() as u64, bytes), now_ms, &bounds);
                    let is_within = |first: usize| {
                        all.len() - first <= bounds.entry_count_max
                            && all[first..].iter().map(|(bytes, _)| bytes).sum::<usize>() <= bounds.bytes_max
                    };
                    first = (first..=all.len()).find(|first| is_within(*first)).unwrap();
                } else {
                    history.expire(now_ms);
                }
                first += all[first..].iter().take_while(|(_, end_ms)| *end_ms <= now_ms).count();
                let expected: Vec<u64> = (first as u64 + 1..=all.len() as u64).collect();
                assert_eq!(values(Some(history.iter())), Some(expected), "seed {seed} at {now_ms} ms");
                let bytes: usize = all[first..].iter().map(|(bytes, _)| bytes).sum();
                assert_eq!(history.bytes(), bytes, "seed {seed} at {now_ms} ms");
                let asked = random.u64(0..=all.len() as u64);
                let since = values(history.since_offset(Offset(asked)));
                let complete = (asked >= first as u64).then(|| (asked + 1..=all.len() as u64).collect());
                assert_eq!(since, complete, "seed {seed}: after {asked} at {now_ms} ms");
            }
        }
    }
}
