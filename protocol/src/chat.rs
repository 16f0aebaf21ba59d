//! The chat dialect: which events a client may send, with their fields, and what the node sends back.
//!
//! The names and payloads are those of the plugin's specification. Nothing here knows who is where:
//! [`request`] turns a validated packet into words, [`event`] turns words into packet text.

pub mod event;
pub mod request;
pub mod room;
pub mod time;

pub use event::Frame;
pub use request::{Refusal, Request};
