//! The table of a comparison: a row per number, medians and spread over the rounds, and the ratio.

use std::fmt::{self, Display, Formatter};

use crate::compare::Turn;
use crate::compare::peer::Kind;

/// One row: what it is, its unit, and where it is found.
type Row = (&'static str, &'static str, fn(&Turn) -> Option<f64>);

/// The rows, in the order of the table.
const ROWS: [Row; 15] = [
    ("connections ready", "", |turn| Some(turn.idle.connections.ready as f64)),
    ("connect p99", "ms", |turn| Some(turn.idle.connections.connect.p99_ms)),
    ("CPU per connect", "us", |turn| Some(turn.idle.server?.connect_cpu_us)),
    ("memory per connection", "B", |turn| Some(turn.idle.server?.bytes_per_connection)),
    ("memory before the first", "KiB", |turn| Some(turn.idle.server?.rss_before_kib as f64)),
    ("idle CPU per connection", "us/s", |turn| Some(turn.idle.server?.idle_cpu_us_per_s)),
    ("deliveries", "/s", |turn| Some(turn.fanout.deliveries_per_s)),
    ("latency p50", "ms", |turn| Some(turn.fanout.latency.p50_ms)),
    ("latency p99", "ms", |turn| Some(turn.fanout.latency.p99_ms)),
    ("latency p99.9", "ms", |turn| Some(turn.fanout.latency.p999_ms)),
    ("CPU per delivery", "us", |turn| Some(turn.fanout.server?.cpu_us_per_delivery)),
    ("of it in user mode", "us", |turn| Some(turn.fanout.server?.user_us_per_delivery)),
    ("cores in use", "", |turn| Some(turn.fanout.server?.usage.cores())),
    ("peak memory", "KiB", |turn| Some(turn.fanout.server?.usage.rss_peak_kib as f64)),
    ("lost or doubled", "", |turn| Some((turn.fanout.messages.lost + turn.fanout.messages.doubled) as f64)),
];

/// What both servers showed in all rounds; printed as a Markdown table.
#[derive(Default)]
pub(super) struct Comparison {
    ours: [Vec<f64>; ROWS.len()],
    node: [Vec<f64>; ROWS.len()],
    client_limited: Vec<Kind>,
}

impl Comparison {
    /// Enters one server's turn.
    pub(super) fn enter(&mut self, kind: Kind, turn: &Turn) {
        let columns = match kind {
            Kind::Ours => &mut self.ours,
            Kind::Node => &mut self.node,
        };
        for (values, (_, _, read)) in columns.iter_mut().zip(ROWS) {
            values.extend(read(turn));
        }
        if turn.fanout.tester.client_limited || turn.idle.tester.client_limited {
            self.client_limited.push(kind);
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (ours, node) = (Kind::Ours.name(), Kind::Node.name());
        let ratio = format!("{node} / {ours}");
        writeln!(out, "| {:<28} | {ours:>30} | {node:>30} | {ratio:>15} |", "")?;
        writeln!(out, "| {0:-<28} | {0:->29}: | {0:->29}: | {0:->14}: |", "")?;
        for (((name, unit, _), ours), node) in ROWS.iter().zip(&self.ours).zip(&self.node) {
            let name = if unit.is_empty() { (*name).to_owned() } else { format!("{name}, {unit}") };
            writeln!(
                out,
                "| {name:<28} | {:>30} | {:>30} | {:>15} |",
                cell(ours),
                cell(node),
                quotient(node, ours)
            )?;
        }
        for kind in &self.client_limited {
            writeln!(out, "\nA run against {} was limited by the load tester.", kind.name())?;
        }
        Ok(())
    }
}

/// `median (lowest..highest)`.
fn cell(values: &[f64]) -> String {
    let Some(median) = median(values) else {
        return "-".to_owned();
    };
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ({}..{})", number(median), number(lowest), number(highest))
}

fn quotient(dividend: &[f64], divisor: &[f64]) -> String {
    match (median(dividend), median(divisor)) {
        (Some(dividend), Some(divisor)) if divisor > 0.0 => format!("{:.2}", dividend / divisor),
        _ => "-".to_owned(),
    }
}

/// The middle value, or the mean of the two in the middle; `None` without values.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// Three digits for small numbers, whole ones for large.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_median_and_the_spread() {
        for (values, expected) in [
            (&[][..], "-"),
            (&[2.0], "2.00 (2.00..2.00)"),
            (&[30.0, 10.0, 20.0], "20.0 (10.0..30.0)"),
            (&[200.0, 100.0], "150 (100..200)"),
        ] {
            assert_eq!(cell(values), expected);
        }
    }

    #[test]
    fn a_ratio_needs_both_sides() {
        assert_eq!(quotient(&[10.0], &[4.0]), "2.50");
        assert_eq!(quotient(&[10.0], &[0.0]), "-");
        assert_eq!(quotient(&[], &[1.0]), "-");
    }
}
