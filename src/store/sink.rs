//! What comes from Redis: answers and messages, taken in one by one and told to the shard once for each read.

use core_shards::StoreEvent;
use core_shards::cursor::RunId;
use core_shards::store::{StoreTrouble, Topic, Unanswered};
use protocol::redis::Reply;

use super::envelope::{self, Told};
use super::keys::Subject;
use super::{Question, Store};
use crate::redis::{GroupId, Sink};

impl Sink for Store {
    fn reply(&self, tag: u64, reply: Result<Reply<'_>, StoreTrouble>) {
        let state = &mut *self.state.borrow_mut();
        let Some(question) = state.questions.remove(&tag) else { return };
        match question {
            Question::Appends(group, numbers) => self.appended(state, group, &numbers, reply),
            Question::Open(channel) => self.opened(state, channel, reply),
            Question::CatchUp(step) => self.stepped(state, step, reply),
            Question::Keep(ticket) => {
                if let Some(reason) = failure(reply) {
                    state.refuse(Unanswered::KeepSession(ticket), reason);
                }
            }
            Question::Take(ticket) => Self::taken(state, ticket, reply),
            Question::NoteAbsences(user) => {
                if let Some(reason) = failure(reply) {
                    state.refuse(Unanswered::NoteAbsences(user), reason);
                }
            }
            Question::AskAbsences(ticket) => Self::told_absences(state, ticket, reply),
            Question::Renew => self.renewed(state, reply),
            Question::Partitions => self.compare_partitions(reply),
        }
    }

    fn message(&self, topic: &[u8], payload: &[u8]) {
        let Some(subject) = self.keys.subject(topic) else { return };
        let partition = match subject {
            Subject::Channel(partition, _) | Subject::Users(partition) | Subject::Presence(partition) => {
                partition
            }
            Subject::Everybody | Subject::Node(_) => core_shards::Partition(0),
        };
        let event = match (envelope::read_told(payload, partition), subject) {
            (Some(Told::Publication(stored)), _) => StoreEvent::Fed(Box::new(stored)),
            (Some(Told::Signal(signal)), subject) => match topic_of(&subject) {
                Some(topic) => StoreEvent::Signal(topic, signal.to_vec()),
                None => return,
            },
            // A newer version, or somebody else's: what is missing in a channel shows by its offsets.
            (None, _) => return self.puzzle("a topic", &Reply::Null),
        };
        self.state.borrow_mut().events.push(event);
    }

    fn watched(&self, _: GroupId, topic: &[u8]) {
        if let Some(Subject::Channel(partition, channel)) = self.keys.subject(topic)
            && let Ok(channel) = std::str::from_utf8(channel)
        {
            self.channel_is_heard(&mut self.state.borrow_mut(), partition, channel);
        }
    }

    fn group_up(&self, group: GroupId) {
        let state = &mut *self.state.borrow_mut();
        state.is_up[usize::from(group.0)] = true;
        state.events.push(StoreEvent::Up(self.partitions[usize::from(group.0)]));
    }

    fn group_down(&self, group: GroupId) {
        let state = &mut *self.state.borrow_mut();
        state.is_up[usize::from(group.0)] = false;
        state.events.push(StoreEvent::Down(self.partitions[usize::from(group.0)]));
        self.give_up_openings(state, group);
        self.give_up_appends(state, group);
    }

    fn settle(&self) {
        let events = std::mem::take(&mut self.state.borrow_mut().events);
        if let (Some(listener), false) = (self.listener.get(), events.is_empty()) {
            listener(events);
        }
    }
}

/// Why something was not done, if it was not.
fn failure(reply: Result<Reply<'_>, StoreTrouble>) -> Option<StoreTrouble> {
    match reply {
        Ok(Reply::Error(_)) => Some(StoreTrouble::Unable),
        Ok(_) => None,
        Err(trouble) => Some(trouble),
    }
}

/// The topic as the shard knows it; `None` if no signals are sent there.
fn topic_of(subject: &Subject<'_>) -> Option<Topic> {
    Some(match subject {
        Subject::Channel(_, channel) => Topic::Channel(std::str::from_utf8(channel).ok()?.into()),
        Subject::Users(_) => return None,
        Subject::Presence(partition) => Topic::Presence(*partition),
        Subject::Everybody => Topic::Everybody,
        Subject::Node(run) => Topic::Node(RunId::parse(std::str::from_utf8(run).ok()?)?),
    })
}
