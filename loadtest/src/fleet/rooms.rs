//! What all threads of a fleet know of each room: how many must get its messages, and how many were sent.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::seating::Room;

/// The counts of all rooms of a run.
#[derive(Debug)]
pub struct Rooms(Vec<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Seats that have become ready and must get every message; counted by the threads that hold them.
    members: AtomicU32,
    /// Messages sent; counted by the thread that holds the sender.
    sent: AtomicU32,
}

impl Rooms {
    /// `count` rooms in which nothing has happened yet.
    pub fn new(count: u32) -> Self {
        Self((0..count).map(|_| Counts::default()).collect())
    }

    /// The members that must get what is sent to `room`; 0 for a room that is not there.
    pub fn members(&self, room: Room) -> u32 {
        self.0.get(room.0 as usize).map_or(0, |counts| counts.members.load(Ordering::Relaxed))
    }

    /// The messages sent to `room` so far; 0 for a room that is not there.
    pub fn sent(&self, room: Room) -> u32 {
        self.0.get(room.0 as usize).map_or(0, |counts| counts.sent.load(Ordering::Relaxed))
    }

    /// Counts one more member of `room`.
    pub(super) fn count_member(&self, room: Room) {
        if let Some(counts) = self.0.get(room.0 as usize) {
            counts.members.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts one more message to `room`.
    pub(super) fn count_sent(&self, room: Room) {
        if let Some(counts) = self.0.get(room.0 as usize) {
            counts.sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}
