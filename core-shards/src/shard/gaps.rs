//! What is missing and nobody can tell any more: who hears of it. A gap is never silent: members are told, and sessions
//! that are lost do not resume over it.

use protocol::chat::event::{self, Position};

use super::Shard;
use super::rooms::Fallen;
use crate::ids::{Lane, Partition};
use crate::mail::{Gap, GapReason};
use crate::outputs::Outputs;

impl GapReason {
    /// As clients are told it.
    const fn text(self) -> &'static str {
        match self {
            Self::Trimmed => "gap",
            Self::Epoch => "epoch",
        }
    }
}

impl Shard {
    /// Tells the local members of a channel that they have to fetch it anew.
    pub(super) fn tell_gap(&mut self, gap: &Gap, out: &mut Outputs) {
        let Some(room) = self.rooms.get_mut(gap.room) else {
            return self.metrics.stale_letters.increment();
        };
        self.lanes.advance(gap.lane, gap.seq);
        room.position = Some((gap.epoch, gap.offset));
        // Whoever comes back to a place before this one is in a new session and fetches everything.
        let position = self.journal.end() + 1;
        room.fallen = Some(Fallen { position, lane: gap.lane, seq: gap.seq + 1 });
        let slots: Vec<u32> = room.slots().collect();
        let position = Position { epoch: gap.epoch.as_str(), offset: gap.offset.0 };
        let mut frame = Vec::new();
        event::push_sync_required(&mut frame, &room.channel, gap.reason.text(), Some(position));
        out.broadcast(&frame, &slots);
    }

    /// Tells the users of a partition that something may have been said to them that they did not get.
    pub(super) fn tell_users_gap(&mut self, partition: Partition, out: &mut Outputs) {
        let reached = self.lanes.vector().seq(Lane::from(partition));
        for index in self.users.iter().map(|(index, _)| index).collect::<Vec<_>>() {
            let user = self.users.at(index);
            let room = format!("user:{}", user.id);
            if self.placement.partition_of(&room) != Some(partition) {
                continue;
            }
            let mut frame = Vec::new();
            event::push_sync_required(&mut frame, &room, GapReason::Trimmed.text(), None);
            out.broadcast(&frame, &user.sessions);
            if !user.sessions.is_empty() || !user.detached().is_empty() {
                // Whoever comes back to a place before this one is in a new session.
                let user = self.users.place(index);
                self.lanes.own_past_mut(user, &self.users).fallen = reached + 1;
            }
        }
    }
}
