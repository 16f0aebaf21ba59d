//! How users are, one at a time or in bulk.

use super::Frame;
use super::packet::{
    begin_object, push_array, push_event, push_iso_field, push_optional_field, push_str_field, push_success,
};
use crate::chat::dialect::Style;
use crate::chat::room;
use crate::chat::status::{CustomStatus, Status};
use crate::json;

/// How a user is, as others may know it.
#[derive(Clone, Copy, Debug)]
pub struct PresenceNote<'a> {
    /// The user.
    pub user: &'a str,
    /// The status.
    pub status: Status,
    /// When the user was last there, in milliseconds since the epoch.
    pub last_seen_unix_ms: u64,
    /// What the user says beside the status.
    pub custom: Option<&'a CustomStatus>,
    /// The channel, if it is told because of a channel: a join, or a status for that channel only.
    pub channel: Option<&'a str>,
}

/// Tells how a user is.
///
/// - primary: `presence`, the custom status as an object
/// - legacy: `presence:changed`, `busy` for `dnd`, the custom status as an object and the emoji again as a text
/// - hybrid: `presence`, then `presence:update` with text and emoji of the custom status as two texts
pub fn push_presence(out: &mut Frame, style: Style, note: &PresenceNote<'_>) {
    if style.is_legacy() {
        push_event(out, "presence:changed", |out| push_legacy_object(out, style, note));
        return;
    }
    push_event(out, "presence", |out| push_presence_object(out, note));
    if style == Style::Hybrid {
        push_event(out, "presence:update", |out| push_hybrid_object(out, note));
    }
}

/// `presence:bulk`: how several users are, each as in the last event of [`push_presence`]. It is also the answer to
/// `presence:subscribe`. `channel` says that it is told because of a channel.
pub fn push_presence_bulk<'a>(
    out: &mut Frame,
    style: Style,
    channel: Option<&str>,
    notes: impl Iterator<Item = PresenceNote<'a>>,
) {
    push_event(out, "presence:bulk", |out| {
        out.extend_from_slice(b"{\"presences\":");
        push_presences(out, style, notes);
        push_optional_field(out, "channelId", channel);
        if let Some(channel) = channel.filter(|_| style.is_legacy()) {
            push_str_field(out, "roomName", &room::spelled(channel, style.spelling()));
        }
        out.push(b'}');
    });
}

/// The acknowledgement of `presence:get` and `presence:subscribe`.
pub fn push_presences_ack<'a>(
    out: &mut Frame,
    ack: u64,
    style: Style,
    notes: impl Iterator<Item = PresenceNote<'a>>,
) {
    push_success(
        out,
        ack,
        |out| {
            out.extend_from_slice(b"{\"presences\":");
            push_presences(out, style, notes);
            out.push(b'}');
        },
        |_| {},
    );
}

fn push_presences<'a>(out: &mut Frame, style: Style, notes: impl Iterator<Item = PresenceNote<'a>>) {
    push_array(out, notes, |out, note| match style {
        Style::Primary => push_presence_object(out, &note),
        Style::LegacyBare | Style::LegacyPrefixed => push_legacy_object(out, style, &note),
        Style::Hybrid => push_hybrid_object(out, &note),
    });
}

/// The object of the primary dialect.
pub(in crate::chat) fn push_presence_object(out: &mut Frame, note: &PresenceNote<'_>) {
    begin_object(out, "userId", note.user);
    push_str_field(out, "status", note.status.name());
    push_iso_field(out, "lastSeen", note.last_seen_unix_ms);
    if let Some(custom) = note.custom {
        push_custom_status(out, custom);
    }
    push_optional_field(out, "channelId", note.channel);
    out.push(b'}');
}

fn push_legacy_object(out: &mut Frame, style: Style, note: &PresenceNote<'_>) {
    begin_object(out, "userId", note.user);
    push_str_field(out, "status", note.status.legacy_name());
    match note.custom {
        Some(custom) => push_custom_status(out, custom),
        None => out.extend_from_slice(b",\"customStatus\":null"),
    }
    match note.custom.and_then(|custom| custom.emoji.as_deref()) {
        Some(emoji) => push_str_field(out, "customEmoji", emoji),
        None => out.extend_from_slice(b",\"customEmoji\":null"),
    }
    push_iso_field(out, "lastSeen", note.last_seen_unix_ms);
    if let Some(channel) = note.channel {
        push_str_field(out, "roomName", &room::spelled(channel, style.spelling()));
    }
    out.push(b'}');
}

fn push_hybrid_object(out: &mut Frame, note: &PresenceNote<'_>) {
    begin_object(out, "userId", note.user);
    push_str_field(out, "status", note.status.name());
    push_iso_field(out, "lastSeen", note.last_seen_unix_ms);
    if let Some(custom) = note.custom {
        push_optional_field(out, "customStatus", custom.text.as_deref());
        push_optional_field(out, "customEmoji", custom.emoji.as_deref());
    }
    push_optional_field(out, "channelId", note.channel);
    out.push(b'}');
}

/// `,"customStatus":{"text":…,"emoji":…,"expiresAt":…}`, the text being empty if there is only an emoji.
fn push_custom_status(out: &mut Frame, custom: &CustomStatus) {
    out.extend_from_slice(b",\"customStatus\":{\"text\":");
    json::push_str(out, custom.text.as_deref().unwrap_or(""));
    push_optional_field(out, "emoji", custom.emoji.as_deref());
    if let Some(expires_at_ms) = custom.expires_at_ms {
        push_iso_field(out, "expiresAt", expires_at_ms);
    }
    out.push(b'}');
}
