//! Questions about a channel, answered by its home: what was said, who is there; and requests that wait for the next
//! message.

use std::sync::Arc;

use protocol::chat::event::{self, Position, PresenceNote, Synced};
use protocol::chat::request;
use protocol::chat::rest::{self, PollAnswer};
use protocol::codes::ErrorCode;
use protocol::relay::signal::Word;

use super::Shard;
use super::home::Home;
use crate::Now;
use crate::ids::{ChannelName, CoreId, Epoch, Offset};
use crate::limits::POLLERS_MAX;
use crate::mail::{Answer, CallId, Mail, Outcome, Query, Question, Reply, Sender, Since};
use crate::outputs::Outputs;
use crate::publication::Publication;
use crate::store::Topic;

/// A request that waits for a message.
#[derive(Debug)]
pub(super) struct Poller {
    call: CallId,
    since_unix_ms: u64,
    limit: usize,
    /// When it is answered without one, in monotonic milliseconds.
    pub(super) deadline_ms: u64,
}

impl Shard {
    /// Answers a question about a channel whose home this is.
    pub(super) fn answer_query(&mut self, from: CoreId, query: Query, now: Now, out: &mut Outputs) {
        let Query { channel, asker, question } = query;
        let outcome = match question {
            Question::Messages { since, limit } => {
                self.tell_messages(&channel, asker, since.as_ref(), limit, now)
            }
            Question::Poll { since, wait_ms, limit } => {
                match self.poll(&channel, asker, &since, wait_ms, limit, now) {
                    Some(outcome) => outcome,
                    None => return,
                }
            }
            Question::Presence => self.tell_members(&channel, now),
            Question::SetPresence { user, status } => {
                self.set_presence_here(&channel, &user, status, now, out);
                self.signal(Topic::Channel(channel.clone()), Word::Said { user: &user, status });
                let mut body = Vec::new();
                rest::push_presence_set(&mut body, &channel, &user, status);
                Outcome::Told(body)
            }
        };
        self.send_answer(from, asker, outcome, out);
    }

    fn tell_messages(
        &self,
        channel: &str,
        asker: Sender,
        since: Option<&Since>,
        limit: usize,
        now: Now,
    ) -> Outcome {
        let Sender::Session(Reply { ack: Some(ack), .. }) = asker else { return Outcome::Told(Vec::new()) };
        let home = self.homes.table.find(channel, &self.placement).map(|index| self.homes.table.at(index));
        let position =
            home.map_or((String::new(), 0), |home| (home.epoch.as_str().to_owned(), home.last_offset.0));
        // Of a channel that is not known, it is not known either what followed.
        let nothing = (since.is_none(), Vec::new());
        let (is_complete, mut found) = home.map_or(nothing, |home| home.messages_since(since));
        // Without a position the latest are wanted, with one those that follow it.
        let skipped = if since.is_none() { found.len().saturating_sub(limit) } else { 0 };
        found.drain(..skipped);
        let synced = Synced {
            channel,
            messages: &array_of(found.iter().take(limit).map(|message| &**message)),
            is_complete,
            has_more: found.len() > limit,
            position: Position { epoch: &position.0, offset: position.1 },
            now_unix_ms: now.unix_ms,
        };
        let mut frame = Vec::new();
        event::push_sync_messages_ack(&mut frame, ack, &synced);
        Outcome::Told(frame)
    }

    /// Answers a poll, or keeps it until there is something to answer it with.
    fn poll(
        &mut self,
        channel: &ChannelName,
        asker: Sender,
        since: &Since,
        wait_ms: u64,
        limit: usize,
        now: Now,
    ) -> Option<Outcome> {
        // Whoever waits makes the channel: the message to come must find who waits for it.
        let known = match wait_ms {
            0 => self.homes.table.find(channel, &self.placement),
            _ => Some(self.homes.find_or_insert(channel, &self.placement, now)),
        };
        let Some(index) = known else {
            let since_unix_ms = if let Since::Time(unix_ms) = since { *unix_ms } else { now.unix_ms };
            return Some(Outcome::Told(poll_body(None, since_unix_ms, limit)));
        };
        let home = self.homes.table.at_mut(index);
        let since_unix_ms = home.poll_start(since);
        let has_news = home.history.kept_since_time(since_unix_ms).any(|entry| entry.value.is_message());
        let outcome = match (asker, has_news, wait_ms) {
            (Sender::Call(_), false, 1..)
                if home.pollers.len() >= POLLERS_MAX
                    || self.homes.poller_count >= self.limits.memory.pollers_max =>
            {
                Some(Outcome::Refused {
                    code: ErrorCode::ServerBusy,
                    message: "too many requests wait for this channel",
                    retry_after_s: Some(1),
                })
            }
            (Sender::Call(call), false, 1..) => {
                let deadline_ms = now.monotonic_ms().saturating_add(wait_ms);
                home.pollers.push(Poller { call, since_unix_ms, limit, deadline_ms });
                self.homes.poller_count += 1;
                None
            }
            _ => Some(Outcome::Told(poll_body(Some(home), since_unix_ms, limit))),
        };
        self.look_at_home(index);
        outcome
    }

    /// A message was published: nobody waits any longer.
    pub(super) fn answer_polls(&mut self, index: u32, out: &mut Outputs) {
        let Home { pollers, history, .. } = self.homes.table.at_mut(index);
        if pollers.is_empty() {
            return;
        }
        let has_news = |poller: &mut Poller| {
            history.kept_since_time(poller.since_unix_ms).any(|entry| entry.value.is_message())
        };
        let answered = pollers.extract_if(.., has_news).collect();
        self.answer_pollers(index, answered, out);
    }

    /// Polls that waited long enough are answered with nothing.
    pub(super) fn end_polls(&mut self, index: u32, now: Now, out: &mut Outputs) {
        let pollers = &mut self.homes.table.at_mut(index).pollers;
        let ended = pollers.extract_if(.., |poller| poller.deadline_ms <= now.monotonic_ms()).collect();
        self.answer_pollers(index, ended, out);
    }

    fn answer_pollers(&mut self, index: u32, pollers: Vec<Poller>, out: &mut Outputs) {
        self.homes.poller_count -= pollers.len();
        for poller in pollers {
            let body = poll_body(Some(self.homes.table.at(index)), poller.since_unix_ms, poller.limit);
            let answer = Answer { to: Sender::Call(poller.call), outcome: Outcome::Told(body) };
            self.post(poller.call.core, Mail::Answer(Box::new(answer)), out);
        }
    }

    /// Who is there and who was, with the numbers of each status.
    fn tell_members(&self, channel: &str, now: Now) -> Outcome {
        let mut body = Vec::new();
        let home = self.homes.table.find(channel, &self.placement).map(|index| self.homes.table.at(index));
        let note = |user, status, last_seen_unix_ms, custom| PresenceNote {
            user,
            status,
            last_seen_unix_ms,
            custom,
            channel: None,
        };
        let here = home.into_iter().flat_map(|home| home.members.iter());
        // Of a channel that is not known here, those on other nodes are.
        let distant = home.is_none().then(|| self.homes.distant.members(channel, &self.placement));
        let here = here.chain(distant.into_iter().flatten()).filter(|member| member.is_visible());
        let here = here.map(|member| {
            let custom = member.custom().map(|custom| &**custom);
            note(&*member.user, member.status(), member.last_seen_unix_ms, custom)
        });
        let gone = home
            .into_iter()
            .flat_map(|home| home.seen.iter(now.monotonic_ms()))
            .map(|(user, status, last_seen_unix_ms)| note(&**user, status, last_seen_unix_ms, None));
        rest::push_presence_list(&mut body, channel, here.chain(gone));
        Outcome::Told(body)
    }
}

impl Home {
    /// The messages after a position, and whether none of them is missing; what is kept if some are.
    fn messages_since(&self, since: Option<&Since>) -> (bool, Vec<Arc<Publication>>) {
        let found = since
            .map_or_else(|| Ok(self.kept_since(&Since::Foreign)), |since| self.publications_since(since));
        let is_complete = found.is_ok();
        let mut publications = found.unwrap_or_else(|_| self.kept_since(since.unwrap_or(&Since::Foreign)));
        publications.retain(|publication| publication.is_message());
        (is_complete, publications)
    }

    /// The time after which a poll wants messages; everything that is kept if its position is unknown.
    fn poll_start(&self, since: &Since) -> u64 {
        match since {
            Since::Time(unix_ms) => *unix_ms,
            _ => match self.publications_since(since) {
                Ok(publications) => {
                    publications.first().map_or(self.last_timestamp_ms, |first| first.timestamp_ms - 1)
                }
                Err(_) => 0,
            },
        }
    }
}

/// The JSON array of publications' objects.
pub(super) fn array_of<'a>(publications: impl Iterator<Item = &'a Publication>) -> Vec<u8> {
    let mut array = vec![b'['];
    for publication in publications {
        if array.len() > 1 {
            array.push(b',');
        }
        publication.push_object(&mut array);
    }
    array.push(b']');
    array
}

/// The JSON array of publications that are no messages, each with its event's name.
pub(super) fn events_of<'a>(publications: impl Iterator<Item = &'a Publication>) -> Vec<u8> {
    let mut array = vec![b'['];
    for publication in publications {
        if array.len() > 1 {
            array.push(b',');
        }
        event::push_replayed(&mut array, &publication.kind, publication.stamp(), &publication.body);
    }
    array.push(b']');
    array
}

/// The answer to a poll: polling again from its `timestamp` neither misses a message nor gets one twice.
fn poll_body(home: Option<&Home>, since_unix_ms: u64, limit: usize) -> Vec<u8> {
    let mut messages = Vec::new();
    let mut has_more = false;
    let mut timestamp_ms = since_unix_ms;
    if let Some(home) = home {
        let kept = home.history.kept_since_time(since_unix_ms);
        messages = kept.map(|entry| &*entry.value).filter(|publication| publication.is_message()).collect();
        has_more = messages.len() > limit;
        messages.truncate(limit);
        timestamp_ms = match messages.last() {
            Some(last) if has_more => last.timestamp_ms,
            _ => home.last_timestamp_ms.max(since_unix_ms),
        };
    }
    let mut body = Vec::new();
    let messages = array_of(messages.into_iter());
    rest::push_poll(&mut body, &PollAnswer { messages: &messages, timestamp_ms, has_more });
    body
}

/// A position as a client wrote it, to be kept.
pub fn owned_since(since: &request::Since<'_>) -> Since {
    match since {
        request::Since::Position { epoch, offset } => match Epoch::parse(epoch) {
            Some(epoch) => Since::Position(epoch, Offset(*offset)),
            None => Since::Foreign,
        },
        request::Since::Time { unix_ms } => Since::Time(*unix_ms),
        request::Since::Message { id } => Since::Message((**id).into()),
    }
}
