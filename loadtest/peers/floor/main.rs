//! The floor: a send loop and nothing else, what delivering costs when no protocol, no order and no memory is in the
//! way.
//!
//! One thread, one epoll instance, the bare protocol of the load tester (`loadtest/src/dialect/raw.rs`). A message is
//! encoded once and sent to one member after the other by `send(MSG_DONTWAIT)`, one system call per member: nothing is
//! coalesced. Only what a full socket does not take is kept, so that nothing is lost.
//!
//! Environment: `PORT` (3101), `HOST` (127.0.0.1). `/readyz` says when it listens. There are no tokens.

use std::collections::HashMap;
use std::env;
use std::io::{ErrorKind, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use client::{Client, Request};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use protocol::websocket::frame::{Opcode, push_frame_with};
use rustix::net::{AddressFamily, SocketType, bind, ipproto, listen, socket, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

mod client;

/// The token of the listening socket; clients have the number of their slot.
const LISTENER: Token = Token(usize::MAX);
/// How many sockets are served in one round.
const EVENTS_MAX: usize = 1024;
/// How much is read from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

fn main() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("cannot raise the limit on open files")?;
    let mut floor = Floor::new()?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled.context("epoll failed")?,
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept()?,
                Token(slot) => floor.handle_client(slot, event.is_readable(), event.is_writable()),
            }
        }
    }
}

/// All clients and rooms.
struct Floor {
    poll: Poll,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    /// The slots in `clients` that are free.
    free: Vec<usize>,
    /// The members of each channel by their slots.
    rooms: HashMap<String, Vec<usize>>,
    messages: u64,
    buffer: Vec<u8>,
    frame: Vec<u8>,
}

impl Floor {
    fn new() -> Result<Self> {
        let poll = Poll::new().context("cannot create an epoll instance")?;
        let mut listener = listener()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            clients: Vec::new(),
            free: Vec::new(),
            rooms: HashMap::new(),
            messages: 0,
            buffer: vec![0; READ_BYTES],
            frame: Vec::new(),
        })
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client has gone already, or there are no descriptors left: it sees that itself.
                Err(_) => continue,
            };
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(slot), interest)?;
            self.clients[slot] = Some(Client::new(stream));
        }
    }

    fn handle_client(&mut self, slot: usize, readable: bool, writable: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let served = self.serve(slot, readable, writable, &mut buffer);
        self.buffer = buffer;
        if served.is_none() {
            self.remove(slot);
        }
    }

    /// Serves one client; `None` if it is to be removed.
    fn serve(&mut self, slot: usize, readable: bool, writable: bool, buffer: &mut [u8]) -> Option<()> {
        if writable {
            self.clients[slot].as_mut()?.flush()?;
        }
        if !readable {
            return Some(());
        }
        let mut requests = Vec::new();
        loop {
            let is_empty = self.clients[slot].as_mut()?.read(buffer, &mut requests)?;
            for request in requests.drain(..) {
                match request {
                    Request::Join(channel) => self.join(slot, channel),
                    Request::Message(text) => self.deliver(&text),
                }
            }
            if is_empty {
                return Some(());
            }
        }
    }

    fn join(&mut self, slot: usize, channel: String) {
        let Some(client) = &mut self.clients[slot] else { return };
        self.frame.clear();
        push_frame_with(&mut self.frame, Opcode::Text, |out| out.push(b'J'));
        client.send(&self.frame);
        client.rooms.push(channel.clone());
        self.rooms.entry(channel).or_default().push(slot);
    }

    /// Sends `<channel> <content>` to every member, the sender too.
    fn deliver(&mut self, text: &str) {
        let Some((channel, content)) = text.split_once(' ') else { return };
        let Some(members) = self.rooms.get(channel) else { return };
        self.messages += 1;
        let (id, now) = (self.messages, SystemTime::now());
        let now_ms = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.frame.clear();
        push_frame_with(&mut self.frame, Opcode::Text, |out| {
            write!(out, "M{channel} {id} {now_ms} {content}").expect("writing to memory cannot fail");
        });
        for &slot in members {
            if let Some(client) = &mut self.clients[slot] {
                client.send(&self.frame);
            }
        }
    }

    fn remove(&mut self, slot: usize) {
        let Some(client) = self.clients[slot].take() else { return };
        for channel in client.rooms {
            let Some(members) = self.rooms.get_mut(&channel) else { continue };
            if let Some(place) = members.iter().position(|&member| member == slot) {
                members.swap_remove(place);
            }
            if members.is_empty() {
                self.rooms.remove(&channel);
            }
        }
        self.free.push(slot);
    }
}

/// The listening socket that the environment asks for.
fn listener() -> Result<TcpListener> {
    let port = env::var("PORT").unwrap_or_else(|_| "3101".into());
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".into());
    let address: std::net::SocketAddrV4 =
        format!("{host}:{port}").parse().context("HOST is an IPv4 address and PORT a number")?;
    let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address).with_context(|| format!("cannot listen on {address}"))?;
    listen(&socket, BACKLOG)?;
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener))
}
