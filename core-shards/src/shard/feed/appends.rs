//! Publications of this node that the store has not confirmed yet, in the order in which they are to be appended.
//! Of each all is kept that its end needs: to hand it out, to append it again, to acknowledge it.
//!
//! Does not know the state of the feed: whoever does says what is sent and what came back.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::chat::event::Kind;
use protocol::relay::Message;
use siphasher::sip::SipHasher13;

use crate::cursor::RunId;
use crate::ids::{ChannelName, CoreId, MessageId, Partition, Place, UserId};
use crate::mail::Published;
use crate::publication::Publication;
use crate::store::Append;

/// A publication that was not handed out yet.
#[derive(Debug)]
pub(in crate::shard) struct Draft {
    pub(in crate::shard) kind: Kind,
    /// See [`Publication::body`].
    pub(in crate::shard) body: Vec<u8>,
    pub(in crate::shard) attachments: Vec<Vec<u8>>,
    pub(in crate::shard) received_us: u64,
}

/// What is known of a publication that the store has not confirmed.
#[derive(Debug)]
pub(in crate::shard) enum Content {
    /// Nobody has it: the feed will bring it to everybody.
    Draft(Draft),
    /// The members here have it, because the store was away.
    HandedOut(Arc<Publication>),
}

/// An append without an end.
#[derive(Debug)]
pub(in crate::shard) struct Waiting {
    /// [`Append::number`].
    pub(in crate::shard) number: u32,
    pub(in crate::shard) id: MessageId,
    /// The channel's home, which stays while this waits.
    pub(in crate::shard) home: Place,
    /// Who sent it.
    pub(in crate::shard) user: UserId,
    pub(in crate::shard) content: Content,
    /// [`Append::idempotency`].
    pub(in crate::shard) idempotency: Option<Box<str>>,
    /// The core that wants to know.
    pub(in crate::shard) from: CoreId,
    /// What it is told, as far as that is known.
    pub(in crate::shard) published: Box<Published>,
    /// The store said once that it had not appended this, while it perhaps appended what came after it.
    pub(in crate::shard) was_refused: bool,
    /// The store said that it has appended this, and the feed has not brought it yet.
    pub(in crate::shard) done: Option<Done>,
}

/// When the store said that it has appended something, and under which number of the partition.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Done {
    pub(in crate::shard) at_ms: u64,
    pub(in crate::shard) number: u64,
}

impl Waiting {
    pub(in crate::shard) fn is_handed_out(&self) -> bool {
        matches!(self.content, Content::HandedOut(_))
    }

    /// Fingerprint of the key by which the store knows a retry, the same on all nodes; 0 if there is none.
    pub(super) fn key(&self) -> u64 {
        let key = self.idempotency.as_deref();
        key.map_or(0, |key| SipHasher13::new().hash(key.as_bytes()).max(1))
    }

    /// The run's progress does not say whether something out of turn was carried out, so that has a key in any case.
    fn key_out_of_turn(&self) -> Option<Box<str>> {
        self.was_refused.then(|| format!("\0again\0{}", self.id.as_str()).into())
    }

    pub(in crate::shard) fn is_kept(&self) -> bool {
        *self.kind() != Kind::Read
    }

    fn kind(&self) -> &Kind {
        match &self.content {
            Content::Draft(draft) => &draft.kind,
            Content::HandedOut(publication) => &publication.kind,
        }
    }

    /// Bytes that it takes, those that everything takes aside.
    fn bytes(&self) -> usize {
        let (body, attachments) = match &self.content {
            Content::Draft(draft) => (&draft.body, &draft.attachments),
            Content::HandedOut(publication) => (&publication.body, &publication.attachments),
        };
        body.len() + attachments.iter().map(Vec::len).sum::<usize>()
    }

    /// As the store wants it.
    pub(super) fn append(&self, channel: ChannelName, partition: Partition, run: RunId) -> Append {
        let (body, attachments) = match &self.content {
            Content::Draft(draft) => (&draft.body, &draft.attachments),
            Content::HandedOut(publication) => (&publication.body, &publication.attachments),
        };
        let message = Message {
            kind: self.kind().clone(),
            run: run.as_str(),
            number: self.number,
            id: self.id.as_str(),
            key: self.key(),
            user: &self.user,
            body,
            attachments: attachments.iter().map(Vec::as_slice).collect(),
        };
        let mut payload = Vec::new();
        message.write(&mut payload);
        Append {
            channel,
            partition,
            id: self.id,
            number: self.number,
            is_provisional: self.is_handed_out(),
            is_out_of_turn: self.was_refused,
            is_kept: self.is_kept(),
            idempotency: self.idempotency.clone().or_else(|| self.key_out_of_turn()),
            payload,
        }
    }
}

/// The appends of one partition. Those in front were sent, those behind are to be.
#[derive(Debug, Default)]
pub(in crate::shard) struct Appends {
    queue: VecDeque<Waiting>,
    sent_count: usize,
    bytes: usize,
}

impl Appends {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of their bodies and attachments.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many were sent and have no answer.
    pub(super) fn sent_count(&self) -> usize {
        self.sent_count
    }

    /// Adds the next. Its number is greater than those before it.
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes();
        self.queue.push_back(waiting);
    }

    /// The next that is to be sent, which it is from now on.
    pub(super) fn send_next(&mut self) -> Option<&Waiting> {
        let next = self.queue.get(self.sent_count)?;
        self.sent_count += 1;
        Some(next)
    }

    /// Nobody knows what became of those that were sent: they are to be sent again, unless they come back.
    pub(super) fn unsend(&mut self) {
        self.sent_count = 0;
    }

    pub(super) fn find_mut(&mut self, number: u32) -> Option<&mut Waiting> {
        let index = self.index_of(number)?;
        self.queue.get_mut(index)
    }

    /// Takes out what members here have of this publication under another id: its sender said it again on this node, while
    /// it was on its way to the store from another.
    pub(super) fn take_early(&mut self, home: Place, message: &Message<'_>) -> Option<Waiting> {
        if message.key == 0 {
            return None;
        }
        let is_it = |waiting: &Waiting| {
            waiting.is_handed_out()
                && waiting.home == home
                && *waiting.user == *message.user
                && waiting.key() == message.key
        };
        let index = self.queue.iter().position(is_it)?;
        self.remove(index)
    }

    /// Takes out the one of this number, if it is this publication.
    pub(super) fn take(&mut self, number: u32, id: &str) -> Option<Waiting> {
        let index = self.index_of(number).filter(|index| self.queue[*index].id.as_str() == id)?;
        self.remove(index)
    }

    /// Takes out every one that is over.
    pub(super) fn take_if(&mut self, is_over: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let over: Vec<usize> = (0..self.queue.len()).filter(|index| is_over(&self.queue[*index])).collect();
        let mut taken: Vec<Waiting> = over.into_iter().rev().filter_map(|index| self.remove(index)).collect();
        taken.reverse();
        taken
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.queue.iter()
    }

    fn remove(&mut self, index: usize) -> Option<Waiting> {
        let waiting = self.queue.remove(index)?;
        self.sent_count -= usize::from(index < self.sent_count);
        self.bytes -= waiting.bytes();
        if self.queue.is_empty() {
            self.queue.shrink_to(64);
        }
        Some(waiting)
    }

    /// Numbers rise around the end of their type, so they are compared by what lies between them and the first.
    fn index_of(&self, number: u32) -> Option<usize> {
        let first = self.queue.front()?.number;
        let distance = |number: u32| number.wrapping_sub(first);
        self.queue.binary_search_by_key(&distance(number), |waiting| distance(waiting.number)).ok()
    }
}
