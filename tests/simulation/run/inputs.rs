//! What cores are given, one input at a time, and what their sessions hear of it.

use std::sync::Arc;

use core_shards::access::question::Outcome;
use core_shards::mail::Revocation;
use core_shards::{Ending, Identity, MailClass, Newcomer, Resume, UserId, Verdict};
use protocol::codes::{CloseReason, ErrorCode};

use super::World;
use crate::client::{Cursor, Intent, Line, Packet, Seat};
use crate::heard::hear;
use crate::model::{Arrival, Checked, TICK_MS, Wanted};
use crate::node::{Input, Node};
use crate::schedule::{CHANNELS, Return, USERS, display_name};

impl Node {
    /// The core that has the sessions of a user.
    pub(super) fn home_of(&self, user: usize) -> usize {
        self.placement.home_of_user(USERS[user]).index()
    }
}

impl World {
    pub(super) fn open(&mut self, core: usize, from: usize, class: MailClass) -> Checked {
        let letter = self.node.lanes.take(from, core, class).ok_or("a letter that was seen is gone")?;
        self.model.letter(core, &letter);
        self.give(core, Input::Letter(letter, from))
    }

    /// A device's core takes the next thing from its socket.
    pub(super) fn serve(&mut self, index: usize) -> Checked {
        let device = &mut self.devices[index];
        let user = device.user;
        match device.line {
            Line::Away => Ok(()),
            Line::Arriving { core } => {
                self.notice_absence(user)?;
                let arrival = self.arrival(index);
                let seat = self.slots.take(core);
                self.coverage.slots_reused += u64::from(seat.generation > 0);
                self.devices[index].line = Line::Connected(seat);
                self.model.connect(seat, &arrival);
                self.give(core, Input::Connect(seat, newcomer(&arrival)))
            }
            Line::Connected(seat) => match device.pipe.pop_front() {
                Some(packet) => self.read(seat, user, &packet),
                None => Ok(()),
            },
        }
    }

    /// The end of a connection that its device has given up.
    pub(super) fn serve_stump(&mut self, index: usize, stump: usize) -> Checked {
        let device = &mut self.devices[index];
        let (user, seat) = (device.user, device.stumps[stump].seat);
        if let Some(packet) = device.stumps[stump].pipe.pop_front() {
            return self.read(seat, user, &packet);
        }
        device.stumps.remove(stump);
        self.slots.release(seat);
        let ending = match self.schedule.choose(6) {
            0 => Ending::Left,
            1 => Ending::TimedOut,
            _ => Ending::Lost,
        };
        self.model.disconnect(seat, ending);
        self.give(seat.core, Input::Disconnect(seat, ending))
    }

    /// A node looks at its clock when something ends: before a user whose grace is over does anything, it has.
    fn notice_absence(&mut self, user: usize) -> Checked {
        while self.model.is_in_doubt(USERS[user]) {
            self.advance(TICK_MS * 1000, 0);
            self.look_at_clock(self.node.home_of(user))?;
        }
        Ok(())
    }

    /// How a device comes back.
    fn arrival(&mut self, index: usize) -> Arrival {
        let way = self.schedule.comes_back();
        let other = self.schedule.choose(self.devices.len());
        let said = if self.schedule.chance(1, 5) { Some(self.schedule.status()) } else { None };
        let said = said.filter(|_| self.schedule.limits.presence_enabled);
        let device = &self.devices[index];
        let own = &device.memory;
        let wanted = |pid: &Option<String>, cursor: &Option<Cursor>, is_own: bool| {
            let (pid, cursor) = (pid.clone()?, cursor.clone()?);
            let is_lent = own.lent.as_ref() == Some(&pid);
            Some(Wanted { pid, cursor, places: is_own.then(|| own.places.clone()), is_lent })
        };
        let resume = match way {
            Return::Anew => None,
            Return::Resuming => wanted(&own.pid, &own.cursor, true),
            Return::WithOldCursor => own.earlier.as_ref().and_then(|earlier| {
                let wanted = wanted(&earlier.pid, &earlier.cursor, true)?;
                Some(Wanted { places: Some(earlier.places.clone()), ..wanted })
            }),
            Return::AsAnother => wanted(&self.devices[other].memory.pid, &own.cursor, other == index),
            Return::WithNonsense => {
                let text = ["", "c0.1.ZZZZZZZZ", "x", "m0.0.00000000"][self.schedule.choose(4)];
                let cursor = Some(Cursor { text: text.to_owned(), handed_ms: None });
                wanted(&own.pid, &cursor, true)
            }
        };
        self.coverage.old_cursors += u64::from(way == Return::WithOldCursor && resume.is_some());
        self.coverage.foreign_pids += u64::from(way == Return::AsAnother && resume.is_some());
        let device = &mut self.devices[index];
        if let Some(wanted) = resume.as_ref().filter(|wanted| wanted.places.is_none()) {
            device.memory.lent = Some(wanted.pid.clone());
        }
        let (user, dialect, takes_cursor) = (USERS[device.user], device.dialect, device.takes_cursor);
        Arrival { user, dialect, takes_cursor, said, resume }
    }

    fn read(&mut self, seat: Seat, user: usize, packet: &Packet) -> Checked {
        if matches!(packet.intent, Intent::Say { .. }) {
            self.notice_absence(user)?;
        }
        self.model.packet(seat, packet);
        let Intent::Refresh { is_same_user } = packet.intent else {
            return self.give(seat.core, Input::Packet(seat, packet));
        };
        let verdict = match is_same_user {
            true => Ok(identity(USERS[user])),
            false if self.schedule.random.bool() => Ok(identity("somebody else")),
            false => Err((ErrorCode::AuthenticationFailed, "no token of ours")),
        };
        self.give(seat.core, Input::Refresh(seat, verdict, packet.ack))
    }

    /// Somebody outside answers one of the questions that wait, not always the first.
    pub(super) fn decide(&mut self) -> Checked {
        if self.questions.is_empty() {
            return Ok(());
        }
        let question = self.questions.swap_remove(self.schedule.choose(self.questions.len()));
        let is_allowed = self.schedule.chance(2, 3);
        let ttl_ms = [0, 40, 60_000, 60_000][self.schedule.choose(4)];
        let outcome = if is_allowed { Outcome::Allowed } else { Outcome::Denied };
        let verdict = Verdict { is_allowed, ttl_ms, outcome };
        self.model.verdict(&question, &verdict);
        self.give(question.core.index(), Input::Verdict(question, verdict))
    }

    /// A back end says that rights have changed.
    pub(super) fn revoke(&mut self) -> Checked {
        let user = self.schedule.choose(self.schedule.user_count);
        let user = self.schedule.chance(2, 3).then(|| UserId::from(USERS[user]));
        let channel = CHANNELS[self.schedule.choose(CHANNELS.len())];
        let channel = self.schedule.chance(1, 2).then(|| Arc::from(channel));
        let core = self.schedule.choose(self.node.core_count());
        let revocation = Revocation { user: user.clone(), channel: channel.clone() };
        self.model.counts.revocations_due += self.node.core_count() as u64;
        self.model.revoke(core, &revocation);
        self.coverage.revocations += 1;
        self.give(core, Input::Revocation(user, channel))
    }

    /// One input for one core, and everything that its sessions hear of it.
    pub(super) fn give(&mut self, core: usize, input: Input<'_>) -> Checked {
        self.trace.input(core, &input);
        let live_slots = self.slots.taken(core);
        if self.node.faults.needs_audience() {
            self.node.faults.audience = self.model.audience();
        }
        let was_struck = self.node.faults.struck.is_some();
        let effects = self.node.handle(core, input, &live_slots, self.now)?;
        if let Some(struck) = self.node.faults.struck.as_ref().filter(|_| !was_struck) {
            self.trace.note(|| format!("the fault strikes: {struck}"));
        }
        for delivered in effects.delivered {
            self.trace.frames(core, &delivered);
            let packets = hear(&delivered.frames)?;
            for slot in delivered.slots {
                let Some(seat) = self.slots.seat(core, slot) else {
                    return Err(format!("slot {slot} of core {core} is free and is sent {packets:?}"));
                };
                for (heard, cursor) in &packets {
                    self.model.hear(seat, heard, cursor.as_deref())?;
                }
            }
        }
        for question in effects.questions {
            self.model.hear_question(&question)?;
            self.questions.push(question);
        }
        for (session, reason) in effects.closes {
            let seat = Seat { core, slot: session.slot, generation: session.generation };
            self.close(seat, reason)?;
        }
        self.model.input_is_over()
    }

    /// The node closes a connection: its device notices, if it is still there.
    fn close(&mut self, seat: Seat, reason: CloseReason) -> Checked {
        if reason != CloseReason::Evicted {
            return Err(format!("{seat:?} is closed as {reason:?}"));
        }
        self.model.hear_close(seat)?;
        if let Some(device) = self.devices.iter_mut().find(|device| device.line == Line::Connected(seat)) {
            device.hang_up(seat, 0);
        }
        Ok(())
    }
}

fn newcomer(arrival: &Arrival) -> Newcomer {
    let wanted = arrival.resume.as_ref();
    Newcomer {
        identity: identity(arrival.user),
        dialect: arrival.dialect,
        takes_cursor: arrival.takes_cursor,
        resume: wanted.map(|wanted| Resume {
            pid: wanted.pid.as_str().into(),
            offset: wanted.cursor.text.as_str().into(),
        }),
        said: arrival.said,
    }
}

fn identity(user: &str) -> Identity {
    Identity {
        user: UserId::from(user),
        session: None,
        name: display_name(user).map(Arc::from),
        roles: Box::new([]),
        grants: None,
        expires_at_unix_ms: None,
    }
}
