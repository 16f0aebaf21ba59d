//! Clients that do not read cost a bounded amount of memory, and nobody else's time.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::mpsc;

use super::desk;
use super::http::Http;
use super::server::Server;
use super::websocket::{WebSocket, text_frame};

/// Messages of one run, and the bytes of each: more than all buffers of a connection hold.
const MESSAGES: usize = 4_000;
const CONTENT_BYTES: usize = 4_000;
/// How many messages a reader that keeps up may be behind: less than what waits for a client before it is too slow.
const BEHIND_MAX: usize = 16;

fn join(server: &Server, user: &str) -> WebSocket {
    let mut socket = WebSocket::join(server.address, user);
    socket.send("420[\"channel:join\",{\"channelId\":\"busy\"}]");
    socket.until("430[{\"success\":true");
    socket
}

#[test]
fn slow_readers_are_closed_and_others_hear_everything_in_order() {
    const SLOW: u64 = 20;
    let server = Server::start(2, &[]);
    let slow: Vec<_> = (0..SLOW).map(|number| join(&server, &format!("slow-{number}"))).collect();
    let mut readers: Vec<_> = (0..4).map(|number| join(&server, &format!("reader-{number}"))).collect();
    let mut sender = join(&server, "sender");
    let resident_before = server.resident_kib();
    std::thread::scope(|scope| {
        // Full when the reader is that far behind: then the sender waits for it.
        let mut to_read = Vec::new();
        for reader in &mut readers {
            let (expect, expected) = mpsc::sync_channel(BEHIND_MAX);
            to_read.push(expect);
            scope.spawn(move || {
                for number in expected {
                    let message = reader.until("42[\"message\"");
                    assert!(
                        message.contains(&format!("\"content\":\"{number} ")),
                        "{number}: {message:.200}"
                    );
                }
            });
        }
        let filler = "x".repeat(CONTENT_BYTES);
        for number in 0..MESSAGES {
            to_read
                .iter()
                .for_each(|expect| expect.send(number).expect("a reader that keeps up is not closed"));
            let content = format!("{{\"channelId\":\"busy\",\"content\":\"{number} {filler}\"}}");
            sender.send(&format!("42{number}[\"message:send\",{content}]"));
            sender.until(&format!("43{number}[{{\"success\":true"));
        }
    });
    let closed = server.metric("realtime_closed_total{reason=\"slow_reader\"}");
    assert_eq!(closed, SLOW);
    server.wait_until("nothing waits for them", |server| server.metric("realtime_outq_bytes") == 0);
    server.wait_until("their slots are free", |server| server.session_count() == 5);
    let grown_kib = server.resident_kib().saturating_sub(resident_before);
    assert!(grown_kib < 64 * 1024, "{grown_kib} KiB for {SLOW} slow readers");
    drop(slow);
    server.stop();
}

/// Sends to everybody in the channel until a session of it is closed as a slow reader.
fn send_until_closed(server: &Server, sender: &mut WebSocket) {
    let content = format!("{{\"channelId\":\"busy\",\"content\":\"{}\"}}", "x".repeat(CONTENT_BYTES));
    let mut number = 0;
    while server.metric("realtime_closed_total{reason=\"slow_reader\"}") == 0 {
        for _ in 0..10 {
            sender.send(&format!("42{number}[\"message:send\",{content}]"));
            sender.until(&format!("43{number}[{{\"success\":true"));
            number += 1;
        }
    }
}

/// Connections of a port that nobody has open any more, but whose end the kernel still waits to send.
fn unsent_ends(server: SocketAddr) -> Vec<String> {
    const FIN_WAIT_1: &str = "04";
    let port = format!(":{:04X}", server.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_unsent = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&port) && fields[3] == FIN_WAIT_1
    };
    table.lines().skip(1).filter(is_unsent).map(str::to_owned).collect()
}

#[test]
fn a_reader_that_takes_nothing_is_reset_and_the_kernel_keeps_nothing_for_it() {
    let server = Server::start(1, &[]);
    let silent = join(&server, "silent");
    let mut sender = join(&server, "sender");
    send_until_closed(&server, &mut sender);
    server.wait_until("it is reset, though it reads nothing", |_| {
        silent.stream.take_error().unwrap().is_some_and(|error| error.kind() == ErrorKind::ConnectionReset)
    });
    assert_eq!(unsent_ends(server.address), [""; 0]);
    drop(silent);
    server.stop();
}

#[test]
fn a_slow_reader_that_reads_on_in_time_hears_why_it_is_closed() {
    let server = Server::start(1, &["--ping-interval", "60000"]);
    let mut slow = join(&server, "slow");
    let mut sender = join(&server, "sender");
    send_until_closed(&server, &mut sender);
    assert_eq!(slow.ended(), Some(1013));
    server.stop();
}

#[test]
fn whoever_reads_late_gets_what_lasts_and_the_latest_of_the_rest() {
    let desk = desk::open(desk::settings());
    let target = "/engine.io/?EIO=4&transport=websocket";
    let mut late = WebSocket::handshake(desk.address, target);
    let mut attentive = WebSocket::handshake(desk.address, target);
    desk::ask_until(&desk, "/sessions", "2");
    let mut http = Http::open(desk.address);
    let mut tell = |target: &str, body: &str| {
        let head = format!("POST {target} HTTP/1.1\r\nHost: desk\r\nAuthorization: yes\r\nContent-Length: ");
        http.stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        assert_eq!(http.answer().status, 200);
    };
    let (mut said, filler) = (0, "x".repeat(20_000));
    while desk.shared.metrics[0].blocked_writes.get() == 0 {
        tell("/say", &format!("message {said} {filler}"));
        attentive.until(&format!("4message {said} "));
        said += 1;
    }
    for round in 0..100 {
        for key in 0..3 {
            tell(&format!("/show?{key}"), &format!("{key} is at {round}"));
            assert_eq!(attentive.until("4"), format!("4{key} is at {round}"));
        }
    }
    tell("/say", "that was all");
    attentive.until("4that was all");
    assert_eq!(desk.shared.metrics[0].coalesced.get(), 3 * 99);
    for number in 0..said {
        assert!(late.until("4").starts_with(&format!("4message {number} ")));
    }
    assert_eq!(late.until("4"), "4that was all");
    for key in 0..3 {
        assert_eq!(late.until("4"), format!("4{key} is at 99"));
    }
    desk::count_until(&desk, |metrics| metrics.queued_bytes.get(), |bytes| bytes == 0);
    tell("/show?0", "as it comes");
    assert_eq!(late.until("4"), "4as it comes");
    desk.stop();
}

#[test]
fn a_session_that_is_blocked_when_it_should_move_is_closed_without_a_trace() {
    let server = Server::start(4, &["--ping-interval", "300", "--ping-timeout", "300"]);
    let descriptors_before = server.descriptor_count();
    let refused = text_frame(&format!("40/{},", "n".repeat(200))).repeat(1_000);
    let mut blocked = Vec::new();
    for number in 0..32 {
        let mut socket = WebSocket::open(server.address);
        let before = server.metric("realtime_blocked_writes_total");
        // Each of these is answered with an error that is not read.
        while server.metric("realtime_blocked_writes_total") == before {
            socket.stream.write_all(&refused).unwrap();
        }
        let _ = socket.stream.write_all(&text_frame(&format!("40{{\"token\":\"user:u-{number}\"}}")));
        blocked.push(socket);
    }
    server.wait_until("all are gone, though the clients have not closed", |server| {
        server.session_count() == 0 && server.descriptor_count() <= descriptors_before + 1
    });
    assert_eq!(server.metric("realtime_connections{"), 0);
    // The last of them may still be waiting for its close frame to be read.
    server.wait_until("nothing waits for them", |server| server.metric("realtime_outq_bytes") == 0);
    drop(blocked);
    server.stop();
}
