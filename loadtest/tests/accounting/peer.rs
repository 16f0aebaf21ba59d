//! A server that speaks just enough of the dialect, and mistreats messages exactly as it is told to.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use protocol::http::{self, HeadLimits};
use protocol::websocket::frame::{Opcode, push_close, push_frame};
use protocol::websocket::{CloseCode, Decoder, Event, Limits, Role, handshake};

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
    /// The member's connection is closed instead, with code 1013.
    LetGo,
}

/// Whom a message is for.
#[derive(Clone, Copy)]
pub(crate) struct Whom {
    /// Which member of the room it is, counted from 0 in the order of joining.
    pub(crate) member: usize,
    /// The number in its user id.
    pub(crate) seat: u32,
    /// It gets what it missed while it was away.
    pub(crate) is_replay: bool,
}

/// The fate of message `n` of a room, from 0, for one of its members.
pub(crate) type Fates = fn(whom: Whom, n: usize) -> Fate;

/// How the server treats its clients.
#[derive(Clone, Copy)]
pub(crate) struct Conduct {
    /// What happens to messages.
    pub(crate) fates: Fates,
    /// Whether connection `n`, from 0, is let in.
    pub(crate) lets_in: fn(n: usize) -> bool,
    /// Whether sessions can be resumed.
    pub(crate) resumes: bool,
}

impl Conduct {
    /// A server that does all it should.
    pub(crate) const FAITHFUL: Self = Self { fates: |_, _| Fate::Arrive, lets_in: |_| true, resumes: true };

    /// A server that lets everybody in.
    pub(crate) const fn with(fates: Fates) -> Self {
        Self { fates, ..Self::FAITHFUL }
    }
}

struct Member {
    stream: TcpStream,
    seat: u32,
    lingering: Option<String>,
    /// How many messages the room had when it joined.
    joined_at: usize,
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    contents: Vec<String>,
}

#[derive(Default)]
struct House {
    connections: usize,
    rooms: HashMap<String, Room>,
    /// The room and the member that each private id stands for.
    sessions: HashMap<String, (String, usize)>,
}

/// One connection and what it has said of itself.
struct Guest {
    stream: TcpStream,
    number: usize,
    seat: u32,
}

type Shared = Arc<Mutex<House>>;

/// Starts the server on a thread that ends with the test process.
pub(crate) fn start(conduct: Conduct) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let house = Shared::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let house = Arc::clone(&house);
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || serve(stream, &house, conduct));
        }
    });
    address
}

fn serve(mut stream: TcpStream, house: &Shared, conduct: Conduct) -> Option<()> {
    open(&mut stream)?;
    let mut guest = Guest { stream, number: 0, seat: 0 };
    let mut decoder = Decoder::new(Role::Server);
    let mut buffer = [0; 4096];
    loop {
        let read = guest.stream.read(&mut buffer).ok().filter(|&read| read > 0)?;
        let mut feed = decoder.feed(&mut buffer[..read], &LIMITS);
        while let Some(event) = feed.next().unwrap() {
            let Event::Text(text) = event else { return None };
            handle(text, &mut guest, &mut house.lock().unwrap(), conduct)?;
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

/// Handles one packet; `None` ends the connection.
fn handle(text: &str, guest: &mut Guest, house: &mut House, conduct: Conduct) -> Option<()> {
    if text.starts_with("40") {
        return welcome(text, guest, house, conduct);
    }
    if text == "41" {
        return None;
    }
    let name = between(text, r#""channelId":""#)?;
    let room = house.rooms.entry(name.clone()).or_default();
    if text.contains("channel:join") {
        for member in &mut room.members {
            // Who has left does not hear of it.
            let _ = say(&mut member.stream, r#"42["presence",{}]"#);
        }
        let (stream, joined_at) = (guest.stream.try_clone().unwrap(), room.contents.len());
        room.members.push(Member { stream, seat: guest.seat, lingering: None, joined_at });
        house.sessions.insert(format!("p{}", guest.number), (name, room.members.len() - 1));
        say(&mut guest.stream, r#"430[{"success":true}]"#)
    } else {
        let (n, content) = (room.contents.len(), between(text, r#""content":""#)?);
        for number in 0..room.members.len() {
            deliver(&mut room.members[number], number, false, n, &content, conduct);
        }
        room.contents.push(content);
        Some(())
    }
}

/// Answers CONNECT, with the session of before and what it missed if that can be had.
fn welcome(text: &str, guest: &mut Guest, house: &mut House, conduct: Conduct) -> Option<()> {
    (guest.number, house.connections) = (house.connections, house.connections + 1);
    guest.seat = between(text, r#""userId":"lt-"#)?.parse().unwrap();
    if !(conduct.lets_in)(guest.number) {
        return say(&mut guest.stream, r#"44{"message":"not today"}"#);
    }
    let pid = between(text, r#""pid":""#).filter(|_| conduct.resumes);
    let known = pid.and_then(|pid| Some((house.sessions.get(&pid)?.clone(), pid)));
    let Some(((name, number), pid)) = known else {
        let pid = if conduct.resumes { format!(r#","pid":"p{}""#, guest.number) } else { String::new() };
        return say(&mut guest.stream, &format!(r#"40{{"sid":"s"{pid}}}"#));
    };
    say(&mut guest.stream, &format!(r#"40{{"sid":"s","pid":"{pid}"}}"#))?;
    let room = house.rooms.get_mut(&name).unwrap();
    let member = &mut room.members[number];
    member.stream = guest.stream.try_clone().unwrap();
    let offset = between(text, r#""offset":""#)?;
    let missed_from = offset.parse().map_or(member.joined_at, |last: usize| last + 1);
    for (n, content) in room.contents.iter().enumerate().skip(missed_from) {
        deliver(member, number, true, n, content, conduct);
    }
    Some(())
}

fn deliver(member: &mut Member, number: usize, is_replay: bool, n: usize, content: &str, conduct: Conduct) {
    let message = |content: &str| format!(r#"42["message",{{"content":"{content}"}},"{n}"]"#);
    // What is said to a member that has gone is lost like everything else that is.
    let _ = match (conduct.fates)(Whom { member: number, seat: member.seat, is_replay }, n) {
        Fate::Vanish => Some(()),
        Fate::Linger => {
            member.lingering = Some(message(content));
            Some(())
        }
        Fate::Hangup => member.stream.shutdown(Shutdown::Both).ok(),
        Fate::LetGo => {
            let mut frame = Vec::new();
            push_close(&mut frame, CloseCode::TRY_AGAIN_LATER, "too slow");
            member.stream.write_all(&frame).and_then(|()| member.stream.shutdown(Shutdown::Write)).ok()
        }
        Fate::Stray => {
            let (_, rest) = content.split_once('.').unwrap();
            say(&mut member.stream, &message(&format!("~s4000.{rest}")))
        }
        fate @ (Fate::Arrive | Fate::ArriveTwice) => {
            let mut said = say(&mut member.stream, &message(content));
            if matches!(fate, Fate::ArriveTwice) {
                said = say(&mut member.stream, &message(content));
            }
            if let Some(late) = member.lingering.take() {
                said = say(&mut member.stream, &late);
            }
            said
        }
    };
}

/// Writes one text frame; `None` if the peer has gone.
fn say(stream: &mut TcpStream, text: &str) -> Option<()> {
    let mut frame = Vec::new();
    push_frame(&mut frame, Opcode::Text, text.as_bytes());
    stream.write_all(&frame).ok()
}

/// What stands after `before`, up to the next quote.
fn between(text: &str, before: &str) -> Option<String> {
    let (_, after) = text.split_once(before)?;
    after.split('"').next().map(str::to_owned)
}
