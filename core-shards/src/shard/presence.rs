//! Who is there, and who hears of it. A user's home makes one status of all devices and tells every core; each core
//! tells those of its sessions that share a channel with the user or follow the user, once each. In big channels the
//! home of the channel tells instead, in batches.

use std::sync::Arc;

use smallvec::SmallVec;

use protocol::chat::dialect::Style;
use protocol::chat::event::{self, PresenceNote};
use protocol::chat::request::{PresenceUpdate, Refusal};
use protocol::chat::status::Status;

use super::Shard;
use super::rates::RateClass;
use super::sessions::Session;
use super::standing::{Saying, Update};
use crate::Now;
use crate::ids::{ChannelName, CoreId, SessionId, UserId};
use crate::mail::{Joined, Mail, PresenceChange, Standpoint};
use crate::metrics::EventClass;
use crate::outputs::Outputs;

impl Shard {
    /// A session says how its user is. Saying the same again is a sign of life, free and silent.
    pub(super) fn update_presence(
        &mut self,
        id: SessionId,
        request: &PresenceUpdate<'_>,
        ack: Option<u64>,
        now: Now,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let (user, before) = (session.user, session.said);
        let saying = match &request.custom {
            None => Saying::Same,
            Some(custom) => custom.to_status().map_or(Saying::Nothing, Saying::This),
        };
        let update = Update { before, status: request.status, saying };
        if self.limits.presence_enabled && !self.users.at(user).standing.is_heartbeat(&update) {
            self.spend(user, RateClass::Presence, now).map_err(|exceeded| self.too_often(exceeded))?;
            if let Some(session) = self.sessions.get_mut(id) {
                session.said = Some(request.status);
            }
            self.say(user, Some(id), update, now, out);
            self.tell_devices(user, true, now);
            self.look_at_user(user, now);
        }
        if let Some(ack) = ack {
            out.send(id, |frame| event::push_plain_ack(frame, ack));
        }
        Ok(())
    }

    /// A device says how its user is; others hear of it if it changes what they see.
    pub(super) fn say(
        &mut self,
        user: u32,
        acting: Option<SessionId>,
        update: Update,
        now: Now,
        out: &mut Outputs,
    ) {
        // What a lost device said last does not weigh against what is said now.
        self.users.at_mut(user).discount_detached(now.monotonic_ms());
        let said = self.said_everywhere(user, now);
        let (is_status, is_custom) = (update.before != Some(update.status), update.saying != Saying::Same);
        let is_new = self.users.at_mut(user).standing.update(update, said, now.unix_ms);
        self.stamp_choices(user, is_status, is_custom, now);
        if is_new {
            self.tell_presence(user, acting, now, out);
        }
    }

    /// How others see a user whose home this is.
    pub(super) fn standpoint(&self, user: u32, now: Now) -> Standpoint {
        let visible = self.users.at(user).standing.visible(now.unix_ms);
        Standpoint {
            status: visible.status,
            custom: visible.custom.map(|custom| Arc::new(custom.clone())),
            last_seen_unix_ms: visible.last_seen_unix_ms,
        }
    }

    /// Tells every core how a user of this core is from now on.
    pub(super) fn tell_presence(
        &mut self,
        user: u32,
        acting: Option<SessionId>,
        now: Now,
        out: &mut Outputs,
    ) {
        if !self.limits.presence_enabled {
            return;
        }
        self.metrics.presence_updates.increment();
        self.recount(user, now);
        let (id, channels) = (self.users.at(user).id.clone(), self.channels_of(user));
        self.post_presence(id, self.standpoint(user, now), channels, false, acting, out);
    }

    /// Counts a user under the status that others see.
    pub(super) fn recount(&mut self, user: u32, now: Now) {
        let counts_here = !self.placement.is_joined() || !self.said(user, now).is_empty();
        self.metrics.count_shown(self.users.at_mut(user).standing.recount(counts_here));
    }

    /// Tells the members of a channel that a user of this core comes. It goes the way that changes go, so that whoever
    /// hears of both hears of them in their order.
    pub(super) fn tell_arrival_of(
        &mut self,
        id: Option<SessionId>,
        user: u32,
        channel: ChannelName,
        now: Now,
        out: &mut Outputs,
    ) {
        let standpoint = self.standpoint(user, now);
        if self.limits.presence_enabled && standpoint.status != Status::Offline {
            let user = self.users.at(user).id.clone();
            self.post_presence(user, standpoint, Box::new([channel]), true, id, out);
        }
    }

    fn post_presence(
        &mut self,
        user: UserId,
        standpoint: Standpoint,
        channels: Box<[ChannelName]>,
        is_arrival: bool,
        acting: Option<SessionId>,
        out: &mut Outputs,
    ) {
        self.change_number += 1;
        let number = self.change_number;
        let change = Arc::new(PresenceChange { user, number, standpoint, channels, is_arrival, acting });
        for core in 0..self.placement.core_count() {
            self.post(CoreId(core), Mail::Presence(change.clone()), out);
        }
    }

    /// The channels that a user's sessions are in, lost ones and those on other nodes included.
    fn channels_of(&self, user: u32) -> Box<[ChannelName]> {
        let here = self.rooms_of_user(user);
        let mut channels: Vec<ChannelName> =
            here.into_iter().map(|room| self.rooms.at(room).channel.clone()).collect();
        if self.elsewhere.has(user) {
            channels.extend(self.channels_elsewhere(user));
            channels.sort_unstable();
            channels.dedup();
        }
        channels.into()
    }

    /// The rooms that a user's sessions are in, lost ones included.
    pub(super) fn rooms_of_user(&self, user: u32) -> Vec<u32> {
        let mut rooms: Vec<u32> = self
            .sessions_of(user)
            .flat_map(|session| session.memberships.iter().map(|membership| membership.room))
            .collect();
        rooms.sort_unstable();
        rooms.dedup();
        rooms
    }

    /// A user's sessions, lost ones included.
    pub(super) fn sessions_of(&self, user: u32) -> impl Iterator<Item = &Session> {
        let user = self.users.at(user);
        let live = user.sessions.iter().filter_map(|slot| self.sessions.at(*slot));
        live.chain(user.detached().iter().map(|detached| &*detached.session))
    }

    /// Whether any session of a user, be it a lost one, is in a room or about to be.
    pub(super) fn is_in_room(&self, user: u32, room: u32) -> bool {
        self.sessions_of(user).any(|session| session.membership(room).is_some())
    }

    /// A user's presence changed: the channels at home here note it, the sessions here that care hear of it.
    pub(super) fn handle_presence(
        &mut self,
        from: CoreId,
        change: &Arc<PresenceChange>,
        now: Now,
        out: &mut Outputs,
    ) {
        for channel in &change.channels {
            self.note_presence_at_home(channel, change, now, out);
        }
        self.tidings.note(from, change, now.monotonic_ms());
        let mut slots: Vec<u32> = Vec::new();
        for channel in &change.channels {
            let Some(index) = self.rooms.find(channel, &self.placement) else { continue };
            let room = self.rooms.at(index);
            if !room.is_big {
                slots.extend(room.slots());
            }
        }
        if !change.is_arrival {
            self.add_watchers(from, &change.user, &mut slots);
        }
        let acting = change.acting.filter(|_| from == self.core);
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|slot| Some(*slot) != acting.map(|acting| acting.slot));
        self.send_presence(&slots, change, out);
    }

    /// Adds the sessions that hear of a user wherever they are: those that follow it, and its own.
    fn add_watchers(&self, from: CoreId, user: &UserId, slots: &mut Vec<u32>) {
        if let Some(followed) = self.followers.find(user, &self.placement) {
            slots.extend_from_slice(&self.followers.at(followed).slots);
        }
        if from == self.core
            && let Some(user) = self.users.find(user, &self.placement)
        {
            // The user's other devices show the same.
            slots.extend_from_slice(&self.users.at(user).sessions);
        }
    }

    /// Sends one user's presence to sessions of this core, in the style that each reads.
    fn send_presence(&mut self, slots: &[u32], change: &PresenceChange, out: &mut Outputs) {
        if slots.is_empty() {
            return;
        }
        let channel = change.arrival();
        let key = self.note_key("presence", channel.unwrap_or_default(), &change.user, "");
        let mut readers: [SmallVec<[u32; 8]>; Style::COUNT] = Default::default();
        for slot in slots {
            if let Some(session) = self.sessions.at(*slot) {
                readers[session.direct_style() as usize].push(*slot);
            }
        }
        let mut frame = Vec::new();
        for (style, readers) in Style::ALL.into_iter().zip(&readers) {
            if !readers.is_empty() {
                frame.clear();
                event::push_presence(&mut frame, style, &note_of(&change.user, &change.standpoint, channel));
                self.metrics.volatile_encodes.increment();
                self.metrics.delivered[EventClass::Presence as usize].add(readers.len() as u64);
                out.broadcast_volatile(&frame, readers, key);
            }
        }
    }

    /// Tells a session that has its list of members now what this core heard before, and the list did not know.
    pub(super) fn tell_unheard(&self, id: SessionId, user: u32, joined: &Joined, out: &mut Outputs) {
        let Some(room) = self.rooms.get(joined.room).filter(|room| !room.is_big) else { return };
        let own = &self.users.at(user).id;
        let is_its = |change: &&Arc<PresenceChange>| {
            // The user's own devices hear of it without a channel.
            change.user != *own && change.channels.contains(&room.channel)
        };
        self.send_changes(id, self.tidings.unheard(&joined.heard).filter(is_its), out);
    }

    /// Tells a session that was taken up again what changed in its rooms since this core had heard of `count` changes.
    pub(super) fn tell_missed_changes(&self, id: SessionId, count: u64, out: &mut Outputs) {
        let Some(session) = self.sessions.get(id) else { return };
        let is_its = |change: &&Arc<PresenceChange>| {
            let mut rooms = change.channels.iter().filter_map(|name| self.rooms.find(name, &self.placement));
            rooms.any(|room| session.membership(room).is_some())
        };
        self.send_changes(id, self.tidings.after(count).filter(is_its), out);
    }

    fn send_changes<'a>(
        &'a self,
        id: SessionId,
        changes: impl Iterator<Item = &'a Arc<PresenceChange>>,
        out: &mut Outputs,
    ) {
        let style = self.sessions.get(id).map_or(Style::Primary, |session| session.direct_style());
        for change in self.tidings.latest(changes) {
            // Not volatile: there may be more of them than keys may wait for a session that polls.
            let note = note_of(&change.user, &change.standpoint, None);
            out.send(id, |frame| event::push_presence(frame, style, &note));
        }
    }
}

/// A presence as encoders want it.
pub(super) fn note_of<'a>(
    user: &'a str,
    standpoint: &'a Standpoint,
    channel: Option<&'a str>,
) -> PresenceNote<'a> {
    PresenceNote {
        user,
        status: standpoint.status,
        last_seen_unix_ms: standpoint.last_seen_unix_ms,
        custom: standpoint.custom.as_deref(),
        channel,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::trial::{self, Trial, pair, quiet, say, told};
    use super::*;
    use crate::limits::Limits;

    const GRACE_MS: u64 = 30_000;

    #[test]
    fn a_reconnect_within_the_grace_is_no_event() {
        let (mut trial, watcher, watched) = pair(quiet());
        for slot in 2..6 {
            let former = if slot == 2 { watched } else { SessionId { slot: slot - 1, generation: slot - 1 } };
            trial.disconnect(former);
            trial.pass_slowly(GRACE_MS - 2_000);
            let session = trial.connect(slot, "7", None);
            assert_eq!(session.generation, slot);
            trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
        }
        trial.pass_slowly(GRACE_MS * 5);
        assert!(told(&mut trial, watcher, "7").is_empty());
    }

    #[test]
    fn who_stays_away_is_offline_once() {
        let (mut trial, watcher, watched) = pair(quiet());
        let lost_unix_ms = trial.now.unix_ms;
        trial.end(watched, Ending::Left);
        trial.pass_slowly(GRACE_MS - 1_000);
        assert!(told(&mut trial, watcher, "7").is_empty());
        trial.pass_slowly(2_000);
        let heard = trial.inbox(watcher);
        let packet = trial::of(&heard, "presence");
        assert_eq!(packet.len(), 1, "{heard:?}");
        assert_eq!(trial::text(packet[0], "status"), "offline");
        let mut last_seen = String::new();
        let mut bytes = Vec::new();
        protocol::chat::time::push_iso(&mut bytes, lost_unix_ms);
        last_seen.push_str(&String::from_utf8(bytes).unwrap());
        assert_eq!(trial::text(packet[0], "lastSeen"), last_seen);
        trial.pass_slowly(600_000);
        assert!(told(&mut trial, watcher, "7").is_empty());
    }

    #[test]
    fn without_a_grace_a_loss_is_told_at_once() {
        for window_ms in [0, 120_000] {
            let limits = Limits { presence_grace_ms: 0, recovery_window_ms: window_ms, ..quiet() };
            let (mut trial, watcher, watched) = pair(limits);
            trial.end(watched, Ending::Lost);
            assert_eq!(told(&mut trial, watcher, "7"), ["offline"], "{window_ms}");
            trial.pass_slowly(window_ms + 1_000);
            assert!(told(&mut trial, watcher, "7").is_empty());
            assert_eq!(trial.shard.holdings().detached, 0);
        }
    }

    #[test]
    fn the_acting_socket_hears_nothing_and_the_other_devices_do() {
        let (mut trial, watcher, watched) = pair(quiet());
        let laptop = trial.connect(2, "7", None);
        assert!(trial::of(&trial.inbox(laptop), "presence").is_empty(), "who connects knows it");
        say(&mut trial, watched, "dnd");
        assert_eq!(told(&mut trial, watcher, "7"), ["dnd"]);
        assert_eq!(told(&mut trial, laptop, "7"), ["dnd"]);
        assert!(told(&mut trial, watched, "7").is_empty());
        say(&mut trial, watched, "dnd");
        assert!(told(&mut trial, watcher, "7").is_empty(), "nothing changed");
    }

    #[test]
    fn whoever_shares_two_channels_and_follows_is_told_once() {
        let (mut trial, watcher, watched) = pair(quiet());
        for session in [watcher, watched] {
            trial.join(session, "b");
        }
        trial.event(watcher, r#"["presence:subscribe",{"userIds":["7"]}]"#, None);
        trial.inbox(watcher);
        say(&mut trial, watched, "away");
        assert_eq!(told(&mut trial, watcher, "7"), ["away"]);
    }

    #[test]
    fn changes_are_kept_while_somebody_is_lost_and_no_longer() {
        let (mut trial, watcher, watched) = pair(quiet());
        say(&mut trial, watched, "away");
        assert_eq!(trial.shard.holdings().tidings, 0, "everybody heard of it");
        trial.disconnect(watcher);
        say(&mut trial, watched, "dnd");
        assert_eq!(trial.shard.holdings().tidings, 1);
        trial.pass_slowly(GRACE_MS + 1_000);
        say(&mut trial, watched, "online");
        assert_eq!(trial.shard.holdings().tidings, 0);
    }

    #[test]
    fn who_hides_is_nowhere_to_be_seen() {
        let mut trial = Trial::new(Limits { tells_joins: true, ..quiet() });
        let (watcher, hidden) = (trial.connect(0, "8", None), trial.connect(1, "7", None));
        say(&mut trial, hidden, "invisible");
        trial.join(watcher, "a");
        trial.event(watcher, r#"["presence:subscribe",{"userIds":["7"]}]"#, None);
        assert!(trial.inbox(watcher).concat().contains(r#""userId":"7","status":"offline""#));
        let joined = trial.event(hidden, r#"["channel:join",{"channelId":"a"}]"#, Some(1)).concat();
        assert!(joined.contains(r#""userId":"7","status":"offline""#), "the user sees itself: {joined}");
        trial.say(hidden, "a", "x");
        let heard = trial.inbox(watcher);
        assert!(heard.len() == 1 && heard[0].contains("message"), "{heard:?}");
        trial.event(watcher, r#"["channel:join",{"channelId":"a"}]"#, Some(1));
        let heard = trial.inbox(watcher).concat();
        assert!(heard.contains(r#""memberCount":1"#) && !heard.contains(r#""userId":"7""#), "{heard}");
        assert!(!trial.list("a").contains(r#""7""#));
        trial.disconnect(hidden);
        trial.pass_slowly(600_000);
        assert!(trial.inbox(watcher).is_empty(), "and leaves unseen");
        assert!(!trial.list("a").contains(r#""7""#));
    }

    #[test]
    fn who_hides_after_being_seen_is_offline() {
        let (mut trial, watcher, watched) = pair(quiet());
        say(&mut trial, watched, "offline");
        assert_eq!(told(&mut trial, watcher, "7"), ["offline"]);
        let members = trial.list("a");
        assert!(members.contains(r#""userId":"7","status":"offline""#), "{members}");
        assert!(members.contains(r#""offline":1"#) && members.contains(r#""online":1"#), "{members}");
        say(&mut trial, watched, "online");
        assert_eq!(told(&mut trial, watcher, "7"), ["online"]);
        let members = trial.list("a");
        assert!(members.contains(r#""online":2"#) && members.contains(r#""offline":0"#), "{members}");
    }

    #[test]
    fn a_choice_does_not_outlast_its_user() {
        let (mut trial, watcher, watched) = pair(quiet());
        let custom =
            r#"["presence:update",{"status":"dnd","customStatus":{"text":"x","expiresAt":9999999999999}}]"#;
        trial.event(watched, custom, None);
        trial.disconnect(watched);
        trial.pass_slowly(600_000);
        assert_eq!(trial.shard.holdings().users, 1, "nothing is kept of who is gone");
        trial.inbox(watcher);
        let session = trial.connect(2, "7", None);
        trial.event(session, r#"["channel:join",{"channelId":"a"}]"#, None);
        assert_eq!(told(&mut trial, watcher, "7"), ["online"]);
    }

    #[test]
    fn the_most_available_of_several_devices_is_told() {
        let (mut trial, watcher, phone) = pair(quiet());
        say(&mut trial, phone, "away");
        let laptop = trial.connect(2, "7", None);
        assert_eq!(told(&mut trial, watcher, "7"), ["away", "online"]);
        trial.end(laptop, Ending::Lost);
        assert!(told(&mut trial, watcher, "7").is_empty());
        trial.pass_slowly(GRACE_MS + 1_000);
        assert_eq!(told(&mut trial, watcher, "7"), ["away"]);
        trial.end(phone, Ending::Lost);
        trial.pass_slowly(GRACE_MS + 1_000);
        assert_eq!(told(&mut trial, watcher, "7"), ["offline"]);
    }
}
