//! The steps of a run whose rate goes up until something gives, drawn as a staircase.

use crate::report::figures::figure;
use crate::report::page::{Section, Table};
use crate::report::plot::{Axis, LinePlot, Shape};
use crate::report::saturate::SaturateStep;

/// The steps as plots and a table; `p99_ms_max` is the bound that ends the staircase.
pub fn section(steps: &[SaturateStep], p99_ms_max: f64) -> Section {
    let mut by_rate: Vec<&SaturateStep> = steps.iter().collect();
    by_rate.sort_by(|one, other| one.rate_per_s.total_cmp(&other.rate_per_s));
    let points =
        |value: fn(&SaturateStep) -> f64| by_rate.iter().map(|step| (step.rate_per_s, value(step))).collect();
    let rate = || Axis::linear("messages/s asked for");
    let deliveries = LinePlot::new("Deliveries by rate", rate(), Axis::linear("deliveries/s")).line(
        "deliveries",
        Shape::Dotted,
        points(|step| step.deliveries_per_s),
    );
    let latency = LinePlot::new("Latency by rate", rate(), Axis::log("latency, ms"))
        .line("p50", Shape::Dotted, points(|step| step.latency.p50_ms))
        .line("p99", Shape::Dotted, points(|step| step.latency.p99_ms))
        .bound(p99_ms_max, format!("{} ms", figure(p99_ms_max)));
    let note = "Each step holds a rate for some seconds; the staircase ends where one does not hold.";
    Section::new("Staircase", note).plot(deliveries).plot(latency).table(table(steps))
}

fn table(steps: &[SaturateStep]) -> Table {
    let columns = [
        "messages/s",
        "deliveries/s",
        "p50, ms",
        "p99, ms",
        "CPU per delivery, us",
        "server cores",
        "tester",
        "held",
    ];
    let mut table = Table::new("Every step, in the order of the run", columns);
    for step in steps {
        let maybe = |value: Option<f64>| value.map_or("-".to_owned(), figure);
        let held = step.broken_by.as_ref().map_or("yes".to_owned(), |reason| format!("no: {reason}"));
        table.row(
            figure(step.rate_per_s),
            [
                figure(step.deliveries_per_s),
                figure(step.latency.p50_ms),
                figure(step.latency.p99_ms),
                maybe(step.server.map(|server| server.cpu_us_per_delivery)),
                maybe(step.server.map(|server| server.usage.cores())),
                format!(
                    "{:.0} %{}",
                    100.0 * step.tester_busiest,
                    if step.client_limited() { ", the limit" } else { "" }
                ),
                held,
            ],
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::Plot;

    #[test]
    fn steps_are_drawn_by_rate_and_listed_as_they_ran() {
        let step = |rate_per_s, broken_by: Option<&str>| SaturateStep {
            rate_per_s,
            broken_by: broken_by.map(str::to_owned),
            ..SaturateStep::default()
        };
        let section = section(&[step(100.0, None), step(200.0, Some("p99")), step(150.0, None)], 50.0);
        let Plot::Lines(plot) = &section.plots[0] else { panic!("lines are expected") };
        let rates: Vec<f64> = plot.lines[0].points.iter().map(|point| point.0).collect();
        assert_eq!(rates, [100.0, 150.0, 200.0]);
        let names: Vec<&str> = section.tables[0].rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(names, ["100", "200", "150"]);
        assert_eq!(section.tables[0].rows[1][7], "no: p99");
    }
}
