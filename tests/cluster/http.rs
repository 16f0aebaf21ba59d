//! HTTP as a back end or an operator speaks it: one request, one answer, bounded in time; and the webhook that nodes ask.

use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Asks for a page.
///
/// # Errors
/// Those of the socket, and silence.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    request(address, "GET", path, "", PATIENCE)
}

/// Posts JSON with a server key.
///
/// # Errors
/// Those of the socket, and silence.
pub(crate) fn post_as(address: SocketAddr, path: &str, key: &str, body: &Value) -> Result<Answer> {
    let headers = format!("X-API-Key: {key}\r\n");
    exchange(address, "POST", path, &headers, &body.to_string(), PATIENCE)
}

/// Writes any request and waits so long for its answer.
///
/// # Errors
/// Those of the socket, and silence.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
    patience: Duration,
) -> Result<Answer> {
    exchange(address, method, path, "", body, patience)
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
    patience: Duration,
) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let length = body.len();
    let plain = format!("Host: node\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}");
    let head = format!("{method} {path} HTTP/1.1\r\n{plain}\r\n");
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok(Answer { status, body: body.to_owned() })
}

/// A permission webhook that says yes until it is told to say no.
pub(crate) struct Doorkeeper {
    address: SocketAddr,
    says_no: Arc<AtomicBool>,
}

impl Doorkeeper {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let says_no = Arc::new(AtomicBool::new(false));
        let answer = says_no.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 16 * 1024];
                // A question fits into one segment on this machine.
                let _ = stream.read(&mut request);
                let body = format!("{{\"allowed\":{}}}", !answer.load(Ordering::Relaxed));
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
                let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
            }
        });
        Self { address, says_no }
    }

    /// Where nodes ask.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Says no from now on.
    pub(crate) fn refuse(&self) {
        self.says_no.store(true, Ordering::Relaxed);
    }
}
