//! Engine.IO, protocol revision 4: the transport below Socket.IO.
//!
//! Packets, polling payloads, the handshake's query and reply, session ids and error replies as values. Sessions,
//! heartbeats and the upgrade from polling to WebSocket live elsewhere.

pub mod error;
pub mod open;
pub mod packet;
pub mod payload;
pub mod query;
pub mod sid;

pub use error::ErrorCode;
pub use open::Open;
pub use packet::{Packet, PacketError, parse};
pub use payload::{PayloadLimits, Record, Records};
pub use query::{Query, Transport};
pub use sid::Sid;
