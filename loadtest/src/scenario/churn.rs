//! The scenario `churn`: visitors come and go while messages flow; who stays must have every message.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cli::ChurnArgs;
use crate::clock::Moment;
use crate::descriptors;
use crate::fleet::{Fleet, Outcome, Totals, Visits};
use crate::ledger::Ledger;
use crate::objectives::{Objective, P99_LATENCY};
use crate::report::Tester;
use crate::report::churn::{ChurnReport, ChurnServer, Visitors};
use crate::report::conclusion::conclude;
use crate::sampling::Usage;
use crate::sampling::sampler::Sampler;
use crate::scenario::{self, Sight, Surroundings, accounting, sending};

/// Runs the scenario and prints its report; true if all objectives were met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &ChurnArgs) -> Result<bool> {
    let report = run(args)?;
    let p99_ms = (report.latency.count > 0).then_some(report.latency.p99_ms);
    let cpu_us = report.server.map(|server| server.cpu_us_per_visit);
    let own = [
        Objective::new(P99_LATENCY, " ms", args.p99_ms, p99_ms),
        Objective::new("server CPU per visit", " us", args.max_cpu_us, cpu_us),
    ];
    let failed = report.connections.failed + report.visits.failed + report.visits.lost + report.lost;
    let messages = report.messages.with_lost(report.visits.gaps);
    let common = accounting::objectives(&args.bounds, &messages, failed);
    conclude(&args.output, &report, own.into_iter().chain(common))
}

/// One stretch of time with messages: what was seen at both ends, and what was counted in between.
struct Stretch {
    before: (Totals, Sight),
    after: (Totals, Sight),
    page: Ledger,
}

impl Stretch {
    /// Sends for `duration` and waits until every visitor has left.
    fn pass(fleet: &Fleet, args: &ChurnArgs, duration: Duration) -> Result<Self> {
        let before = (fleet.totals(), Sight::read(args.server.server_pid)?);
        sending::send(fleet, args.load.rate, duration, args.load.drain)?;
        scenario::wait(fleet, args.stay + args.client.connect_timeout, |totals| totals.unsettled == 0);
        let after = (fleet.totals(), Sight::read(args.server.server_pid)?);
        ensure!(fleet.is_afloat(), "a fleet thread has ended early");
        Ok(Self { before, after, page: fleet.turn_page()? })
    }

    /// What the server used, if its process is known.
    fn usage(&self) -> Option<Usage> {
        let (before, after) = (&self.before.1, &self.after.1);
        before.server.as_ref().zip(after.server.as_ref()).map(|(before, after)| after.usage_since(before))
    }
}

/// Connects who stays, sends for a while, and then sends while visitors come and go.
///
/// # Errors
/// If the run could not be made.
pub fn run(args: &ChurnArgs) -> Result<ChurnReport> {
    let seats = scenario::seats(args.rooms, args.members)?;
    let visitors = (args.churn_rate * args.stay.as_secs_f64()).ceil() as u32;
    let plan = scenario::plan(&args.server, &args.client, seats, args.members, Some(&args.load))?;
    descriptors::reserve(seats.saturating_add(visitors))?;
    let fleet = Fleet::launch(plan)?;
    let launched = Sight::read(None)?;
    let sampler = Sampler::begin(args.server.server_pid, fleet.watch())?;
    sampler.enter_phase("connecting");
    let (fleet, ramp) = scenario::connect_all(fleet)?;
    let first = (fleet.totals(), fleet.turn_page()?);

    sampler.enter_phase("calm");
    let calm = Stretch::pass(&fleet, args, args.calm)?;
    sampler.enter_phase("churn");
    let start = Moment::now() + sending::HEAD_START;
    fleet.visit(Visits {
        start,
        until: start + args.load.duration,
        per_s: args.churn_rate,
        stay: args.stay,
        parting: args.parting,
    })?;
    let churn = Stretch::pass(&fleet, args, args.load.duration)?;

    let series = sampler.finish()?;
    let threads = fleet.plan().seating.threads();
    let mut outcome = fleet.leave()?;
    outcome.ledger.merge(&calm.page);
    outcome.ledger.merge(&churn.page);
    let own = churn.after.1.own.usage_since(&churn.before.1.own);
    let tester = Tester::new(threads, &own, launched.own.rss_kib, churn.after.0.open())
        .sending(&churn.page.lateness.percentiles());
    let connections = scenario::connections(seats, ramp, &first.0, &first.1);
    Ok(tell(args, [&calm, &churn], &outcome, Surroundings { connections, tester, series }))
}

fn tell(
    args: &ChurnArgs,
    [calm, churn]: [&Stretch; 2],
    outcome: &Outcome,
    rest: Surroundings,
) -> ChurnReport {
    let (before, after, page) = (&churn.before.0, &churn.after.0, &churn.page);
    let mut failures = page.failures.clone();
    failures.merge(&outcome.ledger.drops);
    failures.merge(&page.visitor_drops);
    let visits = Visitors {
        came: after.ready - before.ready,
        failed: after.failed - before.failed,
        lost: page.visitor_drops.total(),
        left: after.parted - before.parted,
        messages: page.visited,
        gaps: page.gaps,
    };
    let usage = calm.usage().zip(churn.usage());
    ChurnReport {
        scenario: "churn",
        url: args.server.url.clone(),
        rooms: args.rooms.get(),
        members: args.members.get(),
        rate_per_s: args.load.rate,
        payload_bytes: args.load.payload,
        churn_per_s: args.churn_rate,
        stay_s: args.stay.as_secs_f64(),
        parting: args.parting.name(),
        visits,
        lost: outcome.ledger.drops.total(),
        failures: failures.by_name().clone(),
        messages: accounting::of_run(outcome),
        presence: page.presence,
        calm_latency: calm.page.delivery.percentiles(),
        calm_latency_curve: calm.page.delivery.curve(),
        latency: page.delivery.percentiles(),
        latency_curve: page.delivery.curve(),
        joined: page.connect.percentiles(),
        joined_curve: page.connect.curve(),
        server: usage.map(|(calm, churn)| cost(calm, churn, visits.came)),
        connections: rest.connections,
        tester: rest.tester,
        series: rest.series,
    }
}

/// What `came` visitors cost the server above what it needed without them.
fn cost(calm: Usage, churn: Usage, came: u64) -> ChurnServer {
    let without = calm.cores() * churn.seconds;
    let cpu_us_per_visit = (churn.cpu_s() - without) * 1e6 / came.max(1) as f64;
    ChurnServer { cpu_us_per_visit, calm, churn }
}
