//! The reference: what a node of any number of cores must do, as if it were one list of sessions and one list of
//! messages for each channel. It is told every input just before the node gets it, and every frame the moment it is
//! handed to a session, and objects at the first thing that does not fit.

mod answers;
mod members;
pub(crate) mod publications;
mod quiet;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use core_shards::metrics::Counter;
use core_shards::{Limits, Now};
use protocol::codes::ErrorCode;

use crate::client::{Draft, Intent, Packet, Seat};
use crate::heard::Heard;
use answers::{Answer, Body, Expected};
use members::{Membership, Stage};
use publications::{Attempt, Publications};

/// A check's outcome; the error says which promise was broken.
pub(crate) type Checked = Result<(), String>;

/// One connected session.
#[derive(Debug)]
struct Session {
    user: String,
    /// The public id, once it was told.
    sid: String,
    memberships: BTreeMap<String, Membership>,
    /// Acknowledgements that another core has to make first.
    answers: BTreeMap<u64, Answer>,
    stage: Stage,
}

/// What the node's counters must say.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) events: u64,
    pub(crate) deliveries: u64,
    pub(crate) retries: u64,
    pub(crate) busy: u64,
    pub(crate) voided_joins: u64,
    /// Users who came or went.
    pub(crate) presences: u64,
    pub(crate) refusals: [u64; ErrorCode::ALL.len()],
}

/// The whole reference.
#[derive(Debug)]
pub(crate) struct Model {
    limits: Limits,
    /// What every core reads from its clock.
    now: Now,
    /// Public ids of sessions, of which no two may be the same.
    sids: BTreeSet<String>,
    sessions: BTreeMap<Seat, Session>,
    publications: Publications,
    /// What the session of this input must hear before the input is over, in this order.
    expected: VecDeque<Expected>,
    acting: Option<Seat>,
    /// The acting session's retry may be refused as one too many.
    may_be_busy: bool,
    memberships_made: u64,
    /// Nothing is on its way but repeated joins: what they are told must be exact.
    is_quiet: bool,
    pub(crate) counts: Counts,
}

impl Model {
    pub(crate) fn new(limits: Limits, now: Now) -> Self {
        Self {
            limits,
            now,
            sids: BTreeSet::new(),
            sessions: BTreeMap::new(),
            publications: Publications::default(),
            expected: VecDeque::new(),
            acting: None,
            may_be_busy: false,
            memberships_made: 0,
            is_quiet: false,
            counts: Counts::default(),
        }
    }

    /// A session begins.
    pub(crate) fn connect(&mut self, seat: Seat, user: &str) {
        let session = Session {
            user: user.to_owned(),
            sid: String::new(),
            memberships: BTreeMap::new(),
            answers: BTreeMap::new(),
            stage: Stage::Idle,
        };
        self.counts.presences += u64::from(!self.is_present(user));
        self.sessions.insert(seat, session);
        self.acting = Some(seat);
        self.expected.extend([Expected::Connect, Expected::Connected, Expected::Authenticated]);
    }

    /// A session is gone: nothing may be sent to its slot any more.
    pub(crate) fn disconnect(&mut self, seat: Seat) {
        if let Some(session) = self.sessions.remove(&seat) {
            self.counts.presences += u64::from(!self.is_present(&session.user));
        }
    }

    fn is_present(&self, user: &str) -> bool {
        self.sessions.values().any(|session| session.user == user)
    }

    /// Time has passed for all cores.
    pub(crate) fn set_time(&mut self, now: Now) {
        self.now = now;
    }

    /// A packet of a connected session is about to be handled.
    pub(crate) fn packet(&mut self, seat: Seat, packet: &Packet) {
        self.acting = Some(seat);
        let ack = packet.ack;
        if !matches!(packet.intent, Intent::Refresh { .. }) {
            self.counts.events += 1;
        }
        match &packet.intent {
            Intent::Join { channel } => self.join(seat, channel, ack),
            Intent::Leave { channel } => self.leave(seat, channel, ack),
            Intent::Send(draft) => self.send(seat, draft, packet),
            Intent::Ping { timestamp } => self.expected.push_back(match ack {
                Some(ack) => Expected::Ack(ack, Body::Ping(timestamp.clone())),
                None => Expected::Pong(timestamp.clone()),
            }),
            Intent::Pong => {}
            Intent::Refresh { is_same_user: true } => {
                self.expected.push_back(Expected::Authenticated);
                self.expected.extend(ack.map(|ack| Expected::Ack(ack, Body::Authenticated)));
            }
            Intent::Refresh { is_same_user: false } => {
                let code = ErrorCode::AuthenticationFailed;
                self.counts.refusals[code as usize] += 1;
                let error = Expected::Error { code, event: "auth:refresh".to_owned(), channel: None };
                self.expected.extend([Expected::AuthError(code), error]);
                self.expected.extend(ack.map(|ack| Expected::Ack(ack, Body::Failure(code))));
            }
            Intent::Invalid { code, event, channel } => self.refuse(*code, event, *channel, ack),
        }
    }

    fn send(&mut self, seat: Seat, draft: &Draft, packet: &Packet) {
        let session = &self.sessions[&seat];
        if !session.memberships.contains_key(&draft.channel) {
            return self.refuse(ErrorCode::NotJoined, "message:send", Some(&draft.channel), packet.ack);
        }
        if draft.is_too_long {
            return self.refuse(ErrorCode::PayloadTooLarge, "message:send", Some(&draft.channel), packet.ack);
        }
        let user = session.user.clone();
        let now_ms = self.now.monotonic_ms();
        let publication = match self.publications.attempt(seat, &user, draft, &packet.attachments, now_ms) {
            Attempt::First(publication) => {
                let witnesses = self.witnesses(seat, &draft.channel);
                self.publications.expect_witnesses(publication, witnesses);
                publication
            }
            Attempt::Retry { publication, may_be_busy } => {
                self.counts.retries += 1;
                self.may_be_busy = may_be_busy;
                publication
            }
        };
        if let (Some(ack), Some(session)) = (packet.ack, self.sessions.get_mut(&seat)) {
            session.answers.insert(ack, Answer::Send { publication });
        }
    }

    fn refuse(&mut self, code: ErrorCode, event: &str, channel: Option<&str>, ack: Option<u64>) {
        self.counts.refusals[code as usize] += 1;
        match ack {
            Some(ack) => self.expected.push_back(Expected::Ack(ack, Body::Failure(code))),
            None if code == ErrorCode::UnknownEvent => {}
            None => {
                let channel = channel.map(str::to_owned);
                self.expected.push_back(Expected::Error { code, event: event.to_owned(), channel });
            }
        }
    }

    /// A core looked at its clock: receipts of its users may have ended.
    pub(crate) fn look_at_clock(&mut self, core: usize) {
        self.publications.expire(core, self.now.monotonic_ms());
    }

    /// A session was handed a frame.
    pub(crate) fn hear(&mut self, seat: Seat, heard: &Heard) -> Checked {
        let Some(session) = self.sessions.get(&seat) else { return Err("a frame for nobody".to_owned()) };
        if !matches!(session.stage, Stage::Idle) {
            return self.hear_rest_of_join(seat, heard);
        }
        match heard {
            Heard::Joined { channel, user, member_count, position, timestamp } => {
                same("time of channel:joined", *timestamp, self.now.unix_ms)?;
                self.hear_joined(seat, channel, user, *member_count, position)
            }
            Heard::Members { .. } => Err("channel:members without channel:joined".to_owned()),
            Heard::Message(message) => {
                self.counts.deliveries += 1;
                self.hear_message(seat, message)
            }
            Heard::Ack { id, body } => self.hear_ack(seat, *id, body),
            _ => self.hear_expected(seat, heard),
        }
    }

    /// The input is over: whatever needed no other core must have been said.
    pub(crate) fn input_is_over(&mut self) -> Checked {
        self.may_be_busy = false;
        let (acting, expected) = (self.acting.take(), std::mem::take(&mut self.expected));
        if !expected.is_empty() {
            return Err(format!("{acting:?} did not hear {expected:?}"));
        }
        match self.sessions.iter().find(|(_, session)| !matches!(session.stage, Stage::Idle)) {
            Some((seat, session)) => Err(format!("{seat:?} heard half a join: {:?}", session.stage)),
            None => Ok(()),
        }
    }
}

/// Compares a counter of the node with the reference.
fn same(name: &str, node: u64, reference: u64) -> Checked {
    if node == reference {
        Ok(())
    } else {
        Err(format!("{name}: the node counts {node}, expected {reference}"))
    }
}

/// Names a metric for [`crate::node::Node::sum`].
type Metric = fn(&core_shards::ShardMetrics) -> &Counter;
