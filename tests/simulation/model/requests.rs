//! What a packet must lead to: checked in the order in which the node's promises have it, rights and limits first.

use protocol::codes::ErrorCode;

use super::Model;
use super::answers::{Answer, Body, Expected, Refusal};
use super::past::Sync;
use super::publications::Attempt;
use super::rates::Class;
use crate::client::{Draft, Intent, Packet, Seat};
use crate::heard::Sort;

impl Model {
    /// A packet of a session is about to be handled. One of a session that is gone does nothing.
    pub(crate) fn packet(&mut self, seat: Seat, packet: &Packet) {
        if !self.sessions.contains_key(&seat) {
            return;
        }
        self.acting = Some(seat);
        let ack = packet.ack;
        if !matches!(packet.intent, Intent::Refresh { .. }) {
            self.counts.events += 1;
        }
        match &packet.intent {
            Intent::Join { channel, manner, since } => self.join(seat, channel, *manner, since.clone(), ack),
            Intent::Leave { channel, manner } => self.leave(seat, channel, *manner, ack),
            Intent::Send(draft) => self.send(seat, draft, packet),
            Intent::Remark { event, draft } => self.remark(seat, event, draft, ack),
            Intent::Type { channel, thread, is_typing } => {
                self.type_something(seat, channel, *thread, *is_typing);
                self.expect_ack(seat, ack, Body::Plain);
            }
            Intent::Say { status, custom } => self.say(seat, *status, custom.clone(), ack),
            Intent::Follow { users } => self.follow(seat, users, ack),
            Intent::Unfollow { users } => {
                self.unfollow(seat, users);
                self.expect_ack(seat, ack, Body::Plain);
            }
            Intent::Look { users } => self.look(seat, users, ack),
            Intent::Sync { channel, since, limit } => {
                let sync = Sync { channel: channel.clone(), since: since.clone(), limit: *limit };
                self.sync(seat, sync, ack);
            }
            Intent::Ping { timestamp } => self.expect(
                seat,
                match ack {
                    Some(ack) => Expected::Ack(ack, Body::Ping(timestamp.clone())),
                    None => Expected::Pong(timestamp.clone()),
                },
            ),
            Intent::Pong => {}
            Intent::Refresh { is_same_user } => self.refresh(seat, *is_same_user, ack),
            Intent::Invalid { code, event, channel } => {
                self.expect_refusal(seat, (*code).into(), event, *channel, ack);
            }
        }
    }

    fn refresh(&mut self, seat: Seat, is_same_user: bool, ack: Option<u64>) {
        if is_same_user {
            self.expect(seat, Expected::Authenticated);
            return self.expect_ack(seat, ack, Body::Authenticated);
        }
        let code = ErrorCode::AuthenticationFailed;
        self.counts.refusals[code as usize] += 1;
        let error = Expected::Error { refusal: code.into(), event: "auth:refresh".to_owned(), channel: None };
        self.expect(seat, Expected::AuthError(code));
        self.expect(seat, error);
        self.expect_ack(seat, ack, Body::Failure(code.into()));
    }

    /// One more event of a class, or the refusal of it.
    pub(super) fn spend(&mut self, user: &str, class: Class) -> Result<(), Refusal> {
        let spent = self.rates.take(user, class, self.now.monotonic_ms(), &self.limits.rate);
        spent.map_err(|seconds| {
            self.counts.limited += 1;
            Refusal { code: ErrorCode::RateLimitExceeded, retry_after_s: Some(seconds) }
        })
    }

    fn send(&mut self, seat: Seat, draft: &Draft, packet: &Packet) {
        match self.try_send(seat, draft, packet) {
            Err(refusal) => {
                let id = draft.client_message_id.clone();
                if let Some(client_message_id) = id.filter(|_| self.sessions[&seat].is_hybrid()) {
                    self.expect(seat, Expected::Failed { client_message_id, code: refusal.code });
                }
                self.expect_refusal(seat, refusal, "message:send", Some(&draft.channel), packet.ack);
            }
            Ok(publication) => {
                if let (Some(ack), Some(session)) = (packet.ack, self.sessions.get_mut(&seat)) {
                    session.answers.insert(ack, Answer::Send { publication });
                }
            }
        }
    }

    /// The message that this send is, or is a retry of.
    fn try_send(&mut self, seat: Seat, draft: &Draft, packet: &Packet) -> Result<usize, Refusal> {
        let session = &self.sessions[&seat];
        if !session.memberships.contains_key(&draft.channel) {
            return Err(ErrorCode::NotJoined.into());
        }
        if draft.is_too_long {
            return Err(ErrorCode::PayloadTooLarge.into());
        }
        let user = session.user.clone();
        // A retry is free of charge.
        if !self.publications.is_known(&user, draft) {
            self.spend(&user, Class::Message)?;
        }
        let now_ms = self.now_ms();
        match self.publications.attempt(seat.core, &user, draft, &packet.attachments, now_ms) {
            Attempt::First(publication) => {
                let witnesses = self.witnesses(seat, &draft.channel);
                self.publications.expect_witnesses(publication, witnesses);
                self.expect_in_own_room(&user, draft);
                if self.placement.home_of_channel(&draft.channel).index() == seat.core {
                    self.publications.accept(&user, &draft.channel, draft.client_message_id.as_deref());
                }
                Ok(publication)
            }
            Attempt::Retry(publication) => {
                self.counts.retries += 1;
                Ok(publication)
            }
            Attempt::Crowded => {
                self.counts.busy += 1;
                Err(ErrorCode::ServerBusy.into())
            }
        }
    }

    /// What is said in a user's own room reaches all of the user's sessions at once, wherever they have joined.
    fn expect_in_own_room(&mut self, user: &str, draft: &Draft) {
        if draft.channel != format!("user:{user}") {
            return;
        }
        let all = self.sessions.values_mut().filter(|session| session.user == user);
        for session in all.filter(|session| !session.memberships.contains_key(&draft.channel)) {
            session.own_due.push(draft.content.clone());
        }
    }

    /// A sender's core is about to hear what became of a message.
    pub(super) fn published(&mut self, core: usize, published: &core_shards::mail::Published) {
        let core_shards::mail::Sender::Session(reply) = published.sender else { return };
        let session = reply.session;
        let seat = Seat { core, slot: session.slot, generation: session.generation };
        if let Some(user) = self.users_of_seats.get(&seat) {
            self.publications.accept(user, &published.channel, published.client_message_id.as_deref());
        }
    }

    fn remark(&mut self, seat: Seat, event: &str, draft: &Draft, ack: Option<u64>) {
        let session = &self.sessions[&seat];
        let is_member = session.memberships.contains_key(&draft.channel);
        let user = session.user.clone();
        let spent = match is_member {
            true => self.spend(&user, Class::Receipt),
            false => Err(ErrorCode::NotJoined.into()),
        };
        if let Err(refusal) = spent {
            return self.expect_refusal(seat, refusal, event, Some(&draft.channel), ack);
        }
        let sort = match event {
            "read" => Sort::Read,
            _ => Sort::Reaction { is_added: event == "reaction" },
        };
        let publication = self.publications.add(seat.core, &user, sort, draft, &[], self.now_ms());
        let witnesses = self.witnesses(seat, &draft.channel);
        self.publications.expect_witnesses(publication, witnesses);
        self.expect_in_own_room(&user, draft);
        if let (Some(ack), Some(session)) = (ack, self.sessions.get_mut(&seat)) {
            session.answers.insert(ack, Answer::Remark);
        }
    }

    /// What a member asks about the past.
    fn sync(&mut self, seat: Seat, sync: Sync, ack: Option<u64>) {
        let (Some(ack), Some(session)) = (ack, self.sessions.get_mut(&seat)) else { return };
        if session.memberships.contains_key(&sync.channel) {
            session.answers.insert(ack, Answer::Sync(sync));
        } else {
            let refusal = ErrorCode::NotJoined.into();
            self.expect_refusal(seat, refusal, "sync:messages", Some(&sync.channel), Some(ack));
        }
    }
}
