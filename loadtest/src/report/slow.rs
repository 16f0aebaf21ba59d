//! What `slow` found: how members fared that read as fast as they can, and what became of those that do not.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::latency::{Curve, Percentiles};
use crate::report::figures::{count, figure};
use crate::report::human::{Milliseconds, connections, delivery_cost, line, messages, reasons, tester};
use crate::report::page::{Illustrated, Page, Section, Table};
use crate::report::sections::{self, Latencies};
use crate::report::{Connections, FanoutServer, Messages, Tester};
use crate::sampling::series::Series;

/// What `slow` found.
#[derive(Clone, Debug, Serialize)]
pub struct SlowReport {
    /// Always `slow`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went, for everybody.
    pub connections: Connections,
    /// Rooms.
    pub rooms: u32,
    /// Members of each room, slow ones included.
    pub members: u32,
    /// Messages per second that the schedule asked for.
    pub rate_per_s: f64,
    /// Content per message, in bytes.
    pub payload_bytes: usize,
    /// From the first message due to the last one received or given up, in seconds.
    pub seconds: f64,
    /// What became of the slow members.
    pub slow: SlowMembers,
    /// Connections of the other members that were lost.
    pub lost: u64,
    /// Why they were lost.
    pub failures: BTreeMap<String, u64>,
    /// What became of the messages to members that are not slow; doubles and disorder of slow ones are counted too.
    pub messages: Messages,
    /// From the moment a message was due until a member had it that is not slow.
    pub latency: Percentiles,
    /// The same as a whole distribution.
    pub latency_curve: Curve,
    /// What the server used, if its process is known.
    pub server: Option<FanoutServer>,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

/// What became of the slow members.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SlowMembers {
    /// How many there were.
    pub count: u64,
    /// How much each of them read per second, in bytes.
    pub bytes_per_s: u32,
    /// How many the server let go with code 1013 (try again later), and they heard it.
    pub told: u64,
    /// How many lost their connection without having heard why.
    pub cut: u64,
    /// How many the server still held at the end.
    pub left: u64,
    /// Why they lost their connections, in words.
    pub reasons: BTreeMap<String, u64>,
    /// Messages that they got.
    pub messages: u64,
    /// Messages that were missing between two that one of them got.
    pub gaps: u64,
}

impl Display for SlowReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "slow {}", self.url)?;
        connections(out, &self.connections)?;
        let Self { rooms, members, rate_per_s, payload_bytes, seconds, .. } = self;
        line(
            out,
            "load",
            format_args!(
                "{rooms} rooms of {members}, {rate_per_s} messages/s of {payload_bytes} B, {seconds:.1} s"
            ),
        )?;
        let SlowMembers { count, bytes_per_s, told, cut, left, messages: got, gaps, .. } = &self.slow;
        line(out, "slow members", format_args!("{count}, each reads {bytes_per_s} B/s"))?;
        line(out, "", format_args!("{told} let go with 1013, {cut} cut, {left} still held at the end"))?;
        line(out, "", format_args!("{got} messages with {gaps} missing in between"))?;
        reasons(out, "let go", &self.slow.reasons)?;
        line(out, "others", format_args!("{} lost", self.lost))?;
        reasons(out, "lost", &self.failures)?;
        messages(out, &self.messages)?;
        line(out, "latency", Milliseconds(&self.latency))?;
        if let Some(server) = &self.server {
            delivery_cost(out, server)?;
        }
        tester(out, &self.tester)
    }
}

impl Illustrated for SlowReport {
    fn page(&self) -> Page {
        let lead = format!(
            "{} rooms of {} members at {}, {} messages/s of {} B for {} s. {} members read {} B a second; all others must \
             get every message once, in order, and in time.",
            count(self.rooms.into()),
            count(self.members.into()),
            self.url,
            figure(self.rate_per_s),
            self.payload_bytes,
            figure(self.seconds),
            count(self.slow.count),
            count(self.slow.bytes_per_s.into())
        );
        let mut page = Page::new("Slow readers", lead);
        let messages = &self.messages;
        page.highlight("latency of the others, p99", format!("{} ms", figure(self.latency.p99_ms)));
        page.highlight("lost", count(messages.lost + messages.unsent + self.slow.gaps));
        page.highlight("doubled or out of order", count(messages.doubled + messages.reordered));
        page.highlight("slow ones let go", count(self.slow.told + self.slow.cut));
        if let Some(server) = &self.server {
            page.highlight("server memory, peak", format!("{} KiB", count(server.usage.rss_peak_kib)));
        }
        page.warnings = sections::warnings(&self.tester, self.server.as_ref().map(|server| &server.usage));
        let latencies = [
            Latencies { name: "delivery", percentiles: &self.latency, curve: Some(&self.latency_curve) },
            Latencies { curve: None, ..Latencies::connecting(&self.connections) },
        ];
        page.sections = vec![
            sections::latency(&latencies),
            self.slow_members(),
            sections::messages(messages, &BTreeMap::new()),
            sections::over_time(&self.series),
            sections::connections(&self.connections),
        ];
        page
    }
}

impl SlowReport {
    fn slow_members(&self) -> Section {
        let SlowMembers { count: all, told, cut, left, messages, gaps, .. } = self.slow;
        let mut table = Table::new("Slow members", ["", "count"]);
        for (name, value) in [
            ("slow members", all),
            ("let go with 1013", told),
            ("cut without having heard why", cut),
            ("still held at the end", left),
            ("messages that they got", messages),
            ("messages missing between two that they got", gaps),
        ] {
            table.row(name, [count(value)]);
        }
        let usage = self.server.as_ref().map(|server| &server.usage);
        let note = "Who reads too slowly is let go, so that it costs neither memory nor the others' time.";
        Section::new("Slow members", note)
            .table(table)
            .table(sections::reasons("Why slow members were let go", &self.slow.reasons))
            .table(sections::usage(usage, &self.tester))
    }
}
