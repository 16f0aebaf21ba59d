//! A generator of random numbers that gives the same again for the same seed: cheap, and good enough to pick a
//! connection.

use std::time::Duration;

/// The generator: xorshift64*.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A generator of its own for every `stream` of a `seed`.
    pub const fn new(seed: u64, stream: u32) -> Self {
        // Any state but 0 is as good as another once it is stirred (splitmix64's finaliser).
        let mut state = seed.wrapping_add((stream as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((state ^ (state >> 31)) | 1)
    }

    /// A number from 0 up to, and without, `end`; 0 if that is 0.
    pub const fn below(&mut self, end: usize) -> usize {
        ((self.next() as u128 * end as u128) >> 64) as usize
    }

    /// A wait between events that come independently of each other, one every `mean` on average.
    pub fn wait(&mut self, mean: Duration) -> Duration {
        // 53 bits, so that it is never 0, and at most 37 times the mean.
        let share = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        mean.mul_f64(-share.ln())
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_and_the_same_for_the_same_seed() {
        let numbers = |seed, stream| {
            let mut chance = Chance::new(seed, stream);
            (0..10_000).map(|_| chance.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7, 1), numbers(7, 1));
        assert_ne!(numbers(7, 1), numbers(7, 2));
        for wanted in 0..10 {
            let count = numbers(0, 0).into_iter().filter(|&number| number == wanted).count();
            assert!((900..1100).contains(&count), "{count} x {wanted}");
        }
        assert_eq!(Chance::new(1, 1).below(0), 0);
    }

    #[test]
    fn waits_have_their_mean() {
        let mut chance = Chance::new(3, 0);
        let sum: Duration = (0..10_000).map(|_| chance.wait(Duration::from_millis(10))).sum();
        assert!((95.0..105.0).contains(&sum.as_secs_f64()), "{sum:?}");
        assert_eq!(chance.wait(Duration::ZERO), Duration::ZERO);
    }
}
