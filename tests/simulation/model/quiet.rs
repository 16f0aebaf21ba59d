//! What must hold when nothing is on its way any more.

use std::collections::BTreeSet;

use core_shards::Holdings;
use protocol::codes::ErrorCode;

use super::{Checked, Metric, Model, Session, same};
use crate::client::Seat;
use crate::heard::Position;
use crate::node::Node;

impl Model {
    /// Nothing is lost, nobody waits, everybody knows how the others are, and the node's counters say what the
    /// reference says.
    pub(crate) fn check_quiet(&mut self, node: &Node) -> Checked {
        self.check_questions()?;
        self.check_nobody_waits()?;
        self.check_nothing_is_lost()?;
        self.check_presence()?;
        self.check_typing_was_told()?;
        same("revocations heard", self.counts.revocations_heard, self.counts.revocations_due)?;
        self.check_counters(node)
    }

    /// Everybody has been gone for longer than anything is kept: nothing is left.
    pub(crate) fn check_emptiness(&self, node: &Node) -> Checked {
        for (core, held) in node.holdings().into_iter().enumerate() {
            if held != Holdings::default() {
                return Err(format!("nobody is left, and core {core} holds {held:?}"));
            }
        }
        Ok(())
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
            let first = session.memberships.keys().filter(|channel| channels.insert(*channel));
            members.extend(first.map(|channel| (*seat, channel.clone())));
        }
        members
    }

    fn check_nobody_waits(&self) -> Checked {
        for (seat, session) in &self.sessions {
            if !session.answers.is_empty() || !session.surveys.is_empty() || !session.asking.is_empty() {
                return Err(format!(
                    "{seat:?} waits for ever for {:?}",
                    (&session.answers, &session.surveys)
                ));
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
        let lost: BTreeSet<u64> = self
            .detached
            .iter()
            .flat_map(|lost| lost.session.memberships.values())
            .map(|known| known.serial)
            .collect();
        for publication in &mut self.publications.all {
            for serial in std::mem::take(&mut publication.witnesses) {
                if lost.contains(&serial) {
                    // Whether it gets everything shows when it comes back.
                    publication.witnesses.push(serial);
                    continue;
                }
                let memberships = self
                    .sessions
                    .values()
                    .filter_map(|session| session.memberships.get(&publication.channel));
                let Some(membership) = memberships.into_iter().find(|known| known.serial == serial) else {
                    continue;
                };
                let Some(place) = membership.place.as_ref().filter(|place| !place.is_open) else { continue };
                let is_seen = match publication.stamp.as_ref().map(|stamp| stamp.offset) {
                    Some(Some(offset)) => offset > place.first && offset <= place.last,
                    Some(None) => membership.reads.contains(&publication.content),
                    None => false,
                };
                if !is_seen {
                    return Err(format!("membership {serial} at {place:?} never saw {publication:?}"));
                }
            }
        }
        for (_, channel) in self.one_member_each() {
            let members = self.sessions.values().filter_map(|session| session.memberships.get(&channel));
            let places = members.filter_map(|membership| membership.place.as_ref());
            let known = places.filter(|place| !place.is_open);
            let places: BTreeSet<_> = known.map(|place| (&place.epoch, place.last)).collect();
            if places.len() > 1 {
                return Err(format!("the members of {channel} stand at {places:?}"));
            }
        }
        Ok(())
    }

    fn check_counters(&self, node: &Node) -> Checked {
        let lost = self.detached.iter().map(|lost| &lost.session);
        let memberships =
            self.sessions.values().chain(lost).map(|session| session.memberships.len()).sum::<usize>();
        let counts = &self.counts;
        let expected: [(&str, Metric, u64); 10] = [
            ("sessions", |metrics| &metrics.sessions, self.sessions.len() as u64),
            ("subscriptions", |metrics| &metrics.subscriptions, memberships as u64),
            ("events", |metrics| &metrics.events, counts.events),
            ("publications", |metrics| &metrics.publications, self.publications.all.len() as u64),
            ("deliveries", |metrics| &metrics.deliveries, counts.deliveries),
            ("duplicates", |metrics| &metrics.duplicates, counts.retries),
            ("resumes", |metrics| &metrics.resumes, counts.resumes),
            ("resumes_tried", |metrics| &metrics.resumes_tried, counts.resumes_tried),
            ("missed_messages", |metrics| &metrics.missed_messages, counts.missed),
            ("evictions", |metrics| &metrics.evictions, counts.evicted),
        ];
        for (name, metric, reference) in expected {
            same(name, node.sum(metric), reference)?;
        }
        for code in ErrorCode::ALL {
            let refusals = node.sum(|metrics| &metrics.refusals[code as usize]);
            same(code.name(), refusals, counts.refusals[code as usize])?;
        }
        let limited = (0..5).map(|class| node.sum(|metrics| &metrics.rate_limited[class])).sum();
        same("events over a limit", limited, counts.limited)?;
        same("receipts_evicted", node.sum(|metrics| &metrics.receipts_evicted), 0)?;
        let held = node.holdings();
        let sum = |count: fn(&Holdings) -> usize| held.iter().map(count).sum::<usize>() as u64;
        same("sessions held", sum(|held| held.sessions), self.sessions.len() as u64)?;
        same("rooms held", sum(|held| held.rooms), self.room_count() as u64)?;
        same("receipts held", sum(|held| held.receipts), self.publications.remembered_count() as u64)
    }

    fn everybody(&self) -> impl Iterator<Item = (usize, &Session)> {
        let live = self.sessions.iter().map(|(seat, session)| (seat.core, session));
        live.chain(self.detached.iter().map(|lost| (lost.core, &lost.session)))
    }

    /// Channels as every core counts those that its own sessions are in.
    fn room_count(&self) -> usize {
        let rooms = self
            .everybody()
            .flat_map(|(core, session)| session.memberships.keys().map(move |channel| (core, channel)));
        rooms.collect::<BTreeSet<_>>().len()
    }

    pub(super) fn check_position_when_quiet(
        &self,
        channel: &str,
        member_count: u64,
        position: &Position,
    ) -> Checked {
        let places = self.sessions.values().filter_map(|session| session.memberships.get(channel));
        for place in places.filter_map(|membership| membership.place.as_ref()).filter(|place| !place.is_open)
        {
            if (&*place.epoch, place.last) != (&*position.epoch, position.offset) {
                return Err(format!("{channel} is at {position:?}, a member at {place:?}"));
            }
        }
        let visible = self.users_in(channel).into_iter().filter(|user| !self.is_hidden(user)).count();
        same(&format!("members of {channel}"), member_count, visible as u64)
    }

    /// Who hides is listed for nobody else.
    pub(super) fn check_members_when_quiet(
        &self,
        channel: &str,
        asker: &str,
        listed: &BTreeSet<&String>,
    ) -> Checked {
        let mut users = self.users_in(channel);
        users.retain(|user| *user == asker || !self.is_hidden(user));
        if users == *listed { Ok(()) } else { Err(format!("{channel} lists {listed:?}, expected {users:?}")) }
    }

    fn users_in(&self, channel: &str) -> BTreeSet<&String> {
        let is_in = |(_, session): &(usize, &Session)| session.memberships.contains_key(channel);
        self.everybody().filter(is_in).map(|(_, session)| &session.user).collect()
    }

    pub(super) fn is_user_in(&self, user: &str, channel: &str) -> bool {
        self.everybody().any(|(_, session)| session.user == user && session.memberships.contains_key(channel))
    }
}
