//! The scenario `compare`: this project's server and the Node.js peer, the same load, in turns, one at a time.
//!
//! Each run starts a server of its own and ends it, so nothing is left over from the run before. Turns alternate
//! (ours, node, ours, node, …), so that whatever else the machine does meets both.

use std::fs;
use std::num::NonZeroU32;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::{CompareArgs, FanoutArgs, IdleArgs, OutputArgs, ServerArgs};
use crate::compare::cpus::{Affinity, pin};
use crate::compare::peer::{Kind, Peer};
use crate::compare::table::Comparison;
use crate::report::{FanoutReport, IdleReport, write_json};
use crate::{fanout, idle};

mod cpus;
mod machine;
mod peer;
mod table;

/// The secret that both servers check tokens with.
const SECRET: &str = "comparison-secret-of-32-bytes-or-more";

/// One turn of one server: both scenarios.
pub struct Turn {
    /// What idle connections cost.
    pub idle: IdleReport,
    /// What deliveries cost.
    pub fanout: FanoutReport,
}

/// A report with the turn that it is from.
#[derive(Serialize)]
struct Entry<'a, Report> {
    peer: &'static str,
    round: u32,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs the comparison and prints it; always true, it has no objectives.
///
/// # Errors
/// If a server does not start or a run could not be made.
pub fn main(args: &CompareArgs) -> Result<bool> {
    let affinity = Affinity::new(args.server_cpus.as_deref(), args.client_cpus.as_deref())?;
    pin(affinity.client.as_ref())?;
    let mut comparison = Comparison::default();
    for round in 1..=args.rounds.get() {
        for kind in [Kind::Ours, Kind::Node] {
            eprintln!("round {round} of {}: {}", args.rounds, kind.name());
            let turn = take_turn(args, kind, &affinity)?;
            if let Some(file) = &args.output.json {
                write_json(file, &Entry { peer: kind.name(), round, report: &turn.idle })?;
                write_json(file, &Entry { peer: kind.name(), round, report: &turn.fanout })?;
            }
            comparison.enter(kind, &turn);
        }
    }
    let text = format!("{}\n{comparison}", machine::conditions(args));
    println!("{text}");
    if let Some(file) = &args.markdown {
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(true)
}

/// Runs both scenarios against a server of `kind`, each against a fresh process.
fn take_turn(args: &CompareArgs, kind: Kind, affinity: &Affinity) -> Result<Turn> {
    let peer = Peer::start(args, kind, affinity, SECRET)?;
    let idle = idle::run(&idle_args(args, &peer))?;
    peer.stop()?;
    let peer = Peer::start(args, kind, affinity, SECRET)?;
    let fanout = fanout::run(&fanout_args(args, &peer))?;
    peer.stop()?;
    Ok(Turn { idle, fanout })
}

fn idle_args(args: &CompareArgs, peer: &Peer) -> IdleArgs {
    IdleArgs {
        server: server_args(peer),
        client: args.client.clone(),
        connections: args.connections,
        join_per_channel: args.members.get(),
        hold: args.hold,
        max_bytes: None,
        max_failed: None,
        output: OutputArgs { json: None },
    }
}

fn fanout_args(args: &CompareArgs, peer: &Peer) -> FanoutArgs {
    let rooms = args.connections.get() / args.members;
    FanoutArgs {
        server: server_args(peer),
        client: args.client.clone(),
        rooms: NonZeroU32::new(rooms).unwrap_or(NonZeroU32::MIN),
        members: args.members,
        load: args.load.clone(),
        p99_ms: None,
        max_lost: None,
        max_doubled: None,
        max_reordered: None,
        max_failed: None,
        output: OutputArgs { json: None },
    }
}

fn server_args(peer: &Peer) -> ServerArgs {
    ServerArgs {
        url: peer.url(),
        secret: Some(SECRET.to_owned()),
        insecure: false,
        server_pid: Some(peer.pid()),
    }
}
