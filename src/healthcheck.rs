//! Asks a node for its health, for containers that have nothing else to ask with.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::config::pages::Pages;

/// How long the node may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the node on this machine for its health, where the operator has put it; whether it is ready, if it tells no
/// health.
///
/// # Errors
/// A sentence when the node cannot be reached or is not healthy.
pub fn ask(port: u16, pages: &Pages) -> Result<(), String> {
    let answer = request(port, pages.health.as_deref().unwrap_or("/readyz"))
        .map_err(|error| format!("no answer on port {port}: {error}"))?;
    match answer.lines().next() {
        Some(status) if status.contains(" 200 ") => Ok(()),
        Some(status) => Err(format!("not healthy: {status}")),
        None => Err(format!("no answer on port {port}")),
    }
}

fn request(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// Asks something that answers with `status`; returns what was asked, and whether it was found healthy.
    fn asked(pages: Pages, status: &'static str) -> (String, bool) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let node = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let first = lines.next().unwrap();
            lines.find(String::is_empty);
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
            first
        });
        let is_healthy = ask(port, &pages).is_ok();
        (node.join().unwrap(), is_healthy)
    }

    #[test]
    fn the_page_is_asked_that_the_operator_has_configured() {
        let check = |health: Option<&str>, status, expected: &str, is_healthy: bool| {
            let pages = Pages { health: health.map(str::to_owned), metrics: None };
            let expected = format!("GET {expected} HTTP/1.1");
            assert_eq!(asked(pages, status), (expected, is_healthy), "{health:?}");
        };
        check(Some("/health"), "200 OK", "/health", true);
        check(Some("/realtime/health"), "200 OK", "/realtime/health", true);
        check(None, "200 OK", "/readyz", true);
        check(None, "503 Service Unavailable", "/readyz", false);
    }
}
