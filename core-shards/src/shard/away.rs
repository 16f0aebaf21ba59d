//! Absences that nodes share: where a user stopped reading is kept in the store, so that the next node tells what was
//! missed. What is known here meanwhile is a copy.

use super::Shard;
use super::users::Absence;
use crate::Now;
use crate::ids::{ChannelName, Epoch, Offset, UserId};
use crate::limits::ABSENCES_MAX;
use crate::mail::Since;
use crate::outputs::Outputs;
use crate::store::StoreRequest;

impl Shard {
    /// The user stopped reading these channels.
    pub(super) fn share_absences(&mut self, user: u32, noted: Vec<(ChannelName, Since)>) {
        if self.placement.is_joined() && !noted.is_empty() {
            let channels = noted.into_iter().filter_map(|(channel, since)| Some((channel, written(&since)?)));
            let (user, channels) = (self.users.at(user).id.clone(), channels.collect());
            self.store_requests.push(StoreRequest::NoteAbsences { user, channels });
        }
    }

    /// The user reads a channel again.
    pub(super) fn unshare_absence(&mut self, user: u32, channel: &str) {
        if self.placement.is_joined() {
            let (user, channel) = (self.users.at(user).id.clone(), channel.into());
            self.store_requests.push(StoreRequest::EndAbsence { user, channel });
        }
    }

    /// The store could not take where a user stopped reading: what is known here is all that there is.
    pub(super) fn absences_refused(&mut self, user: &UserId) {
        if let Some(user) = self.users.find(user, &self.placement)
            && !self.users.at(user).absences().is_empty()
        {
            let user = self.users.place(user);
            self.lanes.own_past_mut(user, &self.users).is_unshared = true;
        }
    }

    /// Where the user of a newcomer stopped reading, as far as the store could be asked.
    pub(super) fn hear_absences(
        &mut self,
        ticket: u64,
        channels: Option<Vec<(ChannelName, Vec<u8>)>>,
        now: Now,
        out: &mut Outputs,
    ) {
        if let Some(user) = self.end_asking_anew(ticket) {
            if let Some(channels) = channels.filter(|channels| !channels.is_empty()) {
                self.take_over_absences(&user, channels, now);
                self.users
                    .find(&user, &self.placement)
                    .into_iter()
                    .for_each(|index| self.look_at_user(index, now));
            }
            return;
        }
        let Some((id, newcomer)) = self.end_asking_absences(ticket) else { return };
        if let Some(channels) = channels {
            self.take_over_absences(&newcomer.identity.user, channels, now);
        }
        self.enter_after_absences(id, &newcomer, now, out);
    }

    /// What the store knows takes the place of what was known here, unless the store could not be told.
    pub(super) fn take_over_absences(
        &mut self,
        user: &UserId,
        channels: Vec<(ChannelName, Vec<u8>)>,
        now: Now,
    ) {
        let end_ms = now.monotonic_ms().saturating_add(self.limits.offline_life_ms);
        let known = self.users.find(user, &self.placement);
        if known.is_none() && channels.is_empty() {
            return;
        }
        let index = known.unwrap_or_else(|| self.users.find_or_insert(user, &self.placement));
        let is_unshared = self.lanes.own_past(self.users.place(index)).is_unshared;
        if !is_unshared {
            let is_over = |absence: &Absence| absence.asked_by.is_none();
            self.burden.absences -= self.users.at_mut(index).end_absences(is_over);
        }
        for (channel, since) in channels.into_iter().take(ABSENCES_MAX) {
            let Some(since) = read(&since) else { continue };
            if self.burden.absences < self.limits.memory.absences_max {
                let absence = Absence { channel, since, asked_by: None, end_ms };
                self.burden.absences += usize::from(self.users.at_mut(index).note_absence(absence));
            }
        }
    }
}

/// `p` or `h`, the epoch's letters, the offset, and of `h` the time: numbers big endian.
fn written(since: &Since) -> Option<Vec<u8>> {
    let (kind, epoch, offset, heard) = match since {
        Since::Position(epoch, offset) => (b'p', epoch, offset, None),
        Since::Heard(epoch, offset, unix_ms) => (b'h', epoch, offset, Some(unix_ms)),
        Since::Time(_) | Since::Message(_) | Since::Foreign => return None,
    };
    let mut bytes = vec![kind];
    bytes.extend_from_slice(epoch.as_str().as_bytes());
    bytes.extend(offset.0.to_be_bytes());
    heard.into_iter().for_each(|unix_ms| bytes.extend(unix_ms.to_be_bytes()));
    Some(bytes)
}

fn read(bytes: &[u8]) -> Option<Since> {
    let (kind, rest) = bytes.split_first()?;
    let (epoch, rest) = rest.split_at_checked(Epoch::TEXT_BYTES)?;
    let epoch = Epoch::parse(std::str::from_utf8(epoch).ok()?)?;
    let (offset, rest) = rest.split_first_chunk()?;
    let offset = Offset(u64::from_be_bytes(*offset));
    match (kind, rest) {
        (b'p', []) => Some(Since::Position(epoch, offset)),
        (b'h', rest) => Some(Since::Heard(epoch, offset, u64::from_be_bytes(rest.try_into().ok()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_somebody_stopped_reading_is_read_as_it_was_written() {
        let epoch = Epoch::from_random(7);
        for since in
            [Since::Position(epoch, Offset(9)), Since::Heard(epoch, Offset(u64::MAX), 1_772_359_201_000)]
        {
            let bytes = written(&since).expect("a place is written");
            assert_eq!(read(&bytes), Some(since));
            assert!((0..bytes.len()).all(|end| read(&bytes[..end]).is_none()));
        }
        assert_eq!((written(&Since::Foreign), read(b"x")), (None, None));
    }
}
