//! The scenario `jitter`: connections break at random, their seats come back and resume; nothing may be lost on the
//! way, come twice or out of order.

use anyhow::{Result, ensure};

use crate::cli::JitterArgs;
use crate::clock::Moment;
use crate::descriptors;
use crate::fleet::{Cuts, Fleet, Outcome, Totals};
use crate::objectives::Objective;
use crate::report::Tester;
use crate::report::conclusion::conclude;
use crate::report::jitter::JitterReport;
use crate::sampling::sampler::Sampler;
use crate::scenario::{self, Sight, Surroundings, accounting, sending};

/// Runs the scenario and prints its report; true if all objectives were met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &JitterArgs) -> Result<bool> {
    let report = run(args)?;
    let replay = (report.replay.count > 0).then_some(report.replay.p99_ms);
    let unresumed = Some(report.unresumed as f64);
    let failed = report.connections.failed + report.failed + report.lost;
    let own = [
        Objective::new("p99 until up to date", " ms", args.replay_p99_ms, replay),
        Objective::new("sessions not resumed", "", args.max_unresumed.map(|count| count as f64), unresumed),
    ];
    let common = accounting::objectives(&args.bounds, &report.messages, failed);
    conclude(&args.output, &report, own.into_iter().chain(common))
}

/// What was seen of the time in which connections were cut.
struct Seen {
    seconds: f64,
    before: (Totals, Sight),
    after: (Totals, Sight),
}

/// Connects, sends and cuts.
///
/// # Errors
/// If the run could not be made.
pub fn run(args: &JitterArgs) -> Result<JitterReport> {
    let seats = scenario::seats(args.rooms, args.members)?;
    let mut plan = scenario::plan(&args.server, &args.client, seats, args.members, Some(&args.load))?;
    let kept_open = args.parting.kept_open_max().saturating_mul(plan.seating.threads());
    descriptors::reserve(seats.saturating_add(kept_open))?;
    plan.resumes = !args.no_resume;
    let fleet = Fleet::launch(plan)?;
    let launched = Sight::read(None)?;
    let sampler = Sampler::begin(args.server.server_pid, fleet.watch())?;
    sampler.enter_phase("connecting");
    let (fleet, ramp) = scenario::connect_all(fleet)?;
    let first = (fleet.totals(), fleet.turn_page()?);
    let seed = args.seed.unwrap_or_else(|| Moment::now().0);

    sampler.enter_phase("cutting");
    let seen = send_and_cut(&fleet, args, seed)?;
    let series = sampler.finish()?;
    let threads = fleet.plan().seating.threads();
    let outcome = fleet.leave()?;
    let own = seen.after.1.own.usage_since(&seen.before.1.own);
    let tester = Tester::new(threads, &own, launched.own.rss_kib, seen.after.0.open())
        .sending(&outcome.ledger.lateness.percentiles());
    let connections = scenario::connections(seats, ramp, &first.0, &first.1);
    Ok(tell(args, seed, &seen, &outcome, Surroundings { connections, tester, series }))
}

fn send_and_cut(fleet: &Fleet, args: &JitterArgs, seed: u64) -> Result<Seen> {
    let before = (fleet.totals(), Sight::read(args.server.server_pid)?);
    let start = Moment::now() + sending::HEAD_START;
    fleet.cut(Cuts {
        start,
        until: start + args.load.duration,
        every: args.cut_every,
        away: args.away,
        parting: args.parting,
        seed,
    })?;
    let seconds = sending::send(fleet, args.load.rate, args.load.duration, args.away + args.load.drain)?;
    // Who was cut after the last message is still on the way back.
    scenario::wait(fleet, args.away + args.client.connect_timeout, |totals| totals.unsettled == 0);
    let after = (fleet.totals(), Sight::read(args.server.server_pid)?);
    ensure!(fleet.is_afloat(), "a fleet thread has ended early");
    Ok(Seen { seconds, before, after })
}

fn tell(args: &JitterArgs, seed: u64, seen: &Seen, outcome: &Outcome, rest: Surroundings) -> JitterReport {
    let (before, after) = (&seen.before, &seen.after);
    let (ledger, messages) = (&outcome.ledger, accounting::of_run(outcome));
    let usage = before.1.server.as_ref().zip(after.1.server.as_ref());
    let mut failures = ledger.failures.clone();
    failures.merge(&ledger.drops);
    JitterReport {
        scenario: "jitter",
        url: args.server.url.clone(),
        rooms: args.rooms.get(),
        members: args.members.get(),
        rate_per_s: args.load.rate,
        payload_bytes: args.load.payload,
        seed,
        cut_every_s: args.cut_every.as_secs_f64(),
        away_s: args.away.as_secs_f64(),
        parting: args.parting.name(),
        seconds: seen.seconds,
        cuts: after.0.parted - before.0.parted,
        back: after.0.ready - before.0.ready,
        resumed: ledger.resumed,
        unresumed: ledger.unresumed,
        failed: after.0.failed - before.0.failed,
        lost: after.0.dropped - before.0.dropped,
        failures: failures.by_name().clone(),
        messages,
        latency: ledger.delivery.percentiles(),
        latency_curve: ledger.delivery.curve(),
        reconnect: ledger.connect.percentiles(),
        replay: ledger.replay.percentiles(),
        replay_curve: ledger.replay.curve(),
        server: usage.map(|(before, after)| accounting::cost(after.usage_since(before), messages.delivered)),
        connections: rest.connections,
        tester: rest.tester,
        series: rest.series,
    }
}
