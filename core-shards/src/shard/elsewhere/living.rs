//! Which runs live, and what follows when one does not; core 0 looks, every core hears.

use std::collections::VecDeque;

use super::leases::next_generation;
use crate::Now;
use crate::cursor::RunId;
use crate::ids::CoreId;
use crate::limits::DEAD_RUNS_MAX;
use crate::mail::Elsewhere as Letter;
use crate::outputs::Outputs;
use crate::shard::Shard;
use crate::store::StoreRequest;

/// A run that others may have taken for dead waits so long before it tells them of its users again, in milliseconds:
/// whoever was frozen finds out first which of its connections are gone.
const FENCE_MS: u64 = 2_000;

/// Generations of other runs that are over.
#[derive(Debug, Default)]
pub(super) struct Dead {
    runs: VecDeque<(RunId, u32)>,
}

impl Dead {
    fn note(&mut self, run: RunId, generation: u32) {
        self.runs.retain(|(known, _)| *known != run);
        if self.runs.len() >= DEAD_RUNS_MAX {
            self.runs.pop_front();
        }
        self.runs.push_back((run, generation));
    }

    /// A run was not dead.
    pub(super) fn forget(&mut self, run: RunId) {
        self.runs.retain(|(known, _)| *known != run);
    }

    /// Whether a run is over, and no later generation of it was heard.
    pub(super) fn has_any(&self, run: RunId) -> bool {
        self.runs.iter().any(|(known, _)| *known == run)
    }

    /// Whether a run is over in a generation.
    pub(super) fn has(&self, run: RunId, generation: u32) -> bool {
        self.runs.iter().any(|(known, dead)| *known == run && *dead >= generation)
    }
}

/// The generation in which this run lives.
#[derive(Debug)]
pub(super) struct Fence {
    /// What leases say.
    leased: u32,
    /// What lanes say: behind for as long as a fence stands.
    told: u32,
    /// When lanes follow, in monotonic milliseconds.
    until_ms: u64,
    /// A look at the leases is on its way.
    is_looking: bool,
    /// The node is leaving.
    is_over: bool,
}

impl Fence {
    pub(super) const fn new(generation: u32) -> Self {
        Self { leased: generation, told: generation, until_ms: 0, is_looking: false, is_over: false }
    }
}

impl Shard {
    /// Says once a second that this node lives, and asks who else does.
    pub(super) fn look_at_leases(&mut self, now: Now, out: &mut Outputs) {
        if self.core != CoreId(0) {
            return;
        }
        let fence = &mut self.elsewhere.fence;
        if !fence.is_looking && !fence.is_over {
            fence.is_looking = true;
            let generation = fence.leased;
            self.store_requests.push(StoreRequest::Renew { generation, is_last: false });
        }
        let fence = &mut self.elsewhere.fence;
        if fence.told != fence.leased && fence.until_ms <= now.monotonic_ms() {
            fence.told = fence.leased;
            let generation = fence.told;
            self.post_to_all(|| Letter::Generation(generation), out);
        }
    }

    /// The node is leaving: it gives its lease back, so that others need not wait for its end. Once, on core 0, when the
    /// sessions were closed.
    pub fn handle_farewell(&mut self) {
        let fence = &mut self.elsewhere.fence;
        if self.placement.is_joined() && self.core == CoreId(0) && !fence.is_over {
            fence.is_over = true;
            let generation = fence.leased;
            self.store_requests.push(StoreRequest::Renew { generation, is_last: true });
        }
    }

    /// Whether a node has left or died, as far as this core knows: its lease is gone for longer than the grace of presence,
    /// and it has not come back since.
    pub fn is_known_dead(&self, run: RunId) -> bool {
        self.elsewhere.dead.has_any(run)
    }

    /// Nobody knows who lives: the next look is due anyway.
    pub(in crate::shard) fn miss_leases(&mut self) {
        self.elsewhere.fence.is_looking = false;
    }

    /// Which nodes live.
    pub(in crate::shard) fn hear_leases(
        &mut self,
        was_held: bool,
        was_any: bool,
        alive: &[(RunId, u32)],
        now: Now,
        out: &mut Outputs,
    ) {
        self.elsewhere.fence.is_looking = false;
        let now_ms = now.monotonic_ms();
        let grace_ms = if self.limits.presence_enabled { self.limits.presence_grace_ms } else { 0 };
        let (own, leases) = (self.run, &mut self.elsewhere.leases);
        let findings = leases.look(own, was_held, was_any, alive, now_ms, grace_ms);
        if findings.is_fenced && !self.elsewhere.fence.is_over {
            let fence = &mut self.elsewhere.fence;
            fence.leased = next_generation(fence.leased);
            fence.until_ms = now_ms.saturating_add(FENCE_MS);
            self.metrics.fences.increment();
        }
        for (run, generation) in findings.dead {
            self.metrics.nodes_lost.increment();
            self.post_to_all(|| Letter::Dead(run, generation), out);
        }
        for run in findings.mistaken {
            self.post_to_all(|| Letter::Mistaken(run), out);
        }
    }

    /// A run is dead, up to a generation: its users are there no more, unless they are elsewhere.
    pub(super) fn bury(&mut self, run: RunId, generation: u32, now: Now, out: &mut Outputs) {
        self.elsewhere.dead.note(run, generation);
        self.elsewhere.lanes.forget(run, generation);
        self.end_run(run, generation, now, out);
    }

    /// Others may have taken this run for dead: its lanes begin anew, with whoever is really there.
    pub(super) fn begin_generation(&mut self, generation: u32, now: Now, out: &mut Outputs) {
        self.elsewhere.telling.begin_generation(generation);
        let users: Vec<u32> = self.users.iter().map(|(index, _)| index).collect();
        for user in users {
            self.users.at_mut(user).discount_detached(now.monotonic_ms());
            self.settle_user(user, None, now, out);
        }
        for partition in self.placement.partitions() {
            self.tell_state(partition, now);
        }
    }

    pub(super) fn post_to_all(&mut self, letter: impl Fn() -> Letter, out: &mut Outputs) {
        for core in 0..self.placement.core_count() {
            self.post_elsewhere(CoreId(core), letter(), out);
        }
    }
}
