//! What one client's tasks share: links, groups of topics, and the way of everything that comes to the sink.

mod cluster;
mod parcels;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use core_shards::store::StoreTrouble;
use protocol::redis::{Reply, Slot, push_command};

use cluster::Cluster;

use super::address::{Host, RedisSettings};
use super::canary::{CANARY_INTERVAL_MS, Canary};
use super::handshake::Hello;
use super::link::{self, Errand, Flight, Link};
use super::links::{Links, Standing};
use super::metrics::StoreMetrics;
use super::script::Script;
use super::sink::{GroupId, GroupSpec, Sink};
use super::tls::{self, Trust};
use super::topics::Topics;
use super::trouble::{Failure, Trouble};
use crate::rt::{self, Either, Gate, Latch, LocalNotify, Starter};

pub(super) use parcels::Parcel;

/// The middle of a client.
pub(super) struct Hub {
    settings: RedisSettings,
    scripts: Vec<&'static Script>,
    metrics: Arc<StoreMetrics>,
    groups: Vec<GroupSpec>,
    topics: RefCell<Topics>,
    canaries: RefCell<Vec<Canary>>,
    links: RefCell<Links>,
    /// What is known of the cluster, where it is one. Nobody is told anything while this or the links are looked at.
    cluster: RefCell<Option<Cluster>>,
    /// This hub, and what starts its tasks.
    roots: OnceCell<(Weak<Hub>, Starter)>,
    sink: OnceCell<Weak<dyn Sink>>,
    gate: OnceCell<Gate>,
    trust: Result<Option<Trust>, Failure>,
    is_sharded: Cell<bool>,
    /// Commands that were not sent, and why: their answers wait for a task, because nobody is answered from inside of
    /// his question.
    refusals: RefCell<Vec<(u64, StoreTrouble)>>,
    /// Refusals or changes of topics wait.
    errand_wanted: LocalNotify,
    closing: Latch,
    started: Instant,
    /// What the operator was told last.
    told: Cell<Option<Trouble>>,
}

impl Hub {
    pub(super) fn new(
        settings: RedisSettings,
        groups: Vec<GroupSpec>,
        scripts: Vec<&'static Script>,
        metrics: Arc<StoreMetrics>,
    ) -> Self {
        let trust = match settings.is_tls {
            true => tls::trust(settings.ca_file.as_deref()).map(Some),
            false => Ok(None),
        };
        metrics.groups.set(groups.len() as u64);
        Self {
            trust: trust.map_err(|sentence| Failure::new(Trouble::Tls, sentence)),
            settings,
            scripts,
            metrics,
            topics: RefCell::new(Topics::new(&groups)),
            canaries: RefCell::new(groups.iter().map(|_| Canary::default()).collect()),
            groups,
            links: RefCell::default(),
            cluster: RefCell::default(),
            roots: OnceCell::new(),
            sink: OnceCell::new(),
            gate: OnceCell::new(),
            is_sharded: Cell::new(false),
            refusals: RefCell::default(),
            errand_wanted: LocalNotify::default(),
            closing: Latch::default(),
            started: Instant::now(),
            told: Cell::new(None),
        }
    }

    /// Begins to connect.
    pub(super) fn start(self: &Rc<Self>, sink: Weak<dyn Sink>, starter: &Starter) {
        assert!(self.sink.set(sink).is_ok(), "a client is started once");
        let _ = self.roots.set((Rc::downgrade(self), starter.clone()));
        self.start_task(run_errands(self.clone()));
        self.start_task(run_pulse(self.clone()));
        if let Some(host) = self.settings.hosts.first() {
            self.open(host.clone());
        }
    }

    fn start_task(&self, task: impl Future<Output = ()> + 'static) {
        if let Some((_, starter)) = self.roots.get() {
            starter(Box::pin(task));
        }
    }

    /// Begins to connect to a host.
    fn open(&self, host: Host) {
        let Some((hub, _)) = self.roots.get() else { return };
        let link = Link::new(host, hub.clone());
        self.links.borrow_mut().add(link.clone());
        self.metrics.links.add(1);
        self.start_task(link::run(link));
    }

    /// Heeds a gate before anything is read.
    pub(super) fn heed(&self, gate: Gate) {
        assert!(self.gate.set(gate).is_ok(), "a client heeds one gate");
    }

    pub(super) fn gate(&self) -> Option<&Gate> {
        self.gate.get()
    }

    pub(super) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    pub(super) fn scripts(&self) -> &[&'static Script] {
        &self.scripts
    }

    pub(super) fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.metrics
    }

    pub(super) fn is_sharded(&self) -> bool {
        self.is_sharded.get()
    }

    /// What encrypted connections trust; `None` where they are not encrypted.
    pub(super) fn trust(&self) -> Result<Option<Trust>, Failure> {
        self.trust.clone()
    }

    /// The monotonic clock.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The link on which a group is heard, or is going to be.
    fn link_of_group(&self, place: usize) -> Option<Rc<Link>> {
        match &*self.cluster.borrow() {
            None => self.links.borrow().first_up(),
            Some(cluster) => match self.links.borrow().standing(cluster.home(place)?) {
                Standing::Up(link) => Some(link),
                _ => None,
            },
        }
    }

    /// The groups that are heard on a link, or are going to be.
    fn groups_of(&self, link: &Rc<Link>) -> impl Iterator<Item = GroupId> + use<> {
        let cluster = self.cluster.borrow();
        let is_there = |place: &usize| match &*cluster {
            None => true,
            Some(cluster) => cluster.home(*place) == Some(link.host()),
        };
        let groups: Vec<GroupId> = (0..self.groups.len()).filter(is_there).map(group_id).collect();
        groups.into_iter()
    }

    /// Sends a command, or has it refused.
    pub(super) fn send_command(&self, slot: Slot, tag: u64, write: impl FnOnce(&mut Vec<u8>)) {
        if self.cluster.borrow().is_some() {
            return self.send_parcel(slot, Some(tag), write);
        }
        let link = self.links.borrow().first_up();
        let reason = match link {
            Some(link) if !link.is_full() => {
                self.metrics.commands.increment();
                return link.send(self.now_us(), Errand::Command { tag }, write);
            }
            Some(_) => {
                self.metrics.refused.increment();
                StoreTrouble::Busy
            }
            None => StoreTrouble::Away,
        };
        self.refuse(Some(tag), reason);
    }

    /// A command is not sent: nobody is answered from inside of his question.
    fn refuse(&self, tag: Option<u64>, reason: StoreTrouble) {
        let Some(tag) = tag else { return self.metrics.dropped.increment() };
        self.refusals.borrow_mut().push((tag, reason));
        self.errand_wanted.notify();
    }

    /// Sends a command that nobody waits for, or drops it.
    pub(super) fn send_unanswered(&self, slot: Slot, write: impl FnOnce(&mut Vec<u8>)) {
        if self.cluster.borrow().is_some() {
            return self.send_parcel(slot, None, write);
        }
        let link = self.links.borrow().first_up();
        match link {
            Some(link) if !link.is_full() => {
                self.metrics.commands.increment();
                link.send(self.now_us(), Errand::Unanswered, write);
            }
            _ => self.metrics.dropped.increment(),
        }
    }

    /// How to publish where a slot's topics are.
    pub(super) fn publish_command(&self) -> &'static str {
        if self.is_sharded.get() { "SPUBLISH" } else { "PUBLISH" }
    }

    /// Changes what is to be heard.
    pub(super) fn change_topics(&self, change: impl FnOnce(&mut Topics)) {
        change(&mut self.topics.borrow_mut());
        self.errand_wanted.notify();
    }

    /// Ends everything, after what waits was written.
    pub(super) fn close(&self) {
        self.closing.set();
        self.links.borrow().iter().for_each(|link| link.close());
    }

    fn tell(&self, tell: impl FnOnce(&dyn Sink)) {
        if let Some(sink) = self.sink.get().and_then(Weak::upgrade) {
            tell(&*sink);
        }
    }
}

/// What links report.
impl Hub {
    /// A link carries commands.
    pub(super) fn handle_up(self: &Rc<Self>, link: &Rc<Link>, hello: Hello) {
        self.links.borrow_mut().handle_attempt(link);
        if !self.links.borrow().has(link) {
            return;
        }
        self.metrics.links_up.add(1);
        self.metrics.end_trouble();
        self.told.set(None);
        tracing::info!(host = %link.host(), version = %hello.shown(), "redis is there");
        if hello.is_cluster {
            self.is_sharded.set(hello.version.0 >= 7);
            return self.handle_node_up();
        }
        if self.cluster.borrow().is_some() {
            return link.cut(Failure::new(Trouble::Foreign, "it belongs to no cluster"));
        }
        self.groups_of(link).for_each(|group| self.rise(link, group));
    }

    /// Asks for the topics of a group.
    fn rise(&self, link: &Rc<Link>, group: GroupId) {
        let batches = self.topics.borrow_mut().rise(group);
        for batch in batches {
            self.metrics.subscriptions.increment();
            link.subscribe(self.now_us(), batch, self.is_sharded.get());
        }
    }

    /// A link is lost, with everything that was under way on it.
    pub(super) fn handle_down(&self, link: &Rc<Link>, flights: VecDeque<Flight>, failure: &Failure) {
        if self.links.borrow().has(link) {
            self.metrics.links_up.take(1);
            self.metrics.losses.increment();
            self.report(link, failure);
            for group in self.groups_of(link) {
                self.lower(group, Duration::ZERO);
            }
        }
        let mut is_asked = false;
        for flight in flights {
            match flight.errand {
                Errand::Command { tag } => self.tell(|sink| sink.reply(tag, Err(StoreTrouble::Away))),
                Errand::Parcel { slot, traveller } => self.handle_parcel_lost(slot, *traveller),
                Errand::Topology => is_asked = true,
                _ => {}
            }
        }
        self.handle_doubt(link, is_asked);
        self.tell(Sink::settle);
    }

    /// An attempt to connect came to nothing.
    pub(super) fn handle_failed_attempt(&self, link: &Rc<Link>, failure: &Failure) {
        self.links.borrow_mut().handle_attempt(link);
        self.report(link, failure);
        self.handle_doubt(link, false);
    }

    /// Counts a failure, and tells the operator if it is another one than last time.
    fn report(&self, link: &Rc<Link>, failure: &Failure) {
        self.metrics.note_trouble(failure.trouble, now_unix_ms());
        if failure.trouble == Trouble::Silent {
            self.metrics.silences.increment();
        }
        if self.told.replace(Some(failure.trouble)) != Some(failure.trouble) {
            let (trouble, sentence) = (failure.trouble.label(), &*failure.sentence);
            tracing::warn!(host = %link.host(), trouble, sentence, "redis is away");
        }
    }

    /// A group is heard no more.
    fn lower(&self, group: GroupId, pause: Duration) {
        if let Some(cluster) = &mut *self.cluster.borrow_mut() {
            cluster.handle_lowered(usize::from(group.0), pause);
        }
        self.canaries.borrow_mut()[usize::from(group.0)].forget();
        let was_up = self.topics.borrow_mut().fall(group);
        if was_up {
            self.metrics.groups_up.take(1);
            self.tell(|sink| sink.group_down(group));
        }
    }

    /// Something was published.
    pub(super) fn handle_message(&self, topic: &[u8], payload: &[u8]) {
        self.metrics.messages.increment();
        let Some(place) = self.groups.iter().position(|group| *group.canary_topic == *topic) else {
            return self.tell(|sink| sink.message(topic, payload));
        };
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        let heard = number.and_then(|number| self.canaries.borrow_mut()[place].hear(number, self.now_us()));
        if let Some(round_trip_us) = heard {
            self.note_round_trip(round_trip_us);
        }
    }

    fn note_round_trip(&self, round_trip_us: u64) {
        self.metrics.round_trip.observe(round_trip_us);
        self.metrics.last_round_trip_us.set(round_trip_us);
    }

    /// A command was answered.
    pub(super) fn handle_reply(&self, link: &Rc<Link>, errand: Errand, reply: Reply<'_>) {
        let errand = match errand {
            Errand::Parcel { slot, traveller } => return self.handle_parcel(link, slot, *traveller, reply),
            Errand::Topology => return self.handle_topology(link, reply),
            errand => errand,
        };
        let trouble = match reply {
            Reply::Error(error) => Trouble::of(error),
            _ => None,
        };
        if let Some(trouble) = trouble {
            self.handle_trouble(link, trouble);
        }
        match errand {
            Errand::Command { tag } => {
                let reply = trouble.map_or(Ok(reply), |trouble| Err(trouble.for_store()));
                self.tell(|sink| sink.reply(tag, reply));
            }
            Errand::Canary { group, number } if !matches!(reply, Reply::Error(_)) => {
                self.canaries.borrow_mut()[usize::from(group.0)].answer(number, self.now_us());
            }
            Errand::Ping { sent_us } => self.note_round_trip(self.now_us().saturating_sub(sent_us)),
            Errand::Canary { group, .. } => self.handle_canary_refused(link, group, reply),
            Errand::Parcel { .. } | Errand::Topology | Errand::Unanswered | Errand::Subscription { .. } => {}
        }
    }

    /// The server is in trouble.
    fn handle_trouble(&self, link: &Rc<Link>, trouble: Trouble) {
        self.metrics.note_trouble(trouble, now_unix_ms());
        if trouble.needs_reconnect() {
            link.cut(Failure::new(trouble, "it does not do what a master should"));
        }
    }

    /// A command of subscription was carried out.
    pub(super) fn handle_subscribed(&self, batch: &super::topics::Batch) {
        let confirmed = self.topics.borrow_mut().confirm(batch);
        for topic in confirmed.heard {
            self.tell(|sink| sink.watched(batch.group, &topic));
        }
        if confirmed.is_up {
            self.metrics.groups_up.add(1);
            self.tell(|sink| sink.group_up(batch.group));
        }
    }

    /// A command of subscription was refused: on this connection nothing will be heard as it should.
    pub(super) fn handle_refused_subscription(&self, link: &Rc<Link>, group: GroupId, error: &[u8]) {
        if self.cluster.borrow().is_some() {
            return self.handle_refused_topics(link, group, error);
        }
        let trouble = Trouble::of(error).unwrap_or(Trouble::Foreign);
        link.cut(Failure::new(trouble, String::from_utf8_lossy(&error[..error.len().min(200)]).into_owned()));
    }

    /// The server has ended a subscription, whether it was asked to or not. Nobody asks it to end the canary's: where that
    /// ends, all topics of the group have.
    pub(super) fn handle_unsubscribed(&self, link: &Rc<Link>, topic: &[u8]) {
        let ended = self.groups.iter().position(|group| *group.canary_topic == *topic);
        let Some(place) = ended else { return };
        if self.cluster.borrow().is_some() {
            self.handle_ended_topics(link, place);
        } else {
            link.cut(Failure::new(Trouble::Silent, "it ended a subscription"));
        }
    }

    /// Everything that a read brought was handed on.
    pub(super) fn handle_end_of_read(&self) {
        self.metrics.heard_ms.set(now_unix_ms());
        self.tell(Sink::settle);
    }
}

/// Answers what was refused, and says what is to be heard. Woken by whoever has such errands; ends with the client.
async fn run_errands(hub: Rc<Hub>) {
    while let Either::Left(()) = rt::race(hub.errand_wanted.notified(), hub.closing.wait()).await {
        for (tag, reason) in hub.refusals.take() {
            hub.tell(|sink| sink.reply(tag, Err(reason)));
        }
        for place in 0..hub.groups.len() {
            let group = group_id(place);
            let Some(link) = hub.link_of_group(place) else { continue };
            let changes = hub.topics.borrow_mut().changes(group);
            for batch in changes.batches {
                hub.metrics.subscriptions.increment();
                link.subscribe(hub.now_us(), batch, hub.is_sharded.get());
            }
            for topic in changes.heard {
                hub.tell(|sink| sink.watched(group, &topic));
            }
        }
        hub.metrics.topics.set(hub.topics.borrow().len() as u64);
        hub.tell(Sink::settle);
    }
}

/// Sends the canaries, and looks after what is silent. Woken by its timer; ends with the client.
async fn run_pulse(hub: Rc<Hub>) {
    let interval = Duration::from_millis(CANARY_INTERVAL_MS);
    let mut last_us = hub.now_us();
    while let Either::Left(()) = rt::race(rt::sleep(interval), hub.closing.wait()).await {
        let now_us = hub.now_us();
        let slept_us = now_us.saturating_sub(std::mem::replace(&mut last_us, now_us));
        // Whoever was held up himself hears first what came meanwhile.
        if slept_us > 2_000 * CANARY_INTERVAL_MS {
            hub.links.borrow().iter().for_each(|link| link.excuse(now_us));
            continue;
        }
        for (place, spec) in hub.groups.iter().enumerate() {
            let group = group_id(place);
            let Some(link) = hub.link_of_group(place).filter(|_| hub.topics.borrow().is_up(group)) else {
                continue;
            };
            let canary = &mut hub.canaries.borrow_mut()[place];
            if canary.is_lost(now_us) {
                hub.metrics.canary_misses.increment();
                link.cut(Failure::new(Trouble::Silent, "what is published is not heard"));
                continue;
            }
            let number = canary.fly(now_us);
            let (name, payload) = (hub.publish_command(), number.to_string());
            let parts: [&[u8]; 3] = [name.as_bytes(), &spec.canary_topic, payload.as_bytes()];
            link.send(now_us, Errand::Canary { group, number }, |out| push_command(out, &parts));
        }
        let (mut commands, mut bytes) = (0, 0);
        let links: Vec<Rc<Link>> = hub.links.borrow().iter().cloned().collect();
        for link in links.into_iter().filter(|link| link.is_up()) {
            if link.check(now_us) {
                link.send(now_us, Errand::Ping { sent_us: now_us }, |out| push_command(out, &[b"PING"]));
            }
            let under_way = link.under_way();
            (commands, bytes) = (commands + under_way.0, bytes + under_way.1);
        }
        let (commands, bytes) = hub.parcels().unwrap_or((commands, bytes));
        hub.metrics.in_flight.set(commands as u64);
        hub.metrics.in_flight_bytes.set(bytes as u64);
        hub.try_next_host();
    }
}

/// The group that is specified at this place.
fn group_id(place: usize) -> GroupId {
    GroupId(u16::try_from(place).unwrap_or(u16::MAX))
}

/// The wall clock, for what an operator reads.
fn now_unix_ms() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}
