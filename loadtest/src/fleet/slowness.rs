//! Members that read slowly or not at all: who they are, and how much they read.

use crate::seating::{Seat, Seating};

/// Which members are slow, and how slow.
#[derive(Clone, Copy, Debug)]
pub struct Slowness {
    /// The share of the members that is slow, from 0 to 1.
    pub share: f64,
    /// How much each of them reads per second once it is ready; 0 for nothing.
    pub bytes_per_s: u32,
    /// How much the kernel keeps for each of them, in bytes.
    pub receive_buffer: usize,
}

impl Slowness {
    /// Whether `seat` is slow. With a share of 0.25 these are the members 3, 7, 11 … of each room; never the one that
    /// sends.
    pub fn holds(&self, seating: &Seating, seat: Seat) -> bool {
        let sender = seating.sender(seating.room(seat));
        let member = f64::from(seat.0.saturating_sub(sender.0));
        seat != sender && (self.share * (member + 1.0)).floor() > (self.share * member).floor()
    }

    /// How many of all seats are slow.
    pub fn count(&self, seating: &Seating) -> u64 {
        (0..seating.seats()).filter(|&seat| self.holds(seating, Seat(seat))).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn the_share_is_kept_in_every_room_and_senders_are_spared() {
        let at_least_1 = |number| NonZeroU32::new(number).unwrap();
        let seating = Seating::new(40, at_least_1(20), at_least_1(2));
        for (share, expected) in [(0.0, 0), (0.25, 10), (0.1, 4), (0.5, 20), (1.0, 38)] {
            let slowness = Slowness { share, bytes_per_s: 0, receive_buffer: 0 };
            assert_eq!(slowness.count(&seating), expected, "{share}");
        }
        let slowness = Slowness { share: 0.25, bytes_per_s: 0, receive_buffer: 0 };
        let slow: Vec<_> = (0..24).filter(|&seat| slowness.holds(&seating, Seat(seat))).collect();
        assert_eq!(slow, [3, 7, 11, 15, 19, 23]);
    }
}
