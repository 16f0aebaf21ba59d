//! Bytes to words and back: WebSocket, HTTP/1.1, Engine.IO 4, Socket.IO 5, the chat dialect, and RESP3 to Redis.
//!
//! Nothing here does I/O or reads a clock. The server, the load tester and the fuzz targets share it.

pub mod chat;
pub mod codes;
pub mod engine_io;
pub mod http;
pub mod json;
pub mod redis;
pub mod relay;
pub mod socket_io;
pub mod websocket;
