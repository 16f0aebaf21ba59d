//! One client cannot take a core from the others, however fast it sends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::Scope;

use protocol::websocket::frame::Opcode;

use super::http::{connect, request};
use super::polling::Polling;
use super::server::Server;
use super::websocket::{WebSocket, frame, text_frame};

/// Messages of somebody else that must get through while a flood goes on.
const ROUND_TRIPS: usize = 20;

/// Ends a connection, and with it what is done on it, also when a promise was broken meanwhile.
struct Ended<'a>(&'a TcpStream);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Writes the same bytes over and over, and reads whatever comes, until the connection ends.
fn flood<'scope>(scope: &'scope Scope<'scope, '_>, stream: &TcpStream, bytes: &[u8]) {
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
    let bytes = bytes.repeat(256 * 1024 / bytes.len() + 1);
    scope.spawn(move || {
        let mut chunk = vec![0; 256 * 1024];
        while reader.read(&mut chunk).is_ok_and(|count| count > 0) {}
    });
    scope.spawn(move || while writer.write_all(&bytes).is_ok() {});
}

/// Floods one connection, and sees that somebody else is served meanwhile.
fn check(server: &Server, stream: &TcpStream, bytes: &[u8]) {
    std::thread::scope(|scope| {
        let _ended = Ended(stream);
        flood(scope, stream, bytes);
        let mut other = WebSocket::join(server.address, "other");
        for number in 0..ROUND_TRIPS {
            other.send(&format!("42{number}[\"ping\",{{}}]"));
            other.until(&format!("43{number}["));
        }
    });
}

#[test]
fn a_client_that_never_stops_sending_does_not_stop_its_core() {
    let server = Server::start(1, &[]);
    let socket = WebSocket::join(server.address, "flooder");
    // An event that is not answered: nothing that the client would have to read holds it up.
    check(&server, &socket.stream, &text_frame("42[\"pong\"]"));
    server.stop();
}

#[test]
fn a_client_that_sends_requests_ahead_does_not_stop_its_core() {
    let server = Server::start(1, &[]);
    check(&server, &connect(server.address), request("GET", "/healthz", "").as_bytes());
    server.stop();
}

#[test]
fn a_client_that_goes_on_after_its_session_was_closed_does_not_stop_its_core() {
    let server = Server::start(1, &[]);
    let mut socket = WebSocket::join(server.address, "flooder");
    socket.send("4nonsense");
    check(&server, &socket.stream, &text_frame("42[\"pong\"]"));
    server.stop();
}

#[test]
fn a_websocket_that_floods_instead_of_probing_does_not_stop_its_core() {
    let server = Server::start(1, &[]);
    let polling = Polling::join(server.address, "flooder");
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    let socket = WebSocket::handshake(server.address, &target);
    check(&server, &socket.stream, &frame(Opcode::Pong, b""));
    server.stop();
}
