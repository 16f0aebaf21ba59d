//! How a thread lets visitors come and go while its other connections stay.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
use crate::fleet::crew::{Berth, Crew};
use crate::fleet::line::Parting;
use crate::record::Record;
use crate::seating::Seat;

/// When visitors come, and how long they stay.
#[derive(Clone, Copy, Debug)]
pub struct Visits {
    /// When the first one comes.
    pub start: Moment,
    /// When no more come; who is there still stays its time.
    pub until: Moment,
    /// How many come per second, over all threads.
    pub per_s: f64,
    /// From the moment a visitor is due until it leaves.
    pub stay: Duration,
    /// How a visitor leaves.
    pub parting: Parting,
}

/// One thread's part of the visits: numbers `thread`, `thread + threads`, … Each visitor is a user of its own.
pub(super) struct Visiting {
    visits: Visits,
    next: u64,
    threads: u32,
    /// Who leaves when; in order, because all stay for the same time.
    leaving: VecDeque<(Moment, usize)>,
    /// Berths whose visitors have left.
    free: Vec<usize>,
}

impl Visiting {
    /// The part of `thread` of `threads`.
    pub(super) fn new(visits: Visits, thread: u32, threads: u32) -> Self {
        Self { visits, next: thread.into(), threads, leaving: VecDeque::new(), free: Vec::new() }
    }

    /// When something is to be done next.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        [self.next_arrival(), self.leaving.front().map(|&(leaves, _)| leaves)].into_iter().flatten().min()
    }

    /// How many visitors are there.
    pub(super) fn present(&self) -> usize {
        self.leaving.len()
    }

    fn next_arrival(&self) -> Option<Moment> {
        let due = self.visits.start + Duration::from_secs_f64(self.next as f64 / self.visits.per_s);
        (due < self.visits.until).then_some(due)
    }

    /// The number of the visitor who is to come by `now`, and when it was due.
    fn take_arrival(&mut self, now: Moment) -> Option<(u64, Moment)> {
        let due = self.next_arrival().filter(|&due| due <= now)?;
        let number = self.next;
        self.next += u64::from(self.threads);
        Some((number, due))
    }

    /// Who is to leave by `now`.
    fn take_leaver(&mut self, now: Moment) -> Option<usize> {
        self.leaving.pop_front_if(|&mut (leaves, _)| leaves <= now).map(|(_, slot)| slot)
    }
}

impl Crew {
    /// Lets visitors leave whose time is over by `now`, and come who are due.
    pub(super) fn visit_due(&mut self, now: Moment) {
        let Some(mut visiting) = self.visiting.take() else { return };
        while let Some(slot) = visiting.take_leaver(now) {
            self.part(slot, visiting.visits.parting);
            self.berths[slot].record.end_visit(&mut self.ledger);
            visiting.free.push(slot);
        }
        while let Some((number, due)) = visiting.take_arrival(now) {
            let slot = visiting.free.pop().unwrap_or(self.berths.len());
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let seat = Seat(self.plan.seating.seats().saturating_add(number));
            let record = Record::new(true, false);
            match self.berths.get_mut(slot) {
                Some(berth) => (berth.seat, berth.record) = (seat, record),
                None => self.berths.push(Berth { seat, lives: 0, line: None, record }),
            }
            self.begin(slot, due);
            visiting.leaving.push_back((due + visiting.visits.stay, slot));
        }
        self.visiting = Some(visiting);
    }
}
