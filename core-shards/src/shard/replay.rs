//! What a session that is taken up again is given of the journal: everything after the cursor that its client has, or
//! nothing. Of the channels of an idle client something may have fallen out of the journal since, but all of it before
//! that cursor: then nothing is missing.
//!
//! Cursors of a node without a shared store name a position in its journal. With one they are places in all lanes, see
//! `places`.

mod places;

use std::sync::Arc;

use protocol::chat::dialect::Spelling;

use super::Shard;
use super::connect::Resume;
use super::journal::{Entry, Target};
use super::sessions::Session;
use crate::cursor::{Cursor, Vector};
use crate::ids::SessionId;
use crate::limits::REPLAY_BYTES_MAX;
use crate::metrics::RecoverySource;
use crate::outputs::Outputs;
use crate::publication::{FormKey, Publication};

/// Up to where a client has everything.
#[derive(Debug)]
pub(super) enum Start {
    /// A position in the journal.
    Position(u64),
    /// A place in every lane.
    Places(Vector),
}

impl Shard {
    /// Up to where the client has everything, if everything after it is in the journal and not too much.
    pub(super) fn replay_start(&self, resume: &Resume, session: &Session) -> Option<Start> {
        if self.placement.is_joined() {
            return self.places_of(&resume.offset, session).map(Start::Places);
        }
        self.position_of(resume, session).map(Start::Position)
    }

    /// Whether a text is a cursor that this node can have written lately.
    pub(super) fn is_own_cursor(&self, text: &str) -> bool {
        match self.placement.partition_count() {
            0 => Cursor::parse(text, self.run).is_ok(),
            count => Vector::parse(text, count).is_some_and(|read| read.fold == self.lanes.vector().fold),
        }
    }

    fn position_of(&self, resume: &Resume, session: &Session) -> Option<u64> {
        let start = match Cursor::parse(&resume.offset, self.run).ok()? {
            Cursor::Mark { core, position } if core == self.core => position,
            Cursor::Mark { .. } => return None,
            Cursor::Publication { lane, seq } => match self.journal.find(lane, seq) {
                Some(position) => position,
                // The last of its channel that fell out is known.
                None => {
                    session
                        .memberships
                        .iter()
                        .filter_map(|membership| self.rooms.at(membership.room).fallen)
                        .find(|fallen| (fallen.lane, fallen.seq) == (lane, seq))?
                        .position
                }
            },
        };
        if start > self.journal.end() || self.misses_fallen(session, start) {
            return None;
        }
        let missed = self.missed_by(session, start);
        let bytes: usize = missed.map(|(_, entry, _)| entry.publication.memory_bytes()).sum();
        (bytes <= REPLAY_BYTES_MAX).then_some(start)
    }

    /// Whether something after a place, that was the session's, has fallen out of the journal.
    fn misses_fallen(&self, session: &Session, start: u64) -> bool {
        self.misses_apart(session, start)
            || session.memberships.iter().any(|membership| {
                let fallen = self.rooms.at(membership.room).fallen;
                fallen.is_some_and(|fallen| fallen.position > start.max(membership.journal_start))
            })
    }

    /// Whether something after a position in the journal, that was for the session alone, has fallen out.
    fn misses_apart(&self, session: &Session, start: u64) -> bool {
        let (begin, end) = (session.particulars.apart_begin(), session.particulars.apart_end());
        end > start && start.max(begin.saturating_sub(1)) < self.journal.lost()
    }

    /// What was handed out after a place and is a session's, with the form in which it reads it.
    fn missed_by<'a>(
        &'a self,
        session: &'a Session,
        start: u64,
    ) -> impl Iterator<Item = (u64, &'a Entry<Arc<Publication>>, FormKey)> {
        let own_room = format!("user:{}", self.users.at(session.user).id);
        self.journal.after(start).filter_map(move |(position, entry)| {
            let room = match entry.target {
                Target::Room { room, .. } => self.rooms.get(room).map(|_| room.index),
                Target::Session(origin) if origin == session.origin => {
                    self.rooms.find(&entry.publication.channel, &self.placement)
                }
                Target::Own { .. } | Target::Session(_) => None,
            };
            let membership = room.and_then(|room| session.membership(room));
            match membership.filter(|membership| position > membership.journal_start) {
                Some(membership) => Some((position, entry, membership.form)),
                // Nobody need join the own room.
                None if matches!(entry.target, Target::Session(origin) if origin == session.origin)
                    && *entry.publication.channel == *own_room =>
                {
                    Some((position, entry, session.form(Spelling::Bare)))
                }
                None => None,
            }
        })
    }

    /// Sends what a session missed, in order.
    pub(super) fn replay(&mut self, id: SessionId, start: Start, out: &mut Outputs) {
        let count = match start {
            Start::Position(start) => self.replay_positions(id, start, out),
            Start::Places(start) => self.replay_places(id, start, out),
        };
        self.metrics.replayed_messages.add(count);
        self.metrics.recovered[RecoverySource::Session as usize].observe(count);
    }

    fn replay_positions(&self, id: SessionId, start: u64, out: &mut Outputs) -> u64 {
        let Some(session) = self.sessions.get(id) else { return 0 };
        let mut count = 0;
        for (position, entry, form) in self.missed_by(session, start) {
            let publication = &entry.publication;
            out.send(id, |frame| match (entry.target, publication.frames.get(form)) {
                (Target::Session(_), _) => {
                    let cursor = Cursor::Mark { core: self.core, position }.text(self.run);
                    publication.push_with(frame, form, Some(&cursor));
                }
                (Target::Room { .. } | Target::Own { .. }, Some(frames)) => frame.extend_from_slice(frames),
                (Target::Room { .. } | Target::Own { .. }, None) => publication.push(frame, form, self.run),
            });
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::trial::{self, Client, Trial, quiet};
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn what_was_missed_stands_in_the_journal_and_resumes_in_its_middle() {
        let mut trial = Trial::new(quiet());
        let talker = trial.connect(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.join(talker, "a");
        trial.join(client.session, "a");
        trial.end(client.session, Ending::Left);
        for number in 0..4 {
            trial.say(talker, "a", &number.to_string());
        }
        client = Client::new(&mut trial, 2, "7");
        trial.event(client.session, r#"["channel:join",{"channelId":"a"}]"#, None);
        client.read(&mut trial, 4);
        assert_eq!(client.got, ["0", "1"], "two events answer the join");
        trial.disconnect(client.session);
        trial.say(talker, "a", "4");
        assert!(client.resume(&mut trial, "7"));
        client.read(&mut trial, usize::MAX);
        assert_eq!(client.got, ["0", "1", "2", "3", "4"]);
    }

    #[test]
    fn an_idle_client_resumes_though_its_last_event_is_long_gone() {
        let mut trial = Trial::new(quiet());
        let (talker, other) = (trial.connect(0, "8", None), trial.connect_durable(5, "9", None));
        let mut client = Client::new(&mut trial, 1, "7");
        for session in [talker, client.session] {
            trial.join(session, "a");
        }
        for session in [talker, other] {
            trial.join(session, "busy");
        }
        trial.say(talker, "a", "1");
        client.read(&mut trial, usize::MAX);
        for _ in 0..300 {
            trial.say(talker, "busy", "x");
            trial.pass(1_000);
        }
        trial.disconnect(client.session);
        trial.say(talker, "a", "2");
        assert!(client.resume(&mut trial, "7"));
        client.read(&mut trial, usize::MAX);
        assert_eq!(client.got, ["1", "2"]);
        let stale = client.cursor.clone();
        trial.say(talker, "a", "3");
        trial.pass_slowly(300_000);
        client.cursor = stale;
        trial.disconnect(client.session);
        assert!(!client.resume(&mut trial, "7"), "the third is not in the journal any more");
    }

    #[test]
    fn another_spelling_does_not_cost_an_event() {
        let mut trial = Trial::new(quiet());
        let talker = trial.connect(0, "8", None);
        let session = trial.connect_durable(1, "7", None);
        let cursor = trial.inbox(session).iter().find_map(|packet| trial::cursor(packet).map(str::to_owned));
        trial.join(talker, "a");
        trial.event(session, r#"["room:join",{"roomName":"channel:a"}]"#, None);
        trial.say(talker, "a", "1");
        trial.event(session, r#"["room:join",{"roomName":"a"}]"#, None);
        trial.say(talker, "a", "2");
        let pid = trial.pid(session);
        trial.disconnect(session);
        trial.say(talker, "a", "3");
        let session = trial.connect_durable(2, "7", Some((&pid, &cursor.unwrap())));
        let heard = trial.inbox(session);
        let messages = trial::of(&heard, "message:new");
        let contents: Vec<_> = messages.iter().map(|packet| trial::text(packet, "content")).collect();
        assert_eq!(contents, ["1", "2", "3"]);
        assert!(messages.iter().all(|packet| trial::text(packet, "roomName") == "a"), "{messages:?}");
    }

    #[test]
    fn what_is_said_in_the_own_room_is_not_missed() {
        let mut trial = Trial::new(quiet());
        let mut client = Client::new(&mut trial, 1, "7");
        let say = |trial: &mut Trial, content: &str| {
            let kind = protocol::chat::event::Kind::Message;
            let body = format!(r#""content":"{content}""#).into_bytes();
            let deed = crate::mail::Deed::Publish { kind, body, client_message_id: None };
            trial.call(crate::mail::Caller::Server, "8", "user:7", deed);
        };
        say(&mut trial, "1");
        say(&mut trial, "2");
        client.read(&mut trial, 1);
        trial.disconnect(client.session);
        say(&mut trial, "3");
        assert!(client.resume(&mut trial, "7"));
        say(&mut trial, "4");
        client.read(&mut trial, usize::MAX);
        assert_eq!(client.got, ["1", "2", "3", "4"]);
    }

    #[test]
    fn too_much_is_not_replayed() {
        let mut trial = Trial::new(Limits { message_chars_max: 1 << 20, ..quiet() });
        let talker = trial.connect(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.join(talker, "a");
        trial.join(client.session, "a");
        trial.disconnect(client.session);
        let long = "x".repeat(REPLAY_BYTES_MAX / 8);
        for _ in 0..8 {
            trial.say(talker, "a", &long);
        }
        assert!(!client.resume(&mut trial, "7"));
    }

    /// What a client should have: every message of the channels that it was in, once and in order, for as long as its
    /// session is the same.
    #[test]
    fn nothing_is_lost_or_repeated_wherever_a_connection_breaks() {
        let mut resumed_count = 0;
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut trial = Trial::new(Limits { offline_life_ms: 0, ..quiet() });
            let talker = trial.connect(0, "8", None);
            let listener = trial.connect_durable(1, "9", None);
            let mut client = Client::new(&mut trial, 10, "7");
            let channels = ["a", "b", "c"];
            for channel in channels {
                trial.join(talker, channel);
                trial.join(listener, channel);
            }
            let (mut is_in, mut expected) = ([false; 3], Vec::new());
            for number in 0..80 {
                let which = random.usize(..3);
                let channel = channels[which];
                match random.u8(..10) {
                    0 => {
                        trial.event(
                            client.session,
                            &format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#),
                            None,
                        );
                        is_in[which] = true;
                    }
                    1 => {
                        trial.event(
                            client.session,
                            &format!(r#"["channel:leave",{{"channelId":"{channel}"}}]"#),
                            None,
                        );
                        is_in[which] = false;
                        // The client reads the answer to what it asked for.
                        client.read(&mut trial, usize::MAX);
                    }
                    2 => {
                        let count = random.usize(..6);
                        client.read(&mut trial, count);
                        if random.bool() {
                            trial.end(
                                client.session,
                                *random.choice(&[Ending::Lost, Ending::TimedOut]).unwrap(),
                            );
                            trial.pass(random.u64(..70_000));
                            for number in 0..random.usize(..4) {
                                let content = format!("away{number}");
                                trial.say(talker, channel, &content);
                                if is_in[which] {
                                    expected.push(content);
                                }
                            }
                        }
                        if client.resume(&mut trial, "7") {
                            resumed_count += 1;
                        } else {
                            (client.got, expected, is_in) = (Vec::new(), Vec::new(), [false; 3]);
                            client.read(&mut trial, usize::MAX);
                        }
                    }
                    3 => drop(trial.pass(random.u64(..50_000))),
                    4 => client.read(&mut trial, usize::MAX),
                    _ => {
                        trial.say(talker, channel, &number.to_string());
                        if is_in[which] {
                            expected.push(number.to_string());
                        }
                    }
                }
            }
            client.read(&mut trial, usize::MAX);
            assert_eq!(client.got, expected, "seed {seed}");
        }
        assert!(resumed_count > 300, "{resumed_count}");
    }

    #[test]
    fn the_first_cursor_is_enough() {
        let mut trial = Trial::new(quiet());
        let talker = trial.connect(0, "8", None);
        let mut client = Client::new(&mut trial, 1, "7");
        trial.join(talker, "a");
        trial.say(talker, "a", "before");
        trial.join(client.session, "a");
        trial.say(talker, "a", "1");
        trial.disconnect(client.session);
        assert!(client.resume(&mut trial, "7"));
        client.read(&mut trial, usize::MAX);
        assert_eq!(client.got, ["1"]);
    }
}
