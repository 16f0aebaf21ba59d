//! A hashed timing wheel: deadlines of one core at a few nanoseconds each, and four bytes beside what is to happen.
//!
//! Single entries are never cancelled. Whoever armed one checks, when it fires, whether it still means
//! something; that is cheaper than finding it again. When too many mean nothing any more, [`Wheel::retain`] sweeps.

/// Slots of the wheel. Deadlines further away than `SLOT_COUNT` ticks stay for more rounds.
const SLOT_COUNT: u64 = 512;

/// Entries that an empty slot keeps room for. A crowd that came and went leaves no more.
const KEPT_ENTRIES: usize = 32;

/// Which slots have entries, a bit for each: the next deadline is asked for at the end of every turn.
#[derive(Debug, Default)]
struct Occupied([u64; (SLOT_COUNT / 64) as usize]);

impl Occupied {
    fn set(&mut self, slot: usize, is_occupied: bool) {
        let bit = 1 << (slot % 64);
        if is_occupied {
            self.0[slot / 64] |= bit;
        } else {
            self.0[slot / 64] &= !bit;
        }
    }

    /// How many slots after `slot`, around the wheel, the first occupied one is.
    fn distance_from(&self, slot: usize) -> Option<u64> {
        let (word, bit) = (slot / 64, slot % 64);
        let behind = self.0[word] >> bit;
        if behind != 0 {
            return Some(u64::from(behind.trailing_zeros()));
        }
        // The word of `slot` comes once more at the end, for the slots before it.
        let further = (1..=self.0.len()).map(|step| (step, self.0[(word + step) % self.0.len()]));
        let (step, bits) = further.into_iter().find(|(_, bits)| *bits != 0)?;
        Some(64 * step as u64 + u64::from(bits.trailing_zeros()) - bit as u64)
    }
}

/// Deadlines of type `T`, in ticks of a fixed number of milliseconds.
#[derive(Debug)]
pub struct Wheel<T> {
    /// Each entry with its lap: which time that its slot comes round.
    slots: Box<[Vec<(u32, T)>]>,
    occupied: Occupied,
    tick_ms: u64,
    /// Every tick before this one has been handed out.
    next_tick: u64,
    entry_count: usize,
}

impl<T> Wheel<T> {
    /// An empty wheel. Deadlines fire up to `tick_ms` late, never early.
    pub fn new(tick_ms: u64, now_ms: u64) -> Self {
        assert!(tick_ms > 0, "a tick lasts at least a millisecond");
        let slots = (0..SLOT_COUNT).map(|_| Vec::new()).collect();
        Self { slots, occupied: Occupied::default(), tick_ms, next_tick: now_ms / tick_ms, entry_count: 0 }
    }

    /// How many entries are waiting, including those that no longer mean anything.
    pub fn entry_count(&self) -> usize {
        self.entry_count
    }

    /// Adds a deadline. One that has passed already fires at the next [`expire`](Self::expire).
    pub fn arm(&mut self, deadline_ms: u64, entry: T) {
        let tick = deadline_ms.div_ceil(self.tick_ms).max(self.next_tick);
        let (lap, slot) = (tick / SLOT_COUNT, (tick % SLOT_COUNT) as usize);
        self.slots[slot].push((u32::try_from(lap).unwrap_or(u32::MAX), entry));
        self.occupied.set(slot, true);
        self.entry_count += 1;
    }

    /// Drops every entry that `keep` refuses. Costs a walk over all of them.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for (number, slot) in self.slots.iter_mut().enumerate() {
            slot.retain(|(_, entry)| keep(entry));
            slot.shrink_to_fit();
            self.occupied.set(number, !slot.is_empty());
        }
        self.entry_count = self.slots.iter().map(Vec::len).sum();
    }

    /// Hands out every entry whose deadline is not after `now_ms`.
    pub fn expire(&mut self, now_ms: u64, mut fired: impl FnMut(&mut Self, T)) {
        let now_tick = now_ms / self.tick_ms;
        // After a long pause every slot is looked at once, not once per missed tick.
        let first = self.next_tick.max(now_tick.saturating_sub(SLOT_COUNT - 1));
        if self.next_tick > now_tick {
            return;
        }
        self.next_tick = now_tick + 1;
        for tick in first..=now_tick {
            let slot = (tick % SLOT_COUNT) as usize;
            let mut waiting = std::mem::take(&mut self.slots[slot]);
            let mut position = 0;
            while position < waiting.len() {
                if u64::from(waiting[position].0) * SLOT_COUNT + slot as u64 <= now_tick {
                    let (_, entry) = waiting.swap_remove(position);
                    self.entry_count -= 1;
                    fired(self, entry);
                } else {
                    position += 1;
                }
            }
            // `fired` may have armed entries in this very slot.
            waiting.append(&mut self.slots[slot]);
            self.occupied.set(slot, !waiting.is_empty());
            if waiting.is_empty() {
                waiting.shrink_to(KEPT_ENTRIES);
            }
            self.slots[slot] = waiting;
        }
    }

    /// When the wheel wants to be looked at next: the first tick with an entry in its slot.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let distance = self.occupied.distance_from((self.next_tick % SLOT_COUNT) as usize)?;
        Some((self.next_tick + distance) * self.tick_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(wheel: &mut Wheel<u64>, now_ms: u64) -> Vec<u64> {
        let mut entries = Vec::new();
        wheel.expire(now_ms, |_, entry| entries.push(entry));
        entries.sort_unstable();
        entries
    }

    #[test]
    fn nothing_fires_early_and_everything_fires() {
        let mut wheel = Wheel::new(10, 0);
        for deadline in [5, 10, 11, 5_120, 5_130, 100_000] {
            wheel.arm(deadline, deadline);
        }
        assert!(fired(&mut wheel, 9).is_empty());
        assert_eq!(fired(&mut wheel, 10), [5, 10]);
        assert_eq!(fired(&mut wheel, 5_119), [11]);
        assert_eq!(fired(&mut wheel, 5_120), [5_120]);
        assert_eq!(fired(&mut wheel, 99_999), [5_130]);
        assert_eq!(fired(&mut wheel, 100_000), [100_000]);
        assert_eq!(wheel.entry_count(), 0);
    }

    #[test]
    fn an_entry_may_be_armed_anew_while_it_fires() {
        let mut wheel = Wheel::new(10, 0);
        wheel.arm(10, 0);
        let mut times = Vec::new();
        for now in (0..100).step_by(10) {
            wheel.expire(now, |wheel, _| {
                times.push(now);
                wheel.arm(now + 30, 0);
            });
        }
        assert_eq!(times, [10, 40, 70]);
    }

    #[test]
    fn the_next_deadline_is_never_too_late() {
        let mut wheel = Wheel::new(10, 1_000);
        assert_eq!(wheel.next_deadline_ms(), None);
        wheel.arm(9_000, 0);
        assert!(wheel.next_deadline_ms() <= Some(9_000));
        wheel.arm(1_500, 1);
        assert_eq!(wheel.next_deadline_ms(), Some(1_500));
    }

    #[test]
    fn the_next_deadline_is_the_first_tick_with_an_entry_in_its_slot() {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut wheel = Wheel::new(10, 7_777);
            let mut now_ms = 7_777;
            for _ in 0..200 {
                match random.u8(0..4) {
                    0 => wheel.arm(now_ms + random.u64(0..20_000), random.bool()),
                    1 => wheel.retain(|is_kept| *is_kept),
                    _ => {
                        now_ms += random.u64(0..2_000);
                        wheel.expire(now_ms, |_, _| {});
                    }
                }
                let first = (wheel.next_tick..wheel.next_tick + SLOT_COUNT)
                    .find(|tick| !wheel.slots[(tick % SLOT_COUNT) as usize].is_empty());
                assert_eq!(wheel.next_deadline_ms(), first.map(|tick| 10 * tick), "seed {seed}");
            }
        }
    }

    #[test]
    fn swept_entries_do_not_fire() {
        let mut wheel = Wheel::new(10, 0);
        for deadline in 0..2_000 {
            wheel.arm(deadline * 10, deadline);
        }
        wheel.retain(|deadline| deadline % 500 == 0);
        assert_eq!(wheel.entry_count(), 4);
        assert_eq!(fired(&mut wheel, 1_000_000), [0, 500, 1_000, 1_500]);
    }

    #[test]
    fn a_long_pause_hands_out_everything_once() {
        let mut wheel = Wheel::new(10, 0);
        for deadline in 0..2_000 {
            wheel.arm(deadline * 10, deadline);
        }
        assert_eq!(fired(&mut wheel, 1_000_000), (0..2_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_crowd_of_deadlines_leaves_no_memory_behind() {
        let mut wheel = Wheel::new(10, 0);
        for deadline in 0..100_000 {
            wheel.arm(deadline % 100, deadline);
        }
        assert_eq!(fired(&mut wheel, 1_000).len(), 100_000);
        assert!(wheel.slots.iter().all(|slot| slot.capacity() <= KEPT_ENTRIES));
    }

    #[test]
    fn deadlines_years_ahead_wait() {
        const YEAR_MS: u64 = 365 * 86_400_000;
        let mut wheel = Wheel::new(5, 0);
        wheel.arm(10 * YEAR_MS, 10);
        assert!(fired(&mut wheel, 10 * YEAR_MS - 5).is_empty());
        assert_eq!(fired(&mut wheel, 10 * YEAR_MS), [10]);
    }
}
