//! Letters about what other nodes told.

use std::sync::Arc;

use super::Standpoint;
use crate::cursor::RunId;
use crate::ids::{ChannelName, Partition, UserId};
use crate::shard::RateClass;

/// Something that another node told, on its way to the core that it concerns; or what is to be told them.
#[derive(Debug)]
pub enum Elsewhere {
    /// To users' home: what changed for them on another node.
    Tales(Tales),
    /// To a channel's home: somebody came into it on another node, or went.
    Passage(Passage),
    /// To every core: a run is dead, up to a generation.
    Dead(RunId, u32),
    /// To every core: a run was taken for dead, and was not.
    Mistaken(RunId),
    /// To core 0: a run was heard in a generation.
    Met(RunId, u32),
    /// To every core: say how far the lanes of a partition are.
    TellHeads(Partition),
    /// To the core of a lane: tell the whole state of its users in a partition.
    TellState(Partition),
    /// To every core: this run goes on in a generation of this number, because others may have taken it for dead.
    Generation(u32),
    /// To a user's home: the user spent something of a limit on another node.
    Spent(UserId, RateClass),
    /// To a user's home: what the user read on another node.
    Notified {
        /// Who.
        user: UserId,
        /// The event's name.
        name: Box<str>,
        /// What it is about.
        id: Option<Box<str>>,
    },
}

/// Which lane: the run, which of its cores, and of which users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    /// Who tells.
    pub run: RunId,
    /// Which core of it.
    pub core: u16,
    /// Users of which partition.
    pub partition: Partition,
}

/// A part of a lane for users of one core.
#[derive(Debug)]
pub struct Tales {
    /// The lane.
    pub lane: LaneKey,
    /// The run's generation.
    pub generation: u32,
    /// It is a piece of the lane's whole state.
    pub refresh: Option<Refresh>,
    /// Changes, as [`protocol::relay::signal::Change`] writes them.
    pub changes: Vec<u8>,
}

/// A piece of a lane's whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Tells this state from the former.
    pub mark: u32,
    /// It is the last piece: whomever no piece named is gone.
    pub is_last: bool,
}

/// Somebody came into a channel on other nodes, or is there no more.
#[derive(Debug)]
pub struct Passage {
    /// The channel.
    pub channel: ChannelName,
    /// Who.
    pub user: UserId,
    /// What happened.
    pub step: Step,
}

/// What somebody did on other nodes.
#[derive(Debug)]
pub enum Step {
    /// Came.
    In {
        /// Display name.
        name: Option<Arc<str>>,
        /// How others see the user.
        standpoint: Standpoint,
        /// When, in milliseconds since the epoch; 0 if nobody knows.
        joined_at_unix_ms: u64,
    },
    /// Went.
    Out {
        /// The connection was lost, as opposed to the user having left.
        was_lost: bool,
    },
}
