//! Back ends and browsers that speak HTTP: a call goes to its user's home, where it counts against the user's limits and
//! needs the user's rights, from there to the channel's home, and the answer back to where it came in.

use std::num::NonZeroUsize;
use std::sync::Arc;

use protocol::chat::event::Kind;
use protocol::chat::request::Refusal;
use protocol::chat::rest;
use protocol::codes::ErrorCode;
use protocol::http::response::Response;

use super::Shard;
use super::publish::{ON_ITS_WAY, not_taken, stamp};
use super::rates::{Left, RateClass};
use super::receipts::Known;
use crate::Now;
use crate::ids::{ChannelName, CoreId, Fingerprint, GatheringTicket, UserId};
use crate::mail::{
    Answer, Broadcast, Call, CallId, Caller, Deed, Mail, Outcome, PartId, Publish, Published, Query,
    Question, Quota, Revocation, Sender, Typing,
};
use crate::outputs::{Outputs, Ticket};

/// A broadcast that waits for all of its parts.
#[derive(Debug)]
pub(super) enum Broadcasting {
    /// Where it came in: its events.
    Arrived { ticket: Ticket, event_id: Option<Box<str>> },
    /// An event of it: the event's channels.
    Event { part: PartId, fingerprint: Option<Fingerprint> },
}

impl Shard {
    /// A call came in on this core. The answer goes to `ticket`.
    #[expect(clippy::too_many_arguments, reason = "they are the call")]
    pub fn handle_call(
        &mut self,
        ticket: Ticket,
        caller: Caller,
        user: UserId,
        channel: ChannelName,
        deed: Deed,
        now: Now,
        out: &mut Outputs,
    ) {
        let id = CallId { core: self.core, ticket, quota: None };
        let home = self.placement.home_of_user(&user);
        let call = Call { id, caller, user, channel, deed, received_us: now.monotonic_us };
        self.post(home, Mail::Call(Box::new(call)), out);
        self.settle(now, out);
    }

    /// A question about a channel came in on this core, from somebody who may ask about every channel.
    pub fn handle_question(
        &mut self,
        ticket: Ticket,
        channel: ChannelName,
        question: Question,
        now: Now,
        out: &mut Outputs,
    ) {
        let asker = Sender::Call(CallId { core: self.core, ticket, quota: None });
        self.send_query(Query { channel, asker, question }, out);
        self.settle(now, out);
    }

    /// Back ends' events came in on this core. The answer goes to `ticket`, once all channels have theirs.
    pub fn handle_broadcast(
        &mut self,
        ticket: Ticket,
        broadcasts: Vec<Broadcast>,
        now: Now,
        out: &mut Outputs,
    ) {
        let event_id = match broadcasts.as_slice() {
            [one] => one.event_id.clone(),
            _ => None,
        };
        let Some(part_count) = NonZeroUsize::new(broadcasts.len()) else {
            return self.tell_broadcast(ticket, event_id.as_deref(), 0, out);
        };
        let Ok(gathering) = self.broadcasts.begin(part_count, Broadcasting::Arrived { ticket, event_id })
        else {
            let busy = Refusal::new(ErrorCode::ServerBusy, "too many broadcasts wait, try again later");
            self.metrics.refusals[busy.code as usize].increment();
            return out.answer(ticket, refused(busy.code, busy.message, None));
        };
        for broadcast in broadcasts {
            // Whether an event is a repetition is known by one core, whichever it comes in on.
            let event_id = broadcast.event_id.as_deref();
            let owner = event_id.map_or(self.core, |event_id| self.placement.home_of_channel(event_id));
            let part = PartId { core: self.core, gathering };
            self.post(owner, Mail::Broadcast(part, Box::new(broadcast)), out);
        }
        self.settle(now, out);
    }

    /// Publishes one event of a back end to its channels, unless it was published before.
    pub(super) fn spread(&mut self, part: PartId, broadcast: Broadcast, now: Now, out: &mut Outputs) {
        let part_count = NonZeroUsize::new(broadcast.channels.len());
        let event = Broadcasting::Event { part, fingerprint: self.fingerprint_of_event(&broadcast) };
        let gathering = part_count.and_then(|count| self.broadcasts.begin(count, event).ok());
        let gathering = gathering.filter(|gathering| {
            // What could not be sent may be sent again.
            let is_new = self.is_new(&broadcast, now);
            if !is_new {
                self.broadcasts.abandon(*gathering);
            }
            is_new
        });
        let Some(gathering) = gathering else {
            return self.post(part.core, Mail::BroadcastDone(part.gathering, Some(0)), out);
        };
        for channel in broadcast.channels {
            let publish = Publish {
                channel,
                kind: Kind::Relay { event: broadcast.event.clone() },
                user: UserId::default(),
                sender: Sender::Broadcast(gathering),
                client_message_id: broadcast.event_id.clone(),
                fingerprint: None,
                body: broadcast.payload.clone(),
                attachments: Vec::new(),
                received_us: now.monotonic_us,
            };
            self.send_publish(publish, out);
        }
    }

    /// Rights have changed, says a back end: of a user, in a channel, or of everybody.
    pub fn handle_revocation(
        &mut self,
        user: Option<UserId>,
        channel: Option<ChannelName>,
        now: Now,
        out: &mut Outputs,
    ) {
        self.tell_revoked(user.as_deref(), channel.as_deref(), now);
        self.revoke_everywhere(user, channel, out);
        self.settle(now, out);
    }

    /// Has every core of this node look at rights again.
    pub(super) fn revoke_everywhere(
        &mut self,
        user: Option<UserId>,
        channel: Option<ChannelName>,
        out: &mut Outputs,
    ) {
        let revocation = Arc::new(Revocation { user, channel });
        for core in 0..self.placement.core_count() {
            self.post(CoreId(core), Mail::Revoke(revocation.clone()), out);
        }
    }

    fn is_new(&mut self, broadcast: &Broadcast, now: Now) -> bool {
        let Some(fingerprint) = self.fingerprint_of_event(broadcast) else { return true };
        !self.receipts.is_repeat(fingerprint, now.monotonic_ms(), &self.metrics)
    }

    /// Under which a back end's event is known, if it has an id.
    fn fingerprint_of_event(&self, broadcast: &Broadcast) -> Option<Fingerprint> {
        let event_id = broadcast.event_id.as_ref()?;
        Some(Fingerprint::from_bits(self.placement.fingerprint(&["broadcast", event_id])))
    }

    /// A call has reached the home of its user.
    pub(super) fn handle_call_at_home(&mut self, mut call: Call, now: Now, out: &mut Outputs) {
        let class = match &call.deed {
            Deed::Publish { .. } => Some(RateClass::Message),
            Deed::Type(_) => Some(RateClass::Typing),
            Deed::Ask(Question::SetPresence { .. }) => Some(RateClass::Presence),
            Deed::Ask(_) => None,
        };
        if self.answer_retry(&call, out) {
            return;
        }
        if let Some(class) = class {
            let user = self.users.find_or_insert(&call.user, &self.placement);
            let spent = self.spend(user, class, now);
            if spent.is_ok() && !self.elsewhere.has(user) {
                // The next call may come in on any node.
                self.tell_spent(&call.user, class);
            }
            self.look_at_user(user, now);
            let is_limited = self.limits.rate.is_enabled;
            match spent {
                Ok(Left { limit, remaining, reset_ms }) => {
                    let reset_s = seconds(reset_ms);
                    call.id.quota = is_limited.then_some(Quota { limit, remaining, reset_s });
                }
                Err(exceeded) => {
                    let reset_s = seconds(exceeded.retry_after_ms);
                    call.id.quota = Some(Quota { limit: exceeded.limit, remaining: 0, reset_s });
                    let refusal = self.too_often(exceeded);
                    return self.refuse_call(call.id, &refusal, out);
                }
            }
        }
        if let Some(call) = self.permit_call(call, now, out) {
            self.carry_out_call(call, now, out);
        }
    }

    /// Answers a call that repeats one that was taken, or lets it wait for the same answer.
    fn answer_retry(&mut self, call: &Call, out: &mut Outputs) -> bool {
        let (Some(fingerprint), Deed::Publish { client_message_id, .. }) =
            (self.fingerprint_of(call), &call.deed)
        else {
            return false;
        };
        let sender = Sender::Call(call.id);
        match self.receipts.retry(fingerprint, sender, &self.metrics) {
            None => return false,
            Some(Known::Waiting) => {}
            Some(Known::Accepted(receipt)) => {
                let mut body = Vec::new();
                let client_id = client_message_id.as_deref();
                rest::push_message_repeated(&mut body, &call.channel, client_id, stamp(&receipt));
                self.send_answer(self.core, sender, Outcome::Told(body), out);
            }
            Some(Known::Crowded) => {
                self.refuse_call(call.id, &Refusal::new(ErrorCode::ServerBusy, ON_ITS_WAY), out);
            }
        }
        true
    }

    /// Under which the user's home keeps the receipt, if the caller gave the message an id.
    fn fingerprint_of(&self, call: &Call) -> Option<Fingerprint> {
        let Deed::Publish { client_message_id: Some(client_id), .. } = &call.deed else { return None };
        let bits = self.placement.fingerprint(&[&call.user, &call.channel, client_id]);
        Some(Fingerprint::from_bits(bits))
    }

    /// Does what a call wants, which is allowed.
    pub(super) fn carry_out_call(&mut self, call: Call, now: Now, out: &mut Outputs) {
        // The same call may have come a second time while somebody was asked for permission.
        if self.answer_retry(&call, out) {
            return;
        }
        let fingerprint = self.fingerprint_of(&call);
        let Call { id, user, channel, deed, received_us, .. } = call;
        match deed {
            Deed::Publish { kind, body, client_message_id } => {
                if let Some(fingerprint) = fingerprint {
                    self.receipts.expect(fingerprint, now.monotonic_ms(), &self.metrics);
                }
                let publish = Publish {
                    channel,
                    kind,
                    user,
                    sender: Sender::Call(id),
                    client_message_id,
                    fingerprint,
                    body,
                    attachments: Vec::new(),
                    received_us,
                };
                self.send_publish(publish, out);
            }
            Deed::Type(turn) => {
                let home = self.placement.home_of_channel(&channel);
                if self.limits.typing_enabled {
                    let typing = Typing { channel, user, name: None, session: None, turn };
                    self.post(home, Mail::Typing(Box::new(typing)), out);
                }
                let mut body = Vec::new();
                rest::push_success(&mut body);
                self.send_answer(self.core, Sender::Call(id), Outcome::Told(body), out);
            }
            Deed::Ask(question) => self.send_query(Query { channel, asker: Sender::Call(id), question }, out),
        }
    }

    pub(super) fn send_query(&mut self, query: Query, out: &mut Outputs) {
        let home = self.placement.home_of_channel(&query.channel);
        self.post(home, Mail::Query(Box::new(query)), out);
    }

    /// What a call published has its place.
    pub(super) fn tell_published(&mut self, id: CallId, published: &Published, out: &mut Outputs) {
        if published.trouble.is_some() {
            return self.refuse_call(id, &not_taken(), out);
        }
        let mut body = Vec::new();
        match (&published.publication, &published.receipt) {
            (Some(publication), _) => {
                let mut object = Vec::new();
                publication.push_object(&mut object);
                rest::push_message_stored(&mut body, &object);
            }
            (None, Some(receipt)) => {
                let client_id = published.client_message_id.as_deref();
                rest::push_message_repeated(&mut body, &published.channel, client_id, stamp(receipt));
            }
            (None, None) => rest::push_success(&mut body),
        }
        self.send_answer(self.core, Sender::Call(id), Outcome::Told(body), out);
    }

    /// A part of a broadcast is done: a channel of an event, or an event.
    pub(super) fn note_broadcast(
        &mut self,
        gathering: GatheringTicket,
        recipient_count: Option<u32>,
        out: &mut Outputs,
    ) {
        let Some((broadcasting, counts)) = self.broadcasts.add(gathering, recipient_count) else { return };
        let add = |sum: u32, count: Option<u32>| Some(sum.saturating_add(count?));
        let count = counts.into_iter().try_fold(0, add);
        match (broadcasting, count) {
            (Broadcasting::Event { part, fingerprint }, count) => {
                if let (None, Some(fingerprint)) = (count, fingerprint) {
                    // What was not taken may be sent again: channels that have it know it.
                    self.receipts.conclude(fingerprint, None);
                }
                self.post(part.core, Mail::BroadcastDone(part.gathering, count), out);
            }
            (Broadcasting::Arrived { ticket, event_id }, Some(count)) => {
                self.tell_broadcast(ticket, event_id.as_deref(), u64::from(count), out);
            }
            (Broadcasting::Arrived { ticket, .. }, None) => {
                let refusal = not_taken();
                self.metrics.refusals[refusal.code as usize].increment();
                out.answer(ticket, refused(refusal.code, refusal.message, refusal.retry_after_s));
            }
        }
    }

    fn tell_broadcast(
        &self,
        ticket: Ticket,
        event_id: Option<&str>,
        recipient_count: u64,
        out: &mut Outputs,
    ) {
        let mut body = Vec::new();
        rest::push_broadcast_done(&mut body, event_id, recipient_count);
        out.answer(ticket, Response::json(200, body));
    }

    pub(super) fn refuse_call(&mut self, id: CallId, refusal: &Refusal, out: &mut Outputs) {
        self.metrics.refusals[refusal.code as usize].increment();
        let outcome = Outcome::Refused {
            code: refusal.code,
            message: refusal.message,
            retry_after_s: refusal.retry_after_s,
        };
        self.send_answer(self.core, Sender::Call(id), outcome, out);
    }

    /// Sends an answer to where the question came in: a call's core, or that of the session, which is `from`.
    pub(super) fn send_answer(&mut self, from: CoreId, to: Sender, outcome: Outcome, out: &mut Outputs) {
        let core = match to {
            Sender::Call(id) => id.core,
            Sender::Session(_) | Sender::Broadcast(_) => from,
        };
        self.post(core, Mail::Answer(Box::new(Answer { to, outcome })), out);
    }

    /// An answer has come back to where the question came in.
    pub(super) fn pass_on(&mut self, answer: Answer, out: &mut Outputs) {
        match (answer.to, answer.outcome) {
            (Sender::Session(reply), Outcome::Told(frames)) => {
                if self.sessions.is_live(reply.session) {
                    out.send(reply.session, |frame| frame.extend_from_slice(&frames));
                }
            }
            (Sender::Call(id), Outcome::Told(body)) => {
                out.answer(id.ticket, with_quota(Response::json(200, body), id.quota));
            }
            (Sender::Call(id), Outcome::Refused { code, message, retry_after_s }) => {
                out.answer(id.ticket, with_quota(refused(code, message, retry_after_s), id.quota));
            }
            (Sender::Session(_), Outcome::Refused { .. }) | (Sender::Broadcast(_), _) => {}
        }
    }
}

/// A refusal as HTTP has it.
pub fn refused(code: ErrorCode, message: &str, retry_after_s: Option<u32>) -> Response {
    let mut body = Vec::new();
    rest::push_rest_failure(&mut body, code, message, retry_after_s);
    let response = Response::json(code.http_status(), body);
    match retry_after_s {
        Some(seconds) => response.with("Retry-After", seconds.to_string()),
        None => response,
    }
}

/// Tells a caller what is left of the limit that the call counted against.
fn with_quota(response: Response, quota: Option<Quota>) -> Response {
    let Some(quota) = quota else { return response };
    response
        .with("X-RateLimit-Limit", quota.limit.to_string())
        .with("X-RateLimit-Remaining", quota.remaining.to_string())
        .with("X-RateLimit-Reset", quota.reset_s.to_string())
}

fn seconds(time_ms: u64) -> u32 {
    u32::try_from(time_ms.div_ceil(1_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::trial::{self, Trial};
    use super::*;
    use crate::access::Grants;
    use crate::ids::SessionId;
    use crate::limits::{Limits, RateLimits};

    fn message(content: &str, id: Option<&str>) -> Deed {
        let body = format!(r#""userId":"7","content":"{content}""#).into_bytes();
        Deed::Publish { kind: Kind::Message, body, client_message_id: id.map(Box::from) }
    }

    fn user(grants: &[&str]) -> Caller {
        let grants = Grants::new(grants.iter().copied(), true);
        Caller::User { roles: Arc::new([]), grants: Some(grants.into()) }
    }

    fn told(response: &Response) -> String {
        String::from_utf8(response.body.to_vec()).unwrap()
    }

    #[test]
    fn a_call_publishes_once_however_often_it_is_repeated() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "8", None);
        trial.join(session, "a");
        for _ in 0..200 {
            let responses = trial.call(Caller::Server, "7", "a", message("x", Some("k")));
            assert_eq!((responses.len(), responses[0].status), (1, 200));
        }
        assert_eq!(trial::of(&trial.inbox(session), "message").len(), 1);
        assert_eq!(trial.metrics.rate_limited[RateClass::Message as usize].get(), 0, "retries are free");
    }

    #[test]
    fn calls_and_sockets_count_into_the_same_window() {
        let rate = RateLimits { is_enabled: true, points: 3, window_ms: 60_000 };
        let mut trial = Trial::new(Limits { rate, ..Limits::default() });
        let session = trial.connect(0, "7", None);
        trial.join(session, "a");
        trial.say(session, "a", "1");
        trial.say(session, "a", "2");
        let statuses: Vec<u16> =
            (0..3).map(|_| trial.call(Caller::Server, "7", "a", message("x", None))[0].status).collect();
        assert_eq!(statuses, [200, 429, 429]);
        let heard = trial.event(session, r#"["message:send",{"channelId":"a","content":"x"}]"#, Some(1));
        assert!(heard[0].contains(r#""retryAfter":60"#), "{heard:?}");
        trial.pass(60_000);
        assert_eq!(trial.call(Caller::Server, "7", "a", message("x", None))[0].status, 200);
    }

    #[test]
    fn a_token_opens_its_channels_alone() {
        let mut trial = Trial::new(Limits::default());
        assert_eq!(trial.call(user(&["a"]), "7", "a", message("x", None))[0].status, 200);
        let refused = &trial.call(user(&["a"]), "7", "b", message("x", None))[0];
        assert_eq!(refused.status, 403);
        assert!(told(refused).contains("ROOM_ACCESS_DENIED"));
    }

    #[test]
    fn a_call_that_waits_for_permission_is_not_published_twice() {
        let access = crate::AccessRules { has_webhook: true, ..crate::AccessRules::default() };
        let mut trial = Trial::new(Limits { access: access.into(), ..Limits::default() });
        let caller = Caller::User { roles: Arc::new([]), grants: None };
        for _ in 0..2 {
            assert!(trial.call(caller.clone(), "7", "a", message("x", Some("k"))).is_empty());
        }
        let asked = trial.shard.take_questions().remove(0);
        trial.answer(asked, true);
        let responses = trial.responses();
        assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [200, 200]);
        assert_eq!(trial.metrics.publications.get(), 1);
    }

    fn broadcast(trial: &mut Trial, channels: &[&str], event_id: Option<&str>) -> String {
        let broadcast = Broadcast {
            event: "news".into(),
            channels: channels.iter().map(|channel| ChannelName::from(*channel)).collect(),
            payload: b"{}".to_vec(),
            event_id: event_id.map(Box::from),
        };
        let responses = trial.broadcast(vec![broadcast]);
        assert_eq!(responses.len(), 1);
        told(&responses[0])
    }

    #[test]
    fn a_broadcast_reaches_each_channel_and_counts_whom_it_reached() {
        let mut trial = Trial::new(Limits::default());
        let sessions: Vec<SessionId> =
            (0..3).map(|slot| trial.connect(slot, &slot.to_string(), None)).collect();
        trial.join(sessions[0], "a");
        trial.join(sessions[1], "a");
        trial.join(sessions[1], "b");
        let answer = broadcast(&mut trial, &["a", "b", "nowhere", "user:2"], None);
        assert!(answer.contains(r#""recipientCount":4"#), "{answer}");
        let counts = [0, 1, 2].map(|number| trial::of(&trial.inbox(sessions[number]), "news").len());
        assert_eq!(counts, [1, 2, 1], "a user's room reaches the user who has not joined it");
    }

    #[test]
    fn a_broadcast_with_an_id_is_sent_once() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        trial.join(session, "a");
        for _ in 0..3 {
            broadcast(&mut trial, &["a"], Some("e1"));
        }
        broadcast(&mut trial, &["a"], Some("e2"));
        assert_eq!(trial::of(&trial.inbox(session), "news").len(), 2);
        assert_eq!(trial.shard.holdings().gatherings, 0);
    }
}
