//! Memberships: who may join, what a join is told, and that a member gets every message from then on, once and in
//! order, until it leaves.

use std::collections::{BTreeSet, VecDeque};

use protocol::codes::ErrorCode;
use serde_json::Value;

use super::answers::{Answer, Body, Expected};
use super::{Checked, Model};
use crate::client::Seat;
use crate::heard::{self, Heard, Message, Position};

/// A session in a channel, or on its way in.
#[derive(Debug)]
pub(super) struct Membership {
    /// Tells this membership from earlier ones of the same session.
    pub(super) serial: u64,
    /// Joins without an answer, oldest first, with the acknowledgement that each wants.
    pub(super) answers: VecDeque<Option<u64>>,
    /// Where the member stands, once the first answer came.
    pub(super) place: Option<Place>,
}

/// How far a member has read.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) epoch: String,
    /// The offset that the membership began with: what follows is the member's.
    pub(super) first: u64,
    pub(super) last: u64,
}

/// How much of a join's answer was heard; the parts come without anything in between.
#[derive(Debug)]
pub(super) enum Stage {
    Idle,
    Members { channel: String, member_count: u64, ack: Option<u64> },
    Ack { id: u64, channel: String, member_count: u64 },
}

impl Model {
    pub(super) fn join(&mut self, seat: Seat, channel: &str, ack: Option<u64>) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        if !may_join(&session.user, channel) {
            return self.refuse(ErrorCode::RoomAccessDenied, "channel:join", Some(channel), ack);
        }
        if let Some(membership) = session.memberships.get_mut(channel) {
            return membership.answers.push_back(ack);
        }
        if session.memberships.len() >= self.limits.channels_per_session_max {
            return self.refuse(ErrorCode::MaxRoomsExceeded, "channel:join", Some(channel), ack);
        }
        self.memberships_made += 1;
        let membership =
            Membership { serial: self.memberships_made, answers: VecDeque::from([ack]), place: None };
        session.memberships.insert(channel.to_owned(), membership);
    }

    pub(super) fn leave(&mut self, seat: Seat, channel: &str, ack: Option<u64>) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        if let Some(membership) = session.memberships.remove(channel) {
            let void = membership.answers.into_iter().flatten().map(|ack| (ack, Answer::VoidJoin));
            session.answers.extend(void);
        }
        self.expected.push_back(Expected::Left(channel.to_owned()));
        self.expected.extend(ack.map(|ack| Expected::Ack(ack, Body::Left(channel.to_owned()))));
    }

    /// Who must see a message that `sender` publishes at this moment, if they stay.
    pub(super) fn witnesses(&self, sender: Seat, channel: &str) -> Vec<(Seat, u64)> {
        let is_in = |(seat, session): (&Seat, &super::Session)| {
            let membership = session.memberships.get(channel)?;
            (membership.place.is_some() || *seat == sender).then_some((*seat, membership.serial))
        };
        self.sessions.iter().filter_map(is_in).collect()
    }

    pub(super) fn hear_joined(
        &mut self,
        seat: Seat,
        channel: &str,
        user: &str,
        member_count: u64,
        position: &Position,
    ) -> Checked {
        if self.is_quiet {
            self.check_position_when_quiet(channel, member_count, position)?;
        }
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let membership = session.memberships.get_mut(channel);
        let Some((membership, ack)) =
            membership.and_then(|membership| membership.answers.pop_front().map(|ack| (membership, ack)))
        else {
            return Err(format!("{seat:?} is told that it joined {channel}, which it did not ask for"));
        };
        if user != session.user {
            return Err(format!("{} is told that {user} joined", session.user));
        }
        let place = membership.place.get_or_insert_with(|| Place {
            epoch: position.epoch.clone(),
            first: position.offset,
            last: position.offset,
        });
        if (&place.epoch, place.last) != (&position.epoch, position.offset) {
            return Err(format!("{seat:?} stands at {place:?} in {channel} and is told {position:?}"));
        }
        session.stage = Stage::Members { channel: channel.to_owned(), member_count, ack };
        Ok(())
    }

    /// `channel:members` and the acknowledgement, right after `channel:joined`.
    pub(super) fn hear_rest_of_join(&mut self, seat: Seat, heard: &Heard) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let stage = std::mem::replace(&mut session.stage, Stage::Idle);
        match (stage, heard) {
            (
                Stage::Members { channel, member_count, ack },
                Heard::Members { channel: named, users, total },
            ) => {
                let distinct: BTreeSet<&String> = users.iter().collect();
                let is_whole = distinct.len() == users.len() && users.len() as u64 == member_count;
                if *named != channel
                    || *total != member_count
                    || !is_whole
                    || !distinct.contains(&session.user)
                {
                    return Err(format!("{member_count} joined {channel}, and the members are {heard:?}"));
                }
                if let Some(id) = ack {
                    session.stage = Stage::Ack { id, channel: channel.clone(), member_count };
                }
                if self.is_quiet { self.check_members_when_quiet(&channel, &distinct) } else { Ok(()) }
            }
            (Stage::Ack { id, channel, member_count }, Heard::Ack { id: named, body }) if *named == id => {
                let position = self.sessions[&seat].memberships[&channel].place.as_ref();
                check_joined_ack(body, &channel, member_count, position)
            }
            (stage, heard) => Err(format!("{heard:?} in the middle of {stage:?}")),
        }
    }

    pub(super) fn hear_message(&mut self, seat: Seat, message: &Message) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let membership = session.memberships.get_mut(&message.channel);
        let Some(place) = membership.and_then(|membership| membership.place.as_mut()) else {
            return Err(format!("{seat:?} is not in {} and hears {message:?}", message.channel));
        };
        if message.receipt.offset != place.last + 1 {
            return Err(format!("{seat:?} stands at {place:?} and hears {message:?}"));
        }
        place.last += 1;
        let epoch = place.epoch.clone();
        self.publications.delivered(message, &epoch)
    }
}

/// User rooms are open to their owner, direct conversations to both sides, the rest to everybody.
fn may_join(user: &str, channel: &str) -> bool {
    match channel.split(':').collect::<Vec<_>>()[..] {
        ["user", owner] => owner == user,
        ["dm", one, other] => one == user || other == user,
        _ => true,
    }
}

fn check_joined_ack(body: &Value, channel: &str, member_count: u64, place: Option<&Place>) -> Checked {
    let data = &body["data"];
    let position = heard::position(data);
    let is_right = body["success"] == true
        && body["channelId"] == *channel
        && data["channelId"] == *channel
        && data["memberCount"] == member_count
        && position.zip(place).is_some_and(|(position, place)| {
            (&position.epoch, position.offset) == (&place.epoch, place.last)
        });
    if is_right { Ok(()) } else { Err(format!("joined {channel} at {place:?}, acknowledged with {body}")) }
}
