//! Publications on their way into Redis: those of a partition go in one call for as many as wait, in their order.
//!
//! One call costs Redis about as much as one publication in it. So few calls of a partition are under way at a time, and
//! what comes meanwhile goes with the next: one publication alone waits for nothing, and under load calls become long.

use std::ops::Range;
use std::rc::Rc;

use core_shards::limits::RECEIPT_LIFE_MS;
use core_shards::store::{Append, StoreTrouble, Unanswered};
use core_shards::{Partition, StoreEvent};
use protocol::json::push_u64;
use protocol::redis::Reply;

use super::settings::{RECEIPTS_MAX, USERS_KEPT_MAX};
use super::{Question, State, Store, envelope, is_own_room, scripts};
use crate::redis::GroupId;

/// Calls of a partition that are under way at most.
const CALLS_MAX: usize = 4;

/// Publications of a call at most: Redis does nothing else for about half a millisecond.
const CALL_APPENDS_MAX: usize = 128;

/// Bytes of a call after which it takes no further publication.
const CALL_BYTES: usize = 256 << 10;

/// Marks of a publication, as the script reads them.
const KEPT: u8 = 1;
const HAS_RECEIPT: u8 = 2;
const TO_USER: u8 = 4;
const OUT_OF_TURN: u8 = 8;

/// The appends of a partition. How many wait is bounded by the shard, which owns what becomes of them.
#[derive(Default)]
pub(super) struct Appends {
    waiting: std::collections::VecDeque<Box<Append>>,
    calls: usize,
    /// The next call, of which the preamble stands.
    call: Call,
}

impl Appends {
    /// Whether any have not been sent.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Sends what waits, once for all turns of a round. Woken by appends, ends with the core.
pub(super) async fn run_flush(store: Rc<Store>) {
    loop {
        store.flush_wanted.notified().await;
        store.flush(&mut store.state.borrow_mut());
    }
}

impl Store {
    pub(super) fn append(&self, state: &mut State, append: Box<Append>) {
        match self.group_of(append.partition) {
            Some(group) => {
                state.appends[usize::from(group.0)].waiting.push_back(append);
                self.flush_wanted.notify();
            }
            // The shard asks the core that hears the partition; any other may not have been told.
            None => state.refuse(Unanswered::Append(append.partition, append.number), StoreTrouble::Unable),
        }
    }

    /// Sends what may be sent of all partitions.
    pub(super) fn flush(&self, state: &mut State) {
        for (group, partition) in self.groups() {
            self.flush_group(state, group, partition, CALLS_MAX);
        }
    }

    /// Sends everything that waits of a partition, before something else that must come after it.
    pub(super) fn flush_before(&self, state: &mut State, partition: Partition) {
        if let Some(group) = self.group_of(partition) {
            self.flush_group(state, group, partition, usize::MAX);
        }
    }

    fn flush_group(&self, state: &mut State, group: GroupId, partition: Partition, calls_max: usize) {
        loop {
            let appends = &mut state.appends[usize::from(group.0)];
            if appends.waiting.is_empty() || appends.calls >= calls_max {
                return;
            }
            appends.calls += 1;
            let (mut bytes, mut count) = (0, 0);
            for append in appends.waiting.iter().take(CALL_APPENDS_MAX) {
                if bytes >= CALL_BYTES {
                    break;
                }
                bytes += append.payload.len();
                count += 1;
            }
            self.send(state, group, partition, count);
        }
    }

    /// Sends so many of those that wait.
    fn send(&self, state: &mut State, group: GroupId, partition: Partition, count: usize) {
        let fresh = state.fresh_epoch();
        let Appends { waiting, call, .. } = &mut state.appends[usize::from(group.0)];
        if call.is_empty() {
            self.begin(call, partition);
        }
        call.argument(|bytes| bytes.extend_from_slice(fresh.as_str().as_bytes()));
        call.argument(|bytes| bytes.extend_from_slice(self.client.publish_command().as_bytes()));
        let mut numbers = Vec::with_capacity(count);
        for append in waiting.drain(..count) {
            self.add(call, partition, &append);
            numbers.push(append.number);
        }
        let tag = state.note(Question::Appends(group, numbers));
        let call = &mut state.appends[usize::from(group.0)].call;
        self.client.evalsha(self.keys.slot(partition), tag, &scripts::APPEND, call.keys(), call.arguments());
        call.rewind();
    }

    /// What all calls of a partition have in common.
    fn begin(&self, call: &mut Call, partition: Partition) {
        call.key(|bytes| bytes.extend(self.keys.counter(partition)));
        call.key(|bytes| bytes.extend(self.keys.users_stream(partition)));
        call.key(|bytes| bytes.extend(self.keys.progress(partition, &self.run)));
        for table in self.keys.receipts(partition) {
            call.key(|bytes| bytes.extend(table));
        }
        call.key(|bytes| bytes.extend(self.keys.never(partition)));
        for number in [
            self.settings.kept_max() as u64,
            USERS_KEPT_MAX as u64,
            self.settings.state_life_ms(),
            self.settings.stream_life_ms,
            RECEIPT_LIFE_MS,
            RECEIPTS_MAX as u64,
        ] {
            call.number(number);
        }
        call.end_preamble();
    }

    fn add(&self, call: &mut Call, partition: Partition, append: &Append) {
        let channel = &*append.channel;
        let is_own = is_own_room(channel);
        let mut marks = 0;
        for (mark, holds) in [
            (KEPT, append.is_kept),
            (HAS_RECEIPT, append.idempotency.is_some()),
            (TO_USER, is_own),
            (OUT_OF_TURN, append.is_out_of_turn),
        ] {
            marks += mark * u8::from(holds);
        }
        call.key(|bytes| self.keys.push_state(bytes, partition, channel));
        call.key(|bytes| self.keys.push_stream(bytes, partition, channel));
        call.number(marks.into());
        call.number(append.number.into());
        call.argument(|bytes| match is_own {
            true => self.keys.push_users_topic(bytes, partition),
            false => self.keys.push_channel_topic(bytes, partition, channel),
        });
        call.argument(|bytes| envelope::push_body(bytes, channel, &append.payload));
        if let Some(idempotency) = &append.idempotency {
            call.argument(|bytes| bytes.extend_from_slice(idempotency.as_bytes()));
            call.argument(|bytes| bytes.extend_from_slice(append.id.as_str().as_bytes()));
        }
    }

    /// A call was answered, or will not be.
    pub(super) fn appended(
        &self,
        state: &mut State,
        group: GroupId,
        numbers: &[u32],
        reply: Result<Reply<'_>, StoreTrouble>,
    ) {
        let place = usize::from(group.0);
        let partition = self.partitions[place];
        state.appends[place].calls -= 1;
        let reason = match &reply {
            Ok(Reply::List(answers)) if answers.len() == numbers.len() => {
                for (number, answer) in numbers.iter().zip(answers.iter()) {
                    state.events.push(match answer.as_text().and_then(envelope::read_answer) {
                        Some((place, known_as)) => {
                            StoreEvent::Appended { partition, number: *number, place, known_as }
                        }
                        None => {
                            self.puzzle("the place of a publication", &answer);
                            super::refused(Unanswered::Append(partition, *number), StoreTrouble::Away)
                        }
                    });
                }
                None
            }
            Ok(other) => {
                self.puzzle("appends", other);
                Some(StoreTrouble::Unable)
            }
            Err(trouble) => Some(*trouble),
        };
        if let Some(reason) = reason {
            numbers.iter().for_each(|number| state.refuse(Unanswered::Append(partition, *number), reason));
        }
        self.flush_group(state, group, partition, CALLS_MAX);
    }

    /// The partition is heard no more: what was not sent is not sent.
    pub(super) fn give_up_appends(&self, state: &mut State, group: GroupId) {
        let place = usize::from(group.0);
        for append in std::mem::take(&mut state.appends[place].waiting) {
            state.refuse(Unanswered::Append(self.partitions[place], append.number), StoreTrouble::Away);
        }
    }
}

/// The strings of a call, in one piece of memory that the next call uses again.
#[derive(Default)]
struct Call {
    bytes: Vec<u8>,
    keys: Vec<Range<usize>>,
    arguments: Vec<Range<usize>>,
    /// How much of each is the preamble.
    preamble: [usize; 3],
}

/// Bytes that are kept for the next call at most.
const CALL_BYTES_KEPT: usize = 64 << 10;

impl Call {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn key(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let range = self.push(write);
        self.keys.push(range);
    }

    fn argument(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let range = self.push(write);
        self.arguments.push(range);
    }

    fn number(&mut self, number: u64) {
        self.argument(|bytes| push_u64(bytes, number));
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let begin = self.bytes.len();
        write(&mut self.bytes);
        begin..self.bytes.len()
    }

    fn end_preamble(&mut self) {
        self.preamble = [self.bytes.len(), self.keys.len(), self.arguments.len()];
    }

    /// Forgets everything behind the preamble.
    fn rewind(&mut self) {
        let [bytes, keys, arguments] = self.preamble;
        self.bytes.truncate(bytes);
        self.keys.truncate(keys);
        self.arguments.truncate(arguments);
        self.bytes.shrink_to(CALL_BYTES_KEPT);
    }

    fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.keys.iter().map(|range| &self.bytes[range.clone()])
    }

    fn arguments(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.arguments.iter().map(|range| &self.bytes[range.clone()])
    }
}
