//! The open-loop schedule: when each message is due, decided before the first one is sent.
//!
//! A server that falls behind does not slow the schedule down: what is late is sent as soon as possible and its
//! latency counts from the moment it was due, so a stall is seen by every message that it delayed and not only
//! by the one that happened to be on its way (no coordinated omission).

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Moment;
use crate::seating::Room;

/// When which room gets its messages: evenly spaced, round robin over the rooms.
///
/// At 4 messages a second in 2 rooms, messages 0 1 2 3 are due after 0, 250, 500 and 750 ms; 0 and 2 go to room
/// 0, 1 and 3 to room 1.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: Moment,
    rate_per_s: f64,
    rooms: NonZeroU32,
    total: u64,
}

/// One message of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its number in the whole run; also its acknowledgement id.
    pub number: u64,
    /// Where it goes.
    pub room: Room,
    /// When it is due.
    pub at: Moment,
}

impl Schedule {
    /// A schedule of `rate_per_s` messages a second, over all rooms, for `duration` from `start` on.
    ///
    /// # Panics
    /// If the rate is not positive, which the command line does not let through.
    pub fn new(start: Moment, rate_per_s: f64, duration: Duration, rooms: NonZeroU32) -> Self {
        assert!(rate_per_s > 0.0, "a schedule has a positive rate");
        let total = (rate_per_s * duration.as_secs_f64()).round().max(0.0) as u64;
        // So that a room's messages can be numbered with 32 bits.
        let total = total.min(u64::from(u32::MAX) * u64::from(rooms.get()));
        Self { start, rate_per_s, rooms, total }
    }

    /// The number of messages.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Message `number`; `None` after the last one.
    pub fn due(&self, number: u64) -> Option<Due> {
        let room = Room((number % u64::from(self.rooms.get())) as u32);
        let offset = || Duration::from_secs_f64(number as f64 / self.rate_per_s);
        (number < self.total).then(|| Due { number, room, at: self.start + offset() })
    }

    /// The part that `thread` of `threads` sends: the messages of the rooms `thread`, `thread + threads`, …
    pub fn share(self, thread: u32, threads: u32) -> Share {
        let mut share = Share { schedule: self, thread, threads, next: 0 };
        share.next = share.seek(0);
        share
    }
}

/// One thread's part of a schedule, consumed message by message.
#[derive(Debug)]
pub struct Share {
    schedule: Schedule,
    thread: u32,
    threads: u32,
    next: u64,
}

impl Share {
    /// The next message if it is due at `now`; each is returned once, in order.
    pub fn take_due(&mut self, now: Moment) -> Option<Due> {
        let due = self.peek()?;
        if due.at > now {
            return None;
        }
        self.next = self.seek(self.next + 1);
        Some(due)
    }

    /// The next message; `None` after the last one.
    pub fn peek(&self) -> Option<Due> {
        self.schedule.due(self.next)
    }

    /// The first message from `number` on whose room is this thread's; the schedule's end if there is none.
    fn seek(&self, number: u64) -> u64 {
        let (rooms, threads) = (u64::from(self.schedule.rooms.get()), u64::from(self.threads));
        let thread = u64::from(self.thread);
        if thread >= rooms {
            return self.schedule.total;
        }
        let room = number % rooms;
        let ahead = (thread + threads - room % threads) % threads;
        if room + ahead < rooms { number + ahead } else { number - room + rooms + thread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate_per_s: f64, seconds: u64, rooms: u32) -> Schedule {
        Schedule::new(Moment(1000), rate_per_s, Duration::from_secs(seconds), NonZeroU32::new(rooms).unwrap())
    }

    #[test]
    fn messages_are_evenly_spaced_and_go_round_the_rooms() {
        let schedule = schedule(4.0, 1, 2);
        let dues: Vec<_> = (0..=schedule.total()).map_while(|number| schedule.due(number)).collect();
        assert_eq!(
            dues.iter().map(|due| due.at.0 - 1000).collect::<Vec<_>>(),
            [0, 250_000_000, 500_000_000, 750_000_000]
        );
        assert_eq!(dues.iter().map(|due| due.room.0).collect::<Vec<_>>(), [0, 1, 0, 1]);
    }

    #[test]
    fn the_shares_of_all_threads_are_the_whole_schedule() {
        for (rooms, threads) in [(1, 1), (1, 4), (3, 4), (4, 3), (10, 3), (7, 7)] {
            let schedule = schedule(100.0, 1, rooms);
            let mut numbers = Vec::new();
            for thread in 0..threads {
                let mut share = schedule.share(thread, threads);
                while let Some(due) = share.take_due(Moment(u64::MAX)) {
                    assert_eq!(due.room.0 % threads, thread);
                    numbers.push(due.number);
                }
            }
            numbers.sort_unstable();
            assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "{rooms} rooms on {threads} threads");
        }
    }

    #[test]
    fn nothing_is_due_before_its_time_and_a_late_caller_gets_everything() {
        let mut share = schedule(10.0, 1, 1).share(0, 1);
        assert_eq!(share.take_due(Moment(999)), None);
        assert_eq!(share.take_due(Moment(1000)).map(|due| due.number), Some(0));
        assert_eq!(share.take_due(Moment(1000)), None);
        let late: Vec<_> = std::iter::from_fn(|| share.take_due(Moment(2_000_000_000))).collect();
        assert_eq!(late.len(), 9);
        assert_eq!(late[0].at, Moment(100_001_000));
    }
}
