//! How much one core remembers: bounds that follow from the memory that it has, and the bill of all of them.

use super::{
    APPENDS_BYTES_MAX, APPENDS_WAITING_MAX, MAILBOX_LETTERS_MAX, RECHECKS_MAX, TIDINGS_CHANNELS_MAX,
    TIDINGS_MAX,
};

/// Bounds of what one core remembers so that clients lose nothing. The [default](Self::default) is for machines where
/// memory is no question, and [`within`](Self::within) is less of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBounds {
    /// Receipts of sent messages. Reached: the oldest is forgotten early and `realtime_receipts_evicted_total` counts it.
    pub receipts_max: usize,
    /// Bytes of the histories of all channels. Reached: deserted channels are forgotten, then the oldest publications of
    /// the channel that is published to.
    pub histories_bytes_max: usize,
    /// Publications in the journal. Reached: the oldest fall out, and sessions that need them do not resume.
    pub journal_entries_max: usize,
    /// Bytes that those may have together. Reached: likewise.
    pub journal_bytes_max: usize,
    /// Channels that nobody is in. Reached: the longest deserted is forgotten, and whoever comes back to it is told
    /// `recovered: false`.
    pub homes_idle_max: usize,
    /// Former members that channels remember as offline. Reached: deserted channels are forgotten, then the longest gone
    /// of the channel that somebody leaves.
    pub formers_max: usize,
    /// Lost sessions that are kept. Reached: one is given up for each further one, the longest lost of those that only
    /// keep their user present and then of those that may be resumed; its user may be offline.
    pub detached_max: usize,
    /// Memberships that those may have together. Reached: likewise.
    pub detached_memberships_max: usize,
    /// Channels of which is remembered where an absent user stopped reading. Reached: further ones are not remembered.
    pub absences_max: usize,
    /// Users whom sessions follow, those of lost sessions included. Reached: `presence:subscribe` is refused with
    /// `SERVER_BUSY`.
    pub follows_max: usize,
    /// Requests that wait for messages of a channel. Reached: the next is refused with `SERVER_BUSY`.
    pub pollers_max: usize,
    /// Users with devices on other nodes, counted once for each of those nodes. Reached: further ones are taken to be away,
    /// and `realtime_presence_remotes_refused_total` counts them.
    pub remotes_max: usize,
    /// Channels that those are in, counted likewise. Reached: they are not listed in further ones.
    pub venues_max: usize,
    /// Publications that the store which nodes share has not confirmed. Reached: the next is refused with `SERVER_BUSY`,
    /// and `realtime_redis_appends_refused_total` counts it.
    pub appends_max: usize,
    /// Bytes of their bodies and attachments. Reached: likewise. As much may come from the store while it is asked what was
    /// before; reached: that is dropped, and it is asked once more.
    pub appends_bytes_max: usize,
    /// Answers of the permission webhook. Reached: the oldest is forgotten and asked for again.
    pub answers_max: usize,
}

/// What a core makes use of where memory is no question.
const AMPLE: MemoryBounds = MemoryBounds {
    receipts_max: 262_144,
    histories_bytes_max: 64 << 20,
    journal_entries_max: 65_536,
    journal_bytes_max: 16 << 20,
    homes_idle_max: 16_384,
    formers_max: 262_144,
    detached_max: 65_536,
    detached_memberships_max: 262_144,
    absences_max: 262_144,
    follows_max: 262_144,
    pollers_max: 16_384,
    remotes_max: 0,
    venues_max: 0,
    appends_max: 0,
    appends_bytes_max: 0,
    answers_max: 65_536,
};

impl Default for MemoryBounds {
    fn default() -> Self {
        AMPLE
    }
}

/// However little memory there is, bounds are not less than this part of the default: a node that remembers nothing
/// recovers nobody.
const LEAST_PART: f64 = 1.0 / 64.0;

/// Users on other nodes that a core makes use of knowing where memory is no question.
const REMOTES_MAX: usize = 262_144;

/// Channels of those, likewise.
const VENUES_MAX: usize = 1_048_576;

/// Bytes that one user on one other node costs: the user, the name, and what the node says.
pub(crate) const REMOTE_BYTES: usize = 768;

/// Bytes that one channel of such a user costs: at the user's home, among the channel's members elsewhere and in its list.
pub(crate) const VENUE_BYTES: usize = 256;

/// Bytes that one publication costs that waits for the store, besides its body and attachments.
pub(crate) const APPEND_BYTES: usize = 768;

/// Bytes that one receipt costs its core: the map entry and its place in the queue.
const RECEIPT_BYTES: usize = 194;

/// Bytes that one answer costs its core at most: the table's entry and the place in the queue, both before growing.
pub(crate) const ACCESS_ANSWER_BYTES: usize = 256;

/// Bytes that one waiting letter costs, envelope only.
const LETTER_BYTES: usize = 64;

/// Bytes that one publication costs the journal besides itself: its entry and its place in the lane, both before growing.
pub(crate) const JOURNAL_ENTRY_BYTES: usize = 2 * (48 + 8);

/// Bytes that a channel costs its home that nobody is in: the entry, its name and its places in the tables.
pub(crate) const HOME_BYTES: usize = 384;

/// Bytes that one lost session costs besides its memberships, its user included.
pub(crate) const DETACHED_BYTES: usize = 384;

/// Bytes that one membership, one former member, one absence and one user that is followed cost at most.
pub(crate) const RELATION_BYTES: usize = 128;

/// Bytes that one change of presence costs that is kept, besides the names of channels in it.
const TIDING_BYTES: usize = 256;

// What is the same however much memory there is.
const TIDINGS_BYTES: usize = TIDINGS_MAX * TIDING_BYTES + TIDINGS_CHANNELS_MAX * 16;
const RECHECKS_BYTES: usize = RECHECKS_MAX * LETTER_BYTES;
const MAILBOXES_BYTES: usize = 2 * MAILBOX_LETTERS_MAX * LETTER_BYTES;
const FIXED_BYTES: usize = TIDINGS_BYTES + RECHECKS_BYTES + MAILBOXES_BYTES;

/// One line of the memory bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BillItem {
    /// What the memory is for.
    pub purpose: &'static str,
    /// The most that it can come to, in bytes, for one core.
    pub bytes: usize,
}

impl MemoryBounds {
    /// Bounds that come to `bytes` for one core when all are reached: all of them lowered alike from the default, and
    /// never raised. Not less than a sixty-fourth of it.
    pub fn within(bytes: usize) -> Self {
        let rest = |bytes: usize| bytes.saturating_sub(FIXED_BYTES) as f64;
        let part = (rest(bytes) / rest(AMPLE.bytes())).clamp(LEAST_PART, 1.0);
        let scaled = |bound: usize| (bound as f64 * part) as usize;
        Self {
            receipts_max: scaled(AMPLE.receipts_max),
            histories_bytes_max: scaled(AMPLE.histories_bytes_max),
            journal_entries_max: scaled(AMPLE.journal_entries_max),
            journal_bytes_max: scaled(AMPLE.journal_bytes_max),
            homes_idle_max: scaled(AMPLE.homes_idle_max),
            formers_max: scaled(AMPLE.formers_max),
            detached_max: scaled(AMPLE.detached_max),
            detached_memberships_max: scaled(AMPLE.detached_memberships_max),
            absences_max: scaled(AMPLE.absences_max),
            follows_max: scaled(AMPLE.follows_max),
            pollers_max: scaled(AMPLE.pollers_max),
            remotes_max: 0,
            venues_max: 0,
            appends_max: 0,
            appends_bytes_max: 0,
            answers_max: scaled(AMPLE.answers_max),
        }
    }

    /// The same for a node that shares its channels with others: it knows their users, too, in proportion to the rest.
    #[must_use]
    pub fn joined(self) -> Self {
        let part = self.receipts_max as f64 / AMPLE.receipts_max as f64;
        let scaled = |bound: usize| (bound as f64 * part) as usize;
        Self {
            remotes_max: scaled(REMOTES_MAX),
            venues_max: scaled(VENUES_MAX),
            appends_max: scaled(APPENDS_WAITING_MAX),
            appends_bytes_max: scaled(APPENDS_BYTES_MAX),
            ..self
        }
    }

    /// What these bounds come to for one core when all are reached, in bytes.
    pub fn bytes(&self) -> usize {
        self.bill().iter().map(|item| item.bytes).sum()
    }

    /// What these bounds, and those that are the same on every core, come to for one core, by purpose.
    pub fn bill(&self) -> [BillItem; 15] {
        let item = |purpose, bytes| BillItem { purpose, bytes };
        let journal_bytes = self.journal_bytes_max + self.journal_entries_max * JOURNAL_ENTRY_BYTES;
        let appends_bytes = self.appends_max * APPEND_BYTES + 2 * self.appends_bytes_max;
        let lost_bytes = self.detached_max * DETACHED_BYTES + self.detached_memberships_max * RELATION_BYTES;
        [
            item("receipts of sent messages", self.receipts_max * RECEIPT_BYTES),
            item("histories of channels", self.histories_bytes_max),
            item("journal of what was handed out", journal_bytes),
            item("channels that nobody is in", self.homes_idle_max * HOME_BYTES),
            item("former members of channels", self.formers_max * RELATION_BYTES),
            item("lost sessions", lost_bytes),
            item("where absent users stopped reading", self.absences_max * RELATION_BYTES),
            item("users who are followed", self.follows_max * RELATION_BYTES),
            item("changes of presence", TIDINGS_BYTES),
            item("users on other nodes", self.remotes_max * REMOTE_BYTES + self.venues_max * VENUE_BYTES),
            item("publications that wait for the shared store", appends_bytes),
            item("requests that wait for messages", self.pollers_max * RELATION_BYTES),
            item("answers of the permission webhook", self.answers_max * ACCESS_ANSWER_BYTES),
            item("memberships to look at again", RECHECKS_BYTES),
            item("mailboxes", MAILBOXES_BYTES),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_from_the_memory_that_there_is() {
        let default = MemoryBounds::default();
        assert_eq!(MemoryBounds::within(usize::MAX), default);
        assert_eq!(MemoryBounds::within(default.bytes()), default);
        for part in [2, 5, 20] {
            let less = MemoryBounds::within(default.bytes() / part);
            assert!(less.receipts_max <= default.receipts_max / part, "{part}");
            assert!(less.bytes() <= default.bytes() / part, "{part}");
        }
        assert_eq!(MemoryBounds::within(0).histories_bytes_max, 1 << 20);
    }
}
