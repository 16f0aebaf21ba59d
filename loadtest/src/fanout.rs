//! The scenario `fanout`: messages to rooms on a fixed schedule; every member must get every message, once.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::{FanoutArgs, LoadArgs};
use crate::clock::Moment;
use crate::fleet::{Fleet, Outcome};
use crate::objectives::{Objective, all_met};
use crate::progress::Progress;
use crate::report::{FanoutReport, FanoutServer, Messages, Tester, write_json};
use crate::sampling::Usage;
use crate::scenario::{self, Sight};
use crate::schedule::Schedule;

/// From the order to publish until the first message is due, so that no thread is late from the start.
const HEAD_START: Duration = Duration::from_millis(100);
/// How late a tester that cannot keep up with its schedule may be with the last message before it gives up.
const LATE_MAX: Duration = Duration::from_secs(30);

/// Runs the scenario and prints its report; true if all objectives were met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &FanoutArgs) -> Result<bool> {
    let report = run(args)?;
    match &args.output.json {
        Some(file) => write_json(file, &report)?,
        None => print!("{report}"),
    }
    let failed = report.connections.failed + report.connections.dropped;
    let count = |what, at_most: Option<u64>, measured: u64| {
        Objective::new(what, "", at_most.map(|count| count as f64), Some(measured as f64))
    };
    let p99_ms = (report.latency.count > 0).then_some(report.latency.p99_ms);
    Ok(all_met([
        Objective::new("p99 latency", " ms", args.p99_ms, p99_ms),
        count("lost messages", args.max_lost, report.messages.lost + report.messages.unsent),
        count("doubled messages", args.max_doubled, report.messages.doubled),
        count("reordered messages", args.max_reordered, report.messages.reordered),
        count("failed and lost connections", args.max_failed, failed),
    ]))
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
    let (fleet, ramp) = scenario::connect_all(fleet)?;

    let before = Sight::read(args.server.server_pid)?;
    let seconds = publish(&fleet, &args.load)?;
    let after = Sight::read(args.server.server_pid)?;

    let totals = fleet.totals();
    let threads = fleet.plan().seating.threads();
    let outcome = fleet.leave()?;
    let messages = messages(&outcome);
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
        ack: ledger.ack.percentiles(),
        lateness: ledger.lateness.percentiles(),
        refusals: ledger.refusals.by_name().clone(),
        server: usage.map(|usage| cost(usage, messages.delivered)),
        tester: Tester::new(threads, &own, launched.own.rss_kib, totals.open()),
        connections: scenario::connections(seats, ramp, &totals, &outcome),
    })
}

/// Sends the whole schedule and waits for the last delivery; returns the seconds from the first message due.
fn publish(fleet: &Fleet, load: &LoadArgs) -> Result<f64> {
    let rooms = NonZeroU32::new(fleet.plan().seating.rooms()).context("a run has at least one room")?;
    let threads = fleet.plan().seating.threads();
    let start = Moment::now() + HEAD_START;
    let schedule = Schedule::new(start, load.rate, load.duration, rooms);
    let progress = Progress::begin("sending", schedule.total());
    fleet.publish(schedule)?;
    scenario::wait(fleet, load.duration + LATE_MAX, |totals| {
        progress.show(totals.sent);
        totals.published == threads
    });
    scenario::wait(fleet, load.drain, |totals| totals.delivered >= totals.expected);
    Ok(Moment::now().since(start).as_secs_f64())
}

fn messages(outcome: &Outcome) -> Messages {
    let ledger = &outcome.ledger;
    Messages {
        sent: outcome.sent,
        unsent: ledger.unsent,
        expected: outcome.expected,
        delivered: ledger.delivered(),
        lost: outcome.lost,
        members_with_loss: outcome.receivers_with_loss,
        doubled: ledger.doubled,
        reordered: ledger.reordered,
        misrouted: ledger.misrouted,
    }
}

/// What `delivered` messages cost the server.
fn cost(usage: Usage, delivered: u64) -> FanoutServer {
    let per_delivery = |seconds: f64| seconds * 1e6 / delivered.max(1) as f64;
    FanoutServer {
        cpu_us_per_delivery: per_delivery(usage.cpu_s()),
        user_us_per_delivery: per_delivery(usage.user_s),
        system_us_per_delivery: per_delivery(usage.system_s),
        usage,
    }
}
