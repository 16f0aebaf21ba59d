//! Joining and leaving: the replies to the session itself, and what the other members hear of it.

use super::failure::{Failure, push_error, push_failure_ack};
use super::packet::{
    begin_object, begin_room_object, push_bool_field, push_event, push_iso_field, push_raw_field,
    push_str_field, push_success, push_u64_field,
};
use super::{Frame, Position};
use crate::chat::dialect::{Spelling, Style};
use crate::chat::room;
use crate::chat::status::Status;

/// A join that succeeded, as its session is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// Canonical room name.
    pub channel: &'a str,
    /// How the session wrote it.
    pub spelling: Spelling,
    /// Whether `room:join` asked, which is answered with other events than `channel:join`.
    pub by_room_name: bool,
    /// The user who joined.
    pub user: &'a str,
    /// How many members there are.
    pub member_count: u32,
    /// Where the channel stands: what comes after it will be delivered.
    pub position: Position<'a>,
    /// The JSON array of members that [`push_member`] made, brackets included; perhaps cut.
    pub members: &'a [u8],
    /// The time in milliseconds since the epoch.
    pub now_unix_ms: u64,
    /// What follows from the time when the user was away.
    pub missed: Option<Missed>,
    /// The answer to a `since`.
    pub recovered: Option<Recovered<'a>>,
}

/// What a user missed while no session of theirs was in the channel. It follows as ordinary events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// How many publications follow.
    pub count: u64,
    /// How many more there were that history does not have any more.
    pub lost: u64,
}

/// What was published since the position that a session named: all of it, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Recovered<'a> {
    /// Whether nothing is missing. If not, both lists are to be empty.
    pub is_complete: bool,
    /// JSON array of messages, as [`super::push_object`] writes them.
    pub messages: &'a [u8],
    /// JSON array of the other publications, as [`super::push_replayed`] writes them.
    pub events: &'a [u8],
}

/// Appends one member to the array of [`Joined::members`], which begins as `[`.
pub fn push_member(
    members: &mut Vec<u8>,
    user: &str,
    name: Option<&str>,
    status: Status,
    last_seen_unix_ms: Option<u64>,
    joined_at_unix_ms: u64,
) {
    if members.len() > 1 {
        members.push(b',');
    }
    begin_object(members, "userId", user);
    push_str_field(members, "status", status.name());
    if let Some(last_seen_unix_ms) = last_seen_unix_ms {
        push_iso_field(members, "lastSeen", last_seen_unix_ms);
    }
    if let Some(name) = name {
        push_str_field(members, "userName", name);
    }
    push_iso_field(members, "joinedAt", joined_at_unix_ms);
    members.push(b'}');
}

/// All replies to a join, in order, to the joining session alone.
///
/// `channel:join` is answered with `channel:joined` and `channel:members`, `room:join` with `room:joined`; then the
/// acknowledgement if one was asked for. What was recovered stands in the acknowledgement, or in the first event if there
/// is none.
pub fn push_joined(out: &mut Frame, joined: &Joined<'_>, ack: Option<u64>) {
    let in_event = joined.recovered.filter(|_| ack.is_none());
    if joined.by_room_name {
        push_event(out, "room:joined", |out| {
            begin_room_object(out, joined.channel, joined.spelling);
            push_bool_field(out, "success", true);
            push_u64_field(out, "memberCount", u64::from(joined.member_count));
            push_standing(out, joined, in_event);
        });
    } else {
        push_event(out, "channel:joined", |out| {
            begin_object(out, "channelId", joined.channel);
            push_str_field(out, "userId", joined.user);
            push_u64_field(out, "memberCount", u64::from(joined.member_count));
            push_standing(out, joined, in_event);
        });
        push_members(out, joined.channel, joined.members, joined.member_count);
    }
    if let Some(ack) = ack {
        push_joined_ack(out, joined, ack);
    }
}

/// `channel:members`: who is there. `members` is an array as [`Joined::members`].
pub fn push_members(out: &mut Frame, channel: &str, members: &[u8], member_count: u32) {
    push_event(out, "channel:members", |out| {
        begin_object(out, "channelId", channel);
        push_raw_field(out, "members", members);
        push_u64_field(out, "total", u64::from(member_count));
        out.push(b'}');
    });
}

fn push_joined_ack(out: &mut Frame, joined: &Joined<'_>, ack: u64) {
    let spelling = if joined.by_room_name { joined.spelling } else { Spelling::Bare };
    push_success(
        out,
        ack,
        |out| {
            begin_object(out, "channelId", joined.channel);
            push_str_field(out, "roomName", &room::spelled(joined.channel, spelling));
            push_str_field(out, "type", room::split(joined.channel).0.name());
            push_u64_field(out, "memberCount", u64::from(joined.member_count));
            if joined.by_room_name {
                push_raw_field(out, "members", joined.members);
            }
            push_standing(out, joined, joined.recovered);
        },
        |out| push_str_field(out, "channelId", joined.channel),
    );
}

/// The end of an object: where the channel stands, and what the session gets of the time before.
fn push_standing(out: &mut Frame, joined: &Joined<'_>, recovered: Option<Recovered<'_>>) {
    push_str_field(out, "epoch", joined.position.epoch);
    push_u64_field(out, "offset", joined.position.offset);
    push_u64_field(out, "timestamp", joined.now_unix_ms);
    if let Some(missed) = joined.missed {
        out.extend_from_slice(b",\"missed\":{\"count\":");
        crate::json::push_u64(out, missed.count);
        push_u64_field(out, "lost", missed.lost);
        out.push(b'}');
    }
    if let Some(recovered) = recovered {
        push_bool_field(out, "recovered", recovered.is_complete);
        push_raw_field(out, "messages", recovered.messages);
        push_raw_field(out, "events", recovered.events);
    }
    out.push(b'}');
}

/// All replies to a `room:join` that was refused: `room:joined` without success, which clients wait for, then the
/// failure as of any other event.
pub fn push_join_denied(
    out: &mut Frame,
    failure: &Failure<'_>,
    spelling: Spelling,
    ack: Option<u64>,
    now_unix_ms: u64,
) {
    if let Some(channel) = failure.channel {
        push_event(out, "room:joined", |out| {
            begin_room_object(out, channel, spelling);
            push_bool_field(out, "success", false);
            push_str_field(out, "error", failure.message);
            push_str_field(out, "code", failure.code.name());
            out.push(b'}');
        });
    }
    match ack {
        Some(ack) => push_failure_ack(out, ack, failure),
        None => push_error(out, failure, now_unix_ms),
    }
}

/// The end of a membership, as its session is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// Canonical room name.
    pub channel: &'a str,
    /// How the session wrote it.
    pub spelling: Spelling,
    /// Whether `room:leave` asked.
    pub by_room_name: bool,
    /// The user who left.
    pub user: &'a str,
}

/// All replies to leaving, in order, to the leaving session alone: `channel:left` or `room:left`, then the
/// acknowledgement if one was asked for.
pub fn push_left(out: &mut Frame, left: &Left<'_>, ack: Option<u64>) {
    if left.by_room_name {
        push_event(out, "room:left", |out| {
            begin_room_object(out, left.channel, left.spelling);
            out.push(b'}');
        });
    } else {
        push_event(out, "channel:left", |out| {
            begin_object(out, "channelId", left.channel);
            push_str_field(out, "userId", left.user);
            out.push(b'}');
        });
    }
    let Some(ack) = ack else { return };
    push_success(
        out,
        ack,
        |out| {
            begin_object(out, "channelId", left.channel);
            if left.by_room_name {
                push_str_field(out, "roomName", &room::spelled(left.channel, left.spelling));
            }
            out.push(b'}');
        },
        |out| push_str_field(out, "channelId", left.channel),
    );
}

/// `user:joined`, to the other members: a user's first session came into the channel.
pub fn push_user_joined(
    out: &mut Frame,
    style: Style,
    channel: &str,
    user: &str,
    name: Option<&str>,
    now_unix_ms: u64,
) {
    push_passage(out, "user:joined", style, (channel, user, name), now_unix_ms);
}

/// `user:left`, to the other members: a user's last session has left the channel.
pub fn push_user_left(
    out: &mut Frame,
    style: Style,
    channel: &str,
    user: &str,
    name: Option<&str>,
    now_unix_ms: u64,
) {
    push_passage(out, "user:left", style, (channel, user, name), now_unix_ms);
}

fn push_passage(
    out: &mut Frame,
    event: &str,
    style: Style,
    (channel, user, name): (&str, &str, Option<&str>),
    now_unix_ms: u64,
) {
    push_event(out, event, |out| {
        begin_room_object(out, channel, style.spelling());
        push_str_field(out, "channelId", channel);
        push_str_field(out, "userId", user);
        if let Some(name) = name {
            push_str_field(out, "userName", name);
        }
        push_iso_field(out, "timestamp", now_unix_ms);
        out.push(b'}');
    });
}
