//! Questions that several cores answer a part of: what was asked waits here until the last part has come.
//!
//! Neither asks nor answers; whoever does keeps what it needs for that beside the question.

use std::num::NonZeroUsize;

use slab::Slab;

use crate::ids::GatheringTicket;

/// Questions that may wait on one core. Reached: the next is refused with `SERVER_BUSY`.
pub(super) const GATHERINGS_MAX: usize = 4_096;

#[derive(Debug)]
struct Gathering<C, P> {
    serial: u64,
    missing: usize,
    context: C,
    parts: Vec<P>,
}

/// The open questions of one core: each a context `C`, and the parts `P` that have come.
#[derive(Debug)]
pub(super) struct Gatherings<C, P> {
    open: Slab<Gathering<C, P>>,
    serial: u64,
}

impl<C, P> Default for Gatherings<C, P> {
    fn default() -> Self {
        Self { open: Slab::new(), serial: 0 }
    }
}

impl<C, P> Gatherings<C, P> {
    /// Notes a question that `parts_expected` cores were asked. Gives the context back if too many wait.
    pub(super) fn begin(&mut self, parts_expected: NonZeroUsize, context: C) -> Result<GatheringTicket, C> {
        if self.open.len() >= GATHERINGS_MAX {
            return Err(context);
        }
        self.serial += 1;
        let gathering =
            Gathering { serial: self.serial, missing: parts_expected.get(), context, parts: Vec::new() };
        let slot = u32::try_from(self.open.insert(gathering)).expect("fewer questions wait than the bound");
        Ok(GatheringTicket { slot, serial: self.serial })
    }

    /// Adds a part. With the last one the question is over: its context, and the parts in the order in which they
    /// came. A part of a question that was dropped is dropped.
    pub(super) fn add(&mut self, ticket: GatheringTicket, part: P) -> Option<(C, Vec<P>)> {
        let gathering = self.find(ticket)?;
        gathering.parts.push(part);
        gathering.missing -= 1;
        if gathering.missing > 0 {
            return None;
        }
        let gathering = self.remove(ticket.slot);
        Some((gathering.context, gathering.parts))
    }

    /// Nobody waits for the answer any more. Gives the context back if the question was open.
    pub(super) fn abandon(&mut self, ticket: GatheringTicket) -> Option<C> {
        self.find(ticket)?;
        Some(self.remove(ticket.slot).context)
    }

    /// How many questions wait.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    fn find(&mut self, ticket: GatheringTicket) -> Option<&mut Gathering<C, P>> {
        let gathering = self.open.get_mut(ticket.slot as usize)?;
        (gathering.serial == ticket.serial).then_some(gathering)
    }

    fn remove(&mut self, slot: u32) -> Gathering<C, P> {
        let gathering = self.open.remove(slot as usize);
        self.give_back();
        gathering
    }

    /// After a rush, its room is given back once nobody waits.
    fn give_back(&mut self) {
        if self.open.is_empty() && self.open.capacity() > 64 {
            self.open = Slab::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    #[test]
    fn a_question_is_over_with_its_last_part() {
        let mut gatherings = Gatherings::default();
        let first = gatherings.begin(TWO, "first").unwrap();
        let second = gatherings.begin(NonZeroUsize::MIN, "second").unwrap();
        assert_eq!(gatherings.add(first, 2), None);
        assert_eq!(gatherings.add(second, 7), Some(("second", vec![7])));
        assert_eq!(gatherings.add(first, 1), Some(("first", vec![2, 1])));
        assert_eq!(gatherings.add(first, 3), None);
        assert_eq!(gatherings.count(), 0);
    }

    #[test]
    fn a_part_that_comes_too_late_does_not_reach_the_next_question() {
        let mut gatherings = Gatherings::default();
        let former = gatherings.begin(TWO, "former").unwrap();
        gatherings.add(former, 1);
        gatherings.add(former, 1);
        let next = gatherings.begin(NonZeroUsize::MIN, "next").unwrap();
        assert_eq!((next.slot, gatherings.add(former, 2)), (former.slot, None));
        assert_eq!(gatherings.add(next, 3), Some(("next", vec![3])));
    }

    #[test]
    fn open_questions_are_bounded_and_their_room_is_given_back() {
        let mut gatherings: Gatherings<usize, ()> = Gatherings::default();
        let tickets: Vec<_> =
            (0..GATHERINGS_MAX).map(|asker| gatherings.begin(NonZeroUsize::MIN, asker).unwrap()).collect();
        assert_eq!(gatherings.begin(NonZeroUsize::MIN, 7), Err(7));
        for ticket in tickets {
            assert!(gatherings.add(ticket, ()).is_some());
        }
        assert_eq!(gatherings.open.capacity(), 0);
        assert!(gatherings.begin(NonZeroUsize::MIN, 7).is_ok());
    }

    #[test]
    fn every_question_gets_exactly_its_own_parts() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut gatherings = Gatherings::default();
            // Ticket, parts expected, parts sent: of every question that was ever asked.
            let mut model: Vec<(GatheringTicket, usize, usize)> = Vec::new();
            for _ in 0..300 {
                if model.is_empty() || random.u8(..4) == 0 {
                    let expected = random.usize(1..5);
                    let ticket = gatherings.begin(expected.try_into().unwrap(), model.len()).unwrap();
                    model.push((ticket, expected, 0));
                } else {
                    let asked = random.usize(..model.len());
                    let (ticket, expected, sent) = &mut model[asked];
                    *sent += 1;
                    let done = (*sent == *expected).then(|| (asked, vec![asked; *expected]));
                    assert_eq!(gatherings.add(*ticket, asked), done, "seed {seed}");
                }
                let open = model.iter().filter(|(_, expected, sent)| sent < expected).count();
                assert_eq!(gatherings.count(), open, "seed {seed}");
            }
        }
    }
}
