//! Objectives: upper bounds that a run is held against, each with what was measured.

/// One upper bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// What is bounded, as it is named in the line that says it was missed.
    pub what: &'static str,
    /// The unit of both numbers, with a space before it; empty for counts.
    pub unit: &'static str,
    /// The bound.
    pub at_most: f64,
    /// What was measured; `None` if the run could not measure it, which counts as missed.
    pub measured: Option<f64>,
}

impl Objective {
    /// An objective, if a bound is asked for.
    pub fn new(
        what: &'static str,
        unit: &'static str,
        at_most: Option<impl Into<f64>>,
        measured: Option<f64>,
    ) -> Option<Self> {
        at_most.map(|at_most| Self { what, unit, at_most: at_most.into(), measured })
    }

    /// The line that says how it was missed; `None` if it was met.
    pub fn missed(&self) -> Option<String> {
        let Self { what, unit, at_most, measured } = self;
        match measured {
            Some(measured) if measured <= at_most => None,
            Some(measured) => {
                Some(format!("MISSED: {what} {measured:.2}{unit} is more than {at_most}{unit}"))
            }
            None => Some(format!("MISSED: {what} was not measured (is --server-pid given?)")),
        }
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
}
