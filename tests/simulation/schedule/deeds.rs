//! What devices write, and how they spell it.

use protocol::chat::status::Status;
use serde_json::json;

use super::limits::CONTENT_CHARS_MAX;
use super::{Schedule, USERS};
use crate::client::{Device, Draft, INVALID, Intent, Manner, Since, send_text};

/// Packets that a device writes before it waits for the node to read some.
const PIPE_PACKETS_MAX: usize = 24;

/// What a device does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Join,
    Leave,
    Send,
    Retry,
    /// The same message over and over.
    Insist,
    /// Join, send and perhaps leave without waiting for any answer.
    Rush,
    Remark,
    Type,
    Say,
    Follow,
    Sync,
    Ping,
    Refresh,
    Invalid,
    Disconnect,
}

/// Each deed with its usual weight.
pub(super) const DEEDS: [(Deed, u32); 15] = [
    (Deed::Join, 20),
    (Deed::Leave, 6),
    (Deed::Send, 24),
    (Deed::Retry, 6),
    (Deed::Insist, 1),
    (Deed::Rush, 6),
    (Deed::Remark, 8),
    (Deed::Type, 8),
    (Deed::Say, 6),
    (Deed::Follow, 3),
    (Deed::Sync, 3),
    (Deed::Ping, 2),
    (Deed::Refresh, 1),
    (Deed::Invalid, 2),
    (Deed::Disconnect, 7),
];

/// Some seeds never leave, others hardly send: rare combinations come up sooner than with one mixture.
pub(super) fn inclinations(random: &mut fastrand::Rng) -> [u32; DEEDS.len()] {
    DEEDS.map(|(_, weight)| weight * random.u32(0..4))
}

impl Schedule {
    /// Makes a connected device do something; true if it is to disconnect.
    pub(crate) fn act(&mut self, device: &mut Device) -> bool {
        if device.pipe.len() > PIPE_PACKETS_MAX {
            return false;
        }
        let is_joining =
            |deed: &Deed| matches!(deed, Deed::Join | Deed::Insist | Deed::Rush | Deed::Follow | Deed::Leave);
        let mut deed = self.deed();
        if self.is_calm && is_joining(&deed) {
            deed = [Deed::Say, Deed::Say, Deed::Type, Deed::Send][self.choose(4)];
        }
        match deed {
            Deed::Join => self.join(device),
            Deed::Leave => self.leave(device),
            Deed::Send => self.send(device),
            Deed::Retry => {
                let drafts = self.drafts[device.user].len();
                if drafts > 0 {
                    let chosen = self.choose(drafts);
                    self.retry(device, chosen);
                }
            }
            Deed::Insist => self.insist(device),
            Deed::Rush => self.rush(device),
            Deed::Remark => self.remark(device),
            Deed::Type => self.type_something(device),
            Deed::Say => self.say(device),
            Deed::Follow => self.follow(device),
            Deed::Sync => self.sync(device),
            Deed::Ping => self.ping(device),
            Deed::Refresh => {
                let is_same_user = self.chance(2, 3);
                device.write(String::new(), self.random.bool(), Vec::new(), Intent::Refresh { is_same_user });
            }
            Deed::Invalid => {
                let (text, intent) = INVALID[self.choose(INVALID.len())].clone();
                device.write(text.to_owned(), self.random.bool(), Vec::new(), intent);
            }
            Deed::Disconnect => return true,
        }
        false
    }

    fn deed(&mut self) -> Deed {
        let sum: u32 = self.inclinations.iter().sum();
        let mut chosen = self.random.u32(0..sum.max(1));
        for ((deed, _), weight) in DEEDS.into_iter().zip(self.inclinations) {
            if chosen < weight {
                return deed;
            }
            chosen -= weight;
        }
        Deed::Join
    }

    fn join(&mut self, device: &mut Device) {
        let channel = self.channel();
        let since = if self.chance(1, 4) { self.since(device, &channel) } else { None };
        self.join_channel(device, &channel, since);
    }

    /// Writes a join of this very channel.
    pub(crate) fn join_channel(&mut self, device: &mut Device, channel: &str, since: Option<Since>) {
        let by_room_name = self.prefers_rooms(device);
        let (field, spelled, is_prefixed) = self.spell(channel, by_room_name);
        let name = if by_room_name { "room:join" } else { "channel:join" };
        let mut argument = json!({ field: spelled });
        write_since(&mut argument, since.as_ref());
        let manner = Manner { is_prefixed, by_room_name };
        let intent = Intent::Join { channel: channel.to_owned(), manner, since };
        device.write(json!([name, argument]).to_string(), self.random.bool(), Vec::new(), intent);
    }

    fn leave(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.leave_channel(device, channel);
    }

    fn leave_channel(&mut self, device: &mut Device, channel: String) {
        let by_room_name = self.prefers_rooms(device);
        let (field, spelled, is_prefixed) = self.spell(&channel, by_room_name);
        let name = if by_room_name { "room:leave" } else { "channel:leave" };
        let text = json!([name, { field: spelled }]).to_string();
        let manner = Manner { is_prefixed, by_room_name };
        device.write(text, self.random.bool(), Vec::new(), Intent::Leave { channel, manner });
    }

    fn send(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.send_to(device, channel);
    }

    fn send_to(&mut self, device: &mut Device, channel: String) {
        let is_too_long = self.chance(1, 40);
        // Ids come from a small stock: the same id means other messages in other channels and for other users.
        let client_message_id = self.random.bool().then(|| format!("m{}", self.random.u32(0..60)));
        self.draft(device, channel, client_message_id, is_too_long);
    }

    fn draft(
        &mut self,
        device: &mut Device,
        channel: String,
        client_message_id: Option<String>,
        is_too_long: bool,
    ) {
        let draft = Draft { channel, content: self.content(is_too_long), client_message_id, is_too_long };
        let drafts = &mut self.drafts[device.user];
        if drafts.len() == 8 {
            drafts.remove(0);
        }
        drafts.push(draft.clone());
        self.write_draft(device, draft);
    }

    fn retry(&mut self, device: &mut Device, chosen: usize) {
        let draft = self.drafts[device.user][chosen].clone();
        let content = self.content(draft.is_too_long);
        self.write_draft(device, Draft { content, ..draft });
    }

    fn insist(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.join_channel(device, &channel, None);
        let id = Some(format!("i{}", self.contents));
        self.draft(device, channel, id, false);
        for _ in 0..self.random.usize(6..14) {
            self.retry(device, self.drafts[device.user].len() - 1);
        }
    }

    fn rush(&mut self, device: &mut Device) {
        let channel = self.channel();
        self.join_channel(device, &channel, None);
        for _ in 0..self.random.u32(0..4) {
            self.send_to(device, channel.clone());
        }
        if self.random.bool() {
            self.leave_channel(device, channel.clone());
        }
        if self.chance(1, 4) {
            self.join_channel(device, &channel, None);
        }
    }

    fn remark(&mut self, device: &mut Device) {
        let channel = self.channel();
        let (field, spelled, _) = self.spell(&channel, false);
        self.contents += 1;
        let content = format!("remark {}", self.contents);
        let (event, argument) = match self.choose(3) {
            0 => ("read", json!({ field: spelled, "messageId": content })),
            1 => ("reaction", json!({ field: spelled, "messageId": "m", "emoji": content, "action": "add" })),
            _ => ("reaction:remove", json!({ field: spelled, "messageId": "m", "emoji": content })),
        };
        let draft = Draft { channel, content, client_message_id: None, is_too_long: false };
        let text = json!([event, argument]).to_string();
        device.write(text, self.random.bool(), Vec::new(), Intent::Remark { event, draft });
    }

    fn type_something(&mut self, device: &mut Device) {
        let channel = self.channel();
        let (field, spelled, _) = self.spell(&channel, false);
        let thread = [None, None, Some("t1")][self.choose(3)];
        let is_typing = self.chance(3, 4);
        let mut argument = json!({ field: spelled });
        if let Some(thread) = thread {
            argument["threadId"] = json!(thread);
        }
        let name = match (self.random.bool(), is_typing) {
            (true, true) => "typing:start",
            (true, false) => "typing:stop",
            (false, _) => {
                argument["isTyping"] = json!(is_typing);
                "typing"
            }
        };
        let intent = Intent::Type { channel, thread, is_typing };
        device.write(json!([name, argument]).to_string(), self.random.bool(), Vec::new(), intent);
    }

    fn say(&mut self, device: &mut Device) {
        let status = self.status();
        let mut argument = json!({ "status": status.name() });
        let custom = match self.choose(6) {
            0 => Some(None),
            1 => Some(Some(format!("busy with {}", self.choose(3)))),
            _ => None,
        };
        if let Some(custom) = &custom {
            argument["customStatus"] = json!(custom);
        }
        let text = json!(["presence:update", argument]).to_string();
        device.write(text, self.random.bool(), Vec::new(), Intent::Say { status, custom });
    }

    /// A status, the available ones more often.
    pub(crate) fn status(&mut self) -> Status {
        const STATUSES: [Status; 6] =
            [Status::Online, Status::Online, Status::Away, Status::Away, Status::Dnd, Status::Offline];
        STATUSES[self.choose(STATUSES.len())]
    }

    fn follow(&mut self, device: &mut Device) {
        let first = self.choose(self.user_count);
        let last = self.random.usize(first..self.user_count);
        let users = USERS[first..=last].to_vec();
        let (name, intent) = match self.choose(4) {
            0 => ("presence:unsubscribe", Intent::Unfollow { users: users.clone() }),
            1 => ("presence:get", Intent::Look { users: users.clone() }),
            _ => ("presence:subscribe", Intent::Follow { users: users.clone() }),
        };
        let text = json!([name, { "userIds": users }]).to_string();
        device.write(text, self.random.bool(), Vec::new(), intent);
    }

    fn sync(&mut self, device: &mut Device) {
        let channel = self.channel();
        let (field, spelled, _) = self.spell(&channel, false);
        let since = self.since(device, &channel);
        let limit = self.random.usize(1..6);
        let mut argument = json!({ field: spelled, "limit": limit });
        write_since(&mut argument, since.as_ref());
        let text = json!(["sync:messages", argument]).to_string();
        device.write(text, true, Vec::new(), Intent::Sync { channel, since, limit });
    }

    /// What a device may say that it has of a channel: the truth, or something near it.
    fn since(&mut self, device: &Device, channel: &str) -> Option<Since> {
        let place = device.memory.channels.get(channel)?;
        let epoch = place.epoch.to_string();
        Some(match (self.choose(8), &place.id) {
            (0, _) => Since::Position { epoch, offset: place.last.saturating_sub(self.random.u64(0..6)) },
            (1, _) => Since::Position { epoch, offset: place.last + self.random.u64(1..4) },
            (2, _) => Since::Position { epoch: "0000000Z".to_owned(), offset: place.last },
            (3, Some(id)) => Since::Message(id.to_string()),
            (4, _) if place.timestamp > 0 => Since::Time(place.timestamp),
            _ => Since::Position { epoch, offset: place.last },
        })
    }

    fn ping(&mut self, device: &mut Device) {
        if self.chance(1, 4) {
            return device.write(r#"["pong",{"timestamp":1}]"#.to_owned(), false, Vec::new(), Intent::Pong);
        }
        let stamps =
            [None, Some(json!(1_772_359_201_000_u64)), Some(json!("when")), Some(json!({ "at": [1] }))];
        let timestamp = stamps[self.choose(stamps.len())].clone();
        let text = match &timestamp {
            Some(timestamp) => json!(["ping", { "timestamp": timestamp }]).to_string(),
            None => r#"["ping"]"#.to_owned(),
        };
        device.write(text, self.random.bool(), Vec::new(), Intent::Ping { timestamp });
    }

    fn write_draft(&mut self, device: &mut Device, draft: Draft) {
        let (field, spelled, _) = self.spell(&draft.channel, false);
        let attachment_count = if self.chance(1, 10) { self.random.usize(1..3) } else { 0 };
        let attachment = |number: usize| draft.content.bytes().map(|byte| byte ^ number as u8).collect();
        let attachments = (0..attachment_count).map(attachment).collect();
        let id_field = if self.random.bool() { "clientMessageId" } else { "tempId" };
        let text = send_text(&draft, field, id_field, &spelled, attachment_count);
        device.write(text, self.chance(3, 4), attachments, Intent::Send(draft));
    }

    /// Content that was never sent before, sometimes with characters that need escapes.
    fn content(&mut self, is_too_long: bool) -> String {
        self.contents += 1;
        let spice = ["", " \"quoted\"", " ü€😀", " \\ \n"][self.choose(4)];
        let tail = "é".repeat(if is_too_long { CONTENT_CHARS_MAX } else { 0 });
        format!("text {}{spice}{tail}", self.contents)
    }

    /// Whether a device uses `room:join` this time: those of the former server's clients nearly always do.
    fn prefers_rooms(&mut self, device: &Device) -> bool {
        use protocol::chat::dialect::Dialect;
        match device.dialect {
            Some(Dialect::Legacy) => self.chance(4, 5),
            Some(Dialect::Primary) => self.chance(1, 10),
            Some(Dialect::Hybrid) | None => self.chance(1, 3),
        }
    }

    /// One of the spellings of a channel: field, name, and whether it is the longer one.
    fn spell(&mut self, channel: &str, by_room_name: bool) -> (&'static str, String, bool) {
        let field =
            if by_room_name { "roomName" } else { ["channelId", "roomName", "room_id"][self.choose(3)] };
        let is_prefixed = self.random.bool() && self.chance(1, if channel.contains(':') { 8 } else { 1 });
        let spelled = if is_prefixed { format!("channel:{channel}") } else { channel.to_owned() };
        (field, spelled, is_prefixed)
    }
}

fn write_since(argument: &mut serde_json::Value, since: Option<&Since>) {
    match since {
        Some(Since::Position { epoch, offset }) => {
            argument["since"] = json!({ "epoch": epoch, "offset": offset });
        }
        Some(Since::Message(id)) => argument["lastMessageId"] = json!(id),
        Some(Since::Time(unix_ms)) => argument["since"] = json!(unix_ms),
        None => {}
    }
}
