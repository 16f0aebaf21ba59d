//! What `fanout` found.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::latency::{Curve, Percentiles};
use crate::report::figures::{count, figure};
use crate::report::human::{self, Milliseconds, connections, delivery_cost, line, reasons, tester};
use crate::report::page::{Illustrated, Page, Section, Table};
use crate::report::sections::{self, Latencies};
use crate::report::{Connections, Messages, Tester};
use crate::sampling::Usage;
use crate::sampling::series::Series;

/// What `fanout` found.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutReport {
    /// Always `fanout`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went.
    pub connections: Connections,
    /// Rooms.
    pub rooms: u32,
    /// Members of each room.
    pub members: u32,
    /// Messages per second that the schedule asked for.
    pub rate_per_s: f64,
    /// Content per message, in bytes.
    pub payload_bytes: usize,
    /// From the first message due to the last one received or given up, in seconds.
    pub seconds: f64,
    /// What became of the messages.
    pub messages: Messages,
    /// Messages received per second, over all members.
    pub deliveries_per_s: f64,
    /// From the moment a message was due until a member had it.
    pub latency: Percentiles,
    /// The same as a whole distribution.
    pub latency_curve: Curve,
    /// From the moment a message was due until its sender had the acknowledgement; count 0 if none was asked for.
    pub ack: Percentiles,
    /// The same as a whole distribution.
    pub ack_curve: Curve,
    /// From the moment a message was due until the tester had sent it.
    pub lateness: Percentiles,
    /// The same as a whole distribution.
    pub lateness_curve: Curve,
    /// What the server refused, by its code.
    pub refusals: BTreeMap<String, u64>,
    /// What the server used, if its process is known.
    pub server: Option<FanoutServer>,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

/// What deliveries cost a server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FanoutServer {
    /// CPU time per delivery, in microseconds.
    pub cpu_us_per_delivery: f64,
    /// The part of it in user mode.
    pub user_us_per_delivery: f64,
    /// The part of it in the kernel.
    pub system_us_per_delivery: f64,
    /// The use from the first message to the last.
    pub usage: Usage,
}

impl Display for FanoutReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "fanout {}", self.url)?;
        connections(out, &self.connections)?;
        let Self { rooms, members, rate_per_s, payload_bytes, seconds, messages, .. } = self;
        line(
            out,
            "load",
            format_args!(
                "{rooms} rooms of {members}, {rate_per_s} messages/s of {payload_bytes} B, {seconds:.1} s"
            ),
        )?;
        human::messages(out, messages)?;
        line(out, "throughput", format_args!("{:.0} deliveries/s", self.deliveries_per_s))?;
        reasons(out, "refused", &self.refusals)?;
        line(out, "latency", Milliseconds(&self.latency))?;
        if self.ack.count > 0 {
            line(out, "acknowledgement", Milliseconds(&self.ack))?;
        }
        line(out, "sent late by", Milliseconds(&self.lateness))?;
        if let Some(server) = &self.server {
            delivery_cost(out, server)?;
        }
        tester(out, &self.tester)
    }
}

impl Illustrated for FanoutReport {
    fn page(&self) -> Page {
        let Self { messages, latency, .. } = self;
        let lead = format!(
            "{} rooms of {} members at {}: {} messages/s of {} B for {} s, and every member must get every message of \
             its room once, in order.",
            count(self.rooms.into()),
            count(self.members.into()),
            self.url,
            figure(self.rate_per_s),
            self.payload_bytes,
            figure(self.seconds)
        );
        let mut page = Page::new("Fan-out", lead);
        page.highlight("deliveries", format!("{}/s", figure(self.deliveries_per_s)));
        page.highlight("latency p50", format!("{} ms", figure(latency.p50_ms)));
        page.highlight("latency p99", format!("{} ms", figure(latency.p99_ms)));
        if let Some(server) = &self.server {
            page.highlight("CPU per delivery", format!("{} us", figure(server.cpu_us_per_delivery)));
        }
        page.highlight("lost", count(messages.lost + messages.unsent));
        page.highlight("doubled or out of order", count(messages.doubled + messages.reordered));
        let usage = self.server.as_ref().map(|server| &server.usage);
        page.warnings = sections::warnings(&self.tester, usage);
        let latencies = [
            Latencies { name: "delivery", percentiles: latency, curve: Some(&self.latency_curve) },
            Latencies { name: "acknowledgement", percentiles: &self.ack, curve: Some(&self.ack_curve) },
            Latencies {
                name: "sent late by",
                percentiles: &self.lateness,
                curve: Some(&self.lateness_curve),
            },
            Latencies { curve: None, ..Latencies::connecting(&self.connections) },
        ];
        page.sections = vec![
            sections::latency(&latencies),
            sections::over_time(&self.series),
            self.cost(),
            sections::messages(messages, &self.refusals),
            sections::connections(&self.connections),
        ];
        page
    }
}

impl FanoutReport {
    fn cost(&self) -> Section {
        let mut section = Section::new("Cost", "What deliveries cost the server, and the load tester.");
        if let Some(server) = &self.server {
            let mut table = Table::new("CPU per delivery, us", ["", "value"]);
            for (name, value) in [
                ("user", server.user_us_per_delivery),
                ("system", server.system_us_per_delivery),
                ("together", server.cpu_us_per_delivery),
            ] {
                table.row(name, [figure(value)]);
            }
            section = section.table(table);
        }
        section.table(sections::usage(self.server.as_ref().map(|server| &server.usage), &self.tester))
    }
}
