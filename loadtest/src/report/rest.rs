//! What `rest` found.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::latency::{Curve, Percentiles};
use crate::report::figures::{count, figure};
use crate::report::human::{Cores, Milliseconds, connections, line, reasons, tester};
use crate::report::page::{Illustrated, Page, Section, Table};
use crate::report::sections::{self, Latencies};
use crate::report::{Connections, Messages, Tester};
use crate::sampling::Usage;
use crate::sampling::series::Series;

/// What `rest` found.
#[derive(Clone, Debug, Serialize)]
pub struct RestReport {
    /// Always `rest`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting the members went.
    pub connections: Connections,
    /// Rooms.
    pub rooms: u32,
    /// Members of each room, on sockets.
    pub members: u32,
    /// Connections that posted.
    pub posters: u32,
    /// Readers without a socket.
    pub pollers: u32,
    /// Messages per second that the schedule asked for.
    pub rate_per_s: f64,
    /// Content per message, in bytes.
    pub payload_bytes: usize,
    /// From the first message due to the last one received or given up, in seconds.
    pub seconds: f64,
    /// Requests: posts, repeated ones included, and polls.
    pub requests: u64,
    /// What became of the messages with members on sockets.
    pub messages: Messages,
    /// What became of the messages with those who polled.
    pub polled: Messages,
    /// From the moment a message was due until a member had it.
    pub latency: Percentiles,
    /// The same as a whole distribution.
    pub latency_curve: Curve,
    /// From the moment a message was due until its post was answered.
    pub answer: Percentiles,
    /// The same as a whole distribution.
    pub answer_curve: Curve,
    /// From the moment a message was due until a poll brought it.
    pub poll_latency: Percentiles,
    /// The same as a whole distribution.
    pub poll_latency_curve: Curve,
    /// From the moment a message was due, and the one before it answered, until the tester had posted it.
    pub lateness: Percentiles,
    /// What was refused or not answered, by status and code.
    pub refusals: BTreeMap<String, u64>,
    /// What the server used, if its process is known.
    pub server: Option<RestServer>,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

/// What requests cost a server, the deliveries that they caused included.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RestServer {
    /// CPU time per request, in microseconds.
    pub cpu_us_per_request: f64,
    /// The part of it in user mode.
    pub user_us_per_request: f64,
    /// The part of it in the kernel.
    pub system_us_per_request: f64,
    /// The use from the first message to the last.
    pub usage: Usage,
}

impl Display for RestReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "rest {}", self.url)?;
        connections(out, &self.connections)?;
        let Self { rooms, members, rate_per_s, payload_bytes, seconds, posters, pollers, .. } = self;
        line(
            out,
            "load",
            format_args!(
                "{rooms} rooms of {members}, {rate_per_s} posts/s of {payload_bytes} B over {posters} connections, \
                 {pollers} readers poll, {seconds:.1} s"
            ),
        )?;
        let (sent, unsent, requests) = (self.messages.sent, self.messages.unsent, self.requests);
        line(
            out,
            "posted",
            format_args!("{sent} messages, {unsent} not accepted, {requests} requests in all"),
        )?;
        accounting(out, "members", &self.messages)?;
        if *pollers > 0 {
            accounting(out, "pollers", &self.polled)?;
        }
        reasons(out, "refused", &self.refusals)?;
        line(out, "latency", Milliseconds(&self.latency))?;
        line(out, "answer", Milliseconds(&self.answer))?;
        if *pollers > 0 {
            line(out, "by poll", Milliseconds(&self.poll_latency))?;
        }
        line(out, "posted late by", Milliseconds(&self.lateness))?;
        if let Some(server) = &self.server {
            let RestServer { cpu_us_per_request: total, usage, .. } = server;
            let (user, system) = (server.user_us_per_request, server.system_us_per_request);
            line(
                out,
                "server CPU",
                format_args!("{total:.1} us per request ({user:.1} user, {system:.1} system)"),
            )?;
            line(out, "", Cores(usage))?;
            line(
                out,
                "server memory",
                format_args!("{} KiB, peak {} KiB", usage.rss_kib, usage.rss_peak_kib),
            )?;
        }
        tester(out, &self.tester)
    }
}

fn accounting(out: &mut Formatter<'_>, who: &str, messages: &Messages) -> fmt::Result {
    let Messages { expected, delivered, lost, doubled, reordered, .. } = messages;
    line(
        out,
        who,
        format_args!("{delivered} of {expected}, {lost} lost, {doubled} doubled, {reordered} reordered"),
    )
}

impl Illustrated for RestReport {
    fn page(&self) -> Page {
        let lead = format!(
            "A back end posts {} messages/s of {} B to {} rooms of {} members at {}, over {} connections; {} more readers \
             have no socket and poll. Everybody must get every message of the room once, in order.",
            figure(self.rate_per_s),
            self.payload_bytes,
            count(self.rooms.into()),
            count(self.members.into()),
            self.url,
            count(self.posters.into()),
            count(self.pollers.into())
        );
        let mut page = Page::new("REST", lead);
        page.highlight("answer p99", format!("{} ms", figure(self.answer.p99_ms)));
        page.highlight("delivery p99", format!("{} ms", figure(self.latency.p99_ms)));
        if let Some(server) = &self.server {
            page.highlight("CPU per request", format!("{} us", figure(server.cpu_us_per_request)));
        }
        page.highlight("lost", count(self.messages.lost + self.messages.unsent + self.polled.lost));
        page.warnings = sections::warnings(&self.tester, self.server.as_ref().map(|server| &server.usage));
        let entry = |name, percentiles, curve| Latencies { name, percentiles, curve };
        let latencies = [
            entry("delivery", &self.latency, Some(&self.latency_curve)),
            entry("answer", &self.answer, Some(&self.answer_curve)),
            entry("by poll", &self.poll_latency, Some(&self.poll_latency_curve)),
            entry("posted late by", &self.lateness, None),
        ];
        page.sections = vec![
            sections::latency(&latencies),
            sections::over_time(&self.series),
            self.cost(),
            sections::messages(&self.messages, &self.refusals),
        ];
        if self.pollers > 0 {
            let none = BTreeMap::new();
            let readers = sections::messages(&self.polled, &none);
            page.sections.push(Section { heading: "Accounting of those who polled".to_owned(), ..readers });
        }
        page.sections.push(sections::connections(&self.connections));
        page
    }
}

impl RestReport {
    fn cost(&self) -> Section {
        let mut section = Section::new("Cost", "What requests cost the server, their deliveries included.");
        if let Some(server) = &self.server {
            let mut table = Table::new("CPU per request, us", ["", "value"]);
            for (name, value) in [
                ("user", server.user_us_per_request),
                ("system", server.system_us_per_request),
                ("together", server.cpu_us_per_request),
            ] {
                table.row(name, [figure(value)]);
            }
            table.row("requests", [count(self.requests)]);
            section = section.table(table);
        }
        section.table(sections::usage(self.server.as_ref().map(|server| &server.usage), &self.tester))
    }
}
