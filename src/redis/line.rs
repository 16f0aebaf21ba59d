//! The bytes of one connection to Redis, encrypted or not.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use protocol::redis::Decoder;

use super::tls::{Crypt, Trust};
use crate::rt::{self, Socket};

/// A connection. One task may read while another writes.
pub(super) struct Line {
    socket: Socket,
    crypt: Option<RefCell<Crypt>>,
}

impl Line {
    /// Connects, and agrees on encryption if there is something to trust. May be dropped at any time.
    ///
    /// # Errors
    /// `InvalidData` if encryption is what failed, otherwise the kernel's.
    pub(super) async fn connect(address: SocketAddr, name: &str, trust: Option<&Trust>) -> io::Result<Self> {
        let socket = rt::connect(address).await?;
        let crypt = trust.map(|trust| Crypt::new(trust, name)).transpose()?.map(RefCell::new);
        let line = Self { socket, crypt };
        if let Some(crypt) = &line.crypt {
            while crypt.borrow().is_handshaking() {
                line.send_crypt(crypt).await?;
                if crypt.borrow().is_handshaking() {
                    line.take_crypt(crypt).await?;
                }
            }
            line.send_crypt(crypt).await?;
        }
        Ok(line)
    }

    /// Waits until something has come, and reads it. Returns how many bytes the decoder got. May be dropped at any time:
    /// only readiness is waited for.
    ///
    /// # Errors
    /// `UnexpectedEof` if the server has closed the connection, otherwise the kernel's.
    pub(super) async fn read(&self, decoder: &mut Decoder) -> io::Result<usize> {
        loop {
            let outcome = match &self.crypt {
                Some(crypt) => crypt.borrow_mut().read(decoder.room()),
                None => {
                    // Asked first, or every batch would end with a read that finds nothing.
                    self.socket.readable().await;
                    self.socket.recv(decoder.room())
                }
            };
            match outcome {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    decoder.filled(count);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(crypt) = &self.crypt {
                        self.take_crypt(crypt).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes everything. Dropped midway, the connection is of no use any more.
    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(crypt) = &self.crypt else { return self.send(bytes).await };
        crypt.borrow_mut().write(bytes)?;
        self.send_crypt(crypt).await
    }

    /// Ends the connection at once: what the server has not acknowledged is not sent again, however long the way to it is
    /// interrupted. Otherwise commands that were given up could be carried out much later.
    pub(super) fn abandon(self) {
        self.socket.reset();
    }

    /// Sends what encryption has to say.
    async fn send_crypt(&self, crypt: &RefCell<Crypt>) -> io::Result<()> {
        let mut out = Vec::new();
        crypt.borrow_mut().outgoing(&mut out)?;
        self.send(&out).await
    }

    /// Waits for encrypted bytes.
    async fn take_crypt(&self, crypt: &RefCell<Crypt>) -> io::Result<()> {
        loop {
            match crypt.borrow_mut().take(|buffer| self.socket.recv(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            self.socket.readable().await;
        }
    }

    async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.socket.send(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
