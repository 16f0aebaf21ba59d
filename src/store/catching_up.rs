//! What followed on channels while their feed was not heard, asked for in calls of a bounded size.
//!
//! The calls see different moments. What the first one saw is what is told: anything after its head comes over the
//! feed, which is heard already.

use core_shards::limits::HISTORY_BYTES_MAX;
use core_shards::store::{CatchUp, CaughtUp, Head, Known, Progress, StoreTrouble, Stored, Unanswered};
use core_shards::{Epoch, Offset, Partition, StoreEvent};
use protocol::redis::{List, Reply};

use super::channels::oldest_first;
use super::settings::USERS_KEPT_MAX;
use super::{Question, State, Store, envelope, scripts};

/// Channels of a call.
const CALL_CHANNELS_MAX: usize = 512;

/// Bytes of an answer after which it tells of no further channel.
const CALL_BYTES: usize = 16 << 20;

/// Bytes of all answers together. Channels beyond it are told without what followed, which is a gap.
const BYTES_MAX: usize = 64 << 20;

/// A catch-up that is under way.
pub(super) struct CatchingUp {
    request: CatchUp,
    /// The first channel that was not asked for yet.
    next: usize,
    bytes: usize,
    answer: Option<CaughtUp>,
}

impl Store {
    pub(super) fn catch_up(&self, state: &mut State, request: CatchUp) {
        self.flush_before(state, request.partition);
        self.ask_what_followed(state, Box::new(CatchingUp { request, next: 0, bytes: 0, answer: None }));
    }

    /// A step was answered, or will not be.
    pub(super) fn stepped(
        &self,
        state: &mut State,
        mut step: Box<CatchingUp>,
        reply: Result<Reply<'_>, StoreTrouble>,
    ) {
        let reason = match reply {
            Ok(reply) => match step.take_in(reply) {
                Some(()) if step.next < step.request.channels.len() => {
                    return self.ask_what_followed(state, step);
                }
                Some(()) => match step.answer {
                    Some(answer) => return state.events.push(StoreEvent::CaughtUp(Box::new(answer))),
                    None => StoreTrouble::Unable,
                },
                None => {
                    self.puzzle("what followed", &reply);
                    StoreTrouble::Unable
                }
            },
            Err(trouble) => trouble,
        };
        state.refuse(Unanswered::CatchUp(step.request.partition, step.request.ticket), reason);
    }

    /// A partition is to begin a new epoch.
    pub(super) fn renounce(&self, state: &mut State, partition: Partition, epoch: Epoch) {
        self.flush_before(state, partition);
        let fresh = state.fresh_epoch();
        self.client.evalsha(
            self.keys.slot(partition),
            super::UNASKED,
            &scripts::RENOUNCE,
            [&*self.keys.counter(partition)].into_iter(),
            [epoch.as_str().as_bytes(), fresh.as_str().as_bytes()].into_iter(),
        );
    }

    fn ask_what_followed(&self, state: &mut State, step: Box<CatchingUp>) {
        let partition = step.request.partition;
        let fresh = state.fresh_epoch();
        let mut keys = vec![
            self.keys.counter(partition),
            self.keys.users_stream(partition),
            self.keys.progress(partition, &self.run),
        ];
        let mut arguments: Vec<Vec<u8>> = vec![fresh.as_str().into()];
        for number in [self.settings.state_life_ms(), HISTORY_BYTES_MAX as u64, CALL_BYTES as u64] {
            arguments.push(number.to_string().into());
        }
        let users_after = step.answer.is_none().then(|| step.request.users_after.to_string());
        arguments.push(users_after.unwrap_or("-".to_owned()).into());
        arguments.push(USERS_KEPT_MAX.to_string().into());
        for known in step.channels() {
            keys.push(self.keys.state(partition, &known.channel));
            keys.push(self.keys.stream(partition, &known.channel));
            arguments.push(known.epoch.as_str().into());
            arguments.push(known.offset.0.to_string().into());
            arguments.push(known.timestamp_ms.to_string().into());
        }
        let keys: Vec<&[u8]> = keys.iter().map(|key| &**key).collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| &**argument).collect();
        let slot = self.keys.slot(partition);
        self.ask(state, Question::CatchUp(step), slot, &scripts::CATCH_UP, &keys, &arguments);
    }
}

impl CatchingUp {
    /// The channels of the next call.
    fn channels(&self) -> &[Known] {
        let rest = &self.request.channels[self.next..];
        &rest[..rest.len().min(CALL_CHANNELS_MAX)]
    }

    /// Takes in the answer to a call; `None` if it cannot be read.
    fn take_in(&mut self, reply: Reply<'_>) -> Option<()> {
        let partition = self.request.partition;
        let mut parts = reply.as_list()?.iter();
        let head = envelope::read_counter(parts.next()?.as_text()?)?;
        let appended = u32::try_from(parts.next()?.as_integer()?).ok()?;
        let users = match parts.next()? {
            Reply::List(entries) => Some(oldest_first(read_entries(entries, partition)?)),
            _ => None,
        };
        let looked_at = usize::try_from(parts.next()?.as_integer()?).ok()?;
        let asked = self.channels().len();
        if looked_at > asked || looked_at == 0 && asked > 0 {
            return None;
        }
        let mut answer = self.answer.take().unwrap_or(CaughtUp {
            partition,
            ticket: self.request.ticket,
            head,
            appended,
            users,
            channels: Vec::new(),
        });
        for part in parts {
            let mut fields = part.as_list()?.iter();
            let place = usize::try_from(fields.next()?.as_integer()?).ok()?;
            let known = self.channels().get(place)?;
            let state = envelope::read_state(fields.next()?.as_text()?)?;
            let mut tail = oldest_first(read_entries(fields.next()?.as_list()?, partition)?);
            let mut progress = Progress {
                channel: known.channel.clone(),
                epoch: state.epoch,
                offset: state.offset,
                tail: Vec::new(),
            };
            if answer.head != head {
                hold_to(&answer.head, &mut tail, &mut progress, known);
            }
            self.bytes += tail.iter().map(|stored| stored.payload.len()).sum::<usize>();
            if self.bytes <= BYTES_MAX {
                progress.tail = tail;
            }
            answer.channels.push(progress);
        }
        self.next += looked_at;
        self.answer = Some(answer);
        Some(())
    }
}

/// Leaves out what came after the first call.
fn hold_to(head: &Head, tail: &mut Vec<Stored>, progress: &mut Progress, known: &Known) {
    let last = tail.len();
    tail.retain(|stored| stored.place.number <= head.number);
    if tail.len() < last {
        let known_offset = if known.epoch == progress.epoch { known.offset } else { Offset(0) };
        progress.offset = tail.last().map_or(known_offset, |stored| stored.place.offset);
    }
}

fn read_entries(entries: List<'_>, partition: Partition) -> Option<Vec<Stored>> {
    entries.iter().map(|entry| envelope::read_stored(entry.as_text()?, partition)).collect()
}
