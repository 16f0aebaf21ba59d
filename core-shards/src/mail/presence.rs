//! Letters about who is there.

use std::sync::Arc;

use protocol::chat::status::{CustomStatus, Status};

use crate::ids::{ChannelName, CoreId, GatheringTicket, SessionId, UserId};

/// How others see a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standpoint {
    /// The status; who hides is offline.
    pub status: Status,
    /// What the user says of it.
    pub custom: Option<Arc<CustomStatus>>,
    /// When the user was last seen, in milliseconds since the epoch.
    pub last_seen_unix_ms: u64,
}

impl Standpoint {
    /// Somebody who is not there and never was.
    pub const UNKNOWN: Self = Self { status: Status::Offline, custom: None, last_seen_unix_ms: 0 };
}

/// A user's presence changed.
#[derive(Debug)]
pub struct PresenceChange {
    /// Who.
    pub user: UserId,
    /// Its number among the changes that the user's home told, rising by one.
    pub number: u64,
    /// How it is from now on.
    pub standpoint: Standpoint,
    /// Channels that the user is in, or the one that the user came into.
    pub channels: Box<[ChannelName]>,
    /// The user came into the channel, and nothing else changed: its members alone hear of it.
    pub is_arrival: bool,
    /// The session that asked for the change, on its user's home, and does not want to hear of it.
    pub acting: Option<SessionId>,
}

impl PresenceChange {
    /// The channel that the user came into, if that is all.
    pub fn arrival(&self) -> Option<&str> {
        self.channels.first().filter(|_| self.is_arrival).map(|channel| &**channel)
    }
}

/// A question about users of one core.
#[derive(Debug)]
pub struct Asked {
    /// Who is asked about.
    pub users: Vec<UserId>,
    /// Which question this is a part of.
    pub gathering: GatheringTicket,
}

/// What one core knows of the users it was asked about.
#[derive(Debug)]
pub struct PresenceReport {
    /// The core that answers.
    pub from: CoreId,
    /// Which question this is a part of.
    pub gathering: GatheringTicket,
    /// Each user with their presence.
    pub users: Vec<(UserId, Standpoint)>,
}
