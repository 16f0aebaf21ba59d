//! Nodes of one or two cores: their shards, the letters between the cores of one node, and what comes out.

use std::collections::VecDeque;
use std::sync::Arc;

use core_shards::cursor::RunId;
use core_shards::{
    CoreId, Ending, Event, Identity, Limits, Mail, MailClass, Newcomer, Now, Outputs, Placement, SessionId,
    Shard, ShardMetrics, StoreEvent,
};
use protocol::json::Validator;
use protocol::websocket::frame;

use crate::faults::Faults;
use crate::store::{LineId, Store};

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) node: usize,
    pub(crate) core: usize,
    pub(crate) slot: u32,
}

/// A packet that a session was sent.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) seat: Seat,
    pub(crate) packet: String,
}

struct Core {
    shard: Shard,
    outputs: Outputs,
    line: LineId,
    pub(crate) metrics: Arc<ShardMetrics>,
    /// Letters from each core of the node, by class.
    lanes: Vec<[VecDeque<Mail>; 2]>,
}

/// One node.
pub(crate) struct Node {
    cores: Vec<Core>,
    pub(crate) placement: Placement,
    pub(crate) is_dead: bool,
    validator: Validator,
}

impl Node {
    pub(crate) fn new(core_count: u16, partitions: u16, seed: u64, now: Now, store: &mut Store) -> Self {
        let placement = Placement::new(core_count, (seed, seed ^ 0x5eed)).joined(partitions);
        let limits = Limits::default();
        let rate = core_shards::limits::RateLimits { is_enabled: false, ..limits.rate };
        let limits = Limits { rate, history_size_max: store.history_size_max, offline_life_ms: 0, ..limits };
        let cores = (0..core_count).map(|core| {
            let metrics = Arc::new(ShardMetrics::default());
            let shard = Shard::new(
                CoreId(core),
                placement,
                limits.clone(),
                metrics.clone(),
                seed ^ u64::from(core),
                now,
            );
            let line = store.add_line(RunId::from_random(placement.hash("run")), CoreId(core));
            let lanes = (0..core_count).map(|_| Default::default()).collect();
            Core { shard, outputs: Outputs::default(), line, metrics, lanes }
        });
        Self { cores: cores.collect(), placement, is_dead: false, validator: Validator::new() }
    }

    pub(crate) fn core_count(&self) -> usize {
        self.cores.len()
    }

    pub(crate) fn line(&self, core: usize) -> LineId {
        self.cores[core].line
    }

    pub(crate) fn metrics(&self, core: usize) -> &ShardMetrics {
        &self.cores[core].metrics
    }

    /// Publications and letters that wait for the store.
    pub(crate) fn waiting_count(&self) -> usize {
        self.cores.iter().map(|core| core.shard.holdings().store_waits).sum()
    }

    pub(crate) fn connect(&mut self, core: usize, session: SessionId, user: &str, now: Now) {
        let identity = Identity {
            user: user.into(),
            session: None,
            name: None,
            roles: Box::new([]),
            grants: None,
            expires_at_unix_ms: None,
        };
        let Core { shard, outputs, .. } = &mut self.cores[core];
        shard.handle_connect(session, Newcomer::plain(identity), now, outputs);
    }

    pub(crate) fn event(&mut self, core: usize, session: SessionId, text: &str, ack: Option<u64>, now: Now) {
        let arguments = self.validator.check(text).expect("tests write valid JSON");
        let Core { shard, outputs, .. } = &mut self.cores[core];
        shard.handle_event(session, &Event { arguments, ack, attachments: &[] }, now, outputs);
    }

    pub(crate) fn call(&mut self, core: usize, call: impl FnOnce(&mut Shard, &mut Outputs)) {
        let Core { shard, outputs, .. } = &mut self.cores[core];
        call(shard, outputs);
    }

    pub(crate) fn leave(&mut self, core: usize, session: SessionId, now: Now) {
        let Core { shard, outputs, .. } = &mut self.cores[core];
        shard.handle_disconnect(session, Ending::Left, now, outputs);
    }

    pub(crate) fn hear(&mut self, core: usize, event: StoreEvent, now: Now) {
        let Core { shard, outputs, .. } = &mut self.cores[core];
        shard.handle_store(event, now, outputs);
    }

    pub(crate) fn look_at_clock(&mut self, core: usize, now: Now) {
        let Core { shard, outputs, .. } = &mut self.cores[core];
        shard.handle_time(now, outputs);
    }

    /// The lanes with a letter, as core, sender and class.
    pub(crate) fn lanes(&self) -> Vec<(usize, usize, usize)> {
        let mut lanes = Vec::new();
        for (to, core) in self.cores.iter().enumerate() {
            for (from, classes) in core.lanes.iter().enumerate() {
                for (class, letters) in classes.iter().enumerate() {
                    if !letters.is_empty() {
                        lanes.push((to, from, class));
                    }
                }
            }
        }
        lanes
    }

    /// Opens the next letter of a lane.
    pub(crate) fn open(&mut self, (to, from, class): (usize, usize, usize), now: Now) {
        let core = &mut self.cores[to];
        if let Some(letter) = core.lanes[from][class].pop_front() {
            let sender = CoreId(u16::try_from(from).expect("a node has few cores"));
            core.shard.handle_mail(sender, letter, now, &mut core.outputs);
        }
    }

    /// Carries out what a core wants after an input: letters, requests to the store, packets for sessions.
    pub(crate) fn carry_out(
        &mut self,
        node: usize,
        core: usize,
        store: &mut Store,
        faults: &mut Faults,
    ) -> Vec<Told> {
        let Core { shard, outputs, line, .. } = &mut self.cores[core];
        for request in shard.take_store_requests() {
            store.ask(*line, request);
        }
        let mut deliveries = Vec::new();
        outputs.take_deliveries(|frame, slots| deliveries.push((frame, slots.to_vec())));
        let mut told = Vec::new();
        for (frame, slots) in deliveries {
            for (_, payload) in frame::frames(outputs.bytes(frame)) {
                let packet = String::from_utf8_lossy(payload).into_owned();
                for slot in &slots {
                    let seat = Seat { node, core, slot: *slot };
                    told.push(Told { seat, packet: packet.clone() });
                }
            }
        }
        outputs.clear_frames();
        outputs.take_latency_marks();
        outputs.take_answers().for_each(drop);
        let letters: Vec<_> = outputs.take_mail().collect();
        for (to, letter) in letters {
            if !faults.loses(&letter) {
                let class = usize::from(letter.class() == MailClass::Result);
                self.cores[to.index()].lanes[core][class].push_back(letter);
            }
        }
        told
    }
}
