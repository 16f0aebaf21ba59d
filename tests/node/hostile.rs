//! Clients that break the rules, or follow them very slowly, are refused or cut; those that are only odd are served.

use std::io::Write;
use std::net::TcpStream;

use protocol::websocket::frame::Opcode;

use realtime::engine::settings::PINGS_BURST_MAX;

use super::http::{Http, connect, request};
use super::polling::Polling;
use super::server::Server;
use super::websocket::{Heard, WebSocket, frame, handshake_request, text_frame};

/// Writes byte by byte, each in a segment of its own as far as the kernel lets it.
fn drip(stream: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes {
        stream.write_all(std::slice::from_ref(byte)).unwrap();
    }
}

#[test]
fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let server = Server::start(2, &[]);
    let polling = Polling::join(server.address, "polling");
    let mut http = Http::open(server.address);
    drip(
        &mut http.stream,
        request("POST", &polling.target(), "421[\"ping\",{}]\x1e422[\"ping\",{}]").as_bytes(),
    );
    assert_eq!(http.answer().body, "ok");
    drip(&mut http.stream, request("GET", &polling.target(), "").as_bytes());
    let heard = http.answer().body;
    assert!(heard.starts_with("431[") && heard.contains("\x1e432["), "{heard}");

    let mut stream = connect(server.address);
    drip(&mut stream, &handshake_request("/socket.io/?EIO=4&transport=websocket"));
    let mut socket = WebSocket::read_handshake(stream);
    socket.until("0{");
    drip(&mut socket.stream, &text_frame("40{\"token\":\"user:websocket\"}"));
    socket.until("42[\"authenticated\"");
    drip(&mut socket.stream, &text_frame("427[\"ping\",{}]"));
    socket.until("437[");
    server.stop();
}

#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() {
    let server = Server::start(1, &[]);
    let hidden = "GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n";
    let chunked = "0\r\n\r\n";
    for (headers, body) in [
        ("Host: node\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunked),
        ("Host: node\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunked),
        ("Host: node\r\nContent-Length: 0\r\nContent-Length: 37\r\n", ""),
        ("Host: node\r\nContent-Length: 0, 37\r\n", ""),
        ("Host: node\r\nContent-Length: +0\r\n", ""),
        ("Host: node\r\nContent-Length: 0x0\r\n", ""),
        ("Host: node\r\nContent-Length : 0\r\n", ""),
        ("Host: node\r\nTransfer-Encoding: xchunked\r\n", chunked),
        ("Host: node\r\nTransfer-Encoding: chunked, identity\r\n", chunked),
        ("Host: node\r\nTransfer-Encoding: identity\r\n", ""),
        ("Host: node\r\nTransfer-Encoding:\x0bchunked\r\n", chunked),
        ("Host: node\r\nTransfer-Encoding: chunked\r\n", "-1\r\n\r\n"),
        ("Host: node\r\nTransfer-Encoding: chunked\r\n", "10000000000000000\r\n\r\n"),
        ("Host: node\r\nTransfer-Encoding: chunked\r\n", "0\n\n"),
        ("Host: node\r\nX: a\r\n b\r\n", ""),
        ("Host: node\nContent-Length: 0\n", ""),
        ("Host: node\r\nX: a\0b\r\n", ""),
        ("Host: node\r\nHost: other\r\n", ""),
        ("X: no host\r\n", ""),
    ] {
        let mut http = Http::open(server.address);
        let request = format!("POST /healthz HTTP/1.1\r\n{headers}\r\n{body}{hidden}");
        http.stream.write_all(request.as_bytes()).unwrap();
        let heard = http.closed();
        let is_refused =
            ["400", "413", "501"].iter().any(|status| heard.starts_with(&format!("HTTP/1.1 {status} ")));
        assert!(is_refused, "{headers:?} {body:?}: {heard}");
        assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{headers:?} {body:?}: {heard}");
    }
    server.stop();
}

#[test]
fn heads_beyond_the_bounds_are_refused_before_they_end() {
    let server = Server::start(1, &[]);
    for head in [
        format!("GET / HTTP/1.1\r\nHost: node\r\n{}: x\r\n", "n".repeat(70_000)),
        format!("GET / HTTP/1.1\r\nHost: node\r\n{}", "x".repeat(20_000)),
        format!("GET /{} HTTP/1.1\r\nHost: node\r\n\r\n", "x".repeat(8_000)),
        format!("GET / HTTP/1.1\r\nHost: node\r\n{}\r\n", "a: b\r\n".repeat(97)),
    ] {
        let mut http = Http::open(server.address);
        // The rest may not be taken any more.
        let _ = http.stream.write_all(head.as_bytes());
        let heard = http.closed();
        let status = heard.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "414", "431"].contains(&status), "{}: {heard}", &head[..40]);
    }
    server.stop();
}

#[test]
fn slow_heads_and_bodies_are_cut_and_others_are_served_meanwhile() {
    let server = Server::start(2, &[]);
    let polling = Polling::join(server.address, "slow");
    let head = "GET /health HTTP/1.1\r\nHo".to_owned();
    let body = format!("POST {} HTTP/1.1\r\nHost: node\r\nContent-Length: 99\r\n\r\n42[", polling.target());
    let slow: Vec<_> = (0..100)
        .map(|number| {
            let mut http = Http::open(server.address);
            http.stream.write_all(if number % 2 == 0 { head.as_bytes() } else { body.as_bytes() }).unwrap();
            http
        })
        .collect();
    let mut socket = WebSocket::join(server.address, "honest");
    socket.send("421[\"ping\",{}]");
    socket.until("431[");
    for http in slow {
        http.closed();
    }
    assert_eq!(server.metric("realtime_rejected_total{reason=\"timeout\"}"), 100);
    server.stop();
}

#[test]
fn sessions_that_never_join_are_closed() {
    let server = Server::start(2, &[]);
    let mut socket = WebSocket::open(server.address);
    let polling = Polling::open(server.address);
    let mut poll = polling.begin_poll();
    assert_eq!(socket.ended(), Some(1008));
    assert_eq!(poll.answer().body, "1");
    assert_eq!(polling.poll().status, 400);
    server.wait_until("both are counted", |server| {
        server.metric("realtime_closed_total{reason=\"connect_timeout\"}") == 2 && server.session_count() == 0
    });
    server.stop();
}

#[test]
fn silent_clients_are_closed_and_those_that_answer_stay() {
    let server = Server::start(2, &["--ping-interval", "200", "--ping-timeout", "400"]);
    let mut alive = WebSocket::join(server.address, "alive");
    let mut silent = WebSocket::join(server.address, "silent");
    let forgotten = Polling::join(server.address, "forgotten");
    for _ in 0..10 {
        while alive.next() != Heard::Text("2".to_owned()) {}
        alive.send("3");
    }
    assert_eq!(silent.ended(), Some(1000));
    assert_eq!(forgotten.poll().status, 400);
    server.wait_until("only one is left", |server| server.session_count() == 1);
    assert_eq!(server.metric("realtime_closed_total{reason=\"ping_timeout\"}"), 2);
    alive.send("421[\"ping\",{}]");
    alive.until("431[");
    server.stop();
}

#[test]
fn control_pings_are_answered_in_order_with_their_payloads() {
    const PINGS: u16 = PINGS_BURST_MAX as u16;
    let server = Server::start(1, &[]);
    let mut socket = WebSocket::join(server.address, "pinger");
    let mut bytes = Vec::new();
    for number in 0..PINGS {
        bytes.extend(frame(Opcode::Ping, &number.to_be_bytes()));
        bytes.extend(text_frame(&format!("42{number}[\"ping\",{{}}]")));
    }
    socket.stream.write_all(&bytes).unwrap();
    for number in 0..PINGS {
        assert_eq!(socket.next(), Heard::Pong(number.to_be_bytes().to_vec()));
        let Heard::Text(answer) = socket.next() else { panic!("no answer to {number}") };
        assert!(answer.starts_with(&format!("43{number}[")), "{number}: {answer}");
    }
    server.stop();
}

#[test]
fn a_flood_of_control_pings_costs_the_session() {
    let server = Server::start(1, &[]);
    let mut socket = WebSocket::join(server.address, "flood");
    let flood = frame(Opcode::Ping, b"?").repeat(10_000);
    // The rest may not be taken any more.
    let _ = socket.stream.write_all(&flood);
    assert_eq!(socket.ended(), Some(1008));
    assert_eq!(server.metric("realtime_closed_total{reason=\"too_many_pings\"}"), 1);
    let mut socket = WebSocket::join(server.address, "unasked");
    socket.stream.write_all(&frame(Opcode::Pong, b"!").repeat(10_000)).unwrap();
    socket.send("421[\"ping\",{}]");
    socket.until("431[");
    server.stop();
}

#[test]
fn joining_and_leaving_over_and_over_is_only_odd() {
    let server = Server::start(1, &[]);
    let mut socket = WebSocket::join(server.address, "undecided");
    for _ in 0..200 {
        socket.send("41");
        socket.send("40{\"token\":\"user:undecided\"}");
        socket.until("42[\"authenticated\"");
    }
    socket.send("421[\"ping\",{}]");
    socket.until("431[");
    server.stop();
}

#[test]
fn a_connection_may_be_cut_at_every_byte() {
    let server = Server::start(2, &[]);
    let polling = Polling::join(server.address, "polling");
    let websocket = [
        handshake_request("/socket.io/?EIO=4&transport=websocket"),
        text_frame("40{\"token\":\"user:websocket\"}"),
        text_frame(
            "451-[\"message:send\",{\"channelId\":\"c\",\"content\":{\"_placeholder\":true,\"num\":0}}]",
        ),
        frame(Opcode::Binary, b"bytes"),
        frame(Opcode::Close, &1000u16.to_be_bytes()),
    ]
    .concat();
    let probe = handshake_request(&polling.target().replace("=polling", "=websocket"));
    let probe = [probe, text_frame("2probe"), text_frame("5")].concat();
    let post = request("POST", &polling.target(), "421[\"ping\",{}]").into_bytes();
    for bytes in [websocket, post, probe] {
        for length in 0..bytes.len() {
            connect(server.address).write_all(&bytes[..length]).unwrap();
        }
    }
    // Only its probes were cut: the session goes on as it was.
    server.wait_until("all others are gone", |server| server.session_count() == 1);
    assert_eq!(polling.post("421[\"ping\",{}]").status, 200);
    // A poll in the middle of what looks like an upgrade is answered with a packet that means nothing.
    while !polling.poll().body.starts_with("431[") {}
    server.wait_until("nothing waits", |server| server.metric("realtime_outq_bytes") == 0);
    server.stop();
}

#[test]
fn packets_for_a_namespace_that_was_left_close_the_session() {
    let server = Server::start(1, &[]);
    for packet in ["41", "42[\"ping\",{}]", "431[]", "41/other,"] {
        let mut socket = WebSocket::join(server.address, "leaver");
        socket.send("41");
        socket.send(packet);
        assert_eq!(socket.ended(), Some(1002), "{packet}");
    }
    server.stop();
}

#[test]
fn strangers_cannot_make_the_node_keep_what_they_send() {
    let server = Server::start(1, &[]);
    let polling = Polling::join(server.address, "known");
    let stranger = polling.target().replace(&polling.sid, &"A".repeat(polling.sid.len()));
    for target in [stranger.as_str(), "/socket.io/?EIO=4&transport=polling", "/health"] {
        let mut http = Http::open(server.address);
        let head = format!("POST {target} HTTP/1.1\r\nHost: node\r\nContent-Length: 900000\r\n\r\n");
        http.stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(http.answer().status, 413, "{target}");
    }
    let events = "42[\"pong\"]\x1e".repeat(20_000);
    assert_eq!(polling.post(events.trim_end_matches('\x1e')).status, 200);
    server.stop();
}
