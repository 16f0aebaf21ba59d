//! For unit tests: a node of one core with a clock set by hand, and ears for what it sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::chat::status::Status;
use protocol::codes::CloseReason;
use protocol::http::response::Response;
use protocol::json::Validator;
use protocol::websocket::frame;

use super::{Ending, Event, Identity, Newcomer, Resume, Shard};
use crate::Now;
use crate::access::{Outcome, Question, Verdict};
use crate::ids::{CoreId, SessionId};
use crate::limits::{Limits, RateLimits};
use crate::mail::{Broadcast, Caller, Deed, Question as Asked};
use crate::metrics::ShardMetrics;
use crate::outputs::{Outputs, Ticket};
use crate::placement::Placement;
use crate::store::StoreEvent;

pub(super) struct Trial {
    pub(super) shard: Shard,
    pub(super) now: Now,
    pub(super) metrics: Arc<ShardMetrics>,
    begin_unix_ms: u64,
    connect_count: u32,
    out: Outputs,
    /// What each slot was sent and nobody has read yet.
    inboxes: BTreeMap<u32, Vec<String>>,
}

impl Trial {
    pub(super) fn new(limits: Limits) -> Self {
        Self::placed(Placement::new(1, (1, 2)), limits)
    }

    /// A node whose placement is this, of one core.
    pub(super) fn placed(placement: Placement, limits: Limits) -> Self {
        let now = Now { monotonic_us: 1_000_000, unix_ms: 1_772_359_201_000 };
        let metrics = Arc::<ShardMetrics>::default();
        let seed = placement.fingerprint(&["seed"]) as u64;
        let shard = Shard::new(CoreId(0), placement, limits, metrics.clone(), seed, now);
        let (out, inboxes) = (Outputs::default(), BTreeMap::new());
        Self { shard, now, metrics, begin_unix_ms: now.unix_ms, connect_count: 0, out, inboxes }
    }

    /// Connects a user. The token ends `life_ms` after the trial began.
    pub(super) fn connect(&mut self, slot: u32, user: &str, life_ms: Option<u64>) -> SessionId {
        let newcomer = Newcomer::plain(self.identity(user, life_ms));
        self.enter(slot, newcomer)
    }

    /// Connects a user whose client resumes lost sessions: `resume` is its private id and the last cursor.
    pub(super) fn connect_durable(
        &mut self,
        slot: u32,
        user: &str,
        resume: Option<(&str, &str)>,
    ) -> SessionId {
        let resume = resume.map(|(pid, offset)| Resume { pid: pid.into(), offset: offset.into() });
        let newcomer = Newcomer::plain(self.identity(user, None));
        self.enter(slot, Newcomer { takes_cursor: true, resume, ..newcomer })
    }

    /// Lets a newcomer in; what it is greeted with is in its inbox and nothing else.
    pub(super) fn enter(&mut self, slot: u32, newcomer: Newcomer) -> SessionId {
        let session = SessionId { slot, generation: self.connect_count };
        self.connect_count += 1;
        self.enter_as(session, newcomer);
        session
    }

    /// As [`Trial::enter`], on a connection that may have been somebody else's.
    pub(super) fn enter_as(&mut self, session: SessionId, newcomer: Newcomer) {
        self.inboxes.remove(&session.slot);
        self.shard.handle_connect(session, newcomer, self.now, &mut self.out);
        self.heard();
    }

    /// Gives the shard an event and returns the text packets that it sends, to whomever.
    pub(super) fn event(&mut self, session: SessionId, text: &str, ack: Option<u64>) -> Vec<String> {
        let mut validator = Validator::new();
        let event = Event {
            arguments: validator.check(text).expect("tests write valid JSON"),
            ack,
            attachments: &[],
        };
        self.shard.handle_event(session, &event, self.now, &mut self.out);
        self.heard()
    }

    /// Joins a channel, and forgets what everybody was told of it.
    pub(super) fn join(&mut self, session: SessionId, channel: &str) {
        self.event(session, &format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#), None);
        self.inboxes.clear();
    }

    /// Sends a message.
    pub(super) fn say(&mut self, session: SessionId, channel: &str, content: &str) {
        let text = format!(r#"["message:send",{{"channelId":"{channel}","content":"{content}"}}]"#);
        self.event(session, &text, None);
    }

    /// Refreshes with a token of `user`, otherwise as [`Trial::connect`] and [`Trial::event`].
    pub(super) fn refresh(
        &mut self,
        session: SessionId,
        user: &str,
        life_ms: Option<u64>,
        ack: Option<u64>,
    ) -> Vec<String> {
        let identity = self.identity(user, life_ms);
        self.refresh_as(session, identity, ack)
    }

    pub(super) fn refresh_as(
        &mut self,
        session: SessionId,
        identity: Identity,
        ack: Option<u64>,
    ) -> Vec<String> {
        self.shard.handle_refresh(session, Ok(identity), ack, self.now, &mut self.out);
        self.heard()
    }

    /// A connection is lost, of which nobody hears at once.
    pub(super) fn disconnect(&mut self, session: SessionId) {
        let heard = self.end(session, Ending::Lost);
        assert!(heard.is_empty(), "nobody is told of a disconnect: {heard:?}");
    }

    /// A session ends, and what others hear of it.
    pub(super) fn end(&mut self, session: SessionId, ending: Ending) -> Vec<String> {
        self.shard.handle_disconnect(session, ending, self.now, &mut self.out);
        self.inboxes.remove(&session.slot);
        self.heard()
    }

    /// Lets time pass and returns the packets that this leads to.
    pub(super) fn pass(&mut self, time_ms: u64) -> Vec<String> {
        self.now.monotonic_us += time_ms * 1000;
        self.now.unix_ms += time_ms;
        self.shard.handle_time(self.now, &mut self.out);
        self.heard()
    }

    /// Lets time pass in steps, as a node does that looks at its clock.
    pub(super) fn pass_slowly(&mut self, time_ms: u64) -> Vec<String> {
        (0..time_ms.div_ceil(1_000)).flat_map(|_| self.pass(1_000)).collect()
    }

    /// The permission webhook answers.
    pub(super) fn answer(&mut self, question: Question, is_allowed: bool) -> Vec<String> {
        let outcome = if is_allowed { Outcome::Allowed } else { Outcome::Denied };
        let verdict = Verdict { is_allowed, ttl_ms: 60_000, outcome };
        self.shard.handle_verdict(question, &verdict, self.now, &mut self.out);
        self.heard()
    }

    /// A back end, or a token's user, calls; returns what is answered at once.
    pub(super) fn call(&mut self, caller: Caller, user: &str, channel: &str, deed: Deed) -> Vec<Response> {
        let out = &mut self.out;
        self.shard.handle_call(Ticket(1), caller, user.into(), channel.into(), deed, self.now, out);
        self.heard();
        self.responses()
    }

    /// A back end's events; returns what is answered at once.
    pub(super) fn broadcast(&mut self, broadcasts: Vec<Broadcast>) -> Vec<Response> {
        self.shard.handle_broadcast(Ticket(1), broadcasts, self.now, &mut self.out);
        self.heard();
        self.responses()
    }

    /// What `GET /presence` says of a channel.
    pub(super) fn list(&mut self, channel: &str) -> String {
        let responses = self.call(Caller::Server, "9", channel, Deed::Ask(Asked::Presence));
        String::from_utf8(responses[0].body.to_vec()).expect("answers are text")
    }

    /// A back end says how a user is in a channel.
    pub(super) fn set(&mut self, channel: &str, user: &str, status: Status) {
        let asked = Asked::SetPresence { user: user.into(), status };
        assert_eq!(self.call(Caller::Server, user, channel, Deed::Ask(asked)).len(), 1);
    }

    /// Rights change, says a back end.
    pub(super) fn revoke(&mut self, user: Option<&str>, channel: Option<&str>) -> Vec<String> {
        let (user, channel) = (user.map(Into::into), channel.map(Into::into));
        self.shard.handle_revocation(user, channel, self.now, &mut self.out);
        self.heard()
    }

    /// The answers to requests since the last call.
    pub(super) fn responses(&mut self) -> Vec<Response> {
        self.out.take_answers().map(|(_, response)| response).collect()
    }

    /// The sessions that were closed since the last call.
    pub(super) fn closes(&mut self) -> Vec<(SessionId, CloseReason)> {
        self.out.take_closes().collect()
    }

    /// A session's public id.
    pub(super) fn sid(&self, session: SessionId) -> String {
        self.shard.sid_of(self.shard.sessions.get(session).expect("the session lives"))
    }

    /// A session's private id, by which it is taken up again.
    pub(super) fn pid(&self, session: SessionId) -> String {
        self.shard.pid_of(self.shard.sessions.get(session).expect("the session lives"))
    }

    /// The store that nodes share tells something.
    pub(super) fn hear_store(&mut self, event: StoreEvent) -> Vec<String> {
        self.shard.handle_store(event, self.now, &mut self.out);
        self.heard()
    }

    /// What a slot was sent since the last call.
    pub(super) fn inbox(&mut self, session: SessionId) -> Vec<String> {
        self.inboxes.remove(&session.slot).unwrap_or_default()
    }

    /// As [`inbox`](Self::inbox), and leaves it there.
    pub(super) fn peek(&self, session: SessionId) -> &[String] {
        self.inboxes.get(&session.slot).map_or(&[], Vec::as_slice)
    }

    pub(super) fn identity(&self, user: &str, life_ms: Option<u64>) -> Identity {
        Identity {
            user: user.into(),
            session: None,
            name: None,
            roles: Box::new([]),
            grants: None,
            expires_at_unix_ms: life_ms.map(|life_ms| self.begin_unix_ms.saturating_add(life_ms)),
        }
    }

    fn heard(&mut self) -> Vec<String> {
        assert_eq!(self.out.take_mail().count(), 0, "one core has nobody to write to");
        let mut frames = Vec::new();
        self.out.take_deliveries(|frame, slots| frames.push((frame, slots.to_vec())));
        let mut heard = Vec::new();
        for (frame, slots) in frames {
            let packets: Vec<String> = frame::frames(self.out.bytes(frame))
                .map(|(_, payload)| String::from_utf8_lossy(payload).into_owned())
                .collect();
            for slot in slots {
                self.inboxes.entry(slot).or_default().extend_from_slice(&packets);
            }
            heard.extend(packets);
        }
        self.out.clear_frames();
        heard
    }
}

/// The packets of one event.
pub(super) fn of<'a>(packets: &'a [String], event: &str) -> Vec<&'a str> {
    let begin = format!(r#"42["{event}","#);
    packets.iter().map(String::as_str).filter(|packet| packet.starts_with(&begin)).collect()
}

/// The text of a field, of the first place in a packet where there is one.
pub(super) fn text<'a>(packet: &'a str, field: &str) -> &'a str {
    let begin = format!(r#""{field}":""#);
    packet.split_once(&begin).and_then(|(_, rest)| rest.split_once('"')).map_or("", |(text, _)| text)
}

/// The cursor that a packet carries: its last argument, if that is a string.
pub(super) fn cursor(packet: &str) -> Option<&str> {
    packet.strip_suffix(r#""]"#)?.rsplit_once(r#",""#).map(|(_, cursor)| cursor)
}

/// A client that keeps what stock clients keep: its private id and the last cursor.
pub(super) struct Client {
    pub(super) slot: u32,
    pub(super) session: SessionId,
    pub(super) pid: String,
    pub(super) cursor: String,
    /// Contents of the messages that it got.
    pub(super) got: Vec<String>,
}

impl Client {
    pub(super) fn new(trial: &mut Trial, slot: u32, user: &str) -> Self {
        let session = trial.connect_durable(slot, user, None);
        let pid = trial.pid(session);
        let mut client = Self { slot, session, pid, cursor: String::new(), got: Vec::new() };
        client.read(trial, usize::MAX);
        client
    }

    /// Reads the next packets, at most so many.
    pub(super) fn read(&mut self, trial: &mut Trial, count: usize) {
        for packet in trial.inbox(self.session).iter().take(count) {
            if let Some(last) = cursor(packet) {
                last.clone_into(&mut self.cursor);
            }
            if packet.starts_with(r#"42["message","#) {
                self.got.push(text(packet, "content").to_owned());
            }
        }
    }

    /// Comes back on another connection. Returns whether it is in its former session.
    pub(super) fn resume(&mut self, trial: &mut Trial, user: &str) -> bool {
        self.slot += 1;
        self.session = trial.connect_durable(self.slot, user, Some((&self.pid, &self.cursor)));
        let former = std::mem::replace(&mut self.pid, trial.pid(self.session));
        former == self.pid
    }
}

/// The usual limits, without those of what one user may do.
pub(super) fn quiet() -> Limits {
    let limits = Limits::default();
    Limits { rate: RateLimits { is_enabled: false, ..limits.rate }, ..limits }
}

/// Has a session set its user's status.
pub(super) fn say(trial: &mut Trial, session: SessionId, status: &str) {
    trial.event(session, &format!(r#"["presence:update",{{"status":"{status}"}}]"#), None);
}

/// The statuses that a session was told of a user since it was last asked.
pub(super) fn told(trial: &mut Trial, session: SessionId, user: &str) -> Vec<String> {
    let heard = trial.inbox(session);
    let of_user = of(&heard, "presence").into_iter();
    let of_user = of_user.filter(|packet| text(packet, "userId") == user);
    of_user.map(|packet| text(packet, "status").to_owned()).collect()
}

/// Two users in one channel: who watches, and who is watched.
pub(super) fn pair(limits: Limits) -> (Trial, SessionId, SessionId) {
    let mut trial = Trial::new(limits);
    let (watcher, watched) = (trial.connect(0, "8", None), trial.connect(1, "7", None));
    trial.join(watcher, "a");
    trial.join(watched, "a");
    trial.inbox(watcher);
    (trial, watcher, watched)
}
