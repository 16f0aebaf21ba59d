//! Which runs live, as the leases in the store say, and whether this run was taken for dead. Core 0 keeps it.
//!
//! ```text
//!   known ──── no lease ────> missing ──── for the grace ────> dead in its generation
//!     ^                          │                                   │
//!     └──────── a lease ─────────┘          a lease of the next one ─┘ known again
//! ```

use std::collections::BTreeMap;

use super::lanes::FIRST_GENERATION;
use crate::cursor::RunId;

/// How long a lease lives that is not renewed, in milliseconds: the store's own number.
pub(super) const LEASE_MS: u64 = 10_000;

/// A run whose lease is held in a generation that this node took for dead was there all the time, if that goes on for so
/// long, in milliseconds: one that wakes up late needs less to find out.
const MISTAKEN_MS: u64 = 5_000;

/// Runs that are remembered, live and dead ones. Reached: the dead of the lowest name are forgotten.
const RUNS_MAX: usize = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Lives,
    /// Without a lease since then.
    Missing(u64),
    Dead {
        /// Since when it has a lease again, of the same generation.
        held_ms: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Run {
    generation: u32,
    life: Life,
}

/// What follows from a look at the leases.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Runs that are dead, up to a generation.
    pub(super) dead: Vec<(RunId, u32)>,
    /// Runs that were taken for dead and live.
    pub(super) mistaken: Vec<RunId>,
    /// Others may have taken this run for dead.
    pub(super) is_fenced: bool,
}

/// All runs that core 0 knows of, this one excepted.
#[derive(Debug, Default)]
pub(super) struct Leases {
    runs: BTreeMap<RunId, Run>,
    /// This run had a lease in its generation.
    has_held: bool,
    /// Nobody counts as missing before this, in monotonic milliseconds.
    patient_until_ms: u64,
}

impl Leases {
    /// How many runs live, or may.
    pub(super) fn live_count(&self) -> usize {
        self.runs.values().filter(|run| !matches!(run.life, Life::Dead { .. })).count()
    }

    /// A signal of a run was heard, whether it has a lease or not.
    pub(super) fn meet(&mut self, run: RunId, generation: u32, now_ms: u64) {
        let missing = Life::Missing(now_ms.max(self.patient_until_ms));
        let known = self.runs.entry(run).or_insert(Run { generation, life: missing });
        if known.generation < generation {
            *known = Run { generation, life: missing };
        }
        self.bound();
    }

    /// Looks at the leases. `was_held` tells whether this run's was there, `was_any` whether any was.
    pub(super) fn look(
        &mut self,
        own: RunId,
        was_held: bool,
        was_any: bool,
        alive: &[(RunId, u32)],
        now_ms: u64,
        grace_ms: u64,
    ) -> Findings {
        let mut findings = Findings::default();
        let had_held = std::mem::replace(&mut self.has_held, true);
        if had_held && !was_held {
            // The next lease is the first of its generation.
            findings.is_fenced = was_any;
            self.has_held = !was_any;
            // The store forgot everybody, or this run was cut off, perhaps with others: whoever lives says so before long.
            self.patient_until_ms = now_ms.saturating_add(LEASE_MS);
        }
        for (run, generation) in alive.iter().copied().filter(|(run, _)| *run != own) {
            let known = self.runs.entry(run).or_insert(Run { generation, life: Life::Lives });
            match &mut known.life {
                Life::Dead { held_ms } if known.generation >= generation => {
                    if now_ms.saturating_sub(*held_ms.get_or_insert(now_ms)) >= MISTAKEN_MS {
                        known.life = Life::Lives;
                        findings.mistaken.push(run);
                    }
                }
                life => *life = Life::Lives,
            }
            known.generation = known.generation.max(generation);
        }
        let missing_ms = now_ms.max(self.patient_until_ms);
        for (run, known) in &mut self.runs {
            if alive.iter().any(|(alive, _)| alive == run) {
                continue;
            }
            match &mut known.life {
                Life::Lives => known.life = Life::Missing(missing_ms),
                Life::Missing(since_ms) => *since_ms = (*since_ms).max(self.patient_until_ms),
                Life::Dead { held_ms } => *held_ms = None,
            }
            if let Life::Missing(since_ms) = known.life
                && now_ms.checked_sub(since_ms).is_some_and(|missing_ms| missing_ms >= grace_ms)
            {
                known.life = Life::Dead { held_ms: None };
                findings.dead.push((*run, known.generation));
            }
        }
        self.bound();
        findings
    }

    fn bound(&mut self) {
        while self.runs.len() > RUNS_MAX {
            let dead = self.runs.iter().find(|(_, run)| matches!(run.life, Life::Dead { .. }));
            let Some(run) = dead.map(|(run, _)| *run).or_else(|| self.runs.keys().next().copied()) else {
                return;
            };
            self.runs.remove(&run);
        }
    }
}

/// The generation after one.
pub(super) const fn next_generation(generation: u32) -> u32 {
    match generation.checked_add(1) {
        Some(next) => next,
        None => FIRST_GENERATION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE_MS: u64 = 5_000;

    fn run(number: u64) -> RunId {
        RunId::from_random(number)
    }

    /// Looks once, with the own lease held and others alive.
    fn look(leases: &mut Leases, alive: &[(RunId, u32)], now_ms: u64) -> Findings {
        leases.look(run(0), true, true, alive, now_ms, GRACE_MS)
    }

    #[test]
    fn a_run_without_a_lease_is_dead_after_the_grace_and_once() {
        let mut leases = Leases::default();
        look(&mut leases, &[(run(1), 1)], 0);
        assert_eq!(look(&mut leases, &[], 1_000), Findings::default());
        assert_eq!(look(&mut leases, &[], 5_999), Findings::default());
        assert_eq!(look(&mut leases, &[], 6_000).dead, [(run(1), 1)]);
        assert_eq!(look(&mut leases, &[], 60_000), Findings::default());
        assert_eq!(leases.live_count(), 0);
    }

    #[test]
    fn who_has_a_lease_again_within_the_grace_lives() {
        let mut leases = Leases::default();
        look(&mut leases, &[(run(1), 1)], 0);
        for now_ms in (1_000..60_000).step_by(1_000) {
            let alive: &[_] = if now_ms % 5_000 == 0 { &[(run(1), 1)] } else { &[] };
            assert_eq!(look(&mut leases, alive, now_ms), Findings::default(), "{now_ms}");
        }
    }

    #[test]
    fn a_run_that_was_heard_and_never_had_a_lease_is_dead_after_the_grace() {
        let mut leases = Leases::default();
        leases.meet(run(1), 1, 1_000);
        assert_eq!(look(&mut leases, &[], 5_999), Findings::default());
        assert_eq!(look(&mut leases, &[], 6_000).dead, [(run(1), 1)]);
        leases.meet(run(1), 1, 7_000);
        assert_eq!(look(&mut leases, &[], 60_000), Findings::default(), "a zombie's signal");
    }

    #[test]
    fn the_next_generation_of_a_dead_run_lives_and_the_former_does_not() {
        let mut leases = Leases::default();
        look(&mut leases, &[(run(1), 1)], 0);
        look(&mut leases, &[], 1_000);
        look(&mut leases, &[], 6_000);
        assert_eq!(look(&mut leases, &[(run(1), 1)], 7_000), Findings::default(), "it has not found out yet");
        assert_eq!(leases.live_count(), 0);
        assert_eq!(look(&mut leases, &[(run(1), 2)], 8_000), Findings::default());
        assert_eq!(leases.live_count(), 1);
    }

    #[test]
    fn who_goes_on_in_the_generation_that_was_taken_for_dead_was_there_all_the_time() {
        let mut leases = Leases::default();
        look(&mut leases, &[(run(1), 1)], 0);
        look(&mut leases, &[], 1_000);
        look(&mut leases, &[], 6_000);
        assert_eq!(look(&mut leases, &[(run(1), 1)], 7_000), Findings::default());
        assert_eq!(look(&mut leases, &[(run(1), 1)], 12_000).mistaken, [run(1)]);
        assert_eq!(leases.live_count(), 1);
    }

    #[test]
    fn a_store_without_memory_ends_nobody_and_fences_nobody() {
        let mut leases = Leases::default();
        look(&mut leases, &[(run(1), 1)], 0);
        let lost = leases.look(run(0), false, false, &[(run(0), 1)], 60_000, GRACE_MS);
        assert_eq!(lost, Findings::default());
        assert_eq!(look(&mut leases, &[(run(0), 1)], 74_999), Findings::default());
        assert_eq!(look(&mut leases, &[(run(0), 1)], 75_000).dead, [(run(1), 1)]);
    }

    #[test]
    fn a_lease_that_ended_while_others_held_theirs_is_a_fence() {
        let mut leases = Leases::default();
        let first = leases.look(run(0), false, true, &[(run(1), 1)], 0, GRACE_MS);
        assert!(!first.is_fenced, "the first lease of a run was never there before");
        assert!(leases.look(run(0), false, true, &[(run(1), 1)], 20_000, GRACE_MS).is_fenced);
        assert!(!leases.look(run(0), false, true, &[(run(1), 1)], 21_000, GRACE_MS).is_fenced, "once");
    }
}
