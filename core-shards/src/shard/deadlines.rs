//! What ends at a time, on the shard's wheel. Whoever armed it knows what it means, and whether it still means anything.

use super::Shard;
use crate::ids::{Place, SessionId};
use crate::limits::DEADLINES_VOID_MAX;

/// A deadline of the shard.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    /// The session's token ends, or its grace does.
    TokenExpiry(SessionId),
    /// Something of a user ends.
    User(Place),
    /// Something of a channel ends or is due.
    Home(Place),
}

impl Shard {
    /// Arms the wheel for somebody who noted the deadline. When too many entries of the wheel mean nothing any more,
    /// it is filled anew with those that do.
    pub(super) fn arm(&mut self, deadline_ms: u64, deadline: Deadline) {
        self.deadlines.arm(deadline_ms, deadline);
        let meaningful = self.sessions.live_count() + self.users.count() + self.homes.table.count();
        if self.deadlines.entry_count() <= 2 * meaningful + DEADLINES_VOID_MAX {
            return;
        }
        self.deadlines.retain(|_| false);
        let sessions = self
            .sessions
            .iter()
            .map(|(id, session)| (session.particulars.looked_at_ms(), Deadline::TokenExpiry(id)));
        let users = self.users.iter();
        let users = users.map(|(index, user)| (user.looked_at_ms, Deadline::User(self.users.place(index))));
        let homes = self.homes.table.iter();
        let homes =
            homes.map(|(index, home)| (home.looked_at_ms, Deadline::Home(self.homes.table.place(index))));
        for (deadline_ms, deadline) in sessions.chain(users).chain(homes) {
            if deadline_ms < u64::MAX {
                self.deadlines.arm(deadline_ms, deadline);
            }
        }
    }
}
