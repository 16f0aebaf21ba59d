//! Entries of one kind, found by name or by place. A place is guarded by a generation, so that who kept one
//! for a while finds out that its entry is gone, and never meets the next one there.

use hashbrown::HashTable;

use crate::chunks::Chunks;
use crate::ids::Place;
use crate::placement::Placement;

/// What a table needs to know of its entries.
pub(super) trait Named {
    /// The name, which never changes.
    fn name(&self) -> &str;
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    entry: Option<T>,
}

/// All entries of one kind on a core.
#[derive(Debug)]
pub(super) struct Table<T> {
    slots: Chunks<Slot<T>>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Chunks::default(), free: Vec::new(), by_name: HashTable::new() }
    }
}

impl<T: Named> Table<T> {
    /// How many entries there are, as the index of names has it.
    pub(super) fn count(&self) -> usize {
        self.by_name.len()
    }

    /// Where the entry of a name is.
    pub(super) fn find(&self, name: &str, placement: &Placement) -> Option<u32> {
        let is_it = |index: &u32| self.at(*index).name() == name;
        self.by_name.find(placement.hash(name), is_it).copied()
    }

    /// Adds an entry under a name that has none.
    pub(super) fn insert(&mut self, entry: T, placement: &Placement) -> u32 {
        let hash = placement.hash(entry.name());
        let free = self.free.pop();
        let index = free.unwrap_or_else(|| {
            u32::try_from(self.slots.len()).expect("a core has fewer than 2^32 entries of a kind")
        });
        match self.slots.get_mut(index) {
            Some(slot) => slot.entry = Some(entry),
            None => self.slots.push(Slot { generation: 0, entry: Some(entry) }),
        }
        let slots = &self.slots;
        let name_of = |index: &u32| slots.get(*index)?.entry.as_ref().map(Named::name);
        let rehash = |index: &u32| placement.hash(name_of(index).unwrap_or_default());
        self.by_name.insert_unique(hash, index, rehash);
        index
    }

    /// Takes an entry out. Places of it mean nothing from now on.
    pub(super) fn remove(&mut self, index: u32, placement: &Placement) -> Option<T> {
        let slot = self.slots.get_mut(index)?;
        let entry = slot.entry.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        if let Ok(found) = self.by_name.find_entry(placement.hash(entry.name()), |found| *found == index) {
            found.remove();
        }
        self.free.push(index);
        Some(entry)
    }

    /// The guarded place of an entry.
    pub(super) fn place(&self, index: u32) -> Place {
        let slot = self.slots.get(index).expect("an index was given out with its slot");
        Place { index, generation: slot.generation }
    }

    /// The entry of a place, unless it is gone.
    pub(super) fn get(&self, place: Place) -> Option<&T> {
        let slot = self.slots.get(place.index)?;
        if slot.generation == place.generation { slot.entry.as_ref() } else { None }
    }

    /// The entry of a place, unless it is gone.
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        let slot = self.slots.get_mut(place.index)?;
        if slot.generation == place.generation { slot.entry.as_mut() } else { None }
    }

    /// The entry at an index that its holder keeps alive.
    pub(super) fn at(&self, index: u32) -> &T {
        let slot = self.slots.get(index).and_then(|slot| slot.entry.as_ref());
        slot.expect("who holds an index keeps its entry")
    }

    /// The entry at an index that its holder keeps alive.
    pub(super) fn at_mut(&mut self, index: u32) -> &mut T {
        let slot = self.slots.get_mut(index).and_then(|slot| slot.entry.as_mut());
        slot.expect("who holds an index keeps its entry")
    }

    /// The first entry that is not before an index.
    pub(super) fn next_from(&self, index: u32) -> Option<u32> {
        let end = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        (index..end).find(|index| self.slots.get(*index).is_some_and(|slot| slot.entry.is_some()))
    }

    /// Every entry with its index.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.slots.iter()).filter_map(|(index, slot)| Some((index, slot.entry.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEMENT: Placement = Placement::new(1, (1, 2));

    impl Named for &'static str {
        fn name(&self) -> &str {
            self
        }
    }

    #[test]
    fn an_entry_is_found_until_it_is_taken_out() {
        let mut table = Table::default();
        let index = table.insert("a", &PLACEMENT);
        assert_eq!((table.find("a", &PLACEMENT), table.find("b", &PLACEMENT)), (Some(index), None));
        assert_eq!(table.remove(index, &PLACEMENT), Some("a"));
        assert_eq!((table.find("a", &PLACEMENT), table.count()), (None, 0));
        assert_eq!(table.remove(index, &PLACEMENT), None);
    }

    #[test]
    fn a_place_does_not_mean_the_next_entry_there() {
        let mut table = Table::default();
        let index = table.insert("a", &PLACEMENT);
        let former = table.place(index);
        assert_eq!(table.get(former), Some(&"a"));
        table.remove(index, &PLACEMENT);
        assert_eq!(table.insert("b", &PLACEMENT), index);
        assert_eq!((table.get(former), table.get(table.place(index))), (None, Some(&"b")));
    }

    #[test]
    fn many_entries_keep_their_names() {
        let mut table = Table::default();
        let names: Vec<&'static str> = (0..1_000).map(|number: u32| &*number.to_string().leak()).collect();
        let indexes: Vec<u32> = names.iter().map(|name| table.insert(*name, &PLACEMENT)).collect();
        for (name, index) in names.iter().zip(&indexes) {
            assert_eq!(table.find(name, &PLACEMENT), Some(*index));
        }
        assert_eq!(table.iter().count(), 1_000);
    }
}
