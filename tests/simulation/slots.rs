//! The slots of sessions, as the shell gives them out: a slot is free when its session is gone, and its next session has
//! the next generation.

use std::collections::BTreeMap;

use crate::client::Seat;

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    is_taken: bool,
}

/// The slots of all cores, by core and number.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: BTreeMap<(usize, u32), Slot>,
}

impl Slots {
    /// Takes a free slot of a core, a used one where there is one.
    pub(crate) fn take(&mut self, core: usize) -> Seat {
        let free = self.of_core(core).find(|(_, slot)| !slot.is_taken);
        let (number, generation) = match free {
            Some((number, slot)) => (number, slot.generation.wrapping_add(1)),
            None => (self.of_core(core).map(|(number, _)| number + 1).max().unwrap_or(0), 0),
        };
        self.slots.insert((core, number), Slot { generation, is_taken: true });
        Seat { core, slot: number, generation }
    }

    /// The session is gone.
    pub(crate) fn release(&mut self, seat: Seat) {
        self.slots.insert((seat.core, seat.slot), Slot { generation: seat.generation, is_taken: false });
    }

    /// Who is in a slot, if anybody.
    pub(crate) fn seat(&self, core: usize, slot: u32) -> Option<Seat> {
        let found = self.slots.get(&(core, slot)).filter(|slot| slot.is_taken)?;
        Some(Seat { core, slot, generation: found.generation })
    }

    /// The slots of a core that have a session.
    pub(crate) fn taken(&self, core: usize) -> Vec<u32> {
        self.of_core(core).filter(|(_, slot)| slot.is_taken).map(|(number, _)| number).collect()
    }

    fn of_core(&self, core: usize) -> impl Iterator<Item = (u32, Slot)> {
        self.slots.range((core, 0)..(core + 1, 0)).map(|((_, number), slot)| (*number, *slot))
    }
}
