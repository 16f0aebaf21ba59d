//! What must hold when nothing is on its way any more.

use std::collections::BTreeSet;

use core_shards::Holdings;
use protocol::codes::ErrorCode;

use super::{Checked, Metric, Model, same};
use crate::client::Seat;
use crate::heard::Position;
use crate::node::Node;

impl Model {
    /// Nothing is lost, nobody waits, and the node's counters say what the reference says.
    pub(crate) fn check_quiet(&mut self, node: &Node) -> Checked {
        self.check_nobody_waits()?;
        self.check_nothing_is_lost()?;
        self.check_counters(node)
    }

    /// From here on only members may join, again, until [`end_quiet`](Self::end_quiet).
    pub(crate) fn begin_quiet(&mut self) {
        self.is_quiet = true;
    }

    pub(crate) fn end_quiet(&mut self) {
        self.is_quiet = false;
    }

    /// One member of each channel, to ask whether the home sees what the reference sees.
    pub(crate) fn one_member_each(&self) -> Vec<(Seat, String)> {
        let mut channels = BTreeSet::new();
        let mut members = Vec::new();
        for (seat, session) in &self.sessions {
            members.extend(
                session
                    .memberships
                    .keys()
                    .filter(|channel| channels.insert(*channel))
                    .map(|channel| (*seat, channel.clone())),
            );
        }
        members
    }

    fn check_nobody_waits(&self) -> Checked {
        for (seat, session) in &self.sessions {
            if !session.answers.is_empty() {
                return Err(format!("{seat:?} waits for ever for {:?}", session.answers));
            }
            for (channel, membership) in &session.memberships {
                if membership.place.is_none() || !membership.answers.is_empty() {
                    return Err(format!("{seat:?} waits for ever to join {channel}: {membership:?}"));
                }
            }
        }
        Ok(())
    }

    fn check_nothing_is_lost(&mut self) -> Checked {
        for publication in &mut self.publications.all {
            for (seat, serial) in std::mem::take(&mut publication.witnesses) {
                let membership = self
                    .sessions
                    .get(&seat)
                    .and_then(|session| session.memberships.get(&publication.channel));
                let Some(membership) = membership.filter(|membership| membership.serial == serial) else {
                    continue;
                };
                let Some(place) = &membership.place else { continue };
                let offset = publication.receipt.as_ref().map(|receipt| receipt.offset);
                if !offset.is_some_and(|offset| offset > place.first && offset <= place.last) {
                    return Err(format!("{seat:?} at {place:?} never saw {publication:?}"));
                }
            }
        }
        for (_, channel) in self.one_member_each() {
            let places: BTreeSet<_> = self
                .sessions
                .values()
                .filter_map(|session| session.memberships.get(&channel)?.place.as_ref())
                .map(|place| (&place.epoch, place.last))
                .collect();
            if places.len() != 1 {
                return Err(format!("the members of {channel} stand at {places:?}"));
            }
        }
        Ok(())
    }

    fn check_counters(&self, node: &Node) -> Checked {
        let users: BTreeSet<_> = self.sessions.values().map(|session| &session.user).collect();
        let memberships = self.sessions.values().map(|session| session.memberships.len()).sum::<usize>();
        let expected: [(&str, Metric, usize); 10] = [
            ("sessions", |metrics| &metrics.sessions, self.sessions.len()),
            ("users", |metrics| &metrics.users, users.len()),
            ("channels", |metrics| &metrics.channels, self.one_member_each().len()),
            ("subscriptions", |metrics| &metrics.subscriptions, memberships),
            ("events", |metrics| &metrics.events, self.counts.events as usize),
            ("publications", |metrics| &metrics.publications, self.publications.all.len()),
            ("encodes", |metrics| &metrics.encodes, self.publications.all.len()),
            ("deliveries", |metrics| &metrics.deliveries, self.counts.deliveries as usize),
            ("presence_updates", |metrics| &metrics.presence_updates, self.counts.presences as usize),
            ("duplicates", |metrics| &metrics.duplicates, self.counts.retries as usize),
        ];
        for (name, metric, reference) in expected {
            same(name, node.sum(metric), reference as u64)?;
        }
        for code in ErrorCode::ALL {
            let refusals = node.sum(|metrics| &metrics.refusals[code as usize]);
            same(code.name(), refusals, self.counts.refusals[code as usize])?;
        }
        same("receipts_evicted", node.sum(|metrics| &metrics.receipts_evicted), 0)?;
        let holdings = Holdings {
            sessions: self.sessions.len(),
            users: users.len(),
            rooms: self.room_count(),
            homes: self.one_member_each().len(),
            receipts: self.publications.remembered_count(),
            deadlines: 0,
        };
        let held = node.holdings();
        if held == holdings { Ok(()) } else { Err(format!("the node holds {held:?}, expected {holdings:?}")) }
    }

    /// Channels as every core counts those that its own sessions are in.
    fn room_count(&self) -> usize {
        let rooms = self
            .sessions
            .iter()
            .flat_map(|(seat, session)| session.memberships.keys().map(move |channel| (seat.core, channel)));
        rooms.collect::<BTreeSet<_>>().len()
    }

    pub(super) fn check_position_when_quiet(
        &self,
        channel: &str,
        member_count: u64,
        position: &Position,
    ) -> Checked {
        let places = self.sessions.values().filter_map(|session| session.memberships.get(channel));
        for place in places.filter_map(|membership| membership.place.as_ref()) {
            if (&place.epoch, place.last) != (&position.epoch, position.offset) {
                return Err(format!("{channel} is at {position:?}, a member at {place:?}"));
            }
        }
        same(&format!("members of {channel}"), member_count, self.users_in(channel).len() as u64)
    }

    pub(super) fn check_members_when_quiet(&self, channel: &str, listed: &BTreeSet<&String>) -> Checked {
        let users = self.users_in(channel);
        if users == *listed { Ok(()) } else { Err(format!("{channel} lists {listed:?}, expected {users:?}")) }
    }

    fn users_in(&self, channel: &str) -> BTreeSet<&String> {
        let is_in = |session: &&super::Session| session.memberships.contains_key(channel);
        self.sessions.values().filter(is_in).map(|session| &session.user).collect()
    }
}
