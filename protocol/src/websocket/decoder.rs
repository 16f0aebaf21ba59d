//! Owns the reading of a peer's frames: which bytes make which event, and which rule they break.
//!
//! ```text
//!             whole frame in the input: unmasked there, handed out without a copy
//!          .-----------------------------------------------------------------------.
//!          |                                                                       v
//! bytes -> header -> payload arriving -> frame whole -> (FIN) message whole ----> Event
//!             \            |                   |
//!              `-----------+-------------------'  kept in Partial until more bytes come
//!
//! close frame or violation -> ended: every later byte is ignored (RFC 6455 section 5.5.1)
//! ```
//!
//! **Invariant:** between messages a decoder owns no heap, and what it holds grows only with bytes that arrived, never
//! with a length that a header declares.

mod partial;
mod violation;

use core::ops::Range;

use super::close::CloseCode;
use super::frame::Opcode;
use super::header::{self, Header};
use super::{mask, utf8};
use partial::{OpenFrame, Partial};
pub use violation::Violation;

/// The bounds on what a peer may send, the same for all connections of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest message, summed over its fragments and as it is on the wire; a larger one is refused at its header.
    pub message_bytes_max: usize,
    /// The most frames that one message may come in.
    pub fragments_max: u32,
    /// Whether RSV1 is accepted, because permessage-deflate was negotiated.
    pub deflate: bool,
}

/// Which side we are: a server requires masked frames, a client refuses them (RFC 6455 section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// We accepted the connection.
    Server,
    /// We opened the connection.
    Client,
}

/// What a peer said with one message or one control frame; it borrows the input or the decoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A text message as it was compressed: inflate it with [`super::deflate::Inflater`], then check its UTF-8. Only
    /// with [`Limits::deflate`].
    CompressedText(&'a [u8]),
    /// A binary message as it was compressed. Only with [`Limits::deflate`].
    CompressedBinary(&'a [u8]),
    /// A ping of at most 125 bytes, to be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// A pong of at most 125 bytes.
    Pong(&'a [u8]),
    /// The peer's last frame, with a code that is allowed on the wire and a reason, when it gave them.
    Close(Option<(CloseCode, &'a str)>),
}

/// A decoder is one connection's place in its peer's frames: 16 bytes, and no heap between messages.
#[derive(Debug)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
    role: Role,
    ended: bool,
}

const _: () = assert!(size_of::<Decoder>() <= 16, "a decoder is part of every idle connection");

impl Decoder {
    /// Makes the decoder of a fresh connection.
    pub const fn new(role: Role) -> Self {
        Self { partial: None, role, ended: false }
    }

    /// Takes bytes as they were received; whole frames are unmasked in place and handed out from there.
    ///
    /// Call [`Feed::next`] until it gives `None`. A feed that is dropped earlier takes its undecoded bytes
    /// ([`Feed::rest`]) with it.
    pub fn feed<'a>(&'a mut self, input: &'a mut [u8], limits: &'a Limits) -> Feed<'a> {
        Feed { decoder: self, input, limits, at: 0, held: Vec::new() }
    }

    /// Whether no partial frame or message is held.
    pub const fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// The heap bytes held for a partial frame or message, for the memory bill; 0 between messages.
    ///
    /// At most [`PARTIAL_BYTES`] plus twice the payload bytes that arrived, and never more than `PARTIAL_BYTES` plus
    /// [`Limits::message_bytes_max`] and one control frame.
    pub fn held_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| size_of::<Partial>() + partial.payload_capacity())
    }
}

/// The fixed cost of holding any partial frame or message: its state and the smallest payload buffer.
pub const PARTIAL_BYTES: usize = size_of::<Partial>() + partial::CAPACITY_MIN;

/// The bytes of one read, on their way to become events.
#[derive(Debug)]
pub struct Feed<'a> {
    decoder: &'a mut Decoder,
    input: &'a mut [u8],
    limits: &'a Limits,
    /// Where the bytes begin that are not decoded yet.
    at: usize,
    /// The payload of the last event, when it came in pieces.
    held: Vec<u8>,
}

/// An event whose payload was found but not borrowed yet.
struct Found {
    opcode: Opcode,
    compressed: bool,
    place: Place,
}

enum Place {
    Input(Range<usize>),
    Held,
}

impl Feed<'_> {
    /// Returns the next event; `None` when every byte of the input was consumed.
    ///
    /// An incomplete frame is kept inside the decoder. After a close frame or a violation the rest of the
    /// connection's bytes is ignored: every later call gives `None`.
    #[expect(
        clippy::should_implement_trait,
        reason = "an event borrows the feed, which an Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Violation> {
        self.held = Vec::new();
        let found = match self.advance() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(violation) => {
                self.end();
                return Err(violation);
            }
        };
        if found.opcode == Opcode::Close {
            self.end();
        }
        let payload = match &found.place {
            Place::Input(range) => &self.input[range.clone()],
            Place::Held => &self.held,
        };
        let event = found.event(payload);
        self.decoder.ended |= event.is_err();
        event.map(Some)
    }

    /// The bytes that are not decoded yet, for handing a connection over after an event.
    pub fn rest(&self) -> &[u8] {
        &self.input[self.at..]
    }

    /// Walks until a message or control frame is whole, or the input is used up.
    fn advance(&mut self) -> Result<Option<Found>, Violation> {
        while !self.decoder.ended {
            let Some(mut frame) = self.next_frame()? else { return Ok(None) };
            let range = self.arrived(&mut frame);
            let found = match frame.opcode.is_control() {
                true => self.control(frame, range),
                false => self.fragment(frame, range)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        self.at = self.input.len();
        Ok(None)
    }

    /// The frame that the next byte belongs to: the one under way, or the one whose header comes next.
    fn next_frame(&mut self) -> Result<Option<OpenFrame>, Violation> {
        if let Some(partial) = &mut self.decoder.partial {
            if let Some(frame) = partial.frame.take() {
                if self.at == self.input.len() {
                    partial.frame = Some(frame);
                    return Ok(None);
                }
                return Ok(Some(frame));
            }
            if !partial.header().is_empty() {
                return self.header_in_pieces();
            }
        }
        let bytes = &self.input[self.at..];
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some(header) = header::parse(bytes, self.decoder.role, self.limits.deflate)? else {
            self.decoder.partial.get_or_insert_default().push_header(bytes);
            self.at = self.input.len();
            return Ok(None);
        };
        self.at += header.header_bytes;
        self.admit(&header).map(Some)
    }

    /// Continues a header of which an earlier input brought the beginning.
    fn header_in_pieces(&mut self) -> Result<Option<OpenFrame>, Violation> {
        let partial = self.decoder.partial.get_or_insert_default();
        while let Some(byte) = self.input.get(self.at) {
            self.at += 1;
            partial.push_header(core::slice::from_ref(byte));
            if let Some(header) = header::parse(partial.header(), self.decoder.role, self.limits.deflate)? {
                partial.clear_header();
                self.forget_empty_partial();
                return self.admit(&header).map(Some);
            }
        }
        Ok(None)
    }

    /// Judges a header by what came before it, ahead of any byte of its payload.
    fn admit(&self, header: &Header) -> Result<OpenFrame, Violation> {
        if !header.opcode.is_control() {
            let message = self.decoder.partial.as_ref().and_then(|partial| partial.message.as_ref());
            let (bytes, fragments) = match (message, header.opcode) {
                (None, Opcode::Continuation) => return Err(Violation::UnexpectedContinuation),
                (Some(_), Opcode::Text | Opcode::Binary) => return Err(Violation::ExpectedContinuation),
                (Some(message), _) => (message.payload.len(), message.fragments),
                (None, _) => (0, 0),
            };
            let room = self.limits.message_bytes_max.saturating_sub(bytes);
            if header.payload_bytes > room as u64 {
                return Err(Violation::MessageTooBig);
            }
            if fragments >= self.limits.fragments_max {
                return Err(Violation::TooManyFragments);
            }
        }
        Ok(OpenFrame {
            fin: header.fin,
            compressed: header.compressed,
            opcode: header.opcode,
            key: header.key,
            // Bounded by message_bytes_max, a usize, or by 125.
            remaining: header.payload_bytes as usize,
            resumed: false,
        })
    }

    /// Unmasks what the input has of the frame's payload and moves past it.
    fn arrived(&mut self, frame: &mut OpenFrame) -> Range<usize> {
        let start = self.at;
        let taken = frame.remaining.min(self.input.len() - start);
        self.at += taken;
        frame.remaining -= taken;
        if let Some(key) = &mut frame.key {
            mask::apply(&mut self.input[start..start + taken], *key);
            *key = mask::rotated(*key, taken);
        }
        start..start + taken
    }

    fn control(&mut self, frame: OpenFrame, range: Range<usize>) -> Option<Found> {
        let found = |place| Some(Found { opcode: frame.opcode, compressed: false, place });
        if frame.remaining == 0 && !frame.resumed {
            return found(Place::Input(range));
        }
        let partial = self.decoder.partial.get_or_insert_default();
        partial.push_control(&self.input[range]);
        if frame.remaining > 0 {
            partial.frame = Some(frame.resumed());
            return None;
        }
        self.held = core::mem::take(&mut partial.control);
        self.forget_empty_partial();
        found(Place::Held)
    }

    fn fragment(&mut self, frame: OpenFrame, range: Range<usize>) -> Result<Option<Found>, Violation> {
        let whole_message =
            frame.fin && frame.remaining == 0 && !frame.resumed && frame.opcode.begins_message();
        if whole_message {
            let OpenFrame { opcode, compressed, .. } = frame;
            return Ok(Some(Found { opcode, compressed, place: Place::Input(range) }));
        }
        let partial = self.decoder.partial.get_or_insert_default();
        let message = partial.message_of(&frame);
        message.push(&self.input[range], &frame, self.limits.message_bytes_max)?;
        if frame.remaining > 0 {
            partial.frame = Some(frame.resumed());
            return Ok(None);
        }
        if !frame.fin {
            return Ok(None);
        }
        let Some(message) = partial.message.take() else { return Ok(None) };
        self.forget_empty_partial();
        if !message.utf8.is_complete() {
            return Err(Violation::InvalidUtf8);
        }
        self.held = message.payload;
        Ok(Some(Found { opcode: message.opcode, compressed: message.compressed, place: Place::Held }))
    }

    fn forget_empty_partial(&mut self) {
        if self.decoder.partial.as_ref().is_some_and(|partial| partial.is_empty()) {
            self.decoder.partial = None;
        }
    }

    fn end(&mut self) {
        self.decoder.ended = true;
        self.decoder.partial = None;
    }
}

impl Found {
    /// Reads the unmasked payload as what the opcode says it is.
    fn event(self, payload: &[u8]) -> Result<Event<'_>, Violation> {
        let text = |bytes| utf8::whole(bytes).ok_or(Violation::InvalidUtf8);
        Ok(match (self.opcode, self.compressed) {
            (Opcode::Text, false) => Event::Text(text(payload)?),
            (Opcode::Text, true) => Event::CompressedText(payload),
            (Opcode::Binary | Opcode::Continuation, false) => Event::Binary(payload),
            (Opcode::Binary | Opcode::Continuation, true) => Event::CompressedBinary(payload),
            (Opcode::Ping, _) => Event::Ping(payload),
            (Opcode::Pong, _) => Event::Pong(payload),
            (Opcode::Close, _) => Event::Close(match payload {
                [] => None,
                [_] => return Err(Violation::CloseTooShort),
                [high, low, reason @ ..] => {
                    let code = CloseCode(u16::from_be_bytes([*high, *low]));
                    if !code.is_allowed_on_the_wire() {
                        return Err(Violation::CloseCodeNotAllowed);
                    }
                    Some((code, text(reason)?))
                }
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { message_bytes_max: 1000, fragments_max: 4, deflate: false };

    #[test]
    fn a_whole_frame_is_handed_out_from_the_input_without_a_copy() {
        let mut input = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58, 0x89];
        let place = input[6..].as_ptr();
        let mut decoder = Decoder::new(Role::Server);
        let mut feed = decoder.feed(&mut input, &LIMITS);
        let Ok(Some(Event::Text(text))) = feed.next() else { panic!("a text") };
        assert_eq!((text, text.as_ptr()), ("Hello", place));
        assert_eq!(feed.rest(), [0x89]);
        assert_eq!(feed.next(), Ok(None));
        assert!(feed.rest().is_empty());
        assert!(!decoder.is_idle());
    }

    #[test]
    fn nothing_is_held_between_messages() {
        let mut decoder = Decoder::new(Role::Client);
        for byte in [0x01, 0x02, b'a', b'b', 0x89, 0x01, b'p', 0x80, 0x01] {
            let _ = decoder.feed(&mut [byte], &LIMITS).next();
            assert!(!decoder.is_idle() && decoder.held_bytes() <= 2 * PARTIAL_BYTES);
        }
        let mut last = [b'c'];
        let mut feed = decoder.feed(&mut last, &LIMITS);
        assert_eq!(feed.next(), Ok(Some(Event::Text("abc"))));
        drop(feed);
        assert!(decoder.is_idle());
        assert_eq!(decoder.held_bytes(), 0);
    }

    #[test]
    fn a_declared_length_reserves_nothing() {
        let limits = Limits { message_bytes_max: usize::MAX, ..LIMITS };
        let mut decoder = Decoder::new(Role::Client);
        let mut header = [0x82, 127, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decoder.feed(&mut header, &limits).next(), Ok(None));
        assert!(decoder.held_bytes() <= PARTIAL_BYTES);
        assert_eq!(decoder.feed(&mut [7; 100], &limits).next(), Ok(None));
        assert!(decoder.held_bytes() <= PARTIAL_BYTES + 200);
    }

    #[test]
    fn everything_after_a_close_or_a_violation_is_ignored() {
        for first in [[0x88, 0x00].as_slice(), &[0x83, 0x00]] {
            let mut decoder = Decoder::new(Role::Client);
            let mut input = [first, &[0x81, 0x01, b'x']].concat();
            let mut feed = decoder.feed(&mut input, &LIMITS);
            let _ = feed.next();
            assert_eq!(feed.next(), Ok(None));
            assert!(feed.rest().is_empty());
            assert_eq!(decoder.feed(&mut [0x81, 0x01, b'x'], &LIMITS).next(), Ok(None));
            assert!(decoder.is_idle());
        }
    }
}
