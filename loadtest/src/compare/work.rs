//! The works that servers are compared on: how large each is, and the scenario that it is a run of.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::cli::{
    BoundArgs, ClientArgs, CompareArgs, FanoutArgs, IdleArgs, LoadArgs, OutputArgs, SaturateArgs, ServerArgs,
    StormArgs,
};
use crate::compare::finding::Finding;
use crate::compare::lineup::Peer;
use crate::dialect::Dialect;
use crate::fleet::Parting;
use crate::scenario::{fanout, idle, saturate, storm};
use crate::target::Transport;

/// Bytes of content per message.
const CONTENT_BYTES: usize = 128;
/// How long the last messages of a run may take.
const DRAIN: Duration = Duration::from_secs(15);
/// Single runs write no reports of their own.
const NOWHERE: OutputArgs = OutputArgs { json: None, report: None, plots: None };
/// Members of a small room.
const FEW: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
/// Members of a room that spans two nodes.
const PAIR: NonZeroU32 = NonZeroU32::new(2).expect("2 is not 0");
/// How many times as fast small rooms begin to saturate as a large one.
const RELAY_STEP: f64 = 40.0;

/// One work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// One room of 1,000 members, as many messages as go through with p99 <= 50 ms
    #[value(name = "fanout-1x1000-saturated")]
    Saturated,
    /// One room of 1,000 members, 100 messages a second
    #[value(name = "fanout-1x1000-100")]
    OneRoom,
    /// 1,000 rooms of 10 members, 5,000 messages a second
    #[value(name = "fanout-1000x10")]
    ManyRooms,
    /// 100 rooms of 10 members, 500 messages a second, over long-polling
    #[value(name = "fanout-polling")]
    Polling,
    /// Rooms of 2 whose members sit at two nodes, as many messages as go through with p99 <= 50 ms
    #[value(name = "relay-saturated")]
    RelaySaturated,
    /// 100 rooms of 10 whose members sit at two nodes, 500 messages a second
    #[value(name = "relay-100x10")]
    Relay,
    /// 1,000 rooms of 2 whose members sit at two nodes, 10,000 messages a second
    #[value(name = "relay-10000")]
    RelayBusy,
    /// Everybody loses the connection and comes back at once
    Storm,
    /// 10,000 connections (--connections) that do nothing
    Idle,
    /// 18,000 connections that do nothing
    #[value(name = "idle-18000")]
    IdleLarge,
}

/// How large the works are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) large_room: NonZeroU32,
    pub(super) large_room_rate: f64,
    pub(super) small_rooms: NonZeroU32,
    pub(super) small_rooms_rate: f64,
    pub(super) polled_rooms: NonZeroU32,
    pub(super) polled_rooms_rate: f64,
    pub(super) relay_rate: f64,
    pub(super) crowd: NonZeroU32,
    pub(super) large_crowd: NonZeroU32,
    pub(super) storms: NonZeroU32,
    pub(super) duration: Duration,
    pub(super) hold: Duration,
    /// The first step of a saturation, in messages a second.
    pub(super) first_step: f64,
    pub(super) steps_max: NonZeroU32,
    pub(super) tries: NonZeroU32,
    pub(super) step: Duration,
    /// A step that is slower than this does not hold.
    pub(super) p99_ms: f64,
}

impl Extent {
    /// The extent that `args` ask for.
    pub(super) fn new(args: &CompareArgs) -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        if args.short {
            return Self {
                large_room: number(200),
                large_room_rate: 50.0,
                small_rooms: number(40),
                small_rooms_rate: 200.0,
                polled_rooms: number(20),
                polled_rooms_rate: 100.0,
                relay_rate: 200.0,
                crowd: number(300),
                large_crowd: number(600),
                storms: number(1),
                duration: Duration::from_secs(2),
                hold: Duration::from_secs(1),
                first_step: 100.0,
                steps_max: number(2),
                tries: number(1),
                step: Duration::from_secs(1),
                // Slow is not wrong.
                p99_ms: 60_000.0,
            };
        }
        Self {
            large_room: number(1000),
            large_room_rate: 100.0,
            small_rooms: number(1000),
            small_rooms_rate: 5000.0,
            polled_rooms: number(100),
            polled_rooms_rate: 500.0,
            relay_rate: 10_000.0,
            crowd: args.connections,
            large_crowd: number(18_000),
            storms: number(2),
            duration: args.duration,
            hold: args.hold,
            first_step: 25.0,
            steps_max: number(40),
            tries: number(2),
            step: Duration::from_secs(3),
            p99_ms: 50.0,
        }
    }
}

impl Work {
    /// What it is, with its numbers.
    pub(super) fn title(self, extent: &Extent) -> String {
        let Extent { large_room, small_rooms, crowd, large_crowd, .. } = extent;
        match self {
            Self::Saturated => format!("Fan-out, 1 room of {large_room}, saturated"),
            Self::OneRoom => {
                format!("Fan-out, 1 room of {large_room}, {} messages/s", extent.large_room_rate)
            }
            Self::ManyRooms => {
                format!("Fan-out, {small_rooms} rooms of {FEW}, {} messages/s", extent.small_rooms_rate)
            }
            Self::Polling => {
                let (rooms, rate) = (extent.polled_rooms, extent.polled_rooms_rate);
                format!("Fan-out over polling, {rooms} rooms of {FEW}, {rate} messages/s")
            }
            Self::RelaySaturated => format!("Two nodes, {small_rooms} rooms of {PAIR}, saturated"),
            Self::Relay => {
                let (rooms, rate) = (extent.polled_rooms, extent.polled_rooms_rate);
                format!("Two nodes, {rooms} rooms of {FEW}, {rate} messages/s")
            }
            Self::RelayBusy => {
                format!("Two nodes, {small_rooms} rooms of {PAIR}, {} messages/s", extent.relay_rate)
            }
            Self::Storm => format!("Storm, {crowd} connections"),
            Self::Idle => format!("Idle, {crowd} connections"),
            Self::IdleLarge => format!("Idle, {large_crowd} connections"),
        }
    }

    /// What is measured and how, in a sentence.
    pub(super) fn note(self, extent: &Extent) -> String {
        match self {
            Self::Saturated => format!(
                "The rate grows step by step until the slowest 1 % take longer than {} ms or a message is lost; the \
                 numbers are those of the best step that held.",
                extent.p99_ms
            ),
            Self::RelaySaturated => format!(
                "One core for each node, the members of a room at both. The rate grows step by step until the slowest \
                 1 % take longer than {} ms or a message is lost; the numbers are those of the best step that held.",
                extent.p99_ms
            ),
            Self::Relay | Self::RelayBusy => format!(
                "One core for each node, the members of a room at both. Sent on schedule for {:?}, {CONTENT_BYTES} \
                 bytes of content.",
                extent.duration
            ),
            Self::OneRoom | Self::ManyRooms | Self::Polling => format!(
                "Sent on schedule for {:?}, {CONTENT_BYTES} bytes of content; latency counts from when a message was \
                 due.",
                extent.duration
            ),
            Self::Storm => {
                "Everybody is authenticated and in a channel of 10, then all connections are cut at once and come back \
                 as fast as the server lets them; until all are in their channels again."
                    .to_owned()
            }
            Self::Idle | Self::IdleLarge => {
                format!("Authenticated, in channels of 10, held for {:?} with heartbeats.", extent.hold)
            }
        }
    }

    /// Whether `peer` can do it: only Socket.IO polls, a cluster needs all requests of a session at one process, and
    /// several nodes are compared with each other alone, but for the rate that others do not reach.
    pub(super) fn suits(self, peer: Peer) -> bool {
        match self {
            Self::Polling => {
                peer.dialect() == Dialect::Chat && peer != Peer::NodeCluster && !peer.shares_redis()
            }
            Self::RelaySaturated | Self::Relay => peer.shares_redis(),
            Self::RelayBusy => matches!(peer, Peer::RealtimeNodes | Peer::Realtime),
            _ => !peer.shares_redis(),
        }
    }

    /// Has the server at `server` do it.
    ///
    /// # Errors
    /// If the run could not be made.
    pub(super) fn run(self, extent: &Extent, server: ServerArgs, client: &ClientArgs) -> Result<Finding> {
        let client = client.clone();
        match self {
            Self::Saturated => {
                let args = saturate_args(extent, server, client, NonZeroU32::MIN, extent.large_room);
                saturate::run(&args).and_then(Finding::of_saturation)
            }
            Self::RelaySaturated => {
                let args = saturate_args(extent, server, client, extent.small_rooms, PAIR);
                let args = SaturateArgs { rate: extent.first_step * RELAY_STEP, ..args };
                saturate::run(&args).and_then(Finding::of_saturation)
            }
            Self::Relay => {
                let (rooms, rate) = (extent.polled_rooms, extent.polled_rooms_rate);
                let args = fanout_args(extent, server, client, rooms, FEW, rate);
                fanout::run(&args).and_then(Finding::of_fanout)
            }
            Self::RelayBusy => {
                let (rooms, rate) = (extent.small_rooms, extent.relay_rate);
                let args = fanout_args(extent, server, client, rooms, PAIR, rate);
                fanout::run(&args).and_then(Finding::of_fanout)
            }
            Self::OneRoom => {
                let (members, rate) = (extent.large_room, extent.large_room_rate);
                let args = fanout_args(extent, server, client, NonZeroU32::MIN, members, rate);
                fanout::run(&args).and_then(Finding::of_fanout)
            }
            Self::ManyRooms => {
                let (rooms, rate) = (extent.small_rooms, extent.small_rooms_rate);
                let args = fanout_args(extent, server, client, rooms, FEW, rate);
                fanout::run(&args).and_then(Finding::of_fanout)
            }
            Self::Polling => {
                let (rooms, rate) = (extent.polled_rooms, extent.polled_rooms_rate);
                let server = ServerArgs { transport: Transport::Polling, ..server };
                let args = fanout_args(extent, server, client, rooms, FEW, rate);
                fanout::run(&args).and_then(Finding::of_fanout)
            }
            Self::Storm => storm::run(&storm_args(extent, server, client)).and_then(Finding::of_storm),
            Self::Idle => {
                idle::run(&idle_args(extent, server, client, extent.crowd)).and_then(Finding::of_idle)
            }
            Self::IdleLarge => {
                idle::run(&idle_args(extent, server, client, extent.large_crowd)).and_then(Finding::of_idle)
            }
        }
    }
}

fn saturate_args(
    extent: &Extent,
    server: ServerArgs,
    client: ClientArgs,
    rooms: NonZeroU32,
    members: NonZeroU32,
) -> SaturateArgs {
    SaturateArgs {
        server,
        client,
        rooms,
        members,
        rate: extent.first_step,
        growth: 1.5,
        bisections: 2,
        tries: extent.tries,
        steps_max: extent.steps_max,
        step: extent.step,
        drain: DRAIN,
        payload: CONTENT_BYTES,
        p99_ms: extent.p99_ms,
        min_deliveries: None,
        output: NOWHERE,
    }
}

fn fanout_args(
    extent: &Extent,
    server: ServerArgs,
    client: ClientArgs,
    rooms: NonZeroU32,
    members: NonZeroU32,
    rate: f64,
) -> FanoutArgs {
    FanoutArgs {
        server,
        client,
        rooms,
        members,
        load: LoadArgs {
            rate,
            payload: CONTENT_BYTES,
            duration: extent.duration,
            drain: DRAIN,
            acks: false,
            client_ids: false,
        },
        p99_ms: None,
        bounds: BoundArgs::default(),
        output: NOWHERE,
    }
}

fn storm_args(extent: &Extent, server: ServerArgs, client: ClientArgs) -> StormArgs {
    StormArgs {
        server,
        client,
        connections: extent.crowd,
        members: FEW,
        parting: Parting::Cut,
        resume: false,
        rounds: extent.storms,
        calm: Duration::from_secs(1),
        back_ms: None,
        max_cpu_us: None,
        max_failed: None,
        output: NOWHERE,
    }
}

fn idle_args(extent: &Extent, server: ServerArgs, client: ClientArgs, connections: NonZeroU32) -> IdleArgs {
    IdleArgs {
        server,
        client,
        connections,
        join_per_channel: FEW.get(),
        hold: extent.hold,
        max_bytes: None,
        max_failed: None,
        output: NOWHERE,
    }
}
