//! Where a hub finds the master of each slot, and has groups heard wherever their slot is.
//!
//! ```text
//!            the owner's link is up                          all its topics are confirmed
//!   down ─────────────────────────────> topics are asked for ─────────────────────────────> up
//!    ^                                                 │                                     │
//!    └── another owner, `sunsubscribe`, a lost link, CLUSTERDOWN: after a pause, once more ──┘
//! ```

use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::redis::{Reply, Slot, push_command};

use super::parcels::Parcels;
use super::{Hub, group_id, now_unix_ms};
use crate::redis::address::{Host, RedisSettings};
use crate::redis::link::{self, Errand, Link};
use crate::redis::links::Standing;
use crate::redis::sink::{GroupId, GroupSpec};
use crate::redis::topology::{Redirect, Topology};
use crate::redis::trouble::{Failure, Trouble};
use crate::rt::{self, Either};

/// How often the topology, groups that are down and commands that wait are looked after.
const TICK: Duration = Duration::from_millis(50);
/// Before a group is raised again where the cluster is not whole.
const RAISE_PAUSE: Duration = Duration::from_millis(300);
const ASK_TOPOLOGY: &[&[u8]] = &[b"CLUSTER", b"SLOTS"];

/// What a client knows of a cluster.
pub(super) struct Cluster {
    pub(super) topology: Topology,
    pub(super) parcels: Parcels,
    /// By group.
    homes: Vec<Home>,
    /// Slots that commands were sent to.
    slots: Vec<Slot>,
}

/// Where a group is heard, or is going to be.
struct Home {
    host: Option<Host>,
    /// Its topics were asked for there.
    is_raised: bool,
    not_before: Instant,
}

impl Cluster {
    fn new(settings: &RedisSettings, groups: &[GroupSpec]) -> Self {
        let now = Instant::now();
        let home = |_: &GroupSpec| Home { host: None, is_raised: false, not_before: now };
        Self {
            topology: Topology::new(settings.hosts.clone(), now),
            parcels: Parcels::new(),
            homes: groups.iter().map(home).collect(),
            slots: groups.iter().map(|group| group.slot).collect(),
        }
    }

    pub(super) fn owner(&self, slot: Slot) -> Option<&Host> {
        self.topology.owner(slot)
    }

    pub(super) fn home(&self, place: usize) -> Option<&Host> {
        self.homes[place].host.as_ref()
    }

    /// Commands go to this slot.
    pub(super) fn note_slot(&mut self, slot: Slot) {
        if !self.slots.contains(&slot) {
            self.slots.push(slot);
        }
    }

    /// A group is down, and not to be raised for a while.
    pub(super) fn handle_lowered(&mut self, place: usize, pause: Duration) {
        let home = &mut self.homes[place];
        (home.is_raised, home.not_before) = (false, Instant::now() + pause);
    }
}

impl Hub {
    /// A node of a cluster carries commands.
    pub(super) fn handle_node_up(self: &Rc<Self>) {
        if self.cluster.borrow().is_none() {
            self.begin_cluster();
        }
        self.ask_topology();
        self.raise();
        self.release();
    }

    fn begin_cluster(self: &Rc<Self>) {
        if self.settings.database != 0 {
            let database = self.settings.database;
            tracing::warn!(database, "a Redis Cluster has only database 0: the setting is ignored");
        }
        *self.cluster.borrow_mut() = Some(Cluster::new(&self.settings, &self.groups));
        self.start_task(run_cluster(self.clone()));
    }

    /// Tells the topology what a node answered.
    pub(super) fn handle_topology(&self, link: &Rc<Link>, reply: Reply<'_>) {
        let now = Instant::now();
        if let Reply::Error(error) = reply {
            let sentence = String::from_utf8_lossy(&error[..error.len().min(200)]).into_owned();
            self.report(link, &Failure::new(Trouble::of(error).unwrap_or(Trouble::Foreign), sentence));
        }
        let chance = u32::try_from(link::random() >> 32).unwrap_or(u32::MAX);
        self.in_cluster(|cluster| cluster.topology.handle_answer(reply, link.host(), chance, now));
        self.regroup();
        self.raise();
        self.release();
    }

    /// A link was lost or could not be made. `is_asked`: while the topology was asked for on it.
    pub(super) fn handle_doubt(&self, link: &Rc<Link>, is_asked: bool) {
        self.in_cluster(|cluster| {
            let now = Instant::now();
            let is_scout = !cluster.slots.iter().any(|slot| cluster.owner(*slot) == Some(link.host()));
            if is_asked || is_scout {
                cluster.topology.handle_no_answer(now);
            }
            cluster.topology.handle_doubt(now);
        });
        self.release();
    }

    /// The topics of a group are refused where they were asked for.
    pub(super) fn handle_refused_topics(&self, link: &Rc<Link>, group: GroupId, error: &[u8]) {
        match (Redirect::read(error, link.host()), Trouble::of(error)) {
            (Some(redirect), _) => {
                if let Redirect::Moved(slot, owner) = redirect {
                    let now = Instant::now();
                    self.in_cluster(|cluster| cluster.topology.handle_moved(slot, &owner, now));
                }
                self.lower(group, TICK);
                self.regroup();
            }
            (None, Some(Trouble::ClusterDown)) => {
                self.handle_not_whole(link, self.groups[usize::from(group.0)].slot)
            }
            (None, Some(Trouble::TryAgain)) => self.lower(group, RAISE_PAUSE),
            (None, trouble) => {
                let sentence = String::from_utf8_lossy(&error[..error.len().min(200)]).into_owned();
                link.cut(Failure::new(trouble.unwrap_or(Trouble::Foreign), sentence));
            }
        }
    }

    /// The master that served the slot of a group has ended its topics: they are asked for once more, and if the slot
    /// has moved, the refusal says where to.
    pub(super) fn handle_ended_topics(&self, link: &Rc<Link>, place: usize) {
        let is_here = self.in_cluster(|cluster| {
            cluster.topology.handle_doubt(Instant::now());
            cluster.home(place) == Some(link.host())
        });
        if is_here == Some(true) && self.topics.borrow().is_up(group_id(place)) {
            self.lower(group_id(place), Duration::ZERO);
        }
    }

    /// A canary was sent off: its group has moved.
    pub(super) fn handle_canary_refused(&self, link: &Rc<Link>, group: GroupId, reply: Reply<'_>) {
        let Reply::Error(error) = reply else { return };
        match (Redirect::read(error, link.host()), Trouble::of(error)) {
            (Some(Redirect::Moved(slot, owner)), _) => {
                let now = Instant::now();
                self.in_cluster(|cluster| cluster.topology.handle_moved(slot, &owner, now));
                self.regroup();
            }
            (None, Some(Trouble::ClusterDown)) => {
                self.handle_not_whole(link, self.groups[usize::from(group.0)].slot);
            }
            _ => {}
        }
    }

    /// Goes on to the next host of the configuration while none is there and nothing is known of a cluster.
    pub(super) fn try_next_host(&self) {
        let is_alone = self.settings.hosts.len() < 2;
        if is_alone || self.cluster.borrow().is_some() || self.links.borrow().iter().any(|link| link.is_up())
        {
            return;
        }
        let Some(link) = self.links.borrow().iter().next().cloned() else { return };
        let hosts = &self.settings.hosts;
        let place = hosts.iter().position(|host| host == link.host()).unwrap_or(0);
        if matches!(self.links.borrow().standing(link.host()), Standing::Fresh) {
            return;
        }
        self.links.borrow_mut().release_all();
        self.metrics.links.take(1);
        link.close();
        self.open(hosts[(place + 1) % hosts.len()].clone());
    }

    /// Lowers the groups whose slots have another master than the one where they are heard.
    pub(super) fn regroup(&self) {
        let moved = self.in_cluster(|cluster| {
            let mut moved = Vec::new();
            for (place, home) in cluster.homes.iter_mut().enumerate() {
                let owner = cluster.topology.owner(self.groups[place].slot);
                if owner.is_some() && home.host.as_ref() != owner {
                    let former = std::mem::replace(&mut home.host, owner.cloned());
                    home.not_before = Instant::now();
                    moved.push((place, former, std::mem::take(&mut home.is_raised)));
                }
            }
            moved
        });
        for (place, former, was_raised) in moved.into_iter().flatten() {
            self.lower(group_id(place), Duration::ZERO);
            if was_raised && !self.is_sharded.get() {
                // Topics without slots are heard at the former master, too, and would come twice.
                if let Some(Standing::Up(link)) = former.map(|host| self.links.borrow().standing(&host)) {
                    link.cut(Failure::new(Trouble::TryAgain, "its slots have moved"));
                }
            }
        }
    }

    /// The cluster carries out nothing because it misses a master: the groups of this slot live by themselves.
    pub(super) fn handle_not_whole(&self, link: &Rc<Link>, slot: Slot) {
        self.metrics.note_trouble(Trouble::ClusterDown, now_unix_ms());
        self.in_cluster(|cluster| cluster.topology.handle_not_whole(link.host(), Instant::now()));
        for place in (0..self.groups.len()).filter(|place| self.groups[*place].slot == slot) {
            self.lower(group_id(place), RAISE_PAUSE);
        }
    }

    /// Has every group that is down heard at its home, if that is there.
    pub(super) fn raise(&self) {
        let now = Instant::now();
        let wanted = self.in_cluster(|cluster| {
            let mut wanted = Vec::new();
            for (place, home) in cluster.homes.iter().enumerate() {
                if let Some(host) = home.host.clone().filter(|_| !home.is_raised && home.not_before <= now) {
                    wanted.push((place, host));
                }
            }
            wanted
        });
        for (place, host) in wanted.into_iter().flatten() {
            let Standing::Up(link) = self.standing_or_open(&host) else { continue };
            self.in_cluster(|cluster| cluster.homes[place].is_raised = true);
            self.rise(&link, group_id(place));
        }
    }

    /// Asks for the topology if that is due.
    fn ask_topology(&self) {
        let now = Instant::now();
        let host = self.in_cluster(|cluster| {
            let links = self.links.borrow();
            let is_up = |slot: &Slot| {
                let owner = cluster.topology.owner(*slot);
                owner.is_some_and(|host| matches!(links.standing(host), Standing::Up(_)))
            };
            let is_anxious = !cluster.slots.iter().all(is_up);
            if !cluster.topology.is_due(now, is_anxious) {
                return None;
            }
            cluster.topology.handle_asked(now);
            Some(cluster.topology.next_node().clone())
        });
        let Some(host) = host.flatten() else { return };
        let link = self.link_to_ask(&host);
        match link {
            Some(link) => {
                link.send(self.now_us(), Errand::Topology, |out| push_command(out, ASK_TOPOLOGY));
            }
            None => {
                self.standing_or_open(&host);
            }
        }
    }

    /// Whoever is there is asked: the one whose turn it is, or another, and one that may be wrong only if it is alone.
    fn link_to_ask(&self, host: &Host) -> Option<Rc<Link>> {
        let links = self.links.borrow();
        let now = Instant::now();
        self.in_cluster(|cluster| {
            let is_trusted = |link: &&Rc<Link>| !cluster.topology.is_distrusted(link.host(), now);
            let up = || links.iter().filter(|link| link.is_up());
            let turn = up().filter(is_trusted).find(|link| link.host() == host);
            turn.or_else(|| up().find(is_trusted)).or_else(|| up().next()).cloned()
        })
        .flatten()
    }

    /// Lets go of links to servers that serve no slot of ours.
    fn tidy(&self) {
        let released = self.in_cluster(|cluster| {
            let is_known = cluster.slots.iter().all(|slot| cluster.owner(*slot).is_some());
            let is_wanted = |link: &Link| {
                !is_known
                    || link.under_way().0 > 0
                    || cluster.parcels.is_awaited(link.host())
                    || cluster.slots.iter().any(|slot| cluster.owner(*slot) == Some(link.host()))
            };
            self.links.borrow_mut().release(Instant::now(), is_wanted)
        });
        for link in released.into_iter().flatten() {
            self.metrics.links.take(1);
            if link.is_up() {
                self.metrics.links_up.take(1);
            }
            link.close();
        }
    }

    /// The link to a host. It is begun if there is none.
    pub(super) fn standing_or_open(&self, host: &Host) -> Standing {
        let standing = self.links.borrow().standing(host);
        if matches!(standing, Standing::Missing) {
            self.open(host.clone());
        }
        standing
    }

    pub(super) fn in_cluster<R>(&self, look: impl FnOnce(&mut Cluster) -> R) -> Option<R> {
        self.cluster.borrow_mut().as_mut().map(look)
    }
}

/// Looks after a cluster. Woken by its timer; ends with the client.
async fn run_cluster(hub: Rc<Hub>) {
    while let Either::Left(()) = rt::race(rt::sleep(TICK), hub.closing.wait()).await {
        hub.regroup();
        hub.ask_topology();
        hub.raise();
        hub.release();
        hub.tidy();
    }
}
