//! The fields that signals are made of.

use crate::chat::status::Status;
use crate::relay::{push_field, take_field};

/// No status: nobody is there.
const NO_STATUS: u8 = 0xff;

pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    push_field(out, text.as_bytes());
}

pub(super) fn push_option(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        push_text(out, text);
    }
}

pub(super) fn push_status(out: &mut Vec<u8>, status: Option<Status>) {
    out.push(status.map_or(NO_STATUS, |status| status as u8));
}

/// What was not read yet. Every method takes one field off the front; `None` if there is no such field.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn word(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(take_field(&mut self.0)?).ok()
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A text, or that there is none.
    pub(super) fn option(&mut self) -> Option<Option<&'a str>> {
        if self.flag()? { self.text().map(Some) } else { Some(None) }
    }

    /// A status, or that there is none.
    pub(super) fn status(&mut self) -> Option<Option<Status>> {
        match self.byte()? {
            NO_STATUS => Some(None),
            number => Status::ALL.get(usize::from(number)).copied().map(Some),
        }
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
