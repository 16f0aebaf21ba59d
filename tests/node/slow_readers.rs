//! Clients that do not read cost a bounded amount of memory, and nobody else's time.

use std::io::Write;

use super::server::Server;
use super::websocket::{WebSocket, text_frame};

/// Messages of one run, and the bytes of each: more than all buffers of a connection hold.
const MESSAGES: usize = 4_000;
const CONTENT_BYTES: usize = 4_000;

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
        for reader in &mut readers {
            scope.spawn(move || {
                for number in 0..MESSAGES {
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
            let content = format!("{{\"channelId\":\"busy\",\"content\":\"{number} {filler}\"}}");
            sender.send(&format!("42{number}[\"message:send\",{content}]"));
            sender.until(&format!("43{number}[{{\"success\":true"));
        }
    });
    let closed = server.metric("realtime_closed_total{reason=\"slow_reader\"}");
    assert_eq!(closed, SLOW);
    assert_eq!(server.metric("realtime_outq_bytes"), 0);
    server.wait_until("their slots are free", |server| server.session_count() == 5);
    let grown_kib = server.resident_kib().saturating_sub(resident_before);
    assert!(grown_kib < 64 * 1024, "{grown_kib} KiB for {SLOW} slow readers");
    drop(slow);
    server.stop();
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
    assert_eq!(server.metric("realtime_outq_bytes"), 0);
    drop(blocked);
    server.stop();
}
