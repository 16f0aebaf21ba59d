//! One core's share of the node. The `handle_*` methods are the whole interface; the files below each own one kind of
//! state, or one verb on it:
//!
//! ```text
//! on the sessions' core (that of their user)
//!   sessions, particulars        who is connected, and what few of them have
//!   connect, expiry              how a session begins, and the end of its token
//!   recovery, replay, journal    sessions that lost their connection, and what they are given when they come back
//!   losses                       which of them were lost first
//!   lanes, own_room              how far the shared store was handed out here, and what it has for single users
//!   records, restore, away       what the store keeps of sessions and of absent users, for other nodes
//!   users, rates                 whose sessions they are, and what one user may do in a time
//!   standing, presence, follow   how a user is, who hears of it, and who wants to
//!   membership, rooms, absence   joining and leaving, the local members of a channel, and what an absent user missed
//!   requests                     what a session asks for, one arm for each
//!   publish, receipts, typing    what a session says, and what was accepted, so that a retry is no second message
//!   relay, calls, rights         what is passed on, what back ends want, and who may do what in a channel
//!
//! on a channel's core
//!   homes, home                  all channels, and one channel
//!   members, attendance          who is in it, and who comes and goes
//!   order, history               the place of each event, and what a channel remembers
//!   channel_presence, crowd      how the members are, and batches for big channels
//!   seen, typists, queries       who was there, who types, and what is asked of a channel
//!
//! everywhere
//!   store_events                 what the store that nodes share tells, one arm for each
//!   feed                         its order of the channels that are at home here
//!   gaps                         what nobody can tell any more, and who hears of it
//!   restore                      sessions that another node lost
//!   elsewhere                    who is there on other nodes, and which nodes live
//!   table, deadlines             entries by name and place, and what ends at a time
//!   gathering, tidings           answers of several cores, changes of presence that were heard of
//!   holdings, levels             what is kept, for tests and for gauges
//! ```
//!
//! A message goes through `publish` on the sender's core, `order` on the channel's, `rooms` on each watching core, and
//! back to `publish` for the acknowledgement.

mod absence;
mod attendance;
mod away;
mod calls;
mod channel_presence;
mod connect;
mod crowd;
mod deadlines;
mod elsewhere;
mod expiry;
mod feed;
mod follow;
mod gaps;
mod gathering;
mod history;
mod holdings;
mod home;
mod homes;
mod journal;
mod lanes;
mod levels;
mod losses;
mod members;
mod membership;
mod order;
mod own_room;
mod particulars;
mod presence;
mod publish;
mod queries;
mod rates;
mod receipts;
mod records;
mod recovery;
mod relay;
mod replay;
mod requests;
mod restore;
mod rights;
mod rooms;
mod seen;
mod sessions;
mod standing;
mod store_events;
mod table;
mod tidings;
#[cfg(test)]
mod trial;
#[cfg(test)]
mod trial_of_nodes;
mod typing;
mod typists;
mod users;

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::chat::event::{self, Failure};
use protocol::chat::request::Refusal;
use protocol::codes::ErrorCode;
use protocol::json::Json;

use crate::Now;
use crate::access::{AccessCache, Question, Verdict};
use crate::cursor::RunId;
use crate::ids::{ChannelName, CoreId, SessionId};
use crate::limits::Limits;
use crate::mail::Mail;
use crate::metrics::ShardMetrics;
use crate::outputs::Outputs;
use crate::placement::Placement;
use crate::publication::Publication;
use crate::store::StoreRequest;
use crate::wheel::Wheel;
use calls::Broadcasting;
use deadlines::Deadline;
use elsewhere::Elsewhere;
use feed::Feeds;
use follow::{Followed, Survey, SurveyPart};
use gathering::Gatherings;
use homes::Homes;
use journal::Journal;
use lanes::Lanes;
use losses::Losses;
use receipts::Receipts;
use records::Records;
use restore::Restores;
use rights::Errand;
use rooms::Rooms;
use sessions::Sessions;
use table::Table;
use tidings::Tidings;
use users::Users;

pub use calls::refused;
pub use connect::{Identity, Newcomer, Resume};
pub use holdings::Holdings;
pub use publish::is_longer;
pub use queries::owned_since;
pub use rates::RateClass;

/// Granularity of a shard's own deadlines, in milliseconds.
const TICK_MS: u64 = 64;

/// One event packet of a session that has joined the main namespace.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The packet's array, `["name", argument, …]`, validated.
    pub arguments: Json<'a>,
    /// The acknowledgement id, if the client wants one.
    pub ack: Option<u64>,
    /// Binary attachments that placeholders in the array refer to.
    pub attachments: &'a [Vec<u8>],
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client said goodbye, or was sent away: it does not take the session up again.
    Left,
    /// The connection ended.
    Lost,
    /// Nothing was heard of the connection for so long that it must have ended at some time before.
    TimedOut,
}

/// How much there is of what is kept for users and bounded for the core as a whole.
#[derive(Debug, Default)]
struct Burden {
    /// Lost sessions.
    detached: usize,
    /// Their memberships.
    detached_memberships: usize,
    /// Channels of which is known where a user stopped reading.
    absences: usize,
    /// Users whom sessions follow, those of lost sessions included.
    follows: usize,
    /// Joins that a home has not answered yet.
    joins: usize,
}

/// One core's sessions, users, rooms and homes.
#[derive(Debug)]
pub struct Shard {
    core: CoreId,
    placement: Placement,
    /// Which run of the process this is, as cursors say.
    run: RunId,
    limits: Limits,
    metrics: Arc<ShardMetrics>,
    sessions: Sessions,
    users: Users,
    rooms: Rooms,
    homes: Homes,
    feeds: Feeds,
    receipts: Receipts,
    /// Sessions that began here so far.
    session_number: u64,
    /// Joins that were asked for here so far, so that none is taken for another. Wraps around.
    ticket: u32,
    journal: Journal<Arc<Publication>>,
    /// Publications ordered here so far.
    seq: u64,
    burden: Burden,
    losses: Losses,
    /// Changes of presence that this core told so far.
    change_number: u64,
    tidings: Tidings,
    /// Batches of presence told from here so far.
    batch_number: u64,
    followers: Table<Followed>,
    surveys: Gatherings<Survey, SurveyPart>,
    broadcasts: Gatherings<Broadcasting, Option<u32>>,
    access: AccessCache<Errand>,
    questions: Vec<Question>,
    /// What is known of other nodes.
    elsewhere: Elsewhere,
    /// How far the partitions of the store that nodes share have come here.
    lanes: Lanes,
    /// What the store is to keep of sessions.
    records: Records,
    /// Newcomers who wait for the store.
    restores: Restores,
    /// What is wanted of the store that nodes share, in order.
    store_requests: Vec<StoreRequest>,
    /// Memberships that are to be looked at again once fewer questions are on their way.
    rechecks: VecDeque<(SessionId, ChannelName)>,
    deadlines: Wheel<Deadline>,
    /// Letters to itself, handled in the same turn.
    own_mail: VecDeque<Mail>,
}

impl Shard {
    /// An empty shard. `seed` makes its message ids and epochs; it need not be secret.
    pub fn new(
        core: CoreId,
        placement: Placement,
        limits: Limits,
        metrics: Arc<ShardMetrics>,
        seed: u64,
        now: Now,
    ) -> Self {
        let memory = if placement.is_joined() { limits.memory.joined() } else { limits.memory };
        let limits = Limits { memory, ..limits };
        let run = RunId::from_random(placement.hash("run"));
        let shard = Self {
            core,
            placement,
            run,
            lanes: Lanes::new(run, core, placement.partition_count()),
            records: Records::default(),
            restores: Restores::default(),
            metrics,
            sessions: Sessions::default(),
            users: Users::default(),
            rooms: Rooms::default(),
            homes: Homes::new(seed),
            feeds: Feeds::new(core, &placement),
            receipts: Receipts::new(limits.memory.receipts_max),
            session_number: 0,
            ticket: 0,
            journal: Journal::new(limits.recovery_window_ms, &limits.memory),
            seq: 0,
            burden: Burden::default(),
            losses: Losses::default(),
            change_number: 0,
            tidings: Tidings::new(placement.core_count(), limits.recovery_window_ms),
            batch_number: 0,
            followers: Table::default(),
            surveys: Gatherings::default(),
            broadcasts: Gatherings::default(),
            access: AccessCache::new(limits.memory.answers_max),
            questions: Vec::new(),
            elsewhere: Elsewhere::new(placement.partition_count(), now.monotonic_ms()),
            store_requests: Vec::new(),
            rechecks: VecDeque::new(),
            deadlines: Wheel::new(TICK_MS, now.monotonic_ms()),
            own_mail: VecDeque::new(),
            limits,
        };
        shard.count_states();
        shard
    }

    /// A user whose home this is joined the main namespace.
    pub fn handle_connect(&mut self, session: SessionId, newcomer: Newcomer, now: Now, out: &mut Outputs) {
        self.connect(session, &newcomer, now, out);
        self.settle(now, out);
    }

    /// Whether a session has joined the main namespace.
    pub fn is_connected(&self, session: SessionId) -> bool {
        self.sessions.is_live(session) || self.restores.is_waiting(session)
    }

    /// A session sent an event. Events of a session that is not connected are ignored.
    pub fn handle_event(&mut self, session: SessionId, event: &Event<'_>, now: Now, out: &mut Outputs) {
        if !self.sessions.is_live(session) {
            return;
        }
        self.metrics.events.increment();
        let mut arguments = event.arguments.items();
        let name = arguments.next().and_then(Json::as_str).unwrap_or_default();
        self.perform(session, &name, arguments.next(), event, now, out);
        self.settle(now, out);
    }

    /// A session is gone, for whatever reason. Harmless if it never connected.
    pub fn handle_disconnect(&mut self, session: SessionId, ending: Ending, now: Now, out: &mut Outputs) {
        if !self.stop_waiting(session, out) {
            self.disconnect(session, ending, now, out);
        }
        self.settle(now, out);
    }

    /// The answer to one of [`take_questions`](Self::take_questions) has come.
    pub fn handle_verdict(&mut self, question: Question, verdict: &Verdict, now: Now, out: &mut Outputs) {
        self.conclude(question, verdict, now, out);
        self.settle(now, out);
    }

    /// A refreshed token was verified, or was not.
    pub fn handle_refresh(
        &mut self,
        session: SessionId,
        verdict: Result<Identity, (ErrorCode, &'static str)>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) {
        self.refresh(session, verdict, ack, now, out);
        self.settle(now, out);
    }

    /// A letter from another core.
    pub fn handle_mail(&mut self, from: CoreId, letter: Mail, now: Now, out: &mut Outputs) {
        self.open(from, letter, now, out);
        self.settle(now, out);
    }

    /// Time has passed: deadlines that are due fire.
    pub fn handle_time(&mut self, now: Now, out: &mut Outputs) {
        let mut due = Vec::new();
        self.deadlines.expire(now.monotonic_ms(), |_, deadline| due.push(deadline));
        for deadline in due {
            match deadline {
                Deadline::TokenExpiry(session) => self.token_expired(session, now, out),
                Deadline::User(place) => self.user_is_due(place, now, out),
                Deadline::Home(place) => self.home_is_due(place, now, out),
            }
        }
        self.feeds_are_due(now);
        self.receipts.expire(now.monotonic_ms());
        self.trim_journal(now);
        self.access.expire(now.monotonic_ms());
        self.tidings.expire(now.monotonic_ms(), self.is_somebody_owed());
        self.tick_elsewhere(now, out);
        self.settle(now, out);
    }

    /// When [`handle_time`](Self::handle_time) wants to be called next, in monotonic milliseconds.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        // These end a second late at most, so that many ends share one wake-up.
        let ends = [
            self.receipts.next_end_ms(),
            self.journal.next_end_ms(),
            self.access.next_end_ms(),
            self.tidings.next_end_ms(self.is_somebody_owed()),
            self.records.next_due_ms(),
        ];
        let slow = ends.into_iter().flatten().min().map(|end_ms| end_ms.next_multiple_of(1_000));
        let elsewhere = Some(self.elsewhere.next_ms).filter(|next_ms| *next_ms < u64::MAX);
        let joined = [self.feeds.next_deadline_ms(), elsewhere];
        [self.deadlines.next_deadline_ms(), slow].into_iter().chain(joined).flatten().min()
    }

    fn open(&mut self, from: CoreId, letter: Mail, now: Now, out: &mut Outputs) {
        let Some(letter) = self.put_aside(from, letter, now, out) else { return };
        self.metrics.letters.increment();
        match letter {
            Mail::Join(join) => self.admit_member(from, *join, now, out),
            Mail::Leave(leave) => self.dismiss_member(from, &leave, now, out),
            Mail::Restyle(restyle) => self.restyle_member(&restyle),
            Mail::Publish(publish) => self.order(from, *publish, now, out),
            Mail::Typing(typing) => self.handle_typing(from, &typing, now, out),
            Mail::Presence(change) => self.handle_presence(from, &change, now, out),
            Mail::AskPresence(asked) => self.report_presence(from, *asked, now, out),
            Mail::PresenceReport(report) => self.gather_presence(*report, out),
            Mail::Call(call) => self.handle_call_at_home(*call, now, out),
            Mail::Broadcast(part, broadcast) => self.spread(part, *broadcast, now, out),
            Mail::Query(query) => self.answer_query(from, *query, now, out),
            Mail::Revoke(revocation) => self.revoke(&revocation, now, out),
            Mail::Elsewhere(letter) => self.open_elsewhere(*letter, now, out),
            Mail::Verdict(question, verdict) => self.conclude(*question, &verdict, now, out),
            Mail::Evict(pid) => self.evict_taken(&pid, now, out),
            Mail::Joined(joined) => self.become_member(*joined, now, out),
            Mail::Deliver(deliver) => self.hand_out(deliver, now, out),
            Mail::Own(publication) => {
                self.hand_to_owner(&publication, now, out);
            }
            Mail::Gap(gap) => self.tell_gap(&gap, out),
            Mail::UsersGap(partition) => self.tell_users_gap(partition, out),
            Mail::LaneBegun(lane, epoch) => self.begin_lane(lane, epoch),
            Mail::Notice(notice) => self.hand_note(&notice, out),
            Mail::Grown(room) => self.note_grown(room),
            Mail::Published(published) => self.acknowledge(*published, now, out),
            Mail::BroadcastDone(gathering, count) => self.note_broadcast(gathering, count, out),
            Mail::Answer(answer) => self.pass_on(*answer, out),
        }
    }

    /// Sends a letter; one to this very core is handled before the turn ends.
    fn post(&mut self, to: CoreId, letter: Mail, out: &mut Outputs) {
        if to == self.core {
            self.own_mail.push_back(letter);
        } else {
            out.mail(to, letter);
        }
    }

    /// Gives up what is too much, and handles the letters to itself. Ends, because results beget no letters and each request begets
    /// at most one result for this core and one for the sender.
    fn settle(&mut self, now: Now, out: &mut Outputs) {
        self.give_up_surplus(now, out);
        while let Some(letter) = self.own_mail.pop_front() {
            self.open(self.core, letter, now, out);
        }
        self.write_records(now);
        self.linger(now);
        if self.burden.joins == 0 && !self.is_somebody_owed() {
            self.tidings.forget_latest_of(self.core);
        }
        self.send_told();
    }

    /// Whether somebody is to be told later what this core hears of presence by now: a session that was lost, or one
    /// that asked how others are.
    fn is_somebody_owed(&self) -> bool {
        self.burden.detached > 0 || self.surveys.count() > 0
    }

    fn refuse(
        &self,
        session: SessionId,
        event: &str,
        ack: Option<u64>,
        refusal: &Refusal,
        now: Now,
        out: &mut Outputs,
    ) {
        self.metrics.refusals[refusal.code as usize].increment();
        let failure = failure_of(refusal, event);
        match ack {
            Some(ack) => out.send(session, |frame| event::push_failure_ack(frame, ack, &failure)),
            // Products emit many events that this node does not know; an error for each would be noise.
            None if refusal.code == ErrorCode::UnknownEvent => {}
            None => out.send(session, |frame| event::push_error(frame, &failure, now.unix_ms)),
        }
    }
}

fn failure_of<'a>(refusal: &'a Refusal, event: &'a str) -> Failure<'a> {
    Failure {
        code: refusal.code,
        message: refusal.message,
        event,
        channel: refusal.channel.as_deref(),
        retry_after_s: refusal.retry_after_s,
    }
}

#[cfg(test)]
mod tests {
    use super::trial::Trial;
    use super::*;
    use crate::ids::Place;
    use crate::limits::{
        APPEND_BYTES, DETACHED_BYTES, HOME_BYTES, JOURNAL_ENTRY_BYTES, RELATION_BYTES, REMOTE_BYTES,
        SEEN_LIFE_MS, VENUE_BYTES,
    };

    #[test]
    fn a_refusal_is_an_acknowledgement_where_one_is_wanted_and_an_error_elsewhere() {
        let mut trial = Trial::new(Limits { channels_per_session_max: 1, ..Limits::default() });
        let session = trial.connect(0, "7", None);
        trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
        let mut check = |text: &str, family: &str, code: &str, message: &str, event: &str, channel: &str| {
            let failure = format!(r#"{{"code":"{code}","message":"{message}"}}"#);
            let acknowledged = trial.event(session, text, Some(12));
            assert_eq!(acknowledged, [format!(r#"4312[{{"success":false,"error":{failure}}}]"#)], "{text}");
            let error = format!(
                r#"42["error",{{"type":"{family}","code":"{code}","message":"{message}","event":"{event}"{channel},"timestamp":{}}}]"#,
                trial.now.unix_ms
            );
            assert_eq!(trial.event(session, text, None), [error], "{text}");
        };
        let send = r#"["message:send",{"channelId":"b","content":"x"}]"#;
        let not_joined = "join the channel before you send to it";
        check(send, "state", "NOT_JOINED", not_joined, "message:send", r#","channelId":"b""#);
        let join = r#"["channel:join",{"roomName":"channel:b"}]"#;
        let too_many = "too many channels: leave one first";
        check(join, "state", "MAX_ROOMS_EXCEEDED", too_many, "channel:join", r#","channelId":"b""#);
        let other = r#"["channel:join",{"channelId":"user:8"}]"#;
        let denied = "you are not in this room";
        check(
            other,
            "authorization",
            "ROOM_ACCESS_DENIED",
            denied,
            "channel:join",
            r#","channelId":"user:8""#,
        );
        let nothing = r#"["channel:leave",{}]"#;
        check(nothing, "validation", "VALIDATION_ERROR", "channelId is required", "channel:leave", "");
        let token = r#"["auth:refresh",{"token":"x"}]"#;
        check(token, "server", "INTERNAL_ERROR", "the token was not verified", "auth:refresh", "");
    }

    #[test]
    fn the_bill_says_what_is_kept_costs() {
        /// A short name, shared by all who know it.
        const NAME_BYTES: usize = 48;
        let queued = 2 * size_of::<(u64, Place)>();
        assert!(size_of::<home::Home>() + queued + NAME_BYTES + 32 <= HOME_BYTES);
        // The order of losses has as many void entries as others, and room to grow.
        let lost =
            size_of::<users::Detached>() + size_of::<sessions::Session>() + 4 * size_of::<losses::Loss>();
        let user = size_of::<users::User>() + size_of::<users::UserPast>();
        assert!(lost + user + NAME_BYTES <= DETACHED_BYTES, "{lost} {user}");
        let abroad = size_of::<elsewhere::Abroad>();
        assert!(user + abroad + 2 * NAME_BYTES <= REMOTE_BYTES, "{user} {abroad}");
        // At most two places for each member: in its list, and in an index.
        assert!(2 * (size_of::<members::Member>() + 5) + NAME_BYTES <= VENUE_BYTES);
        assert!(size_of::<sessions::Membership>() <= RELATION_BYTES);
        assert!(size_of::<users::Absence>() + NAME_BYTES <= RELATION_BYTES);
        assert!(size_of::<queries::Poller>() <= RELATION_BYTES);
        let waiting = size_of::<feed::Waiting>() + size_of::<crate::mail::Published>();
        assert!(waiting + 2 * NAME_BYTES <= APPEND_BYTES, "{waiting}");
        assert!(size_of::<Followed>() + NAME_BYTES + size_of::<crate::UserId>() <= RELATION_BYTES);
        assert!(2 * (size_of::<journal::Entry<Arc<Publication>>>() + 8) <= JOURNAL_ENTRY_BYTES);
    }

    #[test]
    fn an_unknown_event_is_refused_only_where_somebody_waits() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(0, "7", None);
        for text in [r#"["typing:novel",{}]"#, "[7]", r#"["",1]"#] {
            assert!(trial.event(session, text, None).is_empty(), "{text}");
            let refused =
                r#"430[{"success":false,"error":{"code":"UNKNOWN_EVENT","message":"unknown event"}}]"#;
            assert_eq!(trial.event(session, text, Some(0)), [refused], "{text}");
        }
    }

    #[test]
    fn inputs_for_a_session_that_is_not_there_do_nothing() {
        let mut trial = Trial::new(Limits::default());
        let session = trial.connect(3, "7", None);
        let former = SessionId { generation: session.generation + 1, ..session };
        let absent = SessionId { slot: 9, generation: 0 };
        for stranger in [former, absent] {
            assert!(trial.event(stranger, r#"["ping"]"#, Some(1)).is_empty());
            assert!(trial.refresh(stranger, "7", None, Some(1)).is_empty());
            trial.disconnect(stranger);
        }
        assert!(trial.shard.is_connected(session));
        assert_eq!(trial.event(session, r#"["ping"]"#, Some(1)).len(), 1);
    }

    #[test]
    fn everything_is_forgotten_when_everybody_is_gone() {
        let mut trial = Trial::new(Limits::default());
        let mut sessions = Vec::new();
        for slot in 0..10 {
            let session = trial.connect(slot, &format!("user-{}", slot / 2), None);
            trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
            trial.event(session, &format!(r#"["channel:join",{{"channelId":"b{slot}"}}]"#), None);
            sessions.push(session);
        }
        let holdings = trial.shard.holdings();
        assert_eq!((holdings.sessions, holdings.users, holdings.rooms, holdings.homes), (10, 5, 11, 11));
        for session in sessions {
            trial.disconnect(session);
        }
        let holdings = trial.shard.holdings();
        assert_eq!((holdings.sessions, holdings.detached, holdings.rooms, holdings.homes), (0, 10, 11, 11));
        trial.pass_slowly(301_000);
        let holdings = trial.shard.holdings();
        assert_eq!((holdings.users, holdings.detached, holdings.rooms, holdings.absences), (0, 0, 0, 0));
        assert_eq!((holdings.homes, holdings.formers), (11, 15), "channels know for a day who was there");
        trial.pass(SEEN_LIFE_MS);
        assert_eq!(trial.shard.holdings(), Holdings::default());
    }
}
