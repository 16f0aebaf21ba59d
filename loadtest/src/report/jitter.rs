//! What `jitter` found: what became of the messages over all cuts, and how soon who came back was up to date.

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

/// What `jitter` found.
#[derive(Clone, Debug, Serialize)]
pub struct JitterReport {
    /// Always `jitter`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went at first, before any cut.
    pub connections: Connections,
    /// Rooms.
    pub rooms: u32,
    /// Members of each room.
    pub members: u32,
    /// Messages per second that the schedule asked for.
    pub rate_per_s: f64,
    /// Content per message, in bytes.
    pub payload_bytes: usize,
    /// What chance depended on.
    pub seed: u64,
    /// How long a connection lived on average, in seconds.
    pub cut_every_s: f64,
    /// How long a member stayed away, in seconds.
    pub away_s: f64,
    /// How connections were cut.
    pub parting: String,
    /// From the first message due to the last one received or given up, in seconds.
    pub seconds: f64,
    /// Connections that were cut.
    pub cuts: u64,
    /// Members that came back.
    pub back: u64,
    /// Sessions that the server resumed.
    pub resumed: u64,
    /// Sessions that were to be resumed and that the server began anew.
    pub unresumed: u64,
    /// Connections that failed on their way back.
    pub failed: u64,
    /// Connections that ended without being cut.
    pub lost: u64,
    /// Why connections failed or ended.
    pub failures: BTreeMap<String, u64>,
    /// What became of the messages.
    pub messages: Messages,
    /// From the moment a message was due until a member who was there had it.
    pub latency: Percentiles,
    /// The same as a whole distribution.
    pub latency_curve: Curve,
    /// From the moment a member was due to come back until it was connected.
    pub reconnect: Percentiles,
    /// From the moment a member was due to come back until it had everything that it had missed.
    pub replay: Percentiles,
    /// The same as a whole distribution.
    pub replay_curve: Curve,
    /// What the server used, if its process is known.
    pub server: Option<FanoutServer>,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

impl Display for JitterReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "jitter {}", self.url)?;
        connections(out, &self.connections)?;
        let Self { rooms, members, rate_per_s, payload_bytes, seconds, cut_every_s, away_s, .. } = self;
        line(
            out,
            "load",
            format_args!(
                "{rooms} rooms of {members}, {rate_per_s} messages/s of {payload_bytes} B, {seconds:.1} s"
            ),
        )?;
        let Self { parting, seed, cuts, back, resumed, unresumed, failed, lost, .. } = self;
        line(
            out,
            "jitter",
            format_args!("{parting} every {cut_every_s} s, away for {away_s} s, --seed {seed}"),
        )?;
        line(
            out,
            "cuts",
            format_args!(
                "{cuts}, {back} back, {resumed} resumed, {unresumed} begun anew, {failed} failed, {lost} lost"
            ),
        )?;
        reasons(out, "failed", &self.failures)?;
        messages(out, &self.messages)?;
        line(out, "latency", Milliseconds(&self.latency))?;
        line(out, "back after", Milliseconds(&self.reconnect))?;
        line(out, "up to date after", Milliseconds(&self.replay))?;
        if let Some(server) = &self.server {
            delivery_cost(out, server)?;
        }
        tester(out, &self.tester)
    }
}

impl Illustrated for JitterReport {
    fn page(&self) -> Page {
        let lead = format!(
            "{} rooms of {} members at {}, {} messages/s of {} B. Every connection but the senders' breaks every {} s on \
             average, stays away for {} s and resumes its session; every member must get every message once, in order.",
            count(self.rooms.into()),
            count(self.members.into()),
            self.url,
            figure(self.rate_per_s),
            self.payload_bytes,
            figure(self.cut_every_s),
            figure(self.away_s)
        );
        let mut page = Page::new("Jitter", lead);
        let messages = &self.messages;
        page.highlight("cuts", count(self.cuts));
        page.highlight("lost", count(messages.lost + messages.unsent));
        page.highlight("doubled or out of order", count(messages.doubled + messages.reordered));
        page.highlight("not resumed", count(self.unresumed));
        page.highlight("up to date, p99", format!("{} ms", figure(self.replay.p99_ms)));
        page.warnings = sections::warnings(&self.tester, self.server.as_ref().map(|server| &server.usage));
        let latencies = [
            Latencies { name: "delivery", percentiles: &self.latency, curve: Some(&self.latency_curve) },
            Latencies { name: "connected again", percentiles: &self.reconnect, curve: None },
            Latencies { name: "up to date", percentiles: &self.replay, curve: Some(&self.replay_curve) },
        ];
        page.sections = vec![
            sections::latency(&latencies),
            self.cuts(),
            sections::messages(messages, &BTreeMap::new()),
            sections::over_time(&self.series),
            sections::connections(&self.connections),
        ];
        page
    }
}

impl JitterReport {
    fn cuts(&self) -> Section {
        let mut table = Table::new("Cuts", ["", "count"]);
        for (name, value) in [
            ("connections cut", self.cuts),
            ("back", self.back),
            ("sessions resumed", self.resumed),
            ("sessions begun anew", self.unresumed),
            ("failed on the way back", self.failed),
            ("ended without being cut", self.lost),
        ] {
            table.row(name, [count(value)]);
        }
        let note = "Which connection is cut and when is up to chance, the same for the same seed.";
        let usage = self.server.as_ref().map(|server| &server.usage);
        let failures = sections::reasons("Why connections failed", &self.failures);
        Section::new("Cuts", note).table(table).table(failures).table(sections::usage(usage, &self.tester))
    }
}
