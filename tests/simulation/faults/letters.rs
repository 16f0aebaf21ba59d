//! The kinds of letters, and copies of them. The node itself never needs a letter twice.

use core_shards::mail::{
    Answer, Asked, Deliver, Join, Joined, Leave, Mail, Notice, Outcome, PresenceReport, Publish, Published,
    Replay, Restyle, Typing, TypingTurn,
};

/// The kinds of letters, for the faults that hit one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    Join,
    Leave,
    Restyle,
    Publish,
    Typing,
    Presence,
    AskPresence,
    PresenceReport,
    Revoke,
    Joined,
    Deliver,
    Notice,
    Published,
    Answer,
    /// One that no simulated node sends.
    Other,
}

pub(super) fn kind(letter: &Mail) -> Letter {
    match letter {
        Mail::Join(_) => Letter::Join,
        Mail::Leave(_) => Letter::Leave,
        Mail::Restyle(_) => Letter::Restyle,
        Mail::Publish(_) => Letter::Publish,
        Mail::Typing(_) => Letter::Typing,
        Mail::Presence(_) => Letter::Presence,
        Mail::AskPresence(_) => Letter::AskPresence,
        Mail::PresenceReport(_) => Letter::PresenceReport,
        Mail::Revoke(_) => Letter::Revoke,
        Mail::Joined(_) => Letter::Joined,
        Mail::Deliver(_) => Letter::Deliver,
        Mail::Notice(_) => Letter::Notice,
        Mail::Published(_) => Letter::Published,
        Mail::Answer(_) => Letter::Answer,
        _ => Letter::Other,
    }
}

/// A second letter with the same words; none of the kinds that no fault doubles.
pub(super) fn copy(letter: &Mail) -> Option<Mail> {
    Some(match letter {
        Mail::Join(join) => Mail::Join(Box::new(copy_join(join))),
        Mail::Leave(leave) => Mail::Leave(Box::new(Leave {
            channel: leave.channel.clone(),
            user: leave.user.clone(),
            ..**leave
        })),
        Mail::Restyle(restyle) => {
            Mail::Restyle(Box::new(Restyle { channel: restyle.channel.clone(), ..**restyle }))
        }
        Mail::Publish(publish) => Mail::Publish(Box::new(copy_publish(publish))),
        Mail::Typing(typing) => Mail::Typing(Box::new(copy_typing(typing))),
        Mail::Presence(change) => Mail::Presence(change.clone()),
        Mail::AskPresence(asked) => {
            Mail::AskPresence(Box::new(Asked { users: asked.users.clone(), ..**asked }))
        }
        Mail::PresenceReport(report) => {
            Mail::PresenceReport(Box::new(PresenceReport { users: report.users.clone(), ..**report }))
        }
        Mail::Revoke(revocation) => Mail::Revoke(revocation.clone()),
        Mail::Joined(joined) => Mail::Joined(Box::new(copy_joined(joined))),
        Mail::Deliver(deliver) => {
            Mail::Deliver(Deliver { room: deliver.room, publication: deliver.publication.clone() })
        }
        Mail::Notice(notice) => Mail::Notice(Notice { note: notice.note.clone(), ..*notice }),
        Mail::Published(published) => Mail::Published(Box::new(Published {
            channel: published.channel.clone(),
            kind: published.kind.clone(),
            client_message_id: published.client_message_id.clone(),
            publication: published.publication.clone(),
            ..**published
        })),
        Mail::Answer(answer) => {
            let Outcome::Told(told) = &answer.outcome else { return None };
            Mail::Answer(Box::new(Answer { to: answer.to, outcome: Outcome::Told(told.clone()) }))
        }
        _ => return None,
    })
}

fn copy_join(join: &Join) -> Join {
    Join {
        channel: join.channel.clone(),
        user: join.user.clone(),
        name: join.name.clone(),
        standpoint: join.standpoint.clone(),
        past: join.past.clone(),
        ..*join
    }
}

fn copy_publish(publish: &Publish) -> Publish {
    Publish {
        channel: publish.channel.clone(),
        kind: publish.kind.clone(),
        user: publish.user.clone(),
        client_message_id: publish.client_message_id.clone(),
        body: publish.body.clone(),
        attachments: publish.attachments.clone(),
        ..*publish
    }
}

fn copy_typing(typing: &Typing) -> Typing {
    let turn = match &typing.turn {
        TypingTurn::Start { thread, room_type } => {
            TypingTurn::Start { thread: thread.clone(), room_type: *room_type }
        }
        TypingTurn::Stop { thread } => TypingTurn::Stop { thread: thread.clone() },
        TypingTurn::StopAll => TypingTurn::StopAll,
    };
    Typing {
        channel: typing.channel.clone(),
        user: typing.user.clone(),
        name: typing.name.clone(),
        session: typing.session,
        turn,
    }
}

fn copy_joined(joined: &Joined) -> Joined {
    let past = Replay { publications: joined.past.publications.clone(), ..joined.past };
    Joined { members: joined.members.clone(), heard: joined.heard.clone(), past, ..*joined }
}
