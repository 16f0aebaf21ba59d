//! Encryption of a connection to Redis, without its socket: bytes in, bytes out.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// What is trusted. Made once, and shared by all connections of a core.
pub(super) type Trust = Arc<ClientConfig>;

/// Trusts the usual authorities of the web, and those of a file of certificates in PEM.
///
/// # Errors
/// A sentence that names the file, if it cannot be read or has no certificate.
pub(super) fn trust(ca_file: Option<&Path>) -> Result<Trust, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let explain = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| explain(&error))?;
        let mut count = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| explain(&error))?;
            roots.add(certificate).map_err(|error| explain(&error))?;
            count += 1;
        }
        if count == 0 {
            return Err(explain(&"there is no certificate in it"));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// One encrypted connection.
pub(super) struct Crypt {
    connection: ClientConnection,
    /// What came from the server and was not decrypted yet: only so much is decrypted as is read.
    incoming: Vec<u8>,
    decrypted: usize,
}

/// Encrypted bytes that are read at once.
const READ_BYTES: usize = 32 * 1024;

impl Crypt {
    /// Begins with the name that the server's certificate must have.
    ///
    /// # Errors
    /// The name cannot be one of a certificate.
    pub(super) fn new(trust: &Trust, name: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(broken)?;
        let mut connection = ClientConnection::new(trust.clone(), name).map_err(broken)?;
        // What waits is bounded by whoever gives it.
        connection.set_buffer_limit(None);
        Ok(Self { connection, incoming: Vec::new(), decrypted: 0 })
    }

    /// Whether the two sides have not agreed yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes bytes that came from the server, which `receive` puts into a buffer. Only to be called when everything
    /// before was [read](Self::read).
    ///
    /// # Errors
    /// What `receive` says, `UnexpectedEof` if there were none, or the two sides do not agree.
    pub(super) fn take(&mut self, receive: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<()> {
        self.incoming.resize(READ_BYTES, 0);
        self.decrypted = 0;
        let outcome = receive(&mut self.incoming);
        self.incoming.truncate(*outcome.as_ref().unwrap_or(&0));
        match outcome? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => while self.is_handshaking() && self.decrypt()? {},
        }
        Ok(())
    }

    /// Reads what the server said. `WouldBlock` if nothing is there, `Ok(0)` if it said good-bye.
    ///
    /// # Errors
    /// What it sent was changed on its way.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.decrypt()? => {}
                outcome => return outcome,
            }
        }
    }

    /// Decrypts a piece of what came. `false` if there is none.
    fn decrypt(&mut self) -> io::Result<bool> {
        let mut bytes = &self.incoming[self.decrypted..];
        if bytes.is_empty() {
            return Ok(false);
        }
        self.decrypted += self.connection.read_tls(&mut bytes)?;
        self.connection.process_new_packets().map_err(broken)?;
        Ok(true)
    }

    /// Says something to the server; the bytes to send are in [`outgoing`](Self::outgoing).
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)
    }

    /// Appends what is to be sent.
    pub(super) fn outgoing(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(out)?;
        }
        Ok(())
    }
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
