//! The reference: what a node of any number of cores must do, as if it were one list of sessions and one list of
//! publications for each channel. It is told every input just before the node gets it, and every frame the moment it is
//! handed to a session, and objects at the first thing that does not fit.
//!
//! ```text
//! sessions      who is connected, and what each was handed      publications  all that was sent, and its one order
//! recovery      who was lost, and comes back how                past          what joins are told of the time before
//! members       joins, leaves, and how far each member has read answers       what follows an input at once
//! requests      what a packet must lead to                      rights        who may join, and who is asked about it
//! standing      how users are                                   presence      what others heard of it
//! typing        who types, and who was told                     rates         what is one too many
//! quiet         what must hold when nothing is on its way
//! ```

mod answers;
mod members;
mod past;
mod presence;
pub(crate) mod publications;
mod quiet;
mod rates;
mod recovery;
mod requests;
mod rights;
mod sessions;
mod standing;
mod typing;

use std::collections::{BTreeMap, BTreeSet};

use core_shards::metrics::Counter;
use core_shards::{Limits, Mail, Now, Placement};
use protocol::codes::ErrorCode;

use crate::client::{Memory, Seat, Slip};
use crate::heard::Heard;
use members::Stage;
use publications::Publications;
use rates::Rates;
use recovery::{Arriving, Detached};
use rights::Rights;
use sessions::Session;
use standing::Standing;

pub(crate) use recovery::{Arrival, TICK_MS, Wanted};

/// A check's outcome; the error says which promise was broken.
pub(crate) type Checked = Result<(), String>;

/// What the node's counters must say, and how often the runs came where mistakes like to be.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) events: u64,
    pub(crate) deliveries: u64,
    pub(crate) replayed: u64,
    pub(crate) missed: u64,
    pub(crate) lost: u64,
    pub(crate) resumes_tried: u64,
    pub(crate) resumes: u64,
    pub(crate) resumes_refused: u64,
    pub(crate) recovered: u64,
    pub(crate) recovered_not: u64,
    pub(crate) evicted: u64,
    pub(crate) retries: u64,
    pub(crate) busy: u64,
    pub(crate) voided_joins: u64,
    pub(crate) limited: u64,
    pub(crate) typing_heard: u64,
    pub(crate) presence_heard: u64,
    pub(crate) hidden_users: u64,
    pub(crate) late_verdicts: u64,
    /// Every core must hear of every revocation, once.
    pub(crate) revocations_due: u64,
    pub(crate) revocations_heard: u64,
    pub(crate) refusals: [u64; ErrorCode::ALL.len()],
}

/// The whole reference.
#[derive(Debug)]
pub(crate) struct Model {
    limits: Limits,
    placement: Placement,
    /// What every core reads from its clock.
    now: Now,
    /// Public ids of sessions, of which no two may be the same.
    sids: BTreeSet<String>,
    sessions: BTreeMap<Seat, Session>,
    /// Lost sessions, the longest lost first.
    detached: Vec<Detached>,
    /// Who ever sat where.
    users_of_seats: BTreeMap<Seat, String>,
    publications: Publications,
    standings: BTreeMap<String, Standing>,
    /// Where users stopped reading, by user and channel.
    absences: BTreeMap<(String, String), past::Absence>,
    rates: Rates,
    rights: Rights,
    signs: typing::Signs,
    /// Users who joined something since the last quiet moment.
    joined_lately: BTreeSet<String>,
    /// What the frame that is being heard changes in its device's memory.
    slip: Slip,
    acting: Option<Seat>,
    arriving: Option<Arriving>,
    /// The acting session has just said how its user is.
    is_saying: bool,
    /// Sessions whose connections the node must close in this input.
    closing: BTreeSet<Seat>,
    /// Nobody joins anything: every change is told directly, and in its turn.
    pub(crate) is_calm: bool,
    /// Somebody left a channel: users may share no channel any more who did.
    is_anybody_gone: bool,
    /// Publications of this input are told out of turn, to the acting session.
    is_replaying: bool,
    memberships_made: u64,
    /// Nothing is on its way but repeated joins: what they are told must be exact.
    is_quiet: bool,
    pub(crate) counts: Counts,
}

impl Model {
    pub(crate) fn new(limits: Limits, placement: Placement, now: Now) -> Self {
        Self {
            limits,
            placement,
            now,
            sids: BTreeSet::new(),
            sessions: BTreeMap::new(),
            detached: Vec::new(),
            users_of_seats: BTreeMap::new(),
            publications: Publications::default(),
            standings: BTreeMap::new(),
            absences: BTreeMap::new(),
            rates: Rates::default(),
            rights: Rights::default(),
            signs: typing::Signs::default(),
            joined_lately: BTreeSet::new(),
            slip: Slip::default(),
            acting: None,
            arriving: None,
            is_saying: false,
            closing: BTreeSet::new(),
            is_calm: false,
            is_anybody_gone: false,
            is_replaying: false,
            memberships_made: 0,
            is_quiet: false,
            counts: Counts::default(),
        }
    }

    /// Time has passed for all cores.
    pub(crate) fn set_time(&mut self, now: Now) {
        self.now = now;
        self.note_standings();
    }

    fn now_ms(&self) -> u64 {
        self.now.monotonic_ms()
    }

    /// A core is about to look at its clock.
    pub(crate) fn look_at_clock(&mut self, core: usize) {
        self.publications.expire(core, self.now_ms());
        self.end_what_is_over(core);
        self.note_standings();
    }

    /// A letter is about to be handled: some say what no client hears.
    pub(crate) fn letter(&mut self, core: usize, letter: &Mail) {
        match letter {
            Mail::Published(published) => self.published(core, published),
            Mail::Revoke(revocation) => self.revoke(core, revocation),
            _ => {}
        }
    }

    /// A session was handed a frame.
    pub(crate) fn hear(&mut self, seat: Seat, heard: &Heard, cursor: Option<&str>) -> Checked {
        self.slip = Slip::default();
        self.hear_frame(seat, heard, cursor)?;
        let slip = std::mem::take(&mut self.slip);
        if let Some(session) = self.sessions.get_mut(&seat).filter(|session| !session.is_cut) {
            session.slips.push_back(slip);
        }
        Ok(())
    }

    fn hear_frame(&mut self, seat: Seat, heard: &Heard, cursor: Option<&str>) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else {
            return Err(format!("a frame for nobody: {heard:?}"));
        };
        if let Some(expected) = session.mirrors.pop_front() {
            return session.hear_mirror(heard, &expected, cursor);
        }
        if !matches!(session.stage, Stage::Idle) {
            return self.hear_rest_of_join(seat, heard);
        }
        if cursor.is_some() && !matches!(heard, Heard::Told(_) | Heard::Connected { .. }) {
            return Err(format!("{heard:?} with a cursor {cursor:?}"));
        }
        match heard {
            Heard::Joined(joined) => self.hear_joined(seat, joined),
            Heard::Members { .. } => Err("channel:members without channel:joined".to_owned()),
            Heard::Told(told) => self.hear_told(seat, told, cursor),
            Heard::Typing { channel, thread, turn } => {
                self.hear_typing(seat, channel, thread.as_deref(), turn)
            }
            Heard::Presence { heard, is_legacy } => self.hear_presence(seat, heard, *is_legacy),
            Heard::Presences { all, channel } => self.hear_presences(seat, all, channel.as_deref()),
            Heard::Passage { has_joined, channel, room, user } => {
                self.hear_passage(seat, *has_joined, channel, room, user)
            }
            Heard::Connect { sid, pid } => self.hear_connect(seat, sid, pid.as_deref()),
            Heard::Connected { .. } => self.hear_connected(seat, heard, cursor),
            Heard::Ack { id, body } => self.hear_ack(seat, *id, body),
            _ => self.hear_expected(seat, heard),
        }
    }

    /// The node closes a connection.
    pub(crate) fn hear_close(&mut self, seat: Seat) -> Checked {
        if self.closing.remove(&seat) {
            return Ok(());
        }
        Err(format!("{seat:?} is closed for no reason"))
    }

    /// The input is over: whatever needed no other core must have been said.
    pub(crate) fn input_is_over(&mut self) -> Checked {
        (self.is_saying, self.is_replaying) = (false, false);
        self.acting = None;
        if let Some(arriving) = self.arriving.take() {
            return Err(format!("{arriving:?} was not let in"));
        }
        if !self.closing.is_empty() {
            return Err(format!("{:?} were not closed", self.closing));
        }
        if self.is_anybody_gone {
            self.is_anybody_gone = false;
            self.forget_strangers();
        }
        let unfinished = self.sessions.iter().find(|(_, session)| !session.has_heard_all());
        match unfinished {
            Some((seat, session)) => Err(format!("{seat:?} heard half of something: {session:?}")),
            None => Ok(()),
        }
    }

    /// Frames arrive at their device: as many as `count`, or all that were sent.
    pub(crate) fn receive(&mut self, seat: Seat, count: usize, memory: &mut Memory) {
        if let Some(session) = self.sessions.get_mut(&seat) {
            let count = count.min(session.slips.len());
            memory.receive(session.slips.drain(..count));
        }
    }

    /// How many frames are on their way to a device.
    pub(crate) fn on_their_way(&self, seat: Seat) -> usize {
        self.sessions.get(&seat).map_or(0, |session| session.slips.len())
    }

    /// The device of a session is gone, though nobody knows yet: no frame arrives there any more.
    pub(crate) fn cut(&mut self, seat: Seat) {
        if let Some(session) = self.sessions.get_mut(&seat) {
            session.is_cut = true;
            session.slips.clear();
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
