//! The scenario `storm`: everybody loses the connection at once and comes back as fast as the server lets them.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cli::StormArgs;
use crate::clock::Moment;
use crate::descriptors;
use crate::fleet::{Fleet, Totals};
use crate::ledger::Ledger;
use crate::objectives::Objective;
use crate::report::Tester;
use crate::report::conclusion::conclude;
use crate::report::storm::{StormReport, StormRound, StormServer};
use crate::sampling::Usage;
use crate::sampling::sampler::Sampler;
use crate::scenario::{self, Sight};

/// How long a storm may take; what is not back by then never will be.
const STORM_MAX: Duration = Duration::from_secs(300);

/// Runs the scenario and prints its report; true if all objectives were met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &StormArgs) -> Result<bool> {
    let report = run(args)?;
    let back_ms = report.worst_seconds().map(|seconds| seconds * 1e3);
    let failed = Some(report.failed() as f64);
    let objectives = [
        Objective::new("time until all are back", " ms", args.back_ms, back_ms),
        Objective::new("server CPU per connection", " us", args.max_cpu_us, report.worst_cpu_us()),
        Objective::new("failed and lost connections", "", args.max_failed.map(|count| count as f64), failed),
    ];
    conclude(&args.output, &report, objectives)
}

/// Connects, and drops everybody as often as is wanted.
///
/// # Errors
/// If the run could not be made.
pub fn run(args: &StormArgs) -> Result<StormReport> {
    let seats = args.connections.get();
    let mut plan = scenario::plan(&args.server, &args.client, seats, args.members, None)?;
    let kept_open = args.parting.kept_open_max().saturating_mul(plan.seating.threads());
    descriptors::reserve(seats.saturating_add(kept_open))?;
    plan.resumes = args.resume;
    let fleet = Fleet::launch(plan)?;
    let launched = Sight::read(args.server.server_pid)?;
    let sampler = Sampler::begin(args.server.server_pid, fleet.watch())?;
    sampler.enter_phase("connecting");
    let (fleet, ramp) = scenario::connect_all(fleet)?;
    let first = (fleet.totals(), fleet.turn_page()?);

    let mut rounds = Vec::new();
    let mut own = Usage::default();
    for _ in 0..args.rounds.get() {
        sampler.enter_phase("calm");
        scenario::wait(&fleet, args.calm, |_| false);
        sampler.enter_phase("storm");
        let (round, use_of_round) = round(&fleet, args)?;
        rounds.push(round);
        own = if use_of_round.busiest_thread >= own.busiest_thread { use_of_round } else { own };
    }

    let series = sampler.finish()?;
    let open = fleet.totals().open();
    let threads = fleet.plan().seating.threads();
    fleet.leave()?;
    let (totals, page) = first;
    Ok(StormReport {
        scenario: "storm",
        url: args.server.url.clone(),
        members: args.members.get(),
        parting: args.parting.name(),
        connecting_max: args.client.connecting_max.get(),
        rounds,
        tester: Tester::new(threads, &own, launched.own.rss_kib, open),
        series,
        connections: scenario::connections(seats, ramp, &totals, &page),
    })
}

/// Drops everybody and waits until all are back or have failed; also tells what the tester used meanwhile.
fn round(fleet: &Fleet, args: &StormArgs) -> Result<(StormRound, Usage)> {
    fleet.turn_page()?;
    let before = fleet.totals();
    let sight = Sight::read(args.server.server_pid)?;
    let start = Moment::now();
    fleet.drop_all(args.parting)?;
    fleet.reconnect(start)?;
    let seats = u64::from(fleet.plan().seating.seats());
    scenario::settle(fleet, "coming back", before.settled() + seats, STORM_MAX);
    let settled = Moment::now();
    let after = Sight::read(args.server.server_pid)?;
    ensure!(fleet.is_afloat(), "a fleet thread has ended early");
    let usage = sight.server.as_ref().zip(after.server.as_ref());
    let usage = usage.map(|(before, after)| after.usage_since(before));
    let round = tell(&before, &fleet.totals(), &fleet.turn_page()?, settled.since(start), usage);
    Ok((round, after.own.usage_since(&sight.own)))
}

/// The round's part of the report.
fn tell(
    before: &Totals,
    after: &Totals,
    page: &Ledger,
    settled: Duration,
    usage: Option<Usage>,
) -> StormRound {
    let back = after.ready - before.ready;
    let failed = after.failed - before.failed;
    let mut failures = page.failures.clone();
    failures.merge(&page.drops);
    let joined = page.connect.percentiles();
    // The histogram knows when the last one was ready better than whoever looks every few milliseconds.
    let seconds = if failed == 0 { joined.max_ms / 1e3 } else { settled.as_secs_f64() };
    StormRound {
        dropped: after.parted - before.parted,
        back,
        failed,
        lost: after.dropped - before.dropped,
        seconds,
        joined,
        joined_curve: page.connect.curve(),
        resumed: page.resumed,
        failures: failures.by_name().clone(),
        server: usage.map(|usage| cost(usage, back)),
    }
}

/// What `back` connections that ended and came back cost the server.
fn cost(usage: Usage, back: u64) -> StormServer {
    let per_connection = |seconds: f64| seconds * 1e6 / back.max(1) as f64;
    StormServer {
        cpu_us_per_connection: per_connection(usage.cpu_s()),
        user_us_per_connection: per_connection(usage.user_s),
        system_us_per_connection: per_connection(usage.system_s),
        usage,
    }
}
