//! Sessions that lose their connection, and take themselves up again: Socket.IO's connection state recovery.
//!
//! ```text
//!            connection lost                    window over
//!   live ──────────────────────> detached ──────────────────────> gone
//!     ^                              │
//!     └──────────────────────────────┘
//!       CONNECT with its pid, everything after the offset is replayed
//! ```
//!
//! A detached session stays a member of its channels: nobody hears of a connection that is back in time, and the
//! journal goes on for it. Where its user stopped reading is noted besides, for the case that it does not come back.

use protocol::codes::CloseReason;

use super::connect::{Newcomer, Resume, Rights};
use super::follow::Survey;
use super::sessions::{Session, UNLISTED};
use super::users::Detached;
use super::{Ending, Shard};
use crate::Now;
use crate::cursor::Cursor;
use crate::ids::SessionId;
use crate::limits::{DETACHED_MEMBERSHIPS_MAX, DETACHED_OF_CORE_MAX, DETACHED_PER_USER_MAX};
use crate::mail::TypingTurn;
use crate::metrics::{Recovery, RecoverySource};
use crate::outputs::Outputs;

impl Shard {
    /// A session has no connection any more.
    pub(super) fn disconnect(&mut self, id: SessionId, ending: Ending, now: Now, out: &mut Outputs) {
        if let Some(user) = self.lose(id, ending, now, out) {
            self.settle_user(user, None, now, out);
        }
    }

    /// Takes a session out of its slot and keeps it for a time. Its user is to be settled after that.
    fn lose(&mut self, id: SessionId, ending: Ending, now: Now, out: &mut Outputs) -> Option<u32> {
        let mut session = self.sessions.remove(id)?;
        let index = session.user;
        let user = self.users.at_mut(index);
        user.sessions.retain(|slot| *slot != id.slot);
        user.standing.seen(now.unix_ms);
        if user.sessions.is_empty() {
            self.metrics.users_connected.take(1);
        }
        self.stop_telling(id.slot, &session.followed);
        self.note_absences(&session, ending, now);
        let is_resumable = ending != Ending::Left && session.has_cursor && !session.is_joining();
        session.asking = Vec::new();
        if !is_resumable {
            self.burden.follows -= std::mem::take(&mut session.followed).len();
        }
        self.detach(id, &mut session, out);
        let now_ms = now.monotonic_ms();
        let has_room = self.take_up_burden(&session);
        let grace_ms =
            if self.limits.presence_enabled && has_room { self.limits.presence_grace_ms } else { 0 };
        let window_ms = if is_resumable && has_room { self.limits.recovery_window_ms } else { 0 };
        let detached = Detached {
            session,
            resumable_until_ms: now_ms.saturating_add(window_ms),
            present_until_ms: now_ms.saturating_add(grace_ms),
            kept_until_ms: now_ms.saturating_add(grace_ms.max(window_ms)),
            tiding_count: self.tidings.count(),
        };
        let lost = &mut self.users.at_mut(index).past.get_or_insert_default().detached;
        lost.push(detached);
        if lost.len() > DETACHED_PER_USER_MAX {
            let oldest = lost.remove(0);
            self.end_detached(oldest, out);
        }
        self.count_sessions();
        Some(index)
    }

    /// Counts a session that is kept without a connection. Returns whether there is room for it.
    fn take_up_burden(&mut self, session: &Session) -> bool {
        self.burden.detached += 1;
        self.burden.detached_memberships += session.memberships.len();
        self.metrics.detached.set(self.burden.detached as u64);
        self.burden.detached <= DETACHED_OF_CORE_MAX
            && self.burden.detached_memberships <= DETACHED_MEMBERSHIPS_MAX
    }

    fn lay_down_burden(&mut self, session: &Session) {
        self.burden.detached -= 1;
        self.burden.detached_memberships -= session.memberships.len();
        self.metrics.detached.set(self.burden.detached as u64);
    }

    /// Takes a session out of the lists of its rooms; its memberships stay. Joins without an answer end.
    fn detach(&mut self, id: SessionId, session: &mut Session, out: &mut Outputs) {
        let user = self.users.at(session.user).id.clone();
        let (members, waiting) = session.memberships.drain(..).partition(|known| known.is_member);
        session.memberships = members;
        let waiting: smallvec::SmallVec<[_; 1]> = waiting;
        for membership in waiting {
            self.end_membership(membership, &user, true, out);
        }
        for membership in &mut session.memberships {
            if std::mem::take(&mut membership.types) {
                let name = session.name.clone();
                self.send_typing(membership.room, session.user, name, id, TypingTurn::StopAll, out);
            }
            self.unlist(membership.room, *membership);
            membership.position = UNLISTED;
            self.rooms.at_mut(membership.room).detached_count += 1;
        }
    }

    /// A lost session is given up: its memberships end.
    pub(super) fn end_detached(&mut self, detached: Detached, out: &mut Outputs) {
        self.lay_down_burden(&detached.session);
        self.burden.follows -= detached.session.followed.len();
        let user = self.users.at(detached.session.user).id.clone();
        for membership in detached.session.memberships {
            self.end_membership(membership, &user, true, out);
        }
    }

    /// A session that looks alive, but whose client has come back on another connection, loses the old one.
    pub(super) fn evict_predecessor(&mut self, user: u32, pid: &str, now: Now, out: &mut Outputs) {
        let is_it = |slot: &&u32| {
            let session = self.sessions.at(**slot);
            session.is_some_and(|of| of.has_cursor && self.private_id(of.origin).as_str() == pid)
        };
        if let Some(slot) = self.users.at(user).sessions.iter().find(is_it) {
            let former = self.sessions.id_at(*slot);
            out.close(former, CloseReason::Evicted);
            self.lose(former, Ending::Lost, now, out);
        }
    }

    /// Takes a lost session up again, if its private id and the cursor say so and nothing is missing.
    pub(super) fn resume(
        &mut self,
        id: SessionId,
        user: u32,
        resume: &Resume,
        newcomer: &Newcomer,
        now: Now,
        out: &mut Outputs,
    ) -> bool {
        self.trim_journal(now);
        let Some(detached) = self.take_lost(user, &resume.pid, now) else {
            self.metrics.count_recovery(RecoverySource::Session, Recovery::Unknown);
            return false;
        };
        let Some(start) = self.replay_start(resume, &detached.session) else {
            let is_ours = Cursor::parse(&resume.offset, self.run).is_ok();
            let recovery = if is_ours { Recovery::TooOld } else { Recovery::Foreign };
            self.metrics.count_recovery(RecoverySource::Session, recovery);
            // Something is missing: then everything of the former session is, or a client would believe otherwise.
            self.end_detached(detached, out);
            return false;
        };
        self.lay_down_burden(&detached.session);
        let (tiding_count, mut session) = (detached.tiding_count, detached.session);
        session.name = newcomer.identity.name.clone();
        (session.expires_at_ms, session.looked_at_ms) = (u64::MAX, u64::MAX);
        let rights = Rights::of(&newcomer.identity);
        let has_other_rights = session.rights != rights;
        session.rights = rights;
        self.attach(id, &mut session);
        self.seat(id, session, &newcomer.identity, now);
        self.greet(id, &newcomer.identity, None, now, out);
        self.replay(id, start, out);
        self.tell_missed_changes(id, tiding_count, out);
        self.survey_followed(id, out);
        self.metrics.resumes.increment();
        self.metrics.count_recovery(RecoverySource::Session, Recovery::Full);
        if has_other_rights {
            self.recheck(id, None, now, out);
        }
        true
    }

    fn take_lost(&mut self, user: u32, pid: &str, now: Now) -> Option<Detached> {
        let now_ms = now.monotonic_ms();
        let is_it = |lost: &Detached| {
            lost.resumable_until_ms > now_ms && self.private_id(lost.session.origin).as_str() == pid
        };
        let origin = self.users.at(user).detached().iter().find(|lost| is_it(lost))?.session.origin;
        let mut taken = self.users.at_mut(user).take_detached(|lost| lost.session.origin == origin);
        taken.pop()
    }

    /// Puts a session back into the lists of its rooms; its user does not miss anything there any more.
    fn attach(&mut self, id: SessionId, session: &mut Session) {
        for membership in &mut session.memberships {
            let room = self.rooms.at_mut(membership.room);
            membership.position = room.list(membership.form, id.slot);
            room.detached_count -= 1;
            let channel = room.channel.clone();
            self.end_absence(session.user, &channel);
        }
        self.start_telling(id.slot, &session.followed);
    }

    /// What a resumed session missed of those whom it follows is not known; how they are now is.
    fn survey_followed(&mut self, id: SessionId, out: &mut Outputs) {
        let followed = self.sessions.get(id).map(|session| session.followed.clone()).unwrap_or_default();
        if !followed.is_empty() {
            // When too many questions wait, the next change of each tells.
            let _ = self.survey(Survey::told(id), followed, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{self, Client, Trial, quiet};
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn a_session_is_taken_up_with_all_that_it_missed_after_its_greeting() {
        let mut trial = Trial::new(quiet());
        let talker = trial.connect(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.join(talker, "a");
        trial.join(client.session, "a");
        let sid = trial.sid(client.session);
        trial.say(talker, "a", "1");
        client.read(&mut trial, usize::MAX);
        trial.disconnect(client.session);
        trial.say(talker, "a", "2");
        trial.say(talker, "a", "3");
        assert!(client.resume(&mut trial, "7"));
        assert_eq!(trial.sid(client.session), sid);
        let heard = trial.inbox(client.session);
        let begins =
            ["40{", r#"42["connected","#, r#"42["authenticated","#, r#"42["message","#, r#"42["message","#];
        assert_eq!(heard.len(), begins.len(), "{heard:?}");
        assert!(heard.iter().zip(begins).all(|(packet, begin)| packet.starts_with(begin)), "{heard:?}");
        assert_eq!(trial::cursor(&heard[1]), None, "the client keeps the cursor that it has");
        assert!(
            heard[2].contains(r#""rooms":["user:7","a"]"#) || heard[2].contains(r#""a""#),
            "{}",
            heard[2]
        );
        assert_eq!([&heard[3], &heard[4]].map(|packet| trial::text(packet, "content")), ["2", "3"]);
        trial.say(talker, "a", "4");
        assert_eq!(trial.inbox(client.session).len(), 1, "it is live again");
    }

    #[test]
    fn nobody_takes_up_the_session_of_another_user_or_one_that_is_gone() {
        let mut trial = Trial::new(quiet());
        let mut client = Client::new(&mut trial, 1, "7");
        trial.disconnect(client.session);
        let (pid, cursor) = (client.pid.clone(), client.cursor.clone());
        let thief = trial.connect_durable(9, "8", Some((&pid, &cursor)));
        assert_ne!(trial.pid(thief), pid);
        let unknown = trial.connect_durable(10, "7", Some(("0123456789ABCDEFGHJKMNPQRS", &cursor)));
        assert_ne!(trial.pid(unknown), pid);
        let lost = trial.connect_durable(11, "7", Some((&pid, "c0.zz.00000000")));
        assert_ne!(trial.pid(lost), pid, "a cursor of another run says nothing");
        assert!(!client.resume(&mut trial, "7"), "a session that missed something is given up");
        assert_eq!((trial.metrics.resumes_tried.get(), trial.metrics.resumes.get()), (4, 0));
        trial.end(client.session, Ending::Left);
        assert!(!client.resume(&mut trial, "7"), "who said goodbye does not come back");
        trial.disconnect(client.session);
        trial.pass_slowly(121_000);
        assert!(!client.resume(&mut trial, "7"), "the window is over");
    }

    #[test]
    fn a_predecessor_that_looks_alive_is_evicted() {
        let mut trial = Trial::new(Limits { presence_grace_ms: 0, ..quiet() });
        let talker = trial.connect(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.join(talker, "a");
        trial.join(client.session, "a");
        trial.say(talker, "a", "1");
        let former = client.session;
        assert!(client.resume(&mut trial, "7"));
        assert_eq!(trial.closes(), [(former, CloseReason::Evicted)]);
        assert!(!trial.shard.is_connected(former) && trial.shard.is_connected(client.session));
        client.read(&mut trial, usize::MAX);
        assert_eq!(client.got, ["1"]);
        assert!(trial.end(former, Ending::Lost).is_empty(), "its end means nothing any more");
        assert_eq!(trial::of(&trial.inbox(talker), "presence"), [""; 0], "nobody was away");
        trial.event(client.session, r#"["channel:join",{"channelId":"asked"}]"#, None);
        assert!(trial.shard.is_connected(client.session));
    }

    #[test]
    fn evicting_the_last_session_of_a_user_while_it_joins_breaks_nothing() {
        let access = crate::AccessRules { has_webhook: true, ..crate::AccessRules::default() };
        let limits = Limits { access: access.into(), presence_grace_ms: 0, ..quiet() };
        let mut trial = Trial::new(limits);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.event(client.session, r#"["channel:join",{"channelId":"a"}]"#, Some(1));
        assert!(!client.resume(&mut trial, "7"), "a join that the client waits for would never be answered");
        let question = trial.shard.take_questions().remove(0);
        assert!(trial.answer(question, true).is_empty());
    }

    #[test]
    fn a_session_that_is_not_taken_up_hears_at_its_next_join_what_it_missed() {
        let mut trial = Trial::new(quiet());
        let talker = trial.connect(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.join(talker, "a");
        trial.join(client.session, "a");
        trial.say(talker, "a", "1");
        trial.disconnect(client.session);
        trial.say(talker, "a", "2");
        client.cursor = "none of ours".to_owned();
        assert!(!client.resume(&mut trial, "7"));
        trial.say(talker, "a", "3");
        client.read(&mut trial, usize::MAX);
        trial.event(client.session, r#"["channel:join",{"channelId":"a"}]"#, None);
        client.read(&mut trial, usize::MAX);
        assert_eq!(client.got, ["2", "3"], "the first was handed to the former connection");
    }

    #[test]
    fn follows_outlive_a_lost_connection() {
        let mut trial = Trial::new(quiet());
        let mut client = Client::new(&mut trial, 1, "7");
        trial.event(client.session, r#"["presence:subscribe",{"userIds":["8"]}]"#, None);
        trial.disconnect(client.session);
        let other = trial.connect(5, "8", None);
        assert!(client.resume(&mut trial, "7"));
        let heard = trial.inbox(client.session);
        assert!(
            trial::of(&heard, "presence:bulk")[0].contains(r#""userId":"8","status":"online""#),
            "{heard:?}"
        );
        trial.event(other, r#"["presence:update",{"status":"away"}]"#, None);
        assert_eq!(trial::of(&trial.inbox(client.session), "presence").len(), 1);
        assert_eq!(trial.shard.holdings().followers, 1);
    }

    #[test]
    fn changes_of_presence_that_a_lost_connection_missed_are_told() {
        let mut trial = Trial::new(quiet());
        let other = trial.connect(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.join(other, "a");
        trial.join(client.session, "a");
        trial.event(other, r#"["presence:update",{"status":"away"}]"#, None);
        trial.disconnect(client.session);
        trial.event(other, r#"["presence:update",{"status":"online"}]"#, None);
        trial.event(other, r#"["presence:update",{"status":"dnd"}]"#, None);
        assert!(client.resume(&mut trial, "7"));
        let heard = trial.inbox(client.session);
        let told = trial::of(&heard, "presence");
        assert_eq!(told.iter().map(|packet| trial::text(packet, "status")).collect::<Vec<_>>(), ["dnd"]);
    }

    #[test]
    fn lost_sessions_are_bounded() {
        let mut trial = Trial::new(quiet());
        for slot in 0..DETACHED_PER_USER_MAX as u32 + 5 {
            let session = trial.connect_durable(slot, "7", None);
            trial.join(session, "a");
            trial.disconnect(session);
        }
        assert_eq!(trial.shard.holdings().detached, DETACHED_PER_USER_MAX);
    }
}
