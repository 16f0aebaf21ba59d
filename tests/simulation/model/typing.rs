//! Who types, and who was told: nobody hears of the own session's typing, and whoever heard that somebody types hears
//! that it is over.

use std::collections::{BTreeMap, BTreeSet};

use super::rates::Class;
use super::{Checked, Model};
use crate::client::Seat;
use crate::heard::TypingHeard;

/// Channel, user, thread.
type Subject = (String, String, Option<String>);

/// The signs that were given.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// The sessions that ever gave a sign, by what they signed.
    seats: BTreeMap<Subject, BTreeSet<Seat>>,
    /// Since the last moment at which nobody typed: the memberships that must hear of the first sign.
    due: BTreeMap<Subject, Vec<u64>>,
    /// Memberships that heard of a sign since then.
    heard: BTreeSet<(u64, Subject)>,
    /// When each was last said to type: by membership, the time that the event tells.
    told: BTreeMap<(u64, Subject), u64>,
}

impl Model {
    /// A session says that its user types, or stopped. Whoever is not in the channel is not heard.
    pub(super) fn type_something(
        &mut self,
        seat: Seat,
        channel: &str,
        thread: Option<&str>,
        is_typing: bool,
    ) {
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        let user = session.user.clone();
        let Some(membership) = session.memberships.get_mut(channel) else { return };
        if !is_typing && !membership.types {
            return;
        }
        if self.spend(&user, Class::Typing).is_err() {
            return;
        }
        let subject = (channel.to_owned(), user, thread.map(str::to_owned));
        let Some(session) = self.sessions.get_mut(&seat) else { return };
        if let Some(membership) = session.memberships.get_mut(channel) {
            // Who stops in a thread may go on in another.
            membership.types = is_typing || thread.is_some();
        }
        // It needs not be told what it says itself.
        session.typists.remove(&subject);
        if !is_typing {
            return;
        }
        let others = self.sessions.values().filter(|other| other.user != subject.1);
        let others = others.filter_map(|other| other.memberships.get(channel));
        let witnesses = others.filter(|known| known.place.is_some()).map(|known| known.serial).collect();
        self.signs.due.entry(subject.clone()).or_insert(witnesses);
        self.signs.seats.entry(subject).or_default().insert(seat);
    }

    pub(super) fn hear_typing(
        &mut self,
        seat: Seat,
        channel: &str,
        thread: Option<&str>,
        turn: &TypingHeard,
    ) -> Checked {
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let is_legacy = matches!(turn, TypingHeard::All { .. });
        let is_member = session.memberships.get(channel).is_some_and(|known| known.place.is_some());
        if !is_member || is_legacy != session.is_legacy() {
            return Err(format!("{seat:?} hears {turn:?} in {channel}"));
        }
        self.counts.typing_heard += 1;
        let serial = session.memberships[channel].serial;
        let subject = |user: &String| (channel.to_owned(), user.clone(), thread.map(str::to_owned));
        match turn {
            TypingHeard::One { user, is_typing, timestamp } => {
                let about = format!("{channel}/{user}");
                let edge = if *is_typing { "typing:start" } else { "typing:stop" };
                session.expect_mirrors(&[edge, "message:typing"], &about, None);
                let subject = subject(user);
                if *is_typing && !self.signs.is_from_another(&subject, seat) {
                    return Err(format!(
                        "{seat:?} hears {turn:?} in {channel}, of which nobody else gave a sign"
                    ));
                }
                let told = match *is_typing {
                    true => self.signs.told.insert((serial, subject.clone()), *timestamp),
                    false => self.signs.told.remove(&(serial, subject.clone())),
                };
                if *is_typing && told == Some(*timestamp) && *user != session.user {
                    return Err(format!("{seat:?} hears {turn:?} in {channel} twice"));
                }
                if *is_typing {
                    self.signs.heard.insert((serial, subject.clone()));
                }
                // What a user's own devices say of it crosses what they hear: nobody shows the own typing.
                match *is_typing && *user != session.user {
                    true => session.typists.insert(subject),
                    false => session.typists.remove(&subject),
                };
            }
            TypingHeard::All { users } => {
                let of_thread = |known: &Subject| known.0 == channel && known.2.as_deref() == thread;
                session.typists.retain(|known| !of_thread(known));
                let all = users.iter().map(subject).collect::<Vec<_>>();
                if let Some(unsigned) = all.iter().find(|known| !self.signs.seats.contains_key(known)) {
                    return Err(format!("{unsigned:?} never typed"));
                }
                self.signs.heard.extend(all.iter().map(|known| (serial, known.clone())));
                let own = session.user.clone();
                session.typists.extend(all.into_iter().filter(|(_, user, _)| *user != own));
            }
        }
        Ok(())
    }

    /// Nothing is on its way: whoever should know has heard that somebody began to type.
    pub(super) fn check_typing_was_told(&self) -> Checked {
        for (subject, witnesses) in &self.signs.due {
            for session in self.sessions.values() {
                let membership = session.memberships.get(&subject.0).map(|known| known.serial);
                let Some(serial) = membership.filter(|serial| witnesses.contains(serial)) else { continue };
                if !self.signs.heard.contains(&(serial, subject.clone())) {
                    return Err(format!("membership {serial} was not told that {subject:?} typed"));
                }
            }
        }
        Ok(())
    }

    /// All who typed have been silent for long enough.
    pub(crate) fn check_typing_is_over(&mut self) -> Checked {
        self.signs.due.clear();
        self.signs.heard.clear();
        for (seat, session) in &self.sessions {
            if let Some(typist) = session.typists.first() {
                return Err(format!("{seat:?} was not told that {typist:?} stopped"));
            }
        }
        Ok(())
    }
}

impl Signs {
    /// A membership has lost its connection: what it was to hear is lost with it.
    pub(super) fn excuse(&mut self, serial: u64) {
        for witnesses in self.due.values_mut() {
            witnesses.retain(|witness| *witness != serial);
        }
    }

    fn is_from_another(&self, subject: &Subject, seat: Seat) -> bool {
        self.seats.get(subject).is_some_and(|seats| seats.iter().any(|signer| *signer != seat))
    }
}
