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

/// A distribution as quantiles from 0 to 1, each with the latency in milliseconds that it was not longer than:
/// eight points for each further digit of the tail, and the longest as the last. Empty if nothing was recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Curve(pub Vec<(f64, f64)>);

/// Points of a [`Curve`] for each power of ten of the tail.
const POINTS_PER_DIGIT: u32 = 8;

impl Default for Latency {
    fn default() -> Self {
        Self(
            Histogram::new_with_bounds(1, MICROS_MAX, 3)
                .expect("1 < MICROS_MAX / 2 and 3 digits are valid bounds"),
        )
    }
}

impl Percentiles {
    /// What 99 of 100 were no longer than; `None` if nothing was recorded.
    pub fn known_p99_ms(&self) -> Option<f64> {
        (self.count > 0).then_some(self.p99_ms)
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

    /// Reads the whole distribution out, as far into the tail as there are latencies to tell.
    pub fn curve(&self) -> Curve {
        let count = self.0.len() as f64;
        // Nine digits, which keeps a line of JSON short.
        let rounded = |quantile: f64| (quantile * 1e9).round() / 1e9;
        let point = |quantile: f64| (rounded(quantile), self.0.value_at_quantile(quantile) as f64 / 1000.0);
        let quantiles = (0..).map(|step| 1.0 - 10f64.powf(-f64::from(step) / f64::from(POINTS_PER_DIGIT)));
        let mut points: Vec<_> =
            quantiles.take_while(|quantile| (1.0 - quantile) * count > 1.000_001).map(point).collect();
        if count > 0.0 {
            // The longest of n is drawn where the next digit would begin: 1 of 1,000 at 0.999.
            points.push((rounded(1.0 - 1.0 / count), self.0.max() as f64 / 1000.0));
        }
        Curve(points)
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
    fn a_curve_goes_up_to_the_longest() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|ms| latency.record(ms * 1_000_000));
        let Curve(points) = latency.curve();
        assert!(points.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1), "{points:?}");
        let (quantile, longest) = *points.last().unwrap();
        assert!((quantile - 0.999).abs() < 1e-9 && (longest - 1000.0).abs() <= 1.0, "{points:?}");
        assert!(points.len() as u32 <= 3 * POINTS_PER_DIGIT + 2, "{}", points.len());
        assert_eq!(Latency::default().curve(), Curve::default());
    }

    #[test]
    fn nothing_recorded_is_all_zero_and_too_long_is_the_longest() {
        assert_eq!(Latency::default().percentiles(), Percentiles::default());
        let mut latency = Latency::default();
        latency.record(u64::MAX);
        assert!(latency.percentiles().max_ms >= 120_000.0);
    }
}
