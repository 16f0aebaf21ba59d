//! Numbers with one writer and any reader, and histograms of them.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writer. Adding costs a load and a store, no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the counter. Only the owning core may call this.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Takes away: for gauges that are kept by what comes and goes.
    pub fn take(&self, amount: u64) {
        self.add(amount.wrapping_neg());
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Sets the value: for gauges.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The current value, from any core.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a histogram measures, and where its buckets end.
pub trait Scale {
    /// Upper bounds of the buckets, inclusive and rising, at most [`BOUNDS_MAX`]. What is larger than the last is
    /// counted behind it.
    const BOUNDS: &'static [u64];
}

/// Bounds of a histogram.
pub const BOUNDS_MAX: usize = 15;

/// Times in microseconds.
#[derive(Debug, Default)]
pub struct Microseconds;

impl Scale for Microseconds {
    const BOUNDS: &'static [u64] = &[
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
        5_000_000,
    ];
}

/// Sizes in bytes.
#[derive(Debug, Default)]
pub struct Bytes;

impl Scale for Bytes {
    const BOUNDS: &'static [u64] =
        &[64, 128, 256, 512, 1_024, 2_048, 4_096, 16_384, 65_536, 262_144, 1_048_576];
}

/// How many of something.
#[derive(Debug, Default)]
pub struct Number;

impl Scale for Number {
    const BOUNDS: &'static [u64] =
        &[0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000];
}

/// How often something had which size. One core writes, as with [`Counter`].
#[derive(Debug)]
pub struct Histogram<S> {
    buckets: [Counter; BOUNDS_MAX + 1],
    sum: Counter,
    scale: PhantomData<S>,
}

impl<S> Default for Histogram<S> {
    fn default() -> Self {
        Self { buckets: Default::default(), sum: Counter::default(), scale: PhantomData }
    }
}

impl<S: Scale> Histogram<S> {
    /// Counts one observation.
    pub fn observe(&self, value: u64) {
        let bucket = S::BOUNDS.partition_point(|bound| *bound < value);
        self.buckets[bucket].increment();
        self.sum.add(value);
    }

    /// Observations by bucket, not cumulated; one for each bound, and the last for what is larger.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.buckets[..=S::BOUNDS.len()].iter().map(Counter::get)
    }

    /// The sum of everything observed.
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::<Microseconds>::default();
        for microseconds in [0, 50, 51, 5_000_000, 5_000_001] {
            histogram.observe(microseconds);
        }
        let counts: Vec<u64> = histogram.counts().collect();
        assert_eq!((counts[0], counts[1], counts[13], counts[14]), (2, 1, 1, 1));
        assert_eq!((counts.len(), histogram.sum()), (15, 10_000_102));
    }

    #[test]
    fn bounds_rise_and_fit() {
        for bounds in [Microseconds::BOUNDS, Bytes::BOUNDS, Number::BOUNDS] {
            assert!(
                bounds.is_sorted_by(|one, other| one < other) && bounds.len() <= BOUNDS_MAX,
                "{bounds:?}"
            );
        }
    }

    #[test]
    fn a_gauge_comes_back_to_nothing() {
        let gauge = Counter::default();
        gauge.add(3);
        gauge.take(2);
        gauge.take(1);
        assert_eq!(gauge.get(), 0);
    }
}
