//! A client that does one thing after the other on one node, and keeps every event until the test asks for it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::redis::PATIENCE;
use super::wire::Wire;

/// A connected client.
pub(crate) struct Visitor {
    /// Its user id.
    pub(crate) name: String,
    wire: Wire,
    kept: Vec<(String, Value)>,
    acks: Vec<(u64, Value)>,
    ack_count: u64,
    /// The session's secret id, and the cursor of the last event.
    pub(crate) place: (String, String),
}

impl Visitor {
    /// Connects to a node as a user.
    #[track_caller]
    pub(crate) fn enter(address: SocketAddr, name: &str) -> Self {
        Self::enter_with(address, name, None)
    }

    /// Connects as a user, and asks for the session that is named by its secret id and a cursor.
    #[track_caller]
    pub(crate) fn enter_with(address: SocketAddr, name: &str, place: Option<&(String, String)>) -> Self {
        let wire = Wire::open(address).unwrap();
        let place_of_new = (String::new(), String::new());
        let name = name.to_owned();
        let mut visitor =
            Self { name, wire, kept: Vec::new(), acks: Vec::new(), ack_count: 0, place: place_of_new };
        visitor.until(|text| text.starts_with("0{"));
        let mut auth = json!({"userId": visitor.name, "recovery": true});
        if let Some((pid, cursor)) = place {
            (auth["pid"], auth["offset"]) = (json!(pid), json!(cursor));
            // What was heard last stays the last until something else is.
            visitor.place.1.clone_from(cursor);
        }
        visitor.wire.send(&format!("40{auth}")).unwrap();
        let answer = visitor.until(|text| text.starts_with("40") || text.starts_with("44"));
        assert!(answer.starts_with("40"), "{} was refused: {answer}", visitor.name);
        let answer: Value = serde_json::from_str(&answer[2..]).unwrap();
        visitor.place.0 = answer["pid"].as_str().unwrap_or_default().to_owned();
        visitor
    }

    /// Connects and joins channels.
    #[track_caller]
    pub(crate) fn enter_channels(address: SocketAddr, name: &str, channels: &[&str]) -> Self {
        let mut visitor = Self::enter(address, name);
        for channel in channels {
            let joined = visitor.call("channel:join", json!({"channelId": channel}));
            assert_eq!(joined["success"], json!(true), "{joined}");
        }
        visitor
    }

    /// Emits an event without asking for an answer.
    #[track_caller]
    pub(crate) fn emit(&mut self, event: &str, body: Value) {
        self.wire.send(&format!("42{}", json!([event, body]))).unwrap();
    }

    /// Emits an event and waits for its acknowledgement.
    #[track_caller]
    pub(crate) fn call(&mut self, event: &str, body: Value) -> Value {
        self.ack_count += 1;
        let id = self.ack_count;
        self.wire.send(&format!("42{id}{}", json!([event, body]))).unwrap();
        let ends = Instant::now() + PATIENCE;
        loop {
            if let Some(index) = self.acks.iter().position(|(of, _)| *of == id) {
                return self.acks.remove(index).1;
            }
            assert!(self.listen(ends), "{}: {event} was never answered", self.name);
        }
    }

    /// Says something in a channel. Returns the acknowledgement.
    #[track_caller]
    pub(crate) fn say(&mut self, channel: &str, content: &str) -> Value {
        self.call(
            "message:send",
            json!({"channelId": channel, "content": content, "clientMessageId": content}),
        )
    }

    /// The next event of this name for which `matches` says yes.
    #[track_caller]
    pub(crate) fn next(&mut self, event: &str, matches: impl Fn(&Value) -> bool) -> Value {
        self.next_within(PATIENCE, event, matches)
            .unwrap_or_else(|| panic!("{} waited in vain for {event}; heard {:#?}", self.name, self.kept))
    }

    /// The next such event; `None` if none comes in time.
    pub(crate) fn next_within(
        &mut self,
        patience: Duration,
        event: &str,
        matches: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let ends = Instant::now() + patience;
        loop {
            if let Some(index) = self.kept.iter().position(|(name, body)| name == event && matches(body)) {
                return Some(self.kept.remove(index).1);
            }
            if !self.listen(ends) {
                return None;
            }
        }
    }

    /// The message with this content.
    #[track_caller]
    pub(crate) fn message(&mut self, content: &str) -> Value {
        self.next("message", |message| message["content"] == content)
    }

    /// How many such events are here or come while everything that was said before on this node is answered.
    #[track_caller]
    pub(crate) fn count(&mut self, event: &str, matches: impl Fn(&Value) -> bool) -> usize {
        self.call("ping", json!({"timestamp": 1}));
        self.kept.iter().filter(|(name, body)| name == event && matches(body)).count()
    }

    /// Drops the events that nobody asked for.
    pub(crate) fn forget(&mut self) {
        self.kept.clear();
    }

    /// Loses the connection. Returns the place at which the session can be taken up.
    pub(crate) fn lose(self) -> (String, String) {
        self.wire.cut();
        self.place
    }

    /// Leaves for good.
    pub(crate) fn leave(mut self) {
        let _ = self.wire.send("41");
        self.wire.cut();
    }

    /// Whether the connection ends within a while.
    pub(crate) fn is_ended(&mut self) -> bool {
        let ends = Instant::now() + PATIENCE;
        loop {
            match self.wire.hear(ends) {
                Ok(Some(text)) if text.starts_with("41") => return true,
                Ok(Some(text)) if text == "2" => drop(self.wire.send("3")),
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Takes in one packet; `false` if none came in time.
    fn listen(&mut self, ends: Instant) -> bool {
        let Some(text) = self.wire.hear(ends).unwrap_or_else(|error| panic!("{}: {error}", self.name)) else {
            return false;
        };
        self.take(&text);
        true
    }

    #[track_caller]
    fn until(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        let ends = Instant::now() + PATIENCE;
        loop {
            let text = self.wire.hear(ends).unwrap_or_else(|error| panic!("{}: {error}", self.name));
            let text = text.unwrap_or_else(|| panic!("{} hears nothing", self.name));
            if is_it(&text) {
                return text;
            }
            self.take(&text);
        }
    }

    fn take(&mut self, text: &str) {
        if text == "2" {
            let _ = self.wire.send("3");
        } else if let Some(event) = text.strip_prefix("42") {
            let mut event: Value = serde_json::from_str(event).unwrap();
            if let Some(cursor) = event[2].as_str() {
                self.place.1 = cursor.to_owned();
            }
            let name = event[0].as_str().unwrap_or_default().to_owned();
            self.kept.push((name, event[1].take()));
        } else if let Some(ack) = text.strip_prefix("43") {
            let start = ack.find('[').unwrap_or(ack.len());
            let mut answer: Value = serde_json::from_str(&ack[start..]).unwrap();
            self.acks.push((ack[..start].parse().unwrap(), answer[0].take()));
        }
    }
}
