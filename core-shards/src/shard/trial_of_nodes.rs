//! For unit tests: nodes of one core each that share a store, which is a model with faults at will.

#[path = "../../../tests/joined/store.rs"]
#[expect(dead_code, reason = "whole nodes are tried with more of it")]
mod store;

use protocol::chat::event::Kind;

use super::trial::{self, Trial, quiet};
use crate::ids::{CoreId, SessionId};
use crate::limits::Limits;
use crate::mail::{Caller, Deed};
use crate::placement::Placement;
use store::Store;

/// Partitions of the store.
const PARTITIONS: u16 = 2;

/// Nodes that share a store. Node `n` has line `n`.
pub(super) struct Nodes {
    pub(super) nodes: Vec<Trial>,
    pub(super) store: Store,
}

impl Nodes {
    /// Nodes that are connected to their store.
    pub(super) fn new(count: u64) -> Self {
        let mut nodes = Self::away(count, &quiet());
        nodes.connect_all();
        nodes
    }

    /// Nodes whose store they have not reached.
    pub(super) fn away(count: u64, limits: &Limits) -> Self {
        let placement = |number| Placement::new(1, (number, 2)).joined(PARTITIONS);
        let mut store = Store::new(placement(0), 9);
        let nodes: Vec<Trial> =
            (0..count).map(|number| Trial::placed(placement(number + 1), limits.clone())).collect();
        for node in &nodes {
            store.add_line(node.shard.run, CoreId(0));
        }
        Self { nodes, store }
    }

    /// Connects every node, and lets everything happen that follows.
    pub(super) fn connect_all(&mut self) {
        for line in 0..self.nodes.len() {
            self.store.connect(line);
        }
        self.settle();
    }

    /// Gives the store what nodes want of it.
    pub(super) fn ask(&mut self) {
        for (line, node) in self.nodes.iter_mut().enumerate() {
            for request in node.shard.take_store_requests() {
                self.store.ask(line, request);
            }
        }
    }

    /// Lets the store and its lines do everything that there is to do.
    pub(super) fn settle(&mut self) {
        self.ask();
        while let Some(line) = (0..self.nodes.len()).find(|line| self.store.is_busy(*line)) {
            self.store.carry_out(line);
            while let Some(event) = self.store.next_event(line) {
                self.nodes[line].hear_store(event);
            }
            self.ask();
        }
    }

    /// One thing happens on a line: something is done that was asked for, or something comes that was told.
    pub(super) fn step(&mut self, line: usize) {
        self.ask();
        match self.store.next_event(line) {
            Some(event) => drop(self.nodes[line].hear_store(event)),
            None => drop(self.store.carry_out(line)),
        }
    }

    /// Everything comes that a line was told.
    pub(super) fn hear(&mut self, line: usize) {
        while let Some(event) = self.store.next_event(line) {
            self.nodes[line].hear_store(event);
        }
    }

    /// A back end publishes a message.
    pub(super) fn post(&mut self, node: usize, channel: &str, content: &str) {
        self.call(node, channel, content);
        self.settle();
    }

    /// A back end publishes a message, and nothing follows yet.
    pub(super) fn call(&mut self, node: usize, channel: &str, content: &str) {
        let body = format!(r#""content":"{content}""#).into_bytes();
        let deed = Deed::Publish { kind: Kind::Message, body, client_message_id: None };
        self.nodes[node].call(Caller::Server, "9", channel, deed);
    }

    /// A line breaks after the store has done so many of the requests on their way.
    pub(super) fn cut(&mut self, line: usize, done: usize) {
        self.ask();
        self.store.cut(line, done);
        self.settle();
    }

    /// Connects a user to a node.
    pub(super) fn enter(&mut self, node: usize, slot: u32, user: &str) -> SessionId {
        let session = self.nodes[node].connect(slot, user, None);
        self.settle();
        session
    }

    /// Joins a channel, and forgets what the session was told of it.
    pub(super) fn join(&mut self, node: usize, session: SessionId, channel: &str) {
        let text = format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#);
        self.nodes[node].event(session, &text, None);
        self.settle();
        self.nodes[node].inbox(session);
    }

    /// Sends a message, and lets everything happen that follows.
    pub(super) fn say(&mut self, node: usize, session: SessionId, channel: &str, content: &str) {
        self.nodes[node].say(session, channel, content);
        self.settle();
    }

    /// An event with an acknowledgement; returns that once it is there.
    pub(super) fn ask_for(&mut self, node: usize, session: SessionId, text: &str) -> Vec<String> {
        self.nodes[node].inbox(session);
        self.nodes[node].event(session, text, Some(1));
        self.settle();
        let heard = self.nodes[node].inbox(session);
        heard.into_iter().filter(|packet| packet.starts_with("431[")).collect()
    }

    /// The contents of the messages, and `sync:required` of channels with its reason, that a session was sent since the last call.
    pub(super) fn heard(&mut self, node: usize, session: SessionId) -> Vec<String> {
        let heard = self.nodes[node].inbox(session);
        let told = heard.iter().filter_map(|packet| {
            if packet.starts_with(r#"42["message","#) {
                Some(trial::text(packet, "content").to_owned())
            } else {
                let is_of_channel = packet.starts_with(r#"42["sync:required","#)
                    && !trial::text(packet, "channelId").starts_with("user:");
                is_of_channel.then(|| format!("!{}", trial::text(packet, "reason")))
            }
        });
        told.collect()
    }

    /// Lets time pass on every node and in the store.
    pub(super) fn pass(&mut self, time_ms: u64) {
        self.store.now_ms += time_ms;
        for node in &mut self.nodes {
            node.pass(time_ms);
        }
        self.settle();
    }
}
