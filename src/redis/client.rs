//! What a core's store programs against: commands by slot, topics by group.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use protocol::redis::Slot;

use super::address::RedisSettings;
use super::metrics::StoreMetrics;
use super::script::Script;
use super::sink::{GroupId, GroupSpec, Sink};
use crate::rt::Starter;

/// One core's client. Copies of it are the same client.
#[derive(Clone)]
pub struct Client {
    hub: Rc<Hub>,
}

/// What the client's tasks share.
struct Hub {
    settings: RedisSettings,
    scripts: Vec<&'static Script>,
    metrics: Arc<StoreMetrics>,
    groups: Vec<GroupSpec>,
    desired: RefCell<Vec<HashMap<Box<[u8]>, bool>>>,
    sink: OnceCell<Weak<dyn Sink>>,
    is_sharded: Cell<bool>,
}

impl Client {
    /// A client that does nothing before it is [started](Self::start).
    pub fn new(
        settings: RedisSettings,
        groups: Vec<GroupSpec>,
        scripts: Vec<&'static Script>,
        metrics: Arc<StoreMetrics>,
    ) -> Self {
        metrics.groups.set(groups.len() as u64);
        let desired = RefCell::new(groups.iter().map(|_| HashMap::new()).collect());
        let (sink, is_sharded) = (OnceCell::new(), Cell::new(false));
        Self { hub: Rc::new(Hub { settings, scripts, metrics, groups, desired, sink, is_sharded }) }
    }

    /// Connects, and tells `sink` what comes. To be called once, on a reactor's thread.
    ///
    /// The client does not keep the sink alive; once it is gone, nobody hears anything.
    pub fn start(&self, sink: Weak<dyn Sink>, starter: Starter) {
        let _ = (self.hub.sink.set(sink), starter);
    }

    /// Asks for a command to be carried out where `slot` is, and for its answer under this tag. It is written at the
    /// end of the turn.
    ///
    /// Answered with [`Busy`](core_shards::store::StoreTrouble::Busy) if too much is under way, and with
    /// [`Away`](core_shards::store::StoreTrouble::Away) if there is no connection or it is lost; these come soon, but
    /// not from inside this call.
    pub fn command(&self, slot: Slot, tag: u64, parts: &[&[u8]]) {
        let _ = (slot, tag, parts);
    }

    /// The same for a script. It must be one of those that the client was made with.
    pub fn evalsha(
        &self,
        slot: Slot,
        tag: u64,
        script: &'static Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) {
        let _ = (slot, tag, script, keys, arguments);
    }

    /// Publishes to a topic, whose slot must be given. Nobody is told if that fails.
    pub fn publish(&self, slot: Slot, topic: &[u8], payload: &[u8]) {
        let _ = (slot, topic, payload);
    }

    /// Wants a topic to be heard from now on, whatever happens to connections. [`Sink::watched`] says when it is.
    ///
    /// A topic that is watched already stays as it is; what was watched is not said again.
    pub fn watch(&self, group: GroupId, topic: &[u8]) {
        let _ = (group, topic);
    }

    /// Wants a topic to be heard no more.
    pub fn unwatch(&self, group: GroupId, topic: &[u8]) {
        let _ = (group, topic);
    }

    /// Whether publishes inside of scripts have to be `SPUBLISH`: true in a cluster from Redis 7. It is known as soon as
    /// the first group is up.
    pub fn is_sharded(&self) -> bool {
        self.hub.is_sharded.get()
    }

    /// The client's counters.
    pub fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.hub.metrics
    }

    /// Ends all connections for good, after everything that waits was written. Commands under way are not answered.
    pub fn close(&self) {}
}
