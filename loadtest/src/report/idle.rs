//! What `idle` found.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::report::figures::{count, figure};
use crate::report::human::{connections, line, tester};
use crate::report::page::{Illustrated, Page, Section, Table};
use crate::report::sections::{self, Latencies};
use crate::report::{Connections, Tester};
use crate::sampling::Usage;
use crate::sampling::series::Series;

/// What `idle` found.
#[derive(Clone, Debug, Serialize)]
pub struct IdleReport {
    /// Always `idle`.
    pub scenario: &'static str,
    /// The server's address.
    pub url: String,
    /// How connecting went.
    pub connections: Connections,
    /// Members per channel; 0 if none was joined.
    pub joined_per_channel: u32,
    /// How long connections were held, in seconds.
    pub hold_s: f64,
    /// Heartbeats that were answered in the whole run.
    pub heartbeats: u64,
    /// What the server used, if its process is known.
    pub server: Option<IdleServer>,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

/// What idle connections cost a server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IdleServer {
    /// Resident memory before the first connection, in KiB.
    pub rss_before_kib: u64,
    /// Resident memory when all were ready, in KiB.
    pub rss_ready_kib: u64,
    /// Resident memory per connection at the end of the hold, above that before, in bytes.
    pub bytes_per_connection: f64,
    /// CPU time per connection while connecting, in microseconds.
    pub connect_cpu_us: f64,
    /// CPU time per connection and second while holding, in microseconds.
    pub idle_cpu_us_per_s: f64,
    /// The use while holding.
    pub hold: Usage,
}

impl Display for IdleReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "idle {}", self.url)?;
        connections(out, &self.connections)?;
        let joined = match self.joined_per_channel {
            0 => "no channel joined".to_owned(),
            members => format!("in channels of {members}"),
        };
        line(
            out,
            "held",
            format_args!("{:.1} s, {joined}, {} heartbeats answered", self.hold_s, self.heartbeats),
        )?;
        if let Some(server) = &self.server {
            let (before, ready, end) = (server.rss_before_kib, server.rss_ready_kib, server.hold.rss_kib);
            line(out, "server memory", format_args!("{:.0} B per connection", server.bytes_per_connection))?;
            line(out, "", format_args!("{before} KiB before, {ready} KiB ready, {end} KiB at the end"))?;
            line(
                out,
                "server CPU",
                format_args!("{:.2} us per connection and second", server.idle_cpu_us_per_s),
            )?;
            line(out, "", format_args!("{:.1} us per connect", server.connect_cpu_us))?;
            let hold = &server.hold;
            line(
                out,
                "",
                format_args!(
                    "{:.3} s user, {:.3} s system, {} threads",
                    hold.user_s, hold.system_s, hold.threads
                ),
            )?;
        }
        tester(out, &self.tester)
    }
}

impl Illustrated for IdleReport {
    fn page(&self) -> Page {
        let Connections { ready, wanted, .. } = self.connections;
        let joined = match self.joined_per_channel {
            0 => "without a channel".to_owned(),
            members => format!("in channels of {}", count(members.into())),
        };
        let lead = format!(
            "{} connections to {} {joined}, held for {} s; {} heartbeats answered.",
            count(ready),
            self.url,
            figure(self.hold_s),
            count(self.heartbeats)
        );
        let mut page = Page::new("Idle", lead);
        page.highlight("connections", format!("{} of {}", count(ready), count(wanted)));
        if let Some(server) = &self.server {
            page.highlight("memory per connection", format!("{} B", figure(server.bytes_per_connection)));
            page.highlight("CPU per connection-second", format!("{} us", figure(server.idle_cpu_us_per_s)));
            page.highlight("CPU per connect", format!("{} us", figure(server.connect_cpu_us)));
        }
        let server = self.server.as_ref();
        page.warnings = sections::warnings(&self.tester, server.map(|server| &server.hold));
        page.sections = vec![
            self.cost(),
            sections::over_time(&self.series),
            sections::latency(&[Latencies::connecting(&self.connections)]),
            sections::connections(&self.connections),
        ];
        page
    }
}

impl IdleReport {
    fn cost(&self) -> Section {
        let section = Section::new("Cost", "What idle connections cost the server, and the load tester.");
        let Some(server) = &self.server else {
            return section.table(sections::usage(None, &self.tester));
        };
        let mut table = Table::new("Per connection", ["", "value"]);
        for (name, value) in [
            ("memory, B", server.bytes_per_connection),
            ("CPU while connecting, us", server.connect_cpu_us),
            ("CPU per second while idle, us", server.idle_cpu_us_per_s),
        ] {
            table.row(name, [figure(value)]);
        }
        for (name, kib) in [
            ("server's memory before, KiB", server.rss_before_kib),
            ("when all were ready, KiB", server.rss_ready_kib),
            ("at the end, KiB", server.hold.rss_kib),
        ] {
            table.row(name, [count(kib)]);
        }
        section.table(table).table(sections::usage(Some(&server.hold), &self.tester))
    }
}
