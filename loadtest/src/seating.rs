//! Who sits where: which connection is which member of which room, and which thread holds it.

use std::num::NonZeroU32;

/// A connection by its number in the run, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(pub u32);

/// A room by its number in the run, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room(pub u32);

/// How the connections of a run are divided into rooms and over threads.
///
/// With 2 rooms of 3 members, seats 0 1 2 are room 0 and 3 4 5 are room 1; member 0 of each room (seats 0 and
/// 3) is the one that sends. Seat `s` of room `r` and member `m` lives on thread `(r + m) % threads`, so the
/// members of a room are spread over all threads and so are the senders.
#[derive(Clone, Copy, Debug)]
pub struct Seating {
    seats: u32,
    members: NonZeroU32,
    threads: NonZeroU32,
}

impl Seating {
    /// Seats `seats` connections in rooms of `members` (the last room may be smaller).
    pub const fn new(seats: u32, members: NonZeroU32, threads: NonZeroU32) -> Self {
        Self { seats, members, threads }
    }

    /// The number of connections.
    pub const fn seats(&self) -> u32 {
        self.seats
    }

    /// The number of rooms, counting a last one that is not full.
    pub const fn rooms(&self) -> u32 {
        self.seats.div_ceil(self.members.get())
    }

    /// The number of threads.
    pub const fn threads(&self) -> u32 {
        self.threads.get()
    }

    /// The number of members of `room`.
    pub const fn members(&self, room: Room) -> u32 {
        let first = room.0.saturating_mul(self.members.get());
        let left = self.seats.saturating_sub(first);
        if left < self.members.get() { left } else { self.members.get() }
    }

    /// The room of `seat`. Seats beyond the last one are visitors, spread over all rooms.
    pub const fn room(&self, seat: Seat) -> Room {
        match seat.0.checked_sub(self.seats) {
            None => Room(seat.0 / self.members.get()),
            Some(visitor) => Room(if self.seats == 0 { 0 } else { visitor % self.rooms() }),
        }
    }

    /// The thread that holds `seat`.
    pub const fn thread(&self, seat: Seat) -> u32 {
        (self.room(seat).0 + seat.0 % self.members.get()) % self.threads.get()
    }

    /// The seat that sends for `room`: its member 0, held by thread `room % threads`.
    pub const fn sender(&self, room: Room) -> Seat {
        Seat(room.0.saturating_mul(self.members.get()))
    }

    /// The seats that `thread` holds, ascending.
    pub fn on_thread(self, thread: u32) -> impl Iterator<Item = Seat> {
        (0..self.seats).map(Seat).filter(move |&seat| self.thread(seat) == thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seating(seats: u32, members: u32, threads: u32) -> Seating {
        let at_least_1 = |n| NonZeroU32::new(n).unwrap();
        Seating::new(seats, at_least_1(members), at_least_1(threads))
    }

    #[test]
    fn every_seat_is_on_exactly_one_thread() {
        let seating = seating(1003, 7, 3);
        let mut seats: Vec<u32> =
            (0..3).flat_map(|thread| seating.on_thread(thread)).map(|seat| seat.0).collect();
        seats.sort_unstable();
        assert_eq!(seats, (0..1003).collect::<Vec<_>>());
    }

    #[test]
    fn senders_and_seats_are_spread_over_all_threads() {
        for (members, threads) in [(3, 3), (4, 4), (4, 2), (100, 3), (1, 4)] {
            let seating = seating(1200, members, threads);
            for thread in 0..threads {
                let held = seating.on_thread(thread).count();
                assert!(
                    held.abs_diff((1200 / threads) as usize) <= 1 + held / 20,
                    "{held} on thread {thread}"
                );
            }
            for room in (0..seating.rooms()).map(Room) {
                assert_eq!(seating.thread(seating.sender(room)), room.0 % threads);
            }
        }
    }

    #[test]
    fn visitors_are_spread_over_all_rooms() {
        let seating = seating(10, 4, 1);
        assert_eq!([9, 10, 11, 12, 13].map(|seat| seating.room(Seat(seat)).0), [2, 0, 1, 2, 0]);
        assert_eq!(Seating::new(0, NonZeroU32::MIN, NonZeroU32::MIN).room(Seat(3)), Room(0));
    }

    #[test]
    fn the_last_room_may_be_smaller() {
        let seating = seating(10, 4, 1);
        assert_eq!(seating.rooms(), 3);
        assert_eq!([0, 1, 2, 3].map(|room| seating.members(Room(room))), [4, 4, 2, 0]);
    }
}
