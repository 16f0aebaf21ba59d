//! Sections that several reports share: connections, latencies, what was lost, and the run over time.

use std::collections::BTreeMap;

use crate::latency::{Curve, Percentiles};
use crate::report::figures::{count, figure};
use crate::report::page::{Section, Table};
use crate::report::plot::{Axis, LinePlot, Shape};
use crate::report::{BUSY_SHARE_MAX, Connections, LATE_P99_MS_MAX, Messages, Tester};
use crate::sampling::Usage;
use crate::sampling::series::{ProcessSeries, Series};

/// The title of the plot that shows how latencies are distributed.
pub const LATENCY_PLOT: &str = "Latency distribution";

/// How many rows the table of all samples has at the most; of a longer run every second, third… is shown.
const SAMPLE_ROWS_MAX: usize = 60;

/// A distribution of latencies, with its name.
pub struct Latencies<'a> {
    /// What was waited for, such as `delivery`.
    pub name: &'static str,
    /// The percentiles.
    pub percentiles: &'a Percentiles,
    /// The whole distribution, if it is to be drawn.
    pub curve: Option<&'a Curve>,
}

impl<'a> Latencies<'a> {
    /// How long connecting took.
    pub const fn connecting(connections: &'a Connections) -> Self {
        Self { name: "connect", percentiles: &connections.connect, curve: Some(&connections.connect_curve) }
    }
}

/// The name of a percentile, and where it is found.
type PercentileRow = (&'static str, fn(&Percentiles) -> f64);

/// The distributions as a plot over the percentiles, and as a table.
pub fn latency(latencies: &[Latencies<'_>]) -> Section {
    let axis = Axis::quantile("percentile");
    let mut plot = LinePlot::new(LATENCY_PLOT, axis, Axis::log("latency, ms"));
    let known: Vec<_> = latencies.iter().filter(|entry| entry.percentiles.count > 0).collect();
    for entry in &known {
        if let Some(Curve(points)) = entry.curve {
            plot = plot.line(entry.name, Shape::Straight, points.clone());
        }
    }
    let mut table = Table::new("Latency in milliseconds", [""]);
    table.columns.extend(known.iter().map(|entry| entry.name.to_owned()));
    table.row("count", known.iter().map(|entry| count(entry.percentiles.count)));
    let rows: [PercentileRow; 6] = [
        ("p50", |found| found.p50_ms),
        ("p90", |found| found.p90_ms),
        ("p99", |found| found.p99_ms),
        ("p99.9", |found| found.p999_ms),
        ("longest", |found| found.max_ms),
        ("mean", |found| found.mean_ms),
    ];
    for (name, read) in rows {
        table.row(name, known.iter().map(|entry| figure(read(entry.percentiles))));
    }
    let note = "From the moment something was due until it was done, whatever kept it. The 99.9 % mark is what one in \
                a thousand took longer than.";
    let section = Section::new("Latency", note);
    if plot.lines.is_empty() { section.table(table) } else { section.plot(plot).table(table) }
}

/// What to know before believing a number: whether the tester or the server was at its limit.
pub fn warnings(tester: &Tester, server: Option<&Usage>) -> Vec<String> {
    let mut warnings = Vec::new();
    if tester.hungriest_thread > BUSY_SHARE_MAX {
        let (was, most) = (tester.hungriest_thread * 100.0, BUSY_SHARE_MAX * 100.0);
        warnings.push(format!(
            "Limited by the load tester: one of its threads was busy, or waited for a CPU, for {was:.0} % of the time \
             (more than {most:.0} %). What follows may be its limit and not the server's."
        ));
    }
    if tester.is_late {
        warnings.push(format!(
            "Limited by the load tester: it sent 1 of 100 messages more than {LATE_P99_MS_MAX} ms after they were due."
        ));
    }
    if let Some(usage) = server.filter(|usage| usage.was_kept_waiting()) {
        warnings.push(format!(
            "Something else ran on the server's cores: its busiest thread waited for a CPU for {:.0} % of the time.",
            usage.waiting_share() * 100.0
        ));
    }
    if server.is_some_and(|usage| usage.is_saturated) {
        warnings.push(
            "The server's cores were all busy: this is what it can do, not what it does at ease.".to_owned(),
        );
    }
    warnings
}

/// What became of the connections.
pub fn connections(connections: &Connections) -> Section {
    let Connections { wanted, ready, failed, dropped, ramp_s, .. } = connections;
    let mut table = Table::new("Connections", ["", "count"]);
    for (name, value) in [("wanted", wanted), ("ready", ready), ("failed", failed), ("lost", dropped)] {
        table.row(name, [count(*value)]);
    }
    table.row("seconds until all were settled", [figure(*ramp_s)]);
    let section = Section::new("Connections", "").table(table);
    section
        .table(reasons("Why connections failed", &connections.failures))
        .table(reasons("Why connections were lost", &connections.drops))
}

/// What became of the messages.
pub fn messages(messages: &Messages, refusals: &BTreeMap<String, u64>) -> Section {
    let mut table = Table::new("Messages", ["", "count"]);
    let Messages { sent, unsent, expected, delivered, lost, members_with_loss, .. } = *messages;
    let Messages { doubled, reordered, misrouted, .. } = *messages;
    for (name, value) in [
        ("sent", sent),
        ("due, but not sent", unsent),
        ("deliveries expected", expected),
        ("delivered", delivered),
        ("lost", lost),
        ("members that lost any", members_with_loss),
        ("doubled", doubled),
        ("out of order", reordered),
        ("to the wrong member", misrouted),
    ] {
        table.row(name, [count(value)]);
    }
    let note = "Every member counts the sequence numbers of its room.";
    Section::new("Accounting", note).table(table).table(reasons("What the server refused", refusals))
}

/// Reasons and how often each was given; no rows if there is none.
pub fn reasons(caption: &str, reasons: &BTreeMap<String, u64>) -> Table {
    let mut table = Table::new(caption, ["", "count"]);
    reasons.iter().for_each(|(reason, times)| table.row(reason, [count(*times)]));
    table
}

/// What the server and the tester used, side by side.
pub fn usage(server: Option<&Usage>, tester: &Tester) -> Table {
    let mut table = Table::new("Use", ["", "server", "load tester"]);
    let server = |read: fn(&Usage) -> String| server.map_or("-".to_owned(), read);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    table.row("CPU, user, s", [server(|usage| figure(usage.user_s)), String::new()]);
    table.row("CPU, system, s", [server(|usage| figure(usage.system_s)), String::new()]);
    table.row("cores in use", [server(|usage| figure(usage.cores())), String::new()]);
    table.row(
        "busiest thread",
        [server(|usage| format!("{:.0} %", usage.busiest_thread * 100.0)), percent(tester.busiest_thread)],
    );
    table.row(
        "all its cores busy",
        [
            server(|usage| if usage.is_saturated { "yes" } else { "no" }.to_owned()),
            if tester.client_limited { "yes" } else { "no" }.to_owned(),
        ],
    );
    let waiting = server(|usage| format!("{:.0} %", usage.waiting_share() * 100.0));
    table.row(
        "waited for a CPU",
        [waiting, percent((tester.hungriest_thread - tester.busiest_thread).max(0.0))],
    );
    table.row("threads", [server(|usage| usage.threads.to_string()), tester.threads.to_string()]);
    table.row("memory at the end, KiB", [server(|usage| count(usage.rss_kib)), String::new()]);
    table.row("highest memory, KiB", [server(|usage| count(usage.rss_peak_kib)), String::new()]);
    table.row("bytes per connection", [String::new(), figure(tester.bytes_per_connection)]);
    table
}

/// The run over time: deliveries, CPU and memory.
pub fn over_time(series: &Series) -> Section {
    let seconds = || Axis::linear("seconds");
    let points = |values: &[f64]| series.at_s.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>();
    let marks = || series.phases.iter().map(|phase| (phase.at_s, phase.name.to_owned())).collect::<Vec<_>>();
    let note = format!("One value for each {} ms.", series.interval_ms);
    let mut section = Section::new("Over time", note);

    if series.deliveries_per_s.iter().any(|rate| *rate > 0.0) {
        let plot = LinePlot::new("Throughput over time", seconds(), Axis::linear("deliveries/s"));
        let mut plot = plot.line("deliveries", Shape::Area, points(&series.deliveries_per_s));
        plot.marks = marks();
        section = section.plot(plot);
    } else {
        let open: Vec<f64> = series.open.iter().map(|count| *count as f64).collect();
        let plot = LinePlot::new("Connections over time", seconds(), Axis::linear("connections"));
        let mut plot = plot.line("connections", Shape::Area, points(&open));
        plot.marks = marks();
        section = section.plot(plot);
    }
    let mut cpu = LinePlot::new("CPU over time", seconds(), Axis::linear("cores in use"));
    let mut memory = LinePlot::new("Memory over time", seconds(), Axis::linear("resident memory, MiB"));
    let mib = |process: &ProcessSeries| {
        process.rss_kib.iter().map(|kib| *kib as f64 / 1024.0).collect::<Vec<f64>>()
    };
    if let Some(server) = &series.server {
        cpu = cpu.line("server, all", Shape::Area, points(&total_cores(server))).line(
            "server, user",
            Shape::Straight,
            points(&server.user_cores),
        );
        memory = memory.line("server", Shape::Area, points(&mib(server)));
    }
    cpu = cpu.line("load tester's busiest thread", Shape::Straight, points(&series.tester.busiest_thread));
    memory = memory.line("load tester", Shape::Straight, points(&mib(&series.tester)));
    (cpu.marks, memory.marks) = (marks(), marks());
    section.plot(cpu).plot(memory).table(summary(series)).table(samples(series))
}

fn total_cores(process: &ProcessSeries) -> Vec<f64> {
    process.user_cores.iter().zip(&process.system_cores).map(|(user, system)| user + system).collect()
}

/// The columns of a series, with their names.
fn columns(series: &Series) -> Vec<(&'static str, Vec<f64>)> {
    let whole = |values: &[u64]| values.iter().map(|value| *value as f64).collect::<Vec<f64>>();
    let threads =
        |process: &ProcessSeries| process.threads.iter().map(|count| *count as f64).collect::<Vec<f64>>();
    let mut columns =
        vec![("deliveries/s", series.deliveries_per_s.clone()), ("connections", whole(&series.open))];
    if let Some(server) = &series.server {
        columns.extend([
            ("server user, cores", server.user_cores.clone()),
            ("server system, cores", server.system_cores.clone()),
            ("server memory, KiB", whole(&server.rss_kib)),
            ("server threads", threads(server)),
        ]);
    }
    columns.extend([
        ("tester, cores", total_cores(&series.tester)),
        ("tester's busiest thread", series.tester.busiest_thread.clone()),
        ("tester memory, KiB", whole(&series.tester.rss_kib)),
    ]);
    columns
}

fn summary(series: &Series) -> Table {
    let mut table = Table::new("Over the whole run", ["", "lowest", "mean", "highest", "last"]);
    for (name, values) in columns(series) {
        let Some(last) = values.last() else { continue };
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        table.row(name, [lowest, mean, highest, *last].map(figure));
    }
    table
}

fn samples(series: &Series) -> Table {
    let columns = columns(series);
    let mut table = Table::new("Every sample", ["seconds"]);
    table.columns.extend(columns.iter().map(|(name, _)| (*name).to_owned()));
    let stride = series.at_s.len().div_ceil(SAMPLE_ROWS_MAX).max(1);
    if stride > 1 {
        table.caption = format!("One of {stride} samples");
    }
    for (row, at_s) in series.at_s.iter().enumerate().step_by(stride) {
        table.row(
            figure(*at_s),
            columns.iter().map(|(_, values)| values.get(row).copied().map_or(String::new(), figure)),
        );
    }
    table.folded()
}
