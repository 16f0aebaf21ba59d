//! A session's beginning and end, and what its token says about it.

use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::event::{self, Failure, Introduction};
use protocol::codes::{CloseReason, ErrorCode};

use super::sessions::Session;
use super::{Deadline, Shard};
use crate::Now;
use crate::ids::{MessageId, SessionId, UserId};
use crate::limits::{EXPIRY_GRACE_MS, Expiry};
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

    /// The token's time, or the grace after it, is over.
    pub(super) fn token_expired(&mut self, id: SessionId, now: Now, out: &mut Outputs) {
        let Some(session) = self.sessions.get(id) else { return };
        let now_ms = now.monotonic_ms();
        if session.expires_at_ms > now_ms {
            // Refreshed since; its later deadline is on the wheel.
            return;
        }
        if session.expires_at_ms + EXPIRY_GRACE_MS <= now_ms {
            return out.close(id, CloseReason::TokenExpired);
        }
        self.deadlines.arm(session.expires_at_ms + EXPIRY_GRACE_MS, Deadline::TokenExpiry(id));
        self.metrics.refusals[ErrorCode::TokenExpired as usize].increment();
        let failure = Failure {
            code: ErrorCode::TokenExpired,
            message: "the token expired: send auth:refresh within 60 s",
            event: "auth:refresh",
            channel: None,
            retry_after_s: None,
        };
        out.send(id, |frame| event::push_error(frame, &failure, now.unix_ms));
    }

    /// Deadlines run on the monotonic clock from here on: a jump of the wall clock expires nobody.
    fn watch_expiry(&mut self, id: SessionId, identity: &Identity, now: Now) {
        let (Some(expires_at), Expiry::Disconnect) = (identity.expires_at_unix_ms, self.limits.expiry) else {
            return;
        };
        let expires_at_ms = now.monotonic_ms() + expires_at.saturating_sub(now.unix_ms);
        if let Some(session) = self.sessions.get_mut(id) {
            session.expires_at_ms = expires_at_ms;
        }
        self.deadlines.arm(expires_at_ms, Deadline::TokenExpiry(id));
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
