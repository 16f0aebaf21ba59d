//! Users who were away: where they stopped reading a channel, and what they are told when they join it again.

use std::sync::Arc;

use super::journal::Target;
use super::membership::JoinWish;
use super::sessions::Session;
use super::users::Absence;
use super::{Ending, Shard};
use crate::Now;
use crate::cursor::Cursor;
use crate::ids::SessionId;
use crate::mail::{Joined, Past, Since};
use crate::outputs::Outputs;
use crate::publication::{FormKey, Publication};

impl Shard {
    /// Notes where the user stopped reading the channels in which no other session of the user's is.
    pub(super) fn note_absences(&mut self, session: &Session, ending: Ending, now: Now) {
        if self.limits.offline_life_ms == 0 {
            return;
        }
        let end_ms = now.monotonic_ms().saturating_add(self.limits.offline_life_ms);
        let mut noted = Vec::new();
        for membership in session.memberships.iter().filter(|membership| membership.is_member()) {
            let is_read_elsewhere = self.users.at(session.user).sessions.iter().any(|slot| {
                let other = self.sessions.at(*slot).and_then(|other| other.membership(membership.room));
                other.is_some_and(|other| other.is_member())
            });
            let room = self.rooms.at(membership.room);
            let is_read_elsewhere = is_read_elsewhere || self.is_in_elsewhere(session.user, &room.channel);
            let Some((epoch, offset)) = room.position.filter(|_| !is_read_elsewhere) else { continue };
            let since = match ending {
                // Nobody knows when the connection broke; it was heard of before this time.
                Ending::TimedOut => {
                    let heard_unix_ms = now.unix_ms.saturating_sub(self.limits.session_timeout_ms);
                    Since::Heard(epoch, offset, heard_unix_ms)
                }
                Ending::Left | Ending::Lost => Since::Position(epoch, offset),
            };
            if self.placement.is_joined() {
                noted.push((room.channel.clone(), since.clone()));
            }
            let absence = Absence { channel: room.channel.clone(), since, asked_by: None, end_ms };
            let user = self.users.at_mut(session.user);
            let is_new = user.absence_mut(&room.channel).is_none();
            if !is_new || self.burden.absences < self.limits.memory.absences_max {
                self.burden.absences += usize::from(user.note_absence(absence));
            }
        }
        self.share_absences(session.user, noted);
    }

    /// A user reads a channel again.
    pub(super) fn end_absence(&mut self, index: u32, channel: &str) {
        let user = self.users.at_mut(index);
        let count = user.end_absences(|absence| *absence.channel == *channel);
        self.burden.absences -= count;
        if count > 0 {
            self.unshare_absence(index, channel);
        }
    }

    /// What a joining session is to be told of the past: what it asks for, or what its user missed. That is asked for
    /// by one join at a time, and known until the home has answered it.
    pub(super) fn past_of(&mut self, id: SessionId, room: u32, wish: &JoinWish, is_repeat: bool) -> Past {
        if let Some(since) = &wish.since {
            return Past::Asked(since.clone());
        }
        let (Some(session), false) = (self.sessions.get(id), is_repeat) else { return Past::None };
        let absence = self.users.at_mut(session.user).absence_mut(&wish.channel);
        let Some(absence) = absence else { return Past::None };
        let other = absence.asked_by.filter(|other| *other != id).and_then(|other| self.sessions.get(other));
        if other.and_then(|other| other.membership(room)).is_some_and(|other| !other.is_member()) {
            return Past::None;
        }
        absence.asked_by = Some(id);
        Past::Missed(absence.since.clone())
    }

    /// What the user missed, as the ordinary events that they are.
    pub(super) fn send_missed(
        &mut self,
        id: SessionId,
        form: FormKey,
        joined: &Joined,
        now: Now,
        out: &mut Outputs,
    ) {
        for publication in &joined.past.publications {
            self.send_apart(id, form, publication, now, out);
        }
        self.metrics.missed_messages.add(joined.past.publications.len() as u64);
    }

    /// Sends one session what the members of its rooms do not get now. It stands in the journal all the same: a
    /// connection that breaks amid it resumes amid it.
    pub(super) fn send_apart(
        &mut self,
        id: SessionId,
        form: FormKey,
        publication: &Arc<Publication>,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let cursor = form.has_cursor.then(|| {
            let (bytes, target) = (publication.memory_bytes(), Target::Session(session.origin));
            let position = self.journal.push(target, bytes, publication.clone(), now.monotonic_ms());
            session.particulars.set_only_here_end(position);
            if self.placement.is_joined() {
                self.lanes.mark(position);
                return self.lanes.cursor().to_owned();
            }
            Cursor::Mark { core: self.core, position }.text(self.run)
        });
        out.send(id, |frame| publication.push_with(frame, form, cursor.as_deref()));
        self.keep_record(id);
        self.trim_journal(now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::trial::{self, Trial, quiet};
    use crate::ids::SessionId;
    use crate::limits::Limits;

    const JOIN: &str = r#"["channel:join",{"channelId":"a"}]"#;

    /// Joins, and returns the contents of the messages that follow the answer, and what the answer says of them.
    fn rejoin(trial: &mut Trial, session: SessionId) -> (Vec<String>, String) {
        trial.inbox(session);
        let ack = trial.event(session, JOIN, Some(1)).into_iter().find(|packet| packet.starts_with("431["));
        let ack = ack.expect("every join is answered");
        let missed = ack.split_once(r#""missed":"#).and_then(|(_, rest)| rest.split_once('}'));
        let missed = missed.map(|(missed, _)| format!("{missed}}}")).unwrap_or_default();
        let heard = trial.inbox(session);
        let messages = trial::of(&heard, "message");
        (messages.iter().map(|packet| trial::text(packet, "content").to_owned()).collect(), missed)
    }

    #[test]
    fn what_was_missed_is_told_once_at_the_next_join() {
        for ending in [Ending::Lost, Ending::Left] {
            let mut trial = Trial::new(quiet());
            let (talker, session) = (trial.connect(0, "8", None), trial.connect(1, "7", None));
            trial.join(talker, "a");
            trial.join(session, "a");
            trial.say(talker, "a", "1");
            trial.end(session, ending);
            trial.say(talker, "a", "2");
            trial.say(talker, "a", "3");
            let session = trial.connect(2, "7", None);
            let told = rejoin(&mut trial, session);
            assert_eq!(told, (vec!["2".into(), "3".into()], r#"{"count":2,"lost":0}"#.into()), "{ending:?}");
            assert_eq!(rejoin(&mut trial, session), (Vec::new(), String::new()), "a repeat");
            trial.event(session, r#"["channel:leave",{"channelId":"a"}]"#, None);
            trial.say(talker, "a", "4");
            assert_eq!(rejoin(&mut trial, session), (Vec::new(), String::new()), "who left missed nothing");
        }
    }

    #[test]
    fn nothing_is_missed_while_another_device_reads() {
        let mut trial = Trial::new(quiet());
        let talker = trial.connect(0, "8", None);
        let (phone, laptop) = (trial.connect(1, "7", None), trial.connect(2, "7", None));
        for session in [talker, phone, laptop] {
            trial.join(session, "a");
        }
        trial.end(phone, Ending::Lost);
        trial.say(talker, "a", "1");
        trial.end(laptop, Ending::Lost);
        trial.say(talker, "a", "2");
        let phone = trial.connect(3, "7", None);
        assert_eq!(rejoin(&mut trial, phone).0, ["2"]);
        let laptop = trial.connect(4, "7", None);
        assert!(rejoin(&mut trial, laptop).0.is_empty(), "one device was told");
    }

    #[test]
    fn who_says_what_it_has_is_told_the_rest_in_the_answer_alone() {
        let mut trial = Trial::new(quiet());
        let (talker, session) = (trial.connect(0, "8", None), trial.connect(1, "7", None));
        trial.join(talker, "a");
        trial.join(session, "a");
        trial.disconnect(session);
        trial.say(talker, "a", "1");
        let session = trial.connect(2, "7", None);
        trial.inbox(session);
        let since = trial.now.unix_ms - 1;
        let join = format!(r#"["channel:join",{{"channelId":"a","since":{since}}}]"#);
        trial.event(session, &join, Some(1));
        let heard = trial.inbox(session);
        assert!(trial::of(&heard, "message").is_empty(), "{heard:?}");
        let ack = heard.iter().find(|packet| packet.starts_with("431[")).unwrap();
        assert!(!ack.contains("missed") && ack.contains("recovered"), "{ack}");
        trial.disconnect(session);
        let session = trial.connect(3, "7", None);
        assert!(rejoin(&mut trial, session).0.is_empty(), "the absence ended with the answer");
    }

    #[test]
    fn what_fell_out_of_the_history_is_announced() {
        let mut trial = Trial::new(Limits { history_size_max: 3, ..quiet() });
        let (talker, session) = (trial.connect(0, "8", None), trial.connect(1, "7", None));
        trial.join(talker, "a");
        trial.join(session, "a");
        trial.say(talker, "a", "0");
        trial.disconnect(session);
        for number in 1..=5 {
            trial.say(talker, "a", &number.to_string());
        }
        let session = trial.connect(2, "7", None);
        let told = rejoin(&mut trial, session);
        assert_eq!(told, (vec!["3".into(), "4".into(), "5".into()], r#"{"count":3,"lost":2}"#.into()));
    }

    #[test]
    fn a_connection_that_timed_out_is_told_what_it_may_not_have_got() {
        let mut trial = Trial::new(quiet());
        let (talker, session) = (trial.connect(0, "8", None), trial.connect(1, "7", None));
        trial.join(talker, "a");
        trial.join(session, "a");
        trial.say(talker, "a", "got");
        trial.pass_slowly(31_000);
        trial.say(talker, "a", "unsure");
        trial.pass(1_000);
        trial.end(session, Ending::TimedOut);
        trial.say(talker, "a", "missed");
        let session = trial.connect(2, "7", None);
        assert_eq!(rejoin(&mut trial, session).0, ["unsure", "missed"]);
    }

    #[test]
    fn absences_end_after_their_time() {
        let mut trial = Trial::new(Limits { offline_life_ms: 60_000, ..quiet() });
        let (talker, session) = (trial.connect(0, "8", None), trial.connect(1, "7", None));
        trial.join(talker, "a");
        trial.join(session, "a");
        trial.disconnect(session);
        trial.say(talker, "a", "1");
        trial.pass_slowly(61_000);
        let session = trial.connect(2, "7", None);
        assert!(rejoin(&mut trial, session).0.is_empty());
    }
}
