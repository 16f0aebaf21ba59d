//! How a node goes while others stay: it says so first, sends its clients away one after the other, and serves them until
//! then. Where a test has to see a step, the step would last an hour; the second signal ends it.

use std::net::TcpStream;

use super::http::Http;
use super::polling::Polling;
use super::server::Server;
use super::websocket::{Heard, WebSocket};

const HOUR: &str = "3600";

#[test]
fn a_node_that_is_to_go_is_not_ready_at_once_and_still_takes_who_is_sent_to_it() {
    let mut server = Server::start(2, &["--drain-delay", HOUR, "--drain-seconds", HOUR]);
    let mut early = WebSocket::join(server.address, "early");
    let mut probe = Http::open(server.address);
    assert_eq!(probe.request("GET", "/readyz", "").status, 200);
    server.signal("TERM");
    server.wait_until("it is not ready", |_| probe.request("GET", "/readyz", "").status == 503);
    assert_eq!(server.metric("realtime_draining "), 1);
    assert_eq!(probe.request("GET", "/health", "").status, 503);
    assert_eq!(probe.request("GET", "/healthz", "").status, 200);
    let mut late = WebSocket::join(server.address, "late");
    early.send("421[\"ping\",{}]");
    early.until("431[");
    server.signal("TERM");
    assert_eq!(early.ended(), Some(1012));
    assert_eq!(late.ended(), Some(1012));
    assert_eq!(server.ended().0.code(), Some(0), "{:#?}", server.log());
}

#[test]
fn a_node_that_drains_closes_its_door_and_serves_who_is_inside() {
    let mut server = Server::start(2, &["--drain-seconds", HOUR]);
    let mut sockets: Vec<_> =
        (0..8).map(|number| WebSocket::join(server.address, &format!("w{number}"))).collect();
    let polling = Polling::join(server.address, "polls");
    let mut kept = Http::open(server.address);
    assert_eq!(kept.request("GET", "/readyz", "").status, 200);
    server.signal("TERM");
    server.wait_until("the door is closed", |server| TcpStream::connect(server.address).is_err());

    let metrics = kept.request("GET", "/metrics", "").body;
    assert!(metrics.contains("realtime_draining 1\n"), "{metrics}");
    // The first has its turn at once, the next in minutes.
    assert!(["9", "8"].iter().any(|left| metrics.contains(&format!("realtime_drain_remaining {left}\n"))));
    let is_served = |socket: &mut WebSocket| {
        socket.send("421[\"ping\",{}]");
        loop {
            match socket.next() {
                Heard::Text(text) if text.starts_with("431[") => return true,
                Heard::Close(_) | Heard::End => return false,
                _ => {}
            }
        }
    };
    let mut served: Vec<_> =
        sockets.iter_mut().filter_map(|socket| is_served(socket).then_some(socket)).collect();
    assert!(served.len() >= 7, "{}", served.len());
    let posted = kept.request("POST", &polling.target(), "421[\"ping\",{}]");
    assert!(posted.status == 200 || served.len() == 8, "{posted:?}");
    let refused = kept.request("GET", "/socket.io/?EIO=4&transport=polling", "");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(
        refused.head.contains("Retry-After") && refused.head.contains("Connection: close"),
        "{refused:?}"
    );
    assert_eq!(kept.closed(), "");

    server.signal("TERM");
    for socket in &mut served {
        assert_eq!(socket.ended(), Some(1012));
    }
    assert_eq!(server.ended().0.code(), Some(0), "{:#?}", server.log());
}

#[test]
fn a_node_that_nobody_is_connected_to_goes_at_once() {
    let mut server = Server::start(2, &["--drain-seconds", HOUR]);
    server.signal("TERM");
    assert_eq!(server.ended().0.code(), Some(0));
}

#[test]
fn whoever_is_sent_away_has_heard_everything_up_to_then() {
    let mut server = Server::start(3, &["--drain-seconds", "2"]);
    let mut sockets: Vec<_> = (0..24)
        .map(|number| {
            let mut socket = WebSocket::join(server.address, &format!("member-{number}"));
            socket.send("420[\"channel:join\",{\"channelId\":\"leaving\"}]");
            socket.until("430[");
            socket
        })
        .collect();
    server.signal("TERM");
    // Everybody talks until sent away, and hears a part of the one order that has no hole and no end but its own.
    let heard: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let talkers: Vec<_> = sockets.iter_mut().map(|socket| scope.spawn(|| talk(socket))).collect();
        talkers.into_iter().map(|talker| talker.join().unwrap()).collect()
    });
    for offsets in &heard {
        let first = offsets.first().copied().unwrap_or_default();
        let expected: Vec<_> = (first..).take(offsets.len()).collect();
        assert_eq!(*offsets, expected);
    }
    assert!(heard.iter().any(|offsets| !offsets.is_empty()));
    assert_eq!(server.ended().0.code(), Some(0), "{:#?}", server.log());
}

/// Says something each time that it hears something, until sent away. Returns the offsets of what it heard.
fn talk(socket: &mut WebSocket) -> Vec<u64> {
    let mut offsets = Vec::new();
    let say = |socket: &mut WebSocket| {
        // Who was sent away in between need not be able to write.
        socket.try_send("42[\"message:send\",{\"channelId\":\"leaving\",\"content\":\"still here\"}]");
    };
    say(socket);
    loop {
        match socket.next() {
            Heard::Text(text) if text.starts_with("42[\"message\"") => {
                let (_, rest) = text.split_once("\"offset\":").unwrap();
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                offsets.push(digits.parse().unwrap());
                if offsets.len() % 24 == 0 {
                    say(socket);
                }
            }
            Heard::Close(code) => {
                assert_eq!(code, 1012);
                return offsets;
            }
            Heard::End => panic!("no goodbye"),
            _ => {}
        }
    }
}
