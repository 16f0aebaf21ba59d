//! Who types: from a session to its channel's home, which tells the others, and tells them again when it is over.

use std::sync::Arc;

use protocol::chat::event;
use protocol::chat::request;

use super::Shard;
use super::rates::RateClass;
use super::typists::{Sign, Told, TypingTimes, Typist};
use crate::Now;
use crate::ids::{CoreId, SessionId, UserId};
use crate::mail::{Mail, Typing, TypingTurn};
use crate::metrics::EventClass;
use crate::outputs::Outputs;
use crate::publication::Note;

/// Where a sign of typing comes from that no session gave.
const NO_SESSION: SessionId = SessionId { slot: u32::MAX, generation: u32::MAX };

impl Shard {
    /// A session says that its user types, or stopped. Whoever is not in the channel, or says it too often, is not
    /// heard: an error for each key that is pressed would be noise.
    pub(super) fn note_typing(
        &mut self,
        id: SessionId,
        typing: &request::Typing<'_>,
        now: Now,
        out: &mut Outputs,
    ) {
        let Some(session) = self.sessions.get(id) else { return };
        let room = self.rooms.find(&typing.channel, &self.placement);
        let membership = room.and_then(|room| session.membership(room));
        let (Some(membership), true) = (membership, self.limits.typing_enabled) else { return };
        if !typing.is_typing && !membership.types {
            return;
        }
        let (room, user, name) = (membership.room, session.user, session.name.clone());
        if self.spend(user, RateClass::Typing, now).is_err() {
            return;
        }
        if let Some(membership) = self.sessions.get_mut(id).and_then(|session| session.membership_mut(room)) {
            // Who stops in a thread may go on in another.
            membership.types = typing.is_typing || typing.thread.is_some();
        }
        let thread = typing.thread.as_deref().map(Box::from);
        let turn = match typing.is_typing {
            true => TypingTurn::Start { thread, room_type: typing.room_type },
            false => TypingTurn::Stop { thread },
        };
        self.send_typing(room, user, name, id, turn, out);
    }

    /// Tells the home of a room about typing of a local session.
    pub(super) fn send_typing(
        &mut self,
        room: u32,
        user: u32,
        name: Option<Arc<str>>,
        session: SessionId,
        turn: TypingTurn,
        out: &mut Outputs,
    ) {
        let room = self.rooms.at(room);
        let typing = Typing {
            channel: room.channel.clone(),
            user: self.users.at(user).id.clone(),
            name,
            session: Some(session),
            turn,
        };
        let home = room.home;
        self.post(home, Mail::Typing(Box::new(typing)), out);
    }

    /// Somebody types in a channel whose home this is, or stopped. Other nodes are told what is told here.
    pub(super) fn handle_typing(&mut self, from: CoreId, typing: &Typing, now: Now, out: &mut Outputs) {
        if self.note_typing_of(Some(from), typing, now, out) {
            self.tell_typing_elsewhere(typing);
        }
    }

    /// Notes a sign of a session on core `from`, or on another node. Returns whether it was told.
    pub(super) fn note_typing_of(
        &mut self,
        from: Option<CoreId>,
        typing: &Typing,
        now: Now,
        out: &mut Outputs,
    ) -> bool {
        let Some(index) = self.homes.table.find(&typing.channel, &self.placement) else {
            self.metrics.stale_letters.increment();
            return false;
        };
        let times = TypingTimes {
            timeout_ms: self.limits.typing_timeout_ms,
            debounce_ms: self.limits.typing_debounce_ms,
        };
        let home = self.homes.table.at_mut(index);
        let except = from.zip(typing.session);
        let is_told = match &typing.turn {
            TypingTurn::Start { thread, room_type } => {
                let sign = Sign {
                    user: &typing.user,
                    name: typing.name.as_ref(),
                    thread: thread.as_deref(),
                    room_type: *room_type,
                    session: typing.session.unwrap_or(NO_SESSION),
                };
                let is_told = matches!(home.typists.start(&sign, now, &times), Told::Announce | Told::Again);
                if is_told {
                    let subject = Subject {
                        user: &typing.user,
                        name: typing.name.as_deref(),
                        thread: thread.as_deref(),
                        room_type: *room_type,
                        is_typing: true,
                        started_at_unix_ms: now.unix_ms,
                    };
                    self.tell_typing(index, &subject, except, now, out);
                }
                is_told
            }
            TypingTurn::Stop { thread } => {
                let stopped = home.typists.stop(&typing.user, thread.as_deref());
                self.tell_stopped(index, stopped.into_iter().collect(), except, now, out)
            }
            TypingTurn::StopAll => {
                let session = typing.session.unwrap_or(NO_SESSION);
                let stopped = home.typists.stop_all_from(&typing.user, session);
                self.tell_stopped(index, stopped, except, now, out)
            }
        };
        self.look_at_home(index);
        is_told
    }

    /// A user's message says that typing is over, or the user is gone.
    pub(super) fn stop_typing(&mut self, index: u32, user: &UserId, now: Now, out: &mut Outputs) {
        let stopped = self.homes.table.at_mut(index).typists.stop_all_of(user);
        self.tell_stopped(index, stopped, None, now, out);
    }

    /// Whoever gave no sign for too long has stopped.
    pub(super) fn expire_typing(&mut self, index: u32, now: Now, out: &mut Outputs) {
        let stopped = self.homes.table.at_mut(index).typists.expire(now.monotonic_ms());
        self.tell_stopped(index, stopped, None, now, out);
    }

    fn tell_stopped(
        &mut self,
        index: u32,
        stopped: Vec<Typist>,
        except: Option<(CoreId, SessionId)>,
        now: Now,
        out: &mut Outputs,
    ) -> bool {
        let is_told = !stopped.is_empty();
        for typist in stopped {
            let subject = Subject {
                user: &typist.user,
                name: typist.name.as_deref(),
                thread: typist.thread.as_deref(),
                room_type: typist.room_type.as_deref(),
                is_typing: false,
                started_at_unix_ms: typist.started_at_unix_ms,
            };
            // What a user stopped doing, the user's own session knows.
            let own = (self.placement.home_of_user(&typist.user), typist.session);
            self.tell_typing(index, &subject, Some(except.unwrap_or(own)), now, out);
        }
        is_told
    }

    fn tell_typing(
        &mut self,
        index: u32,
        subject: &Subject<'_>,
        except: Option<(CoreId, SessionId)>,
        now: Now,
        out: &mut Outputs,
    ) {
        let home = self.homes.table.at(index);
        let key = self.note_key("typing", &home.channel, subject.user, subject.thread.unwrap_or_default());
        let mut note = Note { key, class: EventClass::Typing, ..Note::default() };
        let event = event::TypingNote {
            channel: &home.channel,
            user: subject.user,
            name: subject.name,
            thread: subject.thread,
            room_type: subject.room_type,
            is_typing: subject.is_typing,
            now_unix_ms: now.unix_ms,
            started_at_unix_ms: subject.started_at_unix_ms,
        };
        let typists = home.typists.in_thread(subject.thread).map(|typist| event::Typist {
            user: &typist.user,
            name: typist.name.as_deref(),
            started_at_unix_ms: typist.refreshed_at_unix_ms,
        });
        for form in home.volatile_forms() {
            note.frames.add(form, |frame| event::push_typing(frame, form.style, &event, typists.clone()));
        }
        drop(typists);
        self.metrics.typing_updates.increment();
        self.post_note(index, note, except, out);
    }
}

/// Whose typing is told.
struct Subject<'a> {
    user: &'a str,
    name: Option<&'a str>,
    thread: Option<&'a str>,
    room_type: Option<&'a str>,
    is_typing: bool,
    started_at_unix_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::trial::{self, Trial, quiet};
    use super::*;
    use crate::limits::Limits;
    use crate::mail::{Caller, Deed};

    fn pair(limits: Limits) -> (Trial, SessionId, SessionId) {
        let mut trial = Trial::new(limits);
        let (watcher, typist) = (trial.connect(0, "8", None), trial.connect(1, "7", None));
        trial.join(watcher, "a");
        trial.join(typist, "a");
        trial.inbox(watcher);
        (trial, watcher, typist)
    }

    fn say(trial: &mut Trial, session: SessionId, is_typing: bool) {
        trial.event(session, &format!(r#"["typing",{{"channelId":"a","isTyping":{is_typing}}}]"#), None);
    }

    fn told(trial: &mut Trial, session: SessionId) -> Vec<bool> {
        let heard = trial.inbox(session);
        trial::of(&heard, "typing").iter().map(|packet| packet.contains(r#""isTyping":true"#)).collect()
    }

    #[test]
    fn typing_is_told_to_the_others_and_ends_by_itself() {
        let (mut trial, watcher, typist) = pair(quiet());
        say(&mut trial, typist, true);
        say(&mut trial, typist, true);
        assert_eq!(told(&mut trial, watcher), [true]);
        trial.pass(2_900);
        assert!(told(&mut trial, watcher).is_empty());
        trial.pass(200);
        assert_eq!(told(&mut trial, watcher), [false]);
        assert!(told(&mut trial, typist).is_empty(), "who types is not told");
    }

    #[test]
    fn whatever_ends_typing_is_told_once() {
        let check = |end: &dyn Fn(&mut Trial, SessionId)| {
            let (mut trial, watcher, typist) = pair(quiet());
            say(&mut trial, typist, true);
            assert_eq!(told(&mut trial, watcher), [true]);
            end(&mut trial, typist);
            assert_eq!(told(&mut trial, watcher), [false]);
            trial.pass_slowly(5_000);
            assert!(told(&mut trial, watcher).is_empty());
        };
        check(&|trial, typist| say(trial, typist, false));
        check(&|trial, typist| trial.say(typist, "a", "done"));
        check(&|trial, typist| {
            trial.event(typist, r#"["channel:leave",{"channelId":"a"}]"#, None);
        });
        check(&|trial, typist| {
            // The watcher hears of it at once, and of nothing else.
            trial.end(typist, Ending::Lost);
        });
    }

    #[test]
    fn a_stop_of_nothing_is_not_told() {
        let (mut trial, watcher, typist) = pair(quiet());
        say(&mut trial, typist, false);
        trial.event(typist, r#"["typing",{"channelId":"elsewhere","isTyping":true}]"#, None);
        assert!(told(&mut trial, watcher).is_empty());
    }

    #[test]
    fn too_much_typing_is_dropped_without_a_word() {
        let (mut trial, watcher, typist) = pair(Limits::default());
        for _ in 0..300 {
            let heard = trial.event(typist, r#"["typing",{"channelId":"a","isTyping":true}]"#, None);
            assert!(heard.iter().all(|packet| !packet.contains("error")));
        }
        assert_eq!(told(&mut trial, watcher), [true]);
        assert_eq!(trial.metrics.rate_limited[RateClass::Typing as usize].get(), 200);
    }

    #[test]
    fn a_back_end_types_in_a_users_name_without_a_session() {
        let (mut trial, watcher, typist) = pair(quiet());
        let start = Deed::Type(TypingTurn::Start { thread: None, room_type: None });
        assert_eq!(trial.call(Caller::Server, "7", "a", start).len(), 1);
        assert_eq!((told(&mut trial, watcher), told(&mut trial, typist)), (vec![true], vec![true]));
        trial.pass(3_100);
        assert_eq!(told(&mut trial, watcher), [false]);
        let nowhere = Deed::Type(TypingTurn::Start { thread: None, room_type: None });
        assert_eq!(trial.call(Caller::Server, "7", "nowhere", nowhere).len(), 1);
    }

    #[test]
    fn where_typing_is_off_nobody_hears_of_it() {
        let (mut trial, watcher, typist) = pair(Limits { typing_enabled: false, ..quiet() });
        say(&mut trial, typist, true);
        assert!(told(&mut trial, watcher).is_empty());
    }
}
