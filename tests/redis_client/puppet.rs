//! A server that does what no server at hand does: it is old, pushes late, or not at all.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A client's own publishes are pushed behind their answers, as from Redis 7.2 on.
    PushesLate,
    /// What is published is answered and pushed to nobody; the next connection is served well.
    DeafAtFirst,
    /// It does not know the first word.
    IsOld,
    /// It says that it is of a version that is too old.
    IsNearlyOld,
    /// It answers what nobody asked.
    Babbles,
}

/// Listens on a port of the loopback, which is returned, for as long as the process lives.
pub(crate) fn start(manner: Manner) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let connections = Arc::new(AtomicU32::new(0));
        for stream in listener.incoming().flatten() {
            let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
            std::thread::spawn(move || serve(&stream, manner, is_first));
        }
    });
    port
}

fn serve(stream: &TcpStream, manner: Manner, is_first: bool) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(command) = read_command(&mut reader) {
        if writer.write_all(&answer(&command, manner, is_first)).is_err() {
            return;
        }
    }
}

fn read_command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.trim().get(1..)?.parse::<usize>().ok()
    };
    let count = number(reader)?;
    let mut parts = Vec::new();
    for _ in 0..count {
        let mut bytes = vec![0; number(reader)? + 2];
        reader.read_exact(&mut bytes).ok()?;
        parts.push(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned());
    }
    Some(parts)
}

fn answer(command: &[String], manner: Manner, is_first: bool) -> Vec<u8> {
    let text = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let answer = match (command[0].as_str(), manner) {
        ("HELLO", Manner::IsOld) => {
            "-ERR unknown command `HELLO`, with args beginning with: `3`\r\n".to_owned()
        }
        ("HELLO", manner) => {
            let version = if manner == Manner::IsNearlyOld { "6.0.16" } else { "8.0.1" };
            format!("%2\r\n{}{}{}{}", text("version"), text(version), text("role"), text("master"))
        }
        ("SUBSCRIBE", _) => {
            let push = |topic: &String| format!(">3\r\n{}{}:1\r\n", text("subscribe"), text(topic));
            command[1..].iter().map(push).collect()
        }
        ("PUBLISH", manner) => {
            let push = format!(">3\r\n{}{}{}", text("message"), text(&command[1]), text(&command[2]));
            let is_deaf = manner == Manner::DeafAtFirst && is_first;
            format!(":1\r\n{}", if is_deaf { "" } else { &push })
        }
        ("PING", Manner::Babbles) => "+PONG\r\n+PONG\r\n".to_owned(),
        ("PING", _) => command.get(1).map_or("+PONG\r\n".to_owned(), |word| text(word)),
        _ => "+OK\r\n".to_owned(),
    };
    answer.into_bytes()
}
