//! Asks a node for its health, for containers that have nothing else to ask with.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// How long the node may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `/health` of the node on this machine.
///
/// # Errors
/// A sentence when the node cannot be reached or is not healthy.
pub fn ask(port: u16) -> Result<(), String> {
    let answer = request(port).map_err(|error| format!("no answer on port {port}: {error}"))?;
    match answer.lines().next() {
        Some(status) if status.contains(" 200 ") => Ok(()),
        Some(status) => Err(format!("not healthy: {status}")),
        None => Err(format!("no answer on port {port}")),
    }
}

fn request(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
