//! What one client heard, channel by channel, in the order in which it heard it: the material that the checker judges.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As an event, at once or from the recovery of the session.
    Event,
    /// In the answer to a join that said `since`.
    Since,
}

/// One line of a channel's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A join was answered.
    Joined {
        /// The epoch of the channel.
        epoch: String,
        /// The last offset before what follows as events.
        offset: u64,
        /// Whether what was asked for with `since` came complete; `None` if nothing was asked for.
        recovered: Option<bool>,
    },
    /// A message was heard.
    Message {
        /// Its id, which the node gave it.
        id: String,
        /// Its content, which the sender made unique.
        mark: String,
        /// Its place in the channel; 0 while nobody knows it.
        offset: u64,
        /// How it came.
        way: Way,
    },
    /// The node said that something may be missing.
    Announced {
        /// The epoch from here on.
        epoch: String,
        /// The offset from here on.
        offset: u64,
        /// Why, in the node's word.
        reason: String,
    },
}

/// What became of a message that the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No answer yet.
    Open,
    /// Accepted, under this id.
    Acked {
        /// The id that the node gave it.
        id: String,
        /// Its offset as the acknowledgement has it.
        offset: u64,
    },
    /// Refused with this code.
    Refused(String),
}

/// A message that the client sent.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// The channel.
    pub(crate) channel: String,
    /// When it was sent first.
    pub(crate) at: Instant,
    /// When its answer came.
    pub(crate) settled_at: Option<Instant>,
    /// What became of it.
    pub(crate) fate: Fate,
}

/// A connection that was lost, and when another took its place.
#[derive(Clone, Debug)]
pub(crate) struct Return {
    /// When the loss was noticed.
    pub(crate) lost_at: Instant,
    /// How long it took until the session, or a new one, was connected.
    pub(crate) took: Duration,
    /// Whether the session was the same.
    pub(crate) recovered: bool,
}

/// Everything that one client heard and said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diary {
    /// The client.
    pub(crate) name: String,
    /// What it heard, by channel.
    pub(crate) pages: BTreeMap<String, Vec<(Instant, Line)>>,
    /// What it said, by mark.
    pub(crate) said: HashMap<String, Said>,
    /// How often it came back.
    pub(crate) returns: Vec<Return>,
    /// Events of other kinds, by name, as they came.
    pub(crate) others: Vec<(Instant, String, serde_json::Value)>,
    /// What broke the protocol or was refused when it must not be.
    pub(crate) complaints: Vec<String>,
}

impl Diary {
    /// An empty one.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Writes a line.
    pub(crate) fn note(&mut self, channel: &str, line: Line) {
        self.pages.entry(channel.to_owned()).or_default().push((Instant::now(), line));
    }

    /// How many messages it heard.
    pub(crate) fn message_count(&self) -> usize {
        let lines = self.pages.values().flatten();
        lines.filter(|(_, line)| matches!(line, Line::Message { .. })).count()
    }

    /// How many times it was told that something may be missing.
    pub(crate) fn announcement_count(&self) -> usize {
        let is_announcement = |line: &Line| {
            matches!(line, Line::Announced { .. } | Line::Joined { recovered: Some(false), .. })
        };
        self.pages.values().flatten().filter(|(_, line)| is_announcement(line)).count()
    }

    /// Whether it heard a message with this mark.
    pub(crate) fn has_heard(&self, channel: &str, mark: &str) -> bool {
        let lines = self.pages.get(channel).into_iter().flatten();
        let mut lines = lines.rev();
        lines.any(|(_, line)| matches!(line, Line::Message { mark: heard, .. } if heard == mark))
    }

    /// How many of its messages wait for an answer.
    pub(crate) fn open_count(&self) -> usize {
        self.said.values().filter(|said| said.fate == Fate::Open).count()
    }
}
