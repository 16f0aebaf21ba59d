//! What a user of the client hears from it.

use core_shards::store::StoreTrouble;
use protocol::redis::{Reply, Slot};

/// Topics that are heard together or not at all: those of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u16);

/// One group of topics. Its [`GroupId`] is its place among the specifications that the client is given.
#[derive(Clone, Debug)]
pub struct GroupSpec {
    /// The slot of all its topics.
    pub slot: Slot,
    /// The topic that the client itself publishes to, in order to find out whether the group is heard. No other
    /// client uses it, and what is said there is not passed on.
    pub canary_topic: Box<[u8]>,
}

/// Hears what comes from Redis.
///
/// All methods are called on the client's core, by its own tasks: never from inside a call to the
/// [`Client`](super::Client). They may call it.
pub trait Sink: 'static {
    /// The answer to a command: exactly one for each, in the order of the commands of a slot, but those that were not
    /// even sent are answered first.
    ///
    /// [`Reply::Error`] comes only where the command itself was wrong; what the server is in trouble about is one of
    /// the reasons.
    fn reply(&self, tag: u64, reply: Result<Reply<'_>, StoreTrouble>);

    /// Something was published to a topic that is watched.
    fn message(&self, topic: &[u8], payload: &[u8]);

    /// A topic is heard from here on. Called for each topic once for each time that it began to be heard, and for those
    /// of a group that comes up before [`group_up`](Self::group_up).
    fn watched(&self, group: GroupId, topic: &[u8]);

    /// All topics of a group are heard; what was published while it was down is missing.
    fn group_up(&self, group: GroupId);

    /// The group is not heard any more. Commands under way are answered with [`StoreTrouble::Away`] after it.
    fn group_down(&self, group: GroupId);

    /// Everything that one read brought was told: the moment for what is better done for many at once.
    fn settle(&self) {}
}
