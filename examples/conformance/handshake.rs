//! A session's handshake, as events tell it to clients.

use core_shards::Now;
use protocol::chat::time::push_iso;
use protocol::http::query::parameters;
use protocol::json::{ObjectWriter, push_str};
use realtime::engine::Opening;

/// What a session said when it was opened.
#[derive(Debug)]
pub(crate) struct Handshake {
    query: String,
    headers: Vec<(String, String)>,
    issued_ms: u64,
}

impl Handshake {
    /// Keeps what is told later.
    pub(crate) fn new(opening: Opening, now: Now) -> Self {
        Self { query: opening.query, headers: opening.headers, issued_ms: now.unix_ms }
    }

    /// Whether the query has a parameter, with or without a value.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        parameters(&self.query).any(|(key, _)| key == name)
    }

    /// The value of a request header; its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Writes the query's parameters as an object: `{"EIO":"4","transport":"polling"}`.
    pub(crate) fn push_query(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::begin(out);
        for (name, value) in parameters(&self.query) {
            object.field_str(&name, &value);
        }
        object.end();
    }

    /// Writes the whole as an object, with the auth payload of a namespace in it.
    pub(crate) fn push(&self, out: &mut Vec<u8>, auth: &str) {
        let mut object = ObjectWriter::begin(out);
        let mut headers = ObjectWriter::begin(object.field("headers"));
        for (name, value) in &self.headers {
            headers.field_str(name, value);
        }
        headers.end();
        push_date(object.field("time"), self.issued_ms);
        object.field_bool("secure", false).field_u64("issued", self.issued_ms);
        self.push_query(object.field("query"));
        object.field_raw("auth", auth);
        object.end();
    }
}

/// Writes an instant as JavaScript's dates travel: a JSON string.
pub(crate) fn push_date(out: &mut Vec<u8>, unix_ms: u64) {
    let mut text = Vec::new();
    push_iso(&mut text, unix_ms);
    push_str(out, &String::from_utf8_lossy(&text));
}
