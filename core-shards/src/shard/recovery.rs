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
use super::particulars::Particulars;
use super::sessions::{Session, UNLISTED};
use super::users::Detached;
use super::{Ending, Shard};
use crate::Now;
use crate::ids::SessionId;
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
        self.stop_telling(id.slot, session.particulars.followed());
        self.note_absences(&session, ending, now);
        let is_resumable = ending != Ending::Left && session.has_cursor && !session.is_joining();
        self.record_lost(&session, is_resumable);
        session.particulars.stop_asking(|_| true);
        self.detach(id, &mut session, out);
        if is_resumable {
            session.particulars.forget_expiry();
        } else {
            self.strip(&mut session);
        }
        let now_ms = now.monotonic_ms();
        let grace_ms = if self.limits.presence_enabled { self.limits.presence_grace_ms } else { 0 };
        let window_ms = if is_resumable { self.limits.recovery_window_ms } else { 0 };
        let loss_number = self.take_up_burden(&session, window_ms > 0);
        let detached = Detached {
            session,
            resumable_until_ms: now_ms.saturating_add(window_ms),
            present_until_ms: now_ms.saturating_add(grace_ms),
            kept_until_ms: now_ms.saturating_add(grace_ms.max(window_ms)),
            tiding_count: self.tidings.count(),
            loss_number,
        };
        if let Some(oldest) = self.users.at_mut(index).keep_lost(detached) {
            self.end_detached(oldest, out);
        }
        self.count_sessions();
        Some(index)
    }

    /// Nobody takes the session up: it is kept for the grace of its user's presence, and with what that needs.
    fn strip(&mut self, session: &mut Session) {
        self.burden.follows -= session.particulars.followed().len();
        session.particulars = Particulars::default();
        (session.name, session.rights) = (None, None);
    }

    /// Counts a session that is kept without a connection. Returns the number of the loss.
    fn take_up_burden(&mut self, session: &Session, is_resumable: bool) -> u32 {
        if self.losses.is_littered(self.burden.detached) {
            let users = &self.users;
            self.losses.sweep(|loss| users.get(loss.user).is_some_and(|user| user.has_lost(loss.number)));
        }
        self.burden.detached += 1;
        self.burden.detached_memberships += session.memberships.len();
        self.metrics.detached.set(self.burden.detached as u64);
        self.losses.note(self.users.place(session.user), is_resumable)
    }

    /// Whether more is kept of lost sessions than may be.
    fn is_overburdened(&self) -> bool {
        self.burden.detached > self.limits.memory.detached_max
            || self.burden.detached_memberships > self.limits.memory.detached_memberships_max
    }

    /// Gives lost sessions up until there is room for the rest. Those who were lost last keep their chance to come back:
    /// whoever was to return in time mostly has.
    pub(super) fn give_up_surplus(&mut self, now: Now, out: &mut Outputs) {
        while self.is_overburdened() {
            let Some(loss) = self.losses.take_first() else { return };
            let user = self.users.get_mut(loss.user);
            if let Some(user) = user.filter(|user| user.has_lost(loss.number)) {
                user.end_detached_at(now.monotonic_ms(), |lost| lost.loss_number == loss.number);
                self.settle_user(loss.user.index, None, now, out);
            }
        }
    }

    fn lay_down_burden(&mut self, session: &Session) {
        self.burden.detached -= 1;
        self.burden.detached_memberships -= session.memberships.len();
        self.metrics.detached.set(self.burden.detached as u64);
    }

    /// Takes a session out of the lists of its rooms; its memberships stay. Joins without an answer end.
    fn detach(&mut self, id: SessionId, session: &mut Session, out: &mut Outputs) {
        let user = self.users.at(session.user).id.clone();
        let (members, waiting) = session.memberships.drain(..).partition(|known| known.is_member());
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
            if membership.position != UNLISTED {
                self.unlist(membership.room, *membership);
                membership.position = UNLISTED;
                self.rooms.at_mut(membership.room).detached_count += 1;
            }
        }
    }

    /// A lost session is given up: its memberships end.
    pub(super) fn end_detached(&mut self, detached: Detached, out: &mut Outputs) {
        self.drop_record(&detached.session);
        self.end_lost(detached, out);
    }

    /// As [`end_detached`](Self::end_detached), of a session that is taken up otherwise.
    pub(super) fn end_lost(&mut self, detached: Detached, out: &mut Outputs) {
        self.lay_down_burden(&detached.session);
        self.burden.follows -= detached.session.particulars.followed().len();
        let user = self.users.at(detached.session.user).id.clone();
        for membership in detached.session.memberships {
            self.end_membership(membership, &user, true, out);
        }
    }

    /// A session that looks alive, but whose client has come back on another connection, loses the old one.
    pub(super) fn evict_predecessor(&mut self, user: u32, pid: &str, now: Now, out: &mut Outputs) {
        let is_it = |slot: &&u32| {
            let session = self.sessions.at(**slot);
            session.is_some_and(|of| of.has_cursor && self.is_called(of, pid))
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
            if !self.placement.is_joined() {
                self.metrics.count_recovery(RecoverySource::Session, Recovery::Unknown);
            }
            return false;
        };
        let Some(start) = self.replay_start(resume, &detached.session) else {
            // Something is missing: then everything of the former session is, or a client would believe otherwise. What is
            // kept for other nodes may have more.
            self.end_lost(detached, out);
            if !self.placement.is_joined() {
                let is_ours = self.is_own_cursor(&resume.offset);
                let recovery = if is_ours { Recovery::TooOld } else { Recovery::Foreign };
                self.metrics.count_recovery(RecoverySource::Session, recovery);
            }
            return false;
        };
        self.lay_down_burden(&detached.session);
        let (tiding_count, mut session) = (detached.tiding_count, detached.session);
        session.name = newcomer.identity.name.clone();
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
        self.keep_record(id);
        if has_other_rights {
            self.recheck(id, None, now, out);
        }
        true
    }

    fn take_lost(&mut self, user: u32, pid: &str, now: Now) -> Option<Detached> {
        let now_ms = now.monotonic_ms();
        let is_it = |lost: &Detached| lost.resumable_until_ms > now_ms && self.is_called(&lost.session, pid);
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
        self.start_telling(id.slot, session.particulars.followed());
    }

    /// What a resumed session missed of those whom it follows is not known; how they are now is.
    pub(super) fn survey_followed(&mut self, id: SessionId, out: &mut Outputs) {
        let session = self.sessions.get(id);
        let followed = session.map(|session| session.particulars.followed().to_vec()).unwrap_or_default();
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
    use crate::limits::{DETACHED_PER_USER_MAX, LOSSES_VOID_MAX, Limits, MemoryBounds};

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

    /// The usual limits with room for so many lost sessions.
    fn with_room_for(detached_max: usize) -> Limits {
        let limits = quiet();
        Limits { memory: MemoryBounds { detached_max, ..limits.memory }, ..limits }
    }

    #[test]
    fn clients_that_do_not_come_back_take_nobody_elses_chance_to_resume() {
        let mut trial = Trial::new(with_room_for(3));
        let talker = trial.connect(0, "talker", None);
        trial.join(talker, "a");
        let mut clients: Vec<(String, Client)> = (0..8)
            .map(|number| {
                let user = format!("user-{number}");
                let client = Client::new(&mut trial, 100 * (number + 1), &user);
                trial.join(client.session, "a");
                (user, client)
            })
            .collect();
        trial.say(talker, "a", "1");
        for (_, client) in &mut clients {
            client.read(&mut trial, usize::MAX);
        }
        for (_, client) in &clients {
            trial.end(client.session, Ending::Lost);
            assert!(trial.shard.holdings().detached <= 3);
        }
        let away = trial.inbox(talker);
        let away: Vec<&str> =
            trial::of(&away, "presence").iter().map(|told| trial::text(told, "userId")).collect();
        assert_eq!(away, ["user-0", "user-1", "user-2", "user-3", "user-4"], "the longest lost are offline");
        trial.say(talker, "a", "2");
        let resumed: Vec<bool> =
            clients.iter_mut().map(|(user, client)| client.resume(&mut trial, user)).collect();
        assert_eq!(resumed, [false, false, false, false, false, true, true, true]);
        for (_, client) in clients.iter_mut().skip(5) {
            client.read(&mut trial, usize::MAX);
            assert_eq!(client.got, ["1", "2"]);
        }
    }

    #[test]
    fn memberships_of_lost_sessions_are_bounded_and_the_longest_lost_go_first() {
        let limits = quiet();
        let memory = MemoryBounds { detached_memberships_max: 4, ..limits.memory };
        let mut trial = Trial::new(Limits { memory, ..limits });
        let mut clients = ["5", "6", "7"].map(|user| Client::new(&mut trial, user.parse().unwrap(), user));
        for client in &clients {
            trial.join(client.session, "a");
            trial.join(client.session, "b");
        }
        for client in &clients {
            trial.end(client.session, Ending::Lost);
        }
        let [first, second, third] = &mut clients;
        assert!(!first.resume(&mut trial, "5"));
        assert!(second.resume(&mut trial, "6") && third.resume(&mut trial, "7"));
    }

    #[test]
    fn who_said_goodbye_is_given_up_before_who_may_come_back() {
        let mut trial = Trial::new(with_room_for(2));
        let watcher = trial.connect(0, "watcher", None);
        trial.join(watcher, "a");
        let mut resuming = Client::new(&mut trial, 10, "7");
        let leaving: Vec<SessionId> =
            (20..25).map(|slot| trial.connect(slot, &slot.to_string(), None)).collect();
        for session in leaving.iter().chain([&resuming.session]) {
            trial.join(*session, "a");
        }
        trial.disconnect(resuming.session);
        for session in leaving {
            trial.end(session, Ending::Left);
        }
        let gone = trial.inbox(watcher);
        let gone: Vec<&str> =
            trial::of(&gone, "presence").iter().map(|told| trial::text(told, "userId")).collect();
        assert_eq!(gone, ["20", "21", "22", "23"]);
        assert!(resuming.resume(&mut trial, "7"));
        assert_eq!(trial::told(&mut trial, watcher, "7"), [""; 0], "nobody hears that it was away");
        trial.pass_slowly(61_000);
        assert_eq!(trial::told(&mut trial, watcher, "24"), ["offline"], "the last has its grace");
        assert_eq!(trial.shard.holdings().detached, 0);
    }

    #[test]
    fn a_user_with_another_device_stays_online_when_a_lost_session_is_given_up() {
        let mut trial = Trial::new(with_room_for(1));
        let watcher = trial.connect(0, "watcher", None);
        let sessions = [(1, "7"), (2, "7"), (3, "8")].map(|(slot, user)| trial.connect(slot, user, None));
        for session in sessions.iter().chain([&watcher]) {
            trial.join(*session, "a");
        }
        trial.disconnect(sessions[0]);
        trial.disconnect(sessions[2]);
        assert_eq!(trial.inbox(watcher), [""; 0]);
        assert_eq!(trial.shard.holdings().detached, 1);
        let list = trial.list("a");
        assert!(list.contains(r#""online":3,"#), "{list}");
    }

    #[test]
    fn a_predecessor_is_taken_up_although_as_many_as_may_be_are_lost() {
        let mut trial = Trial::new(with_room_for(1));
        let lost = trial.connect_durable(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.disconnect(lost);
        assert!(client.resume(&mut trial, "7"));
        assert_eq!(trial.shard.holdings().detached, 1, "there was room for the other all the time");
    }

    #[test]
    fn losses_that_are_over_are_not_remembered_for_long() {
        let mut trial = Trial::new(quiet());
        let away = trial.connect_durable(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.disconnect(away);
        let mut entries_max = 0;
        for _ in 0..3 * LOSSES_VOID_MAX {
            trial.disconnect(client.session);
            assert!(client.resume(&mut trial, "7"));
            entries_max = entries_max.max(trial.shard.losses.entry_count());
        }
        assert!(entries_max <= LOSSES_VOID_MAX + 4, "{entries_max}");
        assert_eq!(trial.shard.holdings().detached, 1);
    }

    #[test]
    fn all_of_a_full_core_that_is_cut_off_at_once_resume() {
        const COUNT: u32 = 18_000;
        let mut trial = Trial::new(quiet());
        let mut clients: Vec<Client> =
            (0..COUNT).map(|number| Client::new(&mut trial, 2 * number, &number.to_string())).collect();
        for client in &clients {
            trial.disconnect(client.session);
        }
        for (number, client) in clients.iter_mut().enumerate() {
            assert!(client.resume(&mut trial, &number.to_string()), "{number}");
        }
    }
}
