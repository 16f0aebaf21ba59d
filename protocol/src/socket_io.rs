//! Socket.IO, protocol revision 5: namespaces, events and acknowledgements over Engine.IO messages.
//!
//! Packets as values, in both directions. Which namespaces exist, who has joined them and what an event means is
//! decided elsewhere. Verdicts follow Node's socket.io-parser 4.2; where they differ, the item says so.

pub mod assembler;
pub mod check;
pub mod encode;
mod error;
pub mod packet;
mod placeholder;

pub use assembler::{Assembler, Complete};
pub use check::{check, is_reserved};
pub use error::ParseError;
pub use packet::{ATTACHMENTS_MAX, Kind, Packet, parse};
