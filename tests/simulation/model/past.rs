//! What somebody who was away is told: all that was asked for or an honest no; what was missed, in order and once, with
//! the number of what is lost.

use std::rc::Rc;

use serde_json::Value;

use super::members::canonical;
use super::{Checked, Model, Session};
use crate::client::{Seat, Since};
use crate::heard::{self, Position, Sort, Told};

/// Where a user stopped reading a channel.
#[derive(Clone, Debug)]
pub(super) struct Absence {
    pub(super) since: Stopped,
    pub(super) end_ms: u64,
    /// The session whose join is to tell it.
    pub(super) asked_by: Option<Seat>,
}

/// How it is known where somebody stopped.
#[derive(Clone, Debug)]
pub(super) enum Stopped {
    After {
        epoch: Rc<str>,
        offset: u64,
    },
    /// Nobody knows exactly: everything from this instant on is told, in wall clock milliseconds, and at least
    /// everything after this offset.
    AtLeast {
        epoch: Rc<str>,
        offset: u64,
        unix_ms: u64,
    },
    /// The session was another device's before.
    Somewhere,
}

/// What a join must be told of the past.
#[derive(Clone, Debug)]
pub(super) enum Past {
    None,
    Asked(Since),
    Missed(Absence),
}

/// A question about the messages of a channel.
#[derive(Clone, Debug)]
pub(super) struct Sync {
    pub(super) channel: String,
    pub(super) since: Option<Since>,
    pub(super) limit: usize,
}

impl Model {
    /// Notes where the user of a session stops reading, in channels where no other session of the user is.
    pub(super) fn note_absences(&mut self, session: &Session, has_timed_out: bool) {
        if self.limits.offline_life_ms == 0 {
            return;
        }
        let end_ms = self.now_ms() + self.limits.offline_life_ms;
        for (channel, membership) in &session.memberships {
            let key = (session.user.clone(), channel.clone());
            let reads = |other: &Session| {
                let place = other.memberships.get(channel).map(|known| known.place.is_some());
                other.user == session.user && place == Some(true)
            };
            let Some(place) = &membership.place else { continue };
            if self.sessions.values().any(reads) {
                continue;
            }
            let (epoch, offset) = (place.epoch.clone(), place.last);
            let unix_ms = self.now.unix_ms.saturating_sub(self.limits.session_timeout_ms);
            let since = match has_timed_out {
                _ if place.is_open => Stopped::Somewhere,
                true => Stopped::AtLeast { epoch, offset, unix_ms },
                false => Stopped::After { epoch, offset },
            };
            let absence = Absence { since, end_ms, asked_by: None };
            self.absences.entry(key).or_insert(absence).end_ms = end_ms;
        }
    }

    /// What a join without a question of its own must be told: what its user missed, unless another session's join is
    /// about to.
    pub(super) fn past_of(&mut self, seat: Seat, user: &str, channel: &str) -> Past {
        let is_waiting = |other: &Session| {
            other.memberships.get(channel).is_some_and(|membership| membership.place.is_none())
        };
        let Some(absence) = self.absences.get_mut(&(user.to_owned(), channel.to_owned())) else {
            return Past::None;
        };
        let other = absence.asked_by.filter(|other| *other != seat);
        if other.and_then(|other| self.sessions.get(&other)).is_some_and(is_waiting) {
            return Past::None;
        }
        absence.asked_by = Some(seat);
        Past::Missed(absence.clone())
    }

    /// What the answer to a join says of the past. With an acknowledgement, the answer to a `since` is there alone.
    pub(super) fn check_past(
        &mut self,
        expected: &Past,
        told: &heard::Past,
        channel: &str,
        position: &Position,
        is_answer: bool,
    ) -> Checked {
        let channel = canonical(channel);
        match (expected, told.missed, &told.recovered) {
            (Past::None, None, None) => Ok(()),
            (Past::Asked(since), None, Some((is_complete, all))) if is_answer => {
                match is_complete {
                    true => self.counts.recovered += 1,
                    false => self.counts.recovered_not += 1,
                }
                self.check_recovered(since, *is_complete, all, channel, position)
            }
            (Past::Asked(_), None, None) if !is_answer => Ok(()),
            (Past::Missed(absence), Some((count, lost)), None) => {
                self.counts.lost += lost;
                self.check_missed(absence, count, lost, channel, position)
            }
            // The time for it may have been over.
            (Past::Missed(absence), None, None) if absence.end_ms <= self.now_ms() => Ok(()),
            _ => Err(format!("told {told:?} of {channel} instead of {expected:?}")),
        }
    }

    fn check_missed(
        &self,
        absence: &Absence,
        count: u64,
        lost: u64,
        channel: &str,
        position: &Position,
    ) -> Checked {
        let error =
            || format!("{count} missed and {lost} lost in {channel} at {position:?}, since {absence:?}");
        let (epoch, offset, heard_ms) = match &absence.since {
            Stopped::Somewhere => return Ok(()),
            Stopped::After { epoch, offset } => (epoch, *offset, None),
            Stopped::AtLeast { epoch, offset, unix_ms } => (epoch, *offset, Some(*unix_ms)),
        };
        // Of a channel that was forgotten meanwhile, all is new.
        let is_same = **epoch == *position.epoch;
        let (offset, heard_ms) = if is_same { (offset, heard_ms) } else { (0, None) };
        let before = position.offset.checked_sub(count).ok_or_else(error)?;
        let is_kept = self.is_kept(channel, &position.epoch, offset, position.offset);
        let is_honest = if lost > 0 { is_kept != Some(true) } else { is_kept != Some(false) };
        let is_right = match heard_ms.filter(|_| before < offset) {
            None => offset + lost == before,
            Some(heard_ms) => {
                let last_before = self.publications.at(channel, &position.epoch, before);
                let first = self.publications.at(channel, &position.epoch, before + 1);
                lost == 0
                    && first.is_none_or(|first| first > heard_ms)
                    && last_before.is_none_or(|last| {
                        let after = before.saturating_sub(1);
                        let is_kept = self.is_kept(channel, &position.epoch, after, position.offset);
                        last <= heard_ms || is_kept != Some(true)
                    })
            }
        };
        if is_right && is_honest { Ok(()) } else { Err(error()) }
    }

    fn check_recovered(
        &mut self,
        since: &Since,
        is_complete: bool,
        all: &[Told],
        channel: &str,
        position: &Position,
    ) -> Checked {
        let error = format!("recovered {is_complete} from {since:?} to {position:?} of {channel}: {all:?}");
        for told in all {
            self.publications.delivered(told, Some(&position.epoch))?;
        }
        let offsets: Vec<u64> = all.iter().filter_map(|told| told.stamp.offset).collect();
        let first = offsets.first().copied().unwrap_or(position.offset + 1);
        let is_gapless = offsets.iter().copied().eq(first..=position.offset);
        let start = match since {
            Since::Position { epoch, .. } if *epoch != position.epoch => None,
            Since::Position { offset, .. } => Some(*offset).filter(|offset| *offset <= position.offset),
            Since::Message(id) => self.publications.offset_of(channel, &position.epoch, id),
            Since::Time(_) => Some(first - 1),
        };
        if let Since::Time(unix_ms) = since {
            let before = self.publications.at(channel, &position.epoch, first - 1);
            let is_from_there = all.first().is_none_or(|told| told.stamp.timestamp > *unix_ms)
                && before.is_none_or(|timestamp| timestamp <= *unix_ms);
            let is_right = if is_complete { is_gapless && is_from_there } else { all.is_empty() };
            return if is_right { Ok(()) } else { Err(error) };
        }
        let is_kept = start.map(|start| self.is_kept(channel, &position.epoch, start, position.offset));
        let is_message = matches!(since, Since::Message(_));
        let is_right = match (is_complete, start) {
            (true, Some(start)) => is_gapless && first == start + 1 && is_kept != Some(Some(false)),
            (true, None) => false,
            // Of a message, too, the publication itself must be kept.
            (false, _) => all.is_empty() && (is_message || is_kept != Some(Some(true))),
        };
        if is_right { Ok(()) } else { Err(error) }
    }

    /// Whether the history has everything after an offset; nothing if nobody can tell.
    fn is_kept(&self, channel: &str, epoch: &str, after: u64, last: u64) -> Option<bool> {
        if after == last {
            return Some(true);
        }
        if last - after > self.limits.history_size_max as u64 {
            return Some(false);
        }
        let sent_ms = self.publications.sent_ms(channel, epoch, after + 1)?;
        (sent_ms + self.limits.history_life_ms > self.now_ms()).then_some(true)
    }

    pub(super) fn hear_synced(&mut self, sync: &Sync, body: &Value) -> Checked {
        let data = &body["data"];
        let error = || format!("{sync:?} is answered with {body}");
        let all = heard::listed(data).filter(|_| body["success"] == true).ok_or_else(error)?;
        let (Some(is_complete), Some(has_more)) = (data["recovered"].as_bool(), data["hasMore"].as_bool())
        else {
            return Err(error());
        };
        let epoch = data["epoch"].as_str().unwrap_or_default();
        let last = data["offset"].as_u64().unwrap_or(0);
        for told in &all {
            self.publications.delivered(told, Some(epoch))?;
        }
        let offsets: Vec<u64> = all.iter().filter_map(|told| told.stamp.offset).collect();
        let is_fine = all.len() <= sync.limit
            && all.iter().all(|told| told.kind == Sort::Message && told.channel == sync.channel)
            && offsets.windows(2).all(|pair| pair[0] < pair[1])
            && offsets.iter().all(|offset| *offset <= last)
            && (!has_more || all.len() == sync.limit || sync.since.is_none());
        let start = match &sync.since {
            Some(Since::Position { epoch: asked, offset }) if *asked == epoch => Some(*offset),
            _ => offsets.first().map(|first| first - 1),
        };
        // Between what is told, and up to the end if there is no more, may only be what is no message.
        let (Some(start), true) = (start, is_fine) else {
            return if is_fine { Ok(()) } else { Err(error()) };
        };
        let end = if has_more { offsets.last().copied().unwrap_or(start) } else { last };
        let mut between = (start + 1..=end).filter(|offset| !offsets.contains(offset));
        let is_skipped = |offset| self.publications.is_message_at(&sync.channel, epoch, offset);
        let starts_early = offsets.first().is_some_and(|first| *first <= start);
        if is_complete && (starts_early || between.any(is_skipped)) { Err(error()) } else { Ok(()) }
    }
}
