//! Publications: each is accepted once, has one place in one order that all members see, and one receipt however often
//! it is tried again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use core_shards::limits::RETRIES_WAITING_MAX;
use serde_json::Value;

use super::members::spelled;
use super::{Checked, Model};
use crate::client::{Cursor, Draft, Place, Seat};
use crate::heard::{Sort, Stamp, Told};
use crate::schedule::display_name;

/// A publication that the node took on.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) channel: String,
    user: String,
    core: usize,
    sort: Sort,
    pub(super) content: String,
    client_message_id: Option<String>,
    attachments: Vec<Vec<u8>>,
    /// When its sender's core took it, in monotonic milliseconds.
    sent_ms: u64,
    /// Memberships that must see it, if they last.
    pub(super) witnesses: Vec<u64>,
    pub(super) stamp: Option<Stamp>,
    epoch: Option<Rc<str>>,
    /// The cursor behind it, the same for everybody.
    cursor: Option<String>,
    /// When each core handed it out, in monotonic milliseconds, as far as somebody saw it.
    handed_ms: BTreeMap<usize, u64>,
}

/// How long clients may try a message again: the promise, not the node's constant.
pub(crate) const RETRY_RECOGNISED_MS: u64 = 10 * 60_000;

/// What a send turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First(usize),
    Retry(usize),
    /// One retry too many of a message that is on its way.
    Crowded,
}

/// User, channel, `clientMessageId`.
type Key = (String, String, String);

#[derive(Debug)]
struct Remembered {
    publication: usize,
    core: usize,
    end_ms: u64,
    /// The sender's core has heard of its place.
    is_accepted: bool,
    /// Retries before that.
    waiting_count: usize,
}

/// All publications of a run, in the order in which they reached the cores of their senders.
#[derive(Debug, Default)]
pub(super) struct Publications {
    pub(super) all: Vec<Publication>,
    by_content: BTreeMap<String, usize>,
    by_id: BTreeMap<String, usize>,
    retried_contents: BTreeSet<String>,
    /// By channel and epoch: the publication at each offset.
    orders: BTreeMap<(String, String), BTreeMap<u64, usize>>,
    remembered: BTreeMap<Key, Remembered>,
}

fn key(user: &str, channel: &str, id: Option<&str>) -> Option<Key> {
    id.map(|id| (user.to_owned(), channel.to_owned(), id.to_owned()))
}

impl Publications {
    /// Whether a send is a retry.
    pub(super) fn is_known(&self, user: &str, draft: &Draft) -> bool {
        let key = key(user, &draft.channel, draft.client_message_id.as_deref());
        key.is_some_and(|key| self.remembered.contains_key(&key))
    }

    /// The sender's core knows the place of a message.
    pub(super) fn accept(&mut self, user: &str, channel: &str, id: Option<&str>) {
        if let Some(remembered) = key(user, channel, id).and_then(|key| self.remembered.get_mut(&key)) {
            remembered.is_accepted = true;
        }
    }

    /// A member sends a message.
    pub(super) fn attempt(
        &mut self,
        core: usize,
        user: &str,
        draft: &Draft,
        attachments: &[Vec<u8>],
        now_ms: u64,
    ) -> Attempt {
        let key = key(user, &draft.channel, draft.client_message_id.as_deref());
        if let Some(remembered) = key.as_ref().and_then(|key| self.remembered.get_mut(key)) {
            self.retried_contents.insert(draft.content.clone());
            if remembered.is_accepted {
                return Attempt::Retry(remembered.publication);
            }
            if remembered.waiting_count >= RETRIES_WAITING_MAX {
                return Attempt::Crowded;
            }
            remembered.waiting_count += 1;
            return Attempt::Retry(remembered.publication);
        }
        let publication = self.add(core, user, Sort::Message, draft, attachments, now_ms);
        if let Some(key) = key {
            let end_ms = now_ms + RETRY_RECOGNISED_MS;
            let remembered = Remembered { publication, core, end_ms, is_accepted: false, waiting_count: 0 };
            self.remembered.insert(key, remembered);
        }
        Attempt::First(publication)
    }

    /// Something new is on its way to its channel.
    pub(super) fn add(
        &mut self,
        core: usize,
        user: &str,
        sort: Sort,
        draft: &Draft,
        attachments: &[Vec<u8>],
        sent_ms: u64,
    ) -> usize {
        let publication = self.all.len();
        self.all.push(Publication {
            channel: draft.channel.clone(),
            user: user.to_owned(),
            core,
            sort,
            content: draft.content.clone(),
            client_message_id: draft.client_message_id.clone(),
            attachments: attachments.to_vec(),
            sent_ms,
            witnesses: Vec::new(),
            stamp: None,
            epoch: None,
            cursor: None,
            handed_ms: BTreeMap::new(),
        });
        self.by_content.insert(draft.content.clone(), publication);
        publication
    }

    pub(super) fn expire(&mut self, core: usize, now_ms: u64) {
        self.remembered.retain(|_, remembered| remembered.core != core || remembered.end_ms > now_ms);
    }

    /// Messages whose retry would be recognised.
    pub(super) fn remembered_count(&self) -> usize {
        self.remembered.len()
    }

    pub(super) fn expect_witnesses(&mut self, publication: usize, witnesses: Vec<u64>) {
        self.all[publication].witnesses = witnesses;
    }

    pub(super) fn is_witnessed_by(&self, publication: usize, serial: u64) -> bool {
        self.all[publication].witnesses.contains(&serial)
    }

    pub(super) fn channel(&self, publication: usize) -> &str {
        &self.all[publication].channel
    }

    fn found(&self, channel: &str, epoch: &str, offset: u64) -> Option<&Publication> {
        let order = self.orders.get(&(channel.to_owned(), epoch.to_owned()))?;
        order.get(&offset).map(|found| &self.all[*found])
    }

    /// The time of the publication at an offset, if somebody has seen it.
    pub(super) fn at(&self, channel: &str, epoch: &str, offset: u64) -> Option<u64> {
        self.found(channel, epoch, offset)?.stamp.as_ref().map(|stamp| stamp.timestamp)
    }

    /// When it was sent, in monotonic milliseconds.
    pub(super) fn sent_ms(&self, channel: &str, epoch: &str, offset: u64) -> Option<u64> {
        self.found(channel, epoch, offset).map(|found| found.sent_ms)
    }

    pub(super) fn is_message_at(&self, channel: &str, epoch: &str, offset: u64) -> bool {
        self.found(channel, epoch, offset).is_some_and(|found| found.sort == Sort::Message)
    }

    /// The offset of a publication in an epoch of a channel, by its id.
    pub(super) fn offset_of(&self, channel: &str, epoch: &str, id: &str) -> Option<u64> {
        let found = &self.all[*self.by_id.get(id)?];
        let is_there = found.channel == channel && found.epoch.as_deref() == Some(epoch);
        found.stamp.as_ref().filter(|_| is_there)?.offset
    }

    /// A client that mixes the dialects is told that its message was sent.
    pub(super) fn check_sent(&self, client_message_id: &str, id: &str) -> Checked {
        let is_it = |key: &Key| key.2 == client_message_id;
        let named = self.by_id.get(id).map(|found| self.all[*found].client_message_id.as_deref());
        if self.remembered.keys().any(is_it) && named.is_none_or(|named| named == Some(client_message_id)) {
            return Ok(());
        }
        Err(format!("nobody sent {client_message_id} as {id}"))
    }

    /// The sender was told the message's place.
    pub(super) fn acknowledged(
        &mut self,
        publication: usize,
        stamp: &Stamp,
        data: &Value,
        epoch: Option<&str>,
    ) -> Checked {
        let sent = &self.all[publication];
        let named_id = data["clientMessageId"].as_str();
        if data["channelId"] != *sent.channel || named_id != sent.client_message_id.as_deref() {
            return Err(format!("{sent:?} was acknowledged as {data}"));
        }
        self.settle(publication, stamp, epoch)
    }

    /// Somebody was told a publication. Returns which.
    pub(super) fn delivered(&mut self, told: &Told, epoch: Option<&str>) -> Result<usize, String> {
        if self.retried_contents.contains(&told.content) {
            return Err(format!("a retry became a second message: {told:?}"));
        }
        let Some(&publication) = self.by_content.get(&told.content) else {
            return Err(format!("nobody sent {told:?}"));
        };
        let sent = &self.all[publication];
        let user_name = display_name(&sent.user).filter(|_| sent.sort != Sort::Read);
        // What is read from a list has no attachments.
        let has_attachments = sent.attachments == told.attachments || told.attachments.is_empty();
        let is_as_sent = sent.channel == told.channel
            && sent.user == told.user
            && sent.sort == told.kind
            && has_attachments
            && told.user_name.as_deref() == user_name
            && sent.client_message_id == told.client_message_id;
        if !is_as_sent {
            return Err(format!("{sent:?} arrived as {told:?}"));
        }
        self.settle(publication, &told.stamp, epoch)?;
        Ok(publication)
    }

    /// A publication has one place, and a place one publication.
    fn settle(&mut self, publication: usize, stamp: &Stamp, epoch: Option<&str>) -> Checked {
        let sent = &mut self.all[publication];
        if let Some(known) = &sent.stamp
            && known != stamp
        {
            return Err(format!("{} stands at {known:?} and at {stamp:?}", sent.content));
        }
        sent.stamp = Some(stamp.clone());
        if let Some(id) = &stamp.id
            && *self.by_id.entry(id.clone()).or_insert(publication) != publication
        {
            return Err(format!("two publications have the id {id}"));
        }
        let Some(epoch) = epoch else { return Ok(()) };
        let known = sent.epoch.get_or_insert_with(|| Rc::from(epoch));
        if **known != *epoch {
            return Err(format!("{} stands in epochs {known} and {epoch}", sent.content));
        }
        let Some(offset) = stamp.offset else { return Ok(()) };
        let order = self.orders.entry((sent.channel.clone(), epoch.to_owned())).or_default();
        match order.entry(offset) {
            Entry::Occupied(entry) if *entry.get() != publication => {
                let other = &self.all[*entry.get()].content;
                return Err(format!("{} and {other} share offset {offset}", self.all[publication].content));
            }
            Entry::Occupied(_) => return Ok(()),
            Entry::Vacant(entry) => drop(entry.insert(publication)),
        }
        self.check_neighbours(publication, offset, epoch)
    }

    /// Times and ids rise with offsets, and so do the publications of one core in the order of their sending.
    fn check_neighbours(&self, publication: usize, offset: u64, epoch: &str) -> Checked {
        let order = &self.orders[&(self.all[publication].channel.clone(), epoch.to_owned())];
        let core = self.all[publication].core;
        let stamp = self.all[publication].stamp.as_ref();
        let (before, after) = (order.range(..offset), order.range(offset + 1..));
        let rises = |low: Option<&Stamp>, high: Option<&Stamp>| {
            low.zip(high).is_none_or(|(low, high)| low.timestamp < high.timestamp && low.id < high.id)
        };
        let known = |(_, other): (&u64, &usize)| self.all[*other].stamp.as_ref();
        let is_of_core = |(_, other): &(&u64, &usize)| self.all[**other].core == core;
        let is_ordered = rises(before.clone().next_back().and_then(known), stamp)
            && rises(stamp, after.clone().next().and_then(known))
            && before.rev().find(is_of_core).is_none_or(|(_, other)| *other < publication)
            && after.clone().find(is_of_core).is_none_or(|(_, other)| *other > publication);
        if is_ordered {
            return Ok(());
        }
        Err(format!("{} at {stamp:?} stands out of order in epoch {epoch}", self.all[publication].content))
    }
}

impl Model {
    /// A session is told, once, what was said in its user's own room, which it has not joined.
    fn hear_in_own_room(&mut self, seat: Seat, told: &Told, cursor: Option<&str>) -> Checked {
        let (now_ms, is_replaying) = (self.now_ms(), self.is_replaying && self.acting == Some(seat));
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let room = session.is_legacy().then(|| told.channel.clone());
        if told.room != room
            || cursor.is_some() != session.has_cursor
            || !session.was_lent && session.own_room.contains(&told.content)
        {
            return Err(format!("{seat:?} hears {told:?} in its own room with cursor {cursor:?}"));
        }
        if is_replaying {
            self.counts.replayed += 1;
        } else if let Some(due) = session.own_due.iter().position(|due| *due == told.content) {
            session.own_due.remove(due);
        } else {
            return Err(format!("{seat:?} hears {told:?} in its own room, which nobody has just said"));
        }
        session.own_room.push(told.content.clone());
        session.expect_mirrors(mirrors(told.kind), &told.content, cursor);
        let place = Place { read_count: session.own_room.len(), ..Place::new(Rc::from(""), 0) };
        self.slip.place = Some((session.own_serial, Rc::from(""), place));
        let handed_ms = (!is_replaying).then_some(now_ms);
        self.slip.cursor = cursor.map(|text| Cursor { text: text.to_owned(), handed_ms });
        self.publications.delivered(told, None).map(drop)
    }

    /// A member is told a publication: in its turn, in its style, and with its cursor.
    pub(super) fn hear_told(&mut self, seat: Seat, told: &Told, cursor: Option<&str>) -> Checked {
        let (now_ms, is_replaying) = (self.now_ms(), self.is_replaying && self.acting == Some(seat));
        let Some(session) = self.sessions.get_mut(&seat) else { return Ok(()) };
        let (is_legacy, has_cursor) = (session.is_legacy(), session.has_cursor);
        let joined_at =
            session.memberships.get(&told.channel).map(|known| known.begin.as_ref().map(|at| at.first));
        let is_apart = is_replaying && cursor.is_some_and(|cursor| cursor.starts_with('m'));
        let is_from_before = is_apart && joined_at.is_some_and(|first| first >= told.stamp.offset);
        if told.channel == format!("user:{}", session.user) && (joined_at.is_none() || is_from_before) {
            return self.hear_in_own_room(seat, told, cursor);
        }
        let Some(membership) = session.memberships.get_mut(&told.channel) else {
            return Err(format!("{seat:?} is not in {} and hears {told:?}", told.channel));
        };
        let room = is_legacy.then(|| spelled(&told.channel, !membership.spellings[0]));
        if told.room != room || cursor.is_some() != has_cursor {
            return Err(format!("{seat:?} reads {room:?} and hears {told:?} with cursor {cursor:?}"));
        }
        let Some(place) = &mut membership.place else {
            return Err(format!("{seat:?} is not in {} yet and hears {told:?}", told.channel));
        };
        let is_next = match told.stamp.offset {
            Some(offset) if place.is_open => offset > place.first,
            Some(offset) => offset == place.last + 1,
            None => true,
        };
        if !is_next || told.stamp.timestamp <= place.timestamp {
            return Err(format!("{seat:?} stands at {place:?} and hears {told:?}"));
        }
        place.timestamp = told.stamp.timestamp;
        if let Some(offset) = told.stamp.offset {
            (place.last, place.is_open) = (offset, false);
            place.id = told.stamp.id.as_deref().map(Rc::from);
        } else {
            membership.reads.push(told.content.clone());
            place.read_count = membership.reads.len();
        }
        let (serial, place) = (membership.serial, place.clone());
        let is_missed = membership.missed_count > 0;
        membership.missed_count -= u64::from(is_missed);
        match (is_missed, is_replaying) {
            (true, _) => {}
            (false, true) => self.counts.replayed += 1,
            (false, false) => self.counts.deliveries += 1,
        }
        session.expect_mirrors(mirrors(told.kind), &told.content, cursor);
        let epoch = place.epoch.clone();
        self.slip.place = Some((serial, Rc::from(&*told.channel), place));
        let found = self.publications.delivered(told, Some(&epoch))?;
        let is_out_of_turn = is_missed || is_replaying;
        let publication = &mut self.publications.all[found];
        if let Some(text) = cursor {
            let handed_ms = publication.handed(seat.core, text, is_missed, is_out_of_turn, now_ms)?;
            self.slip.cursor = Some(Cursor { text: text.to_owned(), handed_ms });
        } else if !is_out_of_turn {
            publication.handed_ms.entry(seat.core).or_insert(now_ms);
        }
        Ok(())
    }
}

/// The other names of an event, for clients that mix the dialects.
fn mirrors(kind: Sort) -> &'static [&'static str] {
    match kind {
        Sort::Message => &["message:new"],
        Sort::Reaction { is_added: true } => &["reaction:add"],
        Sort::Reaction { is_added: false } => &["reaction:remove"],
        Sort::Read => &["read:update", "message:read"],
    }
}

impl Publication {
    /// When its core handed it out with this cursor, if that is known.
    fn handed(
        &mut self,
        core: usize,
        cursor: &str,
        is_missed: bool,
        is_out_of_turn: bool,
        now_ms: u64,
    ) -> Result<Option<u64>, String> {
        if is_missed {
            return Ok(Some(now_ms));
        }
        if !is_out_of_turn {
            self.handed_ms.entry(core).or_insert(now_ms);
        }
        // What was told out of turn once may be replayed, and is known by the session's own place in the journal.
        if cursor.starts_with('m') && is_out_of_turn {
            return Ok(None);
        }
        let known = self.cursor.get_or_insert_with(|| cursor.to_owned());
        if known != cursor {
            return Err(format!("{} has the cursors {known} and {cursor}", self.content));
        }
        Ok(self.handed_ms.get(&core).copied())
    }
}
