//! A session's beginning and end, and what its token says about it.

use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::event::{self, Failure, Introduction};
use protocol::codes::ErrorCode;

use super::Shard;
use super::sessions::Session;
use crate::Now;
use crate::ids::{MessageId, SessionId, UserId};
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
    /// When the token ends, in milliseconds since the epoch.
    pub expires_at_unix_ms: Option<u64>,
}

impl Shard {
    pub(super) fn connect(&mut self, id: SessionId, identity: Identity, now: Now, out: &mut Outputs) {
        let user = self.users.add_session(&identity.user, id.slot, &self.placement);
        self.sessions.insert(
            id,
            Session {
                user,
                ticket: 0,
                memberships: SmallVec::new(),
                expires_at_ms: u64::MAX,
                looked_at_ms: u64::MAX,
                name: identity.name.clone(),
            },
        );
        self.watch_expiry(id, &identity, now);
        self.count_sessions();
        if self.users.get(user).sessions.len() == 1 {
            self.metrics.presence_updates.increment();
        }
        let socket_id = self.socket_id(id);
        out.send(id, |frame| {
            event::push_connect(frame, socket_id.as_str());
            event::push_connected(frame, socket_id.as_str(), now.unix_ms);
            event::push_authenticated(frame, &introduction(&identity, socket_id.as_str()));
        });
    }

    pub(super) fn disconnect(&mut self, id: SessionId, out: &mut Outputs) {
        let Some(session) = self.sessions.remove(id) else { return };
        let user = self.users.get(session.user).id.clone();
        for membership in session.memberships {
            self.end_membership(membership, &user, out);
        }
        if self.users.remove_session(session.user, id.slot, &self.placement) {
            self.metrics.presence_updates.increment();
        }
        self.count_sessions();
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
        let is_same = |identity: &Identity| identity.user == self.users.get(session.user).id;
        let verdict = verdict.and_then(|identity| match is_same(&identity) {
            true => Ok(identity),
            false => Err((ErrorCode::AuthenticationFailed, "the token belongs to another user")),
        });
        match verdict {
            Ok(identity) => {
                session.name = identity.name.clone();
                session.expires_at_ms = u64::MAX;
                self.watch_expiry(id, &identity, now);
                let socket_id = self.socket_id(id);
                let who = introduction(&identity, socket_id.as_str());
                out.send(id, |frame| {
                    event::push_authenticated(frame, &who);
                    if let Some(ack) = ack {
                        event::push_authenticated_ack(frame, ack, &who);
                    }
                });
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

    /// The public id of a session: derived from its place under the node's secret key, so it needs no memory.
    fn socket_id(&self, id: SessionId) -> MessageId {
        let place = format!("{}:{}:{}", self.core.0, id.slot, id.generation);
        let fingerprint = self.placement.fingerprint(&["socket", &place]);
        MessageId::new((fingerprint >> 80) as u64, fingerprint)
    }

    fn count_sessions(&self) {
        self.metrics.sessions.set(self.sessions.live_count() as u64);
        self.metrics.users.set(self.users.count() as u64);
    }
}

fn introduction<'a>(identity: &'a Identity, socket_id: &'a str) -> Introduction<'a> {
    Introduction {
        user: &identity.user,
        session: identity.session.as_deref().unwrap_or(socket_id),
        name: identity.name.as_deref(),
        roles: &identity.roles,
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
        let (one, other) = (trial.shard.socket_id(one), trial.shard.socket_id(other));
        assert_ne!(one, other);
        assert_eq!(trial.shard.holdings().users, 1);
    }

    #[test]
    fn a_refresh_answers_with_the_identity_of_the_token() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        let sid = trial.shard.socket_id(session);
        let who = format!(
            r#"{{"userId":"7","sessionId":"{}","rooms":["user:7"],"user":{{"id":"7"}},"roles":[],"expiresAt":{}}}"#,
            sid.as_str(),
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
