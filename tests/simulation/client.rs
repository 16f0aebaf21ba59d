//! A user's device: whether it is connected, what it writes, and what it remembers of what it got. What it reads is in
//! `heard`.

mod memory;

use std::collections::VecDeque;

use protocol::chat::dialect::Dialect;
use protocol::chat::status::Status;
use protocol::codes::ErrorCode;
use serde_json::{Value, json};

pub(crate) use memory::{Cursor, Memory, Place, Slip};

/// A session's place in the node: which core, which slot, and the how-manieth session there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(crate) core: usize,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// An event packet as it travels to the node, with what its writer meant by it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// `["name", argument]`.
    pub(crate) text: String,
    pub(crate) ack: Option<u64>,
    pub(crate) attachments: Vec<Vec<u8>>,
    pub(crate) intent: Intent,
}

/// What the node should understand. Channels are in their canonical spelling.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    Join {
        channel: String,
        manner: Manner,
        since: Option<Since>,
    },
    Leave {
        channel: String,
        manner: Manner,
    },
    Send(Draft),
    /// A reaction or a read receipt, with the name of its event.
    Remark {
        event: &'static str,
        draft: Draft,
    },
    Type {
        channel: String,
        thread: Option<&'static str>,
        is_typing: bool,
    },
    /// The outer none leaves the custom status as it is, the inner one takes it away.
    Say {
        status: Status,
        custom: Option<Option<String>>,
    },
    Follow {
        users: Vec<&'static str>,
    },
    Unfollow {
        users: Vec<&'static str>,
    },
    Look {
        users: Vec<&'static str>,
    },
    Sync {
        channel: String,
        since: Option<Since>,
        limit: usize,
    },
    Ping {
        timestamp: Option<Value>,
    },
    Pong,
    Refresh {
        is_same_user: bool,
    },
    /// The event is wrong in itself.
    Invalid {
        code: ErrorCode,
        event: &'static str,
        channel: Option<&'static str>,
    },
}

/// Which of the two events for joining and leaving, and which spelling of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) is_prefixed: bool,
    pub(crate) by_room_name: bool,
}

/// What a client says that it has already.
#[derive(Clone, Debug)]
pub(crate) enum Since {
    Position { epoch: String, offset: u64 },
    Message(String),
    Time(u64),
}

/// A publication that a client wants to send.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) channel: String,
    /// Never the same twice in a run, not even in a retry: a retry's content must not appear anywhere.
    pub(crate) content: String,
    pub(crate) client_message_id: Option<String>,
    pub(crate) is_too_long: bool,
}

/// How a device stands to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Away,
    /// Connecting; its core has not taken it in yet.
    Arriving {
        core: usize,
    },
    Connected(Seat),
}

/// A connection that its device has given up, and of whose end its core has not heard yet.
#[derive(Debug)]
pub(crate) struct Stump {
    pub(crate) seat: Seat,
    /// What the node still reads of it.
    pub(crate) pipe: VecDeque<Packet>,
}

/// One device.
#[derive(Debug)]
pub(crate) struct Device {
    /// Index of its user.
    pub(crate) user: usize,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) takes_cursor: bool,
    pub(crate) line: Line,
    /// What the node has not read yet.
    pub(crate) pipe: VecDeque<Packet>,
    pub(crate) stumps: Vec<Stump>,
    pub(crate) memory: Memory,
    acks: u64,
}

impl Device {
    pub(crate) fn new(user: usize, dialect: Option<Dialect>, takes_cursor: bool) -> Self {
        Self {
            user,
            dialect,
            takes_cursor,
            line: Line::Away,
            pipe: VecDeque::new(),
            stumps: Vec::new(),
            memory: Memory::default(),
            acks: 0,
        }
    }

    /// Whether the device itself has something for a core.
    pub(crate) fn is_ready(&self, core: usize) -> bool {
        match self.line {
            Line::Away => false,
            Line::Arriving { core: arriving } => arriving == core,
            Line::Connected(seat) => seat.core == core && !self.pipe.is_empty(),
        }
    }

    /// Gives up the connection; the node reads `read_count` more packets of it.
    pub(crate) fn hang_up(&mut self, seat: Seat, read_count: usize) {
        let mut pipe = std::mem::take(&mut self.pipe);
        pipe.truncate(read_count);
        self.stumps.push(Stump { seat, pipe });
        self.line = Line::Away;
    }

    /// Writes an event; `wants_ack` gives it the next acknowledgement id.
    pub(crate) fn write(&mut self, text: String, wants_ack: bool, attachments: Vec<Vec<u8>>, intent: Intent) {
        let ack = wants_ack.then_some(self.acks);
        self.acks += u64::from(wants_ack);
        self.pipe.push_back(Packet { text, ack, attachments, intent });
    }
}

/// The text of a message with a channel under one of its names.
pub(crate) fn send_text(
    draft: &Draft,
    channel_field: &str,
    id_field: &str,
    spelled: &str,
    attachment_count: usize,
) -> String {
    let mut message = json!({ channel_field: spelled, "content": draft.content });
    if let Some(id) = &draft.client_message_id {
        message[id_field] = json!(id);
    }
    if attachment_count > 0 {
        let holder = |number| json!({ "_placeholder": true, "num": number });
        message["attachments"] = (0..attachment_count).map(holder).collect();
    }
    json!(["message:send", message]).to_string()
}

/// Events that are wrong in themselves, with what is to be answered.
pub(crate) const INVALID: [(&str, Intent); 13] = [
    wrong(r#"["channel:join"]"#, "channel:join", None),
    wrong(r#"["channel:join",5]"#, "channel:join", None),
    wrong(r#"["channel:join",{"channelId":7}]"#, "channel:join", None),
    wrong(r#"["room:join",{"roomName":""}]"#, "room:join", None),
    wrong(r#"["channel:leave",{"channelId":"channel:"}]"#, "channel:leave", None),
    wrong(r#"["channel:join",{"channelId":"a","channelId":"b"}]"#, "channel:join", None),
    wrong(r#"["message:send",{"content":"nowhere"}]"#, "message:send", None),
    wrong(r#"["message:send",{"channelId":"general"}]"#, "message:send", Some("general")),
    wrong(r#"["message:send",{"channelId":"general","content":""}]"#, "message:send", Some("general")),
    wrong(
        r#"["message:send",{"roomName":"channel:x","content":"y","mentions":1}]"#,
        "message:send",
        Some("x"),
    ),
    wrong(r#"["presence:update",{"status":"gone"}]"#, "presence:update", None),
    unknown(r#"["nonsense",{"channelId":"general"}]"#, "nonsense"),
    unknown("[7]", ""),
];

const fn wrong(
    text: &'static str,
    event: &'static str,
    channel: Option<&'static str>,
) -> (&'static str, Intent) {
    (text, Intent::Invalid { code: ErrorCode::ValidationError, event, channel })
}

const fn unknown(text: &'static str, event: &'static str) -> (&'static str, Intent) {
    (text, Intent::Invalid { code: ErrorCode::UnknownEvent, event, channel: None })
}
