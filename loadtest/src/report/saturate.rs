//! What `saturate` found: the steps in the order they were made, and the best one that held.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::latency::Percentiles;
use crate::report::figures::{count, figure};
use crate::report::human::{connections, line, tester};
use crate::report::page::{Illustrated, Page};
use crate::report::{BUSY_SHARE_MAX, Connections, FanoutServer, LATE_P99_MS_MAX, Messages, Tester};
use crate::report::{sections, staircase};
use crate::sampling::series::Series;

/// What `saturate` found.
#[derive(Clone, Debug, Serialize)]
pub struct SaturateReport {
    /// Always `saturate`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went.
    pub connections: Connections,
    /// Rooms.
    pub rooms: u32,
    /// Members of each room.
    pub members: u32,
    /// Content per message, in bytes.
    pub payload_bytes: usize,
    /// The bound on the 99th percentile of latency, in milliseconds.
    pub p99_ms: f64,
    /// The steps, in the order they were made.
    pub steps: Vec<SaturateStep>,
    /// The number of the step with the highest rate that held, from 0; `None` if not even the first one did.
    pub best: Option<usize>,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

/// One step: a rate, and how it went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SaturateStep {
    /// Messages per second that the schedule asked for.
    pub rate_per_s: f64,
    /// From the first message due to the last one received or given up, in seconds.
    pub seconds: f64,
    /// Messages received per second, over all members.
    pub deliveries_per_s: f64,
    /// What became of the messages.
    pub messages: Messages,
    /// Connections lost in this step.
    pub dropped: u64,
    /// From the moment a message was due until a member had it.
    pub latency: Percentiles,
    /// From the moment a message was due until the tester had sent it.
    pub lateness: Percentiles,
    /// What the server used, if its process is known.
    pub server: Option<FanoutServer>,
    /// The share of the time that the tester's busiest thread was on a CPU, from 0 to 1.
    pub tester_busiest: f64,
    /// Why the step did not hold, in words; `None` if it did.
    pub broken_by: Option<String>,
}

impl SaturateReport {
    /// The step with the highest rate that held; `None` if not even the first one did.
    pub fn best(&self) -> Option<&SaturateStep> {
        self.steps.get(self.best?)
    }
}

impl SaturateStep {
    /// Whether the tester may have been what limited the step.
    pub fn client_limited(&self) -> bool {
        self.tester_busiest > BUSY_SHARE_MAX || self.lateness.p99_ms > LATE_P99_MS_MAX
    }
}

impl Display for SaturateReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "saturate {}", self.url)?;
        connections(out, &self.connections)?;
        let Self { rooms, members, payload_bytes, p99_ms, .. } = self;
        line(
            out,
            "load",
            format_args!(
                "{rooms} rooms of {members}, messages of {payload_bytes} B, p99 at most {p99_ms} ms"
            ),
        )?;
        let heads = ("messages/s", "deliveries/s", "p50 ms", "p99 ms", "CPU us", "cores", "tester");
        let (rate, deliveries, p50, p99, cpu, cores, own) = heads;
        line(
            out,
            "step",
            format_args!("{rate:>10} {deliveries:>12} {p50:>8} {p99:>8} {cpu:>7} {cores:>6} {own:>7}"),
        )?;
        for (number, step) in self.steps.iter().enumerate() {
            line(out, &format!("{}", number + 1), Row(step))?;
        }
        match self.best() {
            Some(SaturateStep { rate_per_s, deliveries_per_s, .. }) => {
                line(
                    out,
                    "held",
                    format_args!("{rate_per_s:.0} messages/s, {deliveries_per_s:.0} deliveries/s"),
                )?;
            }
            None => line(out, "held", "not even the first step")?,
        }
        tester(out, &self.tester)
    }
}

/// A step on one line.
struct Row<'a>(&'a SaturateStep);

impl Display for Row<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let SaturateStep { rate_per_s, deliveries_per_s, latency, .. } = self.0;
        let (p50, p99, busy) = (latency.p50_ms, latency.p99_ms, 100.0 * self.0.tester_busiest);
        let cpu = self.0.server.map_or(f64::NAN, |server| server.cpu_us_per_delivery);
        let cores = self.0.server.map_or(f64::NAN, |server| server.usage.cores());
        write!(
            out,
            "{rate_per_s:>10.0} {deliveries_per_s:>12.0} {p50:>8.2} {p99:>8.2} {cpu:>7.2} {cores:>6.2} {busy:>5.0} %"
        )?;
        if let Some(reason) = &self.0.broken_by {
            write!(out, "  {reason}")?;
        }
        if self.0.client_limited() { write!(out, "  LIMITED BY THE TESTER") } else { Ok(()) }
    }
}

impl Illustrated for SaturateReport {
    fn page(&self) -> Page {
        let lead = format!(
            "{} rooms of {} members at {}, messages of {} B: the rate grows until 1 of 100 messages takes longer than \
             {} ms, one is lost, or a connection is.",
            count(self.rooms.into()),
            count(self.members.into()),
            self.url,
            self.payload_bytes,
            figure(self.p99_ms)
        );
        let mut page = Page::new("Saturate", lead);
        if let Some(best) = self.best() {
            page.highlight("highest rate that held", format!("{} messages/s", figure(best.rate_per_s)));
            page.highlight("deliveries", format!("{}/s", figure(best.deliveries_per_s)));
            page.highlight("latency p99", format!("{} ms", figure(best.latency.p99_ms)));
            if let Some(server) = &best.server {
                page.highlight("CPU per delivery", format!("{} us", figure(server.cpu_us_per_delivery)));
            }
        } else {
            page.warnings.push("Not even the first step held.".to_owned());
        }
        if self.steps.iter().any(SaturateStep::client_limited) {
            let told = "Some steps were limited by the load tester; the table says which.";
            page.warnings.push(told.to_owned());
        }
        page.sections = vec![
            staircase::section(&self.steps, self.p99_ms),
            sections::over_time(&self.series),
            sections::connections(&self.connections),
        ];
        page
    }
}
