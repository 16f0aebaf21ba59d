//! Bytes from the server to replies and pushes, however they were cut.
//!
//! Nothing is read twice: a reply that is not there yet goes on where the last read ended. Bounds are on depth,
//! elements and bytes; a server that breaks one, or the protocol, has lost its connection.
//!
//! ```text
//! $5 a bulk string of 5 bytes   +OK  -ERR text  :7  _  #t  ,1.5  (123  !5 error  =9 txt:…  and the RESP2 forms $-1 *-1
//! *2 two elements   %1 one key and one value   ~2 a set   >3 a push   |1 said about what follows: dropped
//! ```
//! Strings and aggregates without a length in front (`$?`, `*?`) are not sent by any server that we ask, and refused.

use memchr::memchr;

use super::reply::{List, Node, NodeKind, Reply};

/// What one reply may amount to.
#[derive(Clone, Copy, Debug)]
pub struct DecoderLimits {
    /// Bytes of one reply with everything around it; at most 2^31.
    pub reply_bytes_max: usize,
    /// Elements of one reply, those inside of others included.
    pub elements_max: usize,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { reply_bytes_max: 64 << 20, elements_max: 1 << 21 }
    }
}

/// How deep replies may be inside of each other.
const DEPTH_MAX: usize = 16;
/// The longest line: a status, an error or a number.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// What a text has in front that says its format: `txt:` or `mkd:`.
const VERBATIM_PREFIX: usize = 4;
/// Room for what is read next.
const READ_BYTES: usize = 16 * 1024;
/// A buffer that is larger than this is given back when it is empty.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// The server does not speak RESP3, or says too much at once. The text says what was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub &'static str);

/// Something that came from the server, whole.
#[derive(Clone, Copy, Debug)]
pub enum Received<'a> {
    /// What was published to a topic that is subscribed to (`message` and `smessage`).
    Message {
        /// The topic.
        topic: &'a [u8],
        /// What was published.
        payload: &'a [u8],
    },
    /// Any other push: its kind, and what it says.
    Push(List<'a>),
    /// The reply to the oldest command that has none.
    Reply(Reply<'a>),
}

/// Reads one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: DecoderLimits,
    bytes: Vec<u8>,
    /// Where the reply that is being read begins.
    start: usize,
    /// What came from the connection ends here; behind it is room.
    end: usize,
    /// How far the reply is read, counted from `start`.
    at: usize,
    /// No line ends before this, counted from `start`.
    searched: usize,
    /// A string whose length is known and whose bytes are not all there.
    awaited: Option<(NodeKind, usize)>,
    nodes: Vec<Node>,
    /// The aggregates around what is read next, outermost first.
    open: Vec<Open>,
    is_whole: bool,
}

#[derive(Debug)]
struct Open {
    node: usize,
    missing: usize,
}

impl Decoder {
    /// Begins with a connection's first byte.
    pub fn new(limits: DecoderLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Room to read into; say with [`filled`](Self::filled) how much of it was used.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEPT_BYTES_MAX {
                self.bytes = Vec::new();
            }
        }
        if self.bytes.len() - self.end < READ_BYTES {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.bytes.len() - self.end < READ_BYTES {
                self.bytes.resize((2 * self.bytes.len()).max(2 * READ_BYTES), 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// The next `count` bytes of the connection are in the room.
    ///
    /// # Panics
    /// When there was not so much room.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        assert!(self.end <= self.bytes.len(), "nobody reads more bytes than there is room for");
    }

    /// Takes what came next, or `None` if it is not whole yet. What it borrows is gone with the next call.
    ///
    /// # Errors
    /// The connection is to be closed: what follows has no meaning.
    pub fn take(&mut self) -> Result<Option<Received<'_>>, Violation> {
        if self.is_whole {
            self.is_whole = false;
            self.nodes.clear();
            self.start += self.at;
            (self.at, self.searched) = (0, 0);
        }
        if self.at == 0 && self.nodes.is_empty() {
            let bytes = &self.bytes[self.start..self.end];
            if let Some(message) = Message::read(bytes) {
                (self.at, self.is_whole) = (message.bytes, true);
                let bytes = &self.bytes[self.start..self.end];
                return Ok(Some(Received::Message {
                    topic: &bytes[message.topic],
                    payload: &bytes[message.payload],
                }));
            }
        }
        while !self.is_whole {
            if !self.read_element()? {
                let is_too_long = self.end - self.start > self.limits.reply_bytes_max;
                return if is_too_long { Err(Violation("a reply is too long")) } else { Ok(None) };
            }
        }
        Ok(Some(self.received()))
    }

    fn received(&self) -> Received<'_> {
        let bytes = &self.bytes[self.start..self.start + self.at];
        let first = self.nodes.first().filter(|node| node.kind == NodeKind::Push);
        let Some(push) = first else { return Received::Reply(Reply::new(bytes, &self.nodes)) };
        let list = List::new(bytes, push, &self.nodes[1..]);
        let mut parts = list.iter().map(Reply::as_text);
        match (list.len(), parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
            (3, Some(b"message" | b"smessage"), Some(topic), Some(payload)) => {
                Received::Message { topic, payload }
            }
            _ => Received::Push(list),
        }
    }

    /// Reads one element, or the line in front of it. `false` if its bytes are not all there.
    fn read_element(&mut self) -> Result<bool, Violation> {
        if let Some((kind, length)) = self.awaited {
            return self.read_string(kind, length);
        }
        let bytes = &self.bytes[self.start..self.end];
        let Some(length) = memchr(b'\n', &bytes[self.searched..]) else {
            self.searched = bytes.len();
            let is_too_long = bytes.len() - self.at > LINE_BYTES_MAX;
            return if is_too_long { Err(Violation("a line is too long")) } else { Ok(false) };
        };
        let (begin, end) = (self.at, self.searched + length);
        (self.at, self.searched) = (end + 1, end + 1);
        let line = bytes[begin..end].strip_suffix(b"\r").ok_or(Violation("a line ends without a return"))?;
        let (letter, text) = line.split_first().ok_or(Violation("a line is empty"))?;
        let node = |kind| Node { kind, begin: short(begin + 1), length: short(text.len()) };
        match letter {
            b'+' | b'(' => self.add(node(NodeKind::Text)),
            b',' => self.add(node(NodeKind::Text)),
            b'-' => self.add(node(NodeKind::Error)),
            b':' => {
                integer(text).ok_or(Violation("an integer is none"))?;
                self.add(node(NodeKind::Integer))
            }
            b'_' if text.is_empty() => self.add(node(NodeKind::Null)),
            b'#' if text == b"t" => self.add(node(NodeKind::True)),
            b'#' if text == b"f" => self.add(node(NodeKind::False)),
            b'$' | b'*' if text == b"-1" => self.add(node(NodeKind::Null)),
            b'$' => self.await_string(NodeKind::Text, count(text)?),
            b'=' => self.await_string(NodeKind::Verbatim, count(text)?),
            b'!' => self.await_string(NodeKind::Error, count(text)?),
            b'*' | b'~' => self.open(NodeKind::List, count(text)?),
            b'%' => self.open(NodeKind::Map, pairs(text)?),
            b'|' => self.open(NodeKind::Attribute, pairs(text)?),
            b'>' if self.open.is_empty() => self.open(NodeKind::Push, count(text)?),
            _ => Err(Violation("a reply is of no known kind")),
        }
    }

    fn await_string(&mut self, kind: NodeKind, length: usize) -> Result<bool, Violation> {
        if length > self.limits.reply_bytes_max {
            return Err(Violation("a string is too long"));
        }
        self.awaited = Some((kind, length));
        self.read_string(kind, length)
    }

    fn read_string(&mut self, kind: NodeKind, length: usize) -> Result<bool, Violation> {
        let bytes = &self.bytes[self.start + self.at..self.end];
        let Some(ending) = bytes.get(length..length + 2) else { return Ok(false) };
        if ending != b"\r\n" {
            return Err(Violation("a string is longer than was said"));
        }
        let begin = self.at;
        self.at += length + 2;
        (self.searched, self.awaited) = (self.at, None);
        let (kind, prefix) = match kind {
            NodeKind::Verbatim if length < VERBATIM_PREFIX => return Err(Violation("a text has no format")),
            NodeKind::Verbatim => (NodeKind::Text, VERBATIM_PREFIX),
            kind => (kind, 0),
        };
        self.add(Node { kind, begin: short(begin + prefix), length: short(length - prefix) })
    }

    fn open(&mut self, kind: NodeKind, length: usize) -> Result<bool, Violation> {
        if length > self.limits.elements_max.saturating_sub(self.nodes.len()) {
            return Err(Violation("a reply has too many elements"));
        }
        let node = Node { kind, begin: 1, length: short(length) };
        if length == 0 && kind != NodeKind::Attribute {
            return self.add(node);
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Violation("replies are too deep inside of each other"));
        }
        if length > 0 {
            self.open.push(Open { node: self.nodes.len(), missing: length });
            self.nodes.push(node);
        }
        Ok(true)
    }

    /// Adds a whole element, which may be the last of the aggregates around it.
    fn add(&mut self, node: Node) -> Result<bool, Violation> {
        self.nodes.push(node);
        if self.nodes.len() > self.limits.elements_max || self.at > self.limits.reply_bytes_max {
            return Err(Violation("a reply is too long"));
        }
        while let Some(around) = self.open.last_mut() {
            around.missing -= 1;
            if around.missing > 0 {
                return Ok(true);
            }
            let first = around.node;
            self.open.pop();
            if self.nodes[first].kind == NodeKind::Attribute {
                self.nodes.truncate(first);
                return Ok(true);
            }
            self.nodes[first].begin = short(self.nodes.len() - first);
        }
        self.is_whole = true;
        Ok(true)
    }
}

/// Where the parts of a published message are: read in one go, because there are so many of them.
struct Message {
    topic: std::ops::Range<usize>,
    payload: std::ops::Range<usize>,
    bytes: usize,
}

impl Message {
    /// Reads a message that is whole. Everything else, broken messages included, is left to the long way.
    fn read(bytes: &[u8]) -> Option<Self> {
        let kind = [&b">3\r\n$7\r\nmessage\r\n"[..], b">3\r\n$8\r\nsmessage\r\n"];
        let begin = kind.into_iter().find(|kind| bytes.starts_with(kind))?.len();
        let topic = Self::string(bytes, begin)?;
        let payload = Self::string(bytes, topic.end + 2)?;
        Some(Self { bytes: payload.end + 2, topic, payload })
    }

    /// The string whose line of length begins at `at`, if it is whole with its ending.
    fn string(bytes: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
        let mut length = 0;
        let rest = bytes.get(at..)?.strip_prefix(b"$")?;
        for (place, byte) in rest.iter().take(10).enumerate() {
            if byte.is_ascii_digit() {
                length = 10 * length + usize::from(byte - b'0');
            } else {
                let begin = at + 1 + place + 2;
                let is_whole = place > 0
                    && rest[place..].starts_with(b"\r\n")
                    && bytes.get(begin + length..begin + length + 2) == Some(b"\r\n");
                return is_whole.then_some(begin..begin + length);
            }
        }
        None
    }
}

/// Fits, because replies have fewer than 2^31 bytes.
fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A length: digits and nothing else.
fn count(text: &[u8]) -> Result<usize, Violation> {
    let number = integer(text).filter(|_| text[0] != b'-');
    number.and_then(|number| usize::try_from(number).ok()).ok_or(Violation("a length is none"))
}

fn pairs(text: &[u8]) -> Result<usize, Violation> {
    count(text)?.checked_mul(2).ok_or(Violation("a length is none"))
}

/// A decimal number with nothing around it, within 64 bits.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut number: i64 = 0;
    for digit in digits {
        let digit = i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        number = number.checked_mul(10)?;
        number = if is_negative { number.checked_sub(digit) } else { number.checked_add(digit) }?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is read from `bytes`, and why reading ended if it did.
    fn read(bytes: &[u8], limits: DecoderLimits) -> (Vec<String>, Option<Violation>) {
        let (mut decoder, mut received) = (Decoder::new(limits), Vec::new());
        decoder.room()[..bytes.len()].copy_from_slice(bytes);
        decoder.filled(bytes.len());
        loop {
            match decoder.take() {
                Ok(Some(one)) => received.push(show(one)),
                Ok(None) => return (received, None),
                Err(violation) => return (received, Some(violation)),
            }
        }
    }

    fn show(received: Received<'_>) -> String {
        fn show_reply(reply: Reply<'_>) -> String {
            let all = |list: List<'_>| list.iter().map(show_reply).collect::<Vec<_>>().join(" ");
            match reply {
                Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
                Reply::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
                Reply::Integer(number) => format!(":{number}"),
                Reply::Null => "_".to_owned(),
                Reply::List(list) => format!("[{}]", all(list)),
                Reply::Map(list) => format!("{{{}}}", all(list)),
            }
        }
        match received {
            Received::Message { topic, payload } => {
                format!("{} <- {}", String::from_utf8_lossy(topic), String::from_utf8_lossy(payload))
            }
            Received::Push(list) => format!(">{}", list.iter().map(show_reply).collect::<Vec<_>>().join(" ")),
            Received::Reply(reply) => show_reply(reply),
        }
    }

    #[test]
    fn replies_of_every_kind_are_read() {
        let check = |bytes: &str, expected: &[&str]| {
            assert_eq!(
                read(bytes.as_bytes(), DecoderLimits::default()),
                (expected.iter().map(ToString::to_string).collect(), None)
            );
        };
        check(
            "+OK\r\n-OOM no\r\n:-7\r\n_\r\n#t\r\n#f\r\n,1.5\r\n(123\r\n",
            &["OK", "-OOM no", ":-7", "_", ":1", ":0", "1.5", "123"],
        );
        check(
            "$2\r\n\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n!3\r\nERR\r\n=7\r\ntxt:abc\r\n",
            &["\r\n", "", "_", "_", "-ERR", "abc"],
        );
        check(
            "*0\r\n%0\r\n~2\r\n:1\r\n:2\r\n%1\r\n+a\r\n*2\r\n*1\r\n:1\r\n_\r\n+next\r\n",
            &["[]", "{}", "[:1 :2]", "{a [[:1] _]}", "next"],
        );
        check("|1\r\n+ttl\r\n:3\r\n*2\r\n|1\r\n+a\r\n*0\r\n:1\r\n:2\r\n", &["[:1 :2]"]);
        check(
            ":9223372036854775807\r\n:-9223372036854775808\r\n",
            &[":9223372036854775807", ":-9223372036854775808"],
        );
    }

    #[test]
    fn a_reply_is_shown_without_what_it_tells_of_users() {
        let mut decoder = Decoder::new(DecoderLimits::default());
        let bytes = b"*4\r\n+secret\r\n:7\r\n-ERR no\r\n%1\r\n+a\r\n_\r\n";
        decoder.room()[..bytes.len()].copy_from_slice(bytes);
        decoder.filled(bytes.len());
        let Some(Received::Reply(reply)) = decoder.take().unwrap() else { panic!("it is whole") };
        assert_eq!(format!("{reply:?}"), "[6 bytes, 7, error \"ERR no\", map [1 bytes, nothing]]");
    }

    #[test]
    fn messages_are_told_from_other_pushes() {
        let check = |bytes: &str, expected: &[&str]| {
            assert_eq!(
                read(bytes.as_bytes(), DecoderLimits::default()),
                (expected.iter().map(ToString::to_string).collect(), None)
            );
        };
        check(
            ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n>3\r\n$8\r\nsmessage\r\n$0\r\n\r\n$0\r\n\r\n:1\r\n",
            &["a <- hi", " <- ", ":1"],
        );
        check(">3\r\n+message\r\n+a\r\n$2\r\nhi\r\n", &["a <- hi"]);
        check(
            ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n",
            &[">subscribe a :1", ">invalidate _"],
        );
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let wrong = [
            "?\r\n",
            "\r\n",
            "+a\n",
            ":\r\n",
            ":+1\r\n",
            ":1x\r\n",
            ":9223372036854775808\r\n",
            "$-2\r\n",
            "$1\r\nab\r\n",
            "$?\r\n",
            "*?\r\n",
            "#x\r\n",
            "_x\r\n",
            "*1\r\n>1\r\n+a\r\n",
            "=3\r\nabc\r\n",
            "*99999999999999999999\r\n",
            "%9223372036854775807\r\n",
            "$99999999999\r\n",
        ];
        for bytes in wrong {
            assert!(read(bytes.as_bytes(), DecoderLimits::default()).1.is_some(), "{bytes:?}");
        }
    }

    #[test]
    fn bounds_hold() {
        let limits = DecoderLimits { reply_bytes_max: 100, elements_max: 10 };
        assert_eq!(read("*10\r\n".as_bytes(), limits).1, None);
        assert!(read("*11\r\n".as_bytes(), limits).1.is_some());
        assert!(read("*6\r\n%5\r\n".as_bytes(), limits).1.is_some());
        assert!(read("$101\r\n".as_bytes(), limits).1.is_some());
        assert!(read("*1\r\n".repeat(DEPTH_MAX).as_bytes(), DecoderLimits::default()).1.is_none());
        assert!(read("*1\r\n".repeat(DEPTH_MAX + 1).as_bytes(), DecoderLimits::default()).1.is_some());
        assert!(read("|1\r\n+a\r\n".repeat(DEPTH_MAX + 1).as_bytes(), DecoderLimits::default()).1.is_some());
        let mut decoder = Decoder::new(DecoderLimits::default());
        let is_refused = (0..LINE_BYTES_MAX / READ_BYTES + 1).any(|_| {
            decoder.room()[..READ_BYTES].fill(b'+');
            decoder.filled(READ_BYTES);
            decoder.take().is_err()
        });
        assert!(is_refused, "a line without an end");
    }

    #[test]
    fn a_long_reply_in_small_pieces_is_read_once() {
        // 100,000 elements in pieces of 16 bytes: read from the start each time, this would take minutes.
        let mut bytes = b"*100000\r\n".to_vec();
        (0..100_000).for_each(|_| bytes.extend_from_slice(b"$4\r\nabcd\r\n"));
        let mut decoder = Decoder::new(DecoderLimits::default());
        let (pieces, last) = bytes.as_chunks::<16>();
        for piece in pieces {
            decoder.room()[..16].copy_from_slice(piece);
            decoder.filled(16);
            assert!(decoder.take().unwrap().is_none(), "the last piece is missing");
        }
        decoder.room()[..last.len()].copy_from_slice(last);
        decoder.filled(last.len());
        let Some(Received::Reply(Reply::List(list))) = decoder.take().unwrap() else { panic!("it is whole") };
        assert_eq!((list.len(), list.get(99_999).and_then(Reply::as_text)), (100_000, Some(&b"abcd"[..])));
    }
}
