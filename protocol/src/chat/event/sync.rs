//! The answers to a client that was away.

use super::packet::{
    begin_object, push_array, push_bool_field, push_event, push_iso_field, push_raw_field, push_str_field,
    push_success, push_u64_field,
};
use super::{Frame, Position};
use crate::chat::room;

/// The answer to `sync:messages`.
#[derive(Clone, Copy, Debug)]
pub struct Synced<'a> {
    /// Canonical room name.
    pub channel: &'a str,
    /// JSON array of messages, oldest first, as [`super::push_object`] writes them.
    pub messages: &'a [u8],
    /// Whether nothing between the client's position and the first message is missing.
    pub is_complete: bool,
    /// Whether there are more after the last one.
    pub has_more: bool,
    /// Where the channel stands.
    pub position: Position<'a>,
    /// The time in milliseconds since the epoch.
    pub now_unix_ms: u64,
}

/// The acknowledgement of `sync:messages`.
pub fn push_sync_messages_ack(out: &mut Frame, ack: u64, synced: &Synced<'_>) {
    push_success(
        out,
        ack,
        |out| {
            begin_object(out, "channelId", synced.channel);
            push_raw_field(out, "messages", synced.messages);
            push_bool_field(out, "recovered", synced.is_complete);
            push_bool_field(out, "hasMore", synced.has_more);
            push_str_field(out, "epoch", synced.position.epoch);
            push_u64_field(out, "offset", synced.position.offset);
            push_u64_field(out, "serverTime", synced.now_unix_ms);
            out.push(b'}');
        },
        |_| {},
    );
}

/// `sync:required {channelId, reason, epoch, offset}`: something of a channel is missing and nobody can tell what, so the
/// client is to fetch the channel anew. What follows the position is delivered; without one the channel has none.
pub fn push_sync_required(out: &mut Frame, channel: &str, reason: &str, position: Option<Position<'_>>) {
    push_event(out, "sync:required", |out| {
        begin_object(out, "channelId", channel);
        push_str_field(out, "reason", reason);
        if let Some(position) = position {
            push_str_field(out, "epoch", position.epoch);
            push_u64_field(out, "offset", position.offset);
        }
        out.push(b'}');
    });
}

/// A channel in the answer to `sync:channels`.
#[derive(Clone, Copy, Debug)]
pub struct SyncedChannel<'a> {
    /// Canonical room name.
    pub channel: &'a str,
    /// How many members it has, if it is known here.
    pub member_count: Option<u32>,
    /// When its last message was sent, in milliseconds since the epoch, if it is known here.
    pub last_message_at_unix_ms: Option<u64>,
}

/// The acknowledgement of `sync:channels`.
pub fn push_sync_channels_ack<'a>(
    out: &mut Frame,
    ack: u64,
    channels: impl Iterator<Item = SyncedChannel<'a>>,
    now_unix_ms: u64,
) {
    push_success(
        out,
        ack,
        |out| {
            out.extend_from_slice(b"{\"channels\":");
            push_array(out, channels, |out, channel| {
                begin_object(out, "id", channel.channel);
                push_str_field(out, "name", channel.channel);
                push_str_field(out, "type", room::split(channel.channel).0.name());
                if let Some(member_count) = channel.member_count {
                    push_u64_field(out, "memberCount", u64::from(member_count));
                }
                if let Some(unix_ms) = channel.last_message_at_unix_ms {
                    push_iso_field(out, "lastMessageAt", unix_ms);
                }
                out.push(b'}');
            });
            push_u64_field(out, "serverTime", now_unix_ms);
            out.push(b'}');
        },
        |_| {},
    );
}
