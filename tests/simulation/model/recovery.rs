//! Sessions that begin, are lost, and are taken up again: whoever comes back gets everything after what its device got
//! last, once and in order, or begins anew and knows it.

use std::collections::{BTreeMap, BTreeSet};

use core_shards::Ending;
use core_shards::limits::DETACHED_PER_USER_MAX;
use protocol::chat::dialect::Dialect;
use protocol::chat::status::Status;

use super::answers::Expected;
use super::{Checked, Model, Session};
use crate::client::{Cursor, Place, Seat};
use crate::heard::Heard;

/// How finely a node looks at its deadlines, in milliseconds.
pub(crate) const TICK_MS: u64 = 64;

/// Somebody who is about to be let in.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) user: &'static str,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) takes_cursor: bool,
    pub(crate) said: Option<Status>,
    pub(crate) resume: Option<Wanted>,
}

/// The session that a client wants back.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) pid: String,
    pub(crate) cursor: Cursor,
    /// What the device has read, by membership; none if it is another device's session.
    pub(crate) places: Option<BTreeMap<u64, Place>>,
    /// It was another device's session before.
    pub(crate) is_lent: bool,
}

/// Whether a lost session must come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chance {
    Must,
    May,
    Never,
}

/// Somebody whom the node has not answered yet.
#[derive(Debug)]
pub(super) struct Arriving {
    seat: Seat,
    arrival: Arrival,
    chance: Chance,
}

/// A lost session.
#[derive(Debug)]
pub(super) struct Detached {
    pub(super) core: usize,
    pub(super) session: Session,
    /// Until when a client may take it up again.
    resumable_until_ms: u64,
    /// Until when its user counts as present because of it.
    pub(super) present_until_ms: u64,
    pub(super) kept_until_ms: u64,
    /// The node has looked at its clock since the user stopped to count as present.
    pub(super) is_absence_noticed: bool,
}

impl Model {
    /// A session begins, or one is taken up again: the node's first word tells.
    pub(crate) fn connect(&mut self, seat: Seat, arrival: &Arrival) {
        self.acting = Some(seat);
        self.users_of_seats.insert(seat, arrival.user.to_owned());
        let keeps_journal = self.limits.recovery_window_ms > 0;
        let resume = arrival.resume.as_ref().filter(|_| keeps_journal && arrival.takes_cursor);
        if let Some(resume) = resume {
            self.counts.resumes_tried += 1;
            self.evict_predecessor(arrival.user, &resume.pid);
        }
        let chance = resume.map_or(Chance::Never, |resume| self.chance(arrival.user, resume));
        let has_cursor = arrival.takes_cursor && keeps_journal;
        let session = Session::new(arrival.user, arrival.dialect, has_cursor);
        self.sessions.insert(seat, session);
        self.arriving = Some(Arriving { seat, arrival: arrival.clone(), chance });
    }

    fn evict_predecessor(&mut self, user: &str, pid: &str) {
        let is_it = |session: &Session| session.user == user && session.pid.as_deref() == Some(pid);
        let former = self.sessions.iter().find(|(_, session)| is_it(session)).map(|(seat, _)| *seat);
        if let Some(former) = former {
            self.closing.insert(former);
            self.lose(former, Ending::Lost);
        }
    }

    fn find_detached(&self, user: &str, pid: &str) -> Option<usize> {
        self.detached.iter().position(|lost| {
            lost.resumable_until_ms > self.now_ms()
                && lost.session.user == user
                && lost.session.pid.as_deref() == Some(pid)
        })
    }

    fn chance(&self, user: &str, resume: &Wanted) -> Chance {
        if self.find_detached(user, &resume.pid).is_none() {
            return Chance::Never;
        }
        let is_ours = resume.cursor.text.starts_with(['c', 'm']);
        match resume.cursor.handed_ms {
            Some(handed_ms) if handed_ms + self.limits.recovery_window_ms > self.now_ms() => Chance::Must,
            // Whatever fell out of the journal since may have been of no concern to the session.
            _ if is_ours => Chance::May,
            _ => Chance::Never,
        }
    }

    /// The node's first word to a session.
    pub(super) fn hear_connect(&mut self, seat: Seat, sid: &str, pid: Option<&str>) -> Checked {
        let Some(Arriving { arrival, chance, .. }) = self.arriving.take_if(|arriving| arriving.seat == seat)
        else {
            return Err(format!("{seat:?} is let in a second time"));
        };
        let asked = arrival.resume.as_ref().filter(|resume| pid == Some(&*resume.pid));
        self.slip.begins = Some(pid.map(str::to_owned));
        match (asked, chance) {
            (Some(resume), Chance::Must | Chance::May) => self.take_up(seat, &arrival, resume, sid),
            (None, Chance::Never | Chance::May) => self.begin(seat, &arrival, sid, pid),
            _ => Err(format!("{arrival:?} is called {pid:?}, though the session {chance:?} come back")),
        }
    }

    fn begin(&mut self, seat: Seat, arrival: &Arrival, sid: &str, pid: Option<&str>) -> Checked {
        if let Some(resume) = arrival.resume.as_ref().filter(|_| arrival.takes_cursor) {
            self.counts.resumes_refused += 1;
            // Of a session that cannot be told everything, nothing is left.
            let (user, pid) = (arrival.user, &*resume.pid);
            let now_ms = self.now_ms();
            self.give_up_detached(|lost| {
                lost.resumable_until_ms > now_ms
                    && lost.session.user == user
                    && lost.session.pid.as_deref() == Some(pid)
            });
        }
        if !self.sids.insert(sid.to_owned()) {
            return Err(format!("two sessions are called {sid}"));
        }
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        if pid.is_some() != session.has_cursor {
            return Err(format!("{arrival:?} is given {pid:?}"));
        }
        (session.sid, session.pid) = (sid.to_owned(), pid.map(str::to_owned));
        let has_cursor = session.has_cursor;
        session.expected.extend([Expected::Connected { has_cursor }, Expected::Authenticated]);
        self.memberships_made += 1;
        session.own_serial = self.memberships_made;
        self.arrive(seat, arrival.said);
        Ok(())
    }

    fn take_up(&mut self, seat: Seat, arrival: &Arrival, resume: &Wanted, sid: &str) -> Checked {
        let Some(found) = self.find_detached(arrival.user, &resume.pid) else {
            return Err(format!("{resume:?} names nobody"));
        };
        let mut session = self.detached.remove(found).session;
        if session.sid != sid {
            return Err(format!("{} came back as {sid}", session.sid));
        }
        // What another device has got of it nobody knows.
        let is_lent = resume.places.is_none() || resume.is_lent;
        session.was_lent |= is_lent;
        let is_lent = session.was_lent;
        for (channel, membership) in &mut session.memberships {
            let begin = membership.begin.clone();
            let known = resume.places.as_ref().and_then(|places| places.get(&membership.serial).cloned());
            membership.place = known.or(begin.map(|place| Place { is_open: is_lent, ..place }));
            if !is_lent && let Some(place) = &membership.place {
                membership.reads.truncate(place.read_count);
            }
            self.absences.remove(&(session.user.clone(), channel.clone()));
        }
        session.expected.extend([Expected::Connected { has_cursor: false }, Expected::Authenticated]);
        session.was_resumed = true;
        if !is_lent {
            let own_room = resume.places.as_ref().and_then(|places| places.get(&session.own_serial));
            session.own_room.truncate(own_room.map_or(0, |place| place.read_count));
        }
        if !session.followed.is_empty() {
            // How they are now is told without being asked for.
            session.surveys.push(session.followed.clone());
            let followed = &session.followed;
            session.heard_of.retain(|user, _| !followed.contains(user));
        }
        self.sessions.insert(seat, session);
        self.counts.resumes += 1;
        self.is_replaying = true;
        self.arrive(seat, arrival.said);
        Ok(())
    }

    pub(super) fn hear_connected(&mut self, seat: Seat, heard: &Heard, cursor: Option<&str>) -> Checked {
        let expects = |session: &Session| {
            matches!(session.expected.front(), Some(Expected::Connected { has_cursor: true }))
        };
        if self.sessions.get(&seat).is_some_and(expects) != cursor.is_some() {
            return Err(format!("{heard:?} with the cursor {cursor:?}"));
        }
        let handed_ms = Some(self.now_ms());
        self.slip.cursor = cursor.map(|text| Cursor { text: text.to_owned(), handed_ms });
        self.hear_expected(seat, heard)
    }

    /// A connection has ended: nothing may be sent to its slot any more.
    pub(crate) fn disconnect(&mut self, seat: Seat, ending: Ending) {
        if let Some(user) = self.lose(seat, ending) {
            self.settle_standing(&user);
        }
    }

    /// Takes a session out of its seat and keeps it for a time. Returns its user.
    fn lose(&mut self, seat: Seat, ending: Ending) -> Option<String> {
        let mut session = self.sessions.remove(&seat)?;
        self.note_absences(&session, ending == Ending::TimedOut);
        let is_joining = !session.asking.is_empty()
            || session.memberships.values().any(|membership| membership.place.is_none());
        let is_resumable = ending != Ending::Left && session.has_cursor && !is_joining;
        session.memberships.retain(|_, membership| membership.place.is_some());
        for membership in session.memberships.values_mut() {
            membership.types = false;
            self.signs.excuse(membership.serial);
            membership.answers.clear();
        }
        session.forget_connection(is_resumable);
        let now_ms = self.now_ms();
        let grace_ms = if self.limits.presence_enabled { self.limits.presence_grace_ms } else { 0 };
        let window_ms = if is_resumable { self.limits.recovery_window_ms } else { 0 };
        let user = session.user.clone();
        self.detached.push(Detached {
            core: seat.core,
            session,
            resumable_until_ms: now_ms + window_ms,
            present_until_ms: now_ms + grace_ms,
            kept_until_ms: now_ms + grace_ms.max(window_ms),
            is_absence_noticed: grace_ms == 0,
        });
        self.is_anybody_gone = true;
        let mut surplus = self.detached.iter().filter(|lost| lost.session.user == user).count();
        self.detached.retain(|lost| {
            let is_surplus = lost.session.user == user && surplus > DETACHED_PER_USER_MAX;
            surplus -= usize::from(lost.session.user == user);
            !is_surplus
        });
        Some(user)
    }

    /// Lost sessions are given up: their memberships end.
    pub(super) fn give_up_detached(&mut self, is_meant: impl FnMut(&Detached) -> bool) {
        let mut is_meant = is_meant;
        let before = self.detached.len();
        self.detached.retain(|lost| !is_meant(lost));
        self.is_anybody_gone |= self.detached.len() < before;
    }

    /// A core looks at its clock: what was over in the tick before is ended for sure.
    pub(crate) fn end_what_is_over(&mut self, core: usize) {
        let now_ms = self.now_ms();
        let is_noticed = |end_ms: u64| end_ms.div_ceil(TICK_MS) <= now_ms / TICK_MS;
        let mut left = BTreeSet::new();
        for lost in self.detached.iter_mut().filter(|lost| lost.core == core && !lost.is_absence_noticed) {
            lost.is_absence_noticed = is_noticed(lost.present_until_ms);
            left.extend(lost.is_absence_noticed.then(|| lost.session.user.clone()));
        }
        for user in left {
            if !self.counts_as_present(&user)
                && let Some(standing) = self.standings.get_mut(&user)
            {
                standing.forget_choice();
            }
        }
        self.note_standings();
        self.give_up_detached(|lost| lost.core == core && is_noticed(lost.kept_until_ms));
        let placement = self.placement;
        self.absences.retain(|(user, _), absence| {
            placement.home_of_user(user).index() != core || !is_noticed(absence.end_ms)
        });
    }

    /// Whether the node may take a user for present.
    fn counts_as_present(&self, user: &str) -> bool {
        let mut lost = self.detached.iter().filter(|lost| lost.session.user == user);
        lost.any(|lost| !lost.is_absence_noticed)
            || self.sessions.values().any(|session| session.user == user)
    }

    /// Whether a user's grace is over and the user's core has not noticed yet.
    pub(crate) fn is_in_doubt(&self, user: &str) -> bool {
        let now_ms = self.now_ms();
        let is_over = |lost: &&Detached| lost.present_until_ms <= now_ms && !lost.is_absence_noticed;
        self.detached.iter().filter(|lost| lost.session.user == user).any(|lost| is_over(&lost))
    }

    /// Whether something has ended that a core notices at its next look at the clock only.
    pub(crate) fn is_anything_in_doubt(&self) -> bool {
        let now_ms = self.now_ms();
        let is_past = |end_ms: u64| end_ms <= now_ms;
        self.detached.iter().any(|lost| is_past(lost.kept_until_ms) || self.is_in_doubt(&lost.session.user))
            || self.absences.values().any(|absence| is_past(absence.end_ms))
    }
}
