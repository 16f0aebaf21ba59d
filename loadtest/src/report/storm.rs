//! What `storm` found: how soon everybody was back, round by round, and what that cost the server.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::latency::{Curve, Percentiles};
use crate::report::figures::{count, figure};
use crate::report::human::{Milliseconds, connections, line, reasons, tester};
use crate::report::page::{Illustrated, Page, Section, Table};
use crate::report::plot::{Axis, LinePlot, Shape};
use crate::report::{Connections, Tester, sections};
use crate::sampling::Usage;
use crate::sampling::series::Series;

/// What `storm` found.
#[derive(Clone, Debug, Serialize)]
pub struct StormReport {
    /// Always `storm`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went at first, before any storm.
    pub connections: Connections,
    /// Members per channel.
    pub members: u32,
    /// How connections were ended.
    pub parting: String,
    /// How many connections might be on their way at once.
    pub connecting_max: u32,
    /// The rounds.
    pub rounds: Vec<StormRound>,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

/// One time that everybody was dropped.
#[derive(Clone, Debug, Serialize)]
pub struct StormRound {
    /// Connections that were dropped.
    pub dropped: u64,
    /// How many of all seats were connected and joined again.
    pub back: u64,
    /// How many of them resumed the session that was lost.
    pub resumed: u64,
    /// Connections that failed on their way back.
    pub failed: u64,
    /// Connections that were back and then lost.
    pub lost: u64,
    /// From the order to drop everybody until the last one was joined again or had failed, in seconds.
    pub seconds: f64,
    /// From the order to drop everybody until each was joined again.
    pub joined: Percentiles,
    /// The same as a whole distribution.
    pub joined_curve: Curve,
    /// Why connections failed or were lost.
    pub failures: BTreeMap<String, u64>,
    /// What the server used, if its process is known.
    pub server: Option<StormServer>,
}

/// What a storm cost a server, the ending of the old connections included.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StormServer {
    /// CPU time per connection, in microseconds.
    pub cpu_us_per_connection: f64,
    /// The part of it in user mode.
    pub user_us_per_connection: f64,
    /// The part of it in the kernel.
    pub system_us_per_connection: f64,
    /// The use from the order until all were back.
    pub usage: Usage,
}

impl StormReport {
    /// The longest time until all were back, in seconds; `None` without rounds.
    pub fn worst_seconds(&self) -> Option<f64> {
        self.rounds.iter().map(|round| round.seconds).reduce(f64::max)
    }

    /// The most CPU time per connection, in microseconds; `None` if the server's process is not known.
    pub fn worst_cpu_us(&self) -> Option<f64> {
        let costs = self.rounds.iter().filter_map(|round| Some(round.server?.cpu_us_per_connection));
        costs.reduce(f64::max)
    }

    /// Connections that failed or were lost, the first connecting included.
    pub fn failed(&self) -> u64 {
        let rounds: u64 = self.rounds.iter().map(|round| round.failed + round.lost).sum();
        self.connections.failed + rounds
    }
}

impl Display for StormReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "storm {}", self.url)?;
        connections(out, &self.connections)?;
        let Self { members, parting, connecting_max, .. } = self;
        let load =
            format_args!("channels of {members}, ended by {parting}, {connecting_max} on their way at once");
        line(out, "storm", load)?;
        for (number, round) in self.rounds.iter().enumerate() {
            let StormRound { dropped, back, resumed, failed, lost, seconds, .. } = round;
            line(
                out,
                &format!("round {}", number + 1),
                format_args!(
                    "{dropped} dropped, {back} back in {seconds:.3} s, {resumed} resumed, {failed} failed, {lost} lost"
                ),
            )?;
            reasons(out, "failed", &round.failures)?;
            line(out, "joined again", Milliseconds(&round.joined))?;
            if let Some(server) = &round.server {
                let StormServer { cpu_us_per_connection: total, usage, .. } = server;
                let (user, system) = (server.user_us_per_connection, server.system_us_per_connection);
                line(
                    out,
                    "server CPU",
                    format_args!(
                        "{total:.1} us per connection ({user:.1} user, {system:.1} system), {:.2} cores",
                        usage.cores()
                    ),
                )?;
                let (now, peak) = (usage.rss_kib, usage.rss_peak_kib);
                line(out, "server memory", format_args!("{now} KiB, peak {peak} KiB"))?;
            }
        }
        tester(out, &self.tester)
    }
}

impl Illustrated for StormReport {
    fn page(&self) -> Page {
        let lead = format!(
            "{} connections to {} in channels of {}, all ended by {} at once, and back with {} on their way at a time.",
            count(self.connections.ready),
            self.url,
            count(self.members.into()),
            self.parting,
            count(self.connecting_max.into())
        );
        let mut page = Page::new("Storm", lead);
        if let Some(seconds) = self.worst_seconds() {
            page.highlight("until all were back", format!("{} s", figure(seconds)));
        }
        if let Some(cpu_us) = self.worst_cpu_us() {
            page.highlight("CPU per connection", format!("{} us", figure(cpu_us)));
        }
        page.highlight("failed and lost", count(self.failed()));
        page.warnings = sections::warnings(&self.tester, None);
        page.sections =
            vec![self.section(), sections::over_time(&self.series), sections::connections(&self.connections)];
        page
    }
}

impl StormReport {
    fn section(&self) -> Section {
        let axis = Axis::quantile("share of the connections");
        let mut plot = LinePlot::new("Time until joined again", axis, Axis::log("ms after the drop"));
        let columns = [
            "round",
            "seconds",
            "back",
            "failed",
            "lost",
            "p50, ms",
            "p99, ms",
            "CPU, us",
            "of it user",
            "cores",
        ];
        let mut table = Table::new("Rounds; CPU is per connection, its ending included", columns);
        let mut failures = Vec::new();
        for (number, round) in (1..).zip(&self.rounds) {
            plot = plot.line(format!("round {number}"), Shape::Straight, round.joined_curve.0.clone());
            let server = |read: fn(&StormServer) -> f64| {
                round.server.as_ref().map_or("-".to_owned(), |it| figure(read(it)))
            };
            table.row(
                number.to_string(),
                [
                    figure(round.seconds),
                    count(round.back),
                    count(round.failed),
                    count(round.lost),
                    figure(round.joined.p50_ms),
                    figure(round.joined.p99_ms),
                    server(|server| server.cpu_us_per_connection),
                    server(|server| server.user_us_per_connection),
                    server(|server| server.usage.cores()),
                ],
            );
            failures.push(sections::reasons(&format!("Failures of round {number}"), &round.failures));
        }
        let note = "From the order to drop everybody until each connection was joined again.";
        let mut section = Section::new("Rounds", note).plot(plot).table(table);
        section.tables.append(&mut failures);
        section
    }
}
