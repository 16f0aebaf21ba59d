//! The scenario `slow`: some members read slowly or not at all; the others must not notice.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cli::SlowArgs;
use crate::fleet::{Fleet, Outcome, Slowness};
use crate::ledger::Ledger;
use crate::objectives::{Objective, P99_LATENCY};
use crate::report::Tester;
use crate::report::conclusion::conclude;
use crate::report::slow::{SlowMembers, SlowReport};
use crate::sampling::Usage;
use crate::sampling::sampler::Sampler;
use crate::scenario::{self, Sight, Surroundings, accounting, sending};

/// How long slow members may take to read, in the end, what the server has for them. Who has not heard of an end by
/// then is still held.
const WAKE_MAX: Duration = Duration::from_secs(3);
/// How the tester says that a server let somebody go who could not keep up.
const LET_GO: &str = "closed by the server: 1013";

/// Runs the scenario and prints its report; true if all objectives were met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &SlowArgs) -> Result<bool> {
    let report = run(args)?;
    let p99_ms = (report.latency.count > 0).then_some(report.latency.p99_ms);
    let left = args.max_slow_left.map(|count| count as f64);
    let peak_mib = report.server.map(|server| server.usage.rss_peak_kib as f64 / 1024.0);
    let own = [
        Objective::new(P99_LATENCY, " ms", args.p99_ms, p99_ms),
        Objective::new("slow members still held", "", left, Some(report.slow.left as f64)),
        Objective::new("server memory", " MiB", args.max_server_mib, peak_mib),
    ];
    let failed = report.connections.failed + report.lost;
    let messages = report.messages.with_lost(report.slow.gaps);
    let common = accounting::objectives(&args.bounds, &messages, failed);
    conclude(&args.output, &report, own.into_iter().chain(common))
}

/// Connects everybody, sends, and sees who keeps up.
///
/// # Errors
/// If the run could not be made.
pub fn run(args: &SlowArgs) -> Result<SlowReport> {
    let seats = scenario::seats(args.rooms, args.members)?;
    let mut plan = scenario::plan(&args.server, &args.client, seats, args.members, Some(&args.load))?;
    let slowness = Slowness {
        share: args.slow_share,
        bytes_per_s: args.slow_bytes_per_s,
        receive_buffer: args.slow_receive_buffer,
    };
    plan.slowness = Some(slowness);
    let slow_count = slowness.count(&plan.seating);
    let fleet = Fleet::launch(plan)?;
    let launched = Sight::read(None)?;
    let sampler = Sampler::begin(args.server.server_pid, fleet.watch())?;
    sampler.enter_phase("connecting");
    let (fleet, ramp) = scenario::connect_all(fleet)?;
    let first = (fleet.totals(), fleet.turn_page()?);

    sampler.enter_phase("sending");
    let before = Sight::read(args.server.server_pid)?;
    let seconds = sending::send(&fleet, args.load.rate, args.load.duration, args.load.drain)?;
    let after = Sight::read(args.server.server_pid)?;
    sampler.enter_phase("waking");
    fleet.wake_slow()?;
    scenario::wait(&fleet, WAKE_MAX, |totals| totals.dropped >= first.0.dropped + slow_count);
    ensure!(fleet.is_afloat(), "a fleet thread has ended early");
    let series = sampler.finish()?;

    let totals = fleet.totals();
    let threads = fleet.plan().seating.threads();
    let outcome = fleet.leave()?;
    let usage = before.server.as_ref().zip(after.server.as_ref());
    let usage = usage.map(|(before, after)| after.usage_since(before));
    let own = after.own.usage_since(&before.own);
    let tester = Tester::new(threads, &own, launched.own.rss_kib, totals.open())
        .sending(&outcome.ledger.lateness.percentiles());
    let connections = scenario::connections(seats, ramp, &first.0, &first.1);
    let slow = slow_members(args, slow_count, &outcome.ledger);
    Ok(tell(args, seconds, slow, &outcome, usage, Surroundings { connections, tester, series }))
}

/// What became of the `count` slow members.
fn slow_members(args: &SlowArgs, count: u64, ledger: &Ledger) -> SlowMembers {
    let reasons = ledger.visitor_drops.by_name();
    let told = reasons.iter().filter(|(reason, _)| reason.starts_with(LET_GO)).map(|(_, count)| count).sum();
    let gone = ledger.visitor_drops.total();
    SlowMembers {
        count,
        bytes_per_s: args.slow_bytes_per_s,
        told,
        cut: gone - told,
        left: count.saturating_sub(gone),
        reasons: reasons.clone(),
        messages: ledger.visited,
        gaps: ledger.gaps,
    }
}

fn tell(
    args: &SlowArgs,
    seconds: f64,
    slow: SlowMembers,
    outcome: &Outcome,
    usage: Option<Usage>,
    rest: Surroundings,
) -> SlowReport {
    let (ledger, messages) = (&outcome.ledger, accounting::of_run(outcome));
    SlowReport {
        scenario: "slow",
        url: args.server.url.clone(),
        rooms: args.rooms.get(),
        members: args.members.get(),
        rate_per_s: args.load.rate,
        payload_bytes: args.load.payload,
        seconds,
        slow,
        lost: ledger.drops.total(),
        failures: ledger.drops.by_name().clone(),
        messages,
        latency: ledger.delivery.percentiles(),
        latency_curve: ledger.delivery.curve(),
        server: usage.map(|usage| accounting::cost(usage, messages.delivered)),
        connections: rest.connections,
        tester: rest.tester,
        series: rest.series,
    }
}
