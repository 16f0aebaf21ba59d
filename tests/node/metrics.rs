//! What the node says of itself: text that every scraper reads, and numbers that agree with what was done.

#[path = "metrics/scrape.rs"]
mod scrape;

use std::collections::BTreeSet;
use std::io::Write;

use super::http::Http;
use super::polling::Polling;
use super::server::Server;
use super::websocket::WebSocket;
use scrape::Scrape;

/// A text that must not be found in the metrics, whatever it is used for.
const PRIVATE: &str = "very-private";

/// What the node says of itself now.
#[track_caller]
pub(crate) fn scrape(server: &Server) -> Scrape {
    let text = server.page("/metrics");
    assert!(!text.contains(PRIVATE), "a text of users is in the metrics: {text}");
    Scrape::read(&text)
}

/// Scrapes until `is_so` says yes: some gauges are a second old.
#[track_caller]
fn scrape_until(server: &Server, what: &str, is_so: impl Fn(&Scrape) -> bool) -> Scrape {
    server.wait_until(what, |server| is_so(&scrape(server)));
    scrape(server)
}

/// Joins the channel of the test, under the name that the event has for it.
fn member(server: &Server, user: &str, join: &str) -> WebSocket {
    let mut socket = WebSocket::join(server.address, &format!("{PRIVATE}-{user}"));
    socket.send(&format!("421[\"{join}"));
    socket.until("431[");
    socket
}

const JOIN: &str = "channel:join\",{\"channelId\":\"very-private-place\"}]";
const JOIN_ROOM: &str = "room:join\",{\"roomName\":\"very-private-place\"}]";

/// Sends an event about the channel of the test and waits for its acknowledgement.
fn say(socket: &mut WebSocket, event: &str, fields: &str) -> String {
    socket.send(&format!("427[\"{event}\",{{\"channelId\":\"very-private-place\",{fields}}}]"));
    socket.until("437[")
}

fn send(socket: &mut WebSocket, content: &str) -> String {
    say(socket, "message:send", &format!("\"content\":\"{content}\""))
}

#[test]
fn every_line_holds_to_the_format_before_and_after_traffic() {
    let server = Server::start(2, &["--ping-interval", "1000", "--ping-timeout", "1000"]);
    let before = scrape(&server);
    for name in ["realtime_connections_total", "realtime_messages_total", "realtime_presence_updates_total"] {
        assert_eq!(before.value(name), 0.0, "{name}");
    }
    assert_eq!(before.value("realtime_latency_ms_count"), 0.0);
    let mut sockets: Vec<_> = (0..10).map(|user| member(&server, &format!("{user}"), JOIN)).collect();
    sockets.push(member(&server, "old", JOIN_ROOM));
    let polling = Polling::join(server.address, PRIVATE);
    for (number, socket) in sockets.iter_mut().enumerate() {
        let id = send(socket, &format!("{PRIVATE} {number}"));
        assert!(id.contains("messageId"), "{id}");
        socket.send("42[\"typing\",{\"channelId\":\"very-private-place\",\"isTyping\":true}]");
        socket.send("42[\"presence:update\",{\"status\":\"away\"}]");
        socket.send("42[\"very-private-event\",{}]");
        say(socket, "read", "\"messageId\":\"very-private\"");
    }
    server.page(&format!("/{PRIVATE}/page"));
    drop((polling, sockets.pop()));
    let after = scrape_until(&server, "all but one are connected", |scrape| {
        scrape.value("realtime_connections{transport=\"websocket\"}") == 10.0
    });
    let names: BTreeSet<_> = before.names();
    assert_eq!(after.names(), names, "a dashboard finds its names from the start");
    assert!(after.count() < 1_000, "{} samples", after.count());
    drop(sockets);
    scrape_until(&server, "everybody is gone", |scrape| {
        scrape.value("realtime_connections_total") == 0.0 && scrape.value("realtime_users") == 0.0
    });
    server.stop();
}

#[test]
fn a_message_is_encoded_once_for_each_dialect_however_many_read_it() {
    let server = Server::start(2, &[]);
    let mut sockets: Vec<_> = (0..5).map(|user| member(&server, &format!("{user}"), JOIN)).collect();
    let check = |sockets: &mut [WebSocket], dialects: f64| {
        let before = scrape(&server);
        for number in 0..3 {
            send(&mut sockets[0], "hello");
            // Its own message came to the sender before the acknowledgement.
            for socket in &mut sockets[1..] {
                socket.until("42[\"message");
            }
            let after = scrape(&server);
            let times = f64::from(number + 1);
            assert_eq!(after.growth(&before, "realtime_messages_total"), times);
            assert_eq!(after.growth(&before, "realtime_encodes_total"), times * dialects);
            let deliveries = times * sockets.len() as f64;
            assert_eq!(after.growth(&before, "realtime_deliveries_total"), deliveries);
            assert_eq!(after.growth(&before, "realtime_fanout_size_sum"), deliveries);
        }
    };
    check(&mut sockets, 1.0);
    sockets.push(member(&server, "old", JOIN_ROOM));
    check(&mut sockets, 2.0);
    sockets.push(member(&server, "older", JOIN_ROOM));
    check(&mut sockets, 2.0);
    server.stop();
}

#[test]
fn events_are_counted_as_what_they_are() {
    let server = Server::start(2, &["--rate-limit-enabled", "true", "--rate-limit-points", "10"]);
    let (mut ada, mut grace) = (member(&server, "ada", JOIN), member(&server, "grace", JOIN));
    let before = scrape(&server);
    for number in 0..4 {
        say(&mut ada, "message:send", &format!("\"content\":\"12345\",\"clientMessageId\":\"{number}\""));
    }
    say(&mut ada, "message:send", "\"content\":\"12345\",\"clientMessageId\":\"3\"");
    say(&mut ada, "reaction", "\"messageId\":\"x\",\"emoji\":\"y\",\"action\":\"add\"");
    say(&mut ada, "read", "\"messageId\":\"x\"");
    say(&mut grace, "typing", "\"isTyping\":true");
    ada.until("42[\"typing\"");
    assert!(say(&mut ada, "very-private-event", "\"x\":1").contains("UNKNOWN_EVENT"));
    grace.send("428[\"channel:join\",{\"channelId\":\"user:very-private\"}]");
    assert!(grace.until("438[").contains("ROOM_ACCESS_DENIED"));
    for _ in 0..8 {
        send(&mut grace, "hello");
    }
    let refused = (0..4).filter(|_| send(&mut grace, "hello").contains("RATE_LIMIT_EXCEEDED")).count();
    assert_eq!(refused, 2, "ten of a kind are allowed");
    // The last was acknowledged to its sender; the other member's core may still have it before it.
    const DELIVERED: &str = "realtime_events_total{direction=\"out\",class=\"message\"}";
    server.wait_until("both members have everything", |server| {
        scrape(server).growth(&before, DELIVERED) >= 28.0
    });
    let after = scrape(&server);
    let check = |series: &str, expected: f64| {
        assert_eq!(after.growth(&before, series), expected, "{series}");
    };
    check("realtime_messages_total", 14.0);
    check("realtime_publications_total{class=\"message\"}", 14.0);
    check("realtime_publications_total{class=\"reaction\"}", 1.0);
    check("realtime_publications_total{class=\"read\"}", 1.0);
    check("realtime_events_total{direction=\"in\",class=\"message\"}", 17.0);
    check(DELIVERED, 28.0);
    check("realtime_events_total{direction=\"in\",class=\"typing\"}", 1.0);
    check("realtime_events_total{direction=\"in\",class=\"membership\"}", 1.0);
    check("realtime_duplicates_suppressed_total", 1.0);
    check("realtime_message_size_bytes_count", 14.0);
    check("realtime_history_entries", 15.0);
    check("realtime_ratelimited_total{class=\"message\"}", 2.0);
    check("realtime_authz_denied_total", 1.0);
    check("realtime_refusals_total{code=\"UNKNOWN_EVENT\"}", 1.0);
    check("nself_plugin_errors_total{plugin=\"realtime\",kind=\"rate_limit\"}", 2.0);
    let delivered = after.sum("realtime_publish_to_deliver_seconds_count");
    assert!(delivered >= 16.0, "{delivered}");
    assert!(after.growth(&before, "realtime_typing_updates_total") >= 1.0);
    server.stop();
}

#[test]
fn what_was_repaired_is_counted_by_how_it_went() {
    let server = Server::start(2, &["--recovery", "on"]);
    let mut ada = WebSocket::open(server.address);
    ada.send("40{\"token\":\"user:very-private-ada\"}");
    let connect = ada.until("40{");
    let pid = connect.split("\"pid\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    ada.send(&format!("421[\"{JOIN}"));
    ada.until("431[");
    let mut grace = member(&server, "grace", JOIN);
    send(&mut grace, "before");
    let heard = ada.until("42[\"message\"");
    let offset = heard.trim_end_matches("\"]").rsplit('"').next().unwrap();
    drop(ada);
    scrape_until(&server, "the loss is noticed", |scrape| scrape.value("realtime_detached_sessions") == 1.0);
    for number in 0..3 {
        send(&mut grace, &format!("missed {number}"));
    }
    let resume = |pid: &str, offset: &str| {
        let mut socket = WebSocket::open(server.address);
        let auth =
            format!("{{\"token\":\"user:very-private-ada\",\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}");
        socket.send(&format!("40{auth}"));
        socket.until("42[\"authenticated\"");
        socket
    };
    let mut ada = resume(pid, offset);
    for number in 0..3 {
        assert!(ada.until("42[\"message\"").contains(&format!("missed {number}")));
    }
    drop(resume("very-private", offset));
    ada.send("422[\"channel:leave\",{\"channelId\":\"very-private-place\"}]");
    ada.until("432[");
    let since = "{\"channelId\":\"very-private-place\",\"since\":{\"epoch\":\"nowhere\",\"offset\":1}}";
    ada.send(&format!("423[\"channel:join\",{since}]"));
    assert!(ada.until("433[").contains("\"recovered\":false"));
    let now = scrape_until(&server, "the session is taken up", |scrape| {
        scrape.value("realtime_detached_sessions") == 1.0
    });
    let check = |series: &str, expected: f64| assert_eq!(now.value(series), expected, "{series}");
    check("realtime_recover_total{source=\"session\",result=\"full\"}", 1.0);
    check("realtime_recover_total{source=\"session\",result=\"unknown\"}", 1.0);
    check("realtime_recover_total{source=\"join\",result=\"foreign\"}", 1.0);
    check("realtime_recovered_messages_sum{source=\"session\"}", 3.0);
    check("realtime_recovered_messages_count{source=\"session\"}", 1.0);
    check("realtime_history_entries", 4.0);
    scrape_until(&server, "what is kept is measured", |scrape| {
        scrape.value("realtime_journal_entries") >= 4.0
            && scrape.value("realtime_journal_bytes") > 0.0
            && scrape.value("realtime_history_bytes") > 0.0
    });
    server.stop();
}

#[test]
fn cores_clocks_and_pings_are_measured() {
    let server = Server::start(2, &["--ping-interval", "1000", "--ping-timeout", "1000"]);
    let mut ada = WebSocket::join(server.address, "ada");
    let now = scrape_until(&server, "a core was measured", |scrape| {
        scrape.sum("realtime_core_loop_lag_seconds_count") > 0.0
            && scrape.sum("realtime_core_busy_seconds_total") > 0.0
    });
    assert!(now.value("process_resident_memory_bytes") > 1e6);
    assert!(now.value("realtime_core_busy_ratio{core=\"0\"}") <= 1.0);
    assert_eq!(now.value("realtime_connections_limit"), 10_000.0);
    // The pong is sent while the next ping is waited for.
    ada.send("421[\"ping\",{}]");
    ada.until("431[");
    loop {
        if let super::websocket::Heard::Text(text) = ada.next()
            && text == "2"
        {
            break;
        }
    }
    ada.stream.write_all(&super::websocket::text_frame("3")).unwrap();
    scrape_until(&server, "the pong came", |scrape| scrape.value("realtime_ping_rtt_seconds_count") >= 1.0);
    server.stop();
}

#[test]
fn requests_are_counted_by_route_and_bytes_by_transport() {
    let server = Server::start(1, &[]);
    let before = scrape(&server);
    let mut http = Http::open(server.address);
    for _ in 0..3 {
        assert_eq!(http.request("GET", "/presence/very-private", "").status, 200);
    }
    assert_eq!(http.request("GET", "/very-private/page", "").status, 404);
    assert_eq!(http.request("DELETE", "/health", "").status, 405);
    let mut socket = WebSocket::join(server.address, "ada");
    socket.send("421[\"ping\",{}]");
    socket.until("431[");
    let after = scrape(&server);
    let requests = |route: &str, method: &str, status: u16| {
        format!(
            "nself_plugin_requests_total{{plugin=\"realtime\",route=\"{route}\",method=\"{method}\",status=\"{status}\"}}"
        )
    };
    let check = |series: &str, expected: f64| {
        assert_eq!(after.growth(&before, series), expected, "{series}");
    };
    check(&requests("/presence", "GET", 200), 3.0);
    check(&requests("other", "GET", 404), 1.0);
    check(&requests("/health", "other", 405), 1.0);
    check(&requests("/socket.io", "GET", 101), 1.0);
    check("realtime_http_requests_total", 7.0);
    check("nself_plugin_in_flight_requests{plugin=\"realtime\"}", 0.0);
    for series in
        ["{direction=\"in\",transport=\"websocket\"}", "{direction=\"out\",transport=\"websocket\"}"]
    {
        assert!(after.growth(&before, &format!("realtime_bytes_total{series}")) > 10.0, "{series}");
    }
    assert!(after.growth(&before, "realtime_bytes_total{direction=\"out\",transport=\"http\"}") > 10_000.0);
    server.stop();
}

#[test]
fn json_is_told_to_those_who_ask_for_it() {
    let server = Server::start(2, &[]);
    let mut sockets: Vec<_> = (0..3).map(|user| member(&server, &format!("{user}"), JOIN)).collect();
    sockets[0].send("421[\"presence:update\",{\"status\":\"dnd\"}]");
    sockets[0].until("431[");
    let _undecided = WebSocket::open(server.address);
    // A session is counted right after its client has heard of it, and perhaps on another core than the one that tells.
    server.wait_until("all are counted", |server| server.metric("realtime_opened_total ") == 4);
    let mut http = Http::open(server.address);
    let request = "GET /metrics HTTP/1.1\r\nHost: node\r\nAccept: application/json\r\n\r\n";
    http.stream.write_all(request.as_bytes()).unwrap();
    let answer = http.answer();
    assert!(answer.head.contains("application/json"), "{}", answer.head);
    for expected in [
        r#""connections":{"active":4,"anonymous":1,"authenticated":3,"total":4}"#,
        r#""presence":{"away":0,"busy":1,"offline":0,"online":2}"#,
        r#""rooms":1"#,
        r#""events":4"#,
        r#""rss":"#,
        r#""user":"#,
        r#""uptime":"#,
    ] {
        assert!(answer.body.contains(expected), "no {expected} in {}", answer.body);
    }
    assert!(!answer.body.contains(PRIVATE));
    server.stop();
}
