//! What the node sends: each function appends whole WebSocket text frames (Engine.IO message,
//! Socket.IO packet, chat event) to a buffer. Polling sessions get the same frames re-wrapped.
//!
//! Stock clients take a string in the last place of an event's arguments for the offset that they resume from. So the
//! only event here with a string as its last argument is one that was given a cursor, or a relayed payload that is one.

mod connection;
mod failure;
mod membership;
mod packet;
mod presence;
mod publication;
mod sync;
mod typing;

pub use connection::{
    Introduction, PROTOCOL_VERSION, push_auth_error, push_authenticated, push_authenticated_ack,
    push_connect, push_connect_error, push_connected, push_cursor, push_invalid_namespace, push_notification,
    push_ping_ack, push_pong,
};
pub use failure::{Failure, push_error, push_failure_ack, push_message_failed};
pub use membership::{
    Joined, Left, Missed, Recovered, push_join_denied, push_joined, push_left, push_member, push_members,
    push_user_joined, push_user_left,
};
pub use packet::{push_packet, push_plain_ack, splice_cursor};
pub use presence::{PresenceNote, push_presence, push_presence_bulk, push_presences_ack};
pub use publication::{
    Kind, push_message_ack, push_message_body, push_message_sent, push_object, push_publication,
    push_reaction_body, push_read_body, push_relayed_body, push_replayed,
};
pub use sync::{Synced, SyncedChannel, push_sync_channels_ack, push_sync_messages_ack, push_sync_required};
pub use typing::{TypingNote, Typist, push_typing};

pub(super) use failure::push_envelope;
pub(super) use packet::{push_raw_field, push_str_field, push_u64_field};
pub(super) use presence::push_presence_object;
pub(super) use publication::push_receipt;

/// A frame buffer under construction.
pub type Frame = Vec<u8>;

/// A channel's position: publications up to and including `offset` of `epoch` were sent.
///
/// With epoch `k3` and offset 7, the next message carries offset 8; another epoch means that the
/// history was lost in between and offsets began anew.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    /// Identifies one unbroken run of offsets.
    pub epoch: &'a str,
    /// The last publication's number, 0 before the first.
    pub offset: u64,
}

/// What the home of a channel adds to a publication.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The publication's id.
    pub id: &'a str,
    /// Its number in the channel; read receipts have none of their own, and theirs is not looked at.
    pub offset: u64,
    /// Its time in milliseconds since the epoch, strictly increasing within a channel.
    pub timestamp_ms: u64,
}

/// Whether a name is kept for the client library or for the node itself, so that nobody else may send an event of it.
pub fn is_reserved(event: &str) -> bool {
    crate::socket_io::is_reserved(event)
        || matches!(event, "connected" | "authenticated" | "auth:error" | "error")
}
