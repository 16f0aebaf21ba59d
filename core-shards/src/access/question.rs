//! What the permission webhook is asked, and what came of it. Asking is the shell's business.

use crate::ids::{ChannelName, CoreId, UserId};

/// One question about one user and one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The core that waits for the answer.
    pub core: CoreId,
    /// What the core knows the question by, see [`AccessKey`](super::AccessKey).
    pub key: u128,
    /// Who wants in.
    pub user: UserId,
    /// Where, in the canonical spelling.
    pub channel: ChannelName,
    /// What the user's token says of roles.
    pub roles: Box<[Box<str>]>,
    /// The session that asked first, as the client knows it.
    pub session: Box<str>,
    /// What the user wants to do, such as `join`.
    pub action: &'static str,
}

/// What a question came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the user may.
    pub is_allowed: bool,
    /// How long this holds, in milliseconds; 0 for this once.
    pub ttl_ms: u64,
    /// How it came about.
    pub outcome: Outcome,
}

/// How a verdict came about. All but the first are denials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// The webhook said yes.
    Allowed,
    /// The webhook said no.
    Denied,
    /// The webhook did not answer in time, or the question waited too long for its turn.
    Timeout,
    /// The webhook could not be reached, or the connection broke.
    Unreachable,
    /// The webhook answered with another status than 200; redirects are not followed.
    Status,
    /// The answer was no JSON, too long, or did not say whether.
    Malformed,
    /// Too many questions waited already; nobody was asked.
    Busy,
}

impl Outcome {
    /// Every outcome with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Allowed, "allowed"),
        (Self::Denied, "denied"),
        (Self::Timeout, "timeout"),
        (Self::Unreachable, "unreachable"),
        (Self::Status, "status"),
        (Self::Malformed, "malformed"),
        (Self::Busy, "busy"),
    ];
}
