//! What clients took is given back: descriptors, places, counts. What the node may take is bounded.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use super::http::{Http, connect};
use super::polling::Polling;
use super::server::{Server, command};
use super::websocket::WebSocket;

fn upgraded(server: &Server, user: &str) -> WebSocket {
    let polling = Polling::join(server.address, user);
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    let mut socket = WebSocket::handshake(server.address, &target);
    socket.send("2probe");
    socket.until("3probe");
    socket.send("5");
    socket.send("421[\"ping\",{}]");
    socket.until("431[");
    socket
}

/// 500 connections of every kind; some end on their own, the rest is cut.
fn wave(server: &Server, number: usize) {
    let mut kept: Vec<Box<dyn std::any::Any>> = Vec::new();
    for place in 0..50 {
        let user = format!("user-{number}-{place}");
        for _ in 0..2 {
            let mut socket = WebSocket::join(server.address, &user);
            socket.send("42[\"channel:join\",{\"channelId\":\"wave\"}]");
            kept.push(Box::new(socket));
        }
        let mut upgraded = upgraded(server, &user);
        upgraded.send("42[\"channel:join\",{\"channelId\":\"wave\"}]");
        kept.push(Box::new(upgraded));
        let polling = Polling::join(server.address, &user);
        kept.push(Box::new(polling.begin_poll()));
        kept.push(Box::new(Polling::open(server.address)));
        let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
        kept.push(Box::new(WebSocket::handshake(server.address, &target)));
        let mut idle = Http::open(server.address);
        idle.request("GET", "/healthz", "");
        kept.push(Box::new(idle));
        kept.push(Box::new(connect(server.address)));
        let mut unfinished = connect(server.address);
        unfinished
            .write_all(b"POST /socket.io/?EIO=4 HTTP/1.1\r\nHost: node\r\nContent-Length: 9\r\n\r\n4")
            .unwrap();
        kept.push(Box::new(unfinished));
        let mut closing = WebSocket::join(server.address, &user);
        closing.send("41");
        closing.send("1");
        kept.push(Box::new(closing));
    }
    assert_eq!(kept.len(), 500);
}

#[test]
fn five_waves_of_connections_leave_nothing_behind() {
    let mut command = command(4, 0);
    command.args(["--ping-interval", "1000", "--ping-timeout", "1000"]);
    // Lost sessions are kept for a moment, and so are their channels.
    command.envs([("REALTIME_PRESENCE_TIMEOUT", "50"), ("REALTIME_RECOVERY_WINDOW", "50")]);
    let server = Server::spawn(&mut command);
    server.page("/healthz");
    let mut descriptors_before = server.descriptor_count();
    for number in 0..5 {
        wave(&server, number);
        server.wait_until("all sessions are gone", |server| server.session_count() == 0);
        // The connection that asks may be among them.
        server.wait_until("all descriptors are closed", |server| {
            server.descriptor_count() <= descriptors_before + 1
        });
        descriptors_before = descriptors_before.max(server.descriptor_count());
        for gauge in [
            "realtime_connections{transport=\"websocket\"}",
            "realtime_connections{transport=\"polling\"}",
            "realtime_users",
            "realtime_detached_sessions",
            "realtime_subscriptions",
            "realtime_outq_bytes",
        ] {
            server.wait_until(&format!("wave {number}: {gauge} is 0"), |server| {
                server.page("/metrics").contains(&format!("\n{gauge} 0\n"))
            });
        }
        assert!(server.page("/health").contains("\"connections\":0"));
    }
    server.stop();
}

#[test]
fn a_full_node_says_so_and_recovers() {
    let server = Server::start(2, &["--max-connections", "10"]);
    let mut sockets: Vec<_> =
        (0..5).map(|number| WebSocket::join(server.address, &format!("w{number}"))).collect();
    let sessions: Vec<_> =
        (0..5).map(|number| Polling::join(server.address, &format!("p{number}"))).collect();
    let polls: Vec<_> = sessions.iter().map(Polling::begin_poll).collect();
    for transport in ["polling", "websocket"] {
        let mut http = Http::open(server.address);
        let head = format!(
            "GET /socket.io/?EIO=4&transport={transport} HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        http.stream.write_all(head.as_bytes()).unwrap();
        let answer = http.answer();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.contains("Retry-After"), "{answer:?}");
    }
    assert_eq!(server.metric("realtime_rejected_total{reason=\"limit\"}"), 2);
    drop(sockets.pop());
    drop(polls);
    server.wait_until("places are free", |server| server.session_count() == 4);
    for number in 0..6 {
        sockets.push(WebSocket::join(server.address, &format!("later-{number}")));
    }
    assert_eq!(server.session_count(), 10);
    server.stop();
}

#[test]
fn a_node_out_of_descriptors_waits_without_spinning_and_recovers() {
    let node = command(2, 0);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(node.get_program()).args(node.get_args());
    let server = Server::spawn(&mut limited);
    let mut socket = WebSocket::join(server.address, "early");
    // More than it can accept; the rest waits in the kernel.
    let crowd: Vec<_> = (0..100).map(|_| connect(server.address)).collect();
    let asked = |socket: &mut WebSocket, number: usize| {
        socket.send(&format!("42{number}[\"ping\",{{}}]"));
        socket.until(&format!("43{number}["));
    };
    asked(&mut socket, 0);
    let used_before = server.processor_time();
    let watched = Duration::from_secs(2);
    std::thread::sleep(watched);
    let used = server.processor_time() - used_before;
    assert!(used < watched / 20, "{used:?} of processor time in {watched:?}");
    asked(&mut socket, 1);
    drop(crowd);
    WebSocket::join(server.address, "late");
    assert!(server.metric("realtime_rejected_total{reason=\"fd\"}") > 0);
    server.stop();
}

#[test]
fn a_node_takes_as_many_descriptors_as_it_may_have() {
    let node = command(1, 0);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -S -n 64; exec \"$0\" \"$@\""]).arg(node.get_program()).args(node.get_args());
    let server = Server::spawn(&mut limited);
    let (soft, hard) = server.descriptor_limits();
    assert_eq!(soft, hard);
    assert!(
        hard != "64" && server.log().iter().any(|line| line.contains("former=64")),
        "{:#?}",
        server.log()
    );
    server.stop();
}

#[test]
fn users_from_one_place_land_on_all_cores() {
    let server = Server::start(4, &[]);
    let mut sockets: Vec<_> =
        (0..200).map(|number| WebSocket::join(server.address, &format!("user-{number}"))).collect();
    for core in 0..4 {
        // Of 200 users, fewer than 20 on one of four cores is less likely than winning a lottery twice.
        assert!(server.metric(&format!("realtime_core_sessions{{core=\"{core}\"}}")) >= 20, "core {core}");
    }
    assert_eq!(server.metric("realtime_core_sessions{"), 200);
    for (number, socket) in sockets.iter_mut().enumerate() {
        socket.send(&format!("42{number}[\"ping\",{{}}]"));
        socket.until(&format!("43{number}["));
    }
    server.stop();
}
