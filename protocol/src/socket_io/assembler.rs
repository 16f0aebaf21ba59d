//! Binary packets: the text is held until its attachments have come.

use crate::json::{self, Json};

use super::check::check_shape;
use super::{Packet, ParseError, parse};

/// The receiving half of one connection as far as attachments go; one pointer wide, and empty most of the time.
///
/// ```text
///            text: no attachments                text: n attachments
///            +------------------+               +------------------+
///            v                  |               |                  v
///          Idle ----------------+---------------+               Pending ---+ binary: some are missing
///            ^                                                     |   ^---+
///            +-------------- binary: the last one -----------------+
/// ```
///
/// What does not fit the state is an error; the connection is to be closed after it.
#[derive(Debug, Default)]
pub struct Assembler {
    pending: Option<Box<Pending>>,
}

#[derive(Debug)]
struct Pending {
    text: String,
    attachment_count: usize,
    attachments: Vec<Vec<u8>>,
    bytes: usize,
}

/// A binary packet with all of its attachments.
#[derive(Debug)]
pub struct Complete {
    text: String,
    /// The attachments in the order of arrival; placeholder `n` stands for the n-th.
    pub attachments: Vec<Vec<u8>>,
}

impl Complete {
    /// The packet. Its JSON has still to be validated and to go through [`super::check()`].
    ///
    /// # Panics
    /// Never: the text was parsed when it came.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        parse(&self.text).expect("the text was parsed when it came")
    }
}

impl Assembler {
    /// Makes an assembler that waits for nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { pending: None }
    }

    /// Whether attachments are missing.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Bytes of text and attachments that are held; at most the `bytes_max` of [`Assembler::binary`], or one message.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.bytes)
    }

    /// Takes a text message: hands out its packet, or keeps a copy and gives `None` if attachments are to follow.
    ///
    /// A packet that is kept has had its JSON checked, but for placeholders, so that a bad one is refused at once.
    ///
    /// # Errors
    /// Those of [`parse`], [`ParseError::AttachmentMissing`], and for packets that are kept [`ParseError::Syntax`] and
    /// those of [`super::check()`] that close.
    pub fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, ParseError> {
        if self.pending.is_some() {
            return Err(ParseError::AttachmentMissing);
        }
        let packet = parse(text)?;
        if packet.attachment_count == 0 {
            return Ok(Some(packet));
        }
        check_held(&packet)?;
        self.pending = Some(Box::new(Pending {
            text: text.to_owned(),
            attachment_count: packet.attachment_count,
            attachments: Vec::new(),
            bytes: text.len(),
        }));
        Ok(None)
    }

    /// Takes a binary message: the next attachment. Gives the packet if it was the last one.
    ///
    /// `bytes_max` bounds the packet's text and all of its attachments together.
    ///
    /// # Errors
    /// [`ParseError::AttachmentUnexpected`] and [`ParseError::TooLarge`].
    pub fn binary(&mut self, bytes: &[u8], bytes_max: usize) -> Result<Option<Complete>, ParseError> {
        let Some(mut pending) = self.pending.take() else {
            return Err(ParseError::AttachmentUnexpected);
        };
        pending.bytes = pending.bytes.saturating_add(bytes.len());
        if pending.bytes > bytes_max {
            return Err(ParseError::TooLarge);
        }
        pending.attachments.push(bytes.to_vec());
        if pending.attachments.len() == pending.attachment_count {
            return Ok(Some(Complete { text: pending.text, attachments: pending.attachments }));
        }
        self.pending = Some(pending);
        Ok(None)
    }
}

fn check_held(packet: &Packet<'_>) -> Result<(), ParseError> {
    if !packet.data.is_empty() && !json::is_json(packet.data) {
        return Err(ParseError::Syntax);
    }
    let data = (!packet.data.is_empty()).then(|| Json::slice(packet.data));
    match check_shape(packet, data) {
        Err(error) if error.closes() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket_io::Kind;

    const BYTES_MAX: usize = 100;
    const TEXT: &str = r#"52-/a,7["file",{"_placeholder":true,"num":0}]"#;

    #[test]
    fn it_is_one_pointer_wide() {
        assert_eq!(size_of::<Assembler>(), size_of::<usize>());
    }

    #[test]
    fn a_packet_is_whole_with_its_last_attachment() {
        let mut assembler = Assembler::new();
        assert_eq!(assembler.text(TEXT), Ok(None));
        assert!(assembler.binary(b"one", BYTES_MAX).unwrap().is_none());
        assert_eq!(assembler.held_bytes(), TEXT.len() + 3);
        let complete = assembler.binary(b"", BYTES_MAX).unwrap().unwrap();
        assert_eq!(complete.attachments, [&b"one"[..], b""]);
        let packet = complete.packet();
        assert_eq!((packet.kind, packet.namespace, packet.id), (Kind::BinaryEvent, "/a", Some(7)));
        assert!(packet.data.starts_with("[\"file\""));
        assert!(!assembler.is_pending());
        assert!(assembler.text(r#"2["a"]"#).unwrap().is_some());
    }

    #[test]
    fn nothing_may_come_between() {
        let mut assembler = Assembler::new();
        assert_eq!(assembler.binary(b"", BYTES_MAX).unwrap_err(), ParseError::AttachmentUnexpected);
        assert_eq!(assembler.text(TEXT), Ok(None));
        assert_eq!(assembler.text("2[\"a\"]"), Err(ParseError::AttachmentMissing));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut assembler = Assembler::new();
        assert_eq!(assembler.text(TEXT), Ok(None));
        assert!(assembler.binary(&[0; BYTES_MAX - TEXT.len()], BYTES_MAX).unwrap().is_none());
        assert_eq!(assembler.binary(b"x", BYTES_MAX).unwrap_err(), ParseError::TooLarge);
        assert!(!assembler.is_pending());
    }

    #[test]
    fn a_bad_packet_is_refused_before_its_attachments() {
        let check = |text, error| assert_eq!(Assembler::new().text(text), Err(error), "{text}");
        check("51-[", ParseError::Syntax);
        check("51-{}", ParseError::Payload);
        check("51-[\"connect\"]", ParseError::ReservedEvent);
        check("511-[\"a\"]", ParseError::TooManyAttachments);
        check("50-[\"a\"]", ParseError::AttachmentCount);
        for text in ["51-", "61-[]", r#"51-["a"]"#] {
            assert_eq!(Assembler::new().text(text), Ok(None), "{text}");
        }
    }
}
