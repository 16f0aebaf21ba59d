//! The promises of the WebSocket codec to the outside: what Autobahn's sections ask for, what another implementation
//! makes of the same bytes, and that no cut of the bytes changes what is understood.

#[path = "websocket/conformance.rs"]
mod conformance;
#[path = "websocket/oracle.rs"]
mod oracle;
#[path = "websocket/round_trip.rs"]
mod round_trip;
#[path = "websocket/stream.rs"]
mod stream;
