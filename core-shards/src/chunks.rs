//! A list that grows by pieces which stay where they are: it is never copied, and only its last piece has room.
//!
//! Knows nothing of what it keeps; tables of thousands of entries are made of it.

/// Entries of one piece. A list that doubles has room for up to as many again, and is there twice while it is copied.
const CHUNK_ENTRIES: usize = 64;

/// Entries by their index. Nothing is allocated while there are none.
#[derive(Debug)]
pub struct Chunks<T> {
    /// All of them full but the last.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Chunks<T> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK_ENTRIES + last
    }

    /// Adds an entry behind all others.
    pub fn push(&mut self, entry: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_ENTRIES => last.push(entry),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK_ENTRIES);
                chunk.push(entry);
                self.chunks.push(chunk);
            }
        }
    }

    /// The entry at an index, if there are so many.
    pub fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        self.chunks.get(index / CHUNK_ENTRIES)?.get(index % CHUNK_ENTRIES)
    }

    /// As [`get`](Self::get), to be changed.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK_ENTRIES)?.get_mut(index % CHUNK_ENTRIES)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Every entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_where_they_were_put_and_never_move() {
        let mut list = Chunks::default();
        assert_eq!((list.len(), list.get(0)), (0, None));
        let mut places: Vec<*const usize> = Vec::new();
        for number in 0..3 * CHUNK_ENTRIES + 1 {
            list.push(number);
            let index = u32::try_from(number).unwrap();
            *list.get_mut(index).unwrap() += 7;
            places.push(list.get(index).unwrap());
            assert_eq!((list.len(), list.get(index + 1)), (number + 1, None));
        }
        for (number, entry) in list.iter().enumerate() {
            assert_eq!((*entry, places[number]), (number + 7, std::ptr::from_ref(entry)));
        }
    }

    #[test]
    fn only_the_last_piece_has_room() {
        let mut list = Chunks::default();
        for number in 0..10 * CHUNK_ENTRIES + 1 {
            list.push(number);
        }
        let room: usize = list.chunks.iter().map(Vec::capacity).sum();
        assert!(room - list.len() < CHUNK_ENTRIES, "{room}");
    }
}
