//! Commands to a cluster: kept until their slot is at rest, sent where it is, and sent again where a redirect or a
//! refusal for the moment says so. Which links and masters there are is not decided here.
//!
//! ```text
//!   command ──> detours ──> link of the slot's master ──> reply
//!                  ^                                        │ MOVED: the topology learns, the slot turns
//!                  └────────────────────────────────────────┤ ASK: once more, there, with ASKING
//!                                                           │ TRYAGAIN: once more, after a pause
//!                                                           v anything else: the sink
//! ```

use std::rc::Rc;
use std::time::Instant;

use core_shards::store::StoreTrouble;
use protocol::redis::{Reply, Slot, push_command};

use super::{Hub, now_unix_ms};
use crate::redis::address::Host;
use crate::redis::detours::{Detours, Lost, Traveller, Way};
use crate::redis::link::{Errand, Link};
use crate::redis::links::Standing;
use crate::redis::topology::Redirect;
use crate::redis::trouble::Trouble;

/// Commands of a client that are under way or wait for their slot, over all masters. Reached: the next is refused as
/// [`Busy`](StoreTrouble::Busy), or dropped if nobody waits for it.
const PARCELS_MAX: usize = 32_768;
/// Their bytes; beyond, the same.
const PARCEL_BYTES_MAX: usize = 64 << 20;
/// Precedes a command that a node is to carry out though the slot is not its own yet.
const ASKING: &[&[u8]] = &[b"ASKING"];

/// A command that can be sent more than once.
#[derive(Debug)]
pub(in crate::redis) struct Parcel {
    /// Whoever waits for the reply; nobody does if there is none.
    tag: Option<u64>,
    bytes: Vec<u8>,
}

impl Parcel {
    /// The command.
    pub(in crate::redis) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Every command that was given and not answered.
pub(super) struct Parcels {
    detours: Detours<Parcel>,
    count: usize,
    bytes: usize,
}

impl Parcels {
    /// None.
    pub(super) fn new() -> Self {
        Self { detours: Detours::new(), count: 0, bytes: 0 }
    }

    /// Takes a command in. It is returned if it can be sent at once.
    fn admit(&mut self, slot: Slot, parcel: Parcel) -> Result<Option<Traveller<Parcel>>, StoreTrouble> {
        if self.count >= PARCELS_MAX || self.bytes >= PARCEL_BYTES_MAX {
            return Err(StoreTrouble::Busy);
        }
        self.count += 1;
        self.bytes += parcel.bytes.len();
        Ok(self.detours.admit(slot, parcel))
    }

    /// A command that was out is answered.
    fn finish(&mut self, slot: Slot, parcel: &Parcel) {
        self.detours.handle_answered(slot);
        self.forget(parcel);
    }

    fn forget(&mut self, parcel: &Parcel) {
        self.count -= 1;
        self.bytes -= parcel.bytes.len();
    }

    /// Whether something waits to be asked of a host.
    pub(super) fn is_awaited(&self, host: &Host) -> bool {
        self.detours.is_awaited(host)
    }
}

impl Hub {
    /// Sends a command to the master of a slot, keeps it until the slot is at rest, or has it refused.
    pub(super) fn send_parcel(&self, slot: Slot, tag: Option<u64>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        let admitted = self.in_cluster(|cluster| {
            cluster.note_slot(slot);
            cluster.parcels.admit(slot, Parcel { tag, bytes })
        });
        match admitted {
            Some(Ok(Some(traveller))) => self.dispatch(slot, Way::Owner, traveller),
            Some(Ok(None)) => {}
            Some(Err(reason)) => self.refuse(tag, reason),
            None => self.refuse(tag, StoreTrouble::Away),
        }
    }

    /// Commands that were given and not answered, and their bytes; `None` where there is no cluster.
    pub(super) fn parcels(&self) -> Option<(usize, usize)> {
        self.in_cluster(|cluster| (cluster.parcels.count, cluster.parcels.bytes))
    }

    /// Sends a command that is out on its way.
    fn dispatch(&self, slot: Slot, way: Way, traveller: Traveller<Parcel>) {
        let standing = match &way {
            Way::Owner => self.standing_of_owner(slot),
            Way::Asking(host) => Some(self.standing_or_open(host)),
        };
        let reason = match standing {
            Some(Standing::Up(link)) if !link.is_full() => {
                self.metrics.commands.increment();
                if way != Way::Owner {
                    link.send(self.now_us(), Errand::Unanswered, |out| push_command(out, ASKING));
                }
                return link.send_parcel(self.now_us(), slot, Box::new(traveller));
            }
            Some(Standing::Fresh | Standing::Missing) => {
                self.in_cluster(|cluster| cluster.parcels.detours.postpone(slot, way, traveller));
                return;
            }
            Some(Standing::Up(_)) => StoreTrouble::Busy,
            Some(Standing::Down) | None => StoreTrouble::Away,
        };
        self.in_cluster(|cluster| cluster.parcels.finish(slot, &traveller.command));
        self.refuse(traveller.command.tag, reason);
    }

    /// How things are with the link to a slot's master; `None` if the master is not known.
    fn standing_of_owner(&self, slot: Slot) -> Option<Standing> {
        let standing = self.in_cluster(|cluster| {
            let owner = cluster.owner(slot)?;
            let standing = self.links.borrow().standing(owner);
            let missing = matches!(standing, Standing::Missing).then(|| owner.clone());
            Some((standing, missing))
        });
        let (standing, missing) = standing??;
        missing.into_iter().for_each(|host| self.open(host));
        Some(standing)
    }

    /// Sends what waited and may go on.
    pub(super) fn release(&self) {
        let released = self.in_cluster(|cluster| {
            if cluster.parcels.detours.is_straight() {
                return Vec::new();
            }
            let mut released = Vec::new();
            let links = self.links.borrow();
            let topology = &cluster.topology;
            let is_open = |slot: Slot, way: &Way| {
                let host = match way {
                    Way::Owner => topology.owner(slot),
                    Way::Asking(host) => Some(host),
                };
                !host.is_some_and(|host| matches!(links.standing(host), Standing::Fresh))
            };
            cluster.parcels.detours.release(Instant::now(), is_open, |slot, way, traveller| {
                released.push((slot, way, traveller));
            });
            released
        });
        for (slot, way, traveller) in released.into_iter().flatten() {
            self.dispatch(slot, way, traveller);
        }
    }

    /// A command was answered, or sent off.
    pub(super) fn handle_parcel(
        &self,
        link: &Rc<Link>,
        slot: Slot,
        traveller: Traveller<Parcel>,
        reply: Reply<'_>,
    ) {
        let now = Instant::now();
        let trouble = if let Reply::Error(error) = reply { Trouble::of(error) } else { None };
        let redirect = match reply {
            Reply::Error(error) => Redirect::read(error, link.host()),
            _ => None,
        };
        if trouble == Some(Trouble::TryAgain) {
            self.metrics.note_trouble(Trouble::TryAgain, now_unix_ms());
        }
        let has_moved = matches!(redirect, Some(Redirect::Moved(..)));
        if let Some(Redirect::Moved(moved, owner)) = &redirect {
            self.in_cluster(|cluster| cluster.topology.handle_moved(*moved, owner, now));
        }
        let kept = self.in_cluster(|cluster| match (redirect, trouble) {
            (Some(Redirect::Moved(..)), _) => {
                cluster.parcels.detours.handle_redirected(slot, traveller, Way::Owner)
            }
            (Some(Redirect::Ask(host)), _) => {
                cluster.parcels.detours.handle_redirected(slot, traveller, Way::Asking(host))
            }
            (None, Some(Trouble::TryAgain)) => cluster.parcels.detours.handle_refused(slot, traveller, now),
            (None, _) => {
                cluster.parcels.detours.handle_answered(slot);
                Err(Lost(traveller.command))
            }
        });
        if let Some(Err(Lost(parcel))) = kept {
            self.in_cluster(|cluster| cluster.parcels.forget(&parcel));
            self.answer(link, slot, parcel.tag, trouble, reply);
        }
        if has_moved {
            self.regroup();
        }
        self.release();
    }

    /// Hands on a reply that nothing can be done about.
    fn answer(
        &self,
        link: &Rc<Link>,
        slot: Slot,
        tag: Option<u64>,
        trouble: Option<Trouble>,
        reply: Reply<'_>,
    ) {
        let reply = match (trouble, reply) {
            (Some(Trouble::ClusterDown), _) => {
                self.handle_not_whole(link, slot);
                Err(StoreTrouble::Away)
            }
            (Some(trouble), _) => {
                self.handle_trouble(link, trouble);
                Err(trouble.for_store())
            }
            // A slot that finds no rest.
            (None, Reply::Error(error)) if Redirect::read(error, link.host()).is_some() => {
                Err(StoreTrouble::Unable)
            }
            (None, reply) => Ok(reply),
        };
        if let Some(tag) = tag {
            self.tell(|sink| sink.reply(tag, reply));
        }
    }

    /// Commands that were under way on a link that is lost.
    pub(super) fn handle_parcel_lost(&self, slot: Slot, traveller: Traveller<Parcel>) {
        let parcel = traveller.command;
        self.in_cluster(|cluster| cluster.parcels.finish(slot, &parcel));
        if let Some(tag) = parcel.tag {
            self.tell(|sink| sink.reply(tag, Err(StoreTrouble::Away)));
        }
    }
}
