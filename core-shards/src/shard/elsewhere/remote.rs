//! What other nodes say of one user, and how far it weighs: later choices win over earlier ones, wherever they were made,
//! so that every node that heard the same shows the same.

use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::status::{CustomStatus, Status};
use protocol::relay::signal::{CustomStamped, Summary};

use crate::cursor::RunId;
use crate::shard::standing::Standing;

/// What one node's devices of a user say together, to be kept: see [`Summary`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) struct Said {
    /// The most available of the devices; `None` if none counts.
    pub(in crate::shard) status: Option<Status>,
    /// How many are connected.
    pub(in crate::shard) connection_count: u32,
    /// When others saw the user last, in milliseconds since the epoch.
    pub(in crate::shard) last_seen_unix_ms: u64,
    /// What the user chose.
    pub(in crate::shard) choices: Choices,
}

/// What a user chose on whatever device, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) struct Choices {
    /// The status, whatever the devices are.
    pub(in crate::shard) status: Option<Status>,
    /// When that was; 0 if never.
    pub(in crate::shard) status_stamp: u64,
    /// The text beside it.
    pub(in crate::shard) custom: Option<Arc<CustomStatus>>,
    /// When that was; 0 if never.
    pub(in crate::shard) custom_stamp: u64,
}

impl Choices {
    /// Takes over what others chose later. Returns whether the text is another.
    fn adopt(&mut self, other: &Self) -> bool {
        if other.status_stamp > self.status_stamp {
            (self.status, self.status_stamp) = (other.status, other.status_stamp);
        }
        let is_later = other.custom_stamp > self.custom_stamp;
        if is_later {
            (self.custom, self.custom_stamp) = (other.custom.clone(), other.custom_stamp);
        }
        is_later
    }

    /// The latest of both stamps.
    pub(super) fn latest_stamp(&self) -> u64 {
        self.status_stamp.max(self.custom_stamp)
    }
}

impl Said {
    pub(super) fn of(summary: &Summary<'_>) -> Self {
        let custom = &summary.custom;
        let is_something = custom.text.is_some() || custom.emoji.is_some();
        let kept = || {
            Arc::new(CustomStatus {
                text: custom.text.map(Box::from),
                emoji: custom.emoji.map(Box::from),
                expires_at_ms: custom.expires_at_unix_ms,
            })
        };
        Self {
            status: summary.status,
            connection_count: summary.connection_count,
            last_seen_unix_ms: summary.last_seen_unix_ms,
            choices: Choices {
                status: summary.choice,
                status_stamp: summary.choice_stamp,
                custom: is_something.then(kept),
                custom_stamp: custom.stamp,
            },
        }
    }

    pub(super) fn summary(&self) -> Summary<'_> {
        let custom = self.choices.custom.as_deref();
        Summary {
            status: self.status,
            connection_count: self.connection_count,
            last_seen_unix_ms: self.last_seen_unix_ms,
            choice: self.choices.status,
            choice_stamp: self.choices.status_stamp,
            custom: CustomStamped {
                text: custom.and_then(|custom| custom.text.as_deref()),
                emoji: custom.and_then(|custom| custom.emoji.as_deref()),
                expires_at_unix_ms: custom.and_then(|custom| custom.expires_at_ms),
                stamp: self.choices.custom_stamp,
            },
        }
    }

    /// Whether others need not be told: only when the user was last seen is another.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (self.status, self.connection_count) == (other.status, other.connection_count)
            && self.choices == other.choices
    }
}

/// A user's devices on one other node.
#[derive(Debug)]
pub(in crate::shard) struct Remote {
    pub(super) run: RunId,
    pub(super) generation: u32,
    /// Which core of it tells.
    pub(super) core: u16,
    /// Which state named the user last.
    pub(super) mark: u32,
    pub(super) said: Said,
    /// Channels that the user is in there, by their index among those that are known here.
    pub(super) venues: Vec<u32>,
}

/// A user on other nodes, and what they were told of the user's devices here.
#[derive(Debug, Default)]
pub(in crate::shard) struct Abroad {
    /// What other nodes were told last; `None` if they need not know the user from here.
    pub(super) told: Option<Said>,
    /// What the user chose, as far as it is known here.
    pub(super) choices: Choices,
    pub(super) remotes: SmallVec<[Remote; 1]>,
}

impl Abroad {
    /// Whether nothing is worth keeping.
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.told.is_none() && self.remotes.is_empty()
    }

    /// Whether other nodes have devices of the user, be it lost ones.
    pub(in crate::shard) fn is_elsewhere(&self) -> bool {
        !self.remotes.is_empty()
    }

    /// How many devices are connected to other nodes.
    pub(in crate::shard) fn connection_count(&self) -> usize {
        self.remotes.iter().map(|remote| remote.said.connection_count as usize).sum()
    }

    /// What the devices of each other node say that has some.
    pub(in crate::shard) fn statuses(&self) -> impl Iterator<Item = Status> {
        self.remotes.iter().filter_map(|remote| remote.said.status)
    }

    /// Weighs what was chosen here and elsewhere. What was chosen where no device counts any more is forgotten. Returns
    /// whether the text beside the status is another.
    pub(in crate::shard) fn weigh(&mut self, counts_here: bool) -> bool {
        let former_stamp = self.choices.custom_stamp;
        if !counts_here {
            self.choices = Choices::default();
        }
        for remote in self.remotes.iter().filter(|remote| remote.said.status.is_some()) {
            self.choices.adopt(&remote.said.choices);
        }
        self.choices.custom_stamp != former_stamp
    }

    /// What counts of what was chosen: the status and the text beside it.
    pub(in crate::shard) fn choices(&self) -> (Option<Status>, Option<&CustomStatus>) {
        (self.choices.status, self.choices.custom.as_deref())
    }

    /// The user chose here what `standing` has.
    pub(in crate::shard) fn stamp(
        &mut self,
        standing: &Standing,
        is_status: bool,
        is_custom: bool,
        unix_ms: u64,
        run: RunId,
    ) {
        let stamp = self.next_stamp(unix_ms, run);
        let (status, custom) = standing.choices();
        if is_status {
            (self.choices.status, self.choices.status_stamp) = (status, stamp);
        }
        if is_custom {
            (self.choices.custom, self.choices.custom_stamp) = (custom.cloned().map(Arc::new), stamp);
        }
    }

    /// The stamp of a choice that is made now: later than every one that is known.
    fn next_stamp(&self, unix_ms: u64, run: RunId) -> u64 {
        // Two nodes may choose in the same millisecond: then the run decides, everywhere alike.
        let letters = run.as_str().as_bytes();
        let tie = u64::from(u16::from_be_bytes([letters[0], letters[1]]));
        (unix_ms << 16 | tie).max(self.choices.latest_stamp().saturating_add(1))
    }

    pub(super) fn find(&mut self, run: RunId) -> Option<&mut Remote> {
        self.remotes.iter_mut().find(|remote| remote.run == run)
    }

    /// Whether the user is in a channel on any other node.
    pub(in crate::shard) fn is_in(&self, venue: u32) -> bool {
        self.remotes.iter().any(|remote| remote.venues.contains(&venue))
    }

    /// Every channel that the user is in on some node, by index.
    pub(super) fn venues(&self) -> impl Iterator<Item = u32> {
        self.remotes.iter().flat_map(|remote| remote.venues.iter().copied())
    }

    /// When others saw the user last, as far as other nodes know.
    pub(in crate::shard) fn last_seen_unix_ms(&self) -> u64 {
        self.remotes.iter().map(|remote| remote.said.last_seen_unix_ms).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(number: u64, status: Option<Status>, choice: Option<Status>, stamp: u64) -> Remote {
        let choices = Choices { status: choice, status_stamp: stamp, ..Choices::default() };
        let said = Said { status, choices, ..Said::default() };
        Remote { run: RunId::from_random(number), generation: 1, core: 0, mark: 0, said, venues: Vec::new() }
    }

    fn chosen(status: Status, stamp: u64) -> Abroad {
        let choices = Choices { status: Some(status), status_stamp: stamp, ..Choices::default() };
        Abroad { choices, ..Abroad::default() }
    }

    #[test]
    fn the_latest_choice_counts_wherever_it_was_made() {
        let mut abroad = chosen(Status::Dnd, 5);
        abroad.remotes.push(remote(1, Some(Status::Online), Some(Status::Offline), 4));
        abroad.weigh(true);
        assert_eq!(abroad.choices.status, Some(Status::Dnd));
        abroad.remotes.push(remote(2, Some(Status::Online), None, 6));
        abroad.weigh(true);
        assert_eq!((abroad.choices.status, abroad.choices.status_stamp), (None, 6));
    }

    #[test]
    fn what_was_chosen_where_nobody_is_any_more_is_forgotten() {
        let mut abroad = chosen(Status::Dnd, 5);
        abroad.remotes.push(remote(1, None, Some(Status::Away), 9));
        abroad.weigh(true);
        assert_eq!(abroad.choices.status, Some(Status::Dnd), "no device of the other node counts");
        abroad.weigh(false);
        assert_eq!(abroad.choices, Choices::default());
    }

    #[test]
    fn a_choice_is_later_than_every_one_that_is_known() {
        let mut abroad = Abroad::default();
        let run = RunId::from_random(1);
        let first = abroad.next_stamp(1_000, run);
        abroad.choices.status_stamp = u64::MAX >> 1;
        assert_eq!(abroad.next_stamp(1_000, run), (u64::MAX >> 1) + 1, "another node's clock goes ahead");
        assert_ne!(first, Abroad::default().next_stamp(1_000, RunId::from_random(u64::MAX)));
    }
}
