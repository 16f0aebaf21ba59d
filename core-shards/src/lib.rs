//! What one core owns: the sessions of its users, the channels whose home it is, the members it
//! delivers to. Values in, values out: no I/O, no clock, no threads.
//!
//! [`Shard`] is the whole of it. Its `handle_*` methods are the only way in; everything that follows
//! from an input is collected in [`Outputs`] and carried out by the caller.

// Models that tests inside and outside share name the crate as those outside do.
#[cfg(test)]
extern crate self as core_shards;

pub mod access;
pub mod chunks;
pub mod cursor;
pub mod ids;
pub mod limits;
pub mod mail;
pub mod metrics;
pub mod outputs;
pub mod placement;
pub mod publication;
pub mod shard;
pub mod store;
pub mod wheel;

pub use access::{Access, AccessRules, Grants, Question, Verdict};
pub use chunks::Chunks;
pub use ids::{ChannelName, CoreId, Epoch, Offset, Partition, RoomId, SessionId, UserId};
pub use limits::Limits;
pub use mail::{Broadcast, Mail, MailClass};
pub use metrics::ShardMetrics;
pub use outputs::{FrameRef, Outputs};
pub use placement::Placement;
pub use shard::{Ending, Event, Holdings, Identity, Newcomer, Resume, Shard};
pub use store::{StoreEvent, StoreRequest};
pub use wheel::Wheel;

/// The time of one turn, read once by the shell and handed to everything in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic microseconds since the process began.
    pub monotonic_us: u64,
    /// Milliseconds since the Unix epoch, for people and for wire formats.
    pub unix_ms: u64,
}

impl Now {
    /// Monotonic milliseconds, for deadlines.
    pub const fn monotonic_ms(self) -> u64 {
        self.monotonic_us / 1000
    }
}
