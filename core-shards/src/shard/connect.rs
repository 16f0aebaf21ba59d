//! A session's beginning, and what its token says about it.

use std::num::NonZeroU64;
use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::dialect::Dialect;
use protocol::chat::event::{self, Failure, Introduction};
use protocol::chat::status::Status;
use protocol::codes::{CloseReason, ErrorCode};

use super::Shard;
use super::particulars::Particulars;
use super::sessions::{Origin, Session};
use super::standing::{Saying, Update};
use crate::Now;
use crate::access::Grants;
use crate::cursor::Cursor;
use crate::ids::{MessageId, SessionId, UserId};
use crate::limits::DefaultDialect;
use crate::outputs::Outputs;

/// Who a verified token says that a session belongs to.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user. Never empty.
    pub user: UserId,
    /// The token's own session id, if it has one.
    pub session: Option<Box<str>>,
    /// Display name.
    pub name: Option<Arc<str>>,
    /// Roles, possibly none.
    pub roles: Box<[Box<str>]>,
    /// The channels that the token names, if it names any.
    pub grants: Option<Arc<Grants>>,
    /// When the token ends, in milliseconds since the epoch.
    pub expires_at_unix_ms: Option<u64>,
}

/// Somebody who joins the main namespace, with what the handshake says besides.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Who it is.
    pub identity: Identity,
    /// The names of events that the client reads, if it says so.
    pub dialect: Option<Dialect>,
    /// Whether durable events may carry a cursor as their last argument.
    pub takes_cursor: bool,
    /// The session that the client had, if it wants to take it up.
    pub resume: Option<Resume>,
    /// The status to begin with, if it is not to be online.
    pub said: Option<Status>,
}

impl Newcomer {
    /// Somebody who says nothing but who it is.
    pub const fn plain(identity: Identity) -> Self {
        Self { identity, dialect: None, takes_cursor: false, resume: None, said: None }
    }
}

/// What a client keeps of a session whose connection it lost.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The session's private id.
    pub pid: Box<str>,
    /// The cursor of the last event that it got.
    pub offset: Box<str>,
}

/// What a token allows beyond what everybody may.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) roles: Box<[Box<str>]>,
    pub(super) grants: Option<Arc<Grants>>,
}

impl Rights {
    /// Nothing is kept of a token that says nothing.
    pub(super) fn of(identity: &Identity) -> Option<Arc<Self>> {
        let rights = Self { roles: identity.roles.clone(), grants: identity.grants.clone() };
        (rights != Self::default()).then(|| Arc::new(rights))
    }

    /// Roles and grants, of whoever has any.
    pub(super) fn parts(rights: Option<&Self>) -> (&[Box<str>], Option<&Grants>) {
        rights.map_or((&[], None), |rights| (&rights.roles, rights.grants.as_deref()))
    }
}

impl Shard {
    /// Lets a newcomer in: into the session that it lost, or into a new one.
    pub(super) fn connect(&mut self, id: SessionId, newcomer: &Newcomer, now: Now, out: &mut Outputs) {
        let user = self.users.find_or_insert(&newcomer.identity.user, &self.placement);
        let resumes = newcomer.takes_cursor && self.limits.keeps_journal();
        let resume = newcomer.resume.as_ref().filter(|_| resumes);
        if let Some(resume) = resume {
            self.metrics.resumes_tried.increment();
            self.evict_predecessor(user, &resume.pid, now, out);
        }
        if !self.has_room_for(id, user, now, out) {
            return;
        }
        if resume.is_some_and(|resume| self.resume(id, user, resume, newcomer, now, out)) {
            return self.settle_arrival(id, user, newcomer.said, now, out);
        }
        if self.ask_elsewhere(id, newcomer, now, out) {
            return self.settle_user(user, None, now, out);
        }
        self.begin(id, user, newcomer, now, out);
        self.settle_arrival(id, user, newcomer.said, now, out);
    }

    /// Whether a user may have a further session. Whoever may not is told and sent away.
    pub(super) fn has_room_for(&mut self, id: SessionId, user: u32, now: Now, out: &mut Outputs) -> bool {
        let connections_max = self.limits.connections_per_user_max;
        let has_room = connections_max == 0 || self.connection_count(user) < connections_max;
        if !has_room {
            self.metrics.refusals[ErrorCode::TooManyConnections as usize].increment();
            let message = "too many connections of this user: close one first";
            out.send(id, |frame| event::push_connect_error(frame, ErrorCode::TooManyConnections, message));
            out.close(id, CloseReason::ServerDisconnect);
            self.settle_user(user, None, now, out);
        }
        has_room
    }

    /// How many sessions a user has on all nodes.
    fn connection_count(&self, user: u32) -> usize {
        self.users.at(user).sessions.len() + self.elsewhere.connection_count(user)
    }

    /// Makes a new session.
    pub(super) fn begin(
        &mut self,
        id: SessionId,
        user: u32,
        newcomer: &Newcomer,
        now: Now,
        out: &mut Outputs,
    ) {
        let session = Session {
            user,
            memberships: SmallVec::new(),
            name: newcomer.identity.name.clone(),
            rights: Rights::of(&newcomer.identity),
            origin: self.next_origin(),
            said: None,
            dialect: newcomer.dialect.or(match self.limits.dialect {
                DefaultDialect::Auto => None,
                DefaultDialect::Primary => Some(Dialect::Primary),
                DefaultDialect::Legacy => Some(Dialect::Legacy),
                DefaultDialect::Hybrid => Some(Dialect::Hybrid),
            }),
            has_cursor: newcomer.takes_cursor && self.limits.keeps_journal(),
            particulars: Particulars::default(),
        };
        let cursor = session.has_cursor.then(|| match self.placement.is_joined() {
            true => self.lanes.cursor().to_owned(),
            false => Cursor::Mark { core: self.core, position: self.journal.end() }.text(self.run),
        });
        self.seat(id, Box::new(session), &newcomer.identity, now);
        self.greet(id, &newcomer.identity, cursor.as_deref(), now, out);
        self.keep_record(id);
    }

    /// A further session begins here.
    pub(super) fn next_origin(&mut self) -> Origin {
        self.session_number += 1;
        Origin(NonZeroU64::new(self.session_number).expect("one was added"))
    }

    /// Gives a session its slot.
    pub(super) fn seat(&mut self, id: SessionId, session: Box<Session>, identity: &Identity, now: Now) {
        let slots = &mut self.users.at_mut(session.user).sessions;
        slots.push(id.slot);
        if slots.len() == 1 {
            self.metrics.users_connected.add(1);
        }
        self.sessions.insert(id, session);
        self.watch_expiry(id, identity, now);
        self.count_sessions();
    }

    /// Tells a session that it is in: CONNECT, `connected`, `authenticated`.
    pub(super) fn greet(
        &self,
        id: SessionId,
        identity: &Identity,
        cursor: Option<&str>,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get(id) else { return };
        let (sid, pid) = (self.sid_of(session), self.pid_of(session));
        let rooms = self.rooms_of(session);
        let rooms: Vec<&str> = rooms.iter().map(|room| &**room).collect();
        let has_cursor = session.has_cursor;
        out.send(id, |frame| {
            event::push_connect(frame, sid.as_str(), has_cursor.then_some(pid.as_str()));
            event::push_connected(frame, sid.as_str(), now.unix_ms, cursor);
            event::push_authenticated(frame, &introduction(identity, sid.as_str(), &rooms));
        });
    }

    /// The channels that a session is in, besides its user's own room.
    fn rooms_of(&self, session: &Session) -> Vec<Arc<str>> {
        let user = &self.users.at(session.user).id;
        let is_own = |channel: &str| channel.strip_prefix("user:") == Some(user);
        let rooms = session.memberships.iter().map(|membership| &self.rooms.at(membership.room).channel);
        rooms.filter(|channel| !is_own(channel)).cloned().collect()
    }

    /// A device came, and perhaps says how its user is: others hear of it if it changes what they see.
    pub(super) fn settle_arrival(
        &mut self,
        id: SessionId,
        user: u32,
        status: Option<Status>,
        now: Now,
        out: &mut Outputs,
    ) {
        if let (Some(status), Some(session)) = (status, self.sessions.get_mut(id)) {
            let update = Update { before: session.said.replace(status), status, saying: Saying::Same };
            self.say(user, Some(id), update, now, out);
        }
        self.settle_user(user, Some(id), now, out);
        self.users.at_mut(user).standing.seen(now.unix_ms);
    }

    /// Takes over a refreshed identity, or tells the client why not. The session stays either way.
    pub(super) fn refresh(
        &mut self,
        id: SessionId,
        verdict: Result<Identity, (ErrorCode, &'static str)>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let is_same = |identity: &Identity| identity.user == self.users.at(session.user).id;
        let verdict = verdict.and_then(|identity| match is_same(&identity) {
            true => Ok(identity),
            false => Err((ErrorCode::AuthenticationFailed, "the token belongs to another user")),
        });
        match verdict {
            Ok(identity) => {
                session.name = identity.name.clone();
                session.particulars.set_expires_at_ms(u64::MAX);
                let rights = Rights::of(&identity);
                let is_other = session.rights != rights;
                session.rights = rights;
                self.watch_expiry(id, &identity, now);
                self.tell_refreshed(id, &identity, ack, out);
                if is_other {
                    self.recheck(id, None, now, out);
                }
            }
            Err((code, message)) => {
                self.metrics.refusals[code as usize].increment();
                let failure =
                    Failure { code, message, event: "auth:refresh", channel: None, retry_after_s: None };
                out.send(id, |frame| {
                    event::push_auth_error(frame, code, message);
                    event::push_error(frame, &failure, now.unix_ms);
                    if let Some(ack) = ack {
                        event::push_failure_ack(frame, ack, &failure);
                    }
                });
            }
        }
    }

    fn tell_refreshed(&self, id: SessionId, identity: &Identity, ack: Option<u64>, out: &mut Outputs) {
        let Some(session) = self.sessions.get(id) else { return };
        let socket_id = self.sid_of(session);
        let rooms = self.rooms_of(session);
        let rooms: Vec<&str> = rooms.iter().map(|room| &**room).collect();
        let who = introduction(identity, socket_id.as_str(), &rooms);
        out.send(id, |frame| {
            event::push_authenticated(frame, &who);
            if let Some(ack) = ack {
                event::push_authenticated_ack(frame, ack, &who);
            }
        });
    }

    /// The public id of a session: derived from its origin under the node's secret key, so it needs no memory.
    pub(super) fn socket_id(&self, origin: Origin) -> MessageId {
        self.id_of(origin, b's')
    }

    /// The private id of a session, which only its client knows: 128 bits that nobody can guess without the key.
    pub(super) fn private_id(&self, origin: Origin) -> MessageId {
        self.id_of(origin, b'p')
    }

    fn id_of(&self, origin: Origin, domain: u8) -> MessageId {
        // No core will have had 2^48 sessions.
        let place = u64::from(self.core.0) << 48 ^ origin.0.get();
        let fingerprint = self.placement.fingerprint_of_number(domain, place);
        MessageId::new((fingerprint >> 80) as u64, fingerprint)
    }

    pub(super) fn count_sessions(&self) {
        self.metrics.sessions.set(self.sessions.live_count() as u64);
    }
}

fn introduction<'a>(identity: &'a Identity, socket_id: &'a str, rooms: &'a [&'a str]) -> Introduction<'a> {
    Introduction {
        user: &identity.user,
        session: identity.session.as_deref().unwrap_or(socket_id),
        name: identity.name.as_deref(),
        roles: &identity.roles,
        rooms,
        expires_at_ms: identity.expires_at_unix_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Trial;
    use crate::limits::Limits;

    #[test]
    fn sessions_of_one_user_have_different_ids() {
        let mut trial = Trial::new(Limits::default());
        let (one, other) = (trial.connect(0, "7", None), trial.connect(1, "7", None));
        let [one, other] = [one, other].map(|id| trial.sid(id));
        assert_ne!(one, other);
        assert_eq!(trial.shard.holdings().users, 1);
    }

    #[test]
    fn a_refresh_answers_with_the_identity_of_the_token() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        let sid = trial.sid(session);
        let who = format!(
            r#"{{"userId":"7","sessionId":"{}","rooms":["user:7"],"user":{{"id":"7"}},"roles":[],"expiresAt":{}}}"#,
            sid,
            trial.now.unix_ms + 5
        );
        let heard = trial.refresh(session, "7", Some(5), Some(4));
        let acknowledged = format!(r#"434[{{"success":true,"data":{who}}}]"#);
        assert_eq!(heard, [format!(r#"42["authenticated",{who}]"#), acknowledged]);
    }

    #[test]
    fn a_refresh_with_the_token_of_somebody_else_is_refused_and_changes_nothing() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        let code = r#""code":"AUTHENTICATION_FAILED","message":"the token belongs to another user""#;
        let error = format!(
            r#"42["error",{{"type":"auth",{code},"event":"auth:refresh","timestamp":{}}}]"#,
            trial.now.unix_ms
        );
        let auth_error = format!(r#"42["auth:error",{{{code}}}]"#);
        let acknowledged = format!(r#"431[{{"success":false,"error":{{{code}}}}}]"#);
        assert_eq!(trial.refresh(session, "8", None, Some(1)), [auth_error, error, acknowledged]);
        assert_eq!(trial.refresh(session, "8", None, None).len(), 2);
        assert_eq!(trial.event(session, r#"["channel:join",{"channelId":"user:7"}]"#, None).len(), 2);
        assert_eq!(trial.closes(), []);
    }
}
