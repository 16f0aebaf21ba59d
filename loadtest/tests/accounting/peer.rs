//! A server that speaks just enough of the dialect, and mistreats messages exactly as it is told to.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use protocol::http::{self, HeadLimits};
use protocol::websocket::frame::{Opcode, push_frame};
use protocol::websocket::{Decoder, Event, Limits, Role, handshake};

const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, fragments_max: 16, deflate: false };

/// What happens to one message on its way to one member.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    Arrive,
    Vanish,
    ArriveTwice,
    /// It is written after the next one that arrives.
    Linger,
    /// It comes to somebody else's room instead.
    Stray,
    /// The member's connection is closed instead.
    Hangup,
}

/// The fate of message `n` of a room for the member that joined it as number `member`, both from 0.
pub(crate) type Fates = fn(member: usize, n: usize) -> Fate;

struct Member {
    stream: TcpStream,
    lingering: Option<String>,
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    messages: usize,
}

type Rooms = Arc<Mutex<HashMap<String, Room>>>;

/// Starts the server on a thread that ends with the test process.
pub(crate) fn start(fates: Fates) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let rooms = Rooms::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let rooms = Arc::clone(&rooms);
            thread::spawn(move || serve(stream.unwrap(), &rooms, fates));
        }
    });
    address
}

fn serve(mut stream: TcpStream, rooms: &Rooms, fates: Fates) -> Option<()> {
    open(&mut stream)?;
    let mut decoder = Decoder::new(Role::Server);
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).ok().filter(|&read| read > 0)?;
        let mut feed = decoder.feed(&mut buffer[..read], &LIMITS);
        while let Some(event) = feed.next().unwrap() {
            let Event::Text(text) = event else { return None };
            handle(text, &mut stream, rooms, fates);
        }
    }
}

/// Answers the handshake, which a client sends in one piece, and opens the session.
fn open(stream: &mut TcpStream) -> Option<()> {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).ok()?;
    let request = http::parse_head(&buffer[..read], &HeadLimits::STANDARD).unwrap()?;
    let mut reply = Vec::new();
    handshake::push_response(&mut reply, &handshake::upgrade(&request, false).unwrap());
    stream.write_all(&reply).ok()?;
    say(stream, r#"0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#)
}

fn handle(text: &str, stream: &mut TcpStream, rooms: &Rooms, fates: Fates) {
    if text.starts_with("40") {
        say(stream, r#"40{"sid":"s"}"#);
    } else if text.contains("channel:join") {
        let member = Member { stream: stream.try_clone().unwrap(), lingering: None };
        rooms.lock().unwrap().entry(between(text, r#""channelId":""#)).or_default().members.push(member);
        say(stream, r#"430[{"success":true}]"#);
    } else {
        let mut rooms = rooms.lock().unwrap();
        let room = rooms.get_mut(&between(text, r#""channelId":""#)).unwrap();
        broadcast(room, &between(text, r#""content":""#), fates);
    }
}

fn broadcast(room: &mut Room, content: &str, fates: Fates) {
    let message = |content: &str| format!(r#"42["message",{{"content":"{content}"}},"offset"]"#);
    for (number, member) in room.members.iter_mut().enumerate() {
        let fate = fates(number, room.messages);
        match fate {
            Fate::Vanish => {}
            Fate::Linger => member.lingering = Some(message(content)),
            Fate::Hangup => member.stream.shutdown(std::net::Shutdown::Both).unwrap(),
            Fate::Stray => {
                let (_, rest) = content.split_once('.').unwrap();
                say(&mut member.stream, &message(&format!("~s4000.{rest}")));
            }
            Fate::Arrive | Fate::ArriveTwice => {
                say(&mut member.stream, &message(content));
                if matches!(fate, Fate::ArriveTwice) {
                    say(&mut member.stream, &message(content));
                }
                if let Some(late) = member.lingering.take() {
                    say(&mut member.stream, &late);
                }
            }
        }
    }
    room.messages += 1;
}

/// Writes one text frame; `None` if the peer has gone.
fn say(stream: &mut TcpStream, text: &str) -> Option<()> {
    let mut frame = Vec::new();
    push_frame(&mut frame, Opcode::Text, text.as_bytes());
    stream.write_all(&frame).ok()
}

/// What stands after `before`, up to the next quote.
fn between(text: &str, before: &str) -> String {
    let (_, after) = text.split_once(before).unwrap();
    after.split('"').next().unwrap().to_owned()
}
