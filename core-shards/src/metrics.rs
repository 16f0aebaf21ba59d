//! Counters of one core. One core writes them, the scrape of any core reads and sums them.
//!
//! Does not know how they are shown.

mod class;
mod counter;

use protocol::chat::status::Status;
use protocol::codes::ErrorCode;

use crate::ids::Epoch;
use crate::mail::{Past, Replay, Since};
use crate::shard::RateClass;

pub use class::EventClass;
pub use counter::{BOUNDS_MAX, Bytes, Counter, Histogram, Microseconds, Number, Scale};

/// Which way somebody got what happened while nobody listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoverySource {
    /// A lost session was to be taken up again.
    Session,
    /// A join said what the client had already.
    Join,
    /// A user came back to a channel and was told what was missed, without asking.
    Missed,
}

impl RecoverySource {
    /// Every source with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Session, "session"), (Self::Join, "join"), (Self::Missed, "missed")];
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing is missing.
    Full,
    /// The position belongs to another run, another core or another epoch.
    Foreign,
    /// Nobody knows the session, message or time that was named.
    Unknown,
    /// What followed the position is not kept any more, or is too much.
    TooOld,
}

impl Recovery {
    /// Every result with its metric label, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Full, "full"),
        (Self::Foreign, "foreign"),
        (Self::Unknown, "unknown"),
        (Self::TooOld, "too_old"),
    ];

    /// What a channel's answer about its past amounts to.
    fn of(past: &Past, replay: &Replay, epoch: Epoch) -> Self {
        match past {
            _ if replay.is_complete => Self::Full,
            Past::Asked(Since::Position(asked, _)) | Past::Missed(Since::Position(asked, _))
                if *asked == epoch =>
            {
                Self::TooOld
            }
            Past::Asked(Since::Position(..) | Since::Foreign)
            | Past::Missed(Since::Position(..) | Since::Foreign) => Self::Foreign,
            Past::Asked(_) | Past::Missed(_) | Past::Resumed { .. } | Past::None => Self::Unknown,
        }
    }
}

/// What happened in one shard.
#[derive(Debug, Default)]
pub struct ShardMetrics {
    /// Sessions that have joined the main namespace (gauge).
    pub sessions: Counter,
    /// Users of whom anything is kept (gauge).
    pub users: Counter,
    /// Users with at least one session (gauge).
    pub users_connected: Counter,
    /// Channels of which anything is kept, whose home is here (gauge).
    pub channels: Counter,
    /// Those of them that nobody is in (gauge).
    pub channels_idle: Counter,
    /// Memberships of sessions in channels, those of lost sessions included (gauge).
    pub subscriptions: Counter,
    /// Events received from clients.
    pub events: Counter,
    /// Those of them that could be read, by [`EventClass`].
    pub received: [Counter; EventClass::ALL.len()],
    /// Events that got their place in a channel here, by [`EventClass`].
    pub published: [Counter; EventClass::ALL.len()],
    /// Events that got their place in a channel here.
    pub publications: Counter,
    /// Frames encoded for members: one per publication and form that is read.
    pub encodes: Counter,
    /// Publications handed to sessions.
    pub deliveries: Counter,
    /// The same by [`EventClass`], volatile events included.
    pub delivered: [Counter; EventClass::ALL.len()],
    /// Frames encoded for volatile events: one per event and form that is read.
    pub volatile_encodes: Counter,
    /// Bytes of the messages that were published here, as their senders wrote them.
    pub message_bytes: Histogram<Bytes>,
    /// Sessions that a publication ordered here went to, on all cores.
    pub fanout: Histogram<Number>,
    /// From a publication's arrival at the node until it was handed to members here, if it was ordered here.
    pub delivery_local: Histogram<Microseconds>,
    /// The same, if it was ordered on another core.
    pub delivery_across: Histogram<Microseconds>,
    /// Retries answered with the first acknowledgement.
    pub duplicates: Counter,
    /// Receipts forgotten before their time.
    pub receipts_evicted: Counter,
    /// Letters for a session, room or channel that was gone.
    pub stale_letters: Counter,
    /// Letters handled, own ones included.
    pub letters: Counter,
    /// Changes of users' presence that were told.
    pub presence_updates: Counter,
    /// Changes that went out together with others in a batch.
    pub presence_coalesced: Counter,
    /// Changes that were never told, because too many came at once in a big channel.
    pub presence_dropped: Counter,
    /// Signals of other nodes that could not be read, or that nobody sends on their topic.
    pub signals_refused: Counter,
    /// Signals of runs that are over.
    pub signals_void: Counter,
    /// Whole states that were asked for, because changes of another node's users were missed.
    pub presence_states_asked: Counter,
    /// Users on other nodes and channels of theirs that were not noted, because there is no room.
    pub remotes_refused: Counter,
    /// Users with devices on other nodes, counted once for each of those nodes (gauge).
    pub remotes: Counter,
    /// Channels that those are in (gauge).
    pub venues: Counter,
    /// Other nodes that live, as core 0 knows (gauge).
    pub nodes_alive: Counter,
    /// Nodes whose users were taken to be gone, because their leases ended, as core 0 knows.
    pub nodes_lost: Counter,
    /// How often this node found that others may have taken it for dead.
    pub fences: Counter,
    /// Users by the status that others were told, by [`Status`] (gauge). Nobody is counted while presence is off.
    pub users_shown: [Counter; Status::COUNT],
    /// Users whom sessions here follow (gauge).
    pub followed: Counter,
    /// Changes of who types that were told.
    pub typing_updates: Counter,
    /// Events refused because their user had used up a window, by [`RateClass`].
    pub rate_limited: [Counter; RateClass::COUNT],
    /// Channels forgotten early though something of them was kept.
    pub homes_evicted: Counter,
    /// Attempts to take up a lost session.
    pub resumes_tried: Counter,
    /// Lost sessions that were taken up.
    pub resumes: Counter,
    /// Lost sessions that may come back, or whose user still counts as present because of them (gauge).
    pub detached: Counter,
    /// Publications replayed to sessions that were taken up.
    pub replayed_messages: Counter,
    /// Publications told to users who had been away.
    pub missed_messages: Counter,
    /// Publications that users who had been away would have been told, were they still kept.
    pub missed_lost: Counter,
    /// Who asked for the past or was told it, by [`RecoverySource`] and [`Recovery`].
    pub recoveries: [[Counter; Recovery::ALL.len()]; RecoverySource::ALL.len()],
    /// How many publications that were, by [`RecoverySource`].
    pub recovered: [Histogram<Number>; RecoverySource::ALL.len()],
    /// Publications in the histories of channels here (gauge).
    pub history_entries: Counter,
    /// What they cost together (gauge).
    pub history_bytes: Counter,
    /// Publications in the journal (gauge).
    pub journal_entries: Counter,
    /// What they cost together (gauge).
    pub journal_bytes: Counter,
    /// Acknowledgements that are remembered for retries (gauge).
    pub receipts: Counter,
    /// Answers of the permission webhook that are remembered, and questions on their way (gauge).
    pub access_entries: Counter,
    /// Deadlines on the shard's wheel (gauge).
    pub deadlines: Counter,
    /// Partitions of the store that nodes share whose feed is heard here, by state: adrift, repairing, live (gauge).
    pub partitions: [Counter; 3],
    /// Publications that the store has not confirmed (gauge).
    pub appends_waiting: Counter,
    /// Publications that were refused because the store was away for too long, or refused them.
    pub appends_refused: Counter,
    /// Publications that were handed out here before the store had them.
    pub provisional: Counter,
    /// How often a partition was asked for what its feed did not bring.
    pub catch_ups: Counter,
    /// Channels whose members were told that something is missing.
    pub gaps: Counter,
    /// How often the store turned out to have lost the end of a partition without knowing it.
    pub tails_lost: Counter,
    /// Memberships ended because their permission did.
    pub evictions: Counter,
    /// Refused requests, by [`ErrorCode`].
    pub refusals: [Counter; ErrorCode::ALL.len()],
}

impl ShardMetrics {
    /// Counts somebody who asked for the past, or was told it.
    pub fn count_recovery(&self, source: RecoverySource, recovery: Recovery) {
        self.recoveries[source as usize][recovery as usize].increment();
    }

    /// Counts what a channel says about its past to somebody who joins.
    pub(crate) fn count_past(&self, past: &Past, replay: &Replay, epoch: Epoch) {
        let source = match past {
            Past::None | Past::Resumed { .. } => return,
            Past::Asked(_) => RecoverySource::Join,
            Past::Missed(_) => RecoverySource::Missed,
        };
        self.count_recovery(source, Recovery::of(past, replay, epoch));
        self.recovered[source as usize].observe(replay.publications.len() as u64);
        if source == RecoverySource::Missed {
            self.missed_lost.add(replay.lost);
        }
    }

    /// Counts a user under another status than before.
    pub(crate) fn count_shown(&self, (former, current): (Status, Status)) {
        self.users_shown[former as usize].take(1);
        self.users_shown[current as usize].add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Offset;

    #[test]
    fn labels_stand_in_the_order_of_their_numbers() {
        for (number, (source, label)) in RecoverySource::ALL.into_iter().enumerate() {
            assert_eq!(source as usize, number, "{label}");
        }
        for (number, (recovery, label)) in Recovery::ALL.into_iter().enumerate() {
            assert_eq!(recovery as usize, number, "{label}");
        }
    }

    #[test]
    fn a_past_that_cannot_be_told_is_counted_by_its_reason() {
        let epoch = Epoch::from_random(1);
        let check = |since: Since, is_complete: bool, expected: Recovery| {
            let replay = Replay { is_complete, ..Replay::default() };
            assert_eq!(Recovery::of(&Past::Asked(since.clone()), &replay, epoch), expected);
            assert_eq!(Recovery::of(&Past::Missed(since), &replay, epoch), expected);
        };
        check(Since::Position(epoch, Offset(3)), true, Recovery::Full);
        check(Since::Position(epoch, Offset(3)), false, Recovery::TooOld);
        check(Since::Position(Epoch::from_random(2), Offset(3)), false, Recovery::Foreign);
        check(Since::Foreign, false, Recovery::Foreign);
        check(Since::Time(7), false, Recovery::Unknown);
        check(Since::Message("x".into()), false, Recovery::Unknown);
    }
}
