//! Objectives: bounds that a run is held against, each with what was measured.

use serde::Serialize;

/// The name of the objective that most scenarios have: 99 of 100 take no longer.
pub const P99_LATENCY: &str = "p99 latency";

/// One bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Objective {
    /// What is bounded, as it is named in the line that says it was missed.
    pub what: &'static str,
    /// The unit of both numbers, with a space before it where one belongs; empty for counts.
    pub unit: &'static str,
    /// The bound.
    pub bound: Bound,
    /// What was measured; `None` if the run could not measure it, which counts as missed.
    pub measured: Option<f64>,
}

/// On which side of it the good is; the bound itself is good.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Objective {
    /// An upper bound, if one is asked for.
    pub fn new(
        what: &'static str,
        unit: &'static str,
        at_most: Option<impl Into<f64>>,
        measured: Option<f64>,
    ) -> Option<Self> {
        at_most.map(|at_most| Self { what, unit, bound: Bound::AtMost(at_most.into()), measured })
    }

    /// A lower bound, if one is asked for.
    pub fn at_least(
        what: &'static str,
        unit: &'static str,
        at_least: Option<f64>,
        measured: Option<f64>,
    ) -> Option<Self> {
        at_least.map(|at_least| Self { what, unit, bound: Bound::AtLeast(at_least), measured })
    }

    /// Whether it was met: the bound itself is.
    pub fn is_met(&self) -> bool {
        self.measured.is_some_and(|measured| match self.bound {
            Bound::AtMost(at_most) => measured <= at_most,
            Bound::AtLeast(at_least) => measured >= at_least,
        })
    }

    /// The line that says how it was missed; `None` if it was met.
    pub fn missed(&self) -> Option<String> {
        if self.is_met() {
            return None;
        }
        let Self { what, unit, bound, .. } = self;
        let Some(measured) = self.measured else {
            return Some(format!("MISSED: {what} was not measured (is --server-pid given?)"));
        };
        let (side, bound) = match bound {
            Bound::AtMost(at_most) => ("more", at_most),
            Bound::AtLeast(at_least) => ("less", at_least),
        };
        Some(format!("MISSED: {what} {measured:.2}{unit} is {side} than {bound}{unit}"))
    }
}

/// Prints a line on standard error for each objective that was missed; true if none was.
pub fn all_met(objectives: impl IntoIterator<Item = Option<Objective>>) -> bool {
    let missed: Vec<_> =
        objectives.into_iter().flatten().filter_map(|objective| objective.missed()).collect();
    missed.iter().for_each(|line| eprintln!("{line}"));
    missed.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(at_most: f64, measured: Option<f64>, expected: Option<&str>) {
        let objective = Objective::new("p99 latency", " ms", Some(at_most), measured);
        assert_eq!(objective.and_then(|objective| objective.missed()).as_deref(), expected);
    }

    #[test]
    fn a_bound_is_met_up_to_and_including_itself() {
        check(50.0, Some(50.0), None);
        check(50.0, Some(50.25), Some("MISSED: p99 latency 50.25 ms is more than 50 ms"));
        check(50.0, None, Some("MISSED: p99 latency was not measured (is --server-pid given?)"));
        assert_eq!(Objective::new("x", "", None::<f64>, Some(1.0)), None);
    }

    #[test]
    fn a_lower_bound_is_met_down_to_and_including_itself() {
        let check = |measured, expected: Option<&str>| {
            let objective = Objective::at_least("deliveries", "/s", Some(100.0), measured);
            assert_eq!(objective.and_then(|objective| objective.missed()).as_deref(), expected);
        };
        check(Some(100.0), None);
        check(Some(99.5), Some("MISSED: deliveries 99.50/s is less than 100/s"));
        check(None, Some("MISSED: deliveries was not measured (is --server-pid given?)"));
    }
}
