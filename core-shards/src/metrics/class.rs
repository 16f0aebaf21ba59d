//! What kinds of events there are, as far as counters tell them apart.

use protocol::chat::event::Kind;
use protocol::chat::request::Request;

/// A class of events, received or handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventClass {
    /// Messages.
    Message,
    /// Reactions.
    Reaction,
    /// Read receipts.
    Read,
    /// Events of back ends, and clients' own ones.
    Relay,
    /// Who types.
    Typing,
    /// How users are, and who wants to know.
    Presence,
    /// Joining and leaving.
    Membership,
    /// What was missed.
    Sync,
    /// Signs of life.
    Ping,
    /// Everything else.
    #[default]
    Other,
}

impl EventClass {
    /// Every class with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Message, "message"),
        (Self::Reaction, "reaction"),
        (Self::Read, "read"),
        (Self::Relay, "relay"),
        (Self::Typing, "typing"),
        (Self::Presence, "presence"),
        (Self::Membership, "membership"),
        (Self::Sync, "sync"),
        (Self::Ping, "ping"),
        (Self::Other, "other"),
    ];

    /// The class of what a client asks for.
    pub const fn of_request(request: &Request<'_>) -> Self {
        match request {
            Request::Send(_) => Self::Message,
            Request::React(_) => Self::Reaction,
            Request::Read(_) => Self::Read,
            Request::Dispatch { .. } => Self::Relay,
            Request::Typing(_) => Self::Typing,
            Request::Presence(_)
            | Request::Subscribe { .. }
            | Request::Unsubscribe { .. }
            | Request::GetPresence { .. } => Self::Presence,
            Request::Join { .. } | Request::Leave { .. } => Self::Membership,
            Request::SyncMessages { .. } | Request::SyncChannels => Self::Sync,
            Request::Ping { .. } | Request::Pong => Self::Ping,
            Request::Refresh { .. }
            | Request::Acknowledged
            | Request::Notification { .. }
            | Request::Batch { .. } => Self::Other,
        }
    }

    /// The class of a publication.
    pub const fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::Message => Self::Message,
            Kind::Reaction { .. } => Self::Reaction,
            Kind::Read => Self::Read,
            Kind::Relay { .. } => Self::Relay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_stand_in_the_order_of_their_numbers() {
        for (number, (class, label)) in EventClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, number, "{label}");
        }
    }
}
