//! Who types: one user at a time in the primary dialect, everybody at once in the legacy one.

use super::Frame;
use super::packet::{
    begin_object, push_array, push_bool_field, push_event, push_iso_field, push_optional_field,
    push_str_field, push_u64_field,
};
use crate::chat::dialect::Style;
use crate::chat::room;

/// A user begins or stops to type, as the others are told.
#[derive(Clone, Copy, Debug)]
pub struct TypingNote<'a> {
    /// Canonical room name.
    pub channel: &'a str,
    /// The user.
    pub user: &'a str,
    /// The user's display name, if known.
    pub name: Option<&'a str>,
    /// The thread, if it is typed in one.
    pub thread: Option<&'a str>,
    /// What the typist's client called the room; the room's own kind if it said nothing.
    pub room_type: Option<&'a str>,
    /// Whether the user types.
    pub is_typing: bool,
    /// The time in milliseconds since the epoch.
    pub now_unix_ms: u64,
    /// When the user was last heard to type, in milliseconds since the epoch. Clients drop what is older than seconds.
    pub started_at_unix_ms: u64,
}

/// One of those who type, for the list of the legacy dialect.
#[derive(Clone, Copy, Debug)]
pub struct Typist<'a> {
    /// The user.
    pub user: &'a str,
    /// The user's display name, if known.
    pub name: Option<&'a str>,
    /// As in [`TypingNote::started_at_unix_ms`].
    pub started_at_unix_ms: u64,
}

/// Tells a change of who types. `typists` are all who type in the same thread after it; only the legacy dialect looks.
///
/// - primary: `typing`
/// - legacy: `typing:event`, the room's name being its bare id whatever the spelling
/// - hybrid: `typing`, `typing:start` or `typing:stop`, `message:typing`
pub fn push_typing<'a>(
    out: &mut Frame,
    style: Style,
    note: &TypingNote<'_>,
    typists: impl Iterator<Item = Typist<'a>> + Clone,
) {
    if style.is_legacy() {
        push_event(out, "typing:event", |out| push_list(out, note, typists));
        return;
    }
    push_event(out, "typing", |out| {
        begin_object(out, "userId", note.user);
        push_str_field(out, "channelId", note.channel);
        push_bool_field(out, "isTyping", note.is_typing);
        push_optional_field(out, "threadId", note.thread);
        push_optional_field(out, "userName", note.name);
        push_u64_field(out, "timestamp", note.now_unix_ms);
        out.push(b'}');
    });
    if style == Style::Hybrid {
        push_event(out, if note.is_typing { "typing:start" } else { "typing:stop" }, |out| {
            push_edge(out, note);
        });
        push_event(out, "message:typing", |out| {
            begin_object(out, "channelId", note.channel);
            push_str_field(out, "userId", note.user);
            push_bool_field(out, "isTyping", note.is_typing);
            out.push(b'}');
        });
    }
}

fn push_list<'a>(out: &mut Frame, note: &TypingNote<'_>, typists: impl Iterator<Item = Typist<'a>>) {
    let (kind, id) = room::split(note.channel);
    begin_object(out, "roomName", id);
    push_str_field(out, "roomType", note.room_type.unwrap_or(kind.name()));
    push_optional_field(out, "threadId", note.thread);
    out.extend_from_slice(b",\"users\":");
    push_array(out, typists, |out, typist| {
        begin_object(out, "userId", typist.user);
        push_optional_field(out, "userName", typist.name);
        push_iso_field(out, "startedAt", typist.started_at_unix_ms);
        out.push(b'}');
    });
    out.push(b'}');
}

/// `{userId,channelId,threadId?,user,startedAt}`, or `stoppedAt`.
fn push_edge(out: &mut Frame, note: &TypingNote<'_>) {
    begin_object(out, "userId", note.user);
    push_str_field(out, "channelId", note.channel);
    push_optional_field(out, "threadId", note.thread);
    out.extend_from_slice(b",\"user\":");
    begin_object(out, "id", note.user);
    push_optional_field(out, "displayName", note.name);
    out.push(b'}');
    match note.is_typing {
        true => push_iso_field(out, "startedAt", note.started_at_unix_ms),
        false => push_iso_field(out, "stoppedAt", note.now_unix_ms),
    }
    out.push(b'}');
}
