//! Answers: those that follow from an input at once, in order, and those that another core has to make first.

use std::collections::BTreeSet;

use protocol::codes::ErrorCode;
use serde_json::Value;

use super::past::Sync;
use super::{Checked, Model};
use crate::client::Seat;
use crate::heard::{self, Heard};

/// Something that a session hears before its input is over.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Connected { has_cursor: bool },
    Authenticated,
    AuthError(ErrorCode),
    Left { name: String, user: Option<String> },
    Denied { room: String, code: ErrorCode },
    Failed { client_message_id: String, code: ErrorCode },
    Error { refusal: Refusal, event: String, channel: Option<String> },
    Pong(Option<Value>),
    Ack(u64, Body),
}

/// What is refused, and when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) retry_after_s: Option<u64>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, retry_after_s: None }
    }
}

/// What an immediate acknowledgement says.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Failure(Refusal),
    Left {
        channel: String,
        room: Option<String>,
    },
    Ping(Option<Value>),
    Authenticated,
    /// Success, and nothing else.
    Plain,
}

/// An acknowledgement that comes when a home has answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The session left before its join was complete.
    VoidJoin,
    /// A message or its retry.
    Send {
        publication: usize,
    },
    /// A reaction or read receipt.
    Remark,
    /// How users are.
    Presences(BTreeSet<String>),
    Sync(Sync),
}

impl Model {
    pub(super) fn expect(&mut self, seat: Seat, expected: Expected) {
        if let Some(session) = self.sessions.get_mut(&seat) {
            session.expected.push_back(expected);
        }
    }

    pub(super) fn expect_ack(&mut self, seat: Seat, ack: Option<u64>, body: Body) {
        if let Some(ack) = ack {
            self.expect(seat, Expected::Ack(ack, body));
        }
    }

    /// An acknowledgement where one is wanted, an error elsewhere.
    pub(super) fn expect_refusal(
        &mut self,
        seat: Seat,
        refusal: Refusal,
        event: &str,
        channel: Option<&str>,
        ack: Option<u64>,
    ) {
        self.counts.refusals[refusal.code as usize] += 1;
        match ack {
            Some(ack) => self.expect(seat, Expected::Ack(ack, Body::Failure(refusal))),
            None if refusal.code == ErrorCode::UnknownEvent => {}
            None => {
                let channel = channel.map(str::to_owned);
                self.expect(seat, Expected::Error { refusal, event: event.to_owned(), channel });
            }
        }
    }

    /// Everything but joins, publications and acknowledgements is an immediate answer.
    pub(super) fn hear_expected(&mut self, seat: Seat, heard: &Heard) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        if let Heard::Sent { client_message_id, id } = heard {
            if !session.is_hybrid() {
                return Err(format!("{heard:?} to somebody who does not know the word"));
            }
            return self.publications.check_sent(client_message_id, id);
        }
        let Some(expected) = session.expected.pop_front() else {
            return Err(format!("{heard:?} out of the blue"));
        };
        let (now, user, sid) = (self.now.unix_ms, &session.user, &session.sid);
        let fits = match (&expected, heard) {
            (Expected::Connected { .. }, Heard::Connected { sid: named, server_time }) => {
                named == sid && *server_time == now
            }
            (Expected::Authenticated, Heard::Authenticated { user: named, session: public, rooms }) => {
                let own = format!("user:{user}");
                let known = std::iter::once(&own).chain(session.memberships.keys());
                let told: BTreeSet<&String> = rooms.iter().collect();
                named == user && public == sid && known.collect::<BTreeSet<_>>() == told
            }
            (Expected::AuthError(code), Heard::AuthError { code: named }) => named == code.name(),
            (Expected::Left { name, user }, Heard::Left { name: left, user: named }) => {
                left == name && named == user
            }
            (Expected::Denied { room, code }, Heard::Denied { room: denied, code: named }) => {
                denied == room && named == code.name()
            }
            (
                Expected::Failed { client_message_id, code },
                Heard::Failed { client_message_id: failed, code: named },
            ) => failed == client_message_id && named == code.name(),
            (Expected::Error { refusal, event, channel }, Heard::Error(refused)) => {
                (&refused.event, &refused.channel, refused.timestamp) == (event, channel, now)
                    && (&*refused.code, &*refused.family) == (refusal.code.name(), refusal.code.family())
                    && refused.retry_after_s == refusal.retry_after_s
            }
            (Expected::Pong(timestamp), Heard::Pong { timestamp: echoed, server_time }) => {
                echoes(timestamp.as_ref(), echoed, now) && *server_time == now
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("heard {heard:?} instead of {expected:?}")) }
    }

    pub(super) fn hear_ack(&mut self, seat: Seat, id: u64, body: &Value) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let is_immediate = session
            .expected
            .front()
            .is_some_and(|front| matches!(front, Expected::Ack(ack, _) if *ack == id));
        if is_immediate && let Some(Expected::Ack(_, expected)) = session.expected.pop_front() {
            return fits(&expected, &session.user, body, self.now.unix_ms);
        }
        match session.answers.remove(&id) {
            None => Err(format!("nobody waits for acknowledgement {id} {body}")),
            Some(Answer::VoidJoin) => {
                self.counts.voided_joins += 1;
                self.counts.refusals[ErrorCode::NotJoined as usize] += 1;
                fits(&Body::Failure(ErrorCode::NotJoined.into()), "", body, self.now.unix_ms)
            }
            Some(Answer::Send { publication }) => self.hear_accepted(seat, publication, body),
            Some(Answer::Remark) => fits(&Body::Plain, "", body, self.now.unix_ms),
            Some(Answer::Presences(users)) => self.hear_survey(seat, &users, &body["data"]["presences"]),
            Some(Answer::Sync(sync)) => self.hear_synced(&sync, body),
        }
    }

    fn hear_accepted(&mut self, seat: Seat, publication: usize, body: &Value) -> Checked {
        let data = &body["data"];
        let stamp = heard::stamp_of_message(data).filter(|_| body["success"] == true);
        let stamp = stamp.ok_or_else(|| format!("a message was not accepted: {body}"))?;
        if body["messageId"] != data["messageId"] {
            return Err(format!("an acknowledgement with two ids: {body}"));
        }
        let membership = self.sessions[&seat].memberships.get(self.publications.channel(publication));
        // Known only while the membership lasts under which the message was sent.
        let epoch = membership.and_then(|membership| {
            let is_same = self.publications.is_witnessed_by(publication, membership.serial);
            membership.place.as_ref().filter(|_| is_same).map(|place| place.epoch.clone())
        });
        self.publications.acknowledged(publication, &stamp, data, epoch.as_deref())
    }
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
        Body::Failure(refusal) => {
            body["success"] == false
                && body["error"]["code"] == refusal.code.name()
                && body["error"]["retryAfter"].as_u64() == refusal.retry_after_s
        }
        Body::Left { channel, room } => {
            body["success"] == true
                && body["channelId"] == **channel
                && data["channelId"] == **channel
                && data["roomName"].as_str() == room.as_deref()
        }
        Body::Ping(timestamp) => {
            echoes(timestamp.as_ref(), &body["timestamp"], now_unix_ms) && body["serverTime"] == now_unix_ms
        }
        Body::Authenticated => body["success"] == true && data["userId"] == *user,
        Body::Plain => body["success"] == true,
    };
    if fits { Ok(()) } else { Err(format!("acknowledged with {body} instead of {expected:?}")) }
}
