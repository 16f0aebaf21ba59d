//! RFC 6455 framing as values: bytes in, events out, for either side of a connection.
//!
//! Owns the rules of the wire (masking, lengths, fragments, UTF-8, close codes) and the opening handshake. It does
//! not read sockets, answer pings or decide when to close: the caller does, with the codes given here.

pub mod close;
pub mod decoder;
pub mod deflate;
pub mod frame;
pub mod handshake;
mod header;
pub mod mask;
pub mod utf8;

pub use close::CloseCode;
pub use decoder::{Decoder, Event, Feed, Limits, Role, Violation};
