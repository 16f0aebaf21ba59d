//! How a node ends: asked to, it says goodbye to everybody; broken, it ends at once.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::http::Http;
use super::polling::Polling;
use super::server::{Server, command};
use super::websocket::{WebSocket, text_frame};

/// What those who stop containers grant by default.
const GRACE: Duration = Duration::from_secs(10);

/// A WebSocket that has shown its probe and goes no further.
fn half_upgraded(server: &Server, polling: &Polling) -> WebSocket {
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    let mut socket = WebSocket::handshake(server.address, &target);
    socket.send("2probe");
    socket.until("3probe");
    socket
}

#[test]
fn a_log_that_nobody_takes_changes_nothing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (reader, broken) = std::io::pipe().unwrap();
    drop(reader);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for log in [Stdio::from(broken), Stdio::from(full)] {
        let mut command = command(2, free.port());
        let mut node = command.env("REALTIME_LOG_LEVEL", "trace").stderr(log).spawn().unwrap();
        while TcpStream::connect(free).is_err() {
            assert_eq!(node.try_wait().unwrap(), None, "the node ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut socket = WebSocket::join(free, "unheard");
        socket.send("427[\"ping\",{}]");
        socket.until("437[");
        let asked = Command::new("kill").arg(node.id().to_string()).status().unwrap();
        assert!(asked.success());
        assert_eq!(socket.ended(), Some(1012));
        assert_eq!(node.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn sigterm_tells_everybody_to_come_back_and_exits_with_0() {
    let mut server = Server::start(2, &[]);
    let mut sockets: Vec<_> =
        (0..8).map(|number| WebSocket::join(server.address, &format!("w{number}"))).collect();
    let sessions: Vec<_> =
        (0..8).map(|number| Polling::join(server.address, &format!("p{number}"))).collect();
    let mut polls: Vec<_> = sessions.iter().map(Polling::begin_poll).collect();
    let upgrading: Vec<_> =
        (0..8).map(|number| Polling::join(server.address, &format!("u{number}"))).collect();
    let mut probes: Vec<_> = upgrading.iter().map(|polling| half_upgraded(&server, polling)).collect();
    let idle: Vec<_> = (0..8)
        .map(|_| {
            let mut http = Http::open(server.address);
            assert_eq!(http.request("GET", "/healthz", "").status, 200);
            http
        })
        .collect();
    let mut blocked = WebSocket::join(server.address, "blocked");
    let pings = text_frame("42[\"ping\",{}]").repeat(1_000);
    while server.metric("realtime_blocked_writes_total") == 0 {
        blocked.stream.write_all(&pings).unwrap();
    }
    let mut stubborn = WebSocket::join(server.address, "stubborn");
    // Requests that have come, but whose polls wait, are answered; so they must have been seen.
    // The blocked one may have been closed for it already.
    server.wait_until("everybody is there", |server| server.session_count() >= 25);

    server.signal("TERM");
    for socket in &mut sockets {
        assert_eq!(socket.ended(), Some(1012));
    }
    for poll in &mut polls {
        assert_eq!(poll.answer().status, 503);
    }
    for probe in &mut probes {
        assert_eq!(probe.ended(), Some(1000));
    }
    for http in idle {
        assert_eq!(http.closed(), "");
    }
    // Neither a client that does not read nor one that does not close can hold the node.
    drop(sockets);
    let (status, took) = server.ended();
    assert_eq!(status.code(), Some(0), "{:#?}", server.log());
    assert!(took < GRACE, "{took:?}");
    assert_eq!(stubborn.ended(), Some(1012));
    assert!(!server.log().iter().any(|line| line.contains("panicked")), "{:#?}", server.log());
}

#[test]
fn whoever_reads_late_gets_everything_and_the_reason() {
    let mut server = Server::start(1, &["--max-queue-bytes", "67108864"]);
    let mut late = WebSocket::join(server.address, "late");
    let mut asked = 0;
    while server.metric("realtime_blocked_writes_total") == 0 {
        let pings: Vec<_> =
            (asked..asked + 1_000).map(|number| text_frame(&format!("42{number}[\"ping\",{{}}]"))).collect();
        late.stream.write_all(&pings.concat()).unwrap();
        asked += 1_000;
    }
    late.send("421234567[\"ping\",{}]");
    server.wait_until("all is answered", |server| {
        server.metric("realtime_events_total") > asked && server.metric("realtime_outq_bytes") > 0
    });
    server.signal("TERM");
    for number in 0..asked {
        late.until(&format!("43{number}["));
    }
    late.until("431234567[");
    assert_eq!(late.ended(), Some(1012));
    drop(late);
    assert_eq!(server.ended().0.code(), Some(0), "{:#?}", server.log());
}

#[test]
fn a_second_node_on_the_same_port_is_refused() {
    let first = Server::start(2, &[]);
    let second = command(2, first.address.port()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("cannot listen on") && said.contains("in use"), "{said}");
    for number in 0..20 {
        WebSocket::join(first.address, &format!("user-{number}"));
    }
    first.stop();
}

#[test]
fn a_node_starts_again_on_its_port_at_once() {
    let first = Server::start(2, &[]);
    let address = first.address;
    let mut socket = WebSocket::join(address, "somebody");
    let polling = Polling::join(address, "somebody else");
    let mut poll = polling.begin_poll();
    first.stop();
    let second = Server::spawn(&mut command(2, address.port()));
    assert_eq!(second.address, address);
    assert_eq!(socket.ended(), Some(1012));
    // The poll was answered by the first one; the second knows nothing of the session.
    poll.answer();
    assert_eq!(polling.poll().status, 400);
    WebSocket::join(address, "somebody");
    second.stop();
}

#[test]
fn a_panic_in_one_connection_ends_that_connection_only() {
    let mut server = Server::start(2, &["--fault-injection", "true"]);
    let mut socket = WebSocket::join(server.address, "bystander");
    for _ in 0..8 {
        let mut http = Http::open(server.address);
        assert_eq!(http.request("GET", "/debug/panic-connection", "").status, 0);
    }
    socket.send("421[\"ping\",{}]");
    socket.until("431[");
    server.wait_until("the panics are counted", |server| server.metric("realtime_core_panics_total") == 8);
    server.signal("TERM");
    assert_eq!(server.ended().0.code(), Some(0));
}

#[test]
fn a_panic_in_a_core_ends_the_process() {
    let mut server = Server::start(2, &["--fault-injection", "true"]);
    let mut socket = WebSocket::join(server.address, "victim");
    Http::open(server.address).send("GET", "/debug/panic-core", "");
    assert_eq!(server.ended().0.code(), Some(70), "{:#?}", server.log());
    assert_eq!(socket.ended(), None);
}
