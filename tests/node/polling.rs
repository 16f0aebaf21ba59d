//! A client that polls, as far as tests need one: it can do what no library does, such as two things at once.

use std::net::SocketAddr;

use super::http::{Answer, Http};

/// A polling session.
pub(crate) struct Polling {
    address: SocketAddr,
    /// The session's id.
    pub(crate) sid: String,
}

impl Polling {
    /// Opens a session.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let answer = Http::open(address).request("GET", "/socket.io/?EIO=4&transport=polling", "");
        let opened = answer.body.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split_once('"'));
        let Some((sid, _)) = opened else { panic!("no session: {answer:?}") };
        Self { address, sid: sid.to_owned() }
    }

    /// Opens a session and joins the main namespace. What the node said to that was read.
    pub(crate) fn join(address: SocketAddr, user: &str) -> Self {
        let polling = Self::open(address);
        assert_eq!(polling.post(&format!("40{{\"token\":\"user:{user}\"}}")).body, "ok");
        let mut heard = String::new();
        while !heard.contains("authenticated") {
            heard.push_str(&polling.poll().body);
        }
        polling
    }

    /// The same session, at another node.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { address, sid: self.sid.clone() }
    }

    /// The target of this session's requests.
    pub(crate) fn target(&self) -> String {
        format!("/socket.io/?EIO=4&transport=polling&sid={}", self.sid)
    }

    /// Sends packets on a connection of their own.
    pub(crate) fn post(&self, packets: &str) -> Answer {
        Http::open(self.address).request("POST", &self.target(), packets)
    }

    /// Polls on a connection of its own.
    pub(crate) fn poll(&self) -> Answer {
        Http::open(self.address).request("GET", &self.target(), "")
    }

    /// Begins a poll whose answer is read later.
    pub(crate) fn begin_poll(&self) -> Http {
        let mut http = Http::open(self.address);
        http.send("GET", &self.target(), "");
        http
    }
}
