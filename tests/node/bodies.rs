//! Large bodies and messages: whoever may send them can, and all of them together are bounded.

use std::io::Write;
use std::net::TcpStream;

use protocol::codes::CloseReason;
use protocol::websocket::frame::Opcode;
use realtime::engine::settings::BODIES_BYTES_MAX;
use realtime::engine::threads::Engine;

use super::desk::{Desk, count_until, open, settings};
use super::http::Http;
use super::websocket::{WebSocket, frame};

/// What every half-sent body or message of these tests has: most of the largest one.
const HALF_BYTES: usize = 900_000;
/// Waits until a core keeps so many bytes of what has not arrived whole.
#[track_caller]
fn until_kept(desk: &Engine<Desk>, is_enough: impl Fn(u64) -> bool) {
    count_until(desk, |metrics| metrics.half_received_bytes.get(), is_enough);
}

/// Begins as many as a core keeps, one after the other, so that none of them is refused.
fn fill<T>(
    desk: &Engine<Desk>,
    mut begin: impl FnMut() -> T,
    stream: impl Fn(&mut T) -> &mut TcpStream,
) -> Vec<T> {
    let mut begun = Vec::new();
    let kept = || desk.shared.metrics[0].half_received_bytes.get() as usize;
    while kept() <= BODIES_BYTES_MAX - (1 << 20) {
        let before = kept();
        // However long it takes, nobody has been silent for long.
        begun.iter_mut().for_each(|one| stream(one).write_all(b"4").unwrap());
        begun.push(begin());
        until_kept(desk, |bytes| bytes as usize >= before + HALF_BYTES);
    }
    begun
}

fn half_request(desk: &Engine<Desk>, target: &str, body_bytes: usize) -> Http {
    let mut http = Http::open(desk.address);
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: desk\r\nAuthorization: yes\r\nContent-Length: 1000000\r\n\r\n"
    );
    // It may be refused in the middle.
    let _ = http.stream.write_all(head.as_bytes());
    let _ = http.stream.write_all(&vec![b'x'; body_bytes]);
    http
}

#[test]
fn the_application_says_who_may_send_a_large_body() {
    let desk = open(settings());
    for (header, body_bytes, status) in [
        ("Authorization: yes", 1_000_000, 200),
        ("Authorization: yes", 1_000_001, 413),
        ("X-Nobody: yes", 16 * 1024, 200),
        ("X-Nobody: yes", 16 * 1024 + 1, 413),
    ] {
        let mut http = Http::open(desk.address);
        let head =
            format!("POST /bytes HTTP/1.1\r\nHost: desk\r\n{header}\r\nContent-Length: {body_bytes}\r\n\r\n");
        http.stream.write_all(head.as_bytes()).unwrap();
        if status == 200 {
            http.stream.write_all(&vec![b'x'; body_bytes]).unwrap();
        }
        let answer = http.answer();
        assert_eq!(answer.status, status, "{header} {body_bytes}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.body, body_bytes.to_string());
        }
    }
    until_kept(&desk, |bytes| bytes == 0);
    desk.stop();
}

#[test]
fn more_than_a_core_keeps_of_bodies_is_refused_and_forgotten() {
    let desk = open(settings());
    let mut crowd = fill(&desk, || half_request(&desk, "/bytes", HALF_BYTES), |http| &mut http.stream);
    let refused = half_request(&desk, "/bytes", HALF_BYTES).answer();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.head.contains("Retry-After: 1"), "{refused:?}");
    assert_eq!(Http::open(desk.address).request("GET", "/waiting", "").status, 200);
    crowd.truncate(1);
    until_kept(&desk, |bytes| bytes <= 1 << 20);
    let mut http = half_request(&desk, "/bytes", 1_000_000);
    assert_eq!(http.answer().body, "1000000");
    drop(crowd);
    until_kept(&desk, |bytes| bytes == 0);
    desk.stop();
}

#[test]
fn more_than_a_core_keeps_of_messages_closes_the_session() {
    let desk = open(settings());
    let message = frame(Opcode::Text, &vec![b'4'; 1_000_000]);
    let half = &message[..HALF_BYTES];
    let target = "/engine.io/?EIO=4&transport=websocket";
    let crowd = fill(
        &desk,
        || {
            let mut socket = WebSocket::handshake(desk.address, target);
            socket.stream.write_all(half).unwrap();
            socket
        },
        |socket| &mut socket.stream,
    );
    let mut further = WebSocket::handshake(desk.address, target);
    // The rest may not be taken any more.
    let _ = further.stream.write_all(half);
    let _ = further.stream.write_all(half);
    assert_eq!(further.ended(), Some(1009));
    drop(crowd);
    until_kept(&desk, |bytes| bytes == 0);
    desk.stop();
}

#[test]
fn overlapping_posts_of_one_session_are_bounded_and_cost_it_the_session() {
    let desk = open(settings());
    let opened = Http::open(desk.address).request("GET", "/engine.io/?EIO=4&transport=polling", "").body;
    let (_, sid) = opened.split_once("\"sid\":\"").unwrap();
    let target = format!("/engine.io/?EIO=4&transport=polling&sid={}", sid.split('"').next().unwrap());
    let crowd = fill(&desk, || half_request(&desk, &target, HALF_BYTES), |http| &mut http.stream);
    assert_eq!(half_request(&desk, &target, HALF_BYTES).answer().status, 503);
    assert_eq!(desk.shared.metrics[0].closed[CloseReason::PayloadTooLarge as usize].get(), 1);
    assert_eq!(Http::open(desk.address).request("GET", &target, "").status, 400);
    drop(crowd);
    until_kept(&desk, |bytes| bytes == 0);
    desk.stop();
}
