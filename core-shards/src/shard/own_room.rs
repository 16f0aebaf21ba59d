//! What is said in a user's own room, with a store that nodes share: it reaches all sessions of the user on this core, also
//! those that have not joined the room. Without one the home of the room is here, and does it.

use std::sync::Arc;

use protocol::chat::dialect::Spelling;

use super::Shard;
use super::journal::Target;
use super::sessions::Session;
use crate::Now;
use crate::metrics::EventClass;
use crate::outputs::Outputs;
use crate::publication::Publication;

impl Shard {
    /// What was said to a user reaches the sessions that are not in the user's own room. Who is in it gets it as a member,
    /// unless it came before. Returns how many those are that are not in it.
    pub(super) fn hand_to_owner(
        &mut self,
        publication: &Arc<Publication>,
        now: Now,
        out: &mut Outputs,
    ) -> u32 {
        self.advance(publication);
        let Some(owner) = publication.channel.strip_prefix("user:") else { return 0 };
        self.hold_for_restored(owner, publication);
        let Some(user) = self.users.find(owner, &self.placement) else { return 0 };
        let room = self.rooms.find(&publication.channel, &self.placement);
        let is_outside = |session: &Session| {
            let membership = room.and_then(|room| session.membership(room));
            let is_before = |start: u64| start >= publication.seq && !publication.is_belated;
            membership.is_none_or(|of| !of.is_member() || is_before(of.journal_start))
        };
        let (mut is_resumable, mut count) = (false, 0);
        for slot in &self.users.at(user).sessions {
            let Some(session) = self.sessions.at(*slot).filter(|session| is_outside(session)) else {
                continue;
            };
            let (id, form) = (self.sessions.id_at(*slot), session.form(Spelling::Bare));
            is_resumable |= session.has_cursor;
            match form.has_cursor {
                true => {
                    let cursor = self.lanes.cursor();
                    out.send(id, |frame| publication.splice(frame, form, cursor));
                }
                false => out.send(id, |frame| publication.push_with(frame, form, None)),
            }
            count += 1;
            self.metrics.deliveries.increment();
            self.metrics.delivered[EventClass::of_kind(&publication.kind) as usize].increment();
        }
        if publication.is_belated {
            let user = self.users.place(user);
            self.lanes.own_past_mut(user, &self.users).fallen = publication.seq + 1;
            return count;
        }
        let now_ms = now.monotonic_ms();
        let lost = self.users.at(user).detached();
        is_resumable |= lost.iter().any(|lost| lost.resumable_until_ms > now_ms && is_outside(&lost.session));
        if is_resumable && self.limits.keeps_journal() {
            let user = self.users.place(user);
            let target = Target::Own { user, lane: publication.lane, seq: publication.seq };
            self.journal.push(target, publication.memory_bytes(), publication.clone(), now_ms);
            self.trim_journal(now);
        }
        count
    }
}
