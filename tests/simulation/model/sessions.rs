//! One session as the reference has it, and the frames that it must hear one right after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::chat::dialect::Dialect;
use protocol::chat::status::Status;

use super::Checked;
use super::answers::{Answer, Expected};
use super::members::{Membership, Stage};
use super::presence::HeardOf;
use super::standing::Visible;
use crate::client::Slip;
use crate::heard::Heard;

/// One session, connected or lost.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) user: String,
    /// The public id, once it was told.
    pub(super) sid: String,
    /// The private id, of one that can be resumed.
    pub(super) pid: Option<String>,
    /// The names of events that its client reads, once it is known.
    pub(super) dialect: Option<Dialect>,
    pub(super) has_cursor: bool,
    /// What it said of its user last.
    pub(super) said: Option<Status>,
    pub(super) memberships: BTreeMap<String, Membership>,
    /// What it must hear before the input is over, in this order.
    pub(super) expected: VecDeque<Expected>,
    /// Acknowledgements that another core has to make first.
    pub(super) answers: BTreeMap<u64, Answer>,
    pub(super) stage: Stage,
    /// Frames that repeat the last one under other names: event, and what it is about.
    pub(super) mirrors: VecDeque<Mirror>,
    /// What arriving frames change in the device's memory.
    pub(super) slips: VecDeque<Slip>,
    /// The device is gone.
    pub(super) is_cut: bool,
    /// It may not know how everybody is: it was taken up again and not told what it had missed of it, or was given no
    /// list of members.
    pub(super) has_blanks: bool,
    /// The session was taken up again.
    pub(super) was_resumed: bool,
    /// By another device than the one that it began on.
    pub(super) was_lent: bool,
    /// Joins that wait for permission, by number.
    pub(super) asking: BTreeMap<u64, String>,
    /// What reached it of the own room without having joined it, and what must before the input is over.
    pub(super) own_room: Vec<String>,
    pub(super) own_due: Vec<String>,
    pub(super) own_serial: u64,
    pub(super) followed: BTreeSet<String>,
    /// Questions about users without acknowledgement, and subscriptions.
    pub(super) surveys: Vec<BTreeSet<String>>,
    /// What it last heard of others with whom it shares a channel, or whom it follows.
    pub(super) heard_of: BTreeMap<String, HeardOf>,
    /// What it is to hear of them yet.
    pub(super) due_of: BTreeMap<String, VecDeque<Visible>>,
    /// Who types as far as it heard: channel, user, thread.
    pub(super) typists: BTreeSet<(String, String, Option<String>)>,
}

/// A frame that repeats the one before it.
#[derive(Clone, Debug)]
pub(super) struct Mirror {
    pub(super) event: String,
    pub(super) about: String,
    pub(super) cursor: Option<String>,
}

impl Session {
    pub(super) fn new(user: &str, dialect: Option<Dialect>, has_cursor: bool) -> Self {
        Self {
            user: user.to_owned(),
            sid: String::new(),
            pid: None,
            dialect,
            has_cursor,
            said: None,
            memberships: BTreeMap::new(),
            expected: VecDeque::new(),
            answers: BTreeMap::new(),
            stage: Stage::Idle,
            mirrors: VecDeque::new(),
            slips: VecDeque::new(),
            is_cut: false,
            has_blanks: false,
            was_resumed: false,
            was_lent: false,
            asking: BTreeMap::new(),
            own_room: Vec::new(),
            own_due: Vec::new(),
            own_serial: 0,
            followed: BTreeSet::new(),
            surveys: Vec::new(),
            heard_of: BTreeMap::new(),
            due_of: BTreeMap::new(),
            typists: BTreeSet::new(),
        }
    }

    /// The connection is gone, and with it whatever was to be said on it.
    pub(super) fn forget_connection(&mut self, is_resumable: bool) {
        self.answers.clear();
        self.slips.clear();
        self.is_cut = false;
        self.asking.clear();
        self.surveys.clear();
        self.due_of.clear();
        self.typists.clear();
        if !is_resumable {
            self.followed.clear();
        }
    }

    pub(super) fn is_hybrid(&self) -> bool {
        self.dialect == Some(Dialect::Hybrid)
    }

    pub(super) fn is_legacy(&self) -> bool {
        self.dialect == Some(Dialect::Legacy)
    }

    /// A client that mixes the dialects hears the same again under other names.
    pub(super) fn expect_mirrors(&mut self, events: &[&str], about: &str, cursor: Option<&str>) {
        if self.is_hybrid() {
            self.mirrors.extend(events.iter().map(|event| Mirror {
                event: (*event).to_owned(),
                about: about.to_owned(),
                cursor: cursor.map(str::to_owned),
            }));
        }
    }

    pub(super) fn hear_mirror(&mut self, heard: &Heard, mirror: &Mirror, cursor: Option<&str>) -> Checked {
        let fits = matches!(heard, Heard::Mirror { event, about }
            if *event == mirror.event && *about == mirror.about && cursor == mirror.cursor.as_deref());
        if fits { Ok(()) } else { Err(format!("heard {heard:?} {cursor:?} instead of {mirror:?}")) }
    }

    /// Whether nothing is missing that must follow at once.
    pub(super) fn has_heard_all(&self) -> bool {
        matches!(self.stage, Stage::Idle)
            && self.mirrors.is_empty()
            && self.expected.is_empty()
            && self.own_due.is_empty()
            && self.memberships.values().all(|membership| membership.missed_count == 0)
    }
}
