//! The scenario `rest`: a back end posts messages on a fixed schedule; members on sockets and readers without one
//! must get every message, once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::cli::RestArgs;
use crate::clock::Moment;
use crate::dialect::Dialect;
use crate::fleet::Fleet;
use crate::http::Caller;
use crate::ledger::Ledger;
use crate::objectives::{Objective, P99_LATENCY};
use crate::progress::Progress;
use crate::report::conclusion::conclude;
use crate::report::rest::{RestReport, RestServer};
use crate::report::{Messages, Tester};
use crate::sampling::Usage;
use crate::sampling::sampler::Sampler;
use crate::scenario::{self, Sight, accounting};
use crate::schedule::Schedule;
use crate::seating::Room;

mod poller;
mod poster;

use poller::{Polled, Poller, Watchword};
use poster::{Posted, Poster};

/// From the beginning of the posters until the first message is due, so that no connection is late from the start.
const HEAD_START: Duration = Duration::from_millis(100);
/// How late a poster may be with a message before it gives it up.
const LATE_MAX: Duration = Duration::from_secs(30);
/// How long a post may take until it is tried again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long pollers may take until all of them know where to begin.
const POLLERS_START_MAX: Duration = Duration::from_secs(20);
/// The most readers without a socket; each is a thread of the tester.
const POLLERS_MAX: u32 = 1024;
/// The stack of a thread with one connection, in bytes.
const STACK_BYTES: usize = 256 * 1024;

/// Runs the scenario and prints its report; true if all objectives were met.
///
/// # Errors
/// If the run could not be made.
pub fn main(args: &RestArgs) -> Result<bool> {
    let report = run(args)?;
    let failed = report.connections.failed + report.connections.dropped;
    let cpu_us = report.server.map(|server| server.cpu_us_per_request);
    let polled = &report.polled;
    let everybody = Messages {
        lost: report.messages.lost + polled.lost,
        doubled: report.messages.doubled + polled.doubled,
        reordered: report.messages.reordered + polled.reordered,
        ..report.messages
    };
    let objectives = [
        Objective::new(P99_LATENCY, " ms", args.p99_ms, report.latency.known_p99_ms()),
        Objective::new("p99 of answers", " ms", args.answer_p99_ms, report.answer.known_p99_ms()),
        Objective::new("server CPU per request", " us", args.max_cpu_us, cpu_us),
    ];
    let common = accounting::objectives(&args.bounds, &everybody, failed);
    conclude(&args.output, &report, objectives.into_iter().chain(common))
}

/// Connects, posts and measures.
///
/// # Errors
/// If the run could not be made.
pub fn run(args: &RestArgs) -> Result<RestReport> {
    ensure!(args.server.dialect == Dialect::default(), "only servers that speak the chat dialect have REST");
    let seats = scenario::seats(args.rooms, args.members)?;
    let fleet = Fleet::launch(scenario::plan(&args.server, &args.client, seats, args.members, None)?)?;
    let launched = Sight::read(None)?;
    let sampler = Sampler::begin(args.server.server_pid, fleet.watch())?;
    sampler.enter_phase("connecting");
    let (fleet, ramp) = scenario::connect_all(fleet)?;

    let connected = Sight::read(None)?;
    let readers = Readers::begin(args, &fleet)?;
    sampler.enter_phase("posting");
    let before = Sight::read(args.server.server_pid)?;
    let (posted, seconds) = post_all(args, &fleet)?;
    let after = Sight::read(args.server.server_pid)?;
    let polls = readers.finish()?;
    let series = sampler.finish()?;

    let (totals, threads) = (fleet.totals(), fleet.plan().seating.threads());
    let outcome = fleet.leave_after(&posted.accepted)?;
    // What the tester needs for each connection is that of the members; those who post and poll are threads.
    let own = Usage { rss_kib: connected.own.rss_kib, ..after.own.usage_since(&before.own) };
    let usage =
        before.server.as_ref().zip(after.server.as_ref()).map(|(before, after)| after.usage_since(before));
    let messages = Messages { unsent: posted.unsent, ..accounting::of_run(&outcome) };
    let (polled, poll_ledger) = sum(&polls, &posted);
    let mut refusals = posted.refusals.clone();
    polls.iter().for_each(|poll| refusals.merge(&poll.refusals));
    let requests = posted.requests + polls.iter().map(|poll| poll.requests).sum::<u64>();
    Ok(RestReport {
        scenario: "rest",
        url: args.server.url.clone(),
        rooms: args.rooms.get(),
        members: args.members.get(),
        posters: args.posters.min(args.rooms.get()),
        pollers: polls.len() as u32,
        rate_per_s: args.rate,
        payload_bytes: args.payload,
        seconds,
        requests,
        messages,
        polled,
        latency: outcome.ledger.delivery.percentiles(),
        latency_curve: outcome.ledger.delivery.curve(),
        answer: posted.answer.percentiles(),
        answer_curve: posted.answer.curve(),
        poll_latency: poll_ledger.delivery.percentiles(),
        poll_latency_curve: poll_ledger.delivery.curve(),
        lateness: posted.lateness.percentiles(),
        refusals: refusals.by_name().clone(),
        server: usage.map(|usage| cost(usage, requests)),
        tester: Tester::new(threads, &own, launched.own.rss_kib, totals.open())
            .sending(&posted.lateness.percentiles()),
        series,
        connections: scenario::connections(seats, ramp, &totals, &outcome.ledger),
    })
}

fn caller(args: &RestArgs, fleet: &Fleet, timeout: Duration) -> Caller {
    let target = &fleet.plan().target;
    Caller::new(target.address(), &target.host, args.api_key.as_deref(), timeout)
}

/// Posts the whole schedule and waits for the last delivery; also returns the seconds from the first message due.
fn post_all(args: &RestArgs, fleet: &Fleet) -> Result<(Posted, f64)> {
    let rooms = NonZeroU32::new(fleet.plan().seating.rooms()).context("a run has at least one room")?;
    let start = Moment::now() + HEAD_START;
    let schedule = Schedule::new(start, args.rate, args.duration, rooms);
    let settled = Arc::new(AtomicU64::new(0));
    let posters = args.posters.min(rooms.get());
    let threads = (0..posters).map(|number| {
        let poster = Poster {
            share: schedule.share(number, posters),
            caller: caller(args, fleet, ANSWER_TIMEOUT),
            channels: fleet.plan().channels.clone(),
            content_bytes: args.payload,
            latest: start + args.duration + LATE_MAX,
            free_since: start,
        };
        let settled = Arc::clone(&settled);
        spawn(format!("poster-{number}"), move || poster.run(rooms.get(), &settled))
    });
    let threads = threads.collect::<Result<Vec<_>>>()?;

    let progress = Progress::begin("posting", schedule.total());
    // A post takes no longer than its attempts, so the posters end by themselves.
    while threads.iter().any(|thread| !thread.is_finished()) {
        progress.show(settled.load(Ordering::Relaxed));
        thread::sleep(scenario::LOOK_INTERVAL);
    }
    drop(progress);
    let mut posted = Posted::to_rooms(rooms.get());
    for thread in threads {
        posted.merge(&thread.join().map_err(|_| anyhow!("a posting thread panicked"))?);
    }
    let seating = &fleet.plan().seating;
    let members = |room: usize| u64::from(seating.members(Room(room as u32)));
    let expected: u64 =
        posted.accepted.iter().enumerate().map(|(room, count)| u64::from(*count) * members(room)).sum();
    scenario::wait(fleet, args.drain, |totals| totals.delivered >= expected);
    Ok((posted, Moment::now().since(start).as_secs_f64()))
}

/// The readers without a socket.
struct Readers {
    watchword: Arc<Watchword>,
    threads: Vec<JoinHandle<Polled>>,
}

impl Readers {
    /// Starts them and waits until each of them knows where to begin.
    fn begin(args: &RestArgs, fleet: &Fleet) -> Result<Self> {
        let rooms = fleet.plan().seating.rooms();
        let readers = (f64::from(fleet.plan().seating.seats()) * args.poll_share).round() as u32;
        ensure!(readers <= POLLERS_MAX, "{readers} readers that poll are more than {POLLERS_MAX}");
        let watchword = Arc::new(Watchword::default());
        let timeout = ANSWER_TIMEOUT + Duration::from_secs(args.poll_wait.into());
        let threads = (0..readers).map(|number| {
            let room = Room(number % rooms);
            let poller = Poller {
                room,
                channel: fleet.plan().channels.name(room),
                caller: caller(args, fleet, timeout),
                wait_s: args.poll_wait,
            };
            let watchword = Arc::clone(&watchword);
            spawn(format!("poller-{number}"), move || poller.run(&watchword))
        });
        let threads = threads.collect::<Result<Vec<_>>>()?;
        let start = Moment::now();
        while watchword.began.load(Ordering::Acquire) < readers {
            ensure!(
                Moment::now().since(start) < POLLERS_START_MAX,
                "not all polls were answered: is the key right?"
            );
            thread::sleep(scenario::LOOK_INTERVAL);
        }
        Ok(Self { watchword, threads })
    }

    /// Tells them that nothing more will be said, and waits until each has read to the end.
    fn finish(self) -> Result<Vec<Polled>> {
        self.watchword.is_over.store(true, Ordering::Release);
        let joined =
            self.threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a reader panicked")));
        joined.collect()
    }
}

fn spawn<T: Send + 'static>(name: String, run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(run).context("cannot start a thread")
}

/// What became of the messages with those who polled.
fn sum(polls: &[Polled], posted: &Posted) -> (Messages, Ledger) {
    let mut ledger = Ledger::default();
    polls.iter().for_each(|poll| ledger.merge(&poll.ledger));
    let accepted = |poll: &Polled| posted.accepted.get(poll.room.0 as usize).copied().unwrap_or(0);
    let lost = || polls.iter().map(|poll| u64::from(poll.tally.lost(accepted(poll))));
    let messages = Messages {
        sent: posted.accepted.iter().copied().map(u64::from).sum(),
        unsent: 0,
        expected: polls.iter().map(|poll| u64::from(accepted(poll))).sum(),
        delivered: ledger.delivered,
        lost: lost().sum(),
        members_with_loss: lost().filter(|lost| *lost > 0).count() as u64,
        doubled: ledger.doubled,
        reordered: ledger.reordered,
        misrouted: ledger.misrouted,
    };
    (messages, ledger)
}

/// What `requests` cost the server, the deliveries to members included.
fn cost(usage: Usage, requests: u64) -> RestServer {
    let per_request = |seconds: f64| seconds * 1e6 / requests.max(1) as f64;
    RestServer {
        cpu_us_per_request: per_request(usage.cpu_s()),
        user_us_per_request: per_request(usage.user_s),
        system_us_per_request: per_request(usage.system_s),
        usage,
    }
}
