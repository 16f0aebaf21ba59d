//! The scenario `fanout`: messages to rooms on a fixed schedule; every member must get every message, once.

use anyhow::Result;

use crate::cli::FanoutArgs;
use crate::fleet::Fleet;
use crate::objectives::{Objective, P99_LATENCY};
use crate::report::conclusion::conclude;
use crate::report::{FanoutReport, Tester};
use crate::sampling::sampler::Sampler;
use crate::scenario::{self, Sight, accounting, sending};

/// Runs the scenario and prints its report; true if all objectives were met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &FanoutArgs) -> Result<bool> {
    let report = run(args)?;
    let failed = report.connections.failed + report.connections.dropped;
    let p99_ms = (report.latency.count > 0).then_some(report.latency.p99_ms);
    let own = Objective::new(P99_LATENCY, " ms", args.p99_ms, p99_ms);
    let common = accounting::objectives(&args.bounds, &report.messages, failed);
    conclude(&args.output, &report, [own].into_iter().chain(common))
}

/// Connects, sends and measures.
///
/// # Errors
/// If the run could not be made.
pub fn run(args: &FanoutArgs) -> Result<FanoutReport> {
    let seats = scenario::seats(args.rooms, args.members)?;
    let plan = scenario::plan(&args.server, &args.client, seats, args.members, Some(&args.load))?;
    let fleet = Fleet::launch(plan)?;
    let launched = Sight::read(None)?;
    let sampler = Sampler::begin(args.server.server_pid, fleet.watch())?;
    sampler.enter_phase("connecting");
    let (fleet, ramp) = scenario::connect_all(fleet)?;

    let before = Sight::read(args.server.server_pid)?;
    sampler.enter_phase("sending");
    let seconds = sending::send(&fleet, args.load.rate, args.load.duration, args.load.drain)?;
    let after = Sight::read(args.server.server_pid)?;
    let series = sampler.finish()?;

    let totals = fleet.totals();
    let threads = fleet.plan().seating.threads();
    let outcome = fleet.leave()?;
    let messages = accounting::of_run(&outcome);
    let own = after.own.usage_since(&before.own);
    let usage =
        before.server.as_ref().zip(after.server.as_ref()).map(|(before, after)| after.usage_since(before));
    let ledger = &outcome.ledger;
    Ok(FanoutReport {
        scenario: "fanout",
        url: args.server.url.clone(),
        rooms: args.rooms.get(),
        members: args.members.get(),
        rate_per_s: args.load.rate,
        payload_bytes: args.load.payload,
        seconds,
        messages,
        deliveries_per_s: messages.delivered as f64 / seconds.max(f64::MIN_POSITIVE),
        latency: ledger.delivery.percentiles(),
        latency_curve: ledger.delivery.curve(),
        ack: ledger.ack.percentiles(),
        ack_curve: ledger.ack.curve(),
        lateness: ledger.lateness.percentiles(),
        lateness_curve: ledger.lateness.curve(),
        refusals: ledger.refusals.by_name().clone(),
        server: usage.map(|usage| accounting::cost(usage, messages.delivered)),
        tester: Tester::new(threads, &own, launched.own.rss_kib, totals.open())
            .sending(&ledger.lateness.percentiles()),
        series,
        connections: scenario::connections(seats, ramp, &totals, &outcome.ledger),
    })
}
