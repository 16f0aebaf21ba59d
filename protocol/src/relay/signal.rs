//! What nodes tell each other and nobody keeps: presence, typing, rights that ended, letters to one node.
//!
//! ```text
//! 1 byte    the version of this form, '1'
//! 1 byte    the word, see the arms of [`Word`]
//! 8 bytes   the run that says so
//! fields    of the word: numbers big endian, texts with their length in front, 4 bytes
//! ```
//!
//! A signal that cannot be read is refused as a whole, see [`relay`](super). Whoever is subscribed to the topic that it
//! speaks on hears its own signals, too.

mod change;
mod fields;

pub use change::{Change, Changes, CustomStamped, Piece, Summary};

use super::{RUN_BYTES, VERSION};
use crate::chat::status::Status;
use fields::{Fields, push_option, push_status, push_text};

/// A signal: who says what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal<'a> {
    /// The run that says it: eight letters.
    pub run: &'a str,
    /// What it says.
    pub word: Word<'a>,
}

/// What a signal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// On a channel's topic: somebody types there, or stopped.
    Typing(TypingSign<'a>),
    /// On a channel's topic: a back end says how a user is in the channel alone.
    Said {
        /// Who.
        user: &'a str,
        /// How.
        status: Status,
    },
    /// To everybody: rights of a user, in a channel, or of everybody everywhere have to be looked at again.
    Revoked {
        /// The user, or everybody.
        user: Option<&'a str>,
        /// The channel, or every channel.
        channel: Option<&'a str>,
    },
    /// To one node: a client took a session up elsewhere that this node still has.
    Evicted {
        /// The session's private id.
        pid: &'a str,
    },
    /// On the topic of the user's partition: the user spent something of a limit.
    Spent {
        /// Who.
        user: &'a str,
        /// The class of operations, by its number.
        class: u8,
    },
    /// On the topic of the user's partition: what was read on one device is read on the others.
    Notified {
        /// Whose devices.
        user: &'a str,
        /// The event's name.
        name: &'a str,
        /// What it is about.
        id: Option<&'a str>,
    },
    /// On a partition's topic: the store has forgotten something of this epoch and begins another one.
    Renounced {
        /// The epoch that is over.
        epoch: &'a str,
    },
    /// On a partition's topic: this node begins to listen here. Everybody says how far their lanes are.
    Hello,
    /// On a partition's topic: how far a lane of this run is.
    Head(Lane),
    /// On a partition's topic: somebody missed a part of another run's lane, and wants its whole state.
    Ask {
        /// Whose lane.
        of: &'a str,
        /// Which core's.
        core: u16,
    },
    /// On a partition's topic: what changed, or a piece of the whole state.
    Changes(Changes<'a>),
}

/// A lane: what one core of a run tells of its users in a partition, counted by one. A generation begins its lanes anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The run's generation.
    pub generation: u32,
    /// The core that tells.
    pub core: u16,
    /// The number of the last change that was told.
    pub number: u64,
}

/// Somebody types in a channel, or stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypingSign<'a> {
    /// Who.
    pub user: &'a str,
    /// Display name.
    pub name: Option<&'a str>,
    /// The thread of the channel; the channel itself if there is none.
    pub thread: Option<&'a str>,
    /// What kind of room the client says that it is.
    pub room_type: Option<&'a str>,
    /// Tells the user's sessions on the run apart; 0 if none said so.
    pub session: u64,
    /// What happened.
    pub turn: TypingTurn,
}

/// What happened to somebody's typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypingTurn {
    /// It goes on in the thread.
    Start,
    /// It ended in the thread.
    Stop,
    /// It ended in all threads, as far as the session said so.
    StopAll,
}

impl<'a> Signal<'a> {
    /// Appends the binary form.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(64);
        out.extend([VERSION, self.word.letter()]);
        out.extend_from_slice(self.run.as_bytes());
        match &self.word {
            Word::Typing(sign) => sign.write(out),
            Word::Said { user, status } => {
                push_text(out, user);
                push_status(out, Some(*status));
            }
            Word::Revoked { user, channel } => {
                push_option(out, *user);
                push_option(out, *channel);
            }
            Word::Evicted { pid } => push_text(out, pid),
            Word::Spent { user, class } => {
                push_text(out, user);
                out.push(*class);
            }
            Word::Notified { user, name, id } => {
                push_text(out, user);
                push_text(out, name);
                push_option(out, *id);
            }
            Word::Renounced { epoch } => push_text(out, epoch),
            Word::Hello => {}
            Word::Head(lane) => lane.write(out),
            Word::Ask { of, core } => {
                push_text(out, of);
                out.extend(core.to_be_bytes());
            }
            Word::Changes(changes) => changes.write(out),
        }
    }

    /// The binary form.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Reads what [`write`](Self::write) wrote; `None` for anything else. Of [`Word::Changes`], each change is read later.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let ([VERSION, letter], rest) = bytes.split_first_chunk::<2>()? else { return None };
        let (run, rest) = rest.split_at_checked(RUN_BYTES)?;
        let run = std::str::from_utf8(run).ok()?;
        let mut fields = Fields(rest);
        let word = match letter {
            b't' => Word::Typing(TypingSign::read(&mut fields)?),
            b's' => Word::Said { user: fields.text()?, status: fields.status()?? },
            b'r' => Word::Revoked { user: fields.option()?, channel: fields.option()? },
            b'e' => Word::Evicted { pid: fields.text()? },
            b'u' => Word::Spent { user: fields.text()?, class: fields.byte()? },
            b'n' => Word::Notified { user: fields.text()?, name: fields.text()?, id: fields.option()? },
            b'o' => Word::Renounced { epoch: fields.text()? },
            b'h' => Word::Hello,
            b'l' => Word::Head(Lane::read(&mut fields)?),
            b'k' => Word::Ask { of: fields.text()?, core: fields.short()? },
            b'c' => Word::Changes(Changes::read(&mut fields)?),
            _ => return None,
        };
        fields.0.is_empty().then_some(Self { run, word })
    }
}

impl Word<'_> {
    fn letter(&self) -> u8 {
        match self {
            Self::Typing(_) => b't',
            Self::Said { .. } => b's',
            Self::Revoked { .. } => b'r',
            Self::Evicted { .. } => b'e',
            Self::Spent { .. } => b'u',
            Self::Notified { .. } => b'n',
            Self::Renounced { .. } => b'o',
            Self::Hello => b'h',
            Self::Head(_) => b'l',
            Self::Ask { .. } => b'k',
            Self::Changes(_) => b'c',
        }
    }
}

impl Lane {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.generation.to_be_bytes());
        out.extend(self.core.to_be_bytes());
        out.extend(self.number.to_be_bytes());
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { generation: fields.word()?, core: fields.short()?, number: fields.long()? })
    }
}

impl<'a> TypingSign<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        push_text(out, self.user);
        push_option(out, self.name);
        push_option(out, self.thread);
        push_option(out, self.room_type);
        out.extend(self.session.to_be_bytes());
        out.push(match self.turn {
            TypingTurn::Start => b'+',
            TypingTurn::Stop => b'-',
            TypingTurn::StopAll => b'*',
        });
    }

    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        Some(Self {
            user: fields.text()?,
            name: fields.option()?,
            thread: fields.option()?,
            room_type: fields.option()?,
            session: fields.long()?,
            turn: match fields.byte()? {
                b'+' => TypingTurn::Start,
                b'-' => TypingTurn::Stop,
                b'*' => TypingTurn::StopAll,
                _ => return None,
            },
        })
    }
}
