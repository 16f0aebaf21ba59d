//! Lines of text for a terminal that several reports share.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::latency::Percentiles;
use crate::report::{BUSY_SHARE_MAX, Connections, FanoutServer, LATE_P99_MS_MAX, Messages, Tester};
use crate::sampling::Usage;

/// The percentiles on one line.
pub(super) struct Milliseconds<'a>(pub(super) &'a Percentiles);

impl Display for Milliseconds<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Percentiles { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = self.0;
        write!(
            out,
            "p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p999_ms:.2}  max {max_ms:.2} ms"
        )
    }
}

/// The cores that a server had in use, and how long it was kept from one.
pub(super) struct Cores<'a>(pub(super) &'a Usage);

impl Display for Cores<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (cores, busiest) = (self.0.cores(), 100.0 * self.0.busiest_thread);
        write!(out, "{cores:.2} cores, busiest thread {busiest:.0} %")?;
        if self.0.is_saturated {
            write!(out, ", all its cores busy")?;
        }
        if self.0.was_kept_waiting() {
            write!(out, ", KEPT WAITING FOR A CPU {:.0} % of the time", 100.0 * self.0.waiting_share())?;
        }
        Ok(())
    }
}

/// How connecting went.
pub(super) fn connections(out: &mut Formatter<'_>, connections: &Connections) -> fmt::Result {
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

/// What became of the messages.
pub(super) fn messages(out: &mut Formatter<'_>, messages: &Messages) -> fmt::Result {
    let Messages { sent, unsent, expected, delivered, lost, doubled, reordered, misrouted, .. } = messages;
    line(out, "sent", format_args!("{sent} messages, {unsent} unsent"))?;
    line(out, "delivered", format_args!("{delivered} of {expected}"))?;
    let by = messages.members_with_loss;
    line(
        out,
        "accounting",
        format_args!(
            "{lost} lost (by {by} members), {doubled} doubled, {reordered} reordered, {misrouted} misrouted"
        ),
    )
}

/// What deliveries cost the server.
pub(super) fn delivery_cost(out: &mut Formatter<'_>, server: &FanoutServer) -> fmt::Result {
    let FanoutServer { cpu_us_per_delivery: total, usage, .. } = server;
    let (user, system) = (server.user_us_per_delivery, server.system_us_per_delivery);
    line(out, "server CPU", format_args!("{total:.2} us per delivery ({user:.2} user, {system:.2} system)"))?;
    line(out, "", Cores(usage))?;
    line(out, "server memory", format_args!("{} KiB, peak {} KiB", usage.rss_kib, usage.rss_peak_kib))
}

/// How often each thing happened, a line for each.
pub(super) fn reasons(out: &mut Formatter<'_>, label: &str, reasons: &BTreeMap<String, u64>) -> fmt::Result {
    reasons.iter().try_for_each(|(reason, count)| line(out, label, format_args!("{count} x {reason}")))
}

/// What the tester itself needed.
pub(super) fn tester(out: &mut Formatter<'_>, tester: &Tester) -> fmt::Result {
    let busy = 100.0 * tester.busiest_thread;
    let bytes = tester.bytes_per_connection;
    line(
        out,
        "load tester",
        format_args!("{} threads, busiest {busy:.0} %, {bytes:.0} B per connection", tester.threads),
    )?;
    if tester.hungriest_thread > BUSY_SHARE_MAX {
        let bound = 100.0 * BUSY_SHARE_MAX;
        line(
            out,
            "",
            format_args!(
                "LIMITED BY THE TESTER: a thread was busy, or waited for a CPU, over {bound:.0} % of the time"
            ),
        )?;
    }
    if tester.is_late {
        let late =
            format_args!("LIMITED BY THE TESTER: 1 of 100 messages was over {LATE_P99_MS_MAX} ms late");
        line(out, "", late)?;
    }
    Ok(())
}

/// One line: a label and a value.
pub(super) fn line(out: &mut Formatter<'_>, label: &str, value: impl Display) -> fmt::Result {
    writeln!(out, "  {label:<16} {value}")
}
