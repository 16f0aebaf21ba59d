//! What a device got, as opposed to what was sent to it: frames that were on their way when a connection broke are in
//! nobody's memory.

use std::collections::BTreeMap;
use std::rc::Rc;

/// The cursor behind an event, and when the node handed that event out for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) text: String,
    /// Monotonic milliseconds; none if nobody saw it handed out.
    pub(crate) handed_ms: Option<u64>,
}

/// How far a member has read a channel.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) epoch: Rc<str>,
    /// The offset that the membership began with: what follows is the member's.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Of the last publication, whatever it was.
    pub(crate) timestamp: u64,
    /// Of the last publication that has one.
    pub(crate) id: Option<Rc<str>>,
    /// Read receipts that came during the membership.
    pub(crate) read_count: usize,
    /// Nobody knows how far: somebody took the session up with a cursor of another one.
    pub(crate) is_open: bool,
}

/// What getting one frame changes in a device's memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slip {
    /// A session began: its private id, if it has one.
    pub(crate) begins: Option<Option<String>>,
    pub(crate) cursor: Option<Cursor>,
    /// The membership, its channel, and how far it has been read.
    pub(crate) place: Option<(u64, Rc<str>, Place)>,
}

/// What a device remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) pid: Option<String>,
    pub(crate) cursor: Option<Cursor>,
    /// By membership.
    pub(crate) places: BTreeMap<u64, Place>,
    /// By channel, of whatever membership was the last there.
    pub(crate) channels: BTreeMap<Rc<str>, Place>,
    /// The private id that another device lent: what had been read of that session nobody knows.
    pub(crate) lent: Option<String>,
    /// An earlier state, for clients that come back with an old cursor.
    pub(crate) earlier: Option<Box<Memory>>,
}

impl Memory {
    /// The frames arrive, in their order.
    pub(crate) fn receive(&mut self, slips: impl Iterator<Item = Slip>) {
        for slip in slips {
            if let Some(pid) = slip.begins
                && pid != self.pid
            {
                (self.pid, self.earlier) = (pid, None);
                self.places.clear();
            }
            if slip.cursor.is_some() {
                self.cursor = slip.cursor;
            }
            if let Some((membership, channel, place)) = slip.place {
                self.channels.insert(channel, place.clone());
                self.places.insert(membership, place);
            }
        }
    }

    /// Keeps this state for later.
    pub(crate) fn remember(&mut self) {
        self.earlier = None;
        self.earlier = Some(Box::new(self.clone()));
    }
}
