//! What is handed out to members: durable publications with their place in the channel, and volatile notes.
//! Both are written once for each form that somebody in the channel reads, and shared between the cores.

use smallvec::SmallVec;

use protocol::chat::dialect::{Form, Style};
use protocol::chat::event::{self, Kind, Stamp};

use crate::cursor::{Cursor, RunId};
use crate::ids::{ChannelName, Lane, MessageId, Offset};
use crate::metrics::EventClass;

/// How a session wants broadcasts written: under which names, and with or without a cursor to resume from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FormKey {
    /// The names of events and fields.
    pub style: Style,
    /// Whether durable events carry their cursor.
    pub has_cursor: bool,
}

impl FormKey {
    /// The form of a plain session.
    pub const PLAIN: Self = Self { style: Style::Primary, has_cursor: false };

    /// The form of volatile events, which never carry a cursor.
    #[must_use]
    pub const fn volatile(self) -> Self {
        Self { style: self.style, has_cursor: false }
    }
}

/// Whole WebSocket frames in one or more forms.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// The forms in the order in which they were written, each with the end of its frames.
    ends: SmallVec<[(FormKey, u32); 2]>,
}

impl Frames {
    /// Writes another form.
    pub fn add(&mut self, form: FormKey, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        let end = u32::try_from(self.bytes.len()).expect("a publication is bounded by the payload limit");
        self.ends.push((form, end));
    }

    /// The frames of a form, if it was written.
    pub fn get(&self, form: FormKey) -> Option<&[u8]> {
        let mut start = 0;
        for (known, end) in &self.ends {
            if *known == form {
                return Some(&self.bytes[start as usize..*end as usize]);
            }
            start = *end;
        }
        None
    }

    /// How many forms were written.
    pub fn form_count(&self) -> usize {
        self.ends.len()
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

/// Which node a publication came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The node's run.
    pub run: RunId,
    /// Its number among the run's appends to the partition. Rises, and never ends in [`NUMBER_BITS`] zeros.
    pub number: u32,
}

/// Bits of a position that are the number of what the store has not got yet.
pub const NUMBER_BITS: u32 = 24;

/// The position in a partition's lane of what came as the store's publication `stored`, with `number` 0; or of what a node
/// handed out before the store had it: `stored` is the last publication before it and `number` its own
/// [`Origin::number`], of which the lower [`NUMBER_BITS`] count.
///
/// Stored publications 7 and 8 with 3 and 4 handed out in an outage between them: 7 << 24, 7 << 24 | 3, 7 << 24 | 4,
/// 8 << 24.
pub const fn position(stored: u64, number: u32) -> u64 {
    stored << NUMBER_BITS | (number & ((1 << NUMBER_BITS) - 1)) as u64
}

/// The number of the store's last publication at a [`position`].
pub const fn stored_of(seq: u64) -> u64 {
    seq >> NUMBER_BITS
}

/// One event of a channel that members must not miss, with its place in the channel.
#[derive(Debug)]
pub struct Publication {
    /// The order that it belongs to.
    pub lane: Lane,
    /// Its position there, rising: its number among all that its core ordered, or a [`position`] of the store.
    pub seq: u64,
    /// Its own position is before that: the feed had left it out. No lost session comes back to a place before it.
    pub is_belated: bool,
    /// Where it came in, of a node that shares a store with others.
    pub origin: Option<Origin>,
    /// Its channel.
    pub channel: ChannelName,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: MessageId,
    /// Its number in the channel; none if the channel's history does not keep it.
    pub offset: Option<Offset>,
    /// Its time, in milliseconds since the epoch, strictly rising within the channel.
    pub timestamp_ms: u64,
    /// What its sender decides: fields of a JSON object without braces, or a relay's payload.
    pub body: Vec<u8>,
    /// Binary attachments.
    pub attachments: Vec<Vec<u8>>,
    /// The forms that were read in the channel when it was published.
    pub frames: Frames,
    /// When the sender's core received it, in monotonic microseconds.
    pub received_us: u64,
}

impl Publication {
    /// Writes the frames of all forms that somebody reads.
    pub fn encode(&mut self, forms: impl Iterator<Item = FormKey>, run: RunId) {
        let mut frames = Frames::default();
        for form in forms {
            if frames.form_count() == 0 {
                /// Id twice, offset, times, brackets, names and a cursor around the body.
                const AROUND_BODY_BYTES: usize = 256;
                let attached: usize = self.attachments.iter().map(|attachment| attachment.len() + 10).sum();
                frames.bytes.reserve(self.body.len() + AROUND_BODY_BYTES + attached);
            }
            frames.add(form, |out| self.push(out, form, run));
        }
        frames.shrink();
        self.frames = frames;
    }

    /// Appends the frames of one form.
    pub fn push(&self, out: &mut Vec<u8>, form: FormKey, run: RunId) {
        let cursor = Cursor::Publication { lane: self.lane, seq: self.seq };
        self.push_with(out, form, form.has_cursor.then(|| cursor.text(run)).as_deref());
    }

    /// Appends the frames of one form with another cursor, for a session that gets them out of turn.
    pub fn push_with(&self, out: &mut Vec<u8>, form: FormKey, cursor: Option<&str>) {
        let form = Form { style: form.style, cursor };
        event::push_publication(
            out,
            &self.kind,
            form,
            self.stamp(),
            &self.channel,
            &self.body,
            &self.attachments,
        );
    }

    /// As [`push_with`](Self::push_with), from the frames that were written without a cursor for everybody.
    pub fn splice(&self, out: &mut Vec<u8>, form: FormKey, cursor: &str) {
        match self.frames.get(form.volatile()) {
            Some(frames) => event::splice_cursor(out, frames, cursor),
            None => self.push_with(out, form, Some(cursor)),
        }
    }

    /// Appends the JSON object alone.
    pub fn push_object(&self, out: &mut Vec<u8>) {
        event::push_object(out, &self.kind, self.stamp(), &self.body);
    }

    /// Its place, as encoders want it.
    pub fn stamp(&self) -> Stamp<'_> {
        Stamp {
            id: self.id.as_str(),
            offset: self.offset.map_or(0, |offset| offset.0),
            timestamp_ms: self.timestamp_ms,
        }
    }

    /// Whether it is a message, as opposed to what happens to messages.
    pub fn is_message(&self) -> bool {
        matches!(self.kind, Kind::Message)
    }

    /// The memory that it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let attached: usize = self.attachments.iter().map(Vec::len).sum();
        size_of::<Self>() + self.body.capacity() + attached + self.frames.bytes()
    }
}

/// One volatile event: a newer one of the same key makes it void.
#[derive(Debug, Default)]
pub struct Note {
    /// The forms that were read when it was written.
    pub frames: Frames,
    /// What it is about.
    pub key: u64,
    /// What it is counted as.
    pub class: EventClass,
}

impl Note {
    /// The frames of a form. A member that took to another spelling of the channel while the note was on its way gets
    /// those of the former one.
    pub fn frames_for(&self, form: FormKey) -> Option<&[u8]> {
        let other = match form.style {
            Style::LegacyBare => Style::LegacyPrefixed,
            Style::LegacyPrefixed => Style::LegacyBare,
            Style::Primary | Style::Hybrid => return self.frames.get(form),
        };
        self.frames.get(form).or_else(|| self.frames.get(FormKey { style: other, ..form }))
    }
}
