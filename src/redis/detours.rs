//! Commands on their way to a slot whose master changes: which may be sent now, which wait, and in which order. It
//! sends nothing; bounds on how many there are together are the client's.
//!
//! The commands of a slot are carried out in the order in which they were given, whoever serves it:
//!
//! ```text
//!   straight --- a redirect, a "try again" ---> turning: what is given waits, what is out is answered
//!      ^                                           | nothing is out any more
//!      |           all that waited was sent,       v
//!      +----- as far as it goes to one place ------+
//! ```
//! What was sent to one place may be redirected once more; then it waits again, before everything younger. Where a
//! server has refused for the moment, commands go one by one until nothing waits: of several at once, the second could
//! be carried out and the first not.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::redis::Slot;

use super::address::Host;

/// Before a command is sent again that a server refused for the moment (`TRYAGAIN`: half of its keys have moved).
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// A command that was sent off so often is refused: its slot finds no rest.
const REDIRECTS_MAX: u8 = 16;
/// A command that was refused for the moment so long is refused for good.
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// Which place a command is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Whoever serves the slot.
    Owner,
    /// A node that is about to serve it, with the word that makes it answer.
    Asking(Host),
}

/// A command that can be sent more than once.
#[derive(Debug)]
pub(super) struct Traveller<C> {
    /// What is sent.
    pub(super) command: C,
    way: Way,
    /// Its place among the commands of its slot.
    number: u64,
    redirect_count: u8,
    /// When it was refused for the moment the first time.
    refused_at: Option<Instant>,
}

/// The slots that commands are on their way to.
#[derive(Debug)]
pub(super) struct Detours<C> {
    /// A core speaks to a few slots: one for each of its partitions.
    slots: Vec<(Slot, Lane<C>)>,
}

#[derive(Debug)]
struct Lane<C> {
    out_count: usize,
    next_number: u64,
    /// In the order of their numbers. While something waits nothing goes straight.
    waiting: VecDeque<Traveller<C>>,
    /// Something was refused for the moment: one at a time, and not before this.
    refused: Option<Instant>,
}

impl<C> Lane<C> {
    fn is_straight(&self) -> bool {
        self.waiting.is_empty() && (self.out_count == 0 || self.refused.is_none())
    }

    /// Puts a command where it belongs: answers of two connections do not come in the order of the commands.
    fn wait(&mut self, traveller: Traveller<C>) {
        self.out_count = self.out_count.saturating_sub(1);
        let place = self.waiting.partition_point(|other| other.number < traveller.number);
        self.waiting.insert(place, traveller);
    }
}

/// A command that was sent off too often.
#[derive(Debug)]
pub(super) struct Lost<C>(pub(super) C);

impl<C> Detours<C> {
    /// Nothing is on its way.
    pub(super) fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// A command was given. It is returned if it is to be sent at once to the slot's owner; otherwise it waits.
    pub(super) fn admit(&mut self, slot: Slot, command: C) -> Option<Traveller<C>> {
        let lane = self.lane(slot);
        let number = lane.next_number;
        lane.next_number += 1;
        let traveller = Traveller { command, way: Way::Owner, number, redirect_count: 0, refused_at: None };
        if lane.is_straight() {
            lane.out_count += 1;
            return Some(traveller);
        }
        lane.waiting.push_back(traveller);
        None
    }

    /// A command that was out is answered for good, or lost with its connection.
    pub(super) fn handle_answered(&mut self, slot: Slot) {
        let lane = self.lane(slot);
        lane.out_count = lane.out_count.saturating_sub(1);
        if lane.waiting.is_empty() {
            lane.refused = None;
        }
    }

    /// A command that was out was sent off to somewhere else.
    pub(super) fn handle_redirected(
        &mut self,
        slot: Slot,
        mut traveller: Traveller<C>,
        way: Way,
    ) -> Result<(), Lost<C>> {
        if traveller.redirect_count == REDIRECTS_MAX {
            self.handle_answered(slot);
            return Err(Lost(traveller.command));
        }
        traveller.redirect_count += 1;
        traveller.way = way;
        let lane = self.lane(slot);
        if traveller.way == Way::Owner {
            // The slot has moved: nothing is half there any more.
            lane.refused = None;
        }
        lane.wait(traveller);
        Ok(())
    }

    /// A command that was out was refused for the moment.
    pub(super) fn handle_refused(
        &mut self,
        slot: Slot,
        mut traveller: Traveller<C>,
        now: Instant,
    ) -> Result<(), Lost<C>> {
        let since = *traveller.refused_at.get_or_insert(now);
        if now.saturating_duration_since(since) >= AGAIN_MAX {
            self.handle_answered(slot);
            return Err(Lost(traveller.command));
        }
        traveller.way = Way::Owner;
        // Between two masters it goes to and fro until all keys have moved: that is bounded by time alone.
        traveller.redirect_count = 0;
        let lane = self.lane(slot);
        lane.refused = Some(now + AGAIN_AFTER);
        lane.wait(traveller);
        Ok(())
    }

    /// A command that was out was not even sent: where it has to go is not there yet.
    pub(super) fn postpone(&mut self, slot: Slot, way: Way, mut traveller: Traveller<C>) {
        traveller.way = way;
        self.lane(slot).wait(traveller);
    }

    /// Gives out what may be sent now, in order: of each slot that has nothing out and whose next way is open,
    /// everything up to the first that goes another way.
    pub(super) fn release(
        &mut self,
        now: Instant,
        is_open: impl Fn(Slot, &Way) -> bool,
        mut send: impl FnMut(Slot, Way, Traveller<C>),
    ) {
        for (slot, lane) in &mut self.slots {
            let is_early = lane.refused.is_some_and(|moment| now < moment);
            if lane.out_count > 0 || is_early {
                continue;
            }
            let Some(way) = lane.waiting.front().map(|first| first.way.clone()) else { continue };
            if !is_open(*slot, &way) {
                continue;
            }
            let is_full = |lane: &Lane<C>| lane.refused.is_some() && lane.out_count > 0;
            while !is_full(lane) && lane.waiting.front().is_some_and(|next| next.way == way) {
                let Some(mut traveller) = lane.waiting.pop_front() else { break };
                // Whoever is asked once is asked once: the next time the owner is.
                traveller.way = Way::Owner;
                lane.out_count += 1;
                send(*slot, way.clone(), traveller);
            }
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_straight(&self) -> bool {
        self.slots.iter().all(|(_, lane)| lane.waiting.is_empty())
    }

    /// Whether something waits to be asked of a host.
    pub(super) fn is_awaited(&self, host: &Host) -> bool {
        let asks = |traveller: &Traveller<C>| matches!(&traveller.way, Way::Asking(other) if other == host);
        self.slots.iter().any(|(_, lane)| lane.waiting.iter().any(asks))
    }

    fn lane(&mut self, slot: Slot) -> &mut Lane<C> {
        let place = self.slots.iter().position(|(known, _)| *known == slot).unwrap_or_else(|| {
            let lane = Lane { out_count: 0, next_number: 0, waiting: VecDeque::new(), refused: None };
            self.slots.push((slot, lane));
            self.slots.len() - 1
        });
        &mut self.slots[place].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot(7);

    fn there() -> Way {
        Way::Asking(Host { name: "a".into(), port: 1 })
    }

    fn release(detours: &mut Detours<u32>, now: Instant) -> Vec<(Way, Traveller<u32>)> {
        let mut released = Vec::new();
        detours.release(
            now,
            |_, _| true,
            |slot, way, traveller| {
                assert_eq!(slot, SLOT);
                released.push((way, traveller));
            },
        );
        released
    }

    fn numbers(released: &[(Way, Traveller<u32>)]) -> Vec<u32> {
        released.iter().map(|(_, traveller)| traveller.command).collect()
    }

    #[test]
    fn commands_that_were_sent_off_stay_in_front_of_younger_ones() {
        let now = Instant::now();
        let mut detours = Detours::new();
        let out: Vec<_> = (0..4).map(|number| detours.admit(SLOT, number).unwrap()).collect();
        let mut out = out.into_iter();
        out.next();
        detours.handle_answered(SLOT);
        detours.handle_redirected(SLOT, out.next().unwrap(), Way::Owner).unwrap();
        assert!(detours.admit(SLOT, 4).is_none(), "younger ones wait");
        assert!(release(&mut detours, now).is_empty(), "two are out still");
        for traveller in out {
            detours.handle_redirected(SLOT, traveller, Way::Owner).unwrap();
        }
        assert!(detours.admit(SLOT, 5).is_none());
        let released = release(&mut detours, now);
        assert_eq!(numbers(&released), [1, 2, 3, 4, 5]);
        assert_eq!(detours.admit(SLOT, 6).unwrap().command, 6, "straight again");
    }

    #[test]
    fn those_for_one_place_go_together_and_come_back_in_order() {
        let now = Instant::now();
        let mut detours = Detours::new();
        let out: Vec<_> = (0..4).map(|number| detours.admit(SLOT, number).unwrap()).collect();
        for (traveller, way) in out.into_iter().zip([there(), there(), Way::Owner, there()]) {
            detours.handle_redirected(SLOT, traveller, way).unwrap();
        }
        let first = release(&mut detours, now);
        assert_eq!(numbers(&first), [0, 1]);
        assert!(first.iter().all(|(way, _)| *way == there()));
        assert!(release(&mut detours, now).is_empty());
        for (_, traveller) in first {
            detours.handle_redirected(SLOT, traveller, Way::Owner).unwrap();
        }
        let second = release(&mut detours, now);
        assert_eq!(numbers(&second), [0, 1, 2], "in front of those that waited already");
        second.iter().for_each(|_| detours.handle_answered(SLOT));
        assert_eq!(numbers(&release(&mut detours, now)), [3]);
    }

    #[test]
    fn what_is_refused_for_the_moment_is_sent_again_after_a_pause_and_not_for_ever() {
        let mut now = Instant::now();
        let ends = now + AGAIN_MAX;
        let mut detours = Detours::new();
        let mut traveller = detours.admit(SLOT, 0).unwrap();
        let lost = loop {
            if let Err(lost) = detours.handle_refused(SLOT, traveller, now) {
                break lost;
            }
            assert!(release(&mut detours, now).is_empty());
            now += AGAIN_AFTER;
            traveller = release(&mut detours, now).pop().unwrap().1;
        };
        assert_eq!((lost.0, now), (0, ends));
        assert!(detours.admit(SLOT, 1).is_some(), "the next has its own chance");
    }

    #[test]
    fn where_one_was_refused_for_the_moment_nothing_overtakes_it() {
        let mut now = Instant::now();
        let mut detours = Detours::new();
        let first = detours.admit(SLOT, 0).unwrap();
        detours.handle_refused(SLOT, first, now).unwrap();
        assert!(detours.admit(SLOT, 1).is_none());
        now += AGAIN_AFTER;
        let first = release(&mut detours, now).pop().unwrap().1;
        assert_eq!(first.command, 0, "alone");
        assert!(release(&mut detours, now).is_empty());
        detours.handle_refused(SLOT, first, now).unwrap();
        now += AGAIN_AFTER;
        for expected in [0, 1] {
            assert_eq!(numbers(&release(&mut detours, now)), [expected]);
            if expected == 1 {
                assert!(detours.admit(SLOT, 2).is_none(), "the last that waited is out still");
            }
            detours.handle_answered(SLOT);
        }
        assert_eq!(numbers(&release(&mut detours, now)), [2]);
        detours.handle_answered(SLOT);
        assert!(detours.admit(SLOT, 3).is_some() && detours.admit(SLOT, 4).is_some(), "straight again");
    }

    #[test]
    fn a_slot_that_finds_no_rest_ends_its_commands() {
        let now = Instant::now();
        let mut detours = Detours::new();
        let mut traveller = detours.admit(SLOT, 0).unwrap();
        for _ in 0..REDIRECTS_MAX {
            detours.handle_redirected(SLOT, traveller, Way::Owner).unwrap();
            traveller = release(&mut detours, now).pop().unwrap().1;
        }
        assert_eq!(detours.handle_redirected(SLOT, traveller, Way::Owner).unwrap_err().0, 0);
    }

    #[test]
    fn a_command_may_go_to_and_fro_as_long_as_its_keys_are_on_their_way() {
        let mut now = Instant::now();
        let mut detours = Detours::new();
        let mut traveller = detours.admit(SLOT, 0).unwrap();
        for _ in 0..3 * REDIRECTS_MAX {
            detours.handle_redirected(SLOT, traveller, there()).unwrap();
            traveller = release(&mut detours, now).pop().unwrap().1;
            detours.handle_refused(SLOT, traveller, now).unwrap();
            now += AGAIN_AFTER;
            traveller = release(&mut detours, now).pop().unwrap().1;
        }
        assert_eq!(traveller.command, 0);
    }

    #[test]
    fn what_finds_no_link_yet_keeps_its_place() {
        let now = Instant::now();
        let mut detours = Detours::new();
        let first = detours.admit(SLOT, 0).unwrap();
        detours.postpone(SLOT, Way::Owner, first);
        assert!(detours.admit(SLOT, 1).is_none());
        detours.release(now, |_, _| false, |_, _, _| panic!("its way is not open"));
        assert_eq!(numbers(&release(&mut detours, now)), [0, 1]);
    }
}
