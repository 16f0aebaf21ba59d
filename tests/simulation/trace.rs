//! What happened in a run: always as a digest, and as text when somebody wants to read it.

use std::fmt::Write;

use crate::node::{Delivered, Input};

/// The course of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    /// Inputs and frames of the whole run: equal for equal runs.
    pub(crate) digest: u64,
    pub(crate) input_count: u64,
    text: Option<String>,
}

impl Trace {
    pub(crate) fn new(is_written: bool) -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, input_count: 0, text: is_written.then(String::new) }
    }

    /// The course in words, one line a step; empty unless it was asked for.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Writes a line that is no part of the digest.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(text) = &mut self.text {
            text.push_str(&line());
            text.push('\n');
        }
    }

    pub(crate) fn input(&mut self, core: usize, input: &Input<'_>) {
        self.input_count += 1;
        self.mix(&[core as u8, input.number()]);
        self.note(|| format!("core {core} <- {input:?}"));
    }

    pub(crate) fn frames(&mut self, core: usize, delivered: &Delivered) {
        self.mix(&delivered.frames);
        for slot in &delivered.slots {
            self.mix(&slot.to_le_bytes());
        }
        self.note(|| {
            let mut line = format!("core {core} -> slots {:?}:", delivered.slots);
            for (_, payload) in protocol::websocket::frame::frames(&delivered.frames) {
                let _ = write!(line, " {}", String::from_utf8_lossy(payload));
            }
            line
        });
    }

    /// FNV-1a.
    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
