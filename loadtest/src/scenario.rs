//! What all scenarios do: make a plan, get everybody connected, watch the server and the tester.

use std::num::NonZeroU32;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli::{ClientArgs, LoadArgs, ServerArgs};
use crate::clock::Moment;
use crate::descriptors;
use crate::dialect::{Channels, MessageForm};
use crate::fleet::{Fleet, Plan, Totals};
use crate::ledger::Ledger;
use crate::progress::Progress;
use crate::report::{Connections, Tester};
use crate::sampling::Sample;
use crate::sampling::series::Series;
use crate::seating::Seating;
use crate::sources::Sources;
use crate::target::{Target, Transport};
use crate::token::Identity;

mod accounting;
pub mod churn;
pub mod fanout;
pub mod idle;
pub mod jitter;
pub mod rest;
pub mod saturate;
mod sending;
pub mod slow;
pub mod storm;

/// How often a scenario looks at its fleet.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How much longer than the connect timeout the whole ramp waits for its last connections.
const SETTLE_GRACE: Duration = Duration::from_secs(5);

/// The server and the tester at one moment.
pub struct Sight {
    /// The server, if its process is known.
    pub server: Option<Sample>,
    /// The tester.
    pub own: Sample,
}

impl Sight {
    /// Reads both.
    ///
    /// # Errors
    /// If the server's process is not there.
    pub fn read(server_pid: Option<u32>) -> Result<Self> {
        Ok(Self { server: server_pid.map(Sample::read).transpose()?, own: Sample::own()? })
    }
}

/// What every report says beside what its scenario is about.
pub struct Surroundings {
    /// How connecting went.
    pub connections: Connections,
    /// What the tester used.
    pub tester: Tester,
    /// The run over time.
    pub series: Series,
}

/// Makes the plan of a run with `seats` connections in rooms of `members`, and room for that many open files.
///
/// # Errors
/// If the server's address cannot be resolved or the limit on open files is too low.
pub fn plan(
    server: &ServerArgs,
    client: &ClientArgs,
    seats: u32,
    members: NonZeroU32,
    load: Option<&LoadArgs>,
) -> Result<Plan> {
    let sockets = if server.transport == Transport::Polling { 2 } else { 1 };
    descriptors::reserve(seats.saturating_mul(sockets))?;
    let run = run_number();
    let target = Target::new(&server.url, server.dialect, server.transport)?;
    Ok(Plan {
        sources: Sources::new(target.address(), client.sources, seats, run),
        target,
        identity: server.secret.clone().map_or(Identity::Claimed, Identity::Signed),
        channels: Channels::new(&format!("{run:x}")),
        seating: Seating::new(seats, members, client.threads()),
        joins: true,
        resumes: false,
        slowness: None,
        form: MessageForm {
            dialect: server.dialect,
            content_bytes: load.map_or(0, |load| load.payload),
            acks: load.is_some_and(|load| load.acks),
            client_ids: load.is_some_and(|load| load.client_ids),
        },
        connects_per_s: client.connect_rate,
        connecting_max: client.connecting_max,
        connect_timeout: client.connect_timeout,
    })
}

/// Connects everybody and waits until it is known of each connection how it went; returns how long that took.
///
/// # Errors
/// If a thread of the fleet fails, or if no connection at all became ready, with the reasons.
pub fn connect_all(fleet: Fleet) -> Result<(Fleet, Duration)> {
    let plan = fleet.plan();
    let seats = u64::from(plan.seating.seats());
    let ramp = Duration::from_secs_f64(seats as f64 / plan.connects_per_s);
    let latest = ramp + plan.connect_timeout + SETTLE_GRACE;
    let start = Moment::now();
    fleet.connect()?;
    let settled = settle(&fleet, "connecting", seats, latest);
    let took = Moment::now().since(start);
    if !fleet.is_afloat() || settled.ready == 0 {
        let outcome = fleet.leave()?;
        bail!("none of {seats} connections became ready: {:?}", outcome.ledger.failures.by_name());
    }
    Ok((fleet, took))
}

/// Waits until `connections` of the whole run so far are ready or have failed, or for `limit` at the longest; returns
/// what it saw last.
pub fn settle(fleet: &Fleet, phase: &'static str, connections: u64, limit: Duration) -> Totals {
    let before = fleet.totals().settled();
    let progress = Progress::begin(phase, connections.saturating_sub(before));
    wait(fleet, limit, |totals| {
        progress.show(totals.settled().saturating_sub(before));
        totals.settled() >= connections
    })
}

/// Looks at the fleet again and again until `done` or for `limit` at the longest; returns what it saw last.
pub fn wait(fleet: &Fleet, limit: Duration, mut done: impl FnMut(&Totals) -> bool) -> Totals {
    let start = Moment::now();
    loop {
        let totals = fleet.totals();
        if done(&totals) || Moment::now().since(start) >= limit || !fleet.is_afloat() {
            return totals;
        }
        sleep(LOOK_INTERVAL);
    }
}

/// What the report says of the connections.
pub fn connections(wanted: u32, ramp: Duration, totals: &Totals, ledger: &Ledger) -> Connections {
    let failed = u64::from(wanted).saturating_sub(totals.ready);
    Connections {
        wanted: wanted.into(),
        ready: totals.ready,
        failed,
        dropped: totals.dropped,
        ramp_s: ramp.as_secs_f64(),
        connect: ledger.connect.percentiles(),
        connect_curve: ledger.connect.curve(),
        failures: ledger.failures.by_name().clone(),
        drops: ledger.drops.by_name().clone(),
    }
}

/// A number that no other run on this machine has at about the same time.
fn run_number() -> u32 {
    (Moment::now().0 >> 20) as u32 ^ std::process::id().rotate_left(16)
}

/// The product of rooms and members.
///
/// # Errors
/// If it is more connections than can be numbered.
pub fn seats(rooms: NonZeroU32, members: NonZeroU32) -> Result<u32> {
    rooms.get().checked_mul(members.get()).context("rooms x members is more than 4 billion")
}
