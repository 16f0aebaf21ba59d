//! What a shard keeps at a moment, counted in its tables: a gauge can be wrong about a leak, a table cannot.

use super::Shard;

/// Numbers of entries in one shard's tables. All of them are zero once nobody is connected, no letter is on its way
/// and the times for which the past is remembered are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Connected sessions.
    pub sessions: usize,
    /// Users of whom anything is known here.
    pub users: usize,
    /// Sessions that lost their connection and are kept for a time.
    pub detached: usize,
    /// Channels of which is known where an absent user stopped reading.
    pub absences: usize,
    /// Channels that a session of this core is in or has asked to join.
    pub rooms: usize,
    /// Channels ordered here.
    pub homes: usize,
    /// Publications in the histories of channels.
    pub history: usize,
    /// Users whom channels remember to have been there.
    pub formers: usize,
    /// Requests that wait for a channel's next message.
    pub pollers: usize,
    /// Publications in the journal.
    pub journal: usize,
    /// Sent messages that a retry would be recognised of.
    pub receipts: usize,
    /// Changes of presence that are kept for those who cannot be told yet.
    pub tidings: usize,
    /// Joins that wait for a home's answer.
    pub joins: usize,
    /// Users whom sessions of this core follow.
    pub followers: usize,
    /// Answers of the permission webhook, and questions to it.
    pub access: usize,
    /// Questions and broadcasts that wait for other cores.
    pub gatherings: usize,
    /// Users' devices on other nodes with their channels, and members of channels there.
    pub elsewhere: usize,
    /// Publications that the store which nodes share has not confirmed, and letters that wait for it.
    pub store_waits: usize,
    /// Deadlines, those that mean nothing any more included.
    pub deadlines: usize,
}

impl Shard {
    /// Counts what the shard keeps.
    pub fn holdings(&self) -> Holdings {
        let users = || self.users.iter().map(|(_, user)| user);
        let homes = || self.homes.table.iter().map(|(_, home)| home);
        Holdings {
            sessions: self.sessions.live_count(),
            users: self.users.count(),
            detached: users().map(|user| user.detached().len()).sum(),
            absences: users().map(|user| user.absences().len()).sum(),
            rooms: self.rooms.count(),
            homes: self.homes.table.count(),
            history: homes().map(|home| home.history.iter().len()).sum(),
            formers: homes().map(|home| home.seen.count()).sum(),
            pollers: homes().map(|home| home.pollers.len()).sum(),
            journal: self.journal.count(),
            receipts: self.receipts.count(),
            tidings: self.tidings.kept_count(),
            joins: self.burden.joins,
            followers: self.followers.count(),
            access: self.access.count(),
            store_waits: self.feeds.waiting_count() + self.feeds.letter_count(),
            gatherings: self.surveys.count() + self.broadcasts.count(),
            elsewhere: self.elsewhere.remote_count()
                + self.elsewhere.venue_count()
                + self.homes.distant.member_count(),
            deadlines: self.deadlines.entry_count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Trial;
    use super::super::{Ending, RateClass};
    use super::*;
    use crate::access::AccessRules;
    use crate::limits::{Limits, RECEIPT_LIFE_MS, SEEN_LIFE_MS};
    use crate::mail::{Caller, Deed, Question, Since, TypingTurn};
    use protocol::chat::event::Kind;
    use protocol::chat::status::Status;

    fn limits(random: &mut fastrand::Rng) -> Limits {
        let access = AccessRules { has_webhook: random.bool(), ..AccessRules::default() };
        Limits {
            access: access.into(),
            presence_enabled: random.u8(..8) > 0,
            presence_grace_ms: *random.choice(&[0, 30_000, 200_000]).unwrap(),
            recovery_window_ms: *random.choice(&[0, 10_000, 120_000]).unwrap(),
            offline_life_ms: *random.choice(&[0, 60_000, 300_000]).unwrap(),
            history_size_max: *random.choice(&[0, 2, 100]).unwrap(),
            connections_per_user_max: *random.choice(&[0, 2]).unwrap(),
            channels_per_session_max: *random.choice(&[1, 3, 256]).unwrap(),
            joins_implicitly: random.bool(),
            tells_joins: random.bool(),
            ..Limits::default()
        }
    }

    /// What a client may say, in whatever order.
    fn event(random: &mut fastrand::Rng) -> String {
        let channel = *random.choice(&["a", "b", "c", "user:1", "dm:1:2", "private-x"]).unwrap();
        let room = *random.choice(&["a", "channel:a", "channel:b", "thread:1"]).unwrap();
        let status = *random.choice(&["online", "away", "dnd", "invisible"]).unwrap();
        let (user, id) = (random.u8(..4), random.u8(..6));
        let events = [
            format!(r#"["channel:join",{{"channelId":"{channel}"}}]"#),
            format!(r#"["channel:join",{{"channelId":"{channel}","since":1}}]"#),
            format!(r#"["room:join",{{"roomName":"{room}"}}]"#),
            format!(r#"["channel:leave",{{"channelId":"{channel}"}}]"#),
            format!(r#"["room:leave",{{"roomName":"{room}"}}]"#),
            format!(r#"["message:send",{{"channelId":"{channel}","content":"x","clientMessageId":"{id}"}}]"#),
            format!(r#"["message:send",{{"channelId":"{channel}","content":"y"}}]"#),
            format!(r#"["reaction",{{"channelId":"{channel}","messageId":"m","emoji":"e","action":"add"}}]"#),
            format!(r#"["read",{{"channelId":"{channel}","messageId":"m"}}]"#),
            format!(r#"["typing",{{"channelId":"{channel}","isTyping":true}}]"#),
            format!(r#"["typing",{{"channelId":"{channel}","isTyping":false,"threadId":"t"}}]"#),
            format!(r#"["presence:update",{{"status":"{status}"}}]"#),
            r#"["presence:update",{"status":"away","customStatus":{"text":"x","expiresAt":1772359251000}}]"#
                .into(),
            format!(r#"["presence:subscribe",{{"userIds":["{user}","9"]}}]"#),
            format!(r#"["presence:unsubscribe",{{"userIds":["{user}"]}}]"#),
            format!(r#"["presence:get",{{"userIds":["{user}"]}}]"#),
            format!(r#"["sync:messages",{{"channelId":"{channel}"}}]"#),
            r#"["sync:channels"]"#.into(),
        ];
        random.choice(events).unwrap()
    }

    /// What a back end may want.
    fn deed(random: &mut fastrand::Rng) -> Deed {
        let client_message_id = random.bool().then(|| random.u8(..4).to_string().into());
        let (user, status) = (random.u8(..6).to_string().into(), Status::Away);
        match random.u8(..6) {
            0 => Deed::Publish { kind: Kind::Message, body: br#""content":"x""#.to_vec(), client_message_id },
            1 => Deed::Type(TypingTurn::Start { thread: None, room_type: None }),
            2 => Deed::Ask(Question::SetPresence { user, status }),
            3 => Deed::Ask(Question::Presence),
            4 => Deed::Ask(Question::Poll { since: Since::Time(0), wait_ms: 0, limit: 3 }),
            _ => Deed::Ask(Question::Poll { since: Since::Time(u64::MAX), wait_ms: 5_000, limit: 3 }),
        }
    }

    fn step(trial: &mut Trial, random: &mut fastrand::Rng, pids: &mut Vec<String>) {
        let slot = random.u32(..6);
        let live = trial.shard.sessions.at(slot).map(|_| trial.shard.sessions.id_at(slot));
        match (live, random.u8(..20)) {
            (None, _) => {
                let user = random.u8(..4).to_string();
                let session = match random.u8(..3) {
                    0 => trial.connect(slot, &user, None),
                    1 => trial.connect_durable(slot, &user, None),
                    _ => {
                        let pid = random.choice(&*pids).cloned().unwrap_or_default();
                        trial.connect_durable(slot, &user, Some((&pid, "m0.0.00000000")))
                    }
                };
                if trial.shard.is_connected(session) {
                    pids.push(trial.pid(session));
                }
                for (evicted, _) in trial.closes() {
                    trial.end(evicted, Ending::Lost);
                }
            }
            (Some(session), 0) => {
                let ending = *random.choice(&[Ending::Left, Ending::Lost, Ending::TimedOut]).unwrap();
                trial.end(session, ending);
            }
            (_, 1) => drop(trial.pass(random.u64(..90_000))),
            (_, 2) => {
                let user = random.bool().then_some("1");
                trial.revoke(user, random.bool().then_some("a"));
            }
            (_, 3 | 4) => {
                for asked in trial.shard.take_questions() {
                    trial.answer(asked, random.u8(..4) > 0);
                }
            }
            (_, 5 | 6) => {
                let deed = deed(random);
                let (user, channel) = (random.u8(..6).to_string(), *random.choice(&["a", "b", "z"]).unwrap());
                trial.call(Caller::Server, &user, channel, deed);
            }
            (Some(session), _) => {
                let text = event(random);
                trial.event(session, &text, random.bool().then_some(1));
            }
        }
    }

    #[test]
    fn whatever_was_done_nothing_is_kept_once_all_is_over() {
        for seed in 0..400 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut trial = Trial::new(limits(&mut random));
            let mut pids = Vec::new();
            for _ in 0..150 {
                step(&mut trial, &mut random, &mut pids);
            }
            for slot in 0..6 {
                if trial.shard.sessions.at(slot).is_some() {
                    trial.end(trial.shard.sessions.id_at(slot), Ending::Lost);
                }
            }
            // Whoever is asked answers in the end.
            loop {
                let questions = trial.shard.take_questions();
                if questions.is_empty() {
                    break;
                }
                for asked in questions {
                    trial.answer(asked, true);
                }
            }
            trial.pass_slowly(700_000);
            trial.pass(RECEIPT_LIFE_MS);
            trial.pass(SEEN_LIFE_MS);
            trial.pass(SEEN_LIFE_MS);
            assert_eq!(trial.shard.holdings(), Holdings::default(), "seed {seed}");
            assert_eq!(trial.shard.next_deadline_ms(), None, "seed {seed}");
            assert!(trial.metrics.rate_limited[RateClass::Message as usize].get() < 150);
        }
    }
}
