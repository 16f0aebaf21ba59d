//! The scenario `idle`: connections that do nothing, and what each costs the server.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Result;

use crate::cli::IdleArgs;
use crate::clock::Moment;
use crate::fleet::Fleet;
use crate::objectives::Objective;
use crate::progress::Progress;
use crate::report::conclusion::conclude;
use crate::report::{IdleReport, IdleServer, Tester, bytes_per_connection};
use crate::sampling::Sample;
use crate::sampling::sampler::Sampler;
use crate::scenario::{self, Sight};

/// Runs the scenario and prints its report; true if all objectives were met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &IdleArgs) -> Result<bool> {
    let report = run(args)?;
    let connections = &report.connections;
    let bytes = report.server.map(|server| server.bytes_per_connection);
    let failed = (connections.failed + connections.dropped) as f64;
    let objectives = [
        Objective::new("server memory per connection", " B", args.max_bytes, bytes),
        Objective::new(
            "failed and lost connections",
            "",
            args.max_failed.map(|count| count as f64),
            Some(failed),
        ),
    ];
    conclude(&args.output, &report, objectives)
}

/// Connects, holds and measures.
///
/// # Errors
/// If the run could not be made.
pub fn run(args: &IdleArgs) -> Result<IdleReport> {
    let members = NonZeroU32::new(args.join_per_channel);
    let mut plan = scenario::plan(
        &args.server,
        &args.client,
        args.connections.get(),
        members.unwrap_or(NonZeroU32::MIN),
        None,
    )?;
    plan.joins = members.is_some();

    let fleet = Fleet::launch(plan)?;
    let before = Sight::read(args.server.server_pid)?;
    let sampler = Sampler::begin(args.server.server_pid, fleet.watch())?;
    sampler.enter_phase("connecting");
    let (fleet, ramp) = scenario::connect_all(fleet)?;
    let ready = Sight::read(args.server.server_pid)?;
    sampler.enter_phase("holding");
    hold(&fleet, args.hold);
    let end = Sight::read(args.server.server_pid)?;
    let series = sampler.finish()?;

    let totals = fleet.totals();
    let threads = fleet.plan().seating.threads();
    let outcome = fleet.leave()?;
    let open = totals.open();
    let server = before.server.as_ref().zip(ready.server.as_ref()).zip(end.server.as_ref());
    Ok(IdleReport {
        scenario: "idle",
        url: args.server.url.clone(),
        joined_per_channel: args.join_per_channel,
        hold_s: end.own.at.since(ready.own.at).as_secs_f64(),
        heartbeats: outcome.ledger.pings,
        server: server.map(|((before, ready), end)| cost(before, ready, end, open)),
        tester: Tester::new(threads, &end.own.usage_since(&ready.own), before.own.rss_kib, open),
        series,
        connections: scenario::connections(args.connections.get(), ramp, &totals, &outcome.ledger),
    })
}

/// Waits for `duration` while the fleet answers heartbeats.
fn hold(fleet: &Fleet, duration: Duration) {
    let progress = Progress::begin_for("holding", duration);
    let start = Moment::now();
    scenario::wait(fleet, duration, |_| {
        progress.show_elapsed(Moment::now().since(start));
        false
    });
}

/// What `open` connections cost the server.
fn cost(before: &Sample, ready: &Sample, end: &Sample, open: u64) -> IdleServer {
    let hold = end.usage_since(ready);
    let connections = open.max(1) as f64;
    IdleServer {
        rss_before_kib: before.rss_kib,
        rss_ready_kib: ready.rss_kib,
        bytes_per_connection: bytes_per_connection(before.rss_kib, end.rss_kib, open),
        connect_cpu_us: ready.usage_since(before).cpu_s() * 1e6 / connections,
        idle_cpu_us_per_s: hold.cpu_s() * 1e6 / connections / hold.seconds.max(f64::MIN_POSITIVE),
        hold,
    }
}
