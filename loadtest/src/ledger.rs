//! What one thread has counted; the ledgers of all threads are merged into the report.

use std::collections::BTreeMap;

use crate::latency::Latency;
use crate::tally::Arrival;

/// How many different reasons are kept apart; further ones are counted under [`OTHER`].
const REASONS_MAX: usize = 32;
/// How much of a reason's text is kept.
const REASON_CHARS_MAX: usize = 160;
/// The name for all reasons beyond [`REASONS_MAX`].
const OTHER: &str = "other reasons";

/// Counts and latencies of a run.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// From the moment a connection was due until it was connected and, where asked for, joined.
    pub connect: Latency,
    /// From the moment a message was due until a member had it.
    pub delivery: Latency,
    /// From the moment a seat was due to come back until its resumed session had everything it had missed.
    pub replay: Latency,
    /// From the moment a message was due until its sender had the acknowledgement.
    pub ack: Latency,
    /// From the moment a message was due until it was handed to the kernel: the tester's own delay.
    pub lateness: Latency,
    /// Messages that arrived for the first time at a member who must have every one.
    pub delivered: u64,
    /// Messages that arrived for the first time at somebody who need not have every one.
    pub visited: u64,
    /// Messages that were missing between two that somebody had who need not have every one.
    pub gaps: u64,
    /// Messages that arrived after a later one.
    pub reordered: u64,
    /// Messages that arrived again.
    pub doubled: u64,
    /// Messages of a room that the receiver is not in.
    pub misrouted: u64,
    /// Messages that the schedule wanted sent while their sender was gone or stuck.
    pub unsent: u64,
    /// Sessions that the server resumed.
    pub resumed: u64,
    /// Sessions that were to be resumed and that the server began anew.
    pub unresumed: u64,
    /// Events that said who is there.
    pub presence: u64,
    /// Heartbeats answered.
    pub pings: u64,
    /// Bytes read from all sockets.
    pub bytes_read: u64,
    /// Connections that never became ready, by reason.
    pub failures: Reasons,
    /// Connections of members who must have every message that were ready and then lost, by reason.
    pub drops: Reasons,
    /// The same of those who need not have every message.
    pub visitor_drops: Reasons,
    /// Requests that the server refused, by its own words.
    pub refusals: Reasons,
}

impl Ledger {
    /// Enters that a message arrived, at somebody who is `visiting` or must have every one.
    pub const fn enter_arrival(&mut self, arrival: Arrival, visiting: bool) {
        match arrival {
            Arrival::Doubled => return self.doubled += 1,
            Arrival::Reordered => self.reordered += 1,
            Arrival::Newer => {}
        }
        if visiting { self.visited += 1 } else { self.delivered += 1 }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.connect.merge(&other.connect);
        self.delivery.merge(&other.delivery);
        self.replay.merge(&other.replay);
        self.ack.merge(&other.ack);
        self.lateness.merge(&other.lateness);
        self.delivered += other.delivered;
        self.visited += other.visited;
        self.gaps += other.gaps;
        self.reordered += other.reordered;
        self.doubled += other.doubled;
        self.misrouted += other.misrouted;
        self.unsent += other.unsent;
        self.resumed += other.resumed;
        self.unresumed += other.unresumed;
        self.presence += other.presence;
        self.pings += other.pings;
        self.bytes_read += other.bytes_read;
        self.failures.merge(&other.failures);
        self.drops.merge(&other.drops);
        self.visitor_drops.merge(&other.visitor_drops);
        self.refusals.merge(&other.refusals);
    }
}

/// How often something happened, by its reason in words; bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(BTreeMap<String, u64>);

impl Reasons {
    /// Counts one more of `reason`.
    pub fn count(&mut self, reason: &str) {
        self.add(reason, 1);
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The reasons with how often each happened, by name.
    pub const fn by_name(&self) -> &BTreeMap<String, u64> {
        &self.0
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(reason, &count)| self.add(reason, count));
    }

    fn add(&mut self, reason: &str, count: u64) {
        if let Some(known) = self.0.get_mut(reason) {
            *known += count;
            return;
        }
        let kept: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let name =
            if self.0.len() < REASONS_MAX || self.0.contains_key(&kept) { kept } else { OTHER.to_owned() };
        *self.0.entry(name).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arrival_is_counted_once_at_members_and_visitors() {
        let mut ledger = Ledger::default();
        for (arrival, visiting) in [
            (Arrival::Newer, false),
            (Arrival::Reordered, false),
            (Arrival::Doubled, false),
            (Arrival::Newer, true),
            (Arrival::Reordered, true),
            (Arrival::Doubled, true),
        ] {
            ledger.enter_arrival(arrival, visiting);
        }
        assert_eq!((ledger.delivered, ledger.visited, ledger.reordered, ledger.doubled), (2, 2, 2, 2));
    }

    #[test]
    fn reasons_are_bounded_in_number_and_length_and_none_is_lost() {
        let mut reasons = Reasons::default();
        (0..1000).for_each(|n| reasons.count(&format!("{n}{}", "x".repeat(500))));
        assert_eq!(reasons.total(), 1000);
        assert!(reasons.by_name().len() <= REASONS_MAX + 1);
        assert!(reasons.by_name().keys().all(|name| name.chars().count() <= REASON_CHARS_MAX));
    }
}
