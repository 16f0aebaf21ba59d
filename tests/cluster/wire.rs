//! One Socket.IO connection of a test's client: WebSocket messages in and out, with every error told and none of them
//! the end of the test. What the messages mean is the client's.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use protocol::websocket::frame::{Opcode, push_masked_frame};
use protocol::websocket::{Decoder, Event, Limits, Role, handshake};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";
const LIMITS: Limits = Limits { message_bytes_max: 16 << 20, fragments_max: 1, deflate: false };
/// How long connecting and shaking hands may take each, as a client that has other nodes to go to would say.
const OPENING: Duration = Duration::from_secs(2);

/// An open connection.
pub(crate) struct Wire {
    stream: TcpStream,
    decoder: Decoder,
    heard: VecDeque<String>,
    chunk: Vec<u8>,
}

impl Wire {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// Whatever keeps it from that, within a few seconds.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, OPENING)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(OPENING))?;
        stream.set_write_timeout(Some(OPENING))?;
        let mut request = Vec::new();
        handshake::push_request(&mut request, "node", TARGET, KEY);
        stream.write_all(&request)?;
        let mut head = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        let head_bytes = loop {
            let answer = handshake::read_response(&head, KEY);
            if let Some(end) = answer.map_err(|refusal| broken(&format!("{refusal:?}")))? {
                break end;
            }
            let count = stream.read(&mut chunk)?;
            if count == 0 {
                return Err(broken("closed in the handshake"));
            }
            head.extend_from_slice(&chunk[..count]);
        };
        let mut wire = Self { stream, decoder: Decoder::new(Role::Client), heard: VecDeque::new(), chunk };
        wire.take(&mut head[head_bytes..])?;
        Ok(wire)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        let mut frame = Vec::new();
        push_masked_frame(&mut frame, Opcode::Text, text.as_bytes(), [7, 1, 8, 2]);
        self.stream.write_all(&frame)
    }

    /// The next text message; `None` if none has come when `ends` is reached.
    ///
    /// # Errors
    /// The end of the connection, and what breaks WebSocket.
    pub(crate) fn hear(&mut self, ends: Instant) -> Result<Option<String>> {
        loop {
            if let Some(text) = self.heard.pop_front() {
                return Ok(Some(text));
            }
            let wait = ends.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
            let mut chunk = std::mem::take(&mut self.chunk);
            let outcome = self.stream.read(&mut chunk);
            let taken = match outcome {
                Ok(0) => Err(broken("closed without a word")),
                Ok(count) => self.take(&mut chunk[..count]),
                Err(error) if is_pause(&error) => Ok(()),
                Err(error) => Err(error),
            };
            self.chunk = chunk;
            taken?;
        }
    }

    /// Ends the connection without a goodbye, as a cut cable does.
    pub(crate) fn cut(self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<()> {
        let mut feed = self.decoder.feed(bytes, &LIMITS);
        while let Some(event) = feed.next().map_err(|violation| broken(&violation.to_string()))? {
            match event {
                Event::Text(text) => self.heard.push_back(text.to_owned()),
                Event::Close(close) => {
                    return Err(broken(&format!("closed with {:?}", close.map(|(code, _)| code.0))));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a read only took too long, or was interrupted.
fn is_pause(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn broken(why: &str) -> Error {
    Error::new(ErrorKind::ConnectionAborted, why)
}
