//! One core's share of the node. The `handle_*` methods are the whole interface; the files below
//! each own one kind of state:
//!
//! ```text
//! sessions   who is connected here, and which rooms each session is in
//! users      whose sessions they are
//! rooms      the local members of a channel: whom a message is handed to
//! homes      the channels that are ordered here: offsets, members of all cores, who watches
//! receipts   what was acknowledged to whom, so that a retry is not a second message
//! ```
//!
//! A message goes through `publish` on the sender's core, `homes` on the channel's, `rooms` on each
//! watching core, and back to `publish` for the acknowledgement.

mod access;
mod connect;
mod expiry;
mod holdings;
mod homes;
mod membership;
mod publish;
mod receipts;
mod rooms;
mod sessions;
#[cfg(test)]
mod trial;
mod users;

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::chat::event::{self, Failure};
use protocol::chat::request::{self, Refusal, Request};
use protocol::codes::ErrorCode;
use protocol::json::Json;

use crate::Now;
use crate::ids::{CoreId, SessionId};
use crate::limits::Limits;
use crate::mail::Mail;
use crate::metrics::ShardMetrics;
use crate::outputs::Outputs;
use crate::placement::Placement;
use crate::wheel::Wheel;
use homes::Homes;
use receipts::Receipts;
use rooms::Rooms;
use sessions::Sessions;
use users::Users;

pub use connect::Identity;
pub use holdings::Holdings;

/// Granularity of a shard's own deadlines, in milliseconds.
const TICK_MS: u64 = 64;

/// One event packet of a session that has joined the main namespace.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The packet's array, `["name", argument, …]`, validated.
    pub arguments: Json<'a>,
    /// The acknowledgement id, if the client wants one.
    pub ack: Option<u64>,
    /// Binary attachments that placeholders in the array refer to.
    pub attachments: &'a [Vec<u8>],
}

/// A deadline of the shard.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    /// The session's token ends, or its grace does.
    TokenExpiry(SessionId),
}

/// One core's sessions, users, rooms and homes.
#[derive(Debug)]
pub struct Shard {
    core: CoreId,
    placement: Placement,
    limits: Limits,
    metrics: Arc<ShardMetrics>,
    sessions: Sessions,
    users: Users,
    rooms: Rooms,
    homes: Homes,
    receipts: Receipts,
    deadlines: Wheel<Deadline>,
    /// Letters to itself, handled in the same turn.
    own_mail: VecDeque<Mail>,
}

impl Shard {
    /// An empty shard. `seed` makes its message ids and epochs; it need not be secret.
    pub fn new(
        core: CoreId,
        placement: Placement,
        limits: Limits,
        metrics: Arc<ShardMetrics>,
        seed: u64,
        now: Now,
    ) -> Self {
        Self {
            core,
            placement,
            limits,
            metrics,
            sessions: Sessions::default(),
            users: Users::default(),
            rooms: Rooms::default(),
            homes: Homes::new(seed),
            receipts: Receipts::default(),
            deadlines: Wheel::new(TICK_MS, now.monotonic_ms()),
            own_mail: VecDeque::new(),
        }
    }

    /// A user whose home this is joined the main namespace.
    pub fn handle_connect(&mut self, session: SessionId, identity: Identity, now: Now, out: &mut Outputs) {
        self.connect(session, identity, now, out);
    }

    /// Whether a session has joined the main namespace.
    pub fn is_connected(&self, session: SessionId) -> bool {
        self.sessions.is_live(session)
    }

    /// A session sent an event. Events of a session that is not connected are ignored.
    pub fn handle_event(&mut self, session: SessionId, event: &Event<'_>, now: Now, out: &mut Outputs) {
        if !self.sessions.is_live(session) {
            return;
        }
        self.metrics.events.increment();
        let mut arguments = event.arguments.items();
        let name = arguments.next().and_then(Json::as_str).unwrap_or_default();
        match request::parse(&name, arguments.next()) {
            Ok(request) => self.carry_out(session, &name, request, event, now, out),
            Err(refusal) => self.refuse(session, &name, event.ack, &refusal, now, out),
        }
        self.settle(now, out);
    }

    /// A session is gone, for whatever reason. Harmless if it never connected.
    pub fn handle_disconnect(&mut self, session: SessionId, now: Now, out: &mut Outputs) {
        self.disconnect(session, out);
        self.settle(now, out);
    }

    /// A refreshed token was verified, or was not.
    pub fn handle_refresh(
        &mut self,
        session: SessionId,
        verdict: Result<Identity, (ErrorCode, &'static str)>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) {
        self.refresh(session, verdict, ack, now, out);
    }

    /// A letter from another core.
    pub fn handle_mail(&mut self, from: CoreId, letter: Mail, now: Now, out: &mut Outputs) {
        self.open(from, letter, now, out);
        self.settle(now, out);
    }

    /// Time has passed: deadlines that are due fire.
    pub fn handle_time(&mut self, now: Now, out: &mut Outputs) {
        let mut due = Vec::new();
        self.deadlines.expire(now.monotonic_ms(), |_, deadline| due.push(deadline));
        for deadline in due {
            match deadline {
                Deadline::TokenExpiry(session) => self.token_expired(session, now, out),
            }
        }
        self.receipts.expire(now.monotonic_ms());
    }

    /// When [`handle_time`](Self::handle_time) wants to be called next, in monotonic milliseconds.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        // Receipts end a second late at most, so that many ends share one wake-up.
        let receipts = self.receipts.next_end_ms().map(|end_ms| end_ms.next_multiple_of(1_000));
        [self.deadlines.next_deadline_ms(), receipts].into_iter().flatten().min()
    }

    fn carry_out(
        &mut self,
        session: SessionId,
        name: &str,
        request: Request<'_>,
        event: &Event<'_>,
        now: Now,
        out: &mut Outputs,
    ) {
        let ack = event.ack;
        let outcome = match request {
            Request::Join { channel } => self.join(session, &channel, ack, out),
            Request::Leave { channel } => self.leave(session, &channel, ack, out),
            Request::Send(send) => self.publish(session, &send, event, now, out),
            Request::Ping { timestamp } => {
                out.send(session, |frame| match ack {
                    Some(ack) => event::push_ping_ack(frame, ack, timestamp, now.unix_ms),
                    None => event::push_pong(frame, timestamp, now.unix_ms),
                });
                Ok(())
            }
            Request::Pong => {
                if let Some(ack) = ack {
                    out.send(session, |frame| event::push_plain_ack(frame, ack));
                }
                Ok(())
            }
            // The shell verifies tokens and answers with `handle_refresh`; one that comes here was not looked at.
            Request::Refresh { .. } => {
                Err(Refusal::new(ErrorCode::InternalError, "the token was not verified"))
            }
        };
        if let Err(refusal) = outcome {
            self.refuse(session, name, ack, &refusal, now, out);
        }
    }

    fn open(&mut self, from: CoreId, letter: Mail, now: Now, out: &mut Outputs) {
        self.metrics.letters.increment();
        match letter {
            Mail::Join(join) => self.admit_member(from, *join, now, out),
            Mail::Leave(leave) => self.dismiss_member(from, &leave),
            Mail::Publish(publish) => self.order(from, *publish, now, out),
            Mail::Joined(joined) => self.become_member(&joined, now, out),
            Mail::Deliver(deliver) => self.hand_out(&deliver, out),
            Mail::Published(published) => self.acknowledge(*published, now, out),
        }
    }

    /// Sends a letter; one to this very core is handled before the turn ends.
    fn post(&mut self, to: CoreId, letter: Mail, out: &mut Outputs) {
        if to == self.core {
            self.own_mail.push_back(letter);
        } else {
            out.mail(to, letter);
        }
    }

    /// Handles the letters to itself. Ends, because results beget no letters and each request begets
    /// at most one result for this core and one for the sender.
    fn settle(&mut self, now: Now, out: &mut Outputs) {
        while let Some(letter) = self.own_mail.pop_front() {
            self.open(self.core, letter, now, out);
        }
    }

    fn refuse(
        &self,
        session: SessionId,
        event: &str,
        ack: Option<u64>,
        refusal: &Refusal,
        now: Now,
        out: &mut Outputs,
    ) {
        self.metrics.refusals[refusal.code as usize].increment();
        let failure = Failure {
            code: refusal.code,
            message: refusal.message,
            event,
            channel: refusal.channel.as_deref(),
            retry_after_s: None,
        };
        match ack {
            Some(ack) => out.send(session, |frame| event::push_failure_ack(frame, ack, &failure)),
            // Products emit many events that this node does not know; an error for each would be noise.
            None if refusal.code == ErrorCode::UnknownEvent => {}
            None => out.send(session, |frame| event::push_error(frame, &failure, now.unix_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::trial::Trial;
    use super::*;

    #[test]
    fn a_refusal_is_an_acknowledgement_where_one_is_wanted_and_an_error_elsewhere() {
        let mut trial = Trial::new(Limits { channels_per_session_max: 1, ..Limits::default() });
        let session = trial.connect(0, "7", None);
        trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
        let mut check = |text: &str, family: &str, code: &str, message: &str, event: &str, channel: &str| {
            let failure = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
            let acknowledged = trial.event(session, text, Some(12));
            assert_eq!(acknowledged, [format!(r#"4312[{{"success":false,"error":{failure}}}]"#)], "{text}");
            let error = format!(
                r#"42["error",{{"type":"{family}","code":"{code}","message":"{message}","event":"{event}"{channel},"timestamp":{}}}]"#,
                trial.now.unix_ms
            );
            assert_eq!(trial.event(session, text, None), [error], "{text}");
        };
        let send = r#"["message:send",{"channelId":"b","content":"x"}]"#;
        let not_joined = "join the channel before you send to it";
        check(send, "state", "NOT_JOINED", not_joined, "message:send", r#","channelId":"b""#);
        let join = r#"["channel:join",{"roomName":"channel:b"}]"#;
        let too_many = "too many channels: leave one first";
        check(join, "state", "MAX_ROOMS_EXCEEDED", too_many, "channel:join", r#","channelId":"b""#);
        let other = r#"["channel:join",{"channelId":"user:8"}]"#;
        let denied = "you are not in this room";
        check(
            other,
            "authorization",
            "ROOM_ACCESS_DENIED",
            denied,
            "channel:join",
            r#","channelId":"user:8""#,
        );
        let nothing = r#"["channel:leave",{}]"#;
        check(nothing, "validation", "VALIDATION_ERROR", "channelId is required", "channel:leave", "");
        let token = r#"["auth:refresh",{"token":"x"}]"#;
        check(token, "server", "INTERNAL_ERROR", "the token was not verified", "auth:refresh", "");
    }

    #[test]
    fn an_unknown_event_is_refused_only_where_somebody_waits() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        for text in [r#"["typing:novel",{}]"#, "[7]", r#"["",1]"#] {
            assert!(trial.event(session, text, None).is_empty(), "{text}");
            let refused =
                r#"430[{"success":false,"error":{"code":"UNKNOWN_EVENT","message":"unknown event"}}]"#;
            assert_eq!(trial.event(session, text, Some(0)), [refused], "{text}");
        }
    }

    #[test]
    fn inputs_for_a_session_that_is_not_there_do_nothing() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(3, "7", None);
        let former = SessionId { generation: session.generation + 1, ..session };
        let absent = SessionId { slot: 9, generation: 0 };
        for stranger in [former, absent] {
            assert!(trial.event(stranger, r#"["ping"]"#, Some(1)).is_empty());
            assert!(trial.refresh(stranger, "7", None, Some(1)).is_empty());
            trial.disconnect(stranger);
        }
        assert!(trial.shard.is_connected(session));
        assert_eq!(trial.event(session, r#"["ping"]"#, Some(1)).len(), 1);
    }

    #[test]
    fn everything_is_forgotten_when_everybody_is_gone() {
        let mut trial = Trial::new(Limits::default());
        let mut sessions = Vec::new();
        for slot in 0..10 {
            let session = trial.connect(slot, &format!("user-{}", slot / 2), None);
            trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
            trial.event(session, &format!(r#"["channel:join",{{"channelId":"b{slot}"}}]"#), None);
            sessions.push(session);
        }
        let holdings = trial.shard.holdings();
        assert_eq!((holdings.sessions, holdings.users, holdings.rooms, holdings.homes), (10, 5, 11, 11));
        for session in sessions {
            trial.disconnect(session);
        }
        assert_eq!(trial.shard.holdings(), Holdings::default());
    }
}
