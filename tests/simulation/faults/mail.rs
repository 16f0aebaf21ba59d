//! What is done to letters while they wait in a lane.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use core_shards::mail::{Mail, Past, PresenceChange, Sender, Since, Standpoint, TypingTurn};
use core_shards::{Offset, SessionId};
use protocol::chat::status::Status;

use super::letters::{copy, kind};
use super::{Fault, Faults};

impl Faults {
    /// Hits a lane into which a letter was just put.
    pub(crate) fn disturb(&mut self, lane: &mut VecDeque<Mail>, to: usize) {
        let (Some(fault), Some(last)) = (self.fault, lane.back()) else { return };
        let before = lane.len().checked_sub(2).map(|position| &lane[position]);
        let is_opportunity = match fault {
            Fault::Lose(letter) | Fault::Double(letter) => {
                kind(last) == letter && self.audience.matters(last, to)
            }
            Fault::SwapDeliveries => matches!((before, last),
                (Some(Mail::Deliver(first)), Mail::Deliver(second)) if first.room == second.room),
            Fault::DelayJoined => matches!((before, last),
                (Some(Mail::Joined(joined)), Mail::Deliver(deliver)) if joined.room == deliver.room),
            Fault::PublishBeforeJoin => matches!((before, last),
                (Some(Mail::Join(join)), Mail::Publish(publish))
                    if join.channel == publish.channel && is_by(&publish.sender, join.reply.session) && !join.is_repeat),
            Fault::ShiftPast => matches!(last, Mail::Join(join)
                if matches!(join.past, Past::Asked(Since::Position(_, Offset(1..))) | Past::Missed(Since::Position(_, Offset(1..))))),
            Fault::EchoTyping => matches!(last, Mail::Notice(notice) if notice.except.is_some()),
            Fault::Reveal => {
                self.audience.matters(last, to)
                    && matches!(last, Mail::Presence(change) if change.standpoint.status == Status::Offline)
            }
            _ => false,
        };
        if !is_opportunity || !self.strikes() {
            return;
        }
        self.struck = Some(format!("{:?}", lane.back()));
        match fault {
            Fault::Lose(_) => drop(lane.pop_back()),
            Fault::Double(_) => lane.extend(lane.back().and_then(copy)),
            Fault::ShiftPast | Fault::EchoTyping | Fault::Reveal => {
                lane.back_mut().into_iter().for_each(spoil)
            }
            _ => {
                lane.swap_remove_back(lane.len() - 2).into_iter().for_each(|earlier| lane.push_back(earlier))
            }
        }
    }
}

/// Who would miss something.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// Cores with sessions that want to know how a user is.
    pub(crate) of_users: BTreeSet<(usize, String)>,
    /// Members of channels.
    pub(crate) members: BTreeSet<(String, String)>,
}

impl Audience {
    /// Whether somebody could miss a letter to a core. Signs that typing is over repeat themselves.
    fn matters(&self, letter: &Mail, to: usize) -> bool {
        match letter {
            Mail::Typing(typing) => {
                let is_other = |(channel, user): &(String, String)| {
                    **channel == *typing.channel && **user != *typing.user
                };
                matches!(typing.turn, TypingTurn::Start { .. }) && self.members.iter().any(is_other)
            }
            Mail::Presence(change) => {
                !change.channels.is_empty() && self.of_users.contains(&(to, change.user.to_string()))
            }
            _ => true,
        }
    }
}

/// Changes what a letter says.
fn spoil(letter: &mut Mail) {
    match letter {
        Mail::Join(join) => {
            if let Past::Asked(Since::Position(_, Offset(offset)))
            | Past::Missed(Since::Position(_, Offset(offset))) = &mut join.past
            {
                *offset -= 1;
            }
        }
        Mail::Notice(notice) => notice.except = None,
        Mail::Presence(change) => {
            let standpoint = Standpoint { status: Status::Online, ..change.standpoint.clone() };
            let (user, channels) = (change.user.clone(), change.channels.clone());
            *change = Arc::new(PresenceChange { user, standpoint, channels, ..**change });
        }
        _ => {}
    }
}

fn is_by(sender: &Sender, session: SessionId) -> bool {
    matches!(sender, Sender::Session(reply) if reply.session == session)
}
