//! Where values lie on an axis, and which of them are written beside it.

use crate::report::plot::Scale;

/// About how many ticks an even axis has.
const TICKS: f64 = 5.0;
/// How many powers of ten are shown at the most; what is smaller lies at the axis' begin.
const DECADES_MAX: i32 = 9;

/// A range of values on a range of pixels.
pub(super) struct Ruler {
    scale: Scale,
    /// The first and the last value, as they are transformed by the scale.
    low: f64,
    high: f64,
    /// Where these are drawn.
    begin: f64,
    end: f64,
}

impl Ruler {
    /// A ruler from `begin` to `end` that has room for all of `values`; those that are not finite do not count.
    pub(super) fn over(scale: Scale, values: impl Iterator<Item = f64>, begin: f64, end: f64) -> Self {
        let values: Vec<f64> =
            values.filter(|value| value.is_finite() && (scale != Scale::Log || *value > 0.0)).collect();
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = match scale {
            _ if values.is_empty() => (0.0, 1.0),
            Scale::Linear => {
                (lowest.min(0.0), linear_end(highest.max(0.0) - lowest.min(0.0)) + lowest.min(0.0))
            }
            Scale::Log => log_ends(lowest, highest),
            Scale::Quantile => (0.0, transform(scale, highest).max(1.0)),
        };
        Self { scale, low, high, begin, end }
    }

    /// A ruler as [`Self::over`], whose last value is the highest one and not the next round number.
    pub(super) fn within(
        scale: Scale,
        values: impl Iterator<Item = f64> + Clone,
        begin: f64,
        end: f64,
    ) -> Self {
        let highest = values.clone().filter(|value| value.is_finite()).fold(f64::NEG_INFINITY, f64::max);
        let ruler = Self::over(scale, values, begin, end);
        if scale == Scale::Linear && highest > ruler.low { Self { high: highest, ..ruler } } else { ruler }
    }

    /// Where `value` is drawn; values beyond the ends are drawn at the ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = (transform(self.scale, value) - self.low) / (self.high - self.low);
        self.begin + share.clamp(0.0, 1.0) * (self.end - self.begin)
    }

    /// Where the ruler begins.
    pub(super) const fn begin(&self) -> f64 {
        self.begin
    }

    /// The values that are written, with their text.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => self.linear_ticks(),
            Scale::Log => self.log_ticks(),
            Scale::Quantile => self.quantile_ticks(),
        }
    }

    fn linear_ticks(&self) -> Vec<(f64, String)> {
        let step = step(self.high - self.low);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|number| number as f64 * step).map(|value| (value, short(value))).collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let (first, last) = (self.low.floor() as i32, self.high.ceil() as i32);
        let between: &[f64] = if self.high - self.low <= 2.6 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let values = (first..=last)
            .flat_map(|power| between.iter().map(move |factor| factor * 10f64.powi(power)))
            .filter(|value| (self.low - 1e-9..=self.high + 1e-9).contains(&value.log10()));
        values.map(|value| (value, short(value))).collect()
    }

    fn quantile_ticks(&self) -> Vec<(f64, String)> {
        let tail = (1..=self.high.floor() as i32).map(|digits| 1.0 - 10f64.powi(-digits));
        [0.0, 0.5].into_iter().chain(tail).map(|quantile| (quantile, percent(quantile))).collect()
    }
}

/// The value that lies evenly on the axis.
fn transform(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear => value,
        Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
        Scale::Quantile => -(1.0 - value).max(1e-12).log10(),
    }
}

/// The first tick at or beyond the end of a range from 0.
fn linear_end(range: f64) -> f64 {
    if range <= 0.0 {
        return 1.0;
    }
    let step = step(range);
    (range / step - 1e-9).ceil() * step
}

/// From the 1, 2 or 5 at or below the lowest value to the one at or above the highest.
fn log_ends(lowest: f64, highest: f64) -> (f64, f64) {
    let high = round_figure(highest, true).log10();
    let low = round_figure(lowest, false).log10().max(high - f64::from(DECADES_MAX));
    if high - low < 0.3 { (low - 0.31, high) } else { (low, high) }
}

/// The nearest 1, 2 or 5 times a power of ten on one side of `value`.
fn round_figure(value: f64, is_above: bool) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let figures = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let nearly = value * if is_above { 1.0 - 1e-9 } else { 1.0 + 1e-9 };
    if is_above {
        figures.into_iter().find(|figure| *figure >= nearly).unwrap_or(value)
    } else {
        figures.into_iter().rev().find(|figure| *figure <= nearly).unwrap_or(value)
    }
}

/// 1, 2 or 5 times a power of ten, so that a range has about [`TICKS`] steps.
fn step(range: f64) -> f64 {
    let rough = (range / TICKS).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// A number beside an axis: `0.05`, `20`, `1,500`, `20 k`, `2.2 M`.
pub(super) fn short(value: f64) -> String {
    let plain = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        1e9.. => format!("{} G", plain(value / 1e9)),
        1e6.. => format!("{} M", plain(value / 1e6)),
        1e4.. => format!("{} k", plain(value / 1e3)),
        1e3.. => crate::report::figures::figure(value),
        0.001.. => plain(value),
        0.0 => "0".to_owned(),
        _ => format!("{value:.0e}"),
    }
}

/// A quantile in words: `50 %`, `99.9 %`.
pub(super) fn percent(quantile: f64) -> String {
    let text = format!("{:.7}", quantile * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scale: Scale, values: &[f64], expected: &[&str]) {
        let ruler = Ruler::over(scale, values.iter().copied(), 0.0, 100.0);
        let ticks: Vec<String> = ruler.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(ticks, expected, "{values:?}");
        for value in values.iter().filter(|value| value.is_finite()) {
            assert!((0.0..=100.0).contains(&ruler.place(*value)), "{value}");
        }
    }

    #[test]
    fn ticks_are_round_numbers() {
        check(Scale::Linear, &[3.0, 187.0], &["0", "50", "100", "150", "200"]);
        check(Scale::Linear, &[2_200_000.0], &["0", "500 k", "1 M", "1.5 M", "2 M", "2.5 M"]);
        check(Scale::Linear, &[0.3], &["0", "0.1", "0.2", "0.3"]);
        check(Scale::Linear, &[0.0], &["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        check(Scale::Log, &[0.3, 40.0], &["0.2", "0.5", "1", "2", "5", "10", "20", "50"]);
        check(Scale::Log, &[0.02, 9000.0], &["0.1", "1", "10", "100", "1,000", "10 k"]);
        check(Scale::Quantile, &[0.0, 0.9999], &["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn time_ends_where_the_run_ended() {
        let ruler = Ruler::within(Scale::Linear, [0.25, 10.7].into_iter(), 0.0, 100.0);
        assert_eq!((ruler.place(0.0), ruler.place(10.7)), (0.0, 100.0));
        assert_eq!(ruler.ticks().last().unwrap().1, "10");
    }

    #[test]
    fn nothing_to_show_is_no_reason_to_break() {
        for scale in [Scale::Linear, Scale::Log, Scale::Quantile] {
            let ruler = Ruler::over(scale, [f64::NAN, f64::INFINITY].into_iter(), 0.0, 100.0);
            assert!(ruler.place(f64::INFINITY).is_finite() && ruler.place(-5.0) == 0.0);
            assert!(!ruler.ticks().is_empty());
        }
        let ruler = Ruler::over(Scale::Log, [5.0].into_iter(), 0.0, 100.0);
        assert!(ruler.place(5.0).is_finite() && ruler.place(0.0) == 0.0);
    }

    #[test]
    fn a_ruler_that_runs_upwards_begins_at_its_low_end() {
        let ruler = Ruler::over(Scale::Linear, [10.0].into_iter(), 300.0, 20.0);
        assert_eq!((ruler.place(0.0), ruler.place(10.0)), (300.0, 20.0));
    }
}
