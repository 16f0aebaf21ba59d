//! The mail between cores: for each sender, receiver and class of mail one bounded lane, first in, first out, and
//! what the sender keeps while a lane is full.

use std::collections::VecDeque;

use core_shards::{CoreId, Mail, MailClass};

use crate::faults::Faults;

const CLASSES: [MailClass; 2] = [MailClass::Request, MailClass::Result];

#[derive(Debug, Default)]
struct Lane {
    letters: VecDeque<Mail>,
    /// Letters that found the lane full, still at their sender's.
    held: VecDeque<Mail>,
}

/// All lanes of a node.
#[derive(Debug)]
pub(crate) struct Lanes {
    core_count: usize,
    pub(crate) letters_max: usize,
    lanes: Vec<Lane>,
    /// Letters that ever found their lane full.
    pub(crate) held_count: u64,
}

impl Lanes {
    pub(crate) fn new(core_count: usize, letters_max: usize) -> Self {
        let lanes = (0..core_count * core_count * CLASSES.len()).map(|_| Lane::default()).collect();
        Self { core_count, letters_max, lanes, held_count: 0 }
    }

    fn index(&self, from: usize, to: usize, class: MailClass) -> usize {
        (from * self.core_count + to) * CLASSES.len() + usize::from(class == MailClass::Result)
    }

    /// Puts a letter into its lane, or keeps it at the sender's.
    pub(crate) fn post(&mut self, from: usize, to: CoreId, letter: Mail, faults: &mut Faults) {
        let index = self.index(from, to.index(), letter.class());
        let lane = &mut self.lanes[index];
        if lane.held.is_empty() && (lane.letters.len() < self.letters_max || faults.ignores_bounds()) {
            lane.letters.push_back(letter);
        } else {
            lane.held.push_back(letter);
            self.held_count += 1;
        }
        faults.disturb(&mut lane.letters, to.index());
    }

    /// Takes the next letter of a lane; one that was held moves up.
    pub(crate) fn take(&mut self, from: usize, to: usize, class: MailClass) -> Option<Mail> {
        let index = self.index(from, to, class);
        let lane = &mut self.lanes[index];
        let letter = lane.letters.pop_front();
        while lane.letters.len() < self.letters_max
            && let Some(held) = lane.held.pop_front()
        {
            lane.letters.push_back(held);
        }
        letter
    }

    pub(crate) fn is_waiting(&self, from: usize, to: usize, class: MailClass) -> bool {
        !self.lanes[self.index(from, to, class)].letters.is_empty()
    }

    /// Letters of a class that a core could not get rid of.
    pub(crate) fn held_by(&self, from: usize, class: MailClass) -> usize {
        (0..self.core_count).map(|to| self.lanes[self.index(from, to, class)].held.len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.letters.is_empty() && lane.held.is_empty())
    }

    /// The bound of the lanes, and of what a core may keep when it only takes what it has room for.
    pub(crate) fn check(&self, held_max: usize) -> Result<(), String> {
        if let Some(lane) = self.lanes.iter().find(|lane| lane.letters.len() > self.letters_max) {
            return Err(format!("{} letters in a lane for {}", lane.letters.len(), self.letters_max));
        }
        for from in 0..self.core_count {
            let held: usize = CLASSES.iter().map(|class| self.held_by(from, *class)).sum();
            if held > held_max {
                return Err(format!("core {from} holds {held} letters, more than {held_max}"));
            }
        }
        Ok(())
    }
}
