//! The chat dialects: which events a client may send, with their fields, and what the node sends back.
//!
//! The names and payloads are those of the plugin's specification, and of the clients that came before it. Nothing here
//! knows who is where: [`request`] and [`rest`] turn validated JSON into words, [`event`] turns words into packet text.

pub mod dialect;
pub mod event;
pub mod request;
pub mod rest;
pub mod room;
pub mod status;
pub mod time;

pub use dialect::{Dialect, Form, Spelling, Style};
pub use event::Frame;
pub use request::{Refusal, Request};
pub use status::{Custom, CustomStatus, Status};
