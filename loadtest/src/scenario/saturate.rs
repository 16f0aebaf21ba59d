//! The scenario `saturate`: steps of a rate that grows until one does not hold, then a closer look between the last
//! that held and the first that did not.

use anyhow::{Result, ensure};

use crate::cli::SaturateArgs;
use crate::clock::Moment;
use crate::fleet::{Fleet, Totals};
use crate::ledger::Ledger;
use crate::objectives::Objective;
use crate::report::Tester;
use crate::report::conclusion::conclude;
use crate::report::saturate::{SaturateReport, SaturateStep};
use crate::sampling::sampler::Sampler;
use crate::scenario::{self, Sight, accounting, sending};

/// A rate between the steps' bounds: what held, and what did not.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    held: Option<f64>,
    broken: Option<f64>,
}

/// Runs the scenario and prints its report; true if the objective was met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &SaturateArgs) -> Result<bool> {
    let report = run(args)?;
    let best = report.best().map_or(0.0, |step| step.deliveries_per_s);
    let deliveries = Objective::at_least("deliveries", "/s", args.min_deliveries, Some(best));
    conclude(&args.output, &report, [deliveries])
}

/// Connects, and makes the steps.
///
/// # Errors
/// If the run could not be made.
pub fn run(args: &SaturateArgs) -> Result<SaturateReport> {
    let seats = scenario::seats(args.rooms, args.members)?;
    let mut plan = scenario::plan(&args.server, &args.client, seats, args.members, None)?;
    plan.form.content_bytes = args.payload;
    let fleet = Fleet::launch(plan)?;
    let launched = Sight::read(None)?;
    let sampler = Sampler::begin(args.server.server_pid, fleet.watch())?;
    sampler.enter_phase("connecting");
    let (fleet, ramp) = scenario::connect_all(fleet)?;
    let first = (fleet.totals(), fleet.turn_page()?);

    sampler.enter_phase("steps");
    let begin = Sight::read(None)?;
    let steps = climb(&fleet, args)?;
    let end = Sight::read(None)?;
    let series = sampler.finish()?;

    let open = fleet.totals().open();
    let threads = fleet.plan().seating.threads();
    fleet.leave()?;
    let (totals, page) = first;
    Ok(SaturateReport {
        scenario: "saturate",
        url: args.server.url.clone(),
        rooms: args.rooms.get(),
        members: args.members.get(),
        payload_bytes: args.payload,
        p99_ms: args.p99_ms,
        best: best(&steps),
        steps,
        tester: Tester::new(threads, &end.own.usage_since(&begin.own), launched.own.rss_kib, open),
        series,
        connections: scenario::connections(seats, ramp, &totals, &page),
    })
}

/// Makes step after step until the bound on a rate that holds is known as well as is wanted.
fn climb(fleet: &Fleet, args: &SaturateArgs) -> Result<Vec<SaturateStep>> {
    let mut span = Span::default();
    let mut steps = Vec::new();
    let mut bisections = args.bisections;
    while let Some(rate) = next_rate(span, &mut bisections, args) {
        if steps.len() >= args.steps_max.get() as usize {
            break;
        }
        let mut has_held = false;
        // Whatever else the machine did may be what broke a step, so it has another chance.
        for _ in 0..args.tries.get() {
            let step = step(fleet, args, rate)?;
            has_held = step.broken_by.is_none();
            steps.push(step);
            if has_held {
                break;
            }
        }
        if has_held { span.held = Some(rate) } else { span.broken = Some(rate) }
    }
    Ok(steps)
}

/// The rate of the next step; `None` if there is to be none.
fn next_rate(span: Span, bisections: &mut u32, args: &SaturateArgs) -> Option<f64> {
    match span {
        Span { held: None, broken: None } => Some(args.rate),
        Span { held: Some(held), broken: None } => Some(held * args.growth),
        Span { held: Some(held), broken: Some(broken) } if *bisections > 0 => {
            *bisections -= 1;
            Some(f64::midpoint(held, broken))
        }
        Span { broken: Some(_), .. } => None,
    }
}

/// The step with the highest rate among those that held.
fn best(steps: &[SaturateStep]) -> Option<usize> {
    let held = steps.iter().enumerate().filter(|(_, step)| step.broken_by.is_none());
    held.max_by(|(_, one), (_, other)| one.rate_per_s.total_cmp(&other.rate_per_s)).map(|(number, _)| number)
}

/// Gets back who was lost in the step before, sends at `rate_per_s` and tells how it went.
fn step(fleet: &Fleet, args: &SaturateArgs, rate_per_s: f64) -> Result<SaturateStep> {
    muster(fleet)?;
    fleet.turn_page()?;
    let before = (fleet.totals(), Sight::read(args.server.server_pid)?);
    let seconds = sending::send(fleet, rate_per_s, args.step, args.drain)?;
    let after = (fleet.totals(), Sight::read(args.server.server_pid)?);
    ensure!(fleet.is_afloat(), "a fleet thread has ended early");
    let page = fleet.turn_page()?;
    let messages = accounting::of_span(&before.0, &after.0, &page);
    let usage = before.1.server.as_ref().zip(after.1.server.as_ref());
    let own = after.1.own.usage_since(&before.1.own);
    let mut step = SaturateStep {
        rate_per_s,
        seconds,
        deliveries_per_s: messages.delivered as f64 / seconds.max(f64::MIN_POSITIVE),
        messages,
        dropped: after.0.dropped - before.0.dropped,
        latency: page.delivery.percentiles(),
        lateness: page.lateness.percentiles(),
        server: usage.map(|(before, after)| accounting::cost(after.usage_since(before), messages.delivered)),
        tester_busiest: own.busiest_thread,
        broken_by: None,
    };
    step.broken_by = broken_by(&step, &page, args.p99_ms);
    Ok(step)
}

/// Connects the seats that were lost, if any were.
fn muster(fleet: &Fleet) -> Result<()> {
    let Totals { ready, dropped, parted, .. } = fleet.totals();
    let seats = u64::from(fleet.plan().seating.seats());
    let gone = seats.saturating_sub(ready - dropped - parted);
    if gone > 0 {
        let settled = fleet.totals().settled();
        fleet.reconnect(Moment::now())?;
        scenario::settle(fleet, "coming back", settled + gone, fleet.plan().connect_timeout);
    }
    Ok(())
}

/// Why `step` does not hold, if it does not.
fn broken_by(step: &SaturateStep, page: &Ledger, p99_ms: f64) -> Option<String> {
    let messages = &step.messages;
    let amiss = messages.doubled + messages.reordered + messages.misrouted;
    let reasons: Vec<&str> = page.drops.by_name().keys().map(String::as_str).collect();
    if step.dropped > 0 {
        Some(format!("{} connections lost: {}", step.dropped, reasons.join("; ")))
    } else if messages.lost + messages.unsent > 0 {
        Some(format!("{} lost, {} unsent", messages.lost, messages.unsent))
    } else if amiss > 0 {
        Some(format!("{amiss} doubled, reordered or misrouted"))
    } else if page.refusals.total() > 0 {
        Some(format!("{} refused", page.refusals.total()))
    } else if step.latency.p99_ms > p99_ms {
        Some("too late".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Scenario};
    use clap::Parser;

    /// The rates of all steps if everything up to `limit` holds.
    fn check(limit: f64, flags: &[&str], expected: &[f64]) {
        let line = [&["realtime-loadtest", "saturate", "--insecure"], flags].concat();
        let Scenario::Saturate(args) = Cli::parse_from(line).scenario else { panic!("asked for saturate") };
        let (mut span, mut bisections, mut rates) = (Span::default(), args.bisections, Vec::new());
        while let Some(rate) = next_rate(span, &mut bisections, &args).filter(|_| rates.len() < 20) {
            if rate <= limit {
                span.held = Some(rate)
            } else {
                span.broken = Some(rate)
            }
            rates.push(rate);
        }
        assert_eq!(rates, expected, "limit {limit}, {flags:?}");
    }

    #[test]
    fn steps_grow_until_one_does_not_hold_and_then_close_in() {
        check(500.0, &["--rate", "100", "--growth", "2"], &[100.0, 200.0, 400.0, 800.0, 600.0]);
        check(700.0, &["--rate", "100", "--growth", "2", "--bisections", "0"], &[100.0, 200.0, 400.0, 800.0]);
        let closer = ["--rate", "400", "--growth", "2", "--bisections", "3"];
        check(700.0, &closer, &[400.0, 800.0, 600.0, 700.0, 750.0]);
        check(50.0, &["--rate", "100"], &[100.0]);
    }
}
