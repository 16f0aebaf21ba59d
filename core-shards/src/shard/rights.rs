//! Who may join what: the rules first, then whoever the operator has named to be asked. What waits for an answer is
//! kept here as an errand; the shell carries the question.

use protocol::chat::event::{self, Left};
use protocol::chat::request::Refusal;
use protocol::codes::ErrorCode;

use super::Shard;
use super::connect::Rights;
use super::membership::{JoinWish, left_early};
use super::particulars::Asking;
use super::sessions::{Origin, Session};
use super::users::Detached;
use crate::Now;
use crate::access::{self, Access, AccessKey, Asked, Concluded, Grants, Question, Verdict};
use crate::ids::{ChannelName, SessionId, UserId};
use crate::limits::RECHECKS_MAX;
use crate::mail::{Call, Caller, Revocation};
use crate::outputs::Outputs;

/// What is to be done once it is allowed. A connection may have left the namespace and come back as somebody else since,
/// so the session's origin is looked at, too.
#[derive(Debug)]
pub(super) enum Errand {
    /// A session wants to join, and has not left since.
    Join { session: SessionId, origin: Origin, ticket: u32, wish: JoinWish },
    /// A session that is in a channel may perhaps not stay.
    Stay { session: SessionId, origin: Origin, channel: ChannelName },
    /// A back end or a browser calls in a user's name.
    Call(Box<Call>),
}

/// What the rules say for now.
#[derive(Debug)]
pub(super) enum Permit {
    Granted,
    /// Somebody is asked; the errand waits.
    Pending,
    Refused(Refusal),
}

impl Shard {
    /// The questions that are to be asked outside, in order.
    pub fn take_questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions)
    }

    /// Whether a session may join a channel that it is not in.
    pub(super) fn permit_join(&mut self, id: SessionId, wish: &JoinWish, now: Now) -> Permit {
        let Some(session) = self.sessions.get(id) else { return Permit::Pending };
        let is_full = session.memberships.len() + session.particulars.asking().len()
            >= self.limits.channels_per_session_max;
        if is_full && self.access_of(session, &wish.channel, now) == Access::Ask {
            return Permit::Refused(too_many_channels());
        }
        let origin = session.origin;
        self.ticket = self.ticket.wrapping_add(1);
        let ticket = self.ticket;
        let errand = Errand::Join { session: id, origin, ticket, wish: wish.clone() };
        let permit = self.permit_session(id, &wish.channel, errand, now);
        if let (Permit::Pending, Some(session)) = (&permit, self.sessions.get_mut(id)) {
            session.particulars.ask(Asking { ticket, channel: ChannelName::from(&*wish.channel) });
        }
        permit
    }

    fn permit_session(&mut self, id: SessionId, channel: &str, errand: Errand, now: Now) -> Permit {
        let Some(session) = self.sessions.get(id) else { return Permit::Pending };
        match self.access_of(session, channel, now) {
            Access::Allow => Permit::Granted,
            Access::Deny(message) => Permit::Refused(Refusal::new(ErrorCode::RoomAccessDenied, message)),
            Access::Ask => {
                let user = self.users.at(session.user).id.clone();
                let (rights, origin) = (session.rights.clone(), session.origin);
                let (roles, _) = Rights::parts(rights.as_deref());
                match self.ask(&user, roles, channel, Some(origin), errand, now) {
                    Ok(()) => Permit::Pending,
                    Err(refusal) => Permit::Refused(refusal),
                }
            }
        }
    }

    /// The call back if it is allowed; otherwise it waits, or was refused.
    pub(super) fn permit_call(&mut self, call: Call, now: Now, out: &mut Outputs) -> Option<Call> {
        let Caller::User { roles, grants } = call.caller.clone() else { return Some(call) };
        let (id, user, channel) = (call.id, call.user.clone(), call.channel.clone());
        let refusal = match self.known_access(&user, &roles, grants.as_deref(), &channel, now) {
            Access::Allow => return Some(call),
            Access::Deny(message) => Refusal::new(ErrorCode::RoomAccessDenied, message),
            Access::Ask => {
                let errand = Errand::Call(Box::new(call));
                self.ask(&user, &roles, &channel, None, errand, now).err()?
            }
        };
        self.refuse_call(id, &refusal, out);
        None
    }

    /// What the rules say about a session and a channel.
    pub(super) fn access_of(&self, session: &Session, channel: &str, now: Now) -> Access {
        let (roles, grants) = Rights::parts(session.rights.as_deref());
        self.known_access(&self.users.at(session.user).id, roles, grants, channel, now)
    }

    /// What the rules say, and what was answered before; `Ask` if nobody has asked yet.
    fn known_access(
        &self,
        user: &str,
        roles: &[Box<str>],
        grants: Option<&Grants>,
        channel: &str,
        now: Now,
    ) -> Access {
        let access = access::decide(&self.limits.access, user, roles, grants, channel);
        if access != Access::Ask {
            return access;
        }
        let about = AccessKey::new(&self.placement, user, roles, channel);
        match self.access.known(about, now.monotonic_ms()) {
            Some(true) => Access::Allow,
            Some(false) => Access::Deny(access::NOT_PERMITTED),
            None => Access::Ask,
        }
    }

    /// Lets an errand wait for an answer, and sends the question unless it is on its way.
    fn ask(
        &mut self,
        user: &UserId,
        roles: &[Box<str>],
        channel: &str,
        origin: Option<Origin>,
        errand: Errand,
        now: Now,
    ) -> Result<(), Refusal> {
        let about = AccessKey::new(&self.placement, user, roles, channel);
        match self.access.ask(about, errand, now.monotonic_ms()) {
            Asked::Sent => {
                let session = origin.map(|origin| self.socket_id(origin).as_str().into());
                self.questions.push(Question {
                    core: self.core,
                    key: about.key,
                    user: user.clone(),
                    channel: channel.into(),
                    roles: roles.into(),
                    session: session.unwrap_or_default(),
                    action: "join",
                });
                Ok(())
            }
            Asked::Joined => Ok(()),
            // What is known was looked up before somebody asks.
            Asked::Crowded | Asked::Known(_) => Err(busy()),
        }
    }

    /// The answer to a question has come.
    pub(super) fn conclude(&mut self, question: Question, verdict: &Verdict, now: Now, out: &mut Outputs) {
        let now_ms = now.monotonic_ms();
        match self.access.conclude(question.key, verdict.is_allowed, verdict.ttl_ms, now_ms) {
            Concluded::AskAgain => self.questions.push(question),
            Concluded::Answered(errands) => {
                for errand in errands {
                    self.carry_on(errand, verdict.is_allowed, now, out);
                }
            }
        }
        while let Some((id, channel)) = self.rechecks.pop_front() {
            if !self.recheck_one(id, channel, now, out) {
                break;
            }
        }
    }

    fn carry_on(&mut self, errand: Errand, is_allowed: bool, now: Now, out: &mut Outputs) {
        let denied = Refusal::new(ErrorCode::RoomAccessDenied, access::NOT_PERMITTED);
        match errand {
            Errand::Join { session, origin, ticket, wish } => {
                let waiting = self.sessions.get_mut(session).filter(|of| of.origin == origin);
                let Some(waiting) = waiting else { return };
                let was_asked = waiting.particulars.stop_asking(|asking| asking.ticket == ticket);
                let outcome = match (was_asked, is_allowed) {
                    (false, _) if wish.ack.is_none() => Ok(()),
                    (false, _) => Err(left_early()),
                    (true, true) => self.join(session, &wish, now, out),
                    (true, false) => Err(denied.about(&wish.channel)),
                };
                if let Err(refusal) = outcome {
                    self.refuse_join(session, wish.manner, wish.ack, &refusal, now, out);
                }
            }
            Errand::Stay { session, origin, channel } => {
                if !is_allowed && self.sessions.get(session).is_some_and(|of| of.origin == origin) {
                    self.evict(session, &channel, now, out);
                }
            }
            Errand::Call(call) => match is_allowed {
                true => self.carry_out_call(*call, now, out),
                false => self.refuse_call(call.id, &denied, out),
            },
        }
    }

    /// Rights have changed: what was remembered is forgotten, and who may not stay goes.
    pub(super) fn revoke(&mut self, revocation: &Revocation, now: Now, out: &mut Outputs) {
        let (user, channel) = (revocation.user.as_deref(), revocation.channel.as_deref());
        self.access.invalidate(&self.placement, user, channel);
        let room = channel.map(|channel| self.rooms.find(channel, &self.placement));
        let users: Vec<u32> = match user {
            Some(user) => self.users.find(user, &self.placement).into_iter().collect(),
            None => self.users.iter().map(|(index, _)| index).collect(),
        };
        for user in users {
            // A session without a connection is not asked for: it comes back as a new one.
            let is_meant = |lost: &Detached| match room {
                None => true,
                Some(room) => room.is_some_and(|room| lost.session.membership(room).is_some()),
            };
            self.users.at_mut(user).end_detached_at(now.monotonic_ms(), is_meant);
            for slot in self.users.at(user).sessions.clone() {
                self.recheck(self.sessions.id_at(slot), channel, now, out);
            }
            self.settle_user(user, None, now, out);
        }
    }

    /// Looks again at whether a session may be in its channels, or in one of them.
    pub(super) fn recheck(&mut self, id: SessionId, channel: Option<&str>, now: Now, out: &mut Outputs) {
        let Some(session) = self.sessions.get(id) else { return };
        let channels: Vec<ChannelName> = session
            .memberships
            .iter()
            .map(|membership| self.rooms.at(membership.room).channel.clone())
            .filter(|known| channel.is_none_or(|channel| channel == &**known))
            .collect();
        for channel in channels {
            self.recheck_one(id, channel, now, out);
        }
    }

    /// Returns whether there was room for the question, if it has to be asked.
    fn recheck_one(&mut self, id: SessionId, channel: ChannelName, now: Now, out: &mut Outputs) -> bool {
        let room = self.rooms.find(&channel, &self.placement);
        let session = self.sessions.get(id).zip(room).filter(|(of, room)| of.membership(*room).is_some());
        let Some((Session { origin, .. }, _)) = session else { return true };
        let errand = Errand::Stay { session: id, origin: *origin, channel: channel.clone() };
        match self.permit_session(id, &channel, errand, now) {
            Permit::Granted | Permit::Pending => true,
            // Nobody said no: it is asked again when others have their answers.
            Permit::Refused(refusal)
                if refusal.code == ErrorCode::ServerBusy && self.rechecks.len() < RECHECKS_MAX =>
            {
                self.rechecks.push_back((id, channel));
                false
            }
            Permit::Refused(_) => {
                self.evict(id, &channel, now, out);
                true
            }
        }
    }

    /// Puts a session out of a channel, and tells it.
    fn evict(&mut self, id: SessionId, channel: &str, now: Now, out: &mut Outputs) {
        let Some(room) = self.rooms.find(channel, &self.placement) else { return };
        let Some(session) = self.sessions.get(id) else { return };
        let Some(membership) = session.membership(room).copied() else { return };
        let by_room_name = membership.form.style.is_legacy();
        let user = self.users.at(session.user).id.clone();
        self.end_room(id, room, false, out);
        self.metrics.evictions.increment();
        let left = Left { channel, spelling: membership.spellings.preferred(), by_room_name, user: &user };
        out.send(id, |frame| event::push_left(frame, &left, None));
        let refusal = Refusal::new(ErrorCode::RoomAccessDenied, "your permission for this channel ended");
        self.refuse(id, "channel:join", None, &refusal.about(channel), now, out);
    }
}

fn busy() -> Refusal {
    Refusal::new(ErrorCode::ServerBusy, "too many wait for permission, try again later")
}

pub(super) fn too_many_channels() -> Refusal {
    Refusal::new(ErrorCode::MaxRoomsExceeded, "too many channels: leave one first")
}

#[cfg(test)]
mod tests {
    use super::super::Identity;
    use super::super::trial::{self, Trial, quiet};
    use super::*;
    use crate::access::AccessRules;
    use crate::limits::Limits;

    const JOIN: &str = r#"["channel:join",{"channelId":"a"}]"#;
    const LEAVE: &str = r#"["channel:leave",{"channelId":"a"}]"#;

    fn asking() -> Trial {
        let access = AccessRules { has_webhook: true, ..AccessRules::default() };
        Trial::new(Limits { access: access.into(), ..quiet() })
    }

    fn question(trial: &mut Trial) -> Question {
        let mut questions = trial.shard.take_questions();
        assert_eq!(questions.len(), 1);
        questions.remove(0)
    }

    fn members(trial: &Trial) -> u64 {
        trial.metrics.subscriptions.get()
    }

    #[test]
    fn a_join_waits_for_permission_and_is_answered_by_it() {
        let mut trial = asking();
        let session = trial.connect(0, "7", None);
        assert!(trial.event(session, JOIN, Some(1)).is_empty());
        assert!(trial.event(session, JOIN, Some(2)).is_empty());
        let asked = question(&mut trial);
        assert_eq!((&*asked.user, &*asked.channel, &*asked.session), ("7", "a", &*trial.sid(session)));
        let heard = trial.answer(asked, true).concat();
        assert!(
            heard.contains(r#"431[{"success":true"#) && heard.contains(r#"432[{"success":true"#),
            "{heard}"
        );
        assert_eq!(members(&trial), 1);
        let other = trial.connect(1, "7", None);
        assert!(!trial.event(other, JOIN, None).is_empty(), "the answer is remembered");
    }

    #[test]
    fn who_is_denied_hears_so_in_the_words_that_were_used() {
        let mut trial = asking();
        let session = trial.connect(0, "7", None);
        trial.event(session, JOIN, Some(1));
        trial.event(session, r#"["room:join",{"roomName":"channel:a"}]"#, None);
        let asked = question(&mut trial);
        let heard = trial.answer(asked, false);
        assert!(
            heard[0].starts_with(r#"431[{"success":false,"error":{"code":"ROOM_ACCESS_DENIED""#),
            "{heard:?}"
        );
        assert!(heard.concat().contains(r#""channel:a""#), "{heard:?}");
        assert_eq!(trial.shard.holdings().rooms, 0);
    }

    #[test]
    fn a_permission_that_comes_after_the_leave_admits_nobody() {
        let mut trial = asking();
        let session = trial.connect(0, "7", None);
        trial.event(session, JOIN, Some(1));
        trial.event(session, LEAVE, None);
        let asked = question(&mut trial);
        let heard = trial.answer(asked, true);
        assert_eq!(heard.len(), 1);
        assert!(heard[0].starts_with(r#"431[{"success":false,"error":{"code":"NOT_JOINED""#), "{heard:?}");
        assert_eq!((members(&trial), trial.shard.holdings().rooms), (0, 0));
        trial.event(session, JOIN, None);
        assert_eq!(members(&trial), 1, "another join is another matter");
    }

    #[test]
    fn a_permission_for_somebody_who_is_gone_admits_nobody_else() {
        let mut trial = asking();
        let session = trial.connect(0, "7", None);
        trial.event(session, JOIN, Some(1));
        let asked = question(&mut trial);
        // The client leaves the namespace, and comes back on the same connection as somebody else.
        trial.end(session, super::super::Ending::Left);
        let identity = trial.identity("8", None);
        let newcomer = super::super::Newcomer::plain(identity);
        trial.enter_as(session, newcomer);
        trial.event(session, r#"["channel:join",{"channelId":"b"}]"#, Some(1));
        assert!(trial.answer(asked, true).is_empty());
        assert_eq!(members(&trial), 0);
    }

    #[test]
    fn a_revocation_puts_out_who_is_not_permitted_any_more() {
        let mut trial = asking();
        let session = trial.connect(0, "7", None);
        for channel in ["a", "b", "user:7"] {
            trial.event(session, &format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#), None);
            for asked in trial.shard.take_questions() {
                trial.answer(asked, true);
            }
        }
        assert_eq!(members(&trial), 3);
        trial.inbox(session);
        trial.revoke(Some("7"), None);
        let questions = trial.shard.take_questions();
        assert_eq!(questions.len(), 2, "what is the user's own needs no permission");
        assert!(trial.inbox(session).is_empty(), "nobody said no yet");
        for asked in questions {
            let is_allowed = &*asked.channel == "b";
            trial.answer(asked, is_allowed);
        }
        let heard = trial.inbox(session);
        assert_eq!((trial::of(&heard, "channel:left").len(), trial::of(&heard, "error").len()), (1, 1));
        assert_eq!((members(&trial), trial.metrics.evictions.get()), (2, 1));
    }

    #[test]
    fn an_answer_that_a_revocation_overtook_is_asked_for_again() {
        let mut trial = asking();
        let session = trial.connect(0, "7", None);
        trial.event(session, JOIN, Some(1));
        let asked = question(&mut trial);
        trial.revoke(None, Some("a"));
        assert!(trial.answer(asked, true).is_empty());
        let again = question(&mut trial);
        trial.answer(again, false);
        assert_eq!(members(&trial), 0);
    }

    #[test]
    fn a_full_session_is_looked_at_again_without_being_put_out() {
        let access = AccessRules { has_webhook: true, ..AccessRules::default() };
        let limits = Limits { access: access.into(), channels_per_session_max: 4, ..quiet() };
        let mut trial = Trial::new(limits);
        let session = trial.connect(0, "7", None);
        for channel in ["a", "b", "c", "d", "e"] {
            trial.event(session, &format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#), None);
        }
        let questions = trial.shard.take_questions();
        assert_eq!(questions.len(), 4, "no more are asked for than there is room for");
        for asked in questions {
            trial.answer(asked, true);
        }
        trial.revoke(None, None);
        for asked in trial.shard.take_questions() {
            trial.answer(asked, true);
        }
        assert_eq!((members(&trial), trial.metrics.evictions.get()), (4, 0));
    }

    #[test]
    fn more_memberships_than_questions_are_looked_at_one_after_the_other() {
        let mut trial = asking();
        let count = crate::limits::ACCESS_QUESTIONS_MAX as u32 + 100;
        for slot in 0..count {
            let session = trial.connect(slot, &format!("user-{slot}"), None);
            trial.event(session, JOIN, None);
            let asked = question(&mut trial);
            trial.answer(asked, true);
        }
        trial.revoke(None, Some("a"));
        let mut asked_count = 0;
        loop {
            let questions = trial.shard.take_questions();
            if questions.is_empty() {
                break;
            }
            asked_count += questions.len() as u32;
            for asked in questions {
                let is_allowed = &*asked.user != "user-7";
                trial.answer(asked, is_allowed);
            }
        }
        assert_eq!((asked_count, trial.metrics.evictions.get()), (count, 1));
        assert_eq!(members(&trial), u64::from(count) - 1);
    }

    #[test]
    fn lost_sessions_end_with_a_revocation_and_their_user_is_offline() {
        let mut trial = Trial::new(quiet());
        let (watcher, watched) = (trial.connect(0, "8", None), trial.connect_durable(1, "7", None));
        trial.join(watcher, "a");
        trial.join(watched, "a");
        trial.disconnect(watched);
        trial.revoke(Some("7"), Some("b"));
        assert_eq!(trial.shard.holdings().detached, 1, "another channel is meant");
        trial.inbox(watcher);
        trial.revoke(Some("7"), Some("a"));
        assert_eq!(trial.shard.holdings().detached, 0);
        let heard = trial.inbox(watcher);
        assert_eq!(trial::text(trial::of(&heard, "presence")[0], "status"), "offline");
    }

    #[test]
    fn a_token_that_grants_less_puts_its_session_out() {
        let mut trial = Trial::new(quiet());
        let session = trial.connect(0, "7", None);
        for channel in ["a", "b"] {
            trial.join(session, channel);
        }
        let grants = Grants::new(["a"], true);
        let identity = Identity { grants: Some(grants.into()), ..trial.identity("7", None) };
        let heard = trial.refresh_as(session, identity.clone(), None);
        let left = trial::of(&heard, "channel:left");
        assert_eq!((left.len(), trial::text(left[0], "channelId")), (1, "b"));
        assert_eq!(members(&trial), 1);
        assert_eq!(trial::of(&trial.refresh_as(session, identity, None), "channel:left").len(), 0);
    }
}
