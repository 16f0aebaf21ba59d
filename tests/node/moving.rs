//! Sessions move to their user's core, and from polling to WebSocket, at any moment: nothing is lost, doubled or
//! out of order, whatever comes in between.

use std::io::Write;

use super::http::{Http, request};
use super::polling::Polling;
use super::server::Server;
use super::websocket::{Heard, WebSocket, handshake_request, text_frame};

/// Messages that a listener must hear.
const MESSAGES: usize = 300;

/// Publishes numbered messages until all are acknowledged.
fn publish(mut sender: WebSocket) {
    for number in 0..MESSAGES {
        let content = format!("{{\"channelId\":\"moving\",\"content\":\"{number}\"}}");
        sender.send(&format!("42{number}[\"message:send\",{content}]"));
        sender.until(&format!("43{number}[{{\"success\":true"));
    }
}

/// Takes the numbers of the messages out of packets.
fn collect(packets: &str, numbers: &mut Vec<usize>) {
    for packet in packets.split('\x1e').filter(|packet| packet.starts_with("42[\"message\"")) {
        let (_, rest) = packet.split_once("\"content\":\"").unwrap();
        numbers.push(rest.split('"').next().unwrap().parse().unwrap());
    }
}

/// Polls, upgrades after so many polls, and listens on.
fn listen(server: &Server, polling: &Polling, polls_before: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    let answer = |packets: &str| {
        if packets.split('\x1e').any(|packet| packet == "2") {
            polling.post("3");
        }
    };
    for _ in 0..polls_before {
        let packets = polling.poll().body;
        answer(&packets);
        collect(&packets, &mut numbers);
    }
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    let mut socket = WebSocket::handshake(server.address, &target);
    let mut poll = polling.begin_poll();
    socket.send("2probe");
    socket.until("3probe");
    // The poll that waits is answered, with packets or with a noop; then the client changes over.
    let packets = poll.answer().body;
    answer(&packets);
    collect(&packets, &mut numbers);
    socket.send("5");
    while numbers.last() != Some(&(MESSAGES - 1)) {
        collect(&socket.until("42[\"message\""), &mut numbers);
    }
    numbers
}

#[test]
fn an_upgrade_in_the_middle_of_traffic_loses_and_doubles_nothing() {
    let server = Server::start(4, &["--ping-interval", "300", "--ping-timeout", "5000"]);
    let sessions: Vec<_> = (0..16)
        .map(|number| {
            let polling = Polling::join(server.address, &format!("listener-{number}"));
            polling.post("420[\"channel:join\",{\"channelId\":\"moving\"}]");
            while !polling.poll().body.contains("430[") {}
            polling
        })
        .collect();
    let mut sender = WebSocket::join(server.address, "sender");
    sender.send("420[\"channel:join\",{\"channelId\":\"moving\"}]");
    sender.until("430[");
    std::thread::scope(|scope| {
        for (number, polling) in sessions.iter().enumerate() {
            let server = &server;
            scope.spawn(move || {
                let heard = listen(server, polling, number * 2);
                assert_eq!(heard, (0..MESSAGES).collect::<Vec<_>>(), "listener {number}");
            });
        }
        scope.spawn(|| publish(sender));
    });
    server.stop();
}

/// Opens a session, joins after so many steps of its upgrade, and expects to be heard on the WebSocket.
fn join_amid_upgrade(server: &Server, user: &str, step: usize) {
    let polling = Polling::open(server.address);
    let join = |at: usize| {
        if at == step {
            assert_eq!(
                polling.post(&format!("40{{\"token\":\"user:{user}\"}}\x1e421[\"ping\",{{}}]")).body,
                "ok"
            );
        }
    };
    join(0);
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    let mut socket = WebSocket::handshake(server.address, &target);
    join(1);
    socket.send("2probe");
    socket.until("3probe");
    join(2);
    socket.send("5");
    if step == 3 {
        socket.send(&format!("40{{\"token\":\"user:{user}\"}}"));
        socket.send("421[\"ping\",{}]");
    }
    socket.until("40{\"sid\"");
    socket.until("42[\"connected\"");
    socket.until("42[\"authenticated\"");
    socket.until("431[");
    socket.send("422[\"ping\",{}]");
    socket.until("432[");
}

#[test]
fn a_session_may_join_at_any_step_of_its_upgrade() {
    let server = Server::start(4, &[]);
    for number in 0..24 {
        for step in 0..4 {
            join_amid_upgrade(&server, &format!("user-{number}-{step}"), step);
        }
    }
    server.wait_until("all are gone", |server| server.session_count() == 0);
    server.stop();
}

#[test]
fn what_was_sent_ahead_of_a_move_is_handled_after_it() {
    let server = Server::start(4, &[]);
    for number in 0..50 {
        let mut bytes = handshake_request("/socket.io/?EIO=4&transport=websocket");
        bytes.extend(text_frame(&format!("40{{\"token\":\"user:user-{number}\"}}")));
        for event in 0..20 {
            bytes.extend(text_frame(&format!("42{event}[\"ping\",{{}}]")));
        }
        // The last frame comes in two parts, before and after the move.
        let rest = bytes.split_off(bytes.len() - 5);
        let mut stream = super::http::connect(server.address);
        stream.write_all(&bytes).unwrap();
        let mut socket = WebSocket::read_handshake(stream);
        socket.until("42[\"authenticated\"");
        for event in 0..19 {
            let Heard::Text(answer) = socket.next() else { panic!("user {number}: no answer to {event}") };
            assert!(answer.starts_with(&format!("43{event}[")), "user {number}: {answer} instead of {event}");
        }
        socket.stream.write_all(&rest).unwrap();
        socket.until("4319[");
    }
    server.stop();
}

#[test]
fn requests_sent_ahead_on_one_connection_find_sessions_on_any_core() {
    let server = Server::start(4, &[]);
    let sessions: Vec<_> =
        (0..24).map(|number| Polling::join(server.address, &format!("user-{number}"))).collect();
    // On one connection, and all at once: a poll that waits, the packet that it waits for, and so on. Each may have to
    // go to another core, the poll's wait being just over.
    for _ in 0..4 {
        let mut http = Http::open(server.address);
        let mut ahead = String::new();
        for (number, polling) in sessions.iter().enumerate() {
            ahead.push_str(&request("POST", &polling.target(), &format!("42{number}[\"ping\",{{}}]")));
            ahead.push_str(&request("GET", &polling.target(), ""));
        }
        http.stream.write_all(ahead.as_bytes()).unwrap();
        for number in 0..sessions.len() {
            assert_eq!(http.answer().body, "ok");
            let heard = http.answer().body;
            assert!(heard.starts_with(&format!("43{number}[")), "{heard}");
        }
    }
    server.stop();
}

#[test]
fn a_connection_may_go_to_another_core_right_after_its_poll() {
    let server = Server::start(4, &[]);
    for number in 0..40 {
        let waiting = Polling::join(server.address, &format!("waiting-{number}"));
        let other = Polling::join(server.address, &format!("other-{number}"));
        let mut http = Http::open(server.address);
        // The second request is read together with the first, and served when somebody else lets the poll go.
        let ahead =
            request("GET", &waiting.target(), "") + &request("POST", &other.target(), "421[\"ping\",{}]");
        http.stream.write_all(ahead.as_bytes()).unwrap();
        waiting.post("422[\"ping\",{}]");
        assert!(http.answer().body.starts_with("432["));
        assert_eq!(http.answer().body, "ok");
    }
    server.wait_until("nothing broke", |server| server.metric("realtime_core_panics_total") == 0);
    server.stop();
}
