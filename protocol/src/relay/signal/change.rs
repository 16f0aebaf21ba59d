//! Changes of presence as a node tells them to the others: one after the other in a lane, so that whoever missed one
//! knows it.

use super::Lane;
use super::fields::{Fields, push_option, push_status, push_text};
use crate::chat::status::Status;

/// Some changes of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes<'a> {
    /// The lane, with the number of the last of these changes. Pieces of a state count for nothing: theirs is the number
    /// up to which the state is told.
    pub lane: Lane,
    /// Which piece of the lane's whole state this is, or that it is none.
    pub piece: Option<Piece>,
    /// The changes, each as [`Change::write`] wrote it.
    pub bytes: &'a [u8],
}

/// Which piece of a lane's whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its number, from 0 on.
    pub index: u32,
    /// Whether the state is complete with it.
    pub is_last: bool,
}

/// What one node says of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// How the user's devices there are.
    Is {
        /// Who.
        user: &'a str,
        /// How.
        summary: Summary<'a>,
        /// A device said something: what lost ones said before does not weigh against it.
        is_said: bool,
    },
    /// The user came into a channel there.
    Joined {
        /// Who.
        user: &'a str,
        /// Display name.
        name: Option<&'a str>,
        /// The channel.
        channel: &'a str,
        /// When, in milliseconds since the epoch.
        joined_at_unix_ms: u64,
    },
    /// The user is in a channel there no more.
    Left {
        /// Who.
        user: &'a str,
        /// The channel.
        channel: &'a str,
        /// The connection was lost, as opposed to the user having left.
        was_lost: bool,
    },
    /// Nothing is left of the user there.
    Gone {
        /// Who.
        user: &'a str,
        /// When others saw the user last, in milliseconds since the epoch.
        last_seen_unix_ms: u64,
    },
}

/// What one node's devices of a user say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary<'a> {
    /// The most available of the devices; `None` if none counts.
    pub status: Option<Status>,
    /// How many are connected.
    pub connection_count: u32,
    /// When others saw the user last, in milliseconds since the epoch.
    pub last_seen_unix_ms: u64,
    /// The status that the user chose whatever the devices are, or that there is none.
    pub choice: Option<Status>,
    /// When that was: later ones win. 0 if nothing was ever chosen.
    pub choice_stamp: u64,
    /// What the user says beside the status.
    pub custom: CustomStamped<'a>,
}

/// What a user says beside the status, and when that was said: later ones win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomStamped<'a> {
    /// The text.
    pub text: Option<&'a str>,
    /// The emoji.
    pub emoji: Option<&'a str>,
    /// When it ends, in milliseconds since the epoch.
    pub expires_at_unix_ms: Option<u64>,
    /// When it was said; 0 if nothing ever was.
    pub stamp: u64,
}

impl<'a> Changes<'a> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.lane.write(out);
        out.push(u8::from(self.piece.is_some()));
        if let Some(piece) = self.piece {
            out.extend(piece.index.to_be_bytes());
            out.push(u8::from(piece.is_last));
        }
        out.extend_from_slice(self.bytes);
    }

    pub(super) fn read(fields: &mut Fields<'a>) -> Option<Self> {
        let lane = Lane::read(fields)?;
        let piece = match fields.flag()? {
            true => Some(Piece { index: fields.word()?, is_last: fields.flag()? }),
            false => None,
        };
        Some(Self { lane, piece, bytes: fields.rest() })
    }

    /// The changes in their order; `None` if they cannot be read.
    pub fn list(&self) -> Option<Vec<Change<'a>>> {
        let mut fields = Fields(self.bytes);
        let mut list = Vec::new();
        while !fields.0.is_empty() {
            list.push(Change::read(&mut fields)?);
        }
        Some(list)
    }
}

impl<'a> Change<'a> {
    /// Who it is about.
    pub fn user(&self) -> &'a str {
        match self {
            Self::Is { user, .. }
            | Self::Joined { user, .. }
            | Self::Left { user, .. }
            | Self::Gone { user, .. } => user,
        }
    }

    /// Appends the binary form.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Is { user, summary, is_said } => {
                out.push(b'i');
                push_text(out, user);
                summary.write(out);
                out.push(u8::from(*is_said));
            }
            Self::Joined { user, name, channel, joined_at_unix_ms } => {
                out.push(b'j');
                push_text(out, user);
                push_option(out, *name);
                push_text(out, channel);
                out.extend(joined_at_unix_ms.to_be_bytes());
            }
            Self::Left { user, channel, was_lost } => {
                out.push(b'l');
                push_text(out, user);
                push_text(out, channel);
                out.push(u8::from(*was_lost));
            }
            Self::Gone { user, last_seen_unix_ms } => {
                out.push(b'g');
                push_text(out, user);
                out.extend(last_seen_unix_ms.to_be_bytes());
            }
        }
    }

    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        let letter = fields.byte()?;
        let user = fields.text()?;
        Some(match letter {
            b'i' => Self::Is { user, summary: Summary::read(fields)?, is_said: fields.flag()? },
            b'j' => Self::Joined {
                user,
                name: fields.option()?,
                channel: fields.text()?,
                joined_at_unix_ms: fields.long()?,
            },
            b'l' => Self::Left { user, channel: fields.text()?, was_lost: fields.flag()? },
            b'g' => Self::Gone { user, last_seen_unix_ms: fields.long()? },
            _ => return None,
        })
    }
}

impl<'a> Summary<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        push_status(out, self.status);
        out.extend(self.connection_count.to_be_bytes());
        out.extend(self.last_seen_unix_ms.to_be_bytes());
        push_status(out, self.choice);
        out.extend(self.choice_stamp.to_be_bytes());
        push_option(out, self.custom.text);
        push_option(out, self.custom.emoji);
        out.push(u8::from(self.custom.expires_at_unix_ms.is_some()));
        if let Some(expires_at_unix_ms) = self.custom.expires_at_unix_ms {
            out.extend(expires_at_unix_ms.to_be_bytes());
        }
        out.extend(self.custom.stamp.to_be_bytes());
    }

    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        Some(Self {
            status: fields.status()?,
            connection_count: fields.word()?,
            last_seen_unix_ms: fields.long()?,
            choice: fields.status()?,
            choice_stamp: fields.long()?,
            custom: CustomStamped {
                text: fields.option()?,
                emoji: fields.option()?,
                expires_at_unix_ms: if fields.flag()? { Some(fields.long()?) } else { None },
                stamp: fields.long()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Piece;
    use super::*;

    fn changes() -> Vec<Change<'static>> {
        let custom =
            CustomStamped { text: Some("lunch"), emoji: None, expires_at_unix_ms: Some(7), stamp: u64::MAX };
        let summary = Summary {
            status: Some(Status::Away),
            connection_count: 2,
            last_seen_unix_ms: 1_772_359_201_000,
            choice: Some(Status::Dnd),
            choice_stamp: 9,
            custom,
        };
        vec![
            Change::Is { user: "7", summary, is_said: true },
            Change::Is { user: "ü", summary: Summary::default(), is_said: false },
            Change::Joined { user: "7", name: Some("Ann"), channel: "a", joined_at_unix_ms: 5 },
            Change::Left { user: "7", channel: "a", was_lost: true },
            Change::Gone { user: "7", last_seen_unix_ms: 6 },
        ]
    }

    #[test]
    fn changes_are_read_in_their_order_or_not_at_all() {
        let lane = Lane { generation: 1, core: 0, number: 5 };
        let (changes, mut bytes) = (changes(), Vec::new());
        let mut ends = vec![0];
        for change in &changes {
            change.write(&mut bytes);
            ends.push(bytes.len());
        }
        for piece in [None, Some(Piece { index: 3, is_last: true })] {
            let written = Changes { lane, piece, bytes: &bytes };
            let mut form = Vec::new();
            written.write(&mut form);
            assert_eq!(Changes::read(&mut Fields(&form)), Some(written));
            assert_eq!(written.list().as_ref(), Some(&changes));
        }
        for end in 0..bytes.len() {
            let cut = Changes { lane, piece: None, bytes: &bytes[..end] };
            let whole = ends.iter().position(|known| *known == end);
            assert_eq!(cut.list().map(|list| list.len()), whole, "{end}");
        }
    }

    #[test]
    fn bytes_of_strangers_are_never_more_changes_than_bytes() {
        for seed in 0..2_000_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut letter = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                b"ijlg\0\0\0\x01\x02a"[(state >> 33) as usize % 10]
            };
            let bytes: Vec<u8> = (0..64).map(|_| letter()).collect();
            let lane = Lane { generation: 1, core: 0, number: 5 };
            let list = Changes { lane, piece: None, bytes: &bytes }.list();
            assert!(list.is_none_or(|list| list.len() <= bytes.len()), "seed {seed}");
        }
    }
}
