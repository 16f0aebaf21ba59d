//! Memberships: what a join is told, and that a member gets every publication from then on, once and in order, until it
//! leaves.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use protocol::chat::dialect::Dialect;
use protocol::codes::ErrorCode;
use serde_json::Value;

use super::answers::{Answer, Body, Expected, Refusal};
use super::past::Past;
use super::rates::Class;
use super::rights::Access;
use super::{Checked, Model, same};
use crate::client::{Manner, Place, Seat, Since};
use crate::heard::{self, Heard, Joined, Position};

/// A join as a session asked for it.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) manner: Manner,
    pub(super) since: Option<Since>,
    pub(super) ack: Option<u64>,
}

/// A session in a channel, or on its way in.
#[derive(Debug)]
pub(super) struct Membership {
    /// Tells this membership from all others.
    pub(super) serial: u64,
    /// Joins without an answer, oldest first, with what each must be told of the past.
    pub(super) answers: VecDeque<(Wish, Past)>,
    /// Where the member stands, once the first answer came.
    pub(super) place: Option<Place>,
    /// Where it stood when it began.
    pub(super) begin: Option<Place>,
    /// Publications from the time before that are still to follow the answer.
    pub(super) missed_count: u64,
    /// The read receipts that came, each by its content.
    pub(super) reads: Vec<String>,
    /// Which spellings of the name are in use: the bare one, the longer one.
    pub(super) spellings: [bool; 2],
    /// The session said that its user types here.
    pub(super) types: bool,
}

impl Membership {
    /// The name in the spelling in which events are written.
    pub(super) fn spelled(&self, channel: &str) -> String {
        spelled(channel, !self.spellings[0])
    }
}

/// How much of a join's answer was heard; the parts come without anything in between.
#[derive(Debug)]
pub(super) enum Stage {
    Idle,
    Members { channel: String, member_count: u64, wish: Wish, past: Past },
    Ack { id: u64, channel: String, member_count: u64, wish: Wish, past: Past },
}

impl Model {
    pub(super) fn join(
        &mut self,
        seat: Seat,
        channel: &str,
        manner: Manner,
        since: Option<Since>,
        ack: Option<u64>,
    ) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        settle_dialect(&mut session.dialect, manner);
        let (user, is_known) = (session.user.clone(), session.memberships.contains_key(channel));
        let wish = Wish { manner, since, ack };
        if let Err(refusal) = self.spend(&user, Class::Membership) {
            return self.refuse_join_unread(seat, &wish, refusal);
        }
        if is_known {
            return self.become_waiting(seat, channel, wish);
        }
        match self.permit_join(seat, channel, &wish) {
            Access::Allowed => self.become_waiting(seat, channel, wish),
            Access::Asked => {}
            Access::Refused(code) => self.refuse_join(seat, channel, &wish, code.into()),
        }
    }

    pub(super) fn refuse_join(&mut self, seat: Seat, channel: &str, wish: &Wish, refusal: Refusal) {
        let event = if wish.manner.by_room_name { "room:join" } else { "channel:join" };
        if wish.manner.by_room_name {
            let room = spelled(channel, wish.manner.is_prefixed);
            self.expect(seat, Expected::Denied { room, code: refusal.code });
        }
        self.expect_refusal(seat, refusal, event, Some(channel), wish.ack);
    }

    /// A join that was refused before anybody looked at the channel.
    fn refuse_join_unread(&mut self, seat: Seat, wish: &Wish, refusal: Refusal) {
        let event = if wish.manner.by_room_name { "room:join" } else { "channel:join" };
        self.expect_refusal(seat, refusal, event, None, wish.ack);
    }

    /// A session that may join waits for the channel's home; a member waits for the same answer again.
    pub(super) fn become_waiting(&mut self, seat: Seat, channel: &str, wish: Wish) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        let is_known = session.memberships.contains_key(channel);
        if !is_known && session.memberships.len() >= self.limits.channels_per_session_max {
            return self.refuse_join(seat, channel, &wish, ErrorCode::MaxRoomsExceeded.into());
        }
        let user = session.user.clone();
        self.joined_lately.insert(user.clone());
        let past = match &wish.since {
            Some(since) => Past::Asked(since.clone()),
            None if is_known => Past::None,
            None => self.past_of(seat, &user, channel),
        };
        self.memberships_made += u64::from(!is_known);
        let serial = self.memberships_made;
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        let membership = session.memberships.entry(channel.to_owned()).or_insert_with(|| Membership {
            serial,
            answers: VecDeque::new(),
            place: None,
            begin: None,
            missed_count: 0,
            reads: Vec::new(),
            spellings: [false; 2],
            types: false,
        });
        membership.spellings[usize::from(wish.manner.is_prefixed)] = true;
        membership.answers.push_back((wish, past));
    }

    pub(super) fn leave(&mut self, seat: Seat, channel: &str, manner: Manner, ack: Option<u64>) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        settle_dialect(&mut session.dialect, manner);
        let user = session.user.clone();
        if let Err(refusal) = self.spend(&user, Class::Membership) {
            let event = if manner.by_room_name { "room:leave" } else { "channel:leave" };
            return self.expect_refusal(seat, refusal, event, None, ack);
        }
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        // Nobody becomes a member by a permission that comes after the leave.
        session.asking.retain(|_, asked| asked != channel);
        let tells_apart = session.is_legacy();
        let is_over = session.memberships.get_mut(channel).is_some_and(|membership| {
            membership.spellings[usize::from(manner.is_prefixed)] = false;
            !tells_apart || membership.spellings == [false; 2]
        });
        if is_over {
            self.end_membership(seat, channel);
        }
        let room = spelled(channel, manner.is_prefixed);
        let (left, room) = match manner.by_room_name {
            true => (Expected::Left { name: room.clone(), user: None }, Some(room)),
            false => (Expected::Left { name: channel.to_owned(), user: Some(user) }, None),
        };
        self.expect(seat, left);
        self.expect_ack(seat, ack, Body::Left { channel: channel.to_owned(), room });
    }

    /// Takes a session out of a channel. Joins that were under way come to nothing.
    pub(super) fn end_membership(&mut self, seat: Seat, channel: &str) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        if let Some(membership) = session.memberships.remove(channel) {
            let acks = membership.answers.into_iter().filter_map(|(wish, _)| wish.ack);
            session.answers.extend(acks.map(|ack| (ack, Answer::VoidJoin)));
            session.typists.retain(|(typed_in, ..)| typed_in != channel);
            self.is_anybody_gone = true;
        }
    }

    /// Who must get what `sender` publishes at this moment, if they stay: memberships, by serial.
    pub(super) fn witnesses(&self, sender: Seat, channel: &str) -> Vec<u64> {
        let is_in = |(seat, session): (&Seat, &super::Session)| {
            let membership = session.memberships.get(channel)?;
            (membership.place.is_some() || *seat == sender).then_some(membership.serial)
        };
        let lost = self.detached.iter().filter_map(|lost| lost.session.memberships.get(channel));
        let lost = lost.map(|membership| membership.serial);
        self.sessions.iter().filter_map(is_in).chain(lost).collect()
    }

    pub(super) fn hear_joined(&mut self, seat: Seat, joined: &Joined) -> Checked {
        same("time of a join", joined.timestamp, self.now.unix_ms)?;
        let channel = canonical(&joined.name).to_owned();
        if self.is_quiet {
            self.check_position_when_quiet(&channel, joined.member_count, &joined.position)?;
        }
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let membership = session.memberships.get_mut(&channel);
        let Some((membership, (wish, past))) =
            membership.and_then(|membership| membership.answers.pop_front().map(|wish| (membership, wish)))
        else {
            return Err(format!("{seat:?} is told that it joined {channel}, which it did not ask for"));
        };
        let (name, user) = match wish.manner.by_room_name {
            true => (spelled(&channel, wish.manner.is_prefixed), None),
            false => (channel.clone(), Some(session.user.clone())),
        };
        if (&name, &user) != (&joined.name, &joined.user) {
            return Err(format!("{} joined {channel} as {wish:?} and is told {joined:?}", session.user));
        }
        let Position { epoch, offset } = &joined.position;
        let count = joined.past.missed.map_or(0, |(count, _)| count);
        if let Some(place) = &membership.place {
            if (&*place.epoch, place.last) != (&**epoch, *offset) && !place.is_open || count > 0 {
                return Err(format!("{seat:?} stands at {place:?} in {channel} and is told {joined:?}"));
            }
        } else {
            let start =
                offset.checked_sub(count).ok_or(format!("more is missed than there was: {joined:?}"))?;
            let place = Place::new(Rc::from(&**epoch), start);
            (membership.begin, membership.missed_count) = (Some(place.clone()), count);
            self.absences.remove(&(session.user.clone(), channel.clone()));
            self.slip.place = Some((membership.serial, Rc::from(&*channel), place.clone()));
            membership.place = Some(place);
            self.counts.missed += count;
        }
        let member_count = joined.member_count;
        let told_in_event = wish.ack.is_none();
        let stage = match (wish.manner.by_room_name, wish.ack) {
            (false, _) => Stage::Members { channel, member_count, wish, past: past.clone() },
            (true, Some(id)) => Stage::Ack { id, channel, member_count, wish, past: past.clone() },
            (true, None) => {
                session.has_blanks = true;
                Stage::Idle
            }
        };
        session.stage = stage;
        let channel = canonical(&joined.name);
        self.check_past(&past, &joined.past, channel, &joined.position, told_in_event)
    }

    /// `channel:members` and the acknowledgement, right after the first event.
    pub(super) fn hear_rest_of_join(&mut self, seat: Seat, heard: &Heard) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let stage = std::mem::replace(&mut session.stage, Stage::Idle);
        match (stage, heard) {
            (
                Stage::Members { channel, member_count, wish, past },
                Heard::Members { channel: named, members, total },
            ) => {
                same("total of members", *total, member_count)?;
                if *named != channel {
                    return Err(format!("joined {channel}, and is told of {named}"));
                }
                if let Some(id) = wish.ack {
                    session.stage = Stage::Ack { id, channel: channel.clone(), member_count, wish, past };
                }
                self.hear_members(seat, &channel, members, member_count)
            }
            (Stage::Ack { id, channel, member_count, wish, past }, Heard::Ack { id: named, body })
                if *named == id =>
            {
                let data = &body["data"];
                let place = session.memberships[&channel].place.clone();
                let missed_count = session.memberships[&channel].missed_count;
                check_joined_ack(body, &channel, member_count, &wish)?;
                let position = heard::position(data).ok_or("an acknowledged join without position")?;
                let stands = place.map(|place| (place.is_open, place.epoch, place.last + missed_count));
                if !stands.is_some_and(|(is_open, epoch, offset)| {
                    *epoch == *position.epoch && (offset == position.offset || is_open)
                }) {
                    return Err(format!("joined {channel}, acknowledged at {position:?}"));
                }
                let told = heard::past(data).ok_or(format!("what was before? {body}"))?;
                self.check_past(&past, &told, &channel, &position, true)?;
                if !wish.manner.by_room_name {
                    return Ok(());
                }
                let members = data["members"].as_array().map(|members| members.iter().map(heard::member));
                let members: Option<Vec<_>> = members.and_then(Iterator::collect);
                let members = members.ok_or("room:join is acknowledged without members")?;
                self.hear_members(seat, &channel, &members, member_count)
            }
            (stage, heard) => Err(format!("{heard:?} in the middle of {stage:?}")),
        }
    }

    fn hear_members(
        &mut self,
        seat: Seat,
        channel: &str,
        members: &[(String, String)],
        member_count: u64,
    ) -> Checked {
        let own = &self.sessions[&seat].user;
        let distinct: BTreeSet<&String> = members.iter().map(|(user, _)| user).collect();
        let is_hidden = members.iter().any(|(user, status)| user == own && status == "offline");
        let listed_count = members.len() as u64 - u64::from(is_hidden);
        if distinct.len() != members.len() || listed_count != member_count || !distinct.contains(own) {
            return Err(format!("{member_count} are in {channel}, and the members are {members:?}"));
        }
        if self.is_quiet {
            self.check_members_when_quiet(channel, own, &distinct)?;
        }
        self.learn_of_members(seat, members)
    }
}

impl Place {
    pub(super) fn new(epoch: Rc<str>, offset: u64) -> Self {
        Self { epoch, first: offset, last: offset, timestamp: 0, id: None, read_count: 0, is_open: false }
    }
}

/// The first event about a room shows which names a client reads.
fn settle_dialect(dialect: &mut Option<Dialect>, manner: Manner) {
    dialect.get_or_insert(if manner.by_room_name { Dialect::Legacy } else { Dialect::Primary });
}

/// A channel in one of its spellings; threads, users and direct conversations have only one.
pub(super) fn spelled(channel: &str, is_prefixed: bool) -> String {
    let has_kind = ["thread:", "dm:", "user:"].iter().any(|prefix| channel.starts_with(prefix));
    if is_prefixed && !has_kind { format!("channel:{channel}") } else { channel.to_owned() }
}

pub(super) fn canonical(name: &str) -> &str {
    name.strip_prefix("channel:").unwrap_or(name)
}

fn check_joined_ack(body: &Value, channel: &str, member_count: u64, wish: &Wish) -> Checked {
    let data = &body["data"];
    let is_prefixed = wish.manner.by_room_name && wish.manner.is_prefixed;
    let is_right = body["success"] == true
        && body["channelId"] == *channel
        && data["channelId"] == *channel
        && data["roomName"] == spelled(channel, is_prefixed)
        && data["memberCount"] == member_count;
    if is_right { Ok(()) } else { Err(format!("joined {channel} as {wish:?}, acknowledged with {body}")) }
}
