//! Reports as lines of text for a terminal.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::latency::Percentiles;
use crate::report::{BUSY_SHARE_MAX, Connections, FanoutReport, IdleReport, Tester};

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
        line(out, "sent", format_args!("{} messages, {} unsent", messages.sent, messages.unsent))?;
        line(
            out,
            "delivered",
            format_args!("{} of {}, {:.0}/s", messages.delivered, messages.expected, self.deliveries_per_s),
        )?;
        line(
            out,
            "accounting",
            format_args!(
                "{} lost (by {} members), {} doubled, {} reordered, {} misrouted",
                messages.lost,
                messages.members_with_loss,
                messages.doubled,
                messages.reordered,
                messages.misrouted
            ),
        )?;
        reasons(out, "refused", &self.refusals)?;
        line(out, "latency", Milliseconds(&self.latency))?;
        if self.ack.count > 0 {
            line(out, "acknowledgement", Milliseconds(&self.ack))?;
        }
        line(out, "sent late by", Milliseconds(&self.lateness))?;
        if let Some(server) = &self.server {
            let (user, system) = (server.user_us_per_delivery, server.system_us_per_delivery);
            let total = server.cpu_us_per_delivery;
            line(
                out,
                "server CPU",
                format_args!("{total:.2} us per delivery ({user:.2} user, {system:.2} system)"),
            )?;
            let (cores, usage) = (server.usage.cores(), &server.usage);
            line(
                out,
                "",
                format_args!("{cores:.2} cores, busiest thread {:.0} %", 100.0 * usage.busiest_thread),
            )?;
            line(
                out,
                "server memory",
                format_args!("{} KiB, peak {} KiB", usage.rss_kib, usage.rss_peak_kib),
            )?;
        }
        tester(out, &self.tester)
    }
}

/// The percentiles on one line.
struct Milliseconds<'a>(&'a Percentiles);

impl Display for Milliseconds<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Percentiles { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = self.0;
        write!(
            out,
            "p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p999_ms:.2}  max {max_ms:.2} ms"
        )
    }
}

fn connections(out: &mut Formatter<'_>, connections: &Connections) -> fmt::Result {
    let Connections { wanted, ready, failed, dropped, ramp_s, .. } = connections;
    line(
        out,
        "connections",
        format_args!("{ready} of {wanted} in {ramp_s:.1} s, {failed} failed, {dropped} lost"),
    )?;
    reasons(out, "failed", &connections.failures)?;
    reasons(out, "lost", &connections.drops)?;
    line(out, "connect", Milliseconds(&connections.connect))
}

fn reasons(out: &mut Formatter<'_>, label: &str, reasons: &BTreeMap<String, u64>) -> fmt::Result {
    reasons.iter().try_for_each(|(reason, count)| line(out, label, format_args!("{count} x {reason}")))
}

fn tester(out: &mut Formatter<'_>, tester: &Tester) -> fmt::Result {
    let busy = 100.0 * tester.busiest_thread;
    let bytes = tester.bytes_per_connection;
    line(
        out,
        "load tester",
        format_args!("{} threads, busiest {busy:.0} %, {bytes:.0} B per connection", tester.threads),
    )?;
    if tester.client_limited {
        let bound = 100.0 * BUSY_SHARE_MAX;
        line(
            out,
            "",
            format_args!("LIMITED BY THE TESTER: a thread was busy for more than {bound:.0} % of the time"),
        )?;
    }
    Ok(())
}

fn line(out: &mut Formatter<'_>, label: &str, value: impl Display) -> fmt::Result {
    writeln!(out, "  {label:<16} {value}")
}
