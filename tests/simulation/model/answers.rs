//! Answers: those that follow from an input at once, in order, and those that another core has to make first.

use protocol::codes::ErrorCode;
use serde_json::Value;

use super::{Checked, Model};
use crate::client::Seat;
use crate::heard::{self, Heard};

/// Something that the acting session hears before its input is over.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Connect,
    Connected,
    Authenticated,
    AuthError(ErrorCode),
    Left(String),
    Error { code: ErrorCode, event: String, channel: Option<String> },
    Pong(Option<Value>),
    Ack(u64, Body),
}

/// What an immediate acknowledgement says.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Failure(ErrorCode),
    Left(String),
    Ping(Option<Value>),
    Authenticated,
}

/// An acknowledgement that comes when a home has answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// The session left before its join was complete.
    VoidJoin,
    /// A message or its retry.
    Send { publication: usize },
}

impl Model {
    /// Everything but joins, messages and acknowledgements is an immediate answer.
    pub(super) fn hear_expected(&mut self, seat: Seat, heard: &Heard) -> Checked {
        if self.may_be_busy && is_busy(heard) {
            return self.hear_busy();
        }
        let Some(expected) = self.expected.pop_front().filter(|_| self.acting == Some(seat)) else {
            return Err(format!("{heard:?} out of the blue"));
        };
        let (now, user, sid) = (self.now.unix_ms, &self.sessions[&seat].user, &self.sessions[&seat].sid);
        let fits = match (&expected, heard) {
            (Expected::Connect, Heard::Connect { sid }) => return self.name_session(seat, sid),
            (Expected::Connected, Heard::Connected { sid: named, server_time }) => {
                named == sid && *server_time == now
            }
            (Expected::Authenticated, Heard::Authenticated { user: named, session }) => {
                named == user && session == sid
            }
            (Expected::AuthError(code), Heard::AuthError { code: named }) => named == code.name(),
            (Expected::Left(channel), Heard::Left { channel: left, user: named }) => {
                left == channel && named == user
            }
            (Expected::Error { code, event, channel }, Heard::Error(refused)) => {
                (&refused.event, &refused.channel, refused.timestamp) == (event, channel, now)
                    && (&*refused.code, &*refused.family) == (code.name(), code.family())
            }
            (Expected::Pong(timestamp), Heard::Pong { timestamp: echoed, server_time }) => {
                echoes(timestamp.as_ref(), echoed, now) && *server_time == now
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("heard {heard:?} instead of {expected:?}")) }
    }

    pub(super) fn hear_ack(&mut self, seat: Seat, id: u64, body: &Value) -> Checked {
        let is_immediate = self.acting == Some(seat)
            && self
                .expected
                .front()
                .is_some_and(|front| matches!(front, Expected::Ack(ack, _) if *ack == id));
        if is_immediate && let Some(Expected::Ack(_, expected)) = self.expected.pop_front() {
            return fits(&expected, &self.sessions[&seat].user, body, self.now.unix_ms);
        }
        let answer = self.sessions.get_mut(&seat).and_then(|session| session.answers.remove(&id));
        match answer {
            None => Err(format!("nobody waits for acknowledgement {id} {body}")),
            Some(Answer::VoidJoin) => {
                self.counts.voided_joins += 1;
                self.counts.refusals[ErrorCode::NotJoined as usize] += 1;
                fits(&Body::Failure(ErrorCode::NotJoined), "", body, self.now.unix_ms)
            }
            Some(Answer::Send { publication }) => self.hear_sent(seat, publication, body),
        }
    }

    fn hear_sent(&mut self, seat: Seat, publication: usize, body: &Value) -> Checked {
        if self.may_be_busy && self.acting == Some(seat) && body["error"]["code"] == "SERVER_BUSY" {
            return self.hear_busy();
        }
        let data = &body["data"];
        let receipt = heard::receipt(data).filter(|_| body["success"] == true);
        let receipt = receipt.ok_or_else(|| format!("a message was not accepted: {body}"))?;
        if body["messageId"] != data["messageId"] {
            return Err(format!("an acknowledgement with two ids: {body}"));
        }
        let membership = self.sessions[&seat].memberships.get(self.publications.channel(publication));
        // Known only while the membership lasts under which the message was sent.
        let epoch = membership.and_then(|membership| {
            let is_same = self.publications.is_witnessed_by(publication, seat, membership.serial);
            membership.place.as_ref().filter(|_| is_same).map(|place| place.epoch.clone())
        });
        self.publications.acknowledged(publication, &receipt, data, epoch.as_deref())
    }

    fn name_session(&mut self, seat: Seat, sid: &str) -> Checked {
        if !self.sids.insert(sid.to_owned()) {
            return Err(format!("two sessions are called {sid}"));
        }
        if let Some(session) = self.sessions.get_mut(&seat) {
            session.sid = sid.to_owned();
        }
        Ok(())
    }

    /// The retry was one too many, and is as if it had not been made.
    fn hear_busy(&mut self) -> Checked {
        self.may_be_busy = false;
        self.publications.forget_last_retry();
        self.counts.retries -= 1;
        self.counts.busy += 1;
        self.counts.refusals[ErrorCode::ServerBusy as usize] += 1;
        Ok(())
    }
}

fn is_busy(heard: &Heard) -> bool {
    matches!(heard, Heard::Error(refused) if refused.code == ErrorCode::ServerBusy.name())
}

/// A ping's answer repeats its timestamp, or tells the node's.
fn echoes(timestamp: Option<&Value>, echoed: &Value, now_unix_ms: u64) -> bool {
    match timestamp {
        Some(timestamp) => timestamp == echoed,
        None => *echoed == now_unix_ms,
    }
}

fn fits(expected: &Body, user: &str, body: &Value, now_unix_ms: u64) -> Checked {
    let data = &body["data"];
    let fits = match expected {
        Body::Failure(code) => body["success"] == false && body["error"]["code"] == code.name(),
        Body::Left(channel) => {
            body["success"] == true && body["channelId"] == **channel && data["channelId"] == **channel
        }
        Body::Ping(timestamp) => {
            echoes(timestamp.as_ref(), &body["timestamp"], now_unix_ms) && body["serverTime"] == now_unix_ms
        }
        Body::Authenticated => body["success"] == true && data["userId"] == *user,
    };
    if fits { Ok(()) } else { Err(format!("acknowledged with {body} instead of {expected:?}")) }
}
