//! How a thread cuts connections at random and brings their seats back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::chance::Chance;
use crate::clock::Moment;
use crate::fleet::crew::{Berth, Crew};
use crate::fleet::line::Parting;

/// Which connections are cut, and how long their seats stay away.
#[derive(Clone, Copy, Debug)]
pub struct Cuts {
    /// When cutting begins.
    pub start: Moment,
    /// When it ends; who is away then still comes back.
    pub until: Moment,
    /// How long a connection lives on average.
    pub every: Duration,
    /// How long a seat stays away.
    pub away: Duration,
    /// How a connection is cut.
    pub parting: Parting,
    /// What chance depends on.
    pub seed: u64,
}

/// One thread's part of the cuts. Senders of rooms are spared, so that what is due is sent.
pub(super) struct Cutting {
    cuts: Cuts,
    chance: Chance,
    next_cut: Moment,
    /// Who comes back when; in order, because all stay away for the same time.
    away: VecDeque<(Moment, usize)>,
}

impl Cutting {
    /// The part of `thread`.
    pub(super) fn new(cuts: Cuts, thread: u32) -> Self {
        let chance = Chance::new(cuts.seed, thread);
        Self { cuts, chance, next_cut: cuts.start, away: VecDeque::new() }
    }

    /// When something is to be done next.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        let cut = (self.next_cut < self.cuts.until).then_some(self.next_cut);
        [cut, self.away.front().map(|&(back, _)| back)].into_iter().flatten().min()
    }

    /// How many seats are away.
    pub(super) fn away(&self) -> usize {
        self.away.len()
    }

    /// The slot among `slots` whose turn it is by `now`, if one is to be cut.
    fn take_victim(&mut self, slots: usize, now: Moment) -> Option<usize> {
        if slots == 0 || self.next_cut > now || self.next_cut >= self.cuts.until {
            return None;
        }
        let mean = self.cuts.every.div_f64(slots as f64);
        self.next_cut = self.next_cut + self.chance.wait(mean);
        Some(self.chance.below(slots))
    }

    /// Who is to be back by `now`, and when they were due.
    fn take_returner(&mut self, now: Moment) -> Option<(Moment, usize)> {
        self.away.pop_front_if(|&mut (back, _)| back <= now)
    }
}

impl Crew {
    /// Cuts who is to be cut by `now`, and brings back who is due.
    pub(super) fn cut_due(&mut self, now: Moment) {
        let Some(mut cutting) = self.cutting.take() else { return };
        while let Some(slot) = cutting.take_victim(self.berths.len(), now) {
            if self.may_be_cut(slot) {
                self.part(slot, cutting.cuts.parting);
                cutting.away.push_back((now + cutting.cuts.away, slot));
            }
        }
        while let Some((due, slot)) = cutting.take_returner(now) {
            self.begin(slot, due);
        }
        self.cutting = Some(cutting);
    }

    /// Whether a berth has a connection that is ready and does not send for its room.
    fn may_be_cut(&self, slot: usize) -> bool {
        let Some(Berth { seat, line: Some(line), .. }) = self.berths.get(slot) else { return false };
        let seating = &self.plan.seating;
        line.connection.is_ready() && seating.sender(seating.room(*seat)) != *seat
    }
}
