//! The handshake's reply, the first packet of every session.

use crate::json::{Json, ObjectWriter, Validator, push_u64};

use super::packet::OPEN;

/// What a server tells a client when a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// The session id, to be sent as `sid` with every later request.
    pub sid: &'a str,
    /// Whether the session may move to a WebSocket: true over polling, false over a WebSocket.
    pub upgrades: bool,
    /// Milliseconds between two heartbeats.
    pub ping_interval_ms: u32,
    /// Milliseconds within which a heartbeat must be answered.
    pub ping_timeout_ms: u32,
    /// Bytes a client may put into one polling payload.
    pub max_payload: u32,
}

impl<'a> Open<'a> {
    /// Writes the whole packet, with exactly these keys in this order:
    /// `0{"sid":"…","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000,"maxPayload":1000000}`.
    pub fn push(&self, out: &mut Vec<u8>) {
        out.push(OPEN);
        let mut object = ObjectWriter::begin(out);
        object.field_str("sid", self.sid);
        object.field_raw("upgrades", if self.upgrades { r#"["websocket"]"# } else { "[]" });
        push_u64(object.field("pingInterval"), self.ping_interval_ms.into());
        push_u64(object.field("pingTimeout"), self.ping_timeout_ms.into());
        push_u64(object.field("maxPayload"), self.max_payload.into());
        object.end();
    }

    /// Reads the JSON of [`super::Packet::Open`], as a client does.
    ///
    /// `None` if it is no such object, or if the session id is written with escapes, which no server does.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let object = Validator::new().check(text).ok()?;
        let fields = object.read(["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]).ok()?;
        let [sid, upgrades, ping_interval, ping_timeout, max_payload] = fields;
        let std::borrow::Cow::Borrowed(sid) = sid?.as_str()? else {
            return None;
        };
        let number = |field: Option<Json<'_>>| field?.as_u64().and_then(|number| u32::try_from(number).ok());
        Some(Self {
            sid,
            upgrades: upgrades?.items().any(|name| name.as_raw() == r#""websocket""#),
            ping_interval_ms: number(ping_interval)?,
            ping_timeout_ms: number(ping_timeout)?,
            max_payload: number(max_payload)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Open<'_> = Open {
        sid: "lv_VI97HAXpY6yYWAAAC",
        upgrades: true,
        ping_interval_ms: 25_000,
        ping_timeout_ms: 5_000,
        max_payload: 1_000_000,
    };

    fn written(open: &Open<'_>) -> String {
        let mut out = Vec::new();
        open.push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_reply_has_exactly_the_keys_that_clients_expect() {
        assert_eq!(
            written(&OPEN),
            r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000,"maxPayload":1000000}"#
        );
        let text = written(&Open { upgrades: false, ..OPEN });
        assert!(text.contains(r#""upgrades":[],"#), "{text}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for upgrades in [false, true] {
            let open = Open { upgrades, ..OPEN };
            assert_eq!(Open::parse(&written(&open)[1..]), Some(open));
        }
    }

    #[test]
    fn anything_else_is_no_reply() {
        for text in ["", "{}", "[]", r#"{"sid":1}"#, &written(&OPEN).replace("25000", "-1")[1..]] {
            assert_eq!(Open::parse(text), None, "{text}");
        }
    }
}
