//! Engine.IO by long-polling: a GET that is always on its way and brings packets, and POSTs that take packets, one at a
//! time. Each of the two has a socket of its own, because a GET may wait for as long as a heartbeat takes.

use crate::answer::AnswerReader;
use crate::connection::Exchange;
use crate::connection::session::Session;
use crate::speech::{SEPARATOR, Speech};

/// One of the two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The one for GETs; the only one of a WebSocket.
    Main,
    /// The one for POSTs.
    Posts,
}

/// The polling transport of one connection.
#[derive(Default)]
pub(super) struct Polling {
    /// The session's id, from the open packet on.
    sid: Box<str>,
    polls: AnswerReader,
    posts: AnswerReader,
    /// A POST is on its way.
    is_posting: bool,
    /// Packets that wait for the POST before them to be answered.
    waiting: Vec<u8>,
}

impl Polling {
    /// Whether the session has been opened.
    pub(super) const fn is_open(&self) -> bool {
        !self.sid.is_empty()
    }

    /// The bytes of packets that wait.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// Handles what was read from the socket of `lane`.
    pub(super) fn handle_bytes(
        &mut self,
        lane: Lane,
        mut bytes: &[u8],
        session: &mut Session,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), String> {
        match lane {
            Lane::Main => {
                while let Some(answer) = self.polls.feed(&mut bytes)? {
                    self.handle_poll(answer.status, &answer.body, session, exchange)?;
                }
            }
            Lane::Posts => {
                while let Some(answer) = self.posts.feed(&mut bytes)? {
                    accepted("POST", answer.status, &answer.body)?;
                    self.is_posting = false;
                }
            }
        }
        Ok(())
    }

    /// Makes a request of the packets in `speech`, or keeps them until one may be sent.
    pub(super) fn dispatch(&mut self, speech: &mut Speech) {
        speech.move_packets(&mut self.waiting);
        if !self.is_posting && !self.waiting.is_empty() && self.is_open() {
            speech.post(&self.sid, &self.waiting);
            self.is_posting = true;
            self.waiting = Vec::new();
        }
    }

    fn handle_poll(
        &mut self,
        status: u16,
        body: &[u8],
        session: &mut Session,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), String> {
        accepted("GET", status, body)?;
        let body = std::str::from_utf8(body).map_err(|_| "a poll brought text that is not UTF-8")?;
        for packet in body.split(SEPARATOR as char) {
            if !self.is_open() {
                self.sid = sid(packet).ok_or("the open packet has no sid")?.into();
            }
            session.handle_text(packet, exchange)?;
        }
        exchange.speech.poll(&self.sid);
        Ok(())
    }
}

/// Holds an answer to the only status that is good.
fn accepted(method: &str, status: u16, body: &[u8]) -> Result<(), String> {
    let body = String::from_utf8_lossy(body);
    if status == 200 { Ok(()) } else { Err(format!("{method} answered with status {status}: {body}")) }
}

/// The session's id in an open packet.
fn sid(packet: &str) -> Option<&str> {
    let (_, rest) = packet.strip_prefix('0')?.split_once(r#""sid":""#)?;
    rest.split('"').next().filter(|sid| !sid.is_empty())
}
