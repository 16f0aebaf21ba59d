//! What a shard keeps at a moment, counted in its tables: a gauge can be wrong about a leak, a table cannot.

use super::Shard;

/// Numbers of entries in one shard's tables. All but `receipts` and `deadlines` are zero when nobody is connected and
/// no letter is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Connected sessions.
    pub sessions: usize,
    /// Users with a session here.
    pub users: usize,
    /// Channels that a session of this core is in or has asked to join.
    pub rooms: usize,
    /// Channels ordered here.
    pub homes: usize,
    /// Sent messages that a retry would be recognised of.
    pub receipts: usize,
    /// Deadlines, those of sessions that are gone included.
    pub deadlines: usize,
}

impl Shard {
    /// Counts what the shard keeps.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            sessions: self.sessions.live_count(),
            users: self.users.count(),
            rooms: self.rooms.count(),
            homes: self.homes.count(),
            receipts: self.receipts.count(),
            deadlines: self.deadlines.entry_count(),
        }
    }
}
