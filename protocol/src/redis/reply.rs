//! What a server answered, as a view of the bytes that it sent.

use std::fmt;

/// How much of an error is shown.
const ERROR_BYTES_SHOWN: usize = 200;
/// How many elements of a list are shown.
const REPLIES_SHOWN: usize = 16;

/// One element of a reply: an aggregate is followed by its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// Where its text begins in the reply's bytes; for an aggregate, how many nodes it has with everything inside it.
    pub(super) begin: u32,
    /// How many bytes the text has; for an aggregate, how many elements.
    pub(super) length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    Text,
    /// A text with its format in front; a text as soon as it is whole.
    Verbatim,
    Error,
    Integer,
    True,
    False,
    Null,
    List,
    Map,
    Push,
    /// Said about the reply behind it; taken out as soon as it is whole.
    Attribute,
}

impl NodeKind {
    pub(super) fn is_aggregate(self) -> bool {
        matches!(self, Self::List | Self::Map | Self::Push | Self::Attribute)
    }
}

/// A reply, in the few shapes that make a difference to us. Shown for operators without what it tells of users: of texts only
/// the length, of errors the beginning.
#[derive(Clone, Copy)]
pub enum Reply<'a> {
    /// A string of whatever kind, or a number that is no integer.
    Text(&'a [u8]),
    /// The server refused; the text begins with a code in capital letters, such as `OOM` or `MOVED`.
    Error(&'a [u8]),
    /// An integer; truth is 1 and falsehood 0.
    Integer(i64),
    /// There is nothing.
    Null,
    /// Replies in their order, or in none if they are a set.
    List(List<'a>),
    /// Keys and values in turns.
    Map(List<'a>),
}

impl<'a> Reply<'a> {
    /// The text, if it is one.
    pub fn as_text(self) -> Option<&'a [u8]> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_integer(self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(number) } else { None }
    }

    /// The elements of a list, or the keys and values of a map.
    pub fn as_list(self) -> Option<List<'a>> {
        if let Self::List(list) | Self::Map(list) = self { Some(list) } else { None }
    }

    /// What a map says of a key.
    pub fn field(self, name: &[u8]) -> Option<Reply<'a>> {
        let Self::Map(list) = self else { return None };
        let mut entries = list.iter();
        while let (Some(key), Some(value)) = (entries.next(), entries.next()) {
            if key.as_text() == Some(name) {
                return Some(value);
            }
        }
        None
    }

    /// The reply whose first node is the first of `nodes`.
    pub(super) fn new(bytes: &'a [u8], nodes: &'a [Node]) -> Self {
        let Some((node, inside)) = nodes.split_first() else { return Self::Null };
        let text = || {
            let begin = node.begin as usize;
            bytes.get(begin..begin + node.length as usize).unwrap_or_default()
        };
        match node.kind {
            NodeKind::Text | NodeKind::Verbatim => Self::Text(text()),
            NodeKind::Error => Self::Error(text()),
            NodeKind::Integer => Self::Integer(super::decoder::integer(text()).unwrap_or_default()),
            NodeKind::True => Self::Integer(1),
            NodeKind::False => Self::Integer(0),
            NodeKind::Null => Self::Null,
            NodeKind::Map | NodeKind::Attribute => Self::Map(List::new(bytes, node, inside)),
            NodeKind::List | NodeKind::Push => Self::List(List::new(bytes, node, inside)),
        }
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(formatter, "{} bytes", text.len()),
            Self::Error(error) => {
                let shown = error.get(..ERROR_BYTES_SHOWN).unwrap_or(error);
                write!(formatter, "error {:?}", String::from_utf8_lossy(shown))
            }
            Self::Integer(number) => write!(formatter, "{number}"),
            Self::Null => formatter.write_str("nothing"),
            Self::List(list) => list.fmt(formatter),
            Self::Map(list) => write!(formatter, "map {list:?}"),
        }
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter().take(REPLIES_SHOWN)).finish()
    }
}

/// Several replies.
#[derive(Clone, Copy)]
pub struct List<'a> {
    bytes: &'a [u8],
    nodes: &'a [Node],
    length: usize,
}

impl<'a> List<'a> {
    pub(super) fn new(bytes: &'a [u8], node: &Node, inside: &'a [Node]) -> Self {
        let nodes = &inside[..inside.len().min((node.begin as usize).saturating_sub(1))];
        Self { bytes, nodes, length: node.length as usize }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// One by its place, counted from 0. Takes as many steps as there are before it.
    pub fn get(&self, place: usize) -> Option<Reply<'a>> {
        self.iter().nth(place)
    }

    /// All in their order.
    pub fn iter(&self) -> impl Iterator<Item = Reply<'a>> + use<'a> {
        let (bytes, mut nodes) = (self.bytes, self.nodes);
        std::iter::from_fn(move || {
            let first = nodes.first()?;
            let reply = Reply::new(bytes, nodes);
            let count = if first.kind.is_aggregate() { first.begin as usize } else { 1 };
            nodes = nodes.get(count.max(1)..).unwrap_or_default();
            Some(reply)
        })
    }
}
