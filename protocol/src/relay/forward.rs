//! What nodes write to each other so that a polling client need not come to the node that has its session.
//!
//! ```text
//! 1 byte    'f': no other signal begins so
//! 1 byte    kind: g poll, p post, x given up, w waits, a answer
//! 8 bytes   the node that the client came to
//! 2 bytes   its core, big endian
//! 4 bytes   the request's number on that core, big endian
//! g, p, x   1 byte surface, 38 bytes session id; behind a post's the packets
//! a         2 bytes status, big endian, 1 byte content type, the body
//! ```
//!
//! ```text
//! client ──GET──> asker ──g──> node of the session
//!                       <──w── it is here, and has nothing to say yet
//!                       <──a── it has
//!        <──200──
//! ```

use crate::engine_io::sid::{NAMED_TEXT_BYTES, NodeName, Sid};

const MARK: u8 = b'f';

/// Content types that an answer may have, by number.
const CONTENT_TYPES: [&str; 4] = ["", "text/plain; charset=UTF-8", "text/html", "application/json"];

/// One step of a request that another node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Whose request it is.
    pub asker: Asker,
    /// What is said.
    pub step: Step,
}

/// A request that waits on the node that it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The node.
    pub node: NodeName,
    /// Its core.
    pub core: u16,
    /// The request's number there.
    pub number: u32,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client polls.
    Poll(Target),
    /// The client posts packets, with separators, as they came.
    Post(Target, Vec<u8>),
    /// The client has given up its poll.
    GiveUp(Target),
    /// The session is here, the answer comes later.
    Waits,
    /// The answer.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body's media type: one of those that Engine.IO answers with.
        content_type: &'static str,
        /// The body.
        body: Vec<u8>,
    },
}

/// Which session a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id, which names its node.
    pub sid: Sid,
    /// The number of the surface that the request came to.
    pub surface: u8,
}

impl Forwarding {
    /// Whether a signal is of this form.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.first() == Some(&MARK)
    }

    /// Whether it goes back to the asker.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        matches!(self.step, Step::Waits | Step::Answer { .. })
    }

    /// Appends the binary form.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, target): (u8, Option<&Target>) = match &self.step {
            Step::Poll(target) => (b'g', Some(target)),
            Step::Post(target, _) => (b'p', Some(target)),
            Step::GiveUp(target) => (b'x', Some(target)),
            Step::Waits => (b'w', None),
            Step::Answer { .. } => (b'a', None),
        };
        out.extend([MARK, kind]);
        out.extend_from_slice(self.asker.node.as_str().as_bytes());
        out.extend(self.asker.core.to_be_bytes());
        out.extend(self.asker.number.to_be_bytes());
        if let Some(target) = target {
            out.push(target.surface);
            out.extend_from_slice(target.sid.to_text().as_bytes());
        }
        match &self.step {
            Step::Post(_, packets) => out.extend_from_slice(packets),
            Step::Answer { status, content_type, body } => {
                let number = CONTENT_TYPES.iter().position(|known| known == content_type).unwrap_or(0);
                out.extend(status.to_be_bytes());
                out.push(number as u8);
                out.extend_from_slice(body);
            }
            Step::Poll(_) | Step::GiveUp(_) | Step::Waits => {}
        }
    }

    /// Reads what [`write`](Self::write) wrote; `None` for anything else.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let ([MARK, kind], rest) = bytes.split_first_chunk::<2>()? else { return None };
        let (node, rest) = rest.split_first_chunk::<{ NodeName::BYTES }>()?;
        let (core, rest) = rest.split_first_chunk::<2>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let asker = Asker {
            node: NodeName::parse(str::from_utf8(node).ok()?)?,
            core: u16::from_be_bytes(*core),
            number: u32::from_be_bytes(*number),
        };
        let step = match kind {
            b'g' => Step::Poll(read_target_alone(rest)?),
            b'p' => read_target(rest).map(|(target, packets)| Step::Post(target, packets.to_vec()))?,
            b'x' => Step::GiveUp(read_target_alone(rest)?),
            b'w' if rest.is_empty() => Step::Waits,
            b'a' => read_answer(rest)?,
            _ => return None,
        };
        Some(Self { asker, step })
    }
}

fn read_target_alone(bytes: &[u8]) -> Option<Target> {
    read_target(bytes).filter(|(_, rest)| rest.is_empty()).map(|(target, _)| target)
}

fn read_target(bytes: &[u8]) -> Option<(Target, &[u8])> {
    let (surface, rest) = bytes.split_first()?;
    let (sid, rest) = rest.split_at_checked(NAMED_TEXT_BYTES)?;
    let sid = Sid::parse(str::from_utf8(sid).ok()?)?;
    Some((Target { sid, surface: *surface }, rest))
}

fn read_answer(bytes: &[u8]) -> Option<Step> {
    let (status, rest) = bytes.split_first_chunk::<2>()?;
    let (content_type, body) = rest.split_first()?;
    let content_type = CONTENT_TYPES.get(usize::from(*content_type))?;
    Some(Step::Answer { status: u16::from_be_bytes(*status), content_type, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_step() -> Vec<Forwarding> {
        let node = NodeName::parse("0A1B2C3D").unwrap();
        let sid = Sid { node: Some(node), core: 3, slot: 70_000, secret: *b"0123456789abcdef" };
        let target = Target { sid, surface: 1 };
        let asker = Asker { node: NodeName::parse("ZZZZZZZZ").unwrap(), core: 258, number: 70_001 };
        [
            Step::Poll(target),
            Step::Post(target, b"42[\"a\"]\x1e3".to_vec()),
            Step::Post(target, Vec::new()),
            Step::GiveUp(target),
            Step::Waits,
            Step::Answer { status: 200, content_type: "text/plain; charset=UTF-8", body: b"4hi".to_vec() },
            Step::Answer { status: 400, content_type: "application/json", body: Vec::new() },
        ]
        .map(|step| Forwarding { asker, step })
        .into()
    }

    #[test]
    fn what_was_written_is_read_again() {
        for forwarding in every_step() {
            let mut bytes = Vec::new();
            forwarding.write(&mut bytes);
            assert!(Forwarding::is_one(&bytes));
            assert_eq!(Forwarding::read(&bytes), Some(forwarding));
        }
    }

    #[test]
    fn a_part_of_it_is_nothing_or_something_shorter() {
        for forwarding in every_step() {
            let mut bytes = Vec::new();
            forwarding.write(&mut bytes);
            for end in 0..bytes.len() {
                assert_ne!(Forwarding::read(&bytes[..end]), Some(forwarding.clone()), "{end}");
            }
            if let Step::Poll(_) | Step::GiveUp(_) | Step::Waits = forwarding.step {
                bytes.push(0);
                assert_eq!(Forwarding::read(&bytes), None);
            }
        }
    }

    #[test]
    fn what_is_not_of_this_form_is_refused() {
        for bytes in
            [&b""[..], b"f", b"fz0A1B2C3D\x00\x01\x00\x00\x00\x07", b"1w0A1B2C3D\x00\x01\x00\x00\x00\x07"]
        {
            assert_eq!(Forwarding::read(bytes), None, "{bytes:?}");
        }
        assert_eq!(Forwarding::read(b"fw0a1b2c3d\x00\x01\x00\x00\x00\x07"), None, "no name");
        let no_content_type = b"fa0A1B2C3D\x00\x01\x00\x00\x00\x07\x00\xc8\x09";
        assert_eq!(Forwarding::read(no_content_type), None);
    }
}
