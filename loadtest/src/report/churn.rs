//! What `churn` found: what became of the messages while visitors came and went, and what a visit cost the server.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::latency::{Curve, Percentiles};
use crate::report::figures::{count, figure};
use crate::report::human::{Milliseconds, connections, line, messages, reasons, tester};
use crate::report::page::{Illustrated, Page, Section, Table};
use crate::report::sections::{self, Latencies};
use crate::report::{Connections, Messages, Tester};
use crate::sampling::Usage;
use crate::sampling::series::Series;

/// What `churn` found.
#[derive(Clone, Debug, Serialize)]
pub struct ChurnReport {
    /// Always `churn`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went for those who stay.
    pub connections: Connections,
    /// Rooms.
    pub rooms: u32,
    /// Members of each room who stay.
    pub members: u32,
    /// Messages per second that the schedule asked for.
    pub rate_per_s: f64,
    /// Content per message, in bytes.
    pub payload_bytes: usize,
    /// Visitors per second that were to come.
    pub churn_per_s: f64,
    /// How long a visitor stayed, in seconds.
    pub stay_s: f64,
    /// How visitors left.
    pub parting: String,
    /// What became of the visits.
    pub visits: Visitors,
    /// Connections of members that were lost.
    pub lost: u64,
    /// Why connections failed or were lost.
    pub failures: BTreeMap<String, u64>,
    /// What became of the messages to those who stayed; doubles and disorder of visitors are counted too.
    pub messages: Messages,
    /// Events that said who is there, at everybody.
    pub presence: u64,
    /// From the moment a message was due until a member had it, without visitors.
    pub calm_latency: Percentiles,
    /// The same as a whole distribution.
    pub calm_latency_curve: Curve,
    /// From the moment a message was due until a member had it, while visitors came and went.
    pub latency: Percentiles,
    /// The same as a whole distribution.
    pub latency_curve: Curve,
    /// From the moment a visitor was due until it had joined.
    pub joined: Percentiles,
    /// The same as a whole distribution.
    pub joined_curve: Curve,
    /// What the server used, if its process is known.
    pub server: Option<ChurnServer>,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

/// What became of the visits.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Visitors {
    /// Visitors that came and joined.
    pub came: u64,
    /// Visitors that did not get in.
    pub failed: u64,
    /// Visitors that lost their connection.
    pub lost: u64,
    /// Visitors that left by themselves.
    pub left: u64,
    /// Messages that visitors got.
    pub messages: u64,
    /// Messages that were missing between two that a visitor got.
    pub gaps: u64,
}

/// What visits cost a server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ChurnServer {
    /// CPU time per visit, in microseconds: everything above what the same messages needed without visitors, the
    /// messages and the presence that visits cause included.
    pub cpu_us_per_visit: f64,
    /// The use without visitors.
    pub calm: Usage,
    /// The use while they came and went.
    pub churn: Usage,
}

impl Display for ChurnReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "churn {}", self.url)?;
        connections(out, &self.connections)?;
        let Self { rooms, members, rate_per_s, payload_bytes, churn_per_s, stay_s, parting, .. } = self;
        line(
            out,
            "load",
            format_args!("{rooms} rooms of {members}, {rate_per_s} messages/s of {payload_bytes} B"),
        )?;
        line(
            out,
            "churn",
            format_args!("{churn_per_s} visitors a second, each stays {stay_s} s and leaves by {parting}"),
        )?;
        let Visitors { came, failed, lost, left, messages: visited, gaps } = self.visits;
        line(out, "visitors", format_args!("{came} came, {failed} failed, {left} left, {lost} lost"))?;
        line(out, "members", format_args!("{} lost", self.lost))?;
        reasons(out, "failed", &self.failures)?;
        line(out, "", format_args!("{visited} messages with {gaps} missing in between"))?;
        line(out, "presence", format_args!("{} events", self.presence))?;
        messages(out, &self.messages)?;
        line(out, "joined after", Milliseconds(&self.joined))?;
        line(out, "latency", Milliseconds(&self.latency))?;
        line(out, "without visitors", Milliseconds(&self.calm_latency))?;
        if let Some(server) = &self.server {
            let (calm, churn) = (server.calm.cores(), server.churn.cores());
            line(out, "server CPU", format_args!("{:.1} us per visit", server.cpu_us_per_visit))?;
            line(out, "", format_args!("{churn:.2} cores, {calm:.2} without visitors"))?;
            let Usage { rss_kib, rss_peak_kib, .. } = server.churn;
            line(out, "server memory", format_args!("{rss_kib} KiB, peak {rss_peak_kib} KiB"))?;
        }
        tester(out, &self.tester)
    }
}

impl Illustrated for ChurnReport {
    fn page(&self) -> Page {
        let lead = format!(
            "{} rooms of {} members at {}, {} messages/s of {} B. {} visitors a second join a room, stay for {} s and \
             leave; every member who stays must get every message once, in order.",
            count(self.rooms.into()),
            count(self.members.into()),
            self.url,
            figure(self.rate_per_s),
            self.payload_bytes,
            figure(self.churn_per_s),
            figure(self.stay_s)
        );
        let mut page = Page::new("Churn", lead);
        let messages = &self.messages;
        page.highlight("visitors", count(self.visits.came));
        page.highlight("lost", count(messages.lost + messages.unsent + self.visits.gaps));
        page.highlight("doubled or out of order", count(messages.doubled + messages.reordered));
        page.highlight("latency p99", format!("{} ms", figure(self.latency.p99_ms)));
        if let Some(server) = &self.server {
            page.highlight("CPU per visit", format!("{} us", figure(server.cpu_us_per_visit)));
        }
        page.warnings = sections::warnings(&self.tester, self.server.as_ref().map(|server| &server.churn));
        let calm = Some(&self.calm_latency_curve);
        let latencies = [
            Latencies { name: "delivery", percentiles: &self.latency, curve: Some(&self.latency_curve) },
            Latencies { name: "without visitors", percentiles: &self.calm_latency, curve: calm },
            Latencies { name: "visitor joined", percentiles: &self.joined, curve: Some(&self.joined_curve) },
        ];
        page.sections = vec![
            sections::latency(&latencies),
            self.visitors(),
            sections::messages(messages, &BTreeMap::new()),
            sections::over_time(&self.series),
            sections::connections(&self.connections),
        ];
        page
    }
}

impl ChurnReport {
    fn visitors(&self) -> Section {
        let Visitors { came, failed, lost, left, messages, gaps } = self.visits;
        let mut table = Table::new("Visitors", ["", "count"]);
        for (name, value) in [
            ("came", came),
            ("did not get in", failed),
            ("lost their connection", lost),
            ("left", left),
            ("messages that they got", messages),
            ("messages missing between two that they got", gaps),
            ("events that said who is there", self.presence),
            ("members who stay and were lost", self.lost),
        ] {
            table.row(name, [count(value)]);
        }
        let note = "What a visit costs is everything above what the same messages need without visitors.";
        let failures = sections::reasons("Why connections failed or were lost", &self.failures);
        let usage = self.server.as_ref().map(|server| &server.churn);
        Section::new("Visitors", note)
            .table(table)
            .table(failures)
            .table(sections::usage(usage, &self.tester))
    }
}
