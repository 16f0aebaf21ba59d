//! RESP3, the protocol of Redis from 6.0 and of Valkey: commands to bytes, and bytes to replies and pushes.
//!
//! One connection carries both: replies come in the order of their commands, pushes come whenever something was
//! published. What a command means is nobody's business here.
//!
//! Source: <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>

mod command;
mod decoder;
mod reply;
mod slot;

pub use command::{begin_command, push_command, push_part};
pub use decoder::{Decoder, DecoderLimits, Received, Violation};
pub use reply::{List, Reply};
pub use slot::{SLOT_COUNT, Slot};
