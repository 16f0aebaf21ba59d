//! Latencies: recorded into a histogram per thread, merged at the end, summarised in milliseconds.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The largest latency that is told apart; anything longer counts as this.
const MICROS_MAX: u64 = 120_000_000;

/// Latencies from 1 µs to 2 minutes with 3 significant digits, in at most 160 KiB.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

/// The percentiles of a [`Latency`], in milliseconds; all 0 if nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// The number of latencies recorded.
    pub count: u64,
    /// The arithmetic mean.
    pub mean_ms: f64,
    /// Half of all were no longer than this.
    pub p50_ms: f64,
    /// 90 of 100 were no longer than this.
    pub p90_ms: f64,
    /// 99 of 100 were no longer than this.
    pub p99_ms: f64,
    /// 999 of 1000 were no longer than this.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self(
            Histogram::new_with_bounds(1, MICROS_MAX, 3)
                .expect("1 < MICROS_MAX / 2 and 3 digits are valid bounds"),
        )
    }
}

impl Latency {
    /// Records one latency, in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.0.saturating_record((nanos / 1000).max(1));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// Reads the percentiles out.
    pub fn percentiles(&self) -> Percentiles {
        if self.0.is_empty() {
            return Percentiles::default();
        }
        let ms = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        Percentiles {
            count: self.0.len(),
            mean_ms: self.0.mean() / 1000.0,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(self.0.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds_over_all_threads() {
        let (mut one, mut other) = (Latency::default(), Latency::default());
        (1..=500).for_each(|ms| one.record(ms * 1_000_000));
        (501..=1000).for_each(|ms| other.record(ms * 1_000_000));
        one.merge(&other);
        let found = one.percentiles();
        assert_eq!(found.count, 1000);
        for (found, expected) in [(found.p50_ms, 500.0), (found.p99_ms, 990.0), (found.max_ms, 1000.0)] {
            assert!((found - expected).abs() <= expected / 1000.0, "{found} is not {expected}");
        }
    }

    #[test]
    fn nothing_recorded_is_all_zero_and_too_long_is_the_longest() {
        assert_eq!(Latency::default().percentiles(), Percentiles::default());
        let mut latency = Latency::default();
        latency.record(u64::MAX);
        assert!(latency.percentiles().max_ms >= 120_000.0);
    }
}
