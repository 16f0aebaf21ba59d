//! A whole node in one thread: its shards, the mail between them, and what one input makes a shard do. It obeys
//! the rule by which cores never wait for each other: results are always taken, requests while no result is held,
//! sockets while nothing is held.

use std::sync::Arc;

use core_shards::{
    ChannelName, CoreId, Ending, Event, Holdings, Identity, Limits, Mail, MailClass, Newcomer, Now, Outputs,
    Placement, Question, SessionId, Shard, ShardMetrics, UserId, Verdict, metrics::Counter, outputs::Arena,
};
use protocol::codes::{CloseReason, ErrorCode};
use protocol::json::Validator;

use crate::client::{Packet, Seat};
use crate::faults::{Fault, Faults};
use crate::lanes::Lanes;

/// Bytes of frames that one input may lead to with the few users and short names of a simulation.
const INPUT_BYTES_MAX: usize = 256 * 1024;

/// Letters that one input may lead to: the end of many sessions at once is the most.
const INPUT_LETTERS_MAX: usize = 1_000;

/// One thing that happens to a core.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Connect(Seat, Newcomer),
    Packet(Seat, &'a Packet),
    Refresh(Seat, Result<Identity, (ErrorCode, &'static str)>, Option<u64>),
    Disconnect(Seat, Ending),
    Letter(Mail, usize),
    Verdict(Question, Verdict),
    Revocation(Option<UserId>, Option<ChannelName>),
    Time,
}

impl Input<'_> {
    /// Tells the kinds apart in a digest.
    pub(crate) fn number(&self) -> u8 {
        match self {
            Self::Connect(..) => 0,
            Self::Packet(..) => 1,
            Self::Refresh(..) => 2,
            Self::Disconnect(..) => 3,
            Self::Letter(letter, _) if letter.class() == MailClass::Request => 4,
            Self::Letter(..) => 5,
            Self::Time => 6,
            Self::Verdict(..) => 7,
            Self::Revocation(..) => 8,
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

/// What one input made a shard do, mail aside.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) closes: Vec<(SessionId, CloseReason)>,
    pub(crate) questions: Vec<Question>,
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
            letters_per_input_max: 0,
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

    /// Whether a core wants to be woken by now.
    pub(crate) fn is_due(&mut self, core: usize, now: Now) -> bool {
        let deadline_ms = self.cores[core].shard.next_deadline_ms();
        deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now.monotonic_ms()) && !self.faults.oversleeps()
    }

    /// Gives an input to a core, posts the mail that follows and returns the frames in order.
    /// `live_slots` are the slots of the core that have a session.
    pub(crate) fn handle(
        &mut self,
        core: usize,
        input: Input<'_>,
        live_slots: &[u32],
        now: Now,
    ) -> Result<Effects, String> {
        let sender = if let Input::Letter(_, from) = input { from } else { core };
        let sender = self.cores[sender].id;
        let is_result = matches!(&input, Input::Letter(letter, _) if letter.class() == MailClass::Result);
        let Core { shard, outputs, .. } = &mut self.cores[core];
        match input {
            Input::Connect(seat, newcomer) => shard.handle_connect(session(seat), newcomer, now, outputs),
            Input::Packet(seat, packet) => {
                let arguments = self.validator.check(&packet.text).map_err(|error| error.to_string())?;
                let event = Event { arguments, ack: packet.ack, attachments: &packet.attachments };
                shard.handle_event(session(seat), &event, now, outputs);
            }
            Input::Refresh(seat, verdict, ack) => {
                shard.handle_refresh(session(seat), verdict, ack, now, outputs);
            }
            Input::Disconnect(seat, ending) => shard.handle_disconnect(session(seat), ending, now, outputs),
            Input::Letter(letter, _) => shard.handle_mail(sender, letter, now, outputs),
            Input::Verdict(question, verdict) => shard.handle_verdict(question, &verdict, now, outputs),
            Input::Revocation(user, channel) => shard.handle_revocation(user, channel, now, outputs),
            Input::Time => shard.handle_time(now, outputs),
        }
        self.carry_out(core, live_slots, is_result)
    }

    fn carry_out(&mut self, core: usize, live_slots: &[u32], is_result: bool) -> Result<Effects, String> {
        let Core { shard, outputs, .. } = &mut self.cores[core];
        let questions = shard.take_questions();
        let mut deliveries = Vec::new();
        outputs.take_deliveries(|frame, slots| deliveries.push((frame, slots.to_vec())));
        let delivered = |(frame, slots)| Delivered {
            slots,
            frames: outputs.bytes(frame).to_vec(),
            is_shared: frame.arena == Arena::Shared,
        };
        let mut delivered: Vec<Delivered> = deliveries.into_iter().map(delivered).collect();
        if outputs.arena_bytes() > INPUT_BYTES_MAX {
            return Err(format!("{} bytes of frames from one input", outputs.arena_bytes()));
        }
        outputs.clear_frames();
        outputs.take_latency_marks();
        let closes = outputs.take_closes().collect();
        let letters: Vec<_> = outputs.take_mail().collect();
        if is_result && !letters.is_empty() {
            return Err(format!("a result begot {letters:?}"));
        }
        if letters.len() > INPUT_LETTERS_MAX {
            return Err(format!("{} letters from one input", letters.len()));
        }
        self.letters_per_input_max = self.letters_per_input_max.max(letters.len());
        for (to, letter) in letters {
            self.lanes.post(core, to, letter, &mut self.faults);
        }
        // Answers to questions that wait in full lanes are requests, too, and held beside what one input begot.
        let asked_max = self.core_count() * (1 + self.lanes.letters_max);
        self.lanes.check(2 * self.letters_per_input_max + asked_max)?;
        self.faults.distort(&mut delivered, live_slots);
        Ok(Effects { delivered, closes, questions })
    }

    /// What all cores keep.
    pub(crate) fn holdings(&self) -> Vec<Holdings> {
        self.cores.iter().map(|core| core.shard.holdings()).collect()
    }

    /// A metric, summed over the cores as the scrape does.
    pub(crate) fn sum(&self, counter: impl Fn(&ShardMetrics) -> &Counter) -> u64 {
        self.cores.iter().map(|core| counter(&core.metrics).get()).sum()
    }
}

fn session(seat: Seat) -> SessionId {
    SessionId { slot: seat.slot, generation: seat.generation }
}
