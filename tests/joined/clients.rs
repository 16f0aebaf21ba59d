//! Clients: each has one session, is in some channels, and writes down what it is told there.

use std::collections::BTreeMap;

use core_shards::SessionId;
use serde_json::Value;

use crate::nodes::Seat;

/// What a client was told of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is a member, from this position on.
    Joined { epoch: String, offset: u64 },
    /// A message, by its number, and its offset: 0 if it has none yet.
    Message { number: u64, offset: u64 },
    /// Something is missing; what follows this position comes.
    Gap { is_trimmed: bool, position: Option<(String, u64)> },
    /// It left.
    Left,
}

/// A word, and at which step it came.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) step: u64,
    pub(crate) word: Word,
}

/// Somebody who is connected.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user: u8,
    pub(crate) seat: Seat,
    pub(crate) session: SessionId,
    pub(crate) is_there: bool,
    pub(crate) since: u64,
    /// What it was told of each channel, in order.
    pub(crate) log: BTreeMap<String, Vec<Entry>>,
    /// The answers to its messages: whether each was taken.
    pub(crate) answers: BTreeMap<u64, bool>,
    /// The messages that it sent, and to which channel.
    pub(crate) sent: Vec<(u64, String)>,
}

impl Client {
    pub(crate) fn new(user: u8, seat: Seat, session: SessionId, since: u64) -> Self {
        let (log, answers, sent) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { user, seat, session, is_there: true, since, log, answers, sent }
    }

    /// Whether it is a member of a channel, as far as it was told.
    pub(crate) fn is_in(&self, channel: &str) -> bool {
        let last = self
            .log
            .get(channel)
            .and_then(|log| log.iter().rfind(|entry| matches!(entry.word, Word::Joined { .. } | Word::Left)));
        last.is_some_and(|entry| entry.word != Word::Left)
    }

    fn note(&mut self, channel: &str, step: u64, word: Word) {
        self.log.entry(channel.to_owned()).or_default().push(Entry { step, word });
    }

    /// The client reads a packet.
    pub(crate) fn read(&mut self, packet: &str, step: u64) -> Result<(), String> {
        if let Some(answer) = packet.strip_prefix("43") {
            let (number, answer) = answer.split_once('[').ok_or("an answer without an array")?;
            let number = number.parse().map_err(|_| format!("an answer to nothing: {packet}"))?;
            let is_taken = answer.contains(r#""success":true"#);
            if self.answers.insert(number, is_taken).is_some() {
                return Err(format!("message {number} was answered twice"));
            }
            return Ok(());
        }
        let Some(array) = packet.strip_prefix("42") else { return Ok(()) };
        let array: Value = serde_json::from_str(array).map_err(|error| format!("{error}: {packet}"))?;
        let (name, argument) = (array[0].as_str().unwrap_or_default(), &array[1]);
        let channel = argument["channelId"].as_str().unwrap_or_default();
        let position = || {
            let epoch = argument["epoch"].as_str()?;
            Some((epoch.to_owned(), argument["offset"].as_u64()?))
        };
        match name {
            "channel:joined" => {
                let (epoch, offset) = position().ok_or_else(|| format!("no position: {packet}"))?;
                self.note(channel, step, Word::Joined { epoch, offset });
            }
            "channel:left" => self.note(channel, step, Word::Left),
            "sync:required" => {
                let is_trimmed = argument["reason"] == "gap";
                self.note(channel, step, Word::Gap { is_trimmed, position: position() });
            }
            "message" => {
                let content = argument["content"].as_str().unwrap_or_default();
                let number = content.parse().map_err(|_| format!("nobody wrote {packet}"))?;
                let offset = argument["offset"].as_u64().unwrap_or(0);
                self.note(channel, step, Word::Message { number, offset });
            }
            _ => {}
        }
        Ok(())
    }
}
