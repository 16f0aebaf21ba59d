//! What a core's store programs against: commands by slot, topics by group.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use protocol::redis::{Slot, begin_command, push_command, push_part};

use super::address::RedisSettings;
use super::hub::Hub;
use super::metrics::StoreMetrics;
use super::script::Script;
use super::sink::{GroupId, GroupSpec, Sink};
use crate::rt::{Gate, Starter};

/// One core's client. Copies of it are the same client.
#[derive(Clone)]
pub struct Client {
    hub: Rc<Hub>,
}

impl Client {
    /// A client that does nothing before it is [started](Self::start).
    ///
    /// Certificates that cannot be read are a trouble like others, see [`RedisSettings::check`].
    pub fn new(
        settings: RedisSettings,
        groups: Vec<GroupSpec>,
        scripts: Vec<&'static Script>,
        metrics: Arc<StoreMetrics>,
    ) -> Self {
        Self { hub: Rc::new(Hub::new(settings, groups, scripts, metrics)) }
    }

    /// Connects, and tells `sink` what comes. To be called once, on a reactor's thread.
    ///
    /// The client does not keep the sink alive; once it is gone, nobody hears anything.
    pub fn start(&self, sink: Weak<dyn Sink>, starter: &Starter) {
        self.hub.start(sink, starter);
    }

    /// Reads no more from Redis while the core has no room for what follows from it. To be called before
    /// [`start`](Self::start); Redis keeps what is not read, up to its own bound of output, and then cuts the connection.
    pub fn heed(&self, gate: Gate) {
        self.hub.heed(gate);
    }

    /// Asks for a command to be carried out where `slot` is, and for its answer under this tag. It is written at the
    /// end of the turn.
    ///
    /// Answered with [`Busy`](core_shards::store::StoreTrouble::Busy) if too much is under way, and with
    /// [`Away`](core_shards::store::StoreTrouble::Away) if there is no connection or it is lost; these come soon, but
    /// not from inside this call.
    pub fn command(&self, slot: Slot, tag: u64, parts: &[&[u8]]) {
        self.hub.send_command(slot, tag, |out| push_command(out, parts));
    }

    /// The same for a script. It must be one of those that the client was made with.
    pub fn evalsha<'a>(
        &self,
        slot: Slot,
        tag: u64,
        script: &'static Script,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        arguments: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        self.hub.send_command(slot, tag, |out| {
            begin_command(out, 3 + keys.len() + arguments.len());
            push_part(out, b"EVALSHA");
            push_part(out, script.digest().as_bytes());
            push_part(out, keys.len().to_string().as_bytes());
            keys.chain(arguments).for_each(|part| push_part(out, part));
        });
    }

    /// Publishes to a topic, whose slot must be given. Nobody is told if that fails.
    pub fn publish(&self, slot: Slot, topic: &[u8], payload: &[u8]) {
        let name = self.publish_command().as_bytes();
        self.hub.send_unanswered(slot, |out| push_command(out, &[name, topic, payload]));
    }

    /// Wants a topic to be heard from now on, whatever happens to connections. [`Sink::watched`] says when it is.
    ///
    /// A topic that is watched already stays as it is; what was watched is not said again.
    ///
    /// # Panics
    /// When there is no such group.
    pub fn watch(&self, group: GroupId, topic: &[u8]) {
        self.hub.change_topics(|topics| topics.watch(group, topic));
    }

    /// Wants a topic to be heard no more.
    ///
    /// # Panics
    /// When there is no such group.
    pub fn unwatch(&self, group: GroupId, topic: &[u8]) {
        self.hub.change_topics(|topics| topics.unwatch(group, topic));
    }

    /// Whether topics belong to slots: in a cluster from Redis 7. It is known as soon as the first group is up.
    pub fn is_sharded(&self) -> bool {
        self.hub.is_sharded()
    }

    /// How scripts have to publish: `SPUBLISH` where topics belong to slots, otherwise `PUBLISH`. It is known as soon as
    /// the first group is up.
    pub fn publish_command(&self) -> &'static str {
        self.hub.publish_command()
    }

    /// The client's counters.
    pub fn metrics(&self) -> &Arc<StoreMetrics> {
        self.hub.metrics()
    }

    /// Ends all connections for good, after everything that waits was written. Commands under way are answered with
    /// [`Away`](core_shards::store::StoreTrouble::Away), but those that come later are not answered any more.
    pub fn close(&self) {
        self.hub.close();
    }
}
