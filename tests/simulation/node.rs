//! A whole node in one thread: its shards, the mail between them, and what one input makes a shard do. It obeys
//! the rule by which cores never wait for each other: results are always taken, requests while no result is held,
//! sockets while nothing is held.

use std::sync::Arc;

use core_shards::{
    CoreId, Event, Holdings, Identity, Limits, MailClass, Now, Outputs, Placement, SessionId, Shard,
    ShardMetrics, metrics::Counter, outputs::Arena,
};
use protocol::codes::ErrorCode;
use protocol::json::Validator;

use crate::client::{Packet, Seat};
use crate::faults::{Fault, Faults};
use crate::lanes::Lanes;

/// Bytes of frames that one input may lead to with the few users and short names of a simulation.
const INPUT_BYTES_MAX: usize = 32 * 1024;

/// One thing that happens to a core.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Connect(Seat, Identity),
    Packet(Seat, &'a Packet),
    Refresh(Seat, Result<Identity, (ErrorCode, &'static str)>, Option<u64>),
    Disconnect(Seat),
    Letter { from: usize, class: MailClass },
    Time,
}

impl Input<'_> {
    /// Tells the kinds apart in a digest.
    pub(crate) fn number(&self) -> u8 {
        match self {
            Self::Connect(..) => 0,
            Self::Packet(..) => 1,
            Self::Refresh(..) => 2,
            Self::Disconnect(_) => 3,
            Self::Letter { class: MailClass::Request, .. } => 4,
            Self::Letter { class: MailClass::Result, .. } => 5,
            Self::Time => 6,
        }
    }
}

/// Frames and the slots that they go to.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) slots: Vec<u32>,
    pub(crate) frames: Vec<u8>,
    /// A broadcast to the members of a room.
    pub(crate) is_shared: bool,
}

#[derive(Debug)]
struct Core {
    id: CoreId,
    shard: Shard,
    outputs: Outputs,
    metrics: Arc<ShardMetrics>,
}

/// The cores and lanes of one node.
pub(crate) struct Node {
    cores: Vec<Core>,
    pub(crate) lanes: Lanes,
    pub(crate) faults: Faults,
    pub(crate) placement: Placement,
    validator: Validator,
    letters_per_input_max: usize,
}

impl Node {
    pub(crate) fn new(
        core_count: u16,
        letters_max: usize,
        limits: &Limits,
        seed: u64,
        fault: Option<Fault>,
        now: Now,
    ) -> Self {
        let placement = Placement::new(core_count, (seed, seed ^ 0x5eed));
        let core = |core: u16| {
            let metrics = Arc::new(ShardMetrics::default());
            let shard_seed = seed.rotate_left(u32::from(core)) ^ u64::from(core);
            let shard = Shard::new(CoreId(core), placement, limits.clone(), metrics.clone(), shard_seed, now);
            Core { id: CoreId(core), shard, outputs: Outputs::default(), metrics }
        };
        Self {
            cores: (0..core_count).map(core).collect(),
            lanes: Lanes::new(core_count.into(), letters_max),
            faults: Faults::new(fault, seed),
            placement,
            validator: Validator::new(),
            letters_per_input_max: limits.channels_per_session_max.max(core_count.into()),
        }
    }

    pub(crate) fn core_count(&self) -> usize {
        self.cores.len()
    }

    /// Whether a core has room for what letters of a class lead to.
    pub(crate) fn takes_letters(&mut self, core: usize, class: MailClass) -> bool {
        match class {
            MailClass::Result => true,
            MailClass::Request if self.lanes.held_by(core, MailClass::Result) > 0 => false,
            MailClass::Request => self.takes_packets(core) || !self.faults.waits_for_all_lanes(),
        }
    }

    /// Whether a core has room for what its sockets lead to: they beget mail of both classes.
    pub(crate) fn takes_packets(&self, core: usize) -> bool {
        [MailClass::Request, MailClass::Result].iter().all(|class| self.lanes.held_by(core, *class) == 0)
    }

    /// Gives an input to a core, posts the mail that follows and returns the frames in order.
    /// `live_slots` are the slots of the core that have a session.
    pub(crate) fn handle(
        &mut self,
        core: usize,
        input: Input<'_>,
        live_slots: &[u32],
        now: Now,
    ) -> Result<Vec<Delivered>, String> {
        let sender = if let Input::Letter { from, .. } = input { from } else { core };
        let sender = self.cores[sender].id;
        let Core { shard, outputs, .. } = &mut self.cores[core];
        match input {
            Input::Connect(seat, identity) => shard.handle_connect(session(seat), identity, now, outputs),
            Input::Packet(seat, packet) => {
                let arguments = self.validator.check(&packet.text).map_err(|error| error.to_string())?;
                let event = Event { arguments, ack: packet.ack, attachments: &packet.attachments };
                shard.handle_event(session(seat), &event, now, outputs);
            }
            Input::Refresh(seat, verdict, ack) => {
                shard.handle_refresh(session(seat), verdict, ack, now, outputs);
            }
            Input::Disconnect(seat) => shard.handle_disconnect(session(seat), now, outputs),
            Input::Letter { from, class } => {
                let letter = self.lanes.take(from, core, class).ok_or("a letter that was seen is gone")?;
                shard.handle_mail(sender, letter, now, outputs);
            }
            Input::Time => shard.handle_time(now, outputs),
        }
        self.carry_out(core, live_slots)
    }

    fn carry_out(&mut self, core: usize, live_slots: &[u32]) -> Result<Vec<Delivered>, String> {
        let outputs = &mut self.cores[core].outputs;
        let mut deliveries = Vec::new();
        outputs.take_deliveries(|frame, slots| deliveries.push((frame, slots.to_vec())));
        let delivered = |(frame, slots)| Delivered {
            slots,
            frames: outputs.bytes(frame).to_vec(),
            is_shared: frame.arena == Arena::Shared,
        };
        let mut frames: Vec<Delivered> = deliveries.into_iter().map(delivered).collect();
        if outputs.arena_bytes() > INPUT_BYTES_MAX {
            return Err(format!("{} bytes of frames from one input", outputs.arena_bytes()));
        }
        outputs.clear_frames();
        outputs.take_latency_marks();
        if let Some((_, reason)) = outputs.take_closes().next() {
            return Err(format!("a session is closed for no reason: {reason:?}"));
        }
        let letters: Vec<_> = outputs.take_mail().collect();
        if letters.len() > self.letters_per_input_max {
            return Err(format!("{} letters from one input", letters.len()));
        }
        for (to, letter) in letters {
            self.lanes.post(core, to, letter, &mut self.faults);
        }
        self.lanes.check(2 * self.letters_per_input_max + self.core_count())?;
        self.faults.distort(&mut frames, live_slots);
        Ok(frames)
    }

    /// What all cores keep.
    pub(crate) fn holdings(&self) -> Holdings {
        let sum = |count: fn(&Holdings) -> usize| {
            self.cores.iter().map(|core| count(&core.shard.holdings())).sum::<usize>()
        };
        Holdings {
            sessions: sum(|held| held.sessions),
            users: sum(|held| held.users),
            rooms: sum(|held| held.rooms),
            homes: sum(|held| held.homes),
            receipts: sum(|held| held.receipts),
            deadlines: sum(|held| held.deadlines),
        }
    }

    /// A metric, summed over the cores as the scrape does.
    pub(crate) fn sum(&self, counter: impl Fn(&ShardMetrics) -> &Counter) -> u64 {
        self.cores.iter().map(|core| counter(&core.metrics).get()).sum()
    }
}

fn session(seat: Seat) -> SessionId {
    SessionId { slot: seat.slot, generation: seat.generation }
}
