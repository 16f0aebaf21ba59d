//! A plain blocking connection to Redis (RESP2, and RESP3 after `HELLO 3`), and what it answers. It waits for ten
//! seconds and no longer.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What Redis answers.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// There is none.
    Nil,
    /// A number.
    Number(i64),
    /// A text or a status, which are one here.
    Text(Vec<u8>),
    /// A refusal, such as `MOVED 17 127.0.0.1:7001`.
    Error(String),
    /// Several; a map is its keys and values in turns, and a push its parts.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text, or a number as a text.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Number(number) => number.to_string(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The number.
    #[track_caller]
    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(_) => self.text().parse().unwrap(),
            other => panic!("no number: {other:?}"),
        }
    }

    /// The parts.
    #[track_caller]
    pub(crate) fn parts(&self) -> &[Reply] {
        match self {
            Self::Array(parts) => parts,
            other => panic!("no array: {other:?}"),
        }
    }

    /// Whether it refuses with a message that begins so.
    pub(crate) fn refuses(&self, prefix: &str) -> bool {
        matches!(self, Self::Error(message) if message.starts_with(prefix))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => out.write_str("nil"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(bytes) => write!(out, "{:?}", String::from_utf8_lossy(bytes)),
            Self::Error(message) => write!(out, "-{message}"),
            Self::Array(parts) => out.debug_list().entries(parts).finish(),
        }
    }
}

/// A connection.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ANSWER_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// What the server answers to one command.
    #[track_caller]
    pub(crate) fn call<T: AsRef<[u8]>>(&mut self, command: &[T]) -> Reply {
        self.try_call(command).unwrap()
    }

    /// Like [`call`](Self::call), where the server may be gone.
    pub(crate) fn try_call<T: AsRef<[u8]>>(&mut self, command: &[T]) -> io::Result<Reply> {
        self.send(command)?;
        self.read()
    }

    /// Sends a command whose answers are [read](Self::read) later: a subscription has many.
    pub(crate) fn send<T: AsRef<[u8]>>(&mut self, command: &[T]) -> io::Result<()> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for argument in command.iter().map(AsRef::as_ref) {
            bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend(b"\r\n");
        }
        self.reader.get_mut().write_all(&bytes)
    }

    /// How long [`read`](Self::read) waits.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.reader.get_ref().set_read_timeout(Some(patience)).unwrap();
    }

    /// Reads the next answer or push.
    pub(crate) fn read(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end_matches("\r\n");
        let (sort, rest) = line.split_at_checked(1).ok_or_else(|| malformed(line))?;
        let count = || rest.parse::<i64>().map_err(|_| malformed(line));
        match sort {
            "+" | "," | "#" | "(" => Ok(Reply::Text(rest.as_bytes().to_vec())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Number(count()?)),
            "_" => Ok(Reply::Nil),
            "$" | "=" => self.read_text(count()?),
            "*" | "~" | ">" => self.read_parts(count()?),
            "%" => self.read_parts(count()? * 2),
            _ => Err(malformed(line)),
        }
    }

    fn read_text(&mut self, length: i64) -> io::Result<Reply> {
        let Ok(length) = usize::try_from(length) else { return Ok(Reply::Nil) };
        let mut bytes = vec![0; length + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Reply::Text(bytes))
    }

    fn read_parts(&mut self, count: i64) -> io::Result<Reply> {
        if count < 0 {
            return Ok(Reply::Nil);
        }
        (0..count).map(|_| self.read()).collect::<io::Result<_>>().map(Reply::Array)
    }
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, line.to_owned())
}
