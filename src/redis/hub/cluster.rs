//! What a hub does where many masters share the slots: it finds the master of each, follows redirects, and has groups
//! heard wherever their slot is.
//!
//! ```text
//!   command ──> detours ──> link of the slot's master ──> reply
//!                  ^                                        │ MOVED: the topology learns, the slot turns
//!                  └────────────────────────────────────────┤ ASK: once more, there, with ASKING
//!                                                           │ TRYAGAIN: once more, after a pause
//!                                                           v anything else: the sink
//!   group:  home has another owner, `sunsubscribe`, a lost link, CLUSTERDOWN ──> down ──> raised at the owner
//! ```

use std::time::{Duration, Instant};

use super::*;
use crate::redis::address::Host;
use crate::redis::detours::{Detours, Lost, Traveller, Way};
use crate::redis::links::Standing;
use crate::redis::topology::{Redirect, Topology};

/// How often the topology, groups that are down and commands that wait are looked after.
const TICK: Duration = Duration::from_millis(50);
/// Before a group is raised again where the cluster is not whole.
const RAISE_PAUSE: Duration = Duration::from_millis(300);
/// Commands of a client that are under way or wait for their slot, over all masters. Reached: the next is refused as
/// [`Busy`](StoreTrouble::Busy), or dropped if nobody waits for it.
const PARCELS_MAX: usize = 32_768;
/// Their bytes; beyond, the same.
const PARCEL_BYTES_MAX: usize = 64 << 20;
/// Precedes a command that a node is to carry out though the slot is not its own yet.
const ASKING: &[&[u8]] = &[b"ASKING"];
const ASK_TOPOLOGY: &[&[u8]] = &[b"CLUSTER", b"SLOTS"];

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

/// What a client knows of a cluster.
pub(super) struct Cluster {
    topology: Topology,
    detours: Detours<Parcel>,
    /// By group.
    homes: Vec<Home>,
    /// Slots that commands were sent to.
    slots: Vec<Slot>,
    parcel_count: usize,
    parcel_bytes: usize,
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
            detours: Detours::new(),
            homes: groups.iter().map(home).collect(),
            slots: groups.iter().map(|group| group.slot).collect(),
            parcel_count: 0,
            parcel_bytes: 0,
        }
    }

    pub(super) fn owner(&self, slot: Slot) -> Option<&Host> {
        self.topology.owner(slot)
    }

    pub(super) fn home(&self, place: usize) -> Option<&Host> {
        self.homes[place].host.as_ref()
    }

    /// A group is down, and not to be raised for a while.
    pub(super) fn handle_lowered(&mut self, place: usize, pause: Duration) {
        let home = &mut self.homes[place];
        (home.is_raised, home.not_before) = (false, Instant::now() + pause);
    }

    fn settle(&mut self, parcel: &Parcel) {
        self.parcel_count -= 1;
        self.parcel_bytes -= parcel.bytes.len();
    }
}

/// Commands.
impl Hub {
    /// Sends a command to the master of a slot, keeps it until the slot is at rest, or has it refused.
    pub(super) fn send_parcel(&self, slot: Slot, tag: Option<u64>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        let admitted = self.in_cluster(|cluster| {
            if cluster.parcel_count >= PARCELS_MAX || cluster.parcel_bytes >= PARCEL_BYTES_MAX {
                return Err(StoreTrouble::Busy);
            }
            if !cluster.slots.contains(&slot) {
                cluster.slots.push(slot);
            }
            cluster.parcel_count += 1;
            cluster.parcel_bytes += bytes.len();
            Ok(cluster.detours.admit(slot, Parcel { tag, bytes }))
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
        self.in_cluster(|cluster| (cluster.parcel_count, cluster.parcel_bytes))
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
                self.in_cluster(|cluster| cluster.detours.postpone(slot, way, traveller));
                return;
            }
            Some(Standing::Up(_)) => StoreTrouble::Busy,
            Some(Standing::Down) | None => StoreTrouble::Away,
        };
        self.in_cluster(|cluster| {
            cluster.detours.handle_answered(slot);
            cluster.settle(&traveller.command);
        });
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
            if cluster.detours.is_straight() {
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
            cluster.detours.release(Instant::now(), is_open, |slot, way, traveller| {
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
        let has_moved = matches!(redirect, Some(Redirect::Moved(..)));
        if let Some(Redirect::Moved(moved, owner)) = &redirect {
            self.in_cluster(|cluster| cluster.topology.handle_moved(*moved, owner, now));
        }
        let kept = self.in_cluster(|cluster| match (redirect, trouble) {
            (Some(Redirect::Moved(..)), _) => cluster.detours.handle_redirected(slot, traveller, Way::Owner),
            (Some(Redirect::Ask(host)), _) => {
                cluster.detours.handle_redirected(slot, traveller, Way::Asking(host))
            }
            (None, Some(Trouble::TryAgain)) => cluster.detours.handle_refused(slot, traveller, now),
            (None, _) => {
                cluster.detours.handle_answered(slot);
                Err(Lost(traveller.command))
            }
        });
        if let Some(Err(Lost(parcel))) = kept {
            self.in_cluster(|cluster| cluster.settle(&parcel));
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
        self.in_cluster(|cluster| {
            cluster.detours.handle_answered(slot);
            cluster.settle(&parcel);
        });
        if let Some(tag) = parcel.tag {
            self.tell(|sink| sink.reply(tag, Err(StoreTrouble::Away)));
        }
    }

    /// The cluster carries out nothing because it misses a master: the groups of this slot live by themselves.
    fn handle_not_whole(&self, link: &Rc<Link>, slot: Slot) {
        self.metrics.note_trouble(Trouble::ClusterDown, now_unix_ms());
        self.in_cluster(|cluster| cluster.topology.handle_not_whole(link.host(), Instant::now()));
        for place in (0..self.groups.len()).filter(|place| self.groups[*place].slot == slot) {
            self.lower(group_id(place), RAISE_PAUSE);
        }
    }
}

/// Servers and groups.
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
    fn regroup(&self) {
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
                    || cluster.detours.is_awaited(link.host())
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
    fn standing_or_open(&self, host: &Host) -> Standing {
        let standing = self.links.borrow().standing(host);
        if matches!(standing, Standing::Missing) {
            self.open(host.clone());
        }
        standing
    }

    fn in_cluster<R>(&self, look: impl FnOnce(&mut Cluster) -> R) -> Option<R> {
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
