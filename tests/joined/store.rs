//! A model of the store that nodes share: what its scripts do, one after the other, and connections that break. Small
//! enough to be believed, and as cruel as the real one: what was asked for may be done and not answered, the end of what was
//! appended may be lost without a trace, and memory may be refused.
//!
//! Does not know what channels mean; `memory` is what it keeps, `lines` how it is reached.

#[path = "store/lines.rs"]
mod lines;
#[path = "store/memory.rs"]
mod memory;

use core_shards::cursor::RunId;
use core_shards::store::{
    Append, CaughtUp, Opened, Refused, StoreEvent, StoreRequest, StoreTrouble, Stored, Topic, Unanswered,
};
use core_shards::{ChannelName, CoreId, Partition, Placement};

use lines::Line;
use memory::Memory;
pub(crate) use memory::copy;

/// One core of one node, as the store sees it.
pub(crate) type LineId = usize;

/// The store, and the lines to it.
pub(crate) struct Store {
    memory: Memory,
    /// The memory of a while ago: what a replica has.
    replica: Memory,
    lines: Vec<Line>,
    placement: Placement,
    /// Whether the store takes anything.
    pub(crate) is_running: bool,
    /// Whether it refuses appends.
    pub(crate) is_full: bool,
    /// Whether a line's own publications come after the answer to their append, as with Redis 7.2, or before.
    pub(crate) answers_first: bool,
    /// Whether nobody is told what is appended.
    pub(crate) loses_pushes: bool,
    /// Publications that are kept of a channel.
    pub(crate) history_size_max: usize,
    /// The store's clock, in milliseconds since the epoch.
    pub(crate) now_ms: u64,
}

impl Store {
    /// A store without memory and without lines.
    pub(crate) fn new(placement: Placement, seed: u64) -> Self {
        let memory = Memory::new(seed);
        Self {
            replica: memory.clone(),
            memory,
            lines: Vec::new(),
            placement,
            is_running: true,
            is_full: false,
            answers_first: false,
            loses_pushes: false,
            history_size_max: 1_000,
            now_ms: 1_772_359_201_000,
        }
    }

    /// Adds a line to a core of a node, which is cut.
    pub(crate) fn add_line(&mut self, run: RunId, core: CoreId) -> LineId {
        let partitions = (0..self.placement.partition_count()).map(Partition);
        let own = partitions.filter(|partition| self.placement.core_of_partition(*partition) == core);
        self.lines.push(Line::new(run, own.collect()));
        self.lines.len() - 1
    }

    /// A core wants something. It is carried out by [`carry_out`](Self::carry_out).
    pub(crate) fn ask(&mut self, line: LineId, request: StoreRequest) {
        self.lines[line].ask(request);
    }

    /// Carries out the next thing that a line asked for; `false` if there is none.
    pub(crate) fn carry_out(&mut self, line: LineId) -> bool {
        if !self.is_running {
            return false;
        }
        let Some(request) = self.lines[line].next_request() else { return false };
        match request {
            StoreRequest::Append(append) => self.append(line, *append),
            StoreRequest::Open(channel) => self.open(line, channel),
            StoreRequest::Close(channel) => self.lines[line].unwatch(&channel),
            StoreRequest::CatchUp(catch_up) => {
                let (partition, ticket) = (catch_up.partition, catch_up.ticket);
                let appended = self.memory.appended(partition, self.lines[line].run);
                let users = self.memory.users_after(partition, catch_up.users_after);
                let known = catch_up.channels.into_iter();
                let channels = known.filter_map(|known| self.memory.progress(partition, known)).collect();
                let head = self.memory.head(partition);
                let caught_up = CaughtUp { partition, ticket, head, appended, users, channels };
                self.lines[line].tell(StoreEvent::CaughtUp(Box::new(caught_up)));
            }
            StoreRequest::Renounce(partition, epoch) => self.memory.renounce(partition, epoch),
            StoreRequest::Signal(topic, signal) => self.signal(&topic, &signal),
            StoreRequest::KeepSession { pid, record, .. } => {
                let is_own = self.lines[line].began(&pid);
                self.memory.keep_session(pid, is_own, record);
            }
            StoreRequest::DropSession { pid } => {
                let is_own = self.lines[line].began(&pid);
                self.memory.drop_session(pid, is_own);
            }
            StoreRequest::TakeSession { pid, ticket } => {
                let record = self.memory.take_session(&pid);
                self.lines[line].tell(StoreEvent::Taken { ticket, record });
            }
            StoreRequest::NoteAbsences { user, channels } => self.memory.note_absences(&user, channels),
            StoreRequest::AskAbsences { user, ticket } => {
                let channels = self.memory.absences(&user);
                self.lines[line].tell(StoreEvent::Absences { ticket, channels });
            }
            StoreRequest::EndAbsence { user, channel } => self.memory.end_absence(&user, &channel),
            StoreRequest::Renew { generation, is_last } => {
                let lease = (self.lines[line].run, generation);
                let (was_held, was_any, alive) = self.memory.renew(lease, is_last, self.now_ms);
                self.lines[line].tell(StoreEvent::Leases { was_held, was_any, alive });
            }
        }
        true
    }

    /// An append of a broken line reaches the store; `false` if there is none. Nobody is answered.
    pub(crate) fn carry_out_late(&mut self, line: LineId) -> bool {
        let late = if self.is_running { self.lines[line].next_late() } else { None };
        let Some(append) = late else { return false };
        let run = self.lines[line].run;
        let done = self.memory.append(&append, run, self.now_ms, self.history_size_max);
        self.tell_all(append.partition, done.stored);
        true
    }

    fn tell_all(&mut self, partition: Partition, stored: Option<Stored>) {
        let Some(stored) = stored.filter(|_| !self.loses_pushes) else { return };
        for line in &mut self.lines {
            if line.hears_channel(&stored.channel, partition) {
                line.tell(StoreEvent::Fed(Box::new(copy(&stored))));
            }
        }
    }

    fn append(&mut self, line: LineId, append: Append) {
        let (partition, number) = (append.partition, append.number);
        if self.is_full {
            let request = Unanswered::Append(partition, number);
            let refused = Refused { request, reason: StoreTrouble::Unable };
            return self.lines[line].tell(StoreEvent::Refused(Box::new(refused)));
        }
        let run = self.lines[line].run;
        let done = self.memory.append(&append, run, self.now_ms, self.history_size_max);
        let (place, known_as) = (done.place, done.known_as);
        let answer = StoreEvent::Appended { partition, number, place, known_as };
        let mut answer = Some(answer);
        if self.answers_first {
            answer.take().into_iter().for_each(|answer| self.lines[line].tell(answer));
        }
        self.tell_all(partition, done.stored);
        answer.into_iter().for_each(|answer| self.lines[line].tell(answer));
    }

    fn open(&mut self, line: LineId, channel: ChannelName) {
        let Some(partition) = self.placement.partition_of(&channel) else { return };
        self.lines[line].watch(&channel);
        let (epoch, offset, timestamp_ms, last_number, tail) = self.memory.past(partition, &channel);
        let head = self.memory.head(partition);
        let opened = Opened { channel, head, epoch, offset, timestamp_ms, last_number, tail };
        self.lines[line].tell(StoreEvent::Opened(Box::new(opened)));
    }

    fn signal(&mut self, topic: &Topic, signal: &[u8]) {
        let placement = self.placement;
        for line in &mut self.lines {
            if line.hears_topic(topic, &placement) {
                line.tell(StoreEvent::Signal(topic.clone(), signal.to_vec()));
            }
        }
    }

    /// The next thing that a line brings.
    pub(crate) fn next_event(&mut self, line: LineId) -> Option<StoreEvent> {
        self.lines[line].next_event()
    }

    /// The epoch of a channel, and what is kept of it.
    pub(crate) fn kept(
        &mut self,
        channel: &str,
    ) -> Option<(core_shards::Epoch, Vec<core_shards::store::Stored>)> {
        let partition = self.placement.partition_of(channel)?;
        let (epoch, _, _, _, tail) = self.memory.past(partition, &channel.into());
        Some((epoch, tail))
    }

    /// Whether anything is on its way to or from a line.
    pub(crate) fn is_busy(&self, line: LineId) -> bool {
        self.lines[line].is_busy(self.is_running)
    }

    /// A line is made; nothing happens where it is up or the store is not running.
    pub(crate) fn connect(&mut self, line: LineId) {
        if self.is_running {
            self.lines[line].connect();
        }
    }

    /// A line breaks: of what was asked for the first `done` requests are carried out, and nothing of it is answered.
    pub(crate) fn cut(&mut self, line: LineId, done: usize) {
        for _ in 0..done {
            self.carry_out(line);
        }
        self.lines[line].cut();
    }

    /// The node of a line is gone, without a word.
    pub(crate) fn remove(&mut self, line: LineId) {
        self.lines[line].die();
    }

    /// The replica has everything by now.
    pub(crate) fn replicate(&mut self) {
        self.replica = self.memory.clone();
    }

    /// The store dies; all lines break.
    pub(crate) fn kill(&mut self) {
        self.is_running = false;
        self.lines.iter_mut().for_each(Line::cut);
        // Nothing reaches a process that is not there.
        self.lines.iter_mut().for_each(Line::forget_late);
    }

    /// It is back with what it had.
    pub(crate) fn restart(&mut self) {
        self.is_running = true;
    }

    /// It is back without any memory.
    pub(crate) fn restart_empty(&mut self) {
        self.is_running = true;
        self.memory.forget_all();
        self.replica = self.memory.clone();
    }

    /// The replica takes over: what was appended since [`replicate`](Self::replicate) never was.
    pub(crate) fn fail_over(&mut self) {
        self.kill();
        self.is_running = true;
        // Random numbers do not come again.
        let random = self.memory.take_random();
        self.memory = self.replica.clone();
        self.memory.set_random(random);
        // It takes time.
        self.now_ms += 100;
    }
}
