//! Requests whose answers come later: none is lost, none comes twice, none waits for ever.

use std::io::Write;

use core_shards::CoreId;
use core_shards::outputs::Ticket;
use realtime::engine::settings::ANSWERS_WAITING_MAX;

use super::desk::{Note, ask, ask_until, open, settings};
use super::http::{Http, request};

#[test]
fn an_answer_may_come_later_and_the_connection_goes_on() {
    let desk = open(settings());
    let mut http = Http::open(desk.address);
    for _ in 0..3 {
        http.stream.write_all(b"GET /later HTTP/1.1\r\nHost: desk\r\nOrigin: http://page\r\n\r\n").unwrap();
        ask_until(&desk, "/waiting", "1");
        ask(&desk, "/answer");
        let answer = http.answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.starts_with("answer "), "{answer:?}");
        assert!(answer.head.contains("Access-Control-Allow-Origin: *"), "{answer:?}");
        assert!(answer.head.contains("Connection: keep-alive"), "{answer:?}");
    }
    assert_eq!(http.request("GET", "/same-turn", "").body, "in the same turn");
    assert_eq!(http.request("GET", "/abandoned", "").body, "0");
    desk.stop();
}

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let desk = open(settings());
    let mut http = Http::open(desk.address);
    let ahead = ["/later", "/bytes", "/later"].map(|target| request("GET", target, "")).concat();
    http.stream.write_all(ahead.as_bytes()).unwrap();
    for expected in ["answer", "0", "answer"] {
        if expected == "answer" {
            ask_until(&desk, "/waiting", "1");
            ask(&desk, "/answer");
        }
        let answer = http.answer();
        assert!(answer.body.starts_with(expected), "{answer:?}");
    }
    desk.stop();
}

#[test]
fn whoever_hangs_up_is_waited_for_no_more() {
    let desk = open(settings());
    let impatient: Vec<_> = (0..20)
        .map(|_| {
            let mut http = Http::open(desk.address);
            http.send("GET", "/later", "");
            http
        })
        .collect();
    ask_until(&desk, "/waiting", "20");
    drop(impatient);
    ask_until(&desk, "/waiting", "0");
    assert_eq!(ask(&desk, "/abandoned"), "20");
    desk.stop();
}

#[test]
fn a_node_that_goes_down_sends_those_away_who_wait() {
    let desk = open(settings());
    let mut waiting: Vec<_> = (0..10)
        .map(|_| {
            let mut http = Http::open(desk.address);
            http.send("GET", "/later", "");
            http
        })
        .collect();
    ask_until(&desk, "/waiting", "10");
    std::thread::scope(|scope| {
        for http in &mut waiting {
            scope.spawn(|| {
                let answer = http.answer();
                assert_eq!(answer.status, 503, "{answer:?}");
                assert!(answer.body.contains("SERVER_BUSY"), "{answer:?}");
                assert!(answer.head.contains("Connection: close"), "{answer:?}");
            });
        }
        desk.stop();
    });
}

#[test]
fn one_more_than_may_wait_is_told_so() {
    let desk = open(settings());
    let mut waiting = Vec::new();
    for _ in 0..ANSWERS_WAITING_MAX {
        let mut http = Http::open(desk.address);
        http.send("GET", "/later", "");
        waiting.push(http);
    }
    let full = ANSWERS_WAITING_MAX.to_string();
    ask_until(&desk, "/waiting", &full);
    let answer = Http::open(desk.address).request("GET", "/later", "");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("Retry-After: 1"), "{answer:?}");
    assert_eq!(ask(&desk, "/waiting"), full);
    assert_eq!(ask(&desk, "/abandoned"), "1");
    ask(&desk, "/answer");
    for mut http in waiting {
        assert_eq!(http.answer().status, 200);
    }
    assert_eq!(ask(&desk, "/answered"), full);
    desk.stop();
}

#[test]
fn threads_that_are_no_cores_can_have_requests_answered() {
    let desk = open(settings());
    let mut http = Http::open(desk.address);
    for _ in 0..100 {
        assert_eq!(http.request("GET", "/outside", "").body, "from outside");
    }
    http.send("GET", "/later", "");
    ask_until(&desk, "/waiting", "1");
    let postbox = desk.postbox();
    // Tickets of requests that are over, and the one that waits.
    for number in 1..1_000 {
        postbox.post(CoreId(0), Note { ticket: Ticket(number), text: "from the test".to_owned() }).unwrap();
    }
    assert_eq!(http.answer().body, "from the test");
    desk.stop();
    assert!(postbox.post(CoreId(0), Note { ticket: Ticket(1), text: "too late".to_owned() }).is_err());
}

#[test]
fn an_opening_knows_the_beginning_of_its_user_agent() {
    let desk = open(settings());
    for (sent, kept) in [
        (String::new(), "None".to_owned()),
        ("User-Agent: python/3\r\n".to_owned(), "Some(\"python/3\")".to_owned()),
        (format!("User-Agent: {}\r\n", "x".repeat(1_000)), format!("Some(\"{}\")", "x".repeat(256))),
        (format!("User-Agent: x{}\r\n", "é".repeat(500)), format!("Some(\"x{}\")", "é".repeat(127))),
    ] {
        let mut http = Http::open(desk.address);
        let request = format!("GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: desk\r\n{sent}\r\n");
        http.stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(http.answer().status, 200);
        assert_eq!(ask(&desk, "/user-agent"), kept);
    }
    desk.stop();
}
